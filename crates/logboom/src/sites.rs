//! What the writer knows of the call sites of the macros.

use crate::deferred::{Site, SiteInfo};

/// The call sites of the program, by number.
#[derive(Default)]
pub struct Sites(Vec<SiteInfo>);

impl Sites {
    /// The site with this number. It is given out before the first frame that has it, so it is known.
    pub fn get(&mut self, number: u32) -> Option<&SiteInfo> {
        if self.0.len() < number as usize {
            let known = self.0.len() as u32;
            self.0.extend(Site::after(known).into_iter().map(Site::info));
        }
        self.0.get((number as usize).checked_sub(1)?)
    }
}

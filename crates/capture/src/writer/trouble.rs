//! What goes wrong in a writer: said once, and remembered.

use std::error::Error;

use logboom_files::with_causes;

/// Tells the user once, and keeps the first reason.
pub(crate) struct Trouble {
    warn: Box<dyn FnMut(&str) + Send>,
    /// The first reason.
    pub(crate) first: Option<String>,
}

impl Trouble {
    pub(crate) fn new(warn: Box<dyn FnMut(&str) + Send>) -> Trouble {
        Trouble { warn, first: None }
    }

    pub(crate) fn note(&mut self, why: String) {
        if self.first.is_none() {
            (self.warn)(&why);
            self.first = Some(why);
        }
    }

    /// The same for something that may have failed. Tells whether it did not.
    pub(crate) fn check<E: Error>(&mut self, result: Result<(), E>) -> bool {
        result.map_err(|error| self.note(with_causes(&error))).is_ok()
    }
}

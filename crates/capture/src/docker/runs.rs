//! Which runs of a session are the services that a streamer follows: the session may have others, too.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use logboom_record::RunId;

/// See the module. A run is among them before the first record of it can be read.
#[derive(Clone, Debug, Default)]
pub struct Runs(Arc<Mutex<HashSet<RunId>>>);

impl Runs {
    pub(super) fn add(&self, run: RunId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
    }

    /// Whether the run is a service that is followed.
    pub fn has(&self, run: RunId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&run)
    }

    /// Whether nothing is followed yet.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

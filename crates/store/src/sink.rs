//! A store as a sink, for whoever writes to it and never asks.

use std::sync::Arc;

use logboom_record::{Entry, Run, RunEnd, RunId, Sink, SinkError};

use crate::{Store, StoreError};

/// Hands what it takes to a store.
///
/// ```
/// # use logboom_store::{StoreSink, mem::Mem};
/// # use logboom_record::Sink;
/// # use std::sync::Arc;
/// let sink: Box<dyn Sink> = Box::new(StoreSink(Arc::new(Mem::new())));
/// ```
#[derive(Clone)]
pub struct StoreSink(
    /// The store.
    pub Arc<dyn Store>,
);

impl Sink for StoreSink {
    fn start_run(&self, run: &Run) -> Result<(), SinkError> {
        self.0.start_run(run).map_err(refused)
    }

    fn append(&self, batch: &[Entry]) -> Result<(), SinkError> {
        self.0.append(batch).map_err(refused)
    }

    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), SinkError> {
        self.0.end_run(id, end).map_err(refused)
    }
}

impl std::fmt::Debug for StoreSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreSink")
    }
}

fn refused(error: StoreError) -> SinkError {
    SinkError(Box::new(error))
}

//! A store as a sink, for whoever writes to it and never asks.

use logboom_record::{Entry, Run, RunEnd, RunId, Sink, SinkError};

use crate::{Store, StoreError};

/// Hands what it takes to a store.
///
/// ```
/// # use logboom_store::{StoreSink, mem::Mem};
/// # use logboom_record::Sink;
/// let sink: Box<dyn Sink> = Box::new(StoreSink(Mem::default()));
/// ```
#[derive(Clone, Debug)]
pub struct StoreSink<S>(
    /// The store.
    pub S,
);

impl<S: Store> Sink for StoreSink<S> {
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

fn refused(error: StoreError) -> SinkError {
    SinkError(Box::new(error))
}

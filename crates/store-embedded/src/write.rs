//! tmp
use crate::open::Shelf;
use logboom_record::{Entry, Run, RunEnd, RunId};
use logboom_store::StoreError;
#[derive(Default)]
pub(crate) struct Writers {}
impl Writers {
    pub fn start_run(&self, _shelf: &Shelf, run: &Run) -> Result<(), StoreError> {
        Err(StoreError::UnknownRun { run: run.id })
    }
    pub fn append(&self, _shelf: &Shelf, batch: &[Entry]) -> Result<(), StoreError> {
        batch.first().map_or(Ok(()), |entry| Err(StoreError::UnknownRun { run: entry.run() }))
    }
    pub fn end_run(&self, _shelf: &Shelf, id: RunId, _end: &RunEnd) -> Result<(), StoreError> {
        Err(StoreError::UnknownRun { run: id })
    }
}

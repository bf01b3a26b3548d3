//! Where records go: what a store, a file or a program's own collector have in common.

use std::error::Error;

use crate::{Entry, Run, RunEnd, RunId};

/// Why a sink did not take something. What was tried can be tried again.
#[derive(Debug, thiserror::Error)]
#[error("the records cannot be kept: {0}")]
pub struct SinkError(#[from] pub Box<dyn Error + Send + Sync>);

/// Takes runs and their records. The records of each run come in seq order, those lost as gaps; a run's parent starts before it,
/// and its records come between its start and its end.
pub trait Sink: Send + Sync {
    /// Makes a run known.
    ///
    /// # Errors
    /// [`SinkError`].
    fn start_run(&self, run: &Run) -> Result<(), SinkError>;

    /// Takes all of the batch or nothing. A stream of bytes cannot take back what it has passed on: after an error it may hold the
    /// start of the batch, the last line of it torn. It ends that line before it writes another, and a batch that is offered again
    /// may stand there twice, with the same run and seq.
    ///
    /// # Errors
    /// [`SinkError`].
    fn append(&self, batch: &[Entry]) -> Result<(), SinkError>;

    /// Notes how a run ended.
    ///
    /// # Errors
    /// [`SinkError`].
    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), SinkError>;
}

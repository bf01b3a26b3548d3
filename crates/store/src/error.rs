//! Why a store did not do what it was asked.

use std::{error::Error, io, path::PathBuf};

use logboom_record::RunId;

/// Why a store did not do what it was asked. Nothing of a refused batch is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store has never heard of the run, or it was deleted.
    #[error("there is no run {run}")]
    UnknownRun {
        /// The run that was asked for.
        run: RunId,
    },
    /// A run with this id was started before, and differently.
    #[error("run {run} was already started as another one")]
    RunExists {
        /// The id that is taken.
        run: RunId,
    },
    /// The run has ended: nothing more can be added to it.
    #[error("run {run} has ended")]
    RunEnded {
        /// The run that has ended.
        run: RunId,
    },
    /// Entries are missing between what is held and what came. Send them, or a gap in their place.
    #[error("run {run} goes on with seq {expected}, not {found}: send what is between, or a gap")]
    Hole {
        /// The run with the hole.
        run: RunId,
        /// The seq that comes next.
        expected: u64,
        /// The seq that came.
        found: u64,
    },
    /// A gap without an end says nothing of what follows it, so nothing could follow it. End the run as lost instead.
    #[error("a gap of run {run} has no end")]
    OpenGap {
        /// The run with the gap.
        run: RunId,
    },
    /// The record is larger than any may be. Send it in parts flagged `continued`.
    #[error("record {seq} of run {run} is too large, or its fields are not one line")]
    TooLarge {
        /// The run of the record.
        run: RunId,
        /// Its seq.
        seq: u64,
    },
    /// The cursor is of another store, or damaged. Start again without one.
    #[error("{cursor:?} is not a cursor of this store")]
    BadCursor {
        /// What was given as a cursor.
        cursor: String,
    },
    /// The operating system refused; `source` says why.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was being done, as a verb: `read`.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The layer below the store refused; `source` says why.
    #[error("cannot {action} {}", .path.display())]
    Files {
        /// What was being done, as a verb: `read`.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
}

//! What every logboom store promises: [`Store`], what can be asked of it, and the law it is held to.
//!
//! [`mem`] is the model: the simplest code that keeps every promise, in memory. [`conformance`] tests each promise by
//! name, and random histories against the model; a back end adds one line ([`conformance!`]). Nothing here does I/O.

mod batch;
pub mod conformance;
mod error;
pub mod mem;
mod mem_cursor;
mod page;
mod query;
mod sink;
mod text;

use std::time::Instant;

use logboom_record::{Entry, Run, RunEnd, RunId};

pub use batch::{refuse_large, what_is_new};
pub use error::StoreError;
pub use page::{Cursor, CursorError, Page, RunState, Wake};
pub use query::{Depth, Order, PAGE_LINES_MAX, Query, RunPick, RunQuery, Scope, Streams};
pub use sink::StoreSink;
pub use text::{Case, SEARCHED_BYTES_MAX, Syntax, TextError, TextQuery, View, push_text};

/// Keeps records by run and gives them back.
///
/// **Order.** A run is always in seq order, whatever its clock did. Between runs history is sorted by time: an entry stands
/// where the latest time of its run so far puts it; equal ones by run id. A line stands where its first part does.
/// What is committed after a walk began follows the walk's end in the order of commit.
pub trait Store: Send + Sync {
    /// Makes a run known. Starting the same run again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] for a parent that was never started, [`StoreError::RunEnded`] if the root of the run has
    /// ended, [`StoreError::RunExists`] if the id is taken by another run.
    fn start_run(&self, run: &Run) -> Result<(), StoreError>;

    /// Stores the whole batch or none of it; after `Ok`, a crash cannot lose it. Runs may be mixed; the entries of each
    /// are in seq order. What is held already (same run and seq) is skipped, so that a retry is always safe.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`], [`StoreError::RunEnded`] (but not for a batch of which all is held),
    /// [`StoreError::Hole`] where a seq is left out without a gap, [`StoreError::OpenGap`], [`StoreError::TooLarge`].
    fn append(&self, batch: &[Entry]) -> Result<(), StoreError>;

    /// Ends a run. The first end stays: ending it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`].
    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), StoreError>;

    /// How the runs of the query stand.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] for a scope that does not exist.
    fn runs(&self, query: &RunQuery) -> Result<Vec<RunState>, StoreError>;

    /// The lines that follow `cursor` in the order of the query; without one, the first of them.
    ///
    /// The same cursor serves both orders: `Newest` gives what `Oldest` would not, and the other way round. A cursor
    /// goes with the scope it was made for; the rest of the query may change.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] for a scope that does not exist, [`StoreError::BadCursor`].
    fn page(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, StoreError>;

    /// Sleeps until there may be something after the cursor, or nothing can come any more, or the deadline has passed.
    ///
    /// # Errors
    /// As [`Store::page`].
    fn wait(&self, query: &Query, cursor: &Cursor, deadline: Instant) -> Result<Wake, StoreError>;
}

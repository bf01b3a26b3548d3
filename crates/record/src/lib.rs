//! The words of logboom, shared by every other crate: what a record, a run, a level, a stream and a gap are.
//!
//! Nothing here does I/O. Types are parsed at the edge and trusted inside; the text line codec is in [`text`], that of JSON lines in [`json`], the
//! guess of a line's level in [`level`], the removal of colours in [`ansi`].

pub mod ansi;
pub mod json;
pub mod level;
mod record;
mod run;
mod sink;
mod test_result;
pub mod text;
mod time;

pub use level::Level;
pub use record::{Entry, EntryRef, FIELDS_BYTES_MAX, Flags, Gap, RECORD_BYTES_MAX, Record, RecordRef, Stream};
pub use run::{IdError, Kind, Outcome, Run, RunEnd, RunId, SessionId};
pub use sink::{Sink, SinkError};
pub use test_result::{TEST_MESSAGE_BYTES_MAX, TestOutcome, TestResult};
pub use time::{Time, TimeError};

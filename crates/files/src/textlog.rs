//! The text log of a run: one line a record, for `tail -f`, `grep` and a person.
//!
//! [`TextWriter`] appends whole buffers and never leaves half a line behind; [`TextReader`] gives the records back, with
//! their seq, which has no column. The line itself is [`logboom_record::text`]'s.

mod reader;
mod sync;
mod window;
mod writer;

pub use reader::{Extent, TextEntry, TextMark, TextReader};
pub use sync::Syncer;
pub use writer::{SyncMark, TextBatch, TextWriter};

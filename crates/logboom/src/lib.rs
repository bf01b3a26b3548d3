//! The library that programs embed: their `log` and `tracing` calls, and direct calls, in session files of their choice.
//!
//! [`LogCollector`] takes calls from any thread, in any async runtime or in none, and keeps them in the session files of a
//! directory: text that a person can read, and beside it a boom file that `logboom show`, `search` and `verify` read. Any number of
//! collectors work side by side; `docs/guide.md` has more.

mod ack;
mod collector;
mod dispatch;
mod error;
mod filter;
mod fork;
mod inner;
mod journal;
mod lines;
mod live;
mod loggers;
mod macros;
mod output;
#[doc(hidden)]
pub mod private;
mod queue;
mod recover;
mod rings;
mod sites;
mod spans;
mod stats;
mod writer;

use logboom_ring::{self as ring, frame};

pub use collector::{Builder, LogCollector};
pub use dispatch::{BoundTask, BoundThread};
pub use error::{AlreadyInstalled, CollectorError};
pub use inner::MESSAGE_BYTES_MAX;
pub use live::Live;
pub use logboom_record::{Level, Outcome, Record, Sink, SinkError, Stream};
pub use logboom_ring::deferred;
pub use loggers::{CollectorSink, FieldValue, Fields, JobRunLogger, JsonLines, Logger, Sample};
pub use queue::OnFull;
pub use recover::{Recovered, recover};
pub use spans::{TracingLayer, init};
pub use stats::Stats;

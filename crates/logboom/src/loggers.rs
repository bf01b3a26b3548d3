//! Typed loggers of a scheduler or a server: the system's own log, those of job runs, and those of their tasks.
//!
//! A [`Logger`] is a run of kind system, a [`JobRunLogger`] one of kind job below it, and each task that is logged for one of kind
//! task below that. Calls go through a bounded queue to a thread that hands batches to a [`Sink`]: a store, a stream of JSON
//! lines, or a collector by [`CollectorSink`]. What the sink refuses becomes a gap in the run it belonged to.

mod collected;
mod job;
mod outlet;
mod sample;
mod sinks;

use std::{fmt::Display, sync::Arc};

use logboom_record::{Kind, Level, Outcome, RunId, Sink, SinkError, Stream};

use crate::deferred::FieldsWriter;
use outlet::Outlet;
use sample::Samples;

pub use collected::CollectorSink;
pub use job::JobRunLogger;
pub use sample::Sample;
pub use sinks::JsonLines;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A count, a size, an id.
    U64(u64),
    /// A number that may be negative.
    I64(i64),
    /// A measure.
    F64(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Str(&'a str),
}

macro_rules! from {
    ($($variant:ident: $($type:ty),+;)+) => {$($(
        impl From<$type> for FieldValue<'_> {
            fn from(value: $type) -> Self {
                FieldValue::$variant(value.into())
            }
        }
    )+)+};
}
from! { U64: u8, u16, u32, u64; I64: i8, i16, i32, i64; F64: f32, f64; Bool: bool; }

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(value: &'a str) -> Self {
        FieldValue::Str(value)
    }
}

/// A record's further fields, by name.
pub type Fields<'a> = &'a [(&'a str, FieldValue<'a>)];

/// The log of a system, and where the loggers of its job runs come from. Cheap to clone; the run ends when the last clone
/// and the last of its job loggers are gone.
///
/// ```
/// # use logboom::{JsonLines, Level, Logger, Outcome, Stream};
/// let logger = Logger::new("scheduler", JsonLines::new(Vec::new()))?;
/// logger.system(Level::Info, "ready", &[("workers", 4u32.into())]);
/// let job = logger.job_run("nightly-7");
/// job.log_task("build", Level::Warn, "2 warnings", Stream::Stderr, &[]);
/// job.close(Outcome::Passed);
/// logger.flush()?;
/// # Ok::<_, logboom::SinkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Logger {
    run: Arc<SystemRun>,
}

#[derive(Debug)]
struct SystemRun {
    id: RunId,
    outlet: Outlet,
    samples: Samples,
}

impl Logger {
    /// Starts the system's run in the sink, and the thread that feeds it.
    ///
    /// # Errors
    /// [`SinkError`] if the sink does not take the run, or there is no thread.
    pub fn new(name: &str, sink: impl Sink + 'static) -> Result<Logger, SinkError> {
        let (id, outlet) = Outlet::start(name, Box::new(sink))?;
        Ok(Logger { run: Arc::new(SystemRun { id, outlet, samples: Samples::default() }) })
    }

    /// Logs what concerns the system as a whole.
    pub fn system(&self, level: Level, message: impl Display, fields: Fields<'_>) {
        self.run.outlet.record(self.run.id, level, Stream::System, in_words(message, fields));
    }

    /// Starts the run of a job. `external_id` is the caller's own id for it, one for each run.
    pub fn job_run(&self, external_id: &str) -> JobRunLogger {
        let id = self.run.outlet.run(Kind::Job, Some(self.run.id), external_id);
        JobRunLogger::new(self.clone(), id)
    }

    /// For events of high frequency: the first of every `one_in` of this key is logged, with how many were skipped.
    pub fn sample(&self, key: &str, one_in: u32) -> Sample<'_> {
        self.run.samples.take(&self.run.outlet, self.run.id, (key, one_in))
    }

    /// Hands everything logged before to the sink.
    ///
    /// # Errors
    /// [`SinkError`] if the sink did not take all of it; the rest is a gap.
    pub fn flush(&self) -> Result<(), SinkError> {
        self.run.outlet.flush()
    }

    /// How many records the sink did not take, so far.
    pub fn lost(&self) -> u64 {
        self.run.outlet.lost()
    }
}

impl Drop for SystemRun {
    fn drop(&mut self) {
        self.samples.rest(&self.outlet, self.id);
        self.outlet.end_run(self.id, Outcome::Passed);
    }
}

/// A message with its fields behind it, and the fields as JSON.
fn in_words(message: impl Display, fields: Fields<'_>) -> (String, Option<String>) {
    let (mut message, mut writer) = (message.to_string(), FieldsWriter::default());
    for (key, value) in fields {
        match *value {
            FieldValue::U64(value) => writer.push_u64(key, value),
            FieldValue::I64(value) => writer.push_i64(key, value),
            FieldValue::F64(value) => writer.push_f64(key, value),
            FieldValue::Bool(value) => writer.push_bool(key, value),
            FieldValue::Str(value) => writer.push_str(key, value),
        }
    }
    let fields = writer.finish();
    message.push_str(fields.suffix);
    (message, fields.json.map(str::to_owned))
}

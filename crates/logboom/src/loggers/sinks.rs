//! The sinks of this crate: JSON lines into anything that can be written to, and a collector's session file.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write,
    sync::{Mutex, PoisonError},
};

use logboom_record::{Entry, Gap, Kind, Level, Record, Run, RunEnd, RunId, Sink, SinkError};

use crate::{LogCollector, deferred::FieldsWriter};

/// Writes one JSON object a line: records as `logboom show --json` has them, and `start`, `end` and `gap` of runs.
#[derive(Debug, Default)]
pub struct JsonLines<W>(Mutex<W>);

impl<W: Write + Send> JsonLines<W> {
    /// Writes there; each batch by one `write_all`.
    pub fn new(writer: W) -> JsonLines<W> {
        JsonLines(Mutex::new(writer))
    }

    /// The writer, when everything that used this sink is gone.
    pub fn into_inner(self) -> W {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, lines: &str) -> Result<(), SinkError> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(lines.as_bytes()).and_then(|()| writer.flush()).map_err(|error| SinkError(Box::new(error)))
    }
}

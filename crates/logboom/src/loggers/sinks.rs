//! A sink of this crate: JSON lines into anything that can be written to.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Mutex, PoisonError},
};

use logboom_record::{Entry, Run, RunEnd, RunId, Sink, SinkError, json};

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

    fn write(&self, lines: &[u8]) -> Result<(), SinkError> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(lines).and_then(|()| writer.flush()).map_err(|error| SinkError(Box::new(error)))
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn start_run(&self, run: &Run) -> Result<(), SinkError> {
        let mut line = Vec::new();
        json::push_line(&mut line, &BTreeMap::from([("start", run)]));
        self.write(&line)
    }

    fn append(&self, batch: &[Entry]) -> Result<(), SinkError> {
        let mut lines = Vec::new();
        for entry in batch {
            match entry {
                Entry::Record(record) => json::push_record(&mut lines, &record.as_ref()),
                Entry::Gap(gap) => json::push_gap(&mut lines, gap),
            }
        }
        self.write(&lines)
    }

    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), SinkError> {
        let mut line = Vec::new();
        json::push_line(&mut line, &RunEnded { end, run: id });
        self.write(&line)
    }
}

#[derive(serde::Serialize)]
struct RunEnded<'a> {
    end: &'a RunEnd,
    run: RunId,
}

//! A sink of this crate: JSON lines into anything that can be written to.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use logboom_record::{Entry, Run, RunEnd, RunId, Sink, SinkError, json};

/// Writes one JSON object a line: records as `logboom show --json` has them, and `start`, `end` and `gap` of runs.
///
/// A write that fails may leave a torn line, which is ended before the next one; what was refused and is offered again may stand
/// there twice, with the same run and seq.
#[derive(Debug, Default)]
pub struct JsonLines<W>(Mutex<Lines<W>>);

#[derive(Debug, Default)]
struct Lines<W> {
    writer: W,
    /// The last write stopped inside a line.
    torn: bool,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes there; each batch by one write, where the writer takes it whole.
    pub fn new(writer: W) -> JsonLines<W> {
        JsonLines(Mutex::new(Lines { writer, torn: false }))
    }

    /// The writer, when everything that used this sink is gone.
    pub fn into_inner(self) -> W {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).writer
    }

    fn write(&self, lines: &[u8]) -> Result<(), SinkError> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        output.write(lines).map_err(|error| SinkError(Box::new(error)))
    }
}

impl<W: Write> Lines<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_all(&[b"\n", lines].concat())?;
        } else {
            self.write_all(lines)?;
        }
        self.writer.flush()
    }

    /// Like the writer's own, and knows where it stopped.
    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.writer.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    self.torn = rest[bytes - 1] != b'\n';
                    rest = &rest[bytes..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

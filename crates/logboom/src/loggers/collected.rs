//! A sink of this crate: lines in the current session file of a collector.
//!
//! The collector gives each line a seq of its own run; the runs that it came from are told by their names.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use logboom_record::{Entry, Gap, Kind, Level, Record, Run, RunEnd, RunId, Sink, SinkError};

use crate::{LogCollector, dispatch};

/// Logs what it takes to a collector, whatever the filters of that say: `job nightly-7 started`, records as
/// `[nightly-7] message` at their level and with their fields, `job nightly-7 passed`.
///
/// It refuses nothing; what the collector cannot write stands in its [`stats`](LogCollector::stats). It does not flush the
/// collector.
///
/// ```
/// # use logboom::{CollectorSink, Level, LogCollector, Logger};
/// # let dir = tempfile::tempdir()?;
/// let collector = LogCollector::builder(dir.path()).build()?;
/// let logger = Logger::new("scheduler", CollectorSink::new(collector.clone()))?;
/// logger.system(Level::Info, "ready", &[]);
/// logger.flush()?;
/// collector.flush()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CollectorSink {
    collector: LogCollector,
    names: Mutex<BTreeMap<RunId, Name>>,
}

#[derive(Clone, Debug)]
struct Name {
    kind: Kind,
    name: String,
}

impl CollectorSink {
    /// Logs there.
    pub fn new(collector: LogCollector) -> CollectorSink {
        CollectorSink { collector, names: Mutex::default() }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<RunId, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What people call the run; its id where nobody said.
    fn name(&self, run: RunId) -> String {
        self.names().get(&run).map_or_else(|| run.to_string(), |name| name.name.clone())
    }

    fn log_record(&self, record: &Record) {
        let message = format!("[{}] {}", self.name(record.run), String::from_utf8_lossy(&record.message));
        // The way of facades to a collector, which takes fields that are ready; bound, so that it is heard here in any case.
        let _bound = self.collector.bind_thread();
        dispatch::for_each(|inner| {
            if inner.id == self.collector.id() {
                inner.log_ready(record.level, &message, record.fields.as_deref().unwrap_or_default());
            }
        });
    }

    fn log_gap(&self, gap: &Gap) {
        let (name, from, to) = (self.name(gap.run), gap.from, gap.to.map(|to| to.to_string()).unwrap_or_default());
        self.collector.log_at(Level::Warn, format_args!("lost seq {from}-{to} of {name}: {}", gap.why));
    }
}

impl Sink for CollectorSink {
    fn start_run(&self, run: &Run) -> Result<(), SinkError> {
        let (kind, name) = (run.kind, run.name.clone());
        self.collector.log_at(Level::Info, format_args!("{} {name} started", kind.as_str()));
        self.names().insert(run.id, Name { kind, name });
        Ok(())
    }

    fn append(&self, batch: &[Entry]) -> Result<(), SinkError> {
        for entry in batch {
            match entry {
                Entry::Record(record) => self.log_record(record),
                Entry::Gap(gap) => self.log_gap(gap),
            }
        }
        Ok(())
    }

    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), SinkError> {
        let ended = self.names().remove(&id);
        let (kind, name) = ended.map_or_else(|| ("run", id.to_string()), |Name { kind, name }| (kind.as_str(), name));
        self.collector.log_at(Level::Info, format_args!("{kind} {name} {}", end.outcome.as_str()));
        Ok(())
    }
}

//! The log of one run of a job, and of its tasks.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Mutex, PoisonError},
};

use logboom_record::{Kind, Level, Outcome, RunId, Stream};

use super::{Fields, Logger, Sample, in_words, sample::Samples};

/// Logs for one run of a job. Closed by [`JobRunLogger::close`]; one that is dropped has passed, or failed if that is in a panic.
#[derive(Debug)]
pub struct JobRunLogger {
    logger: Logger,
    id: RunId,
    tasks: Mutex<BTreeMap<String, RunId>>,
    samples: Samples,
    closed: bool,
}

impl JobRunLogger {
    pub(super) fn new(logger: Logger, id: RunId) -> JobRunLogger {
        JobRunLogger { logger, id, tasks: Mutex::default(), samples: Samples::default(), closed: false }
    }

    /// The job's run.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Logs what concerns the job.
    pub fn log_job(&self, level: Level, message: impl Display, fields: Fields<'_>) {
        self.logger.run.outlet.record(self.id, level, Stream::System, in_words(message, fields));
    }

    /// Logs what a task printed or what concerns it. The first call for a task starts its run; `task_run` is the caller's own id
    /// for it, one for each run.
    pub fn log_task(&self, task_run: &str, level: Level, message: impl Display, stream: Stream, fields: Fields<'_>) {
        let (words, outlet) = (in_words(message, fields), &self.logger.run.outlet);
        if outlet.is_forked() {
            return outlet.record(self.id, level, stream, words);
        }
        // Under the lock, so that nothing comes after the task's end.
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let run = match tasks.get(task_run) {
            Some(run) => *run,
            None => {
                let run = outlet.run(Kind::Task, Some(self.id), task_run);
                tasks.insert(task_run.to_owned(), run);
                run
            }
        };
        outlet.record(run, level, stream, words);
    }

    /// Ends a task. What is logged for it later starts another run of that id.
    pub fn end_task(&self, task_run: &str, outcome: Outcome) {
        if self.logger.run.outlet.is_forked() {
            return;
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = tasks.remove(task_run) {
            self.logger.run.outlet.end_run(run, outcome);
        }
    }

    /// For events of high frequency: the first of every `one_in` of this key is logged, with how many were skipped.
    pub fn sample(&self, key: &str, one_in: u32) -> Sample<'_> {
        self.samples.take(&self.logger.run.outlet, self.id, (key, one_in))
    }

    /// Ends the job's run; its tasks that have not ended end like it.
    pub fn close(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let outlet = &self.logger.run.outlet;
        for run in std::mem::take(self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner)).into_values() {
            outlet.end_run(run, outcome);
        }
        self.samples.rest(outlet, self.id);
        outlet.end_run(self.id, outcome);
    }
}

impl Drop for JobRunLogger {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { Outcome::Failed } else { Outcome::Passed });
    }
}

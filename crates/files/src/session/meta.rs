//! `session.json`: its types, and how a rewrite keeps what it does not know.

mod flat;

use std::{io::Read, iter::Sum, path::Path};

use logboom_boom::reader::open_regular;
use logboom_record::{Gap, Kind, Outcome, Run, RunEnd, RunId, SessionId, TestResult, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NewSession, started};
use crate::FilesError;

/// The version of `session.json` that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 1;

/// Most metadata have fewer bytes than this.
const SMALL_BYTES: usize = 4 << 10;

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The version of the format: 1.
    pub format: u32,
    /// The session's id.
    pub id: SessionId,
    /// The root run.
    pub run: Run,
    /// Whether somebody may still add runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// The child runs in order of their start.
    #[serde(default)]
    pub runs: Vec<RunMeta>,
    /// How much disk its files took when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The version of logboom that wrote it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logboom: Option<String>,
}

/// What is known of a child run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "flat::RunMembers")]
pub struct RunMeta {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The command, word by word; see [`command_words`](super::command_words).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The directory it was started in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The file name of its text log, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The file name of its boom file, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boom: Option<String>,
    /// What it printed, once it ended.
    #[serde(flatten)]
    pub counts: Option<Counts>,
    /// Of a service: the containers that it was, in order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerMeta>,
    /// What test tools told of their tests, in the order in which they did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestResult>,
    /// How many secrets were masked in what it printed.
    #[serde(skip_serializing_if = "is_zero")]
    pub masked: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What was found in what a run printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    /// What test tools told of their tests.
    pub tests: &'a [TestResult],
    /// How many secrets were masked.
    pub masked: u64,
}

/// What is known of one container of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerMeta {
    /// The engine's id of it, 64 hex digits.
    pub id: String,
    /// Its name, without the slash in front.
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    /// When it was started, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended, the last time; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The engine's word for how it stands: `created`, `running`, `exited`, `removed`, …
    #[serde(default)]
    pub status: String,
    /// How its main process exited, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether the system killed it for want of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u32,
    /// What its health check says, where it has one: `starting`, `healthy`, `unhealthy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

/// What a run printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many records.
    pub records: u64,
    /// How many lines.
    pub lines: u64,
    /// How many of the lines are errors.
    pub errors: u64,
    /// How many of the lines are warnings.
    pub warnings: u64,
    /// How many records are lost.
    pub lost: u64,
}

impl RunMeta {
    /// A run of a session that starts, without anything else known.
    pub fn new(run: Run) -> RunMeta {
        RunMeta {
            run,
            command: Vec::new(),
            cwd: None,
            text: None,
            boom: None,
            counts: None,
            containers: Vec::new(),
            tests: Vec::new(),
            masked: 0,
        }
    }

    /// Its text log, where it has no boom file.
    pub(super) fn text_alone(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| self.boom.is_none())
    }

    /// What is missing at the end of the run's text log, which goes as far as before `next_seq`, at `time`: what a killed
    /// writer took with it, or what a full disk had no room for.
    pub fn missing_from(&self, next_seq: u64, time: Time, outcome: Outcome) -> Option<Gap> {
        let gap = |to, why: &str| Gap { run: self.run.id, from: next_seq, to, time, why: why.to_owned() };
        match (outcome, self.counts) {
            (Outcome::Running, _) => None,
            (Outcome::Lost, _) if self.run.end.is_none() => Some(gap(None, "writer was killed")),
            (_, Some(counts)) => {
                let last = counts.records.saturating_add(counts.lost);
                (last >= next_seq).then(|| gap(Some(last), "not in its files"))
            }
            _ => None,
        }
    }

    /// The open gap of a killed writer, as it stands where the run has an end: recovery or the writer has noted what there was.
    pub fn close_gap(&self, open: &Gap) -> Option<Gap> {
        match &self.run.end {
            Some(end) => self.missing_from(open.from, open.time, end.outcome),
            None => Some(open.clone()),
        }
    }
}

impl Meta {
    pub(super) fn new(id: SessionId, run: RunId, new: NewSession) -> Meta {
        let run = Run { labels: new.labels, ..started(run, Kind::Session, new.name, new.now) };
        Meta { open: new.open, user: new.user, ..Meta::of_root(id, &run) }
    }

    /// Of a session that is open.
    pub(crate) fn of_root(id: SessionId, root: &Run) -> Meta {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Meta {
            format: FORMAT,
            id,
            run: root.clone(),
            open: true,
            runs: vec![],
            bytes: None,
            host: Some(host),
            user: None,
            logboom: Some(env!("CARGO_PKG_VERSION").to_owned()),
        }
    }

    /// Reads a file.
    pub(super) fn read(path: &Path, id: Option<&SessionId>) -> Result<Meta, FilesError> {
        // Usually small, and a listing reads thousands: one read(2), and no memory of a size that malloc is slow at.
        let (mut small, mut large) = ([0; SMALL_BYTES], Vec::new());
        let mut file = open_regular(path).map_err(FilesError::at("read", path))?;
        let count = file.read(&mut small).map_err(FilesError::at("read", path))?;
        if count < SMALL_BYTES {
            return Meta::parse(&small[..count], path, id);
        }
        large.extend_from_slice(&small);
        file.read_to_end(&mut large).map_err(FilesError::at("read", path))?;
        Meta::parse(&large, path, id)
    }

    /// Understands the bytes of a file; `path` and `id` are what it should be.
    pub(super) fn parse(bytes: &[u8], path: &Path, id: Option<&SessionId>) -> Result<Meta, FilesError> {
        let damaged = |line, column, why| FilesError::MetaDamaged { path: path.to_owned(), line, column, why };
        let meta: Meta = serde_json::from_slice(bytes)
            .map_err(|error| damaged(error.line(), error.column(), without_place(&error)))?;
        if meta.format > FORMAT {
            return Err(damaged(1, 1, format!("format {} is newer than this logboom ({FORMAT})", meta.format)));
        }
        if meta.id.as_str().parse::<SessionId>().is_err() || id.is_some_and(|id| *id != meta.id) {
            return Err(damaged(1, 1, format!("it is that of session {:?}", meta.id.as_str())));
        }
        Ok(meta)
    }

    /// The file's bytes: indented, since people read it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        to_pretty(self)
    }

    /// The file's bytes, with what `old` (which was understood as `before`) had beyond this version's knowledge.
    pub(super) fn to_bytes_over(&self, before: &Meta, old: &[u8]) -> Vec<u8> {
        let (Ok(old), Ok(known), Ok(mut new)) =
            (serde_json::from_slice(old), serde_json::to_value(before), serde_json::to_value(self))
        else {
            return self.to_bytes();
        };
        match graft(&old, &known, &mut new) {
            false => self.to_bytes(), // the order of members as declared, which a `Value` forgets
            true => to_pretty(&new),
        }
    }

    /// Refuses a change of a session that has ended.
    pub(super) fn refuse_ended(&self) -> Result<(), FilesError> {
        refuse_ended(format!("session {}", self.id), &self.run)
    }

    /// Sets the end of a run.
    pub(super) fn end_run(&mut self, id: RunId, end: &RunEnd, counts: Counts) -> Result<(), FilesError> {
        let Some(run) = self.runs.iter_mut().find(|run| run.run.id == id) else {
            return Err(FilesError::NoSuchRun { session: self.id.clone(), run: id });
        };
        refuse_ended(format!("run {id}"), &run.run)?;
        run.run.end = Some(end.clone());
        run.counts = Some(counts);
        Ok(())
    }

    /// Whether its runs are services: no end of one is the end of the session.
    pub(super) fn is_of_services(&self) -> bool {
        self.runs.first().is_some_and(|first| first.run.kind == Kind::Service)
    }

    /// How a session that nobody kept open ended: as its first run did, at the end of its last; failed if one of its services did. The
    /// session files of a collector are one after the other: the session is lost with any of them.
    pub(super) fn end_of_first_run(&self, now: Time) -> Option<RunEnd> {
        let mut first = &self.runs.first()?.run;
        if first.kind == Kind::Collector {
            let is_lost = |run: &&Run| (run.kind, run.outcome()) == (Kind::Collector, Outcome::Lost);
            first = self.runs.iter().map(|run| &run.run).find(is_lost).unwrap_or(first);
        }
        let ended_at = self.runs.iter().filter_map(|run| run.run.end.as_ref()).map(|end| end.ended_at).max();
        let unlike = |outcome| RunEnd { ended_at: now, outcome, exit_code: None, signal: None };
        let end = match &first.end {
            _ if self.is_of_services() => unlike(self.worst_outcome()),
            Some(end) => end.clone(),
            None => unlike(Outcome::Lost),
        };
        Some(RunEnd { ended_at: ended_at.unwrap_or(now), ..end })
    }

    /// How a session ended whose end nobody gave: failed if a run did.
    pub fn worst_outcome(&self) -> Outcome {
        let bad = self.runs.iter().any(|run| run.run.outcome().is_bad());
        if bad { Outcome::Failed } else { Outcome::Passed }
    }

    /// The counts of all runs together.
    pub fn counts(&self) -> Counts {
        self.runs.iter().filter_map(|run| run.counts).sum()
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(all: I) -> Counts {
        all.fold(Counts::default(), |sum, one| Counts {
            records: sum.records + one.records,
            lines: sum.lines + one.lines,
            errors: sum.errors + one.errors,
            warnings: sum.warnings + one.warnings,
            lost: sum.lost + one.lost,
        })
    }
}

fn refuse_ended(what: String, run: &Run) -> Result<(), FilesError> {
    match &run.end {
        None => Ok(()),
        Some(end) => Err(FilesError::AlreadyEnded { what, outcome: end.outcome, at: end.ended_at }),
    }
}

fn to_pretty(value: &impl Serialize) -> Vec<u8> {
    // These types have string keys only and no fallible serializer of their own, so this cannot fail.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// serde_json ends its messages with the place, which stands in front of ours.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// Adds to `new` what `old` has and `known` (the part of `old` that was understood) has not. Elements of a list belong
/// together by their `id`. Tells whether there was anything to add.
fn graft(old: &Value, known: &Value, new: &mut Value) -> bool {
    match (old, known, new) {
        (Value::Object(old), Value::Object(known), Value::Object(new)) => {
            let mut grafted = false;
            for (key, value) in old {
                match (known.get(key), new.get_mut(key)) {
                    (Some(known), Some(new)) => grafted |= graft(value, known, new),
                    (None, None) if !value.is_null() => {
                        new.insert(key.clone(), value.clone());
                        grafted = true;
                    }
                    _ => {}
                }
            }
            grafted
        }
        (Value::Array(old), Value::Array(known), Value::Array(new)) => {
            let mut grafted = false;
            for (old, known) in old.iter().zip(known).filter(|(old, _)| old.get("id").is_some()) {
                if let Some(new) = new.iter_mut().find(|new| new.get("id") == known.get("id")) {
                    grafted |= graft(old, known, new);
                }
            }
            grafted
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_kept_and_what_was_removed_is_not() {
        let old = serde_json::json!({"a": 1, "gone": 2, "new": {"x": [1]}, "runs": [{"id": 1, "b": 2, "odd": true}]});
        let known = serde_json::json!({"a": 1, "gone": 2, "runs": [{"id": 1, "b": 2}]});
        let mut new = serde_json::json!({"a": 7, "runs": [{"id": 0}, {"id": 1, "b": 3}]});
        assert!(graft(&old, &known, &mut new));
        let want = serde_json::json!({"a": 7, "new": {"x": [1]}, "runs": [{"id": 0}, {"id": 1, "b": 3, "odd": true}]});
        assert_eq!(new, want);
    }

    #[test]
    fn nothing_unknown_is_nothing_to_graft() {
        let old = serde_json::json!({"a": 1, "labels": {"k": "v"}});
        assert!(!graft(&old, &old, &mut serde_json::json!({"a": 2})));
    }
}

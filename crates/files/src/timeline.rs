//! `timeline.jsonl`: what happened in a session, one event a line.
//!
//! Several processes append at once, each its events by one write(2). A crash may tear the last line: the next writer ends it
//! with a newline, and readers skip it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use logboom_record::{Level, Outcome, RunId, Stream, TestResult, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::FilesError;

/// The file's name in the session's directory.
pub const TIMELINE: &str = "timeline.jsonl";

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub time: Time,
    /// To which run.
    pub run: RunId,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A run began.
    Start {
        /// Its name.
        name: String,
    },
    /// Its command was started.
    Exec {
        /// The command, word by word.
        command: Vec<String>,
        /// Its process.
        pid: u32,
    },
    /// A run ended.
    End {
        /// How.
        outcome: Outcome,
        /// Its exit code, where it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// The signal that ended it, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// How many lines it printed.
        lines: u64,
        /// How many of them were errors.
        errors: u64,
        /// How many records are lost.
        lost: u64,
    },
    /// Records were lost.
    Gap {
        /// The first.
        from: u64,
        /// The last, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
        /// Why.
        why: String,
    },
    /// A run's time was up.
    Timeout {
        /// After so many seconds.
        after_s: f64,
    },
    /// A signal was passed on to the command.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// A descendant kept an output open for too long after the command's end.
    DrainCut {
        /// Which.
        stream: Stream,
    },
    /// A collector began to take the log calls of a program.
    Registered {
        /// Its number in the process, from 1.
        collector: u64,
        /// The process.
        pid: u32,
    },
    /// What is logged goes to another session file from now on.
    SessionSwitched {
        /// Which one it is in its collector, from 1.
        generation: u32,
        /// Its name.
        file: String,
    },
    /// Everything logged so far was fsync'ed because the program asked for it.
    Flushed {
        /// How many records the current session file had.
        records: u64,
    },
    /// The collector ended.
    Unregistered {
        /// Its number in the process.
        collector: u64,
    },
    /// A container of a service was made.
    Created {
        /// Its id, the first twelve digits.
        container: String,
        /// Its image.
        image: String,
        /// The container that the service was before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    /// A container was started for the first time.
    Started {
        /// Its id, the first twelve digits.
        container: String,
    },
    /// A container was started that had been started before.
    Restarted {
        /// Its id, the first twelve digits.
        container: String,
        /// How often the engine has done so by the container's restart policy.
        #[serde(default)]
        restarts: u32,
    },
    /// A container's health check says something else than before.
    Health {
        /// Its id, the first twelve digits.
        container: String,
        /// `healthy`, `unhealthy` or `starting`.
        status: String,
    },
    /// The system killed a process of a container for want of memory.
    Oom {
        /// The container's id, the first twelve digits.
        container: String,
    },
    /// A container's main process ended.
    Died {
        /// The container's id, the first twelve digits.
        container: String,
        /// Its exit code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
    },
    /// A container was removed.
    Removed {
        /// Its id, the first twelve digits.
        container: String,
    },
    /// A step of building an image began.
    BuildStep {
        /// As the builder says it.
        step: String,
    },
    /// A service printed an error. Of those that follow each other within a second only the first is an event.
    ErrorLine {
        /// The record.
        seq: u64,
        /// The beginning of what it says, at most 200 characters.
        message: String,
        /// How many error lines there were since the event before that are no events.
        #[serde(default, skip_serializing_if = "is_zero")]
        passed_over: u64,
    },
    /// A test tool told how a test ended.
    Test(TestResult),
    /// A group of lines begins, as the command's markup says.
    Group {
        /// Its title.
        name: String,
        /// The record.
        seq: u64,
    },
    /// The innermost group ends.
    GroupEnd {
        /// The record.
        seq: u64,
    },
    /// The command's markup says that something is to be noticed.
    Annotation {
        /// How bad it is.
        level: Level,
        /// What it says.
        message: String,
        /// The file that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// The line in that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        /// The record.
        seq: u64,
    },
    /// The engine could not be reached any more.
    EngineLost {
        /// Why.
        why: String,
    },
    /// The engine could be reached again.
    EngineBack {},
    /// An event of a newer logboom: its name and members.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a timeline holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Its events in the order in which they were written.
    pub events: Vec<Event>,
    /// How many lines are torn or otherwise no events.
    pub skipped: usize,
}

/// Appends events to the timeline of the session in `dir`, by one write(2).
///
/// # Errors
/// [`FilesError::DiskFull`] and others of the system; lines that could be written in part only are skipped by readers.
pub fn append(dir: &Path, events: &[Event]) -> Result<(), FilesError> {
    let path = path(dir);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let mut lines = if ends_torn(&file)? { b"\n".to_vec() } else { Vec::new() };
        for event in events {
            lines.extend_from_slice(&to_line(event)?);
        }
        file.write_all(&lines)
    };
    write().map_err(FilesError::at("append to", &path))
}

/// Reads the timeline of the session in `dir`; one that is not there is empty.
///
/// # Errors
/// Those of the system, naming the file.
pub fn read(dir: &Path) -> Result<Timeline, FilesError> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Timeline::default()),
        other => other.map_err(FilesError::at("read", &path))?,
    };
    let mut timeline = Timeline::default();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match from_line(line) {
            Some(event) => timeline.events.push(event),
            None => timeline.skipped += 1,
        }
    }
    Ok(timeline)
}

fn path(dir: &Path) -> PathBuf {
    dir.join(TIMELINE)
}

fn ends_torn(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    Ok(file.read_at(&mut byte, last)? == 1 && byte != *b"\n")
}

/// `time`, `event` and `run` first, for whoever reads it without a tool.
fn to_line(event: &Event) -> io::Result<Vec<u8>> {
    let Value::Object(mut members) = serde_json::to_value(&event.what)? else { return Ok(Vec::new()) };
    let name = members.remove("event").unwrap_or_default();
    let mut line = format!(r#"{{"time":"{}","event":{name},"run":"{}""#, event.time, event.run);
    for (key, value) in members {
        line += &format!(",{}:{value}", Value::String(key));
    }
    line += "}\n";
    Ok(line.into_bytes())
}

fn from_line(line: &[u8]) -> Option<Event> {
    let mut members: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let time = serde_json::from_value(members.remove("time")?).ok()?;
    let run = serde_json::from_value(members.remove("run")?).ok()?;
    members.get("event").filter(|name| name.is_string())?;
    let what = serde_json::from_value(Value::Object(members)).ok()?;
    Some(Event { time, run, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: What) -> Event {
        Event { time: Time::from_micros(1), run: RunId::from_bytes([7; 16]), what }
    }

    #[test]
    fn a_line_says_when_what_and_whose_first() {
        let end =
            What::End { outcome: Outcome::Failed, exit_code: Some(3), signal: None, lines: 9, errors: 1, lost: 0 };
        let line = String::from_utf8(to_line(&event(end)).unwrap()).unwrap();
        assert_eq!(
            line,
            "{\"time\":\"1970-01-01T00:00:00.000001Z\",\"event\":\"end\",\"run\":\"07070707-0707-0707-0707-070707070707\",\
             \"errors\":1,\"exit_code\":3,\"lines\":9,\"lost\":0,\"outcome\":\"failed\"}\n"
        );
    }

    #[test]
    fn every_event_comes_back() {
        let other = serde_json::json!({"event": "comet", "tail": 3});
        let events = [
            What::Start { name: "a\n\u{fffd}\"".into() },
            What::Exec { command: vec!["ls".into(), String::new()], pid: 1 },
            What::End { outcome: Outcome::Lost, exit_code: None, signal: Some(9), lines: 0, errors: 0, lost: 1 },
            What::Gap { from: 1, to: None, why: "killed".into() },
            What::Timeout { after_s: 0.5 },
            What::Signal { signal: 15 },
            What::DrainCut { stream: Stream::Stderr },
            What::Created { container: "0123".into(), image: "web:1".into(), replaces: None },
            What::Restarted { container: "0123".into(), restarts: 2 },
            What::Died { container: "0123".into(), exit_code: Some(137) },
            What::EngineBack {},
            What::Other(other.as_object().unwrap().clone()),
        ];
        let dir = tempfile::tempdir().unwrap();
        let events = events.map(event);
        append(dir.path(), &events[..3]).unwrap();
        append(dir.path(), &events[3..]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Timeline { events: events.into(), skipped: 0 });
    }

    #[test]
    fn a_torn_line_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let start = |name: &str| event(What::Start { name: name.into() });
        append(dir.path(), &[start("first")]).unwrap();
        let whole = fs::read(path(dir.path())).unwrap();
        for cut in 1..whole.len() {
            fs::write(path(dir.path()), &whole[..cut]).unwrap();
            append(dir.path(), &[start("second")]).unwrap();
            let timeline = read(dir.path()).unwrap();
            assert_eq!(timeline.events.last(), Some(&start("second")), "cut at {cut}");
            assert_eq!(timeline.skipped + timeline.events.len(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn no_timeline_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), Timeline::default());
    }
}

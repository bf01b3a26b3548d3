//! A run, its identity, and how it ended.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Time;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID.
    #[error("{0:?} is not a run id (a UUID such as 0196f0c4-7c1e-7aaa-8bbb-0123456789ab)")]
    Run(String),
    /// Not the name of a session directory.
    #[error("{0:?} is not a session id (YYYY-MM-DD_HH-MM-SS_xxxxxxxx)")]
    Session(String),
}

/// The identity of a run: a UUIDv7, so that ids sort by start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A new id whose first 48 bits are `now` in milliseconds; the rest is random.
    pub fn new(now: Time) -> RunId {
        let ms = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
        let random = Uuid::new_v4();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random.as_bytes()[6..]);
        RunId(uuid::Builder::from_unix_timestamp_millis(ms, &tail).into_uuid())
    }

    /// The sixteen bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> RunId {
        RunId(Uuid::from_bytes(bytes))
    }

    /// The *last* eight hex digits: the first eight are time, and so alike between neighbours.
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[text.len() - 8..].to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<RunId, IdError> {
        Uuid::try_parse(text).map(RunId).map_err(|_| IdError::Run(text.to_owned()))
    }
}

/// The name of a session's directory: `YYYY-MM-DD_HH-MM-SS_<uuid8>`, UTC; sorts by start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// The id of the session whose root run is `run` and started at `started_at`.
    pub fn new(started_at: Time, run: RunId) -> SessionId {
        let text = started_at.to_string();
        SessionId(format!("{}_{}_{}", &text[..10], text[11..19].replace(':', "-"), run.short()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its eight hex digits, by which people name it.
    pub fn short(&self) -> &str {
        &self.0[20..]
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SessionId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<SessionId, IdError> {
        let shape = b"0000-00-00_00-00-00_xxxxxxxx";
        let fits = |(byte, want): (u8, &u8)| match want {
            b'0' => byte.is_ascii_digit(),
            b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            _ => byte == *want,
        };
        match text.len() == shape.len() && text.bytes().zip(shape).all(fits) {
            true => Ok(SessionId(text.to_owned())),
            false => Err(IdError::Session(text.to_owned())),
        }
    }
}

/// What kind of thing a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// A root run with a directory of its own.
    Session = 0,
    /// A scheduled job.
    Job = 1,
    /// A task of a job.
    Task = 2,
    /// A command that was started and captured.
    Command = 3,
    /// A container or compose service.
    Service = 4,
    /// A supervised plugin.
    Plugin = 5,
    /// A program's own log calls.
    Collector = 6,
    /// A server's own log.
    System = 7,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Kind; 8] = [
        Kind::Session,
        Kind::Job,
        Kind::Task,
        Kind::Command,
        Kind::Service,
        Kind::Plugin,
        Kind::Collector,
        Kind::System,
    ];

    /// The kind with this number, if there is one.
    pub fn from_u8(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number)).copied()
    }

    /// The kind as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        ["session", "job", "task", "command", "service", "plugin", "collector", "system"][self as usize]
    }
}

/// How a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not ended.
    #[default]
    Running,
    /// It ended well.
    Passed,
    /// It ended with an exit code other than 0, or of a signal.
    Failed,
    /// It was ended because its time was up.
    TimedOut,
    /// A person or another program ended it.
    Interrupted,
    /// Its writer died without saying so.
    Lost,
}

impl Outcome {
    /// The outcome as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Interrupted => "interrupted",
            Outcome::Lost => "lost",
        }
    }

    /// Whether the run ended, and not well.
    pub const fn is_bad(self) -> bool {
        !matches!(self, Outcome::Running | Outcome::Passed)
    }
}

/// How and when a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When.
    pub ended_at: Time,
    /// How.
    pub outcome: Outcome,
    /// The exit code, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The number of the signal that ended it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

/// What is captured: something that starts, prints and ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// The run it belongs to; `None` for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// What kind of thing it is.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// Whose it is, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Further facts, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it started.
    pub started_at: Time,
    /// How it ended; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
    /// A foreign system's own id for it, unique per kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl Run {
    /// How the run stands: [`Outcome::Running`] until it has an end.
    pub fn outcome(&self) -> Outcome {
        self.end.as_ref().map_or(Outcome::Running, |end| end.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RunId {
        "0196f0c4-7c1e-7aaa-8bbb-01238c1f03ab".parse().unwrap()
    }

    #[test]
    fn short_id_is_the_last_eight_digits() {
        assert_eq!(id().short(), "8c1f03ab");
    }

    #[test]
    fn ids_sort_by_start() {
        let (a, b) = (Time::from_micros(1_000_000_000_000_000), Time::from_micros(1_000_000_000_001_000));
        assert!(RunId::new(a) < RunId::new(b));
    }

    #[test]
    fn session_id_is_start_and_short_id() {
        let at: Time = "2026-01-02T03:04:05.123456Z".parse().unwrap();
        let session = SessionId::new(at, id());
        assert_eq!(session.as_str(), "2026-01-02_03-04-05_8c1f03ab");
        assert_eq!(session.short(), "8c1f03ab");
        assert_eq!(session.as_str().parse(), Ok(session));
    }

    #[test]
    fn foreign_directory_names_are_no_session_ids() {
        for name in ["", "2026-01-02_03-04-05_8C1F03AB", "2026-01-02_03-04-05_8c1f03a", "../../2026-01-02_03-04-05_8c"]
        {
            assert!(name.parse::<SessionId>().is_err(), "{name}");
        }
    }
}

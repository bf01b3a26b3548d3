//! What happens to containers, as the engine tells it: JSON objects, one a line.

use std::{collections::BTreeMap, mem};

use serde::Deserialize;

use super::{
    EngineError, Health,
    container::{or_default, to_i32},
    error::About,
    http::Answer,
};

/// The longest line of an event; no engine writes one of a tenth of it.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds since 1970 UTC, by the engine's clock.
    pub time_ns: i64,
    /// What.
    pub action: Action,
    /// The container's whole id.
    pub id: String,
    /// The container's labels, its `name` and `image`, and what belongs to the action.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// The container's name; empty if the engine does not say.
    pub fn name(&self) -> &str {
        self.attributes.get("name").map_or("", String::as_str)
    }

    /// The container's image; empty if the engine does not say.
    pub fn image(&self) -> &str {
        self.attributes.get("image").map_or("", String::as_str)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was created.
    Created,
    /// It was started: for the first time, or again.
    Started,
    /// Its process ended.
    Died {
        /// How, if the engine says.
        exit_code: Option<i32>,
    },
    /// A process in it ran out of memory.
    Oom,
    /// It was stopped and started again by someone; `Died` and `Started` come before.
    Restarted,
    /// It has another name.
    Renamed,
    /// It is gone.
    Removed,
    /// Its health check says something new.
    Health(Health),
    /// Anything else, in the engine's words: `attach`, `exec_create: sh`, `kill`, `pause`, `top`, ..
    Other(String),
}

fn action_of(action: String, attributes: &BTreeMap<String, String>) -> Action {
    match action.as_str() {
        "create" => Action::Created,
        "start" => Action::Started,
        "die" | "died" => Action::Died { exit_code: exit_code(attributes) },
        "oom" => Action::Oom,
        "restart" => Action::Restarted,
        "rename" => Action::Renamed,
        "destroy" | "remove" => Action::Removed,
        word => match word.strip_prefix("health_status: ").and_then(Health::of) {
            Some(health) => Action::Health(health),
            None => Action::Other(action),
        },
    }
}

/// podman calls it otherwise.
fn exit_code(attributes: &BTreeMap<String, String>) -> Option<i32> {
    attributes.get("exitCode").or_else(|| attributes.get("containerExitCode"))?.parse::<i64>().ok().map(to_i32)
}

/// The events of an engine, as they come.
pub struct Events {
    answer: Answer,
    lines: Lines,
    about: About,
}

impl Events {
    pub(super) fn of(answer: Answer, about: About) -> Events {
        Events { answer, lines: Lines::default(), about }
    }

    /// What happened next to a container; `None` when the engine has ended the stream, which without an end in the
    /// request means that it is going away. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`EngineError::Lost`] if the connection breaks, [`EngineError::Unreadable`] if what comes is no event, or one
    /// over [`EVENT_BYTES_MAX`].
    pub async fn next(&mut self) -> Result<Option<Event>, EngineError> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(event) = event_of(&line).map_err(|error| self.about.clone().unreadable(error))? {
                    return Ok(Some(event));
                }
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// What the end of a stream without an end is.
    pub(crate) fn ended(&self) -> EngineError {
        self.about.clone().ended_within("what happens to containers")
    }

    /// Reads more; says whether there was any.
    async fn read(&mut self) -> Result<bool, EngineError> {
        let read = self.answer.chunk().await.map_err(|error| self.about.clone().broken(error))?;
        match &read {
            Some(chunk) => self.lines.push(chunk).map_err(|why| self.about.clone().unreadable(why))?,
            None if self.lines.is_within_one() => return Err(self.about.clone().ended_within("an event")),
            None => {}
        }
        Ok(read.is_some())
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("of", &self.about.host).finish_non_exhaustive()
    }
}

/// Reads a line; `None` if it is empty, or of something other than a container.
fn event_of(line: &[u8]) -> serde_json::Result<Option<Event>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let wire: WireEvent = serde_json::from_slice(line)?;
    if wire.kind != "container" {
        return Ok(None);
    }
    let WireActor { id, attributes } = wire.actor;
    let time_ns = if wire.time_ns == 0 { wire.time_s.saturating_mul(1_000_000_000) } else { wire.time_ns };
    Ok(Some(Event { time_ns, action: action_of(wire.action, &attributes), id, attributes }))
}

#[derive(Deserialize)]
struct WireEvent {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor", default, deserialize_with = "or_default")]
    actor: WireActor,
    #[serde(rename = "timeNano", default)]
    time_ns: i64,
    #[serde(rename = "time", default)]
    time_s: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireActor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", deserialize_with = "or_default")]
    attributes: BTreeMap<String, String>,
}

/// Lines out of chunks. What is unfinished is kept, up to [`EVENT_BYTES_MAX`].
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Up to where there is no newline.
    seen: usize,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) -> Result<(), &'static str> {
        self.bytes.extend_from_slice(chunk);
        let has_line = memchr::memchr(b'\n', &self.bytes[self.seen..]).is_some();
        if !has_line && self.bytes.len() > EVENT_BYTES_MAX {
            return Err("an event of more than 1 MiB");
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        match memchr::memchr(b'\n', &self.bytes[self.seen..]) {
            Some(end) => {
                let rest = self.bytes.split_off(self.seen + end + 1);
                self.seen = 0;
                Some(mem::replace(&mut self.bytes, rest))
            }
            None => {
                self.seen = self.bytes.len();
                None
            }
        }
    }

    fn is_within_one(&self) -> bool {
        !self.bytes.trim_ascii().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Option<Event> {
        event_of(json.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_is_read_with_its_attributes() {
        let event = read(
            r#"{"status":"die","id":"ab","from":"i","Type":"container","Action":"die","Actor":{"ID":"ab","Attributes":
               {"exitCode":"3","image":"i","name":"web","key":"value"}},"scope":"local","time":1,"timeNano":1000000007}"#,
        )
        .unwrap();
        assert_eq!((event.time_ns, event.id.as_str()), (1_000_000_007, "ab"));
        assert_eq!((event.name(), event.image(), event.attributes["key"].as_str()), ("web", "i", "value"));
        assert_eq!(event.action, Action::Died { exit_code: Some(3) });
    }

    #[test]
    fn every_action_has_its_word() {
        for (word, want) in [
            ("create", Action::Created),
            ("start", Action::Started),
            ("died", Action::Died { exit_code: None }),
            ("oom", Action::Oom),
            ("restart", Action::Restarted),
            ("rename", Action::Renamed),
            ("destroy", Action::Removed),
            ("remove", Action::Removed),
            ("health_status: healthy", Action::Health(Health::Healthy)),
            ("health_status: unhealthy", Action::Health(Health::Unhealthy)),
            ("health_status: odd", Action::Other("health_status: odd".into())),
            ("exec_create: sh -c true", Action::Other("exec_create: sh -c true".into())),
        ] {
            assert_eq!(read(&format!(r#"{{"Type":"container","Action":"{word}"}}"#)).unwrap().action, want);
        }
    }

    #[test]
    fn events_of_other_things_are_passed_over() {
        assert_eq!(read(r#"{"Type":"network","Action":"connect","Actor":{"ID":"n","Attributes":null}}"#), None);
        assert_eq!(read(" \n"), None);
        assert!(event_of(b"{}").is_err());
        assert!(event_of(b"{\"Type\":\"container\"").is_err());
    }

    #[test]
    fn podmans_names_and_whole_seconds_are_read() {
        let event = read(
            r#"{"Type":"container","Action":"died","time":5,"Actor":{"ID":"ab","Attributes":{"containerExitCode":"1"}}}"#,
        );
        let event = event.unwrap();
        assert_eq!((event.time_ns, event.action), (5_000_000_000, Action::Died { exit_code: Some(1) }));
    }

    proptest! {
        #[test]
        fn lines_come_out_wherever_the_chunks_end(
            text in "[ab\n]{0,60}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let (mut lines, mut got) = (Lines::default(), Vec::new());
            for ends in at.windows(2) {
                lines.push(&text.as_bytes()[ends[0]..ends[1]]).unwrap();
                got.extend(std::iter::from_fn(|| lines.next()));
            }
            let parts = text.as_bytes().split_inclusive(|&byte| byte == b'\n');
            let want: Vec<&[u8]> = parts.filter(|line| line.ends_with(b"\n")).collect();
            prop_assert_eq!(got, want);
            let rest = text.rsplit('\n').next().unwrap();
            prop_assert_eq!(lines.is_within_one(), !rest.is_empty());
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_forever() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; EVENT_BYTES_MAX]).unwrap();
        assert_eq!(lines.next(), None);
        assert!(lines.push(b"x").is_err());
    }
}

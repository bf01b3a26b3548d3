//! An entry of a component's log, and its line.

use logboom_record::{Level, Time};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};

/// The members that every line has.
const OWN_KEYS: [&str; 6] = ["timestamp", "level", "message", "plugin", "error", "pid"];

/// One thing that a component said.
///
/// ```
/// # use logboom_files::component::{LogEntry, LogLevel};
/// # use logboom_record::Time;
/// let entry = LogEntry::builder(LogLevel::Warn, "slow").plugin("a").timestamp(Time::from_micros(0)).field("ms", 950).build();
/// let line = r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"warn","message":"slow","plugin":"a","error":null,"pid":null,"ms":950}"#;
/// assert_eq!(serde_json::to_string(&entry)?, line);
/// assert_eq!(serde_json::from_str::<LogEntry>(line)?, entry);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// When it was said.
    pub timestamp: Time,
    /// How serious it is.
    #[serde(deserialize_with = "any_case")]
    pub level: Level,
    /// What was said.
    pub message: String,
    /// Whom it is about; empty for the plugin in whose log it is.
    #[serde(default)]
    pub plugin: String,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
    /// The process it is about.
    #[serde(default)]
    pub pid: Option<u32>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl LogEntry {
    /// An entry of now about the plugin in whose log it will be; the builder says more.
    pub fn builder(level: Level, message: impl Into<String>) -> LogEntryBuilder {
        LogEntryBuilder {
            timestamp: None,
            level,
            message: message.into(),
            plugin: String::new(),
            error: None,
            pid: None,
            fields: Map::new(),
        }
    }

    /// The further fields, by name.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The entry; about this plugin, if it names none.
    pub(super) fn about(mut self, plugin: &str) -> LogEntry {
        if self.plugin.is_empty() {
            plugin.clone_into(&mut self.plugin);
        }
        self
    }

    /// Its line, LF included.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(160 + self.message.len());
        // Memory takes every byte, and all keys are text: so it cannot fail.
        let _ = serde_json::to_writer(&mut line, self);
        line.push(b'\n');
        line
    }
}

/// Builds a [`LogEntry`].
#[derive(Clone, Debug)]
#[must_use]
pub struct LogEntryBuilder {
    timestamp: Option<Time>,
    level: Level,
    message: String,
    plugin: String,
    error: Option<String>,
    pid: Option<u32>,
    fields: Map<String, Value>,
}

impl LogEntryBuilder {
    /// When; else the time of [`LogEntryBuilder::build`].
    pub fn timestamp(self, timestamp: Time) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// Whom it is about.
    pub fn plugin(self, plugin: impl Into<String>) -> Self {
        Self { plugin: plugin.into(), ..self }
    }

    /// What went wrong.
    pub fn error(self, error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..self }
    }

    /// The process it is about.
    pub fn pid(self, pid: u32) -> Self {
        Self { pid: Some(pid), ..self }
    }

    /// A further field; the last of a name counts. A name that every entry has already (`level`) gets `_` behind it.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let mut name = name.into();
        if OWN_KEYS.contains(&name.as_str()) {
            name.push('_');
        }
        self.fields.insert(name, value.into());
        self
    }

    /// The entry.
    pub fn build(self) -> LogEntry {
        LogEntry {
            timestamp: self.timestamp.unwrap_or_else(Time::now),
            level: self.level,
            message: self.message,
            plugin: self.plugin,
            error: self.error,
            pid: self.pid,
            fields: self.fields,
        }
    }
}

fn any_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
    name.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_any_case_and_unknown_members_are_kept() {
        let line = r#"{"message":"m","level":"Info","timestamp":"2026-01-02T03:04:05Z","hosts":["a"],"error":"e"}"#;
        let entry: LogEntry = serde_json::from_str(line).unwrap();
        assert_eq!((entry.level, entry.plugin.as_str(), entry.pid), (Level::Info, "", None));
        assert_eq!((entry.error.as_deref(), entry.fields()["hosts"][0].as_str()), (Some("e"), Some("a")));
    }

    #[test]
    fn what_has_no_time_level_or_message_is_no_entry() {
        let whole = r#"{"timestamp":"2026-01-02T03:04:05Z","level":"info","message":"m"}"#;
        serde_json::from_str::<LogEntry>(whole).unwrap();
        for key in ["timestamp", "level", "message"] {
            serde_json::from_str::<LogEntry>(&whole.replace(key, "other")).unwrap_err();
        }
        serde_json::from_str::<LogEntry>(&whole.replace("info", "loud")).unwrap_err();
    }

    #[test]
    fn no_key_comes_twice_and_a_line_is_one_line() {
        let entry = LogEntry::builder(Level::Info, "a\nb\r\0\u{85}\"").field("pid", 1).field("plugin", "x").build();
        let line = entry.to_line();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<LogEntry>(&line).unwrap(), entry);
        assert_eq!(entry.fields()["pid_"], 1);
    }
}

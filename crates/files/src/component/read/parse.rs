//! An entry from a line, whatever the line is.

use logboom_record::Level;

use super::LogEntry;

/// How every line of ours begins.
const START: &[u8] = b"{\"timestamp\":";
/// How many places of a torn line are tried; a whole entry behind it has its start among the last few.
const STARTS_MAX: usize = 8;

/// What a line holds.
pub(super) struct Parsed {
    /// The entry, if it is at least as serious as asked for.
    pub(super) entry: Option<LogEntry>,
    /// Whether the line, or a part of it, is no entry.
    pub(super) torn: bool,
}

/// Reads a line. Of one that was torn by a kill and went on with another writer's entry that entry is found.
pub(super) fn entry(line: &[u8], level: Level) -> Parsed {
    if line.is_empty() {
        return Parsed { entry: None, torn: false };
    }
    let whole: Option<LogEntry> = serde_json::from_slice(line).ok();
    let torn = whole.is_none();
    let entry = whole.or_else(|| behind_torn(line));
    Parsed { entry: entry.filter(|entry| entry.level >= level), torn }
}

fn behind_torn(line: &[u8]) -> Option<LogEntry> {
    let starts: Vec<usize> = memchr::memmem::rfind_iter(line, START).take(STARTS_MAX).collect();
    starts.into_iter().rev().find_map(|at| serde_json::from_slice(&line[at..]).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_behind_a_torn_one_is_found() {
        let nested = serde_json::json!({"timestamp": 1, "a": {"timestamp": 2}});
        let entry = LogEntry::builder(Level::Info, "a {\"timestamp\":").field("x", nested).build();
        let line = entry.to_line();
        let line = &line[..line.len() - 1];
        for cut in 1..line.len() {
            let found = super::entry(&[&line[..cut], line].concat(), Level::Trace);
            assert!(found.torn);
            assert_eq!(found.entry.as_ref(), Some(&entry), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let parsed = entry(&line, Level::Trace);
            prop_assert!(parsed.entry.is_none() && parsed.torn != line.is_empty());
        }
    }
}

//! Which error lines of the services go to the timeline: of each the first, and after [`PAUSE_US`] the next. What a service
//! floods its log with leaves the timeline readable so; how many lines were passed over says the event that follows them.

use std::path::{Path, PathBuf};

use logboom_files::timeline::{self, What};
use logboom_record::{RunId, Time};

/// How long a service's next error line is passed over, in microseconds.
const PAUSE_US: i64 = 1_000_000;
/// So many characters of a line are in its event.
const MESSAGE_CHARS_MAX: usize = 200;

/// What was passed over of one service.
#[derive(Debug, Default)]
pub(super) struct Pace {
    told_at: Option<Time>,
    passed_over: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct ErrorLines {
    dir: PathBuf,
    events: Vec<timeline::Event>,
}

impl ErrorLines {
    /// Of a session with this directory.
    pub(super) fn new(dir: &Path) -> ErrorLines {
        ErrorLines { dir: dir.to_owned(), events: Vec::new() }
    }

    /// Takes an error line, which is the record `seq` of the run.
    #[cold]
    pub(super) fn push(&mut self, pace: &mut Pace, (run, seq): (RunId, u64), time: Time, message: &[u8]) {
        let is_soon = |told_at: Time| time.as_micros().saturating_sub(told_at.as_micros()) < PAUSE_US;
        if pace.told_at.is_some_and(is_soon) {
            pace.passed_over += 1;
            return;
        }
        let passed_over = std::mem::take(&mut pace.passed_over);
        pace.told_at = Some(time);
        let head = &message[..message.len().min(MESSAGE_CHARS_MAX * 4)];
        let message = String::from_utf8_lossy(head).chars().take(MESSAGE_CHARS_MAX).collect();
        self.events.push(timeline::Event { time, run, what: What::ErrorLine { seq, message, passed_over } });
    }

    /// Writes the events. Where there is no room for them there is none for records either, and those are counted.
    pub(super) fn write(&mut self) {
        if !self.events.is_empty() {
            let _ = timeline::append(&self.dir, &std::mem::take(&mut self.events));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_flood_is_an_event_a_second_with_its_count() {
        let dir = tempfile::tempdir().unwrap();
        let (mut lines, mut pace) = (ErrorLines::new(dir.path()), Pace::default());
        let run = RunId::new(Time::now());
        for seq in 1..=2_500_u64 {
            let time = Time::from_micros(i64::try_from(seq).unwrap() * 1_000);
            lines.push(&mut pace, (run, seq), time, format!("{seq} {}", "é".repeat(300)).as_bytes());
        }
        lines.write();
        let events = timeline::read(dir.path()).unwrap().events;
        let found: Vec<_> = events
            .iter()
            .map(|event| match &event.what {
                What::ErrorLine { seq, message, passed_over } => (*seq, message.chars().count(), *passed_over),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, [(1, 200, 0), (1_001, 200, 999), (2_001, 200, 999)]);
    }
}

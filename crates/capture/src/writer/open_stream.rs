//! A stream that is being written: its splitter, and since when something of it waits for the end of its line.

use std::time::{Duration, Instant};

use logboom_record::{Level, Time};

use crate::lines::Splitter;

/// How long an unfinished line waits before it is written as a part.
pub const UNFINISHED_AFTER: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Default)]
pub(crate) struct OpenStream<T = Time> {
    pub(crate) splitter: Splitter<T>,
    /// The level of its last line.
    pub(crate) level: Level,
    unfinished: Option<(T, Instant)>,
}

impl<T: Copy + PartialEq> OpenStream<T> {
    /// Goes on at `time` with a stream of which others have written all bytes so far; in the middle of a line of this level,
    /// or not.
    pub(crate) fn going_on(in_line: bool, level: Level, time: T) -> OpenStream<T> {
        OpenStream { splitter: Splitter::going_on(in_line, time), level, unfinished: None }
    }

    /// When the unfinished line that was noted is to be written as a part.
    pub(crate) fn is_due_at(&self) -> Option<Instant> {
        Some(self.unfinished?.1 + UNFINISHED_AFTER)
    }

    /// Notes since when a line is unfinished. True if that is so long that it is to be written now, as a part; not while
    /// `more_waits`, which may have its rest.
    pub(crate) fn note_unfinished(&mut self, now: Instant, more_waits: impl FnOnce() -> bool) -> bool {
        let since = self.splitter.unfinished_since();
        self.unfinished = match (since, self.unfinished) {
            (Some(time), Some(before)) if before.0 == time => Some(before),
            (Some(time), _) => Some((time, now)),
            (None, _) => None,
        };
        let is_due = |(_, since): &(T, Instant)| now >= *since + UNFINISHED_AFTER;
        match self.unfinished.take_if(|unfinished| is_due(unfinished)) {
            Some((time, _)) if more_waits() => {
                self.unfinished = Some((time, now));
                false
            }
            due => due.is_some(),
        }
    }
}

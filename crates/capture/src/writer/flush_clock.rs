//! When what was taken is handed to the kernel, and when to the disk.

use std::time::{Duration, Instant};

/// The least time between two flushes.
pub const FLUSH_PAUSE: Duration = Duration::from_millis(1);
/// The most time between a byte and its flush.
pub const FLUSH_AFTER: Duration = Duration::from_millis(5);
/// How often what was written is fsync'ed, in the background.
pub const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How many bytes wake a writer that is about to flush anyway.
const BUSY_WAKE_BYTES: usize = 64 << 10;

/// See the module.
pub(crate) struct FlushClock {
    /// The least time between two flushes.
    pub(crate) pause: Duration,
    last_flush: Instant,
    unflushed_since: Option<Instant>,
    last_sync: Instant,
    /// Whether something is to be synced.
    pub(crate) unsynced: bool,
}

impl FlushClock {
    pub(crate) fn new(now: Instant) -> FlushClock {
        let last_flush = now.checked_sub(FLUSH_PAUSE).unwrap_or(now);
        FlushClock { pause: FLUSH_PAUSE, last_flush, unflushed_since: None, last_sync: now, unsynced: false }
    }

    /// How many bytes to wait for, and how long: data soon to be flushed waits for company, an idle writer for anything, or
    /// until an unfinished line is due.
    pub(crate) fn next_wait(&self, now: Instant, unfinished: Option<Instant>) -> (usize, Option<Duration>) {
        if self.unflushed_since.is_some() {
            return (BUSY_WAKE_BYTES, Some((self.last_flush + self.pause).saturating_duration_since(now)));
        }
        let sync = self.unsynced.then(|| self.last_sync + SYNC_EVERY);
        let next = unfinished.into_iter().chain(sync).min();
        (1, next.map(|next| next.saturating_duration_since(now)))
    }

    /// Something was taken.
    pub(crate) fn note_taken(&mut self, now: Instant) {
        self.unflushed_since.get_or_insert(now);
    }

    /// Whether to flush; `is_idle` tells whether nothing more waits to be taken.
    pub(crate) fn is_due(&self, now: Instant, is_idle: impl FnOnce() -> bool) -> bool {
        let paused = || now >= self.last_flush + self.pause && is_idle();
        self.unflushed_since.is_some_and(|since| now >= since + FLUSH_AFTER || paused())
    }

    /// Whether what was taken last must not wait any longer.
    pub(crate) fn is_late(&mut self, now: Instant) -> bool {
        now >= *self.unflushed_since.get_or_insert(now) + FLUSH_AFTER
    }

    /// All was flushed.
    pub(crate) fn flushed(&mut self) {
        (self.last_flush, self.unflushed_since, self.unsynced) = (Instant::now(), None, true);
    }

    /// Whether to sync now, which the caller does: since it is time, or there is much to be synced.
    pub(crate) fn take_sync(&mut self, now: Instant, is_much: bool) -> bool {
        let is_due = self.unsynced && (is_much || now >= self.last_sync + SYNC_EVERY);
        if is_due {
            (self.last_sync, self.unsynced) = (now, false);
        }
        is_due
    }
}

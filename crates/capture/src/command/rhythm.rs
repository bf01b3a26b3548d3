//! When a reader pauses so that lines can gather; see `docs/decisions/0006-pauses.md`.

use logboom_record::Time;
use rustix::event::Timespec;

/// From so many bytes on a read is not small, or from a quarter of the pipe: it must not fill up during a pause.
const SMALL_BYTES_MAX: usize = 16 << 10;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// A terminal takes about 12 KiB while nobody reads, and a read gives at most 4 KiB.
const SMALL_BYTES_MAX_OF_TERMINAL: usize = 3 << 10;
const PAUSE_OF_TERMINAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000 };

/// So many small reads in a row, each at most so long after the one before on average, begin the pauses.
const QUICK_READS: u32 = 16;
const QUICK_AFTER_US: i64 = 500;

/// How quickly small reads follow one another.
pub(super) struct Rhythm {
    small_bytes_max: usize,
    pause: Timespec,
    since: Time,
    reads: u32,
    quick: bool,
}

impl Rhythm {
    /// Of a pipe of this size.
    pub(super) fn of_pipe(bytes: usize) -> Rhythm {
        Rhythm::new(SMALL_BYTES_MAX.min(bytes / 4), PAUSE)
    }

    /// Of a terminal.
    pub(super) fn of_terminal() -> Rhythm {
        Rhythm::new(SMALL_BYTES_MAX_OF_TERMINAL, PAUSE_OF_TERMINAL)
    }

    fn new(small_bytes_max: usize, pause: Timespec) -> Rhythm {
        Rhythm { small_bytes_max, pause, since: Time::default(), reads: 0, quick: false }
    }

    /// How long a small read waits for company.
    pub(super) fn pause(&self) -> Timespec {
        self.pause
    }

    /// Notes a read; tells whether to pause after it.
    pub(super) fn note(&mut self, bytes: usize, at: Time) -> bool {
        if bytes >= self.small_bytes_max {
            (self.reads, self.quick) = (0, false);
        } else if !self.quick {
            self.reads += 1;
            if self.reads >= QUICK_READS {
                let took = at.as_micros() - self.since.as_micros();
                self.quick = took <= i64::from(QUICK_READS) * QUICK_AFTER_US;
                (self.since, self.reads) = (at, 0);
            }
        }
        self.quick
    }

    /// Whether small reads follow one another quickly.
    pub(super) fn is_quick(&self) -> bool {
        self.quick
    }

    /// Notes that nothing gathered.
    pub(super) fn found_nothing(&mut self) {
        self.quick = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_reads_in_quick_succession_are_followed_by_pauses() {
        let mut rhythm = Rhythm::of_pipe(256 << 10);
        let mut now = 1_000_000;
        let mut read = |rhythm: &mut Rhythm, bytes, after| {
            now += after;
            rhythm.note(bytes, Time::from_micros(now))
        };
        assert!(!(0..100).any(|_| read(&mut rhythm, 100, 1_000)), "one line a millisecond is seen at once");
        assert!((0..100).any(|_| read(&mut rhythm, 100, 20)));
        assert!(read(&mut rhythm, 1_000, 1_000), "what gathered in a pause is followed by another");
        assert!(!read(&mut rhythm, 100_000, 10), "a full pipe is not left alone");
        assert!((0..100).any(|_| read(&mut rhythm, 100, 20)));
        rhythm.found_nothing();
        assert!(!read(&mut rhythm, 100, 10), "the first line after silence is seen at once");
        let mut terminal = Rhythm::of_terminal();
        assert!((0..100).any(|_| read(&mut terminal, 100, 20)));
        assert!(!read(&mut terminal, 4_000, 200), "a full terminal is not left alone");
    }
}

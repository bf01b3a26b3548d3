//! Whether an answer of the logs API goes on where the one before it ended, and from which entry on.
//!
//! A log loses its beginning where it rotates, and time stamps go back where the engine's clock is put back: neither shows in what comes.
//! So an answer begins before what is new: it is asked for by how many of the last entries it is to have, and the entry that was the last
//! is found in it. If it is not, either too few were asked for, or the log has lost it. No I/O.

use logboom_record::Stream;

use crate::services::feed::{Place, Reached, StreamPlace};

/// How far the time stamps of one stream may be behind those of the other.
pub const DISORDER_NS: u64 = 60_000_000_000;

/// So many entries are asked for at first, where nobody knows how many came since.
const ENTRIES_FIRST: u32 = if cfg!(test) { 8 } else { 1_000 };
/// As few are asked for as this; the engine takes no longer for them than for one.
const ENTRIES_MIN: u64 = if cfg!(test) { 2 } else { 64 };
/// If the last entry is not among so many, all are asked for.
const ENTRIES_MAX: u32 = if cfg!(test) { 300 } else { 1 << 20 };

/// What an answer has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Nothing yet: what came may be old.
    Open,
    /// It goes on where the one before it ended.
    Yes,
    /// It begins too late: more is to be asked for.
    Short,
    /// All of the log came, and what was the last entry is not in it: what came behind that may be gone as well.
    Torn,
}

/// Compares an answer with what is known.
#[derive(Clone, Debug)]
pub struct Joining {
    /// All of the log is asked for.
    is_whole: bool,
    /// The first entry has to be of this time, or before it.
    begins_by: u64,
    known: [Known; 2],
    /// The stream whose last entry shows where the new ones begin.
    anchor: Option<usize>,
    oldest: Option<u64>,
    joined: Joined,
    /// The entries that the log had when it was asked for have come.
    is_settled: bool,
    /// As far as is known, the log begins as it did.
    is_intact: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The time stamp of its last entry; none if nothing of it came.
    last: Option<u64>,
    /// Whether that counts, for others have it, or may get it: pieces of one line, and what came when the clock was put back.
    is_counted: bool,
    began: bool,
    /// Its last entry came, or one with a later stamp.
    is_met: bool,
    /// Its last entry is not in the log.
    is_lost: bool,
}

impl Known {
    fn of(place: &StreamPlace, in_line: bool) -> Known {
        let is_entry = place.at.offset > 0 || place.skip > 0;
        let is_counted = place.at.offset > 1 || place.in_line || in_line;
        Known { last: is_entry.then_some(place.at.part), is_counted, ..Known::default() }
    }
}

impl Joining {
    /// Of an answer of the last `entries` of a log, or all. `begins_by` is a time at which it is to begin, or before; `in_line` says
    /// of each stream whether its last entry has no end of line.
    pub fn new(from: &Reached, in_line: [bool; 2], entries: Option<u32>, begins_by: u64) -> Joining {
        let known = [Known::of(&from.stdout, in_line[0]), Known::of(&from.stderr, in_line[1])];
        let anchor = (0..2).filter(|at| known[*at].last.is_some()).max_by_key(|at| known[*at].last);
        let (is_whole, joined) = (entries.is_none(), if anchor.is_none() { Joined::Yes } else { Joined::Open });
        Joining { is_whole, begins_by, known, anchor, oldest: None, joined, is_settled: false, is_intact: true }
    }

    /// What is shown by now.
    pub fn joined(&self) -> Joined {
        match self.known.iter().any(|known| known.is_lost) {
            true => Joined::Torn,
            false => self.joined,
        }
    }

    /// The log has lost its beginning since it was seen.
    pub fn set_torn(&mut self) {
        self.is_intact = false;
    }

    /// It has all of the log.
    pub fn set_whole(&mut self) {
        self.is_whole = true;
    }

    /// Whether the entries that the log had at first have come.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Takes note of the next entry, before it is taken.
    pub fn see(&mut self, stream: Stream, stamp: u64) -> Joined {
        let at = usize::from(stream == Stream::Stderr);
        let Known { last, began, is_met, .. } = self.known[at];
        let is_behind = last.is_some_and(|last| stamp < last);
        // Where the clock was put back places show only behind the last entry of before.
        let is_unplaced = is_behind && self.is_settled && !is_met;
        let is_passed = last.is_some_and(|last| stamp > last) && !is_met && (began || self.is_wanted(at));
        let is_torn = self.is_whole && !self.is_intact && self.is_uncounted(at, stamp);
        if is_passed || is_unplaced || is_torn {
            self.miss(at);
        } else if !self.is_whole && self.is_short(at, stamp) {
            self.joined = Joined::Short;
        } else if self.joined == Joined::Open && self.anchor == Some(at) && !is_behind {
            self.joined = Joined::Yes;
        }
        self.known[at].began = true;
        self.known[at].is_met |= !is_behind;
        self.oldest = Some(self.oldest.map_or(stamp, |oldest| oldest.min(stamp)));
        self.joined()
    }

    /// Whether an entry shows that some before it have to be asked for.
    fn is_short(&self, at: usize, stamp: u64) -> bool {
        let is_first = self.oldest.is_none();
        let far_later = |anchor: usize| self.known[anchor].last.is_some_and(|last| stamp > last + DISORDER_NS);
        (is_first && stamp > self.begins_by)
            || self.is_uncounted(at, stamp)
            || (self.joined == Joined::Open && self.anchor.is_some_and(far_later))
    }

    /// Whether entries may be missing before this one that have its time stamp, too.
    fn is_uncounted(&self, at: usize, stamp: u64) -> bool {
        let Known { last, is_counted, began, .. } = self.known[at];
        let is_far_behind = self.oldest.is_some_and(|oldest| oldest + DISORDER_NS < stamp);
        is_counted && !began && last == Some(stamp) && !is_far_behind
    }

    /// The entries that the log had have come.
    pub fn settle(&mut self) -> Joined {
        self.is_settled = true;
        for at in 0..2 {
            let Known { last, began, is_met, .. } = self.known[at];
            if last.is_some() && !is_met && (began || self.is_wanted(at)) {
                self.miss(at);
            }
        }
        self.joined()
    }

    /// More came than can be kept until it shows whether it is new.
    pub fn give_up(&mut self) -> Joined {
        if let Some(at) = self.anchor.filter(|at| self.is_open_at(*at)) {
            self.miss(at);
        }
        self.joined()
    }

    /// Whether the last entry of a stream has to be found: the other's may not show what followed it.
    fn is_wanted(&self, at: usize) -> bool {
        self.is_open_at(at) || self.known[at].last.is_some_and(|last| last >= self.begins_by)
    }

    fn is_open_at(&self, at: usize) -> bool {
        self.joined == Joined::Open && self.anchor == Some(at)
    }

    /// The last entry of a stream is not found.
    fn miss(&mut self, at: usize) {
        if self.is_whole {
            self.known[at].is_lost = true;
        } else {
            self.joined = Joined::Short;
        }
    }

    /// The end of what came is not looked for any more where it is not in the log. Tells of which streams that is, stdout first.
    pub fn go_on(&mut self) -> [bool; 2] {
        [0, 1].map(|at| {
            let is_lost = std::mem::take(&mut self.known[at].is_lost);
            if is_lost {
                (self.known[at].last, self.known[at].is_met) = (None, true);
                if self.is_open_at(at) {
                    self.joined = Joined::Yes;
                }
            }
            is_lost
        })
    }
}

/// How many of the last entries to ask for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The log has not more entries than this that are known, if that is known.
    known: Option<u64>,
    entries: u32,
}

impl Pace {
    /// To go on from a place.
    pub fn from(reached: &Reached) -> Pace {
        let known = (*reached == Reached::default()).then_some(0);
        Pace { known, entries: ENTRIES_FIRST }
    }

    /// So many, or all.
    pub fn entries(&self) -> Option<u32> {
        let is_small = self.known.is_some_and(|known| known <= u64::from(ENTRIES_FIRST));
        (!is_small && self.entries <= ENTRIES_MAX).then_some(self.entries)
    }

    /// So many more came while it was followed.
    pub fn goes_on(&mut self, new: u64) {
        self.known = self.known.map(|known| known.saturating_add(new));
    }

    /// They were too few.
    pub fn was_short(&mut self) {
        self.entries = self.entries.saturating_mul(4);
    }

    /// An answer came whole, of so many entries, of which so many were new.
    pub fn came(&mut self, all: u64, new: u64) {
        self.known = match self.entries() {
            None => Some(all),
            Some(entries) if all < u64::from(entries) => Some(all),
            Some(_) => self.known.map(|known| known.saturating_add(new)),
        };
        self.entries = u32::try_from((new + new / 4).max(ENTRIES_MIN)).unwrap_or(u32::MAX);
    }
}

/// At which time an answer has to begin, or before, so that nothing is missed that is not in records: those of a stream whose line has
/// no end yet may be behind the other's.
pub fn begins_by(from: &Reached) -> u64 {
    let Place { part: out, .. } = from.stdout.at;
    let Place { part: err, .. } = from.stderr.at;
    // A stream that has been silent for long is no reason to read all of the log again.
    out.min(err).max(out.max(err).saturating_sub(DISORDER_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(part: u64, offset: u64) -> StreamPlace {
        StreamPlace { at: Place { part, offset }, ..StreamPlace::default() }
    }

    #[test]
    fn a_silent_stream_does_not_have_the_whole_log_read_again() {
        let second = 1_000_000_000;
        let by = |stdout, stderr| begins_by(&Reached { stdout, stderr });
        assert_eq!(by(StreamPlace::default(), StreamPlace::default()), 0);
        assert_eq!(by(behind(70 * second, 3), behind(90 * second, 1)), 70 * second);
        assert_eq!(by(behind(100 * second, 3), StreamPlace::default()), 40 * second);
    }

    #[test]
    fn a_small_log_is_asked_for_whole() {
        let mut pace = Pace::from(&Reached::default());
        assert_eq!(pace.entries(), None);
        pace.came(7, 7);
        assert_eq!(pace.entries(), None);
        pace.came(100, 93);
        assert_eq!(pace.entries(), Some(116));
        pace.came(116, 1);
        assert_eq!(pace.entries(), Some(2));
        (0..4).for_each(|_| pace.was_short());
        assert_eq!(pace.entries(), None, "it is not among the last that are worth a try");
    }
}

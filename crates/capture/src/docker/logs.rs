//! What the logs API sends, as pieces that know their place.
//!
//! Each entry begins with a time stamp. Its place is that, or the latest of its stream before it where the engine's clock was put
//! back, and how many entries of that place came before: the pieces of a line over 16 KiB share one stamp. Each stream has its own
//! place, for the order of one stream against the other is not that of the stamps. No I/O: the caller reads frames and pushes them.

use logboom_record::{Stream, Time};

use super::{
    counted::TEXT_BYTES_MAX,
    joining::{self, Joined, Joining, Pace},
    jsonfile::Days,
};
use crate::{
    engine::{Frame, Framing},
    services::feed::{Delivery, Piece, Place, Reached, StreamPlace},
};

/// The longest entry that is taken for one; engines write 16 KiB and the time stamp.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The longest time stamp, with the blank behind it.
const STAMP_BYTES_MAX: usize = 40;
/// How long the stamps of engines are: `2026-01-02T03:04:05.123456789Z`.
const STAMP_BYTES: usize = 30;
/// By how much the text of a full entry may be longer than it is full: a character on its end has become several U+FFFD.
const TEXT_BYTES_OVER: usize = 12;

/// So much is kept that may be new, until it shows whether it is.
const HELD_BYTES_MAX: usize = 1 << 20;

/// What comes is not what the logs API sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// It does not begin with a time stamp.
    #[error("an entry of the log has no time stamp")]
    NoStamp,
    /// It has no end.
    #[error("an entry of the log has more than {ENTRY_BYTES_MAX} bytes")]
    TooLarge,
}

/// Turns the frames of answers about one container into deliveries.
#[derive(Debug)]
pub struct Entries {
    framing: Framing,
    /// Where the answer has to go on.
    from: Reached,
    /// At which time the next answer has to begin, or before.
    begins_by: u64,
    pace: Pace,
    joining: Joining,
    /// The first entry that the whole log had.
    begins: Option<(Stream, u64)>,
    days: Days,
    streams: [OneStream; 2],
    /// What may be new.
    held: Delivery,
    /// Whether the line of each stream's last entry may go on in the next.
    in_line: [bool; 2],
    /// How many entries came with this answer, and how many of them were new, before it was settled.
    came: u64,
    new: u64,
    /// How many came after that.
    live: u64,
    /// Whether something of this answer was given away.
    has_joined: bool,
    last: Option<Last>,
    /// How many pieces the delivery had when the answer was found to be [`Joined::Torn`].
    torn_at: usize,
}

/// The last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    stream: Stream,
    stamp_ns: i64,
    text: Vec<u8>,
}

#[derive(Debug, Default)]
struct OneStream {
    /// The beginning of an entry whose end has not come.
    partial: Vec<u8>,
    /// The place of the next entry if its stamp is not later than the last.
    next: Place,
}

impl Entries {
    /// To go on from a place.
    pub fn new(framing: Framing, from: Reached) -> Entries {
        let begins_by = joining::begins_by(&from);
        Entries {
            framing,
            from,
            begins_by,
            pace: Pace::from(&from),
            joining: Joining::new(&from, [false; 2], None, begins_by),
            begins: None,
            days: Days::default(),
            streams: Default::default(),
            held: Delivery::default(),
            in_line: [false; 2],
            came: 0,
            new: 0,
            live: 0,
            has_joined: false,
            last: None,
            torn_at: 0,
        }
    }

    /// Begins with another answer. Gives how many of the log's last entries it is to have, or all.
    pub fn begin(&mut self) -> Option<u32> {
        self.from = self.reached();
        self.pace.goes_on(self.live);
        let entries = self.pace.entries();
        self.joining = Joining::new(&self.from, self.in_line, entries, self.begins_by);
        (self.streams, self.held, self.has_joined) = (Default::default(), Delivery::default(), false);
        (self.came, self.new, self.live) = (0, 0, 0);
        entries
    }

    /// Whether nothing came yet.
    pub fn is_at_beginning(&self) -> bool {
        self.reached() == Reached::default()
    }

    /// From where to ask again so that what was taken does not come again, or is known by its place.
    pub fn reached(&self) -> Reached {
        let mut reached = self.from;
        if !self.has_joined {
            return reached;
        }
        for (place, stream) in [&mut reached.stdout, &mut reached.stderr].into_iter().zip(&self.streams) {
            if stream.next > place.at {
                *place = StreamPlace { at: stream.next, ..StreamPlace::default() };
            }
        }
        reached
    }

    /// Where this answer goes on; where it is [`Joined::Torn`], what is new of it.
    pub fn from(&self) -> &Reached {
        &self.from
    }

    /// How many entries of this answer are new.
    pub fn new_entries(&self) -> u64 {
        self.new
    }

    /// Whether what came last is the same that came last of others.
    pub fn ends_as(&self, others: &Entries) -> bool {
        self.last == others.last
    }

    /// Takes what follows a torn place out of a delivery.
    pub fn split_torn(&self, delivery: &mut Delivery) -> Delivery {
        let pieces = delivery.pieces.split_off(self.torn_at.min(delivery.pieces.len()));
        let before: usize = delivery.pieces.iter().map(|piece| piece.len as usize).sum();
        Delivery { time: delivery.time, bytes: delivery.bytes.split_off(before), pieces, ..Delivery::default() }
    }

    /// Whether the entries that the log had when it was asked for have come.
    pub fn is_settled(&self) -> bool {
        self.joining.is_settled()
    }

    /// Takes a frame; what is an entry by now, and new, is added to the delivery. Nothing more is to be pushed of an answer that
    /// is [`Joined::Short`]: it is to be asked for more.
    ///
    /// # Errors
    /// [`BadEntry`]; what the delivery has got is good.
    pub fn push(&mut self, frame: &Frame<'_>, into: &mut Delivery) -> Result<Joined, BadEntry> {
        let at = usize::from(frame.stream == Stream::Stderr);
        if frame.starts && frame.ends {
            return self.entry(frame.stream, frame.bytes, into);
        }
        let mut partial = std::mem::take(&mut self.streams[at].partial);
        partial.extend_from_slice(frame.bytes);
        let (joined, done) = match self.framing {
            Framing::Raw => self.raw_entries(&partial, false, into)?,
            _ if frame.ends => (self.entry(frame.stream, &partial, into)?, partial.len()),
            _ => (self.joining.joined(), 0),
        };
        partial.drain(..done);
        match partial.len() {
            ..=ENTRY_BYTES_MAX => self.streams[at].partial = partial,
            _ => return Err(BadEntry::TooLarge),
        }
        Ok(joined)
    }

    /// All that the log had when it was asked for has come, as the end of the answer shows, or as it seems.
    ///
    /// # Errors
    /// [`BadEntry`] if the end is not that of an entry.
    pub fn settle(&mut self, is_end: bool, into: &mut Delivery) -> Result<Joined, BadEntry> {
        let rest = std::mem::take(&mut self.streams[0].partial);
        let joined = match self.framing {
            Framing::Raw if is_end => self.raw_entries(&rest, true, into)?.0,
            _ => self.joining.joined(),
        };
        if self.is_settled() || matches!(joined, Joined::Short | Joined::Torn) {
            return Ok(joined);
        }
        // Fewer than were asked for are all.
        if is_end && self.pace.entries().is_some_and(|entries| self.came < u64::from(entries)) {
            self.joining.set_whole();
        }
        let joined = self.joining.settle();
        self.joined(joined, into);
        if joined != Joined::Short {
            self.begins_by = u64::MAX;
            self.pace.came(self.came, self.new);
        }
        Ok(joined)
    }

    /// Takes the whole entries at the beginning; tells how many bytes they are.
    fn raw_entries(&mut self, bytes: &[u8], is_end: bool, into: &mut Delivery) -> Result<(Joined, usize), BadEntry> {
        let (mut joined, mut done, mut is_torn) = (self.joining.joined(), 0, false);
        while joined != Joined::Short
            && let Some(len) = raw_entry(&bytes[done..], is_end, &mut self.days)?
        {
            joined = self.entry(Stream::Stdout, &bytes[done..done + len], into)?;
            is_torn |= joined == Joined::Torn;
            done += len;
        }
        Ok((if is_torn { Joined::Torn } else { joined }, done))
    }

    fn entry(&mut self, stream: Stream, entry: &[u8], into: &mut Delivery) -> Result<Joined, BadEntry> {
        let (stamp_ns, text) = parted(entry, &mut self.days)?;
        let part = u64::try_from(stamp_ns).unwrap_or(0);
        if self.came == 0 && self.pace.entries().is_none() {
            self.note_first((stream, part));
        }
        let mut joined = self.joining.see(stream, part);
        if joined == Joined::Short {
            self.joined(joined, into);
            return Ok(joined);
        }
        if joined == Joined::Torn {
            self.begin_anew(into); // before it is looked whether this one is new
        }
        self.note_last(stream, stamp_ns, text);
        let next = &mut self.streams[usize::from(stream == Stream::Stderr)].next;
        let at = if next.part >= part { *next } else { Place { part, offset: 0 } };
        *next = Place { offset: at.offset + 1, ..at };
        let is_new = at >= self.from.of(stream).at;
        match self.joining.is_settled() {
            true => self.live += 1,
            false => (self.came, self.new) = (self.came + 1, self.new + u64::from(is_new)),
        }
        if is_new {
            self.held.bytes.extend_from_slice(text);
            let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
            self.held.pieces.push(Piece { stream, len, origin_time_ns: Some(stamp_ns), at });
        }
        if joined == Joined::Open && self.held.bytes_held() > HELD_BYTES_MAX {
            joined = self.joining.give_up();
        }
        self.joined(joined, into);
        Ok(joined)
    }

    /// Gives away what is held, or forgets it, as soon as it shows whether it is new.
    fn joined(&mut self, joined: Joined, into: &mut Delivery) {
        match joined {
            Joined::Open => return,
            Joined::Yes => {}
            Joined::Short => {
                self.held = Delivery::default();
                return self.pace.was_short();
            }
            Joined::Torn => {
                self.begin_anew(into);
                if self.joining.joined() == Joined::Open {
                    return;
                }
            }
        }
        self.has_joined = true;
        for piece in &self.held.pieces {
            self.in_line[usize::from(piece.stream == Stream::Stderr)] = piece.len as usize == TEXT_BYTES_MAX;
        }
        into.bytes.append(&mut self.held.bytes);
        into.pieces.append(&mut self.held.pieces);
    }

    /// What came last is not in the log, so what it has behind what is known of it by now is new, whatever its stamps are. Where
    /// nothing of it is known the stamps tell.
    fn begin_anew(&mut self, into: &Delivery) {
        let (is_settled, is_lost) = (self.joining.is_settled(), self.joining.go_on());
        if is_lost != [false; 2] {
            self.torn_at = into.pieces.len();
        }
        let places = [&mut self.from.stdout, &mut self.from.stderr];
        for ((place, stream), is_lost) in places.into_iter().zip(&self.streams).zip(is_lost) {
            let is_given = self.has_joined && stream.next > place.at;
            if is_given || (is_lost && (is_settled || stream.next > Place::default())) {
                *place = StreamPlace { at: stream.next, ..StreamPlace::default() };
            }
        }
    }

    /// Notes with which entry the whole log begins.
    fn note_first(&mut self, first: (Stream, u64)) {
        if self.begins.replace(first).is_some_and(|was| was != first) {
            self.joining.set_torn();
        }
    }

    fn note_last(&mut self, stream: Stream, stamp_ns: i64, text: &[u8]) {
        let last = self.last.get_or_insert_with(|| Last { stream, stamp_ns, text: Vec::new() });
        (last.stream, last.stamp_ns) = (stream, stamp_ns);
        last.text.clear();
        last.text.extend_from_slice(text);
    }
}

/// The time stamp of an entry, in nanoseconds since 1970 UTC, and its text.
fn parted<'a>(entry: &'a [u8], days: &mut Days) -> Result<(i64, &'a [u8]), BadEntry> {
    let blank = memchr::memchr(b' ', &entry[..entry.len().min(STAMP_BYTES_MAX)]).ok_or(BadEntry::NoStamp)?;
    let (stamp, text) = (&entry[..blank], &entry[blank + 1..]);
    let stamp_ns = days.utc(stamp).or_else(|| days.any(stamp)).ok_or(BadEntry::NoStamp)?;
    Ok((stamp_ns, text))
}

/// How long the first entry is; `None` if its end has not come. Without frames it ends with a newline, or where it is full, or
/// with the stamp of the next one, which is later: the last line of a container that was started again may have no newline.
fn raw_entry(bytes: &[u8], is_end: bool, days: &mut Days) -> Result<Option<usize>, BadEntry> {
    let has_stamp = memchr::memchr(b' ', &bytes[..bytes.len().min(STAMP_BYTES_MAX)]).is_some();
    if bytes.is_empty() || (!has_stamp && !is_end && bytes.len() < STAMP_BYTES_MAX) {
        return Ok(None);
    }
    let (stamp_ns, text) = parted(bytes, days)?;
    let head = bytes.len() - text.len();
    let end = memchr::memchr(b'\n', &text[..text.len().min(TEXT_BYTES_MAX)]).map(|end| end + 1);
    let looked_at = end.unwrap_or(text.len().min(TEXT_BYTES_MAX + TEXT_BYTES_OVER + STAMP_BYTES));
    let next = memchr::memmem::find_iter(&text[..looked_at], b"Z ").find_map(|z| {
        let at = (z + 1).checked_sub(STAMP_BYTES).filter(|at| *at > 0)?;
        let next_ns = days.utc(&text[at..=z])?;
        // All pieces of a line have one stamp. What a program writes of the time is earlier than when it is written.
        let is_next = next_ns > stamp_ns || (next_ns == stamp_ns && at >= TEXT_BYTES_MAX);
        is_next.then_some(at)
    });
    let is_full = text.len() > TEXT_BYTES_MAX + TEXT_BYTES_OVER + STAMP_BYTES;
    let full = is_full.then_some(TEXT_BYTES_MAX).or(is_end.then_some(text.len()));
    Ok(next.or(end).or(full).map(|len| head + len))
}

/// A delivery of what was read now.
pub fn delivery(now: Time) -> Delivery {
    Delivery { time: now, ..Delivery::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn stamp(second: u64) -> String {
        format!("2026-01-02T03:04:{second:02}.000000001Z")
    }

    fn ns(second: u64) -> u64 {
        1_767_323_040_000_000_001 + second * 1_000_000_000
    }

    fn texts(delivery: &Delivery) -> Vec<(Stream, Place, String)> {
        let mut rest = &delivery.bytes[..];
        let mut take = |piece: &Piece| {
            let (text, later) = rest.split_at(piece.len as usize);
            rest = later;
            (piece.stream, piece.at, String::from_utf8_lossy(text).into_owned())
        };
        delivery.pieces.iter().map(&mut take).collect()
    }

    fn frame(stream: Stream, bytes: &[u8]) -> Frame<'_> {
        Frame { stream, bytes, starts: true, ends: true }
    }

    #[test]
    fn entries_of_one_stamp_are_counted_and_those_in_records_left_out() {
        let stdout =
            StreamPlace { at: Place { part: ns(1), offset: 1 }, skip: 2, in_line: true, ..StreamPlace::default() };
        let mut entries = Entries::new(Framing::Multiplexed, Reached { stdout, stderr: StreamPlace::default() });
        let mut delivery = Delivery::default();
        for (stream, second, text) in [
            (Stream::Stdout, 0, "old\n"),
            (Stream::Stdout, 1, "first"),
            (Stream::Stderr, 1, "other\n"),
            (Stream::Stdout, 1, "second\n"),
            (Stream::Stdout, 2, "\n"),
        ] {
            entries.push(&frame(stream, format!("{} {text}", stamp(second)).as_bytes()), &mut delivery).unwrap();
        }
        let at = |second, offset| Place { part: ns(second), offset };
        assert_eq!(
            texts(&delivery),
            [
                (Stream::Stderr, at(1, 0), "other\n".to_owned()),
                (Stream::Stdout, at(1, 1), "second\n".to_owned()),
                (Stream::Stdout, at(2, 0), "\n".to_owned()),
            ]
        );
    }

    #[test]
    fn what_has_no_stamp_is_refused() {
        let mut entries = Entries::new(Framing::Multiplexed, Reached::default());
        for bad in [&b""[..], b"hello there", b"2026-13-02T03:04:05Z x", &[b'2'; 100]] {
            let pushed = entries.push(&frame(Stream::Stdout, bad), &mut Delivery::default());
            assert_eq!(pushed, Err(BadEntry::NoStamp), "{bad:?}");
        }
    }

    /// What comes of the bytes that a terminal's log has, and ends with.
    fn of_terminal(wire: &str) -> Vec<String> {
        let (mut entries, mut delivery) = (Entries::new(Framing::Raw, Reached::default()), Delivery::default());
        for byte in wire.as_bytes() {
            let frame = Frame { stream: Stream::Stdout, bytes: &[*byte], starts: false, ends: false };
            entries.push(&frame, &mut delivery).unwrap();
        }
        entries.settle(true, &mut delivery).unwrap();
        texts(&delivery).into_iter().map(|(_, _, text)| text).collect()
    }

    #[test]
    fn the_last_line_of_a_terminal_needs_no_newline() {
        let last = |text: &str| of_terminal(&format!("{} first\r\n{} {text}", stamp(1), stamp(2)));
        assert_eq!(last("$ exit"), ["first\r\n", "$ exit"]);
        let full = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(last(&full), ["first\r\n", &full]);
        let again = format!("$ exit{} it is {}\r\n", stamp(3), stamp(1));
        assert_eq!(last(&again), ["first\r\n", "$ exit", &format!("it is {}\r\n", stamp(1))], "it was started again");
    }

    #[test]
    fn a_full_entry_may_end_with_a_cut_character() {
        let over = format!("{}\u{fffd}\u{fffd}", "x".repeat(TEXT_BYTES_MAX - 1));
        let wire = format!("{0} {over}{0} rest\n", stamp(1));
        assert_eq!(of_terminal(&wire), [&over[..], "rest\n"]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A container prints so many entries, so many of them with one stamp, in so many ns.
        Print { stderr: bool, entries: usize, pieces: usize, ns: u64 },
        /// The engine's clock is put back.
        ClockBack(u64),
        /// So many hundredths of the log are gone.
        Rotate(usize),
        /// It is read; if it is followed, so many entries of each stream come meanwhile.
        Read { follow: Option<usize> },
        /// It is read from where this follower was, or from records that lack what one stream printed last.
        Again { lacks: Option<Stream> },
    }

    /// Where the clock is put back and the log loses its beginning as well, some may be taken for old that is new.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop_oneof![
            steps_and((0_usize..=100).prop_map(Step::Rotate).boxed()),
            steps_and((1_u64..1_000_000_000_000).prop_map(Step::ClockBack).boxed())
        ]
    }

    fn steps_and(rare: BoxedStrategy<Step>) -> impl Strategy<Value = Vec<Step>> {
        let print = (any::<bool>(), 1_usize..90, prop_oneof![Just(1), 1_usize..9], 0_u64..20_000_000_000)
            .prop_map(|(stderr, entries, pieces, ns)| Step::Print { stderr, entries, pieces, ns });
        let lacks = prop_oneof![Just(None), Just(Some(Stream::Stdout)), Just(Some(Stream::Stderr))];
        let step = prop_oneof![
            8 => print,
            2 => rare,
            8 => prop_oneof![Just(None), (0_usize..9).prop_map(Some)].prop_map(|follow| Step::Read { follow }),
            1 => lacks.prop_map(|lacks| Step::Again { lacks }),
        ];
        proptest::collection::vec(step, 1..60)
    }

    /// A log that is written and read.
    struct Play {
        /// Its entries in the order in which they were written, of which the first are gone.
        log: Vec<(Stream, u64)>,
        gone: usize,
        now: u64,
        was_put_back: bool,
        entries: Entries,
        before: Reached,
        /// The entries that came, and where.
        came: BTreeMap<usize, Place>,
    }

    impl Play {
        fn print(&mut self, stream: Stream, entries: usize, pieces: usize, ns: u64) {
            let mut stamp = 0;
            for number in 0..entries {
                if number % pieces == 0 {
                    self.now += ns / entries as u64 + 1;
                    // Those of stderr are late, and differ from those of stdout.
                    stamp = if stream == Stream::Stderr { 2 * (self.now - 1_000_000_000) + 1 } else { 2 * self.now };
                }
                self.log.push((stream, stamp));
            }
        }

        fn rotate(&mut self, hundredths: usize, may_cut_lines: bool) {
            // A file of a log has more than one line.
            let first = self.log.get(self.gone).copied();
            self.gone += (self.log.len() - self.gone) * hundredths / 100;
            while let Some(next) = self.log.get(self.gone)
                && self.gone > 0
                && (Some(*next) == first || (!may_cut_lines && *next == self.log[self.gone - 1]))
            {
                self.gone += 1;
            }
        }

        fn push(&mut self, number: usize, into: &mut Delivery) -> Joined {
            let (stream, ns) = self.log[number];
            let (second, ns) = (ns / 1_000_000_000, ns % 1_000_000_000);
            let (minute, second) = (second / 60, second % 60);
            let (hour, minute) = (minute / 60, minute % 60);
            let entry = format!("2026-01-02T{hour:02}:{minute:02}:{second:02}.{ns:09}Z {number}\n");
            self.entries.push(&frame(stream, entry.as_bytes()), into).unwrap()
        }

        fn read(&mut self, follow: Option<usize>) {
            // Nobody knows of what was gone before it was read for the first time.
            let (mut delivery, mut was_told) = (Delivery::default(), self.entries.is_at_beginning());
            loop {
                let last = self.entries.begin().map_or(usize::MAX, |last| last as usize);
                let there = self.gone.max(self.log.len().saturating_sub(last))..self.log.len();
                let mut joined = Joined::Open;
                for number in there {
                    joined = self.push(number, &mut delivery);
                    was_told |= joined == Joined::Torn;
                    if joined == Joined::Short {
                        break;
                    }
                }
                if joined != Joined::Short {
                    joined = self.entries.settle(follow.is_none(), &mut delivery).unwrap();
                    was_told |= joined == Joined::Torn;
                }
                let live = follow.map_or(self.log.len()..self.log.len(), |more| {
                    let first = self.log.len();
                    self.print(Stream::Stdout, more, 1, 1_000);
                    self.print(Stream::Stderr, more, 1, 1_000);
                    first..self.log.len()
                });
                for number in live {
                    if joined != Joined::Short {
                        joined = self.push(number, &mut delivery);
                    }
                }
                if joined != Joined::Short {
                    break;
                }
            }
            self.take(&delivery);
            for number in 0..self.log.len() {
                let may_lack = was_told && number < self.gone;
                assert!(self.came.contains_key(&number) || may_lack, "{number} of {}..{}", self.gone, self.log.len());
                // What is known to be missing is not looked for any more.
                self.came.entry(number).or_default();
            }
        }

        fn take(&mut self, delivery: &Delivery) {
            let mut last = [None; 2];
            for (stream, at, text) in texts(delivery) {
                let number: usize = text.trim().parse().unwrap();
                let last = &mut last[usize::from(stream == Stream::Stderr)];
                assert!(*last < Some((number, at)), "the order of one stream");
                *last = Some((number, at));
                assert_eq!(self.came.insert(number, at), None, "{number} came twice");
            }
        }

        fn again(&mut self, lacks: Option<Stream>) {
            let mut from = self.entries.reached();
            if let Some(stream) = lacks.filter(|_| !self.was_put_back) {
                let place = self.before.of(stream).at;
                let last = from.stdout.at.part.max(from.stderr.at.part);
                if place.part + joining::DISORDER_NS >= last {
                    *(if stream == Stream::Stderr { &mut from.stderr } else { &mut from.stdout }) =
                        *self.before.of(stream);
                    let log = &self.log;
                    self.came.retain(|number, at| log[*number].0 != stream || *at < place || *number < self.gone);
                }
            }
            self.entries = Entries::new(Framing::Multiplexed, from);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn every_entry_comes_once_or_a_rotation_is_told(steps in steps()) {
            let entries = Entries::new(Framing::Multiplexed, Reached::default());
            let (log, came, before) = (Vec::new(), BTreeMap::new(), Reached::default());
            let mut play = Play { log, gone: 0, now: 9_000_000_000_000, was_put_back: false, entries, before, came };
            // Another follower does not see that the log has lost its beginning in the midst of the line that came last.
            let is_known = !steps.iter().any(|step| matches!(step, Step::Again { .. }));
            for step in steps {
                match step {
                    Step::Print { stderr, entries, pieces, ns } => {
                        play.print(if stderr { Stream::Stderr } else { Stream::Stdout }, entries, pieces, ns);
                    }
                    Step::ClockBack(ns) => (play.now, play.was_put_back) = (play.now - ns.min(play.now / 4), true),
                    Step::Rotate(hundredths) => play.rotate(hundredths, is_known),
                    Step::Read { follow } => {
                        play.before = play.entries.reached();
                        play.read(follow);
                    }
                    Step::Again { lacks } => play.again(lacks),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn raw_entries_come_whole_however_they_are_cut(
            lens in proptest::collection::vec(prop_oneof![0_usize..50, Just(16_384), Just(20_000), Just(40_000)], 1..6),
            cuts in proptest::collection::vec(0_usize..130_000, 0..8),
        ) {
            let (mut wire, mut want) = (Vec::new(), Vec::new());
            for (second, len) in (0..).zip(&lens) {
                let line = format!("{}\n", "x".repeat(*len));
                for piece in line.as_bytes().chunks(16_384) {
                    wire.extend_from_slice(format!("{} ", stamp(second)).as_bytes());
                    wire.extend_from_slice(piece);
                    want.push(piece.to_vec());
                }
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).chain([0, wire.len()]).collect();
            cuts.sort_unstable();
            let (mut entries, mut delivery) = (Entries::new(Framing::Raw, Reached::default()), Delivery::default());
            for pair in cuts.windows(2) {
                let bytes = &wire[pair[0]..pair[1]];
                let frame = Frame { stream: Stream::Stdout, bytes, starts: false, ends: false };
                entries.push(&frame, &mut delivery).unwrap();
            }
            entries.settle(true, &mut delivery).unwrap();
            let got: Vec<Vec<u8>> = texts(&delivery).into_iter().map(|(_, _, text)| text.into_bytes()).collect();
            prop_assert_eq!(got, want);
        }
    }
}

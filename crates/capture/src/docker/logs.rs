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
mod tests;

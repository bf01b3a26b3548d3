//! Places in what a container printed, by counting: whole lines, and bytes of the line after them, on each stream.
//!
//! Attached streams have no time stamps, so the count of what was taken is the only thing that both they and the engine's log
//! know. Lines, because a log may hold other bytes than were printed: `json-file` puts U+FFFD where there is no UTF-8. Only
//! within a line whose beginning was recorded before its end came do bytes count; there, and only if what was printed is
//! no UTF-8, the count may be off by some bytes. The count begins with the log, so it is of use where the log still has its
//! beginning ([`beginning`]).
//!
//! An engine that is killed loses what it has read and not written to its log, but part of that may have come by an attached stream: the
//! log has fewer lines than came, and new ones stand where those would. So the last lines that came are compared with the
//! log's; from the first one that differs on the log is new, and counts are its own. No I/O.

use logboom_record::Stream;

use super::attach::LAST_BYTES;
use crate::{
    engine::Container,
    services::feed::{Delivery, Piece, Place, Reached, StreamPlace},
};

/// How much text an engine puts into one entry of a log; the rest of the line is the next entry.
pub(super) const TEXT_BYTES_MAX: usize = 16_384;

/// Counts what comes on both streams, and leaves out what is handed over already.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    streams: [Count; 2],
}

#[derive(Clone, Debug, Default)]
struct Count {
    /// The place of what comes next.
    at: Place,
    /// All before it is handed over.
    done: Place,
    /// The end of what is handed over, while the log has to be compared with it.
    known: Option<Known>,
}

/// The last lines of a stream.
#[derive(Clone, Debug)]
struct Known {
    text: Vec<u8>,
    /// The number of its first line.
    first: u64,
    /// The line that is compared, and where it starts.
    line: u64,
    start: usize,
}

/// What the entries of a log become.
#[derive(Debug)]
pub(super) enum Placed {
    /// They are new.
    Delivery(Delivery),
    /// The log lacks what came last, so that places are others from here on.
    Anew {
        /// What is handed over, in the new places.
        reached: Reached,
        /// All that is known to have come last is missing in the log, and maybe what came before.
        is_doubtful: bool,
    },
}

impl Counter {
    /// Reads a log from its beginning of which all before `reached` is in records. What each stream printed last before that, if
    /// it is known, is compared with the log.
    pub fn again(reached: &Reached, last: Option<&[Vec<u8>; 2]>) -> Counter {
        let count = |stream: &StreamPlace, last: Option<&[u8]>| {
            let done = taken(stream);
            Count { at: Place::default(), done, known: last.and_then(|last| Known::before(done, last)) }
        };
        let [stdout, stderr] = [0, 1].map(|stream| last.map(|last| &last[stream][..]));
        Counter { streams: [count(&reached.stdout, stdout), count(&reached.stderr, stderr)] }
    }

    /// How far it is handed over.
    pub fn reached(&self) -> Reached {
        let [stdout, stderr] =
            self.streams.each_ref().map(|count| StreamPlace { at: count.done, ..StreamPlace::default() });
        Reached { stdout, stderr }
    }

    /// Takes bytes that a stream brought, as pieces of a line each. Those that are handed over already are left out.
    pub fn push(&mut self, stream: Stream, origin_time_ns: Option<i64>, bytes: &[u8], into: &mut Delivery) {
        let count = &mut self.streams[usize::from(stream == Stream::Stderr)];
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            count.take(stream, origin_time_ns, &bytes[start..=end], into);
            count.end_line();
            start = end + 1;
        }
        if start < bytes.len() {
            count.take(stream, origin_time_ns, &bytes[start..], into);
        }
    }

    /// Takes an entry of a log. One without a newline ends its line nevertheless, unless it is full: the container ended there, or
    /// the log driver (`local`) has dropped it.
    pub fn push_entry(&mut self, stream: Stream, origin_time_ns: Option<i64>, text: &[u8], into: &mut Delivery) {
        self.push(stream, origin_time_ns, text, into);
        let count = &mut self.streams[usize::from(stream == Stream::Stderr)];
        if count.at.offset > 0 && text.len() < TEXT_BYTES_MAX {
            count.end_line();
        }
    }

    /// Puts the pieces of entries of a log to their places by count.
    pub fn place(&mut self, entries: &Delivery) -> Vec<Placed> {
        let (mut placed, mut delivery) = (Vec::new(), Delivery { time: entries.time, ..Delivery::default() });
        let mut rest = &entries.bytes[..];
        for piece in &entries.pieces {
            let (text, later) = rest.split_at_checked(piece.len as usize).unwrap_or((rest, &[]));
            rest = later;
            if let Some(is_doubtful) = self.streams[usize::from(piece.stream == Stream::Stderr)].begin_anew(text) {
                let before = Delivery { time: entries.time, ..Delivery::default() };
                placed.push(Placed::Delivery(std::mem::replace(&mut delivery, before)));
                placed.push(Placed::Anew { reached: self.reached(), is_doubtful });
            }
            self.push_entry(piece.stream, piece.origin_time_ns, text, &mut delivery);
        }
        placed.push(Placed::Delivery(delivery));
        placed
    }
}

impl Known {
    /// The last lines of a stream whose text before `end` ends with `last`; nothing if that has no line from its beginning on.
    fn before(end: Place, last: &[u8]) -> Option<Known> {
        let newlines = memchr::memchr_iter(b'\n', last).count() as u64;
        let (first, start) = match end.part.checked_sub(newlines)? {
            0 if last.len() < LAST_BYTES => (0, 0),
            first => (first + 1, memchr::memchr(b'\n', last)? + 1),
        };
        Some(Known { text: last[start..].to_vec(), first, line: first, start: 0 })
    }

    /// Whether an entry of the log at this place is what came; also where that cannot be told, as where bytes are no UTF-8.
    fn has(&mut self, at: Place, entry: &[u8]) -> bool {
        while self.line < at.part {
            let Some(end) = memchr::memchr(b'\n', &self.text[self.start..]) else { return true };
            (self.line, self.start) = (self.line + 1, self.start + end + 1);
        }
        let (rest, entry) = (&self.text[self.start..], entry.strip_suffix(b"\n").unwrap_or(entry));
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        if self.line > at.part || at.offset > 0 || line.len() >= TEXT_BYTES_MAX || std::str::from_utf8(line).is_err() {
            return true;
        }
        line == entry || (end.is_none() && entry.starts_with(line))
    }
}

impl Count {
    /// Whether this entry of the log, which is to be taken next, stands where another line came. It is new then, with all that
    /// follows it. If so, whether that may be true already of what was left out.
    fn begin_anew(&mut self, entry: &[u8]) -> Option<bool> {
        let known = self.known.as_mut().filter(|_| self.at < self.done)?;
        if known.has(self.at, entry) {
            return None;
        }
        let is_doubtful = known.first > 0 && self.at.part == known.first;
        (self.done, self.known) = (self.at, None);
        Some(is_doubtful)
    }

    /// Takes bytes of one line, with its newline or without.
    fn take(&mut self, stream: Stream, origin_time_ns: Option<i64>, bytes: &[u8], into: &mut Delivery) {
        let Place { part, offset } = self.at;
        let end = Place { part, offset: offset + bytes.len() as u64 };
        let old = if end <= self.done { bytes.len() as u64 } else { self.left_out() };
        self.at = end;
        self.done = self.done.max(end);
        let new = &bytes[bytes.len().min(old as usize)..];
        if !new.is_empty() {
            into.bytes.extend_from_slice(new);
            let len = u32::try_from(new.len()).unwrap_or(u32::MAX);
            into.pieces.push(Piece { stream, len, origin_time_ns, at: Place { part, offset: offset + old } });
        }
    }

    /// How many of the next bytes of this line are handed over.
    fn left_out(&self) -> u64 {
        match self.done.part == self.at.part {
            true => self.done.offset.saturating_sub(self.at.offset),
            false => 0,
        }
    }

    fn end_line(&mut self) {
        self.at = Place { part: self.at.part + 1, offset: 0 };
        self.done = self.done.max(self.at);
    }
}

/// The place behind all that is in records.
fn taken(stream: &StreamPlace) -> Place {
    let StreamPlace { at, skip, in_line, .. } = *stream;
    match (skip, in_line) {
        (0, _) => at,
        (_, true) => Place { offset: at.offset + u64::from(skip), ..at },
        // A piece is of one line, and that line has ended.
        (_, false) => Place { part: at.part + 1, offset: 0 },
    }
}

/// The same place, so that pieces that are cut otherwise are known by it.
pub(super) fn normal(reached: &Reached) -> Reached {
    let normal = |stream: &StreamPlace| StreamPlace { at: taken(stream), skip: 0, ..*stream };
    Reached { stdout: normal(&reached.stdout), stderr: normal(&reached.stderr) }
}

/// How large a log may be that surely begins with its container's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It always does.
    Kept,
    /// While it has not more bytes than this: its first file goes when the last one is full.
    KeptUpTo(u64),
    /// Nobody knows.
    Unknown,
}

/// When the log of a container loses its beginning.
pub(super) fn beginning(container: &Container) -> Beginning {
    let option = |name| container.log_options.get(name).map(String::as_str);
    let (bytes, files) = match (container.log_driver.as_str(), option("max-size")) {
        ("json-file", None | Some("-1")) => return Beginning::Kept,
        ("json-file", Some(size)) => (size, option("max-file").unwrap_or("1")),
        ("local", size) => (size.unwrap_or("20m"), option("max-file").unwrap_or("5")),
        _ => return Beginning::Unknown,
    };
    let kept = bytes_of(bytes).zip(files.parse::<u64>().ok());
    let kept = kept.and_then(|(bytes, files)| bytes.checked_mul(files.saturating_sub(1)));
    // The half of it, for it goes on being written.
    kept.map_or(Beginning::Unknown, |kept| Beginning::KeptUpTo(kept / 2))
}

/// The size at which the engine rotates the log of a container, if it does.
pub(super) fn file_bytes_max(container: &Container) -> Option<u64> {
    container.log_options.get("max-size").and_then(|size| bytes_of(size))
}

/// The most bytes that an entry of so much text takes in a log file, with what stands around it; in JSON all may be escaped.
pub(super) fn entry_bytes_max(container: &Container, text_bytes: usize) -> u64 {
    let each = if container.log_driver == "local" { 1 } else { 6 };
    each * text_bytes as u64 + 150
}

/// Reads a size as the engine does: `10m`, `1g`, `512k`, bytes.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.trim_end_matches('b').trim_end_matches('i');
    let (number, shift) = match text.char_indices().next_back()? {
        (at, 'k') => (&text[..at], 10),
        (at, 'm') => (&text[..at], 20),
        (at, 'g') => (&text[..at], 30),
        _ => (text, 0),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// What is delivered on a stream.
    fn text(deliveries: &[Delivery], stream: Stream) -> Vec<u8> {
        let mut out = Vec::new();
        for delivery in deliveries {
            let mut at = 0;
            for piece in &delivery.pieces {
                let end = at + piece.len as usize;
                if piece.stream == stream {
                    out.extend_from_slice(&delivery.bytes[at..end]);
                }
                at = end;
            }
        }
        out
    }

    /// The entries that an engine makes of what is printed: whole lines, and pieces of long ones.
    fn entries(printed: &[u8]) -> Vec<&[u8]> {
        printed.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(TEXT_BYTES_MAX)).collect()
    }

    fn reached(at: (u64, u64), skip: u32, in_line: bool) -> StreamPlace {
        StreamPlace { at: Place { part: at.0, offset: at.1 }, skip, in_line, ..StreamPlace::default() }
    }

    #[test]
    fn the_place_is_behind_what_is_in_records() {
        let taken = |at, skip, in_line| {
            let place = taken(&reached(at, skip, in_line));
            (place.part, place.offset)
        };
        assert_eq!(taken((3, 5), 0, false), (3, 5), "nothing of the piece");
        assert_eq!(taken((3, 5), 4, true), (3, 9), "the beginning of a line");
        assert_eq!(taken((3, 5), 4, false), (4, 0), "a whole line");
    }

    #[test]
    fn a_newline_that_a_log_has_dropped_is_counted() {
        let (mut counter, mut delivery) = (Counter::default(), Delivery::default());
        for text in [&[b'x'; TEXT_BYTES_MAX][..], b"the rest, of which local drops the newline", b"next\n"] {
            counter.push_entry(Stream::Stdout, None, text, &mut delivery);
        }
        assert_eq!(counter.streams[0].at, Place { part: 2, offset: 0 });
    }

    #[test]
    fn it_is_known_for_how_long_a_log_has_its_beginning() {
        let of = |driver: &str, options: &[(&str, &str)]| {
            let log_options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            beginning(&Container { log_driver: driver.to_owned(), log_options, ..Container::default() })
        };
        assert_eq!(of("json-file", &[]), Beginning::Kept);
        assert_eq!(of("json-file", &[("max-size", "10m")]), Beginning::KeptUpTo(0));
        assert_eq!(of("json-file", &[("max-size", "8kB"), ("max-file", "3")]), Beginning::KeptUpTo(8 << 10));
        assert_eq!(of("local", &[]), Beginning::KeptUpTo(40 << 20));
        assert_eq!(of("local", &[("max-size", "many")]), Beginning::Unknown);
        assert_eq!(of("local", &[("max-size", "1g"), ("max-file", "99999999999")]), Beginning::Unknown);
        assert_eq!(of("journald", &[]), Beginning::Unknown);
    }

    /// What is delivered of a log with these lines where `came` came before, of which `last` is remembered; and whether there is doubt.
    fn after(came: &str, last: &str, log: &str) -> (String, Option<bool>) {
        let mut attached = Counter::default();
        attached.push(Stream::Stdout, None, came.as_bytes(), &mut Delivery::default());
        let last = [last.as_bytes().to_vec(), Vec::new()];
        let mut again = Counter::again(&attached.reached(), Some(&last));
        let mut entries = Delivery::default();
        for entry in self::entries(log.as_bytes()) {
            entries.bytes.extend_from_slice(entry);
            let len = entry.len() as u32;
            entries.pieces.push(Piece { stream: Stream::Stdout, len, origin_time_ns: None, at: Place::default() });
        }
        let (mut delivered, mut doubt, mut last_at) = (Vec::new(), None, None);
        for placed in again.place(&entries) {
            match placed {
                Placed::Delivery(delivery) => {
                    assert!(delivery.pieces.iter().all(|piece| Some(piece.at) > last_at || last_at.is_none()));
                    last_at = delivery.pieces.last().map(|piece| piece.at);
                    delivered.push(delivery);
                }
                Placed::Anew { is_doubtful, .. } => (doubt, last_at) = (Some(is_doubtful), None),
            }
        }
        assert_eq!(
            again.reached().stdout.at.part,
            log.matches('\n').count().max(again.streams[0].at.part as usize) as u64
        );
        (String::from_utf8(text(&delivered, Stream::Stdout)).unwrap(), doubt)
    }

    #[test]
    fn what_a_log_has_in_the_place_of_lines_that_came_is_new() {
        let came = "a\nb\nc\nd\n";
        assert_eq!(after(came, came, "a\nb\nc\nd\ne\n"), ("e\n".to_owned(), None), "all is in the log");
        assert_eq!(after(came, came, "a\nb\nx\ny\nz\n"), ("x\ny\nz\n".to_owned(), Some(false)));
        assert_eq!(after(came, "b\nc\nd\n", "a\nb\nx\n"), ("x\n".to_owned(), Some(true)), "b may be another");
        assert_eq!(after(came, "c\nd\n", "a\nb\nc\nx\n"), ("x\n".to_owned(), Some(true)));
        assert_eq!(after("a\nbc", "a\nbc", "a\nbcd\n"), ("d\n".to_owned(), None), "the rest of a line");
        assert_eq!(after("a\nbc", "a\nbc", "a\nx\n"), ("x\n".to_owned(), Some(false)));
    }

    proptest! {
        #[test]
        fn what_attaching_has_not_given_comes_from_the_log_and_nothing_twice(
            lens in vec(prop_oneof![0_usize..6, Just(16_383), Just(16_384), Just(40_000)], 1..12),
            ends in any::<bool>(), cut in any::<prop::sample::Index>(), chunk in prop_oneof![1_usize..9, Just(30_000)],
        ) {
            let mut printed: Vec<u8> = lens.iter().zip(b'a'..).flat_map(|(len, letter)| {
                vec![letter; *len].into_iter().chain([b'\n'])
            }).collect();
            if ends { printed.extend_from_slice(b"last"); }
            let cut = cut.index(printed.len() + 1);
            let (mut attached, mut first) = (Counter::default(), Delivery::default());
            for bytes in printed[..cut].chunks(chunk) {
                attached.push(Stream::Stdout, None, bytes, &mut first);
                attached.push(Stream::Stderr, None, b"other\n", &mut first);
            }
            let mut places: Vec<Place> =
                first.pieces.iter().filter(|piece| piece.stream == Stream::Stdout).map(|piece| piece.at).collect();
            let (mut again, mut second) = (Counter::again(&attached.reached(), None), Delivery::default());
            for entry in entries(&printed) {
                again.push_entry(Stream::Stdout, Some(1), entry, &mut second);
            }
            places.extend(second.pieces.iter().map(|piece| piece.at));
            prop_assert!(places.is_sorted_by(|one, next| one < next), "{:?}", places);
            prop_assert_eq!(text(&[first, second], Stream::Stdout), printed);
        }
    }
}

//! What the logs API sends, as pieces that know their place.
//!
//! Each entry begins with a time stamp. It is the only thing by which an entry can be asked for again, so places are time
//! stamps; the pieces of a line over 16 KiB share one, and are counted. Each stream has its own place, for the order of one
//! stream against the other is not that of the stamps. No I/O: the caller reads frames and pushes them.

use logboom_record::{Stream, Time};

use super::jsonfile::Days;
use crate::{
    engine::{Frame, Framing},
    services::feed::{Delivery, Piece, Place, Reached, StreamPlace},
};

/// The longest entry that is taken for one; engines write 16 KiB and the time stamp.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// How much text an engine puts into one entry, behind which the next follows without a newline where there are no frames.
const TEXT_BYTES_MAX: usize = 16_384;

/// The longest time stamp, with the blank behind it.
const STAMP_BYTES_MAX: usize = 40;

/// How far before the newest entry the other stream's next one may be.
const DISORDER_NS: u64 = 60_000_000_000;

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

/// Turns the frames of one request into deliveries.
#[derive(Debug)]
pub struct Entries {
    framing: Framing,
    from: Reached,
    days: Days,
    streams: [OneStream; 2],
    newest_ns: u64,
}

#[derive(Debug, Default)]
struct OneStream {
    /// The beginning of an entry whose end has not come.
    partial: Vec<u8>,
    /// The place of the next entry if its stamp is that of the last.
    next: Place,
}

impl Entries {
    /// Of a request for what follows `from`, see [`since_ns`].
    pub fn new(framing: Framing, from: Reached) -> Entries {
        Entries { framing, from, days: Days::default(), streams: Default::default(), newest_ns: 0 }
    }

    /// From where to ask again so that what was pushed does not come again, or is known by its place.
    pub fn reached(&self) -> Reached {
        let mut reached = self.from;
        for (place, stream) in [&mut reached.stdout, &mut reached.stderr].into_iter().zip(&self.streams) {
            if stream.next > place.at {
                *place = StreamPlace { at: stream.next, ..StreamPlace::default() };
            }
        }
        reached
    }

    /// Takes a frame; what is an entry by now is added to the delivery, unless it is in records already.
    ///
    /// # Errors
    /// [`BadEntry`]; what the delivery has got is good.
    pub fn push(&mut self, frame: &Frame<'_>, into: &mut Delivery) -> Result<(), BadEntry> {
        let at = usize::from(frame.stream == Stream::Stderr);
        if frame.starts && frame.ends {
            return self.entry(frame.stream, frame.bytes, into);
        }
        let mut partial = std::mem::take(&mut self.streams[at].partial);
        partial.extend_from_slice(frame.bytes);
        let done = match self.framing {
            Framing::Raw => self.raw_entries(&partial, into)?,
            _ if frame.ends => self.entry(frame.stream, &partial, into).map(|()| partial.len())?,
            _ => 0,
        };
        partial.drain(..done);
        match partial.len() {
            ..=ENTRY_BYTES_MAX => self.streams[at].partial = partial,
            _ => return Err(BadEntry::TooLarge),
        }
        Ok(())
    }

    /// Takes the whole entries at the beginning; tells how many bytes they are. Without frames an entry ends with a newline, or
    /// where it is full.
    fn raw_entries(&mut self, bytes: &[u8], into: &mut Delivery) -> Result<usize, BadEntry> {
        let mut done = 0;
        while let Some(len) = raw_entry(&bytes[done..])? {
            self.entry(Stream::Stdout, &bytes[done..done + len], into)?;
            done += len;
        }
        Ok(done)
    }

    fn entry(&mut self, stream: Stream, entry: &[u8], into: &mut Delivery) -> Result<(), BadEntry> {
        let blank = memchr::memchr(b' ', &entry[..entry.len().min(STAMP_BYTES_MAX)]).ok_or(BadEntry::NoStamp)?;
        let stamp = self.days.utc(&entry[..blank]).or_else(|| self.days.any(&entry[..blank]));
        let stamp_ns = stamp.ok_or(BadEntry::NoStamp)?;
        let next = &mut self.streams[usize::from(stream == Stream::Stderr)].next;
        // An entry with an earlier stamp is one that came before: engines repeat entries where a log rotates while it is followed.
        let part = u64::try_from(stamp_ns).unwrap_or(0);
        let at = if next.part == part { *next } else { Place { part, offset: 0 } };
        *next = Place { offset: at.offset + 1, ..at };
        self.newest_ns = self.newest_ns.max(part);
        self.deliver(stream, stamp_ns, at, &entry[blank + 1..], into);
        Ok(())
    }

    fn deliver(&mut self, stream: Stream, stamp_ns: i64, at: Place, text: &[u8], into: &mut Delivery) {
        if at < self.from.of(stream).at {
            return;
        }
        into.bytes.extend_from_slice(text);
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        into.pieces.push(Piece { stream, len, origin_time_ns: Some(stamp_ns), at });
        into.reached = Place { part: self.newest_ns.saturating_sub(DISORDER_NS), offset: 0 };
    }
}

/// How long the first entry is; `None` if its end has not come.
fn raw_entry(bytes: &[u8]) -> Result<Option<usize>, BadEntry> {
    let blank = match memchr::memchr(b' ', &bytes[..bytes.len().min(STAMP_BYTES_MAX)]) {
        Some(blank) => blank,
        None if bytes.len() < STAMP_BYTES_MAX => return Ok(None),
        None => return Err(BadEntry::NoStamp),
    };
    let text = &bytes[blank + 1..];
    let full = text.len().min(TEXT_BYTES_MAX);
    let end = memchr::memchr(b'\n', &text[..full]).map(|end| end + 1);
    Ok(end.or((full == TEXT_BYTES_MAX).then_some(full)).map(|len| blank + 1 + len))
}

/// From which time on to ask so that nothing is missed that is not in records.
pub fn since_ns(from: &Reached) -> Option<i64> {
    let [low, high] = {
        let (out, err) = (from.stdout.at.part, from.stderr.at.part);
        [out.min(err), out.max(err)]
    };
    // A stream that has been silent for long is no reason to read all of the log again.
    let since = low.max(high.saturating_sub(DISORDER_NS));
    i64::try_from(since).ok().filter(|since| *since > 0)
}

/// A delivery of what was read now.
pub fn delivery(now: Time) -> Delivery {
    Delivery { time: now, ..Delivery::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn a_silent_stream_does_not_have_the_whole_log_read_again() {
        let at = |second| StreamPlace { at: Place { part: ns(second), offset: 3 }, ..StreamPlace::default() };
        let since = |stdout, stderr| since_ns(&Reached { stdout, stderr });
        assert_eq!(since(StreamPlace::default(), StreamPlace::default()), None);
        assert_eq!(since(at(0), at(30)), Some(ns(0) as i64));
        assert_eq!(since(at(100), StreamPlace::default()), Some(ns(40) as i64));
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
            let got: Vec<Vec<u8>> = texts(&delivery).into_iter().map(|(_, _, text)| text.into_bytes()).collect();
            prop_assert_eq!(got, want);
        }
    }
}

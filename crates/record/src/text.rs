//! One record as one line of a text log, and back.
//!
//! `2026-01-02T03:04:05.123456Z O I message`: columns are fixed, the message starts at byte [`PREFIX_BYTES`]. The stream
//! letter is lower case where no newline follows what was printed. A message that itself holds newlines goes on in
//! lines whose stream letter is `+`, and a gap is a line whose stream letter is `-`. Bytes of the message are never
//! changed, so every codec round trip is exact but for what the text has no column for: seq (the line's number),
//! fields, origin time, [`Flags::LEVEL_GUESSED`].

use crate::{Flags, Gap, Level, RecordRef, Stream, Time};

/// How many bytes stand before the message.
pub const PREFIX_BYTES: usize = Time::RFC3339_BYTES + 5;

/// Where the stream letter stands in a line.
pub const STREAM_AT: usize = Time::RFC3339_BYTES + 1;
const LEVEL_AT: usize = STREAM_AT + 2;

/// The stream letter of a line that goes on with a message.
const MORE_LETTER: u8 = b'+';
/// The stream letter of a gap: no record has it, whatever its message says.
pub const GAP_LETTER: u8 = b'-';

/// The start of a text line. Made once for all the lines of one read(2): only two letters differ between them.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    time: Time,
}

impl Prefix {
    /// The prefix of the lines that were read at `time`.
    pub fn new(time: Time) -> Prefix {
        let mut bytes = *b"2026-01-02T03:04:05.123456Z O I ";
        let mut stamp = [0; Time::RFC3339_BYTES];
        time.write_rfc3339(&mut stamp);
        bytes[..Time::RFC3339_BYTES].copy_from_slice(&stamp);
        Prefix { bytes, time }
    }

    /// Goes on with lines of another time. Within a second only the microseconds are written anew.
    #[inline]
    pub fn set_time(&mut self, time: Time) {
        let second = |time: Time| time.as_micros().div_euclid(1_000_000);
        if self.time == time {
            return;
        }
        if second(self.time) != second(time) {
            *self = Prefix::new(time);
            return;
        }
        self.time = time;
        let micros = time.as_micros().rem_euclid(1_000_000) as u32;
        for (at, pair) in [micros / 10_000, micros / 100 % 100, micros % 100].into_iter().enumerate() {
            self.bytes[20 + 2 * at] = b'0' + (pair / 10) as u8;
            self.bytes[21 + 2 * at] = b'0' + (pair % 10) as u8;
        }
    }

    /// The time of the lines.
    pub fn time(&self) -> Time {
        self.time
    }

    /// Appends the text line, or lines, of one record.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, stream: Stream, level: Level, flags: Flags, message: &[u8]) {
        if memchr::memchr(b'\n', message).is_some() {
            self.set_letters(stream, level, flags);
            return self.push_lines(out, message);
        }
        self.push_single(out, stream, level, flags, message);
    }

    /// The same for a message that is known to hold no newline, as one from a splitter.
    #[inline]
    pub fn push_single(&mut self, out: &mut Vec<u8>, stream: Stream, level: Level, flags: Flags, message: &[u8]) {
        self.set_letters(stream, level, flags);
        out.reserve(PREFIX_BYTES + message.len() + 1);
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(message);
        out.push(b'\n');
    }

    #[inline]
    fn set_letters(&mut self, stream: Stream, level: Level, flags: Flags) {
        let case = if flags.ends_line_with_newline() { 0 } else { 0x20 };
        self.bytes[STREAM_AT] = stream.letter() | case;
        self.bytes[LEVEL_AT] = level.letter();
    }

    #[cold]
    fn push_lines(&mut self, out: &mut Vec<u8>, message: &[u8]) {
        for part in message.split(|byte| *byte == b'\n') {
            out.extend_from_slice(&self.bytes);
            out.extend_from_slice(part);
            out.push(b'\n');
            self.bytes[STREAM_AT] = MORE_LETTER;
        }
    }
}

/// Appends the text line, or lines, of one record.
pub fn push_record(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    Prefix::new(record.time).push(out, record.stream, record.level, record.flags, record.message);
}

/// Appends the text line of a gap: `… - W lost seq 10-20: disk full`, or `lost seq 10-: …` where its end is unknown.
pub fn push_gap(out: &mut Vec<u8>, gap: &Gap) {
    let to = gap.to.map(|to| to.to_string()).unwrap_or_default();
    let mut prefix = Prefix::new(gap.time);
    prefix.bytes[STREAM_AT] = GAP_LETTER;
    prefix.bytes[LEVEL_AT] = Level::Warn.letter();
    out.extend_from_slice(&prefix.bytes);
    out.extend_from_slice(format!("lost seq {}-{to}: {}\n", gap.from, gap.why.replace('\n', " ")).as_bytes());
}

/// The largest seq that a file is believed that gives it in words: no run comes near it, and whoever counts on from it does not
/// overflow.
pub const SEQ_MAX: u64 = 1 << 62;

/// What a gap line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapText {
    /// When the first of its records was read.
    pub time: Time,
    /// The seq of the first lost record.
    pub from: u64,
    /// The seq of the last, where it is known.
    pub to: Option<u64>,
    /// Why.
    pub why: String,
}

impl GapText {
    /// Takes a line (without its newline) apart; `None` if it is not a gap's.
    pub fn parse(line: &[u8]) -> Option<GapText> {
        let (prefix, message) = line.split_at_checked(PREFIX_BYTES)?;
        if prefix[Time::RFC3339_BYTES..] != *b" - W " {
            return None;
        }
        let time = parse_stamp(&prefix[..Time::RFC3339_BYTES])?;
        let (range, why) = std::str::from_utf8(message).ok()?.strip_prefix("lost seq ")?.split_once(": ")?;
        let (from, to) = range.split_once('-')?;
        let seq = |text: &str| text.parse().ok().filter(|seq| *seq <= SEQ_MAX);
        let from = seq(from)?;
        let to = if to.is_empty() { None } else { Some(seq(to)?) };
        to.is_none_or(|to| to >= from).then(|| GapText { time, from, to, why: why.to_owned() })
    }
}

/// One line of a record in a text log, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLine<'a> {
    /// When the record was read.
    pub time: Time,
    /// Where it was printed; `None` for a `+` line, which goes on with the message above after a newline.
    pub stream: Option<Stream>,
    /// How serious it is.
    pub level: Level,
    /// Whether no newline follows: the record is continued, or the last of its stream.
    pub open: bool,
    /// The bytes after the prefix.
    pub message: &'a [u8],
}

impl<'a> TextLine<'a> {
    /// Takes a line (without its newline) apart; `None` if it is not a text line of ours, as one torn by a crash.
    pub fn parse(line: &'a [u8]) -> Option<TextLine<'a>> {
        let (prefix, message) = line.split_at_checked(PREFIX_BYTES)?;
        if prefix[27] != b' ' || prefix[29] != b' ' || prefix[31] != b' ' {
            return None;
        }
        let stream = match prefix[STREAM_AT].to_ascii_uppercase() {
            b'O' => Some(Stream::Stdout),
            b'E' => Some(Stream::Stderr),
            b'S' => Some(Stream::System),
            MORE_LETTER => None,
            _ => return None,
        };
        let level = Level::ALL.into_iter().find(|level| level.letter() == prefix[LEVEL_AT])?;
        let time = parse_stamp(&prefix[..Time::RFC3339_BYTES])?;
        Some(TextLine { time, stream, level, open: prefix[STREAM_AT].is_ascii_lowercase(), message })
    }
}

/// Reads `2026-01-02T03:04:05.123456Z` and no other shape.
fn parse_stamp(stamp: &[u8]) -> Option<Time> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        stamp[range].iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if marks.iter().any(|(at, mark)| stamp[*at] != *mark) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, micros) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..26)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Time::from_micros(seconds * 1_000_000 + micros))
}

/// Days since 1970 of a date: the inverse of the algorithm in [`Time::write_rfc3339`], of the same source.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(flags: Flags, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let at: Time = "2026-01-02T03:04:05.123456Z".parse().unwrap();
        Prefix::new(at).push(&mut out, Stream::Stdout, Level::Info, flags, message);
        out
    }

    #[test]
    fn a_line_has_fixed_columns() {
        assert_eq!(line(Flags::NONE, b"hello"), b"2026-01-02T03:04:05.123456Z O I hello\n");
        assert_eq!(line(Flags::CONTINUED, b"hel"), b"2026-01-02T03:04:05.123456Z o I hel\n");
    }

    #[test]
    fn inner_newlines_go_on_in_plus_lines() {
        let text = line(Flags::NONE, b"a\nb");
        assert_eq!(text, b"2026-01-02T03:04:05.123456Z O I a\n2026-01-02T03:04:05.123456Z + I b\n");
    }

    #[test]
    fn a_gap_line_is_read_back() {
        let at = Time::from_micros(0);
        let run = crate::RunId::from_bytes([0; 16]);
        let mut out = Vec::new();
        push_gap(&mut out, &Gap { run, from: 10, to: Some(20), time: at, why: "disk full".into() });
        assert_eq!(out, b"1970-01-01T00:00:00.000000Z - W lost seq 10-20: disk full\n");
        let line = out.trim_ascii_end();
        assert_eq!(TextLine::parse(line), None, "it is no record's");
        let gap = GapText::parse(line).unwrap();
        assert_eq!(gap, GapText { time: at, from: 10, to: Some(20), why: "disk full".into() });
    }

    #[test]
    fn no_record_is_a_gap_whatever_its_message_says() {
        for (stream, level) in Stream::ALL.into_iter().flat_map(|stream| Level::ALL.map(|level| (stream, level))) {
            for flags in [Flags::NONE, Flags::CONTINUED] {
                let (mut out, time) = (Vec::new(), Time::from_micros(0));
                Prefix::new(time).push(&mut out, stream, level, flags, b"lost seq 2-9: x\nlost seq 2-9: x");
                for line in out.trim_ascii_end().split(|byte| *byte == b'\n') {
                    assert_eq!(GapText::parse(line), None, "{}", String::from_utf8_lossy(line));
                    assert_eq!(TextLine::parse(line).unwrap().message, b"lost seq 2-9: x");
                }
            }
        }
    }

    #[test]
    fn seqs_that_no_run_has_are_no_gap() {
        let gap =
            |range: &str| GapText::parse(format!("1970-01-01T00:00:00.000000Z - W lost seq {range}: x").as_bytes());
        assert!(gap("2-9").is_some() && gap("2-").is_some());
        for range in ["2-18446744073709551615", "18446744073709551615-", "9-2", "-9", "x-"] {
            assert_eq!(gap(range), None, "{range}");
        }
    }

    #[test]
    fn torn_and_foreign_lines_are_refused() {
        let whole = line(Flags::NONE, b"");
        (0..PREFIX_BYTES).for_each(|end| assert_eq!(TextLine::parse(&whole[..end]), None));
        assert_eq!(TextLine::parse(b"2026-13-02T03:04:05.123456Z O I x"), None);
        assert_eq!(TextLine::parse(b"2026-01-02T03:04:05.123456Z Q I x"), None);
    }

    proptest! {
        #[test]
        fn any_message_comes_back(
            message in proptest::collection::vec(any::<u8>(), 0..200), micros in 0i64..253_402_207_200_999_999,
            stream in 0u8..3, level in 0usize..5, flags in 0u8..3,
        ) {
            let (time, stream, level) = (Time::from_micros(micros), Stream::from_u8(stream).unwrap(), Level::ALL[level]);
            let flags = Flags::from_bits(flags).unwrap();
            let mut out = Vec::new();
            Prefix::new(time).push(&mut out, stream, level, flags, &message);
            let lines: Vec<_> = out[..out.len() - 1].split(|b| *b == b'\n').map(|l| TextLine::parse(l).unwrap()).collect();
            let back: Vec<_> = lines.iter().map(|l| l.message).collect();
            prop_assert_eq!(back.join(&b'\n'), message);
            prop_assert_eq!((lines[0].time, lines[0].stream, lines[0].level), (time, Some(stream), level));
            prop_assert_eq!(lines[0].open, !flags.ends_line_with_newline());
            prop_assert!(lines[1..].iter().all(|l| l.stream.is_none()));
        }
    }
}

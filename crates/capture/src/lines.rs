//! Turns the bytes of a stream into the parts of lines.
//!
//! A chunk may end anywhere: inside a line, inside a character, between `\r` and `\n`. [`Splitter`] keeps the unfinished
//! end and hands out whole lines as slices of the chunk itself wherever it can, so that the common case copies nothing.
//! A line over [`RECORD_BYTES_MAX`] comes in parts, all but the last flagged as continued. No I/O and no clock: the
//! caller says when the bytes came and when an unfinished line has waited long enough.

use logboom_record::{Flags, RECORD_BYTES_MAX, Time};

/// A line, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a, T = Time> {
    /// When its first byte was read, and what else the caller notes of it.
    pub time: T,
    /// Its bytes, without the newline.
    pub message: &'a [u8],
    /// [`Flags::CONTINUED`], [`Flags::NO_NEWLINE`] or none.
    pub flags: Flags,
    /// Whether a line starts here, so that its head can tell the level.
    pub starts_line: bool,
}

/// The lines of one stream. Bytes go in by [`Splitter::push`], parts come out by the closure.
#[derive(Debug, Default)]
pub struct Splitter<T = Time> {
    unfinished: Vec<u8>,
    unfinished_since: T,
    in_line: bool,
}

impl<T: Copy> Splitter<T> {
    /// Goes on at `time` with a stream of which others have taken all bytes so far: in the middle of a line, or not.
    pub fn going_on(in_line: bool, time: T) -> Splitter<T> {
        Splitter { unfinished: Vec::new(), unfinished_since: time, in_line }
    }

    /// Takes the bytes of one read(2), which returned at `time`.
    pub fn push(&mut self, bytes: &[u8], time: T, mut part: impl FnMut(Part<'_, T>)) {
        let mut rest = bytes;
        if !self.unfinished.is_empty() {
            rest = self.finish_line(rest, time, &mut part);
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', rest) {
            self.hand_out(&rest[start..end], time, Flags::NONE, &mut part);
            start = end + 1;
        }
        self.keep(&rest[start..], time, &mut part);
    }

    /// When the first byte was read that no part has carried yet; `None` if there is no such byte.
    pub fn unfinished_since(&self) -> Option<T> {
        (!self.unfinished.is_empty()).then_some(self.unfinished_since)
    }

    /// The beginning of a line of which no part has been handed out, as far as it has come.
    pub fn begun(&self) -> &[u8] {
        if self.in_line { &[] } else { &self.unfinished }
    }

    /// Hands out what there is of an unfinished line, as a part that is continued.
    pub fn hand_out_unfinished(&mut self, mut part: impl FnMut(Part<'_, T>)) {
        if self.unfinished_since().is_some() {
            self.hand_out_kept(Flags::CONTINUED, &mut part);
        }
    }

    /// The stream has ended: hands out what is left. A line of which parts were handed out gets its end even if nothing is
    /// left, as an empty part.
    pub fn finish(&mut self, mut part: impl FnMut(Part<'_, T>)) {
        if self.unfinished_since().is_some() || self.in_line {
            self.hand_out_kept(Flags::NO_NEWLINE, &mut part);
        }
    }

    /// Adds to the kept bytes up to the newline; gives what follows it.
    fn finish_line<'a>(&mut self, bytes: &'a [u8], time: T, part: &mut impl FnMut(Part<'_, T>)) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes, time, part);
            return &[];
        };
        self.keep(&bytes[..end], time, part);
        self.hand_out_kept(Flags::NONE, part);
        &bytes[end + 1..]
    }

    /// Keeps bytes without a newline, handing out parts wherever the longest record is full.
    fn keep(&mut self, mut bytes: &[u8], time: T, part: &mut impl FnMut(Part<'_, T>)) {
        while self.unfinished.len() + bytes.len() > RECORD_BYTES_MAX {
            let (now, later) = bytes.split_at(RECORD_BYTES_MAX - self.unfinished.len());
            self.keep_some(now, time);
            self.hand_out_kept(Flags::CONTINUED, part);
            bytes = later;
        }
        self.keep_some(bytes, time);
    }

    fn keep_some(&mut self, bytes: &[u8], time: T) {
        if self.unfinished.is_empty() {
            self.unfinished_since = time;
        }
        self.unfinished.extend_from_slice(bytes);
    }

    fn hand_out_kept(&mut self, flags: Flags, part: &mut impl FnMut(Part<'_, T>)) {
        let kept = std::mem::take(&mut self.unfinished);
        let time = self.unfinished_since;
        self.hand_out_part(&kept, time, flags, part);
        self.unfinished = kept;
        self.unfinished.clear();
    }

    /// Hands out a line that lies whole in the chunk.
    #[inline]
    fn hand_out(&mut self, line: &[u8], time: T, flags: Flags, part: &mut impl FnMut(Part<'_, T>)) {
        if line.len() > RECORD_BYTES_MAX {
            self.keep(line, time, part);
            return self.hand_out_kept(flags, part);
        }
        self.hand_out_part(line, time, flags, part);
    }

    #[inline]
    fn hand_out_part(&mut self, message: &[u8], time: T, flags: Flags, part: &mut impl FnMut(Part<'_, T>)) {
        let starts_line = !self.in_line;
        self.in_line = flags.has(Flags::CONTINUED);
        part(Part { time, message, flags, starts_line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, Flags, bool)> {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        let mut take = |part: Part<'_>| out.push((part.message.to_vec(), part.flags, part.starts_line));
        chunks.iter().for_each(|chunk| splitter.push(chunk, Time::from_micros(0), &mut take));
        splitter.finish(&mut take);
        out
    }

    fn joined(parts: &[(Vec<u8>, Flags, bool)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (message, flags, _) in parts {
            out.extend_from_slice(message);
            out.extend(flags.ends_line_with_newline().then_some(b'\n'));
        }
        out
    }

    #[test]
    fn a_line_may_come_in_many_chunks() {
        let want = [(b"one".to_vec(), Flags::NONE, true), (b"two".to_vec(), Flags::NO_NEWLINE, true)];
        assert_eq!(split(&[b"o", b"ne\ntw", b"", b"o"]), want);
    }

    #[test]
    fn a_line_of_just_the_longest_record_is_one_part() {
        let mut line = vec![b'x'; RECORD_BYTES_MAX];
        line.push(b'\n');
        assert_eq!(split(&[&line]).len(), 1);
        assert_eq!(split(&[&line[..RECORD_BYTES_MAX], &line[RECORD_BYTES_MAX..]]).len(), 1);
    }

    #[test]
    fn a_longer_line_comes_in_parts() {
        let mut line = vec![b'x'; 2 * RECORD_BYTES_MAX + 1];
        line.push(b'\n');
        let shape: Vec<_> = split(&[&line]).iter().map(|(m, flags, starts)| (m.len(), *flags, *starts)).collect();
        let (max, more) = (RECORD_BYTES_MAX, Flags::CONTINUED);
        assert_eq!(shape, [(max, more, true), (max, more, false), (1, Flags::NONE, false)]);
    }

    #[test]
    fn an_unfinished_line_can_be_taken_early_and_still_gets_its_end() {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        let mut take = |part: Part<'_>| out.push((part.message.to_vec(), part.flags, part.time.as_micros()));
        splitter.push(b"Name? ", Time::from_micros(7), &mut take);
        splitter.hand_out_unfinished(&mut take);
        splitter.hand_out_unfinished(&mut take);
        splitter.finish(&mut take);
        assert_eq!(out, [(b"Name? ".to_vec(), Flags::CONTINUED, 7), (vec![], Flags::NO_NEWLINE, 7)]);
    }

    #[test]
    fn a_line_that_others_began_gets_its_end() {
        for (in_line, want) in [(true, Some(false)), (false, None)] {
            let (mut splitter, mut end) = (Splitter::going_on(in_line, Time::from_micros(7)), None);
            splitter.finish(|part| end = Some((part.time.as_micros(), part.starts_line)));
            assert_eq!(end, want.map(|starts| (7, starts)));
        }
    }

    #[test]
    fn a_part_has_the_time_of_its_first_byte() {
        let (mut splitter, mut times) = (Splitter::default(), Vec::new());
        splitter.push(b"a\nb", Time::from_micros(1), |part| times.push(part.time.as_micros()));
        splitter.push(b"b\nc\n", Time::from_micros(2), |part| times.push(part.time.as_micros()));
        assert_eq!(times, [1, 1, 2]);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_come_back(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400),
            cuts in proptest::collection::vec(0usize..400, 0..20),
            early in any::<bool>(),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (mut splitter, mut parts) = (Splitter::default(), Vec::new());
            let mut take = |part: Part<'_>| parts.push((part.message.to_vec(), part.flags, part.starts_line));
            for pair in cuts.windows(2) {
                splitter.push(&bytes[pair[0]..pair[1]], Time::from_micros(0), &mut take);
                if early { splitter.hand_out_unfinished(&mut take); }
            }
            splitter.finish(&mut take);
            prop_assert_eq!(joined(&parts), bytes);
            let starts = std::iter::once(true).chain(parts.iter().map(|(_, flags, _)| !flags.has(Flags::CONTINUED)));
            prop_assert!(parts.iter().zip(starts).all(|((_, _, starts_line), want)| *starts_line == want));
        }
    }
}

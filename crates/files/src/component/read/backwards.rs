//! The lines of a file from its end to its beginning, read in blocks.

use std::io;

use super::LINE_BYTES_MAX;

/// How much is read at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// Bytes that can be read at any place.
pub(super) trait ReadAt {
    /// Fills `out` with the bytes from `at` on.
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()>;
}

/// A line, without its LF.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// One that is longer than any of ours.
    TooLong,
}

/// Hands out lines, the last one first. Holds a block, or a line and a block.
pub(super) struct Backwards<'a, R> {
    source: &'a R,
    held: Vec<u8>,
    /// Where in the source `held` begins.
    start: u64,
    /// How much of `held` is still to be handed out.
    end: usize,
}

impl<'a, R: ReadAt> Backwards<'a, R> {
    /// The lines before `end`, where a line begins or the source ends.
    pub(super) fn new(source: &'a R, end: u64) -> Backwards<'a, R> {
        Backwards { source, held: Vec::new(), start: end, end: 0 }
    }

    /// Where the line that was handed out last begins.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.end as u64
    }

    /// The line before; `None` at the beginning.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.end == 0 && !self.more()? {
            return Ok(None);
        }
        loop {
            let ends_with_lf = self.held[self.end - 1] == b'\n';
            let line_end = self.end - usize::from(ends_with_lf);
            if let Some(lf) = memchr::memrchr(b'\n', &self.held[..line_end]) {
                return Ok(Some(self.hand_out(lf + 1, line_end)));
            }
            if line_end >= LINE_BYTES_MAX {
                self.skip_line()?;
                return Ok(Some(Line::TooLong));
            }
            if !self.more()? {
                return Ok(Some(self.hand_out(0, line_end)));
            }
        }
    }

    fn hand_out(&mut self, from: usize, to: usize) -> Line<'_> {
        self.end = from;
        match &self.held[from..to] {
            line if line.len() >= LINE_BYTES_MAX => Line::TooLong,
            line => Line::Whole(line),
        }
    }

    /// Moves before the line whose end is held and whose beginning is not.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.end = 0;
            if !self.more()? {
                return Ok(());
            }
            if let Some(lf) = memchr::memrchr(b'\n', &self.held[..self.end]) {
                self.end = lf + 1;
                return Ok(());
            }
        }
    }

    /// Reads the block before; `false` at the beginning.
    fn more(&mut self) -> io::Result<bool> {
        let bytes = BLOCK_BYTES.min(self.start) as usize;
        if bytes == 0 {
            return Ok(false);
        }
        self.held.truncate(self.end);
        self.held.splice(..0, std::iter::repeat_n(0, bytes));
        self.source.read_exact_at(&mut self.held[..bytes], self.start - bytes as u64)?;
        self.start -= bytes as u64;
        self.end += bytes;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    struct Counting {
        bytes: Vec<u8>,
        read: Cell<usize>,
    }

    impl ReadAt for Counting {
        fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
            self.read.set(self.read.get() + out.len());
            out.copy_from_slice(&self.bytes[at as usize..][..out.len()]);
            Ok(())
        }
    }

    fn all(bytes: Vec<u8>) -> Vec<(Option<Vec<u8>>, u64)> {
        let source = Counting { read: Cell::new(0), bytes };
        let mut lines = Backwards::new(&source, source.bytes.len() as u64);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let line = match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong => None,
            };
            found.push((line, lines.offset()));
        }
        assert_eq!(source.read.get(), source.bytes.len(), "each byte is read once");
        found
    }

    #[test]
    fn the_last_lines_of_a_large_file_cost_a_block() {
        let line = [b"x".repeat(199), b"\n".to_vec()].concat();
        let source = Counting { bytes: line.repeat((10 << 20) / 200), read: Cell::new(0) };
        let mut lines = Backwards::new(&source, source.bytes.len() as u64);
        for _ in 0..300 {
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(&line[..199])));
        }
        assert_eq!(source.read.get(), 64 << 10);
    }

    #[test]
    fn lines_that_are_too_long_cost_themselves_alone() {
        for bytes in [LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 3 * LINE_BYTES_MAX + 17] {
            let text = [b"first\n".to_vec(), b"x".repeat(bytes), b"\nlast\n".to_vec()].concat();
            let lines: Vec<Option<Vec<u8>>> = all(text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [Some(b"last".to_vec()), None, Some(b"first".to_vec())]);
        }
        let longest = b"x".repeat(LINE_BYTES_MAX - 1);
        assert_eq!(all([&longest[..], b"\n"].concat()), [(Some(longest), 0)]);
    }

    proptest! {
        #[test]
        fn every_line_comes_with_its_offset(
            lengths in prop::collection::vec(prop_oneof![0usize..200, 60_000usize..140_000], 0..12),
            torn in any::<bool>(),
        ) {
            let (mut text, mut expected) = (Vec::new(), Vec::new());
            for (number, length) in lengths.iter().enumerate() {
                let line = vec![b'a' + number as u8; *length];
                expected.insert(0, (Some(line.clone()), text.len() as u64));
                text.extend_from_slice(&line);
                text.push(b'\n');
            }
            if torn && lengths.last().is_some_and(|length| *length > 0) {
                text.pop();
            }
            prop_assert_eq!(all(text), expected);
        }
    }
}

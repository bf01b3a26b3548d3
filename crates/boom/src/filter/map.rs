//! The grams of a block, collected fast.
//!
//! Two passes in turn over pieces of text. The first cuts lines into words of 8 bytes that overlap by 4, and lists those
//! that a table of recent words does not know: about a third of a log whose lines stand bucket by bucket. The second
//! sets the rows of the listed words' grams. Neither has a branch that depends on the text, for a mispredicted one costs as much as
//! the grams of a word; a gram that does not count sets a row that is not looked at.

use logboom_record::{Flags, Stream, ansi};
use std::collections::HashMap;

use super::{GramBits, HASH3, HASH5, ROWS_LOG2_MAX, for_each_gram};
use crate::{bucket::digit_flags, columns::Columns, format::columns::decode_control};

const ROWS: usize = 1 << ROWS_LOG2_MAX;
/// Where grams go that do not count.
const NO_ROW: usize = ROWS;
const WORDS_LOG2: u32 = 12;
const LISTED_MAX: usize = 2_048;
/// How much of a line is looked at before the list is.
const PIECE_BYTES: usize = 4_096;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The grams of the text that was added since it was cleared; keeps its memory.
pub(crate) struct GramMap {
    /// A byte for each row, since a byte is stored without being read first; then one for [`NO_ROW`].
    seen: Box<[u8; ROWS + 64]>,
    recent: Box<[u64; 1 << WORDS_LOG2]>,
    listed: Box<[u64; LISTED_MAX]>,
    count: usize,
}

impl Default for GramMap {
    fn default() -> GramMap {
        let (seen, recent, listed) = (vec![0; ROWS + 64], vec![0; 1 << WORDS_LOG2], vec![0; LISTED_MAX]);
        GramMap { seen: boxed(seen), recent: boxed(recent), listed: boxed(listed), count: 0 }
    }
}

/// An array made where it stays: it may be too large for the stack.
fn boxed<T: Copy + Default, const N: usize>(items: Vec<T>) -> Box<[T; N]> {
    items.into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([T::default(); N]))
}

impl GramMap {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.seen.fill(0);
        // No word of eight NULs is asked for before it was listed: its slot is set to another word.
        self.recent.fill(0);
        self.recent[0] = u64::MAX;
    }

    /// Adds the grams of every line of a block whose messages are `text`, in any order, each with LF.
    pub(crate) fn add_block(&mut self, text: &[u8], block: &Columns) {
        self.add_lines(text);
        if block.needs_joining() {
            self.add_joined_lines(block);
        }
    }

    /// The rows that are set.
    pub(crate) fn bits(&mut self) -> GramBits {
        self.set_listed();
        let (chunks, _) = self.seen[..ROWS].as_chunks::<64>();
        GramBits::new(chunks.iter().map(pack).collect())
    }

    /// Adds the grams of lines that end with LF.
    fn add_lines(&mut self, text: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text) {
            self.add_line(&text[start..end]);
            start = end + 1;
        }
    }

    /// Adds the grams of one line without LF.
    #[inline]
    fn add_line(&mut self, line: &[u8]) {
        if line.len() < 8 {
            return for_each_gram(line, |gram| self.seen[row(gram)] = 1);
        }
        let mut at = 0;
        while at + 4 < line.len() {
            let piece = &line[at.min(line.len() - 8)..line.len().min(at + PIECE_BYTES + 4)];
            if self.count + PIECE_BYTES / 4 + 2 > LISTED_MAX {
                self.set_listed();
            }
            self.list_new_words(piece);
            at += PIECE_BYTES;
        }
    }

    #[inline]
    fn list_new_words(&mut self, piece: &[u8]) {
        let mut count = self.count;
        let mut list = |word: &[u8; 8]| {
            let word = u64::from_le_bytes(*word);
            let known = &mut self.recent[(word.wrapping_mul(HASH5) >> (64 - WORDS_LOG2)) as usize];
            self.listed[count % LISTED_MAX] = word;
            count += usize::from(*known != word);
            *known = word;
        };
        let mut rest = piece;
        while let Some(word) = rest.first_chunk() {
            list(word);
            rest = &rest[4..];
        }
        if let Some(word) = piece.last_chunk() {
            list(word);
        }
        self.count = count;
    }

    /// Sets the rows of the listed words' grams.
    fn set_listed(&mut self) {
        for word in &self.listed[..self.count.min(LISTED_MAX)] {
            set_rows(&mut self.seen, *word);
        }
        self.count = 0;
    }

    /// Adds the lines that are not what one message says: those in parts, and those with ANSI codes.
    #[cold]
    fn add_joined_lines(&mut self, block: &Columns) {
        let (mut open, mut plain) = (HashMap::<(u8, Stream), Vec<u8>>::new(), Vec::new());
        let (mut start, mut runs) = (0, Vec::new());
        if crate::format::columns::decode_runs(&block.run, block.runs.len(), block.records(), &mut runs).is_err() {
            runs.clear();
        }
        for ((end, control), run) in block.message_ends.iter().zip(&block.control).zip(runs) {
            let message = &block.messages[start..*end as usize - 1];
            start = *end as usize;
            let Ok((stream, _, flags)) = decode_control(*control) else { continue };
            let continued = flags.has(Flags::CONTINUED);
            if continued || open.contains_key(&(run, stream)) {
                open.entry((run, stream)).or_default().extend_from_slice(message);
            } else {
                self.add_without_codes(message, &mut plain);
            }
            if !continued && let Some(line) = open.remove(&(run, stream)) {
                self.add_joined(&line, &mut plain);
            }
        }
        open.into_values().for_each(|line| self.add_joined(&line, &mut plain));
    }

    fn add_joined(&mut self, line: &[u8], plain: &mut Vec<u8>) {
        line.split(|byte| *byte == b'\n').for_each(|part| self.add_line(part));
        self.add_without_codes(line, plain);
    }

    fn add_without_codes(&mut self, line: &[u8], plain: &mut Vec<u8>) {
        if ansi::has_escape(line) {
            plain.clear();
            ansi::strip(line, plain);
            plain.split(|byte| *byte == b'\n').for_each(|part| self.add_line(part));
        }
    }
}

fn row(gram: u32) -> usize {
    (gram >> (32 - ROWS_LOG2_MAX)) as usize
}

/// Sets the rows of the grams that lie within 8 bytes, given as little-endian value, none of them LF.
#[inline]
fn set_rows(seen: &mut [u8; ROWS + 64], word: u64) {
    let word = word.swap_bytes();
    let word = word | upper_flags(word) >> 2;
    let digits = digit_flags(word);
    for at in [0, 8, 16, 24] {
        let product = (word << at >> 24).wrapping_mul(HASH5);
        let here = digits & 0x8080_8080_8000_0000 >> at;
        let counts = (here & here.wrapping_sub(1) == 0) | (product & 3 << 32 == 0);
        seen[if counts { (product >> (64 - ROWS_LOG2_MAX)) as usize } else { NO_ROW }] = 1;
    }
    for at in [0, 8, 16, 24, 32, 40] {
        let hash = ((word << at >> 40) as u32).wrapping_mul(HASH3);
        let counts = digits & 0x8080_8000_0000_0000 >> at == 0;
        seen[if counts { row(hash) } else { NO_ROW }] = 1;
    }
}

/// The top bit of every byte that is an ASCII capital.
const fn upper_flags(word: u64) -> u64 {
    let low = word & (ONES * 0x7f);
    let at_least_a = low + ONES * (0x80 - b'A' as u64);
    let above_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    at_least_a & !above_z & !word & (ONES * 0x80)
}

/// 64 bytes of 0 or 1 as bits.
fn pack(bytes: &[u8; 64]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    let bits = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    words.iter().rev().fold(0, |packed, word| packed << 8 | bits(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewRecord;
    use logboom_record::{Kind, Level, RunId, Time};
    use proptest::{collection::vec, prelude::*};

    fn has(bits: &GramBits, gram: u32) -> bool {
        bits.words[row(gram) / 64] >> (row(gram) % 64) & 1 == 1
    }

    fn block(parts: &[(&[u8], Flags)]) -> Columns {
        let mut block = Columns::default();
        block.runs.push(crate::format::RunInBlock {
            id: RunId::from_bytes([1; 16]),
            kind: Kind::Command,
            first_seq: 1,
            records: 0,
            lines: 0,
            levels: [0; 5],
        });
        for (message, flags) in parts {
            let (time, stream, level) = (Time::default(), Stream::Stdout, Level::Info);
            block.push(
                0,
                &NewRecord { time, origin_time_ns: None, stream, level, flags: *flags, message, fields: None },
            );
        }
        block
    }

    fn bits_of(block: &Columns) -> GramBits {
        let mut map = GramMap::default();
        map.clear();
        map.add_block(&block.messages, block);
        map.bits()
    }

    fn assert_has_all(bits: &GramBits, line: &[u8]) {
        for_each_gram(line, |gram| assert!(has(bits, gram), "{}", line.escape_ascii()));
    }

    #[test]
    fn a_line_in_parts_has_the_grams_across_them() {
        let bits = bits_of(&block(&[
            (b"hello wo", Flags::CONTINUED),
            (b"rld \x1b[1", Flags::CONTINUED),
            (b"mbold", Flags::NONE),
        ]));
        assert_has_all(&bits, b"hello world bold");
        assert_has_all(&bits, b"hello world \x1b[1mbold");
    }

    #[test]
    fn a_coloured_line_has_the_grams_without_and_with_its_codes() {
        let bits = bits_of(&block(&[(b"\x1b[31mer\x1b[0mror: no", Flags::NONE)]));
        assert_has_all(&bits, b"error: no");
        assert_has_all(&bits, b"\x1b[31mer\x1b[0mror: no");
    }

    #[test]
    fn a_line_longer_than_a_piece_has_every_gram() {
        for bytes in PIECE_BYTES - 2..PIECE_BYTES + 12 {
            let line: Vec<u8> = (0..bytes as u32).map(|n| b'a' + (n.wrapping_mul(n) >> 3) as u8 % 26).collect();
            assert_has_all(&bits_of(&block(&[(&line, Flags::NONE)])), &line);
        }
    }

    #[test]
    fn eight_nuls_count() {
        assert_has_all(&bits_of(&block(&[(&[0; 8], Flags::NONE)])), &[0; 8]);
    }

    proptest! {
        #[test]
        fn the_fast_form_sets_the_rows_of_the_rule_and_no_others(
            lines in vec(vec(prop_oneof![b'0'..=b'9', b'A'..b'D', b'a'..b'd', Just(b'\n'), any::<u8>()], 0..60), 0..20)
        ) {
            let lines: Vec<Vec<u8>> =
                lines.into_iter().map(|line| line.into_iter().filter(|byte| *byte != 0x1b).collect()).collect();
            let parts: Vec<_> = lines.iter().map(|line| (&line[..], Flags::NONE)).collect();
            let bits = bits_of(&block(&parts));
            let mut expected = std::collections::BTreeSet::new();
            lines.iter().for_each(|line| for_each_gram(line, |gram| { expected.insert(row(gram)); }));
            let set = (0..ROWS).filter(|row| bits.words[row / 64] >> (row % 64) & 1 == 1);
            prop_assert_eq!(set.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        }
    }
}

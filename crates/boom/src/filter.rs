//! Grams: the short pieces of lines by which a search rules out whole blocks.
//!
//! The writer sets a bit for every gram of every line, a reader asks for the grams of what it looks for. Both get them
//! from here, so a gram that one leaves out the other never asks for. Every 5 bytes are a gram, and every 3 bytes without a digit. Most
//! 5-byte grams of a log are pieces of numbers and hashes; of those with two or more digits only every fourth (by its
//! hash) counts. ASCII letters count as lower case. No gram holds an LF: lines are put one after the other with LFs.
//!
//! [`GramMap`] is the writer's fast form: most of a log repeats, so it looks at 8 bytes at a time and first asks a small
//! table whether it has just seen the same ones. [`for_each_gram`] is the rule, byte by byte; a test holds the two together.

use std::borrow::Cow;

use crate::format::index::{ROWS_LOG2_MAX, ROWS_LOG2_MIN};

mod map;

pub(crate) use map::GramMap;

/// Calls `set` with the 32-bit hash of every gram of `line`, some of them more than once.
pub fn for_each_gram(line: &[u8], mut set: impl FnMut(u32)) {
    let mut window = 0u64;
    let (mut digits, mut breaks) = (0u32, 0xffu32);
    for byte in line {
        let byte = byte.to_ascii_lowercase();
        window = (window << 8 | u64::from(byte)) & 0xff_ffff_ffff;
        digits = digits << 1 | u32::from(byte.is_ascii_digit());
        breaks = breaks << 1 | u32::from(byte == b'\n');
        if breaks & 0b111 == 0 && digits & 0b111 == 0 {
            set(hash3(window as u32 & 0xff_ffff));
        }
        if breaks & 0b11111 == 0 {
            let hash = hash5(window);
            if (digits & 0b11111).count_ones() < 2 || hash & 3 == 0 {
                set(hash);
            }
        }
    }
}

const HASH5: u64 = 0x9e37_79b9_7f4a_7c15;
const HASH3: u32 = 0x9e37_79b1;

/// The hash of 5 bytes, given as their big-endian value.
#[inline]
fn hash5(bytes: u64) -> u32 {
    (bytes.wrapping_mul(HASH5) >> 32) as u32
}

/// The hash of 3 bytes, given as their big-endian value.
#[inline]
fn hash3(bytes: u32) -> u32 {
    bytes.wrapping_mul(HASH3)
}

/// Which grams one block has, as a bit for each of the most rows a filter may have.
pub(crate) struct GramBits {
    words: Vec<u64>,
    /// The fewest rows, as a power of two, of which the block sets no more than a quarter.
    rows_log2: u32,
}

impl GramBits {
    /// The bits of a block of which `words` has one for each of the most rows.
    fn new(words: Vec<u64>) -> GramBits {
        let (mut folded, mut rows_log2) = (words.clone(), ROWS_LOG2_MAX);
        while rows_log2 > ROWS_LOG2_MIN {
            folded = fold(&folded);
            let set: usize = folded.iter().map(|word| word.count_ones() as usize).sum();
            if set > folded.len() * 64 / 4 {
                break;
            }
            rows_log2 -= 1;
        }
        GramBits { words, rows_log2 }
    }

    fn folded_to(&self, rows_log2: u32) -> Cow<'_, [u64]> {
        let fold_once = |words: Cow<'_, [u64]>, _| Cow::Owned(fold(&words));
        (rows_log2..ROWS_LOG2_MAX).fold(Cow::Borrowed(&self.words), fold_once)
    }
}

/// Half as many rows: neighbours become one.
fn fold(words: &[u64]) -> Vec<u64> {
    let (pairs, _) = words.as_chunks::<2>();
    pairs.iter().map(|[low, high]| fold_word(*low) | fold_word(*high) << 32).collect()
}

/// The OR of each pair of bits, in the low 32 bits.
const fn fold_word(word: u64) -> u64 {
    let mut word = (word | word >> 1) & 0x5555_5555_5555_5555;
    word = (word | word >> 1) & 0x3333_3333_3333_3333;
    word = (word | word >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    word = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
    word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    (word | word >> 16) & 0xffff_ffff
}

/// The filter of a group of at most 32 blocks: its rows as a power of two, and of each row the bits of the blocks that
/// set it.
pub(crate) fn group_rows(blocks: &[GramBits]) -> Option<(u32, Vec<u32>)> {
    let rows_log2 = blocks.iter().map(|block| block.rows_log2).max()?;
    let columns: Vec<Cow<'_, [u64]>> = blocks.iter().map(|block| block.folded_to(rows_log2)).collect();
    let mut rows = Vec::with_capacity(1 << rows_log2);
    for word in 0..(1 << rows_log2) / 64 {
        let mut halves = [[0; 32]; 2];
        for (block, column) in columns.iter().enumerate().take(32) {
            let bits = column[word];
            (halves[0][block], halves[1][block]) = (bits as u32, (bits >> 32) as u32);
        }
        halves.iter_mut().for_each(transpose);
        rows.extend_from_slice(halves.as_flattened());
    }
    Some((rows_log2, rows))
}

/// Exchanges bit `a` of word `b` with bit `b` of word `a`, for all: quarters of ever smaller squares change places.
fn transpose(words: &mut [u32; 32]) {
    let (mut side, mut low) = (16, 0x0000_ffff_u32);
    while side > 0 {
        for upper in (0..32).filter(|word| word & side == 0) {
            let exchanged = (words[upper] >> side ^ words[upper + side]) & low;
            words[upper] ^= exchanged << side;
            words[upper + side] ^= exchanged;
        }
        side /= 2;
        low ^= low << side;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams(line: &[u8]) -> Vec<u32> {
        let mut grams = Vec::new();
        for_each_gram(line, |gram| grams.push(gram));
        grams
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(grams(b"Error"), grams(b"eRROR"));
        assert_eq!(grams(b"Error").len(), 4);
    }

    #[test]
    fn no_gram_reaches_over_a_newline() {
        assert_eq!(grams(b"ab\ncd"), [0_u32; 0]);
        assert_eq!(grams(b"abc\ndefg"), [grams(b"abc"), grams(b"defg")].concat());
    }

    #[test]
    fn transposing_puts_bit_a_of_word_b_into_bit_b_of_word_a() {
        let words: [u32; 32] = std::array::from_fn(|word| (word as u32 + 1).wrapping_mul(HASH3));
        let mut transposed = words;
        transpose(&mut transposed);
        for (a, b) in (0..32).flat_map(|a| (0..32).map(move |b| (a, b))) {
            assert_eq!(transposed[a] >> b & 1, words[b] >> a & 1, "{a} {b}");
        }
    }

    #[test]
    fn a_group_has_the_fewest_rows_of_which_no_block_sets_more_than_a_quarter() {
        let bits = |every: usize| {
            let mut words = vec![0u64; (1 << ROWS_LOG2_MAX) / 64];
            (0..1 << ROWS_LOG2_MAX).step_by(every).for_each(|row| words[row / 64] |= 1 << (row % 64));
            GramBits::new(words)
        };
        let (rows_log2, rows) = group_rows(&[bits(1 << 15), bits(1 << 8)]).unwrap();
        assert_eq!(rows_log2, 12);
        assert_eq!(rows.iter().filter(|row| **row & 2 != 0).count(), 1 << 10);
        assert_eq!(rows.iter().filter(|row| **row & 1 != 0).count(), 8);
        assert_eq!((rows[0], rows[1], rows[4], rows[512]), (3, 0, 2, 3));
        assert_eq!(group_rows(&[bits(2)]).unwrap().0, ROWS_LOG2_MAX);
        assert_eq!(group_rows(&[bits(1 << 18)]).unwrap().0, ROWS_LOG2_MIN);
        assert!(group_rows(&[]).is_none());
    }

    #[test]
    fn of_grams_with_digits_only_some_count() {
        assert_eq!(grams(b"ab1"), [0_u32; 0]);
        assert_eq!(grams(b"x1abc").len(), 2);
        let numbers: usize = (10_000..20_000).map(|n: u32| grams(n.to_string().as_bytes()).len()).sum();
        assert!((2_000..3_000).contains(&numbers), "{numbers} of 10000");
    }
}

//! Looking along bytes: what to skip, and where the next one of a kind is.
//!
//! What is looked for is mostly a few bytes away, too near for a vector search to pay: eight bytes are looked at together,
//! as one number.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// The bit in which small and capital letters differ, in each byte.
pub(super) const SMALL: u64 = 0x2020_2020_2020_2020;

/// Skips spaces and tabs.
#[inline]
pub(super) fn blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// How many bytes at the start of `text` are of one kind.
#[inline]
pub(super) fn run(text: &[u8], kind: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| kind(**byte)).count()
}

/// Skips terminal styles (`ESC [ 1 ; 31 m`).
#[inline]
pub(super) fn styles(mut text: &[u8]) -> &[u8] {
    while let [0x1b, b'[', rest @ ..] = text {
        let params = rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b';' | b':')).count();
        let Some(b'm' | b'K') = rest.get(params) else { break };
        text = &rest[params + 1..];
    }
    text
}

/// Skips blanks and terminal styles, in any order.
#[inline]
pub(super) fn dressing(text: &[u8]) -> &[u8] {
    match text {
        [first, ..] if *first > b' ' => text,
        [b' ', second, ..] if *second > b' ' => &text[1..],
        _ => all_dressing(text),
    }
}

fn all_dressing(mut text: &[u8]) -> &[u8] {
    loop {
        let eight = eight_bytes(text);
        let ends = nonzeros(eight ^ (ONES * u64::from(b' '))) & nonzeros(eight ^ (ONES * u64::from(b'\t')));
        text = &text[(ends.trailing_zeros() / 8) as usize..];
        let bare = styles(text);
        if ends != 0 && bare.len() == text.len() {
            return text;
        }
        text = bare;
    }
}

/// The first eight bytes of `text`, the first in the lowest place, zeros behind its end.
#[inline]
pub(super) fn eight_bytes(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => text.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte)),
    }
}

/// How many of eight bytes, from the lowest on, are letters: all eight are looked at together.
#[inline]
pub(super) fn letters(eight: u64) -> usize {
    let lower = (eight | SMALL) & !HIGH;
    let from_a = lower + (HIGH - 0x6161_6161_6161_6161); // the high bit of a byte is set from 'a' on
    let past_z = lower + (HIGH - 0x7b7b_7b7b_7b7b_7b7b);
    let others = !(from_a & !past_z & !eight) & HIGH;
    (others.trailing_zeros() / 8) as usize
}

/// How many decimal digits `text` starts with.
#[inline]
pub(super) fn count_digits(text: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let values = eight_bytes(&text[len..]) ^ (ONES * u64::from(b'0')); // 0 to 9 where there is a digit
        let others = (((values & !HIGH) + ONES * (0x80 - 10)) | values) & HIGH;
        len += (others.trailing_zeros() / 8) as usize;
        if others != 0 {
            return len;
        }
    }
}

/// Where the first `byte` is.
#[inline]
pub(super) fn find(text: &[u8], byte: u8) -> Option<usize> {
    find_by(text, |eight| zeros(eight ^ (ONES * u64::from(byte))), |b| b == byte)
}

/// Where the first `one` or `other` is.
#[inline]
pub(super) fn find_either(text: &[u8], one: u8, other: u8) -> Option<usize> {
    let (ones, others) = (ONES * u64::from(one), ONES * u64::from(other));
    find_by(text, |eight| zeros(eight ^ ones) | zeros(eight ^ others), |b| b == one || b == other)
}

/// What stands up to the first blank or control byte.
#[derive(Clone, Copy)]
pub(super) struct Solid {
    pub(super) len: usize,
    /// Whether there is a `:` in it.
    pub(super) has_colon: bool,
    /// Whether there is a `=` in it.
    pub(super) has_equals: bool,
}

/// Measures what stands up to the first blank or control byte, in one go: a second look would be a second wrong guess of
/// the processor about how long it takes.
#[inline]
pub(super) fn solid(text: &[u8]) -> Solid {
    let (mut len, mut colons, mut equals) = (0, 0, 0);
    loop {
        let eight = eight_bytes(&text[len..]);
        let ends = eight.wrapping_sub(ONES * 0x21) & !eight & HIGH; // exact up to the first; zeros behind the text end it
        let kept = (ends & ends.wrapping_neg()).wrapping_sub(1);
        colons |= zeros(eight ^ (ONES * u64::from(b':'))) & kept;
        equals |= zeros(eight ^ (ONES * u64::from(b'='))) & kept;
        len += (ends.trailing_zeros() / 8) as usize;
        if ends != 0 {
            return Solid { len, has_colon: colons != 0, has_equals: equals != 0 };
        }
    }
}

/// The high bit of each byte that is zero; exact up to the first.
#[inline]
fn zeros(eight: u64) -> u64 {
    eight.wrapping_sub(ONES) & !eight & HIGH
}

/// The high bit of each byte that is not zero; exact.
#[inline]
fn nonzeros(eight: u64) -> u64 {
    (((eight & !HIGH) + !HIGH) | eight) & HIGH
}

#[inline]
fn find_by(text: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let (chunks, tail) = text.as_chunks::<8>();
    for (count, chunk) in chunks.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*chunk));
        if found != 0 {
            return Some(8 * count + (found.trailing_zeros() / 8) as usize);
        }
    }
    tail.iter().position(|byte| is(*byte)).map(|at| 8 * chunks.len() + at)
}

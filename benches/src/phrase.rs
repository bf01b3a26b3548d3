//! Turns a phrase, text with placeholders, into the bytes of one message.
//!
//! The generator has to outrun what it feeds: a phrase is parsed once into pieces that a small loop walks, without format
//! machinery.

use crate::random::Random;
use crate::words::choices;

/// A phrase, ready to be said.
pub(crate) struct Phrase(Vec<Piece>);

enum Piece {
    Text(&'static str),
    /// A number from the first up to, not including, the second.
    Number(u64, u64),
    /// So many decimal digits.
    Digits(usize),
    /// So many hex digits.
    Hex(usize),
    Word(Vec<&'static str>),
    /// The number of the job: the same in all its lines.
    Own,
}

impl Phrase {
    /// Parses a phrase. What stands in angle brackets and is no placeholder stays as it is.
    pub(crate) fn new(text: &'static str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_placeholder(rest) {
            pieces.push(Piece::Text(before));
            pieces.push(Piece::named(name).unwrap_or(Piece::Text(name)));
            rest = after;
        }
        pieces.push(Piece::Text(rest));
        Self(pieces)
    }

    /// Appends a message. `own` is the number of the job that says it.
    pub(crate) fn say(&self, own: u64, random: &mut Random, message: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => message.extend_from_slice(text.as_bytes()),
                Piece::Number(from, end) => push_number(from + random.below(end - from), message),
                Piece::Digits(digits) => push_digits(random.bits() >> 8, *digits, message),
                Piece::Hex(digits) => push_hex(*digits, random, message),
                Piece::Word(words) => message.extend_from_slice(random.pick(words).as_bytes()),
                Piece::Own => push_number(own, message),
            }
        }
    }
}

fn next_placeholder(text: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (before, rest) = text.split_once('<')?;
    let (name, after) = rest.split_once('>')?;
    Some((before, name, after))
}

impl Piece {
    fn named(name: &str) -> Option<Self> {
        if name == "own" {
            return Some(Piece::Own);
        }
        if let Some(words) = choices(name) {
            return Some(Piece::Word(words));
        }
        if let Some((from, end)) = name.split_once('-') {
            return Some(Piece::Number(from.parse().ok()?, end.parse().ok()?));
        }
        let digits = name.get(1..)?.parse().ok()?;
        match name.as_bytes().first()? {
            b'z' => Some(Piece::Digits(digits)),
            b'x' => Some(Piece::Hex(digits)),
            _ => None,
        }
    }
}

/// Appends `number` in decimal.
pub(crate) fn push_number(number: u64, out: &mut Vec<u8>) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    push_digits(number, digits, out);
}

/// Appends the last `digits` (at most 20) decimal digits of `number`.
pub(crate) fn push_digits(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    let text = &mut text[20 - digits..];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(text);
}

fn push_hex(digits: usize, random: &mut Random, out: &mut Vec<u8>) {
    let mut left = digits;
    while left > 0 {
        let now = left.min(16);
        let text = hex(random.bits());
        out.extend_from_slice(&text[..now]);
        left -= now;
    }
}

fn hex(mut bits: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for digit in &mut text {
        *digit = b"0123456789abcdef"[(bits & 15) as usize];
        bits >>= 4;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 9, 10, 99, 100, 123_456, u64::MAX] {
            push_number(number, &mut out);
            out.push(b' ');
        }
        assert_eq!(out, b"0 9 10 99 100 123456 18446744073709551615 ");
    }

    #[test]
    fn every_placeholder_says_what_it_promises() {
        let mut out = Vec::new();
        Phrase::new("a=<own> <z3> <x20> <7-8> <set> <nothing>").say(77, &mut Random::new(1), &mut out);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!((words[0], words[3], words[5]), ("a=77", "7", "nothing"));
        assert!(words[1].len() == 3 && words[1].bytes().all(|byte| byte.is_ascii_digit()), "{text}");
        assert!(words[2].len() == 20 && words[2].bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        assert!(choices("set").unwrap().contains(&words[4]), "{text}");
    }

    #[test]
    fn every_placeholder_of_the_phrases_is_known() {
        for text in crate::phrases::all() {
            let mut rest = text;
            while let Some((_, name, after)) = next_placeholder(rest) {
                assert!(Piece::named(name).is_some(), "<{name}> in {text}");
                rest = after;
            }
        }
    }
}

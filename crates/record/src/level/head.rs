//! The walk over the head of a line, from one thing that may stand in front of a level to the next.

use super::bracket::{angle, letter_level, square};
use super::marks::{self, Mark};
use super::scan::{blanks, count_digits, dressing, run};
use super::stamp::{skip, usual};
use super::words::{Case, Place, Word};
use super::{Level, keys, token, tools};

/// Nothing behind this many bytes says anything about the level (objects and logfmt apart).
const HEAD_BYTES_MAX: usize = 160;

/// No known line has more than this in front of its level.
const STEPS_MAX: usize = 10;

/// Where the walk stands on a line.
pub(super) struct Head<'a> {
    /// The whole line, for the few shapes that tell at their end.
    pub(super) line: &'a [u8],
    /// What is left of the head.
    pub(super) rest: &'a [u8],
    /// What stood in front.
    pub(super) place: Place,
    /// Whether a date or a time stood anywhere in front.
    pub(super) timed: bool,
}

/// What one step of the walk found.
pub(super) enum Step {
    /// The level.
    Is(Level),
    /// The head says nothing.
    No,
    /// Something in front of the level, from behind which the walk goes on.
    On,
}

impl<'a> Head<'a> {
    /// Goes on from `rest`.
    #[inline]
    pub(super) fn at(&mut self, rest: &'a [u8], place: Place) -> Step {
        self.rest = rest;
        self.place = place;
        self.timed |= place == Place::Timed;
        Step::On
    }

    /// Whether the line, but for blanks, ends with `end`.
    pub(super) fn line_ends_with(&self, end: &[u8]) -> bool {
        self.line.trim_ascii_end().ends_with(end)
    }

    /// The whole line from where the walk stands, for shapes that go beyond the head.
    pub(super) fn unbounded(&self) -> &'a [u8] {
        let head_end = self.line.len().min(HEAD_BYTES_MAX);
        &self.line[head_end - self.rest.len()..]
    }
}

/// The level that the head of `line` tells.
pub(super) fn level(line: &[u8]) -> Option<Level> {
    let rest = &line[..line.len().min(HEAD_BYTES_MAX)];
    let mut head = Head { line, rest, place: Place::Start, timed: false };
    for _ in 0..STEPS_MAX {
        head.rest = dressing(head.rest);
        match step(&mut head) {
            Step::Is(level) => return Some(level),
            Step::No => return None,
            Step::On => {}
        }
    }
    None
}

fn step<'a>(head: &mut Head<'a>) -> Step {
    let Some(&first) = head.rest.first() else { return Step::No };
    match first {
        b'a'..=b'z' | b'A'..=b'Z' => letters(head),
        b'0'..=b'9' => digits(head),
        b'{' if head.rest.get(1) == Some(&b'"') || !head.timed => found(keys::json(head.unbounded())),
        b'{' => braces(head),
        b'[' => square(head),
        b'<' => angle(head),
        b'#' | b':' | b'=' | b'_' | b'>' | b'*' | b'!' | b'(' | b'?' => tools::sign(head, first),
        b'-' | b'|' | b']' | b',' => separator(head),
        b'.' | b'/' | b'~' | b'@' | b'\\' => token::read(head),
        0x80.. => symbol(head),
        _ => Step::No,
    }
}

pub(super) fn found(level: Option<Level>) -> Step {
    level.map_or(Step::No, Step::Is)
}

fn letters<'a>(head: &mut Head<'a>) -> Step {
    let word = Word::read(head.rest);
    if let Some(entry) = word.entry() {
        if let Some(level) = word.level_by(entry, head.place) {
            return Step::Is(level);
        }
        if let Some(step) = tools::word(head, &word, entry) {
            return step;
        }
    }
    match word.len() {
        1 if let Some(level) = letter(head) => return Step::Is(level),
        3 if word.case() == Case::Title
            && let Some(rest) = skip(head.rest) =>
        {
            return head.at(rest, Place::Timed);
        }
        _ => {}
    }
    match word.rest {
        [b' ', next, ..] if !head.timed && !matches!(next, b' ' | b'-' | b'|' | b':' | b'[' | 0x1b) => {
            sentence(head.rest)
        }
        _ => token::read(head),
    }
}

/// A word and then another: most lines, and hardly any of them tells.
#[inline]
fn sentence(text: &[u8]) -> Step {
    found(token::phrase(text))
}

/// Loggers that give the level as one letter: `E0102 15:04:05.1`, `E/Tag(12)`, `E, [2026`, `W: `, pytest's `E   `.
fn letter(head: &Head<'_>) -> Option<Level> {
    let [letter, after @ ..] = head.rest else { return None };
    let is = match (letter, after) {
        (_, [b' ', date @ ..]) if head.place == Place::Start && skip(date).is_some() => true,
        (b'I' | b'W' | b'E' | b'F', [b'0' | b'1' | b'2', rest @ ..]) => google_date(rest),
        (_, [b'/', b'A'..=b'Z' | b'a'..=b'z', ..]) => letter.is_ascii_uppercase() && head.rest.contains(&b'('),
        (_, [b',', b' ', b'[', ..]) => true,
        (b'e' | b'w', [b':', b' ', ..]) => return Level::from_letter(letter.to_ascii_uppercase()),
        (b'E' | b'W' | b'I' | b'N', [b':', b' ', ..]) => true,
        (b'E', [b' ', b' ', b' ', ..]) => head.place == Place::Start,
        (_, [b' ', ..]) => head.place == Place::Timed,
        _ => false,
    };
    letter_level(*letter).filter(|_| is)
}

/// `102 15:04:05` or `0260102 15:04:05`, behind the first digit.
fn google_date(rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    matches!(digits, 3 | 7) && matches!(&rest[digits..], [b' ', b'0'..=b'9', b'0'..=b'9', b':', ..])
}

fn digits<'a>(head: &mut Head<'a>) -> Step {
    if let Some(rest) = usual(head.rest) {
        return head.at(rest, Place::Timed);
    }
    let number = count_digits(head.rest);
    match &head.rest[number..] {
        [b'.', ..] if number < 10 => Step::No, // an address, a fraction, a version
        [b' ', ..] if !matches!(number, 2 | 8 | 10..) => tools::number(head),
        [b':', b'M' | b'C' | b'S' | b'X', b' ', after @ ..] => found(tools::redis(after)),
        _ => match skip(head.rest) {
            Some(rest) => head.at(rest, Place::Timed),
            None => tools::number(head),
        },
    }
}

/// Airflow's `[date] {file.py:12} ERROR - text`.
fn braces<'a>(head: &mut Head<'a>) -> Step {
    match memchr::memchr(b'}', head.rest) {
        Some(end) => head.at(&head.rest[end + 1..], head.place),
        None => Step::No,
    }
}

/// `name - ERROR - text`, `2026-01-02 | INFO | text`, `--- FAIL: TestX`.
fn separator<'a>(head: &mut Head<'a>) -> Step {
    let [first, after @ ..] = head.rest else { return Step::No };
    let same = run(after, |b| b == *first || (b == b'-' && *first == b'|'));
    let place = if head.place == Place::Timed { Place::Timed } else { Place::Dash };
    match &after[same..] {
        rest @ [b' ' | b'\t' | b'[', ..] => head.at(blanks(rest), place),
        [b'a'..=b'z', ..] if *first == b'-' && head.place == Place::Chain => token::read(head),
        rest if matches!(first, b']' | b',' | b'|') => head.at(rest, place),
        _ => Step::No,
    }
}

fn symbol<'a>(head: &mut Head<'a>) -> Step {
    match marks::read(head.rest) {
        Some((Mark::Level(_), [b' ', b'0', b' ', ..])) => Step::No,
        Some((Mark::Level(level), _)) => Step::Is(level),
        Some((Mark::Ornament, rest)) => head.at(rest, head.place),
        None => Step::No,
    }
}

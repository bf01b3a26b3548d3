//! Levels in brackets: `[ERROR]`, `[core:error]`, `[12:34:56 INF]`, `<3>`.

use super::Level;
use super::head::{Head, Step, found};
use super::keys::syslog_severity;
use super::scan::{blanks, count_digits, dressing, find, find_either};
use super::stamp::skip;
use super::token::thrown;
use super::words::{Case, Place, Word};

/// A longer bracket is text, not a thread or a logger.
const BRACKET_BYTES_MAX: usize = 96;

/// What the bracket `[..]` that `head` stands at says.
pub(super) fn square<'a>(head: &mut Head<'a>) -> Step {
    let inside = dressing(&head.rest[1..]);
    let word = Word::read(inside);
    if let Some(level) = word_inside(&word).or_else(|| letter_inside(inside)) {
        return Step::Is(level);
    }
    match inside {
        [b'0'..=b'9', ..] => numbers(head, inside),
        [b'A'..=b'Z', ..] if let Some(rest) = skip(inside) => head.at(behind_bracket(rest), Place::Timed),
        _ if inside.starts_with(b"signal SIG") => Step::Is(Level::Error),
        _ => named(head, inside),
    }
}

/// A process id, a date, seconds since the start, or Chromium's `[1:2:0102/150405.1:ERROR:x.cc(12)]`.
fn numbers<'a>(head: &mut Head<'a>, inside: &'a [u8]) -> Step {
    let digits = count_digits(inside);
    match &inside[digits..] {
        [b']', rest @ ..] => return head.at(rest.strip_prefix(b":").unwrap_or(rest), head.place),
        [b'.', fraction @ ..] => {
            let rest = &fraction[count_digits(fraction)..];
            return if rest.starts_with(b"]") { head.at(&rest[1..], Place::Timed) } else { named(head, inside) };
        }
        _ => {}
    }
    match skip(inside) {
        Some(rest) => head.at(behind_bracket(rest), Place::Timed),
        None => named(head, inside),
    }
}

fn behind_bracket(rest: &[u8]) -> &[u8] {
    rest.strip_prefix(b"]").unwrap_or(rest)
}

/// A bracket with a name in it: a thread, a module, an exception, a module and its level.
fn named<'a>(head: &mut Head<'a>, inside: &'a [u8]) -> Step {
    let window = &inside[..inside.len().min(BRACKET_BYTES_MAX)];
    let Some(end) = find(window, b']') else { return found(thrown(inside)) };
    if let Some(level) = last_part(&inside[..=end]).or_else(|| thrown(&inside[..end])) {
        return Step::Is(level);
    }
    let rest = &inside[end + 1..];
    head.at(rest.strip_prefix(b":").unwrap_or(rest), head.place)
}

#[inline]
fn word_inside(word: &Word<'_>) -> Option<Level> {
    let level = word.named()?;
    let is = match dressing(word.rest) {
        [b']', ..] => true,
        [b':', b' ', ..] => true,
        _ if word.case() == Case::Upper => matches!(word.rest, [b' ' | b':' | b'/' | b'[' | b'|', ..]),
        _ => false,
    };
    is.then_some(level)
}

/// `[E]`, and Tornado's `[E 260102 15:04:05 web:1]`.
fn letter_inside(inside: &[u8]) -> Option<Level> {
    match inside {
        [b'C', b']', ..] => None,
        [letter, b']', ..] | [letter, b' ', b'0'..=b'9', ..] => letter_level(*letter),
        _ => None,
    }
}

/// The level that a lone letter names in Android's, Google's and others' logs.
pub(super) fn letter_level(letter: u8) -> Option<Level> {
    match letter {
        b'F' | b'C' => Some(Level::Error),
        b'N' => Some(Level::Info),
        b'V' => Some(Level::Trace),
        _ => Level::from_letter(letter),
    }
}

/// `core:error]`, `Server thread/INFO]`, `1:2:0102/150405.1:ERROR:x.cc(12)]`: a part that is a level as a whole.
fn last_part(content: &[u8]) -> Option<Level> {
    let mut rest = content;
    while let Some(cut) = find_either(rest, b':', b'/') {
        rest = &rest[cut + 1..];
        let word = Word::read(rest);
        if matches!((word.rest.first(), word.case()), (Some(b']'), _) | (Some(b':'), Case::Upper))
            && word.named().is_some()
        {
            return word.named();
        }
    }
    None
}

/// `<3>`, `<11>1 2026-..`: the priority of syslog, journald and the kernel; also `<ERROR>`, and `< date > ERROR`.
pub(super) fn angle<'a>(head: &mut Head<'a>) -> Step {
    let inside = &head.rest[1..];
    let digits = count_digits(inside).min(3);
    let word = Word::read(inside);
    match (digits, inside.get(digits)) {
        (1.., Some(b'>')) => found(priority(&inside[..digits])),
        (0, Some(b' ')) => match skip(blanks(inside)).map(blanks) {
            Some([b'>', rest @ ..]) => head.at(rest, Place::Timed),
            _ => Step::No,
        },
        (0, _) if word.case() == Case::Upper && word.rest.first() == Some(&b'>') => found(word.named()),
        _ => Step::No,
    }
}

fn priority(digits: &[u8]) -> Option<Level> {
    let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (number < 192).then(|| syslog_severity(number % 8))
}

//! Levels in brackets: `[ERROR]`, `[core:error]`, `[12:34:56 INF]`, `<3>`.

use super::Level;
use super::head::{Head, Step, found};
use super::keys::syslog_severity;
use super::scan::{blanks, dressing, run};
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
    if let [b']', rest @ ..] = word.rest
        && rest.first() != Some(&b':')
    {
        return head.at(rest, head.place);
    }
    if inside.starts_with(b"signal SIG") {
        return Step::Is(Level::Error);
    }
    if let Some(rest) = skip(inside) {
        return head.at(rest.strip_prefix(b"]").unwrap_or(rest), Place::Timed);
    }
    let window = &inside[..inside.len().min(BRACKET_BYTES_MAX)];
    let Some(end) = memchr::memchr(b']', window) else { return thrown(inside).map_or(Step::No, Step::Is) };
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
        _ if word.case == Case::Upper => matches!(word.rest, [b' ' | b':' | b'/' | b'[' | b'|', ..]),
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
    let cuts = memchr::memchr3_iter(b':', b'/', b'|', content);
    cuts.take(8).find_map(|cut| {
        let word = Word::read(&content[cut + 1..]);
        let ends = matches!((word.rest.first(), word.case), (Some(b']'), _) | (Some(b':'), Case::Upper));
        word.named().filter(|_| ends)
    })
}

/// `<3>`, `<11>1 2026-..`: the priority of syslog, journald and the kernel; also `<ERROR>`, and `< date > ERROR`.
pub(super) fn angle<'a>(head: &mut Head<'a>) -> Step {
    let inside = &head.rest[1..];
    let digits = run(inside, |b| b.is_ascii_digit()).min(3);
    let word = Word::read(inside);
    match (digits, inside.get(digits)) {
        (1.., Some(b'>')) => found(priority(&inside[..digits])),
        (0, Some(b' ')) => match skip(blanks(inside)).map(blanks) {
            Some([b'>', rest @ ..]) => head.at(rest, Place::Timed),
            _ => Step::No,
        },
        (0, _) if word.case == Case::Upper && word.rest.first() == Some(&b'>') => found(word.named()),
        _ => Step::No,
    }
}

fn priority(digits: &[u8]) -> Option<Level> {
    let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (number < 192).then(|| syslog_severity(number % 8))
}

//! A token in front of a level that is no word of it: a program, a file position, a logger, an exception.

use super::head::{Head, Step, found};
use super::stamp::{blanks, dressing};
use super::words::{Case, Place, Word};
use super::{Level, keys, tools};

/// How far a phrase that ends in `error:` may reach.
const PHRASE_BYTES_MAX: usize = 40;

/// Reads the token that `head` stands at.
pub(super) fn read<'a>(head: Head<'a>) -> Step<'a> {
    let len = head.rest.iter().position(|b| matches!(b, b' ' | b'\t' | 0x1b | b'\r')).unwrap_or(head.rest.len());
    let (token, rest) = head.rest.split_at(len);
    if let Some(level) = thrown(head.rest) {
        return Step::Is(level);
    }
    match token {
        [.., b':'] => chain(head, rest),
        [first, ..] if first.is_ascii_alphabetic() && is_pair(token) => found(keys::logfmt(head.unbounded())),
        _ => followed(head, token, rest),
    }
}

/// The level of an exception at the start of `text`: `java.io.IOException: ..`, `ValueError`, `x.FutureWarning: ..`.
pub(super) fn thrown(text: &[u8]) -> Option<Level> {
    let len = text.iter().position(|b| !is_type_byte(*b)).unwrap_or(text.len());
    let (name, after) = text.split_at(len);
    let name = name.strip_suffix(b":").unwrap_or(name);
    let ends = name.len() < len && matches!(after, [] | [b' ' | b'\r' | b'\t', ..])
        || matches!(after, [] | [b'\r'] | [b' ', b'[', b'E', ..]);
    match name {
        _ if !ends => None,
        [.., b'E', b'r', b'r', b'o', b'r'] | [.., b'E', b'x', b'c', b'e', b'p', b't', b'i', b'o', b'n'] => {
            Some(Level::Error)
        }
        [.., b'W', b'a', b'r', b'n', b'i', b'n', b'g'] => Some(Level::Warn),
        _ => None,
    }
}

fn is_type_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_' | b'$' | b'\\' | b'/')
}

/// Whether `token` is `key=..`.
fn is_pair(token: &[u8]) -> bool {
    let key = token.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@')).count();
    token.get(key) == Some(&b'=')
}

/// Behind `program: ` or `src/x.c:3:5: `.
fn chain<'a>(head: Head<'a>, rest: &'a [u8]) -> Step<'a> {
    let next = dressing(rest);
    if next.is_empty() {
        return Step::No;
    }
    match tools::complaint(head, next) {
        Some(level) => Step::Is(level),
        None => head.at(next, Place::Chain),
    }
}

/// What stands behind a token that is no `program:` decides whether it is a header at all.
fn followed<'a>(head: Head<'a>, token: &[u8], rest: &'a [u8]) -> Step<'a> {
    let next = dressing(rest);
    match next {
        [b'|', b' ', after @ ..] => return head.at(after, Place::Start),
        [b'-', b' ', after @ ..] => return head.at(after, Place::Dash),
        [b':', b' ', after @ ..] => return head.at(after, Place::Dash),
        _ => {}
    }
    let word = Word::read(next);
    let header = head.timed || token.windows(2).any(|pair| pair == b"::");
    if header && word.case == Case::Upper && word.level(Place::Dash).is_some() {
        return head.at(next, Place::Dash);
    }
    if head.timed && head.place == Place::Timed {
        return logger(head, next);
    }
    found(phrase(head.rest))
}

/// Behind a date: `host program[12]: `, or a logger and then a bracket.
fn logger<'a>(head: Head<'a>, next: &'a [u8]) -> Step<'a> {
    let len = next.iter().position(|b| *b == b' ').unwrap_or(next.len());
    match &next[..len] {
        [.., b':'] => chain(head, &next[len..]),
        [b'[', ..] => head.at(next, Place::Dash),
        _ => found(phrase(head.rest)),
    }
}

/// `Parse error: ..`, `OpenJDK 64-Bit Server VM warning: ..`: a few words that end in one that names a level.
fn phrase(text: &[u8]) -> Option<Level> {
    let window = &text[..text.len().min(PHRASE_BYTES_MAX)];
    let colon = memchr::memchr(b':', window)?;
    let words = blanks(&text[..colon]);
    match words {
        _ if words.len() < 5 || !matches!(text.get(colon + 1), None | Some(b' ')) => None,
        [.., b' ', b'e' | b'E', b'r', b'r', b'o', b'r'] => tools::tells_error(words).then_some(Level::Error),
        [.., b' ', b'w' | b'W', b'a', b'r', b'n', b'i', b'n', b'g'] => Some(Level::Warn),
        _ => None,
    }
}

//! A token in front of a level that is no word of it: a program, a file position, a logger, an exception.

use super::head::{Head, Step, found};
use super::scan::{Solid, count_digits, dressing, find, run, solid, styles};
use super::words::{Case, Place, Word};
use super::{Level, keys, phrases, runners, tools};

/// How far a phrase that ends in `error:` may reach.
const PHRASE_BYTES_MAX: usize = 40;

/// Reads the token that `head` stands at.
pub(super) fn read<'a>(head: &mut Head<'a>) -> Step {
    let solid = solid_token(head.rest);
    let (token, rest) = head.rest.split_at(solid.len);
    let stem = token.strip_suffix(b":").unwrap_or(token);
    let may_be_type = type_level(stem).is_some() || stem.ends_with(b"m"); // an `m` may end a style
    if may_be_type && let Some(level) = thrown(head.rest) {
        return Step::Is(level);
    }
    if stem.len() < token.len() {
        return chain(head, token, rest);
    }
    if solid.has_equals && is_pair(token) {
        return pairs(head, rest);
    }
    followed(head, Token { bytes: token, has_colon: solid.has_colon }, rest)
}

/// A token, and whether it has a `:`, as positions and paths have.
#[derive(Clone, Copy)]
struct Token<'a> {
    bytes: &'a [u8],
    has_colon: bool,
}

/// Up to the next blank; a change of style inside a token does not end it.
#[inline]
fn solid_token(text: &[u8]) -> Solid {
    let first = solid(text);
    if text.get(first.len) == Some(&0x1b) { styled_token(text, first) } else { first }
}

#[cold]
fn styled_token(text: &[u8], first: Solid) -> Solid {
    let mut whole = first;
    loop {
        let bare = styles(&text[whole.len..]);
        let after = text.len() - bare.len();
        if after == whole.len || matches!(bare, [] | [b' ' | b'\t' | b'\r', ..]) {
            return whole;
        }
        let more = solid(bare);
        whole = Solid {
            len: after + more.len,
            has_colon: whole.has_colon || more.has_colon,
            has_equals: whole.has_equals || more.has_equals,
        };
    }
}

/// The level of an exception at the start of `text`: `java.io.IOException: ..`, `ValueError`, `x.FutureWarning: ..`.
pub(super) fn thrown(text: &[u8]) -> Option<Level> {
    let len = run(text, is_type_byte);
    let (name, after) = (&text[..len], styles(&text[len..]));
    let (name, after) = match name.strip_suffix(b":") {
        Some(name) => (name, &text[len - 1..]),
        None => (name, after),
    };
    let ends = match after {
        [] | [b'\r'] | [b' ', b'[', b'E', ..] => true,
        [b':', rest @ ..] => matches!(styles(rest), [] | [b' ' | b'\r' | b'\t', ..]),
        _ => false,
    };
    if ends { type_level(name) } else { None }
}

/// The level that the end of a type's name tells.
#[inline]
fn type_level(name: &[u8]) -> Option<Level> {
    match name {
        [.., b'E', b'r', b'r', b'o', b'r'] => Some(Level::Error),
        [.., b'E', b'x', b'c', b'e', b'p', b't', b'i', b'o', b'n'] => Some(Level::Error),
        [.., b'E', b'x', b'c', b'e', b'p', b't', b'i', b'o', b'n', b'G', b'r', b'o', b'u', b'p'] => Some(Level::Error),
        [.., b'W', b'a', b'r', b'n', b'i', b'n', b'g'] => Some(Level::Warn),
        _ => None,
    }
}

fn is_type_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_' | b'$' | b'\\' | b'/')
}

/// Whether `token` is `key=..`.
fn is_pair(token: &[u8]) -> bool {
    let key = run(token, keys::is_key_byte);
    key > 0 && token.get(key) == Some(&b'=')
}

/// A line of logfmt; or, behind a date, PostgreSQL's `user=a,db=b ERROR: `.
fn pairs<'a>(head: &mut Head<'a>, rest: &'a [u8]) -> Step {
    let next = dressing(rest);
    if head.timed && Word::read(next).case() == Case::Upper {
        return head.at(next, Place::Dash);
    }
    found(keys::logfmt(head.unbounded()))
}

/// Behind `program: ` or `src/x.c:3:5: `.
fn chain<'a>(head: &mut Head<'a>, token: &[u8], rest: &'a [u8]) -> Step {
    let next = dressing(rest);
    let word = Word::read(next);
    let entry = word.entry();
    let told = entry.and_then(|entry| word.level_by(entry, Place::Chain));
    let told = told.or_else(|| phrases::complaint(head.line, &word, entry));
    match told.or_else(|| finding(token, next)) {
        Some(level) => Step::Is(level),
        None if is_shell(token, next) => Step::Is(Level::Error),
        None if next.is_empty() => Step::No,
        None => head.at(next, Place::Chain),
    }
}

/// A linter's finding or a Go compiler's error behind a file position: `x.py:3:5: F841 ..`, `x.py:3:5: W0613: ..`.
fn finding(token: &[u8], next: &[u8]) -> Option<Level> {
    let at = token.strip_suffix(b":")?;
    if !at.last()?.is_ascii_digit() || at.iter().filter(|b| **b == b':').count() < 2 {
        return None;
    }
    let letters = run(next, |b| b.is_ascii_uppercase());
    let digits = count_digits(&next[letters..]);
    match (letters, digits, next.get(letters + digits)) {
        (1, 4, Some(b':')) => Some(match next[0] {
            b'E' | b'F' => Level::Error,
            b'W' => Level::Warn,
            _ => Level::Info,
        }),
        (1..=4, 3..=4, Some(b' ')) => Some(Level::Warn),
        _ => memchr::memmem::find(at, b".go:").map(|_| Level::Error),
    }
}

/// A shell complains with its line: `bash: line 3: ..`, `dash: 1: ..`, `x.sh: line 3: ..`.
fn is_shell(token: &[u8], next: &[u8]) -> bool {
    let line = next.strip_prefix(b"line ");
    let number = line.unwrap_or(next);
    let digits = count_digits(number);
    let shell = line.is_some() || matches!(token, b"dash:" | b"sh:" | b"ash:");
    let warns = number.get(digits + 2..).is_some_and(|text| text.starts_with(b"warning"));
    shell && digits > 0 && number[digits..].starts_with(b": ") && !warns
}

/// What stands behind a token that is no `program:` decides whether it is a header at all.
fn followed<'a>(head: &mut Head<'a>, token: Token<'_>, rest: &'a [u8]) -> Step {
    let next = dressing(rest);
    match next {
        [b'|', b' ', after @ ..] => return head.at(after, Place::Start),
        [b'-' | b':', b' ', after @ ..] => return head.at(after, Place::Dash),
        _ => {}
    }
    let word = Word::read(next);
    let located = token.has_colon;
    if (head.timed || located) && word.case() == Case::Upper && word.level(Place::Dash).is_some() {
        return head.at(next, Place::Dash);
    }
    if located && let Some(level) = word.level(Place::Timed).filter(|_| word.case() == Case::Lower) {
        return Step::Is(level);
    }
    if head.timed && head.place == Place::Timed {
        return logger(head, next);
    }
    found(failure_code(token.bytes, next).or_else(|| runners::unittest(head)).or_else(|| phrase(head.rest)))
}

/// pnpm's `ERR_PNPM_FETCH_404  GET ..`, ruff's `F401 [*] ..`.
fn failure_code(token: &[u8], next: &[u8]) -> Option<Level> {
    let letters = run(token, |b| b.is_ascii_uppercase());
    let is_code = (1..=4).contains(&letters) && token.len() == letters + 3 && next.starts_with(b"[*] ");
    match token {
        [b'E', b'R', b'R', b'_', b'A'..=b'Z', ..] => Some(Level::Error),
        _ => is_code.then_some(Level::Warn),
    }
}

/// Behind a date: `host program[12]: `, a logger and then a bracket, or a host, a program and then the level.
fn logger<'a>(head: &mut Head<'a>, next: &'a [u8]) -> Step {
    let (token, rest) = next.split_at(solid_token(next).len);
    match token {
        [.., b':'] => return chain(head, token, rest),
        [b'[', ..] => return head.at(next, Place::Dash),
        _ => {}
    }
    let level = dressing(rest);
    let word = Word::read(level);
    if word.case() == Case::Upper && word.level(Place::Dash).is_some() {
        return head.at(level, Place::Dash);
    }
    found(phrase(head.rest))
}

/// `Parse error: ..`, `OpenJDK 64-Bit Server VM warning: ..`: a few words that end in one that names a level.
#[inline]
pub(super) fn phrase(text: &[u8]) -> Option<Level> {
    let window = &text[..text.len().min(PHRASE_BYTES_MAX)];
    let colon = find(window, b':')?;
    let (words, rest) = (&text[..colon], &text[colon + 1..]);
    match words {
        _ if !matches!(rest, [] | [b' ', ..]) => None,
        [_, .., b' ', b'e' | b'E', b'r', b'r', b'o', b'r'] => tools::tells_error(words).then_some(Level::Error),
        [_, .., b' ', b'w' | b'W', b'a', b'r', b'n', b'i', b'n', b'g'] => Some(Level::Warn),
        _ => phrases::is_errno(rest).then_some(Level::Error),
    }
}

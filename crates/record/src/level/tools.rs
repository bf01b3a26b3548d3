//! Shapes that only one tool or one language prints, by the word or the sign they start with.

use super::Level;
use super::head::{Head, Step, found};
use super::lexicon::{Entry, Shape};
use super::phrases::{goes_on, starts_failure};
use super::runners;
use super::scan::{blanks, count_digits, dressing, run};
use super::stamp::skip;
use super::token;
use super::words::{Case, Place, Word, continues_sentence};

/// A longer parenthesis is text.
const PARENTHESIS_BYTES_MAX: usize = 40;

/// A line that starts with a sign: `##[error]`, `::error`, `==1==ERROR`, `> Task .. FAILED`, `(node:1) Warning`.
pub(super) fn sign<'a>(head: &mut Head<'a>, first: u8) -> Step {
    let behind = &head.rest[run(head.rest, |b| b == first)..];
    match first {
        b'#' => hash(head, behind),
        b':' => found(command(behind)),
        b'=' => equals(head, behind),
        b'_' => runners::heading(head, behind),
        b'(' => parenthesis(head),
        b'*' if behind.starts_with(b" stack smashing") => Step::Is(Level::Error),
        b'*' => head.at(behind, Place::Dash),
        b'>' if head.rest.starts_with(b"> Task ") && head.line_ends_with(b" FAILED") => Step::Is(Level::Error),
        b'!' if behind.starts_with(b" [re") => Step::Is(Level::Error),
        b'?' => found(django(behind)),
        _ => Step::No,
    }
}

/// Azure's and GitHub's `##[error]`; BuildKit's `#12 0.345 text` and `#12 ERROR: ..`; TAP's `# fail 3`.
fn hash<'a>(head: &mut Head<'a>, behind: &'a [u8]) -> Step {
    match behind {
        [b'[', inside @ ..] => return found(Word::read(inside).named()),
        [b' ', b'f', b'a', b'i', b'l', b' ', b'1'..=b'9', ..] => return Step::Is(Level::Error),
        _ => {}
    }
    let digits = count_digits(behind);
    let Some(text) = behind[digits..].strip_prefix(b" ").filter(|_| digits > 0) else { return Step::No };
    let seconds = run(text, |b| b.is_ascii_digit() || b == b'.');
    if seconds > 0 { head.at(&text[seconds..], Place::Start) } else { found(Word::read(text).level(Place::Dash)) }
}

/// GitHub's `::error file=x::text`.
fn command(behind: &[u8]) -> Option<Level> {
    let word = Word::read(behind);
    word.named().filter(|_| matches!(word.rest, [b':' | b' ', ..]))
}

/// `==123==ERROR: AddressSanitizer`, `==123==ABORTING`, and the headings of test runners.
fn equals<'a>(head: &mut Head<'a>, behind: &'a [u8]) -> Step {
    let digits = count_digits(behind);
    match behind[digits..].strip_prefix(b"==") {
        Some(text) if digits > 0 => head.at(text, Place::Chain),
        _ => runners::heading(head, behind),
    }
}

/// `(node:123) Warning: ..`, `(none):1: warning: ..`.
fn parenthesis<'a>(head: &mut Head<'a>) -> Step {
    let window = &head.rest[..head.rest.len().min(PARENTHESIS_BYTES_MAX)];
    match memchr::memchr(b')', window).map(|end| &head.rest[end + 1..]) {
        Some([b':', ..]) => token::read(head),
        Some(rest) => head.at(rest, Place::Start),
        None => Step::No,
    }
}

/// Django's system checks: `?: (security.W004) ..`.
fn django(behind: &[u8]) -> Option<Level> {
    let inside = behind.strip_prefix(b": (")?;
    let code = &inside[run(inside, |b| b != b'.' && b != b')')..];
    match code {
        [b'.', b'W', b'0'..=b'9', ..] => Some(Level::Warn),
        [b'.', b'E', b'0'..=b'9', ..] => Some(Level::Error),
        _ => None,
    }
}

/// A line that starts with a number that is no date.
pub(super) fn number<'a>(head: &mut Head<'a>) -> Step {
    let text = head.rest;
    let after = &text[count_digits(text)..];
    match after {
        [b':', ..] if let Some(rest) = position(text) => head.at(rest, Place::Timed),
        [b' ', ..] if runners::counts_failures(text) => Step::Is(Level::Error),
        [b' ' | b'\t', ..] if head.timed => head.at(after, head.place),
        [b' ', rest @ ..] if Word::read(rest).case() == Case::Upper => head.at(rest, Place::Dash),
        [b' ', b'-', b' ', ..] if head.line_ends_with(b"(Failed)") => Step::Is(Level::Error),
        [b' ', ..] => found(runners::counts_findings(text)),
        [b'%', b' ', b't', b'e', b's', b't', b's', ..] => found(runners::share(after)),
        [b'/', ..] => found(runners::ctest(text)),
        _ if openssl(after) => Step::Is(Level::Error),
        _ => Step::No,
    }
}

/// What follows ESLint's `3:7` below a file's name.
fn position(text: &[u8]) -> Option<&[u8]> {
    let rest = text[count_digits(text)..].strip_prefix(b":")?;
    let digits = count_digits(rest);
    match &rest[digits..] {
        after @ ([b' ', b' ', ..] | [b' ', 0x1b, ..]) if digits > 0 => Some(after),
        _ => None,
    }
}

/// OpenSSL's `804B6C84737F0000:error:16000069:..`, behind the first digits.
fn openssl(after: &[u8]) -> bool {
    after[run(after, |b| b.is_ascii_hexdigit())..].starts_with(b":error:")
}

/// Redis' `12:M 02 Jan 2026 15:04:05.123 # text`, from the date on.
pub(super) fn redis(dated: &[u8]) -> Option<Level> {
    match skip(dated)? {
        [b' ', b'#', b' ', text @ ..] if starts_failure(text) => Some(Level::Error),
        [b' ', b'#', b' ', ..] => Some(Level::Warn),
        [b' ', b'*', b' ', ..] => Some(Level::Info),
        [b' ', b'-' | b'.', b' ', ..] => Some(Level::Debug),
        _ => None,
    }
}

/// A line that starts with a known word that is no level there; `None` if it is a line like any other.
#[inline]
pub(super) fn word<'a>(head: &mut Head<'a>, word: &Word<'a>, entry: &Entry) -> Option<Step> {
    let rest = word.rest;
    let told = match entry.shape {
        _ if goes_on(rest, entry.failures) => Some(Level::Error),
        Shape::None => entry.level.and_then(|_| told(word)),
        Shape::Exception => told(word),
        Shape::Npm => return Some(found(npm(rest))),
        Shape::Php => return Some(head.at(rest, Place::Start)),
        Shape::Cmake => cmake(rest),
        Shape::Test if rest.starts_with(b" ") && word.case() == Case::Lower => {
            return Some(found(runners::test(head, rest)));
        }
        Shape::Test | Shape::Tests => runners::sum(rest),
        Shape::Thread => panicked(rest),
        Shape::Found => runners::counts_findings(blanks(rest)),
        Shape::Not => runners::not_ok(head.rest),
    };
    told.map(Step::Is)
}

/// Old npm shouts, new npm does not: `npm ERR! code E404`, `npm warn deprecated ..`.
fn npm(rest: &[u8]) -> Option<Level> {
    let word = Word::read(dressing(rest));
    word.named().filter(|_| matches!(word.rest, [] | [b'!' | b' ' | 0x1b | b'\r', ..]))
}

/// `CMake Error at ..`, `CMake Deprecation Warning ..`.
fn cmake(rest: &[u8]) -> Option<Level> {
    let word = Word::read(blanks(rest));
    word.named().filter(|_| word.case() == Case::Title && matches!(word.rest, [b' ' | b':', ..]))
}

/// `thread 'main' (12) panicked at src/main.rs:3:5:`.
fn panicked(rest: &[u8]) -> Option<Level> {
    let name = rest.strip_prefix(b" '")?;
    let after = &name[memchr::memchr(b'\'', name)? + 1..];
    let after = match after {
        [b' ', b'(', id @ ..] => &id[memchr::memchr(b')', id)? + 1..],
        _ => after,
    };
    (after.starts_with(b" panicked") || after.starts_with(b" has overflowed")).then_some(Level::Error)
}

/// `Error while ..`, `Error response from daemon: ..`, `fatal error: ..`, `Exception in thread ..`.
fn told(word: &Word<'_>) -> Option<Level> {
    let [b' ', rest @ ..] = word.rest else { return None };
    let next = Word::read(rest);
    let tells = match word.case() {
        Case::Title if word.is_one_of(&["error"]) => follows_error(&next, rest),
        _ if word.is_one_of(&["error", "errors"]) => next.is_one_of(&["during", "while"]),
        _ if word.is_one_of(&["fatal"]) => next.is_one_of(&["error"]) || rest.starts_with(b"Python error"),
        _ if word.is_one_of(&["exception"]) => next.is_one_of(&["in", "ignored", "occurred"]),
        _ => false,
    };
    tells.then_some(Level::Error)
}

fn follows_error(next: &Word<'_>, rest: &[u8]) -> bool {
    let doing = rest[..next.len()].ends_with(b"ing") && !continues_sentence(rest);
    doing || next.is_one_of(&["while", "when", "in", "at", "during", "response", "from", "occurred"])
}

/// Whether a phrase that ends in `error` tells of one: `Parse error`, not `No error`.
pub(super) fn tells_error(words: &[u8]) -> bool {
    !Word::read(words).is_one_of(&["no", "without", "last", "previous", "expected", "on", "if", "not", "any"])
}

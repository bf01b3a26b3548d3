//! Shapes that only one tool or one language prints, by the word or the sign they start with.

use super::Level;
use super::head::{Head, Step, found};
use super::stamp::{blanks, dressing, skip};
use super::words::{Case, Place, Word};

/// A line that starts with a sign: `##[error]`, `::error`, `==1==ERROR`, `> Task .. FAILED`, `(node:1) Warning`.
pub(super) fn sign<'a>(head: Head<'a>, first: u8) -> Step<'a> {
    let behind = &head.rest[run(head.rest, |b| b == first)..];
    match first {
        b'#' => hash(head, behind),
        b':' => found(command(behind)),
        b'=' => equals(head, behind),
        b'(' => parenthesis(head),
        b'*' if behind.starts_with(b" stack smashing") => Step::Is(Level::Error),
        b'*' => head.at(behind, Place::Dash),
        b'>' if head.rest.starts_with(b"> Task ") && head.line_ends_with(b" FAILED") => Step::Is(Level::Error),
        b'!' if behind.starts_with(b" [re") => Step::Is(Level::Error),
        _ => Step::No,
    }
}

/// How many bytes at the start of `text` are of one kind.
fn run(text: &[u8], kind: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|b| kind(**b)).count()
}

/// Azure's and GitHub's `##[error]`; BuildKit's `#12 0.345 text` and `#12 ERROR: ..`.
fn hash<'a>(head: Head<'a>, behind: &'a [u8]) -> Step<'a> {
    if behind.starts_with(b"[") {
        return found(Word::read(&behind[1..]).named());
    }
    let digits = run(behind, |b| b.is_ascii_digit());
    let Some(text) = behind[digits..].strip_prefix(b" ").filter(|_| digits > 0) else { return Step::No };
    let seconds = run(text, |b| b.is_ascii_digit() || b == b'.');
    if seconds > 0 { head.at(&text[seconds..], Place::Start) } else { head.at(text, Place::Dash) }
}

/// GitHub's `::error file=x::text`.
fn command(behind: &[u8]) -> Option<Level> {
    let word = Word::read(behind);
    word.named().filter(|_| matches!(word.rest, [b':' | b' ', ..]))
}

/// `==123==ERROR: AddressSanitizer`, pytest's `=== FAILURES ===` and `=== 1 failed, 2 passed ===`.
fn equals<'a>(head: Head<'a>, behind: &'a [u8]) -> Step<'a> {
    let digits = run(behind, |b| b.is_ascii_digit());
    if behind[digits..].starts_with(b"==") && digits > 0 {
        return head.at(&behind[digits + 2..], Place::Chain);
    }
    match dressing(behind) {
        text if text.starts_with(b"FAILURES ") || text.starts_with(b"ERRORS ") => Step::Is(Level::Error),
        text @ [b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', ..] => head.at(text, Place::Dash),
        _ => Step::No,
    }
}

/// `(node:123) Warning: ..`, `(process:12): GLib-WARNING **: ..`.
fn parenthesis<'a>(head: Head<'a>) -> Step<'a> {
    let window = &head.rest[..head.rest.len().min(PARENTHESIS_BYTES_MAX)];
    match memchr::memchr(b')', window) {
        Some(end) => {
            let rest = &head.rest[end + 1..];
            head.at(rest.strip_prefix(b":").unwrap_or(rest), Place::Start)
        }
        None => Step::No,
    }
}

/// A longer parenthesis is text.
const PARENTHESIS_BYTES_MAX: usize = 40;

/// A line that starts with a number that is no date.
pub(super) fn number<'a>(head: Head<'a>) -> Step<'a> {
    let digits = run(head.rest, |b| b.is_ascii_digit());
    let (value, after) = head.rest.split_at(digits);
    let word = Word::read(dressing(after));
    match after {
        [b':', rest @ ..] if head.place == Place::Start => position(head, rest),
        [b' ', ..] if value != b"0" && counts_failures(&word) => Step::Is(Level::Error),
        [b' ', ..] if value != b"0" && sums_up(&word) => {
            found(if word.lower()[0] == b'e' { Some(Level::Error) } else { Some(Level::Warn) })
        }
        [b' ' | b'\t', ..] if head.timed => head.at(after, head.place),
        _ => Step::No,
    }
}

/// `1 failed, 2 passed`, `3 failing`.
fn counts_failures(word: &Word<'_>) -> bool {
    word.case == Case::Lower && matches!(word.lower(), b"failed" | b"failing")
}

/// `2 errors generated.`, `1 warning`: nothing else on the line.
fn sums_up(word: &Word<'_>) -> bool {
    let known = matches!(word.lower(), b"error" | b"errors" | b"warning" | b"warnings");
    known && matches!(word.rest.trim_ascii(), b"" | b"generated." | b"found")
}

/// ESLint's `3:7  error  ..` below a file's name.
fn position<'a>(head: Head<'a>, rest: &'a [u8]) -> Step<'a> {
    let digits = run(rest, |b| b.is_ascii_digit());
    match &rest[digits..] {
        after @ [b' ', b' ', ..] | after @ [b' ', 0x1b, ..] if digits > 0 => head.at(after, Place::Timed),
        _ => Step::No,
    }
}

/// Redis' `12:M 02 Jan 2026 15:04:05.123 # text`.
pub(super) fn redis(text: &[u8]) -> Option<Level> {
    let pid = run(text, |b| b.is_ascii_digit());
    let after = match &text[pid..] {
        [b':', b'M' | b'C' | b'S' | b'X', b' ', after @ ..] => skip(after)?,
        _ => return None,
    };
    match after {
        [b' ', b'#', b' ', ..] => Some(Level::Warn),
        [b' ', b'*', b' ', ..] => Some(Level::Info),
        [b' ', b'-' | b'.', b' ', ..] => Some(Level::Debug),
        _ => None,
    }
}

/// A line that starts with a word that is no level by itself; `None` if that word says nothing to any tool.
pub(super) fn word(head: Head<'_>, word: &Word<'_>) -> Option<Level> {
    let rest = word.rest;
    match word.lower() {
        b"npm" => npm(rest),
        b"cmake" => cmake(rest),
        b"test" => cargo_test(head, rest),
        b"tests" => counted_tests(rest),
        b"thread" => panicked(rest),
        b"not" if rest.starts_with(b" ok") => not_ok(head.rest),
        _ if starts_failure(head.rest) => Some(Level::Error),
        b"error" | b"fatal" | b"exception" => told(word),
        _ => None,
    }
}

/// Old npm shouts, new npm does not: `npm ERR! code E404`, `npm warn deprecated ..`.
fn npm(rest: &[u8]) -> Option<Level> {
    let word = Word::read(dressing(rest));
    let ends =
        matches!(dressing(word.rest), [] | [b'!', ..]) || word.rest.starts_with(b" ") || word.rest.starts_with(b"\x1b");
    word.named().filter(|_| ends)
}

/// `CMake Error at ..`, `CMake Deprecation Warning ..`.
fn cmake(rest: &[u8]) -> Option<Level> {
    let word = Word::read(blanks(rest));
    word.named().filter(|_| matches!(word.case, Case::Title) && matches!(word.rest, [b' ' | b':', ..]))
}

/// `test a::b ... FAILED` and `test result: FAILED. ..` of Rust.
fn cargo_test(head: Head<'_>, rest: &[u8]) -> Option<Level> {
    let name = rest.strip_prefix(b" ")?;
    let outcome = match memchr::memchr(b' ', name) {
        Some(end) => dressing(name[end..].strip_prefix(b" ...").unwrap_or(&name[end..])),
        None => return None,
    };
    let failed =
        if name.starts_with(b"result: ") || name.contains(&b'.') { outcome.starts_with(b"FAILED") } else { false };
    (failed || head.line_ends_with(b"... FAILED")).then_some(Level::Error)
}

/// `Tests:  1 failed, 2 total`, `Tests run: 3, Failures: 1, Errors: 0`.
fn counted_tests(rest: &[u8]) -> Option<Level> {
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    if let Some(counts) = rest.strip_prefix(b" run: ") {
        let nonzero = |key: &[u8]| {
            let at = counts.windows(key.len()).position(|w| w == key)?;
            matches!(counts.get(at + key.len()), Some(b'1'..=b'9')).then_some(Level::Error)
        };
        return nonzero(b"Failures: ").or_else(|| nonzero(b"Errors: "));
    }
    let count = dressing(rest);
    let digits = run(count, |b| b.is_ascii_digit());
    (count.first() != Some(&b'0') && digits > 0 && counts_failures(&Word::read(dressing(&count[digits..]))))
        .then_some(Level::Error)
}

/// `thread 'main' (12) panicked at src/main.rs:3:5:`.
fn panicked(rest: &[u8]) -> Option<Level> {
    let behind = rest.strip_prefix(b" '")?;
    let after = &behind[memchr::memchr(b'\'', behind)? + 1..];
    let after = match after {
        [b' ', b'(', id @ ..] => id.get(memchr::memchr(b')', id)? + 1..)?,
        _ => after,
    };
    (after.starts_with(b" panicked") || after.starts_with(b" has overflowed")).then_some(Level::Error)
}

/// TAP's `not ok 3 - name`, unless it is a known failure.
fn not_ok(text: &[u8]) -> Option<Level> {
    let known = text.windows(6).any(|w| matches!(w, b"# TODO" | b"# SKIP" | b"# todo" | b"# skip"));
    (!known).then_some(Level::Error)
}

/// `Error while ..`, `Error response from daemon: ..`, `fatal error: ..`, `Exception in thread ..`.
fn told(word: &Word<'_>) -> Option<Level> {
    let [b' ', rest @ ..] = word.rest else { return None };
    let next = Word::read(rest);
    let tells = match word.lower() {
        b"error" if word.case == Case::Title => {
            matches!(
                next.lower(),
                b"while" | b"when" | b"in" | b"at" | b"on" | b"during" | b"response" | b"from" | b"occurred"
            ) || (next.lower().ends_with(b"ing") && !matches!(next.lower(), b"handling" | b"reporting" | b"logging"))
        }
        b"fatal" => matches!(next.lower(), b"error") || rest.starts_with(b"Python error"),
        b"exception" => matches!(next.lower(), b"in" | b"ignored" | b"occurred"),
        _ => false,
    };
    tells.then_some(Level::Error)
}

/// Whether a line, or what follows `program: `, starts like the report of a failure.
pub(super) fn starts_failure(text: &[u8]) -> bool {
    let Some(group) = FAILURES.get(usize::from(text[0].to_ascii_lowercase().wrapping_sub(b'a'))) else { return false };
    group.iter().any(|phrase| text.starts_with(phrase))
}

/// How failures are told at the start of a line, by first letter.
const FAILURES: [&[&[u8]]; 26] = {
    let mut groups: [&[&[u8]]; 26] = [&[]; 26];
    groups[0] = &[b"Assertion failed", b"assertion failed", b"Aborted", b"assertion `", b"Assertion `"];
    groups[1] = &[b"BUILD FAILED", b"Build failed", b"Build FAILED", b"Bus error", b"build failed", b"bad interpreter"];
    groups[2] = &[
        b"Caused by: ",
        b"CONFLICT (",
        b"Command failed",
        b"command not found",
        b"Could not ",
        b"could not ",
        b"Couldn't ",
        b"Cannot ",
        b"cannot ",
        b"can't ",
        b"Can't ",
        b"Connection refused",
        b"Compilation failed",
        b"command failed",
    ];
    groups[3] = &[b"double free or corruption", b"Dependency failed"];
    groups[4] = &[b"exit status 1", b"exit status 2", b"executable file not found"];
    groups[5] = &[b"Failed to ", b"failed to ", b"Failed tests:", b"Failed Tests", b"free(): "];
    groups[8] = &[b"Illegal instruction", b"invalid option", b"illegal option", b"Invalid option"];
    groups[10] = &[b"Killed"];
    groups[13] = &[b"No such file or directory", b"no such file or directory", b"No module named"];
    groups[15] = &[b"Permission denied"];
    groups[18] = &[b"Segmentation fault", b"syntax error"];
    groups[19] = &[b"Traceback (most recent call last)", b"terminate called "];
    groups[20] = &[
        b"Uncaught ",
        b"Unhandled ",
        b"uncaughtException",
        b"undefined reference to",
        b"Unable to ",
        b"unable to ",
        b"unrecognized option",
        b"unrecognised option",
        b"unknown option",
        b"Unknown option",
    ];
    groups
};

/// The level of what follows `program: `, where it is told by no level but by the words themselves.
pub(super) fn complaint(head: Head<'_>, text: &[u8]) -> Option<Level> {
    if text.starts_with(b"*** ") && !text.ends_with(b"(ignored)") {
        return Some(Level::Error);
    }
    let tail = head.line.trim_ascii_end();
    let errno = match tail.last()? {
        b'y' => {
            tail.ends_with(b": No such file or directory")
                || tail.ends_with(b": Is a directory")
                || tail.ends_with(b": Not a directory")
        }
        b'd' => [
            &b": command not found"[..],
            b": not found",
            b": Permission denied",
            b": Operation not permitted",
            b": Connection refused",
        ]
        .iter()
        .any(|end| tail.ends_with(end)),
        b's' => tail.ends_with(b": File exists"),
        _ => false,
    };
    errno.then_some(Level::Error)
}

/// Whether a phrase that ends in `error` tells of one: `Parse error`, not `No error`.
pub(super) fn tells_error(words: &[u8]) -> bool {
    let first = Word::read(words);
    !matches!(first.lower(), b"no" | b"without" | b"last" | b"previous" | b"expected" | b"on" | b"if" | b"not" | b"any")
}

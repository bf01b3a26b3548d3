//! Failures that are told in words and by no level: how such a line, or what follows `program: `, starts.

use super::Level;
use super::lexicon::Entry;
use super::words::Word;

/// Whether a line, or what follows `program: `, starts like the report of a failure.
pub(super) fn starts_failure(text: &[u8]) -> bool {
    let word = Word::read(text);
    word.entry().is_some_and(|entry| goes_on(word.rest, entry.failures))
}

/// Whether `rest` starts with one of `ways`.
#[inline]
pub(super) fn goes_on(rest: &[u8], ways: &[&[u8]]) -> bool {
    ways.iter().any(|way| rest.starts_with(way))
}

/// The level of what follows `program: ` (its first word is `word`, which means `entry`), told by the words themselves.
pub(super) fn complaint(line: &[u8], word: &Word<'_>, entry: Option<&Entry>) -> Option<Level> {
    let told = entry.is_some_and(|entry| goes_on(word.rest, entry.complaints) || goes_on(word.rest, entry.failures));
    match word.rest {
        _ if told => Some(Level::Error),
        [b'*', b'*', b'*', b' ', ..] if word.len() == 0 => Some(Level::Error),
        [b'[', ..] if word.len() == 0 && line.ends_with(b"(ignored)") => Some(Level::Warn),
        _ => ends_in_failure(line).then_some(Level::Error),
    }
}

/// Whether a line that starts with `program: ` ends in what the operating system says to a failed call, or nearly so.
fn ends_in_failure(line: &[u8]) -> bool {
    let end = line.trim_ascii_end();
    if !matches!(end, [.., b'd' | b'y' | b's' | b't' | b'.']) {
        return false; // no way to say it ends otherwise, and most lines are done with here
    }
    let fails = end.ends_with(b" failed") && !end.ends_with(b" 0 failed");
    fails
        || end.ends_with(b" does not exist.")
        || memchr::memrchr(b':', end).is_some_and(|colon| is_errno(&end[colon + 1..]))
}

/// Whether `text` is what the operating system says to a failed call.
pub(super) fn is_errno(text: &[u8]) -> bool {
    ERRNOS.contains(&text.trim_ascii())
}

/// What the operating system and the shells say at the end of a line.
const ERRNOS: [&[u8]; 11] = [
    b"command not found",
    b"No such file or directory",
    b"Is a directory",
    b"Not a directory",
    b"not found",
    b"Permission denied",
    b"Operation not permitted",
    b"Connection refused",
    b"File exists",
    b"no such host",
    b"no such file or directory",
];

//! Failures that are told in words and by no level: how such a line, or what follows `program: `, starts.

use super::Level;

/// The starts of one kind of sentence, by their first letter.
type Starts = [&'static [&'static [u8]]; 26];

/// Whether a line, or what follows `program: `, starts like the report of a failure.
#[inline]
pub(super) fn starts_failure(text: &[u8]) -> bool {
    starts(&FAILURES, text)
}

/// The level of what follows `program: `, where the words themselves tell it; `line` is the whole line.
pub(super) fn complaint(line: &[u8], text: &[u8]) -> Option<Level> {
    if text.starts_with(b"*** ") || starts(&COMPLAINTS, text) || starts_failure(text) {
        return Some(Level::Error);
    }
    if text.starts_with(b"[") && line.ends_with(b"(ignored)") {
        return Some(Level::Warn);
    }
    let end = line.trim_ascii_end();
    let errno = memchr::memrchr(b':', end).is_some_and(|colon| is_errno(&end[colon + 1..]));
    let fails = end.ends_with(b" failed") && !end.ends_with(b" 0 failed");
    (errno || fails || end.ends_with(b" does not exist.")).then_some(Level::Error)
}

/// Whether `text` is what the operating system says to a failed call.
pub(super) fn is_errno(text: &[u8]) -> bool {
    ERRNOS.contains(&text.trim_ascii())
}

fn starts(all: &Starts, text: &[u8]) -> bool {
    let letter = text.first().map_or(u8::MAX, |first| first.to_ascii_lowercase().wrapping_sub(b'a'));
    all.get(usize::from(letter)).is_some_and(|group| group.iter().any(|start| text.starts_with(start)))
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

/// How failures are told at the start of a line.
const FAILURES: Starts = [
    &[b"Assertion failed", b"assertion failed", b"Assertion `", b"assertion `", b"Aborted (", b"ABORTING"],
    &[b"BUILD FAILED", b"Build failed", b"Build FAILED", b"build failed", b"Bus error", b"BEGIN failed"],
    &[
        b"Caused by: ",
        b"Caused: ",
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
        b"called `",
        b"Configuring incomplete",
    ],
    &[b"double free or corruption", b"Dependency failed"],
    &[b"executable file not found", b"exit status 1", b"exit status 2"],
    &[b"Failed to ", b"failed to ", b"Failed Tests", b"Failed listening", b"Fatal error", b"free(): "],
    &[],
    &[],
    &[b"Illegal instruction"],
    &[],
    &[b"KeyboardInterrupt"],
    &[],
    &[b"Module parse failed", b"Module not found"],
    &[
        b"No such file or directory",
        b"no such file or directory",
        b"No module named",
        b"No tests found",
        b"No test files found",
        b"No files matching",
    ],
    &[b"Out of memory", b"Oops! ", b"out of memory"],
    &[b"Permission denied"],
    &[],
    &[],
    &[
        b"Segmentation fault",
        b"syntax error",
        b"SUMMARY: AddressSanitizer",
        b"SUMMARY: ThreadSanitizer",
        b"segfault at ",
    ],
    &[b"Traceback ", b"terminate called ", b"Task exception was never", b"Timeout of "],
    &[
        b"Uncaught ",
        b"Unhandled ",
        b"undefined reference to",
        b"Unable to ",
        b"unable to ",
        b"Unknown command",
        b"unknown command",
        b"Unknown option",
        b"unknown option",
        b"unrecognized option",
        b"Unrecognized option",
        b"unrecognised option",
    ],
    &[],
    &[],
    &[],
    &[],
    &[],
];

/// How programs complain behind their name; at the start of a line these are sentences like any other.
const COMPLAINTS: Starts = [
    &[b"all warnings being treated"],
    &[b"bad ", b"build stopped", b"bind() "],
    &[],
    &[b"division by "],
    &[b"Error is not "],
    &[],
    &[],
    &[],
    &[b"invalid ", b"illegal "],
    &[],
    &[],
    &[],
    &[b"missing "],
    &[b"no such ", b"not a ", b"no input files"],
    &[b"option "],
    &[],
    &[],
    &[],
    &[b"Syntax error"],
    &[b"too many ", b"too few ", b"Target '"],
    &[b"undefined: ", b"unexpected ", b"unsupported ", b"unknown "],
    &[],
    &[],
    &[],
    &[],
    &[],
];

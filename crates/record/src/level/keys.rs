//! Levels that stand under a key: JSON objects and logfmt.

use super::scan::{blanks, find_either, run};
use super::{Level, words};

/// How far into a JSON object or a logfmt line a level is looked for: loggers put the message in front of it.
const KEYED_BYTES_MAX: usize = 512;

/// The level under a key of the object that `line` starts with; nested objects are passed over.
pub(super) fn json(line: &[u8]) -> Option<Level> {
    let mut rest = blanks(line[..line.len().min(KEYED_BYTES_MAX)].strip_prefix(b"{")?);
    loop {
        let (key, after) = string(rest)?;
        let value = blanks(blanks(after).strip_prefix(b":")?);
        if let Some(level) = keyed(key, value) {
            return Some(level);
        }
        rest = blanks(blanks(skip_value(value)?).strip_prefix(b",")?);
    }
}

#[inline]
fn keyed(key: &[u8], value: &[u8]) -> Option<Level> {
    match key.first()? {
        b'l' | b's' | b'@' | b'L' | b'S' if is_level_key(key) => level_value(value),
        b'l' if key == b"levelno" => number(value).map(python_number),
        b'P' | b'p' if matches!(key, b"PRIORITY" | b"priority") => level_value(value),
        _ => None,
    }
}

/// The keys under which loggers put a level.
#[inline]
fn is_level_key(key: &[u8]) -> bool {
    matches!(
        key,
        b"level"
            | b"lvl"
            | b"severity"
            | b"levelname"
            | b"loglevel"
            | b"log_level"
            | b"log.level"
            | b"logLevel"
            | b"@level"
            | b"@l"
            | b"level_name"
            | b"severity_text"
            | b"Level"
            | b"LogLevel"
            | b"LEVEL"
            | b"SEVERITY"
    )
}

/// A level as a value: a name, or one of the numbers of pino and bunyan (10 to 60) or syslog (0 to 7).
fn level_value(value: &[u8]) -> Option<Level> {
    match value.strip_prefix(b"\"") {
        None => number(value).map(logger_number),
        Some(name) => {
            let len = name.iter().take(16).position(|&b| b == b'"')?;
            words::whole(&name[..len]).or_else(|| number(&name[..len]).map(logger_number))
        }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    let ends = matches!(text.get(digits), None | Some(b',' | b'}' | b' ' | b'"'));
    (digits > 0 && ends).then(|| text[..digits].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
}

fn logger_number(number: u32) -> Level {
    match number {
        0..8 => syslog_severity(number),
        8..20 => Level::Trace,
        20..30 => Level::Debug,
        30..40 => Level::Info,
        40..50 => Level::Warn,
        _ => Level::Error,
    }
}

fn python_number(number: u32) -> Level {
    match number {
        0..10 => Level::Trace,
        10..20 => Level::Debug,
        20..30 => Level::Info,
        30..40 => Level::Warn,
        _ => Level::Error,
    }
}

/// The level of a syslog severity: 0 to 3 are errors.
pub(super) fn syslog_severity(number: u32) -> Level {
    match number {
        0..=3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        _ => Level::Debug,
    }
}

/// The inside of the string that `text` starts with, as written, and what follows it.
#[inline]
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        at += find_either(&inside[at..], b'"', b'\\')?;
        if inside[at] == b'"' {
            return Some((&inside[..at], &inside[at + 1..]));
        }
        at += 2; // the backslash and what it escapes
        if at > inside.len() {
            return None;
        }
    }
}

fn skip_value(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'"' => string(text).map(|(_, rest)| rest),
        b'{' | b'[' => skip_nested(text),
        _ => {
            let len = text.iter().position(|b| matches!(b, b',' | b'}'))?;
            Some(&text[len..])
        }
    }
}

fn skip_nested(mut text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0;
    loop {
        match text.first()? {
            b'"' => {
                text = string(text)?.1;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        text = &text[1..];
        if depth == 0 {
            return Some(text);
        }
    }
}

/// The level under a key of the logfmt pairs that `line` starts with; ends at the first word that is no pair.
pub(super) fn logfmt(line: &[u8]) -> Option<Level> {
    let mut rest = &line[..line.len().min(KEYED_BYTES_MAX)];
    loop {
        if rest.first()?.is_ascii_digit() {
            rest = blanks(&rest[memchr::memchr(b' ', rest)?..]); // the time of an unquoted `time=2026-01-02 15:04:05`
        }
        let (key, after) = rest.split_at(run(rest, is_key_byte));
        let value = after.strip_prefix(b"=").filter(|_| !key.is_empty())?;
        if is_level_key(key) {
            return logfmt_level(value);
        }
        rest = match value.first()? {
            b'"' => string(value)?.1,
            _ => &value[memchr::memchr(b' ', value)?..],
        };
        rest = blanks(rest);
    }
}

/// Whether `byte` may be part of a logfmt key.
#[inline]
pub(super) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@')
}

fn logfmt_level(value: &[u8]) -> Option<Level> {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let len = value.iter().position(|b| matches!(b, b' ' | b'"' | b'\t' | b',' | b']')).unwrap_or(value.len());
    words::whole(&value[..len]).or_else(|| number(&value[..len]).map(logger_number))
}

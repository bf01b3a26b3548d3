//! Records and gaps as JSON, one object a line, for every reader the same.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Flags, Gap, Level, RecordRef, RunId, Stream, Time};

#[derive(Serialize)]
struct RecordLine<'a> {
    run: RunId,
    seq: u64,
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_time_ns: Option<i64>,
    stream: Stream,
    level: Level,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "is_false")]
    continued: bool,
    #[serde(skip_serializing_if = "is_false")]
    no_newline: bool,
    #[serde(skip_serializing_if = "is_false")]
    level_guessed: bool,
}

#[derive(Serialize)]
struct GapLine<'a> {
    gap: &'a Gap,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Appends the line of a record, with its newline. Fields that are not JSON, which only a damaged file can hold, are left out.
pub fn push_record(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    push_line(out, &record_line(record));
}

/// Appends the line of a gap, with its newline.
pub fn push_gap(out: &mut Vec<u8>, gap: &Gap) {
    push_line(out, &GapLine { gap });
}

/// Appends any value as a line. DEL and the controls from U+0080 to U+009F are escaped, which JSON does not ask for: a
/// terminal would obey them.
pub fn push_line(out: &mut Vec<u8>, line: &impl Serialize) {
    let start = out.len();
    // Memory takes every byte, and nothing here has keys that are no text: so it cannot fail.
    let _ = serde_json::to_writer(&mut *out, line);
    if holds_controls(&out[start..]) {
        escape_controls(out, start);
    }
    out.push(b'\n');
}

fn holds_controls(json: &[u8]) -> bool {
    json.iter().any(|byte| matches!(byte, 0x7F | 0xC2))
}

/// They can only be inside strings.
#[cold]
fn escape_controls(out: &mut Vec<u8>, start: usize) {
    let line = String::from_utf8_lossy(&out.split_off(start)).into_owned();
    for c in line.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn record_line<'a>(record: &RecordRef<'a>) -> RecordLine<'a> {
    let message = String::from_utf8_lossy(record.message);
    let message_base64 = matches!(message, Cow::Owned(_)).then(|| base64(record.message));
    RecordLine {
        run: record.run,
        seq: record.seq,
        time: record.time,
        origin_time_ns: record.origin_time_ns,
        stream: record.stream,
        level: record.level,
        message,
        message_base64,
        fields: record.fields.and_then(|fields| serde_json::from_str(fields).ok()),
        continued: record.flags.has(Flags::CONTINUED),
        no_newline: record.flags.has(Flags::NO_NEWLINE),
        level_guessed: record.flags.has(Flags::LEVEL_GUESSED),
    }
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            out.push(if digit <= group.len() { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &[u8]) -> RecordRef<'_> {
        RecordRef {
            run: RunId::from_bytes([1; 16]),
            seq: 7,
            time: Time::from_micros(1_500_000),
            origin_time_ns: None,
            stream: Stream::Stderr,
            level: Level::Warn,
            flags: Flags::NONE,
            message,
            fields: None,
        }
    }

    fn line(record: RecordRef<'_>) -> String {
        let mut out = Vec::new();
        push_record(&mut out, &record);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_ordinary_record_has_no_optional_members() {
        assert_eq!(
            line(record(b"hi \"there\"")),
            "{\"run\":\"01010101-0101-0101-0101-010101010101\",\"seq\":7,\"time\":\"1970-01-01T00:00:01.500000Z\",\
             \"stream\":\"stderr\",\"level\":\"warn\",\"message\":\"hi \\\"there\\\"\"}\n"
        );
    }

    #[test]
    fn what_is_not_utf_8_comes_exactly_in_base64_too() {
        let text = line(record(b"a\xffb"));
        assert!(text.contains("\"message\":\"a\u{fffd}b\",\"message_base64\":\"Yf9i\""), "{text}");
    }

    #[test]
    fn flags_fields_and_origin_time_are_there_when_set() {
        let flags = Flags::CONTINUED.with(Flags::LEVEL_GUESSED);
        let fields = Some(r#"{"big":12345678901234567890.5}"#);
        let text = line(RecordRef { flags, fields, origin_time_ns: Some(-5), ..record(b"") });
        assert!(text.contains("\"origin_time_ns\":-5"), "{text}");
        assert!(
            text.ends_with("\"fields\":{\"big\":12345678901234567890.5},\"continued\":true,\"level_guessed\":true}\n")
        );
    }

    #[test]
    fn a_gap_is_an_object_of_its_own() {
        let run = RunId::from_bytes([1; 16]);
        let mut text = Vec::new();
        push_gap(&mut text, &Gap { run, from: 3, to: None, time: Time::from_micros(0), why: "killed".into() });
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"gap\":{\"run\":\"01010101-0101-0101-0101-010101010101\",\"from\":3,\"to\":null,\
             \"time\":\"1970-01-01T00:00:00.000000Z\",\"why\":\"killed\"}}\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let text = line(record("\u{7f}\u{9b}2J\u{1b}é\u{a0}".as_bytes()));
        assert!(text.contains("\"message\":\"\\u007f\\u009b2J\\u001bé\u{a0}\""), "{text}");
    }

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, want) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe\xfd\xfc", "//79/A==")]
        {
            assert_eq!(base64(bytes), want);
        }
    }
}

//! One line of a container's json-file log: an entry as Docker's engine writes it.
//!
//! `{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}` is told by its two ends, so that the text is
//! looked at once and copied once. Whatever else is an entry (attributes, other orders, white space) goes by a slow
//! path that knows JSON. Bytes that are no UTF-8 are kept as they are; half a surrogate pair is U+FFFD, as for the engine.
//! What is no entry is told as such and leaves the output as it was.

use logboom_record::Stream;

mod json;
mod time;

pub(super) use time::Days;

/// How the engine begins an entry. In a JSON text these bytes are never inside a string, so in the middle of a line they
/// are where an engine went on after half a line.
pub const BEGIN: &[u8] = br#"{"log":""#;

/// The longest line that may be an entry, in bytes. The engine's own have at most 16 KiB of output, six times that if
/// each byte is escaped.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The longest time stamp the fast path looks for.
const STAMP_BYTES_MAX: usize = 30;

/// What an entry says beside its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it was printed.
    pub stream: Stream,
    /// What the engine stamped, in nanoseconds since 1970 UTC; none where that is no time of the years 1678 to 2261.
    pub origin_time_ns: Option<i64>,
}

/// Decodes entries. It remembers the day of the last one.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    days: time::Days,
}

impl Decoder {
    /// Appends the output of an entry, given without the newline at its end. If it is no entry, `out` stays as it is.
    #[inline]
    pub fn decode(&mut self, line: &[u8], out: &mut Vec<u8>) -> Option<Entry> {
        let before = out.len();
        self.decode_usual(line, out).or_else(|| {
            out.truncate(before);
            let entry = self.decode_any(line, out);
            if entry.is_none() {
                out.truncate(before);
            }
            entry
        })
    }

    /// The fast path: the engine's own order, nothing between.
    #[inline]
    fn decode_usual(&mut self, line: &[u8], out: &mut Vec<u8>) -> Option<Entry> {
        let inside = line.strip_prefix(BEGIN)?.strip_suffix(br#""}"#)?;
        let near = inside.len().saturating_sub(STAMP_BYTES_MAX + 1);
        let quote = near + memchr::memrchr(b'"', &inside[near..])?;
        let (text, stream) = strip_stream(inside[..quote].strip_suffix(br#"","time":"#)?)?;
        let origin_time_ns = Some(self.days.utc(&inside[quote + 1..])?);
        json::unescape(text, out)?;
        Some(Entry { stream, origin_time_ns })
    }

    /// The slow path: any JSON object with the right members. As everywhere in JSON, the last of two of the same name counts.
    #[cold]
    fn decode_any(&mut self, line: &[u8], out: &mut Vec<u8>) -> Option<Entry> {
        let before = out.len();
        let (mut stream, mut origin_time_ns) = (None, None);
        json::members(line, |name, value| {
            match name {
                b"log" => {
                    out.truncate(before);
                    json::unescape(value.as_string()?, out)?;
                }
                b"stream" => stream = Some(stream_of(&value.unescaped()?)?),
                b"time" => origin_time_ns = self.days.any(&value.unescaped()?),
                _ => {}
            }
            Some(())
        })?;
        Some(Entry { stream: stream?, origin_time_ns })
    }
}

/// Takes `","stream":"NAME` off the end.
#[inline]
fn strip_stream(inside: &[u8]) -> Option<(&[u8], Stream)> {
    const NAME_BYTES: usize = b"stdout".len();
    let (text, name) = inside.split_at_checked(inside.len().checked_sub(NAME_BYTES)?)?;
    Some((text.strip_suffix(br#"","stream":""#)?, stream_of(name)?))
}

#[inline]
fn stream_of(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! Fields as text in the two ways that they are kept: behind the message, and as a JSON object.

use std::fmt::{self, Debug, Display, Write};

use logboom_record::FIELDS_BYTES_MAX;

use super::value::{FORMAT_FAILED, Value};

/// What `"fields_left_out":4294967295` and the brackets take at most.
const RESERVED_BYTES: usize = 40;

/// Writes fields as ` key=value` (logfmt, each with a space in front) and as a JSON object, both at once.
///
/// Values that are not numbers or `bool` are strings in JSON, and so are NaN, the infinities and integers beyond 64
/// bits. In logfmt a string is quoted where it is empty or has spaces, quotes, `=` or control characters; these are
/// escaped as in JSON, so that neither text ever holds a newline. Floats are written as `{:?}` has them, whose length
/// is bounded. The JSON text has at most [`FIELDS_BYTES_MAX`] bytes: a field that would pass this stands in the logfmt
/// text alone, and `fields_left_out` counts it. Two fields of one name are both written.
///
/// ```
/// # use logboom_ring::deferred::FieldsWriter;
/// let mut fields = FieldsWriter::default();
/// fields.push_u64("status", 404);
/// fields.push_str("path", "a b");
/// assert_eq!(fields.finish().suffix, r#" status=404 path="a b""#);
/// assert_eq!(fields.finish().json, Some(r#"{"status":404,"path":"a b"}"#));
/// ```
#[derive(Clone, Debug, Default)]
pub struct FieldsWriter {
    suffix: String,
    json: String,
    /// How much of `json` is fields: what follows closes the object.
    open: usize,
    left_out: u32,
    formatted: String,
}

/// Fields that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// What follows the message; empty if there are no fields.
    pub suffix: &'a str,
    /// The JSON object, `None` if there are no fields.
    pub json: Option<&'a str>,
    /// How many fields are not in the JSON object, which says so too.
    pub left_out: u32,
}

impl FieldsWriter {
    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.suffix.clear();
        self.json.clear();
        (self.open, self.left_out) = (0, 0);
    }

    /// The fields so far. More can follow.
    pub fn finish(&mut self) -> Fields<'_> {
        self.json.truncate(self.open);
        if self.left_out > 0 {
            self.json.push_str(if self.open == 0 { "{" } else { "," });
            self.json.push_str("\"fields_left_out\":");
            self.json.push_str(itoa::Buffer::new().format(self.left_out));
        }
        let json = if self.json.is_empty() { None } else { Some(()) };
        self.json.push('}');
        Fields { suffix: &self.suffix, json: json.map(|()| self.json.as_str()), left_out: self.left_out }
    }

    /// Adds an unsigned integer.
    pub fn push_u64(&mut self, key: &str, value: u64) {
        self.push_bare(key, itoa::Buffer::new().format(value));
    }

    /// Adds an integer.
    pub fn push_i64(&mut self, key: &str, value: i64) {
        self.push_bare(key, itoa::Buffer::new().format(value));
    }

    /// Adds an integer of any size.
    pub fn push_i128(&mut self, key: &str, value: i128) {
        self.push_integer(
            key,
            itoa::Buffer::new().format(value),
            i64::try_from(value).is_ok() || u64::try_from(value).is_ok(),
        );
    }

    /// Adds an unsigned integer of any size.
    pub fn push_u128(&mut self, key: &str, value: u128) {
        self.push_integer(key, itoa::Buffer::new().format(value), u64::try_from(value).is_ok());
    }

    /// Adds a float.
    pub fn push_f64(&mut self, key: &str, value: f64) {
        self.push_float(key, &value, value.is_finite());
    }

    /// Adds a short float, with the digits that it has.
    pub fn push_f32(&mut self, key: &str, value: f32) {
        self.push_float(key, &value, value.is_finite());
    }

    /// Adds `true` or `false`.
    pub fn push_bool(&mut self, key: &str, value: bool) {
        self.push_bare(key, if value { "true" } else { "false" });
    }

    /// Adds a string.
    pub fn push_str(&mut self, key: &str, value: &str) {
        let care = Care::of(value);
        self.push_suffix_key(key);
        if value.is_empty() || care.has(Care::QUOTE) {
            push_quoted(&mut self.suffix, value, care);
        } else {
            self.suffix.push_str(value);
        }
        self.push_json(key, value, |json, value| push_quoted(json, value, care));
    }

    /// Adds what a value shows as `{}`.
    pub fn push_display(&mut self, key: &str, value: &(impl Display + ?Sized)) {
        self.with_formatted(format_args!("{value}"), |fields, text| fields.push_str(key, text));
    }

    /// Adds what a value shows as `{:?}`.
    pub fn push_debug(&mut self, key: &str, value: &(impl Debug + ?Sized)) {
        self.with_formatted(format_args!("{value:?}"), |fields, text| fields.push_str(key, text));
    }

    /// Adds a value that was stored; `None` if it is not one of a field.
    pub(super) fn push(&mut self, key: &str, value: Value<'_>) -> Option<()> {
        match value {
            Value::U8(value) => self.push_u64(key, value.into()),
            Value::U16(value) => self.push_u64(key, value.into()),
            Value::U32(value) => self.push_u64(key, value.into()),
            Value::U64(value) => self.push_u64(key, value),
            Value::U128(value) => self.push_u128(key, value),
            Value::I8(value) => self.push_i64(key, value.into()),
            Value::I16(value) => self.push_i64(key, value.into()),
            Value::I32(value) => self.push_i64(key, value.into()),
            Value::I64(value) => self.push_i64(key, value),
            Value::I128(value) => self.push_i128(key, value),
            Value::F32(value) => self.push_f32(key, value),
            Value::F64(value) => self.push_f64(key, value),
            Value::Bool(value) => self.push_bool(key, value),
            Value::Char(value) => self.push_str(key, value.encode_utf8(&mut [0; 4])),
            Value::Str(bytes) | Value::Text(bytes) => self.push_str(key, str::from_utf8(bytes).ok()?),
            Value::Message(_) => return None,
        }
        Some(())
    }

    /// Where the fields end now, to come back to.
    pub(super) fn mark(&self) -> (usize, usize, u32) {
        (self.suffix.len(), self.open, self.left_out)
    }

    /// Forgets what was added after a mark.
    pub(super) fn back_to(&mut self, (suffix, open, left_out): (usize, usize, u32)) {
        self.suffix.truncate(suffix);
        (self.open, self.left_out) = (open, left_out);
    }

    /// A number that readers of JSON would round is a string to them.
    fn push_integer(&mut self, key: &str, digits: &str, is_exact: bool) {
        if is_exact { self.push_bare(key, digits) } else { self.push_str(key, digits) }
    }

    fn push_float(&mut self, key: &str, value: &dyn Debug, is_finite: bool) {
        self.with_formatted(format_args!("{value:?}"), |fields, text| {
            if is_finite { fields.push_bare(key, text) } else { fields.push_str(key, text) }
        });
    }

    /// Adds what is the same in both texts.
    fn push_bare(&mut self, key: &str, value: &str) {
        self.push_suffix_key(key);
        self.suffix.push_str(value);
        self.push_json(key, value, |json, value| json.push_str(value));
    }

    fn push_suffix_key(&mut self, key: &str) {
        self.suffix.push(' ');
        if !key.is_empty() && !Care::of(key).has(Care::QUOTE) {
            self.suffix.push_str(key);
        } else {
            let allowed =
                |char: char| if Care::of(char.encode_utf8(&mut [0; 4])).has(Care::QUOTE) { '_' } else { char };
            self.suffix.extend(key.chars().map(allowed));
            self.suffix.extend(key.is_empty().then_some('_'));
        }
        self.suffix.push('=');
    }

    fn push_json(&mut self, key: &str, value: &str, push: impl Fn(&mut String, &str)) {
        self.json.truncate(self.open);
        let room = FIELDS_BYTES_MAX - RESERVED_BYTES;
        if key.len() + value.len() < room {
            self.json.push(if self.open == 0 { '{' } else { ',' });
            push_quoted(&mut self.json, key, Care::of(key));
            self.json.push(':');
            push(&mut self.json, value);
        }
        if (self.open + 1..room).contains(&self.json.len()) {
            self.open = self.json.len();
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn with_formatted(&mut self, text: fmt::Arguments<'_>, push: impl FnOnce(&mut Self, &str)) {
        let mut formatted = std::mem::take(&mut self.formatted);
        formatted.clear();
        if formatted.write_fmt(text).is_err() {
            formatted.push_str(FORMAT_FAILED);
        }
        push(self, &formatted);
        self.formatted = formatted;
    }
}

/// What the bytes of a text ask for, together.
#[derive(Clone, Copy)]
struct Care(u8);

impl Care {
    /// Quotes in logfmt.
    const QUOTE: u8 = 1;
    /// An escape where it is quoted.
    const ESCAPE: u8 = 2;
    /// A look at each character.
    const LOOK: u8 = 4;

    const OF_BYTE: [u8; 256] = {
        let (mut care, mut byte) = ([0; 256], 0);
        while byte < 256 {
            care[byte] = match byte as u8 {
                0..b' ' | b'"' | 0x7F => Care::QUOTE | Care::ESCAPE,
                b' ' | b'=' => Care::QUOTE,
                b'\\' => Care::ESCAPE,
                0x80.. => Care::LOOK,
                _ => 0,
            };
            byte += 1;
        }
        care
    };

    fn of(text: &str) -> Care {
        let seen = Care(text.bytes().fold(0, |seen, byte| seen | Care::OF_BYTE[usize::from(byte)]));
        if seen.has(Care::LOOK) { seen.with_chars(text) } else { seen }
    }

    fn with_chars(self, text: &str) -> Care {
        let care = |char: char| match (char.is_control(), char.is_whitespace()) {
            (true, _) => Care::QUOTE | Care::ESCAPE,
            (false, true) => Care::QUOTE,
            (false, false) => 0,
        };
        Care(text.chars().fold(self.0, |seen, char| seen | care(char)))
    }

    fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }
}

/// A JSON string, which logfmt takes as well.
fn push_quoted(out: &mut String, text: &str, care: Care) {
    out.push('"');
    if care.has(Care::ESCAPE) {
        push_escaped(out, text);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn push_escaped(out: &mut String, text: &str) {
    let mut from = 0;
    for (at, char) in text.char_indices() {
        if matches!(char, '"' | '\\') || char.is_control() {
            out.push_str(&text[from..at]);
            push_escape(out, char);
            from = at + char.len_utf8();
        }
    }
    out.push_str(&text[from..]);
}

fn push_escape(out: &mut String, char: char) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // Controls have at most two hex digits.
        _ => {
            let digit = |shift: u32| char::from_digit(u32::from(char) >> shift & 0xF, 16).unwrap_or('0');
            out.push_str("\\u00");
            out.extend([digit(4), digit(0)]);
        }
    }
}

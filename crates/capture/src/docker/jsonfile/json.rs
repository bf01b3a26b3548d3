//! As much JSON as an entry needs: the members of an object, and strings as bytes.
//!
//! Strings may have bytes that are no UTF-8. Values that nobody asks for are skipped by their brackets and strings alone.

/// A value of a member, as it is written.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// What is between the quotes, still escaped.
    pub fn as_string(self) -> Option<&'a [u8]> {
        self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }

    /// The bytes of a string.
    pub fn unescaped(self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        unescape(self.as_string()?, &mut bytes)?;
        Some(bytes)
    }
}

/// Calls for each member of the object that `text` is, until one is refused. None if it is no object, or one was refused.
pub(super) fn members<'a>(text: &'a [u8], mut member: impl FnMut(&[u8], Value<'a>) -> Option<()>) -> Option<()> {
    let mut cursor = Cursor { rest: text };
    cursor.eat(b'{')?;
    let mut more = cursor.eat(b'}').is_none();
    while more {
        cursor.skip_space();
        let name = cursor.string()?.unescaped()?;
        cursor.eat(b':')?;
        member(&name, cursor.value()?)?;
        more = cursor.eat(b',').is_some();
        if !more {
            cursor.eat(b'}')?;
        }
    }
    cursor.skip_space();
    cursor.rest.is_empty().then_some(())
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        let space = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.rest = &self.rest[space..];
    }

    /// Takes this byte, and the space before it.
    fn eat(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn take(&mut self, len: usize) -> Value<'a> {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Value(taken)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        self.skip_space();
        match self.rest.first()? {
            b'"' => self.string(),
            b'{' | b'[' => self.brackets(),
            _ => self.word(),
        }
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<Value<'a>> {
        let inside = self.rest.strip_prefix(b"\"")?;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', inside.get(end..)?)?;
            if inside[end] == b'"' {
                return Some(self.take(end + 2));
            }
            end += 2;
        }
    }

    /// An object or array, to the bracket that closes it.
    fn brackets(&mut self) -> Option<Value<'a>> {
        let whole = self.rest;
        let mut open = 0u32;
        loop {
            match self.rest.first()? {
                b'"' => drop(self.string()?),
                byte => {
                    match byte {
                        b'{' | b'[' => open += 1,
                        b'}' | b']' => open -= 1,
                        _ => {}
                    }
                    self.rest = &self.rest[1..];
                }
            }
            if open == 0 {
                return Some(Value(&whole[..whole.len() - self.rest.len()]));
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<Value<'a>> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = self.rest.iter().take_while(|byte| is_word(byte)).count();
        (len > 0).then(|| self.take(len))
    }
}

/// Appends the bytes that the inside of a string stands for. None if it cannot be inside a string: it has a quote, a
/// control byte or an unknown escape.
#[inline]
pub(super) fn unescape(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // Most entries have one escape, at their end.
    if let Some(line) = text.strip_suffix(br"\n")
        && is_plain(line)
    {
        out.reserve(line.len() + 1);
        out.extend_from_slice(line);
        out.push(b'\n');
        return Some(());
    }
    unescape_any(text, out)
}

fn unescape_any(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if has_control(text) {
        return None;
    }
    out.reserve(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\\', b'"', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = escape(rest[at..].strip_prefix(b"\\")?, out)?;
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Appends what an escape stands for, given without its backslash; gives what follows it.
#[inline]
fn escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (kind, rest) = text.split_first()?;
    let byte = match kind {
        b'"' | b'\\' | b'/' => *kind,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'u' => return escaped_unit(rest, out),
        _ => return None,
    };
    out.push(byte);
    Some(rest)
}

/// Four hexadecimal digits, and those of the other half if they are half of a surrogate pair.
fn escaped_unit<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (unit, rest) = hex_unit(text)?;
    if let Ok(ascii @ ..0x80) = u8::try_from(unit) {
        out.push(ascii);
        return Some(rest);
    }
    let second = rest.strip_prefix(br"\u").and_then(hex_unit).filter(|(second, _)| (0xdc00..0xe000).contains(second));
    let (code, rest) = match second {
        Some((second, rest)) if (0xd800..0xdc00).contains(&unit) => {
            (0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00), rest)
        }
        _ => (unit, rest),
    };
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

fn hex_unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    let unit = digits.iter().try_fold(0, |unit, &byte| Some(unit << 4 | char::from(byte).to_digit(16)?))?;
    Some((unit, rest))
}

/// Whether each byte stands for itself. Written so that the compiler looks at [`LANES`] bytes at once.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    none(text, |byte| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\'))
}

fn has_control(text: &[u8]) -> bool {
    !none(text, |byte| u8::from(byte < b' '))
}

const LANES: usize = 16;

/// Whether `found` is 0 for every byte.
#[inline]
fn none(text: &[u8], found: impl Fn(u8) -> u8 + Copy) -> bool {
    let (whole, rest) = text.as_chunks::<LANES>();
    let mut any = [0; LANES];
    let mut look = |chunk: &[u8; LANES]| any.iter_mut().zip(chunk).for_each(|(any, byte)| *any |= found(*byte));
    whole.iter().for_each(&mut look);
    match text.last_chunk::<LANES>() {
        Some(last) => look(last), // some of it for the second time, which is faster than byte by byte
        None => return rest.iter().all(|byte| found(*byte) == 0),
    }
    any == [0; LANES]
}

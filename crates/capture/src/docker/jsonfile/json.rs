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
    out.reserve(text.len());
    let words = text.as_chunks::<WORD_BYTES>().0;
    let plain = WORD_BYTES * words.iter().take_while(|word| special(word) == 0).count();
    out.extend_from_slice(&text[..plain]);
    unescape_rest(&text[plain..], out) // most entries have one escape, at their end
}

fn unescape_rest(mut rest: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some(word) = rest.first_chunk::<WORD_BYTES>() {
        // All of the word is copied, then what is too much cut off: that is faster than to copy some of it.
        let plain = special(word).trailing_zeros() as usize / 8;
        let len = out.len() + plain;
        out.extend_from_slice(word);
        out.truncate(len);
        rest = &rest[plain..];
        if plain < WORD_BYTES {
            rest = escape(rest.strip_prefix(b"\\")?, out)?;
        }
    }
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'\\' => rest = escape(after, out)?,
            b'"' | ..b' ' => return None,
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    Some(())
}

const WORD_BYTES: usize = size_of::<u64>();

/// Looks at a word's bytes at once: the lowest bit set is the highest of the first byte that is a quote, a backslash or a
/// control byte; 0 if there is none. Of the bytes after that one it tells nothing.
#[inline]
fn special(word: &[u8; WORD_BYTES]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(*word);
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & (ONES * 0x80)
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

//! Text of XML, of which nobody knows what it is: bounded, and never an error.

use std::borrow::Cow;

use quick_xml::events::BytesStart;

use super::TEXT_BYTES_MAX;

/// A reference that means something has no more bytes than this.
const REFERENCE_BYTES_MAX: usize = 12;

/// The value of an attribute.
pub(super) fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = start.attributes();
    let found = attributes.with_checks(false).flatten().find(|one| one.key.local_name().as_ref() == name.as_bytes())?;
    let value = &found.value[..found.value.len().min(TEXT_BYTES_MAX)];
    Some(unescaped(&String::from_utf8_lossy(value)).into_owned())
}

/// Adds text, as far as there is room.
pub(super) fn push_lossy(into: &mut String, text: &[u8]) {
    let room = TEXT_BYTES_MAX.saturating_sub(into.len());
    if room > 0 {
        let text = String::from_utf8_lossy(&text[..text.len().min(room)]);
        into.push_str(&text[..text.floor_char_boundary(room)]);
    }
}

/// The character that is meant by a reference, `lt` or `#xA`; of what a file defines itself none.
pub(super) fn reference(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        }
    }
}

/// The text with the characters that its references mean.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let end = behind.bytes().take(REFERENCE_BYTES_MAX).position(|byte| byte == b';');
        match end.and_then(|end| Some((reference(&behind[..end])?, &behind[end + 1..]))) {
            Some((one, after)) => {
                out.push(one);
                rest = after;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

//! Takes terminal control sequences out of a line, so that colours do not stand between a reader and a word.
//!
//! Everybody who removes them (search, the search filter, level guessing) must remove the same bytes, or a filtered
//! search would miss what an unfiltered one finds: hence one function. Known are the 7-bit forms: CSI (`ESC [ … m`), the
//! strings OSC, DCS, SOS, PM, APC up to BEL or `ESC \`, and short escapes. A string that does not end within the line loses
//! its introducer only, so that a stray `ESC ]` cannot hide the rest of the line; other broken sequences lose
//! what fits the grammar. 8-bit C1 controls are left alone: they are halves of UTF-8 characters.

const ESC: u8 = 0x1B;

/// Whether [`strip`] could change the line.
pub fn has_escape(line: &[u8]) -> bool {
    memchr::memchr(ESC, line).is_some()
}

/// Appends the line without its control sequences to `out`.
pub fn strip(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr::memchr(ESC, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = after_sequence(&rest[at + 1..]);
    }
    out.extend_from_slice(rest);
}

/// What follows the sequence of which `rest` is everything after ESC.
fn after_sequence(rest: &[u8]) -> &[u8] {
    match rest.split_first() {
        Some((b'[', params)) => after_csi(params),
        Some((b']' | b'P' | b'X' | b'^' | b'_', text)) => after_string(text),
        _ => after_final(rest, 0x30),
    }
}

fn after_csi(params: &[u8]) -> &[u8] {
    let end = params.iter().position(|byte| !matches!(byte, 0x30..=0x3F)).unwrap_or(params.len());
    after_final(&params[end..], 0x40)
}

/// Skips intermediate bytes and the final byte, if it is one.
fn after_final(rest: &[u8], final_min: u8) -> &[u8] {
    let end = rest.iter().position(|byte| !matches!(byte, 0x20..=0x2F)).unwrap_or(rest.len());
    match rest.get(end) {
        Some(byte) if (final_min..=0x7E).contains(byte) => &rest[end + 1..],
        _ => &rest[end..],
    }
}

fn after_string(text: &[u8]) -> &[u8] {
    let Some(end) = memchr::memchr2(0x07, ESC, text) else { return text };
    match &text[end..] {
        [0x07, rest @ ..] | [ESC, b'\\', rest @ ..] => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        strip(line, &mut out);
        out
    }

    #[test]
    fn colours_titles_links_and_short_escapes_go() {
        assert_eq!(stripped(b"\x1b[1;31merror\x1b[0m: x"), b"error: x");
        assert_eq!(stripped(b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b"), b"alinkb");
        assert_eq!(stripped(b"\x1b(Ba\x1b7b\x1bPq\x1b\\c"), b"abc");
    }

    #[test]
    fn broken_sequences_do_not_hide_the_rest() {
        assert_eq!(stripped(b"a\x1b]8;;never ended"), b"a8;;never ended");
        assert_eq!(stripped(b"a\x1b[12\xC3\xA9"), b"a\xC3\xA9");
        assert_eq!(stripped(b"a\x1b"), b"a");
        assert_eq!(stripped(b"a\x1b[3"), b"a");
    }

    #[test]
    fn lines_without_escapes_stay() {
        assert_eq!(stripped("naïve \u{9b}".as_bytes()), "naïve \u{9b}".as_bytes());
    }
}

//! Takes terminal control sequences out of a line, so that colours do not stand between a reader and a word.
//!
//! Whoever removes them (search, the search filter, level guessing) must remove the same bytes, or a filtered search would
//! miss what an unfiltered one finds: hence one definition. A sequence is ESC with what belongs to it: CSI (`ESC [`, bytes
//! from 0x20 to 0x3F, a final byte), a string (`ESC ]`, `P`, `X`, `^`, `_`, up to BEL or `ESC \\`), or intermediate bytes and
//! one final byte. One that the line cuts off reaches to the line's end; a string ends where another sequence starts; a
//! byte that cannot be part of it ends it and is kept. 8-bit C1 controls are left alone: they are halves of UTF-8 characters.

const ESC: u8 = 0x1B;

/// Whether [`strip`] would change the line.
#[inline]
pub fn has_escape(line: &[u8]) -> bool {
    memchr::memchr(ESC, line).is_some()
}

/// Appends the line without its control sequences to `out`.
pub fn strip(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr::memchr(ESC, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + sequence_bytes(&rest[at..])..];
    }
    out.extend_from_slice(rest);
}

/// How many bytes the sequences at the start of the line have.
pub fn leading_bytes(line: &[u8]) -> usize {
    let mut at = 0;
    while line.get(at) == Some(&ESC) {
        at += sequence_bytes(&line[at..]);
    }
    at
}

/// How many bytes the sequence has that starts with the ESC in front.
fn sequence_bytes(sequence: &[u8]) -> usize {
    match sequence.get(1) {
        Some(b'[') => 2 + run_bytes(&sequence[2..], 0x3F, 0x40),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => 2 + string_bytes(&sequence[2..]),
        Some(_) => 1 + run_bytes(&sequence[1..], 0x2F, 0x30),
        None => 1,
    }
}

/// How many bytes from 0x20 to `inner_max` stand in front, and after them one from `final_min` to 0x7E.
fn run_bytes(bytes: &[u8], inner_max: u8, final_min: u8) -> usize {
    let inner = bytes.iter().position(|byte| !(0x20..=inner_max).contains(byte)).unwrap_or(bytes.len());
    inner + usize::from(bytes.get(inner).is_some_and(|byte| (final_min..=0x7E).contains(byte)))
}

fn string_bytes(text: &[u8]) -> usize {
    match memchr::memchr2(0x07, ESC, text) {
        None => text.len(),
        Some(at) if text[at] == 0x07 => at + 1,
        Some(at) if text.get(at + 1) == Some(&b'\\') => at + 2,
        Some(at) => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn broken_sequences_keep_the_text_after_them() {
        assert_eq!(stripped(b"a\x1b]0;t\x1b[1mb"), b"ab");
        assert_eq!(stripped(b"a\x1b[12\xC3\xA9"), b"a\xC3\xA9");
        assert_eq!(stripped(b"a\x1b\xffb"), b"a\xffb");
        assert_eq!(stripped(b"a\x1b[3\nb"), b"a\nb");
    }

    #[test]
    fn a_sequence_that_is_cut_off_reaches_to_the_end() {
        (1..5).for_each(|end| assert_eq!(stripped(&b"a\x1b[31"[..1 + end]), b"a"));
        assert_eq!(stripped(b"a\x1b]0;title"), b"a");
    }

    #[test]
    fn leading_sequences_are_measured() {
        assert_eq!(leading_bytes(b"\x1b[2m\x1b[1mx\x1b[0m"), 8);
        assert_eq!(leading_bytes(b"x\x1b[0m"), 0);
    }

    proptest! {
        #[test]
        fn no_escape_is_left(line in proptest::collection::vec(prop_oneof![Just(ESC), Just(b'['), any::<u8>()], 0..60)) {
            prop_assert!(!has_escape(&stripped(&line)));
        }
    }
}

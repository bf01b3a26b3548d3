//! What a command printed, as a terminal may safely show it.
//!
//! A captured line can hold anything: cursor movements, title changes, answers-back. Of all that only SGR sequences
//! (`ESC [ … m`: colours and styles) pass; every other control is shown as `^M` or `\x9b`, and what is not UTF-8 as U+FFFD.
//! Lines without any of this, which are nearly all, are copied as they are.

/// What becomes of the colours and styles in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sgr {
    /// They pass, and are reset at the end of the message.
    Keep,
    /// They are left out.
    Drop,
}

const RESET: &[u8] = b"\x1b[0m";

/// Appends `message` so that a terminal shows it and does nothing else.
pub fn push(out: &mut Vec<u8>, message: &[u8], sgr: Sgr) {
    if message.iter().all(|byte| is_plain(*byte)) {
        return out.extend_from_slice(message);
    }
    let mut styled = false;
    for chunk in message.utf8_chunks() {
        styled |= push_text(out, chunk.valid(), sgr);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if styled {
        out.extend_from_slice(RESET);
    }
}

/// The same for a name or an argument inside a line of our own: one line, no colours.
pub fn plain(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push(&mut out, text.replace('\t', " ").as_bytes(), Sgr::Drop);
    let shown = String::from_utf8_lossy(&out);
    if !shown.contains(turns_direction) {
        return shown.into_owned();
    }
    let show = |one: char| if turns_direction(one) { format!("U+{:04X}", one as u32) } else { one.to_string() };
    shown.chars().map(show).collect()
}

/// Whether it turns the direction of the text around it, so that a line reads as it is not.
pub fn turns_direction(one: char) -> bool {
    matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

/// Whether any style was let through.
fn push_text(out: &mut Vec<u8>, text: &str, sgr: Sgr) -> bool {
    let (mut rest, mut styled) = (text, false);
    while let Some(first) = rest.chars().next() {
        if let Some(length) = sgr_bytes(rest.as_bytes()) {
            if sgr == Sgr::Keep {
                out.extend_from_slice(&rest.as_bytes()[..length]);
                styled = true;
            }
            rest = &rest[length..];
        } else {
            push_char(out, first);
            rest = &rest[first.len_utf8()..];
        }
    }
    styled
}

/// How long the SGR sequence is that the text starts with, if it starts with one.
pub fn sgr_bytes(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(b"\x1b[")?;
    let end = parameters.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    (parameters[end] == b'm').then_some(end + 3)
}

fn push_char(out: &mut Vec<u8>, c: char) {
    match c {
        '\t' => out.push(b'\t'),
        '\0'..='\x1f' => out.extend_from_slice(&[b'^', c as u8 + 0x40]),
        '\x7f' => out.extend_from_slice(b"^?"),
        '\u{80}'..='\u{9f}' => out.extend_from_slice(format!("\\x{:02x}", c as u32).as_bytes()),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &[u8], sgr: Sgr) -> String {
        let mut out = Vec::new();
        push(&mut out, message, sgr);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn colours_pass_and_are_reset_at_the_end() {
        assert_eq!(shown(b"\x1b[1;31mbad\x1b[m", Sgr::Keep), "\x1b[1;31mbad\x1b[m\x1b[0m");
        assert_eq!(shown(b"\x1b[38:2::1:2:3mx", Sgr::Drop), "x");
    }

    #[test]
    fn everything_else_that_a_terminal_would_obey_is_shown() {
        for (message, want) in [
            (&b"10%\r20%\r"[..], "10%^M20%^M"),
            (b"\x1b[2Jgone", "^[[2Jgone"),
            (b"\x1b]0;title\x07", "^[]0;title^G"),
            (b"\x1b[6n\x1b[?1m\x1b[", "^[[6n^[[?1m^[["),
            (b"nul\0del\x7f", "nul^@del^?"),
            (b"c1 \xc2\x9b31m", "c1 \\x9b31m"),
            (b"raw c1 \x9b31m \xff", "raw c1 \u{fffd}31m \u{fffd}"),
            ("tab\tüñ漢🙂".as_bytes(), "tab\tüñ漢🙂"),
            (b"cut \xe2\x82", "cut \u{fffd}"),
        ] {
            assert_eq!(shown(message, Sgr::Keep), want);
        }
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        assert_eq!(plain("a\nb\tc\x1b[31m\x1b[2J"), "a^Jb c^[[2J");
        assert_eq!(plain("a\u{202e}b\u{2066}漢"), "aU+202EbU+2066漢");
    }
}

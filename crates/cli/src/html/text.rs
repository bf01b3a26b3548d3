//! Text of others in a page: escaped, its colours as spans, and what would be invisible or change the page's look shown.

use std::fmt::Write as _;

use crate::visible;

/// How text looks by the SGR sequences before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    fore: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    struck: bool,
    inverse: bool,
}

/// A name or an argument in a line of the page's own: escaped, without colours; also fit for an attribute in quotes.
pub fn name(text: &str) -> String {
    let mut out = String::new();
    for c in visible::plain(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ if is_deceptive(c) => drop(write!(out, "U+{:04X}", c as u32)),
            _ => out.push(c),
        }
    }
    out
}

/// Appends a message in this style, and leaves `style` as the message does.
pub fn push(out: &mut Vec<u8>, message: &[u8], style: &mut Style) {
    if message.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t') && !matches!(byte, b'&' | b'<' | b'>')) {
        return push_styled(out, *style, |out| out.extend_from_slice(message));
    }
    for chunk in message.utf8_chunks() {
        push_valid(out, chunk.valid(), style);
        if !chunk.invalid().is_empty() {
            push_styled(out, *style, |out| out.extend_from_slice("\u{fffd}".as_bytes()));
        }
    }
}

fn push_valid(out: &mut Vec<u8>, text: &str, style: &mut Style) {
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(length) = visible::sgr_bytes(rest.as_bytes()) {
            style.apply(&rest[2..length - 1]);
            rest = &rest[length..];
            continue;
        }
        // To the next sequence; an ESC that begins none is shown.
        let length = rest.bytes().skip(1).position(|byte| byte == b'\x1b').map_or(rest.len(), |at| at + 1);
        let (plain, after) = rest.split_at(length);
        push_styled(out, *style, |out| plain.chars().for_each(|c| push_char(out, c)));
        rest = after;
    }
}

fn push_styled(out: &mut Vec<u8>, style: Style, text: impl FnOnce(&mut Vec<u8>)) {
    if style == Style::default() {
        return text(out);
    }
    out.extend_from_slice(format!("<span class=\"{}\">", style.classes()).as_bytes());
    text(out);
    out.extend_from_slice(b"</span>");
}

fn push_char(out: &mut Vec<u8>, c: char) {
    let mut shown = |text: &str| out.extend_from_slice(format!("<i>{text}</i>").as_bytes());
    match c {
        '\t' | '\n' => out.push(c as u8),
        '\0'..='\x1f' => shown(&format!("^{}", char::from(c as u8 + 0x40))),
        '\x7f' => shown("^?"),
        '\u{80}'..='\u{9f}' => shown(&format!("\\x{:02x}", c as u32)),
        _ if is_deceptive(c) => shown(&format!("U+{:04X}", c as u32)),
        '&' => out.extend_from_slice(b"&amp;"),
        '<' => out.extend_from_slice(b"&lt;"),
        '>' => out.extend_from_slice(b"&gt;"),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Whether a character is not seen and changes the order or the words that are: overrides of direction, marks, tags, what has no
/// width. Joiners stay: scripts and pictures need them.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Style {
    /// Takes the parameters of a sequence.
    fn apply(&mut self, parameters: &str) {
        let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Style::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.inverse = true,
                9 => self.struck = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.inverse = false,
                29 => self.struck = false,
                30..=37 => self.fore = Some((code - 30) as u8),
                38 => self.fore = extended(&mut codes).or(self.fore),
                39 => self.fore = None,
                40..=47 => self.back = Some((code - 40) as u8),
                48 => self.back = extended(&mut codes).or(self.back),
                49 => self.back = None,
                90..=97 => self.fore = Some((code - 90 + 8) as u8),
                100..=107 => self.back = Some((code - 100 + 8) as u8),
                _ => {}
            }
        }
    }

    fn classes(self) -> String {
        let mut classes = String::new();
        let mut add = |class: &str| {
            if !classes.is_empty() {
                classes.push(' ');
            }
            classes += class;
        };
        let color = |kind: &str, color: Option<u8>| color.map(|color| format!("{kind}{color}"));
        let (fore, back) = match self.inverse {
            true => (color("f", self.back).or(Some("fv".to_owned())), color("g", self.fore).or(Some("gv".to_owned()))),
            false => (color("f", self.fore), color("g", self.back)),
        };
        fore.iter().chain(&back).for_each(|class| add(class));
        let marks = [(self.bold, "b"), (self.dim, "d"), (self.italic, "i"), (self.underlined, "u"), (self.struck, "s")];
        marks.iter().filter(|(is_set, _)| *is_set).for_each(|(_, class)| add(class));
        classes
    }
}

/// The color behind 38 or 48: one of 256, or the one of them that is nearest.
fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match codes.next()? {
        5 => u8::try_from(codes.next()?).ok(),
        2 => {
            let [red, green, blue] = [codes.next()?, codes.next()?, codes.next()?];
            // The steps are 0, 95, 135, 175, 215 and 255.
            let step = |part: u16| match part.min(255) {
                0..48 => 0,
                48..115 => 1,
                part => (part - 35) / 40,
            };
            u8::try_from(16 + 36 * step(red) + 6 * step(green) + step(blue)).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &[u8]) -> String {
        let mut out = Vec::new();
        push(&mut out, message, &mut Style::default());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_that_is_printed_is_markup() {
        assert_eq!(shown(b"</script><img onerror=x>&amp;"), "&lt;/script&gt;&lt;img onerror=x&gt;&amp;amp;");
        assert_eq!(name("\"'><b>\x1b[31m"), "&quot;&#39;&gt;&lt;b&gt;");
    }

    #[test]
    fn what_is_not_seen_is_shown() {
        assert_eq!(shown(b"a\rb\0\x1b[2Jc\xff\xc2\x9b"), "a<i>^M</i>b<i>^@</i><i>^[</i>[2Jc\u{fffd}<i>\\x9b</i>");
        assert_eq!(shown("a\u{202e}b\u{2066}\u{e0041}".as_bytes()), "a<i>U+202E</i>b<i>U+2066</i><i>U+E0041</i>");
        assert_eq!(name("a\u{202e}b"), "aU+202Eb");
        assert_eq!(shown("ü👩\u{200d}💻".as_bytes()), "ü👩\u{200d}💻");
    }

    #[test]
    fn colours_are_spans() {
        assert_eq!(shown(b"\x1b[1;31mbad\x1b[0m ok"), "<span class=\"f1 b\">bad</span> ok");
        assert_eq!(shown(b"\x1b[38;5;208mx\x1b[39my"), "<span class=\"f208\">x</span>y");
        assert_eq!(shown(b"\x1b[38;2;255;0;0mx"), "<span class=\"f196\">x</span>");
        assert_eq!(shown(b"\x1b[7;32mx\x1b[27m"), "<span class=\"fv g2\">x</span>");
        assert_eq!(shown(b"\x1b[38;5mx\x1b[999mz"), "x".to_owned() + "z");
    }

    #[test]
    fn no_bytes_make_it_fail_or_get_through() {
        const PIECES: &[u8] = b"\x1b[;:0123456789mK<>&\"\r\xff\xc2\xe2\x80\xae";
        let mut seed = 1u32;
        for _ in 0..20_000 {
            let message: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    PIECES[(seed >> 16) as usize % PIECES.len()]
                })
                .collect();
            let shown = shown(&message);
            let rest = ["<span class=\"", "</span>", "<i>", "</i>"]
                .iter()
                .fold(shown.clone(), |all, tag| all.replace(tag, ""));
            assert!(!rest.contains('<') && !shown.contains('\x1b'), "{shown}");
        }
    }
}

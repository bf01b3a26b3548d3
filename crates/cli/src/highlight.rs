//! A line with what was searched for in bold red.
//!
//! Matches are places in the line without its control sequences, which stand between and inside them. Inside a match the
//! line's own colours wait; after it they are as if there had been none: what was last said of each attribute is said again.
//! A line that piles up more than that goes on without marks, or its matches would multiply it.

use std::ops::Range;

use logboom_record::ansi;
use logboom_store::TextQuery;

use crate::visible::{self, Sgr};

const ESC: u8 = 0x1B;
const FOUND: &[u8] = b"\x1b[1;31m";
const RESET: &[u8] = b"\x1b[0m";

/// The most bytes of colours and styles that are said again after a match.
const STYLE_BYTES_MAX: usize = 256;

/// Appends `message` as a terminal may show it, with its colours, and what the query finds in bold red.
pub fn push(out: &mut Vec<u8>, message: &[u8], query: &TextQuery) {
    let mut plain = Vec::with_capacity(message.len());
    ansi::strip(message, &mut plain);
    let found = query.find_all(&plain);
    if found.is_empty() {
        return visible::push(out, message, Sgr::Keep);
    }
    let mut painter = Painter { out, found: found.into_iter().peekable(), at: 0, is_inside: false, style: Vec::new() };
    let mut rest = message;
    while !rest.is_empty() {
        let controls = ansi::leading_bytes(rest);
        painter.push_controls(&rest[..controls]);
        rest = &rest[controls..];
        if painter.style.len() > STYLE_BYTES_MAX {
            return painter.give_up(rest);
        }
        let text = rest.iter().position(|byte| *byte == ESC).unwrap_or(rest.len());
        painter.push_text(&rest[..text]);
        rest = &rest[text..];
    }
    painter.finish();
}

struct Painter<'a, I: Iterator<Item = Range<usize>>> {
    out: &'a mut Vec<u8>,
    found: std::iter::Peekable<I>,
    /// How much of the line without control sequences is shown.
    at: usize,
    is_inside: bool,
    /// The line's own colours and styles that are on.
    style: Vec<u8>,
}

impl<I: Iterator<Item = Range<usize>>> Painter<'_, I> {
    fn push_controls(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            let sgr = visible::sgr_bytes(rest);
            let bytes =
                sgr.unwrap_or_else(|| rest[1..].iter().position(|byte| *byte == ESC).map_or(rest.len(), |at| at + 1));
            match sgr {
                Some(_) => self.restyle(&rest[..bytes]),
                None => visible::push(self.out, &rest[..bytes], Sgr::Drop),
            }
            rest = &rest[bytes..];
        }
    }

    fn restyle(&mut self, sgr: &[u8]) {
        if matches!(sgr, b"\x1b[m" | b"\x1b[0m") || sgr.starts_with(b"\x1b[0;") {
            self.style.clear();
        }
        if self.style.len() <= STYLE_BYTES_MAX {
            self.forget(attribute(sgr));
        }
        self.style.extend_from_slice(sgr);
        if !self.is_inside {
            self.out.extend_from_slice(sgr);
        }
    }

    /// Drops what is overruled: what was said before of the same attribute alone.
    fn forget(&mut self, again: Option<u32>) {
        let (mut at, style) = (0, &mut self.style);
        while let Some(bytes) = visible::sgr_bytes(&style[at..]).filter(|_| again.is_some()) {
            if attribute(&style[at..at + bytes]) == again {
                style.drain(at..at + bytes);
            } else {
                at += bytes;
            }
        }
    }

    fn push_text(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            self.turn();
            let next = self.found.peek().map(|found| if self.is_inside { found.end } else { found.start });
            let bytes = next.map_or(text.len(), |next| (next - self.at).min(text.len()));
            visible::push(self.out, &text[..bytes], Sgr::Drop);
            self.at += bytes;
            text = &text[bytes..];
        }
        self.turn();
    }

    /// Leaves the match that ends here, and enters the one that begins here.
    fn turn(&mut self) {
        let at = self.at;
        if self.is_inside && self.found.next_if(|found| found.end <= at).is_some() {
            self.is_inside = false;
            self.out.extend_from_slice(RESET);
            self.out.extend_from_slice(&self.style);
        }
        if !self.is_inside && self.found.peek().is_some_and(|found| found.start <= at) {
            self.is_inside = true;
            self.out.extend_from_slice(FOUND);
        }
    }

    /// The rest as it is.
    fn give_up(self, rest: &[u8]) {
        if self.is_inside {
            self.out.extend_from_slice(RESET);
            self.out.extend_from_slice(&self.style);
        }
        visible::push(self.out, rest, Sgr::Keep);
        self.finish();
    }

    fn finish(self) {
        if !self.style.is_empty() {
            self.out.extend_from_slice(RESET);
        }
    }
}

/// What a sequence sets, if that is one thing: text colour (30), background (40), or what its number says.
fn attribute(sgr: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(&sgr[2..sgr.len() - 1]).ok()?;
    let numbers: Vec<&str> = text.splitn(7, [';', ':']).collect();
    let code = numbers[0].parse().ok()?;
    let is_one = match (code, numbers.get(1)) {
        (38 | 48, Some(&"5")) => numbers.len() == 3,
        (38 | 48, Some(&"2")) => numbers.len() == 5,
        _ => numbers.len() == 1,
    };
    let code = match code {
        30..=39 | 90..=97 => 30,
        40..=49 | 100..=107 => 40,
        code => code,
    };
    is_one.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_store::{Case, Syntax, View};

    fn shown(message: &[u8], pattern: &str) -> String {
        let query = TextQuery::new(pattern, Syntax::Regex, Case::Sensitive, View::Plain).unwrap();
        let mut out = Vec::new();
        push(&mut out, message, &query);
        String::from_utf8(out).unwrap().replace("\x1b[1;31m", "<").replace("\x1b[0m", ">")
    }

    #[test]
    fn every_match_is_marked() {
        assert_eq!(shown(b"abcabc", "b|ca"), "a<b><ca><b>c");
        assert_eq!(shown(b"abc", "^abc$"), "<abc>");
        assert_eq!(shown("äöü".as_bytes(), "ö"), "ä<ö>ü");
        assert_eq!(shown(b"abc", "x*"), "abc");
    }

    #[test]
    fn the_colours_of_the_line_go_on_around_a_match() {
        assert_eq!(shown(b"\x1b[32mgreen and\x1b[34m blue", "green"), "\x1b[32m<green>\x1b[32m and\x1b[34m blue>");
        assert_eq!(shown(b"\x1b[32mgr\x1b[0mey", "rey"), "\x1b[32mg<rey>>>");
        assert_eq!(shown(b"a\x1b[34mb\x1b[mc", "b"), "a<b>\x1b[34m\x1b[mc>");
    }

    #[test]
    fn colours_that_pile_up_do_not_multiply_the_line() {
        let chalk = "\x1b[32mx\x1b[39m\x1b[1mx\x1b[22m".repeat(1_000);
        let out = shown(chalk.as_bytes(), "x");
        assert!(out.len() < 5 * chalk.len(), "{} bytes of {}", out.len(), chalk.len());
        assert_eq!(out.matches('<').count(), 2_000);
        let hostile: String = (0..2_000).map(|n| format!("\x1b[1;{n}mx")).collect();
        let out = shown(hostile.as_bytes(), "x");
        assert!(out.len() < 5 * hostile.len(), "{} bytes of {}", out.len(), hostile.len());
        assert_eq!(out.matches('x').count(), 2_000);
    }

    #[test]
    fn other_controls_are_shown_and_no_part_of_a_match() {
        assert_eq!(shown(b"a\x1b[2Jb\r", "ab"), "<a^[[2Jb>^M");
        assert_eq!(shown(b"a\x1b[2", "a"), "<a>^[[2");
    }
}

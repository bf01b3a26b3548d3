//! Text in the messages of a whole block at once.
//!
//! Most blocks have no match, and then nothing but their messages was looked at. The messages stand one after the other,
//! each with an LF, so a regular expression is rewritten to one that never matches an LF and takes the ends of lines for the
//! ends of text; where that changes what it can match (a class that holds LF, in a message that holds one), the block is
//! searched record by record instead. So is what has control sequences, line by line. What is found is only told as a
//! place: whoever asks looks at the whole line again.

use logboom_boom::gram_query::{Case, GramQuery};
use logboom_record::ansi;
use logboom_store::{TextQuery, View};
use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look};

/// Looks for one text in many blocks.
pub(crate) struct Finder {
    text: TextQuery,
    needle: Needle,
    /// Whether a match may hold an LF.
    crosses: bool,
    pub grams: GramQuery,
}

enum Needle {
    Literal(Box<memmem::Finder<'static>>),
    /// Held to lines.
    Regex(Box<Regex>),
    /// Cannot be held to lines: every line is looked at by itself.
    EachLine,
}

impl Finder {
    pub fn new(text: &TextQuery) -> Finder {
        let (needle, crosses, grams) = match (text.literal(), text.hir()) {
            (Some(literal), _) => {
                let finder = memmem::Finder::new(literal).into_owned();
                (Needle::Literal(Box::new(finder)), false, GramQuery::literal(literal, Case::Sensitive))
            }
            (None, Some(hir)) => held_to_lines(hir),
            (None, None) => (Needle::EachLine, true, GramQuery::any()),
        };
        Finder { text: text.clone(), needle, crosses, grams }
    }

    /// Offsets of lines that match, one in each, in order. `None` if the block must be searched record by record. Lines
    /// of messages that hold an LF may be among them though the message does not match.
    pub fn lines(&self, text: &[u8], has_ansi: bool, has_inner_newlines: bool) -> Option<Vec<usize>> {
        let colours = has_ansi && self.text.view() == View::Plain && ansi::has_escape(text);
        if matches!(self.needle, Needle::EachLine) {
            return None;
        }
        if (colours || self.crosses) && has_inner_newlines {
            return None;
        }
        let mut found = Vec::new();
        match colours {
            true => self.find_between_colours(text, &mut found),
            false => self.find(text, 0, &mut found),
        }
        Some(found)
    }

    /// Searches lines without ESC in one go, and those with one by themselves.
    fn find_between_colours(&self, text: &[u8], found: &mut Vec<usize>) {
        let mut start = 0;
        while let Some(at) = memchr::memchr(0x1B, &text[start..]).map(|at| start + at) {
            let line_start = memchr::memrchr(b'\n', &text[start..at]).map_or(start, |lf| start + lf + 1);
            let line_end = line_end(text, at);
            self.find(&text[start..line_start], start, found);
            if self.text.matches(&text[line_start..line_end]) {
                found.push(line_start);
            }
            start = (line_end + 1).min(text.len());
        }
        self.find(&text[start..], start, found);
    }

    /// Searches whole lines, each with its LF; offsets count from `base`.
    fn find(&self, text: &[u8], base: usize, found: &mut Vec<usize>) {
        let mut start = 0;
        while start < text.len() {
            let Some(at) = self.first(text, start) else { return };
            found.push(base + at);
            start = line_end(text, at) + 1;
        }
    }

    fn first(&self, text: &[u8], start: usize) -> Option<usize> {
        let at = match &self.needle {
            Needle::Literal(finder) => finder.find(&text[start..]).map(|at| start + at)?,
            // Some place in the line is enough, and where a match ends is known before where it starts.
            Needle::Regex(regex) => regex.shortest_match_at(text, start)?,
            Needle::EachLine => return None,
        };
        (at < text.len()).then_some(at) // what an empty match finds after the last LF is no line
    }
}

fn line_end(text: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |at| from + at)
}

fn held_to_lines(hir: &Hir) -> (Needle, bool, GramQuery) {
    let grams = GramQuery::regex(hir);
    let mut crosses = false;
    let lines = without_newline(hir, &mut crosses);
    let regex = lines.and_then(|lines| RegexBuilder::new(&lines.to_string()).build().ok());
    match regex {
        Some(regex) => (Needle::Regex(Box::new(regex)), crosses, grams),
        None => (Needle::EachLine, true, grams),
    }
}

/// The same expression over many lines: it matches no LF, and its text ends where a line does. `None` where that
/// cannot be written.
fn without_newline(hir: &Hir, crosses: &mut bool) -> Option<Hir> {
    Some(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => {
            *crosses = true;
            Hir::fail()
        }
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(class) => Hir::class(class_without_newline(class, crosses)),
        HirKind::Look(look) => Hir::look(look_at_line(*look)?),
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            repetition.sub = Box::new(without_newline(&repetition.sub, crosses)?);
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => without_newline(&capture.sub, crosses)?,
        HirKind::Concat(parts) => Hir::concat(all_without_newline(parts, crosses)?),
        HirKind::Alternation(parts) => Hir::alternation(all_without_newline(parts, crosses)?),
    })
}

fn all_without_newline(parts: &[Hir], crosses: &mut bool) -> Option<Vec<Hir>> {
    parts.iter().map(|part| without_newline(part, crosses)).collect()
}

fn class_without_newline(class: &Class, crosses: &mut bool) -> Class {
    let mut class = class.clone();
    match &mut class {
        Class::Unicode(class) => {
            let newline = ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]);
            *crosses |= class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&'\n'));
            class.difference(&newline);
        }
        Class::Bytes(class) => {
            let newline = ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]);
            *crosses |= class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&b'\n'));
            class.difference(&newline);
        }
    }
    class
}

fn look_at_line(look: Look) -> Option<Look> {
    match look {
        Look::Start | Look::StartLF => Some(Look::StartLF),
        Look::End | Look::EndLF => Some(Look::EndLF),
        Look::StartCRLF | Look::EndCRLF => None,
        word => Some(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_store::{Case as TextCase, Syntax};

    const TEXT: &[u8] = b"alpha beta\n\nbeta\x1b[31m gamma\x1b[0m\n\xff beta\nend";

    fn naive(query: &TextQuery) -> Vec<usize> {
        let lines: Vec<&[u8]> = TEXT.split(|byte| *byte == b'\n').collect();
        (0..lines.len()).filter(|line| query.matches(lines[*line])).collect()
    }

    fn fast(query: &TextQuery) -> Vec<usize> {
        let text = [TEXT, b"\n"].concat();
        let found = Finder::new(query).lines(&text, true, false).unwrap();
        found.iter().map(|at| text[..*at].iter().filter(|byte| **byte == b'\n').count()).collect()
    }

    #[test]
    fn a_block_has_the_matches_of_its_lines() {
        let literals = ["beta", "a", "", "beta gamma", "end", "\u{1b}[31m", "x"];
        let expressions = [
            "^beta",
            "beta$",
            r"\s",
            r"a\s*b",
            "(?s)a.b",
            "^$",
            r"\Aalpha",
            r"end\z",
            "[^q]",
            r"\W\W",
            r"(?-u)\xff",
            "(?m)^beta",
            r"\bbeta\b",
            "beta gamma$",
            "a|^end$",
            "",
            "(?i)BETA.*GAMMA",
            r"a\nb",
            r"(a|\n)+",
            "[^a]*",
        ];
        for view in [View::Plain, View::Raw] {
            let query = |pattern, syntax| TextQuery::new(pattern, syntax, TextCase::Sensitive, view).unwrap();
            let literals = literals.iter().map(|pattern| query(pattern, Syntax::Literal));
            let queries = literals.chain(expressions.iter().map(|pattern| query(pattern, Syntax::Regex)));
            queries.for_each(|query| assert_eq!(fast(&query), naive(&query), "{query:?}"));
        }
    }

    #[test]
    fn messages_with_newlines_are_left_to_others_where_that_matters() {
        let query = |pattern| TextQuery::new(pattern, Syntax::Regex, TextCase::Sensitive, View::Raw).unwrap();
        assert_eq!(Finder::new(&query("(?s)a.b")).lines(b"a\nb\n", false, true), None);
        assert_eq!(Finder::new(&query("a.b")).lines(b"a\nb\n", false, true), Some(vec![]));
        assert_eq!(Finder::new(&query("(?mR)a$")).lines(b"a\nb\n", false, false), None);
    }
}

//! Text to look for in whole lines.

use std::{ops::Range, sync::Arc};

use logboom_record::ansi;
use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The very characters.
    Literal,
    /// A regular expression of crate `regex`; `^` and `$` are the ends of the line.
    Regex,
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They do.
    Sensitive,
    /// They do not, for all of Unicode.
    Insensitive,
}

/// What of a line is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What a terminal would show: control sequences removed.
    Plain,
    /// The bytes as printed.
    Raw,
}

/// Why a pattern cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It spans lines.
    #[error("a line holds no newline, so that {0:?} can never match")]
    Newline(String),
    /// It is not a regular expression.
    #[error("{pattern:?} is not a regular expression: {why}")]
    Regex {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
}

/// So much of a line is searched. A longer one comes in parts, and this much of it is put together at once.
pub const SEARCHED_BYTES_MAX: usize = 64 << 20;

/// Adds a part of a line to what of it is searched.
pub fn push_text(text: &mut Vec<u8>, part: &[u8]) {
    let room = SEARCHED_BYTES_MAX.saturating_sub(text.len());
    text.extend_from_slice(&part[..part.len().min(room)]);
}

/// Text to look for in whole lines; compiled once, cheap to clone.
#[derive(Clone, Debug)]
pub struct TextQuery {
    needle: Arc<Needle>,
    view: View,
}

#[derive(Debug)]
enum Needle {
    Literal(Box<memmem::Finder<'static>>),
    Regex { regex: Regex, hir: Hir },
}

impl TextQuery {
    /// Compiles the pattern.
    ///
    /// # Errors
    /// [`TextError::Newline`] for a literal that holds a newline, [`TextError::Regex`] for what is no regular expression.
    pub fn new(pattern: &str, syntax: Syntax, case: Case, view: View) -> Result<TextQuery, TextError> {
        if syntax == Syntax::Literal && pattern.contains('\n') {
            return Err(TextError::Newline(pattern.to_owned()));
        }
        let needle = match (syntax, case) {
            (Syntax::Literal, Case::Sensitive) => Needle::Literal(Box::new(memmem::Finder::new(pattern).into_owned())),
            (Syntax::Literal, Case::Insensitive) => compile(&regex_syntax::escape(pattern), case, pattern)?,
            (Syntax::Regex, _) => compile(pattern, case, pattern)?,
        };
        Ok(TextQuery { needle: Arc::new(needle), view })
    }

    /// Whether a line, all its parts joined, has the text.
    pub fn matches(&self, line: &[u8]) -> bool {
        if self.view == View::Raw || !ansi::has_escape(line) {
            return self.matches_as_is(line);
        }
        let mut plain = Vec::with_capacity(line.len());
        ansi::strip(line, &mut plain);
        self.matches_as_is(&plain)
    }

    /// The same for bytes that have no control sequences, or where these count.
    pub fn matches_as_is(&self, line: &[u8]) -> bool {
        match &*self.needle {
            Needle::Literal(finder) => finder.find(line).is_some(),
            Needle::Regex { regex, .. } => regex.is_match(line),
        }
    }

    /// Every place of the text in such bytes, without the empty ones.
    pub fn find_all(&self, line: &[u8]) -> Vec<Range<usize>> {
        match &*self.needle {
            Needle::Literal(finder) if finder.needle().is_empty() => Vec::new(),
            Needle::Literal(finder) => finder.find_iter(line).map(|at| at..at + finder.needle().len()).collect(),
            Needle::Regex { regex, .. } => {
                regex.find_iter(line).map(|found| found.range()).filter(|range| !range.is_empty()).collect()
            }
        }
    }

    /// What of a line is looked at.
    pub fn view(&self) -> View {
        self.view
    }

    /// The bytes to find, where these alone decide.
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.needle {
            Needle::Literal(finder) => Some(finder.needle()),
            Needle::Regex { .. } => None,
        }
    }

    /// The parsed expression, where there is one: what a search filter is asked with.
    pub fn hir(&self) -> Option<&Hir> {
        match &*self.needle {
            Needle::Literal(_) => None,
            Needle::Regex { hir, .. } => Some(hir),
        }
    }
}

fn compile(expression: &str, case: Case, pattern: &str) -> Result<Needle, TextError> {
    let insensitive = case == Case::Insensitive;
    let bad = |why: String| TextError::Regex { pattern: pattern.to_owned(), why };
    let regex =
        RegexBuilder::new(expression).case_insensitive(insensitive).build().map_err(|error| bad(error.to_string()))?;
    let mut parser = regex_syntax::ParserBuilder::new().case_insensitive(insensitive).utf8(false).build();
    let hir = parser.parse(expression).map_err(|error| bad(error.to_string()))?;
    Ok(Needle::Regex { regex, hir })
}

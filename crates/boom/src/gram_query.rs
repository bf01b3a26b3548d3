//! What must be in a line for a search to match it, as grams that a filter can be asked for.
//!
//! A [`GramQuery`] is a tree of "all of these grams" and "one of these". It is built from a regex's Hir (a literal is
//! one, too) by following which texts the regex can have matched so far, in [`texts`]; where they become too many to
//! follow, what is known of them is required and the rest is let go. So a query never excludes a line that could match:
//! it may only know less than the regex does.
//! [`Evaluator`] asks the filters of many groups, those grams first that were rare in the groups before.

mod evaluator;
mod texts;

use regex_syntax::{ParserBuilder, hir::Hir};

pub(crate) use evaluator::Evaluator;
use texts::Known;

use crate::filter;

/// Whether capital and small letters are different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are.
    Sensitive,
    /// They are not, in any script: a search for `k` finds the Kelvin sign, too.
    Insensitive,
}

/// The most grams a query asks for: enough for 64 alternatives of some length.
const GRAMS_MAX: usize = 1_024;
/// The most grams one text asks for: a few rule a block out, so those of a long text are taken at even distances.
const TEXT_GRAMS_MAX: usize = 32;
/// A text with fewer grams of five bytes than this asks for some of three bytes, too.
const TEXT_SHORT_GRAMS_MAX: usize = 16;
/// What must be in a line, as grams. Never excludes a line that could match.
///
/// ```
/// # use logboom_boom::gram_query::{Case, GramQuery};
/// assert!(!GramQuery::literal(b"connection refused", Case::Sensitive).is_any());
/// assert!(GramQuery::regex(&regex_syntax::parse("[a-z]+ing|x")?).is_any()); // an x alone is too little to ask for
/// # Ok::<_, regex_syntax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GramQuery {
    root: Need,
    grams: Vec<u32>,
}

/// What a line needs; numbers are places in the query's list of grams.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Grams(Vec<u16>),
    All(Vec<Need>),
    One(Vec<Need>),
}

impl GramQuery {
    /// Any line may match.
    pub fn any() -> GramQuery {
        GramQuery { root: Need::Nothing, grams: Vec::new() }
    }

    /// Lines that hold `text`, which may be any bytes.
    pub fn literal(text: &[u8], case: Case) -> GramQuery {
        if case == Case::Sensitive {
            return GramQuery::regex(&Hir::literal(text));
        }
        let mut parser = ParserBuilder::new().case_insensitive(true).utf8(false).build();
        parser.parse(&pattern_of(text)).map_or_else(|_| GramQuery::any(), |hir| GramQuery::regex(&hir))
    }

    /// Lines that `hir` matches somewhere.
    pub fn regex(hir: &Hir) -> GramQuery {
        let known = texts::of(hir);
        let mut query = GramQuery::any();
        query.root = query.need(&known);
        query
    }

    /// Whether nothing can be ruled out, so that asking a filter is no use.
    pub fn is_any(&self) -> bool {
        self.root == Need::Nothing
    }

    fn need(&mut self, known: &Known) -> Need {
        match known {
            Known::Nothing => Need::Nothing,
            Known::All(parts) => all(parts.iter().map(|part| self.need(part)).collect()),
            Known::One(parts) => one(parts.iter().map(|part| self.need(part)).collect()),
            Known::OneOf(texts) => one(texts.iter().map(|text| self.grams_of(text)).collect()),
        }
    }

    /// The grams of a text; none of them spans a newline, since those of a line do not either.
    fn grams_of(&mut self, text: &[u8]) -> Need {
        let (mut all, mut short) = (Vec::new(), Vec::new());
        for piece in text.split(|byte| *byte == b'\n') {
            filter::for_each_gram(piece, |hash| all.push(hash));
            piece.windows(3).for_each(|three| filter::for_each_gram(three, |hash| short.push(hash)));
        }
        short.sort_unstable();
        short.dedup();
        // Those of five bytes are rarer, and say what those of three inside them do.
        all.retain(|hash| short.binary_search(hash).is_err());
        let short_max = TEXT_SHORT_GRAMS_MAX.saturating_sub(all.len());
        let hashes = spread(&all, TEXT_GRAMS_MAX).chain(spread(&short, short_max));
        let mut numbers: Vec<u16> = hashes.filter_map(|hash| self.number(hash)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() { Need::Nothing } else { Need::Grams(numbers) }
    }

    fn number(&mut self, hash: u32) -> Option<u16> {
        let at = self.grams.iter().position(|known| *known == hash).unwrap_or(self.grams.len());
        if at == self.grams.len() {
            if at == GRAMS_MAX {
                return None; // one fewer to ask for
            }
            self.grams.push(hash);
        }
        u16::try_from(at).ok()
    }
}

/// At most `max` of these, at even distances.
fn spread(hashes: &[u32], max: usize) -> impl Iterator<Item = u32> {
    let step = hashes.len().div_ceil(max.max(1)).max(1);
    hashes.iter().step_by(step).take(max).copied()
}

/// A pattern that matches exactly these bytes, which need not be UTF-8.
fn pattern_of(text: &[u8]) -> String {
    let mut pattern = String::new();
    for chunk in text.utf8_chunks() {
        pattern.push_str(&regex_syntax::escape(chunk.valid()));
        chunk.invalid().iter().for_each(|byte| pattern.push_str(&format!("(?-u:\\x{byte:02X})")));
    }
    pattern
}

fn all(mut needs: Vec<Need>) -> Need {
    needs.retain(|need| *need != Need::Nothing);
    match needs.len() {
        0 => Need::Nothing,
        1 => needs.swap_remove(0),
        _ => Need::All(needs),
    }
}

fn one(mut needs: Vec<Need>) -> Need {
    match needs.len() {
        _ if needs.contains(&Need::Nothing) => Need::Nothing,
        0 => Need::Nothing, // what matches nothing at all is not worth a word of its own
        1 => needs.swap_remove(0),
        _ => Need::One(needs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pattern: &str) -> Known {
        texts::of(&regex_syntax::parse(pattern).unwrap())
    }

    fn one_of(texts: &[&str]) -> Known {
        Known::OneOf(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
    }

    #[test]
    fn texts_are_followed_through_classes_looks_and_small_repetitions() {
        assert_eq!(known("(?i)Timeout"), one_of(&["timeout"]));
        assert_eq!(known("\\bre(ady|set)$"), one_of(&["ready", "reset"]));
        assert_eq!(known("(ab){2}c?d"), one_of(&["ababcd", "ababd"]));
        assert_eq!(known("[Ee]rror [45]xx"), one_of(&["error 4xx", "error 5xx"]));
    }

    #[test]
    fn a_class_counts_as_one_letter_only_if_all_of_it_folds_to_that() {
        assert_eq!(known("(?i)ask"), one_of(&["ask", "as\u{212a}", "a\u{17f}k", "a\u{17f}\u{212a}"]));
        assert_eq!(known("(?i-u)ask"), one_of(&["ask"]));
    }

    #[test]
    fn what_is_open_keeps_the_texts_around_it() {
        let both = Known::All(vec![one_of(&["connect"]), one_of(&["refused"])]);
        assert_eq!(known("connect.*refused"), both);
        assert_eq!(known("ab+c"), Known::Nothing);
        assert_eq!(known("x(abc)+"), Known::All(vec![one_of(&["xabc"]), one_of(&["abc"])]));
        assert_eq!(known("(abc.*|x)def"), Known::OneOf(vec![b"def".to_vec()]));
        assert_eq!(known("(abc.*|xyz)"), Known::One(vec![one_of(&["abc"]), one_of(&["xyz"])]));
    }

    #[test]
    fn alternatives_that_need_not_hold_anything_need_nothing() {
        for pattern in ["", ".*", "abc|x", "(abc)?", "(abc){0,3}", "(abc){0}", "[a-z]{3}", "12345678|abc", "(abc|.*)"] {
            assert!(GramQuery::regex(&regex_syntax::parse(pattern).unwrap()).is_any(), "{pattern}");
        }
        assert!(GramQuery::literal(b"ab", Case::Sensitive).is_any());
        assert!(!GramQuery::literal(b"abc", Case::Sensitive).is_any());
    }

    #[test]
    fn too_many_alternatives_are_let_go_and_the_rest_is_kept() {
        let many = "(?i)kisskisskisskiss timeout";
        assert!(!GramQuery::regex(&regex_syntax::parse(many).unwrap()).is_any());
        let words: Vec<String> = (0..2_000).map(|n| format!("word{n}x")).collect();
        assert!(GramQuery::regex(&regex_syntax::parse(&words.join("|")).unwrap()).is_any());
        let long = "a long text ".repeat(9_000);
        assert!(GramQuery::literal(long.as_bytes(), Case::Sensitive).grams.len() <= GRAMS_MAX);
    }

    #[test]
    fn bytes_that_are_no_text_are_found_in_either_case() {
        for case in [Case::Sensitive, Case::Insensitive] {
            assert_eq!(GramQuery::literal(b"\xff\xfeab", case), GramQuery::regex(&Hir::literal(*b"\xff\xfeab")));
        }
    }

    #[test]
    fn a_newline_parts_the_grams() {
        let sorted = |query: GramQuery| {
            let mut grams = query.grams;
            grams.sort_unstable();
            grams
        };
        let apart = GramQuery::regex(&regex_syntax::parse("abc.*def").unwrap());
        assert_eq!(sorted(GramQuery::literal(b"abc\ndef", Case::Sensitive)), sorted(apart));
    }

    /// A filter of 32 blocks, in which the gram of hash `h` is in the blocks of mask `rows(h)`.
    fn groups(query: &GramQuery, groups: usize, rows: impl Fn(u32) -> u32) -> (Vec<u32>, Vec<usize>) {
        let mut evaluator = Evaluator::new(query);
        let each = (0..groups).map(|_| {
            let mut asked = 0;
            let left = evaluator.group(u32::MAX, &mut |hash| {
                asked += 1;
                rows(hash)
            });
            (left, asked)
        });
        each.unzip()
    }

    #[test]
    fn the_rarest_gram_is_asked_for_first_once_it_is_known() {
        let query = GramQuery::literal(b"the common and the rare", Case::Sensitive);
        let rare = query.grams[query.grams.len() / 2];
        let (left, asked) = groups(&query, 8, |hash| if hash == rare { 0 } else { u32::MAX });
        assert_eq!(asked.last(), Some(&1));
        assert_eq!(left.last(), Some(&0));
    }

    #[test]
    fn alternatives_are_united_and_parts_intersected() {
        let rows = |hash| if hash == GramQuery::literal(b"abc", Case::Sensitive).grams[0] { 0b0011 } else { 0b0110 };
        let left = |pattern: &str| groups(&GramQuery::regex(&regex_syntax::parse(pattern).unwrap()), 1, rows).0[0];
        assert_eq!((left("abc|xyz"), left("abc.*xyz"), left("abc")), (0b0111, 0b0010, 0b0011));
    }
}

//! Takes secrets out of what is kept: their places are filled with `***` before anything is written.
//!
//! Values are found in the stream of bytes itself, wherever reads, lines or records end, so that none is kept in two halves; the end of what
//! came that may be the beginning of a value waits for what follows. Patterns are looked for within a record's message.

mod shared;

use std::{borrow::Cow, ops::Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind, packed};
use logboom_record::Time;
use regex::bytes::{Captures, Regex};
use regex_syntax::{ParserBuilder, hir::Hir};

pub(crate) use shared::Seen;
pub use shared::SharedMasks;

/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// A value has at least so many bytes: a shorter one would be found everywhere.
pub const VALUE_BYTES_MIN: usize = 4;
/// A value has at most so many bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// There are at most so many values.
pub const VALUES_MAX: usize = 1_000;
/// All values together have at most so many bytes.
pub const VALUES_BYTES_MAX: usize = 1 << 20;
/// So many bytes of values are looked for by a table that has all transitions: it may take a kilobyte for each.
const DENSE_BYTES_MAX: usize = 8 << 10;

/// A mask that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// The pattern is none.
    #[error("{0:?} is no pattern to mask by")]
    BadPattern(String, #[source] regex::Error),
    /// The pattern fits what has no bytes.
    #[error("{0:?} fits nothing at all, so it would mask everything")]
    FitsNothing(String),
    /// There are too many values.
    #[error(
        "there are too many values to mask, or they are too long together; the others are kept as they are printed"
    )]
    TooMany,
    /// All patterns together are too large.
    #[error("the patterns and values to mask are too many or too long")]
    TooLarge(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What is secret.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    values: Vec<Vec<u8>>,
    values_bytes: usize,
    finder: Option<Finder>,
    patterns: Vec<Regex>,
    /// Any of the patterns: one look, at what they begin with, tells that nothing fits.
    any: Option<Regex>,
}

impl Masks {
    /// Of these values, each of the lines of which is one, and patterns. Values that are too short or too long are left out.
    ///
    /// # Errors
    /// [`MaskError`], naming the pattern.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>, patterns: &[String]) -> Result<Masks, MaskError> {
        let compile = |pattern: &String| match Regex::new(pattern) {
            Ok(regex) if regex.is_match(b"") => Err(MaskError::FitsNothing(pattern.clone())),
            Ok(regex) => Ok(regex),
            Err(error) => Err(MaskError::BadPattern(pattern.clone(), error)),
        };
        let compiled = patterns.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let any = any_of(patterns).filter(|_| !patterns.is_empty());
        let mut masks = Masks { patterns: compiled, any, ..Masks::default() };
        masks.add(values)?;
        Ok(masks)
    }

    /// Adds values; how many of their lines are too short or too long.
    ///
    /// # Errors
    /// [`MaskError::TooMany`]; as many as fit are masked. [`MaskError::TooLarge`].
    pub fn add<'a>(&mut self, values: impl IntoIterator<Item = &'a [u8]>) -> Result<usize, MaskError> {
        let (before, mut left_out, mut is_over) = (self.values.len(), 0, false);
        for value in values.into_iter().flat_map(|value| value.split(|byte| *byte == b'\n')) {
            let value = value.strip_suffix(b"\r").unwrap_or(value);
            if !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.len()) {
                left_out += usize::from(!value.is_empty());
            } else if !self.has(value) {
                is_over |= !self.push(value);
            }
        }
        if self.values.len() > before {
            self.build()?;
        }
        if is_over { Err(MaskError::TooMany) } else { Ok(left_out) }
    }

    /// Whether there is room for it.
    fn push(&mut self, value: &[u8]) -> bool {
        let has_room = self.values.len() < VALUES_MAX && self.values_bytes + value.len() <= VALUES_BYTES_MAX;
        if has_room {
            self.values_bytes += value.len();
            self.values.push(value.to_vec());
        }
        has_room
    }

    fn build(&mut self) -> Result<(), MaskError> {
        let packed =
            packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).builder().extend(&self.values).build();
        self.finder = Some(match packed {
            Some(packed) => Finder::Packed(packed),
            None => {
                let kind = (self.values_bytes > DENSE_BYTES_MAX).then_some(AhoCorasickKind::ContiguousNFA);
                let automaton =
                    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).kind(kind).build(&self.values);
                Finder::Automaton(automaton.map_err(|error| MaskError::TooLarge(error.into()))?)
            }
        });
        Ok(())
    }

    /// Whether it is a value that is looked for.
    pub(crate) fn has(&self, value: &[u8]) -> bool {
        self.values.iter().any(|known| known == value)
    }

    /// The values that are looked for.
    pub fn values(&self) -> &[Vec<u8>] {
        &self.values
    }

    /// The patterns.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(Regex::as_str)
    }

    /// Whether nothing is secret.
    pub fn is_empty(&self) -> bool {
        self.finder.is_none() && self.patterns.is_empty()
    }

    /// The text without secrets, and how many there were.
    pub fn mask<'a>(&self, text: &'a [u8]) -> (Cow<'a, [u8]>, u64) {
        let mut stream = MaskedStream::default();
        let mut out = Cow::Borrowed(text);
        if self.values_in(text).next().is_some() {
            let mut masked = Vec::with_capacity(text.len());
            stream.push(self, text, Time::default(), |_, bytes| masked.extend_from_slice(bytes));
            stream.finish(self, |_, bytes| masked.extend_from_slice(bytes));
            out = Cow::Owned(masked);
        }
        let count = stream.count + self.mask_patterns(&mut out);
        (out, count)
    }

    /// The same of text.
    pub fn mask_str(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask(text.as_bytes()).0).into_owned()
    }

    /// Takes what fits the patterns out of a message; tells how often.
    pub fn mask_patterns(&self, message: &mut Cow<'_, [u8]>) -> u64 {
        if self.patterns.is_empty() || self.any.as_ref().is_some_and(|any| !any.is_match(message)) {
            return 0;
        }
        let mut count = 0;
        for pattern in &self.patterns {
            let mut replace = |_: &Captures<'_>| {
                count += 1;
                MASK
            };
            if let Cow::Owned(masked) = pattern.replace_all(message, &mut replace) {
                *message = Cow::Owned(masked);
            }
        }
        count
    }

    /// Where values stand in a text, one after the other.
    pub(crate) fn values_in<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut at = 0;
        std::iter::from_fn(move || {
            let found = self.finder.as_ref()?.find(text, at)?;
            at = found.end;
            Some(found)
        })
    }

    /// How many of the last bytes may be the beginning of a value.
    pub(crate) fn begun(&self, text: &[u8]) -> usize {
        let longest = |value: &Vec<u8>| {
            let most = (value.len() - 1).min(text.len());
            (1..=most).rev().find(|len| text.ends_with(&value[..*len])).unwrap_or(0)
        };
        self.values.iter().map(longest).max().unwrap_or(0)
    }
}

/// Looks for all values at once: the leftmost, and of those that begin there the longest.
#[derive(Clone, Debug)]
enum Finder {
    /// For few: it looks at the first bytes of all in many places at once.
    Packed(packed::Searcher),
    /// For many.
    Automaton(AhoCorasick),
}

impl Finder {
    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        match self {
            Finder::Packed(packed) => packed.find_in(text, (from..text.len()).into()).map(|found| found.range()),
            Finder::Automaton(automaton) => automaton.find(Input::new(text).range(from..)).map(|found| found.range()),
        }
    }
}

/// A stream of bytes on its way to where it is kept.
#[derive(Debug, Default)]
pub struct MaskedStream {
    /// The end of what came, which may be the beginning of a value, and when that came.
    held: Vec<u8>,
    held_since: Time,
    /// How many secrets there were.
    pub count: u64,
}

impl MaskedStream {
    /// Takes the next bytes; gives on what of them may be kept, with its time.
    pub fn push(&mut self, masks: &Masks, bytes: &[u8], time: Time, mut give: impl FnMut(Time, &[u8])) {
        if masks.finder.is_none() {
            return give(time, bytes);
        }
        if self.held.is_empty() {
            let given = self.give(masks, bytes, bytes.len() - masks.begun(bytes), time, give);
            self.held.extend_from_slice(&bytes[given..]);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            let given = self.give(masks, &joined, joined.len() - masks.begun(&joined), self.held_since, give);
            joined.drain(..given);
            self.held = joined;
        }
        self.held_since = time;
    }

    /// Nothing follows.
    pub fn finish(&mut self, masks: &Masks, give: impl FnMut(Time, &[u8])) {
        let held = std::mem::take(&mut self.held);
        self.give(masks, &held, held.len(), self.held_since, give);
    }

    /// Gives on the text up to `end`, or to the end of the value that goes further; tells how far that is.
    fn give(&mut self, masks: &Masks, text: &[u8], end: usize, time: Time, mut give: impl FnMut(Time, &[u8])) -> usize {
        let mut at = 0;
        for found in masks.values_in(text).take_while(|found| found.start < end) {
            give(time, &text[at..found.start]);
            give(time, MASK.as_bytes());
            (at, self.count) = (found.end, self.count + 1);
        }
        if at < end {
            give(time, &text[at..end]);
        }
        at.max(end)
    }
}

/// Whatever fits one of the patterns, of which each may set flags of its own; none if that is too much for one.
fn any_of(patterns: &[String]) -> Option<Regex> {
    let parse = |pattern: &String| ParserBuilder::new().utf8(false).build().parse(pattern).ok();
    let parsed: Vec<Hir> = patterns.iter().map(parse).collect::<Option<_>>()?;
    Regex::new(&Hir::alternation(parsed).to_string()).ok()
}

/// Whether an environment variable's name says that its value is secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "CREDENTIAL", "CREDENTIALS"];
    let is_word = |part: &str| words.contains(&part);
    let is_key =
        |pair: &[&str]| matches!(pair, ["API" | "ACCESS" | "PRIVATE" | "ENCRYPTION" | "SIGNING" | "AUTH", "KEY"]);
    let parts: Vec<&str> = name.split(['_', '-', '.']).collect();
    parts.iter().copied().any(is_word) || parts.windows(2).any(is_key)
}

/// What stands for a password on many a developer's machine and protects nothing: the name of the program, mostly. It is also the name
/// of the service and a word of what it prints, so that to take it out would make both unreadable.
const NO_SECRETS: &str = "postgres postgresql timescale timescaledb cockroach cockroachdb sqlserver clickhouse cassandra \
    couchbase elasticsearch opensearch rabbitmq keycloak password localhost";

/// Whether an environment variable is a secret by its name and value, though nobody has said so. What is short is none: `TOKEN=yes`.
pub fn is_guessed(name: &str, value: &[u8]) -> bool {
    const BYTES_MIN: usize = 8;
    is_secret_name(name) && value.len() >= BYTES_MIN && !NO_SECRETS.split(' ').any(|word| word.as_bytes() == value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn masks(values: &[&str], patterns: &[&str]) -> Masks {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Masks::new(values.iter().map(|value| value.as_bytes()), &patterns).unwrap()
    }

    fn masked(masks: &Masks, text: &str) -> (String, u64) {
        let (text, count) = masks.mask(text.as_bytes());
        (String::from_utf8(text.into_owned()).unwrap(), count)
    }

    #[test]
    fn values_and_patterns_are_taken_out() {
        let masks = masks(&["hunter22", "hunter22-long", "two\nlines", "abc"], &["key=[0-9]+", "k[e]y"]);
        assert_eq!(masked(&masks, "a hunter22-long hunter22 b"), ("a *** *** b".to_owned(), 2));
        assert_eq!(masked(&masks, "lines, two, abc"), ("***, two, abc".to_owned(), 1), "what is short is everywhere");
        assert_eq!(masked(&masks, "key=12 key"), ("*** ***".to_owned(), 2));
        assert_eq!(masked(&masks, "nothing"), ("nothing".to_owned(), 0));
    }

    #[test]
    fn each_pattern_has_its_own_flags_and_comments() {
        let masks = masks(&[], &["(?i)key=x", "(?x) a b # and no more", "^top", "end$", "(?-u:\\xff)z"]);
        for (text, want) in
            [("KEY=X ab", "*** ***"), ("key=X", "***"), ("AB", "AB"), ("a top", "a top"), ("top end", "*** ***")]
        {
            assert_eq!(masked(&masks, text).0, want);
        }
        assert_eq!(masks.mask(b"\xffz").0.as_ref(), b"***");
    }

    #[test]
    fn what_would_mask_everything_is_refused() {
        for (pattern, want) in [("x*", "fits nothing"), ("(", "no pattern")] {
            let error = Masks::new([], &[pattern.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    #[test]
    fn too_many_values_are_told() {
        let values: Vec<String> = (0..=VALUES_MAX).map(|number| format!("value{number:04}")).collect();
        let mut masks = Masks::default();
        assert!(matches!(masks.add(values.iter().map(String::as_bytes)), Err(MaskError::TooMany)));
        assert_eq!(masked(&masks, "value0999 value1000").0, "*** value1000");
        let long = |byte: u8| vec![byte; VALUE_BYTES_MAX];
        let mut masks = Masks::default();
        let told: Vec<Result<usize, MaskError>> = (b'a'..=b'q').map(|byte| masks.add([&long(byte)[..]])).collect();
        assert!(told[..16].iter().all(Result::is_ok) && matches!(told[16], Err(MaskError::TooMany)));
        assert_eq!(masked(&masks, &String::from_utf8(long(b'p')).unwrap()).0, "***");
    }

    #[test]
    fn lines_that_are_no_values_are_counted() {
        let mut masks = Masks::default();
        assert_eq!(masks.add([&b"{\n  hunter22\n}\n"[..], b"a"]).unwrap(), 3);
        assert_eq!(masked(&masks, "{  hunter22 a").0, "{*** a");
    }

    #[test]
    fn names_tell_what_is_secret() {
        for name in ["GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "API_KEY", "X.TOKEN"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "TOKENIZER", "KEY", "SSH_AUTH_SOCK", "PASSENGERS"] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(is_guessed("DB_PASSWORD", b"postgres1") && is_guessed("DB_PASSWORD", b"Postgres"));
        assert!(!is_guessed("DB_PASSWORD", b"postgres") && !is_guessed("DB_PASSWORD", b"localhost"));
        assert!(!is_guessed("DB_PASSWORD", b"1234567") && !is_guessed("DB_USER", b"12345678"));
    }

    proptest! {
        #[test]
        fn however_it_comes_the_same_is_kept(
            text in vec(prop_oneof![Just("aaab"), Just("aab"), Just("a"), Just("aaaabaaab"), Just("x"), Just("\n")], 0..40),
            cuts in vec(any::<prop::sample::Index>(), 0..8),
            is_many in any::<bool>(),
        ) {
            let (values, text) = (["aaab", "aaabaaab", "bxaa"], text.concat());
            let many: Vec<String> = (0..VALUES_MAX - 3).map(|number| format!("value{number:04}")).collect();
            let more: Vec<&str> = many.iter().take(if is_many { many.len() } else { 0 }).map(String::as_str).collect();
            let masks = masks(&[&values[..], &more].concat(), &[]);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let (mut stream, mut kept) = (MaskedStream::default(), Vec::new());
            for pair in cuts.windows(2) {
                stream.push(&masks, &text.as_bytes()[pair[0]..pair[1]], Time::default(), |_, bytes| kept.extend_from_slice(bytes));
            }
            stream.finish(&masks, |_, bytes| kept.extend_from_slice(bytes));
            let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values).unwrap();
            let want = finder.replace_all(&text, &[MASK, MASK, MASK]);
            prop_assert_eq!(String::from_utf8(kept).unwrap(), want);
            prop_assert_eq!(stream.count as usize, finder.find_iter(&text).count());
        }
    }
}

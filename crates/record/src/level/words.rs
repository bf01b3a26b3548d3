//! The words that name a level, and when a word in the place of a level is one.

use super::Level;
use super::lexicon::{Entry, Trust, Word8, look_up};
use super::scan::{SMALL, blanks, count_digits, dressing, eight_bytes, letters, run, styles};

/// How the letters of a word are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `ERROR`: a level in itself.
    Upper,
    /// `Error`: a level, or how a sentence starts.
    Title,
    /// `error`: a level, or a word of a sentence.
    Lower,
    /// `thisError`: never a level.
    Mixed,
}

/// Where on the line the walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the start, or behind something that says nothing about what follows.
    Start,
    /// Behind a date or time, where most loggers put the level.
    Timed,
    /// Behind `program: ` or `file:3:5: `.
    Chain,
    /// Behind a separator, where only the plainest form of a level counts.
    Dash,
}

/// The letters that a text starts with.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    word: Word8,
    /// The bit that makes a letter small, for each of the first eight letters.
    all_small: u64,
    /// Those of them that are set.
    small: u64,
    /// What follows the letters.
    pub(super) rest: &'a [u8],
}

impl<'a> Word<'a> {
    /// Reads the letters at the start of `text`.
    #[inline]
    pub(super) fn read(text: &'a [u8]) -> Self {
        let eight = eight_bytes(text);
        let len = letters(eight);
        if len == 8 {
            return Self::read_long(text);
        }
        let kept = (1 << (8 * len)) - 1;
        let word = Word8 { key: (eight | SMALL) & kept, len: len as u8 };
        Word { word, all_small: SMALL & kept, small: eight & SMALL & kept, rest: &text[len..] }
    }

    /// As `read`, for eight letters or more.
    #[cold]
    fn read_long(text: &'a [u8]) -> Self {
        let len = run(text, |b| b.is_ascii_alphabetic());
        let eight = eight_bytes(text);
        let behind_is = |small: bool| text[8..len].iter().all(|b| b.is_ascii_lowercase() == small);
        let small = match eight & SMALL {
            0 if behind_is(false) => 0,
            small if small != 0 && behind_is(true) => small,
            _ => 1, // as no letters are written: mixed
        };
        let word = Word8 { key: eight | SMALL, len: len.min(255) as u8 };
        Word { word, all_small: SMALL, small, rest: &text[len..] }
    }

    /// How the letters are written; no letters are small ones.
    #[inline]
    pub(super) fn case(&self) -> Case {
        if self.small == self.all_small {
            Case::Lower
        } else if self.small == 0 {
            Case::Upper
        } else if self.small == self.all_small & !0x20 {
            Case::Title
        } else {
            Case::Mixed
        }
    }

    /// How many letters the word has.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.word.len)
    }

    /// What the word means at the head of a line.
    #[inline]
    pub(super) fn entry(&self) -> Option<&'static Entry> {
        look_up(self.word)
    }

    /// Whether the word is one of `words`, which are in lower case.
    #[inline]
    pub(super) fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| Word8::new(word.as_bytes()) == self.word)
    }

    /// The level that the word names by itself, wherever it stands.
    #[inline]
    pub(super) fn named(&self) -> Option<Level> {
        self.named_by(self.entry()?).map(|(level, _)| level)
    }

    #[inline]
    fn named_by(&self, entry: &Entry) -> Option<(Level, Trust)> {
        let (level, trust) = entry.level?;
        let believed = match self.case() {
            Case::Upper => true,
            Case::Mixed => false,
            _ => trust != Trust::Capitals,
        };
        believed.then_some((level, trust))
    }

    /// The level that the word is, given what follows it and where it stands.
    #[inline]
    pub(super) fn level(&self, place: Place) -> Option<Level> {
        self.level_by(self.entry()?, place)
    }

    /// As `level`, with the entry at hand.
    #[inline]
    pub(super) fn level_by(&self, entry: &Entry, place: Place) -> Option<Level> {
        let (level, trust) = self.named_by(entry)?;
        let after = styles(self.rest);
        let is = match self.case() {
            Case::Upper => ends_capitals(after),
            _ => self.ends_small(after, place, trust == Trust::Plain),
        };
        is.then_some(level)
    }

    fn ends_small(&self, after: &[u8], place: Place, plain: bool) -> bool {
        match after {
            [] | [b'\r', ..] => place != Place::Chain, // `log_level: debug` is a setting
            [b'|', ..] => true,
            [b'!', ..] => plain,
            [b':', value @ ..] => matches!(value, [] | [b' ' | b'\t' | b'\r' | 0x1b, ..]) && !counts_zero(value),
            [b'[', b'A'..=b'Z', ..] => self.case() == Case::Lower,
            [b' ' | b'\t', ..] => plain && self.ends_at_blank(after, place),
            _ => false,
        }
    }

    /// `error TS2322: ..`, `warn  - ..`, `3:5  error  ..`, `error Command failed`: but `error rate` is a sentence.
    fn ends_at_blank(&self, after: &[u8], place: Place) -> bool {
        let next = dressing(after);
        let gap = after.len() - next.len();
        let timed = place == Place::Timed && !continues_sentence(next);
        is_code(next) || (self.case() == Case::Lower && (timed || opens_column(next, gap, place)))
    }
}

/// Behind a level in small letters: a separator, or where it is first on the line a wide gap, a capital or a quote.
fn opens_column(next: &[u8], gap: usize, place: Place) -> bool {
    match next {
        [b'-' | b'|' | b':', b' ', ..] => true,
        [b'A'..=b'Z' | b'"' | b'[', ..] => place == Place::Start,
        [_, ..] => gap > 1 && place == Place::Start,
        [] => true,
    }
}

/// Behind `error` and a blank: a word that makes it the subject of a sentence, as in `error rate is 3 %`.
#[cold]
pub(super) fn continues_sentence(next: &[u8]) -> bool {
    const NOUNS: [&str; 20] = [
        "budget",
        "rate",
        "rates",
        "count",
        "counts",
        "code",
        "codes",
        "handling",
        "handler",
        "reporting",
        "logging",
        "recovery",
        "messages",
        "log",
        "logs",
        "free",
        "page",
        "pages",
        "is",
        "are",
    ];
    Word::read(next).is_one_of(&NOUNS)
}

fn ends_capitals(after: &[u8]) -> bool {
    match after {
        [] | [b'\r' | b'[' | b']' | b'/' | b'|' | b'!' | b',' | b'>', ..] => true,
        [b':', value @ ..] => !counts_zero(value),
        [b' ' | b'\t', ..] => !matches!(blanks(after), [b'=', ..] | [b':', b' ', b'0']),
        [b'.' | b'-', next @ ..] => matches!(next, [] | [b' ', ..]),
        [b'(', next @ ..] => !matches!(next, [b's' | b'S', b')', ..]),
        _ => false,
    }
}

/// `error: 0` and `Error: 0, Warning: 3` count, they do not tell.
fn counts_zero(value: &[u8]) -> bool {
    matches!(blanks(value), [b'0'] | [b'0', b',' | b'\r', ..])
}

/// `TS2322:`, `CS1002:`, `[ERR_MODULE_NOT_FOUND]:`.
fn is_code(text: &[u8]) -> bool {
    if text.starts_with(b"[ERR_") || text.starts_with(b"[E") {
        return true;
    }
    let letters = run(text, |b| b.is_ascii_uppercase());
    let digits = count_digits(&text[letters..]);
    (1..=6).contains(&letters) && digits > 0 && text.get(letters + digits) == Some(&b':')
}

/// The level that `name` names, in any case and with nothing around it.
pub(super) fn whole(name: &[u8]) -> Option<Level> {
    let word = Word::read(name);
    if word.rest.is_empty() { word.entry()?.level.map(|(level, _)| level) } else { None }
}

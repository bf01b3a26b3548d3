//! The words that name a level, and when a word in the place of a level is one.

use super::Level;
use super::stamp::{blanks, dressing, styles};

/// No word that names a level is longer.
const WORD_BYTES_MAX: usize = 13;

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
    lower: [u8; WORD_BYTES_MAX],
    len: usize,
    pub(super) case: Case,
    /// What follows the letters.
    pub(super) rest: &'a [u8],
}

impl<'a> Word<'a> {
    /// Reads the letters at the start of `text`; a word too long for a level has no letters.
    #[inline]
    pub(super) fn read(text: &'a [u8]) -> Self {
        let (mut lower, mut len, mut uppers) = ([0; WORD_BYTES_MAX], 0, 0);
        for (to, &byte) in lower.iter_mut().zip(text) {
            if !byte.is_ascii_alphabetic() {
                break;
            }
            *to = byte | 0x20;
            uppers += usize::from(byte & 0x20 == 0);
            len += 1;
        }
        let rest = &text[len..];
        let cut = rest.first().is_some_and(u8::is_ascii_alphabetic);
        let case = match uppers {
            _ if cut => Case::Mixed,
            0 => Case::Lower,
            1 if len > 1 && text[0] & 0x20 == 0 => Case::Title,
            _ if uppers == len => Case::Upper,
            _ => Case::Mixed,
        };
        Word { lower, len: if cut { 0 } else { len }, case, rest }
    }

    /// The letters in lower case.
    #[inline]
    pub(super) fn lower(&self) -> &[u8] {
        &self.lower[..self.len]
    }

    /// The level that the word names by itself, wherever it stands.
    #[inline]
    pub(super) fn named(&self) -> Option<Level> {
        match self.case {
            Case::Mixed => None,
            Case::Upper => named(self.lower()),
            _ => named(self.lower()).filter(|_| !only_in_capitals(self.lower())),
        }
    }

    /// The level that the word is, given what follows it and where it stands.
    #[inline]
    pub(super) fn level(&self, place: Place) -> Option<Level> {
        let level = self.named()?;
        let after = styles(self.rest);
        let is = match self.case {
            Case::Upper => ends_capitals(after),
            _ => self.ends_small(after, place),
        };
        is.then_some(level)
    }

    fn ends_small(&self, after: &[u8], place: Place) -> bool {
        match after {
            [] | [b'\r', ..] | [b'|', ..] => true,
            [b'!', ..] => is_plain(self.lower()),
            [b':', value @ ..] => matches!(value, [] | [b' ' | b'\t' | b'\r' | 0x1b, ..]) && !counts_zero(value),
            [b'[', b'A'..=b'Z', ..] => self.case == Case::Lower,
            [b' ' | b'\t', ..] => self.ends_at_blank(after, place),
            _ => false,
        }
    }

    /// `error TS2322: ..`, `warn  - ..`, `3:5  error  ..`, `error Command failed`: but `error rate` is a sentence.
    fn ends_at_blank(&self, after: &[u8], place: Place) -> bool {
        let next = dressing(after);
        let gap = after.len() - next.len();
        let column = self.case == Case::Lower && is_plain(self.lower());
        let code = is_code(next) && is_plain(self.lower());
        let timed = place == Place::Timed && !continues_sentence(next);
        code || (column && (timed || opens_column(next, gap, place)))
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
pub(super) fn continues_sentence(next: &[u8]) -> bool {
    matches!(
        Word::read(next).lower(),
        b"budget"
            | b"rate"
            | b"rates"
            | b"count"
            | b"counts"
            | b"code"
            | b"codes"
            | b"handling"
            | b"handler"
            | b"reporting"
            | b"logging"
            | b"recovery"
            | b"messages"
            | b"log"
            | b"logs"
            | b"free"
            | b"page"
            | b"pages"
            | b"is"
            | b"are"
    )
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
    matches!(blanks(value), [b'0'] | [b'0', b' ' | b',' | b'\r', ..])
}

/// `TS2322:`, `CS1002:`, `[ERR_MODULE_NOT_FOUND]:`.
fn is_code(text: &[u8]) -> bool {
    if text.starts_with(b"[ERR_") || text.starts_with(b"[E") {
        return true;
    }
    let letters = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let digits = text[letters..].iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=6).contains(&letters) && digits > 0 && text.get(letters + digits) == Some(&b':')
}

/// The level that `name` names, in any case and with nothing around it.
pub(super) fn whole(name: &[u8]) -> Option<Level> {
    let word = Word::read(name);
    if word.rest.is_empty() { named(word.lower()) } else { None }
}

#[inline]
fn named(lower: &[u8]) -> Option<Level> {
    Some(match lower {
        b"error" | b"err" | b"erro" | b"eror" | b"severe" | b"fatal" | b"fata" | b"ftl" => Level::Error,
        b"critical" | b"crit" | b"panic" | b"emerg" | b"emergency" | b"alert" => Level::Error,
        b"fail" | b"failed" | b"failure" | b"failures" | b"errors" => Level::Error,
        b"warn" | b"warning" | b"wrn" | b"warnings" | b"deprecated" | b"deprecation" => Level::Warn,
        b"info" | b"inf" | b"information" | b"informational" | b"notice" | b"note" | b"log" => Level::Info,
        b"debug" | b"dbg" | b"debu" | b"dbug" | b"verbose" | b"verb" | b"fine" | b"config" => Level::Debug,
        b"trace" | b"trc" | b"trce" | b"trac" | b"silly" | b"sill" | b"finer" | b"finest" => Level::Trace,
        _ => return None,
    })
}

/// Words that mean a level only when they shout.
fn only_in_capitals(lower: &[u8]) -> bool {
    matches!(
        lower,
        b"fine" | b"finer" | b"finest" | b"config" | b"log" | b"failures" | b"errors" | b"warnings" | b"inf"
    )
}

/// Words that are hardly ever anything but a level.
fn is_plain(lower: &[u8]) -> bool {
    matches!(
        lower,
        b"error"
            | b"err"
            | b"fatal"
            | b"critical"
            | b"crit"
            | b"warn"
            | b"warning"
            | b"info"
            | b"notice"
            | b"debug"
            | b"trace"
    )
}

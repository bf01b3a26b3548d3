//! A place in a log that stays the same place while the log is written and rotated.

use std::{fmt, str::FromStr};

use super::super::names::Stem;

/// Where a page ended. Good in another process and after any time; as text (`to_string`, `parse`) it has no spaces and needs no quoting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) spot: Spot,
    /// Where the oldest entry that was read begins.
    pub(super) offset: u64,
    /// The oldest closed file when the page was read.
    pub(super) oldest: Option<Stem>,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// A closed one.
    Closed(Stem),
    /// The live one of then: the one that follows a closed one, with the hash of its first line.
    Live { after: Option<Stem>, head: u64 },
}

/// A text is no cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a cursor of a component log; take one that a page gave, or none to begin with the newest entry"
)]
pub struct CursorError {
    text: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spot {
            Spot::Closed(stem) => write!(f, "1.r.{stem}")?,
            Spot::Live { after, head } => write!(f, "1.l.{}.{head:016x}", or_dash(after))?,
        }
        write!(f, ".{}.{}", self.offset, or_dash(self.oldest))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        parse(text).ok_or_else(|| CursorError { text: text.chars().take(200).collect() })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let parts: Vec<&str> = text.split('.').collect();
    let (spot, offset, oldest) = match parts[..] {
        ["1", "r", stem, offset, oldest] => (Spot::Closed(stem.parse().ok()?), offset, oldest),
        ["1", "l", after, head, offset, oldest] => {
            let head = u64::from_str_radix(head, 16).ok()?;
            (Spot::Live { after: stem_or_dash(after)?, head }, offset, oldest)
        }
        _ => return None,
    };
    Some(Cursor { spot, offset: offset.parse().ok()?, oldest: stem_or_dash(oldest)? })
}

fn or_dash(stem: Option<Stem>) -> String {
    stem.map_or_else(|| "-".to_owned(), |stem| stem.to_string())
}

fn stem_or_dash(text: &str) -> Option<Option<Stem>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text_and_anything_else_is_refused() {
        for text in [
            "1.r.20260102-030405.0.-",
            "1.r.20260102-030405_0002.17.20260101-000000",
            "1.l.-.00000000000000ff.18446744073709551615.-",
            "1.l.20260102-030405.0123456789abcdef.5.20260102-030405",
        ] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for text in
            ["", "1", "2.r.20260102-030405.0.-", "1.r.20261302-030405.0.-", "1.r.20260102-030405.-1.-", "1.l.-.x.5.-"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}

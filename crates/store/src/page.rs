//! What a store answers: pages, cursors, and how runs stand.

use std::{fmt, str::FromStr};

use logboom_record::{Entry, Run};

/// A part of the answer to a query, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the order of the query. All parts of a line are in the same page.
    pub entries: Vec<Entry>,
    /// Goes on after this page, in either order.
    pub cursor: Cursor,
    /// Follows: what is committed after the store looked for this walk's first page. A walk with [`Page::more`] false
    /// that goes oldest first has it as its `cursor`, too.
    pub end: Cursor,
    /// Whether there is more right now: of the walk's history or, once that is exhausted, of what was committed since.
    pub more: bool,
}

/// A place in the answer to a query: opaque, valid in every process, and while runs go on.
///
/// A walk sees what the store held when its first page was made, and nothing that came later, so that its pages never
/// shift. Oldest first, what came later follows when that is exhausted, in the order in which it was committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// The digits of base64 for URLs.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text is not one that a cursor could be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is made of letters, digits, '-' and '_' only")]
pub struct CursorError;

impl Cursor {
    /// A cursor that its store made of fitting characters only.
    pub(crate) fn known(text: String) -> Cursor {
        Cursor(text)
    }

    /// A cursor that holds these bytes, for a store to make its own of.
    pub fn from_bytes(bytes: &[u8]) -> Cursor {
        let digit = |six: u32| ALPHABET[(six & 63) as usize] as char;
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let group = chunk.iter().fold(0, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            text.extend((0..=chunk.len()).map(|place| digit(group >> (18 - 6 * place))));
        }
        Cursor(text)
    }

    /// The bytes that [`Cursor::from_bytes`] was given, if that made it.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3 / 4);
        for chunk in self.0.as_bytes().chunks(4) {
            let six = |digit: &u8| ALPHABET.iter().position(|known| known == digit).map(|at| at as u32);
            let group =
                chunk.iter().try_fold(0, |group, digit| Some(group << 6 | six(digit)?))? << (6 * (4 - chunk.len()));
            bytes.extend_from_slice(&group.to_be_bytes()[1..chunk.len()]);
        }
        (Cursor::from_bytes(&bytes) == *self).then_some(bytes)
    }

    /// The cursor as text, fit for a URL: letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            true => Ok(Cursor(text.to_owned())),
            false => Err(CursorError),
        }
    }
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    /// The run; its end is the derived one: `lost` where the writer died without saying so.
    pub run: Run,
    /// How many records are held.
    pub records: u64,
    /// How many of them end a line.
    pub lines: u64,
    /// How many records are known to be lost.
    pub lost: u64,
    /// Whether more are lost, how many nobody knows: the writer was killed.
    pub lost_more: bool,
    /// How many records there are of each level, trace first.
    pub levels: [u64; 5],
}

/// Why [`crate::Store::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There may be something after the cursor; ask for the page. It can be empty where filters take all.
    Entries,
    /// Nothing is after the cursor, and nothing will be: what the query is about has ended.
    Ended,
    /// The deadline has passed.
    Deadline,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        for len in 0..all.len() {
            let cursor = Cursor::from_bytes(&all[..len]);
            assert_eq!(cursor.as_str().parse::<Cursor>(), Ok(cursor.clone()));
            assert_eq!(cursor.to_bytes().unwrap(), &all[..len]);
        }
    }

    #[test]
    fn foreign_texts_are_no_cursors() {
        assert_eq!("a b".parse::<Cursor>(), Err(CursorError));
        assert_eq!("A".parse::<Cursor>().unwrap().to_bytes(), None);
        assert_eq!("AB".parse::<Cursor>().unwrap().to_bytes(), None);
    }
}

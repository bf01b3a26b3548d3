//! Where an entry stands, and the cursor that says so: what of each run a walk sees, and a place between two lines.
//!
//! Nothing in it depends on files, so it stays right while a block moves from the tail to the boom file, while files grow,
//! and in every other process. `docs/decisions/0005-cursors.md` has the reasons.

use std::collections::BTreeMap;

use logboom_record::{RunId, Time};
use logboom_store::{Cursor, Order, StoreError};

/// Where an entry stands in history: by the latest time its run had so far, then by run, then by seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub time: Time,
    pub run: RunId,
    pub seq: u64,
}

/// A place between two lines of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    Before(Key),
    After(Key),
    End,
}

impl Place {
    /// Whether a line is on the side that this order goes to.
    pub fn admits(&self, order: Order, line: &Key) -> bool {
        let is_after = match self {
            Place::Start => true,
            Place::Before(key) => line >= key,
            Place::After(key) => line > key,
            Place::End => false,
        };
        is_after == (order == Order::Oldest)
    }

    /// Whether a line between these times may be on that side.
    pub fn admits_times(&self, order: Order, min: Time, max: Time) -> bool {
        match (self, order) {
            (Place::Start, _) => order == Order::Oldest,
            (Place::End, _) => order == Order::Newest,
            (Place::Before(key) | Place::After(key), Order::Oldest) => max >= key.time,
            (Place::Before(key) | Place::After(key), Order::Newest) => min <= key.time,
        }
    }
}

/// How much of a run is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The seq of the first entry that is not.
    pub next: u64,
    /// Whether the note that its writer was killed is.
    pub open_gap: bool,
}

impl Mark {
    /// Nothing of the run.
    pub const NONE: Mark = Mark { next: 1, open_gap: false };
}

/// How much of each run a walk sees; nothing of those that are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(pub BTreeMap<RunId, Mark>);

impl Seen {
    /// How much of a run.
    pub fn of(&self, run: RunId) -> Mark {
        self.0.get(&run).copied().unwrap_or(Mark::NONE)
    }
}

/// What a cursor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub seen: Seen,
    pub place: Place,
}

/// The first byte of every cursor of this store, so that another's is refused.
const VERSION: u8 = 0xE1;

impl At {
    pub fn encode(&self) -> Cursor {
        let mut bytes = vec![VERSION];
        let (tag, key) = match &self.place {
            Place::Start => (0, None),
            Place::Before(key) => (1, Some(key)),
            Place::After(key) => (2, Some(key)),
            Place::End => (3, None),
        };
        bytes.push(tag);
        if let Some(key) = key {
            bytes.extend_from_slice(&key.time.as_micros().to_le_bytes());
            bytes.extend_from_slice(key.run.as_bytes());
            push_varint(&mut bytes, key.seq);
        }
        for (run, mark) in self.seen.0.iter().filter(|(_, mark)| **mark != Mark::NONE) {
            bytes.extend_from_slice(run.as_bytes());
            bytes.push(u8::from(mark.open_gap));
            push_varint(&mut bytes, mark.next);
        }
        Cursor::from_bytes(&bytes)
    }

    pub fn decode(cursor: &Cursor) -> Result<At, StoreError> {
        let parsed = cursor.to_bytes().and_then(|bytes| parse(&bytes));
        parsed.ok_or_else(|| StoreError::BadCursor { cursor: cursor.to_string() })
    }
}

fn parse(bytes: &[u8]) -> Option<At> {
    let [VERSION, tag, rest @ ..] = bytes else { return None };
    let mut rest = rest;
    let place = match tag {
        0 => Place::Start,
        1 => Place::Before(take_key(&mut rest)?),
        2 => Place::After(take_key(&mut rest)?),
        3 => Place::End,
        _ => return None,
    };
    let mut seen = Seen::default();
    while !rest.is_empty() {
        let run = RunId::from_bytes(take(&mut rest)?);
        let [open_gap] = take::<1>(&mut rest)?;
        seen.0.insert(run, Mark { next: take_varint(&mut rest)?, open_gap: open_gap == 1 });
    }
    Some(At { seen, place })
}

fn take_key(rest: &mut &[u8]) -> Option<Key> {
    let time = Time::from_micros(i64::from_le_bytes(take(rest)?));
    Some(Key { time, run: RunId::from_bytes(take(rest)?), seq: take_varint(rest)? })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, back) = rest.split_first_chunk()?;
    *rest = back;
    Some(*front)
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take::<1>(rest)?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        let key = Key { time: Time::from_micros(-7), run: RunId::from_bytes([9; 16]), seq: u64::MAX };
        let mark = Mark { next: 1 << 40, open_gap: true };
        for place in [Place::Start, Place::Before(key), Place::After(key), Place::End] {
            let at = At { seen: Seen(BTreeMap::from([(key.run, mark)])), place };
            assert_eq!(At::decode(&at.encode()).unwrap(), at);
        }
    }

    #[test]
    fn a_cursor_that_was_cut_is_refused() {
        let seen = Seen(BTreeMap::from([(RunId::from_bytes([9; 16]), Mark { next: 300, open_gap: false })]));
        let whole = At { seen, place: Place::End }.encode().to_bytes().unwrap();
        let refused = (0..whole.len()).filter(|len| At::decode(&Cursor::from_bytes(&whole[..*len])).is_err());
        assert_eq!(refused.count(), whole.len() - 1); // only all of its runs, none of which is left, may be missing
    }
}

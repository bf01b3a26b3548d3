//! Where an entry stands, and the cursor that says so: what of each run a walk sees, and a place between two lines.
//!
//! Nothing in it depends on files, so it stays right while a block moves from the tail to the boom file, while files grow,
//! and in every other process. `docs/decisions/0005-cursors.md` has the reasons.

use std::collections::BTreeMap;

use logboom_boom::format::{
    FormatError,
    input::{Input, put_varint},
};
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
            put_varint(&mut bytes, key.seq);
        }
        for (run, mark) in self.seen.0.iter().filter(|(_, mark)| **mark != Mark::NONE) {
            bytes.extend_from_slice(run.as_bytes());
            bytes.push(u8::from(mark.open_gap));
            put_varint(&mut bytes, mark.next);
        }
        Cursor::from_bytes(&bytes)
    }

    pub fn decode(cursor: &Cursor) -> Result<At, StoreError> {
        let parsed = cursor.to_bytes().and_then(|bytes| parse(&bytes).ok());
        parsed.ok_or_else(|| StoreError::BadCursor { cursor: cursor.to_string() })
    }
}

fn parse(bytes: &[u8]) -> Result<At, FormatError> {
    let mut input = Input::new("cursor", bytes);
    if input.u8()? != VERSION {
        return Err(input.wrong());
    }
    let place = match input.u8()? {
        0 => Place::Start,
        1 => Place::Before(parse_key(&mut input)?),
        2 => Place::After(parse_key(&mut input)?),
        3 => Place::End,
        _ => return Err(input.wrong()),
    };
    let mut seen = Seen::default();
    while !input.rest().is_empty() {
        let run = RunId::from_bytes(input.array()?);
        let open_gap = input.u8()? == 1;
        seen.0.insert(run, Mark { next: input.varint()?, open_gap });
    }
    Ok(At { seen, place })
}

fn parse_key(input: &mut Input<'_>) -> Result<Key, FormatError> {
    let time = Time::from_micros(i64::from_le_bytes(input.array()?));
    Ok(Key { time, run: RunId::from_bytes(input.array()?), seq: input.varint()? })
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

//! The cursor of the model: how many entries its walk sees, and the place between two lines.

use logboom_record::{RunId, Time};

use crate::{Cursor, Order, StoreError};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub seen: usize,
    pub place: Place,
}

impl At {
    pub fn encode(&self) -> Cursor {
        let place = match self.place {
            Place::Start => "s".to_owned(),
            Place::Before(key) => format!("b{}", encode_key(&key)),
            Place::After(key) => format!("a{}", encode_key(&key)),
            Place::End => "e".to_owned(),
        };
        Cursor::known(format!("m{}_{place}", self.seen))
    }

    pub fn decode(cursor: &Cursor) -> Result<At, StoreError> {
        parse(cursor.as_str()).ok_or_else(|| StoreError::BadCursor { cursor: cursor.to_string() })
    }
}

fn encode_key(key: &Key) -> String {
    format!("{}_{}_{}", key.time.as_micros().cast_unsigned(), key.run, key.seq)
}

fn parse(text: &str) -> Option<At> {
    let (seen, place) = text.strip_prefix('m')?.split_once('_')?;
    let seen = seen.parse().ok()?;
    let place = match place.split_at_checked(1)? {
        ("s", "") => Place::Start,
        ("b", key) => Place::Before(parse_key(key)?),
        ("a", key) => Place::After(parse_key(key)?),
        ("e", "") => Place::End,
        _ => return None,
    };
    Some(At { seen, place })
}

fn parse_key(text: &str) -> Option<Key> {
    let mut parts = text.splitn(3, '_');
    let time = Time::from_micros(parts.next()?.parse::<u64>().ok()?.cast_signed());
    Some(Key { time, run: parts.next()?.parse().ok()?, seq: parts.next()?.parse().ok()? })
}

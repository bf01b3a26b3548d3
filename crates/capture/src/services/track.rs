//! How far the records of one stream go in its source.
//!
//! Bytes become records in the order in which they came, but later: a line may take many pieces, and a piece may hold many
//! lines. So the pieces are remembered until all their bytes are in records. No I/O.

use std::collections::VecDeque;

use logboom_record::Level;

use super::feed::{Place, StreamPlace};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// From where on it is new what comes: a place, and so many bytes of the piece there that are not.
    from: (Place, u32),
    /// The pieces of which not all bytes are in records, and perhaps some before them: place and bytes.
    waiting: VecDeque<(Place, u32)>,
    /// So many bytes from the first of them on are in records.
    done: u64,
    /// The place of the last piece.
    last: Option<Place>,
    in_line: bool,
    level: Level,
}

impl Track {
    /// Goes on from a place.
    pub(super) fn going_on(from: &StreamPlace) -> Track {
        Track { from: (from.at, from.skip), in_line: from.in_line, level: from.level, ..Track::default() }
    }

    /// Takes a piece of so many bytes. Tells how many of them, from its beginning, are in records or have come already.
    #[inline]
    pub(super) fn take(&mut self, at: Place, bytes: u32) -> u32 {
        if at < self.from.0 || self.last.is_some_and(|last| at <= last) {
            return bytes;
        }
        while let Some((_, bytes)) = self.waiting.pop_front_if(|(_, bytes)| u64::from(*bytes) <= self.done) {
            self.done -= u64::from(bytes);
        }
        let skip = if at == self.from.0 { self.from.1.min(bytes) } else { 0 };
        self.last = Some(at);
        self.waiting.push_back((at, bytes));
        // Where it is not 0 this is the first piece of all.
        self.done += u64::from(skip);
        skip
    }

    /// So many of the bytes that were taken are in a record now.
    #[inline]
    pub(super) fn wrote(&mut self, bytes: usize, in_line: bool, level: Level) {
        self.done += bytes as u64;
        (self.in_line, self.level) = (in_line, level);
    }

    /// How far the records go, if nothing before `passed` is still to come.
    pub(super) fn place(&self, passed: Place) -> StreamPlace {
        let (mut place, mut left, mut is_all) = (self.from, self.done, true);
        for (at, bytes) in &self.waiting {
            is_all = u64::from(*bytes) <= left;
            place = (*at, if is_all { *bytes } else { left as u32 });
            if !is_all {
                break;
            }
            left -= u64::from(*bytes);
        }
        if is_all {
            place = place.max((passed, 0));
        }
        let level = if self.in_line { self.level } else { Level::default() };
        StreamPlace { at: place.0, skip: place.1, in_line: self.in_line, level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Place {
        Place { part: 0, offset }
    }

    /// The place when that of the last piece has been passed.
    fn place(track: &Track) -> (u64, u32) {
        let place = track.place(track.last.unwrap_or_default());
        (place.at.offset, place.skip)
    }

    #[test]
    fn a_line_of_several_pieces_holds_the_place_of_the_first() {
        let mut track = Track::default();
        assert_eq!((track.take(at(10), 5), track.take(at(20), 5), track.take(at(30), 5)), (0, 0, 0));
        assert_eq!(place(&track), (10, 0));
        track.wrote(12, false, Level::Info);
        assert_eq!(place(&track), (30, 2));
        track.wrote(3, false, Level::Info);
        assert_eq!(place(&track), (30, 5), "all of the last piece, while its delivery goes on");
        assert_eq!(track.place(at(40)).at, at(40));
        track.take(at(50), 5);
        assert_eq!(place(&track), (50, 0));
    }

    #[test]
    fn what_comes_again_is_left_out() {
        let from = StreamPlace { at: at(20), skip: 3, in_line: true, level: Level::Warn };
        let mut track = Track::going_on(&from);
        assert_eq!(track.take(at(10), 5), 5);
        assert_eq!(track.place(at(10)), from);
        assert_eq!(track.take(at(20), 5), 3);
        assert_eq!(track.place(at(20)), from);
        assert_eq!(track.take(at(20), 5), 5);
        track.wrote(2, false, Level::Info);
        assert_eq!((track.take(at(15), 5), track.take(at(20), 5), track.take(at(30), 5)), (5, 5, 0));
        assert_eq!(place(&track), (30, 0));
    }

    #[test]
    fn a_piece_that_is_all_in_records_may_come_again_where_nothing_tells_what_is_next() {
        let mut track = Track::default();
        track.take(at(10), 5);
        track.wrote(5, false, Level::Info);
        let mut again = Track::going_on(&track.place(at(7)));
        assert_eq!((again.take(at(10), 5), again.take(at(11), 5)), (5, 0));
    }

    #[test]
    fn a_stream_that_is_behind_the_other_keeps_its_place() {
        let mut track = Track::default();
        track.take(at(10), 5);
        assert_eq!(track.place(at(100)).at, at(10));
        track.wrote(5, true, Level::Error);
        assert_eq!(track.place(at(100)), StreamPlace { at: at(100), skip: 0, in_line: true, level: Level::Error });
    }
}

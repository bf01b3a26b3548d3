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
    /// The pieces of which not all bytes are in records, and perhaps some before them: place and bytes.
    waiting: VecDeque<(Place, u32)>,
    /// So many bytes from the first of them on are in records.
    done: u64,
    /// Where the stream goes on, and how much of the piece there is in records, if nothing waits.
    next: (Place, u32),
    /// The place of the last piece.
    last: Option<Place>,
    in_line: bool,
    level: Level,
}

impl Track {
    /// Goes on from a place.
    pub(super) fn going_on(from: &StreamPlace) -> Track {
        Track { next: (from.at, from.skip), in_line: from.in_line, level: from.level, ..Track::default() }
    }

    /// Nothing before this place is still to come.
    #[inline]
    pub(super) fn pass(&mut self, place: Place) {
        self.next = self.next.max((place, 0));
        while self.waiting.front().is_some_and(|(_, bytes)| u64::from(*bytes) <= self.done) {
            if let Some((at, bytes)) = self.waiting.pop_front() {
                self.done -= u64::from(bytes);
                // Where the streams' places are no common order nobody can say that all before this one has come.
                self.next = self.next.max((at, bytes));
            }
        }
    }

    /// Takes a piece of so many bytes. Tells how many of them, from its beginning, are in records or have come already.
    #[inline]
    pub(super) fn take(&mut self, at: Place, bytes: u32) -> u32 {
        if at < self.next.0 || self.last.is_some_and(|last| at <= last) {
            return bytes;
        }
        let skip = if at == self.next.0 { self.next.1.min(bytes) } else { 0 };
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

    /// How far the records go.
    pub(super) fn place(&self) -> StreamPlace {
        let (mut place, mut left) = (self.next, self.done);
        for (at, bytes) in &self.waiting {
            place = (*at, left.min(u64::from(*bytes)) as u32);
            if left < u64::from(*bytes) {
                break;
            }
            left -= u64::from(*bytes);
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

    fn place(track: &Track) -> (u64, u32) {
        let place = track.place();
        (place.at.offset, place.skip)
    }

    fn take(track: &mut Track, offset: u64, bytes: u32) -> u32 {
        track.pass(at(offset));
        track.take(at(offset), bytes)
    }

    #[test]
    fn a_line_of_several_pieces_holds_the_place_of_the_first() {
        let mut track = Track::default();
        assert_eq!((take(&mut track, 10, 5), take(&mut track, 20, 5), take(&mut track, 30, 5)), (0, 0, 0));
        assert_eq!(place(&track), (10, 0));
        track.wrote(12, false, Level::Info);
        assert_eq!(place(&track), (30, 2));
        track.wrote(3, false, Level::Info);
        assert_eq!(place(&track), (30, 5), "all of the last piece, while its delivery goes on");
        track.pass(at(40));
        assert_eq!(place(&track), (40, 0));
    }

    #[test]
    fn what_comes_again_is_left_out() {
        let from = StreamPlace { at: at(20), skip: 3, in_line: true, level: Level::Warn };
        let mut track = Track::going_on(&from);
        assert_eq!(take(&mut track, 10, 5), 5);
        assert_eq!(track.place(), from);
        assert_eq!(take(&mut track, 20, 5), 3);
        assert_eq!(track.place(), from);
        assert_eq!(take(&mut track, 20, 5), 5);
        track.wrote(2, false, Level::Info);
        assert_eq!((take(&mut track, 15, 5), take(&mut track, 20, 5), take(&mut track, 30, 5)), (5, 5, 0));
        assert_eq!(place(&track), (30, 0));
    }

    #[test]
    fn a_stream_that_is_behind_the_other_keeps_its_place() {
        let mut track = Track::default();
        take(&mut track, 10, 5);
        track.pass(at(100));
        assert_eq!(place(&track), (10, 0));
        track.wrote(5, true, Level::Error);
        track.pass(at(100));
        assert_eq!(track.place(), StreamPlace { at: at(100), skip: 0, in_line: true, level: Level::Error });
    }
}

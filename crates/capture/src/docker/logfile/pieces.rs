//! From lines of a log to the pieces of a delivery.

use std::sync::LazyLock;

use logboom_record::Stream;
use memchr::memmem::Finder;

use crate::{
    docker::jsonfile::{BEGIN, Decoder},
    services::feed::{Delivery, Piece, Place, Reached},
};

static ENTRY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGIN));

/// Where an entry begins in these bytes, if one does.
pub(super) fn find_entry(bytes: &[u8]) -> Option<usize> {
    ENTRY.find(bytes)
}

/// What became of the beginning of a line.
pub(super) enum Step {
    /// So many bytes are done with.
    Taken(usize),
    /// So many bytes are no entry, nor the end of one.
    Damage(usize),
}

/// A delivery that is being filled from one file.
pub(super) struct Pieces<'a> {
    pub decoder: &'a mut Decoder,
    pub into: &'a mut Delivery,
    /// What is in records already; none where nothing is any more.
    pub known: &'a mut Option<Reached>,
    pub part: u64,
}

impl Pieces<'_> {
    /// Takes the entry that a line begins with, or says that there is none. A line may have several where the engine was killed.
    #[inline]
    pub fn step(&mut self, line: &[u8], offset: u64) -> Step {
        if self.entry(line, offset) { Step::Taken(line.len()) } else { self.step_damaged(line, offset) }
    }

    #[cold]
    fn step_damaged(&mut self, line: &[u8], offset: u64) -> Step {
        let end = line.get(1..).and_then(find_entry).map_or(line.len(), |at| at + 1);
        let is_blank = line[..end].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        if (end < line.len() && self.entry(&line[..end], offset)) || is_blank || self.is_told(offset) {
            Step::Taken(end)
        } else {
            Step::Damage(end)
        }
    }

    /// Nothing before this place is still to come.
    pub fn reach(&mut self, place: Place) {
        self.into.reached = place;
        if self.known.is_some_and(|known| known.stdout.at.max(known.stderr.at) < place) {
            *self.known = None;
        }
    }

    /// Whether whoever made the records was told of what is here.
    pub fn is_told(&self, offset: u64) -> bool {
        let at = Place { part: self.part, offset };
        self.known.as_ref().is_some_and(|known| at < known.stdout.at.max(known.stderr.at))
    }

    #[inline]
    fn entry(&mut self, line: &[u8], offset: u64) -> bool {
        let before = self.into.bytes.len();
        let Some(entry) = self.decoder.decode(line, &mut self.into.bytes) else { return false };
        let at = Place { part: self.part, offset };
        if self.known.is_some() && self.cut_known(entry.stream, at, before) {
            return true;
        }
        let len = (self.into.bytes.len() - before) as u32; // a line has at most some MiB
        self.into.pieces.push(Piece { stream: entry.stream, len, origin_time_ns: entry.origin_time_ns, at });
        true
    }

    /// Takes the piece away whose bytes begin there if all of it is in records; tells whether it is.
    #[cold]
    fn cut_known(&mut self, stream: Stream, at: Place, begin: usize) -> bool {
        let Some(known) = self.known.as_ref().map(|known| known.of(stream)) else { return false };
        let is_known = at < known.at;
        if is_known {
            self.into.bytes.truncate(begin);
        }
        is_known
    }
}

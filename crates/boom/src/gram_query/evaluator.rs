//! Asks the filters of one group after the other.
//!
//! A row of a filter costs a pread, so the point is to ask for few. Which grams are rare is a fact of the file, so it is
//! learnt from it: each group's rows are counted, and the next group is asked for the rarest first. A gram that was
//! never asked for counts as middling, so that common ones are soon passed over for it.

use super::{GramQuery, Need};

/// After so many rows of one text a block that is still left is believed to have it.
const TEXT_ROWS_MAX: usize = 16;
/// What a gram counts as before it was asked for: in so many of so many blocks.
const PRIOR: (u32, u32) = (4, 32);

/// A query on its way through the groups of a file.
pub(crate) struct Evaluator<'q> {
    query: &'q GramQuery,
    root: Need,
    seen: Vec<Seen>,
    group: u32,
}

/// What is known of one gram.
#[derive(Clone, Copy)]
struct Seen {
    ones: u32,
    blocks: u32,
    /// The group whose row this is; 0 is none.
    group: u32,
    row: u32,
}

impl Evaluator<'_> {
    /// Starts at the first group.
    pub(crate) fn new(query: &GramQuery) -> Evaluator<'_> {
        let unseen = Seen { ones: PRIOR.0, blocks: PRIOR.1, group: 0, row: 0 };
        Evaluator { query, root: query.root.clone(), seen: vec![unseen; query.grams.len()], group: 0 }
    }

    /// Which of the `blocks` of the next group may hold a match. `row` gives the filter's row of a gram's hash: the
    /// blocks of the group which have it, or every bit set where that cannot be told.
    pub(crate) fn group(&mut self, blocks: u32, row: &mut dyn FnMut(u32) -> u32) -> u32 {
        self.group += 1;
        let mut rows = Rows { hashes: &self.query.grams, seen: &mut self.seen, group: self.group, blocks, row };
        rows.left(&mut self.root, blocks)
    }
}

/// The rows of one group.
struct Rows<'a> {
    hashes: &'a [u32],
    seen: &'a mut [Seen],
    group: u32,
    blocks: u32,
    row: &'a mut dyn FnMut(u32) -> u32,
}

impl Rows<'_> {
    /// Which of `blocks` have what is needed.
    fn left(&mut self, need: &mut Need, blocks: u32) -> u32 {
        match need {
            Need::Nothing => blocks,
            Need::Grams(grams) => self.with_grams(grams, blocks),
            Need::All(parts) => parts.iter_mut().fold(blocks, |left, part| match left {
                0 => 0,
                _ => self.left(part, left),
            }),
            Need::One(parts) => parts.iter_mut().fold(0, |found, part| match blocks & !found {
                0 => found,
                open => found | self.left(part, open),
            }),
        }
    }

    fn with_grams(&mut self, grams: &mut [u16], blocks: u32) -> u32 {
        self.rarest_first(grams);
        let mut left = blocks;
        for gram in grams.iter().take(TEXT_ROWS_MAX) {
            left &= self.row_of(usize::from(*gram));
            if left == 0 {
                break;
            }
        }
        left
    }

    /// Sorts by how common a gram was; not in every group, once enough is known.
    fn rarest_first(&self, grams: &mut [u16]) {
        if self.group > 4 && !self.group.is_multiple_of(8) {
            return;
        }
        let share = |gram: &u16| {
            let seen = &self.seen[usize::from(*gram)];
            u64::from(seen.ones) * (1 << 24) / u64::from(seen.blocks)
        };
        grams.sort_by_key(share);
    }

    fn row_of(&mut self, gram: usize) -> u32 {
        let seen = &mut self.seen[gram];
        if seen.group != self.group {
            seen.row = (self.row)(self.hashes[gram]) & self.blocks;
            seen.group = self.group;
            seen.ones += seen.row.count_ones();
            seen.blocks += self.blocks.count_ones();
        }
        seen.row
    }
}

//! Which blocks a search need not read.

use crate::{
    format::index::{PAGE_BYTES, PAGE_ROWS, decode_page},
    gram_query::{Evaluator, GramQuery},
};

use super::{Reader, written::Group};

/// Some of a file's blocks, by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSet {
    words: Vec<u64>,
}

impl BlockSet {
    /// Whether the block of this index is in the set.
    pub fn contains(&self, block: usize) -> bool {
        self.words.get(block / 64).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    /// How many blocks are in it.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The blocks in it, first to last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.words.len() * 64).filter(|block| self.contains(*block))
    }

    fn all(blocks: usize) -> BlockSet {
        let mut words = vec![u64::MAX; blocks / 64];
        if !blocks.is_multiple_of(64) {
            words.push((1 << (blocks % 64)) - 1);
        }
        BlockSet { words }
    }

    fn remove(&mut self, block: usize) {
        if let Some(word) = self.words.get_mut(block / 64) {
            *word &= !(1 << (block % 64));
        }
    }
}

impl Reader {
    /// The blocks that may hold a line which `grams` are in, by index in [`Reader::blocks`]. A block is only left out
    /// where the file's filter is sure of it; one that shares a line with a neighbour, has no filter or is in the tail never
    /// is, and none is where the filter cannot be read.
    pub fn candidates(&self, grams: &GramQuery) -> BlockSet {
        let mut left = BlockSet::all(self.blocks().len());
        if grams.is_any() {
            return left;
        }
        let mut evaluator = Evaluator::new(grams);
        let mut page = vec![0; PAGE_BYTES];
        for group in &self.written.groups {
            let Some((offset, rows_log2)) = group.filter else { continue };
            let asked = self.blocks_of(group, |block| !block.flags.joins());
            let found = evaluator.group(asked, &mut |hash| self.row(offset, rows_log2, hash, &mut page));
            let ruled_out = (0..group.blocks).filter(|bit| (asked & !found) >> bit & 1 == 1);
            ruled_out.for_each(|bit| left.remove(self.index_of_written(group.first + bit)));
        }
        left
    }

    /// The blocks of a group that are so, one bit each.
    fn blocks_of(&self, group: &Group, is_so: impl Fn(&super::BlockInfo) -> bool) -> u32 {
        let block = |bit| self.blocks().get(self.index_of_written(group.first + bit));
        (0..group.blocks).fold(0, |bits, bit| bits | u32::from(block(bit).is_some_and(&is_so)) << bit)
    }

    /// The row of a gram: every bit where it cannot be read.
    fn row(&self, filter: u64, rows_log2: u32, hash: u32, page: &mut [u8]) -> u32 {
        let row = (hash >> (32 - rows_log2)) as usize;
        let offset = filter + (row / PAGE_ROWS * PAGE_BYTES) as u64;
        let read = self.source.read_some(page, offset).unwrap_or(0);
        decode_page(&page[..read], &self.source.id).map_or(u32::MAX, |rows| rows[row % PAGE_ROWS])
    }
}

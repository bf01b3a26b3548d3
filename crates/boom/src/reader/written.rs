//! The frames of a boom file: which blocks there are and where, told from as little of the file as can be.
//!
//! Index frames say what the blocks before them hold. A sealed file's footer lists them; in any other the last whole
//! frame is looked for from the end, and points to the last index frame, as that does to the one before. What no good
//! index covers is walked from frame to frame, by heads and meta sections alone; where a frame should be and is not,
//! the walk goes on at the next one, and what is between is damaged. Bodies are checked when they are read, and the
//! last one here, since a power cut can leave a file longer than what was written of it.

use zstd::bulk::Decompressor;

use crate::{
    BoomError,
    format::{
        BlockMeta, Footer, FormatError, FrameHead, FrameKind, GROUP_BLOCKS, IndexMeta,
        footer::TRAILER_BYTES,
        frame::{HEAD_BYTES, HEADER_BYTES},
    },
};

use super::{
    BlockInfo, Damage,
    catalog::{Catalog, Hole},
    missing_before,
    source::{Frame, Source},
};

/// What is known of a boom file.
#[derive(Default)]
pub(crate) struct Written {
    /// Its blocks. The reader puts those of the tail among them, and takes them out before more is read.
    pub(crate) blocks: Vec<BlockInfo>,
    pub(crate) groups: Vec<Group>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) footer: Option<Footer>,
    pub(crate) catalog: Catalog,
    /// How many of the blocks are in the catalog.
    catalogued: usize,
    /// Where the next frame is to be.
    pub(crate) end: u64,
    decompressor: Decompressor<'static>,
}

/// The blocks of one index frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// The number of the first among the file's blocks.
    pub(crate) first: usize,
    /// How many there are, at most 32.
    pub(crate) blocks: usize,
    /// Where the filter is, and the number of its rows as a power of two.
    pub(crate) filter: Option<(u64, u32)>,
}

/// An index frame that makes sense.
struct Index {
    head: FrameHead,
    meta: IndexMeta,
}

impl Written {
    /// Reads what the file holds now.
    pub(crate) fn load(source: &Source) -> Result<Written, BoomError> {
        let mut written = Written { end: HEADER_BYTES as u64, ..Written::default() };
        let bytes = source.bytes()?;
        match written.sealed(source, bytes)? {
            Some((head, footer)) => {
                let decompressor = &mut written.decompressor;
                let indexes = footer.index_offsets.iter().map(|at| index_at(source, *at, head.offset, decompressor));
                let indexes: Vec<Option<Index>> = indexes.collect::<Result<_, _>>()?;
                let good: Vec<Index> = indexes.into_iter().flatten().collect();
                written.cover(source, good.into_iter(), head.offset)?;
                (written.footer, written.end) = (Some(footer), head.end());
            }
            None => written.load_unsealed(source, bytes)?,
        }
        written.catalogue();
        Ok(written)
    }

    /// Reads the frames that were appended since. Tells whether there were any.
    pub(crate) fn go_on(&mut self, source: &Source) -> Result<bool, BoomError> {
        let (start, bytes) = (self.end, source.bytes()?);
        while self.footer.is_none() && self.step(source, bytes)? {}
        self.catalogue();
        Ok(self.end != start)
    }

    /// The number that the next block should have.
    pub(crate) fn next_block(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.number.saturating_add(1))
    }

    /// The number of the first block that is not there.
    pub(crate) fn first_missing(&self) -> u64 {
        (0..)
            .zip(&self.blocks)
            .find(|(number, block)| block.number != *number)
            .map_or(self.next_block(), |(number, _)| number)
    }

    /// The footer, where the file ends with a good one.
    fn sealed(&mut self, source: &Source, bytes: u64) -> Result<Option<(FrameHead, Footer)>, BoomError> {
        let mut trailer = [0; TRAILER_BYTES];
        let read = source.read_some(&mut trailer, bytes.saturating_sub(TRAILER_BYTES as u64))?;
        let Some(offset) = Footer::find(&trailer[..read]) else { return Ok(None) };
        if let Some(Frame { head, meta: Ok(meta) }) = source.frame(offset, bytes)?
            && let (FrameKind::Footer, Ok(footer)) = (head.kind, Footer::decode(&meta))
            && head.end() == bytes
        {
            return Ok(Some((head, footer)));
        }
        if (self.end..bytes).contains(&offset) {
            self.damaged(offset, bytes, FormatError::wrong("footer"));
        }
        Ok(None)
    }

    fn load_unsealed(&mut self, source: &Source, bytes: u64) -> Result<(), BoomError> {
        let Some(last) = last_whole(source, self.end, bytes)? else { return Ok(()) };
        let mut indexes = chain(source, &last, &mut self.decompressor)?;
        indexes.reverse();
        self.cover(source, indexes.into_iter(), last.end())?;
        if self.footer.is_some() && (bytes > last.end() || source.body(&last)?.is_err()) {
            self.damaged(last.offset, bytes, FormatError::wrong("end of the file"));
        }
        Ok(())
    }

    /// Takes the blocks of the indexes, and walks what none of them covers, up to `until`.
    fn cover(&mut self, source: &Source, indexes: impl Iterator<Item = Index>, until: u64) -> Result<(), BoomError> {
        self.blocks.reserve((indexes.size_hint().0 + 1) * GROUP_BLOCKS);
        for index in indexes {
            let first = index.meta.blocks.first().map_or(index.head.offset, |block| block.offset);
            if first < self.end || index.head.end() > until {
                continue;
            }
            self.walk(source, first)?;
            self.take_index(index);
        }
        self.walk(source, until)
    }

    /// Goes from frame to frame up to `until`, where one starts or the last one ends.
    fn walk(&mut self, source: &Source, until: u64) -> Result<(), BoomError> {
        while self.end < until && self.step(source, until)? {}
        if self.end < until {
            self.damaged(self.end, until, FormatError::wrong("frame head"));
            self.end = until;
        }
        Ok(())
    }

    /// Takes the next frame that ends before `until`. False if there is none.
    fn step(&mut self, source: &Source, until: u64) -> Result<bool, BoomError> {
        if until.saturating_sub(self.end) < HEAD_BYTES as u64 {
            return Ok(false);
        }
        if let Some(frame) = source.frame(self.end, until)? {
            self.take(frame);
            return Ok(true);
        }
        let next = source.next_head(self.end + 1, until)?;
        if let Some(head) = next {
            self.damaged(self.end, head.offset, FormatError::wrong("frame head"));
            self.end = head.offset;
        }
        Ok(next.is_some())
    }

    fn take(&mut self, Frame { head, meta }: Frame) {
        self.end = head.end();
        let columns = (head.body_bytes - head.meta_bytes) as usize;
        let problem = match (head.kind, meta) {
            (_, Err(problem)) => Some(problem),
            (FrameKind::Block, Ok(meta)) => match BlockMeta::decode(&meta, columns) {
                Ok(meta) => self.push(BlockInfo::of_meta(&meta, head.offset, head.body_bytes)),
                Err(problem) => Some(problem),
            },
            (FrameKind::Index, Ok(meta)) => match Index::of(head, &meta, &mut self.decompressor) {
                Ok(index) => {
                    self.take_index(index);
                    None
                }
                Err(problem) => Some(problem),
            },
            (FrameKind::Footer, Ok(meta)) => match Footer::decode(&meta) {
                Ok(footer) => {
                    self.footer = Some(footer);
                    None
                }
                Err(problem) => Some(problem),
            },
        };
        if let Some(problem) = problem {
            self.damaged(head.offset, head.end(), problem);
        }
    }

    /// Takes the next block. The same one again is left out, and an older one, which cannot be.
    fn push(&mut self, block: BlockInfo) -> Option<FormatError> {
        let fits = block.number >= self.next_block();
        if fits {
            self.blocks.push(block);
        }
        (!fits).then_some(FormatError { what: "block", problem: "is in the file already" })
    }

    /// Takes a group: its blocks, unless they are known, and where its filter is. Blocks that a walk found before the
    /// index was read are replaced, since the index also knows of those that are damaged.
    fn take_index(&mut self, Index { head, meta }: Index) {
        self.end = self.end.max(head.end());
        let Some(offset) = meta.blocks.first().map(|block| block.offset) else { return };
        let first = self.blocks.partition_point(|block| block.offset < offset);
        let before = first.checked_sub(1).map(|last| self.blocks[last].number);
        let follows = before.is_none_or(|number| number < meta.blocks[0].number);
        let blocks = meta.blocks.len();
        let known = self.blocks[first..].iter().map(|block| block.offset);
        if first >= self.catalogued && follows {
            self.blocks.truncate(first);
            self.blocks.extend(meta.blocks.into_iter().map(BlockInfo::of_summary));
        } else if !known.eq(meta.blocks.iter().map(|block| block.offset)) {
            return; // without a filter every block is a candidate
        }
        let filter = meta.rows_log2.map(|log2| (head.rest_offset(), log2));
        self.groups.push(Group { first, blocks, filter });
    }

    /// Adds what is new to the catalog, and the seqs that turn out to be missing to the damage before them.
    fn catalogue(&mut self) {
        while let Some(block) = self.blocks.get(self.catalogued) {
            let before =
                self.catalogued.checked_sub(1).map(|last| (self.blocks[last].number, self.blocks[last].offset));
            let after_hole = before.map_or(0, |(number, _)| number.saturating_add(1)) != block.number;
            let holes = self.catalog.add(block, after_hole);
            let (from, to) = (before.map_or(0, |(_, offset)| offset), block.offset);
            self.lost(from, to, holes);
            self.catalogued += 1;
        }
        if let Some(footer) = &self.footer {
            let holes = footer.runs.iter().filter_map(|run| self.catalog.finish(run)).collect();
            let from = self.blocks.last().map_or(0, |block| block.offset);
            self.lost(from, self.end, holes);
        }
    }

    /// Says that these seqs are lost between two offsets.
    fn lost(&mut self, from: u64, to: u64, holes: Vec<Hole>) {
        if holes.is_empty() {
            return;
        }
        let missing = missing_before(to, holes);
        match self.damage.iter_mut().rev().find(|damage| (from..to).contains(&damage.offset)) {
            Some(damage) => damage.runs.extend(missing.runs),
            None => self.damage.push(missing),
        }
    }

    fn damaged(&mut self, from: u64, to: u64, what: FormatError) {
        self.damage.push(Damage { offset: from, bytes: to.saturating_sub(from), what, runs: Vec::new() });
    }
}

impl Index {
    /// The index of a good meta section, if it makes sense in its place.
    fn of(head: FrameHead, meta: &[u8], decompressor: &mut Decompressor<'_>) -> Result<Index, FormatError> {
        let meta = IndexMeta::decode(meta, decompressor)?;
        let mut end = HEADER_BYTES as u64;
        let in_order = meta.blocks.iter().all(|block| {
            let follows = block.offset >= end;
            end = block.offset.saturating_add(HEAD_BYTES as u64 + u64::from(block.body_bytes));
            follows
        });
        let fits = in_order
            && end <= head.offset
            && meta.blocks.is_sorted_by(|a, b| a.number < b.number)
            && meta.filter_bytes() as u64 == u64::from(head.body_bytes - head.meta_bytes);
        if fits { Ok(Index { head, meta }) } else { Err(FormatError::wrong("index")) }
    }
}

/// The index frame at `offset`, if a good one is there that ends before `until`.
fn index_at(
    source: &Source,
    offset: u64,
    until: u64,
    decompressor: &mut Decompressor<'_>,
) -> Result<Option<Index>, BoomError> {
    let frame = source.frame(offset, until)?.filter(|frame| frame.head.kind == FrameKind::Index);
    Ok(frame.and_then(|frame| Index::of(frame.head, &frame.meta.ok()?, decompressor).ok()))
}

/// The last frame that is whole, or a footer of which only the end is not.
fn last_whole(source: &Source, from: u64, bytes: u64) -> Result<Option<FrameHead>, BoomError> {
    let mut until = bytes;
    while let Some(head) = source.last_head(from, until)? {
        let is_footer = head.kind == FrameKind::Footer;
        if source.body(&head)?.is_ok()
            || (is_footer && source.frame(head.offset, until)?.is_some_and(|f| f.meta.is_ok()))
        {
            return Ok(Some(head));
        }
        until = head.offset;
    }
    Ok(None)
}

/// The good index frames at or before `last`, last first, as far as their pointers reach.
fn chain(source: &Source, last: &FrameHead, decompressor: &mut Decompressor<'_>) -> Result<Vec<Index>, BoomError> {
    let mut indexes = Vec::new();
    let mut until = last.end();
    let mut at = if last.kind == FrameKind::Index { last.offset } else { last.last_index };
    while at != 0 && at < until {
        let Some(frame) = source.frame(at, until)?.filter(|frame| frame.head.kind == FrameKind::Index) else { break };
        (at, until) = (frame.head.last_index, frame.head.offset);
        indexes.extend(frame.meta.ok().and_then(|meta| Index::of(frame.head, &meta, decompressor).ok()));
    }
    Ok(indexes)
}

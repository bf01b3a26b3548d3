//! Blocks that the boom file no longer has and the tail beside it still does.
//!
//! A disk whose write-back fails can have a block's head and not its body, while the tail, which was synced before the
//! block was written, has its records. Only files without a writer are looked at: a living one writes such blocks again,
//! or says in a gap that they are gone. Nothing is read but the bodies of the blocks that the tail has, at most four.

use super::{
    BlockInfo, Damage, LostRange, Source,
    catalog::{Catalog, Hole},
    parse_block,
    tail::{TailBlock, TailReader},
};
use crate::{
    BoomError,
    format::{FormatError, RunInFooter, frame::HEAD_BYTES},
};

/// How far back from the end of the file the tail is looked at: block numbers in it have 32 bits.
const BLOCKS_BACK: u64 = 1 << 30;

/// Blocks that are read from the tail in place of those of the boom file.
#[derive(Default)]
pub(super) struct Rescue {
    tail: Option<TailReader>,
    blocks: Vec<Rescued>,
}

/// One of them.
pub(super) struct Rescued {
    /// Its index in the list.
    index: usize,
    /// What the boom file says of it.
    lost: BlockInfo,
    /// Whether the tail has all of it.
    is_whole: bool,
}

impl Rescue {
    /// Puts what the tail has into the place of each block of the boom file that cannot be read.
    pub(super) fn find(source: &Source, blocks: &mut [BlockInfo]) -> Result<Rescue, BoomError> {
        let Some(last) = blocks.last() else { return Ok(Rescue::default()) };
        let first = last.number.saturating_sub(BLOCKS_BACK);
        let mut tail = TailReader::new(&source.path, source.id);
        tail.refresh(first)?;
        let mut rescued = Vec::new();
        for held in tail.blocks(first) {
            let Ok(index) = blocks.binary_search_by_key(&held.meta.number, |block| block.number) else { continue };
            let info = BlockInfo::of_meta(&held.meta, 0, 0);
            if fits(&info, &blocks[index]) && !is_told_lost(&info, blocks) && !is_readable(source, &blocks[index])? {
                let lost = std::mem::replace(&mut blocks[index], info);
                rescued.push(Rescued { index, is_whole: is_whole(&blocks[index], &lost), lost });
            }
        }
        let tail = (!rescued.is_empty()).then_some(tail);
        Ok(Rescue { tail, blocks: rescued })
    }

    /// Puts the blocks of the boom file back into their places.
    pub(super) fn undo(&mut self, blocks: &mut [BlockInfo]) {
        std::mem::take(self).blocks.into_iter().for_each(|rescued| blocks[rescued.index] = rescued.lost);
    }

    pub(super) fn blocks(&self) -> &[Rescued] {
        &self.blocks
    }

    /// The block of this number, if it is one of these.
    pub(super) fn block(&self, number: u64) -> Option<&TailBlock> {
        self.rescued(number)?;
        self.tail.as_ref()?.block(number)
    }

    fn rescued(&self, number: u64) -> Option<&Rescued> {
        self.blocks.iter().find(|rescued| rescued.lost.number == number)
    }

    /// Counts what was in the block and is not in the tail, and tells of it.
    pub(super) fn count(&self, number: u64, catalog: &mut Catalog) -> Option<Damage> {
        let Rescued { lost, is_whole, .. } = self.rescued(number)?;
        let runs = lost.runs.iter().map(|run| {
            let end = lost.ends.iter().rev().find(|(ended, _)| *ended == run.id).map(|(_, end)| end.clone());
            RunInFooter { id: run.id, kind: run.kind, next_seq: lost.next_seq(run), end }
        });
        let holes: Vec<Hole> = runs.filter_map(|run| catalog.finish(&run)).collect();
        let runs = holes.into_iter().map(|(run, from, to)| LostRange { run, from, to }).collect();
        let what = FormatError { what: "a block", problem: "cannot be read, and the tail has only its beginning" };
        (!is_whole).then(|| Damage { offset: lost.offset, bytes: frame_bytes(lost), what, runs })
    }

    /// Whether these bytes of the boom file are frames of blocks that the tail has whole, and nothing else.
    pub(super) fn covers(&self, from: u64, to: u64) -> bool {
        let whole = self.blocks.iter().filter(|rescued| rescued.is_whole).map(|rescued| &rescued.lost);
        let inside = whole.filter(|lost| from <= lost.offset && lost.offset + frame_bytes(lost) <= to);
        inside.map(frame_bytes).sum::<u64>() == to - from
    }
}

fn frame_bytes(block: &BlockInfo) -> u64 {
    HEAD_BYTES as u64 + u64::from(block.body_bytes)
}

/// Whether what the tail has can be the beginning of this block.
fn fits(tail: &BlockInfo, block: &BlockInfo) -> bool {
    let mut pairs = tail.runs.iter().zip(&block.runs);
    let begins = pairs.all(|(a, b)| (a.id, a.first_seq) == (b.id, b.first_seq) && a.records <= b.records);
    begins && tail.runs.len() <= block.runs.len() && tail.gaps.len() <= block.gaps.len()
}

fn is_whole(tail: &BlockInfo, block: &BlockInfo) -> bool {
    (tail.records, tail.runs.len(), tail.gaps.len()) == (block.records, block.runs.len(), block.gaps.len())
}

/// Whether a later gap says already that the disk lost the block.
fn is_told_lost(block: &BlockInfo, blocks: &[BlockInfo]) -> bool {
    let later = blocks.iter().filter(|later| later.number > block.number);
    let mut gaps = later.flat_map(|later| &later.gaps);
    gaps.any(|gap| block.seqs(gap.run).is_some_and(|seqs| seqs.contains(&gap.from)))
}

fn is_readable(source: &Source, block: &BlockInfo) -> Result<bool, BoomError> {
    let mut frame = vec![0; HEAD_BYTES + block.body_bytes as usize];
    let read = source.read_some(&mut frame, block.offset)?;
    Ok(parse_block(&frame[..read], block, source).is_ok())
}

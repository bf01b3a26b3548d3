//! A writer's blocks: into the tail, on to the encoders, and what becomes of them on a disk that fails.

use std::{io, ops::Range};

use logboom_record::{RunId, Time};

use super::{GONE, Incomplete, RunSlot, Writer, gap_in_block};
use crate::{
    format::{BlockFlags, BlockSummary, GapInBlock, RunInBlock, tail::TAIL_SLOTS},
    tail::Held,
};

impl Writer {
    /// Hands the block on and starts the next; false if there is nowhere to put it.
    pub(super) fn rotate(&mut self) -> bool {
        self.note_gone_blocks();
        if self.block.is_empty() {
            return true;
        }
        let flushed = self.flush_tail().is_ok();
        let slot_free_at = (self.number + 2).saturating_sub(TAIL_SLOTS);
        let wanted = if flushed { slot_free_at } else { self.incomplete.as_ref().map_or(0, |block| block.number + 1) };
        if self.pipeline.wait_until_written(wanted.max(slot_free_at)).is_err() || !self.keep_promise() {
            return false;
        }
        self.resolve_incomplete();
        self.note_open_lines();
        if !self.held.is_all_of(&self.block) {
            let (number, is_begun, safe) = (self.number, self.held.is_any(), self.safe_after_block());
            self.incomplete = Some(Incomplete { number, is_begun, safe });
        }
        let block = std::mem::take(&mut self.block);
        self.block = self.pipeline.submit(self.number, block);
        (self.number, self.held) = (self.number + 1, Held::default());
        true
    }

    /// Before a slot is used again whose block was promised to be on the disk, the boom file must be there.
    fn keep_promise(&mut self) -> bool {
        let overwritten = (self.number + 1).checked_sub(TAIL_SLOTS);
        let at_risk =
            overwritten.is_some_and(|block| block < self.promised && block >= self.pipeline.file().synced_blocks());
        !at_risk || self.pipeline.sync().is_ok()
    }

    /// Adds what is new to the tail, unless the tail lacks a part of the block before.
    pub(super) fn flush_tail(&mut self) -> io::Result<()> {
        self.resolve_incomplete();
        if self.incomplete.is_some() {
            let why = self.tail_failing.clone().unwrap_or_default();
            return Err(io::Error::other(why));
        }
        let result = self.pipeline.tail().append(self.number, &self.block, &mut self.held);
        self.tail_failing = result.as_ref().err().map(ToString::to_string);
        if result.is_ok() {
            self.safe_after_block().into_iter().for_each(|(run, seq)| self.runs[run as usize].safe_seq = seq);
        }
        result
    }

    /// The runs of the block, and for each the seq below which everything is safe once the block is.
    pub(super) fn safe_after_block(&self) -> Vec<(u32, u64)> {
        let slots = self.block.runs.iter().filter_map(|run| self.run_by_id.get(&run.id));
        let safe = |slot: &RunSlot| {
            let state = &self.runs[slot.0 as usize];
            (slot.0, state.dropped.as_ref().map_or(state.next_seq, |dropped| dropped.from))
        };
        slots.map(safe).collect()
    }

    /// Forgets the block that the tail holds in part once it is in the boom file.
    pub(super) fn resolve_incomplete(&mut self) {
        if self.incomplete.as_ref().is_some_and(|block| self.pipeline.written() > block.number)
            && let Some(block) = self.incomplete.take()
        {
            block.safe.into_iter().for_each(|(run, seq)| self.runs[run as usize].safe_seq = seq);
        }
    }

    /// Says in the block that lines go on after it.
    pub(super) fn note_open_lines(&mut self) {
        let open = |run: &RunInBlock| {
            let slot = self.run_by_id.get(&run.id);
            slot.and_then(|slot| self.runs.get(slot.0 as usize)).is_some_and(|run| run.open & run.open_here != 0)
        };
        if self.block.runs.iter().any(open) {
            self.block.flags = self.block.flags.with(BlockFlags::JOINS_LATER);
        }
    }

    /// Records that a failed sync took from the boom file become gaps, out of their order.
    pub(super) fn note_gone_blocks(&mut self) {
        self.take_gone();
        let mut gone = std::mem::take(&mut self.gone);
        let placed = gone.iter().take_while(|(run, range)| self.place_gone(*run, range.clone())).count();
        gone.drain(..placed);
        self.gone.append(&mut gone);
    }

    /// Counts what failed syncs took from the boom file. Tells whether they took anything.
    pub(super) fn take_gone(&mut self) -> bool {
        let blocks = self.pipeline.take_gone();
        for block in &blocks {
            self.lost += u64::from(block.records);
            for run in &block.runs {
                if let Some(slot) = self.run_by_id.get(&run.id) {
                    self.runs[slot.0 as usize].lost += run.records;
                }
            }
            let slots = seqs_of_gone(block).filter_map(|(run, seqs)| Some((*self.run_by_id.get(&run)?, seqs)));
            self.gone.extend(slots);
        }
        !blocks.is_empty()
    }

    fn place_gone(&mut self, run: RunSlot, seqs: Range<u64>) -> bool {
        let entered = self.enter_with_gap(run);
        if entered {
            let number = self.runs[run.0 as usize].number;
            self.block.push_gap(gap_in_block(number, seqs, Time::now(), GONE));
        }
        entered
    }
}

/// The seqs that were in a block that is gone: of each run those of its records and gaps, and those of earlier blocks of
/// which it told that they are gone.
fn seqs_of_gone(gone: &BlockSummary) -> impl Iterator<Item = (RunId, Range<u64>)> {
    let seqs = |gap: &GapInBlock| gap.from..gap.to.map_or(gap.from, |to| to + 1);
    let is_late = |gap: &&GapInBlock| gone.runs.get(gap.run as usize).is_some_and(|run| gap.from < run.first_seq);
    let late = gone.gaps.iter().filter(is_late).map(move |gap| (gone.runs[gap.run as usize].id, seqs(gap)));
    let own = (0..).zip(&gone.runs).map(move |(number, run)| {
        let gaps = gone.gaps.iter().filter(move |gap| gap.run == number && gap.from >= run.first_seq);
        let in_gaps: u64 = gaps.map(seqs).map(|seqs| seqs.end - seqs.start).sum();
        (run.id, run.first_seq..run.first_seq + run.records + in_gaps)
    });
    late.chain(own).filter(|(_, seqs)| !seqs.is_empty())
}

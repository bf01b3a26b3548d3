//! What a file holds, told without reading a record: its blocks, its runs, its totals.

use std::{collections::HashMap, ops::Range};

use logboom_record::{Gap, Kind, RunEnd, RunId, Time};

use crate::{
    block::gap_of,
    format::{BlockFlags, BlockMeta, BlockSummary, EndInBlock, GapInBlock, RunInBlock, RunInFooter},
};

/// What is known of a block before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// 0, 1, … in the file. A record is the `i`-th of the same block in the tail and in the boom file.
    pub number: u64,
    /// What is special about it. A block in the tail is always said to share lines with its neighbours.
    pub flags: BlockFlags,
    /// The earliest time of any record or gap.
    pub time_min: Time,
    /// The latest.
    pub time_max: Time,
    /// How many records it has. A block in the tail still grows.
    pub records: u32,
    /// The runs that have something in it.
    pub runs: Vec<RunInBlock>,
    /// What is lost, in the order of the places.
    pub gaps: Vec<Gap>,
    /// Whether it is in the tail only.
    pub in_tail: bool,
    /// The ends of runs.
    pub(crate) ends: Vec<(RunId, RunEnd)>,
    /// Where its frame starts, and how many bytes the frame's body has; 0 in the tail.
    pub(crate) offset: u64,
    pub(crate) body_bytes: u32,
}

impl BlockInfo {
    /// The seqs that entries of a run have in this block; `None` if the run has nothing in it.
    pub fn seqs(&self, run: RunId) -> Option<Range<u64>> {
        let run = self.runs.iter().find(|known| known.id == run)?;
        Some(run.first_seq..self.next_seq(run))
    }

    /// The seq after the last entry that `run`, which is one of this block's, has here. Gaps of seqs before the block's own
    /// tell of an earlier block, which was lost after it had been written.
    pub(crate) fn next_seq(&self, run: &RunInBlock) -> u64 {
        let gaps = self.gaps.iter().filter(|gap| gap.run == run.id && gap.from >= run.first_seq).map(lost_in);
        gaps.fold(run.first_seq.saturating_add(run.records), u64::saturating_add)
    }

    pub(crate) fn of_summary(summary: BlockSummary) -> BlockInfo {
        let (gaps, ends) = named(&summary.gaps, &summary.ends, &summary.runs);
        let BlockSummary { offset, body_bytes, number, flags, time_min, time_max, records, runs, .. } = summary;
        BlockInfo { number, flags, time_min, time_max, records, runs, gaps, in_tail: false, ends, offset, body_bytes }
    }

    /// A block whose frame's body has `body_bytes` and starts at `offset`; with no bytes one in the tail.
    pub(crate) fn of_meta(meta: &BlockMeta, offset: u64, body_bytes: u32) -> BlockInfo {
        let (gaps, ends) = named(&meta.gaps, &meta.ends, &meta.runs);
        BlockInfo {
            number: meta.number,
            flags: meta.flags,
            time_min: meta.time_min,
            time_max: meta.time_max,
            records: meta.records,
            runs: meta.runs.clone(),
            gaps,
            in_tail: body_bytes == 0,
            ends,
            offset,
            body_bytes,
        }
    }
}

fn lost_in(gap: &Gap) -> u64 {
    gap.to.map_or(0, |to| to.saturating_sub(gap.from).saturating_add(1))
}

fn named(gaps: &[GapInBlock], ends: &[EndInBlock], runs: &[RunInBlock]) -> (Vec<Gap>, Vec<(RunId, RunEnd)>) {
    if gaps.is_empty() && ends.is_empty() {
        return Default::default();
    }
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    let gaps = gaps.iter().map(|gap| gap_of(gap, &ids)).collect();
    let ends = ends.iter().filter_map(|end| Some((*ids.get(end.run as usize)?, end.end.clone()))).collect();
    (gaps, ends)
}

/// How a run stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// The run.
    pub id: RunId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The seq of its first entry.
    pub first_seq: u64,
    /// The seq that its next record would have.
    pub next_seq: u64,
    /// How many records it has.
    pub records: u64,
    /// How many lines.
    pub lines: u64,
    /// How many records its gaps say are lost, open ones not counted.
    pub lost: u64,
    /// How many records it has of each level, trace first.
    pub levels: [u64; 5],
    /// How it ended, if it did.
    pub end: Option<RunEnd>,
}

/// What a file holds in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many records.
    pub records: u64,
    /// How many lines.
    pub lines: u64,
    /// How many records the gaps say are lost, open ones not counted.
    pub lost: u64,
    /// How many records of each level, trace first.
    pub levels: [u64; 5],
    /// The earliest and the latest time of any record or gap; `None` where there is none.
    pub times: Option<(Time, Time)>,
}

/// Runs and totals of the blocks that were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) runs: Vec<RunSummary>,
    numbers: HashMap<RunId, usize>,
    pub(crate) totals: Totals,
}

/// Seqs of a run for which there is neither a record nor a gap: from and to.
pub(crate) type Hole = (RunId, u64, u64);

impl Catalog {
    /// Adds the next block. Tells the seqs that are missing before it; a run that is new here is held to have started
    /// with its first seq, unless `after_hole`.
    pub(crate) fn add(&mut self, block: &BlockInfo, after_hole: bool) -> Vec<Hole> {
        let mut holes = Vec::new();
        for run in &block.runs {
            let start = if after_hole { run.first_seq.min(1) } else { run.first_seq };
            let summary = self.run(run.id, run.kind, start);
            if run.first_seq > summary.next_seq {
                holes.push((run.id, summary.next_seq, run.first_seq - 1));
            }
            summary.next_seq = summary.next_seq.max(block.next_seq(run));
            add_counts(summary, run);
            self.totals.records = self.totals.records.saturating_add(run.records);
            self.totals.lines = self.totals.lines.saturating_add(run.lines);
            add_levels(&mut self.totals.levels, &run.levels);
        }
        for gap in &block.gaps {
            self.totals.lost = self.totals.lost.saturating_add(lost_in(gap));
            if let Some(number) = self.numbers.get(&gap.run) {
                let lost = &mut self.runs[*number].lost;
                *lost = lost.saturating_add(lost_in(gap));
            }
        }
        block.ends.iter().for_each(|(run, end)| self.end(*run, end));
        self.add_times(block);
        holes
    }

    /// Adds what the footer says of a run. Tells the seqs that are missing at its end.
    pub(crate) fn finish(&mut self, run: &RunInFooter) -> Option<Hole> {
        let next_seq = run.next_seq;
        let summary = self.run(run.id, run.kind, next_seq);
        let hole = (next_seq > summary.next_seq).then(|| (run.id, summary.next_seq, next_seq - 1));
        summary.next_seq = summary.next_seq.max(next_seq);
        summary.end = run.end.clone().or(summary.end.take());
        hole
    }

    fn run(&mut self, id: RunId, kind: Kind, first_seq: u64) -> &mut RunSummary {
        let number = *self.numbers.entry(id).or_insert(self.runs.len());
        if number == self.runs.len() {
            let (next_seq, levels) = (first_seq, [0; 5]);
            self.runs.push(RunSummary {
                id,
                kind,
                first_seq,
                next_seq,
                records: 0,
                lines: 0,
                lost: 0,
                levels,
                end: None,
            });
        }
        &mut self.runs[number]
    }

    fn end(&mut self, run: RunId, end: &RunEnd) {
        if let Some(number) = self.numbers.get(&run) {
            self.runs[*number].end = Some(end.clone());
        }
    }

    fn add_times(&mut self, block: &BlockInfo) {
        if block.records == 0 && block.gaps.is_empty() {
            return;
        }
        let (min, max) = self.totals.times.unwrap_or((block.time_min, block.time_max));
        self.totals.times = Some((min.min(block.time_min), max.max(block.time_max)));
    }
}

fn add_counts(summary: &mut RunSummary, run: &RunInBlock) {
    summary.records = summary.records.saturating_add(run.records);
    summary.lines = summary.lines.saturating_add(run.lines);
    add_levels(&mut summary.levels, &run.levels);
}

fn add_levels(sum: &mut [u64; 5], levels: &[u64; 5]) {
    sum.iter_mut().zip(levels).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
}

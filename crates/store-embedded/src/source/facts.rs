//! What is known of a block before it is read.

use logboom_boom::{
    format::{BlockFlags, RunInBlock},
    reader::BlockInfo,
};
use logboom_record::{Entry, Gap, Record, RunId, Time};

use super::goes_on;

/// A run in a block.
#[derive(Clone, Debug)]
pub(crate) struct RunFacts {
    pub id: RunId,
    pub first_seq: u64,
    pub next_seq: u64,
    pub records: u64,
    pub lines: u64,
    pub levels: [u64; 5],
}

/// What is known of a block before it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Some line goes on from an earlier block, or may.
    pub joins_earlier: bool,
    /// Some line goes on in a later one, or may.
    pub joins_later: bool,
    /// The earliest and the latest time of any entry.
    pub times: (Time, Time),
    /// The latest time of any entry that a run of this block may have had before.
    pub before: Time,
    pub records: u64,
    pub runs: Vec<RunFacts>,
    pub has_gaps: bool,
    /// Gaps that tell, after the fact, of seqs before the block's own: what was written there was lost again. The hole
    /// stands where the records were.
    pub late: Vec<Gap>,
    /// What is missing in front of the block.
    pub lead: Vec<Gap>,
}

impl Facts {
    /// Whether every record is a line of its own.
    pub fn is_plain(&self) -> bool {
        !self.joins_earlier && !self.joins_later && self.runs.iter().all(|run| run.lines == run.records)
    }

    /// The latest time at which an entry of the block can stand in history.
    pub fn latest(&self) -> Time {
        self.times.1.max(self.before)
    }
}

pub(super) fn facts_of_records(records: &[Record]) -> Option<Facts> {
    let (first, last) = (records.first()?, records.last()?);
    let count = records.len() as u64;
    let lines = records.iter().filter(|record| !goes_on(&record.as_ref())).count() as u64;
    let joins_later = goes_on(&last.as_ref());
    let (id, first_seq, next_seq, mut levels) = (first.run, first.seq, last.seq + 1, [0; 5]);
    records.iter().for_each(|record| levels[record.level as usize] += 1);
    let times = records.iter().map(|record| record.time);
    let times = (times.clone().min()?, times.max()?);
    let runs = vec![RunFacts { id, first_seq, next_seq, records: count, lines, levels }];
    Some(Facts { joins_later, times, before: Time::from_micros(i64::MIN), records: count, runs, ..Facts::default() })
}

pub(super) fn facts_of(info: &BlockInfo) -> Facts {
    let run = |run: &RunInBlock| RunFacts {
        id: run.id,
        first_seq: run.first_seq,
        next_seq: info.seqs(run.id).map_or(run.first_seq, |seqs| seqs.end),
        records: run.records,
        lines: run.lines,
        levels: run.levels,
    };
    let is_late = |gap: &Gap| info.runs.iter().any(|run| run.id == gap.run && gap.from < run.first_seq);
    Facts {
        joins_earlier: info.in_tail || info.flags.has(BlockFlags::JOINS_EARLIER),
        joins_later: info.in_tail || info.flags.has(BlockFlags::JOINS_LATER),
        times: (info.time_min, info.time_max),
        before: Time::from_micros(i64::MIN),
        records: u64::from(info.records),
        runs: info.runs.iter().map(run).collect(),
        has_gaps: !info.gaps.is_empty(),
        late: info.gaps.iter().filter(|gap| is_late(gap)).cloned().collect(),
        lead: Vec::new(),
    }
}

/// What stands for the entries of a block that cannot be read.
pub(super) fn all_lost(facts: &Facts) -> impl Iterator<Item = Entry> {
    let runs = facts.runs.iter().filter(|run| run.next_seq > run.first_seq);
    runs.map(|run| {
        let (run, from, to) = (run.id, run.first_seq, Some(run.next_seq - 1));
        Entry::Gap(Gap { run, from, to, time: facts.times.0, why: "damaged".to_owned() })
    })
}

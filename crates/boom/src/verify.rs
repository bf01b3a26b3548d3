//! Checks every checksum and every seq of a boom file.
//!
//! Opening a file looks at as little as it can; this looks at all of it, from front to end: every frame's body, the pages
//! of every filter, every column of every block; whether the index says what the blocks say, and whether each run's
//! seqs go on without a hole. What is damaged is told with the seqs that were in it, from the index where it knows the
//! block, else from the blocks around.

use std::collections::HashMap;

use logboom_record::{Flags, Gap, RunId, Time};
use zstd::bulk::Decompressor;

use crate::{
    BoomError,
    block::{Block, Records},
    format::{
        FormatError, FrameHead, FrameKind, IndexMeta,
        frame::HEADER_BYTES,
        index::{PAGE_BYTES, decode_page},
    },
    reader::{BlockInfo, Damage, LostRange, Reader},
};

const CONTRADICTION: FormatError = FormatError { what: "index", problem: "does not say what its block holds" };

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many records can be read.
    pub records: u64,
    /// How many are lost; `None` where a killed writer took the number with it.
    pub lost: Option<u64>,
    /// Every gap: those on record, those that damage made, and the open ones of a killed writer.
    pub gaps: Vec<Gap>,
}

impl Reader {
    /// Reads and checks everything that was there when the file was opened or last looked at. Calls `report` for each
    /// damaged place, in the order of the file.
    ///
    /// # Errors
    /// [`BoomError::Io`]. Damage is no error: it is reported.
    pub fn check(&self, report: &mut dyn FnMut(Damage)) -> Result<Checked, BoomError> {
        let written = self.blocks().iter().enumerate().filter(|(_, block)| !block.in_tail);
        let by_offset = written.map(|(index, block)| (block.offset, index)).collect();
        let mut check = Check { reader: self, block: Block::default(), by_offset, damage: Vec::new(), records: 0 };
        check.frames()?;
        check.tail()?;
        check.seqs();
        check.footer();
        check.what_opening_found();
        check.damage.sort_by_key(|damage| damage.offset);
        let gaps = check.gaps();
        let lost = gaps.iter().try_fold(0u64, |sum, gap| Some(sum.saturating_add(gap.to? - gap.from + 1)));
        let records = check.records;
        check.damage.into_iter().for_each(report);
        Ok(Checked { records, lost, gaps })
    }
}

struct Check<'r> {
    reader: &'r Reader,
    block: Block,
    /// The indexes of the blocks in the boom file.
    by_offset: HashMap<u64, usize>,
    damage: Vec<Damage>,
    records: u64,
}

impl Check<'_> {
    /// Every frame of the boom file.
    fn frames(&mut self) -> Result<(), BoomError> {
        let (source, end) = (&self.reader.source, self.reader.written.end);
        let mut at = HEADER_BYTES as u64;
        while at < end {
            at = match source.head(at, end)? {
                Some(head) => {
                    self.frame(&head)?;
                    head.end()
                }
                None => {
                    let next = source.next_head(at + 1, end)?.map_or(end, |head| head.offset);
                    self.damaged(at, next, FormatError::wrong("frame head"));
                    next
                }
            };
        }
        Ok(())
    }

    fn frame(&mut self, head: &FrameHead) -> Result<(), BoomError> {
        let problem = match head.kind {
            FrameKind::Block => match self.known_block(head.offset) {
                Some(block) => self.check_block(block)?,
                None => self.reader.source.body(head)?.err(),
            },
            FrameKind::Index => self.reader.source.body(head)?.and_then(|body| self.check_index(head, &body)).err(),
            FrameKind::Footer => self.reader.source.body(head)?.err(),
        };
        if let Some(problem) = problem {
            self.damaged(head.offset, head.end(), problem);
        }
        Ok(())
    }

    /// The index of the block whose frame starts at `offset`.
    fn known_block(&self, offset: u64) -> Option<usize> {
        self.by_offset.get(&offset).copied()
    }

    /// Reads a block and all its records. Gives what is wrong with it.
    fn check_block(&mut self, index: usize) -> Result<Option<FormatError>, BoomError> {
        let info = &self.reader.blocks()[index];
        let mut block = std::mem::take(&mut self.block);
        let read = self.reader.read_into(index, &mut block).and_then(|()| block.records());
        let problem = match read {
            Err(BoomError::Damaged { source, .. }) => Some(source),
            Err(error) => return Err(error),
            Ok(records) if records.info(info) == *info => contradiction(info, records),
            Ok(_) => Some(CONTRADICTION),
        };
        if problem.is_none() {
            self.records += u64::from(info.records);
        }
        self.block = block;
        Ok(problem)
    }

    /// Whether each run goes on where it was. Seqs that are left out belong to a block that is missing, which is told when
    /// the file is opened; but none may come again.
    fn seqs(&mut self) {
        let mut next_seqs: HashMap<RunId, u64> = HashMap::new();
        for block in self.reader.blocks() {
            for run in &block.runs {
                let next = next_seqs.entry(run.id).or_default();
                if run.first_seq < *next {
                    let what = FormatError { what: "block", problem: "has seqs that were there before" };
                    self.damage.push(Damage { offset: block.offset, bytes: 0, what, runs: Vec::new() });
                }
                *next = block.next_seq(run).max(*next);
            }
        }
    }

    fn check_index(&self, head: &FrameHead, body: &[u8]) -> Result<(), FormatError> {
        let (meta, filter) = body.split_at_checked(head.meta_bytes as usize).ok_or(FormatError::short("index"))?;
        let meta = IndexMeta::decode(meta, &mut Decompressor::default())?;
        for page in filter.chunks(PAGE_BYTES) {
            decode_page(page, &self.reader.source.id)?;
        }
        match meta.filter_bytes() == filter.len() {
            true => Ok(()),
            false => Err(FormatError { what: "filter", problem: "has another length than the index says" }),
        }
    }

    fn tail(&mut self) -> Result<(), BoomError> {
        let in_tail = |index: &usize| self.reader.blocks()[*index].in_tail;
        let indexes: Vec<usize> = (0..self.reader.blocks().len()).filter(in_tail).collect();
        for index in indexes {
            if let Some(problem) = self.check_block(index)? {
                let mut damage = Damage { offset: self.reader.written.end, bytes: 0, what: problem, runs: Vec::new() };
                damage.runs = lost_with(&self.reader.blocks()[index]).collect();
                self.damage.push(damage);
            }
        }
        Ok(())
    }

    /// Whether the footer's totals are those of the blocks.
    fn footer(&mut self) {
        let Some(footer) = &self.reader.written.footer else { return };
        let totals = &self.reader.written.catalog.totals;
        let said = (footer.records, footer.lines, footer.lost, footer.levels);
        if said != (totals.records, totals.lines, totals.lost, totals.levels) {
            let what = FormatError { what: "footer", problem: "has other totals than the blocks" };
            let end = self.reader.written.end;
            self.damage.push(Damage { offset: end, bytes: 0, what, runs: Vec::new() });
        }
    }

    /// Adds the damage that is known since the file was opened, to what was found here in the same place if there is any.
    fn what_opening_found(&mut self) {
        for known in self.reader.damage() {
            let end = known.offset + known.bytes;
            let same = self.damage.iter_mut().find(|damage| {
                let overlaps = damage.offset < end && known.offset < damage.offset + damage.bytes;
                // Blocks that are missing are missed at the block after them.
                let misses = known.bytes == 0 && known.offset == damage.offset + damage.bytes;
                overlaps || misses
            });
            match same {
                None => self.damage.push(known.clone()),
                Some(damage) => {
                    let new = known.runs.iter().filter(|range| !damage.runs.contains(range)).copied();
                    let new: Vec<LostRange> = new.collect();
                    damage.runs.extend(new);
                }
            }
        }
    }

    /// Says that these bytes are damaged, and the records of the blocks that are known to be there lost.
    fn damaged(&mut self, from: u64, to: u64, what: FormatError) {
        if self.reader.has_rescued(from, to) {
            return;
        }
        let blocks = self.reader.blocks().iter().filter(|block| !block.in_tail && (from..to).contains(&block.offset));
        let runs = blocks.flat_map(lost_with).collect();
        self.damage.push(Damage { offset: from, bytes: to - from, what, runs });
    }

    fn gaps(&self) -> Vec<Gap> {
        let unreadable = self.damage.iter().flat_map(|damage| damage.runs.iter().map(move |range| (damage, range)));
        let mut gaps = self.reader.gaps();
        // A gap that stood in a damaged block is part of what that block lost.
        gaps.retain(|gap| {
            let lost =
                |(_, range): &(_, &LostRange)| range.run == gap.run && (range.from..=range.to).contains(&gap.from);
            gap.to.is_none() || !unreadable.clone().any(|lost_range| lost(&lost_range))
        });
        let time = self.reader.totals().times.map_or(Time::default(), |(_, max)| max);
        gaps.extend(unreadable.map(|(damage, range)| Gap {
            run: range.run,
            from: range.from,
            to: Some(range.to),
            time,
            why: damage.what.to_string(),
        }));
        gaps
    }
}

/// The seqs that are lost if this block cannot be read.
fn lost_with(block: &BlockInfo) -> impl Iterator<Item = LostRange> {
    let last = |run| block.next_seq(run).checked_sub(1);
    let ranges =
        block.runs.iter().filter_map(move |run| Some(LostRange { run: run.id, from: run.first_seq, to: last(run)? }));
    ranges.filter(|range| range.from <= range.to)
}

/// What the records of a block contradict of what is said of it.
fn contradiction(info: &BlockInfo, records: Records<'_>) -> Option<FormatError> {
    let mut counts = vec![(0u64, 0u64, [0u64; 5]); info.runs.len()];
    let numbers: HashMap<RunId, usize> = info.runs.iter().enumerate().map(|(number, run)| (run.id, number)).collect();
    let mut times_fit = true;
    for record in records.iter() {
        let Some(number) = numbers.get(&record.run) else { return Some(CONTRADICTION) };
        let (records, lines, levels) = &mut counts[*number];
        *records += 1;
        *lines += u64::from(!record.flags.has(Flags::CONTINUED));
        levels[record.level as usize] += 1;
        times_fit &= (info.time_min..=info.time_max).contains(&record.time);
    }
    let said = info.runs.iter().map(|run| (run.records, run.lines, run.levels));
    let fits = times_fit && said.eq(counts) && records.len() == info.records as usize;
    (!fits).then_some(CONTRADICTION)
}

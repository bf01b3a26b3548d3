//! A text log as blocks, for runs that have no boom file.
//!
//! The text has no index, so its blocks are made by reading it once: every [`BLOCK_RECORDS`] entries the place is noted. A
//! block is read by going there. A line over the edge of a block is told by which streams are open there.
//!
//! Its writer cuts it back where the disk lost what was written, and goes on from there with a gap: how the last entry
//! begins is kept, and where that is not there any more all is read again.

use std::path::{Path, PathBuf};

use logboom_files::{
    FilesError,
    session::RunMeta,
    textlog::{Extent, TextEntry, TextMark, TextReader},
};
use logboom_record::{Entry, Flags, Gap, Outcome, RecordRef, RunId, Time};
use logboom_store::StoreError;

use crate::source::{Facts, RunFacts, failed};

/// How many entries a block has.
const BLOCK_RECORDS: u64 = 8_192;

/// By so many of its first bytes the last entry is known again: they hold its time and, of a gap, its seqs.
const LAST_BYTES: u64 = 256;

/// A text log.
pub(crate) struct TextSource {
    path: PathBuf,
    run: RunId,
    extent: Extent,
    blocks: Vec<Indexed>,
    end: TextMark,
    /// Where the last entry begins, and with what.
    last: (u64, Vec<u8>),
    /// The seq of the last entry, if that is a record.
    last_record: Option<u64>,
    /// From this seq on a ring has the records, whole.
    in_rings_from: Option<u64>,
    /// Which streams have an open line at the end.
    open: [bool; 3],
    /// How the run stood when that was last looked at: before the text was read to its end.
    state: (RunMeta, Outcome),
}

#[derive(Clone)]
struct Indexed {
    mark: TextMark,
    entries: u64,
    facts: Facts,
}

impl TextSource {
    /// Opens the text log of a run and reads it once.
    pub fn open(path: &Path, run: &RunMeta, outcome: Outcome) -> Result<TextSource, StoreError> {
        let mut source = TextSource {
            path: path.to_owned(),
            run: run.run.id,
            extent: extent(outcome),
            blocks: Vec::new(),
            end: TextMark::START,
            last: (0, Vec::new()),
            last_record: None,
            in_rings_from: None,
            open: [false; 3],
            state: (run.clone(), outcome),
        };
        source.refresh()?;
        Ok(source)
    }

    /// Notes how the run stands.
    pub fn set_state(&mut self, run: &RunMeta, outcome: Outcome) {
        self.extent = extent(outcome);
        self.state = (run.clone(), outcome);
    }

    /// What is missing at the end.
    fn missing(&self) -> Option<Gap> {
        let (run, outcome) = &self.state;
        let time = self.blocks.iter().map(|block| block.facts.times.1).max().unwrap_or(run.run.started_at);
        run.missing_from(self.end.seq, time, *outcome)
    }

    /// Whether its writer was killed, and nobody knows what it took with it.
    pub fn was_left(&self) -> bool {
        self.missing().is_some_and(|gap| gap.to.is_none())
    }

    /// Whether this is the log of the run.
    pub fn is_of(&self, run: RunId) -> bool {
        self.run == run
    }

    /// Reads what was appended. Tells whether it was cut back: what was known of its blocks holds no more.
    pub fn refresh(&mut self) -> Result<bool, StoreError> {
        let mut reader = self.reader(self.end)?;
        let cut = self.was_cut(&reader).map_err(|error| self.failed(error))?;
        if cut {
            self.start_again();
            reader.go_to(TextMark::START);
        }
        let mut last = None;
        loop {
            let mark = reader.mark();
            if self.in_rings_from.is_some_and(|from| mark.seq >= from) {
                break;
            }
            let Some(entry) = reader.next().map_err(|error| failed(&self.path, error))? else { break };
            let next = entry_next(&entry);
            note(&mut self.blocks, &mut self.open, mark, self.run, &entry, next);
            self.last_record = if let TextEntry::Record(record) = &entry { Some(record.seq) } else { None };
            self.end = reader.mark();
            last = Some(mark.offset);
        }
        if let Some(at) = last {
            let count = (self.end.offset - at).min(LAST_BYTES) as usize;
            self.last = (at, reader.bytes_at(at, count).map_err(|error| self.failed(error))?);
        }
        Ok(cut)
    }

    fn start_again(&mut self) {
        self.blocks.clear();
        (self.end, self.last, self.open) = (TextMark::START, (0, Vec::new()), [false; 3]);
        self.last_record = None;
    }

    /// The seq of the last record if that is of the batch that a dead writer had begun with this seq: a message of several
    /// lines may have been cut between two of them.
    pub fn cut_at(&self, begun: Option<u64>) -> Option<u64> {
        self.last_record.filter(|last| begun.is_some_and(|first| *last >= first))
    }

    /// Leaves the records from this seq on to rings, or, with `None`, none any more. Tells whether it has read too far.
    pub fn leave_to_rings(&mut self, from: Option<u64>) -> bool {
        self.in_rings_from = from;
        let is_too_far = from.is_some_and(|from| from < self.end.seq);
        if is_too_far {
            self.start_again();
        }
        is_too_far
    }

    fn was_cut(&self, reader: &TextReader) -> Result<bool, FilesError> {
        let (at, begins) = &self.last;
        let is_there = self.end.offset == 0 || (reader.has(*at, begins)? && reader.has(self.end.offset - 1, b"\n")?);
        Ok(!is_there)
    }

    fn reader(&self, mark: TextMark) -> Result<TextReader, StoreError> {
        let mut reader = TextReader::open(&self.path, self.run, self.extent).map_err(|error| self.failed(error))?;
        reader.go_to(mark);
        Ok(reader)
    }

    fn failed(&self, error: FilesError) -> StoreError {
        failed(&self.path, error)
    }

    /// What is known of each block, and after them of what is missing at the end.
    pub fn facts(&self) -> Vec<Facts> {
        let mut facts: Vec<Facts> = self.blocks.iter().map(|block| block.facts.clone()).collect();
        if let Some(last) = facts.last_mut() {
            last.joins_later = true; // it still grows
        }
        let time = facts.iter().map(|facts| facts.times.1).max().unwrap_or(self.state.0.run.started_at);
        let late = self.missing().into_iter().filter(|gap| gap.to.is_some()).collect();
        facts.push(Facts { times: (time, time), late, ..Facts::default() });
        facts
    }

    /// The run, as far as it goes.
    pub fn runs(&self) -> Vec<RunFacts> {
        let next_seq = self.missing().and_then(|gap| gap.to).map_or(self.end.seq, |to| to.saturating_add(1));
        let mut sum = RunFacts { id: self.run, first_seq: 1, next_seq, records: 0, lines: 0, levels: [0; 5] };
        for run in self.blocks.iter().flat_map(|block| &block.facts.runs) {
            (sum.records, sum.lines) = (sum.records + run.records, sum.lines + run.lines);
            sum.levels.iter_mut().zip(run.levels).for_each(|(sum, count)| *sum += count);
        }
        vec![sum]
    }

    /// Reads a block.
    pub fn read(&self, block: usize, into: &mut Vec<Entry>) -> Result<(), StoreError> {
        let block = &self.blocks[block];
        let mut reader = self.reader(block.mark)?;
        for _ in 0..block.entries {
            match reader.next().map_err(|error| self.failed(error))? {
                Some(TextEntry::Record(record)) => into.push(Entry::Record(record.to_owned())),
                Some(TextEntry::Gap(gap)) => into.push(Entry::Gap(gap)),
                None => break,
            }
        }
        Ok(())
    }
}

fn extent(outcome: Outcome) -> Extent {
    if outcome == Outcome::Running { Extent::Growing } else { Extent::Final }
}

fn entry_next(entry: &TextEntry<'_>) -> u64 {
    match entry {
        TextEntry::Record(record) => record.seq + 1,
        TextEntry::Gap(gap) => gap.to.map_or(gap.from, |to| to.saturating_add(1)),
    }
}

/// Counts an entry that starts at `mark` into the last block, or into a new one.
fn note(blocks: &mut Vec<Indexed>, open: &mut [bool; 3], mark: TextMark, run: RunId, entry: &TextEntry<'_>, next: u64) {
    let (time, seq) = match entry {
        TextEntry::Record(record) => (record.time, record.seq),
        TextEntry::Gap(gap) => (gap.time, gap.from),
    };
    if blocks.last().is_none_or(|block| block.entries >= BLOCK_RECORDS) {
        let joins = open.contains(&true);
        if let Some(last) = blocks.last_mut() {
            last.facts.joins_later = joins;
        }
        let runs = vec![RunFacts { id: run, first_seq: seq, next_seq: seq, records: 0, lines: 0, levels: [0; 5] }];
        let before = Time::from_micros(i64::MIN);
        let facts = Facts { joins_earlier: joins, times: (time, time), before, runs, ..Facts::default() };
        blocks.push(Indexed { mark, entries: 0, facts });
    }
    let Some(block) = blocks.last_mut() else { return };
    block.entries += 1;
    let facts = &mut block.facts;
    facts.times = (facts.times.0.min(time), facts.times.1.max(time));
    facts.runs[0].next_seq = next;
    match entry {
        TextEntry::Record(record) => count(facts, open, record),
        TextEntry::Gap(_) => {
            facts.has_gaps = true;
            *open = [false; 3];
        }
    }
}

fn count(facts: &mut Facts, open: &mut [bool; 3], record: &RecordRef<'_>) {
    let goes_on = record.flags.has(Flags::CONTINUED);
    open[record.stream as usize] = goes_on;
    facts.records += 1;
    facts.runs[0].records += 1;
    facts.runs[0].lines += u64::from(!goes_on);
    facts.runs[0].levels[record.level as usize] += 1;
}

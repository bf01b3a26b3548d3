//! One file of a session, boom file or text log, as blocks of entries.
//!
//! What can be told of a block without reading it is in its [`Facts`]. Damaged blocks show as holes in the seqs of a run: they
//! become gaps in front of the block after them ([`Facts::lead`]), and what is missing at the end, a killed writer's
//! unknown end included, the lead of a last block without records.

use std::{io, path::Path, time::SystemTime};

use logboom_boom::{
    BoomError,
    block::Block,
    format::BlockFlags,
    gram_query::GramQuery,
    reader::{BlockInfo, Reader, State},
};
use logboom_record::{Entry, EntryRef, Flags, Gap, Record, RecordRef, RunId, Time};
use logboom_store::StoreError;

use crate::text_source::TextSource;

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

/// What is read from.
pub(crate) enum Bytes {
    Boom(Box<Reader>),
    Text(Box<TextSource>),
    /// What a killed program left in its rings.
    Rings(Vec<Entry>),
    /// A boom file that is not kept open, since there are too many; it is sealed.
    Parked(Box<Path>),
}

/// A file of a session.
pub(crate) struct Source {
    pub bytes: Bytes,
    pub blocks: Vec<Facts>,
    /// The runs it has something of, and how much.
    pub runs: Vec<RunFacts>,
    /// What a killed writer took with it, as far as nobody else tells: nobody knows how much.
    pub open_gaps: Vec<Gap>,
    /// From when to when it was written, as far as that can be told.
    pub written: Written,
    /// Whether its writer had died when it was last looked at.
    pub is_abandoned: bool,
}

/// From when to when a file was written, by the file system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    from: Option<SystemTime>,
    /// Not before nothing can be added any more.
    to: Option<SystemTime>,
}

impl Written {
    fn of(reader: &Reader) -> Written {
        let Ok(file) = std::fs::metadata(reader.path()) else { return Written::default() };
        let to = if reader.state() == State::Sealed { file.modified().ok() } else { None };
        Written { from: file.created().ok(), to }
    }

    /// Whether all of it was written before anything of the other.
    pub fn is_before(&self, other: &Written) -> bool {
        self.to.zip(other.from).is_some_and(|(to, from)| to <= from)
    }
}

/// Memory to read blocks into.
#[derive(Default)]
pub(crate) struct Chunk {
    boom: Block,
    text: Vec<Entry>,
    is_text: bool,
    lead: Vec<Gap>,
    late: Vec<Gap>,
}

/// One entry of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A record, by its index among the records.
    Record(u32),
    /// A gap of the block, by its index among these.
    Gap(u32),
    /// A gap in front of the block.
    Lead(u32),
}

impl Source {
    /// What a boom file is, as its reader sees it now.
    pub fn of_boom(reader: Reader) -> Source {
        let bytes = Bytes::Parked(reader.path().into());
        let mut source = Source::empty(bytes);
        source.stock(&reader);
        source.bytes = Bytes::Boom(Box::new(reader));
        source
    }

    fn empty(bytes: Bytes) -> Source {
        let (written, is_abandoned) = (Written::default(), false);
        Source { bytes, blocks: Vec::new(), runs: Vec::new(), open_gaps: Vec::new(), written, is_abandoned }
    }

    /// What the rings of a killed program hold: a block for each run, whose records are in seq order.
    pub fn of_rings(records: Vec<Vec<Record>>) -> Source {
        let mut blocks: Vec<Facts> = records.iter().filter_map(|records| facts_of_records(records)).collect();
        let runs = blocks.iter().flat_map(|facts| facts.runs.clone()).collect();
        let end = blocks.iter().map(|facts| facts.times.1).max().unwrap_or_default();
        blocks.push(Facts { times: (end, end), ..Facts::default() });
        let entries = records.into_iter().flatten().map(Entry::Record).collect();
        Source { blocks, runs, ..Source::empty(Bytes::Rings(entries)) }
    }

    /// What rings hold, but for these records.
    pub fn rings_without(&self, is_left_out: impl Fn(RunId, u64) -> bool) -> Source {
        let Bytes::Rings(entries) = &self.bytes else { return Source::of_rings(Vec::new()) };
        let record = |entry: &Entry| match entry {
            Entry::Record(record) if !is_left_out(record.run, record.seq) => Some(record.clone()),
            _ => None,
        };
        let records: Vec<Record> = entries.iter().filter_map(record).collect();
        Source::of_rings(records.chunk_by(|a, b| a.run == b.run).map(<[Record]>::to_vec).collect())
    }

    /// The name of the boom file that it is.
    pub fn boom_name(&self) -> Option<&str> {
        let path = match &self.bytes {
            Bytes::Boom(reader) => reader.path(),
            Bytes::Parked(path) => path,
            Bytes::Text(_) | Bytes::Rings(_) => return None,
        };
        path.file_name()?.to_str()
    }

    /// Whether it tells what is missing of a run at its end, or that nothing is: rings have all that no file has.
    pub fn tells_end_of(&self, run: RunId) -> bool {
        let has_rest = matches!(self.bytes, Bytes::Rings(_)) && self.runs.iter().any(|known| known.id == run);
        has_rest || self.open_gaps.iter().any(|gap| gap.run == run)
    }

    fn stock(&mut self, reader: &Reader) {
        self.written = Written::of(reader);
        self.is_abandoned = reader.state() == State::Abandoned;
        self.blocks = reader.blocks().iter().map(facts_of).collect();
        let end = reader.totals().times.map_or(Time::default(), |(_, max)| max);
        self.blocks.push(Facts { times: (end, end), ..Facts::default() });
        self.open_gaps = open_gaps(reader);
        let run = |run: &logboom_boom::reader::RunSummary| RunFacts {
            id: run.id,
            first_seq: run.first_seq,
            next_seq: run.next_seq,
            records: run.records,
            lines: run.lines,
            levels: run.levels,
        };
        self.runs = reader.runs().iter().map(run).collect();
    }

    /// Sees what was added to the file. Tells whether it was cut back, so that its blocks are others now.
    pub fn refresh(&mut self) -> Result<bool, StoreError> {
        match &mut self.bytes {
            Bytes::Parked(_) | Bytes::Rings(_) => Ok(false),
            Bytes::Text(text) => {
                let cut = text.refresh()?;
                (self.blocks, self.runs) = (text.facts(), text.runs());
                Ok(cut)
            }
            Bytes::Boom(reader) => {
                let path = reader.path().to_owned();
                let changed = reader.refresh().map_err(|error| failed(&path, error))?;
                let state = reader.state();
                if changed || (state == State::Abandoned) != self.is_abandoned {
                    let Bytes::Boom(reader) = std::mem::replace(&mut self.bytes, Bytes::Parked(path.into())) else {
                        return Ok(false);
                    };
                    self.stock(&reader);
                    self.bytes = Bytes::Boom(reader);
                }
                Ok(false)
            }
        }
    }

    /// The seq of the run's next record, if it has something of it. `begun` is the first seq of the batch that a dead writer was
    /// writing: a last record of that may be there in part, and is not held.
    pub fn next_seq(&self, run: RunId, begun: Option<u64>) -> Option<u64> {
        let next_seq = self.runs.iter().find(|known| known.id == run)?.next_seq;
        let cut = if let Bytes::Text(text) = &self.bytes { text.cut_at(begun) } else { None };
        Some(cut.unwrap_or(next_seq))
    }

    /// Leaves a run's records from this seq on to rings that have them whole, if it is the run's text log; with `None` to none any
    /// more. Tells whether it has read too far, and its blocks are others once it is refreshed.
    pub fn leave_to_rings(&mut self, run: RunId, from: Option<u64>) -> bool {
        match &mut self.bytes {
            Bytes::Text(text) if text.is_of(run) => text.leave_to_rings(from),
            _ => false,
        }
    }

    /// Whether it is the boom file of this name, which its writer has left without sealing it.
    pub fn was_left(&self, name: &str) -> bool {
        let Bytes::Boom(reader) = &self.bytes else { return false };
        reader.state() == State::Abandoned && reader.path().file_name().is_some_and(|file| file == name)
    }

    /// Gives back the file descriptor, if nothing is added to the file any more.
    pub fn park(&mut self) {
        if let Bytes::Boom(reader) = &self.bytes
            && reader.state() == State::Sealed
        {
            self.bytes = Bytes::Parked(reader.path().into());
        }
    }

    /// Reads a block.
    pub fn read(&self, block: usize, into: &mut Chunk) -> Result<(), StoreError> {
        into.lead.clone_from(&self.blocks[block].lead);
        into.late.clone_from(&self.blocks[block].late);
        into.is_text = true;
        into.text.clear();
        if self.blocks[block].records == 0 && !self.blocks[block].has_gaps {
            return Ok(());
        }
        match &self.bytes {
            Bytes::Text(text) => text.read(block, &mut into.text),
            Bytes::Rings(entries) => {
                let of_run = |entry: &&Entry| self.blocks[block].runs.iter().any(|run| run.id == entry.run());
                into.text.extend(entries.iter().filter(of_run).cloned());
                Ok(())
            }
            Bytes::Boom(reader) => self.read_boom(reader, block, into),
            Bytes::Parked(path) => match Reader::open(path) {
                Ok(reader) => self.read_boom(&reader, block, into),
                // Its session was deleted meanwhile.
                Err(BoomError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(failed(path, error)),
            },
        }
    }

    fn read_boom(&self, reader: &Reader, block: usize, into: &mut Chunk) -> Result<(), StoreError> {
        match reader.read_into(block, &mut into.boom) {
            Ok(()) => into.is_text = false,
            Err(BoomError::Damaged { .. }) => into.text.extend(all_lost(&self.blocks[block])),
            Err(error) => return Err(failed(reader.path(), error)),
        }
        Ok(())
    }

    /// Which blocks may hold a line that these grams are in; `None` if nothing can be told.
    pub fn candidates(&self, grams: &GramQuery) -> Option<Vec<bool>> {
        match &self.bytes {
            Bytes::Boom(reader) if !grams.is_any() => {
                let set = reader.candidates(grams);
                Some((0..reader.blocks().len()).map(|block| set.contains(block)).collect())
            }
            Bytes::Parked(path) if !grams.is_any() => {
                let set = Reader::open(path).ok()?.candidates(grams);
                Some((0..self.blocks.len() - 1).map(|block| set.contains(block)).collect())
            }
            _ => None,
        }
    }
}

fn facts_of_records(records: &[Record]) -> Option<Facts> {
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

fn facts_of(info: &BlockInfo) -> Facts {
    let run = |run: &logboom_boom::format::RunInBlock| RunFacts {
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

/// The gaps of a killed writer, whose end nobody knows.
fn open_gaps(reader: &Reader) -> Vec<Gap> {
    match reader.state() {
        State::Abandoned => reader.gaps().into_iter().filter(|gap| gap.to.is_none()).collect(),
        _ => Vec::new(),
    }
}

/// What stands for the entries of a block that cannot be read.
fn all_lost(facts: &Facts) -> impl Iterator<Item = Entry> {
    let runs = facts.runs.iter().filter(|run| run.next_seq > run.first_seq);
    runs.map(|run| {
        let (run, from, to) = (run.id, run.first_seq, Some(run.next_seq - 1));
        Entry::Gap(Gap { run, from, to, time: facts.times.0, why: "damaged".to_owned() })
    })
}

/// What the layer below says, with the file that it says it of.
pub(crate) fn failed(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Files { action: "read", path: path.to_owned(), source: Box::new(error) }
}

impl Chunk {
    /// Decodes the entries. Where the columns contradict each other, whatever their checksums say, all of them are lost.
    pub fn decode(&mut self, facts: &Facts) {
        if !self.is_text && self.boom.records().is_err() {
            self.is_text = true;
            self.text.extend(all_lost(facts));
        }
    }

    /// The messages of all records, each with an LF, in any order; `None` where they are not at hand like that.
    pub fn whole_text(&self) -> Option<&[u8]> {
        (!self.is_text).then(|| self.boom.text())
    }

    /// Whether some message may hold ESC.
    pub fn has_ansi(&self) -> bool {
        self.is_text || self.boom.has_ansi()
    }

    /// Whether some message holds an LF.
    pub fn has_inner_newlines(&self) -> bool {
        self.is_text || self.boom.has_inner_newlines()
    }

    /// The records whose messages have these offsets of the text, in order, each once; none of a block that is lost.
    pub fn locate(&mut self, offsets: &[usize]) -> Result<Vec<u32>, StoreError> {
        if self.is_text {
            return Ok(Vec::new());
        }
        let records = self.boom.records().map_err(|error| failed(Path::new("a block"), error))?;
        let mut found: Vec<u32> =
            offsets.iter().filter_map(|offset| records.locate(*offset)).map(|record| record as u32).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Calls `each` with every entry in order, the lead first.
    pub fn walk(&mut self, mut each: impl FnMut(Item, EntryRef<'_>)) -> Result<(), StoreError> {
        for (at, gap) in (0..).zip(&self.lead) {
            each(Item::Lead(at), EntryRef::Gap(gap));
        }
        if self.is_text {
            for (at, entry) in (0..).zip(&self.text) {
                each(Item::Record(at), entry.as_ref());
            }
            return Ok(());
        }
        let (mut records, mut gaps) = (0.., 0..);
        for entry in self.boom.records().map_err(|error| failed(Path::new("a block"), error))?.entries() {
            let item = match entry {
                EntryRef::Record(_) => Item::Record(records.next().unwrap_or(0)),
                EntryRef::Gap(_) => Item::Gap(gaps.next().unwrap_or(0)),
            };
            if !matches!(entry, EntryRef::Gap(gap) if self.late.contains(gap)) {
                each(item, entry);
            }
        }
        Ok(())
    }

    /// One entry.
    pub fn get(&mut self, item: Item) -> Result<EntryRef<'_>, StoreError> {
        match item {
            Item::Lead(at) => Ok(EntryRef::Gap(&self.lead[at as usize])),
            Item::Record(at) if self.is_text => Ok(self.text[at as usize].as_ref()),
            Item::Gap(at) => Ok(EntryRef::Gap(&self.boom.gaps()[at as usize])),
            Item::Record(at) => {
                let records = self.boom.records().map_err(|error| failed(Path::new("a block"), error))?;
                Ok(EntryRef::Record(records.get(at as usize)))
            }
        }
    }
}

/// Whether the line goes on in another record.
pub(crate) fn goes_on(record: &RecordRef<'_>) -> bool {
    record.flags.has(Flags::CONTINUED)
}

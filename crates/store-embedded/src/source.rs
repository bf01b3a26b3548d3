//! One file of a session, boom file or text log, as blocks of entries.
//!
//! What can be told of a block without reading it is in its [`Facts`]. Damaged blocks show as holes in the seqs of a run: they
//! become gaps in front of the block after them ([`Facts::lead`]), and what is missing at the end, a killed writer's
//! unknown end included, the lead of a last block without records. Both are told by all files of a session: see `holes`.

mod chunk;
mod facts;

use std::{collections::HashSet, ffi::OsStr, io, path::Path, time::SystemTime};

use logboom_boom::{
    BoomError,
    gram_query::GramQuery,
    reader::{Reader, State},
};
use logboom_record::{Entry, Record, RunId, Time};
use logboom_store::StoreError;

pub(crate) use chunk::{Chunk, Item, goes_on};
pub(crate) use facts::{Facts, RunFacts};
use facts::{all_lost, facts_of, facts_of_records};

use crate::text_source::TextSource;

/// What is read from.
pub(crate) enum Bytes {
    Boom(Box<Reader>),
    Text(Box<TextSource>),
    /// What a killed program left in its rings.
    Rings(Vec<Entry>),
    /// A boom file that is not kept open, since there are too many; it is sealed.
    Parked(Box<Path>),
    /// Nothing, and why: the place of a run of which no file has anything.
    Lost(&'static str),
}

/// A file of a session.
pub(crate) struct Source {
    pub bytes: Bytes,
    pub blocks: Vec<Facts>,
    /// The runs it has something of, and how much.
    pub runs: Vec<RunFacts>,
    /// From when to when it was written, as far as that can be told.
    pub written: Written,
    /// How it stood when it was last looked at; of what is no boom file nothing is told by it.
    state: State,
    /// The runs that end in it.
    ended: HashSet<RunId>,
}

/// Why the end of a run is not known.
pub(crate) const KILLED: &str = "writer was killed";

/// What a source tells of the end of a run that it has something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is there, is yet to come, or comes by another way.
    Known,
    /// Nobody knows what was there, for this reason.
    Open(&'static str),
    /// Nothing.
    Untold,
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

impl Source {
    /// What is no boom file.
    pub fn of(bytes: Bytes, blocks: Vec<Facts>, runs: Vec<RunFacts>) -> Source {
        Source { bytes, blocks, runs, written: Written::default(), state: State::Sealed, ended: HashSet::new() }
    }

    /// What a boom file is, as its reader sees it now.
    pub fn of_boom(reader: Reader) -> Source {
        let mut source = Source::of(Bytes::Parked(reader.path().into()), Vec::new(), Vec::new());
        source.stock(&reader);
        source.bytes = Bytes::Boom(Box::new(reader));
        source
    }

    /// What the rings of a killed program hold: a block for each run, whose records are in seq order.
    pub fn of_rings(records: Vec<Vec<Record>>) -> Source {
        let mut blocks: Vec<Facts> = records.iter().filter_map(|records| facts_of_records(records)).collect();
        let runs = blocks.iter().flat_map(|facts| facts.runs.clone()).collect();
        let end = blocks.iter().map(|facts| facts.times.1).max().unwrap_or_default();
        blocks.push(Facts { times: (end, end), ..Facts::default() });
        let entries = records.into_iter().flatten().map(Entry::Record).collect();
        Source::of(Bytes::Rings(entries), blocks, runs)
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

    /// Whether it is a boom file.
    pub fn is_boom(&self) -> bool {
        matches!(self.bytes, Bytes::Boom(_) | Bytes::Parked(_))
    }

    fn stock(&mut self, reader: &Reader) {
        self.written = Written::of(reader);
        self.state = reader.state();
        self.blocks = reader.blocks().iter().map(facts_of).collect();
        let end = reader.totals().times.map_or(Time::default(), |(_, max)| max);
        self.blocks.push(Facts { times: (end, end), ..Facts::default() });
        let ended = reader.runs().iter().filter(|run| run.end.is_some());
        self.ended = ended.map(|run| run.id).collect();
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
            Bytes::Parked(_) | Bytes::Rings(_) | Bytes::Lost(_) => Ok(false),
            Bytes::Text(text) => {
                let cut = text.refresh()?;
                (self.blocks, self.runs) = (text.facts(), text.runs());
                Ok(cut)
            }
            Bytes::Boom(reader) => {
                let path = reader.path().to_owned();
                let changed = reader.refresh().map_err(|error| failed(&path, error))?;
                if changed || reader.state() != self.state {
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

    /// Whether it has records of the run, or tells that they are lost.
    pub fn tells_of(&self, run: RunId) -> bool {
        matches!(&self.bytes, Bytes::Text(text) if text.is_of(run)) || self.runs.iter().any(|known| known.id == run)
    }

    /// The name of the boom file that it is, unless that is parked.
    pub fn name(&self) -> Option<&OsStr> {
        if let Bytes::Boom(reader) = &self.bytes { reader.path().file_name() } else { None }
    }

    /// What it tells of the end of a run that it has something of, or that it is the own boom file of.
    pub fn end_of(&self, run: RunId) -> End {
        match (&self.bytes, self.state) {
            (Bytes::Rings(_), _) => End::Known,
            (Bytes::Lost(why), _) => End::Open(why),
            (Bytes::Text(text), _) if text.was_left() => End::Open(KILLED),
            (Bytes::Boom(_) | Bytes::Parked(_), _) if self.ended.contains(&run) => End::Known,
            (Bytes::Boom(_), State::Live) => End::Known,
            (Bytes::Boom(_), State::Abandoned) => End::Open(KILLED),
            _ => End::Untold,
        }
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
            Bytes::Lost(_) => Ok(()),
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

/// What the layer below says, with the file that it says it of.
pub(crate) fn failed(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Files { action: "read", path: path.to_owned(), source: Box::new(error) }
}

//! What a question is asked of: the files of the sessions in its scope, as they were at one moment.
//!
//! A run may go on from file to file. Where a line goes over the edge of a block, or where the clock stepped back, an
//! answer needs to look into other blocks of the run; what was found out that way is remembered.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use logboom_record::{EntryRef, Record, RecordRef, RunId, Stream, Time};
use logboom_store::{Query, StoreError};

use crate::{
    place::{Key, Mark, Seen},
    session::Open,
    source::{Chunk, Facts, Source, goes_on},
};

/// A block: session, source and block, each by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockAt {
    pub session: usize,
    pub source: usize,
    pub block: usize,
}

/// The sessions of a scope.
pub(crate) struct View {
    pub sessions: Vec<Open>,
    /// The runs of the scope that the query picks.
    pub picked: HashSet<RunId>,
    latest: Mutex<HashMap<(BlockAt, RunId), Time>>,
    open: Mutex<HashMap<(BlockAt, RunId, Stream), bool>>,
}

/// A part of a line in another block.
pub(crate) type FarPart = (Key, Record);

impl View {
    pub fn new(sessions: Vec<Open>, query: &Query) -> View {
        let runs = sessions.iter().flat_map(|session| session.runs_in(query.scope));
        let picked = runs.filter(|run| query.picks(run)).map(|run| run.id).collect();
        View { sessions, picked, latest: Mutex::default(), open: Mutex::default() }
    }

    pub fn source(&self, at: BlockAt) -> &Source {
        &self.sessions[at.session].sources[at.source]
    }

    pub fn facts(&self, at: BlockAt) -> &Facts {
        &self.source(at).blocks[at.block]
    }

    /// Reads a block, so that its text is at hand; its entries are, too, after [`View::decode`].
    pub fn read_text(&self, at: BlockAt, into: &mut Chunk) -> Result<(), StoreError> {
        self.source(at).read(at.block, into)
    }

    /// Decodes the entries of the block that `chunk` holds.
    pub fn decode(&self, at: BlockAt, chunk: &mut Chunk) {
        chunk.decode(self.facts(at));
    }

    /// Reads a block with its entries.
    pub fn read(&self, at: BlockAt, into: &mut Chunk) -> Result<(), StoreError> {
        self.read_text(at, into)?;
        self.decode(at, into);
        Ok(())
    }

    /// Every source, by session and source.
    pub fn sources(&self) -> impl Iterator<Item = (usize, usize)> {
        let sources = |(at, session): (usize, &Open)| (0..session.sources.len()).map(move |source| (at, source));
        self.sessions.iter().enumerate().flat_map(sources)
    }

    /// How much there is of the scope's runs, be they picked or not.
    pub fn seen(&self, query: &Query) -> Seen {
        let mut seen = Seen::default();
        for session in &self.sessions {
            let in_scope: HashSet<RunId> = session.runs_in(query.scope).map(|run| run.id).collect();
            for source in &session.sources {
                for run in source.runs.iter().filter(|run| in_scope.contains(&run.id)) {
                    let mark = seen.0.entry(run.id).or_insert(Mark::NONE);
                    mark.next = mark.next.max(run.next_seq);
                }
                for gap in source.blocks.iter().flat_map(|facts| &facts.lead).filter(|gap| in_scope.contains(&gap.run))
                {
                    seen.0.entry(gap.run).or_insert(Mark::NONE).open_gap |= gap.to.is_none();
                }
            }
        }
        seen
    }

    /// The latest time that a run had before a block, if that is later than the block's earliest; else something no later.
    pub fn latest_before(&self, at: BlockAt, run: RunId, side: &mut Chunk) -> Result<Time, StoreError> {
        let facts = self.facts(at);
        if facts.before <= facts.times.0 {
            return Ok(facts.times.0);
        }
        if let Some(known) = self.latest.lock().unwrap_or_else(PoisonError::into_inner).get(&(at, run)) {
            return Ok(*known);
        }
        let latest = self.find_latest_before(at, run, facts.times.0, side)?;
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert((at, run), latest);
        Ok(latest)
    }

    /// Looks into the blocks with the latest times first; those with one run tell without being read.
    fn find_latest_before(&self, at: BlockAt, run: RunId, floor: Time, side: &mut Chunk) -> Result<Time, StoreError> {
        let mut earlier = Vec::new();
        let mut here = at;
        while let Some(before) = self.before(here, run) {
            earlier.push((self.facts(before).times.1, before));
            here = before;
        }
        earlier.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        let mut latest = floor;
        for (time, block) in earlier {
            if time <= latest {
                break;
            }
            if self.facts(block).runs.len() == 1 {
                return Ok(time);
            }
            self.read(block, side)?;
            side.walk(|_, entry| {
                if entry.run() == run {
                    latest = latest.max(entry.time());
                }
            })?;
        }
        Ok(latest)
    }

    /// The block before this one that has something of the run.
    fn before(&self, at: BlockAt, run: RunId) -> Option<BlockAt> {
        let has = |source: &Source, block: usize| source.blocks[block].runs.iter().any(|known| known.id == run);
        let source = self.source(at);
        if let Some(block) = (0..at.block).rev().find(|block| has(source, *block)) {
            return Some(BlockAt { block, ..at });
        }
        let first = source.runs.iter().find(|known| known.id == run)?.first_seq;
        let sources = &self.sessions[at.session].sources;
        let next_seq = |source: &Source| source.runs.iter().find(|known| known.id == run).map(|known| known.next_seq);
        let others = (0..sources.len()).filter(|other| *other != at.source);
        let (_, other) = others
            .filter_map(|other| Some((next_seq(&sources[other])?, other)))
            .filter(|(next, _)| *next <= first)
            .max()?;
        let block = (0..sources[other].blocks.len()).rev().find(|block| has(&sources[other], *block))?;
        Some(BlockAt { source: other, block, ..at })
    }

    /// The block after this one that has something of the run.
    fn after(&self, at: BlockAt, run: RunId) -> Option<BlockAt> {
        let has = |source: &Source, block: usize| source.blocks[block].runs.iter().any(|known| known.id == run);
        let source = self.source(at);
        if let Some(block) = (at.block + 1..source.blocks.len()).find(|block| has(source, *block)) {
            return Some(BlockAt { block, ..at });
        }
        let next = source.runs.iter().find(|known| known.id == run)?.next_seq;
        let sources = &self.sessions[at.session].sources;
        let first_seq = |source: &Source| source.runs.iter().find(|known| known.id == run).map(|known| known.first_seq);
        let others = (0..sources.len()).filter(|other| *other != at.source);
        let (_, other) = others
            .filter_map(|other| Some((first_seq(&sources[other])?, other)))
            .filter(|(first, _)| *first >= next)
            .min()?;
        let block = (0..sources[other].blocks.len()).find(|block| has(&sources[other], *block))?;
        Some(BlockAt { source: other, block, ..at })
    }

    /// Whether a line of the stream is open where this block begins.
    pub fn is_open_before(
        &self,
        at: BlockAt,
        run: RunId,
        stream: Stream,
        side: &mut Chunk,
    ) -> Result<bool, StoreError> {
        if let Some(known) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&(at, run, stream)) {
            return Ok(*known);
        }
        let (mut here, mut open) = (at, false);
        while let Some(before) = self.before_with_parts(here, run) {
            self.read(before, side)?;
            let mut last = None;
            side.walk(|_, entry| last = last_of(&entry, run, stream).or(last))?;
            if let Some(last) = last {
                open = last;
                break;
            }
            here = before;
        }
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert((at, run, stream), open);
        Ok(open)
    }

    /// The nearest block before this one that may tell whether a line of the run is open; `None` if none can be.
    ///
    /// A line in parts is noted in every block that has one of its parts and not its end, or its end and not its start. So
    /// a block without such a note neither begins nor ends a line that is open after it.
    fn before_with_parts(&self, at: BlockAt, run: RunId) -> Option<BlockAt> {
        let mut here = at;
        loop {
            if self.facts(here).lead.iter().any(|gap| gap.run == run) {
                return None;
            }
            here = self.before(here, run)?;
            let facts = self.facts(here);
            if facts.joins_earlier || facts.joins_later || facts.has_gaps {
                return Some(here);
            }
        }
    }

    /// The first part, without its message, of the line that is open where this block begins. A line may be open over all
    /// blocks of a file (a progress bar), so what is found out is kept for each block on the way.
    pub fn head_before(
        &self,
        at: BlockAt,
        run: RunId,
        stream: Stream,
        side: &mut Chunk,
    ) -> Result<Option<Record>, StoreError> {
        let heads = || self.sessions[at.session].heads.lock().unwrap_or_else(PoisonError::into_inner);
        let key = |at: BlockAt| (at.source, at.block, run, stream);
        let (mut asked, mut here) = (Vec::new(), at);
        let head = loop {
            if let Some(known) = heads().get(&key(here)) {
                break known.clone();
            }
            asked.push(key(here));
            let is_open = self.is_open_before(here, run, stream, side)?;
            let Some(before) = self.before_with_parts(here, run).filter(|_| is_open) else { break None };
            if let Some(head) = self.last_head_in(before, run, stream, side)? {
                break Some(head);
            }
            here = before;
        };
        heads().extend(asked.into_iter().map(|key| (key, head.clone())));
        Ok(head)
    }

    /// The first part of the last line that a block has of the stream, if that line begins there.
    fn last_head_in(
        &self,
        at: BlockAt,
        run: RunId,
        stream: Stream,
        side: &mut Chunk,
    ) -> Result<Option<Record>, StoreError> {
        let (mut head, mut is_first) = (None, !self.is_open_before(at, run, stream, side)?);
        self.read(at, side)?;
        side.walk(|_, entry| match entry {
            EntryRef::Record(record) if record.run == run && record.stream == stream => {
                if is_first {
                    head = Some(RecordRef { message: &[], fields: None, ..record }.to_owned());
                }
                is_first = !goes_on(&record);
            }
            EntryRef::Gap(gap) if gap.run == run => is_first = true,
            _ => {}
        })?;
        Ok(head)
    }

    /// The parts in earlier blocks of the line that is open where this block begins; none if there is no such line.
    pub fn parts_before(
        &self,
        at: BlockAt,
        run: RunId,
        stream: Stream,
        side: &mut Chunk,
    ) -> Result<Vec<Record>, StoreError> {
        let (mut parts, mut here): (Vec<Record>, _) = (Vec::new(), at);
        while self.is_open_before(here, run, stream, side)? {
            let Some(before) = self.before_with_parts(here, run) else { break };
            self.read(before, side)?;
            let (mut found, mut starts): (Vec<Record>, bool) = (Vec::new(), false);
            side.walk(|_, entry| match entry {
                EntryRef::Record(record) if record.run == run && record.stream == stream => {
                    match goes_on(&record) {
                        true => found.push(record.to_owned()),
                        false => (found.clear(), starts = true).1,
                    };
                }
                EntryRef::Gap(gap) if gap.run == run => (found.clear(), starts = true).1,
                _ => {}
            })?;
            found.append(&mut parts);
            parts = found;
            if starts {
                break;
            }
            here = before;
        }
        Ok(parts)
    }

    /// The parts in later blocks of a line that is open at the end of this one, as far as they are seen.
    pub fn parts_after(
        &self,
        at: BlockAt,
        run: RunId,
        stream: Stream,
        seen: Mark,
        side: &mut Chunk,
    ) -> Result<Vec<FarPart>, StoreError> {
        let (mut parts, mut here, mut open) = (Vec::new(), at, true);
        while open {
            let Some(after) = self.after(here, run) else { break };
            let mut latest = self.latest_before(after, run, side)?;
            self.read(after, side)?;
            side.walk(|_, entry| {
                if entry.run() != run || !open {
                    return;
                }
                latest = latest.max(entry.time());
                match entry {
                    _ if entry.seq() >= seen.next => open = false,
                    EntryRef::Gap(_) => open = false,
                    EntryRef::Record(record) if record.stream == stream => {
                        parts.push((Key { time: latest, run, seq: record.seq }, record.to_owned()));
                        open = goes_on(&record);
                    }
                    EntryRef::Record(_) => {}
                }
            })?;
            here = after;
        }
        Ok(parts)
    }
}

/// What an entry says of whether a line of the stream is open after it.
fn last_of(entry: &EntryRef<'_>, run: RunId, stream: Stream) -> Option<bool> {
    match entry {
        EntryRef::Gap(gap) => (gap.run == run).then_some(false),
        EntryRef::Record(record) => (record.run == run && record.stream == stream).then(|| goes_on(record)),
    }
}

//! Which lines of one block pass a query.
//!
//! Most blocks are plain: every record is a line, and nothing but the text or the levels has to be looked at. In others
//! lines have parts, of which some may be in other blocks: a line belongs to the block that it starts in, which fetches the
//! rest of it from the blocks after. Readers of single entries ([`Unit::Entries`]) are given the parts that this block has
//! of every line that passes, wherever it starts.

use logboom_record::{EntryRef, Level, Record, RecordRef, RunId, Stream, Time};
use logboom_store::{Order, Query, StoreError, Streams, push_text};

use crate::{
    find::Finder,
    place::{Key, Mark, Place, Seen},
    source::{Chunk, Item, RunFacts, goes_on},
    view::{BlockAt, FarPart, View},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Lines that start in the block, with all their parts.
    Lines,
    /// The entries in the block of all lines that pass.
    Entries,
}

/// A line that passes, or what a block has of it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The place of its first entry in the block.
    pub key: Key,
    pub first: Item,
    /// Further parts in the block.
    pub more: Vec<(Key, Item)>,
    /// Parts in later blocks; only for [`Unit::Lines`].
    pub far: Vec<FarPart>,
    pub is_gap: bool,
}

/// Decides what passes.
pub(crate) struct Judge<'a> {
    pub view: &'a View,
    pub query: &'a Query,
    pub finder: Option<&'a Finder>,
    pub seen: &'a Seen,
    pub place: Place,
    pub unit: Unit,
}

/// A run while a block is walked through.
struct Walked {
    id: RunId,
    picked: bool,
    seen: Mark,
    latest: Time,
    /// The open line of each stream.
    open: [Slot; 3],
}

/// What is known of the open line of a stream.
#[derive(Clone, Copy)]
enum Slot {
    /// The stream has not been seen in this block.
    Unseen,
    /// No line is open.
    Closed,
    /// A line that does not pass.
    Refused,
    /// The line of this index among those being put together.
    Open(usize),
}

/// A line that is being put together.
struct Draft {
    line: Line,
    text: Vec<u8>,
    stream: Stream,
    run: usize,
    ended: bool,
}

impl Judge<'_> {
    /// The lines of the block that pass, in the order of the block. `chunk` holds the block, and afterwards its entries.
    pub fn lines(&self, at: BlockAt, chunk: &mut Chunk, side: &mut Chunk) -> Result<Vec<Line>, StoreError> {
        let is_plain = self.view.facts(at).is_plain();
        let found = match (self.finder.filter(|_| is_plain), chunk.whole_text()) {
            (Some(finder), Some(text)) => finder.lines(text, chunk.has_ansi(), chunk.has_inner_newlines()),
            _ => None,
        };
        if found.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        self.view.decode(at, chunk);
        match (is_plain, found.map(|offsets| chunk.locate(&offsets)).transpose()?) {
            (true, found) => self.plain(at, chunk, side, found),
            (false, _) => self.joined(at, chunk, side),
        }
    }

    /// How many lines of the block pass, where that can be told without reading it.
    pub fn count_unread(&self, at: BlockAt) -> Option<u64> {
        let facts = self.view.facts(at);
        if self.query.text.is_some() || !facts.is_plain() || !self.takes_whole(at) {
            return None;
        }
        let picked = facts.runs.iter().filter(|run| self.view.picked.contains(&run.id));
        Some(picked.flat_map(|run| &run.levels[self.query.level_min as usize..]).sum())
    }

    /// The same for a block whose text was read, where nothing else has to be looked at.
    pub fn count_text(&self, at: BlockAt, chunk: &Chunk) -> Option<u64> {
        let facts = self.view.facts(at);
        let every_run = facts.runs.iter().all(|run| self.view.picked.contains(&run.id));
        if !facts.is_plain() || !self.takes_whole(at) || !every_run || self.query.level_min != Level::Trace {
            return None;
        }
        let (finder, text) = (self.finder?, chunk.whole_text()?);
        let lines = finder.lines(text, chunk.has_ansi(), chunk.has_inner_newlines())?;
        (lines.is_empty() || !chunk.has_inner_newlines()).then_some(lines.len() as u64)
    }

    /// Whether nothing but run, level and text can keep a line of the block out.
    fn takes_whole(&self, at: BlockAt) -> bool {
        let (facts, query) = (self.view.facts(at), self.query);
        let in_time = query.since.is_none_or(|since| facts.times.0 >= since)
            && query.until.is_none_or(|until| facts.times.1 < until);
        let all_seen = |run: &RunFacts| run.next_seq <= self.seen.of(run.id).next;
        let in_seqs =
            |run: &RunFacts| run.first_seq >= query.seq_min && run.next_seq.saturating_sub(1) <= query.seq_max;
        query.streams == Streams::ALL
            && in_time
            && matches!(self.place, Place::Start | Place::End)
            && facts.runs.iter().all(|run| all_seen(run) && in_seqs(run))
    }

    fn walked(&self, at: BlockAt, side: &mut Chunk) -> Result<Vec<Walked>, StoreError> {
        let facts = self.view.facts(at);
        let mut ids: Vec<RunId> = facts.runs.iter().map(|run| run.id).collect();
        for gap in &facts.lead {
            if !ids.contains(&gap.run) {
                ids.push(gap.run);
            }
        }
        let walked = |id| {
            let (picked, seen) = (self.view.picked.contains(&id), self.seen.of(id));
            let latest = if picked { self.view.latest_before(at, id, side)? } else { Time::default() };
            Ok(Walked { id, picked, seen, latest, open: [Slot::Unseen; 3] })
        };
        ids.into_iter().map(walked).collect()
    }

    /// A block of which every record is a line; with `found` only these records are looked at.
    fn plain(
        &self,
        at: BlockAt,
        chunk: &mut Chunk,
        side: &mut Chunk,
        found: Option<Vec<u32>>,
    ) -> Result<Vec<Line>, StoreError> {
        let mut runs = self.walked(at, side)?;
        let (mut lines, mut last_run) = (Vec::new(), 0);
        let mut wanted = found.as_ref().map(|found| found.iter().copied().peekable());
        chunk.walk(|item, entry| {
            let is_wanted = match &mut wanted {
                Some(wanted) => wanted.next_if(|record| Item::Record(*record) == item).is_some(),
                None => true,
            };
            // Every entry moves its run's latest time on, be it wanted or not.
            let Some((_, key)) = advance(&mut runs, &mut last_run, &entry).filter(|_| is_wanted) else { return };
            let passes = match &entry {
                EntryRef::Gap(_) => self.passes_gap(&key, &entry),
                EntryRef::Record(record) => self.passes_head(&key, record) && self.has_text(record.message),
            };
            if passes {
                let is_gap = matches!(entry, EntryRef::Gap(_));
                lines.push(Line { key, first: item, more: Vec::new(), far: Vec::new(), is_gap });
            }
        })?;
        Ok(lines)
    }

    fn passes_gap(&self, key: &Key, gap: &EntryRef<'_>) -> bool {
        self.query.text.is_none()
            && self.query.covers(gap.time(), gap.seq())
            && self.place.admits(self.query.order, key)
    }

    /// Whether a line that starts with this record passes all but the text.
    fn passes_head(&self, key: &Key, head: &RecordRef<'_>) -> bool {
        suits(self.query, head) && self.place.admits(self.query.order, key)
    }

    fn has_text(&self, line: &[u8]) -> bool {
        self.query.text.as_ref().is_none_or(|text| text.matches(line))
    }

    /// A block in which lines have parts.
    fn joined(&self, at: BlockAt, chunk: &mut Chunk, side: &mut Chunk) -> Result<Vec<Line>, StoreError> {
        let mut runs = self.walked(at, side)?;
        let need = if self.unit == Unit::Entries { need(self.query) } else { Need::Nothing };
        let heads = heads(self.view, at, need, chunk, side)?;
        let (mut drafts, mut last_run): (Vec<Draft>, usize) = (Vec::new(), 0);
        chunk.walk(|item, entry| {
            let Some((run, key)) = advance(&mut runs, &mut last_run, &entry) else { return };
            match &entry {
                EntryRef::Gap(_) => self.take_gap(&mut runs[run], &mut drafts, (item, key), &entry),
                EntryRef::Record(record) => self.take_record(&mut runs, run, &mut drafts, &heads, (item, key), record),
            }
        })?;
        self.finish(at, &runs, drafts, side)
    }

    fn take_gap(&self, run: &mut Walked, drafts: &mut Vec<Draft>, (item, key): (Item, Key), gap: &EntryRef<'_>) {
        for slot in std::mem::replace(&mut run.open, [Slot::Closed; 3]) {
            if let Slot::Open(draft) = slot {
                drafts[draft].ended = true;
            }
        }
        if self.passes_gap(&key, gap) {
            let line = Line { key, first: item, more: Vec::new(), far: Vec::new(), is_gap: true };
            drafts.push(Draft { line, text: Vec::new(), stream: Stream::System, run: 0, ended: true });
        }
    }

    fn take_record(
        &self,
        runs: &mut [Walked],
        run: usize,
        drafts: &mut Vec<Draft>,
        heads: &[OpenHead],
        (item, key): (Item, Key),
        record: &RecordRef<'_>,
    ) {
        let slot = &mut runs[run].open[record.stream as usize];
        match *slot {
            Slot::Open(draft) => drafts[draft].add(item, key, record, self.query.text.is_some()),
            Slot::Refused => {}
            Slot::Closed | Slot::Unseen => {
                let is_first = matches!(slot, Slot::Unseen);
                let is_its = |head: &&OpenHead| is_first && head.0 == record.run && head.1 == record.stream;
                let earlier = heads.iter().find(is_its).map(|(_, _, parts)| &parts[..]);
                let draft = self.draft((item, key), record, run, earlier);
                *slot = if draft.is_some() { Slot::Open(drafts.len()) } else { Slot::Refused };
                drafts.extend(draft);
            }
        }
        if !goes_on(record) {
            if let Slot::Open(draft) = *slot {
                drafts[draft].ended = true;
            }
            *slot = Slot::Closed;
        }
    }

    /// The line whose first part in this block a record is, if it passes as far as can be told yet; `earlier` are its parts
    /// in earlier blocks, if it starts there.
    fn draft(
        &self,
        (first, key): (Item, Key),
        record: &RecordRef<'_>,
        run: usize,
        earlier: Option<&[Record]>,
    ) -> Option<Draft> {
        let passes = match earlier {
            None => self.passes_head(&key, record),
            Some(parts) => self.passes_from_earlier(&key, record.stream, parts),
        };
        let mut text: Vec<u8> = Vec::new();
        if passes && self.query.text.is_some() {
            earlier.unwrap_or_default().iter().for_each(|part| push_text(&mut text, &part.message));
            push_text(&mut text, record.message);
        }
        let line = Line { key, first, more: Vec::new(), far: Vec::new(), is_gap: false };
        passes.then_some(Draft { line, text, stream: record.stream, run, ended: false })
    }

    /// Whether what a block has of a line that starts in an earlier one is wanted, the text aside.
    fn passes_from_earlier(&self, key: &Key, stream: Stream, parts: &[Record]) -> bool {
        self.unit == Unit::Entries
            && self.query.streams.has(stream)
            && parts.first().is_none_or(|head| suits(self.query, &head.as_ref()))
            && self.place.admits(self.query.order, key)
    }

    /// Fetches what lines have in later blocks, and looks for the text.
    fn finish(
        &self,
        at: BlockAt,
        runs: &[Walked],
        drafts: Vec<Draft>,
        side: &mut Chunk,
    ) -> Result<Vec<Line>, StoreError> {
        let joins_later = self.view.facts(at).joins_later;
        let mut lines = Vec::new();
        for mut draft in drafts {
            if !draft.ended && joins_later && (self.unit == Unit::Lines || self.query.text.is_some()) {
                let run = &runs[draft.run];
                draft.line.far = self.view.parts_after(at, run.id, draft.stream, run.seen, side)?;
                if self.query.text.is_some() {
                    draft.line.far.iter().for_each(|(_, part)| push_text(&mut draft.text, &part.message));
                }
            }
            if draft.line.is_gap || self.has_text(&draft.text) {
                lines.push(draft.line);
            }
        }
        Ok(lines)
    }
}

impl Draft {
    fn add(&mut self, item: Item, key: Key, record: &RecordRef<'_>, has_text: bool) {
        self.line.more.push((key, item));
        if has_text {
            push_text(&mut self.text, record.message);
        }
    }
}

/// Moves on to an entry: its run and its place, or `None` if it is not picked or not seen.
fn advance(runs: &mut [Walked], last: &mut usize, entry: &EntryRef<'_>) -> Option<(usize, Key)> {
    let id = entry.run();
    if runs.get(*last).is_none_or(|run| run.id != id) {
        *last = runs.iter().position(|run| run.id == id)?;
    }
    let run = &mut runs[*last];
    run.latest = run.latest.max(entry.time());
    let is_open_gap = matches!(entry, EntryRef::Gap(gap) if gap.to.is_none());
    let seen = if is_open_gap { run.seen.open_gap } else { entry.seq() < run.seen.next };
    let key = Key { time: run.latest, run: id, seq: entry.seq() };
    (run.picked && seen).then_some((*last, key))
}

/// Whether a line that starts with this record passes all that is asked of its first part but the run.
pub(crate) fn suits(query: &Query, head: &RecordRef<'_>) -> bool {
    head.level >= query.level_min && query.streams.has(head.stream) && query.covers(head.time, head.seq)
}

/// What is asked about a line beside its run and stream.
pub(crate) fn need(query: &Query) -> Need {
    let all = Query::new(query.scope);
    let starts = |query: &Query| (query.level_min, query.since, query.until, query.seq_min, query.seq_max);
    match query.text {
        Some(_) => Need::Parts,
        None if starts(query) != starts(&all) => Need::Head,
        None => Need::Nothing,
    }
}

/// What has to be known of lines that began before a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// That they are open.
    Nothing,
    /// Their first part.
    Head,
    /// All their parts.
    Parts,
}

/// A line that goes on into a block: its run and stream, and what is needed of its parts in earlier blocks.
pub(crate) type OpenHead = (RunId, Stream, Vec<Record>);

/// The lines that go on into the block that `chunk` holds.
pub(crate) fn heads(
    view: &View,
    at: BlockAt,
    need: Need,
    chunk: &mut Chunk,
    side: &mut Chunk,
) -> Result<Vec<OpenHead>, StoreError> {
    let mut heads = Vec::new();
    if !view.facts(at).joins_earlier {
        return Ok(heads);
    }
    for (run, stream) in first_streams(view, chunk)? {
        if view.is_open_before(at, run, stream, side)? {
            let parts = match need {
                Need::Nothing => Vec::new(),
                Need::Head => view.head_before(at, run, stream, side)?.into_iter().collect(),
                Need::Parts => view.parts_before(at, run, stream, side)?,
            };
            heads.push((run, stream, parts));
        }
    }
    Ok(heads)
}

/// The streams that have a record in front of every gap of their run.
fn first_streams(view: &View, chunk: &mut Chunk) -> Result<Vec<(RunId, Stream)>, StoreError> {
    let (mut first, mut cut): (Vec<(RunId, Stream)>, Vec<RunId>) = (Vec::new(), Vec::new());
    let mut last = None;
    chunk.walk(|_, entry| match entry {
        EntryRef::Gap(gap) => cut.push(gap.run),
        EntryRef::Record(record) => {
            let stream = (record.run, record.stream);
            let is_known = last == Some(stream) || first.contains(&stream) || cut.contains(&record.run);
            last = Some(stream);
            if !is_known && view.picked.contains(&record.run) {
                first.push(stream);
            }
        }
    })?;
    Ok(first)
}

/// Sorts lines into an order.
pub(crate) fn sort(order: Order, lines: &mut [Line]) {
    lines.sort_by_key(|line| line.key);
    if order == Order::Newest {
        lines.reverse();
    }
}

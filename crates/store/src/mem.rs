//! The model: a store in memory, as simple as it can be and keep every promise.
//!
//! One vector of entries in the order of commit, and linear scans over it. Every answer is made from scratch: put the
//! entries seen into lines, sort, filter, cut. What another back end answers must be equal, which is what this one is for;
//! it is also handy for tests of whoever uses a [`Store`]. A cursor is how many entries the walk sees, and a place.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use logboom_record::{Entry, Flags, Run, RunEnd, RunId, Stream, Time};

use crate::{
    Cursor, Depth, Order, Page, Query, RunQuery, RunState, Scope, Store, StoreError, Wake,
    batch::{next_seq, refuse_large, what_is_new},
    mem_cursor::{At, Key, Place},
    push_text,
};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Mem {
    held: Mutex<Held>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    runs: Vec<Run>,
    log: Vec<Entry>,
}

impl Mem {
    /// An empty store.
    pub fn new() -> Mem {
        Mem::default()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Mem {
    fn start_run(&self, run: &Run) -> Result<(), StoreError> {
        let mut held = self.held();
        if let Ok(known) = held.run(run.id) {
            let same = Run { end: known.end.clone(), ..run.clone() } == *known;
            return if same { Ok(()) } else { Err(StoreError::RunExists { run: run.id }) };
        }
        if let Some(parent) = run.parent {
            let root = held.run(held.root(parent)?)?;
            if root.end.is_some() {
                return Err(StoreError::RunEnded { run: root.id });
            }
        }
        held.runs.push(run.clone());
        Ok(())
    }

    fn append(&self, batch: &[Entry]) -> Result<(), StoreError> {
        let mut held = self.held();
        let mut added: Vec<Entry> = Vec::new();
        for entry in batch {
            let run = held.run(entry.run())?;
            let next =
                held.log.iter().chain(&added).filter(|held| held.run() == run.id).map(next_seq).max().unwrap_or(1);
            refuse_large(entry)?;
            let Some((entry, _)) = what_is_new(entry, next)? else { continue };
            if run.end.is_some() {
                return Err(StoreError::RunEnded { run: run.id });
            }
            added.push(entry);
        }
        held.log.append(&mut added);
        self.grown.notify_all();
        Ok(())
    }

    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), StoreError> {
        let mut held = self.held();
        held.run(id)?;
        held.runs
            .iter_mut()
            .filter(|run| run.id == id && run.end.is_none())
            .for_each(|run| run.end = Some(end.clone()));
        self.grown.notify_all();
        Ok(())
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<RunState>, StoreError> {
        let held = self.held();
        let mut runs = held.scope(query.scope)?;
        runs.retain(|run| query.depth == Depth::Every || run.parent.is_none());
        runs.sort_by_key(|run| (run.started_at, run.id));
        if query.order == Order::Newest {
            runs.reverse();
        }
        Ok(runs.into_iter().take(query.runs_max).map(|run| held.state(run)).collect())
    }

    fn page(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, StoreError> {
        let held = self.held();
        let first = if query.order == Order::Oldest { Place::Start } else { Place::End };
        let at = cursor.map_or(Ok(At { seen: held.log.len(), place: first }), At::decode)?;
        match (query.order, &at.place) {
            (Order::Oldest, Place::End) if cursor.is_some() => held.follow(query, at.seen),
            _ => held.history(query, at),
        }
    }

    fn wait(&self, query: &Query, cursor: &Cursor, deadline: Instant) -> Result<Wake, StoreError> {
        let at = At::decode(cursor)?;
        let mut held = self.held();
        loop {
            if let Some(wake) = held.wake(query.scope, &at)? {
                return Ok(wake);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Wake::Deadline);
            }
            held = self.grown.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A line of history: the places of its parts in the log, and its own place in the order.
struct Line {
    parts: Vec<usize>,
    key: Key,
}

impl Held {
    fn run(&self, id: RunId) -> Result<&Run, StoreError> {
        self.runs.iter().find(|run| run.id == id).ok_or(StoreError::UnknownRun { run: id })
    }

    fn root(&self, id: RunId) -> Result<RunId, StoreError> {
        self.run(id)?.parent.map_or(Ok(id), |parent| self.root(parent))
    }

    fn scope(&self, scope: Scope) -> Result<Vec<&Run>, StoreError> {
        match scope {
            Scope::All => Ok(self.runs.iter().collect()),
            Scope::Run(id) => Ok(vec![self.run(id)?]),
            Scope::Session(id) if self.run(id)?.parent.is_some() => Err(StoreError::UnknownRun { run: id }),
            Scope::Session(id) => {
                Ok(self.runs.iter().filter(|run| self.root(run.id).is_ok_and(|root| root == id)).collect())
            }
        }
    }

    fn state(&self, run: &Run) -> RunState {
        let mut state = RunState { run: run.clone(), records: 0, lines: 0, lost: 0, lost_more: false, levels: [0; 5] };
        for entry in self.log.iter().filter(|entry| entry.run() == run.id) {
            match entry {
                Entry::Gap(gap) => state.lost += next_seq(entry) - gap.from,
                Entry::Record(record) => {
                    state.records += 1;
                    state.lines += u64::from(!record.flags.has(Flags::CONTINUED));
                    state.levels[record.level as usize] += 1;
                }
            }
        }
        state
    }

    fn wake(&self, scope: Scope, at: &At) -> Result<Option<Wake>, StoreError> {
        let runs = self.scope(scope)?;
        let new = self.log.iter().skip(at.seen).any(|entry| runs.iter().any(|run| run.id == entry.run()));
        if new || at.place != Place::End {
            return Ok(Some(Wake::Entries));
        }
        let ended = scope != Scope::All && runs.iter().all(|run| run.end.is_some());
        Ok(ended.then_some(Wake::Ended))
    }

    /// Where each of the first `seen` entries stands in history.
    fn keys(&self, seen: usize) -> Vec<Key> {
        let mut latest: HashMap<RunId, Time> = HashMap::new();
        let key = |entry: &Entry| {
            let time = latest.entry(entry.run()).or_insert(entry.time());
            *time = entry.time().max(*time);
            Key { time: *time, run: entry.run(), seq: entry.seq() }
        };
        self.log[..seen].iter().map(key).collect()
    }

    /// The first `seen` entries put into lines. A gap is a line, and the end of every line of its run.
    fn lines(&self, seen: usize) -> Vec<Line> {
        let keys = self.keys(seen);
        let mut lines: Vec<Line> = Vec::new();
        let mut open: HashMap<(RunId, Stream), usize> = HashMap::new();
        for (at, entry) in self.log[..seen].iter().enumerate() {
            let stream = match entry {
                Entry::Record(record) => record.stream,
                Entry::Gap(gap) => {
                    open.retain(|(run, _), _| *run != gap.run);
                    lines.push(Line { parts: vec![at], key: keys[at] });
                    continue;
                }
            };
            let line = *open.entry((entry.run(), stream)).or_insert(lines.len());
            match lines.get_mut(line) {
                Some(line) => line.parts.push(at),
                None => lines.push(Line { parts: vec![at], key: keys[at] }),
            }
            if !self.goes_on(at) {
                open.remove(&(entry.run(), stream));
            }
        }
        lines
    }

    fn goes_on(&self, at: usize) -> bool {
        matches!(&self.log[at], Entry::Record(record) if record.flags.has(Flags::CONTINUED))
    }

    /// Whether a line passes everything but the text.
    fn passes(&self, query: &Query, runs: &[&Run], line: &Line) -> bool {
        let first = &self.log[line.parts[0]];
        let in_scope = runs.iter().any(|run| run.id == first.run() && query.picks(run));
        in_scope
            && query.covers(first.time(), first.seq())
            && match first {
                Entry::Record(record) => query.streams.has(record.stream) && record.level >= query.level_min,
                Entry::Gap(_) => query.text.is_none(),
            }
    }

    fn has_text(&self, query: &Query, line: &Line) -> bool {
        let mut whole = Vec::new();
        for at in &line.parts {
            if let Entry::Record(record) = &self.log[*at] {
                push_text(&mut whole, &record.message);
            }
        }
        query.text.as_ref().is_none_or(|text| text.matches(&whole))
    }

    fn history(&self, query: &Query, at: At) -> Result<Page, StoreError> {
        let runs = self.scope(query.scope)?;
        let mut lines = self.lines(at.seen.min(self.log.len()));
        lines.retain(|line| at.place.admits(query.order, &line.key));
        lines.retain(|line| self.passes(query, &runs, line) && self.has_text(query, line));
        lines.sort_by_key(|line| line.key);
        if query.order == Order::Newest {
            lines.reverse();
        }
        let more = lines.len() > query.lines_max.max(1);
        lines.truncate(query.lines_max.max(1));
        let place = match (query.order, lines.last()) {
            (Order::Oldest, Some(line)) if more => Place::After(line.key),
            (Order::Newest, Some(line)) if more => Place::Before(line.key),
            (Order::Oldest, _) => Place::End,
            (Order::Newest, _) => Place::Start,
        };
        let end = At { seen: at.seen, place: Place::End }.encode();
        let cursor = At { seen: at.seen, place }.encode();
        Ok(Page { entries: self.in_order(query.order, at.seen, &lines), cursor, end, more })
    }

    fn in_order(&self, order: Order, seen: usize, lines: &[Line]) -> Vec<Entry> {
        let keys = self.keys(seen);
        let mut parts: Vec<usize> = lines.iter().flat_map(|line| line.parts.iter().copied()).collect();
        parts.sort_by_key(|part| keys[*part]);
        if order == Order::Newest {
            parts.reverse();
        }
        parts.into_iter().map(|part| self.log[part].clone()).collect()
    }

    fn follow(&self, query: &Query, seen: usize) -> Result<Page, StoreError> {
        let runs = self.scope(query.scope)?;
        let (mut entries, mut given, mut goes_on_at) = (Vec::new(), 0, self.log.len());
        for at in seen..self.log.len() {
            let mut lines = self.committed_by(query, at);
            lines.retain(|line| self.passes(query, &runs, line) && self.has_text(query, line));
            if given > 0 && given + lines.len() > query.lines_max.max(1) {
                goes_on_at = at;
                break;
            }
            given += lines.len();
            for line in lines {
                let parts = if query.text.is_some() { line.parts.as_slice() } else { &[at] };
                entries.extend(parts.iter().map(|part| self.log[*part].clone()));
            }
        }
        let cursor = At { seen: goes_on_at, place: Place::End }.encode();
        Ok(Page { entries, end: cursor.clone(), cursor, more: goes_on_at < self.log.len() })
    }

    /// The lines that entry `at` has something to say of: without a text, the line it is a part of; with one, those whose
    /// last part it is, since only then is their text known. A gap is the end of every line of its run.
    fn committed_by(&self, query: &Query, at: usize) -> Vec<Line> {
        let (before, after) = (self.lines(at), self.lines(at + 1));
        let entry = &self.log[at];
        match entry {
            Entry::Gap(gap) if query.text.is_some() => {
                let cut = |line: &Line| {
                    let last = line.parts[line.parts.len() - 1];
                    self.log[last].run() == gap.run && self.goes_on(last) && !self.followed(last, at)
                };
                before.into_iter().filter(cut).collect()
            }
            Entry::Record(_) if query.text.is_some() && self.goes_on(at) => Vec::new(),
            _ => after.into_iter().filter(|line| line.parts.contains(&at)).collect(),
        }
    }

    /// Whether the run had a gap after entry `last` and before entry `at`, which then was the end of its line.
    fn followed(&self, last: usize, at: usize) -> bool {
        self.log[last + 1..at].iter().any(|entry| matches!(entry, Entry::Gap(gap) if gap.run == self.log[last].run()))
    }
}

//! What was committed after a walk's end, in the order of commit.
//!
//! Each file has its own order of commit; files that were written at once are merged by the times of what comes next in
//! each. Parts of lines come at once, unless a text is looked for: then a line comes whole when its last part does.

use std::collections::{BTreeMap, VecDeque};

use logboom_record::{Entry, EntryRef, Gap, Record, RecordRef, RunId, Stream, Time};
use logboom_store::{Page, Query, StoreError, push_text};

use crate::{
    lines,
    place::{At, Mark, Place, Seen},
    source::{Chunk, Facts, goes_on},
    view::{BlockAt, View},
};

/// What an entry gives to a follower: nothing, itself, or the lines that it ends.
struct Step {
    run: RunId,
    seq: u64,
    mark: Mark,
    time: Time,
    given: Vec<Vec<Entry>>,
}

/// The page after what is seen.
pub(crate) fn page(view: &View, query: &Query, mut seen: Seen) -> Result<Page, StoreError> {
    let follower = |(session, source)| Follower {
        view,
        query,
        session,
        source,
        block: first_new(view, &seen, session, source),
        steps: VecDeque::new(),
    };
    let mut files: Vec<Follower<'_>> = view.sources().map(follower).collect();
    let lines_max = query.lines_max.max(1);
    let (mut entries, mut given, mut memory) = (Vec::new(), 0, (Chunk::default(), Chunk::default()));
    let more = loop {
        for file in &mut files {
            file.fill(&seen, &mut memory)?;
        }
        let Some(file) = next_file(&files, &seen) else { break false };
        let fits = |step: &mut Step| given == 0 || given + step.given.len() <= lines_max;
        let Some(step) = files[file].steps.pop_front_if(fits) else { break true };
        given += step.given.len();
        entries.extend(step.given.into_iter().flatten());
        seen.0.insert(step.run, step.mark);
    };
    let cursor = At { seen, place: Place::End }.encode();
    Ok(Page { entries, end: cursor.clone(), cursor, more })
}

/// The file whose next entry comes next: the earliest, but none before those of files that were complete when its own was
/// begun, and never out of its run's order.
fn next_file(files: &[Follower<'_>], seen: &Seen) -> Option<usize> {
    let written = |file: &Follower<'_>| file.view.sessions[file.session].sources[file.source].written;
    let may_be_next = |at: &usize| {
        let file = &files[*at];
        let is_after = |other: &&Follower<'_>| {
            other.session == file.session && !other.steps.is_empty() && written(other).is_before(&written(file))
        };
        let goes_on = |step: &Step| step.seq <= seen.of(step.run).next;
        file.steps.front().is_some_and(goes_on) && !files.iter().any(|other| is_after(&other))
    };
    let time = |at: &usize| files[*at].steps.front().map(|step| step.time);
    let next = (0..files.len()).filter(may_be_next).min_by_key(time);
    // Where files contradict each other (one was copied over another) it is still better to go on than to stop.
    next.or_else(|| (0..files.len()).filter(|at| !files[*at].steps.is_empty()).min_by_key(time))
}

/// Whether anything was committed after what is seen.
pub(crate) fn is_news(view: &View, query: &Query, seen: &Seen) -> bool {
    let now = view.seen(query);
    now.0.iter().any(|(run, mark)| {
        let known = seen.of(*run);
        mark.next > known.next || (mark.open_gap && !known.open_gap)
    })
}

/// The first block of a file that has something unseen.
fn first_new(view: &View, seen: &Seen, session: usize, source: usize) -> usize {
    let blocks = &view.sessions[session].sources[source].blocks;
    let is_new = |facts: &Facts| {
        facts.runs.iter().any(|run| run.next_seq > seen.of(run.id).next)
            || facts.lead.iter().any(|gap| is_new_gap(gap, seen))
    };
    blocks.iter().position(is_new).unwrap_or(blocks.len())
}

fn is_new_gap(gap: &Gap, seen: &Seen) -> bool {
    let known = seen.of(gap.run);
    gap.to.map_or(!known.open_gap, |to| to >= known.next)
}

/// Of a gap whose first records were seen before the disk lost them, the rest.
fn unseen_rest(entry: &EntryRef<'_>, seen: &Seen) -> Option<Gap> {
    let (EntryRef::Gap(gap), known) = (entry, seen.of(entry.run())) else { return None };
    let is_part = gap.from < known.next && gap.to.is_some_and(|to| to >= known.next);
    is_part.then(|| Gap { from: known.next, ..(*gap).clone() })
}

/// A file that is followed.
struct Follower<'a> {
    view: &'a View,
    query: &'a Query,
    session: usize,
    source: usize,
    /// The next block to read.
    block: usize,
    steps: VecDeque<Step>,
}

/// The open lines of a block by run and stream: their parts so far where a text is looked for, else their first one; nothing
/// where it does not matter.
type OpenLines = BTreeMap<(RunId, Stream), Vec<Record>>;

impl Follower<'_> {
    /// Reads blocks until there is something to give. Of a block no more is taken than a page can have.
    fn fill(&mut self, seen: &Seen, (chunk, side): &mut (Chunk, Chunk)) -> Result<(), StoreError> {
        let blocks = self.view.sessions[self.session].sources[self.source].blocks.len();
        while self.steps.is_empty() && self.block < blocks {
            let at = BlockAt { session: self.session, source: self.source, block: self.block };
            self.view.read(at, chunk)?;
            let mut open = self.open_lines(at, chunk, side)?;
            let (mut steps, mut given) = (VecDeque::new(), 0);
            chunk.walk(|_, entry| {
                let rest = unseen_rest(&entry, seen);
                let entry = rest.as_ref().map_or(entry, EntryRef::Gap);
                let mark = unseen(&entry, seen);
                if given > self.query.lines_max.max(1) {
                    return;
                }
                let lines = self.advance(&mut open, &entry, mark.is_some());
                if let Some(mark) = mark {
                    given += lines.len();
                    steps.push_back(Step {
                        run: entry.run(),
                        seq: entry.seq(),
                        mark,
                        time: entry.time(),
                        given: lines,
                    });
                }
            })?;
            self.steps = steps;
            self.block += 1;
        }
        Ok(())
    }

    /// The lines that are open where the block begins and matter in it.
    fn open_lines(&self, at: BlockAt, chunk: &mut Chunk, side: &mut Chunk) -> Result<OpenLines, StoreError> {
        let heads = lines::heads(self.view, at, lines::need(self.query), chunk, side)?;
        let mut open: OpenLines = heads.into_iter().map(|(run, stream, parts)| ((run, stream), parts)).collect();
        if self.query.text.is_none() {
            return Ok(open);
        }
        // A gap ends lines of which the block has no part, and only then is their text known.
        let mut cut: Vec<RunId> = Vec::new();
        chunk.walk(|_, entry| {
            if matches!(entry, EntryRef::Gap(_)) && self.view.picked.contains(&entry.run()) {
                cut.push(entry.run());
            }
        })?;
        cut.dedup();
        for (run, stream) in cut.into_iter().flat_map(|run| Stream::ALL.map(|stream| (run, stream))) {
            if !open.contains_key(&(run, stream)) && self.view.is_open_before(at, run, stream, side)? {
                open.insert((run, stream), self.view.parts_before(at, run, stream, side)?);
            }
        }
        Ok(open)
    }

    /// Moves over an entry: the lines that it gives, if it is new.
    fn advance(&self, open: &mut OpenLines, entry: &EntryRef<'_>, is_new: bool) -> Vec<Vec<Entry>> {
        if !self.view.picked.contains(&entry.run()) {
            return Vec::new();
        }
        match entry {
            EntryRef::Gap(gap) => {
                let mut cut: Vec<Vec<Record>> =
                    Stream::ALL.iter().filter_map(|stream| open.remove(&(gap.run, *stream))).collect();
                if self.query.text.is_none() {
                    let passes = is_new && self.query.covers(gap.time, gap.from);
                    return if passes { vec![vec![entry.to_owned()]] } else { Vec::new() };
                }
                cut.sort_by_key(|parts| parts.first().map(|first| first.seq));
                cut.into_iter().filter_map(|parts| self.whole(parts)).collect()
            }
            EntryRef::Record(record) if self.query.text.is_some() => {
                let parts = open.entry((record.run, record.stream)).or_default();
                parts.push(record.to_owned());
                match goes_on(record) {
                    true => Vec::new(),
                    false => open
                        .remove(&(record.run, record.stream))
                        .and_then(|parts| self.whole(parts))
                        .into_iter()
                        .collect(),
                }
            }
            EntryRef::Record(record) => self.part(open, record, is_new),
        }
    }

    /// A part by itself, judged by its line's first.
    fn part(&self, open: &mut OpenLines, record: &RecordRef<'_>, is_new: bool) -> Vec<Vec<Entry>> {
        let stream = (record.run, record.stream);
        let passes = match open.get(&stream) {
            None => lines::suits(self.query, record),
            Some(parts) => match parts.first() {
                Some(head) => lines::suits(self.query, &head.as_ref()),
                None => self.query.streams.has(record.stream),
            },
        };
        if !goes_on(record) {
            open.remove(&stream);
        } else {
            open.entry(stream).or_insert_with(|| vec![Record { message: Vec::new(), ..record.to_owned() }]);
        }
        if passes && is_new { vec![vec![Entry::Record(record.to_owned())]] } else { Vec::new() }
    }

    /// A whole line, if it passes.
    fn whole(&self, parts: Vec<Record>) -> Option<Vec<Entry>> {
        let mut text = Vec::new();
        if self.query.text.is_some() {
            parts.iter().for_each(|part| push_text(&mut text, &part.message));
        }
        let head = parts.first()?.as_ref();
        let passes =
            lines::suits(self.query, &head) && self.query.text.as_ref().is_none_or(|query| query.matches(&text));
        passes.then(|| parts.into_iter().map(Entry::Record).collect())
    }
}

/// How much of its run is seen after an entry that is not seen yet.
fn unseen(entry: &EntryRef<'_>, seen: &Seen) -> Option<Mark> {
    let known = seen.of(entry.run());
    match entry {
        EntryRef::Gap(gap) => match gap.to {
            None => (!known.open_gap).then_some(Mark { open_gap: true, ..known }),
            Some(to) => (to >= known.next).then_some(Mark { next: to.saturating_add(1), open_gap: false }),
        },
        EntryRef::Record(record) => {
            (record.seq >= known.next).then_some(Mark { next: record.seq.saturating_add(1), open_gap: false })
        }
    }
}

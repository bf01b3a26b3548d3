//! What the files of a session tell of each other: what is missing between them, and which lines go on from one into another.

use std::{collections::HashMap, ffi::OsStr};

use logboom_files::session::RunMeta;
use logboom_record::{Gap, RunId, Time};

use crate::source::{End, Facts, RunFacts, Source};

/// Puts what is missing between the blocks of a run in front of the later ones. `sources` are all of a session's.
pub(crate) fn note_holes(sources: &mut [Source]) {
    let mut parts: HashMap<RunId, Vec<RunPart>> = HashMap::new();
    for (at, source) in sources.iter_mut().enumerate() {
        let last = source.blocks.len() - 1;
        for (block, facts) in source.blocks.iter_mut().enumerate() {
            facts.lead.clear();
            let part = |run: &RunFacts| RunPart { first: run.first_seq, next: run.next_seq, at, block };
            facts.runs.iter().for_each(|run| parts.entry(run.id).or_default().push(part(run)));
        }
        let end = |run: &RunFacts| RunPart { first: run.next_seq, next: run.next_seq, at, block: last };
        source.runs.iter().for_each(|run| parts.entry(run.id).or_default().push(end(run)));
    }
    for (run, mut parts) in parts {
        parts.sort_unstable();
        let mut expected = 1;
        for part in &parts {
            if part.first > expected {
                let hole =
                    Gap { run, from: expected, to: Some(part.first - 1), time: Time::default(), why: String::new() };
                let why = reason(sources, &hole);
                let facts = &mut sources[part.at].blocks[part.block];
                facts.lead.insert(0, Gap { time: facts.times.0, why, ..hole });
            }
            expected = expected.max(part.next);
        }
    }
}

/// Puts what a killed writer took with it behind all that any file has of its run: a gap without an end, or what the noted end of the
/// run says. None where another writer goes on with the run, or a file has its end. `runs` are those of the metadata.
pub(crate) fn note_ends(sources: &mut [Source], runs: &[RunMeta]) {
    let mut ends: HashMap<RunId, RunEnds> = HashMap::new();
    for (at, source) in sources.iter().enumerate() {
        for run in &source.runs {
            let end = ends.entry(run.id).or_default();
            if run.next_seq >= end.next_seq {
                (end.next_seq, end.at) = (run.next_seq, at);
            }
            end.add(source.end_of(run.id));
        }
    }
    // Its own file may have been left before it had something of the run, or may be about to go on with it.
    let names: HashMap<_, _> = sources.iter().filter_map(|source| Some((source.name()?, source))).collect();
    for run in runs {
        let own = run.boom.as_ref().and_then(|name| names.get(name.as_ref() as &OsStr));
        if let (Some(own), Some(end)) = (own, ends.get_mut(&run.run.id)) {
            end.add(own.end_of(run.run.id));
        }
    }
    let metas: HashMap<RunId, &RunMeta> = runs.iter().map(|run| (run.run.id, run)).collect();
    for (run, end) in ends {
        let Some(why) = end.why.filter(|_| !end.is_known) else { continue };
        let Some(last) = sources[end.at].blocks.last_mut() else { continue };
        let open = Gap { run, from: end.next_seq, to: None, time: last.times.1, why: why.to_owned() };
        last.lead.extend(metas.get(&run).map_or(Some(open.clone()), |run| run.close_gap(&open)));
    }
}

/// What all files tell of a run's end.
#[derive(Default)]
struct RunEnds {
    next_seq: u64,
    /// Who has its last entry.
    at: usize,
    is_known: bool,
    why: Option<&'static str>,
}

impl RunEnds {
    fn add(&mut self, end: End) {
        match end {
            End::Known => self.is_known = true,
            End::Open(why) => self.why = Some(why),
            End::Untold => {}
        }
    }
}

/// Why there is a hole: as a later block tells, or else because something is damaged.
fn reason(sources: &[Source], hole: &Gap) -> String {
    let mut late = sources.iter().flat_map(|source| &source.blocks).flat_map(|facts| &facts.late);
    let told = late.find(|gap| gap.run == hole.run && Some(gap.from) <= hole.to && gap.to >= Some(hole.from));
    told.map_or_else(|| "damaged".to_owned(), |gap| gap.why.clone())
}

/// Notes the blocks of runs that go on from another file, where a line may: the writer of a file does not know of it.
pub(crate) fn note_joins(sources: &mut [Source]) {
    let mut files: HashMap<RunId, Vec<(u64, usize)>> = HashMap::new();
    for (at, source) in sources.iter().enumerate() {
        source.runs.iter().for_each(|run| files.entry(run.id).or_default().push((run.first_seq, at)));
    }
    for (run, mut files) in files.into_iter().filter(|(_, files)| files.len() > 1) {
        files.sort_unstable();
        let has = |facts: &Facts| facts.runs.iter().any(|known| known.id == run);
        let mut may_be_open = false;
        for (_, at) in files {
            for facts in sources[at].blocks.iter_mut().filter(|facts| has(facts)) {
                facts.joins_earlier |= may_be_open;
            }
            may_be_open |= sources[at].blocks.iter().any(|facts| has(facts) && facts.joins_later);
        }
    }
}

/// What a block has of a run, or the end of what its file has.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RunPart {
    first: u64,
    next: u64,
    at: usize,
    block: usize,
}

/// Notes for each block how late its runs may have been before it.
pub(crate) fn note_times(sources: &mut [Source]) {
    let latest: Vec<Time> = sources
        .iter()
        .map(|source| source.blocks.iter().map(|facts| facts.times.1).max().unwrap_or_default())
        .collect();
    let mut held: HashMap<RunId, Vec<usize>> = HashMap::new();
    for (at, source) in sources.iter().enumerate() {
        source.runs.iter().for_each(|run| held.entry(run.id).or_default().push(at));
    }
    for (at, source) in sources.iter_mut().enumerate() {
        let others = source.runs.iter().flat_map(|run| &held[&run.id]).filter(|other| **other != at);
        let mut before = others.map(|other| latest[*other]).max().unwrap_or(Time::from_micros(i64::MIN));
        for facts in &mut source.blocks {
            facts.before = before;
            before = before.max(facts.times.1);
        }
    }
}

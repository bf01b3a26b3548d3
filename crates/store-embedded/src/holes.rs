//! What is missing of the runs between the blocks of a session's files, and where their lines go over from file to file.

use std::collections::HashMap;

use logboom_record::{Gap, RunId, Time};

use crate::source::{Bytes, Facts, RunFacts, Source};

/// Puts what is missing between the blocks of a run in front of the later ones, and takes back the open end of a killed
/// writer's run that goes on in another file. `sources` are all of a session's.
pub(crate) fn note_holes(sources: &mut [Source]) {
    let mut parts: HashMap<RunId, Vec<RunPart>> = HashMap::new();
    for (at, source) in sources.iter_mut().enumerate() {
        let (last, is_text) = (source.blocks.len() - 1, matches!(source.bytes, Bytes::Text(_)));
        for (block, facts) in source.blocks.iter_mut().enumerate() {
            match is_text {
                true => facts.lead.retain(|gap| gap.to.is_none()),
                false => facts.lead.clear(),
            }
            let part = |run: &RunFacts| RunPart { first: run.first_seq, next: run.next_seq, at, block };
            facts.runs.iter().for_each(|run| parts.entry(run.id).or_default().push(part(run)));
        }
        source.blocks[last].lead.extend(source.open_gaps.iter().cloned());
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
        let goes_on = |gap: &Gap| gap.run == run && gap.to.is_none() && gap.from < expected;
        parts.iter().for_each(|part| sources[part.at].blocks[part.block].lead.retain(|gap| !goes_on(gap)));
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

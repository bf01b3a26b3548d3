//! What the other files of a session tell where its metadata do not: the ends of runs, and the runs themselves.

use std::{fs, path::Path};

use logboom_boom::reader::{Reader, RunSummary};
use logboom_record::{Flags, Kind, Level, Run, RunEnd, RunId, Time};

use super::{Counts, Meta, RunMeta, Session, beside, meta::FORMAT, reserve, started};
use crate::{
    FilesError,
    textlog::{Extent, TextEntry, TextReader},
};

/// Completes a run that has no end, as far as other files tell.
pub(super) fn complete(dir: &Path, run: &mut RunMeta) {
    let Some((end, counts)) = self::end(dir, run) else { return };
    run.run.end = end;
    run.counts = run.counts.or(Some(counts));
}

/// The end of a run and its counts in its boom file, or in what is kept beside its text log where it has none: a full disk can
/// keep the end from the metadata.
pub(super) fn end(dir: &Path, run: &RunMeta) -> Option<(Option<RunEnd>, Counts)> {
    match (&run.boom, run.text_alone()) {
        (Some(boom), _) => in_booms(dir, boom, run.run.id),
        (None, Some(text)) => reserve::read(dir, text).map(|ended| (Some(ended.end), ended.counts)),
        (None, None) => None,
    }
}

/// The run's end in its newest boom file, and its counts in all of them: who went on after a killed writer made another.
fn in_booms(dir: &Path, newest: &str, id: RunId) -> Option<(Option<RunEnd>, Counts)> {
    let summary = |name: &str| open(dir, name)?.runs().iter().find(|summary| summary.id == id).cloned();
    let newest_has = summary(newest);
    let earlier = booms(dir).filter(|name| name != newest);
    let mut all = earlier.filter_map(|name| summary(&name)).chain(newest_has.clone()).peekable();
    all.peek()?;
    let all = all.map(|summary| counts(&summary)).sum();
    Some((newest_has.and_then(|summary| summary.end), all))
}

/// The names of the session's boom files, in any order.
pub(super) fn booms(dir: &Path) -> impl Iterator<Item = String> {
    files(dir).into_iter().filter(|name| is_boom(name))
}

/// The end of the root run, where some boom file has it.
pub(super) fn root_end(dir: &Path, meta: &Meta) -> Option<RunEnd> {
    let mut names: Vec<&str> = meta.runs.iter().filter_map(|run| run.boom.as_deref()).collect();
    names.dedup();
    let readers = names.into_iter().filter_map(|name| open(dir, name));
    readers.filter_map(|reader| reader.runs().iter().find(|run| run.id == meta.run.id)?.end.clone()).next()
}

/// Metadata for a session whose own cannot be read: start and id from its name, the runs from its boom files, or one for
/// each text log where there are none.
pub(super) fn meta(session: &Session) -> Meta {
    let at = start(session);
    let mut names = files(session.dir());
    names.sort();
    let texts: Vec<String> = names.iter().filter(|name| is_text_log(name)).cloned().collect();
    let mut booms: Vec<&String> = names.iter().filter(|name| is_boom(name)).collect();
    booms.sort_by_key(|name| boom_number(name));
    let found = booms.into_iter().zip(1..).flat_map(|(name, number)| in_boom(session, name, number));
    let mut runs: Vec<RunMeta> = found.fold(Vec::new(), add_found);
    let mut root = started(stand_in(session, 0), Kind::Session, String::new(), at);
    if let Some(found) = runs.iter().position(|run| run.run.kind == Kind::Session) {
        root = runs.remove(found).run;
    }
    match (&mut runs[..], &texts[..]) {
        ([only], [text]) => only.text = Some(text.clone()),
        ([], _) => runs = texts.into_iter().zip(1..).map(|(text, number)| in_text(session, text, number)).collect(),
        _ => {} // which belongs to which is not known
    }
    let id = session.id().clone();
    Meta { format: FORMAT, id, run: root, open: false, runs, bytes: None, host: None, user: None, logboom: None }
}

/// Adds a run that a boom file has; it may go on from earlier ones.
fn add_found(mut runs: Vec<RunMeta>, new: RunMeta) -> Vec<RunMeta> {
    match runs.iter_mut().find(|known| known.run.id == new.run.id) {
        Some(known) => {
            known.counts = Some([known.counts, new.counts].into_iter().flatten().sum());
            known.boom = new.boom;
        }
        None => runs.push(new),
    }
    runs
}

/// Which of the session's boom files it is: `records.boom` 1, `records.2.boom` 2.
pub fn boom_number(name: &str) -> u32 {
    let number = name.strip_suffix(".boom").and_then(|stem| stem.rsplit_once('.'));
    number.and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
}

/// The runs of a boom file, named after their kind; one in their place while none is told.
fn in_boom(session: &Session, name: &str, number: u32) -> Vec<RunMeta> {
    let reader = open(session.dir(), name);
    let run = |run, counts| RunMeta { boom: Some(name.to_owned()), counts, ..RunMeta::new(run) };
    match reader {
        Some(reader) if !reader.runs().is_empty() => {
            let summaries = reader.runs().iter();
            summaries.map(|summary| run(of_summary(&reader, summary), Some(counts(summary)))).collect()
        }
        _ => vec![run(started(stand_in(session, number), Kind::Command, name.to_owned(), start(session)), None)],
    }
}

fn of_summary(reader: &Reader, summary: &RunSummary) -> Run {
    let first = reader.blocks().iter().find(|block| block.runs.iter().any(|run| run.id == summary.id));
    let at = first.map_or(Time::default(), |block| block.time_min);
    started(summary.id, summary.kind, summary.kind.as_str().to_owned(), at)
}

fn in_text(session: &Session, text: String, number: u32) -> RunMeta {
    let run = started(stand_in(session, number), Kind::Command, text.clone(), start(session));
    RunMeta { text: Some(text), ..RunMeta::new(run) }
}

/// A boom file that cannot be read tells nothing here; `logboom verify` says why.
fn open(dir: &Path, name: &str) -> Option<Reader> {
    Reader::open(&beside(dir, name)?).ok()
}

/// What all files of the session have of a run, and the time of its last entry, or of its start.
pub(super) fn found(dir: &Path, run: &RunMeta) -> Result<(Counts, Time), FilesError> {
    let (mut all, mut last) = (Counts::default(), run.run.started_at);
    if let Some(text) = run.text_alone() {
        let mut reader = TextReader::open(&dir.join(text), run.run.id, Extent::Growing)?;
        while let Some(entry) = reader.next()? {
            last = last.max(count(&mut all, &entry));
        }
        return Ok((all, last));
    }
    for name in files(dir).into_iter().filter(|name| is_boom(name)) {
        let Some(reader) = open(dir, &name) else { continue };
        let Some(summary) = reader.runs().iter().find(|summary| summary.id == run.run.id) else { continue };
        all = [all, counts(summary)].into_iter().sum();
        let blocks = reader.blocks().iter().filter(|block| block.runs.iter().any(|known| known.id == run.run.id));
        last = blocks.map(|block| block.time_max).fold(last, Time::max);
    }
    Ok((all, last))
}

/// Counts an entry; gives its time.
fn count(counts: &mut Counts, entry: &TextEntry<'_>) -> Time {
    match entry {
        TextEntry::Gap(gap) => {
            counts.lost += gap.to.map_or(0, |to| to.saturating_sub(gap.from) + 1);
            gap.time
        }
        TextEntry::Record(record) => {
            counts.records += 1;
            counts.lines += u64::from(!record.flags.has(Flags::CONTINUED));
            counts.errors += u64::from(record.level == Level::Error);
            counts.warnings += u64::from(record.level == Level::Warn);
            record.time
        }
    }
}

fn counts(run: &RunSummary) -> Counts {
    let [.., warnings, errors] = run.levels;
    Counts { records: run.records, lines: run.lines, errors, warnings, lost: run.lost }
}

/// `2026-01-02_03-04-05_…` is when it started.
fn start(session: &Session) -> Time {
    let (date, clock) = session.id().as_str()[..19].split_at(10);
    format!("{date}T{}Z", clock[1..].replace('-', ":")).parse().unwrap_or_default()
}

/// An id in the place of one that is not known: the same whenever it is asked for, and unlike any that is drawn.
fn stand_in(session: &Session, number: u32) -> RunId {
    let mut bytes = [0; 16];
    bytes[8..12].copy_from_slice(&number.to_be_bytes());
    let short = u32::from_str_radix(session.id().short(), 16).unwrap_or(0);
    bytes[12..].copy_from_slice(&short.to_be_bytes());
    RunId::from_bytes(bytes)
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn is_text_log(name: &str) -> bool {
    name.ends_with(".log") && !name.starts_with('.')
}

fn is_boom(name: &str) -> bool {
    name.ends_with(".boom")
}

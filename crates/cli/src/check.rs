//! Checks the files of a session: the boom files, and the text logs of runs that have no boom file.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use logboom_boom::{BoomError, reader::Reader};
use logboom_files::{
    FilesError, Session,
    session::RunMeta,
    textlog::{Extent, TextEntry, TextReader},
};
use logboom_record::{Gap, Outcome, RunId, Time};
use logboom_ring::{Generation, RingError, recover::is_live, rest};
use serde::Serialize;

/// What a check found; the JSON of `verify`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many records can be read.
    pub records: u64,
    /// How many are lost; `None` where nobody knows.
    pub lost: Option<u64>,
    /// Which.
    pub gaps: Vec<Lost>,
    /// What cannot be believed.
    pub damaged: Vec<Damaged>,
}

/// Records that are lost.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The run they belonged to.
    pub run: RunId,
    /// The first seq.
    pub from: u64,
    /// The last; `None` after a killed writer.
    pub to: Option<u64>,
    /// Why.
    pub why: String,
}

/// A part of a file that is not as it was written.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// The file.
    pub file: String,
    /// Where the part starts.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// What is wrong.
    pub what: String,
}

impl Findings {
    /// Of no files.
    pub fn none() -> Findings {
        Findings { records: 0, lost: Some(0), gaps: Vec::new(), damaged: Vec::new() }
    }

    /// Whether nothing is lost and nothing damaged.
    pub fn is_whole(&self) -> bool {
        self.lost == Some(0) && self.gaps.is_empty() && self.damaged.is_empty()
    }

    /// Takes what was found elsewhere.
    pub fn add(&mut self, other: Findings) {
        self.records += other.records;
        self.lost = self.lost.zip(other.lost).map(|(a, b)| a.saturating_add(b));
        self.gaps.extend(other.gaps);
        self.damaged.extend(other.damaged);
    }

    /// Makes one of the open gaps that killed writers left one after the other. It is none where another writer goes on, and
    /// none, or ends, where the end of the run was noted.
    fn close_gap(&mut self, run: &RunMeta, outcome: Outcome) {
        let mut open = self.gaps.extract_if(.., |gap| gap.run == run.run.id && gap.to.is_none()).last();
        open.take_if(|_| outcome == Outcome::Running);
        let Some(Lost { from, why, .. }) = open else { return self.count_lost() };
        let open = Gap { run: run.run.id, from, to: None, time: run.run.started_at, why };
        let closed = run.close_gap(&open).map(|gap| Lost { run: gap.run, from, to: gap.to, why: gap.why });
        self.gaps.extend(closed);
        self.count_lost();
    }

    fn count_lost(&mut self) {
        let lost = |gap: &Lost| Some((gap.to? - gap.from).saturating_add(1));
        self.lost = self.gaps.iter().try_fold(0u64, |sum, gap| Some(sum.saturating_add(lost(gap)?)));
    }

    fn unreadable(path: &Path, why: &dyn Error) -> Findings {
        Findings { damaged: vec![Damaged::whole_file(path, why)], ..Findings::none() }
    }
}

impl Damaged {
    /// Nothing can be done with the file.
    pub fn whole_file(path: &Path, why: &dyn Error) -> Damaged {
        let what = why.source().map_or_else(|| why.to_string(), |source| format!("{why}: {source}"));
        Damaged { file: path.display().to_string(), offset: 0, bytes: 0, what }
    }
}

/// Checks all that a session has.
pub fn check(session: &Session, now: Time) -> Findings {
    let status = session.status(now);
    let mut found = Findings::none();
    let booms = boom_files(session.dir());
    booms.iter().for_each(|path| found.add(check_boom(path)));
    // Where another boom file goes on with the run, nothing is missing up to its end.
    for gap in found.gaps.iter_mut().filter(|gap| gap.to.is_none()) {
        gap.from = gap.from.max(next_seq_in(&booms, gap.run));
    }
    if let Some(why) = &status.damage {
        let file = session.dir().join("session.json").display().to_string();
        found.damaged.push(Damaged { file, offset: 0, bytes: 0, what: why.clone() });
    }
    for (run, outcome) in status.meta.runs.iter().zip(&status.outcomes) {
        match (&run.boom, &run.text) {
            (Some(boom), _) if !booms.contains(&session.dir().join(boom)) => {
                let gone = FilesError::Missing { action: "read", path: session.dir().join(boom) };
                found.add(Findings::unreadable(&session.dir().join(boom), &gone));
            }
            (None, Some(text)) if booms.is_empty() || status.damage.is_none() => {
                found.add(check_text(&session.dir().join(text), run, *outcome));
            }
            _ => {}
        }
        found.close_gap(run, *outcome);
        let is_told = || found.gaps.iter().any(|gap| gap.run == run.run.id && gap.to.is_none());
        if run.run.end.is_none() && *outcome == Outcome::Lost && !is_told() {
            found.add(killed_at_once(run.run.id, next_seq_in(&booms, run.run.id)));
        }
    }
    for path in rest::files_in(session.dir()).iter().filter(|path| !is_live(path)) {
        check_rings(session.dir(), path, &mut found);
    }
    found
}

/// What a killed program left in its rings is not lost: it is read from there until `verify --repair` puts it into the files.
fn check_rings(dir: &Path, path: &Path, found: &mut Findings) {
    match rest::read(path, |of, _| next_seq(dir, of)) {
        Ok((left, damage)) => {
            for (of, records) in left {
                let (Some(first), Some(last)) = (records.first(), records.last()) else { continue };
                found.records += records.len() as u64;
                let open = |gap: &&mut Lost| gap.run == first.run && gap.to.is_none();
                let after = last.seq.saturating_add(1);
                found.gaps.iter_mut().filter(open).for_each(|gap| gap.from = gap.from.max(after));
                found.add(lost_before(of.run, next_seq(dir, &of), first.seq));
            }
            if damage.bytes > 0 || damage.rings > 0 {
                let what = format!("{} rings and {} bytes are no records", damage.rings, damage.bytes);
                found.damaged.push(Damaged { file: path.display().to_string(), offset: 0, bytes: damage.bytes, what });
            }
        }
        // Its program was killed before it had logged anything; or somebody puts it into the files just now.
        Err(RingError::NotRing { .. } | RingError::Live { .. }) => {}
        Err(RingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(error) => found.damaged.push(Damaged::whole_file(path, &error)),
    }
}

/// What is in no file and, as the rings tell, was there.
fn lost_before(run: RunId, held: u64, first: u64) -> Findings {
    if first <= held {
        return Findings::none();
    }
    let gap = Lost { run, from: held, to: Some(first - 1), why: rest::WHY_LOST.to_owned() };
    Findings { lost: Some(first - held), gaps: vec![gap], ..Findings::none() }
}

/// What the files of a session hold of one of its session files: as recovery sees it, the boom files where it has one, else the text log.
fn next_seq(dir: &Path, of: &Generation) -> u64 {
    if of.boom.is_some() {
        return next_seq_in(&boom_files(dir), of.run);
    }
    let text = || {
        let mut reader = TextReader::open(&dir.join(&of.text), of.run, Extent::Growing).ok()?;
        while reader.next().ok()?.is_some() {}
        Some(reader.mark().seq)
    };
    text().unwrap_or(1)
}

fn next_seq_in(booms: &[PathBuf], run: RunId) -> u64 {
    let readers = booms.iter().filter_map(|path| Reader::open(path).ok());
    let known = readers.flat_map(|reader| reader.runs().to_vec()).filter(|known| known.id == run);
    known.map(|known| known.next_seq).max().unwrap_or(1)
}

/// Of a run whose writer was killed before it had written anything: all from this seq on.
fn killed_at_once(run: RunId, from: u64) -> Findings {
    let gap = Lost { run, from, to: None, why: "writer was killed".to_owned() };
    Findings { lost: None, gaps: vec![gap], ..Findings::none() }
}

/// The boom files of a session's directory, whoever wrote them.
fn boom_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "boom")).collect();
    files.sort();
    files
}

fn check_boom(path: &Path) -> Findings {
    try_check_boom(path).unwrap_or_else(|error| Findings::unreadable(path, &error))
}

fn try_check_boom(path: &Path) -> Result<Findings, BoomError> {
    let mut damaged = Vec::new();
    let checked = Reader::open(path)?.check(&mut |damage| {
        let (file, what) = (path.display().to_string(), damage.what.to_string());
        damaged.push(Damaged { file, offset: damage.offset, bytes: damage.bytes, what });
    })?;
    let gaps = checked.gaps.into_iter().map(|gap| Lost { run: gap.run, from: gap.from, to: gap.to, why: gap.why });
    Ok(Findings { records: checked.records, lost: checked.lost, gaps: gaps.collect(), damaged })
}

/// A text log has no checksums: its seq is counted, and lines that are none of ours are told.
fn check_text(path: &Path, run: &RunMeta, outcome: Outcome) -> Findings {
    try_check_text(path, run, outcome).unwrap_or_else(|error| Findings::unreadable(path, &error))
}

fn try_check_text(path: &Path, run: &RunMeta, outcome: Outcome) -> Result<Findings, FilesError> {
    let id = run.run.id;
    let extent = match outcome {
        Outcome::Running | Outcome::Lost => Extent::Growing,
        _ => Extent::Final,
    };
    let mut reader = TextReader::open(path, id, extent)?;
    let mut found = Findings::none();
    while let Some(entry) = reader.next()? {
        match entry {
            TextEntry::Record(_) => found.records += 1,
            TextEntry::Gap(gap) => found.gaps.push(Lost { run: id, from: gap.from, to: gap.to, why: gap.why }),
        }
    }
    let missing = run.missing_from(reader.mark().seq, run.run.started_at, outcome);
    if let Some(gap) = missing.filter(|_| found.gaps.iter().all(|gap| gap.to.is_some())) {
        found.gaps.push(Lost { run: id, from: gap.from, to: gap.to, why: gap.why });
    }
    found.lost =
        found.gaps.iter().try_fold(0u64, |sum, gap| Some(sum.saturating_add((gap.to? - gap.from).saturating_add(1))));
    if reader.skipped() > 0 && outcome != Outcome::Lost {
        let what = format!("{} lines are none of logboom's", reader.skipped());
        found.damaged.push(Damaged { file: path.display().to_string(), offset: 0, bytes: 0, what });
    }
    Ok(found)
}

//! Checks the files of a session: the boom files, and the text logs of runs that have no boom file.

use std::{
    error::Error,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use logboom_boom::{
    BoomError,
    reader::{Reader, State},
};
use logboom_files::{
    FilesError, Session,
    session::{RunMeta, beside},
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

    /// Takes the open gaps out that the files of killed writers have for this run; tells whether there were any.
    fn take_open(&mut self, run: RunId) -> bool {
        self.gaps.extract_if(.., |gap| gap.run == run && gap.to.is_none()).count() > 0
    }

    fn add_gap(&mut self, gap: Gap) {
        self.gaps.push(Lost { run: gap.run, from: gap.from, to: gap.to, why: gap.why });
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
    if let Some(why) = &status.damage {
        let file = session.dir().join("session.json").display().to_string();
        found.damaged.push(Damaged { file, offset: 0, bytes: 0, what: why.clone() });
    }
    for (run, outcome) in status.meta.runs.iter().zip(&status.outcomes) {
        let has_text_alone = run.boom.is_none() && (booms.is_empty() || status.damage.is_none());
        if let Some(text) = run.text.as_ref().filter(|_| has_text_alone) {
            let path = own_file(session, text, &mut found);
            path.into_iter().for_each(|path| found.add(check_text(&path, run, *outcome)));
            continue;
        }
        let boom = run.boom.as_ref().and_then(|name| own_file(session, name, &mut found));
        if let Some(boom) = boom.filter(|boom| !booms.contains(boom)) {
            let gone = FilesError::Missing { action: "read", path: boom.clone() };
            found.add(Findings::unreadable(&boom, &gone));
        }
        close(&booms, run, *outcome, &mut found);
    }
    // Those of runs that the metadata do not know are open still.
    found.gaps.retain_mut(|gap| {
        let held = if gap.to.is_none() { Held::of(&booms, gap.run) } else { return true };
        gap.from = gap.from.max(held.next_seq);
        !held.is_end_known
    });
    found.count_lost();
    for path in rest::files_in(session.dir()).iter().filter(|path| !is_live(path)) {
        check_rings(session.dir(), path, &mut found);
    }
    found
}

/// A file of the session's directory. The metadata may be anybody's: what is elsewhere is not looked at.
fn own_file(session: &Session, name: &str, found: &mut Findings) -> Option<PathBuf> {
    let path = beside(session.dir(), name);
    if path.is_none() {
        let file = session.dir().join("session.json").display().to_string();
        let what = format!("it has the records of a run in {name:?}, which is no file of the session");
        found.damaged.push(Damaged { file, offset: 0, bytes: 0, what });
    }
    path
}

/// Puts what killed writers took with them behind all that any boom file has of the run: a gap without an end, or what the run's noted
/// end says. None where somebody goes on with it, or a file has its end.
fn close(booms: &[PathBuf], run: &RunMeta, outcome: Outcome, found: &mut Findings) {
    let was_left = found.take_open(run.run.id) || (outcome == Outcome::Lost && run.run.end.is_none());
    if !was_left {
        return;
    }
    let held = Held::of(booms, run.run.id);
    let missing = run.missing_from(held.next_seq, run.run.started_at, outcome).filter(|_| !held.is_end_known);
    missing.into_iter().for_each(|gap| found.add_gap(gap));
}

/// What a killed program left in its rings is not lost: it is read from there until `verify --repair` puts it into the files.
fn check_rings(dir: &Path, path: &Path, found: &mut Findings) {
    match rest::read(path, |of, _| next_seq(dir, of)) {
        Ok((left, damage)) => {
            for rest in left {
                found.records += rest.records.len() as u64;
                let after = rest.next_seq().unwrap_or(1);
                let open = |gap: &&mut Lost| gap.run == rest.of.run && gap.to.is_none();
                found.gaps.iter_mut().filter(open).for_each(|gap| gap.from = gap.from.max(after));
                rest.lost.iter().for_each(|lost| found.add(lost_in(rest.of.run, lost)));
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

/// What is in no file and no ring and, as the rings tell, was there.
fn lost_in(run: RunId, lost: &Range<u64>) -> Findings {
    let gap = Lost { run, from: lost.start, to: Some(lost.end - 1), why: rest::WHY_LOST.to_owned() };
    Findings { lost: Some(lost.end - lost.start), gaps: vec![gap], ..Findings::none() }
}

/// What the files of a session hold of one of its session files: as recovery sees it, the boom files where it has one, else the text log.
fn next_seq(dir: &Path, of: &Generation) -> u64 {
    if of.boom.is_some() {
        return Held::of(&boom_files(dir), of.run).next_seq;
    }
    let text = || {
        let mut reader = TextReader::open(&beside(dir, &of.text)?, of.run, Extent::Growing).ok()?;
        while reader.next().ok()?.is_some() {}
        Some(reader.mark().seq)
    };
    text().unwrap_or(1)
}

/// What boom files have of a run.
struct Held {
    next_seq: u64,
    /// Its end is in one of them, or the writer of one lives.
    is_end_known: bool,
}

impl Held {
    fn of(booms: &[PathBuf], run: RunId) -> Held {
        let mut held = Held { next_seq: 1, is_end_known: false };
        for reader in booms.iter().filter_map(|path| Reader::open(path).ok()) {
            let Some(known) = reader.runs().iter().find(|known| known.id == run) else { continue };
            held.next_seq = held.next_seq.max(known.next_seq);
            held.is_end_known |= known.end.is_some() || reader.state() == State::Live;
        }
        held
    }
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
            TextEntry::Gap(gap) => found.add_gap(gap),
        }
    }
    let missing = run.missing_from(reader.mark().seq, run.run.started_at, outcome);
    if let Some(gap) = missing.filter(|_| found.gaps.iter().all(|gap| gap.to.is_some())) {
        found.add_gap(gap);
    }
    found.count_lost();
    if reader.skipped() > 0 && outcome != Outcome::Lost {
        let what = format!("{} lines are none of logboom's", reader.skipped());
        found.damaged.push(Damaged { file: path.display().to_string(), offset: 0, bytes: 0, what });
    }
    Ok(found)
}

//! One session whose files are open for reading.
//!
//! The session is the set of its boom files, and of the text logs of runs that have no readable one. Looking again is
//! cheap where nothing happened: metadata and names are read again only when their times say so.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use logboom_boom::{BoomError, reader::Reader};
use logboom_files::{
    Session,
    session::{RunMeta, Status},
};
use logboom_record::{Gap, Kind, Outcome, Record, Run, RunEnd, RunId, Stream, Time};
use logboom_ring::{recover::is_live, rest};
use logboom_store::{Scope, StoreError};

use crate::{
    holes::{note_holes, note_joins},
    source::{Bytes, Facts, RunFacts, Source, Written, failed},
    text_source::TextSource,
};

/// Times of files are as coarse as the kernel's tick: for so long after a change another may have the same time.
const TICK: Duration = Duration::from_millis(100);

/// A session that is open.
pub(crate) struct Open {
    session: Session,
    pub status: Status,
    /// The root, the runs that the metadata know, and those that only boom files know.
    pub runs: Vec<Run>,
    pub sources: Vec<Source>,
    /// Names of the boom files that were opened, or found to be none.
    known: HashMap<String, bool>,
    texts: HashSet<RunId>,
    /// Ring files, each with the number of its source once its writer was seen to be dead.
    rings: HashMap<PathBuf, Option<usize>>,
    stamp: Option<Stamp>,
    /// Of lines that go on into a block, what was found out of their first part.
    pub heads: Heads,
}

/// By source, block, run and stream: the first part of the line that is open where the block begins, without its message. What
/// is before a block does not change any more, so it holds from question to question.
pub(crate) type Heads = Mutex<HashMap<(usize, usize, RunId, Stream), Option<Record>>>;

/// When a session's metadata and names were changed last, as far as their times tell.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    meta: (i64, i64, u64),
    dir: (i64, i64, u64),
    /// Nothing may have happened since without a change of these times.
    is_settled: bool,
}

impl Stamp {
    fn of(dir: &Path) -> Option<Stamp> {
        let now = SystemTime::now();
        let time = |path: &Path| fs::metadata(path).ok();
        let (dir, meta) = (time(dir)?, time(&dir.join("session.json"))?);
        let is_old = |file: &fs::Metadata| {
            file.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|since| since > TICK))
        };
        let is_settled = is_old(&dir) && is_old(&meta);
        let key = |file: &fs::Metadata| (file.mtime(), file.mtime_nsec(), file.ino());
        Some(Stamp { meta: key(&meta), dir: key(&dir), is_settled })
    }
}

impl Open {
    /// Opens the files of a session.
    pub fn of(session: Session) -> Result<Open, StoreError> {
        let status = session.status(Time::now());
        let mut open = Open {
            session,
            status,
            runs: Vec::new(),
            sources: Vec::new(),
            known: HashMap::new(),
            texts: HashSet::new(),
            rings: HashMap::new(),
            stamp: None,
            heads: Heads::default(),
        };
        open.refresh()?;
        Ok(open)
    }

    /// The root run.
    pub fn root(&self) -> RunId {
        self.status.meta.run.id
    }

    /// The runs in a scope that has this session.
    pub fn runs_in(&self, scope: Scope) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| match scope {
            Scope::Run(id) => run.id == id,
            Scope::Session(_) | Scope::All => true,
        })
    }

    /// Sees what happened since.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        self.forget_drained();
        let stamp = Stamp::of(self.session.dir());
        let same = stamp.is_some_and(|stamp| stamp.is_settled) && stamp == self.stamp;
        self.refresh_sources()?;
        if !same {
            self.stamp = stamp;
            self.look_again()?;
        }
        self.look_into_rings()?;
        self.leave_to_booms();
        self.name_runs();
        self.add_killed_at_once();
        note_holes(&mut self.sources);
        self.close_gaps();
        note_joins(&mut self.sources);
        note_times(&mut self.sources);
        Ok(())
    }

    fn refresh_sources(&mut self) -> Result<(), StoreError> {
        for source in &mut self.sources {
            if source.refresh()? {
                self.heads = Heads::default();
            }
        }
        Ok(())
    }

    /// Reads the metadata again; how the session and its runs stand by now.
    pub fn look_at_status(&mut self) {
        self.status = self.session.status(Time::now());
        self.name_runs();
        for source in &mut self.sources {
            let Bytes::Text(text) = &mut source.bytes else { continue };
            let mut runs = self.status.meta.runs.iter().zip(&self.status.outcomes);
            if let Some((run, outcome)) = runs.find(|(run, _)| text.is_of(run.run.id)) {
                text.set_state(run, *outcome);
            }
        }
    }

    fn look_again(&mut self) -> Result<(), StoreError> {
        self.look_at_status();
        let dir = self.session.dir().to_owned();
        let names =
            fs::read_dir(&dir).map_err(|source| StoreError::Io { action: "list", path: dir.clone(), source })?;
        for name in names {
            let name = name.map_err(|source| StoreError::Io { action: "list", path: dir.clone(), source })?.file_name();
            if let Some(name) = name.to_str().filter(|name| is_boom(name) && !self.known.contains_key(*name)) {
                self.open_boom(&dir, name)?;
            }
        }
        for path in rest::files_in(&dir) {
            self.rings.entry(path).or_default();
        }
        let runs = self.status.meta.runs.clone();
        runs.iter().zip(self.status.outcomes.clone()).try_for_each(|(run, outcome)| self.open_text(&dir, run, outcome))
    }

    fn open_boom(&mut self, dir: &Path, name: &str) -> Result<(), StoreError> {
        let path = dir.join(name);
        let opened = match Reader::open(&path) {
            Ok(reader) => {
                self.sources.push(Source::of_boom(reader));
                true
            }
            Err(BoomError::NotBoom { .. } | BoomError::Damaged { .. }) => false,
            Err(BoomError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(&path, error)),
        };
        self.known.insert(name.to_owned(), opened);
        Ok(())
    }

    /// Opens the text log of a run whose boom file is not there or cannot be read.
    fn open_text(&mut self, dir: &Path, run: &RunMeta, outcome: Outcome) -> Result<(), StoreError> {
        let has_boom = run.boom.as_ref().is_some_and(|name| self.known.get(name) == Some(&true));
        if has_boom || !self.texts.insert(run.run.id) {
            return Ok(());
        }
        let text = run.text.as_deref().filter(|name| !name.contains('/')).map(|name| dir.join(name));
        if let Some(path) = text.filter(|path| path.is_file()) {
            let text = TextSource::open(&path, run, outcome)?;
            let (blocks, runs) = (text.facts(), text.runs());
            self.sources.push(Source {
                bytes: Bytes::Text(Box::new(text)),
                blocks,
                runs,
                open_gaps: Vec::new(),
                written: Written::default(),
                is_abandoned: false,
            });
        } else if run.boom.as_ref().is_some_and(|name| self.known.contains_key(name)) {
            self.sources.push(all_lost(run, "its boom file is damaged"));
        }
        Ok(())
    }

    /// Forgets what rings held that somebody has put into files since, which are looked at after this.
    fn forget_drained(&mut self) {
        for at in self.rings.iter().filter(|(path, _)| !path.exists()).filter_map(|(_, source)| *source) {
            let emptied = std::mem::replace(&mut self.sources[at], Source::of_rings(Vec::new()));
            for run in emptied.runs {
                self.sources.iter_mut().for_each(|source| _ = source.leave_to_rings(run.id, None));
            }
        }
        self.rings.retain(|path, _| path.exists());
    }

    /// Reads what killed programs left in their rings.
    fn look_into_rings(&mut self) -> Result<(), StoreError> {
        let is_new = |(path, source): &(&PathBuf, &Option<usize>)| source.is_none() && !is_live(path);
        let dead: Vec<PathBuf> = self.rings.iter().filter(is_new).map(|(path, _)| path.clone()).collect();
        if dead.is_empty() {
            return Ok(());
        }
        // What their writers wrote before they died, which is not looked at once more.
        self.refresh_sources()?;
        dead.into_iter().try_for_each(|path| self.read_rings(path))
    }

    fn read_rings(&mut self, path: PathBuf) -> Result<(), StoreError> {
        let next_seq = |id, begun| self.sources.iter().filter_map(|source| source.next_seq(id, begun)).max();
        // Somebody drains them, or they cannot be read now: they are looked at again. What is wrong is told by `verify`.
        let Ok((left, _)) = rest::read(&path, |of, begun| next_seq(of.run, begun).unwrap_or(1)) else { return Ok(()) };
        let mut is_other = false;
        for (of, records) in &left {
            let first = records.first().map(|record| record.seq);
            self.sources.iter_mut().for_each(|source| is_other |= source.leave_to_rings(of.run, first));
        }
        if is_other {
            self.heads = Heads::default();
            self.refresh_sources()?;
        }
        self.rings.insert(path, Some(self.sources.len()));
        self.sources.push(Source::of_rings(left.into_iter().map(|(_, records)| records).collect()));
        Ok(())
    }

    /// While somebody drains rings, boom files have some of what they hold.
    fn leave_to_booms(&mut self) {
        for at in self.rings.values().filter_map(|source| *source) {
            let booms = self.sources.iter().filter(|source| source.boom_name().is_some());
            let in_booms = booms.flat_map(|source| &source.runs);
            let mut next_seqs: HashMap<RunId, u64> = HashMap::new();
            for run in in_booms {
                let next = next_seqs.entry(run.id).or_default();
                *next = run.next_seq.max(*next);
            }
            let is_held = |run: RunId, seq| next_seqs.get(&run).is_some_and(|next| seq < *next);
            if self.sources[at].runs.iter().any(|run| is_held(run.id, run.first_seq)) {
                self.sources[at] = self.sources[at].rings_without(is_held);
            }
        }
    }

    /// A killed writer's open gap is none, or ends, where the end of its run was noted; and it is none where another writer has
    /// taken over, though it may not have written anything yet.
    fn close_gaps(&mut self) {
        let runs = &self.status.meta.runs;
        let written = self.sources.iter().filter(|source| !source.is_abandoned);
        let written: HashSet<String> = written.filter_map(Source::boom_name).map(str::to_owned).collect();
        let goes_on = |run: &RunMeta| run.boom.as_deref().is_some_and(|boom| written.contains(boom));
        let close = |gap: &Gap| match runs.iter().find(|run| run.run.id == gap.run) {
            Some(run) if gap.to.is_none() && run.run.end.is_none() && goes_on(run) => None,
            Some(run) if gap.to.is_none() => run.close_gap(gap),
            _ => Some(gap.clone()),
        };
        for facts in self.sources.iter_mut().flat_map(|source| &mut source.blocks) {
            facts.lead = facts.lead.iter().filter_map(close).collect();
        }
    }

    /// Gives a place to what is missing of runs whose writer was killed before its file had something of them.
    fn add_killed_at_once(&mut self) {
        for (run, outcome) in self.status.meta.runs.iter().zip(&self.status.outcomes) {
            let file = run.boom.as_deref().filter(|_| *outcome == Outcome::Lost && run.run.end.is_none());
            let is_told = || self.sources.iter().any(|source| source.tells_end_of(run.run.id));
            if file.is_some_and(|file| self.sources.iter().any(|source| source.was_left(file))) && !is_told() {
                let held = self.sources.iter().filter_map(|source| source.next_seq(run.run.id, None));
                self.sources.push(lost_from(run, held.max().unwrap_or(1), None, "writer was killed"));
            }
        }
    }

    /// Lists the runs, with the ends that were derived for them.
    fn name_runs(&mut self) {
        let Status { meta, outcome, outcomes, last_seen, .. } = &self.status;
        let ended = |run: &Run, outcome: Outcome| {
            let lost = RunEnd { ended_at: *last_seen, outcome, exit_code: None, signal: None };
            let end = run.end.clone().or((outcome != Outcome::Running).then_some(lost));
            Run { end, ..run.clone() }
        };
        let root = meta.run.id;
        self.runs = vec![ended(&meta.run, *outcome)];
        let child = |(run, outcome): (&RunMeta, &Outcome)| {
            let run = ended(&run.run, *outcome);
            Run { parent: run.parent.or(Some(root)), ..run }
        };
        self.runs.extend(meta.runs.iter().zip(outcomes).map(child));
        let mut known: HashSet<RunId> = self.runs.iter().map(|run| run.id).collect();
        let strangers = self.sources.iter().flat_map(|source| &source.runs).map(|run| run.id);
        let strangers: Vec<RunId> = strangers.filter(|run| known.insert(*run)).collect();
        self.runs.extend(strangers.into_iter().map(|id| stranger(id, &meta.run)));
    }
}

/// A run that a boom file has and the metadata have not: they were damaged.
fn stranger(id: RunId, root: &Run) -> Run {
    Run {
        id,
        parent: Some(root.id),
        kind: Kind::Command,
        name: id.short(),
        owner: None,
        labels: Default::default(),
        started_at: root.started_at,
        end: root.end.clone(),
        external_id: None,
    }
}

/// `records.boom`, `records.2.boom`, …
fn is_boom(name: &str) -> bool {
    name.starts_with("records.") && name.ends_with(".boom")
}

/// The place of a run of which no file has anything.
fn all_lost(run: &RunMeta, why: &str) -> Source {
    let to = run.counts.map(|counts| counts.records.saturating_add(counts.lost)).filter(|to| *to > 0);
    lost_from(run, 1, to, why)
}

/// The place of what is lost of a run: all from this seq on.
fn lost_from(run: &RunMeta, from: u64, to: Option<u64>, why: &str) -> Source {
    let time = run.run.started_at;
    let gap = Gap { run: run.run.id, from, to, time, why: why.to_owned() };
    let next_seq = to.map_or(from, |to| to.saturating_add(1));
    let held = RunFacts { id: run.run.id, first_seq: from, next_seq, records: 0, lines: 0, levels: [0; 5] };
    Source {
        bytes: Bytes::Parked(Path::new("").into()),
        blocks: vec![Facts { times: (time, time), ..Facts::default() }],
        runs: vec![held],
        open_gaps: if to.is_none() { vec![gap] } else { Vec::new() },
        written: Written::default(),
        is_abandoned: false,
    }
}

/// Notes for each block how late its runs may have been before it.
fn note_times(sources: &mut [Source]) {
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

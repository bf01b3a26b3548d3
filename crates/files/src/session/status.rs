//! How a session stands, derived from its metadata, its locks and the footers of its boom files.
//!
//! The hard part is that its writers may be at any point of their lives: files claimed but not yet in the metadata,
//! sealed but not yet noted as ended, or dead. Nothing is written here, so any number of readers can look.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use logboom_boom::reader::tail_path;
use logboom_record::{Kind, Outcome, RunEnd, SessionId, Time};

use super::{Meta, RunMeta, Session, lock::is_held, recovered};

/// How long an open session counts as running after its last sign of life, in seconds.
pub const SIGN_OF_LIFE_S_MAX: u64 = 24 * 3_600;

/// How long a session may take from its directory to its first run, in seconds.
const STARTING_S_MAX: u64 = 60;

/// How a session stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its id.
    pub id: SessionId,
    /// Its directory.
    pub dir: PathBuf,
    /// Its metadata, completed by the ends that boom files tell; where `damage` is set, what the other files tell.
    pub meta: Meta,
    /// Why the metadata could not be read, for a person.
    pub damage: Option<String>,
    /// How it stands.
    pub outcome: Outcome,
    /// How each of `meta.runs` stands, in the same order.
    pub outcomes: Vec<Outcome>,
    /// When it ended; of one that is running or lost, the last sign of life.
    pub last_seen: Time,
}

impl Status {
    /// Whether it has a live writer or may get one: not to be deleted or repaired.
    pub fn is_live(&self) -> bool {
        self.outcome == Outcome::Running || self.outcomes.contains(&Outcome::Running)
    }

    /// How much disk it takes: as noted at its end, else looked up.
    pub fn bytes(&self) -> u64 {
        let session = || Session::listed(self.dir.clone(), self.id.clone());
        self.meta.bytes.unwrap_or_else(|| session().bytes())
    }

    pub(super) fn of(session: &Session, now: Time) -> Status {
        let meta = match session.meta() {
            Ok(meta) => meta,
            Err(error) => {
                let mut status = Status::derive(session, recovered::meta(session), Some(error.to_string()), now);
                // Its files are claimed before its metadata are written.
                status.damage = status.damage.filter(|_| !(error.is_missing() && status.outcome == Outcome::Running));
                return status;
            }
        };
        let status = Status::derive(session, meta, None, now);
        if status.outcome != Outcome::Lost && !status.outcomes.contains(&Outcome::Lost) {
            return status;
        }
        // A writer notes its end and then lets go of its lock: it may have done both since the metadata was read.
        match session.meta() {
            Ok(newer) => Status::derive(session, newer, None, now),
            Err(_) => status,
        }
    }

    fn derive(session: &Session, mut meta: Meta, damage: Option<String>, now: Time) -> Status {
        let dir = session.dir().to_owned();
        let outcomes: Vec<Outcome> = meta.runs.iter_mut().map(|run| run_outcome(&dir, run)).collect();
        if meta.run.end.is_none() && !outcomes.contains(&Outcome::Running) && !may_go_on(&meta, &dir, now) {
            meta.run.end = recovered::root_end(&dir, &meta).or_else(|| implied_end(&meta));
        }
        let gone = !outcomes.contains(&Outcome::Running) && !may_go_on(&meta, &dir, now);
        let outcome = match &meta.run.end {
            Some(end) => end.outcome,
            None if gone => Outcome::Lost,
            None => Outcome::Running,
        };
        let last_seen = meta.run.end.as_ref().map_or_else(|| sign_of_life(&meta, &dir), |end| end.ended_at);
        Status { id: session.id().clone(), dir, meta, damage, outcome, outcomes, last_seen }
    }
}

/// Whether a run's writer lives, by the lock on its boom file, or on its text log where it has none.
pub(super) fn is_written(dir: &Path, run: &RunMeta) -> bool {
    let file = run.boom.as_deref().or(run.text.as_deref());
    file.and_then(|name| beside(dir, name)).is_some_and(|path| is_held(&path))
}

/// The path of a file that the metadata name. What points out of the directory is no file of the session.
pub fn beside(dir: &Path, name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    plain.then(|| dir.join(name))
}

fn run_outcome(dir: &Path, run: &mut RunMeta) -> Outcome {
    if run.run.end.is_none() && is_written(dir, run) {
        return Outcome::Running;
    }
    if run.run.end.is_none() {
        recovered::complete(dir, run);
    }
    run.run.end.as_ref().map_or(Outcome::Lost, |end| end.outcome)
}

/// Whether a session none of whose runs is being written has a writer all the same, or may yet get one.
fn may_go_on(meta: &Meta, dir: &Path, now: Time) -> bool {
    // It may wait for something to capture: a container to come.
    if recovered::booms(dir).any(|name| is_held(&dir.join(name))) {
        return true;
    }
    let seconds_max = match meta.open {
        true => SIGN_OF_LIFE_S_MAX,
        false if meta.runs.is_empty() => STARTING_S_MAX,
        false => return false,
    };
    let max = Duration::from_secs(seconds_max).as_micros() as i64;
    now.as_micros() - sign_of_life(meta, dir).as_micros() < max
}

/// The end that a full disk kept out of the metadata: a session that nobody keeps open ends as its first run did. The session files
/// of a collector are one after the other: if the last has no end, its program died.
fn implied_end(meta: &Meta) -> Option<RunEnd> {
    let first = meta.runs.first()?.run.end.as_ref()?;
    if meta.runs.iter().any(|run| run.run.kind == Kind::Collector && run.run.end.is_none()) {
        return None;
    }
    if meta.open { None } else { meta.end_of_first_run(first.ended_at) }
}

/// Start or end of a run, or mtime of the timeline or of a file that an unended run writes, whichever is last.
fn sign_of_life(meta: &Meta, dir: &Path) -> Time {
    let runs =
        meta.runs.iter().flat_map(|run| [Some(run.run.started_at), run.run.end.as_ref().map(|end| end.ended_at)]);
    let unended = meta.runs.iter().filter(|run| run.run.end.is_none());
    let written = unended.flat_map(|run| records_of(run, dir)).chain([dir.join("timeline.jsonl")]);
    runs.chain(written.map(|path| modified(&path))).flatten().fold(meta.run.started_at, Time::max)
}

/// The files whose mtime tells when the run was last written; `verify --repair` writes a text log beside a boom file too.
fn records_of(run: &RunMeta, dir: &Path) -> Vec<PathBuf> {
    let boom = run.boom.as_deref().and_then(|name| beside(dir, name));
    match boom {
        Some(boom) => vec![tail_path(&boom), boom],
        None => run.text.as_deref().and_then(|name| beside(dir, name)).into_iter().collect(),
    }
}

fn modified(path: &Path) -> Option<Time> {
    let since = fs::metadata(path).and_then(|file| file.modified()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

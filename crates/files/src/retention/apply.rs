//! Carries a plan out: one process at a time, nothing that lives, nothing half deleted under a session's name.
//!
//! A session is first renamed to `.trash-<id>`, which no listing shows, then removed; what a crash or a spent budget leaves
//! is removed the next time. `clean.lock` keeps others out, and its mtime is when it was last done; a [`tidy`] whose time
//! did not suffice to look at every session finds in it what the ones before saw.

mod known;

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use logboom_record::{SessionId, Time};

use super::{BAD_FACTOR, Limits, Reason, Seen, plan};
use crate::{
    DataDir, FilesError,
    bundle::{IMPORT, take_left_over},
    list::{ID_BYTES, Scan, Sessions, TRASH, session_id},
    session::{Status, retire, try_lock},
};

/// How long after one [`tidy`] the next is due.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// The most that are deleted in one [`tidy`] for their number alone.
const SURE_MAX: usize = 256;

/// Large files are cut down in steps of this, so that a budget can end between them.
const CUT_BYTES: u64 = 16 << 20;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The sessions that are gone, oldest first.
    pub deleted: Vec<(SessionId, Reason)>,
    /// Those that turned out to be alive, or went before us.
    pub spared: Vec<SessionId>,
    /// Whether the budget ended before the work did.
    pub unfinished: bool,
}

/// What came of [`tidy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// It was done less than an hour ago.
    NotDue,
    /// Somebody else is at it.
    Busy,
    /// It was done.
    Done(Report),
}

/// When work has to stop.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(budget: Option<Duration>) -> Deadline {
        Deadline(budget.and_then(|budget| Instant::now().checked_add(budget)))
    }

    fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}

/// What is known of every session, for [`plan`].
///
/// # Errors
/// Those of the system, naming the directory.
pub fn survey(data: &DataDir, now: Time) -> Result<Vec<Seen>, FilesError> {
    Ok(Sessions::of(data)?.statuses(now).iter().map(seen).collect())
}

fn seen(status: &Status) -> Seen {
    Seen {
        id: status.id.clone(),
        ended_at: status.last_seen,
        outcome: status.outcome,
        bytes: status.bytes(),
        live: status.is_live(),
    }
}

/// Deletes what the plan names, and what earlier ones left, for as long as it takes. For `logboom clean`. Where there is
/// neither, nothing is touched and nobody waited for.
///
/// # Errors
/// Those of the system; [`FilesError::Busy`] if another process is at it.
pub fn apply(data: &DataDir, plan: &[(SessionId, Reason)], now: Time) -> Result<Report, FilesError> {
    if plan.is_empty() && Scan::of(&data.sessions())?.trash.is_empty() {
        return Ok(Report::default());
    }
    let path = data.path.join("clean.lock");
    let file = open_lock(&path)?;
    if !try_lock(&file).map_err(FilesError::at("lock", &path))? {
        return Err(FilesError::Busy { path, seconds: 0 });
    }
    stamp(&file, &path, now)?;
    let trash = Scan::of(&data.sessions())?.trash;
    Work { dir: data.sessions(), now, deadline: Deadline(None) }.delete(&trash, plan)
}

/// Applies the limits if that is due and nobody else does, for no longer than `budget`: for a command that just ended.
/// Where there is far too much for that, the oldest go first, and the rest the next time.
///
/// # Errors
/// Those of the system. None of them concerns the command.
pub fn tidy(data: &DataDir, limits: &Limits, now: Time, budget: Duration) -> Result<Tidied, FilesError> {
    let deadline = Deadline::after(Some(budget));
    let path = data.path.join("clean.lock");
    if !is_due(&path, now) {
        return Ok(Tidied::NotDue);
    }
    let file = open_lock(&path)?;
    if !try_lock(&file).map_err(FilesError::at("lock", &path))? {
        return Ok(Tidied::Busy);
    }
    stamp(&file, &path, now)?;
    let work = Work { dir: data.sessions(), now, deadline };
    let mut scan = Scan::of(&work.dir)?;
    let trash = std::mem::take(&mut scan.trash);
    let surely = surely_too_many(&mut scan.names, limits);
    if !surely.is_empty() {
        return work.delete(&trash, &surely).map(Tidied::Done);
    }
    let sessions = Sessions::of_scan(data.sessions(), scan);
    // The other half is for what is found to be too old.
    let seen = survey_within(&sessions, known::read(&path), now, Deadline::after(Some(budget / 2)));
    // Without room for it the next one looks at them again: more reason to go on.
    let _ = known::write(&path, &seen, now);
    stamp(&file, &path, now)?;
    let is_whole = seen.len() == sessions.ids().len();
    // Of a part, age alone can be told.
    let limits = if is_whole { *limits } else { Limits { keep: u64::MAX, max_bytes: u64::MAX, ..*limits } };
    let mut report = work.delete(&trash, &plan(&seen, &limits, now))?;
    report.unfinished |= !is_whole;
    Ok(Tidied::Done(report))
}

fn is_due(path: &Path, now: Time) -> bool {
    let stamp = fs::metadata(path).and_then(|file| file.modified()).ok();
    let Some(since) = stamp.and_then(|stamp| stamp.duration_since(UNIX_EPOCH).ok()) else { return true };
    let age = i128::from(now.as_micros()) - since.as_micros() as i128;
    age.unsigned_abs() >= TIDY_EVERY.as_micros() // one far in the future is that of a clock that was wrong
}

fn open_lock(path: &Path) -> Result<File, FilesError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.map_err(FilesError::at("open", path))
}

fn stamp(file: &File, path: &Path, now: Time) -> Result<(), FilesError> {
    let since = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
    file.set_modified(SystemTime::UNIX_EPOCH + since).map_err(FilesError::at("stamp", path))
}

/// The oldest of the sessions that have so many newer ones that they go whatever they are: their names alone tell.
fn surely_too_many(names: &mut [[u8; ID_BYTES]], limits: &Limits) -> Vec<(SessionId, Reason)> {
    let count_max = limits.keep.saturating_mul(u64::from(1 + BAD_FACTOR));
    let count = names.len().saturating_sub(usize::try_from(count_max).unwrap_or(usize::MAX)).min(SURE_MAX);
    if count == 0 {
        return Vec::new();
    }
    let (oldest, last, _) = names.select_nth_unstable(count - 1);
    oldest.sort_unstable();
    let doomed = oldest.iter().chain([&*last]).filter_map(session_id);
    doomed.map(|id| (id, Reason::MoreThan(count_max))).collect()
}

/// What can be told of the sessions in that time, the oldest first: at least a few more than were `known`.
fn survey_within(sessions: &Sessions, mut known: Vec<Seen>, now: Time, deadline: Deadline) -> Vec<Seen> {
    let there: HashSet<&SessionId> = sessions.ids().iter().collect();
    known.retain(|seen| there.contains(&seen.id));
    let ids: HashSet<SessionId> = known.iter().map(|seen| seen.id.clone()).collect();
    for statuses in sessions.oldest_first(now, |id| !ids.contains(id)) {
        known.extend(statuses.iter().map(seen));
        if deadline.is_over() {
            break;
        }
    }
    known
}

/// Where sessions are deleted, and until when.
struct Work {
    dir: PathBuf,
    now: Time,
    deadline: Deadline,
}

impl Work {
    /// Removes what was left behind, then what the plan names.
    fn delete(&self, trash: &[PathBuf], plan: &[(SessionId, Reason)]) -> Result<Report, FilesError> {
        let mut report = Report::default();
        for path in trash {
            report.unfinished = report.unfinished || !remove_left_over(path, self.deadline)?;
        }
        for (id, reason) in plan {
            if report.unfinished || self.deadline.is_over() {
                report.unfinished = true;
                break;
            }
            let trash = self.dir.join(format!("{TRASH}{id}"));
            match retire(&self.dir.join(id.as_str()), id, &trash, self.now)? {
                true => report.deleted.push((id.clone(), *reason)),
                false => report.spared.push(id.clone()),
            }
            report.unfinished = !remove(&trash, self.deadline)?;
        }
        Ok(report)
    }
}

/// Removes what is left of a session, unless an import still gathers it.
fn remove_left_over(dir: &Path, deadline: Deadline) -> Result<bool, FilesError> {
    let is_import = dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(IMPORT.as_bytes()));
    let lock = if is_import { take_left_over(dir) } else { None };
    if is_import && lock.is_none() {
        return Ok(true);
    }
    remove(dir, deadline)
}

/// Removes a directory of files; `false` if the time did not suffice. One that is not there is removed.
fn remove(dir: &Path, deadline: Deadline) -> Result<bool, FilesError> {
    if dir.is_symlink() {
        return fs::remove_file(dir).map_err(FilesError::at("delete", dir)).map(|()| true);
    }
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other.map_err(FilesError::at("delete", dir))?,
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(&path).map_err(FilesError::at("delete", &path))?;
            continue;
        }
        if deadline.is_over() || !cut_down(&path, deadline) {
            return Ok(false);
        }
        fs::remove_file(&path).map_err(FilesError::at("delete", &path))?;
    }
    fs::remove_dir(dir).map_err(FilesError::at("delete", dir))?;
    Ok(true)
}

/// Makes a large file small where there is a deadline: removing it at once can take longer than the whole budget.
fn cut_down(path: &Path, deadline: Deadline) -> bool {
    let mut bytes = match fs::symlink_metadata(path) {
        Ok(file) if deadline.0.is_some() && file.is_file() && file.nlink() == 1 => file.len(),
        _ => return true, // what has another name, somebody keeps
    };
    if bytes <= CUT_BYTES {
        return true;
    }
    let Ok(file) = OpenOptions::new().write(true).open(path) else { return true };
    while bytes > CUT_BYTES {
        bytes -= CUT_BYTES;
        if deadline.is_over() {
            return false;
        }
        if file.set_len(bytes).is_err() {
            return true;
        }
    }
    true
}

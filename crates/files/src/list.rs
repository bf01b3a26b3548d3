//! The sessions of a data dir, newest first, and how people name one.
//!
//! Names alone tell most of the order, so that `latest` costs one directory read however many sessions there are. The
//! names have whole seconds; where sessions share one, their metadata decide, and only theirs are read for it.

mod resolve;

use std::{
    cmp::Reverse,
    ffi::OsStr,
    ops::Range,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use logboom_record::{SessionId, Time};
use rustix::{
    fs::{Mode, OFlags, RawDir, open},
    io::Errno,
};

pub use resolve::{RefError, ResolveError, SessionRef};

use crate::{
    DataDir, FilesError,
    bundle::IMPORT,
    session::{Session, Status},
};

/// What the name of a session that is being deleted begins with.
pub(crate) const TRASH: &str = ".trash-";

/// How long an id is.
pub(crate) const ID_BYTES: usize = 28;

/// How many sessions one thread takes at a time.
const STEP: usize = 16;

/// How many are read before a search looks whether it has enough.
const CHUNK: usize = 256;

/// How many are read before somebody who is short of time looks at the clock.
const FEW: usize = 32;

/// The sessions of a data dir as they were when it was read, newest first.
#[derive(Clone, Debug)]
pub struct Sessions {
    dir: PathBuf,
    ids: Vec<SessionId>,
}

impl Sessions {
    /// Reads the names. A data dir that does not exist has no sessions.
    ///
    /// # Errors
    /// Those of the system, naming the directory.
    pub fn of(data: &DataDir) -> Result<Sessions, FilesError> {
        Ok(Sessions::of_scan(data.sessions(), Scan::of(&data.sessions())?))
    }

    /// The sessions whose names were read already.
    pub(crate) fn of_scan(dir: PathBuf, mut scan: Scan) -> Sessions {
        scan.names.sort_unstable_by_key(|name| Reverse(*name));
        Sessions { dir, ids: scan.names.iter().filter_map(session_id).collect() }
    }

    /// Their ids, newest first; within one second in no particular order.
    pub fn ids(&self) -> &[SessionId] {
        &self.ids
    }

    /// The session of an id.
    pub fn session(&self, id: &SessionId) -> Session {
        Session::listed(self.dir.join(id.as_str()), id.clone())
    }

    /// How every session stands, newest first; read on every core. Those deleted meanwhile are left out; those whose
    /// metadata are damaged are not.
    pub fn statuses(&self, now: Time) -> Vec<Status> {
        self.read(0..self.ids.len(), now)
    }

    /// Those that are wanted, the oldest first, a few at a time.
    pub(crate) fn oldest_first(
        &self,
        now: Time,
        wanted: impl Fn(&SessionId) -> bool,
    ) -> impl Iterator<Item = Vec<Status>> {
        let ids = self.ids.iter().rev().filter(|id| wanted(id)).cloned().collect();
        let oldest_first = Sessions { dir: self.dir.clone(), ids };
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = (start + FEW).min(oldest_first.ids.len());
            let range = std::mem::replace(&mut start, end)..end;
            (!range.is_empty()).then(|| oldest_first.read(range, now))
        })
    }

    /// All of them, a few at a time, newest first but for those of one chunk; so that no more than a few are in memory.
    pub fn in_chunks(&self, now: Time) -> impl Iterator<Item = Vec<Status>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = (start + FEW).min(self.ids.len());
            let range = std::mem::replace(&mut start, end)..end;
            (!range.is_empty()).then(|| self.read(range, now))
        })
    }

    /// The newest sessions that `wanted` takes, at most `count`, reading no more than it needs.
    pub fn newest(&self, count: usize, now: Time, wanted: impl Fn(&Status) -> bool) -> Vec<Status> {
        let (mut found, mut start) = (Vec::new(), 0);
        while start < self.ids.len() && found.len() < count {
            let chunk = if start == 0 { count.min(CHUNK) } else { CHUNK };
            let end = self.second_end((start + chunk).min(self.ids.len()));
            found.extend(self.read(start..end, now).into_iter().filter(&wanted));
            start = end;
        }
        found.truncate(count);
        found
    }

    /// The first place at or after `end` where another second begins.
    fn second_end(&self, end: usize) -> usize {
        let Some(last) = end.checked_sub(1).and_then(|last| self.ids.get(last)) else { return end };
        end + self.ids[end..].iter().take_while(|id| second(id) == second(last)).count()
    }

    /// Reads a range that begins and ends between seconds.
    fn read(&self, range: Range<usize>, now: Time) -> Vec<Status> {
        let ids = &self.ids[range];
        let next = AtomicUsize::new(0);
        let work = || {
            let steps = std::iter::from_fn(|| {
                let start = next.fetch_add(STEP, Ordering::Relaxed);
                let ids = ids.get(start..(start + STEP).min(ids.len()))?;
                Some((start, ids.iter().filter_map(|id| self.status(id, now)).collect()))
            });
            steps.collect::<Vec<(usize, Vec<Status>)>>()
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(ids.len() / (2 * STEP) + 1);
        let mut steps = on_threads(threads, &work);
        steps.sort_unstable_by_key(|(start, _)| *start);
        let mut all: Vec<Status> = steps.into_iter().flat_map(|(_, statuses)| statuses).collect();
        for same in all.chunk_by_mut(|a, b| second(&a.id) == second(&b.id)) {
            same.sort_by_key(|status| Reverse(status.meta.run.started_at));
        }
        all
    }

    fn status(&self, id: &SessionId, now: Time) -> Option<Status> {
        let status = self.session(id).status(now);
        let deleted = status.damage.is_some() && !status.dir.exists();
        (!deleted).then_some(status)
    }
}

/// The part of an id that is a time.
fn second(id: &SessionId) -> &str {
    &id.as_str()[..19]
}

/// The names in the sessions' directory, as they come. Ten thousand of them are sorted where they stand, before any
/// becomes a `String`.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// What is as long as an id.
    pub(crate) names: Vec<[u8; ID_BYTES]>,
    /// What is left of sessions that were being deleted, and what imports work in or have left.
    pub(crate) trash: Vec<PathBuf>,
}

impl Scan {
    /// Reads the directory; one that does not exist is empty.
    pub(crate) fn of(dir: &Path) -> Result<Scan, FilesError> {
        match Scan::read(dir) {
            Err(Errno::NOENT) => Ok(Scan::default()),
            other => other.map_err(|error| FilesError::at("list", dir)(error.into())),
        }
    }

    fn read(path: &Path) -> Result<Scan, Errno> {
        let dir = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut buffer = Vec::with_capacity(64 << 10);
        let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
        let mut scan = Scan::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            match <[u8; ID_BYTES]>::try_from(name) {
                Ok(name) => scan.names.push(name),
                Err(_) if is_hidden(name) => scan.trash.push(path.join(OsStr::from_bytes(name))),
                Err(_) => {}
            }
        }
        Ok(scan)
    }
}

/// Whether a directory of this name is no session any more, or not yet.
fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(TRASH.as_bytes()) || name.starts_with(IMPORT.as_bytes())
}

/// The id that a name is, if it is one.
pub(crate) fn session_id(name: &[u8; ID_BYTES]) -> Option<SessionId> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// Does the work on so many threads, this one included.
fn on_threads<T: Send>(threads: usize, work: &(impl Fn() -> Vec<T> + Sync)) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(mut theirs) => all.append(&mut theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

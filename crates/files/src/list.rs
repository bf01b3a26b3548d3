//! The sessions of a data dir, newest first, and how people name one.
//!
//! Names alone tell most of the order, so that `latest` costs one directory read however many sessions there are. The
//! names have whole seconds; where sessions share one, their metadata decide, and only theirs are read for it.

mod resolve;

use std::{
    cmp::Reverse,
    fs, io,
    ops::Range,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use logboom_record::{SessionId, Time};

pub use resolve::{RefError, ResolveError, SessionRef};

use crate::{
    DataDir, FilesError,
    session::{Session, Status},
};

/// How many sessions one thread takes at a time.
const STEP: usize = 16;

/// How many are read before a search looks whether it has enough.
const CHUNK: usize = 256;

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
        let dir = data.sessions();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sessions { dir, ids: vec![] }),
            other => other.map_err(FilesError::at("list", &dir))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(FilesError::at("list", &dir))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<SessionId>().ok()));
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Sessions { dir, ids })
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

    /// All of them, newest first, some at a time.
    pub(crate) fn chunks(&self, now: Time) -> impl Iterator<Item = Vec<Status>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = self.second_end((start + CHUNK).min(self.ids.len()));
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

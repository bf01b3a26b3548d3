//! Sleeping until there is news.
//!
//! inotify tells when something in a session's directory was written, added, or closed by a writer that died. It is asked
//! to before the files are looked at, so that nothing falls between. It can only wake: what happened is always told
//! by the files. Where there is no inotify (or no watch left) the files are looked at every [`POLL`]; of many sessions less
//! often, since each look is at all of them.
//!
//! A watch is kept for the next wait: to close one the kernel takes about 10 ms.

use std::{
    collections::HashSet,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use logboom_record::Outcome;
use logboom_store::{Query, Scope, StoreError, Wake};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    io::Errno,
};

use crate::{follow, open::Shelf, place::Seen, session::Open, view::View};

/// How often files are looked at without inotify; and soon after an event that was no news yet: the lock of a killed
/// writer is let go of just after its files are closed.
const POLL: Duration = Duration::from_millis(5);
/// How many watches are kept, and how many directories each may have then.
const WATCHES_MAX: usize = 16;
const WATCHED_MAX: usize = 64;
/// How long a sleep without an event is at most, for what no file tells (a session that nobody keeps open any more).
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Watches that nobody waits on right now.
#[derive(Default)]
pub(crate) struct Watches(Mutex<Vec<Watch>>);

impl Watches {
    /// Waits for news after what is seen.
    pub fn wait(&self, shelf: &Shelf, query: &Query, seen: &Seen, deadline: Instant) -> Result<Wake, StoreError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut watch = kept.unwrap_or_else(Watch::new);
        let wake = wait(&mut watch, shelf, query, seen, deadline);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < WATCHES_MAX && watch.watched.len() < WATCHED_MAX {
            kept.push(watch);
        }
        wake
    }
}

fn wait(watch: &mut Watch, shelf: &Shelf, query: &Query, seen: &Seen, deadline: Instant) -> Result<Wake, StoreError> {
    let mut pause = POLL;
    watch.drain();
    loop {
        watch.look_at(shelf, query.scope)?;
        if let Some(wake) = look(shelf, query, seen)? {
            return Ok(wake);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Wake::Deadline);
        }
        pause = if watch.sleep(left.min(pause)) { POLL } else { (pause * 2).min(watch.sleep_max()) };
    }
}

/// News, or the end, if there is either.
fn look(shelf: &Shelf, query: &Query, seen: &Seen) -> Result<Option<Wake>, StoreError> {
    let mut view = View::new(shelf.take(query.scope)?, query);
    let mut wake = follow::is_news(&view, query, seen).then_some(Wake::Entries);
    if wake.is_none() && query.scope != Scope::All {
        view.sessions.iter_mut().for_each(Open::look_at_status);
        if view.sessions.iter().all(|session| has_ended(session, query.scope)) {
            // The last entries may have come between the look at them and the look at the end.
            view.sessions.iter_mut().try_for_each(Open::refresh)?;
            let news = follow::is_news(&view, query, seen);
            wake = Some(if news { Wake::Entries } else { Wake::Ended });
        }
    }
    shelf.put_back(view.sessions);
    Ok(wake)
}

fn has_ended(session: &Open, scope: Scope) -> bool {
    let status = &session.status;
    match scope {
        Scope::Run(id) => session.runs.iter().any(|run| run.id == id && run.end.is_some()),
        _ => status.outcome != Outcome::Running && !status.outcomes.contains(&Outcome::Running),
    }
}

/// What is watched.
struct Watch {
    inotify: Option<OwnedFd>,
    watched: HashSet<PathBuf>,
    /// How many sessions are looked at.
    sessions: u32,
}

impl Watch {
    fn new() -> Watch {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        Watch { inotify: inotify::init(flags).ok(), watched: HashSet::new(), sessions: 1 }
    }

    /// Watches the directories of a scope that are not watched yet.
    fn look_at(&mut self, shelf: &Shelf, scope: Scope) -> Result<(), StoreError> {
        match scope {
            Scope::Session(run) | Scope::Run(run) => {
                let dir = shelf.data().session(&shelf.session_of(run)?);
                self.add(&dir);
                self.sessions = 1;
            }
            Scope::All => {
                self.add(&shelf.data().sessions());
                let ids = shelf.ids()?;
                ids.iter().for_each(|id| self.add(&shelf.data().session(id)));
                self.sessions = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            }
        }
        Ok(())
    }

    fn add(&mut self, dir: &Path) {
        use inotify::WatchFlags as On;
        let Some(inotify) = &self.inotify else { return };
        if self.watched.contains(dir) {
            return;
        }
        let on = On::MODIFY | On::CREATE | On::MOVED_TO | On::CLOSE_WRITE | On::ONLYDIR;
        match inotify::add_watch(inotify, dir, on) {
            Ok(_) => drop(self.watched.insert(dir.to_owned())),
            Err(Errno::NOENT) => {} // not there yet, or deleted: the next look tells
            Err(_) => self.inotify = None,
        }
    }

    /// How long it may sleep without an event.
    fn sleep_max(&self) -> Duration {
        if self.inotify.is_some() { SLEEP_MAX } else { POLL.saturating_mul(self.sessions.max(1)).min(SLEEP_MAX) }
    }

    /// Sleeps. Tells whether an event ended it.
    fn sleep(&mut self, time: Duration) -> bool {
        let Some(inotify) = &self.inotify else {
            thread::sleep(time.min(self.sleep_max()));
            return false;
        };
        let limit = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
        match poll(&mut [PollFd::new(inotify, PollFlags::IN)], Some(&limit)) {
            Ok(events) => {
                self.drain();
                events > 0
            }
            Err(Errno::INTR) => true,
            Err(_) => {
                self.inotify = None;
                false
            }
        }
    }

    /// Reads the events away: that there were any is all they tell.
    fn drain(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let mut buffer = [MaybeUninit::uninit(); 4_096];
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        while events.next().is_ok() {}
    }
}

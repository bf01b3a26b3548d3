//! How many files this process may have open, which whoever follows containers raises for itself alone.
//!
//! Each container that is followed has some three files open, and a shell's usual limit is 1,024. The system lets everybody raise it
//! as far as the hard limit; it is low because select(2), which old programs use, fails beyond it. So a program that is started
//! from here gets the limit that we had.

use std::{fs, io};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// So many files must be free under the old limit, where a program is started under it.
const SPARE: u64 = 64;

/// The limit as it was before it was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    before: Rlimit,
}

impl OpenFiles {
    /// Lets this process open as many files as it ever may.
    pub fn raise() -> OpenFiles {
        let before = getrlimit(Resource::Nofile);
        // Up to the hard limit it cannot be refused; where it is, the old limit holds, and is told when it is reached.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
        OpenFiles { before }
    }

    /// Starts a program with the limit as it was. It is lowered meanwhile for all of this process, unless so many files are open that
    /// somebody could miss it; then the program has the raised limit for its first moments.
    pub(crate) fn start(&self, start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
        let raised = getrlimit(Resource::Nofile);
        let is_roomy = self.before.current.is_none_or(|limit| open_count() + SPARE <= limit);
        if is_roomy {
            setrlimit(Resource::Nofile, Rlimit { current: self.before.current, ..raised })?;
        }
        let started = start();
        if is_roomy {
            setrlimit(Resource::Nofile, raised)?;
        } else if let Ok(pid) = started {
            // It may have ended already.
            let _ = prlimit(Some(pid), Resource::Nofile, self.before);
        }
        started
    }
}

/// How many files are kept free for what is needed from time to time: the next file of a log that rotates, `session.json`, a
/// question to the engine.
pub(crate) fn kept_free() -> u64 {
    limit().map_or(0, |limit| SPARE.min(limit / 4))
}

/// How many files may be open at once; `None` if there is no limit.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Whether so many more files can be opened.
pub(crate) fn has_room_for(files: u64) -> bool {
    limit().is_none_or(|limit| open_count() + files <= limit)
}

/// How many are open; as many as may be if not even that can be found out.
fn open_count() -> u64 {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return limit().unwrap_or(u64::MAX - SPARE) };
    open.count() as u64
}

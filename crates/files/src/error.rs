//! Why something about the files of a session could not be done, and what to do next.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use logboom_boom::BoomError;
use logboom_record::{Outcome, RunId, SessionId, Time};
use rustix::io::Errno;

/// Why something about a data dir or a session could not be done. Each variant is a different next step.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no room; the same call succeeds once there is.
    #[error("cannot {action} {}: the disk is full; make room (`logboom clean` deletes old sessions)", .path.display())]
    DiskFull {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system or its permissions forbid it.
    #[error("cannot {action} {}: {source}; make it accessible, or choose another data dir with --dir or LOGBOOM_DIR", .path.display())]
    Forbidden {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not there: never was, or was deleted meanwhile.
    #[error("cannot {action} {}: it does not exist; `logboom sessions` lists what does", .path.display())]
    Missing {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
    },
    /// The system refused for another reason.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else's program, or a crash, left a `session.json` that cannot be read. Nothing was changed.
    #[error(
        "{}:{line}:{column}: not the metadata of a session: {why}; mend or delete the file: the records are in the \
         session's other files, and are found without it",
        .path.display()
    )]
    MetaDamaged {
        /// The file.
        path: PathBuf,
        /// The line of the first mistake, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// The session or run has an end already; the first to end it wins.
    #[error("{what} has already ended ({} at {at}); start a new session for more", .outcome.as_str())]
    AlreadyEnded {
        /// Which session or run.
        what: String,
        /// How it ended.
        outcome: Outcome,
        /// When it ended.
        at: Time,
    },
    /// The session has no such run.
    #[error("session {session} has no run {run}; `logboom show --json {session}` names its runs")]
    NoSuchRun {
        /// The session.
        session: SessionId,
        /// The run looked for.
        run: RunId,
    },
    /// Somebody else holds the lock.
    #[error("{} is locked by another process{}; look for a stopped logboom, or try again", .path.display(), waited(*.seconds))]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for; 0 where nobody waits for it.
        seconds: u64,
    },
    /// Every name that was tried is taken.
    #[error("no free name for {} after {tries} tries; remove some files there", .path.display())]
    NoFreeName {
        /// The first name tried.
        path: PathBuf,
        /// How many were.
        tries: u32,
    },
    /// A boom file cannot be read.
    #[error(transparent)]
    Boom(#[from] BoomError),
}

impl FilesError {
    /// Turns what the system said into the variant with the right next step: `.map_err(FilesError::at("create", &path))`.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
        move |source| {
            let path = path.to_owned();
            match Errno::from_io_error(&source) {
                Some(Errno::NOSPC | Errno::DQUOT) => FilesError::DiskFull { action, path, source },
                Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => FilesError::Forbidden { action, path, source },
                Some(Errno::NOENT) => FilesError::Missing { action, path },
                _ => FilesError::Io { action, path, source },
            }
        }
    }

    /// Whether it failed because the thing is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, FilesError::Missing { .. })
    }
}

fn waited(seconds: u64) -> String {
    if seconds == 0 { String::new() } else { format!(" for {seconds} s") }
}

/// What an error says, and its causes where it does not say them itself.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text += &format!(": {said}");
        }
        cause = error.source();
    }
    text
}

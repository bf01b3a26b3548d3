//! Locks: who is still writing, and whose turn it is to replace the metadata.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
};

use crate::FilesError;

/// How long the metadata's lock is waited for. Its holders need it for milliseconds; one that is stopped must not stop us.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The lock under which `session.json` is replaced; released when dropped.
pub(super) struct MetaLock(#[expect(dead_code, reason = "closing it releases the lock")] File);

impl MetaLock {
    pub(super) fn take(dir: &Path) -> Result<MetaLock, FilesError> {
        let path = dir.join("session.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(FilesError::at("lock", &path))?;
        let (start, mut pause) = (Instant::now(), Duration::from_micros(200));
        while !try_lock(&file).map_err(FilesError::at("lock", &path))? {
            if start.elapsed() > WAIT_MAX {
                return Err(FilesError::Busy { path, seconds: WAIT_MAX.as_secs() });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        Ok(MetaLock(file))
    }

    /// The lock if nobody has it; `None` if somebody does.
    pub(super) fn try_take(dir: &Path) -> Result<Option<MetaLock>, FilesError> {
        let path = dir.join("session.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(FilesError::at("lock", &path))?;
        Ok(try_lock(&file).map_err(FilesError::at("lock", &path))?.then(|| MetaLock(file)))
    }
}

/// Takes the exclusive lock of an open file if nobody has it.
///
/// # Errors
/// Those of the system.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Holds the lock that says "my writer lives" for as long as `file`, or a duplicate of its descriptor, is open.
///
/// # Errors
/// [`FilesError::Io`] naming `path`; a probing reader in the same instant is waited for.
pub fn hold_lock(file: &File, path: &Path) -> Result<(), FilesError> {
    flock(file, FlockOperation::LockExclusive).map_err(|error| FilesError::at("lock", path)(error.into()))
}

/// Whether the writer of a file lives, by its lock. A file that is not there, or that cannot be opened, has none.
pub fn is_held(path: &Path) -> bool {
    // Not to wait for the other end, should somebody have put a FIFO there.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = open(path, flags, Mode::empty()) else { return false };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => false, // closing releases it
        Err(error) => error == Errno::WOULDBLOCK,
    }
}

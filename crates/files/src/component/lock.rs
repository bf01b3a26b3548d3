//! The lock of a log, and what it says: how much of the live file is granted to writers.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{ComponentError, names::Place};
use crate::session::try_lock;

/// How long the lock is waited for. Its holders need it for less than a millisecond; a stopped one must not stop us.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Makes 24 bytes of anything else no grants.
const CHECK: u64 = u64::from_le_bytes(*b"boom-log");

/// The lock file of a log, open.
#[derive(Debug)]
pub(super) struct Lock {
    place: Place,
    file: Option<File>,
}

/// The lock, held. Whoever drops it lets the next one in.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a File);

/// What of the live file is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) inode: u64,
    pub(super) bytes: u64,
}

impl Lock {
    pub(super) fn new(place: Place) -> Lock {
        Lock { place, file: None }
    }

    /// Takes the lock; makes the directory and the lock file where they are missing, or were deleted under us.
    pub(super) fn take(&mut self) -> Result<Held<'_>, ComponentError> {
        if let Some(file) = self.file.take() {
            self.wait(&file)?;
            if self.has_name(&file)? {
                return Ok(Held(self.file.insert(file)));
            }
        }
        loop {
            let file = self.open()?;
            self.wait(&file)?;
            if self.has_name(&file)? {
                return Ok(Held(self.file.insert(file)));
            }
        }
    }

    /// The lock if it can be had at once and is where it was.
    pub(super) fn try_take(&self) -> Option<Held<'_>> {
        let file = self.file.as_ref()?;
        (try_lock(file).ok()? && self.has_name(file).ok()?).then_some(Held(file))
    }

    fn open(&self) -> Result<File, ComponentError> {
        let dir = self.place.dir();
        let made = DirBuilder::new().recursive(true).mode(0o750).create(dir);
        made.map_err(ComponentError::at("create", dir))?;
        let path = self.place.lock();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(&path);
        file.map_err(ComponentError::at("open", &path))
    }

    fn wait(&self, file: &File) -> Result<(), ComponentError> {
        wait(file, FlockOperation::NonBlockingLockExclusive, &self.place)
    }

    fn has_name(&self, file: &File) -> Result<bool, ComponentError> {
        let path = self.place.lock();
        Ok(file.metadata().map_err(ComponentError::at("look at", &path))?.nlink() > 0)
    }
}

/// Waits for the lock in either kind.
pub(super) fn wait(file: &File, kind: FlockOperation, place: &Place) -> Result<(), ComponentError> {
    let (start, mut pause) = (Instant::now(), Duration::from_micros(20));
    loop {
        match flock(file, kind) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if start.elapsed() > WAIT_MAX => {
                return Err(ComponentError::Busy { path: place.lock(), seconds: WAIT_MAX.as_secs() });
            }
            Err(Errno::WOULDBLOCK) => thread::sleep(pause),
            Err(error) => return Err(ComponentError::at("lock", &place.lock())(error.into())),
        }
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

impl Held<'_> {
    /// What is granted; `None` where the file says nothing.
    pub(super) fn grants(&self) -> io::Result<Option<Grants>> {
        let mut words = [[0; 8]; 3];
        let [inode, bytes, check] = match self.0.read_exact_at(words.as_flattened_mut(), 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map(|()| words.map(u64::from_le_bytes))?,
        };
        Ok((inode ^ bytes ^ CHECK == check).then_some(Grants { inode, bytes }))
    }

    /// Says what is granted from now on.
    pub(super) fn set_grants(&self, grants: Grants) -> io::Result<()> {
        let words = [grants.inode, grants.bytes, grants.inode ^ grants.bytes ^ CHECK];
        self.0.write_all_at(words.map(u64::to_le_bytes).as_flattened(), 0)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It can only fail for a descriptor that is not open, which this one is.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

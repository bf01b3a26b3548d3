//! Appends lines to a log, beside other writers.
//!
//! The way of nearly every line is short: the file is still the live one (fstat), the line fits what was granted, write. All else
//! happens under the log's lock: opening, rotating, being granted more. Between the fstat and the write another process may
//! close the file; then the line is the last of a closed file, still within its limit, as if it had been written before.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Stat, flock, fstat, syncfs},
    io::{Errno, write},
};

use super::{
    Clock, ComponentError, LINE_BYTES_MAX, LogConfig, Rotated, compress,
    lock::{Grants, Held, Lock},
    names::Place,
    rotate,
};

/// The most that is granted at once; no more than this part of the limit, so that unused grants cost little of a file.
const GRANT_BYTES_MAX: u64 = 64 << 10;
const GRANT_PART: u64 = 64;
/// How often a writer looks again because others have used up the file meanwhile.
const ROUNDS_MAX: u32 = 10_000;

/// See the module.
pub(super) struct Writer {
    place: Place,
    live: PathBuf,
    max_file_size: u64,
    max_rotated_files: usize,
    rotated: Rotated,
    clock: Clock,
    lock: Lock,
    open: Option<Open>,
    /// Whether entries may be unsynced in files that were left.
    left: bool,
    with_newline: Vec<u8>,
}

/// The live file, as far as we know.
struct Open {
    file: File,
    inode: u64,
    /// How much of it we may still write.
    budget: u64,
    /// What to ask for next.
    wish: u64,
    /// Where our last line ended, if nobody wrote meanwhile: there is an LF before it.
    end: u64,
}

impl Writer {
    /// Opens the log, and mends what a killed writer left.
    pub(super) fn open(
        config: &LogConfig,
        place: Place,
        rotated: Rotated,
        clock: Clock,
    ) -> Result<Writer, ComponentError> {
        let mut writer = Writer {
            live: place.live(),
            max_file_size: config.max_file_size,
            max_rotated_files: config.max_rotated_files,
            rotated,
            clock,
            lock: Lock::new(place.clone()),
            place,
            open: None,
            left: true, // the name of a new file is not synced either
            with_newline: Vec::new(),
        };
        writer.acquire(0)?;
        rotate::tidy(&writer.place, writer.max_rotated_files, &writer.lock.take()?)?;
        writer.compress();
        Ok(writer)
    }

    /// Appends a line, which ends with LF, by one write(2).
    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), ComponentError> {
        let bytes_max = self.max_file_size.min(LINE_BYTES_MAX as u64);
        if line.len() as u64 > bytes_max {
            let path = self.live.clone();
            return Err(ComponentError::TooLong { path, bytes: line.len(), bytes_max });
        }
        for _ in 0..ROUNDS_MAX {
            if self.try_append(line)? {
                return Ok(());
            }
        }
        Err(ComponentError::Crowded { path: self.live.clone() })
    }

    /// Makes all that was appended survive a power cut.
    pub(super) fn flush(&mut self) -> Result<(), ComponentError> {
        let Some(open) = &self.open else { return Ok(()) };
        let synced = match self.left {
            true => syncfs(&open.file).map_err(io::Error::from), // the files that we left, and the names
            false => open.file.sync_data(),
        };
        synced.map_err(ComponentError::at("sync", &self.live))?;
        self.left = false;
        Ok(())
    }

    /// Appends the line if the file is the live one and enough of it is ours; else sees to that.
    fn try_append(&mut self, line: &[u8]) -> Result<bool, ComponentError> {
        let Some((open, stat)) = still_live(&mut self.open, &self.live)? else {
            self.acquire(line.len() as u64)?;
            return Ok(false);
        };
        let size = stat.st_size.unsigned_abs();
        let torn = size != open.end && ends_torn(&open.file, size).map_err(ComponentError::at("read", &self.live))?;
        let need = line.len() as u64 + u64::from(torn);
        if open.budget < need {
            self.acquire(need)?;
            return Ok(false);
        }
        let written = match torn {
            false => write_once(&open.file, line),
            true => {
                self.with_newline.clear();
                self.with_newline.push(b'\n');
                self.with_newline.extend_from_slice(line);
                write_once(&open.file, &self.with_newline)
            }
        };
        let written = written.map_err(ComponentError::at("write", &self.live))? as u64;
        open.budget -= written;
        open.end = size + written;
        if written < need {
            open.end = 0; // the next one looks, and ends what we tore
            let full = io::Error::from_raw_os_error(Errno::NOSPC.raw_os_error());
            return Err(ComponentError::at("write all of a line to", &self.live)(full));
        }
        Ok(true)
    }

    /// Opens the live file where it is not open, and is granted at least `need` bytes of it; rotates where there are no more.
    fn acquire(&mut self, need: u64) -> Result<(), ComponentError> {
        let held = self.lock.take()?;
        let entering = Entering { place: &self.place, live: &self.live, clock: &self.clock, held: &held };
        let before = self.open.as_ref().map(|open| open.inode);
        let mut granted = entering.settle(&mut self.open)?;
        let mut rotated = false;
        if granted.saturating_add(need) > self.max_file_size {
            granted = entering.reclaim(&self.open)?.unwrap_or(granted);
        }
        if granted.saturating_add(need) > self.max_file_size && granted > 0 {
            self.open = None; // so that nobody waits for us before compressing it
            granted = entering.rotate(&mut self.open)?;
            rotate::tidy(&self.place, self.max_rotated_files, &held)?;
            rotated = true;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.take(need, granted, self.max_file_size, &held).map_err(ComponentError::at("write", &self.place.lock()))?;
        self.left |= before != Some(open.inode);
        drop(held);
        if rotated {
            self.compress();
        }
        Ok(())
    }

    /// What cannot be compressed now (a full disk, a file that another process has open) is tried again at the next rotation.
    fn compress(&mut self) {
        if self.rotated == Rotated::Zstd {
            let _ = compress::all(&self.place, &mut self.lock);
        }
    }
}

impl Drop for Writer {
    /// Gives back what was granted and not used. If that fails, the file is closed a little earlier than it had to be.
    fn drop(&mut self) {
        let (Some(open), Some(held)) = (&self.open, self.lock.try_take()) else { return };
        if let Ok(Some(grants)) = held.grants()
            && grants.inode == open.inode
        {
            let bytes = grants.bytes.saturating_sub(open.budget);
            let _ = held.set_grants(Grants { bytes, ..grants });
        }
    }
}

/// What opening and closing need, under the lock.
struct Entering<'a> {
    place: &'a Place,
    live: &'a Path,
    clock: &'a Clock,
    held: &'a Held<'a>,
}

impl Entering<'_> {
    /// Sees to it that the live file is open, and says how much of it is granted to others.
    fn settle(&self, open: &mut Option<Open>) -> Result<u64, ComponentError> {
        let found = match self.live.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found.map_err(ComponentError::at("look at", self.live))?),
        };
        let inode = match found {
            None => return self.create(open),
            Some(found) if rotate::is_closed(found.mode()) => return self.rotate(open), // killed in the middle of it
            Some(found) => found.ino(),
        };
        if open.as_ref().is_none_or(|open| open.inode != inode) {
            *open = None;
            let file = OpenOptions::new().read(true).append(true).open(self.live);
            *open = Some(Open::new(file.and_then(shared)).map_err(ComponentError::at("open", self.live))?);
        }
        self.granted(open)
    }

    /// How much is granted of a file that is open, without our own. Where nothing tells, nobody else must have it open.
    fn granted(&self, open: &Option<Open>) -> Result<u64, ComponentError> {
        let grants = self.held.grants().map_err(ComponentError::at("read", &self.place.lock()))?;
        match (grants, open) {
            (Some(grants), Some(open)) if grants.inode == open.inode => Ok(grants.bytes.saturating_sub(open.budget)),
            _ => Ok(self.reclaim(open)?.unwrap_or(u64::MAX)),
        }
    }

    /// The size of the live file, if nobody else has it open: then nothing of it is granted but what is written.
    fn reclaim(&self, open: &Option<Open>) -> Result<Option<u64>, ComponentError> {
        let Some(open) = open else { return Ok(None) };
        let alone = flock(&open.file, FlockOperation::NonBlockingLockExclusive);
        // Only holders of the log's lock ask for the exclusive one, so the shared one can be had back at once.
        let back = retry(|| flock(&open.file, FlockOperation::LockShared));
        back.map_err(|error| ComponentError::at("lock", self.live)(error.into()))?;
        match alone {
            Ok(()) => Ok(Some(open.file.metadata().map_err(ComponentError::at("look at", self.live))?.len())),
            Err(_) => Ok(None),
        }
    }

    /// Closes the live file and opens a new one.
    fn rotate(&self, open: &mut Option<Open>) -> Result<u64, ComponentError> {
        *open = None;
        rotate::close(self.place, (self.clock)(), self.held)?;
        self.create(open)
    }

    fn create(&self, open: &mut Option<Open>) -> Result<u64, ComponentError> {
        *open = None;
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o640).open(self.live);
        let new = Open::new(file.and_then(shared)).map_err(ComponentError::at("create", self.live))?;
        let grants = Grants { inode: new.inode, bytes: 0 };
        self.held.set_grants(grants).map_err(ComponentError::at("write", &self.place.lock()))?;
        *open = Some(new);
        Ok(0)
    }
}

impl Open {
    fn new(file: io::Result<File>) -> io::Result<Open> {
        let file = file?;
        let inode = file.metadata()?.ino();
        Ok(Open { file, inode, budget: 0, wish: 0, end: 0 })
    }

    /// Takes a grant: `need`, or as much more as this writer seems to use and the limit leaves.
    fn take(&mut self, need: u64, granted: u64, limit: u64, held: &Held<'_>) -> io::Result<()> {
        let wish_max = GRANT_BYTES_MAX.min(limit / GRANT_PART);
        let budget = need.max(self.wish).min(limit.saturating_sub(granted));
        held.set_grants(Grants { inode: self.inode, bytes: granted.saturating_add(budget) })?;
        self.budget = budget;
        self.wish = (budget * 2).min(wish_max);
        Ok(())
    }
}

/// The file and what fstat says of it, unless it was closed, deleted, or is not open.
fn still_live<'a>(open: &'a mut Option<Open>, live: &Path) -> Result<Option<(&'a mut Open, Stat)>, ComponentError> {
    let Some(open) = open else { return Ok(None) };
    let stat = fstat(&open.file).map_err(|error| ComponentError::at("look at", live)(error.into()))?;
    let is_live = stat.st_nlink > 0 && !rotate::is_closed(stat.st_mode);
    Ok(is_live.then_some((open, stat)))
}

fn shared(file: File) -> io::Result<File> {
    retry(|| flock(&file, FlockOperation::LockShared))?;
    Ok(file)
}

fn ends_torn(file: &File, size: u64) -> io::Result<bool> {
    let Some(last) = size.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    Ok(file.read_at(&mut byte, last)? == 1 && byte != *b"\n")
}

fn write_once(file: &File, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry(|| write(file, bytes))?)
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

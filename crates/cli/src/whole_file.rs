//! A file that is there as a whole, or not at all: what an export writes.
//!
//! Where the file system has files without a name, a kill leaves nothing behind either. A name that leads to a file which somebody has
//! open, `/dev/stdout` say, means that one as it is open: it is written to where it stands, and nothing is put in its place.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IntoInnerError, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, linkat, open},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::output::OutputError;

/// So much is put together before it is written.
const WRITE_BYTES: usize = 64 << 10;

/// So many links are followed, as by the system.
const LINKS_MAX: usize = 40;

/// So many names that killed processes have left are passed over.
const LEFT_OVER_MAX: u32 = 1_000;

/// Has something written to a file; `name` in it where that is a directory, to standard output where it is `-`. Tells the file's name, from the
/// root on, where it has one of its own.
///
/// # Errors
/// Those of the content, those of the system, naming the file, and [`OutputError::Closed`] where nobody reads standard output any more.
pub fn write<T>(
    file: &Path,
    name: &str,
    content: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<(Option<PathBuf>, T)> {
    let written = || {
        let mut out = BufWriter::with_capacity(WRITE_BYTES, WholeFile::begin(file, name)?);
        let content = content(&mut out)?;
        let whole = out.into_inner().map_err(IntoInnerError::into_error)?;
        Ok((whole.finish()?, content))
    };
    written().map_err(|error| if is_stdout(file) && is_closed(&error) { OutputError::Closed.into() } else { error })
}

/// Whether what is written to this file comes out of standard output.
pub fn is_stdout(file: &Path) -> bool {
    file == Path::new("-") || OpenFile::at(file).is_some_and(|open| open.is_own() && open.number == 1)
}

fn is_closed(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Where an export goes.
struct WholeFile {
    file: File,
    /// As whoever asked for it calls it.
    name: PathBuf,
    place: Place,
}

enum Place {
    /// A device, a pipe, or what is open: there is nothing to be put in its place.
    Straight,
    /// A file without a name, and the one it gets.
    Unnamed(PathBuf),
    /// A file that has another name as yet, and the one it gets.
    Named(Temporary, PathBuf),
}

/// A file that goes unless it gets another name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is gone where it got its name.
        let _ = fs::remove_file(&self.0);
    }
}

impl WholeFile {
    /// Begins the file `path`; `name` in it where that is a directory. One that is there stays until this one is whole.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    fn begin(path: &Path, name: &str) -> Result<WholeFile> {
        let straight = if is_stdout(path) { Some(io::stdout().as_fd().try_clone_to_owned()) } else { opened(path) };
        if let Some(straight) = straight {
            let file = straight.with_context(|| cannot(path))?.into();
            let name = if path == Path::new("-") { Path::new("standard output") } else { path };
            return Ok(WholeFile { file, name: name.to_owned(), place: Place::Straight });
        }
        // Whoever put a link there wants the file that it leads to.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let path = if path.is_dir() { path.join(name) } else { path };
        let whole = WholeFile::beside(path)?;
        if let Place::Unnamed(path) | Place::Named(_, path) = &whole.place
            && let Ok(before) = fs::metadata(path)
        {
            whole.file.set_permissions(before.permissions()).with_context(|| cannot(path))?;
        }
        Ok(whole)
    }

    fn beside(path: PathBuf) -> Result<WholeFile> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(unnamed) = open(dir_of(&path), flags, Mode::from_raw_mode(0o666)) {
            return Ok(WholeFile { file: unnamed.into(), name: path.clone(), place: Place::Unnamed(path) });
        }
        let (file, temporary) = create(&path).with_context(|| cannot(&path))?;
        Ok(WholeFile { file, name: path.clone(), place: Place::Named(temporary, path) })
    }

    /// Gives the file its name, and all that was written to the disk. Tells the name, from the root on, where it has one of its own.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    fn finish(self) -> Result<Option<PathBuf>> {
        let (temporary, path) = match self.place {
            Place::Straight => return Ok(None),
            Place::Named(temporary, path) => (temporary, path),
            Place::Unnamed(path) => (link(&self.file, &path).with_context(|| cannot(&path))?, path),
        };
        let dir = || File::open(dir_of(&path))?.sync_all();
        let named = self.file.sync_all().and_then(|()| fs::rename(&temporary.0, &path)).and_then(|()| dir());
        named.with_context(|| cannot(&path))?;
        Ok(Some(fs::canonicalize(&path).unwrap_or(path)))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", cannot(&self.name)));
        self.file.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What is there and is written straight: what somebody has open, a device, a pipe.
fn opened(path: &Path) -> Option<io::Result<OwnedFd>> {
    let found = fs::metadata(path).ok()?;
    match found.is_file() {
        true => OpenFile::at(path).map(|open| open.duplicate()),
        false if found.is_dir() => None,
        false => Some(OpenOptions::new().write(true).open(path).map(OwnedFd::from)),
    }
}

/// A file that a process has open.
struct OpenFile {
    /// Where the system lists those of the process: `/proc/PID/fd`, or `/proc/PID/task/ID/fd`.
    dir: PathBuf,
    number: RawFd,
}

impl OpenFile {
    /// The one that a path leads to, `/dev/fd/1` say.
    fn at(path: &Path) -> Option<OpenFile> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let dir = fs::canonicalize(dir_of(&path)).ok()?;
            let name = path.file_name()?;
            if dir.starts_with("/proc") && dir.ends_with("fd") {
                return Some(OpenFile { number: name.to_str()?.parse().ok()?, dir });
            }
            path = dir.join(fs::read_link(dir.join(name)).ok()?);
        }
        None
    }

    fn is_own(&self) -> bool {
        fs::canonicalize("/proc/self").is_ok_and(|own| self.dir.starts_with(own))
    }

    /// The same open file once more, so that the place to write at and whether that is always the end are shared.
    fn duplicate(&self) -> io::Result<OwnedFd> {
        if self.is_own() && self.number == 2 {
            return io::stderr().as_fd().try_clone_to_owned();
        }
        let process = self.dir.components().nth(2).and_then(|part| part.as_os_str().to_str()?.parse().ok());
        let process = process.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        Ok(pidfd_getfd(pidfd_open(process, PidfdFlags::empty())?, self.number, PidfdGetfdFlags::empty())?)
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn create(path: &Path) -> io::Result<(File, Temporary)> {
    with_name(path, |temporary| OpenOptions::new().write(true).create_new(true).open(temporary))
}

fn link(file: &File, path: &Path) -> io::Result<Temporary> {
    let from = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let linked = with_name(path, |temporary| Ok(linkat(CWD, &from, CWD, temporary, AtFlags::SYMLINK_FOLLOW)?));
    linked.map(|((), temporary)| temporary)
}

/// Makes something of a hidden name beside the file's. A process that was killed may have left one, and have had this one's number.
fn with_name<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, Temporary)> {
    let mut number = 0;
    loop {
        let temporary = temporary(path, number);
        match make(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < LEFT_OVER_MAX => number += 1,
            made => return made.map(|made| (made, Temporary(temporary))),
        }
    }
}

fn temporary(path: &Path, number: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let head: String = name.chars().take(40).collect();
    path.with_file_name(format!(".{head}.{}-{number}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_a_killed_process_of_the_same_number_left_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("out");
        let left_over = [0, 1].map(|number| temporary(&path, number));
        left_over.iter().for_each(|path| fs::write(path, "half").unwrap());
        let mut whole = WholeFile::begin(&path, "").unwrap();
        whole.write_all(b"whole").unwrap();
        assert_eq!(whole.finish().unwrap(), Some(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let (_, third) = create(&path).unwrap();
        assert_eq!(third.0, temporary(&path, 2));
        drop(third);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        assert!(left_over.iter().all(|path| fs::read(path).unwrap() == b"half"));
    }
}

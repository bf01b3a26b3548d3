//! A file that is there as a whole, or not at all: what an export writes.
//!
//! Where the file system has files without a name, a kill leaves nothing behind either.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};

/// So many names that killed processes have left are passed over.
const LEFT_OVER_MAX: u32 = 1_000;

/// Where an export goes.
pub struct WholeFile {
    file: File,
    place: Place,
}

enum Place {
    /// A device, or a pipe: there is nothing to be put in its place.
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
    pub fn begin(path: &Path, name: &str) -> Result<WholeFile> {
        // Whoever put a link there wants the file that it leads to.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let found = fs::metadata(&path);
        if found.as_ref().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let file = OpenOptions::new().write(true).open(&path).with_context(|| cannot(&path))?;
            return Ok(WholeFile { file, place: Place::Straight });
        }
        let path = if found.is_ok_and(|found| found.is_dir()) { path.join(name) } else { path };
        let dir = dir_of(&path);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(unnamed) = open(dir, flags, Mode::from_raw_mode(0o666)) {
            return Ok(WholeFile { file: unnamed.into(), place: Place::Unnamed(path) });
        }
        let (file, temporary) = create(&path).with_context(|| cannot(&path))?;
        Ok(WholeFile { file, place: Place::Named(temporary, path) })
    }

    /// Gives the file its name, and all that was written to the disk. Tells the name, from the root on, where it has one of its own.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn finish(self) -> Result<Option<PathBuf>> {
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
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
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

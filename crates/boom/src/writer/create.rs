//! Gives a new boom file its name.
//!
//! A reader takes a boom file without lock and footer for one whose writer died. So the file is made under another name,
//! locked, given its header, and linked to its own name only then; the lock is the open file's and stays with it.

use std::{
    fs::{DirEntry, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use logboom_record::Time;
use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{Options, Writer};
use crate::{
    BoomError,
    boom_file::BoomFile,
    format::{FileHeader, FileId},
    reader::tail_path,
    storage::FileStorage,
};

/// How many names are tried: a session has a boom file for each of its writers.
const NAMES_MAX: u32 = 100_000;
/// A file without a lock that is older than this is not one that is about to be locked.
const STALE_AFTER: Duration = Duration::from_secs(60);

impl Writer {
    /// Makes a boom file in `dir`: `stem.boom`, or `stem.2.boom`, `stem.3.boom`, … where that is taken.
    ///
    /// # Errors
    /// If the directory takes no file, or the disk has no room for the little that is always reserved.
    pub fn create_in(dir: &Path, stem: &str, options: Options) -> Result<Writer, BoomError> {
        let hidden_stem = format!(".{stem}.boom.");
        remove_stale(dir, &hidden_stem);
        let hidden = dir.join(format!("{hidden_stem}{}", uuid::Uuid::new_v4().simple()));
        let created = create(&hidden, dir, stem, options);
        // It is gone, or about to be linked: either way nobody needs the hidden name any more.
        let _ = std::fs::remove_file(&hidden);
        created
    }
}

fn create(hidden: &Path, dir: &Path, stem: &str, options: Options) -> Result<Writer, BoomError> {
    let error = |action| move |source| BoomError::Io { action, path: dir.to_owned(), source };
    let file = open_locked(hidden).map_err(error("create a boom file in"))?;
    let id = FileId::new(*uuid::Uuid::new_v4().as_bytes());
    let header = FileHeader { id, created_at: Time::now() };
    let storage = Arc::new(FileStorage::of(file, hidden));
    let file = BoomFile::create(storage, header).map_err(error("write a boom file in"))?;
    let path = link(hidden, dir, stem)?;
    let tail = Arc::new(FileStorage::lazy(tail_path(&path)));
    Ok(Writer::new(path, file, tail, options))
}

/// Removes what writers left that were killed while they made their file. That it stays is no reason not to begin.
fn remove_stale(dir: &Path, hidden_stem: &str) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(hidden_stem.as_bytes()) && is_stale(&entry).unwrap_or(false)
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_stale(entry: &DirEntry) -> io::Result<bool> {
    let metadata = entry.metadata()?; // of the name itself, not of what it links to
    let age = metadata.modified()?.elapsed().unwrap_or_default();
    if age <= STALE_AFTER || !metadata.is_file() {
        return Ok(false); // to open a FIFO would wait for its writer
    }
    // A shared lock is enough to see an exclusive one, and goes with the descriptor.
    Ok(rustix::fs::flock(File::open(entry.path())?, FlockOperation::NonBlockingLockShared).is_ok())
}

fn open_locked(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(File::from(file))
}

fn link(hidden: &Path, dir: &Path, stem: &str) -> Result<PathBuf, BoomError> {
    for number in 1..=NAMES_MAX {
        let path = match number {
            1 => dir.join(format!("{stem}.boom")),
            number => dir.join(format!("{stem}.{number}.boom")),
        };
        match std::fs::hard_link(hidden, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(BoomError::Io { action: "create", path, source }),
        }
    }
    Err(BoomError::NoFreeName { dir: dir.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{Reader, State};

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_writer_gets_a_name_of_its_own_and_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let writers: Vec<_> =
            (0..3).map(|_| Writer::create_in(dir.path(), "records", Options::default()).unwrap()).collect();
        assert_eq!(names(dir.path()), ["records.2.boom", "records.3.boom", "records.boom"]);
        assert_eq!(writers[1].path(), dir.path().join("records.2.boom"));
    }

    #[test]
    fn writers_that_start_at_once_share_no_file() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| Writer::create_in(dir.path(), "records", Options::default()).unwrap().seal().unwrap());
            }
        });
        assert_eq!(names(dir.path()).len(), 20);
        let is_sealed = |name: String| Reader::open(&dir.path().join(name)).unwrap().state() == State::Sealed;
        assert!(names(dir.path()).into_iter().all(is_sealed));
    }

    #[test]
    fn a_file_is_live_until_its_writer_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::create_in(dir.path(), "records", Options::default()).unwrap();
        let path = writer.path().to_owned();
        assert_eq!(Reader::open(&path).unwrap().state(), State::Live);
        drop(writer);
        assert_eq!(Reader::open(&path).unwrap().state(), State::Abandoned);
    }

    #[test]
    fn what_a_writer_left_that_was_killed_before_it_had_a_name_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let hidden = |name: &str| open_locked(&dir.path().join(format!(".records.boom.{name}"))).unwrap();
        let (left, new, live) = (hidden("left"), hidden("new"), hidden("live"));
        let long_ago = std::time::SystemTime::now() - 2 * STALE_AFTER;
        [&left, &live].into_iter().for_each(|file| file.set_modified(long_ago).unwrap());
        drop((left, new));
        drop(Writer::create_in(dir.path(), "records", Options::default()).unwrap());
        assert_eq!(names(dir.path()), [".records.boom.live", ".records.boom.new", "records.boom"]);
    }

    #[test]
    fn an_old_fifo_with_a_hidden_name_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join(".records.boom.fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        let aged = std::process::Command::new("touch").args(["-d", "2020-01-01"]).arg(&fifo).status().unwrap();
        assert!(made.success() && aged.success());
        drop(Writer::create_in(dir.path(), "records", Options::default()).unwrap());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Writer::create_in(&dir.path().join("none"), "records", Options::default()).err().unwrap();
        assert!(error.to_string().ends_with("none"), "{error}");
    }
}

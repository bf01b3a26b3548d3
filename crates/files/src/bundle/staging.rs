//! The directory in which an import gathers a session before it has that session's name.
//!
//! It is beside the sessions, so that it can be renamed, under a name that no listing shows. Who makes it holds flock on it: one
//! without a lock is what a kill left, and cleaning removes it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use logboom_record::{RunId, SessionId, Time};

use super::{BundleError, Name};
use crate::{DataDir, FilesError, session::try_lock};

/// What the name of such a directory begins with.
pub(crate) const IMPORT: &str = ".import-";

/// How many names are tried.
const TRIES_MAX: u32 = 100;

/// Zeros are left out of a file in pieces of this: a ring file has few bytes that are anything else.
const PIECE_BYTES: usize = 64 << 10;

/// A session that is being gathered. Dropped before it is published, it is gone.
pub(super) struct Staging {
    dir: PathBuf,
    names: Vec<Name>,
    is_published: bool,
    #[expect(dead_code, reason = "closing it releases the lock")]
    lock: File,
}

impl Staging {
    /// Makes the directory.
    pub(super) fn new(data: &DataDir, id: &SessionId) -> Result<Staging, FilesError> {
        for _ in 0..TRIES_MAX {
            let dir = data.sessions().join(format!("{IMPORT}{id}-{}", RunId::new(Time::now()).short()));
            let action = "create the directory";
            match DirBuilder::new().mode(0o700).create(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(FilesError::at(action, &dir))?,
            }
            if let Some(lock) = lock(&dir).map_err(FilesError::at(action, &dir))? {
                return Ok(Staging { dir, names: Vec::new(), is_published: false, lock });
            }
        }
        Err(FilesError::NoFreeName { path: data.sessions(), tries: TRIES_MAX })
    }

    /// Adds a file of so many bytes, unless it has one of this name already.
    pub(super) fn add(&mut self, name: &[u8], bytes: u64, content: impl io::Read) -> Result<Added, BundleError> {
        let path = self.dir.join(std::ffi::OsStr::from_bytes(name));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Added::Twice),
            file => file.map_err(FilesError::at("create", &path))?,
        };
        copy(content, &file, bytes, &path)?;
        self.names.push(name.to_vec());
        Ok(Added::Once(file))
    }

    /// Whether it has a file of a name that fits.
    pub(super) fn has(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        self.names.iter().any(|name| fits(name))
    }

    /// Puts all on the disk, and then gives it the session's name.
    pub(super) fn publish(mut self, data: &DataDir, id: &SessionId) -> Result<(), BundleError> {
        for name in &self.names {
            let path = self.dir.join(std::ffi::OsStr::from_bytes(name));
            File::open(&path).and_then(|file| file.sync_all()).map_err(FilesError::at("sync", &path))?;
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(FilesError::at("sync", &self.dir))?;
        let dir = data.session(id);
        match fs::rename(&self.dir, &dir) {
            // Somebody else was faster with the same id.
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) => {
                return Err(BundleError::Different(id.clone()));
            }
            renamed => renamed.map_err(FilesError::at("create", &dir))?,
        }
        self.is_published = true;
        Ok(DataDir::sync_sessions(&data.sessions())?)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_published {
            // What failed before says more; what cannot be removed now, the next cleaning removes.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// What came of adding a file.
pub(super) enum Added {
    /// It is there; its times may yet be set.
    Once(File),
    /// There is one of that name already.
    Twice,
}

/// Sets the time of the last change.
pub(super) fn stamp(file: &File, modified: (u64, u32), path: &Path) -> Result<(), FilesError> {
    let since = Duration::new(modified.0, modified.1);
    let Some(time) = SystemTime::UNIX_EPOCH.checked_add(since) else { return Ok(()) };
    file.set_modified(time).map_err(FilesError::at("stamp", path))
}

/// The lock of a directory that was just made; `None` where a cleaner was faster.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = match File::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let is_ours = try_lock(&file)? && fs::metadata(dir).is_ok_and(|named| Some(named.ino()) == inode(&file));
    Ok(is_ours.then_some(file))
}

fn inode(file: &File) -> Option<u64> {
    file.metadata().ok().map(|file| file.ino())
}

/// Takes over the directory of an import that nobody works in any more; while what is returned is held, nobody begins to.
pub(crate) fn take_left_over(dir: &Path) -> Option<File> {
    let file = File::open(dir).ok()?;
    try_lock(&file).ok()?.then_some(file)
}

/// Copies the content, but not the zeros in it.
fn copy(mut content: impl io::Read, file: &File, bytes: u64, path: &Path) -> Result<(), BundleError> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < bytes {
        let count = usize::try_from(bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        content.read_exact(&mut piece[..count]).map_err(BundleError::Damaged)?;
        if piece[..count].iter().any(|byte| *byte != 0) {
            file.write_all_at(&piece[..count], at).map_err(FilesError::at("write", path))?;
        }
        at += count as u64;
    }
    Ok(file.set_len(bytes).map_err(FilesError::at("write", path))?)
}

//! The data dir: how it is found, and how it is made.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use logboom_record::SessionId;

use super::{ConfigError, ConfigFile, Origin, Setting, World};
use crate::FilesError;

/// The directory that holds every session, and who chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    /// The directory; it need not exist.
    pub path: PathBuf,
    /// Who chose it.
    pub origin: Origin,
}

impl DataDir {
    /// Finds the data dir: `dir` (the flag), else `LOGBOOM_DIR`, else `dir` of the nearest `logboom.toml` (relative to
    /// that file), else `test-activity/logs` in the enclosing repository, else `logboom` in the user's state directory.
    ///
    /// # Errors
    /// [`ConfigError`] if a `logboom.toml` has to be looked at and is wrong, or if there is no place left.
    pub fn discover(dir: Option<&Path>, world: World<'_>) -> Result<DataDir, ConfigError> {
        let needs_file = dir.is_none() && world.var("LOGBOOM_DIR").is_none();
        let file = if needs_file { ConfigFile::nearest(world.cwd)? } else { ConfigFile::default() };
        let Setting { value, origin } = choose(dir, &file, world)?;
        Ok(DataDir { path: value, origin })
    }

    /// A data dir at a known place.
    pub fn at(path: impl Into<PathBuf>) -> DataDir {
        DataDir { path: path.into(), origin: Origin::Flag }
    }

    /// Where the sessions are.
    pub fn sessions(&self) -> PathBuf {
        self.path.join("sessions")
    }

    /// Where a session is, or would be.
    pub fn session(&self, id: &SessionId) -> PathBuf {
        self.path.join("sessions").join(id.as_str())
    }

    /// Makes the data dir and its `sessions` where they are missing: for the owner alone, and ignored by git.
    ///
    /// # Errors
    /// [`FilesError::Forbidden`], [`FilesError::DiskFull`] or [`FilesError::Io`], naming the directory.
    pub fn create(&self) -> Result<(), FilesError> {
        let action = "create the data dir";
        if let Some(parent) = self.path.parent() {
            private_dirs().recursive(true).create(parent).map_err(FilesError::at(action, &self.path))?;
        }
        match private_dirs().create(&self.path) {
            Ok(()) => self.ignore_all().map_err(FilesError::at(action, &self.path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FilesError::at(action, &self.path)(error)),
        }
        let sessions = self.sessions();
        private_dirs().recursive(true).create(&sessions).map_err(FilesError::at("create", &sessions))
    }

    fn ignore_all(&self) -> io::Result<()> {
        let made = OpenOptions::new().write(true).create_new(true).open(self.path.join(".gitignore"));
        match made {
            Ok(mut file) => file.write_all(b"*\n"),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the names of new sessions survive a power cut.
    pub(crate) fn sync_sessions(sessions: &Path) -> Result<(), FilesError> {
        File::open(sessions).and_then(|dir| dir.sync_all()).map_err(FilesError::at("sync", sessions))
    }
}

fn private_dirs() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// See [`DataDir::discover`] for the order.
pub(super) fn choose(
    flag: Option<&Path>,
    file: &ConfigFile,
    world: World<'_>,
) -> Result<Setting<PathBuf>, ConfigError> {
    if let Some(dir) = flag {
        return Ok(Setting { value: world.cwd.join(dir), origin: Origin::Flag });
    }
    if let Some(dir) = world.var("LOGBOOM_DIR") {
        return Ok(Setting { value: world.cwd.join(dir), origin: Origin::Env("LOGBOOM_DIR") });
    }
    if let Some(setting) = file.text("dir", |text| not_empty(text, file.dir()))? {
        return Ok(setting);
    }
    if let Some(root) = world.cwd.ancestors().find(|dir| dir.join(".git").exists()) {
        let value = root.join("test-activity/logs");
        return Ok(Setting { value, origin: Origin::Repository(root.to_owned()) });
    }
    Ok(Setting { value: state_dir(world)?.join("logboom"), origin: Origin::Default })
}

fn not_empty(text: &str, base: &Path) -> Result<PathBuf, String> {
    match text {
        "" => Err("is empty; name a directory, relative to this file or absolute".to_owned()),
        _ => Ok(base.join(text)),
    }
}

/// The user's state directory. XDG says that a relative path there is to be ignored.
pub(crate) fn state_dir(world: World<'_>) -> Result<PathBuf, ConfigError> {
    let xdg = world.var("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || world.var("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    xdg.or_else(home).ok_or(ConfigError::NoHome)
}

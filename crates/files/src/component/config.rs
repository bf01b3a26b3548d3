//! Where component logs are, and how much of them is kept.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::config::{ConfigError, World, state_dir};

/// Where logs are where the process may write there.
const SYSTEM_DIR: &str = "/var/log/logboom";

/// Where the logs of components are, and how much disk each of them may take: `max_file_size` times `max_rotated_files + 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The most bytes that a file may have. An entry that would pass it goes to a new file.
    pub max_file_size: u64,
    /// How many closed files of each log are kept, the newest; 0 keeps none.
    pub max_rotated_files: usize,
    /// The directory with `plugin-supervisor.log` and `plugins`; it need not exist.
    pub log_dir: PathBuf,
}

impl LogConfig {
    /// 10 MiB.
    pub const MAX_FILE_SIZE: u64 = 10 << 20;
    /// 5.
    pub const MAX_ROTATED_FILES: usize = 5;

    /// Logs in this directory, with the default bounds.
    pub fn in_dir(log_dir: impl Into<PathBuf>) -> LogConfig {
        LogConfig {
            max_file_size: LogConfig::MAX_FILE_SIZE,
            max_rotated_files: LogConfig::MAX_ROTATED_FILES,
            log_dir: log_dir.into(),
        }
    }

    /// Logs in `/var/log/logboom` where that can be written or made, else in `logboom` in the user's state directory; with the
    /// default bounds. Nothing is made yet.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] if there is no place.
    pub fn find(world: World<'_>) -> Result<LogConfig, ConfigError> {
        find_dir(Path::new(SYSTEM_DIR), world).map(LogConfig::in_dir)
    }
}

/// As [`LogConfig::find`] in this process's environment; without a home, `/var/log/logboom` all the same, which opening a log then
/// complains about.
impl Default for LogConfig {
    fn default() -> LogConfig {
        let world = World { cwd: Path::new("/"), env: &|name| std::env::var_os(name) };
        LogConfig::find(world).unwrap_or_else(|_| LogConfig::in_dir(SYSTEM_DIR))
    }
}

/// What becomes of a file when it is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotated {
    /// It stays as it is.
    #[default]
    Plain,
    /// It is compressed (zstd) by the call that closed it, once no process has it open.
    Zstd,
}

fn find_dir(system: &Path, world: World<'_>) -> Result<PathBuf, ConfigError> {
    let existing = system.ancestors().find(|dir| dir.exists());
    if existing.is_some_and(|dir| dir.is_dir() && access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()) {
        return Ok(system.to_owned());
    }
    Ok(state_dir(world)?.join("logboom"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::OsString, fs};

    fn found(system: &Path) -> PathBuf {
        let env = |name: &str| (name == "XDG_STATE_HOME").then(|| OsString::from("/state"));
        find_dir(system, World { cwd: Path::new("/"), env: &env }).unwrap()
    }

    #[test]
    fn the_systems_directory_is_taken_where_it_is_there_or_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let system = dir.path().join("logboom");
        assert_eq!(found(&system), system);
        assert!(!system.exists(), "asking makes nothing");
        fs::create_dir(&system).unwrap();
        assert_eq!(found(&system), system);
    }

    #[test]
    fn the_state_directory_is_taken_where_the_systems_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log"), "").unwrap(); // access rights would not stop root
        assert_eq!(found(&dir.path().join("log/logboom")), Path::new("/state/logboom"));
    }

    #[test]
    fn without_a_home_there_is_no_place() {
        let world = World { cwd: Path::new("/"), env: &|_| None };
        assert!(matches!(find_dir(Path::new("/dev/null/logboom"), world), Err(ConfigError::NoHome)));
    }
}

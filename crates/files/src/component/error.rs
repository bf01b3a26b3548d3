//! Why something about a component's log could not be done, and what to do next.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

/// Why an entry was not written, or a log not read. Each variant is a different next step.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// No file can have the name of this plugin.
    #[error("{id:?} cannot name a plugin's log: it {why}; use 1 to 128 of A-Z a-z 0-9 . _ -")]
    BadId {
        /// The id.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The entry is too long for the log, alone. Nothing was written.
    #[error("an entry of {bytes} bytes is too long for {}, which takes {bytes_max}: shorten it, or raise max_file_size", .path.display())]
    TooLong {
        /// The log.
        path: PathBuf,
        /// The bytes of its line.
        bytes: usize,
        /// The most that are taken.
        bytes_max: u64,
    },
    /// There is no room. The entry is not in the log; the next one is, once there is room.
    #[error("cannot {action} {}: the disk is full; make room, or lower max_file_size or max_rotated_files", .path.display())]
    DiskFull {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system or its permissions forbid it.
    #[error("cannot {action} {}: {source}; make it accessible, or choose another log_dir", .path.display())]
    Forbidden {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock of the log for very long. The entry is not in the log; trying again can help.
    #[error("{} is locked by another process for {seconds} s; look for a stopped one, or try again", .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Other writers used up every new file before the line got in. The entry is not in the log; trying again can help.
    #[error("other writers fill each new {} before this one gets its line in; try again, or raise max_file_size", .path.display())]
    Crowded {
        /// The live file.
        path: PathBuf,
    },
    /// The system refused for another reason.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ComponentError {
    /// Turns what the system said into the variant with the right next step.
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ComponentError {
        move |source| {
            let path = path.to_owned();
            match Errno::from_io_error(&source) {
                Some(Errno::NOSPC | Errno::DQUOT) => ComponentError::DiskFull { action, path, source },
                Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => ComponentError::Forbidden { action, path, source },
                _ => ComponentError::Io { action, path, source },
            }
        }
    }
}

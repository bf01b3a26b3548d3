//! Why a ring file could not be made, extended or read.

use std::{io, path::PathBuf};

/// Why a ring file did not do what it was asked. In each case records can still go the other way, by the queue.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The operating system refused; `source` says why. After a full disk the same call may succeed later.
    #[error("cannot {action} {path}", path = .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// This machine's pages or byte order are not those of the format. Trying again cannot help.
    #[error("ring files need pages of 4096 bytes and a little-endian machine; log by the queue")]
    Machine,
    /// The table has no room for this entry. A call site that is not in it has its calls formatted at once.
    #[error("the table of {path} is full; format the calls of this site at once", path = .path.display())]
    TableFull {
        /// Which file.
        path: PathBuf,
    },
    /// As many threads log at a time as there may be rings. Later calls succeed when threads have ended.
    #[error("{path} has {max} rings, all in use; log by the queue until a thread ends", path = .path.display())]
    TooManyRings {
        /// Which file.
        path: PathBuf,
        /// How many there may be.
        max: u32,
    },
    /// The file does not begin as a ring file does: something else, or its writer was killed before it logged anything.
    #[error("{path} is not a ring file; what was logged is in the text log alone", path = .path.display())]
    NotRing {
        /// Which file.
        path: PathBuf,
    },
    /// Its writer lives, or another process writes its records into the files; wait for either.
    #[error("{path} is in use", path = .path.display())]
    Live {
        /// Which file.
        path: PathBuf,
    },
    /// A later version of logboom wrote it.
    #[error("{path} has ring format {version}; read it with a newer logboom", path = .path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// The program that writes it is alive and too busy for a reader to see one state of it.
    #[error("{path} changes while it is read; try again", path = .path.display())]
    Changing {
        /// Which file.
        path: PathBuf,
    },
}

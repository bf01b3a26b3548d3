//! Why a boom file could not be written or read.

use std::{io, path::PathBuf};

use crate::format::FormatError;

/// Why a boom file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BoomError {
    /// The operating system refused; `source` says why.
    #[error("cannot {action} {path}", path = .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file does not start as a boom file does. It is something else, or not even its header was written.
    #[error("{path} is not a boom file", path = .path.display())]
    NotBoom {
        /// Which file.
        path: PathBuf,
    },
    /// The file was written by a newer logboom; use that one.
    #[error("{path} has boom format {version}, which this logboom does not know", path = .path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version it says it has.
        version: u32,
    },
    /// Bytes fail their checksum or make no sense. Retrying cannot help; the rest of the file stays readable.
    #[error("{path} is damaged at byte {offset}", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the damaged part starts.
        offset: u64,
        /// What is wrong with it.
        source: FormatError,
    },
    /// Something is larger than a boom file can hold; nothing was taken. Cut it and try again.
    #[error("a {what} of {bytes} bytes is too large; at most {max} fit")]
    TooLarge {
        /// What is too large: `message`, `fields`, `checkpoint`.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// The file has as many runs as its footer can name; go on in another file.
    #[error("{path} has {max} runs, and takes no more", path = .path.display())]
    TooManyRuns {
        /// Which file.
        path: PathBuf,
        /// How many it may have.
        max: usize,
    },
    /// Every name that was tried for a new boom file is taken.
    #[error("no free name for a boom file in {dir}", dir = .dir.display())]
    NoFreeName {
        /// The directory.
        dir: PathBuf,
    },
    /// Fields must be one line of JSON, since a newline ends them in the file; nothing was taken.
    #[error("the fields of a record hold a newline")]
    NewlineInFields,
}

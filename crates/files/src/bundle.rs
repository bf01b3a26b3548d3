//! A whole session as one file: a tar of its directory, compressed with zstd, which a person without logboom can open.
//!
//! Written and read as a stream, so that memory does not grow with the session. What is in it and how stands in
//! `docs/formats.md`, "Bundle". What comes in is foreign: nothing of it has a session's name before all of it was looked at.

mod compare;
mod read;
mod staging;
mod write;

use std::io;

use logboom_record::SessionId;

pub use read::import;
pub(crate) use staging::{IMPORT, take_left_over};
pub use write::export;

use crate::{FilesError, units::show_bytes};

/// The most files that a bundle may have. A session has a few for each of its runs.
pub const FILES_MAX: u64 = 100_000;

/// What went into a bundle, or came out of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many files.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Names in the session's directory that are not in the bundle, since no session has such: links, directories.
    pub left_out: Vec<String>,
}

/// What came of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The session.
    pub id: SessionId,
    /// What is in it.
    pub contents: Contents,
    /// Whether it was there already, byte for byte.
    pub was_there: bool,
}

/// Why a session could not be exported or imported. Each variant is a different next step.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It has a writer, or may get one.
    #[error("session {0} still runs; wait for its end, or end it (`logboom session end {0}`)")]
    Running(SessionId),
    /// Somebody wrote in it meanwhile.
    #[error("session {0} was changed while it was exported; try again")]
    Changed(SessionId),
    /// The bundle could not be written.
    #[error("cannot write the bundle")]
    Write(#[source] io::Error),
    /// It is something else.
    #[error("this is no bundle of a session: {0}; `logboom export --bundle` makes one")]
    NotOne(String),
    /// It does not come to its end.
    #[error("this is no bundle of a session, or it is damaged or cut off; get it once more")]
    Damaged(#[source] io::Error),
    /// It is larger than it may be.
    #[error("the bundle holds more than {}; make room, or allow more with --max-bytes if you know where it is from", show_bytes(*.bytes_max))]
    TooLarge {
        /// How many bytes it may hold.
        bytes_max: u64,
    },
    /// There is another one of this id.
    #[error(
        "session {0} is there already, and is not what the bundle holds; import that into another data dir (--dir)"
    )]
    Different(SessionId),
    /// The files of the session failed.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// What a file in the bundle is called, without its directory.
type Name = Vec<u8>;

//! Why a collector could not do what it was asked, and what to do next.

use logboom_files::FilesError;

use crate::ring::RingError;

/// Why a collector did not do what it was asked. Each variant is a different next step.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// A file or directory could not be made; nothing was changed, and what was logged goes where it went before.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The file of the rings has no room; nothing was changed.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The system has no thread left for the writer.
    #[error("cannot start the writer's thread of a collector; end some threads of this process")]
    Thread(#[source] std::io::Error),
    /// Not all that was logged is kept: the disk refuses it, or has refused it since somebody was last told. The calls go on, the
    /// loss is counted, and nothing has to be done but to make room.
    #[error("not all that was logged is kept ({lost} records lost so far): {why}")]
    Failing {
        /// How many records are lost so far.
        lost: u64,
        /// Why, for a person.
        why: String,
    },
    /// It was asked for by the collector's own writer, as by its live consumer, which would wait for itself.
    #[error("the writer of a log collector cannot wait for itself; ask from another thread")]
    OwnWriter,
    /// The collector has ended, or this process is a fork of the one that made it: make a new one.
    #[error("this log collector has ended; make a new one")]
    Ended,
}

/// The `log` facade has a logger already: that of this library, which is harmless, or another one, which gets the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a global logger is installed already; records go there")]
pub struct AlreadyInstalled {
    /// Whether it is this library's, so that every collector gets the records it wants.
    pub ours: bool,
}

//! What a source of a service's output hands to the writer, and how far that source has come.
//!
//! A source is where an engine keeps or sends what a container printed: its log file, its logs API, its attached streams.
//! Each piece says where in the source it is, so that the writer can keep, together with the records, from where to go on:
//! whoever starts there again gets every byte that is in no record, and can tell those that are in one.

use logboom_record::{Stream, Time};

/// A place in a source. Later pieces have larger places.
///
/// In a log file: which of the files of the container (in the order in which they were written), and the byte offset. By
/// the logs API: how many pieces of the same time stamp came before, behind the time stamp. Attached: bytes of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, or the time stamp in nanoseconds since 1970 UTC.
    pub part: u64,
    /// What counts within it.
    pub offset: u64,
}

/// Some bytes that a container printed at once, or the engine keeps as one entry. May end in mid-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it was printed.
    pub stream: Stream,
    /// How many of the delivery's bytes it has.
    pub len: u32,
    /// What the engine stamped, in nanoseconds since 1970 UTC.
    pub origin_time_ns: Option<i64>,
    /// Where in the source it is.
    pub at: Place,
}

/// What one read brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// When the read returned.
    pub time: Time,
    /// The bytes of all pieces, one after the other.
    pub bytes: Vec<u8>,
    /// The pieces in the order of the source.
    pub pieces: Vec<Piece>,
    /// The place after the last piece: nothing before it is still to come, on either stream.
    pub reached: Place,
    /// The log file that the pieces are from, with the first delivery from each; again, in place of the first, where more
    /// of how the file begins is there by then.
    pub file: Option<FileMark>,
}

/// How far the records of one stream go in its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPlace {
    /// Pieces before this place are in records.
    pub at: Place,
    /// So many bytes of the piece at that place are, too.
    pub skip: u32,
    /// Whether the last record is the beginning of a line.
    pub in_line: bool,
}

/// How far the records of one container go in its source: what a checkpoint keeps of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Stdout, or both where a terminal merges them.
    pub stdout: StreamPlace,
    /// Stderr.
    pub stderr: StreamPlace,
}

impl Reached {
    /// Where to go on reading: all before it is in records.
    pub fn from(&self) -> Place {
        self.stdout.at.min(self.stderr.at)
    }

    /// How far a stream has come.
    pub fn of(&self, stream: Stream) -> &StreamPlace {
        if stream == Stream::Stderr { &self.stderr } else { &self.stdout }
    }
}

/// By what a log file is known again, whatever it is called by then: its inode, and how it begins, since inodes are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileMark {
    /// The inode.
    pub inode: u64,
    /// How many of the file's first bytes the checksum is of.
    pub head_bytes: u16,
    /// Their CRC-32C.
    pub head_crc: u32,
}

/// How a container's output is read. Places of one kind mean nothing to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// From the engine's own json-file, and those it rotated.
    LogFile,
    /// By the logs API, with time stamps.
    LogsApi,
    /// From the attached streams.
    Attached,
}

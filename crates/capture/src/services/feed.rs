//! What a source of a service's output hands to the writer, and how far that source has come.
//!
//! A source is where an engine keeps or sends what a container printed: its log file, its logs API, its attached streams.
//! Each piece says where in the source it is, so that the writer can keep, together with the records, from where to go on.
//! A source that begins again there, or anywhere before it, delivers the same pieces at the same places, whole: the writer leaves
//! out what is in records already.

use std::fmt;

use logboom_record::{Level, Stream, Time};

/// A place in a source. Each piece has a larger place than the one before it of its stream. One stream's places need not be in
/// order against the other's: engines stamp them apart.
///
/// In a log file: which of the files of the container (in the order in which they were written), and the byte offset. By
/// the logs API: the latest time stamp of the stream, and how many entries came since it first did. Attached: whole lines of the
/// stream, and bytes of the line after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, the time stamp in nanoseconds since 1970 UTC, or the count of lines.
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
    /// Nothing before this place is still to come, on either stream. It never goes back.
    pub reached: Place,
    /// The log file that the pieces are from, with the first delivery from each; again where it has a longer head by now.
    pub file: Option<FileMark>,
}

impl Delivery {
    /// How much memory it takes, about.
    pub(crate) fn bytes_held(&self) -> usize {
        self.bytes.len() + self.pieces.len() * size_of::<Piece>() + size_of::<Delivery>()
    }
}

/// Output that never comes, since the source has lost it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// When that was found out.
    pub time: Time,
    /// How many records it would have been, where that is known.
    pub count: Option<u64>,
    /// Why.
    pub why: String,
    /// Nothing before this place is still to come, on either stream.
    pub reached: Place,
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
    /// The level of that line.
    pub level: Level,
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

/// By what a container is known: the first half of its id, which no two share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub [u8; 16]);

impl ContainerId {
    /// Takes the id as engines write it, or its first half: 32 to 64 hex digits.
    pub fn parse(hex: &str) -> Option<ContainerId> {
        if !(32..=64).contains(&hex.len()) || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(&hex[..32], 16).ok().map(|half| ContainerId(half.to_be_bytes()))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A source of a service's output, and how far its records go in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The container.
    pub container: ContainerId,
    /// How it is read.
    pub kind: SourceKind,
    /// How far the records go.
    pub reached: Reached,
    /// The log files from [`Reached::from`] on, by part.
    pub files: Vec<(u64, FileMark)>,
}

impl Source {
    /// One of which there are no records yet.
    pub fn new(container: ContainerId, kind: SourceKind) -> Source {
        Source { container, kind, reached: Reached::default(), files: Vec::new() }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_half_of_its_id() {
        let id = "0123456789abcdef0123456789ABCDEF";
        let parsed = ContainerId::parse(id).unwrap();
        assert_eq!(parsed.to_string(), id.to_lowercase());
        assert_eq!(ContainerId::parse(&format!("{id}{}", "9".repeat(32))), Some(parsed));
        for wrong in ["", "web", &id[1..], "+123456789abcdef0123456789abcdef", &"0".repeat(65)] {
            assert_eq!(ContainerId::parse(wrong), None, "{wrong}");
        }
    }
}

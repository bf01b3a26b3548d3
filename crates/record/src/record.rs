//! A record: one line, or one part of a line, as it was printed.

use serde::{Deserialize, Serialize};

use crate::{Level, RunId, Time};

/// The most bytes one record's message may have; a longer line comes in parts flagged [`Flags::CONTINUED`].
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// The most bytes one record's fields may have, as JSON text.
pub const FIELDS_BYTES_MAX: usize = 256 << 10;

/// Where a record was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Stream {
    /// File descriptor 1, or a terminal that carries both.
    Stdout = 0,
    /// File descriptor 2.
    Stderr = 1,
    /// logboom's own words, and those of the program that embeds it.
    System = 2,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::System];

    /// The letter that stands for the stream in a text log: `O E S`.
    pub const fn letter(self) -> u8 {
        b"OES"[self as usize]
    }

    /// The stream as it is written in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        ["stdout", "stderr", "system"][self as usize]
    }

    /// The stream with this number, if there is one.
    pub const fn from_u8(number: u8) -> Option<Stream> {
        match number {
            0 => Some(Stream::Stdout),
            1 => Some(Stream::Stderr),
            2 => Some(Stream::System),
            _ => None,
        }
    }
}

/// What is special about a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Nothing is.
    pub const NONE: Flags = Flags(0);
    /// The line goes on in the next record of the same stream of the same run.
    pub const CONTINUED: Flags = Flags(1);
    /// The stream ended here without a newline.
    pub const NO_NEWLINE: Flags = Flags(2);
    /// The level was told from the line's head, not given by the caller.
    pub const LEVEL_GUESSED: Flags = Flags(4);

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the record is followed by a newline in what was printed.
    pub const fn ends_line_with_newline(self) -> bool {
        self.0 & (Self::CONTINUED.0 | Self::NO_NEWLINE.0) == 0
    }

    /// The flags as three bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flags of these bits, or `None` where an unknown one is set.
    pub const fn from_bits(bits: u8) -> Option<Flags> {
        if bits < 8 { Some(Flags(bits)) } else { None }
    }
}

/// A record whose bytes are somewhere else; what readers hand out and writers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number in the run, from 1, without holes.
    pub seq: u64,
    /// When the read(2) that brought its first byte returned.
    pub time: Time,
    /// What the origin stamped, in nanoseconds since 1970 UTC.
    pub origin_time_ns: Option<i64>,
    /// Where it was printed.
    pub stream: Stream,
    /// How serious it is.
    pub level: Level,
    /// What is special about it.
    pub flags: Flags,
    /// Exactly what was printed, without the newline; at most [`RECORD_BYTES_MAX`] bytes.
    pub message: &'a [u8],
    /// A JSON object of further fields, as text without newlines; at most [`FIELDS_BYTES_MAX`] bytes.
    pub fields: Option<&'a str>,
}

impl RecordRef<'_> {
    /// A copy that owns its bytes.
    pub fn to_owned(&self) -> Record {
        Record {
            run: self.run,
            seq: self.seq,
            time: self.time,
            origin_time_ns: self.origin_time_ns,
            stream: self.stream,
            level: self.level,
            flags: self.flags,
            message: self.message.to_vec(),
            fields: self.fields.map(str::to_owned),
        }
    }
}

/// A record that owns its bytes; see [`RecordRef`] for the meaning of each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number in the run, from 1, without holes.
    pub seq: u64,
    /// When it was read.
    pub time: Time,
    /// What the origin stamped, in nanoseconds since 1970 UTC.
    pub origin_time_ns: Option<i64>,
    /// Where it was printed.
    pub stream: Stream,
    /// How serious it is.
    pub level: Level,
    /// What is special about it.
    pub flags: Flags,
    /// Exactly what was printed, without the newline.
    pub message: Vec<u8>,
    /// A JSON object of further fields, as text without newlines.
    pub fields: Option<String>,
}

impl Record {
    /// The same record, borrowed.
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            run: self.run,
            seq: self.seq,
            time: self.time,
            origin_time_ns: self.origin_time_ns,
            stream: self.stream,
            level: self.level,
            flags: self.flags,
            message: &self.message,
            fields: self.fields.as_deref(),
        }
    }
}

/// Records known to be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The run they belonged to.
    pub run: RunId,
    /// The seq of the first lost record.
    pub from: u64,
    /// The seq of the last lost record; `None` after a killed writer, who alone knew.
    pub to: Option<u64>,
    /// When the loss was noted.
    pub time: Time,
    /// Why, for a person: `disk full`.
    pub why: String,
}

/// What stands in a run's order: a record, or the note that some are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record.
    Record(Record),
    /// Some records are lost here.
    Gap(Gap),
}

impl Entry {
    /// The same entry, borrowed.
    pub fn as_ref(&self) -> EntryRef<'_> {
        match self {
            Entry::Record(record) => EntryRef::Record(record.as_ref()),
            Entry::Gap(gap) => EntryRef::Gap(gap),
        }
    }

    /// The run the entry belongs to.
    pub fn run(&self) -> RunId {
        self.as_ref().run()
    }

    /// The seq of the record, or the first seq of the gap.
    pub fn seq(&self) -> u64 {
        self.as_ref().seq()
    }

    /// When the record was read or the loss was noted.
    pub fn time(&self) -> Time {
        self.as_ref().time()
    }
}

/// An entry whose bytes are somewhere else; what readers hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRef<'a> {
    /// A record.
    Record(RecordRef<'a>),
    /// Some records are lost here.
    Gap(&'a Gap),
}

impl EntryRef<'_> {
    /// The same entry, with bytes of its own.
    pub fn to_owned(&self) -> Entry {
        match self {
            EntryRef::Record(record) => Entry::Record(record.to_owned()),
            EntryRef::Gap(gap) => Entry::Gap(Gap::clone(gap)),
        }
    }

    /// The run the entry belongs to.
    pub fn run(&self) -> RunId {
        match self {
            EntryRef::Record(record) => record.run,
            EntryRef::Gap(gap) => gap.run,
        }
    }

    /// The seq of the record, or the first seq of the gap.
    pub fn seq(&self) -> u64 {
        match self {
            EntryRef::Record(record) => record.seq,
            EntryRef::Gap(gap) => gap.from,
        }
    }

    /// When the record was read or the loss was noted.
    pub fn time(&self) -> Time {
        match self {
            EntryRef::Record(record) => record.time,
            EntryRef::Gap(gap) => gap.time,
        }
    }
}

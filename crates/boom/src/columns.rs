//! The block that is being filled: columns to which records are appended, and what else the block will say.
//!
//! Columns only grow, so what the tail has not seen yet is a slice of each. Their bytes are those of a tail frame:
//! [`encode`](crate::encode) makes a block's of them. A column that most blocks lack (origin times, fields) starts with
//! the first record that has one, filled up for those before.

use logboom_record::{Flags, Time};

use crate::{
    NewRecord,
    format::{
        BLOCK_COLUMN_BYTES_MAX, BLOCK_GAPS_MAX, BLOCK_RECORDS_MAX, BlockFlags, EndInBlock, GapInBlock, RunInBlock,
        columns, input::put_varint, tail::TAIL_COLUMNS,
    },
};

/// How many gaps, or ends, a block takes before it counts as full.
const GAPS_MAX: usize = BLOCK_GAPS_MAX / 2;
/// How many bytes a record can add to the columns besides its message and its fields.
const RECORD_OVERHEAD_BYTES_MAX: usize = 64;

/// What was taken of a block.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) messages: Vec<u8>,
    pub(crate) control: Vec<u8>,
    pub(crate) time: Vec<u8>,
    pub(crate) run: Vec<u8>,
    pub(crate) inner_newlines: Vec<u8>,
    pub(crate) origin_time: Vec<u8>,
    pub(crate) fields: Vec<u8>,
    /// Where each message ends in `messages`, its LF included.
    pub(crate) message_ends: Vec<u32>,
    pub(crate) runs: Vec<RunInBlock>,
    pub(crate) gaps: Vec<GapInBlock>,
    pub(crate) ends: Vec<EndInBlock>,
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) flags: BlockFlags,
    /// Whether some record is a part of a line.
    pub(crate) has_parts: bool,
    /// How many records come before the first with an origin time.
    pub(crate) origin_time_first: usize,
    times: Option<(Time, Time)>,
    last_time: Time,
    last_inner_newline: u32,
    last_origin_time: i128,
}

impl Columns {
    /// Empties the columns, and keeps their memory.
    pub(crate) fn clear(&mut self) {
        let mut empty = Columns::default();
        let bytes = [
            (&mut self.messages, &mut empty.messages),
            (&mut self.control, &mut empty.control),
            (&mut self.time, &mut empty.time),
            (&mut self.run, &mut empty.run),
        ];
        for (mine, kept) in bytes {
            std::mem::swap(mine, kept);
            kept.clear();
        }
        std::mem::swap(&mut self.message_ends, &mut empty.message_ends);
        empty.message_ends.clear();
        *self = empty;
    }

    /// How many records there are.
    #[inline]
    pub(crate) fn records(&self) -> usize {
        self.control.len()
    }

    /// Whether nothing at all was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.runs.is_empty() && self.checkpoint.is_none()
    }

    /// The columns in the order of [`TAIL_COLUMNS`].
    pub(crate) fn all(&self) -> [&[u8]; TAIL_COLUMNS.len()] {
        [&self.messages, &self.control, &self.time, &self.run, &self.inner_newlines, &self.origin_time, &self.fields]
    }

    /// The earliest and the latest time of any record or gap; 0 where there is none.
    pub(crate) fn times(&self) -> (Time, Time) {
        self.times.unwrap_or_default()
    }

    /// Whether the block, which may take `text_bytes_max` bytes of messages, has room for the record. An empty one
    /// has room for any.
    #[inline]
    pub(crate) fn fits(&self, record: &NewRecord<'_>, text_bytes_max: usize) -> bool {
        let fits = self.messages.len() + record.message.len() < text_bytes_max && self.records() < BLOCK_RECORDS_MAX;
        let plain = self.fields.is_empty() && self.origin_time.is_empty() && self.inner_newlines.is_empty();
        if fits && plain && record.fields.is_none() {
            return self.takes_gap();
        }
        self.takes_gap() && (self.records() == 0 || fits && self.fits_in_all(record))
    }

    /// Whether there is room for another gap, and another end. The format allows twice as many: runs that come into the
    /// block may bring gaps of their own.
    pub(crate) fn takes_gap(&self) -> bool {
        self.gaps.len().max(self.ends.len()) < GAPS_MAX
    }

    fn fits_in_all(&self, record: &NewRecord<'_>) -> bool {
        let bytes: usize = self.all().iter().map(|column| column.len()).sum();
        let more = record.message.len() + record.fields.map_or(0, str::len) + RECORD_OVERHEAD_BYTES_MAX;
        bytes + more + self.records() <= BLOCK_COLUMN_BYTES_MAX
    }

    /// Takes a record of the block's run number `run`.
    #[inline]
    pub(crate) fn push(&mut self, run: u32, record: &NewRecord<'_>) {
        self.messages.reserve(record.message.len() + 1);
        self.messages.extend_from_slice(record.message);
        self.messages.push(b'\n');
        self.message_ends.push(self.messages.len() as u32);
        self.control.push(columns::control(record.stream, record.level, record.flags));
        self.push_time(record.time);
        put_varint(&mut self.run, u64::from(run));
        self.count(run, record);
        if memchr::memchr2(b'\n', 0x1b, record.message).is_some() {
            self.note_special_bytes(record.message);
        }
        if record.origin_time_ns.is_some() || !self.origin_time.is_empty() {
            self.push_origin_time(record.origin_time_ns);
        }
        if record.fields.is_some() || !self.fields.is_empty() {
            self.push_fields(record.fields);
        }
    }

    #[inline]
    fn push_time(&mut self, time: Time) {
        columns::put_time(&mut self.time, self.last_time, time);
        if self.last_time != time || self.times.is_none() {
            self.last_time = time;
            self.see_time(time);
        }
    }

    fn see_time(&mut self, time: Time) {
        let (min, max) = self.times.unwrap_or((time, time));
        self.times = Some((min.min(time), max.max(time)));
    }

    #[inline]
    fn count(&mut self, run: u32, record: &NewRecord<'_>) {
        if let Some(run) = self.runs.get_mut(run as usize) {
            run.records += 1;
            run.lines += u64::from(!record.flags.has(Flags::CONTINUED));
            run.levels[record.level as usize] += 1;
        }
    }

    #[cold]
    fn note_special_bytes(&mut self, message: &[u8]) {
        let newlines = memchr::memchr_iter(b'\n', message).count() as u32;
        if newlines > 0 {
            let at = self.records() as u32 - 1;
            columns::put_inner_newlines(&mut self.inner_newlines, at - self.last_inner_newline, newlines);
            self.last_inner_newline = at;
        }
        if memchr::memchr(0x1b, message).is_some() {
            self.flags = self.flags.with(BlockFlags::ANSI);
        }
    }

    fn push_origin_time(&mut self, time: Option<i64>) {
        if self.origin_time.is_empty() {
            self.origin_time_first = self.records() - 1;
            self.origin_time.resize(self.origin_time_first, 0);
        }
        columns::put_origin_time(&mut self.origin_time, self.last_origin_time, time);
        self.last_origin_time = time.map_or(self.last_origin_time, i128::from);
    }

    fn push_fields(&mut self, fields: Option<&str>) {
        if self.fields.is_empty() {
            self.fields.resize(self.records() - 1, b'\n');
        }
        self.fields.extend_from_slice(fields.unwrap_or_default().as_bytes());
        self.fields.push(b'\n');
    }

    /// Takes a gap; it stands before the next record.
    pub(crate) fn push_gap(&mut self, gap: GapInBlock) {
        self.see_time(gap.time);
        self.gaps.push(GapInBlock { at: self.records() as u32, ..gap });
    }

    /// Whether some line is not what one message says: it comes in parts, or holds ANSI codes.
    pub(crate) fn needs_joining(&self) -> bool {
        self.has_parts || self.flags.has(BlockFlags::ANSI)
    }

    /// How many records of all that were lost the block tells of.
    pub(crate) fn lost(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.to.map_or(0, |to| to - gap.from + 1)).sum()
    }
}

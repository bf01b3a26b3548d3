//! A block in memory: its text at once, its records when they are asked for.
//!
//! A search that finds nothing needs a block's messages only, so reading a block decompresses that one column; the
//! others, and the table of where each message stands, are made by [`Block::records`]. A [`Block`] is meant to be read
//! into again and again: its buffers and its decompressor are kept.
//! No I/O: the reader brings the bytes and has checked them; here they are only believed as far as they make sense.

mod cells;
mod lines;

use std::{path::Path, sync::Arc};

use logboom_record::{EntryRef, Gap, Level, RecordRef, RunId, Time};

use crate::{
    BoomError,
    format::{BlockFlags, BlockMeta, ColumnId, ColumnMeta, FormatError, GapInBlock},
    reader::BlockInfo,
};
use cells::{Cells, RawColumns};
use lines::{Layout, Lines};

/// A block that was read. See [`Reader::read_into`](crate::reader::Reader::read_into).
#[derive(Default)]
pub struct Block {
    meta: BlockMeta,
    gaps: Vec<Gap>,
    /// Time 0 in a tail, the earliest time in a boom file: what the times count from.
    base: Time,
    place: Place,
    /// As stored: in the boom file a frame from its head on, from the tail the columns.
    stored: Vec<u8>,
    columns_at: usize,
    text: Vec<u8>,
    raw: RawColumns,
    cells: Cells,
    lines: Lines,
    decoded: bool,
    decompressor: zstd::bulk::Decompressor<'static>,
}

/// Where a block came from, for errors.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) path: Arc<Path>,
    pub(crate) offset: u64,
}

impl Default for Place {
    fn default() -> Place {
        Place { path: Path::new("").into(), offset: 0 }
    }
}

impl Place {
    pub(crate) fn damaged(&self, source: FormatError) -> BoomError {
        BoomError::Damaged { path: self.path.to_path_buf(), offset: self.offset, source }
    }
}

impl Block {
    /// The block's number in its file.
    pub fn number(&self) -> u64 {
        self.meta.number
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.meta.records as usize
    }

    /// Whether it has none; it may have gaps all the same.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The messages, each followed by LF, in the order in which they are stored, which is not that of the records.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether some message holds ESC, and so perhaps an ANSI code.
    pub fn has_ansi(&self) -> bool {
        self.meta.flags.has(BlockFlags::ANSI)
    }

    /// Whether some message holds an LF, so that the text has more lines than there are records.
    pub fn has_inner_newlines(&self) -> bool {
        self.meta.columns.iter().any(|column| column.id == ColumnId::InnerNewlines)
    }

    /// What is lost, in the order of the places.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The block's records. Decodes what has not been decoded since the block was read.
    ///
    /// # Errors
    /// [`BoomError::Damaged`] if the columns do not fit each other, though their checksum does.
    pub fn records(&mut self) -> Result<Records<'_>, BoomError> {
        if !self.decoded {
            self.decode_records().map_err(|source| self.place.damaged(source))?;
            self.decoded = true;
        }
        Ok(Records { block: self })
    }

    /// A buffer of `bytes` bytes for what is stored; what it holds is from earlier.
    pub(crate) fn buffer(&mut self, bytes: usize) -> &mut [u8] {
        if self.stored.len() < bytes {
            self.stored.resize(bytes, 0);
        }
        &mut self.stored[..bytes]
    }

    /// Takes the block that `meta` tells of and whose columns stand at `columns_at` in the buffer, and decompresses
    /// its messages.
    pub(crate) fn take(&mut self, meta: BlockMeta, base: Time, columns_at: usize) -> Result<(), FormatError> {
        (self.meta, self.base, self.columns_at, self.decoded) = (meta, base, columns_at, false);
        self.gaps.clear();
        let runs: Vec<RunId> = self.meta.runs.iter().map(|run| run.id).collect();
        self.gaps.extend(self.meta.gaps.iter().map(|gap| gap_of(gap, &runs)));
        let mut text = std::mem::take(&mut self.text);
        let taken = self.column(ColumnId::Messages, &mut text);
        self.text = text;
        taken
    }

    pub(crate) fn set_place(&mut self, place: Place) {
        self.place = place;
    }

    fn decode_records(&mut self) -> Result<(), FormatError> {
        let mut raw = std::mem::take(&mut self.raw);
        let decoded = self.decode_columns(&mut raw);
        self.raw = raw;
        decoded
    }

    fn decode_columns(&mut self, raw: &mut RawColumns) -> Result<(), FormatError> {
        self.column(ColumnId::Buckets, &mut raw.buckets)?;
        self.column(ColumnId::Control, &mut raw.control)?;
        self.column(ColumnId::Time, &mut raw.time)?;
        self.column(ColumnId::Run, &mut raw.run)?;
        self.column(ColumnId::InnerNewlines, &mut raw.newlines)?;
        self.column(ColumnId::OriginTime, &mut raw.origin)?;
        raw.fields = self.cells.take_field_buffer();
        self.column(ColumnId::Fields, &mut raw.fields)?;
        self.lines.build(&Layout {
            text: &self.text,
            records: self.meta.records as usize,
            buckets: &self.meta.buckets,
            bucket_of: &raw.buckets,
            newlines: &raw.newlines,
        })?;
        self.cells.decode(raw, &self.meta, self.base)
    }

    /// The raw bytes of a column; none if it is absent.
    fn column(&mut self, id: ColumnId, out: &mut Vec<u8>) -> Result<(), FormatError> {
        out.clear();
        let mut start = self.columns_at;
        for column in &self.meta.columns {
            let end = start.saturating_add(column.stored_bytes);
            if column.id == id {
                let stored = self.stored.get(start..end).ok_or(FormatError::short("column"))?;
                return unpack(&mut self.decompressor, column, stored, out);
            }
            start = end;
        }
        Ok(())
    }
}

fn unpack(
    decompressor: &mut zstd::bulk::Decompressor<'static>,
    column: &ColumnMeta,
    stored: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    if !column.compressed {
        out.extend_from_slice(stored);
        return Ok(());
    }
    out.reserve(column.raw_bytes);
    // It fills what is reserved, which may be more than was asked for: so the length is checked afterwards.
    let wrong = FormatError { what: "column", problem: "cannot be decompressed" };
    decompressor.decompress_to_buffer(stored, out).map_err(|_| wrong)?;
    if out.len() == column.raw_bytes { Ok(()) } else { Err(wrong) }
}

/// A gap of a block whose runs are these.
pub(crate) fn gap_of(gap: &GapInBlock, runs: &[RunId]) -> Gap {
    let run = runs.get(gap.run as usize).copied().unwrap_or(RunId::from_bytes([0; 16])); // decoding checked the number
    Gap { run, from: gap.from, to: gap.to, time: gap.time, why: gap.why.clone() }
}

/// The records of a block. Indexes are below [`Records::len`]; a larger one panics.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    block: &'a Block,
}

impl<'a> Records<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.block.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.block.is_empty()
    }

    /// The block's text, as [`Block::text`].
    pub fn text(self) -> &'a [u8] {
        &self.block.text
    }

    /// One record.
    pub fn get(self, index: usize) -> RecordRef<'a> {
        let (stream, level, flags) = self.block.cells.control(index);
        RecordRef {
            run: self.run(index),
            seq: self.seq(index),
            time: self.time(index),
            origin_time_ns: self.block.cells.origin_time_ns(index),
            stream,
            level,
            flags,
            message: self.message(index),
            fields: self.block.cells.fields(index),
        }
    }

    /// The run of a record.
    pub fn run(self, index: usize) -> RunId {
        self.block.meta.runs[self.block.cells.run(index)].id
    }

    /// The seq of a record.
    pub fn seq(self, index: usize) -> u64 {
        self.block.cells.seq(index)
    }

    /// The time of a record.
    pub fn time(self, index: usize) -> Time {
        self.block.cells.time(index)
    }

    /// The level of a record.
    pub fn level(self, index: usize) -> Level {
        self.block.cells.control(index).1
    }

    /// The message of a record.
    pub fn message(self, index: usize) -> &'a [u8] {
        self.block.lines.message(&self.block.text, index)
    }

    /// What the block itself says of what the index says in `info`, which has its place.
    pub(crate) fn info(self, info: &BlockInfo) -> BlockInfo {
        BlockInfo::of_meta(&self.block.meta, info.offset, info.body_bytes)
    }

    /// The record whose message, or the LF after it, has the byte at `offset` of the text; `None` past the end.
    pub fn locate(self, offset: usize) -> Option<usize> {
        self.block.lines.locate(offset)
    }

    /// Every record in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = RecordRef<'a>> + ExactSizeIterator {
        (0..self.len()).map(move |index| self.get(index))
    }

    /// Every record in order, and the gaps in their places.
    pub fn entries(self) -> impl Iterator<Item = EntryRef<'a>> {
        let places = self.block.meta.gaps.iter().map(|gap| gap.at as usize);
        let mut gaps = places.zip(&self.block.gaps).peekable();
        let mut next = 0;
        std::iter::from_fn(move || {
            if let Some((_, gap)) = gaps.next_if(|(at, _)| *at <= next) {
                return Some(EntryRef::Gap(gap));
            }
            (next < self.len()).then(|| {
                next += 1;
                EntryRef::Record(self.get(next - 1))
            })
        })
    }
}

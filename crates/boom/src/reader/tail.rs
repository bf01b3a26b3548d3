//! The tail as a reader sees it: blocks that are still growing, taken frame by frame.
//!
//! Every slot is read on from where it was left, so that following a live file costs one short pread a slot. A frame is
//! there once its checksums are right; while it is being written it is not there yet. A block is only whole once the
//! block after it has been seen, and a reader that saw the newer one first would skip what came between: so older
//! blocks are read once more after newer ones.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use logboom_record::{Flags, Time, ansi};

use crate::{
    BoomError,
    format::{
        BLOCK_COLUMN_BYTES_MAX, BLOCK_GAPS_MAX, BLOCK_RECORDS_MAX, BLOCK_RUNS_MAX, BlockFlags, BlockMeta, ColumnMeta,
        FileHeader, FileId, FormatError, RunInBlock, TailHead, TailMeta, columns,
        frame::HEADER_BYTES,
        tail::{SLOT_BYTES, TAIL_COLUMNS, TAIL_HEAD_BYTES, TAIL_SLOTS, slot_offset},
    },
};

use super::source::{open_regular, read_some};

/// How much of a slot is read at first, and how much at most at once.
const READ_BYTES: usize = 4 << 10;
const READ_BYTES_MAX: usize = 256 << 10;
/// The most bytes the columns of a tail block may have; a single record may pass what holds for a block.
const TAIL_BLOCK_BYTES_MAX: usize = BLOCK_COLUMN_BYTES_MAX + (2 << 20);

/// What the columns of a full block of lines have, so that they need not move while they grow.
const COLUMN_BYTES_USUAL: [usize; TAIL_COLUMNS.len()] = [1 << 20, 16 << 10, 32 << 10, 16 << 10, 0, 0, 0];

/// A boom file's tail.
pub(crate) struct TailReader {
    path: PathBuf,
    id: FileId,
    file: Option<File>,
    slots: [Slot; TAIL_SLOTS as usize],
    buffer: Vec<u8>,
    /// Counts what was taken or left behind.
    pub(crate) version: u64,
}

#[derive(Default)]
struct Slot {
    block: Option<TailBlock>,
    /// How many bytes of the slot's frames were taken, and how many frames.
    taken_bytes: u64,
    frames: u32,
    /// The heads of the first and of the last of them, and where that one is: after a failed write or sync a writer may
    /// write the same block again with other frames.
    first_head: [u8; TAIL_HEAD_BYTES],
    last_head: [u8; TAIL_HEAD_BYTES],
    last_at: u64,
}

/// Where the tail of the boom file at this path is while it is not sealed.
pub fn tail_path(boom: &Path) -> PathBuf {
    let mut path = boom.as_os_str().to_owned();
    path.push(".tail");
    path.into()
}

/// A block in the tail.
pub(crate) struct TailBlock {
    /// As of a block in the boom file; the columns are not compressed.
    pub(crate) meta: BlockMeta,
    columns: [Vec<u8>; TAIL_COLUMNS.len()],
    last_time: Time,
}

impl TailReader {
    /// The tail beside the boom file of this path and id, which need not be there.
    pub(crate) fn new(boom: &Path, id: FileId) -> TailReader {
        TailReader { path: tail_path(boom), id, file: None, slots: Default::default(), buffer: Vec::new(), version: 0 }
    }

    /// Takes the frames that are new. `next_block` is the number of the first block that the boom file was last seen
    /// not to have.
    pub(crate) fn refresh(&mut self, next_block: u64) -> Result<(), BoomError> {
        if self.file.is_none() {
            self.file = self.open()?;
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let read = self.read_slots(&file, next_block);
        self.file = Some(file);
        read.map_err(|source| BoomError::Io { action: "read", path: self.path.clone(), source })
    }

    /// The blocks from `next_block` on, by number.
    pub(crate) fn blocks(&self, next_block: u64) -> Vec<&TailBlock> {
        let blocks = self.slots.iter().filter_map(|slot| slot.block.as_ref());
        let mut blocks: Vec<_> = blocks.filter(|block| block.meta.number >= next_block).collect();
        blocks.sort_by_key(|block| block.meta.number);
        blocks
    }

    /// The block of this number.
    pub(crate) fn block(&self, number: u64) -> Option<&TailBlock> {
        let slot = &self.slots[(number % TAIL_SLOTS) as usize];
        slot.block.as_ref().filter(|block| block.meta.number == number)
    }

    /// Opens the file; `None` while it is not there, or is no file, or the tail of another one.
    fn open(&self) -> Result<Option<File>, BoomError> {
        let failed = |source| BoomError::Io { action: "open", path: self.path.clone(), source };
        let file = match open_regular(&self.path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(None),
            file => file.map_err(failed)?,
        };
        let mut header = [0; HEADER_BYTES];
        let read = read_some(&file, &mut header, 0).map_err(failed)?;
        let ours = FileHeader::decode(&header[..read]).is_ok_and(|header| header.id == self.id);
        Ok(ours.then_some(file))
    }

    fn read_slots(&mut self, file: &File, next_block: u64) -> io::Result<()> {
        for number in 0..TAIL_SLOTS {
            self.read_slot(file, number, next_block)?;
        }
        let mut older: Vec<u64> = self.blocks(next_block).iter().map(|block| block.meta.number).collect();
        older.pop();
        for number in older.into_iter().rev() {
            self.read_on(file, number % TAIL_SLOTS)?;
        }
        Ok(())
    }

    /// Reads a slot on, or from its start if it holds another block than before.
    fn read_slot(&mut self, file: &File, number: u64, next_block: u64) -> io::Result<()> {
        let known = self.slots[number as usize].block.as_ref().map(|block| block.meta.number);
        let growing = known.is_some_and(|known| known >= next_block);
        if growing && (self.read_on(file, number)? || self.is_as_it_was(file, number)?) {
            return Ok(());
        }
        let mut head = [0; TAIL_HEAD_BYTES];
        let read = read_some(file, &mut head, slot_offset(number))?;
        let found = self.block_of(&head[..read], number, next_block);
        self.version += u64::from(known.is_some() || found.is_some());
        self.slots[number as usize] = Slot::default();
        if let Some(found) = found {
            self.slots[number as usize].block = Some(TailBlock::new(found));
            self.read_on(file, number)?;
        }
        Ok(())
    }

    /// Whether the first and the last frame that were taken are still there.
    fn is_as_it_was(&self, file: &File, number: u64) -> io::Result<bool> {
        let slot = &self.slots[number as usize];
        for (at, known) in [(0, slot.first_head), (slot.last_at, slot.last_head)] {
            let mut head = [0; TAIL_HEAD_BYTES];
            let read = read_some(file, &mut head, slot_offset(number) + at)?;
            if head[..read] != known {
                return Ok(false);
            }
        }
        Ok(slot.frames > 0)
    }

    /// The number of the block whose first frame starts with `head`, unless the boom file has it already.
    fn block_of(&self, head: &[u8], slot: u64, next_block: u64) -> Option<u64> {
        let head = TailHead::decode(head, &self.id).ok().filter(|head| head.frame == 0)?;
        // The head has the low 32 bits only. What is not a little ahead of the boom file is behind it.
        let ahead = head.block.wrapping_sub(next_block as u32);
        let number = next_block.wrapping_add(u64::from(ahead));
        (ahead < 1 << 31 && number % TAIL_SLOTS == slot).then_some(number)
    }

    /// Takes the frames that follow those taken. Tells whether there were any.
    fn read_on(&mut self, file: &File, number: u64) -> io::Result<bool> {
        let slot = &mut self.slots[number as usize];
        let (start, mut want) = (slot.taken_bytes, READ_BYTES);
        loop {
            let before = slot.taken_bytes;
            self.buffer.resize(want.min((SLOT_BYTES - before) as usize), 0);
            let read = read_some(file, &mut self.buffer, slot_offset(number) + before)?;
            let next = slot.take_frames(&self.buffer[..read], &self.id);
            let at_end = read < self.buffer.len() && slot.taken_bytes == before;
            match next {
                Next::Needs(bytes) if !at_end && bytes as u64 <= SLOT_BYTES - slot.taken_bytes => {
                    want = bytes.max(want.saturating_mul(4).min(READ_BYTES_MAX));
                }
                _ => {
                    self.version += u64::from(slot.taken_bytes != start);
                    return Ok(slot.taken_bytes != start);
                }
            }
        }
    }
}

/// Why no further frame was taken.
enum Next {
    /// There is none.
    End,
    /// The bytes end before the next one does, which has at least so many.
    Needs(usize),
}

impl Slot {
    fn take_frames(&mut self, bytes: &[u8], id: &FileId) -> Next {
        let Some(block) = &mut self.block else { return Next::End };
        let mut rest = bytes;
        loop {
            if rest.len() < TAIL_HEAD_BYTES {
                return Next::Needs(TAIL_HEAD_BYTES);
            }
            let Ok(head) = TailHead::decode(rest, id) else { return Next::End };
            if head.block != block.meta.number as u32 || head.frame != self.frames {
                return Next::End;
            }
            let end = TAIL_HEAD_BYTES.saturating_add(head.body_bytes as usize);
            let Some(body) = rest.get(TAIL_HEAD_BYTES..end) else { return Next::Needs(end) };
            if id.crc(body) != head.body_crc || block.add(body).is_err() {
                return Next::End;
            }
            self.last_head.copy_from_slice(&rest[..TAIL_HEAD_BYTES]);
            self.last_at = self.taken_bytes;
            if self.frames == 0 {
                self.first_head = self.last_head;
            }
            self.taken_bytes += end as u64;
            self.frames += 1;
            rest = &rest[end..];
        }
    }
}

impl TailBlock {
    fn new(number: u64) -> TailBlock {
        // What a line of it joins is not known before it is whole, so that must be expected of every one.
        let flags = BlockFlags::JOINS_EARLIER.with(BlockFlags::JOINS_LATER);
        TailBlock {
            meta: BlockMeta { number, flags, ..BlockMeta::default() },
            columns: COLUMN_BYTES_USUAL.map(Vec::with_capacity),
            last_time: Time::default(),
        }
    }

    /// The bytes of the columns, one after the other as `meta` has them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &[u8]> {
        self.columns.iter().map(Vec::as_slice)
    }

    /// Adds a frame's body, or nothing if it does not fit the frames before.
    fn add(&mut self, body: &[u8]) -> Result<(), FormatError> {
        let (tail, bytes) = TailMeta::decode(body)?;
        self.check(&tail, bytes.len())?;
        let mut columns: [&[u8]; TAIL_COLUMNS.len()] = Default::default();
        let mut rest = bytes;
        for (column, bytes) in columns.iter_mut().zip(tail.column_bytes) {
            (*column, rest) = rest.split_at_checked(bytes).ok_or(FormatError::short("tail frame"))?;
        }
        let (mut times, mut runs) = (Vec::new(), Vec::new());
        let [_, control, time, run, ..] = columns;
        let records = tail.records as usize;
        columns::decode_times(time, self.last_time, records, &mut times)?;
        columns::decode_runs(run, self.meta.runs.len() + tail.runs.len(), records, &mut runs)?;
        if control.len() != records || control.iter().any(|byte| columns::decode_control(*byte).is_err()) {
            return Err(FormatError::wrong("control column"));
        }
        self.add_times(times.iter().copied().chain(tail.gaps.iter().map(|gap| gap.time)));
        self.last_time = times.last().copied().unwrap_or(self.last_time);
        self.add_meta(tail);
        for (run, byte) in runs.iter().zip(control) {
            let (_, level, flags) = columns::decode_control(*byte)?;
            let run = &mut self.meta.runs[usize::from(*run)];
            run.records += 1;
            run.lines += u64::from(!flags.has(Flags::CONTINUED));
            run.levels[level as usize] += 1;
        }
        self.add_columns(&columns);
        Ok(())
    }

    fn check(&self, tail: &TailMeta, bytes: usize) -> Result<(), FormatError> {
        let runs = self.meta.runs.len() + tail.runs.len();
        let records = u64::from(self.meta.records) + u64::from(tail.records);
        let column_bytes = bytes + self.columns.iter().map(Vec::len).sum::<usize>();
        let last_gap = self.meta.gaps.last().map_or(0, |gap| gap.at);
        let good = runs <= BLOCK_RUNS_MAX
            && records <= BLOCK_RECORDS_MAX as u64
            && column_bytes <= TAIL_BLOCK_BYTES_MAX
            && self.meta.gaps.len() + tail.gaps.len() <= BLOCK_GAPS_MAX
            && self.meta.ends.len() + tail.ends.len() <= BLOCK_GAPS_MAX
            && tail.gaps.iter().all(|gap| (gap.run as usize) < runs && u64::from(gap.at) <= records)
            && tail.gaps.is_sorted_by_key(|gap| gap.at)
            && tail.gaps.first().is_none_or(|gap| gap.at >= last_gap)
            && tail.ends.iter().all(|end| (end.run as usize) < runs);
        if good { Ok(()) } else { Err(FormatError::wrong("tail frame")) }
    }

    fn add_times(&mut self, times: impl Iterator<Item = Time>) {
        let mut empty = self.meta.records == 0 && self.meta.gaps.is_empty();
        for time in times {
            let (min, max) = if empty { (time, time) } else { (self.meta.time_min, self.meta.time_max) };
            (self.meta.time_min, self.meta.time_max, empty) = (min.min(time), max.max(time), false);
        }
    }

    fn add_meta(&mut self, tail: TailMeta) {
        let runs = tail.runs.into_iter().map(|run| RunInBlock {
            id: run.id,
            kind: run.kind,
            first_seq: run.first_seq,
            records: 0,
            lines: 0,
            levels: [0; 5],
        });
        self.meta.runs.extend(runs);
        self.meta.gaps.extend(tail.gaps);
        self.meta.ends.extend(tail.ends);
        if tail.checkpoint.is_some() {
            self.meta.checkpoint = tail.checkpoint;
            self.meta.flags = self.meta.flags.with(BlockFlags::CHECKPOINT);
        }
        self.meta.records += tail.records;
    }

    fn add_columns(&mut self, columns: &[&[u8]; TAIL_COLUMNS.len()]) {
        if ansi::has_escape(columns[0]) {
            self.meta.flags = self.meta.flags.with(BlockFlags::ANSI);
        }
        self.columns.iter_mut().zip(columns).for_each(|(all, new)| all.extend_from_slice(new));
        let metas = TAIL_COLUMNS.iter().zip(&self.columns).map(|(id, column)| ColumnMeta {
            id: *id,
            compressed: false,
            raw_bytes: column.len(),
            stored_bytes: column.len(),
        });
        self.meta.columns = metas.collect();
    }
}

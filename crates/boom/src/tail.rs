//! Writes the tail: what the block being filled has gained since the last flush, as one frame in the block's slot.
//!
//! A frame is one system call with slices of the columns as they are. A frame that could not be written is written again
//! at the same place with whatever came since. Which slots are free is the writer's business.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use crate::{
    columns::Columns,
    format::{
        FileHeader, FileId, NewRun, TailHead, TailMeta,
        frame::HEADER_BYTES,
        tail::{SLOT_BYTES, TAIL_COLUMNS, TAIL_HEAD_BYTES, TAIL_PAGE_BYTES, TAIL_SLOTS, slot_offset},
    },
    storage::Storage,
};

/// How many bytes the frames of a block may have besides its columns before the block counts as full.
const OVERHEAD_BYTES_MAX: u64 = 1 << 20;

/// How much of a block the tail holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    columns: [usize; TAIL_COLUMNS.len()],
    runs: usize,
    gaps: usize,
    ends: usize,
    records: usize,
    frames: u32,
    bytes: u64,
    /// Whether the block's checkpoint is there.
    pub(crate) checkpoint: bool,
}

impl Held {
    /// Whether it is all of the block.
    pub(crate) fn is_all_of(&self, block: &Columns) -> bool {
        self.records == block.records()
            && (self.runs, self.gaps, self.ends) == (block.runs.len(), block.gaps.len(), block.ends.len())
            && (self.checkpoint || block.checkpoint.is_none())
    }

    /// Whether it is anything.
    pub(crate) fn is_any(&self) -> bool {
        self.frames > 0
    }

    /// Whether so many small frames were written that the block should end, for its slot to suffice.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.bytes - self.columns.iter().sum::<usize>() as u64 > OVERHEAD_BYTES_MAX
    }
}

/// The tail of a boom file.
pub(crate) struct TailWriter {
    storage: Arc<dyn Storage>,
    header: [u8; HEADER_BYTES],
    id: FileId,
    has_header: bool,
    /// Per slot, how many bytes of frames its block has.
    used: [u64; TAIL_SLOTS as usize],
    /// Frames were lost by the disk: the block being filled must be written anew.
    spoilt: bool,
    /// No sync went well since one failed.
    suspect: bool,
}

impl TailWriter {
    /// The tail of the file with this header; nothing is written yet.
    pub(crate) fn new(storage: Arc<dyn Storage>, header: &FileHeader) -> TailWriter {
        let (header, id) = (header.encode(), header.id);
        TailWriter {
            storage,
            header,
            id,
            has_header: false,
            used: [0; TAIL_SLOTS as usize],
            spoilt: false,
            suspect: false,
        }
    }

    /// The file, to be synced without holding the tail, and whether it must be written again before.
    pub(crate) fn start_sync(&self) -> (Arc<dyn Storage>, bool) {
        (Arc::clone(&self.storage), self.suspect)
    }

    /// Notes that a sync went well.
    pub(crate) fn synced(&mut self) {
        self.suspect = false;
    }

    /// Removes the file.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.storage.remove()
    }

    /// Writes what `held` lacks of block `number`.
    pub(crate) fn append(&mut self, number: u64, block: &Columns, held: &mut Held) -> io::Result<()> {
        if std::mem::take(&mut self.spoilt) {
            *held = Held::default();
        }
        if held.is_all_of(block) {
            return Ok(());
        }
        self.write_header()?;
        let next = hold_all(block, held);
        let mut meta = Vec::with_capacity(64);
        frame_meta(block, held, &next).encode(&mut meta);
        let mut columns = block.all();
        for (column, held) in columns.iter_mut().zip(held.columns) {
            *column = column.get(held..).unwrap_or_default();
        }
        let bytes = self.write_frame(number, held, &meta, &columns)?;
        *held = Held { bytes: held.bytes + bytes, frames: held.frames + 1, ..next };
        self.used[(number % TAIL_SLOTS) as usize] = held.bytes;
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        if !self.has_header {
            let mut page = [0; TAIL_PAGE_BYTES as usize];
            page[..HEADER_BYTES].copy_from_slice(&self.header);
            self.storage.write_at(0, &mut [IoSlice::new(&page)])?;
            self.has_header = true;
        }
        Ok(())
    }

    fn write_frame(&self, number: u64, held: &Held, meta: &[u8], columns: &[&[u8]]) -> io::Result<u64> {
        let body_bytes = meta.len() + columns.iter().map(|column| column.len()).sum::<usize>();
        let bytes = (TAIL_HEAD_BYTES + body_bytes) as u64;
        if held.bytes + bytes > SLOT_BYTES {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the block's slot in the tail is full"));
        }
        let head = TailHead {
            block: number as u32,
            frame: held.frames,
            body_bytes: body_bytes as u32,
            body_crc: self.id.crc_of_parts([meta].into_iter().chain(columns.iter().copied())),
        };
        let head = head.encode(&self.id);
        let mut parts = [IoSlice::new(&[]); TAIL_COLUMNS.len() + 2];
        let slices = [&head[..], meta].into_iter().chain(columns.iter().copied()).filter(|slice| !slice.is_empty());
        let count = parts.iter_mut().zip(slices).map(|(part, slice)| *part = IoSlice::new(slice)).count();
        self.storage.write_at(slot_offset(number) + held.bytes, &mut parts[..count])?;
        Ok(bytes)
    }

    /// Writes again what the disk may have dropped after a failed sync; what it did drop is noted, so that the next
    /// [`TailWriter::append`] writes its block anew.
    pub(crate) fn write_again(&mut self) -> io::Result<()> {
        (self.has_header, self.suspect) = (false, true);
        self.write_header()?;
        for slot in 0..TAIL_SLOTS {
            let mut frames = vec![0; self.used[slot as usize] as usize];
            let good = match self.storage.read_at(slot_offset(slot), &mut frames) {
                Ok(()) => valid_bytes(&frames, &self.id),
                Err(_) => 0,
            };
            self.spoilt |= good < frames.len();
            self.storage.write_at(slot_offset(slot), &mut [IoSlice::new(&frames[..good])])?;
        }
        Ok(())
    }
}

/// What is held once everything is.
fn hold_all(block: &Columns, held: &Held) -> Held {
    Held {
        columns: block.all().map(<[u8]>::len),
        runs: block.runs.len(),
        gaps: block.gaps.len(),
        ends: block.ends.len(),
        records: block.records(),
        checkpoint: true,
        ..*held
    }
}

fn frame_meta(block: &Columns, held: &Held, next: &Held) -> TailMeta {
    let new_run = |run: &crate::format::RunInBlock| NewRun { id: run.id, kind: run.kind, first_seq: run.first_seq };
    let mut column_bytes = next.columns;
    column_bytes.iter_mut().zip(held.columns).for_each(|(bytes, held)| *bytes -= held);
    TailMeta {
        runs: block.runs.iter().skip(held.runs).map(new_run).collect(),
        gaps: block.gaps.iter().skip(held.gaps).cloned().collect(),
        ends: block.ends.iter().skip(held.ends).cloned().collect(),
        checkpoint: block.checkpoint.clone().filter(|_| !held.checkpoint),
        records: (next.records - held.records) as u32,
        column_bytes,
    }
}

/// How many bytes of whole, valid frames stand at the start.
fn valid_bytes(frames: &[u8], id: &FileId) -> usize {
    let mut at = 0;
    while let Ok(head) = TailHead::decode(&frames[at..], id) {
        let start = at + TAIL_HEAD_BYTES;
        match frames.get(start..start + head.body_bytes as usize) {
            Some(body) if id.crc(body) == head.body_crc => at = start + body.len(),
            _ => break,
        }
    }
    at
}

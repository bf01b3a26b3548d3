//! Appends frames to the boom file: blocks in order, an index after every 32, the footer.
//!
//! Room for what comes next is reserved before anything is written, so that a full disk shows before a frame is torn, and gap and footer
//! always find their 64 KiB. What was written since the last good sync is remembered: after a failed one its pages may be gone
//! though they can still be read, so they are checked and written again.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use crate::{
    encode::EncodedBlock,
    filter::{GramBits, group_rows},
    format::{
        BlockSummary, FileHeader, FileId, Footer, FrameHead, FrameKind, GROUP_BLOCKS, IndexMeta, RESERVE_BYTES,
        frame::{HEAD_BYTES, HEADER_BYTES},
        index::put_filter,
    },
    reader::Totals,
    storage::Storage,
};

/// Room is had in pages.
const PAGE_BYTES: u64 = 4_096;
/// How much more than what is needed is reserved in one go.
const RESERVE_STEP_BYTES: u64 = 256 << 10;
/// What of the reserve stays for index and footer when a last block is written into it.
const FOOTER_BYTES: u64 = 16 << 10;
/// How many runs, and with their gaps, fit into these bytes and into [`RESERVE_BYTES`].
const RUNS: u64 = 256;
/// How much more is kept for every further run: at most 51 bytes in the footer, and the rest in a block of gaps, where the
/// run and a reason of [`crate::format::WHY_BYTES_MAX`] bytes take some 310.
const RUN_BYTES: [u64; 2] = [64, 512];
/// The most bytes that the footer has for an index frame.
const INDEX_OFFSET_BYTES: u64 = 10;
/// Of what no sync is known to have brought to the disk, so much is written again after one that failed. What is older is
/// in the hands of the system, and damage if it is gone: to read and write it all at every sync would not end.
const UNSYNCED_BYTES_MAX: u64 = 64 << 20;

/// Whether a block may use the bytes that are kept for the end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// The file goes on: the reserve must stay.
    Keep,
    /// This is the end.
    Use,
}

/// A frame that may not be on the disk.
struct Unsynced {
    offset: u64,
    bytes: usize,
    block: Option<BlockSummary>,
}

/// What a sync waits for.
pub(crate) struct SyncStart {
    /// The file to sync.
    pub(crate) storage: Arc<dyn Storage>,
    /// Everything must be written again before.
    pub(crate) suspect: bool,
    frames: Vec<Unsynced>,
    blocks: u64,
}

/// The boom file of a writer.
pub(crate) struct BoomFile {
    storage: Arc<dyn Storage>,
    header: FileHeader,
    end: u64,
    reserved_to: u64,
    runs: u64,
    index_offsets: Vec<u64>,
    group: Vec<BlockSummary>,
    group_grams: Vec<GramBits>,
    totals: Totals,
    /// How many blocks were appended.
    blocks: u64,
    /// How many of them are on the disk for sure.
    synced_blocks: u64,
    unsynced: Vec<Unsynced>,
    unsynced_bytes: u64,
    /// No sync went well since one failed.
    suspect: bool,
    /// Some sync failed.
    has_failed: bool,
}

impl BoomFile {
    /// Writes the header of a new file, and reserves room for its end.
    pub(crate) fn create(storage: Arc<dyn Storage>, header: FileHeader) -> io::Result<BoomFile> {
        let end = HEADER_BYTES as u64;
        storage.reserve(0, end + RESERVE_BYTES)?;
        storage.write_at(0, &mut [IoSlice::new(&header.encode())])?;
        Ok(BoomFile {
            storage,
            header,
            end,
            reserved_to: end + RESERVE_BYTES,
            runs: 0,
            index_offsets: Vec::new(),
            group: Vec::new(),
            group_grams: Vec::new(),
            totals: Totals::default(),
            blocks: 0,
            synced_blocks: 0,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            suspect: false,
            has_failed: false,
        })
    }

    /// The file's header.
    pub(crate) fn header(&self) -> &FileHeader {
        &self.header
    }

    /// What the blocks hold.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// How many blocks were appended.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Where the next frame starts.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes a sync would have to wait for.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// How many blocks are on the disk for sure.
    pub(crate) fn synced_blocks(&self) -> u64 {
        self.synced_blocks
    }

    /// Whether a sync ever failed: what was written before it may be missing from the disk although later ones went well.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Appends a block, and before it the index that is due. After an error the same call can be made again.
    pub(crate) fn append(&mut self, block: &mut EncodedBlock, reserve: Reserve) -> io::Result<()> {
        if self.group.len() >= GROUP_BLOCKS {
            self.append_index(reserve)?;
        }
        let parts = [&block.meta[..], &block.columns];
        let crcs = [block.meta_crc, block.columns_crc];
        let offset = self.append_frame(FrameKind::Block, parts, crcs, reserve)?;
        self.blocks += 1;
        if let Some(summary) = block.summary.take() {
            let summary = BlockSummary { offset, ..summary };
            add(&mut self.totals, &summary, block.lost);
            self.unsynced.iter_mut().last().into_iter().for_each(|frame| frame.block = Some(summary.clone()));
            self.group.push(summary);
        }
        self.group_grams.extend(block.grams.take());
        Ok(())
    }

    /// Appends the index of the blocks since the last one, if there are any. Where the end of a full disk's reserve has no
    /// room for the filter it is left out, and then the index: a reader goes from frame to frame.
    fn append_index(&mut self, reserve: Reserve) -> io::Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let filter = (self.group_grams.len() == self.group.len()).then(|| group_rows(&self.group_grams)).flatten();
        match self.append_index_with(filter, reserve) {
            Err(_) if reserve == Reserve::Use => self.append_index_with(None, reserve)?,
            other => other?,
        }
        self.group.clear();
        self.group_grams.clear();
        Ok(())
    }

    fn append_index_with(&mut self, filter: Option<(u32, Vec<u32>)>, reserve: Reserve) -> io::Result<()> {
        let blocks = std::mem::take(&mut self.group);
        let index = IndexMeta { blocks, rows_log2: filter.as_ref().map(|(log2, _)| *log2) };
        let (mut meta, mut pages) = (Vec::new(), Vec::with_capacity(index.filter_bytes()));
        index.encode(&mut meta);
        self.group = index.blocks;
        let id = self.header.id;
        filter.iter().for_each(|(_, rows)| put_filter(rows, &id, &mut pages));
        let crcs = [id.crc(&meta), id.crc(&pages)];
        let offset = self.append_frame(FrameKind::Index, [&meta, &pages], crcs, reserve)?;
        self.index_offsets.push(offset);
        Ok(())
    }

    /// Appends the last index and the footer. Gives where the file must be cut off to take that back.
    pub(crate) fn append_footer(&mut self, mut footer: Footer) -> io::Result<u64> {
        // On a full disk a reader finds blocks without an index by going from frame to frame.
        let _ = self.append_index(Reserve::Use);
        footer.index_offsets.clone_from(&self.index_offsets);
        let Totals { records, lines, lost, levels, .. } = self.totals;
        let footer = Footer { records, lines, lost, levels, ..footer };
        let mut meta = Vec::new();
        footer.encode(&mut meta);
        let trailer = Footer::trailer(self.end);
        let crcs = [self.header.id.crc(&meta), self.header.id.crc(&trailer)];
        let offset = self.write_frame(FrameKind::Footer, [&meta, &trailer], crcs)?;
        self.storage.trim(self.end)?;
        Ok(offset)
    }

    /// Takes the footer back that starts at `offset`, so that the file can go on.
    pub(crate) fn reopen(&mut self, offset: u64) -> io::Result<()> {
        self.storage.trim(offset)?;
        self.unsynced.retain(|frame| frame.offset < offset);
        (self.end, self.reserved_to) = (offset, offset);
        Ok(())
    }

    fn append_frame(
        &mut self,
        kind: FrameKind,
        parts: [&[u8]; 2],
        crcs: [u32; 2],
        reserve: Reserve,
    ) -> io::Result<u64> {
        let end = self.end + (HEAD_BYTES + parts[0].len() + parts[1].len()) as u64;
        let [footer, all] = self.kept_bytes();
        let reserved = self.reserve_to(end + all);
        if reserved.is_err() && (reserve == Reserve::Keep || end + footer > self.reserved_to) {
            reserved?;
        }
        self.write_frame(kind, parts, crcs)
    }

    /// Makes room at the end for another run.
    pub(crate) fn add_run(&mut self) {
        self.runs += 1;
        if self.runs <= RUNS {
            return;
        }
        // Where there is none, the next block fails for the same reason.
        let _ = self.reserve_to((self.end + self.kept_bytes()[1]).next_multiple_of(PAGE_BYTES));
    }

    /// How many bytes are kept for the footer, and for all that comes at the end.
    fn kept_bytes(&self) -> [u64; 2] {
        let runs = self.runs.saturating_sub(RUNS);
        let offsets = self.index_offsets.len() as u64 * INDEX_OFFSET_BYTES;
        [FOOTER_BYTES + runs * RUN_BYTES[0] + offsets, RESERVE_BYTES + runs * RUN_BYTES[1] + offsets]
    }

    fn reserve_to(&mut self, to: u64) -> io::Result<()> {
        if to <= self.reserved_to {
            return Ok(());
        }
        let step = if self.blocks == 0 { 0 } else { RESERVE_STEP_BYTES };
        let from = self.reserved_to;
        let done = self.storage.reserve(from, to + step - from).map(|()| to + step);
        self.reserved_to = done.or_else(|_| self.storage.reserve(from, to - from).map(|()| to))?;
        Ok(())
    }

    fn write_frame(&mut self, kind: FrameKind, [meta, rest]: [&[u8]; 2], crcs: [u32; 2]) -> io::Result<u64> {
        let (offset, body_bytes) = (self.end, meta.len() + rest.len());
        let head = FrameHead {
            kind,
            body_bytes: body_bytes as u32,
            offset,
            last_index: self.index_offsets.last().copied().unwrap_or(0),
            meta_bytes: meta.len() as u32,
            meta_crc: crcs[0],
            rest_crc: crcs[1],
        };
        let head_bytes = head.encode(&self.header.id);
        let mut parts = [IoSlice::new(&head_bytes), IoSlice::new(meta), IoSlice::new(rest)];
        self.storage.write_at(offset, &mut parts)?;
        self.end = head.end();
        self.unsynced.push(Unsynced { offset, bytes: HEAD_BYTES + body_bytes, block: None });
        self.unsynced_bytes += (HEAD_BYTES + body_bytes) as u64;
        Ok(offset)
    }

    /// What a sync that starts now is answerable for. The file can be written while it goes on.
    pub(crate) fn start_sync(&mut self) -> SyncStart {
        self.unsynced_bytes = 0;
        let frames = std::mem::take(&mut self.unsynced);
        SyncStart { storage: Arc::clone(&self.storage), suspect: self.suspect, frames, blocks: self.blocks }
    }

    /// Notes that the sync went well.
    pub(crate) fn synced(&mut self, sync: &SyncStart) {
        (self.synced_blocks, self.suspect) = (self.synced_blocks.max(sync.blocks), false);
    }

    /// Notes that it did not: everything is as if it had not been tried.
    pub(crate) fn not_synced(&mut self, sync: SyncStart) {
        let later = std::mem::replace(&mut self.unsynced, sync.frames);
        self.unsynced.extend(later);
        forget_oldest(&mut self.unsynced, UNSYNCED_BYTES_MAX);
    }

    /// Writes again what a failed sync may have dropped. Gives the blocks that the disk did drop; they count no more.
    pub(crate) fn write_again(&mut self, sync: &mut SyncStart) -> (Vec<BlockSummary>, io::Result<()>) {
        (self.suspect, self.has_failed) = (true, true);
        let mut result = self.storage.write_at(0, &mut [IoSlice::new(&self.header.encode())]);
        // What was appended while the sync went on may be gone as well.
        sync.frames.append(&mut self.unsynced);
        sync.blocks = self.blocks;
        let mut gone = Vec::new();
        let mut kept = Vec::with_capacity(sync.frames.len());
        for frame in std::mem::take(&mut sync.frames) {
            let mut bytes = vec![0; frame.bytes];
            let read = self.storage.read_at(frame.offset, &mut bytes);
            if read.is_ok() && is_valid(&bytes, &self.header.id, frame.offset) {
                let written = self.storage.write_at(frame.offset, &mut [IoSlice::new(&bytes)]);
                result = result.and(written);
                kept.push(frame);
            } else {
                gone.extend(frame.block);
                self.index_offsets.retain(|offset| *offset != frame.offset);
            }
        }
        sync.frames = kept;
        gone.iter().for_each(|block| self.forget(block));
        (gone, result)
    }

    fn forget(&mut self, gone: &BlockSummary) {
        remove(&mut self.totals, gone);
        if let Some(at) = self.group.iter().position(|block| block.offset == gone.offset) {
            self.group.remove(at);
            if at < self.group_grams.len() {
                self.group_grams.remove(at);
            }
        }
    }
}

/// Forgets the first frames, so that the others have at most so many bytes.
fn forget_oldest(frames: &mut Vec<Unsynced>, bytes_max: u64) {
    let mut bytes = 0;
    let fits = |frame: &&Unsynced| {
        bytes += frame.bytes as u64;
        bytes <= bytes_max
    };
    let kept = frames.iter().rev().take_while(fits).count();
    frames.drain(..frames.len() - kept);
}

fn is_valid(frame: &[u8], id: &FileId, offset: u64) -> bool {
    FrameHead::decode(frame, id, offset).is_ok_and(|head| head.check_body(&frame[HEAD_BYTES..], id).is_ok())
}

fn add(totals: &mut Totals, block: &BlockSummary, lost: u64) {
    totals.lost += lost;
    for run in &block.runs {
        totals.records += run.records;
        totals.lines += run.lines;
        totals.levels.iter_mut().zip(run.levels).for_each(|(total, count)| *total += count);
    }
    if block.records > 0 || !block.gaps.is_empty() {
        let (min, max) = totals.times.unwrap_or((block.time_min, block.time_max));
        totals.times = Some((min.min(block.time_min), max.max(block.time_max)));
    }
}

fn remove(totals: &mut Totals, block: &BlockSummary) {
    totals.lost -= block.gaps.iter().map(|gap| gap.to.map_or(0, |to| to - gap.from + 1)).sum::<u64>();
    for run in &block.runs {
        totals.records -= run.records;
        totals.lines -= run.lines;
        totals.levels.iter_mut().zip(run.levels).for_each(|(total, count)| *total -= count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frames_are_written_again_and_no_more_than_fit() {
        let frame = |number: u64| Unsynced { offset: number, bytes: 30, block: None };
        let mut frames: Vec<Unsynced> = (0..5).map(frame).collect();
        forget_oldest(&mut frames, 100);
        assert_eq!(frames.iter().map(|frame| frame.offset).collect::<Vec<_>>(), [2, 3, 4]);
        forget_oldest(&mut frames, 100);
        assert_eq!(frames.len(), 3);
    }
}

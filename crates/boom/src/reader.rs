//! Reads a boom file and its tail: sealed, live, or left behind by a killed writer. Never writes.
//!
//! A live file has a writer that moves blocks from the tail to the boom file and uses the tail's slots again, at any
//! moment. So the order of reading is fixed: whether there is a writer, then the tail, then the boom file. What has left the
//! tail by then is in the boom file; what is in both is left out of the tail; and a block in neither, though a later one is
//! seen, was on its way, and all is read again. So no record is seen twice, and none is passed over.
//! Every part is believed only once its checksum was right. What cannot be read is [`Damage`], and the rest is
//! read all the same. No mmap: a file may shrink or fail under us, which must be an error and not a signal.

mod catalog;
mod rescue;
mod search;
mod source;
mod tail;
mod written;

use std::{io, path::Path};

use logboom_record::{Gap, RunId, Time};
use rustix::fs::{FlockOperation, flock};

pub use catalog::{BlockInfo, RunSummary, Totals};
pub(crate) use catalog::{Catalog, Hole};
use rescue::Rescue;
pub use search::BlockSet;
pub(crate) use source::Source;
pub use source::open_regular;
pub use tail::tail_path;
use tail::{TailBlock, TailReader};
pub(crate) use written::Written;

use crate::{
    BoomError,
    block::Block,
    format::{BlockFlags, BlockMeta, FormatError, FrameHead, FrameKind, frame::HEAD_BYTES},
};

/// How often everything is read again while a block is in neither file.
const ROUNDS_MAX: usize = 32;

/// How a boom file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its writer ended it: nothing is added any more.
    Sealed,
    /// Its writer lives.
    Live,
    /// Its writer died without ending it.
    Abandoned,
}

/// Bytes of a boom file that cannot be believed, and what they held where that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where they start.
    pub offset: u64,
    /// How many there are; 0 where blocks are missing without a trace.
    pub bytes: u64,
    /// What is wrong.
    pub what: FormatError,
    /// The records lost by it. Empty where nothing is, or where nothing can be told.
    pub runs: Vec<LostRange>,
}

/// Records of a run that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The run.
    pub run: RunId,
    /// The first seq.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What both files were like when the catalog was made.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    end: u64,
    tail_version: u64,
    tail_blocks: usize,
    rescued: usize,
}

/// An open boom file. Any number of threads may read blocks of it at once.
pub struct Reader {
    pub(crate) source: Source,
    tail: TailReader,
    state: State,
    pub(crate) written: Written,
    /// Where among the blocks those of the tail start, and how many there are.
    tail_at: usize,
    tail_blocks: usize,
    /// The blocks that the boom file no longer has and the tail still does.
    rescue: Rescue,
    /// What of both files the catalog was made from.
    seen: Seen,
    /// Runs and totals of all of them.
    catalog: Catalog,
    damage: Vec<Damage>,
}

impl Reader {
    /// Opens the boom file at `path`, and its tail where there is one.
    ///
    /// # Errors
    /// [`BoomError::NotBoom`], [`BoomError::Version`], [`BoomError::Damaged`] for its header, [`BoomError::Io`]. Any other
    /// damage is reported by [`Reader::damage`].
    pub fn open(path: &Path) -> Result<Reader, BoomError> {
        let source = Source::open(path)?;
        let tail = TailReader::new(path, source.id);
        let mut reader = Reader {
            source,
            tail,
            state: State::Sealed,
            written: Written::default(),
            tail_at: 0,
            tail_blocks: 0,
            rescue: Rescue::default(),
            seen: Seen::default(),
            catalog: Catalog::default(),
            damage: Vec::new(),
        };
        reader.load()?;
        Ok(reader)
    }

    /// Looks again: sees the blocks and tail frames that were added, and whether the writer still lives. Tells whether
    /// anything changed.
    ///
    /// # Errors
    /// [`BoomError::Io`].
    pub fn refresh(&mut self) -> Result<bool, BoomError> {
        if self.state == State::Sealed {
            return Ok(false);
        }
        let before = (self.state, self.seen);
        self.read_rounds()?;
        Ok(before != (self.state, self.seen))
    }

    /// Whether the file was sealed, and if not, whether its writer lived when the file was last looked at.
    pub fn state(&self) -> State {
        self.state
    }

    /// The file's path, as it was given.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// What the file and its tail hold in all.
    pub fn totals(&self) -> Totals {
        self.catalog.totals
    }

    /// The runs of the file and its tail, in the order of their first entries.
    pub fn runs(&self) -> &[RunSummary] {
        &self.catalog.runs
    }

    /// The blocks of the file and its tail, by number: first the file's, then the tail's, unless the disk was full to
    /// the end; then the gaps of what was lost follow in the file.
    pub fn blocks(&self) -> &[BlockInfo] {
        &self.written.blocks
    }

    /// What could not be read when the file was opened or looked at again; bodies of blocks are not among it.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Every gap, in the order of the file. Where the writer was killed, each run without an end has one more, from its
    /// next seq on, whose end nobody knows.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = self.blocks().iter().flat_map(|block| block.gaps.iter().cloned()).collect();
        if self.state == State::Abandoned {
            let time = self.catalog.totals.times.map_or(Time::default(), |(_, max)| max);
            let open = self.catalog.runs.iter().filter(|run| run.end.is_none());
            let why = || "writer was killed".to_owned();
            gaps.extend(open.map(|run| Gap { run: run.id, from: run.next_seq, to: None, time, why: why() }));
        }
        gaps
    }

    /// The latest checkpoint.
    ///
    /// # Errors
    /// [`BoomError::Io`], and [`BoomError::Damaged`] if the block that has it cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>, BoomError> {
        let Some(block) = self.blocks().iter().rev().find(|block| block.flags.has(BlockFlags::CHECKPOINT)) else {
            return Ok(None);
        };
        if block.in_tail {
            return Ok(self.tail_block(block.number).and_then(|block| block.meta.checkpoint.clone()));
        }
        let end = block.offset + HEAD_BYTES as u64 + u64::from(block.body_bytes);
        let frame = self.source.frame(block.offset, end)?;
        let meta = frame.ok_or(FormatError::wrong("frame head")).and_then(|frame| frame.meta);
        let column_bytes = |meta: &Vec<u8>| (block.body_bytes as usize).saturating_sub(meta.len());
        let meta = meta.and_then(|meta| BlockMeta::decode(&meta, column_bytes(&meta)));
        meta.map(|meta| meta.checkpoint).map_err(|source| self.source.place(block.offset).damaged(source))
    }

    /// Reads the block of this index in [`Reader::blocks`].
    ///
    /// # Errors
    /// As [`Reader::read_into`].
    pub fn read(&self, block: usize) -> Result<Block, BoomError> {
        let mut read = Block::default();
        self.read_into(block, &mut read)?;
        Ok(read)
    }

    /// Reads the block of this index in [`Reader::blocks`] into the memory of another one, whose content is gone whatever
    /// happens.
    ///
    /// # Errors
    /// [`BoomError::Damaged`] if its checksum is wrong, [`BoomError::Io`].
    ///
    /// # Panics
    /// If there is no block of that index.
    pub fn read_into(&self, block: usize, into: &mut Block) -> Result<(), BoomError> {
        let info = &self.written.blocks[block];
        into.set_place(self.source.place(info.offset));
        let taken = match info.in_tail {
            true => self.take_from_tail(info, into),
            false => self.take_from_file(info, into)?,
        };
        taken.map_err(|source| self.source.place(info.offset).damaged(source))
    }

    fn take_from_file(&self, info: &BlockInfo, into: &mut Block) -> Result<Result<(), FormatError>, BoomError> {
        let buffer = into.buffer(HEAD_BYTES + info.body_bytes as usize);
        let read = self.source.read_some(buffer, info.offset)?;
        let parsed = parse_block(&buffer[..read], info, &self.source);
        Ok(parsed.and_then(|(meta, columns_at)| {
            let base = meta.time_min;
            into.take(meta, base, columns_at)
        }))
    }

    fn tail_block(&self, number: u64) -> Option<&TailBlock> {
        self.rescue.block(number).or_else(|| self.tail.block(number))
    }

    fn take_from_tail(&self, info: &BlockInfo, into: &mut Block) -> Result<(), FormatError> {
        const WRONG: FormatError = FormatError::wrong("tail block");
        let block = self.tail_block(info.number).ok_or(WRONG)?;
        let mut rest = into.buffer(block.columns().map(<[u8]>::len).sum());
        for column in block.columns() {
            let (start, more) = rest.split_at_mut_checked(column.len()).ok_or(WRONG)?;
            start.copy_from_slice(column);
            rest = more;
        }
        into.take(block.meta.clone(), Time::default(), 0)
    }

    /// The first look.
    fn load(&mut self) -> Result<(), BoomError> {
        self.written = Written::load(&self.source)?;
        match self.written.footer.as_ref().map(|footer| footer.has_tail) {
            Some(false) => self.take_stock(&[])?,
            _ => self.read_rounds()?,
        }
        Ok(())
    }

    /// Looks until there is nothing on its way from the tail to the boom file.
    fn read_rounds(&mut self) -> Result<(), BoomError> {
        for round in 1.. {
            self.state = self.lock_state()?;
            self.take_out_tail();
            self.tail.refresh(self.next_for_tail())?;
            self.written.go_on(&self.source)?;
            let next = self.next_for_tail();
            let numbers: Vec<u64> = self.tail.blocks(next).iter().map(|block| block.meta.number).collect();
            let in_order = numbers.iter().zip(next..).take_while(|(number, next)| *number == next).count();
            let settled = in_order == numbers.len() || self.state != State::Live || self.written.footer.is_some();
            if settled || round == ROUNDS_MAX {
                // What comes after a block that has not arrived would be seen before it.
                let shown = if settled { numbers.len() } else { in_order };
                self.take_stock(&numbers[..shown])?;
                break;
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Takes the blocks of the tail out of the list.
    fn take_out_tail(&mut self) {
        self.written.blocks.drain(self.tail_at..self.tail_at + self.tail_blocks);
        self.rescue.undo(&mut self.written.blocks);
        (self.tail_at, self.tail_blocks) = (self.written.blocks.len(), 0);
    }

    /// The number of the first block that is looked for in the tail, whose own are not in the list.
    fn next_for_tail(&self) -> u64 {
        match &self.written.footer {
            Some(footer) if footer.has_tail => self.written.first_missing(),
            _ => self.written.next_block(),
        }
    }

    /// Puts these blocks of the tail into the list, and makes the catalog anew if anything was added.
    fn take_stock(&mut self, in_tail: &[u64]) -> Result<(), BoomError> {
        if self.written.footer.is_some() {
            self.state = State::Sealed;
        }
        if self.state != State::Live {
            self.rescue = Rescue::find(&self.source, &mut self.written.blocks)?;
        }
        let blocks = &mut self.written.blocks;
        let first = in_tail.first().map_or(u64::MAX, |first| *first);
        self.tail_at = blocks.partition_point(|block| block.number < first);
        let tail_is_last = self.tail_at == blocks.len();
        let from_tail = in_tail.iter().filter_map(|number| self.tail.block(*number));
        let from_tail: Vec<BlockInfo> = from_tail.map(|block| BlockInfo::of_meta(&block.meta, 0, 0)).collect();
        self.tail_blocks = from_tail.len();
        blocks.splice(self.tail_at..self.tail_at, from_tail);
        let seen = Seen {
            end: self.written.end,
            tail_version: self.tail.version,
            tail_blocks: self.tail_blocks,
            rescued: self.rescue.blocks().len(),
        };
        if seen != std::mem::replace(&mut self.seen, seen) {
            self.count(tail_is_last && self.rescue.blocks().is_empty());
        }
        Ok(())
    }

    /// Makes the catalog of all blocks; where those of the tail come last and no other is from it, from that of the boom file.
    fn count(&mut self, tail_is_last: bool) {
        self.damage.clone_from(&self.written.damage);
        let mut start = self.tail_at;
        if tail_is_last {
            self.catalog.clone_from(&self.written.catalog);
        } else {
            // The boom file alone lacks what the tail has.
            self.damage.retain(|damage| damage.bytes > 0);
            self.damage.iter_mut().for_each(|damage| damage.runs.clear());
            (self.catalog, start) = (Catalog::default(), 0);
        }
        let mut next = start.checked_sub(1).map_or(0, |last| self.written.blocks[last].number.saturating_add(1));
        for block in &self.written.blocks[start..] {
            let holes = self.catalog.add(block, block.number != next);
            if !holes.is_empty() {
                self.damage.push(missing_before(self.written.end, holes));
            }
            self.damage.extend(self.rescue.count(block.number, &mut self.catalog));
            next = block.number.saturating_add(1);
        }
        if let (Some(footer), false) = (&self.written.footer, tail_is_last) {
            let holes: Vec<Hole> = footer.runs.iter().filter_map(|run| self.catalog.finish(run)).collect();
            if !holes.is_empty() {
                self.damage.push(missing_before(self.written.end, holes));
            }
        }
    }

    /// Whether all that stands in these bytes of the boom file are blocks that the tail has whole.
    pub(crate) fn has_rescued(&self, from: u64, to: u64) -> bool {
        self.rescue.covers(from, to)
    }

    /// The index in [`Reader::blocks`] of a block of the boom file.
    pub(crate) fn index_of_written(&self, block: usize) -> usize {
        if block < self.tail_at { block } else { block + self.tail_blocks }
    }

    /// Live or abandoned: whether the writer's lock is held. It is let go of at once.
    fn lock_state(&self) -> Result<State, BoomError> {
        match flock(self.source.file(), FlockOperation::NonBlockingLockShared) {
            Ok(()) => flock(self.source.file(), FlockOperation::Unlock).map(|()| State::Abandoned),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(State::Live),
            Err(error) => Err(error),
        }
        .map_err(|error| BoomError::Io {
            action: "test the lock of",
            path: self.source.path.to_path_buf(),
            source: io::Error::from(error),
        })
    }
}

/// Damage without bytes: blocks that should stand at `offset` are missing.
pub(crate) fn missing_before(offset: u64, holes: Vec<Hole>) -> Damage {
    let what = FormatError { what: "a block", problem: "is missing before this place" };
    let runs = holes.into_iter().map(|(run, from, to)| LostRange { run, from, to });
    Damage { offset, bytes: 0, what, runs: runs.collect() }
}

/// The meta section of a block's frame and where its columns start, if the frame is the one that `info` tells of.
fn parse_block(frame: &[u8], info: &BlockInfo, source: &Source) -> Result<(BlockMeta, usize), FormatError> {
    let head = FrameHead::decode(frame, &source.id, info.offset)?;
    let (meta, columns) = head.check_body(frame.get(HEAD_BYTES..).unwrap_or_default(), &source.id)?;
    let decoded = BlockMeta::decode(meta, columns.len())?;
    if head.kind != FrameKind::Block || decoded.number != info.number || decoded.records != info.records {
        return Err(FormatError { what: "block", problem: "is not the one that the index tells of" });
    }
    Ok((decoded, HEAD_BYTES + meta.len()))
}

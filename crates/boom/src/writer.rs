//! Writes one boom file and its tail.
//!
//! Records go into the columns of the block being filled; a flush adds what came since the last one to the tail; a full block
//! goes to the encoders and from there to the boom file. Up to four blocks are on their way at once, as many as the tail has
//! slots. While the disk refuses, records that find no room become a gap per run: pushing never blocks on it and never
//! fails. What the tail holds is always the beginning of what the boom file lacks, so that whatever is lost in the end is one stretch.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use logboom_record::{FIELDS_BYTES_MAX, Flags, Kind, Level, RECORD_BYTES_MAX, RunEnd, RunId, Stream, Time};

use crate::{
    BoomError,
    boom_file::BoomFile,
    columns::Columns,
    format::{BLOCK_TEXT_BYTES_MAX, BlockFlags, CHECKPOINT_BYTES_MAX, EndInBlock, GapInBlock, RUNS_MAX, WHY_BYTES_MAX},
    pipeline::Pipeline,
    reader::Totals,
    storage::Storage,
    tail::{Held, TailWriter},
};

mod blocks;
mod create;
mod room;
mod seal;
#[cfg(test)]
mod tests;

/// The reason of a gap where nothing is known to fail.
const BEHIND: &str = "the disk does not keep up";
/// The reason of a gap where records were.
const GONE: &str = "the disk lost what it had taken";

/// How a boom file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The zstd level of the blocks. The default, 1, is the fastest and within a few per cent of much slower ones.
    pub compression_level: i32,
    /// How many bytes of messages a block may have; at most, and by default, what the format allows. Less is for tests.
    pub block_text_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { compression_level: 1, block_text_bytes_max: BLOCK_TEXT_BYTES_MAX }
    }
}

/// A record to be written; see [`logboom_record::Record`] for the meaning of each part.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
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
    pub message: &'a [u8],
    /// A JSON object of further fields, as text without newlines; an empty text is none.
    pub fields: Option<&'a str>,
}

/// A run of one [`Writer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSlot(u32);

/// How a writer does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How many records were lost so far.
    pub lost: u64,
    /// Why the disk takes nothing at the moment, if so.
    pub failing: Option<String>,
    /// How many blocks are in the boom file.
    pub blocks: u64,
}

/// What a sealed file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// What its blocks hold; not what a tail that stays does.
    pub totals: Totals,
    /// How many bytes it has.
    pub bytes: u64,
    /// Why the end is missing, or may not be on the disk; `None`: all that was pushed is there but for what
    /// [`Totals::lost`] counts.
    pub failing: Option<String>,
}

struct RunState {
    id: RunId,
    kind: Kind,
    next_seq: u64,
    /// Everything below is in the boom file or the tail.
    safe_seq: u64,
    /// The block in which the run was seen last, counted from 1, and its number there.
    block: u64,
    number: u32,
    /// Per stream a bit: its last record is continued.
    open: u8,
    /// Those of them that were open when the block began and had no record in it yet.
    open_before: u8,
    /// Those that had a record of a line in parts in this block.
    open_here: u8,
    dropped: Option<Dropped>,
    /// How many of its records were lost so far.
    lost: u64,
    end: Option<RunEnd>,
}

/// Records that found no room.
struct Dropped {
    from: u64,
    time: Time,
    why: String,
}

/// A block that was handed on though the tail holds only its beginning.
struct Incomplete {
    number: u64,
    /// Whether that is anything.
    is_begun: bool,
    /// What will be safe once it is in the boom file.
    safe: Vec<(u32, u64)>,
}

/// Writes one boom file and its tail. Dropped without [`Writer::seal`], it leaves them as a killed process would.
pub struct Writer {
    path: PathBuf,
    options: Options,
    pipeline: Pipeline,
    block: Columns,
    /// The number of the block being filled.
    number: u64,
    held: Held,
    incomplete: Option<Incomplete>,
    runs: Vec<RunState>,
    run_by_id: HashMap<RunId, RunSlot>,
    lost: u64,
    /// Why the last write of the tail failed.
    tail_failing: Option<String>,
    /// When the disk is asked again, while records find no room: until it has some, and each run that dropped any its gap.
    dropping_until: Option<Instant>,
    /// A checkpoint that waits for the gap of what was dropped before it.
    waiting_checkpoint: Option<Vec<u8>>,
    /// What the disk lost of the boom file and no gap tells yet.
    gone: Vec<(RunSlot, Range<u64>)>,
    /// Blocks below were promised to be on the disk while only the tail held them.
    promised: u64,
}

impl Writer {
    /// A writer into this file, which has its header, and a tail that has nothing.
    fn new(path: PathBuf, file: BoomFile, tail: Arc<dyn Storage>, options: Options) -> Writer {
        let tail = TailWriter::new(tail, file.header());
        Writer {
            path,
            options,
            pipeline: Pipeline::new(options.compression_level, file, tail),
            block: Columns::default(),
            number: 0,
            held: Held::default(),
            incomplete: None,
            runs: Vec::new(),
            run_by_id: HashMap::new(),
            lost: 0,
            tail_failing: None,
            dropping_until: None,
            waiting_checkpoint: None,
            gone: Vec::new(),
            promised: 0,
        }
    }

    /// The boom file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a run whose next record has the seq `first_seq`, at least 1; a run that was started already is found.
    ///
    /// # Errors
    /// If the file has 65,536 runs already.
    pub fn run(&mut self, id: RunId, kind: Kind, first_seq: u64) -> Result<RunSlot, BoomError> {
        if self.runs.len() >= RUNS_MAX && !self.run_by_id.contains_key(&id) {
            return Err(BoomError::TooManyRuns { path: self.path.clone(), max: RUNS_MAX });
        }
        let (next, first_seq) = (RunSlot(self.runs.len() as u32), first_seq.max(1));
        let slot = *self.run_by_id.entry(id).or_insert(next);
        if slot == next {
            self.pipeline.file().add_run();
            self.runs.push(RunState {
                id,
                kind,
                next_seq: first_seq,
                safe_seq: first_seq,
                block: 0,
                number: 0,
                open: 0,
                open_before: 0,
                open_here: 0,
                dropped: None,
                lost: 0,
                end: None,
            });
        }
        Ok(slot)
    }

    /// The seq that the run's next record will have.
    pub fn next_seq(&self, run: RunSlot) -> u64 {
        self.runs[run.0 as usize].next_seq
    }

    /// Takes a record; gives its seq. Waits for the encoders when they are behind, but not for a disk that fails: then
    /// the record becomes part of a gap, and has its seq all the same.
    ///
    /// # Errors
    /// If the message or the fields are larger than a record may be, or the fields hold a newline; then nothing is taken.
    #[inline]
    pub fn push(&mut self, run: RunSlot, record: &NewRecord<'_>) -> Result<u64, BoomError> {
        let seq = self.try_push(run, record)?;
        Ok(seq.unwrap_or_else(|| self.drop_records(run, 1, record.time, None)))
    }

    /// The same for a caller that keeps the record: where there is no room for it nothing is taken, and it has no seq. It can
    /// be tried again after a [`Writer::sync`] that went well.
    ///
    /// # Errors
    /// Those of [`Writer::push`].
    #[inline]
    pub fn try_push(&mut self, run: RunSlot, record: &NewRecord<'_>) -> Result<Option<u64>, BoomError> {
        check_size(record)?;
        let has_room = self.dropping_until.is_none() && self.block.fits(record, self.options.block_text_bytes_max);
        if !has_room && !self.make_room() {
            return Ok(None);
        }
        if self.runs[run.0 as usize].block != self.number + 1 && !self.enter_block(run) {
            return Ok(None);
        }
        Ok(Some(self.take(run, record)))
    }

    /// The same where the block being filled has room for the record: nothing is handed to the system by it. For a caller
    /// whose checkpoint must have come to all records before the block is written: where nothing is taken it calls
    /// [`Writer::checkpoint`], then [`Writer::push`].
    ///
    /// # Errors
    /// Those of [`Writer::push`].
    #[inline]
    pub fn push_in_block(&mut self, run: RunSlot, record: &NewRecord<'_>) -> Result<Option<u64>, BoomError> {
        check_size(record)?;
        if self.dropping_until.is_some() || !self.block.fits(record, self.options.block_text_bytes_max) {
            return Ok(None);
        }
        if self.runs[run.0 as usize].block != self.number + 1 && (self.is_full_of_runs() || !self.enter_block(run)) {
            return Ok(None);
        }
        Ok(Some(self.take(run, record)))
    }

    /// Puts a record into the block, which has room for it and its run.
    #[inline]
    fn take(&mut self, run: RunSlot, record: &NewRecord<'_>) -> u64 {
        let state = &mut self.runs[run.0 as usize];
        let seq = state.next_seq;
        state.next_seq += 1;
        let continued = record.flags.has(Flags::CONTINUED);
        if continued || state.open != 0 {
            note_parts(state, &mut self.block, record.stream, continued);
        }
        self.block.push(state.number, record);
        seq
    }

    /// Notes that the next `count` records of the run never came here.
    pub fn gap(&mut self, run: RunSlot, count: u64, why: &str) {
        self.gap_at(run, count, Time::now(), why);
    }

    /// The same for a loss that was noted elsewhere, at `time`.
    pub fn gap_at(&mut self, run: RunSlot, count: u64, time: Time, why: &str) {
        if count == 0 {
            return;
        }
        if self.dropping_until.is_some() || !self.enter_with_gap(run) {
            self.drop_records(run, count, time, Some(why));
            return;
        }
        let state = &mut self.runs[run.0 as usize];
        let from = state.next_seq;
        state.next_seq += count;
        state.lost += count;
        self.lost += count;
        self.block.push_gap(gap_in_block(state.number, from..from + count, time, why));
    }

    /// Notes how the run ended.
    pub fn end_run(&mut self, run: RunSlot, end: &RunEnd) {
        self.runs[run.0 as usize].end = Some(end.clone());
        // Where the block has no room for another run, the footer alone will tell.
        if self.enter_with_gap(run) {
            let number = self.runs[run.0 as usize].number;
            self.block.ends.push(EndInBlock { run: number, end: end.clone() });
        }
    }

    /// Keeps these bytes with the records pushed so far; the latest of a file is found again. What they say is on the disk
    /// together with those records, or neither is.
    ///
    /// # Errors
    /// If there are more than 64 KiB of them.
    pub fn checkpoint(&mut self, bytes: &[u8]) -> Result<(), BoomError> {
        let (what, max) = ("checkpoint", CHECKPOINT_BYTES_MAX);
        if bytes.len() > max {
            return Err(BoomError::TooLarge { what, bytes: bytes.len(), max });
        }
        match self.dropping_until {
            // The block of the gap of what was pushed last is yet to come.
            Some(_) => self.waiting_checkpoint = Some(bytes.to_vec()),
            None => self.set_checkpoint(bytes.to_vec()),
        }
        Ok(())
    }

    fn set_checkpoint(&mut self, bytes: Vec<u8>) {
        self.block.checkpoint = Some(bytes);
        self.held.checkpoint = false;
    }

    /// Hands everything pushed so far to the operating system: others can read it, and it survives this process.
    ///
    /// # Errors
    /// If the disk refuses. Nothing is lost by that; the next flush tries again.
    pub fn flush(&mut self) -> Result<(), BoomError> {
        self.note_gone_blocks();
        if self.dropping_until.is_some() {
            self.dropping_until = Some(Instant::now());
            self.make_room();
        }
        let mut result = self.flush_tail();
        if result.is_ok() && self.held.is_wasteful() {
            self.rotate();
        }
        if result.is_ok() && self.dropping_until.is_some() {
            result = Err(io::Error::other(self.pipeline.failing().unwrap_or_else(|| BEHIND.to_owned())));
        }
        result.map_err(|error| self.error("write the tail of", error))
    }

    /// Flushes, and waits until everything pushed so far is on the disk.
    ///
    /// # Errors
    /// If the disk refuses. Nothing is lost by that, unless [`Writer::health`] says so; the next sync tries again.
    pub fn sync(&mut self) -> Result<(), BoomError> {
        self.ask_again();
        self.flush()?;
        self.pipeline.sync().map_err(|error| self.error("sync", error))?;
        self.promised = self.number + 1;
        self.note_gone_blocks();
        Ok(())
    }

    /// Asks a disk at once that refused a block. What it says, the flush that follows tells.
    fn ask_again(&mut self) {
        self.pipeline.retry();
        if let Some(block) = &self.incomplete {
            let _ = self.pipeline.wait_until_written(block.number + 1);
        }
    }

    /// Has everything flushed so far synced by a thread of its own; does not wait, and so promises nothing. Whether it failed
    /// is told by [`Writer::health`].
    pub fn request_sync(&mut self) {
        self.pipeline.request_sync();
    }

    /// How many records were lost so far: [`Health::lost`], at no cost.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many of them were of this run.
    pub fn lost_of(&self, run: RunSlot) -> u64 {
        self.runs[run.0 as usize].lost
    }

    /// Whether records are dropped at the moment, since the disk has no room for them.
    pub fn is_dropping(&self) -> bool {
        self.dropping_until.is_some()
    }

    /// How the writer does.
    pub fn health(&self) -> Health {
        let failing = self.tail_failing.clone().or_else(|| self.pipeline.failing());
        Health { lost: self.lost, failing, blocks: self.pipeline.written() }
    }

    fn error(&self, action: &'static str, source: io::Error) -> BoomError {
        BoomError::Io { action, path: self.path.clone(), source }
    }
}

/// What a record must be for [`Writer::push`] to take it.
#[inline]
fn check_size(record: &NewRecord<'_>) -> Result<(), BoomError> {
    if record.message.len() > RECORD_BYTES_MAX || record.fields.is_some() { check(record) } else { Ok(()) }
}

/// The larger part of it.
#[cold]
fn check(record: &NewRecord<'_>) -> Result<(), BoomError> {
    let fields = record.fields.unwrap_or_default();
    let sizes = [("message", record.message.len(), RECORD_BYTES_MAX), ("fields text", fields.len(), FIELDS_BYTES_MAX)];
    match sizes.into_iter().find(|(_, bytes, max)| bytes > max) {
        Some((what, bytes, max)) => Err(BoomError::TooLarge { what, bytes, max }),
        None if fields.contains('\n') => Err(BoomError::NewlineInFields),
        None => Ok(()),
    }
}

/// Keeps account of lines that come in parts.
#[cold]
fn note_parts(run: &mut RunState, block: &mut Columns, stream: Stream, continued: bool) {
    let bit = 1 << stream as u8;
    block.has_parts = true;
    if run.open_before & bit != 0 {
        block.flags = block.flags.with(BlockFlags::JOINS_EARLIER);
        run.open_before &= !bit;
    }
    if continued {
        run.open |= bit;
        run.open_here |= bit;
    } else {
        run.open &= !bit;
    }
}

/// A gap over the seqs of `range`, of the block's run `number`.
fn gap_in_block(number: u32, range: Range<u64>, time: Time, why: &str) -> GapInBlock {
    let why = why[..why.floor_char_boundary(WHY_BYTES_MAX)].to_owned();
    GapInBlock { at: 0, run: number, from: range.start, to: Some(range.end - 1), time, why }
}

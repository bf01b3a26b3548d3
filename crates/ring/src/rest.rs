//! The records that a dead writer's rings hold and its files do not: read, or handed to whoever writes them into the files.
//!
//! A record gets the seq that the writer would have given it. Those of the batch that was being written are known by
//! their seqs; what the files have of it is skipped. All others follow what the files hold of their session file. Where the
//! control page knows of more records than the files hold, those between are lost: a gap.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use logboom_record::{Flags, Level, RECORD_BYTES_MAX, Record, RunId, Stream, level};

use crate::{
    ClockAnchor, Generation, RingError,
    deferred::{FieldsWriter, SiteInfo},
    frame::{Frame, FrameKind},
    recover::{Damage, DeadRings},
};

/// How many bytes of messages are handed on at once, about.
const BATCH_BYTES: usize = 4 << 20;

/// What the name of a ring file ends with.
pub const ENDING: &str = ".log.ring";

/// The ring files of a session's directory. One that is being made has a hidden name, and is not among them; nor is a FIFO, which to
/// open would wait for its writer.
pub fn files_in(dir: &Path) -> Vec<PathBuf> {
    files(dir, |name| name.ends_with(ENDING) && !name.starts_with('.'))
}

/// Files that are being made, `.<text log>.ring.<pid>-<random>`, or that a kill left then.
pub fn unnamed_in(dir: &Path) -> Vec<PathBuf> {
    files(dir, |name| {
        let made =
            name.strip_prefix('.').and_then(|name| name.rsplit_once('.')).filter(|(name, _)| name.ends_with(ENDING));
        let parts = made.and_then(|(_, made)| made.split_once('-'));
        let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.is_some_and(|(pid, random)| pid.parse::<u32>().is_ok() && is_hex(random))
    })
}

fn files(dir: &Path, is_one: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|of| of.is_file()));
    let files = files.filter(|entry| entry.file_name().to_str().is_some_and(&is_one));
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The files that go on: what they hold, and how to add to them.
pub trait Files {
    /// What can go wrong.
    type Error: From<RingError>;

    /// The seq of the next record of a session file. `begun` is the first seq of the batch that was being written when the
    /// writer died: a record of it that may be there in part is not held.
    ///
    /// # Errors
    /// If its files cannot be read.
    fn next_seq(&mut self, of: &Generation, begun: Option<u64>) -> Result<u64, Self::Error>;

    /// Takes the next records of a session file, after those of `lost`, which are in no file and no ring (empty where none
    /// are). When this returns they must be where a crash cannot take them, unless the rings are only read.
    ///
    /// # Errors
    /// If they cannot be written; what is in the rings stays there.
    fn append(&mut self, to: &Generation, lost: Range<u64>, records: Vec<Record>) -> Result<(), Self::Error>;
}

/// Why records are lost that come before those of the rings.
pub const WHY_LOST: &str = "writer was killed";

/// Hands all that the files do not hold to them, in order. Rings that were opened to be drained are empty then.
///
/// # Errors
/// Those of the files, and what the operating system refuses.
pub fn hand_over<F: Files>(rings: &mut DeadRings, files: &mut F) -> Result<Damage, F::Error> {
    settle_begun(rings, files)?;
    let mut words = Words::of(rings);
    let mut latest = rings.counted().generation;
    if !rings.generations().contains_key(&latest) {
        latest = 0;
    }
    while !rings.is_empty() {
        let begun = rings.batch();
        let Some(number) = begun.map(|batch| batch.generation).or_else(|| rings.generation()) else { break };
        // The table forgets the generations that are over; a frame of such a one came late, and belongs to that after it.
        let to = rings.generations().range(number.max(latest)..).next().map(|(_, to)| to.clone());
        let Some(to) = to else {
            skip(rings, number, begun.is_some())?;
            continue;
        };
        latest = to.number;
        let held = files.next_seq(&to, begun.map(|batch| batch.first_seq))?;
        let first = first_seq(rings, &to, held);
        let mut records = words.take(rings, number, first, to.run)?;
        let next = first.saturating_add(records.len() as u64);
        records.retain(|record| record.seq >= held);
        if begun.is_none() {
            rings.begin_batch(to.number, first)?;
        }
        if first > held || !records.is_empty() {
            files.append(&to, held..first.max(held), records)?;
        }
        rings.end_batch(next.max(held))?;
    }
    hand_over_counted(rings, files)?;
    hand_over_dropped(rings, files)?;
    Ok(rings.damage())
}

/// What the control page knows of and the files do not have, although nothing of it is in the rings: the disk did not take it.
fn hand_over_counted<F: Files>(rings: &DeadRings, files: &mut F) -> Result<(), F::Error> {
    let counted = rings.counted();
    let Some(to) = rings.generations().get(&counted.generation) else { return Ok(()) };
    let held = files.next_seq(to, None)?;
    if counted.first_seq > held { files.append(to, held..counted.first_seq, Vec::new()) } else { Ok(()) }
}

/// Puts the gap of records that found no room, of which the writer had no time to tell, at the end of the last session file.
fn hand_over_dropped<F: Files>(rings: &mut DeadRings, files: &mut F) -> Result<(), F::Error> {
    let last = rings.generations().values().next_back().cloned();
    let (Some(to), 1..) = (last, rings.dropped()) else { return Ok(()) };
    let held = files.next_seq(&to, None)?;
    // So that a recovery that is killed shows by the files whether the gap is there.
    rings.begin_batch(to.number, held)?;
    rings.end_batch(held)?;
    rings.begin_dropped()?;
    files.append(&to, held..held.saturating_add(rings.dropped()), Vec::new())?;
    Ok(rings.end_dropped(rings.dropped())?)
}

/// Takes those dropped records for told whose gap somebody was writing when he was killed, as far as the files have it: nothing
/// else was written then.
fn settle_begun<F: Files>(rings: &mut DeadRings, files: &mut F) -> Result<(), F::Error> {
    if !rings.is_dropped_begun() {
        return Ok(());
    }
    let counted = rings.counted();
    let held = match rings.generations().get(&counted.generation) {
        Some(of) => files.next_seq(of, None)?,
        None => counted.first_seq,
    };
    Ok(rings.end_dropped(held.saturating_sub(counted.first_seq))?)
}

/// Passes over records of a session file that the table does not have.
fn skip(rings: &mut DeadRings, number: u32, in_batch: bool) -> Result<(), RingError> {
    loop {
        let frame = if in_batch { rings.next()? } else { rings.next_of(number)? };
        let Some(bytes) = frame.map(|frame| frame.bytes) else { break };
        rings.note_damage(bytes as u64);
    }
    if in_batch { rings.end_batch(1) } else { Ok(()) }
}

/// The seq of the next frame: as the batch says that was begun, else what follows both the files and what the writer had counted.
fn first_seq(rings: &DeadRings, to: &Generation, held: u64) -> u64 {
    let counted = rings.counted();
    match rings.batch() {
        Some(batch) => batch.first_seq,
        None if counted.generation == to.number => counted.first_seq.max(held),
        None => held,
    }
}

/// Makes records of frames.
struct Words {
    sites: BTreeMap<u32, SiteInfo>,
    clock: ClockAnchor,
    fields: FieldsWriter,
}

impl Words {
    fn of(rings: &DeadRings) -> Words {
        let site = |(number, bytes): (&u32, &Vec<u8>)| Some((*number, SiteInfo::parse(bytes)?.0));
        let sites = rings.sites().iter().filter_map(site).collect();
        Words { sites, clock: rings.clock(), fields: FieldsWriter::default() }
    }

    /// The next records: all of a batch that was begun, else so many as are handed on at once.
    fn take(&mut self, rings: &mut DeadRings, number: u32, first: u64, run: RunId) -> Result<Vec<Record>, RingError> {
        let (in_batch, mut records, mut bytes) = (rings.batch().is_some(), Vec::new(), 0);
        while in_batch || bytes < BATCH_BYTES {
            let frame = if in_batch { rings.next()? } else { rings.next_of(number)? };
            let Some(frame) = frame else { break };
            let seq = first.saturating_add(records.len() as u64);
            let record = self.record(&frame, run, seq);
            bytes += record.message.len();
            push_parts(&mut records, record);
        }
        Ok(records)
    }

    fn record(&mut self, frame: &Frame<'_>, run: RunId, seq: u64) -> Record {
        let (head, payload) = (&frame.head, frame.payload);
        let (message, fields) = payload.split_at(payload.len().min(head.number as usize));
        let (message, level, flags, fields) = match head.kind {
            FrameKind::Text => (message.to_vec(), head.level, Flags::NONE, text_of(fields)),
            FrameKind::Deferred => self.rendered(head.number, payload, head.level),
            FrameKind::Unleveled => {
                let level = level::guess(payload).unwrap_or_default();
                (payload.to_vec(), level, Flags::LEVEL_GUESSED, None)
            }
        };
        let time = self.clock.time(head.ticks);
        Record { run, seq, time, origin_time_ns: None, stream: Stream::System, level, flags, message, fields }
    }

    fn rendered(&mut self, site: u32, payload: &[u8], level: Level) -> (Vec<u8>, Level, Flags, Option<String>) {
        let mut message = Vec::new();
        self.fields.clear();
        match self.sites.get(&site).map(|site| site.render(payload, &mut message, &mut self.fields)) {
            Some(Ok(())) => {}
            Some(Err(error)) => message.extend_from_slice(error.to_string().as_bytes()),
            None => message.extend_from_slice(b"[the call site of this record is not in the ring file]"),
        }
        let fields = self.fields.finish();
        message.extend_from_slice(fields.suffix.as_bytes());
        (message, level, Flags::NONE, fields.json.map(str::to_owned))
    }
}

/// A message that is larger than a record may be comes in parts, as the writer would have written it.
fn push_parts(records: &mut Vec<Record>, mut record: Record) {
    while record.message.len() > RECORD_BYTES_MAX {
        let rest = record.message.split_off(RECORD_BYTES_MAX);
        let next = Record { seq: record.seq.saturating_add(1), message: rest, fields: None, ..record.clone() };
        record.flags = record.flags.with(Flags::CONTINUED);
        records.push(std::mem::replace(&mut record, next));
    }
    records.push(record);
}

fn text_of(fields: &[u8]) -> Option<String> {
    if fields.is_empty() { None } else { String::from_utf8(fields.to_vec()).ok() }
}

/// What is in the rings of a dead writer beyond its files, which hold what comes before `next_seq` of each session file; that is
/// told what [`Files::next_seq`] is. Changes nothing; while it reads nobody can drain the rings.
///
/// # Errors
/// Those of [`DeadRings::open_dead`].
pub fn read(
    path: &Path,
    next_seq: impl Fn(&Generation, Option<u64>) -> u64,
) -> Result<(Vec<OfFile>, Damage), RingError> {
    let mut rest = Rest { next_seq, found: Vec::new() };
    let damage = hand_over(&mut DeadRings::open_dead(path)?, &mut rest)?;
    Ok((rest.found, damage))
}

/// What rings have of a session file.
#[derive(Debug)]
pub struct OfFile {
    /// The file.
    pub of: Generation,
    /// Seqs that are in no file and no ring, in order: before the records, or behind them.
    pub lost: Vec<Range<u64>>,
    /// The records, in order.
    pub records: Vec<Record>,
}

impl OfFile {
    /// The seq of what comes after both.
    pub fn next_seq(&self) -> Option<u64> {
        let held = self.records.last().map(|record| record.seq.saturating_add(1));
        held.max(self.lost.last().map(|lost| lost.end))
    }
}

/// Files that are not written.
struct Rest<N> {
    next_seq: N,
    found: Vec<OfFile>,
}

impl<N: Fn(&Generation, Option<u64>) -> u64> Files for Rest<N> {
    type Error = RingError;

    fn next_seq(&mut self, of: &Generation, begun: Option<u64>) -> Result<u64, RingError> {
        let found = self.found.iter().find(|known| known.of.run == of.run);
        Ok(found.and_then(OfFile::next_seq).unwrap_or_else(|| (self.next_seq)(of, begun)))
    }

    fn append(&mut self, to: &Generation, lost: Range<u64>, records: Vec<Record>) -> Result<(), RingError> {
        let lost = Some(lost).filter(|lost| !lost.is_empty());
        match self.found.iter_mut().find(|known| known.of.run == to.run) {
            Some(known) => {
                known.lost.extend(lost);
                known.records.extend(records);
            }
            None => self.found.push(OfFile { of: to.clone(), lost: lost.into_iter().collect(), records }),
        }
        Ok(())
    }
}

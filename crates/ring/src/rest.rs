//! The records that a dead writer's rings hold and its files do not: read, or handed to whoever writes them into the files.
//!
//! A record gets the seq that the writer would have given it. Those of the batch that was being written are known by
//! their seqs; what the files have of it is skipped. All others follow what the files hold of their session file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use logboom_record::{Flags, Level, Record, RunId, Stream, level};

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

/// The ring files of a session's directory. One that is being made has a hidden name, and is not among them.
pub fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ring = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.ends_with(ENDING.as_bytes()) && !name.starts_with(b".")
    };
    let mut files: Vec<PathBuf> = entries.filter(is_ring).collect();
    files.sort();
    files
}

/// The files that go on: what they hold, and how to add to them.
pub trait Files {
    /// What can go wrong.
    type Error: From<RingError>;

    /// The seq of the next record of a session file.
    ///
    /// # Errors
    /// If its files cannot be read.
    fn next_seq(&mut self, of: &Generation) -> Result<u64, Self::Error>;

    /// Takes the next records of a session file. When this returns they must be where a crash cannot take them, unless the
    /// rings are only read.
    ///
    /// # Errors
    /// If they cannot be written; what is in the rings stays there.
    fn append(&mut self, to: &Generation, records: Vec<Record>) -> Result<(), Self::Error>;
}

/// Hands all that the files do not hold to them, in order. Rings that were opened to be drained are empty then.
///
/// # Errors
/// Those of the files, and what the operating system refuses.
pub fn hand_over<F: Files>(rings: &mut DeadRings, files: &mut F) -> Result<Damage, F::Error> {
    let mut words = Words::of(rings);
    let mut latest = 0;
    while !rings.is_empty() {
        let begun = rings.batch();
        let Some(number) = begun.map(|batch| batch.generation).or_else(|| rings.generation()) else { break };
        latest = number.max(latest);
        let Some(to) = rings.generations().get(&latest).cloned() else {
            words.skip(rings, number, begun.is_some())?;
            continue;
        };
        let held = files.next_seq(&to)?;
        let first = begun.map_or(held, |batch| batch.first_seq);
        let mut records = words.take(rings, number, first, to.run)?;
        let next = first + records.len() as u64;
        records.retain(|record| record.seq >= held);
        if begun.is_none() {
            rings.begin_batch(to.number, first)?;
        }
        files.append(&to, records)?;
        rings.end_batch(next.max(held))?;
    }
    let mut damage = rings.damage();
    damage.bytes += words.damaged;
    Ok(damage)
}

/// Makes records of frames.
struct Words {
    sites: BTreeMap<u32, SiteInfo>,
    clock: ClockAnchor,
    fields: FieldsWriter,
    damaged: u64,
}

impl Words {
    fn of(rings: &DeadRings) -> Words {
        let site = |(number, bytes): (&u32, &Vec<u8>)| Some((*number, SiteInfo::parse(bytes)?.0));
        let sites = rings.sites().iter().filter_map(site).collect();
        Words { sites, clock: rings.clock(), fields: FieldsWriter::default(), damaged: 0 }
    }

    /// The next records: all of a batch that was begun, else so many as are handed on at once.
    fn take(&mut self, rings: &mut DeadRings, number: u32, first: u64, run: RunId) -> Result<Vec<Record>, RingError> {
        let (in_batch, mut records, mut bytes) = (rings.batch().is_some(), Vec::new(), 0);
        while in_batch || bytes < BATCH_BYTES {
            let frame = if in_batch { rings.next()? } else { rings.next_of(number)? };
            let Some(frame) = frame else { break };
            let seq = first + records.len() as u64;
            let record = self.record(&frame, run, seq);
            bytes += record.message.len();
            records.push(record);
        }
        Ok(records)
    }

    /// Passes over records of a session file that the table does not have.
    fn skip(&mut self, rings: &mut DeadRings, number: u32, in_batch: bool) -> Result<(), RingError> {
        loop {
            let frame = if in_batch { rings.next()? } else { rings.next_of(number)? };
            let Some(frame) = frame else { break };
            self.damaged += frame.bytes as u64;
        }
        if in_batch { rings.end_batch(1) } else { Ok(()) }
    }

    fn record(&mut self, frame: &Frame<'_>, run: RunId, seq: u64) -> Record {
        let (head, payload) = (&frame.head, frame.payload);
        let (message, fields) = payload.split_at(payload.len().min(head.number as usize));
        let (message, level, flags, fields) = match head.kind {
            FrameKind::Text => (message.to_vec(), head.level, Flags::NONE, text_of(fields)),
            FrameKind::Deferred => self.rendered(head.number, payload, head.level),
            FrameKind::Unleveled | FrameKind::Dropped => {
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

fn text_of(fields: &[u8]) -> Option<String> {
    if fields.is_empty() { None } else { String::from_utf8(fields.to_vec()).ok() }
}

/// What is in the rings of a dead writer beyond its files, which hold what comes before `next_seq` of each run. Changes nothing.
///
/// # Errors
/// Those of [`DeadRings::open_dead`].
pub fn read(path: &Path, next_seq: impl Fn(RunId) -> u64) -> Result<(Vec<OfFile>, Damage), RingError> {
    let mut rest = Rest { next_seq, found: Vec::new() };
    let damage = hand_over(&mut DeadRings::open_dead(path)?, &mut rest)?;
    Ok((rest.found, damage))
}

/// A session file, and records of it.
pub type OfFile = (Generation, Vec<Record>);

/// Files that are not written.
struct Rest<N> {
    next_seq: N,
    found: Vec<OfFile>,
}

impl<N: Fn(RunId) -> u64> Files for Rest<N> {
    type Error = RingError;

    fn next_seq(&mut self, of: &Generation) -> Result<u64, RingError> {
        let found = self.found.iter().find(|(known, _)| known.run == of.run);
        let last = found.and_then(|(_, records)| records.last());
        Ok(last.map_or_else(|| (self.next_seq)(of.run), |record| record.seq + 1))
    }

    fn append(&mut self, to: &Generation, records: Vec<Record>) -> Result<(), RingError> {
        match self.found.iter_mut().find(|(known, _)| known.run == to.run) {
            Some((_, known)) => known.extend(records),
            None => self.found.push((to.clone(), records)),
        }
        Ok(())
    }
}

//! Puts what killed programs left in their rings into the files it belongs to.
//!
//! Where a session file has only its text log, its records are appended there. Else they go into a further boom file of the
//! session, for that of the killed writer is never written again, and the text log is completed from both.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use logboom_boom::{self as boom, BoomError, reader::Reader};
use logboom_files::{
    DataDir, FilesError, Session,
    list::Sessions,
    repair::{Repair, repair_runs},
    session::{Durable, Meta, RunMeta, is_held, started},
    textlog::{Extent, TextEntry, TextMark, TextReader},
};
use logboom_record::{Gap, Kind, Record, Run, RunId, Time, text};
use logboom_ring::{
    Generation, RingError,
    recover::{Damage, DeadRings, is_live},
    rest::{self, Files},
};

use crate::error::CollectorError;

/// How many of the newest sessions a new collector looks at for what a killed one left.
const SESSIONS_LOOKED_AT: usize = 100;

/// For so long a file that is no ring file may still become one.
const NEW_FILE_MAX: Duration = Duration::from_secs(60);

/// How often a ring file is tried to be opened that somebody reads, and how long is waited in between.
const READER_TRIES: u32 = 20;
const READER_NAP: Duration = Duration::from_millis(5);

/// What was found in the rings of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many records were put into files.
    pub records: u64,
    /// How many bytes of the rings were no records.
    pub damaged_bytes: u64,
    /// How many rings could not be read at all. Their files are kept.
    pub damaged_rings: u32,
    /// What became of the text logs of the runs that the rings were of.
    pub text_logs: Vec<(RunId, Repair)>,
}

/// Empties the rings of killed programs in this session into its files, and removes them, but for files with
/// rings that cannot be read. Rings whose program lives are left alone.
///
/// # Errors
/// Those of the system, naming the file; what could not be written stays in the rings, and the call can be made again. Of several the
/// first; the other ring files are recovered all the same.
pub fn recover(session: &Session) -> Result<Recovered, CollectorError> {
    let (mut all, mut failed) = (Recovered::default(), None);
    for path in rest::files_in(session.dir()) {
        match recover_file(session, &path) {
            Ok(one) => {
                all.records += one.records;
                all.damaged_bytes += one.damaged_bytes;
                all.damaged_rings += one.damaged_rings;
                all.text_logs.extend(one.text_logs);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    remove_unnamed(session.dir());
    failed.map_or(Ok(all), Err)
}

/// Nothing is recovered of a live one, nor of one that somebody else has drained meanwhile.
fn recover_file(session: &Session, path: &Path) -> Result<Recovered, CollectorError> {
    match open(path) {
        Ok(rings) => return drain(session, path, rings),
        Err(RingError::Live { .. }) => {}
        Err(RingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        // Its program was killed before it had logged anything, unless somebody is just writing it.
        Err(RingError::NotRing { path }) if is_old(&path) => remove(&path)?,
        Err(RingError::NotRing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Recovered::default())
}

/// Opens it to be drained. Who reads a dead one holds a shared lock for a moment, and is waited for.
fn open(path: &Path) -> Result<DeadRings, RingError> {
    for _ in 0..READER_TRIES {
        match DeadRings::open_to_drain(path) {
            Err(RingError::Live { .. }) if !is_live(path) => thread::sleep(READER_NAP),
            other => return other,
        }
    }
    DeadRings::open_to_drain(path)
}

/// Removes what programs left that were killed while they made their ring file: it never had its name, and holds nothing. That it stays
/// harms nobody.
fn remove_unnamed(dir: &Path) {
    let old = rest::unnamed_in(dir).into_iter().filter(|path| is_old(path) && !is_live(path));
    old.for_each(|path| drop(fs::remove_file(path)));
}

/// The same for the newest sessions of a data dir, as far as it can be done; the rest is left to `logboom verify --repair`.
pub(crate) fn recover_newest(data: &DataDir) {
    let Ok(sessions) = Sessions::of(data) else { return };
    for id in sessions.ids().iter().take(SESSIONS_LOOKED_AT) {
        let session = sessions.session(id);
        if rest::files_in(session.dir()).iter().any(|path| !is_live(path)) {
            // What cannot be done now stays in the rings, where readers find it.
            let _ = recover(&session);
        } else {
            remove_unnamed(session.dir());
        }
    }
}

fn drain(session: &Session, path: &Path, mut rings: DeadRings) -> Result<Recovered, CollectorError> {
    let mut target = Target { session, boom: None, slots: BTreeMap::new(), records: 0 };
    target.enter(rings.generations().values())?;
    let damage = rest::hand_over(&mut rings, &mut target)?;
    let records = target.records;
    if let Some(boom) = target.boom.take() {
        boom.seal().map_err(FilesError::from)?;
    }
    let runs: Vec<RunId> = rings.generations().values().map(|generation| generation.run).collect();
    if damage == Damage::default() && rings.has_all() {
        // The first that is ended may end the session, whose last run should be known then.
        runs.iter().rev().try_for_each(|run| session.end_recovered_run(*run))?;
    }
    let repaired = repair_runs(session, Time::now(), |run| runs.contains(&run)).into_iter();
    let text_logs = repaired.map(|(run, repaired)| Ok((run, repaired?))).collect::<Result<_, FilesError>>()?;
    if damage.rings == 0 {
        remove(path)?;
    }
    Ok(Recovered { records, damaged_bytes: damage.bytes, damaged_rings: damage.rings, text_logs })
}

/// That it is gone already is as good.
fn remove(path: &Path) -> Result<(), CollectorError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other.map_err(FilesError::at("remove", path))?),
    }
}

fn is_old(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|file| file.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > NEW_FILE_MAX))
}

/// The files of the session that the records go to.
struct Target<'a> {
    session: &'a Session,
    boom: Option<boom::Writer>,
    slots: BTreeMap<RunId, boom::RunSlot>,
    records: u64,
}

impl Files for Target<'_> {
    type Error = CollectorError;

    fn next_seq(&mut self, of: &Generation, begun: Option<u64>) -> Result<u64, CollectorError> {
        match (&of.boom, self.slots.get(&of.run), &self.boom) {
            (_, Some(slot), Some(boom)) => Ok(boom.next_seq(*slot)),
            (Some(boom), ..) => next_seq_in_booms(self.session.dir(), boom, of.run),
            _ => Ok(TextEnd::of(&self.text(of), of.run)?.next_seq(begun)),
        }
    }

    fn append(&mut self, to: &Generation, lost: Range<u64>, records: Vec<Record>) -> Result<(), CollectorError> {
        self.records += records.len() as u64;
        let time = records.first().map_or_else(Time::now, |record| record.time);
        let (run, why) = (to.run, rest::WHY_LOST.to_owned());
        let gap = Gap { run, from: lost.start, to: Some(lost.end.saturating_sub(1)), time, why };
        let gap = Some(gap).filter(|_| !lost.is_empty());
        match to.boom {
            Some(_) => self.append_to_boom(to, gap, &records),
            None => append_to_text(&self.text(to), run, gap, &records),
        }
    }
}

impl Target<'_> {
    fn text(&self, of: &Generation) -> PathBuf {
        self.session.dir().join(&of.text)
    }

    /// Adds the runs to the metadata that the killed program did not, also where the session has ended since: it had no time, or a
    /// full disk had no room.
    fn enter<'g>(&self, generations: impl Iterator<Item = &'g Generation> + Clone) -> Result<(), CollectorError> {
        let is_new = |meta: &Meta, new: &Generation| meta.runs.iter().all(|run| run.run.id != new.run);
        let meta = self.session.meta()?;
        if !generations.clone().any(|new| is_new(&meta, new)) {
            return Ok(());
        }
        let added = self.session.update(Durable::Soon, |meta| {
            for new in generations {
                if is_new(meta, new) {
                    meta.runs.push(entry(new, meta));
                }
            }
            Ok(())
        });
        Ok(added?)
    }

    fn append_to_boom(&mut self, to: &Generation, gap: Option<Gap>, records: &[Record]) -> Result<(), CollectorError> {
        let first_seq = gap.as_ref().map(|gap| gap.from).or_else(|| Some(records.first()?.seq));
        let Some(first_seq) = first_seq else { return Ok(()) };
        let boom = match &mut self.boom {
            Some(boom) => boom,
            none => {
                let options = boom::Options::default();
                none.insert(boom::Writer::create_in(self.session.dir(), "records", options).map_err(FilesError::from)?)
            }
        };
        let slot = boom.run(to.run, Kind::Collector, first_seq).map_err(FilesError::from)?;
        self.slots.insert(to.run, slot);
        if let Some(Gap { from, to: Some(last), time, why, .. }) = gap {
            boom.gap_at(slot, last - from + 1, time, &why);
        }
        for record in records {
            let Record { time, origin_time_ns, stream, level, flags, message, fields, .. } = record;
            let fields = fields.as_deref();
            let new = boom::NewRecord {
                time: *time,
                origin_time_ns: *origin_time_ns,
                stream: *stream,
                level: *level,
                flags: *flags,
                message,
                fields,
            };
            push(boom, slot, &new).map_err(FilesError::from)?;
        }
        Ok(boom.sync().map_err(FilesError::from)?)
    }
}

/// A record that the disk refuses is an error: it stays in its ring, also if there is room again a moment later.
fn push(boom: &mut boom::Writer, slot: boom::RunSlot, record: &boom::NewRecord<'_>) -> Result<(), BoomError> {
    // Fields that are too large are in the message all the same.
    let pushed = boom.try_push(slot, record);
    let pushed = pushed.or_else(|_| boom.try_push(slot, &boom::NewRecord { fields: None, ..*record }))?;
    pushed.map(drop).ok_or_else(|| {
        let why = boom.health().failing.unwrap_or_else(|| "the disk has just refused a block".to_owned());
        BoomError::Io { action: "write", path: boom.path().to_owned(), source: io::Error::other(why) }
    })
}

/// What the metadata should have said of a session file. Its parent is that of the collector's other files.
fn entry(new: &Generation, meta: &Meta) -> RunMeta {
    let run = started(new.run, Kind::Collector, new.name.clone(), new.started_at);
    let sibling = meta.runs.iter().find(|run| run.run.kind == Kind::Collector);
    let parent = sibling.and_then(|sibling| sibling.run.parent).unwrap_or(meta.run.id);
    let run = Run { parent: Some(parent), ..run };
    RunMeta { text: Some(new.text.clone()), boom: new.boom.clone(), ..RunMeta::new(run) }
}

/// What the next record of a run has, by all boom files of the session. Of those only its own must be readable.
fn next_seq_in_booms(dir: &Path, own: &str, run: RunId) -> Result<u64, CollectorError> {
    let names = fs::read_dir(dir).map_err(FilesError::at("list", dir))?;
    let booms =
        names.flatten().map(|name| name.path()).filter(|path| path.extension().is_some_and(|end| end == "boom"));
    let mut next_seq = 1;
    for path in booms {
        let reader = match Reader::open(&path) {
            Err(_) if path.file_name().is_none_or(|name| name != own) => continue,
            other => other.map_err(FilesError::from)?,
        };
        let held = reader.runs().iter().find(|known| known.id == run).map_or(1, |known| known.next_seq);
        next_seq = next_seq.max(held);
    }
    Ok(next_seq)
}

/// Where the whole lines of a text log end.
struct TextEnd {
    end: TextMark,
    /// The last record, if nothing follows it.
    last: Option<TextMark>,
}

impl TextEnd {
    fn of(path: &Path, run: RunId) -> Result<TextEnd, FilesError> {
        let mut reader = TextReader::open(path, run, Extent::Growing)?;
        let (mut before, mut last) = (reader.mark(), None);
        while let Some(entry) = reader.next()? {
            last = matches!(entry, TextEntry::Record(_)).then_some(before);
            before = reader.mark();
        }
        Ok(TextEnd { end: before, last })
    }

    /// A message of several lines may have been cut between two of them: in a batch that was begun the last record is not held.
    fn next_seq(&self, begun: Option<u64>) -> u64 {
        let cut = self.last.filter(|last| begun.is_some_and(|first| last.seq >= first));
        cut.map_or(self.end.seq, |last| last.seq)
    }

    /// Where the record of this seq goes: over the last one if it is that.
    fn offset_of(&self, seq: u64) -> u64 {
        self.last.filter(|last| last.seq == seq).map_or(self.end.offset, |last| last.offset)
    }
}

fn append_to_text(path: &Path, run: RunId, gap: Option<Gap>, records: &[Record]) -> Result<(), CollectorError> {
    // It is that of a dead program, unless somebody has deleted that one and made another.
    if is_held(path) {
        return Err(FilesError::Busy { path: path.to_owned(), seconds: 0 }.into());
    }
    let at = records.first().map_or(u64::MAX, |record| record.seq);
    let at = TextEnd::of(path, run)?.offset_of(at);
    let mut lines = Vec::new();
    gap.iter().for_each(|gap| text::push_gap(&mut lines, gap));
    records.iter().for_each(|record| text::push_record(&mut lines, &record.as_ref()));
    let file = File::options().write(true).open(path).map_err(FilesError::at("open", path))?;
    let written = file.set_len(at).and_then(|()| file.write_all_at(&lines, at)).and_then(|()| file.sync_data());
    Ok(written.map_err(FilesError::at("write", path))?)
}

//! Puts what killed programs left in their rings into the files it belongs to.
//!
//! Where a session file has only its text log, its records are appended there. Else they go into a further boom file of the
//! session, for that of the killed writer is never written again, and the text log is completed from both.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use logboom_boom::{self as boom, reader::Reader};
use logboom_files::{
    DataDir, FilesError, Session,
    list::Sessions,
    repair::repair,
    session::{RunMeta, started},
    textlog::{Extent, TextReader},
};
use logboom_record::{Kind, Record, Run, RunId, Time, text};
use logboom_ring::{
    Generation, RingError,
    recover::{DeadRings, is_live},
    rest::{self, Files},
};

use crate::error::CollectorError;

/// How many of the newest sessions a new collector looks at for what a killed one left.
const SESSIONS_LOOKED_AT: usize = 100;

/// For so long a file that is no ring file may still become one.
const NEW_FILE_MAX: Duration = Duration::from_secs(60);

/// What was found in the rings of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many records were put into files.
    pub records: u64,
    /// How many bytes of the rings were no records.
    pub damaged_bytes: u64,
}

/// Empties the rings of killed programs in this session into its files, and removes them. Rings whose program lives are left alone.
///
/// # Errors
/// Those of the system, naming the file; what could not be written stays in the rings, and the call can be made again.
pub fn recover(session: &Session) -> Result<Recovered, CollectorError> {
    let mut all = Recovered::default();
    for path in rest::files_in(session.dir()) {
        match DeadRings::open_to_drain(&path) {
            Ok(rings) => {
                let one = drain(session, &path, rings)?;
                all.records += one.records;
                all.damaged_bytes += one.damaged_bytes;
            }
            Err(RingError::Live { .. }) => {}
            // Somebody else has drained it meanwhile.
            Err(RingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            // Its program was killed before it had logged anything, unless somebody is just writing it.
            Err(RingError::NotRing { path }) if is_old(&path) => remove(&path)?,
            Err(RingError::NotRing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// The same for the newest sessions of a data dir, as far as it can be done; the rest is left to `logboom verify --repair`.
pub(crate) fn recover_newest(data: &DataDir) {
    let Ok(sessions) = Sessions::of(data) else { return };
    for id in sessions.ids().iter().take(SESSIONS_LOOKED_AT) {
        let session = sessions.session(id);
        if rest::files_in(session.dir()).iter().any(|path| !is_live(path)) {
            // What cannot be done now stays in the rings, where readers find it.
            let _ = recover(&session);
        }
    }
}

fn drain(session: &Session, path: &Path, mut rings: DeadRings) -> Result<Recovered, CollectorError> {
    let mut target = Target { session, boom: None, slots: BTreeMap::new(), records: 0 };
    let damage = rest::hand_over(&mut rings, &mut target)?;
    let records = target.records;
    if let Some(boom) = target.boom.take() {
        boom.seal().map_err(FilesError::from)?;
    }
    if records > 0 || !rings.generations().is_empty() {
        for (_, repaired) in repair(session, Time::now()) {
            repaired?;
        }
    }
    remove(path)?;
    Ok(Recovered { records, damaged_bytes: damage.bytes })
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

    fn next_seq(&mut self, of: &Generation) -> Result<u64, CollectorError> {
        self.enter(of)?;
        match (&of.boom, self.slots.get(&of.run), &self.boom) {
            (_, Some(slot), Some(boom)) => Ok(boom.next_seq(*slot)),
            (Some(_), ..) => next_seq_in_booms(self.session.dir(), of.run),
            _ => Ok(end_of_text(&self.text(of), of.run)?.0),
        }
    }

    fn append(&mut self, to: &Generation, records: Vec<Record>) -> Result<(), CollectorError> {
        self.records += records.len() as u64;
        match to.boom {
            Some(_) => self.append_to_boom(to, &records),
            None => append_to_text(&self.text(to), to.run, &records),
        }
    }
}

impl Target<'_> {
    fn text(&self, of: &Generation) -> PathBuf {
        self.session.dir().join(&of.text)
    }

    /// Adds a run to the metadata that the killed program had no time to add.
    fn enter(&self, new: &Generation) -> Result<(), CollectorError> {
        let meta = self.session.meta()?;
        if meta.runs.iter().any(|run| run.run.id == new.run) || meta.run.end.is_some() {
            return Ok(());
        }
        let run = started(new.run, Kind::Collector, new.text.clone(), new.started_at);
        let run = Run { parent: Some(meta.run.id), ..run };
        let entry = RunMeta { text: Some(new.text.clone()), boom: new.boom.clone(), ..RunMeta::new(run) };
        Ok(self.session.add_run(entry)?)
    }

    fn append_to_boom(&mut self, to: &Generation, records: &[Record]) -> Result<(), CollectorError> {
        let Some(first) = records.first() else { return Ok(()) };
        let boom = match &mut self.boom {
            Some(boom) => boom,
            none => {
                let options = boom::Options::default();
                none.insert(boom::Writer::create_in(self.session.dir(), "records", options).map_err(FilesError::from)?)
            }
        };
        let slot = boom.run(to.run, Kind::Collector, first.seq).map_err(FilesError::from)?;
        self.slots.insert(to.run, slot);
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
            boom.push(slot, &new).map_err(FilesError::from)?;
        }
        Ok(boom.sync().map_err(FilesError::from)?)
    }
}

/// What the next record of a run has, by all boom files of the session.
fn next_seq_in_booms(dir: &Path, run: RunId) -> Result<u64, CollectorError> {
    let names = fs::read_dir(dir).map_err(FilesError::at("list", dir))?;
    let booms =
        names.flatten().map(|name| name.path()).filter(|path| path.extension().is_some_and(|end| end == "boom"));
    let mut next_seq = 1;
    for path in booms {
        let reader = Reader::open(&path).map_err(FilesError::from)?;
        let held = reader.runs().iter().find(|known| known.id == run).map_or(1, |known| known.next_seq);
        next_seq = next_seq.max(held);
    }
    Ok(next_seq)
}

/// The seq that follows a text log, and where its last whole line ends.
fn end_of_text(path: &Path, run: RunId) -> Result<(u64, u64), FilesError> {
    let mut reader = TextReader::open(path, run, Extent::Growing)?;
    while reader.next()?.is_some() {}
    Ok((reader.mark().seq, reader.mark().offset))
}

fn append_to_text(path: &Path, run: RunId, records: &[Record]) -> Result<(), CollectorError> {
    let (_, end) = end_of_text(path, run)?;
    let mut lines = Vec::new();
    records.iter().for_each(|record| text::push_record(&mut lines, &record.as_ref()));
    let file = File::options().write(true).open(path).map_err(FilesError::at("open", path))?;
    let written = file.set_len(end).and_then(|()| file.write_all_at(&lines, end)).and_then(|()| file.sync_data());
    Ok(written.map_err(FilesError::at("write", path))?)
}

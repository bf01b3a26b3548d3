//! Taking records: one boom file for each session that something is added to.
//!
//! A batch is checked as a whole before anything of it is taken, and synced before it is acknowledged. A run may have been
//! begun by another process, in another boom file of the session: it goes on where that ends, and its metadata name the
//! file that it goes on in. Two processes that add to the same run at the same time are not kept apart.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logboom_boom::{NewRecord, Options, RunSlot, Writer};
use logboom_files::{
    FilesError, Session,
    session::{Counts, Durable, Meta, RunMeta},
    timeline::{self, Event, What},
};
use logboom_record::{Entry, Gap, Kind, Level, Record, Run, RunEnd, RunId, SessionId, Time};
use logboom_store::{RunQuery, Scope, StoreError, refuse_large, what_is_new};

use crate::open::Shelf;

/// The stem of the names of boom files.
const STEM: &str = "records";

/// The boom files that this store writes.
pub(crate) struct Writers {
    options: Options,
    sessions: Mutex<HashMap<SessionId, Arc<Mutex<Writing>>>>,
}

/// A session that is written to.
struct Writing {
    session: Session,
    options: Options,
    boom: Option<Writer>,
    /// The boom file took something that is perhaps not on the disk.
    unsynced: bool,
    /// The runs that were looked up.
    runs: HashMap<RunId, Known>,
}

/// A run that is written to.
#[derive(Clone, Copy)]
struct Known {
    kind: Kind,
    next_seq: u64,
    ended: bool,
    /// Its number in the boom file, once it has something there.
    slot: Option<RunSlot>,
}

impl Writers {
    pub fn of(options: Options) -> Writers {
        Writers { options, sessions: Mutex::default() }
    }

    pub fn start_run(&self, shelf: &Shelf, run: &Run) -> Result<(), StoreError> {
        match run.parent {
            None => start_root(shelf, run),
            Some(parent) => {
                let id = shelf.session_of(parent)?;
                let writing = self.writing(shelf, &id)?;
                lock(&writing).start_child(run)?;
                shelf.know(run.id, &id);
                Ok(())
            }
        }
    }

    pub fn append(&self, shelf: &Shelf, batch: &[Entry]) -> Result<(), StoreError> {
        let mut order: Vec<SessionId> = Vec::new();
        let mut parts: HashMap<SessionId, Vec<&Entry>> = HashMap::new();
        for entry in batch {
            let id = shelf.session_of(entry.run())?;
            if !order.contains(&id) {
                order.push(id.clone());
            }
            parts.entry(id).or_default().push(entry);
        }
        order.sort(); // every batch locks in this order
        let writing: Vec<_> = order.iter().map(|id| self.writing(shelf, id)).collect::<Result<_, _>>()?;
        let mut locked: Vec<_> = writing.iter().map(|writing| lock(writing)).collect();
        let mut new = Vec::new();
        for (id, writing) in order.iter().zip(&mut locked) {
            let entries = parts.remove(id).unwrap_or_default();
            new.push(writing.what_is_new(shelf, &entries)?);
        }
        locked.iter_mut().zip(new).try_for_each(|(writing, new)| writing.store(&new))
    }

    pub fn end_run(&self, shelf: &Shelf, run: RunId, end: &RunEnd) -> Result<(), StoreError> {
        let id = shelf.session_of(run)?;
        let writing = self.writing(shelf, &id)?;
        let mut writing = lock(&writing);
        writing.end_run(shelf, run, end)?;
        if writing.is_over()? {
            writing.seal()?;
            self.sessions().remove(&id);
        }
        Ok(())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Mutex<Writing>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self, shelf: &Shelf, id: &SessionId) -> Result<Arc<Mutex<Writing>>, StoreError> {
        if let Some(known) = self.sessions().get(id) {
            return Ok(known.clone());
        }
        let dir = shelf.data().session(id);
        let session = Session::open(&dir).map_err(|error| failed("open", &dir, error))?;
        let writing = Writing { session, options: self.options, boom: None, unsynced: false, runs: HashMap::new() };
        Ok(self.sessions().entry(id.clone()).or_insert_with(|| Arc::new(Mutex::new(writing))).clone())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for writing in self.sessions().values() {
            // All that was acknowledged is synced already; a file that cannot be sealed is read from its tail.
            let _ = lock(writing).close();
        }
    }
}

fn lock(writing: &Arc<Mutex<Writing>>) -> MutexGuard<'_, Writing> {
    writing.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(
    action: &'static str,
    path: impl Into<PathBuf>,
    error: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Files { action, path: path.into(), source: Box::new(error) }
}

fn start_root(shelf: &Shelf, run: &Run) -> Result<(), StoreError> {
    let id = SessionId::new(run.started_at, run.id);
    let dir = shelf.data().session(&id);
    match Session::open(&dir) {
        Ok(session) => {
            let meta = session.meta().map_err(|error| failed("read", &dir, error))?;
            same(&meta.run, run)
        }
        Err(error) if error.is_missing() => {
            let session = Session::create_for(shelf.data(), run).map_err(|error| failed("create", &dir, error))?;
            note(&session, run.id, run.started_at, What::Start { name: run.name.clone() });
            shelf.know(run.id, &id);
            Ok(())
        }
        Err(error) => Err(failed("open", &dir, error)),
    }
}

/// Adds to the timeline, which is for people: a store whose records are safe does not fail for it.
fn note(session: &Session, run: RunId, time: Time, what: What) {
    let _ = timeline::append(session.dir(), &[Event { time, run, what }]);
}

/// Whether a run that is started is the one that was.
fn same(known: &Run, run: &Run) -> Result<(), StoreError> {
    let same = *known == Run { end: known.end.clone(), ..run.clone() };
    if same { Ok(()) } else { Err(StoreError::RunExists { run: run.id }) }
}

impl Writing {
    fn meta(&self) -> Result<Meta, StoreError> {
        self.session.meta().map_err(|error| self.failed("read", error))
    }

    fn failed(&self, action: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        failed(action, self.session.dir(), error)
    }

    fn start_child(&mut self, run: &Run) -> Result<(), StoreError> {
        let meta = self.meta()?;
        if let Some(known) = meta.runs.iter().find(|known| known.run.id == run.id) {
            return same(&known.run, run);
        }
        if meta.run.end.is_some() {
            return Err(StoreError::RunEnded { run: meta.run.id });
        }
        // The file is locked before a reader can see the run: a run without a locked file is one whose writer died.
        let boom = Some(self.boom_name()?);
        let added = self.session.add_run(RunMeta { boom, ..RunMeta::new(run.clone()) });
        match added {
            Err(FilesError::AlreadyEnded { .. }) => return Err(StoreError::RunEnded { run: meta.run.id }),
            added => added.map_err(|error| self.failed("add a run to", error))?,
        }
        note(&self.session, run.id, run.started_at, What::Start { name: run.name.clone() });
        self.runs.insert(run.id, Known { kind: run.kind, next_seq: 1, ended: false, slot: None });
        Ok(())
    }

    fn boom(&mut self) -> Result<&mut Writer, StoreError> {
        if self.boom.is_none() {
            let made = Writer::create_in(self.session.dir(), STEM, self.options);
            self.boom = Some(made.map_err(|error| self.failed("create a boom file in", error))?);
        }
        self.boom.as_mut().ok_or_else(|| StoreError::Io {
            action: "create a boom file in",
            path: self.session.dir().to_owned(),
            source: std::io::ErrorKind::Other.into(),
        })
    }

    fn boom_name(&mut self) -> Result<String, StoreError> {
        let name = self.boom()?.path().file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(name.unwrap_or_default())
    }

    /// How a run stands that may have been begun elsewhere.
    fn known(&mut self, shelf: &Shelf, run: RunId) -> Result<Known, StoreError> {
        if let Some(known) = self.runs.get(&run) {
            return Ok(*known);
        }
        let meta = self.meta()?;
        let is_root = meta.run.id == run;
        let child = meta.runs.iter().find(|known| known.run.id == run).map(|known| &known.run);
        let of = if is_root { &meta.run } else { child.ok_or(StoreError::UnknownRun { run })? };
        let open = shelf.open(self.session.id())?;
        let held = open.sources.iter().flat_map(|source| &source.runs).filter(|held| held.id == run);
        let next_seq = held.map(|held| held.next_seq).max().unwrap_or(1);
        shelf.put_back(vec![open]);
        if next_seq > 1 {
            // A retry of what a killed writer took finds it held, and must not be told that it is safe before it is.
            sync_files(self.session.dir())?;
        }
        let known = Known { kind: of.kind, next_seq, ended: of.end.is_some(), slot: None };
        self.runs.insert(run, known);
        Ok(known)
    }

    /// What of the entries is not held yet.
    fn what_is_new(&mut self, shelf: &Shelf, entries: &[&Entry]) -> Result<Vec<Entry>, StoreError> {
        let mut next: HashMap<RunId, u64> = HashMap::new();
        let mut new = Vec::new();
        for entry in entries {
            let (run, known) = (entry.run(), self.known(shelf, entry.run())?);
            let next = next.entry(run).or_insert(known.next_seq);
            refuse_large(entry)?;
            let Some((entry, after)) = what_is_new(entry, *next)? else { continue };
            if known.ended {
                return Err(StoreError::RunEnded { run });
            }
            *next = after;
            new.push(entry);
        }
        Ok(new)
    }

    /// Stores what was found to be new. Where that failed before, what was taken then is synced first: a retry finds it
    /// held, and must not be told that it is safe before it is.
    fn store(&mut self, new: &[Entry]) -> Result<(), StoreError> {
        if self.unsynced {
            self.sync()?;
        }
        if new.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        new.iter().try_for_each(|entry| self.push(entry))?;
        self.sync()
    }

    fn push(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let slot = self.slot(entry.run())?;
        let boom = self.boom()?;
        match entry {
            Entry::Gap(gap) => push_gap(boom, slot, gap),
            Entry::Record(record) => {
                let pushed = boom.try_push(slot, &new_record(record));
                if pushed.map_err(|error| self.failed("add to", error))?.is_none() {
                    return Err(self.no_room());
                }
            }
        }
        let next_seq = self.boom()?.next_seq(slot);
        if let Some(known) = self.runs.get_mut(&entry.run()) {
            known.next_seq = next_seq;
        }
        Ok(())
    }

    /// The boom file takes no more for now; what it took of the batch it keeps, for a retry to go on from.
    fn no_room(&self) -> StoreError {
        let why = self.boom.as_ref().and_then(|boom| boom.health().failing).unwrap_or_default();
        let source = std::io::Error::new(std::io::ErrorKind::StorageFull, why);
        StoreError::Io { action: "add to", path: self.session.dir().to_owned(), source }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let synced = self.boom.as_mut().map_or(Ok(()), Writer::sync);
        self.unsynced = synced.is_err();
        synced.map_err(|error| self.failed("sync the records of", error))
    }

    /// The number of a run in the boom file.
    fn slot(&mut self, run: RunId) -> Result<RunSlot, StoreError> {
        let Some(known) = self.runs.get(&run).copied() else { return Err(StoreError::UnknownRun { run }) };
        if let Some(slot) = known.slot {
            return Ok(slot);
        }
        let name = self.boom_name()?;
        self.goes_on_in(run, &name)?;
        let slot = self.boom()?.run(run, known.kind, known.next_seq);
        let slot = slot.map_err(|error| self.failed("add a run to", error))?;
        self.runs.insert(run, Known { slot: Some(slot), ..known });
        Ok(slot)
    }

    /// Names the boom file in the metadata of a run that another one was named for.
    fn goes_on_in(&mut self, run: RunId, name: &str) -> Result<(), StoreError> {
        let is_named = |known: &RunMeta| known.run.id != run || known.boom.as_deref() == Some(name);
        if self.meta()?.runs.iter().all(is_named) {
            return Ok(());
        }
        let name_it = |meta: &mut Meta| {
            let known = meta.runs.iter_mut().filter(|known| known.run.id == run);
            known.for_each(|known| known.boom = Some(name.to_owned()));
            Ok(())
        };
        self.session.update(Durable::Soon, name_it).map_err(|error| self.failed("write", error))
    }

    fn end_run(&mut self, shelf: &Shelf, run: RunId, end: &RunEnd) -> Result<(), StoreError> {
        let known = self.known(shelf, run)?;
        if known.ended {
            return Ok(());
        }
        let slot = self.slot(run)?;
        self.boom()?.end_run(slot, end);
        self.sync()?;
        let counts = counts(shelf, run)?;
        let is_root = self.meta()?.run.id == run;
        let ended = if is_root { self.session.end(end) } else { self.session.end_run(run, end, counts) };
        match ended {
            Ok(()) => {
                let RunEnd { ended_at, outcome, exit_code, signal } = *end;
                let Counts { lines, errors, lost, .. } = counts;
                note(&self.session, run, ended_at, What::End { outcome, exit_code, signal, lines, errors, lost });
            }
            Err(FilesError::AlreadyEnded { .. }) => {}
            Err(error) => return Err(self.failed("end a run of", error)),
        }
        self.runs.insert(run, Known { ended: true, slot: Some(slot), ..known });
        Ok(())
    }

    /// Whether the session and every run of it have ended.
    fn is_over(&self) -> Result<bool, StoreError> {
        let meta = self.meta()?;
        Ok(meta.run.end.is_some() && meta.runs.iter().all(|run| run.run.end.is_some()))
    }

    /// Seals the boom file unless it holds what was refused: that would become a gap, which a retry would take for held. Such
    /// a file is left as a killed writer leaves it.
    fn close(&mut self) -> Result<(), StoreError> {
        if self.unsynced {
            self.sync()?;
        }
        self.seal()
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        let sealed = self.boom.take().map_or(Ok(()), |boom| boom.seal().map(|_| ()));
        self.runs.values_mut().for_each(|known| known.slot = None);
        sealed.map_err(|error| self.failed("seal the boom file of", error))
    }
}

fn counts(shelf: &Shelf, run: RunId) -> Result<Counts, StoreError> {
    let states = shelf.runs(&RunQuery::new(Scope::Run(run)))?;
    let state = states.first().ok_or(StoreError::UnknownRun { run })?;
    let level = |level: Level| state.levels[level as usize];
    let (errors, warnings) = (level(Level::Error), level(Level::Warn));
    Ok(Counts { records: state.records, lines: state.lines, errors, warnings, lost: state.lost })
}

/// Syncs what other writers left.
fn sync_files(dir: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { action: "sync the records of", path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // To open a FIFO would wait for its writer.
        let is_file = entry.file_type().is_ok_and(|of| of.is_file());
        if is_file && entry.file_name().to_string_lossy().starts_with(STEM) {
            File::open(entry.path()).and_then(|file| file.sync_all()).map_err(failed)?;
        }
    }
    Ok(())
}

fn new_record(record: &Record) -> NewRecord<'_> {
    NewRecord {
        time: record.time,
        origin_time_ns: record.origin_time_ns,
        stream: record.stream,
        level: record.level,
        flags: record.flags,
        message: &record.message,
        fields: record.fields.as_deref(),
    }
}

fn push_gap(boom: &mut Writer, slot: RunSlot, gap: &Gap) {
    let count = gap.to.map_or(0, |to| to - gap.from + 1);
    boom.gap_at(slot, count, gap.time, &gap.why);
}

//! A session: a directory with metadata, a timeline, text logs and boom files, to which several processes may add.
//!
//! Names are claimed (mkdir, `O_EXCL`), never looked for first, so that any number of processes can start at once.
//! `session.json` is replaced as a whole under a lock that is held for no longer than that takes; whoever reads it needs
//! no lock. What a started run writes is not waited for on the disk; what an ended one writes is.

mod lock;
mod meta;
mod names;
mod recovered;
mod reserve;
mod status;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use logboom_record::{Kind, Outcome, Run, RunEnd, RunId, SessionId, Time};

pub use lock::{hold_lock, is_held, try_lock};
pub use meta::{ContainerMeta, Counts, Found, Meta, RunMeta};
pub use names::command_words;
pub use recovered::boom_number;
pub use status::{SIGN_OF_LIFE_S_MAX, Status, beside};

use crate::{DataDir, FilesError};
use lock::MetaLock;

/// The name of the metadata.
const META: &str = "session.json";
/// The name that new metadata has until it is complete.
const META_NEW: &str = "session.json.tmp";
/// How many names are tried before giving up.
const NAME_TRIES_MAX: u32 = 10_000;

/// What somebody who starts a session says of it.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What people call it.
    pub name: String,
    /// Further facts, by name.
    pub labels: BTreeMap<String, String>,
    /// Whether others may add runs until somebody ends it.
    pub open: bool,
    /// Who starts it, where that is known.
    pub user: Option<String>,
    /// When it starts.
    pub now: Time,
}

/// What a power cut may do to a change of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Nothing: fsync before rename, and the directories after it.
    Now,
    /// Undo it, but leave the metadata whole: fsync before rename.
    Whole,
    /// What it likes: the system writes it when it has the time.
    Soon,
}

/// A session's directory. Holds nothing open.
#[derive(Clone, Debug)]
pub struct Session {
    id: SessionId,
    dir: PathBuf,
}

impl Session {
    /// Makes the directory of a new session and its first metadata. Its cost does not depend on how many there are.
    ///
    /// # Errors
    /// [`FilesError::Forbidden`], [`FilesError::DiskFull`] and others that name the directory.
    pub fn create(data: &DataDir, new: NewSession) -> Result<Session, FilesError> {
        Session::create_with(data, new, |_, _| Ok(())).map(|(session, ())| session)
    }

    /// The same with a first run: `begin` gets the session, to claim files in it, and its metadata, to push the run. To
    /// write them once saves half a disk's latency at the end of a short command, for a file that was never replaced
    /// is never on its way to the disk when its successor comes. If `begin` fails nothing is left of the session.
    ///
    /// # Errors
    /// Those of [`Session::create`] and of `begin`.
    pub fn create_with<T, E: From<FilesError>>(
        data: &DataDir,
        new: NewSession,
        begin: impl FnOnce(&Session, &mut Meta) -> Result<T, E>,
    ) -> Result<(Session, T), E> {
        let (session, run) = Session::claim_dir(data, new.now)?;
        let mut meta = Meta::new(session.id.clone(), run, new);
        let begun = begin(&session, &mut meta)
            .and_then(|begun| session.write_meta(&meta.to_bytes(), Durable::Soon).map(|()| begun).map_err(E::from));
        match begun {
            Ok(begun) => Ok((session, begun)),
            Err(error) => {
                // Nothing was captured in it yet, and the first error says more than this one could.
                let _ = fs::remove_dir_all(&session.dir);
                Err(error)
            }
        }
    }

    /// Makes the directory of a session whose root run somebody else started, and its first metadata; open, so that runs can
    /// be added until it is ended. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`FilesError::Io`] with [`io::ErrorKind::AlreadyExists`] if there is one of that id; others that name the directory.
    pub fn create_for(data: &DataDir, root: &Run) -> Result<Session, FilesError> {
        let id = SessionId::new(root.started_at, root.id);
        let dir = data.session(&id);
        data.create()?;
        DirBuilder::new().mode(0o700).create(&dir).map_err(FilesError::at("create the session", &dir))?;
        let session = Session { id, dir };
        session.write_meta(&Meta::of_root(session.id.clone(), root).to_bytes(), Durable::Now)?;
        Ok(session)
    }

    /// Removes a session in which nothing was captured: what it was made for could not begin.
    ///
    /// # Errors
    /// Those that name the directory.
    pub fn discard(self) -> Result<(), FilesError> {
        fs::remove_dir_all(&self.dir).map_err(FilesError::at("delete", &self.dir))
    }

    fn claim_dir(data: &DataDir, now: Time) -> Result<(Session, RunId), FilesError> {
        for _ in 0..NAME_TRIES_MAX {
            let run = RunId::new(now);
            let id = SessionId::new(now, run);
            let dir = data.session(&id);
            match DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok((Session { id, dir }, run)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => data.create()?,
                Err(error) => return Err(FilesError::at("create the session", &dir)(error)),
            }
        }
        Err(FilesError::NoFreeName { path: data.sessions(), tries: NAME_TRIES_MAX })
    }

    /// The session in this directory, wherever it was copied to. Reads nothing where the directory's name is a session id.
    ///
    /// # Errors
    /// [`FilesError::Missing`] if there is no such directory; for a renamed one, those of [`Session::meta`].
    pub fn open(dir: &Path) -> Result<Session, FilesError> {
        fs::metadata(dir).map_err(FilesError::at("open the session", dir))?;
        let named = dir.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
        let id = match named {
            Some(id) => id,
            None => Meta::read(&dir.join(META), None)?.id,
        };
        Ok(Session { id, dir: dir.to_owned() })
    }

    /// The session of a name that was listed.
    pub(crate) fn listed(dir: PathBuf, id: SessionId) -> Session {
        Session { id, dir }
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The metadata as they are now.
    ///
    /// # Errors
    /// [`FilesError::MetaDamaged`] if it is not what logboom writes, [`FilesError::Missing`] if it is not there.
    pub fn meta(&self) -> Result<Meta, FilesError> {
        Meta::read(&self.dir.join(META), Some(&self.id))
    }

    /// Changes the metadata: read, changed and replaced under the session's lock, so that no change of another process
    /// is lost. Members that this version does not know are kept. Nothing is written if `change` fails.
    ///
    /// # Errors
    /// Those of [`Session::meta`] and of `change`; [`FilesError::Busy`] if the lock is held for very long;
    /// [`FilesError::DiskFull`] and others of the system, with the old metadata in place.
    pub fn update<T>(
        &self,
        durable: Durable,
        change: impl FnOnce(&mut Meta) -> Result<T, FilesError>,
    ) -> Result<T, FilesError> {
        let _lock = MetaLock::take(&self.dir)?;
        let path = self.dir.join(META);
        let old = fs::read(&path).map_err(FilesError::at("read", &path))?;
        let before = Meta::parse(&old, &path, Some(&self.id))?;
        let mut after = before.clone();
        let result = change(&mut after)?;
        self.write_meta(&after.to_bytes_over(&before, &old), durable)?;
        let ended = after.runs.iter().zip(&before.runs).filter(|(run, before)| run.run.end != before.run.end);
        ended.filter_map(|(run, _)| run.text_alone()).for_each(|text| reserve::give_back(&self.dir, text));
        Ok(result)
    }

    /// Adds a run that starts. Its files must be claimed and locked before, so that no reader takes it for lost.
    ///
    /// # Errors
    /// [`FilesError::AlreadyEnded`] if the session has ended, and those of [`Session::update`].
    pub fn add_run(&self, run: RunMeta) -> Result<(), FilesError> {
        self.update(Durable::Soon, |meta| {
            meta.refuse_ended()?;
            meta.runs.push(run);
            Ok(())
        })
    }

    /// Notes how a run ended and what it printed. Call it while its text log is still locked where it has no boom file. Ends
    /// the session too, as its first run did, if nobody keeps it open and no other run is still written; not with its services, whose
    /// keeper ends it.
    ///
    /// A power cut right after it may undo it where the run has a boom file: its footer tells the end as well, and to
    /// wait for the directories too would take a short command's time twice.
    ///
    /// # Errors
    /// [`FilesError::AlreadyEnded`], [`FilesError::NoSuchRun`], and those of [`Session::update`].
    pub fn end_run(&self, id: RunId, end: &RunEnd, counts: Counts) -> Result<(), FilesError> {
        self.end_run_with(id, end, counts, Found::default())
    }

    /// As [`Session::end_run`], with what was found in what the run printed.
    ///
    /// # Errors
    /// As [`Session::end_run`].
    pub fn end_run_with(&self, id: RunId, end: &RunEnd, counts: Counts, found: Found<'_>) -> Result<(), FilesError> {
        let noted = self.update(Durable::Whole, |meta| {
            meta.end_run(id, end, counts)?;
            if let Some(run) = meta.runs.iter_mut().find(|run| run.run.id == id) {
                (run.tests, run.masked) = (found.tests.to_vec(), found.masked);
            }
            let others_live = meta.runs.iter().any(|run| run.run.end.is_none() && status::is_written(&self.dir, run));
            if !meta.open && meta.run.end.is_none() && !others_live && !meta.is_of_services() {
                self.complete(meta);
                meta.run.end = meta.end_of_first_run(end.ended_at);
            }
            if meta.run.end.is_some() {
                // Also where it had ended before: a recovery adds to its files.
                meta.bytes = Some(self.bytes());
            }
            Ok(meta.runs.iter().any(|run| run.run.id == id && run.boom.is_some()))
        });
        match noted {
            Ok(true) => Ok(()),
            Ok(false) => self.sync_names(),
            Err(refused) => self.end_run_beside(id, reserve::Ended { end: end.clone(), counts }, refused),
        }
    }

    /// Notes that nothing is missing of a run whose program was killed: what the program left beside the files is in them. The run
    /// stays lost, and ends with its last record.
    ///
    /// # Errors
    /// As [`Session::end_run`]; also if its files cannot be read.
    pub fn end_recovered_run(&self, id: RunId) -> Result<(), FilesError> {
        let meta = self.meta()?;
        let Some(run) = meta.runs.iter().find(|run| run.run.id == id && run.run.end.is_none()) else { return Ok(()) };
        let (counts, ended_at) = recovered::found(&self.dir, run)?;
        self.end_run(id, &ended(Outcome::Lost, ended_at), counts)
    }

    /// Notes that one run ended and another began in its place, at once. Unlike [`Session::end_run`] it never ends the session; one
    /// that somebody has ended keeps its end, as the writer that goes on in it cannot choose another.
    ///
    /// # Errors
    /// Those of [`Session::end_run`].
    pub fn hand_over(&self, old: (RunId, &RunEnd, Counts), new: RunMeta) -> Result<(), FilesError> {
        self.update(Durable::Soon, |meta| {
            meta.end_run(old.0, old.1, old.2)?;
            meta.runs.push(new);
            Ok(())
        })
    }

    /// Notes the end of a run in the room that was set aside for it, if the metadata were refused for want of room.
    fn end_run_beside(&self, id: RunId, ended: reserve::Ended, refused: FilesError) -> Result<(), FilesError> {
        let FilesError::DiskFull { .. } = refused else { return Err(refused) };
        let meta = self.meta()?;
        let text = meta.runs.iter().find(|run| run.run.id == id).and_then(RunMeta::text_alone);
        // Where that fails too, the first error says what to do.
        text.and_then(|text| reserve::use_up(&self.dir, text, &ended).ok()).ok_or(refused)?;
        self.sync_names()
    }

    /// Completes the runs whose ends a full disk kept out of the metadata.
    fn complete(&self, meta: &mut Meta) {
        let unended = meta.runs.iter_mut().filter(|run| run.run.end.is_none());
        for run in unended.filter(|run| !status::is_written(&self.dir, run)) {
            if let Some((Some(end), counts)) = recovered::end(&self.dir, run) {
                (run.run.end, run.counts) = (Some(end), Some(counts));
            }
        }
    }

    /// Sets room aside for the end of the run that has this text log and no boom file, so that it can be noted on a full
    /// disk: [`Session::end_run`] writes it there if there is no room for new metadata.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn reserve(&self, text: &str) -> Result<(), FilesError> {
        reserve::set_aside(&self.dir, text)
    }

    /// Ends the session. The first to end it wins.
    ///
    /// # Errors
    /// [`FilesError::AlreadyEnded`], and those of [`Session::update`].
    pub fn end(&self, end: &RunEnd) -> Result<(), FilesError> {
        self.update(Durable::Now, |meta| {
            meta.refuse_ended()?;
            self.complete(meta);
            meta.open = false;
            meta.run.end = Some(end.clone());
            meta.bytes = Some(self.bytes());
            Ok(())
        })
    }

    /// The names of the boom files whose writers live.
    pub fn written_booms(&self) -> Vec<String> {
        recovered::booms(&self.dir).filter(|name| lock::is_held(&self.dir.join(name))).collect()
    }

    /// Makes a new text log `exec_<program>.log`, or with a number where that is taken, for this caller alone.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn claim_text(&self, program: &OsStr) -> Result<(File, String), FilesError> {
        let program = names::file_part(program);
        self.claim(|number| names::text_log(&program, number))
    }

    /// Makes a new text log of this name for this caller alone: `<name>.log` (`.log` is added where it is missing), or with a
    /// number where that is taken. What does not fit a file name becomes `_`; of a very long name the start is kept.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn claim_named(&self, name: &str) -> Result<(File, String), FilesError> {
        let stem = names::stem(name);
        self.claim(|number| names::named_log(&stem, number))
    }

    fn claim(&self, name: impl Fn(u32) -> String) -> Result<(File, String), FilesError> {
        for number in 1..=NAME_TRIES_MAX {
            let name = name(number);
            let path = self.dir.join(&name);
            if self.dir.join(format!("{name}.ring")).exists() {
                continue; // of a text log that somebody has deleted: its rings would go into this one
            }
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((file, name)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FilesError::at("create", &path)(error)),
            }
        }
        Err(FilesError::NoFreeName { path: self.dir.join(name(1)), tries: NAME_TRIES_MAX })
    }

    /// How the session and its runs stand, derived without writing anything; see `docs/formats.md`, "Outcome". Never fails:
    /// where the metadata cannot be read, what can be told without it is, and the reason is given.
    pub fn status(&self, now: Time) -> Status {
        Status::of(self, now)
    }

    /// Makes the names of the session and its files survive a power cut.
    ///
    /// # Errors
    /// Those of the system, naming the directory.
    pub fn sync_names(&self) -> Result<(), FilesError> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(FilesError::at("sync", &self.dir))?;
        self.dir.parent().map_or(Ok(()), DataDir::sync_sessions)
    }

    /// How much disk its files take now, but for those that go with the run or the program that they are kept for: room
    /// set aside, and ring files. What cannot be read counts as nothing.
    pub fn bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .filter(|entry| !reserve::is_reserve(&entry.file_name()) && !is_ring(&entry.file_name()))
            .filter_map(|entry| entry.metadata().ok())
            .map(|file| file.blocks() * 512)
            .sum()
    }

    fn write_meta(&self, bytes: &[u8], durable: Durable) -> Result<(), FilesError> {
        let (new, path) = (self.dir.join(META_NEW), self.dir.join(META));
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            if durable == Durable::Soon { Ok(()) } else { file.sync_all() }
        });
        if let Err(error) = written.and_then(|()| fs::rename(&new, &path)) {
            // Half a file is of no use, and its blocks may be what the next attempt needs; that it stays harms nobody.
            let _ = fs::remove_file(&new);
            return Err(FilesError::at("write", &path)(error));
        }
        if durable == Durable::Now { self.sync_names() } else { Ok(()) }
    }
}

/// Whether a file of this name is a collector's ring file.
fn is_ring(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(b".log.ring")
}

/// Renames a session's directory to `trash` unless it lives, is being changed, or is not there; tells whether it did.
pub(crate) fn retire(dir: &Path, id: &SessionId, trash: &Path, now: Time) -> Result<bool, FilesError> {
    let lock = match MetaLock::try_take(dir) {
        Err(error) if error.is_missing() => return Ok(false),
        other => other?,
    };
    let session = Session { id: id.clone(), dir: dir.to_owned() };
    if lock.is_none() || session.status(now).is_live() {
        return Ok(false);
    }
    fs::rename(dir, trash).map_err(FilesError::at("delete", dir)).map(|()| true)
}

/// The end of a run that did not end by itself: what is said of a session that somebody ends.
pub fn ended(outcome: Outcome, now: Time) -> RunEnd {
    RunEnd { ended_at: now, outcome, exit_code: None, signal: None }
}

/// A run that starts now.
pub fn started(id: RunId, kind: Kind, name: String, now: Time) -> Run {
    Run {
        id,
        parent: None,
        kind,
        name,
        owner: None,
        labels: BTreeMap::new(),
        started_at: now,
        end: None,
        external_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_set_aside_is_for_a_full_disk_or_quota_and_for_nothing_else() {
        for (code, is_used) in
            [(rustix::io::Errno::NOSPC, true), (rustix::io::Errno::DQUOT, true), (rustix::io::Errno::IO, false)]
        {
            let dir = tempfile::tempdir().unwrap();
            let new =
                NewSession { name: "x".into(), labels: BTreeMap::new(), open: false, user: None, now: Time::default() };
            let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
            let run = started(RunId::new(Time::default()), Kind::Command, "x".into(), Time::default());
            let text = Some("exec_x.log".to_owned());
            session.add_run(RunMeta { text, ..RunMeta::new(run.clone()) }).unwrap();
            session.reserve("exec_x.log").unwrap();
            let ended = reserve::Ended { end: ended(Outcome::Passed, Time::default()), counts: Counts::default() };
            let refused = FilesError::at("write", dir.path())(code.into());
            assert_eq!(session.end_run_beside(run.id, ended, refused).is_ok(), is_used, "{code}");
            let outcome = if is_used { Outcome::Passed } else { Outcome::Lost };
            assert_eq!(session.status(Time::default()).outcomes, [outcome], "{code}");
        }
    }
}

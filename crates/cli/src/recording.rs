//! One run being kept: the session it belongs to, its files, its writer.
//!
//! A logboom inside a logboom finds the session around it in its environment (`LOGBOOM_SESSION`, `LOGBOOM_RUN`, `LOGBOOM_DIR`)
//! and adds a run to it. Where that session is gone or has ended there is a new one, and a word about it. Files are
//! claimed and locked before the run is entered in `session.json`, so that no reader takes it for lost; its process id is
//! known later and stands in the timeline alone, for replacing `session.json` may take milliseconds on a busy disk.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use logboom_boom as boom;
use logboom_capture::{
    Intake,
    command::OutputSink,
    masks::SharedMasks,
    writer::{RunWriter, Sinks, Written},
};
use logboom_files::{
    DataDir, FilesError, Session,
    session::{Counts, Found, NewSession, RunMeta, command_words, started},
    textlog::TextWriter,
    timeline::{self, Event, What},
    with_causes,
};
use logboom_record::{Gap, Kind, Run, RunEnd, RunId, SessionId, Stream, Time};

use crate::{
    place,
    say::{say, tell},
};

/// What a run is to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A command.
    Command,
    /// A program that runs while others are tested.
    Service,
    /// logboom itself, which starts and ends services and tests; the session is called as it, and ends with it.
    Conductor,
}

impl Role {
    fn kind(self) -> Kind {
        match self {
            Role::Command => Kind::Command,
            Role::Service => Kind::Service,
            Role::Conductor => Kind::System,
        }
    }
}

/// What logboom calls itself where it is a run of a session.
const CONDUCTOR: &str = "logboom";

/// What is to be recorded.
pub struct NewRun<'a> {
    /// What it is to the session.
    pub role: Role,
    /// The program, after which the text log is named.
    pub program: &'a OsStr,
    /// The whole command; empty for a pipe.
    pub words: &'a [OsString],
    /// What to call the run.
    pub name: Option<String>,
    /// Facts about it.
    pub labels: BTreeMap<String, String>,
    /// Whether there is to be a boom file.
    pub boom: bool,
    /// Where it runs; where we do if left out.
    pub cwd: Option<&'a Path>,
    /// What is not kept of what it prints, nor of its command and name.
    pub masks: SharedMasks,
    /// When it starts.
    pub now: Time,
}

impl NewRun<'_> {
    fn cwd(&self) -> Option<PathBuf> {
        self.cwd.map_or_else(env::current_dir, std::path::absolute).ok()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().map(|(key, value)| (self.masks.mask_str(key), self.masks.mask_str(value))).collect()
    }

    /// What the run is called.
    fn run_name(&self) -> String {
        if self.role == Role::Conductor { CONDUCTOR.to_owned() } else { self.name() }
    }

    /// Its text log is called after the program that a command is, and after a service.
    fn claim_text(&self, session: &Session) -> Result<(TextWriter, String)> {
        if self.role == Role::Command {
            let program = self.masks.mask_str(&self.program.to_string_lossy());
            return Ok(TextWriter::create(session, program.as_ref())?);
        }
        let (file, name) = session.claim_named(&self.run_name())?;
        Ok((TextWriter::new(file, &session.dir().join(&name)), name))
    }

    /// What it is called, and a session that begins with it.
    fn name(&self) -> String {
        self.masks.mask_str(&self.name.clone().unwrap_or_else(|| program_name(self.program)))
    }
}

/// The session that a run goes to.
pub enum Target {
    /// One of its own.
    New,
    /// The one around us, if it still goes on; the run in it that we are part of.
    Around(SessionId, Option<RunId>),
    /// The one that was asked for; the run in it that we are part of.
    Given(Session, Option<RunId>),
}

impl Target {
    /// What the environment says.
    pub fn of_environment() -> Target {
        let session = env::var("LOGBOOM_SESSION").ok().and_then(|text| text.parse().ok());
        session.map_or(Target::New, |session| Target::Around(session, run_around()))
    }

    /// The session that is there already, and the run in it that we are part of. Where the one around us is no more that is said.
    pub fn session(self, data: &DataDir) -> Option<(Session, Option<RunId>)> {
        match self {
            Target::New => None,
            Target::Given(session, parent) => Some((session, parent)),
            Target::Around(id, parent) => match going_on(data, &id) {
                Ok(session) => Some((session, parent)),
                Err(why) => {
                    say(format_args!("session {} {why}; this run gets a session of its own", id.short()));
                    None
                }
            },
        }
    }
}

/// The run that started us, by the environment.
pub fn run_around() -> Option<RunId> {
    env::var("LOGBOOM_RUN").ok().and_then(|text| text.parse().ok())
}

/// What happens to a run, for the timeline of its session. Its start is written with the first of it, to write but once.
struct Journal {
    session: Session,
    run: RunId,
    start: Mutex<Option<Event>>,
}

impl Journal {
    fn of(session: Session, run: &Run) -> Arc<Journal> {
        let start = Event { time: run.started_at, run: run.id, what: What::Start { name: run.name.clone() } };
        Arc::new(Journal { session, run: run.id, start: Mutex::new(Some(start)) })
    }

    fn note(&self, events: impl IntoIterator<Item = (Time, What)>) -> Result<(), FilesError> {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let events = events.into_iter().map(|(time, what)| Event { time, run: self.run, what });
        let events: Vec<Event> = start.iter().cloned().chain(events).collect();
        if !events.is_empty() {
            timeline::append(self.session.dir(), &events)?;
            *start = None;
        }
        Ok(())
    }
}

/// Adds to the timeline what happens to a run while it goes on.
pub struct Noter(Arc<Journal>);

impl Noter {
    /// Adds an event.
    pub fn note(&self, time: Time, what: What) {
        // An event less is no harm; that the disk is full is said where records are lost.
        let _ = self.0.note([(time, what)]);
    }
}

/// A run being kept.
pub struct Recording {
    journal: Arc<Journal>,
    data: DataDir,
    command: Vec<String>,
    writer: RunWriter,
    /// The text log of a run without a boom file. Its lock says that the run goes on, and must do so until its end is noted.
    lock: Option<File>,
}

impl Recording {
    /// Makes the session, if it is to be a new one, and everything the run needs.
    ///
    /// # Errors
    /// Says what could not be written, and where.
    pub fn start(data: &DataDir, target: Target, new: &NewRun<'_>) -> Result<Recording> {
        match target.session(data) {
            Some((session, parent)) => Recording::beside(data, session, parent, new),
            None => Recording::alone(data, new),
        }
    }

    /// In a session of its own, which has the labels; one that cannot have a run is not left behind.
    fn alone(data: &DataDir, new: &NewRun<'_>) -> Result<Recording> {
        let (name, mut labels) = (new.name(), new.labels());
        place::label_commit(&mut labels);
        let create = NewSession { name, labels, open: false, user: place::user(), now: new.now };
        let (session, (run, sinks)) = Session::create_with(data, create, |session, meta| {
            let (entry, sinks) = prepare(session, meta.run.id, BTreeMap::new(), new)?;
            meta.runs.push(entry.clone());
            Ok::<_, anyhow::Error>((entry, sinks))
        })?;
        Recording::begin(data, session, run, sinks)
    }

    /// In a session that others have, too.
    fn beside(data: &DataDir, session: Session, parent: Option<RunId>, new: &NewRun<'_>) -> Result<Recording> {
        let parent = match parent {
            Some(parent) => parent,
            None => session.meta()?.run.id,
        };
        let (run, sinks) = prepare(&session, parent, new.labels(), new)?;
        session.add_run(run.clone())?;
        Recording::begin(data, session, run, sinks)
    }

    fn begin(data: &DataDir, session: Session, run: RunMeta, sinks: Sinks) -> Result<Recording> {
        let text = sinks.text.as_ref().filter(|_| sinks.boom.is_none());
        let lock = text.map(|text| text.file().try_clone()).transpose().context("cannot keep the text log locked")?;
        let journal = Journal::of(session, &run.run);
        let noter = Noter(Arc::clone(&journal));
        // An event less is no harm: the lines are there, and all results of tests are noted at the end.
        let tell = move |events: Vec<(Time, What)>| drop(noter.0.note(events));
        let writer = RunWriter::start(Sinks { events: Box::new(tell), ..sinks });
        let writer = writer.context("cannot start the writer's thread")?;
        Ok(Recording { journal, data: data.clone(), command: run.command, writer, lock })
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.journal.session
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.journal.run
    }

    /// What the command's environment gains.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("LOGBOOM_DIR".into(), self.data.path.clone().into()),
            ("LOGBOOM_SESSION".into(), self.session().id().as_str().into()),
            ("LOGBOOM_RUN".into(), self.journal.run.to_string().into()),
        ]
    }

    /// Where to leave what was read.
    pub fn intake(&self) -> Intake {
        self.writer.intake()
    }

    /// What adds to the timeline from elsewhere.
    pub fn noter(&self) -> Noter {
        Noter(Arc::clone(&self.journal))
    }

    /// Takes the command's output.
    pub fn sink(&self) -> Arc<dyn OutputSink> {
        let (journal, intake) = (Arc::clone(&self.journal), self.writer.intake());
        Arc::new(Sink { journal, command: self.command.clone(), intake })
    }

    /// Notes the end everywhere. What could not be noted is said on standard error: the command is over, nothing can be
    /// broken any more.
    pub fn finish(self, end: &RunEnd) -> Counts {
        let Recording { journal, writer, lock, .. } = self;
        let Written { counts, gaps, trouble, tests, masked } = writer.finish(end.clone());
        let lost = gaps.into_iter().map(|Gap { from, to, time, why, .. }| (time, What::Gap { from, to, why }));
        // Where there is no room for these either, the gaps are still in the files that they concern.
        let _ = journal.note(lost);
        let noted =
            journal.session.end_run_with(journal.run, end, counts, Found { tests: &tests, masked }).and_then(|()| {
                let (outcome, exit_code, signal) = (end.outcome, end.exit_code, end.signal);
                let Counts { lines, errors, lost, .. } = counts;
                journal.note([(end.ended_at, What::End { outcome, exit_code, signal, lines, errors, lost })])
            });
        drop(lock);
        match noted {
            // After trouble with the records there was a warning, and the boom file has the end.
            Err(error) if trouble.is_none() => {
                warn(&anyhow::Error::from(error).context("the end of this run is not noted in full"));
            }
            _ => {}
        }
        counts
    }

    /// Adds what happened to the run to the session's timeline.
    pub fn note(&self, events: impl IntoIterator<Item = (Time, What)>) {
        // The disk may be full, which is said where records are lost; an event less is no harm.
        let _ = self.journal.note(events);
    }
}

/// Claims the files of a run, and makes its entry for `session.json`.
fn prepare(
    session: &Session,
    parent: RunId,
    labels: BTreeMap<String, String>,
    new: &NewRun<'_>,
) -> Result<(RunMeta, Sinks)> {
    let id = RunId::new(new.now);
    let run = Run { parent: Some(parent), labels, ..started(id, new.role.kind(), new.run_name(), new.now) };
    let (text, text_name) = new.claim_text(session)?;
    let mut boom = None;
    match new.boom {
        false => {
            text.hold_lock()?;
            session.reserve(&text_name)?;
        }
        true => {
            let mut writer = boom::Writer::create_in(session.dir(), "records", boom::Options::default())?;
            let slot = writer.run(id, new.role.kind(), 1)?;
            boom = Some((writer, slot));
        }
    }
    let boom_name = boom.as_ref().and_then(|(writer, _)| Some(writer.path().file_name()?.to_str()?.to_owned()));
    let entry = RunMeta {
        command: command_words(new.words).iter().map(|word| new.masks.mask_str(word)).collect(),
        cwd: new.cwd().map(|dir| new.masks.mask_str(&dir.to_string_lossy())),
        text: Some(text_name),
        boom: boom_name,
        ..RunMeta::new(run)
    };
    let (warn, masks) = (Box::new(warn_of_loss), new.masks.clone());
    Ok((entry, Sinks { text: Some(text), boom, warn, masks, events: Box::new(|_| {}) }))
}

/// Hands the command's output to the writer.
struct Sink {
    journal: Arc<Journal>,
    command: Vec<String>,
    intake: Intake,
}

impl OutputSink for Sink {
    fn started(&self, pid: u32, time: Time) {
        let what = What::Exec { command: self.command.clone(), pid };
        // An event less is no harm; that the disk is full is said where records are lost.
        let _ = self.journal.note([(time, what)]);
    }

    fn push(&self, stream: Stream, time: Time, bytes: &[u8]) {
        self.intake.push(stream, time, bytes);
    }

    fn end(&self, stream: Stream) {
        self.intake.end(stream);
    }
}

/// Takes the output of a command that could not be recorded.
pub struct Unrecorded;

impl OutputSink for Unrecorded {
    fn push(&self, _stream: Stream, _time: Time, _bytes: &[u8]) {}
    fn end(&self, _stream: Stream) {}
}

/// The session, if runs can still be added to it; else why not.
fn going_on(data: &DataDir, id: &SessionId) -> Result<Session, &'static str> {
    let session = Session::open(&data.session(id)).map_err(|_| "is gone")?;
    match session.meta() {
        Ok(meta) if meta.run.end.is_none() => Ok(session),
        Ok(_) => Err("has ended"),
        Err(_) => Err("cannot be read"),
    }
}

/// The last part of a program's path.
fn program_name(program: &OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

/// One line on standard error about what is not being kept.
pub fn warn(error: &anyhow::Error) {
    tell(&with_causes(error.as_ref()));
}

/// The one warning of a run whose records cannot all be written. The command goes on.
fn warn_of_loss(why: &str) {
    tell(&format!("not all output can be kept: {why}; the command goes on"));
}

/// Writes a session's id to a file, which appears with its whole content.
///
/// # Errors
/// Names the file.
pub fn write_id_file(file: &Path, id: &SessionId) -> Result<()> {
    let mut new = OsString::from(file);
    new.push(format!(".{}.tmp", std::process::id()));
    let new = PathBuf::from(new);
    let written: io::Result<()> = fs::write(&new, format!("{id}\n")).and_then(|()| fs::rename(&new, file));
    written.with_context(|| format!("cannot write the session's id to {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_the_timeline_did_not_take_or_took_in_part_comes_with_the_next_event() {
        let dir = tempfile::tempdir().unwrap();
        let create =
            NewSession { name: "s".into(), labels: BTreeMap::new(), open: false, user: None, now: Time::default() };
        let session = Session::create(&DataDir::at(dir.path()), create).unwrap();
        let journal = Journal::of(
            session.clone(),
            &started(RunId::new(Time::default()), Kind::Command, "x".into(), Time::default()),
        );
        let path = session.dir().join(timeline::TIMELINE);
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        journal.note([]).unwrap_err();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "{\"time\":\"2026-").unwrap(); // as much as the disk had room for
        for seconds in [1.0, 2.0] {
            journal.note([(Time::default(), What::Timeout { after_s: seconds })]).unwrap();
        }
        let read = timeline::read(session.dir()).unwrap();
        let what: Vec<What> = read.events.into_iter().map(|event| event.what).collect();
        let timeout = |after_s| What::Timeout { after_s };
        assert_eq!((what, read.skipped), (vec![What::Start { name: "x".into() }, timeout(1.0), timeout(2.0)], 1));
    }
}

//! A session that a program keeps: the services in it, and how it ended.
//!
//! A test harness makes one ([`LogSession::create`]), has a [`LogStreamer`](crate::docker::streamer::LogStreamer) follow containers
//! into it, adds services whose output it has in its own hands ([`LogSession::add_service`]), and says how all ended
//! ([`LogSession::finalize`]). It counts as running as long as this process keeps it. One that is dropped without an end failed if its
//! thread panics, and was interrupted if not.
//!
//! ```
//! use std::io::Write;
//! use logboom_capture::log_session::LogSession;
//! use logboom_files::{DataDir, retention::Limits};
//! use logboom_record::Outcome;
//!
//! # let dir = tempfile::tempdir()?;
//! let data = DataDir::at(dir.path());
//! let session = LogSession::create(&data, "checkout works")?;
//! let mut fake = session.add_service("payments")?;
//! writeln!(fake.stdout(), "charged 12.50")?;
//! writeln!(fake.stderr(), "the card is slow today")?;
//! fake.end(Outcome::Passed)?;
//! let ended = session.finalize(Outcome::Passed)?;
//!
//! let text = std::fs::read_to_string(ended.dir.join("payments.log"))?;
//! assert!(text.contains(" O I charged 12.50\n") && text.contains(" E I the card is slow today\n"));
//! assert_eq!(LogSession::latest(&data)?.map(|latest| latest.session().id().clone()), Some(ended.id));
//! LogSession::cleanup(&data, &Limits::default())?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use logboom_boom as boom;
use logboom_files::{
    DataDir, FilesError, Session,
    list::{RefError, ResolveError, SessionRef, Sessions},
    retention::{self, Limits, Report},
    session::{Counts, NewSession, RunMeta, Status, ended, started},
    textlog::TextWriter,
    timeline::{self, What},
};
use logboom_record::{Kind, Outcome, Run, RunEnd, RunId, Stream, Time};

use crate::services::{
    Feed, NewService, ServiceId, ServiceWriter, ServicesError, Source,
    feed::{ContainerId, Delivery, Piece, Place, SourceKind},
};

/// Why a session cannot be kept, or found.
#[derive(Debug, thiserror::Error)]
pub enum LogSessionError {
    /// Its files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// What was asked for is the name of no session.
    #[error(transparent)]
    Reference(#[from] RefError),
    /// There is no such session.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The writer of its services.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The system.
    #[error("cannot start the writer of services")]
    Start(#[source] io::Error),
    /// It has ended, but not all of its output could be kept; the gaps say what is missing.
    #[error("not all output could be kept: {why}")]
    NotWhole {
        /// Why.
        why: String,
    },
}

/// A session, to be written or looked at. See the module.
#[derive(Debug)]
pub struct LogSession {
    session: Session,
    writing: Mutex<Option<Writing>>,
    /// Whether it ends with this value.
    is_ours: bool,
}

/// The services of this process.
#[derive(Debug)]
struct Writing {
    writer: ServiceWriter,
    boom: String,
    /// Those that have not ended.
    services: Vec<(RunId, ServiceId)>,
}

impl LogSession {
    /// Starts a session of this name.
    ///
    /// # Errors
    /// Those of [`Session::create`], and of the system.
    pub fn create(data: &DataDir, name: &str) -> Result<LogSession, LogSessionError> {
        let now = Time::now();
        let new = NewSession { name: name.to_owned(), labels: BTreeMap::new(), open: false, user: None, now };
        LogSession::create_with(data, new)
    }

    /// The same, with all that can be said of it.
    ///
    /// # Errors
    /// Those of [`LogSession::create`].
    pub fn create_with(data: &DataDir, new: NewSession) -> Result<LogSession, LogSessionError> {
        let session = Session::create(data, new)?;
        // Its lock is what says that the session is running.
        let writing = Writing::start(&session)?;
        Ok(LogSession { session, writing: Mutex::new(Some(writing)), is_ours: true })
    }

    /// An earlier session, or one of another process: by its id, the eight hex digits of that, its name, or `@2` for the second
    /// newest. It is not ended by being dropped.
    ///
    /// # Errors
    /// [`LogSessionError::Reference`] and [`LogSessionError::Resolve`], which say what there is instead.
    pub fn load(data: &DataDir, reference: &str) -> Result<LogSession, LogSessionError> {
        let reference: SessionRef = reference.parse()?;
        let session = Sessions::of(data)?.resolve(&reference, Time::now())?;
        Ok(LogSession { session, writing: Mutex::new(None), is_ours: false })
    }

    /// The newest session, if there is one.
    ///
    /// # Errors
    /// Those of the system, naming the directory.
    pub fn latest(data: &DataDir) -> Result<Option<LogSession>, LogSessionError> {
        let sessions = Sessions::of(data)?;
        let newest = sessions.newest(1, Time::now(), |_| true).into_iter().next();
        let loaded = |session| LogSession { session, writing: Mutex::new(None), is_ours: false };
        Ok(newest.map(|status| loaded(sessions.session(&status.id))))
    }

    /// How all sessions stand, newest first.
    ///
    /// # Errors
    /// Those of the system, naming the directory.
    pub fn list(data: &DataDir) -> Result<Vec<Status>, LogSessionError> {
        Ok(Sessions::of(data)?.statuses(Time::now()))
    }

    /// Those that are being written, newest first.
    ///
    /// # Errors
    /// Those of [`LogSession::list`].
    pub fn running(data: &DataDir) -> Result<Vec<Status>, LogSessionError> {
        Ok(Sessions::of(data)?.newest(usize::MAX, Time::now(), Status::is_live))
    }

    /// Deletes what the limits do not keep, but nothing that is being written.
    ///
    /// # Errors
    /// Those of the system, naming the directory.
    pub fn cleanup(data: &DataDir, limits: &Limits) -> Result<Report, LogSessionError> {
        let now = Time::now();
        let plan = retention::plan(&retention::survey(data, now)?, limits, now);
        Ok(retention::apply(data, &plan, now)?)
    }

    /// The session's directory and metadata; what a [`LogStreamer`](crate::docker::streamer::LogStreamer) wants.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.session.status(Time::now())
    }

    /// Adds a service whose output the caller hands over. It has a text log of its own, `<name>.log`.
    ///
    /// # Errors
    /// Those of the system; [`ServicesError::TooMany`]; [`FilesError::AlreadyEnded`].
    pub fn add_service(&self, name: &str) -> Result<ServiceLog<'_>, LogSessionError> {
        let mut writing = self.writing();
        let writing = match &mut *writing {
            Some(writing) => writing,
            none => none.insert(Writing::start(&self.session)?),
        };
        let (run, id) = writing.add(&self.session, name)?;
        let written = Arc::new(Mutex::new((writing.writer.feed(id), 0)));
        let output = |stream| Output { stream, written: Arc::clone(&written) };
        let outputs = [output(Stream::Stdout), output(Stream::Stderr)];
        Ok(ServiceLog { session: self, run, outputs })
    }

    /// Makes all that was handed over so far for services survive a power cut.
    ///
    /// # Errors
    /// [`ServicesError::NotDurable`], [`ServicesError::WriterGone`].
    pub fn flush(&self) -> Result<(), LogSessionError> {
        self.writing().as_ref().map_or(Ok(()), |writing| Ok(writing.writer.flush()?))
    }

    /// Ends the session, and before it the services that have not ended. A streamer that follows into it is to be stopped first.
    ///
    /// # Errors
    /// [`FilesError::AlreadyEnded`]; [`LogSessionError::NotWhole`], when it has ended all the same.
    pub fn finalize(mut self, outcome: Outcome) -> Result<Status, LogSessionError> {
        self.is_ours = false;
        self.end(outcome)?;
        Ok(self.status())
    }

    fn end(&self, outcome: Outcome) -> Result<(), LogSessionError> {
        let writing = self.writing().take();
        let (noted, trouble) = writing.map_or((Ok(()), None), |writing| writing.end(&self.session));
        let ended = self.session.end(&ended(outcome, Time::now()));
        noted.and(ended.map_err(LogSessionError::from))?;
        trouble.map_or(Ok(()), |why| Err(LogSessionError::NotWhole { why }))
    }

    fn writing(&self) -> MutexGuard<'_, Option<Writing>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogSession {
    fn drop(&mut self) {
        if self.is_ours {
            let outcome = if thread::panicking() { Outcome::Failed } else { Outcome::Interrupted };
            // Nobody is left to be told; what was captured stays, and whoever looks sees what is missing.
            let _ = self.end(outcome);
        }
    }
}

impl Writing {
    fn start(session: &Session) -> Result<Writing, LogSessionError> {
        let boom = boom::Writer::create_in(session.dir(), "records", boom::Options::default());
        let boom = boom.map_err(FilesError::from)?;
        let name = boom.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What goes wrong is told at the end.
        let writer = ServiceWriter::start(boom, Box::new(|_| {})).map_err(LogSessionError::Start)?;
        Ok(Writing { writer, boom: name, services: Vec::new() })
    }

    fn add(&mut self, session: &Session, name: &str) -> Result<(RunId, ServiceId), LogSessionError> {
        self.writer.room_for_one()?;
        let now = Time::now();
        let (file, text) = session.claim_named(name)?;
        let writer = TextWriter::new(file, &session.dir().join(&text));
        let parent = Some(session.meta()?.run.id);
        let run = Run { parent, ..started(RunId::new(now), Kind::Service, name.to_owned(), now) };
        let id = run.id;
        session.add_run(RunMeta { text: Some(text), boom: Some(self.boom.clone()), ..RunMeta::new(run) })?;
        let service = self.writer.add(NewService::new(id, writer))?;
        self.writer.begin(service, Source::new(ContainerId::default(), SourceKind::Attached));
        self.services.push((id, service));
        note(session, id, now, What::Start { name: name.to_owned() });
        Ok((id, service))
    }

    /// Ends a service, if it has not ended.
    fn end_service(&mut self, session: &Session, run: RunId, end: &RunEnd) -> Result<Counts, LogSessionError> {
        let Some(at) = self.services.iter().position(|(known, _)| *known == run) else { return Ok(Counts::default()) };
        let (_, service) = self.services.swap_remove(at);
        let counts = self.writer.end(service, end.clone()).wait()?.counts;
        let Counts { lines, errors, lost, .. } = counts;
        let (outcome, exit_code, signal) = (end.outcome, end.exit_code, end.signal);
        note(session, run, end.ended_at, What::End { outcome, exit_code, signal, lines, errors, lost });
        session.end_run(run, end, counts)?;
        Ok(counts)
    }

    /// Ends all; tells what could not be noted, and why not everything was kept.
    fn end(mut self, session: &Session) -> (Result<(), LogSessionError>, Option<String>) {
        let (end, mut noted) = (ended(Outcome::Interrupted, Time::now()), Ok(()));
        for (run, _) in self.services.clone() {
            noted = noted.and(self.end_service(session, run, &end).map(drop));
        }
        (noted, self.writer.finish().trouble)
    }
}

/// Adds to the timeline. Where there is no room for an event there is none for records either, and those are counted.
fn note(session: &Session, run: RunId, time: Time, what: What) {
    let _ = timeline::append(session.dir(), &[timeline::Event { time, run, what }]);
}

/// A service of a [`LogSession`], whose output the caller hands over. Dropped without an end it ends with the session.
#[derive(Debug)]
pub struct ServiceLog<'a> {
    session: &'a LogSession,
    run: RunId,
    outputs: [Output; 2],
}

impl ServiceLog<'_> {
    /// Its run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Takes what the service prints on stdout. It can be cloned, and given to a thread.
    pub fn stdout(&mut self) -> &mut Output {
        &mut self.outputs[0]
    }

    /// Takes what the service prints on stderr.
    pub fn stderr(&mut self) -> &mut Output {
        &mut self.outputs[1]
    }

    /// Ends it behind all that was handed over; tells what it came to.
    ///
    /// # Errors
    /// Those of the system; [`ServicesError::WriterGone`].
    pub fn end(self, outcome: Outcome) -> Result<Counts, LogSessionError> {
        self.end_as(&ended(outcome, Time::now()))
    }

    /// The same, with an exit code or signal.
    ///
    /// # Errors
    /// Those of [`ServiceLog::end`].
    pub fn end_as(self, end: &RunEnd) -> Result<Counts, LogSessionError> {
        let mut writing = self.session.writing();
        writing
            .as_mut()
            .map_or(Ok(Counts::default()), |writing| writing.end_service(&self.session.session, self.run, end))
    }
}

/// One stream of a service. What is written has the time of the call; a line may take several. Waits while the writer has more
/// than [`BYTES_MAX`](crate::services::BYTES_MAX) to write; never fails. It is in the files some milliseconds later, and survives a
/// power cut after [`LogSession::flush`].
#[derive(Clone, Debug)]
pub struct Output {
    stream: Stream,
    /// Both streams' way to the writer, and how many pieces went it.
    written: Arc<Mutex<(Feed, u64)>>,
}

/// So much is one piece.
const PIECE_BYTES_MAX: usize = 64 << 10;

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(PIECE_BYTES_MAX)];
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let (feed, count) = &mut *written;
        let place = |offset| Place { part: 0, offset };
        let len = bytes.len() as u32; // at most PIECE_BYTES_MAX
        let piece = Piece { stream: self.stream, len, origin_time_ns: None, at: place(*count) };
        *count += 1;
        let (time, bytes, pieces, reached) = (Time::now(), bytes.to_vec(), vec![piece], place(*count));
        // A writer that has gone is told of at the end.
        let _ = feed.push(Delivery { time, bytes, pieces, reached, file: None });
        Ok(len as usize)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

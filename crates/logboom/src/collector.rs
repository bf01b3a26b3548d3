//! The collector that a program holds: its builder, and its handle.

use std::{
    env,
    ffi::OsString,
    fmt::{self, Display},
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
};

use arc_swap::ArcSwap;
use log::LevelFilter;
use logboom_boom as boom;
use logboom_files::{DataDir, FilesError, Session, session::NewSession, textlog::TextWriter};
use logboom_record::{Level, RunId, SessionId, Time};

use crate::{
    ack::Ack,
    dispatch::{self, BoundTask, BoundThread},
    error::{AlreadyInstalled, CollectorError},
    filter::Filter,
    fork,
    inner::{Inner, is_writer},
    journal::{Journal, entry},
    lines,
    live::Live,
    output::NewFile,
    private::{Call, Slot, Takes},
    queue::OnFull,
    recover::recover_newest,
    ring::{Clock, ClockAnchor, Drain, Generation, RingFile, Waker},
    stats::Stats,
    writer::{Request, Start, Writer},
};

/// The first session file, for what is logged before there is another.
const FIRST: &str = "collector.log";

/// How many session files may wait to be written to.
const SWITCHES_BEHIND_MAX: u32 = 64;

/// Says how a collector is to be; see [`LogCollector::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    dir: PathBuf,
    name: Option<String>,
    filter: Filter,
    on_full: OnFull,
    live: Option<Live>,
    boom: bool,
    new_session: bool,
    queue_only: bool,
}

impl Builder {
    /// What the session is called; the program's name unless given.
    pub fn name(self, name: impl Into<String>) -> Builder {
        Builder { name: Some(name.into()), ..self }
    }

    /// The most detailed level that is taken from the facades; all that they pass on unless given.
    pub fn level(mut self, level: LevelFilter) -> Builder {
        self.filter.set_level(level);
        self
    }

    /// The same for a target and those below it (`app`, `app::db`); of several that fit the longest decides.
    pub fn target(mut self, target: impl Into<String>, level: LevelFilter) -> Builder {
        self.filter.set_target(target.into(), level);
        self
    }

    /// Takes from the facades only what threads and tasks log that are bound to this collector.
    pub fn bound_only(mut self) -> Builder {
        self.filter.bound_only = true;
        self
    }

    /// What to do with a record that finds the buffer full: to wait, unless given.
    pub fn on_full(self, on_full: OnFull) -> Builder {
        Builder { on_full, ..self }
    }

    /// Sends a copy of every record there as it is written.
    pub fn live(self, live: impl Into<Live>) -> Builder {
        Builder { live: Some(live.into()), ..self }
    }

    /// Writes the text logs alone: less work, and no fields beside the messages.
    pub fn text_only(self) -> Builder {
        Builder { boom: false, ..self }
    }

    /// Hands records to the writer by a queue in memory alone, as on machines without what rings need: a killed program loses what
    /// it had not written yet.
    pub fn queue_only(self) -> Builder {
        Builder { queue_only: true, ..self }
    }

    /// Opens a session of its own also where the program is part of a captured run.
    pub fn new_session(self) -> Builder {
        Builder { new_session: true, ..self }
    }

    /// Opens the session and its first file, and starts the writer. What is logged from now on is kept.
    ///
    /// # Errors
    /// [`CollectorError::Files`] names the directory or file that cannot be made; [`CollectorError::Thread`].
    pub fn build(self) -> Result<LogCollector, CollectorError> {
        fork::watch();
        let around = || if self.new_session { None } else { Around::of_environment(&|name| env::var_os(name)) };
        recover_newest(&around().map_or_else(|| DataDir::at(&self.dir), |around| around.data));
        // Asked again: the session around it may have ended with the last run that was recovered.
        let Opened { session, parent, boom, first } = self.open(around(), Time::now())?;
        let path = session.dir().join(&first.file_name);
        let boom_name = boom.as_ref().map(|boom| file_name(boom.path()));
        let (waker, clock) = (Arc::new(Waker::new()), ClockAnchor::new(Clock::detect()));
        let generation = first.as_generation(boom_name.clone());
        let rings = if self.queue_only { None } else { rings_of(&path, &generation, &clock, &waker) };
        let (file, drain) = rings.unzip();
        let inner = match self.queue_only {
            true => Inner::queue_only(self.filter, self.on_full, Arc::clone(&waker)),
            false => Inner::new(self.filter, self.on_full, file, Arc::clone(&waker)),
        };
        let inner = Arc::new(inner);
        let journal = Journal::new(session.clone(), parent);
        let shared = Arc::clone(&inner);
        let start = Start { inner: shared, journal, boom, first, live: self.live, drain, clock, waker };
        let writer = Writer::new(start)?;
        let thread = std::thread::Builder::new().name(format!("logboom {}", inner.id));
        let thread = thread.spawn(move || writer.run()).map_err(CollectorError::Thread)?;
        dispatch::register(&inner);
        let (path, switching, thread) = (ArcSwap::from_pointee(path), Mutex::new(()), Some(thread));
        Ok(LogCollector(Arc::new(Handle { inner, session, boom_name, path, switching, thread })))
    }

    fn open(&self, around: Option<Around>, now: Time) -> Result<Opened, CollectorError> {
        if let Some(Around { session, parent, .. }) = around {
            let (boom, first) = self.claim(&session, now)?;
            match session.add_run(entry(&first, parent, boom.as_ref())) {
                Ok(()) => return Ok(Opened { session, parent, boom, first }),
                // By somebody else, just now. That the two empty files stay harms nobody.
                Err(FilesError::AlreadyEnded { .. }) => {
                    let _ = fs::remove_file(session.dir().join(&first.file_name));
                    boom.iter().for_each(|boom| drop(fs::remove_file(boom.path())));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let name = self.name.clone().unwrap_or_else(program);
        let new = NewSession { name, labels: Default::default(), open: false, user: None, now };
        let (session, (parent, boom, first)) = Session::create_with(&DataDir::at(&self.dir), new, |session, meta| {
            let (boom, first) = self.claim(session, now)?;
            meta.runs.push(entry(&first, meta.run.id, boom.as_ref()));
            Ok::<_, CollectorError>((meta.run.id, boom, first))
        })?;
        Ok(Opened { session, parent, boom, first })
    }

    fn claim(&self, session: &Session, now: Time) -> Result<(Option<boom::Writer>, NewFile), CollectorError> {
        let first = open_file(session, FIRST, 1, self.boom, now)?;
        let boom = match self.boom {
            true => {
                Some(boom::Writer::create_in(session.dir(), "records", boom::Options::default()).map_err(boom_error)?)
            }
            false => None,
        };
        Ok((boom, first))
    }
}

/// Everything that was opened for a new collector.
struct Opened {
    session: Session,
    parent: RunId,
    boom: Option<boom::Writer>,
    first: NewFile,
}

/// The captured run that the program is part of.
struct Around {
    data: DataDir,
    session: Session,
    parent: RunId,
}

impl Around {
    /// The one that the environment names, if it still goes on.
    fn of_environment(env: &dyn Fn(&str) -> Option<OsString>) -> Option<Around> {
        let text = |name: &str| env(name)?.into_string().ok();
        let id: SessionId = text("LOGBOOM_SESSION")?.parse().ok()?;
        let data = DataDir::at(env("LOGBOOM_DIR")?);
        let session = Session::open(&data.session(&id)).ok()?;
        let meta = session.meta().ok().filter(|meta| meta.run.end.is_none())?;
        let parent = text("LOGBOOM_RUN").and_then(|run| run.parse().ok()).unwrap_or(meta.run.id);
        Some(Around { data, session, parent })
    }
}

/// Opens a session file. Without a boom file its lock tells readers that it is being written.
fn open_file(session: &Session, name: &str, generation: u32, boom: bool, now: Time) -> Result<NewFile, CollectorError> {
    let (file, file_name) = session.claim_named(name)?;
    let text = TextWriter::new(file, &session.dir().join(&file_name));
    if !boom {
        text.hold_lock()?;
    }
    Ok(NewFile { generation, run: RunId::new(now), name: name.to_owned(), file_name, text, time: now })
}

/// The rings of a new collector; without them, where the disk or the machine refuses, all goes by the queue, and is waited for.
fn rings_of(path: &Path, first: &Generation, clock: &ClockAnchor, waker: &Arc<Waker>) -> Option<(RingFile, Drain)> {
    let mut ring = path.as_os_str().to_owned();
    ring.push(".ring");
    let (file, drain) = RingFile::create(Path::new(&ring), clock, Arc::clone(waker)).ok()?;
    if file.add_generation(first).is_err() {
        // It is empty, and a recovery removes it too.
        let _ = file.remove();
        return None;
    }
    Some((file, drain))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn boom_error(error: boom::BoomError) -> CollectorError {
    CollectorError::Files(error.into())
}

/// The program's name.
fn program() -> String {
    let path = env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(|| "program".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Takes log calls from any thread, and keeps them in the session files of a directory.
///
/// A clone is another handle of the same collector. When the last one goes, what was logged is written and synced, and the
/// session ends. Every call returns at once unless the buffer is full; none fails: what cannot be kept is counted, is a gap
/// in the file where there is room again, and is in [`LogCollector::stats`].
///
/// ```
/// # fn main() -> Result<(), logboom::CollectorError> {
/// # let dir = tempfile::tempdir().unwrap();
/// let collector = logboom::LogCollector::builder(dir.path()).build()?;
/// let path = collector.start_new_session_blocking("a.log")?;
/// collector.log_str("ready");
/// collector.flush()?;
/// assert!(std::fs::read_to_string(path).unwrap().ends_with(" S I ready\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LogCollector(Arc<Handle>);

struct Handle {
    inner: Arc<Inner>,
    session: Session,
    boom_name: Option<String>,
    /// The file that is written now. Read without a lock: a forked child would wait for ever for one that was held at the fork.
    path: ArcSwap<PathBuf>,
    /// Held while a file is opened, and the generation counted on.
    switching: Mutex<()>,
    thread: Option<JoinHandle<()>>,
}

impl LogCollector {
    /// A collector whose sessions are in the data directory `dir`. A program that is part of a captured run adds its files to the
    /// session around it instead, unless told [`Builder::new_session`].
    pub fn builder(dir: impl Into<PathBuf>) -> Builder {
        Builder {
            dir: dir.into(),
            name: None,
            filter: Filter::default(),
            on_full: OnFull::default(),
            live: None,
            boom: true,
            new_session: false,
            queue_only: false,
        }
    }

    /// A collector with all defaults that sends copies of its records to `live`.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(dir: impl Into<PathBuf>, live: impl Into<Live>) -> Result<LogCollector, CollectorError> {
        LogCollector::builder(dir).live(live).build()
    }

    /// Its number in the process, from 1.
    pub fn id(&self) -> u64 {
        self.0.inner.id
    }

    /// The session's directory.
    pub fn dir(&self) -> &Path {
        self.0.session.dir()
    }

    /// The session's id.
    pub fn session_id(&self) -> &SessionId {
        self.0.session.id()
    }

    /// The session file that is written now.
    pub fn path(&self) -> PathBuf {
        self.0.path.load().to_path_buf()
    }

    /// Has the records of the `log` facade, up to `level`, go to every live collector of the process that wants them.
    ///
    /// # Errors
    /// [`AlreadyInstalled`], which is harmless where it is `ours`.
    pub fn init_global_logger(&self, level: LevelFilter) -> Result<(), AlreadyInstalled> {
        dispatch::install(level)
    }

    /// Opens another session file, and returns its path: `name`, with `.log` at its end and `_` for what is fit for no file
    /// name; with a number where the name is taken. What was logged before goes to the file before, what is logged after
    /// this returns to the new one. Does not wait for what has yet to be written, unless 64 files wait
    /// already.
    ///
    /// # Errors
    /// [`CollectorError::Files`] if the file cannot be made, and everything stays as it was; [`CollectorError::Ended`].
    pub fn start_new_session_blocking(&self, name: &str) -> Result<PathBuf, CollectorError> {
        let Handle { inner, session, boom_name, .. } = &*self.0;
        if inner.is_forked() {
            return Err(CollectorError::Ended);
        }
        self.wait_for_switches()?;
        let _switching = self.0.switching.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = inner.generation.load(Ordering::Relaxed) + 1;
        let new = open_file(session, name, generation, boom_name.is_some(), Time::now())?;
        let path = session.dir().join(&new.file_name);
        if let Some(file) = inner.ring_file() {
            let added = file.add_generation(&new.as_generation(boom_name.clone()));
            if added.is_err() {
                // It is empty, and nobody knows of it.
                let _ = fs::remove_file(&path);
            }
            added?;
        }
        if !inner.queue.ask(Request::Switch(Some(Box::new(new)))) {
            // The empty file stays: the table of the rings knows it, and a recovery looks for it.
            return Err(CollectorError::Ended);
        }
        // After the request: whoever sees the new number comes behind it in the queue.
        inner.generation.store(generation, Ordering::Release);
        self.0.path.store(Arc::new(path.clone()));
        Ok(path)
    }

    /// Waits for the writer when it is very many switches behind, for each holds an open file.
    fn wait_for_switches(&self) -> Result<(), CollectorError> {
        let asked = self.0.inner.generation.load(Ordering::Relaxed);
        if asked.saturating_sub(self.0.inner.stats.generation()) >= SWITCHES_BEHIND_MAX && !is_writer() {
            self.0.inner.ask(Request::Write)?.wait();
        }
        Ok(())
    }

    /// The same in async code; it is one open(2), and waits for nothing.
    ///
    /// # Errors
    /// As [`LogCollector::start_new_session_blocking`].
    pub async fn start_new_session(&self, name: &str) -> Result<PathBuf, CollectorError> {
        self.start_new_session_blocking(name)
    }

    /// Logs a ready line. Its level is told from its head, as that of a captured line.
    pub fn log_str(&self, line: &str) {
        self.0.inner.log_bytes(None, line.as_bytes());
    }

    /// Logs a message at a level.
    pub fn log_at(&self, level: Level, message: impl Display) {
        self.0.inner.log_args(level, format_args!("{message}"));
    }

    /// Logs a record of the `log` facade here, whatever the filters say.
    pub fn log(&self, record: &log::Record<'_>) {
        self.0.inner.log_record(record);
    }

    /// Logs a message, and how much of the work is done: `copying [3/10, 30 %]`.
    pub fn log_with_progress(&self, level: Level, message: impl Display, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        self.0.inner.log_args(level, format_args!("{message} [{done}/{total}, {percent} %]"));
    }

    /// Makes everything that any thread logged before this call survive a power cut.
    ///
    /// # Errors
    /// [`CollectorError::Failing`] if not all of it is kept, [`CollectorError::Ended`], [`CollectorError::OwnWriter`].
    pub fn flush(&self) -> Result<(), CollectorError> {
        self.0.inner.flush()
    }

    /// The same for async code, in any runtime.
    ///
    /// # Errors
    /// As [`LogCollector::flush`].
    pub async fn wait_for_empty(&self) -> Result<(), CollectorError> {
        self.0.inner.ask(Request::Flush)?.await.unwrap_or(Err(CollectorError::Ended))
    }

    /// The last lines of the current session file, oldest first, as they stand in the text log; those included that were
    /// logged just now. Reads the end of the file only.
    ///
    /// # Errors
    /// [`CollectorError::Files`] if the file cannot be read, [`CollectorError::Ended`], [`CollectorError::OwnWriter`].
    pub fn last_lines(&self, count: usize) -> Result<Vec<String>, CollectorError> {
        let written: Ack<()> = self.0.inner.ask(Request::Write)?;
        written.wait().ok_or(CollectorError::Ended)?;
        let path = self.path();
        Ok(lines::last_lines(&path, count).map_err(logboom_files::FilesError::at("read", &path))?)
    }

    /// How it does.
    pub fn stats(&self) -> Stats {
        self.0.inner.stats.read()
    }

    /// Binds this thread: what it logs through the facades goes to this collector, and to no other that it is not bound to.
    pub fn bind_thread(&self) -> BoundThread {
        dispatch::bind(self.id())
    }

    /// Binds a task, on whichever threads it runs.
    pub fn bind_task<F: Future>(&self, task: F) -> BoundTask<F> {
        dispatch::bind_task(self.id(), task)
    }
}

/// Macros log here whatever the filters of the facades say.
impl Takes for LogCollector {
    #[inline]
    fn enabled(&self, _level: Level, _target: &'static str) -> bool {
        true
    }

    #[inline]
    fn take<F: Fn(&mut Slot<'_>)>(&self, call: Call<F>) {
        self.0.inner.log_call(&call);
    }
}

impl fmt::Debug for LogCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogCollector").field("id", &self.id()).field("dir", &self.dir()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        dispatch::unregister(self.inner.id);
        if self.inner.is_forked() {
            return;
        }
        self.inner.queue.ask(Request::Close);
        // A writer waits for none, for that one may wait for it.
        if let Some(thread) = self.thread.take().filter(|_| !is_writer()) {
            // A writer that panicked has said so itself, and its queue takes nothing any more.
            let _ = thread.join();
        }
    }
}

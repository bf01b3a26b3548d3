//! Runs a command, captures what it prints and passes it on, and changes nothing else about it.
//!
//! The command stays in our process group and keeps its standard input, controlling terminal and job control. Each of
//! its output streams has a thread of its own, which reads, gives the bytes to the [`OutputSink`] and then passes them
//! on, so that a slow reader of one stream slows that stream alone, as it would without us. The calling thread watches:
//! the command's end, signals to be forwarded, the time-out, the drain.
//! The hard part is what happens at the edges: who hears which signal, when a stream has ended, who is still alive.
//! Two things cannot be seen and are therefore not kept: SIGPIPE ignored by whoever starts us (Rust programs start by
//! ignoring it; the command gets the default), and that a signal which a process sent to our whole group has already
//! reached the command (it then hears it twice). Lines, records and files are not known here.

mod descendants;
mod input;
mod relay;
mod rhythm;
mod signals;
mod spawn;
mod watch;

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use logboom_files::config::Drain;
use logboom_record::{Stream, Time};
pub use relay::write_all;
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, child_subreaper, getpid, set_child_subreaper, set_dumpable_behavior,
    setrlimit,
};
use signal_hook::low_level;
pub use signals::is_ignored;

use self::{
    signals::Signals,
    spawn::Wires,
    watch::{Surroundings, Watch},
};
use crate::{open_files::OpenFiles, pty::RawMode};

/// Takes what a command prints. Called by one thread per stream, for each stream in the order of its bytes.
pub trait OutputSink: Send + Sync {
    /// The command runs; called once, before any byte.
    fn started(&self, _pid: u32, _time: Time) {}
    /// Takes bytes that one read brought at `time`. May block: the command then waits, as it does for a slow reader.
    fn push(&self, stream: Stream, time: Time, bytes: &[u8]);
    /// Nothing more comes from this stream.
    fn end(&self, stream: Stream);
}

/// When the command's output goes through a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tty {
    /// Each of stdout and stderr that is a terminal of ours becomes one of the command's own; the others are pipes.
    #[default]
    Auto,
    /// Both streams are terminals.
    Always,
    /// Both streams are pipes.
    Never,
    /// One full terminal for input and output, the streams merged as stdout, the command in a session of its own.
    Full,
}

/// What becomes of the output after it was captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassThrough {
    /// It is passed on; when nobody reads it any more the command's stream is closed, too.
    #[default]
    Attached,
    /// It is passed on; when nobody reads it any more it is only captured.
    Detachable,
    /// It is only captured.
    Quiet,
}

/// How long a command and all its descendants may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// From the start to SIGTERM.
    pub after: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

/// Whether the keys of the terminal are the command's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// It is in our process group, and has our standard input.
    #[default]
    Ours,
    /// It has a process group of its own, and no input. Signals that reach us are not passed on to it, unless
    /// [`Spec::stop_grace`] has them end it.
    Own,
}

/// A command and how it is to be run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What to run: a path, or a name to be found in PATH.
    pub program: OsString,
    /// Its arguments, without its name.
    pub args: Vec<OsString>,
    /// Variables added to the environment that it inherits.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs; where we do if left out.
    pub cwd: Option<PathBuf>,
    /// Whether the keys of the terminal are its.
    pub group: Group,
    /// How long it and its descendants may take to end once we are told to end (SIGHUP, SIGINT, SIGTERM); then they are killed. If
    /// left out a signal is passed on to the command, which does with it what it likes.
    pub stop_grace: Option<Duration>,
    /// Where a signal that came before stands, by its number; 0 for none. The command hears it as if it came then.
    pub told: Option<Arc<AtomicUsize>>,
    /// When its output goes through a terminal.
    pub tty: Tty,
    /// Where its output goes besides the sink.
    pub pass_through: PassThrough,
    /// How long it may take; for ever if left out.
    pub time_limit: Option<TimeLimit>,
    /// How long to read on after its end.
    pub drain: Drain,
    /// The limit of open files that it is to have; ours if left out.
    pub open_files: Option<OpenFiles>,
}

impl Spec {
    /// Runs `program` as a shell would: all else at its default, streams left open drained for two seconds.
    pub fn new(program: impl Into<OsString>) -> Spec {
        Spec {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            group: Group::Ours,
            stop_grace: None,
            told: None,
            tty: Tty::default(),
            pass_through: PassThrough::default(),
            time_limit: None,
            drain: Drain::For(Duration::from_secs(2)),
            open_files: None,
        }
    }
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// A signal that reached logboom while the command ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Whether it was forwarded; one that the terminal sent reached the command without us.
    pub forwarded: bool,
    /// When.
    pub time: Time,
}

/// Why a stream was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutWhy {
    /// A descendant still had it open when the drain was over.
    DrainOver,
    /// A signal told us to stop draining.
    Interrupted,
    /// The one who reads our output took nothing more after the time-out or a signal.
    Stalled,
}

/// What became of passing a stream on.
#[derive(Debug)]
pub enum Passed {
    /// All that was captured was passed on, or none was to be.
    All,
    /// Nobody read it any more (EPIPE); the rest was only captured, or the command's stream was closed.
    Closed,
    /// Passing on failed (a full disk, a terminal that is gone); the rest was only captured.
    Failed(io::Error),
}

/// A descendant that outlived the time-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Its process id.
    pub pid: i32,
    /// The name of its program.
    pub program: String,
}

/// What is known about a command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended. One that the time-out could not end is among the survivors, and called killed here.
    pub status: Status,
    /// When it was started.
    pub started_at: Time,
    /// When it ended itself; what its descendants did later is not in this.
    pub ended_at: Time,
    /// When the time limit was reached, by the command or by what it left behind.
    pub timed_out: Option<Time>,
    /// Descendants that the time-out could not end: not ours to signal, or stuck in the kernel.
    pub survivors: Vec<Survivor>,
    /// The streams that were not read to their end.
    pub cut: Vec<(Stream, CutWhy)>,
    /// Signals that reached us while it ran, the first 64 of them.
    pub signals: Vec<Received>,
    /// What became of passing on each stream that was captured; a stalled one is not among them.
    pub passed: Vec<(Stream, Passed)>,
    /// Whether what was passed on to a terminal last did not end a line.
    pub mid_line: bool,
}

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such program (a shell says 127).
    #[error("{program} was not found")]
    NotFound {
        /// The program as it was given.
        program: String,
    },
    /// The program is there and cannot be run (a shell says 126).
    #[error("{program} cannot be run")]
    NotExecutable {
        /// The program as it was given.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was to run in a directory that is none.
    #[error("{program} cannot be run in {}: there is no such directory", dir.display())]
    NoSuchDir {
        /// The program as it was given.
        program: String,
        /// The directory.
        dir: PathBuf,
    },
    /// The system refused something else that was needed; nothing runs.
    #[error("cannot {action}")]
    Other {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl CommandError {
    /// What a shell's `$?` would be: 127 not found, 126 not executable, 125 for failures of our own.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::NotFound { .. } => 127,
            CommandError::NotExecutable { .. } => 126,
            CommandError::NoSuchDir { .. } | CommandError::Other { .. } => 125,
        }
    }
}

/// Runs the command to its end, giving all it prints to `sink`.
///
/// One at a time in a process, whose other children must not be waited for meanwhile: every child of the process is
/// reaped, and those that appear are taken for descendants of the command.
///
/// # Errors
/// [`CommandError`] if it could not be started. Once it runs there is no error, only a [`Finished`] that says what was lost.
pub fn run(spec: &Spec, sink: Arc<dyn OutputSink>) -> Result<Finished, CommandError> {
    let adoption = Adoption::begin()?;
    let strangers = descendants::children_of_ours();
    let signals = Signals::watch(spec.tty).map_err(failed("watch signals"))?;
    // What comes from now on is heard there.
    let told = spec.told.as_ref().map_or(0, |told| told.load(Ordering::Relaxed));
    let wires = Wires::lay(spec)?;
    let raw = RawMode::enter_if(spec.tty == Tty::Full);
    let running = spawn::spawn(spec, wires)?;
    sink.started(running.pid.as_raw_nonzero().get().unsigned_abs(), running.started_at);
    let told = i32::try_from(told).ok().filter(|signal| *signal != 0);
    let around = Surroundings { signals, told, strangers, raw, sink };
    let finished = Watch::new(spec, running, around).map(Watch::until_over);
    drop(adoption);
    finished
}

/// Ends this process by `signal`, as the command was ended, and without a core file of its own.
///
/// Returns only if the signal cannot end a process; the caller then exits with 128 + `signal`.
pub fn die_of(signal: i32) {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    // Each call may fail without harm: the caller's exit code says the same.
    let _ = setrlimit(Resource::Core, no_core);
    // Where cores are piped to a program the limit is not asked.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = low_level::emulate_default_handler(signal).or_else(|_unknown| low_level::raise(signal));
}

/// While it lives, orphaned descendants become our children instead of init's, so that they can be found.
struct Adoption {
    before: Option<Pid>,
}

impl Adoption {
    fn begin() -> Result<Adoption, CommandError> {
        let action = "become the reaper of the command's descendants";
        let before = child_subreaper().map_err(failed(action))?;
        set_child_subreaper(Some(getpid())).map_err(failed(action))?;
        Ok(Adoption { before })
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        // Being a reaper for longer does no harm.
        let _ = set_child_subreaper(self.before);
    }
}

fn failed<E: Into<io::Error>>(action: &'static str) -> impl Fn(E) -> CommandError {
    move |source| CommandError::Other { action, source: source.into() }
}

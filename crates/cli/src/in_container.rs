//! Runs a command in a container and records it: what `exec --container` does.
//!
//! The engine carries the streams, so that nothing of `command` fits: there is no process of ours, no signal reaches the
//! command, and its exit code is all that is known of its end. A signal that ends us leaves the command in its container.

use std::{
    ffi::OsString,
    io,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use logboom_capture::{
    RawMode,
    command::{OutputSink, is_ignored, write_all},
    docker::exec::{Ended, InContainer, Resizer, Running},
    engine::{ExecConfig, Input},
    masks::SharedMasks,
};
use logboom_files::config::Config;
use logboom_record::{Level, Outcome, RunEnd, Stream, Time};
use rustix::{
    io::{Errno, read},
    stdio::{stderr, stdin, stdout},
    termios::{Winsize, isatty, tcgetwinsize},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGWINCH},
    iterator::Signals,
};

use crate::{
    exit::{Exit, WRAPPER_FAILED},
    options::{EngineAt, Keeping, Naming},
    place,
    recording::{NewRun, Recording, Role, Target, Unrecorded, warn},
    say::{self, tell},
    supervise::not_passed_on,
};

const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
const INPUT_BYTES: usize = 64 << 10;

/// In which container a command is to run, and how.
#[derive(clap::Args, Clone)]
#[command(mut_arg("host", |host| host.requires("container").help_heading("In a container")))]
pub struct Inside {
    /// Run it in this container that runs: its name, its id, or the first digits of that
    #[arg(
        long, value_name = "CONTAINER", help_heading = "In a container",
        conflicts_with_all = ["tty", "pty", "timeout", "grace", "detach_output", "drain"]
    )]
    container: Option<String>,
    /// Give the command a terminal; both streams become one
    #[arg(short = 't', requires = "container", help_heading = "In a container")]
    terminal: bool,
    /// Pass standard input on to the command
    #[arg(short = 'i', requires = "container", help_heading = "In a container")]
    input: bool,
    /// Set a variable in the command's environment (may be given more than once)
    #[arg(
        short = 'e',
        long = "env",
        value_name = "NAME=VALUE",
        requires = "container",
        help_heading = "In a container"
    )]
    env: Vec<String>,
    /// Run it as this user: name or number, and :group
    #[arg(short, long, value_name = "USER", requires = "container", help_heading = "In a container")]
    user: Option<String>,
    /// Run it in this directory
    #[arg(short, long, value_name = "DIR", requires = "container", help_heading = "In a container")]
    workdir: Option<String>,
    #[command(flatten)]
    engine: EngineAt,
}

impl Inside {
    /// The container, if there is to be one.
    pub fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// What its environment gains.
    pub fn variables(&self) -> Vec<(String, String)> {
        let all = self.env.iter().filter_map(|variable| variable.split_once('='));
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn config(&self, words: &[OsString]) -> Result<ExecConfig> {
        let word =
            |word: &OsString| word.to_str().map(str::to_owned).context("the engine takes no word that is not UTF-8");
        Ok(ExecConfig {
            cmd: words.iter().map(word).collect::<Result<_>>()?,
            env: self.env.iter().map(|variable| with_value(variable)).collect(),
            user: self.user.clone().unwrap_or_default(),
            working_dir: self.workdir.clone().unwrap_or_default(),
            tty: self.terminal,
            stdin: self.input,
            size: our_size().filter(|_| self.terminal).map(|size| [size.ws_row, size.ws_col]),
        })
    }
}

/// A variable without a value has that of our own environment, as for `docker exec`.
fn with_value(variable: &str) -> String {
    match (variable.contains('='), std::env::var(variable)) {
        (false, Ok(value)) => format!("{variable}={value}"),
        _ => variable.to_owned(),
    }
}

/// A command to run in a container.
pub struct InsideRun<'a> {
    /// Where.
    pub inside: &'a Inside,
    /// What it is called.
    pub naming: &'a Naming,
    /// What is kept of it.
    pub keeping: &'a Keeping,
    /// What is not kept.
    pub masks: SharedMasks,
    /// The command.
    pub words: &'a [OsString],
}

impl InsideRun<'_> {
    /// Runs it in the container and gives the exit that is its.
    ///
    /// # Errors
    /// Where nothing was run: there is no such container, or it does not run.
    pub fn run(self, container: &str, config: &Config, target: Target, now: Time) -> Result<Exit> {
        let (host, exec) = (self.inside.engine.host()?, self.inside.config(self.words)?);
        let ready = InContainer::create(&host, container, &exec)?;
        let recording = self.record(&ready, config, target, now);
        recording.iter().for_each(|recording| self.naming.id_file.try_write(recording));
        let name = ready.container.clone();
        let sink: Arc<dyn OutputSink> = match &recording {
            Some(recording) => recording.sink(),
            None => Arc::new(Unrecorded),
        };
        let ended = self.supervise(ready, &*sink);
        [Stream::Stdout, Stream::Stderr].into_iter().for_each(|stream| sink.end(stream));
        drop(sink);
        let (end, exit, note) = end_of(&ended, &name, self.words);
        if let Some(note) = &note {
            tell(note);
        }
        if let Some(recording) = recording {
            if let Some(note) = note {
                recording.intake().note(Time::now(), Level::Warn, note);
            }
            let session = recording.session().id().clone();
            let counts = recording.finish(&end);
            self.keeping.summarize(&session, now, &end, &counts);
        }
        place::tidy(config, Time::now());
        Ok(exit)
    }

    fn record(&self, ready: &InContainer, config: &Config, target: Target, now: Time) -> Option<Recording> {
        let known = [("container".to_owned(), ready.container.clone()), ("container_id".to_owned(), ready.id.clone())];
        let new = NewRun {
            role: Role::Command,
            program: self.words.first()?,
            words: self.words,
            name: self.naming.name.clone(),
            labels: known.into_iter().chain(self.naming.labels.iter().cloned()).collect(),
            boom: !self.keeping.no_boom,
            cwd: None,
            masks: self.masks.clone(),
            now,
        };
        let recording = Recording::start(&config.data_dir(), target, &new);
        recording.map_err(|error| warn(&error.context("this run is not captured"))).ok()
    }

    fn supervise(&self, ready: InContainer, sink: &dyn OutputSink) -> Result<Over> {
        let stop = Arc::new(AtomicI32::new(0));
        let ours = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH].into_iter();
        let ours = ours.filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP));
        let signals = Signals::new(ours).context("cannot wait for signals")?;
        let resizer = self.inside.terminal.then(|| ready.resizer());
        let raw = RawMode::enter_if(self.inside.terminal && self.inside.input);
        let running = start(ready, resizer.clone())?;
        sink.started(running.pid, Time::now());
        let (stopper, noted) = (running.stopper()?, Arc::clone(&stop));
        watch(signals, resizer, move |signal| {
            noted.store(signal, Ordering::SeqCst);
            stopper.stop();
        })?;
        if self.inside.input {
            pass_input(running.input()?)?;
        }
        let mut passing = Passing { quiet: self.keeping.quiet, failed: [None, None], mid_line: false };
        let (stopper, noted) = (running.stopper()?, Arc::clone(&stop));
        let take = |stream, bytes: &[u8]| {
            sink.push(stream, Time::now(), bytes);
            if !passing.pass_on(stream, bytes) {
                noted.store(SIGPIPE, Ordering::SeqCst);
                stopper.stop();
            }
        };
        let ended = running.read(take, || stop.load(Ordering::SeqCst) != 0);
        drop(raw);
        if passing.mid_line && self.keeping.may_speak() && isatty(stderr()) {
            say::end_line();
        }
        passing.failed.iter().flatten().for_each(|why| tell(why));
        Ok(Over { ended: ended?, signal: stop.load(Ordering::SeqCst) })
    }
}

/// How it ended, and the signal that we had.
struct Over {
    ended: Ended,
    signal: i32,
}

/// How the run ends, how we do, and what is to be said of it.
fn end_of(ended: &Result<Over>, container: &str, words: &[OsString]) -> (RunEnd, Exit, Option<String>) {
    let program = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let end = |outcome, exit_code, signal| RunEnd { ended_at: Time::now(), outcome, exit_code, signal };
    let failed =
        |code: u8, why: String| (end(Outcome::Failed, Some(i32::from(code)), None), Exit::Code(code), Some(why));
    match ended {
        Err(error) => failed(WRAPPER_FAILED, logboom_files::with_causes(error.as_ref())),
        Ok(Over { ended: Ended::NotFound(said), .. }) => {
            failed(NOT_FOUND, format!("{program} was not found in container {container} ({said})"))
        }
        Ok(Over { ended: Ended::NotExecutable(said), .. }) => {
            failed(NOT_EXECUTABLE, format!("{program} cannot be run in container {container} ({said})"))
        }
        Ok(Over { ended: Ended::Left, signal }) => {
            let note = format!(
                "stopped reading; {program} may go on in container {container}: the engine has no way to end it from outside"
            );
            (end(Outcome::Interrupted, None, Some(*signal)), Exit::Signal(*signal), Some(note))
        }
        Ok(Over { ended: Ended::Code(code), .. }) => {
            let outcome = if *code == 0 { Outcome::Passed } else { Outcome::Failed };
            let exit = Exit::Code(u8::try_from(code & 0xFF).unwrap_or(WRAPPER_FAILED));
            (end(outcome, Some(*code), None), exit, None)
        }
    }
}

/// Runs it. An engine that cannot be told the size of its terminal beforehand is told at the same time, since a command looks at it first
/// thing; it may still come too late, and is then a change of the size.
fn start(ready: InContainer, resizer: Option<Resizer>) -> Result<Running> {
    let resizing =
        resizer.map(|resizer| thread::Builder::new().name("resize".to_owned()).spawn(move || resize(&resizer)));
    let running = ready.start()?;
    if let Some(Ok(resizing)) = resizing {
        // It has no result.
        let _ = resizing.join();
    }
    Ok(running)
}

/// Calls `stop` with the signals that end us; the size of our terminal becomes that of the command's.
fn watch(mut signals: Signals, resizer: Option<Resizer>, stop: impl Fn(i32) + Send + 'static) -> Result<()> {
    let watch = move || {
        for signal in signals.forever() {
            match signal {
                SIGWINCH => resizer.iter().for_each(resize),
                signal => stop(signal),
            }
        }
    };
    // It ends with the process.
    let watching = thread::Builder::new().name("signals".to_owned());
    watching.spawn(watch).map(drop).context("cannot start the thread that waits for signals")
}

fn resize(resizer: &Resizer) {
    if let Some(size) = our_size() {
        // A command that has ended has no terminal any more; another size than it has is no harm.
        let _ = resizer.resize(size.ws_row, size.ws_col);
    }
}

/// That of our terminal, if we have one and it has a size.
fn our_size() -> Option<Winsize> {
    let size = [stdout(), stdin(), stderr()].into_iter().find_map(|terminal| tcgetwinsize(terminal).ok());
    size.filter(|size| size.ws_row > 0 && size.ws_col > 0)
}

/// Passes our standard input on, by a thread that ends with its end, or with the process.
fn pass_input(mut input: Input) -> Result<()> {
    let pass = move || {
        let mut buffer = vec![0; INPUT_BYTES];
        loop {
            match read(stdin(), &mut buffer) {
                Ok(0) => return input.end(),
                Ok(count) if input.write_all(&buffer[..count]).is_err() => return, // the command has ended
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return input.end(),
            }
        }
    };
    let passing = thread::Builder::new().name("input".to_owned());
    passing.spawn(pass).map(drop).context("cannot start the thread that passes standard input on")
}

/// The output on its way to ours.
struct Passing {
    quiet: bool,
    /// Why a stream is not passed on any more.
    failed: [Option<String>; 2],
    /// The last byte on a terminal was no newline.
    mid_line: bool,
}

impl Passing {
    /// Whether there is still a reader.
    fn pass_on(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        let is_stderr = stream == Stream::Stderr;
        let failed = &mut self.failed[usize::from(is_stderr)];
        if self.quiet || failed.is_some() {
            return true;
        }
        let to = if is_stderr { stderr() } else { stdout() };
        if isatty(to) {
            self.mid_line = bytes.last().is_some_and(|last| *last != b'\n');
        }
        match write_all(to, bytes) {
            Ok(()) => true,
            Err(Errno::PIPE) => false,
            Err(error) => {
                *failed = Some(not_passed_on(stream, &io::Error::from(error)));
                true
            }
        }
    }
}

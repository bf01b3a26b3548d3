//! `logboom pipe`: what comes in on standard input.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal, Read, Write, stderr, stdin, stdout},
    os::{fd::AsFd, unix::net::UnixStream},
};

use anyhow::{Context, Result};
use logboom_capture::Intake;
use logboom_files::{config::Flags, list::SessionRef, session::Counts};
use logboom_record::{Outcome, RunEnd, Stream, Time};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};

use crate::{
    args::Global,
    commands::{exec, run},
    exit::Exit,
    human,
    options::{Keeping, Naming, SummaryWhen},
    place,
    recording::{NewRun, Recording, warn, write_id_file},
};

/// Bytes of one read(2).
const READ_BYTES: usize = 256 << 10;

/// Keep what comes in on standard input
///
/// It is passed on to standard output (unless --quiet), so that it fits between two programs. Ctrl-C is for the program that
/// writes into the pipe: logboom goes on until that one has ended, so that its last words are kept, too.
#[derive(clap::Args)]
pub struct Pipe {
    /// Add to this session: id, its 8 hex digits or the first of them, or name
    #[arg(long, value_name = "SESSION", conflicts_with = "new_session")]
    session: Option<SessionRef>,
    /// Start a new session, also inside another one
    #[arg(long)]
    new_session: bool,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    keeping: Keeping,
}

impl Pipe {
    /// Exits 0 at the end of the input; dies of the signal that ended it before.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let config = place::config(&Flags { dir: global.dir.clone(), ..Flags::default() })?;
        let target = match &self.session {
            Some(session) => exec::given(Some(session), &config, now)?,
            None => run::target(self.new_session, &config),
        };
        let new = NewRun {
            program: OsStr::new("pipe"),
            words: &[],
            name: self.naming.name.clone(),
            labels: self.naming.labels.iter().cloned().collect(),
            boom: !self.keeping.no_boom,
            now,
        };
        let recording = Recording::start(&config.data_dir(), target, &new);
        let recording = recording.map_err(|error| warn(&error.context("this input is not captured"))).ok();
        if let (Some(file), Some(recording)) = (&self.naming.id_file, &recording) {
            write_id_file(file, recording.session().id())?;
        }
        let ended_by = copy(recording.as_ref().map(Recording::intake).as_ref(), self.keeping.quiet)?;
        let end = end_of(ended_by);
        if let Some(recording) = recording {
            let session = recording.session().id().clone();
            self.summarize(session.short(), &end, now, &recording.finish(&end));
        }
        place::tidy(&config, Time::now());
        Ok(ended_by.map_or(Exit::Done, Exit::Signal))
    }

    fn summarize(&self, session: &str, end: &RunEnd, now: Time, counts: &Counts) {
        let speak = match self.keeping.summary {
            SummaryWhen::Auto => stderr().is_terminal(),
            SummaryWhen::Always => true,
            SummaryWhen::Never => false,
        };
        if speak {
            let took = human::between(now, end.ended_at);
            eprintln!("logboom: {}; logboom show {session}", human::summary(end, took, counts));
        }
    }
}

fn end_of(signal: Option<i32>) -> RunEnd {
    let outcome = if signal.is_some() { Outcome::Interrupted } else { Outcome::Passed };
    RunEnd { ended_at: Time::now(), outcome, exit_code: None, signal }
}

/// Reads to the end of the input; gives the signal that ended it before.
fn copy(intake: Option<&Intake>, quiet: bool) -> Result<Option<i32>> {
    let signals = Signals::watch().context("cannot watch signals")?;
    let (mut input, mut output) = (stdin().lock(), stdout().lock());
    let mut buffer = vec![0; READ_BYTES];
    let ended_by = loop {
        if let Some(signal) = signals.wait_with(&input).context("cannot wait for input")? {
            break Some(signal);
        }
        let length = match input.read(&mut buffer) {
            Ok(0) => break None,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read standard input"),
        };
        if let Some(intake) = intake {
            intake.push(Stream::Stdout, Time::now(), &buffer[..length]);
        }
        if !quiet && !pass_on(&mut output, &buffer[..length]) {
            break Some(SIGPIPE);
        }
    };
    if let Some(intake) = intake {
        intake.end(Stream::Stdout);
    }
    Ok(ended_by)
}

/// Whether somebody still reads what we pass on.
fn pass_on(output: &mut impl Write, bytes: &[u8]) -> bool {
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) => error.kind() != io::ErrorKind::BrokenPipe,
        Ok(()) => true,
    }
}

/// The signals that end us before the input does.
struct Signals {
    wake: Vec<(i32, UnixStream)>,
}

impl Signals {
    /// SIGINT is noted and nothing else, unless a person is typing the input.
    fn watch() -> io::Result<Signals> {
        let mut wake = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let (reader, writer) = UnixStream::pair()?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            if signal != SIGINT || stdin().is_terminal() {
                wake.push((signal, reader));
            }
        }
        Ok(Signals { wake })
    }

    /// Waits for input; gives the signal that came instead.
    fn wait_with(&self, input: &impl AsFd) -> io::Result<Option<i32>> {
        let mut fds = vec![PollFd::new(input, PollFlags::IN)];
        fds.extend(self.wake.iter().map(|(_, reader)| PollFd::new(reader, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let came = self.wake.iter().zip(&fds[1..]).find(|(_, fd)| fd.revents().contains(PollFlags::IN));
        Ok(came.map(|((signal, _), _)| *signal))
    }
}

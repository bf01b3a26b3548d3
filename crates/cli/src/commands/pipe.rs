//! `logboom pipe`: what comes in on standard input.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal},
    os::{fd::BorrowedFd, unix::net::UnixStream},
};

use anyhow::{Context, Result};
use logboom_capture::{Intake, command::write_all};
use logboom_files::config::Flags;
use logboom_record::{Level, Outcome, RunEnd, Stream, Time};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read},
    stdio::{stdin, stdout},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};

use crate::{
    args::Global,
    exit::Exit,
    options::{Joining, Keeping, Masking, Naming},
    place,
    recording::{NewRun, Recording, Role, warn},
    supervise::not_passed_on,
};

/// Bytes of one read(2).
const READ_BYTES: usize = 256 << 10;

/// Keep what comes in on standard input
///
/// It is passed on to standard output (unless --quiet), so that it fits between two programs. Ctrl-C is for the program that
/// writes into the pipe: logboom goes on until that one has ended, so that its last words are kept, too.
#[derive(clap::Args)]
pub struct Pipe {
    #[command(flatten)]
    joining: Joining,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    masking: Masking,
}

impl Pipe {
    /// Exits 0 at the end of the input; dies of the signal that ended it before. Fails where the input could not be read, or not
    /// all of it passed on.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let config = place::config(&Flags { dir: global.dir.clone(), ..Flags::default() })?;
        let target = self.joining.target(&config, now)?;
        let new = NewRun {
            role: Role::Command,
            program: OsStr::new("pipe"),
            words: &[],
            name: self.naming.name.clone(),
            labels: self.naming.labels.iter().cloned().collect(),
            boom: !self.keeping.no_boom,
            cwd: None,
            masks: self.masking.masks()?,
            now,
        };
        let recording = Recording::start(&config.data_dir(), target, &new);
        let recording = recording.map_err(|error| warn(&error.context("this input is not captured"))).ok();
        if let Some(recording) = &recording {
            self.naming.id_file.try_write(recording);
            recording.note([]); // that it began
        }
        let intake = recording.as_ref().map(Recording::intake);
        let mut flow = Flow { intake, passes_on: !self.keeping.quiet, not_passed_on: None };
        let ended_by = flow.copy_all();
        let end = end_of(&ended_by);
        if let Some(recording) = recording {
            let session = recording.session().id().clone();
            self.keeping.summarize(&session, now, &end, &recording.finish(&end));
        }
        place::tidy(&config, Time::now());
        match (ended_by?, flow.not_passed_on) {
            (Some(signal), _) => Ok(Exit::Signal(signal)),
            (None, Some(why)) => anyhow::bail!(why),
            (None, None) => Ok(Exit::Done),
        }
    }
}

fn end_of(ended_by: &Result<Option<i32>>) -> RunEnd {
    let (outcome, signal) = match ended_by {
        Ok(None) => (Outcome::Passed, None),
        Ok(signal) => (Outcome::Interrupted, *signal),
        Err(_) => (Outcome::Failed, None),
    };
    RunEnd { ended_at: Time::now(), outcome, exit_code: None, signal }
}

/// The input on its way to the writer and to standard output.
struct Flow {
    intake: Option<Intake>,
    passes_on: bool,
    /// Why not all was passed on; the rest was only captured.
    not_passed_on: Option<String>,
}

impl Flow {
    /// Copies to the end of the input; gives the signal that ended it before.
    fn copy_all(&mut self) -> Result<Option<i32>> {
        let ended_by = self.copy();
        if let Some(intake) = &self.intake {
            intake.end(Stream::Stdout);
        }
        ended_by
    }

    fn copy(&mut self) -> Result<Option<i32>> {
        let signals = Signals::watch().context("cannot watch signals")?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if let Some(signal) = signals.wait_with(stdin()).context("cannot wait for input")? {
                return Ok(Some(signal));
            }
            let length = match read(stdin(), &mut buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => length,
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(error) => return Err(error).context("cannot read standard input"),
            };
            if let Some(intake) = &self.intake {
                intake.push(Stream::Stdout, Time::now(), &buffer[..length]);
            }
            if self.passes_on && !self.pass_on(&buffer[..length]) {
                return Ok(Some(SIGPIPE));
            }
        }
    }

    /// Whether there is still a reader. One that takes nothing more for another reason (a full disk) ends passing on alone.
    fn pass_on(&mut self, bytes: &[u8]) -> bool {
        let Err(error) = write_all(stdout(), bytes) else { return true };
        if error == Errno::PIPE {
            return false;
        }
        let why = not_passed_on(Stream::Stdout, &error.into());
        if let Some(intake) = &self.intake {
            intake.note(Time::now(), Level::Warn, why.clone());
        }
        (self.passes_on, self.not_passed_on) = (false, Some(why));
        true
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
            if signal != SIGINT || io::stdin().is_terminal() {
                wake.push((signal, reader));
            }
        }
        Ok(Signals { wake })
    }

    /// Waits for input; gives the signal that came instead.
    fn wait_with(&self, input: BorrowedFd<'_>) -> io::Result<Option<i32>> {
        let mut fds = vec![PollFd::from_borrowed_fd(input, PollFlags::IN)];
        fds.extend(self.wake.iter().map(|(_, reader)| PollFd::new(reader, PollFlags::IN)));
        // Interrupted, it says nothing about any of them.
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let came = self.wake.iter().zip(&fds[1..]).find(|(_, fd)| fd.revents().contains(PollFlags::IN));
        Ok(came.map(|((signal, _), _)| *signal))
    }
}

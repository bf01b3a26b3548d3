//! Runs a command and records it: what `run` and `exec` have in common.
//!
//! Recording never breaks the run: where nothing can be written there is one warning, and the command runs all the same.

use std::{
    ffi::{OsStr, OsString},
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
};

use anyhow::Result;
use logboom_capture::{
    command::{self, CommandError, CutWhy, Finished, OutputSink, Passed, Spec, Status},
    masks::SharedMasks,
};
use logboom_files::{config::Config, session::Counts, timeline::What};
use logboom_record::{Level, Outcome, RunEnd, Stream, Time};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::{
    exit::Exit,
    junit_files::{Before, JunitFiles},
    options::{Keeping, Masking, Naming, Running},
    place,
    recording::{NewRun, Recording, Role, Target, Unrecorded, warn},
    say::{self, say, tell},
};

/// Exit code of a command whose time was up.
pub const TIMED_OUT: u8 = 124;

/// A command to run, and how.
pub struct Supervise<'a> {
    /// The settings.
    pub config: &'a Config,
    /// What it is called.
    pub naming: &'a Naming,
    /// What is kept of it.
    pub keeping: &'a Keeping,
    /// What is not kept, as it was asked for, …
    pub masking: &'a Masking,
    /// … and as it is by now.
    pub masks: SharedMasks,
    /// Which files tell of its tests.
    pub junit: &'a JunitFiles,
    /// How it runs.
    pub running: &'a Running,
    /// After what the text log is called, and the run if it has no name; the program if left out.
    pub called: Option<&'a str>,
    /// The command.
    pub words: &'a [OsString],
    /// Where it runs; where we do if left out.
    pub cwd: Option<&'a Path>,
    /// It is one of several, and whoever runs them sums up how they went.
    pub is_part: bool,
}

/// Runs the command; its recording is for whoever has more to record meanwhile, and tells how much that was.
pub type Runner<'a> = dyn FnOnce(&Spec, Arc<dyn OutputSink>, Option<&Recording>) -> (Ran, Counts) + 'a;
/// How a command ended, if it was run.
pub type Ran = Result<Finished, CommandError>;

/// A command that is over.
pub struct Over {
    /// How logboom ends where it wraps this command alone.
    pub exit: Exit,
    /// How the run ended.
    pub end: RunEnd,
}

impl Supervise<'_> {
    /// Runs the command to its end and gives the exit that is its.
    ///
    /// # Errors
    /// Where there is no command.
    pub fn run(self, target: Target, now: Time) -> Result<Exit> {
        let runner = |spec: &Spec, sink: _, _: Option<&_>| (command::run(spec, sink), Counts::default());
        Ok(self.run_by(Box::new(runner), target, now)?.exit)
    }

    /// As [`Supervise::run`], for a command beside which something else goes on.
    ///
    /// # Errors
    /// As [`Supervise::run`].
    pub fn run_by(self, runner: Box<Runner<'_>>, target: Target, now: Time) -> Result<Over> {
        let Some((program, args)) = self.words.split_first() else { anyhow::bail!("no command to run") };
        let new = NewRun {
            role: Role::Command,
            program: self.called.map_or(program.as_os_str(), OsStr::new),
            words: self.words,
            name: self.naming.name.clone(),
            labels: self.naming.labels.iter().cloned().collect(),
            boom: !self.keeping.no_boom,
            cwd: self.cwd,
            masks: self.masks.clone(),
            now,
        };
        let recording = Recording::start(&self.config.data_dir(), target, &new)
            .map_err(|error| warn(&error.context("this run is not captured")))
            .ok();
        let mut spec = Spec { args: args.to_vec(), cwd: self.cwd.map(Path::to_owned), ..Spec::new(program) };
        self.running.apply(self.config, self.keeping.quiet, &mut spec);
        let over = self.supervise(&mut spec, recording, runner);
        place::tidy(self.config, Time::now());
        Ok(over)
    }

    fn supervise(&self, spec: &mut Spec, recording: Option<Recording>, runner: Box<Runner<'_>>) -> Over {
        let mut sink: Arc<dyn OutputSink> = Arc::new(Unrecorded);
        if let Some(recording) = &recording {
            spec.env = recording.environment();
            spec.env.extend(self.masking.environment());
            sink = recording.sink();
            self.naming.id_file.try_write(recording);
        }
        let reports = self.junit.look();
        let started_at = Time::now();
        let (finished, beside) = runner(spec, sink, recording.as_ref());
        let end = end_of(&finished);
        let exit = finished.as_ref().map_or_else(|error| Exit::Code(error.exit_code()), exit_of);
        if finished.as_ref().is_ok_and(leaves_line_open) && self.keeping.may_speak() {
            say::end_line();
        }
        self.tell(&finished, recording.as_ref());
        let Some(recording) = recording else { return Over { exit, end } };
        if let Ok(finished) = &finished {
            self.note_events(finished, spec, &recording);
            self.report(&reports, started_at, finished, &recording);
        }
        let session = recording.session().id().clone();
        let counts = recording.finish(&end);
        if finished.is_ok() && !self.is_part {
            let counts = [counts, beside].into_iter().sum();
            self.keeping.summarize(&session, started_at, &end, &counts);
        }
        Over { exit, end }
    }

    /// What happened on the way, for the timeline.
    fn note_events(&self, finished: &Finished, spec: &Spec, recording: &Recording) {
        let timeout = spec.time_limit.zip(finished.timed_out);
        let timeout = timeout.map(|(limit, at)| (at, What::Timeout { after_s: limit.after.as_secs_f64() }));
        let forwarded = finished.signals.iter().filter(|received| received.forwarded);
        let signals = forwarded.map(|received| (received.time, What::Signal { signal: received.signal }));
        let now = Time::now(); // what is cut is cut last
        let cut = finished.cut.iter().map(|(stream, _)| (now, What::DrainCut { stream: *stream }));
        let mut events: Vec<(Time, What)> = timeout.into_iter().chain(signals).chain(cut).collect();
        events.sort_by_key(|(time, _)| *time);
        recording.note(events);
    }

    /// What the command's own files tell of its tests.
    fn report(&self, before: &Before, started_at: Time, finished: &Finished, recording: &Recording) {
        if self.junit.is_empty() {
            return;
        }
        let told = self.junit.read(before, started_at, finished.ended_at);
        for note in told.notes {
            if self.keeping.may_speak() {
                tell(&note);
            }
            recording.intake().note(Time::now(), Level::Warn, note);
        }
        recording.intake().report(told.tests);
    }

    /// What did not go as it should: noted in the run, and said where logboom may speak.
    fn tell(&self, finished: &Ran, recording: Option<&Recording>) {
        let notes = match finished {
            Ok(finished) => notes(finished),
            Err(error) => {
                let message = with_cause(error);
                say(&message);
                vec![message]
            }
        };
        for note in notes {
            if finished.is_ok() && self.keeping.may_speak() {
                say(&note);
            }
            if let Some(recording) = recording {
                recording.intake().note(Time::now(), Level::Warn, note);
            }
        }
    }
}

/// Whether the terminal's cursor is in mid-line: behind what the command printed, or behind the `^C` that the terminal echoed.
fn leaves_line_open(finished: &Finished) -> bool {
    let by_key = finished.signals.iter().any(|received| received.signal == SIGINT && !received.forwarded);
    let echoed = by_key && finished.status == Status::Signaled(SIGINT);
    (finished.mid_line || echoed) && io::stderr().is_terminal()
}

fn with_cause(error: &CommandError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// One sentence for each thing that did not go as it should.
fn notes(finished: &Finished) -> Vec<String> {
    let cut = finished.cut.iter().map(|(stream, why)| {
        let stream = stream.as_str();
        match why {
            CutWhy::DrainOver => format!(
                "{stream} was still open after the command's end; what comes later is not kept (--drain sets how long to wait)"
            ),
            CutWhy::Interrupted => format!("{stream} was not read to its end: a signal came"),
            CutWhy::Stalled => format!("{stream} was not read to its end: nobody took what was passed on"),
        }
    });
    let failed = finished.passed.iter().filter_map(|(stream, passed)| match passed {
        Passed::Failed(error) => Some(not_passed_on(*stream, error)),
        Passed::All | Passed::Closed => None,
    });
    let survivors = finished
        .survivors
        .iter()
        .map(|survivor| format!("process {} ({}) is still there after the time-out", survivor.pid, survivor.program));
    cut.chain(failed).chain(survivors).collect()
}

/// What is noted where passing a stream on failed.
pub fn not_passed_on(stream: Stream, error: &io::Error) -> String {
    format!("{} could not be passed on in full: {error}", stream.as_str())
}

/// How the run of a command ended.
pub fn end_of(ran: &Ran) -> RunEnd {
    match ran {
        Ok(finished) => end_of_finished(finished),
        Err(error) => end_of_nothing(error),
    }
}

fn end_of_finished(finished: &Finished) -> RunEnd {
    let (exit_code, signal) = match finished.status {
        Status::Exited(code) => (Some(code), None),
        Status::Signaled(signal) => (None, Some(signal)),
    };
    let outcome = match finished.status {
        _ if finished.timed_out.is_some() => Outcome::TimedOut,
        Status::Exited(0) => Outcome::Passed,
        _ if was_interrupted(finished) => Outcome::Interrupted,
        _ => Outcome::Failed,
    };
    RunEnd { ended_at: finished.ended_at, outcome, exit_code, signal }
}

/// Whether a person or a program ended it: it did not end well, and it had been told to end.
fn was_interrupted(finished: &Finished) -> bool {
    finished.signals.iter().any(|received| [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&received.signal))
}

fn end_of_nothing(error: &CommandError) -> RunEnd {
    let exit_code = Some(i32::from(error.exit_code()));
    RunEnd { ended_at: Time::now(), outcome: Outcome::Failed, exit_code, signal: None }
}

fn exit_of(finished: &Finished) -> Exit {
    match finished.status {
        _ if finished.timed_out.is_some() => Exit::Code(TIMED_OUT),
        Status::Exited(code) => Exit::Code(u8::try_from(code & 0xFF).unwrap_or(crate::exit::WRAPPER_FAILED)),
        Status::Signaled(signal) => Exit::Signal(signal),
    }
}

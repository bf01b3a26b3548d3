//! `logboom keep-service`: what `logboom test` runs for a service that is a program. Nobody types it.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use logboom_capture::{
    command::{self, Group, PassThrough, Spec, Status, Tty},
    masks::{Masks, SharedMasks},
    test_spec::Restart,
};
use logboom_files::{config::Flags, list::SessionRef, units::parse_duration};
use logboom_record::{Level, Outcome, RunEnd, Time};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::{
    args::Global,
    exit::Exit,
    human, place,
    recording::{NewRun, Recording, Role, Target, run_around},
    supervise::{Ran, end_of},
    test_session::Interrupts,
};

/// How it is called.
pub const NAME: &str = "keep-service";

/// How long to wait before a program is started again, at first and at most.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// One that ran for so long is not failing again and again.
const WELL_AFTER: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Keep a program of a test session running
#[derive(clap::Args)]
pub struct KeepService {
    #[arg(long)]
    session: SessionRef,
    #[arg(long)]
    name: String,
    #[arg(long)]
    restart: Restart,
    #[arg(long, value_parser = parse_duration)]
    stop_grace: Duration,
    /// It ends when this process does
    #[arg(long)]
    parent: i32,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, num_args = 1..)]
    command: Vec<OsString>,
}

/// What is secret, as it is told by standard input: a line of JSON for each, the first of all that is known at first.
#[derive(Default, Serialize, Deserialize)]
pub struct Secrets {
    /// Values, which need not be UTF-8.
    pub values: Vec<Vec<u8>>,
    /// Patterns; only in the first line.
    pub patterns: Vec<String>,
}

impl Secrets {
    /// All that there are.
    pub fn of(masks: &Masks) -> Secrets {
        Secrets { values: masks.values().to_vec(), patterns: masks.patterns().map(str::to_owned).collect() }
    }

    /// Writes the line.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(format!("{}\n", serde_json::to_string(self)?).as_bytes())
    }

    fn read(line: &str) -> Result<Secrets> {
        serde_json::from_str(line).context("what is secret was not told")
    }
}

/// Waits for what is secret at first, and has a thread listen to what becomes so.
fn hear_secrets() -> Result<SharedMasks> {
    let mut lines = BufReader::new(io::stdin()).lines();
    let first = Secrets::read(&lines.next().transpose()?.unwrap_or_default())?;
    let masks = SharedMasks::from(Masks::new(first.values.iter().map(Vec::as_slice), &first.patterns)?);
    let growing = masks.clone();
    let hear = move || {
        for secrets in lines.map_while(Result::ok).filter_map(|line| Secrets::read(&line).ok()) {
            // Why one cannot be masked stands where it was told.
            secrets.values.iter().for_each(|value| drop(growing.add(value)));
        }
    };
    thread::Builder::new().name("secrets".to_owned()).spawn(hear).context("cannot listen to what is secret")?;
    Ok(masks)
}

impl KeepService {
    /// Ends when it is told to, or when the program has ended and is not to be started again.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let interrupts = Interrupts::watch().context("cannot wait for signals")?;
        set_parent_process_death_signal(Some(Signal::TERM)).context("cannot follow the parent's end")?;
        if getppid() != Pid::from_raw(self.parent) {
            return Ok(Exit::Done); // it has ended before this could be asked for
        }
        let config = place::config(&Flags { dir: global.dir.clone(), ..Flags::default() })?;
        let masks = hear_secrets()?;
        let session = place::find_session(&config.data_dir(), &self.session, now)?;
        let target = Target::Given(session, run_around());
        let (program, args) = self.command.split_first().context("no command to run")?;
        let new = NewRun {
            role: Role::Service,
            program,
            words: &self.command,
            name: Some(self.name.clone()),
            labels: [("service".to_owned(), self.name.clone())].into(),
            boom: true,
            cwd: None,
            masks,
            now,
        };
        let recording = Recording::start(&config.data_dir(), target, &new)?;
        let spec = Spec {
            args: args.to_vec(),
            env: recording.environment(),
            group: Group::Own, // it has no input
            stop_grace: Some(self.stop_grace),
            told: Some(interrupts.told()),
            tty: Tty::Never,
            pass_through: PassThrough::Quiet,
            drain: config.drain.value,
            ..Spec::new(program)
        };
        let end = self.keep(&spec, &recording, &interrupts);
        recording.finish(&end);
        Ok(Exit::Done)
    }

    /// Runs the program until it is not to be started any more.
    fn keep(&self, spec: &Spec, recording: &Recording, interrupts: &Interrupts) -> RunEnd {
        let note = |level, text: String| recording.intake().note(Time::now(), level, text);
        let (mut count, mut pause) = (0, AGAIN_MIN);
        loop {
            let began = Instant::now();
            let ran = command::run(spec, recording.sink());
            let end = self.end(&ran, interrupts);
            if let Err(error) = &ran {
                note(Level::Error, logboom_files::with_causes(error));
                return end;
            }
            if interrupts.signal().is_some() || !self.is_to_go_on(&end, count) {
                return end;
            }
            if began.elapsed() >= WELL_AFTER {
                pause = AGAIN_MIN;
            }
            count += 1;
            let how = human::outcome(end.outcome, Some(&end));
            note(Level::Warn, format!("{how}; it is started again ({count}) in {}", human::duration(pause)));
            if !wait(pause, interrupts) {
                return end;
            }
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    /// Whether the program is to be started again, having been so `count` times.
    fn is_to_go_on(&self, end: &RunEnd, count: u32) -> bool {
        match self.restart {
            Restart::No => false,
            Restart::Always => true,
            Restart::OnFailure(max) => end.outcome != Outcome::Passed && max.is_none_or(|max| count < max),
        }
    }

    /// One that was told to end, and did, was interrupted, however it took it.
    fn end(&self, ran: &Ran, interrupts: &Interrupts) -> RunEnd {
        let end = end_of(ran);
        let ended_well = ran.as_ref().is_ok_and(|finished| finished.status == Status::Exited(0));
        match interrupts.signal() {
            Some(_) if !ended_well => RunEnd { outcome: Outcome::Interrupted, ..end },
            _ => end,
        }
    }
}

/// Waits, unless it is to end meanwhile.
fn wait(time: Duration, interrupts: &Interrupts) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if interrupts.signal().is_some() {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
    true
}

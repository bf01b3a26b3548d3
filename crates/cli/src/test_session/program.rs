//! A service that is a program: another logboom keeps it running, captures it, and ends it with us.
//!
//! It is a process of its own because the tests' descendants are found among our children, and because it ends its program also
//! when we are killed.

use std::{
    os::unix::process::CommandExt,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use logboom_capture::test_spec::{CommandSpec, ServiceSpec};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{Interrupts, TestSession};
use crate::commands::keep_service::{NAME, Secrets};

/// How long it has to end once its program is killed.
const STOP_MAX: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The process that keeps a program running.
pub(super) struct Program {
    process: OwnedFd,
    grace: Duration,
}

impl TestSession<'_> {
    pub(super) fn start_program(&self, service: &ServiceSpec, program: &CommandSpec) -> Result<Program> {
        // The program that runs, also where its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("logboom").arg("--dir").arg(self.data().path).arg(NAME);
        // What stands behind `=` is no option, whatever it begins with.
        command.arg(format!("--session={}", self.session().id())).arg(format!("--name={}", service.name));
        command.arg(format!("--restart={}", service.restart)).arg(format!("--parent={}", std::process::id()));
        command.arg(format!("--stop-grace={}ms", service.stop_grace.as_millis()));
        command.arg("--").args(&program.words);
        command.envs(self.engine_env()).envs(self.recording.environment()).envs(self.setting.masking.environment());
        command.envs(&program.env);
        if let Some(dir) = &program.cwd {
            command.current_dir(dir);
        }
        // The keys of the terminal are for the tests.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", service.name))?;
        child.stdin.take().map_or(Ok(()), |stdin| self.tell_secrets(stdin))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        // Whoever waits for the tests reaps it, too: what tells of its end is not its exit code.
        let process = pidfd_open(pid, PidfdFlags::empty()).context("cannot watch a service")?;
        Ok(Program { process, grace: service.stop_grace })
    }

    /// Tells what is secret, and from then on what becomes so: by a thread, for nobody may wait for a process that does not read.
    fn tell_secrets(&self, mut to: ChildStdin) -> Result<()> {
        let (sender, told) = channel();
        let masks = self.masks.current();
        sender.send(Secrets::of(&masks))?;
        self.masks.on_add(move |value| {
            // Nobody wants to know any more where it has ended.
            let _ = sender.send(Secrets { values: vec![value.to_vec()], patterns: Vec::new() });
        });
        let tell = move || told.into_iter().try_for_each(|secrets| secrets.write(&mut to));
        let thread = thread::Builder::new().name("secrets".to_owned());
        thread.spawn(tell).map(drop).context("cannot start the thread that tells what is secret")
    }
}

impl Program {
    /// Has it end its program; in less time where somebody wants all to end. Tells what is left otherwise.
    pub(super) fn stop(self, interrupts: &Interrupts, hurry: Duration) -> Result<(), String> {
        // One that has ended cannot be signalled, and need not be.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
        let began = Instant::now();
        let grace = || interrupts.signal().map_or(self.grace, |_| self.grace.min(hurry));
        while began.elapsed() < grace() {
            if self.ends_within(LOOK_EVERY) {
                return Ok(());
            }
        }
        // A second signal makes haste.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
        if self.ends_within(STOP_MAX) { Ok(()) } else { Err("it does not end".to_owned()) }
    }

    /// Whether it keeps nothing running any more.
    pub(super) fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    fn ends_within(&self, time: Duration) -> bool {
        let timeout = Timespec::try_from(time).ok();
        let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
        // A signal that comes meanwhile ends it sooner, and whoever asks asks again.
        poll(&mut fds, timeout.as_ref()).is_ok_and(|count| count > 0)
    }
}

//! A service that is a program: another logboom keeps it running, captures it, and ends it with us.
//!
//! It is a process of its own because the tests' descendants are found among our children, and because it ends its program also
//! when we are killed.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use logboom_capture::test_spec::{CommandSpec, ServiceSpec};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::TestSession;
use crate::commands::keep_service::NAME;

/// How long it has to end beyond the time that its program has.
const STOP_MAX: Duration = Duration::from_secs(15);

/// The process that keeps a program running.
pub(super) struct Program {
    process: OwnedFd,
    grace: Duration,
}

impl TestSession<'_> {
    pub(super) fn start_program(&self, service: &ServiceSpec, program: &CommandSpec) -> Result<Program> {
        // The program that runs, also where its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("logboom").arg("--dir").arg(&self.data.path).arg(NAME);
        command.args(["--session", self.session().id().as_str(), "--name", &service.name]);
        command.args(["--restart", &service.restart.to_string(), "--parent", &std::process::id().to_string()]);
        command.args(["--stop-grace", &format!("{}ms", service.stop_grace.as_millis())]);
        command.args(self.setting.masking.words());
        command.arg("--").args(&program.words);
        command.envs(self.engine_env()).envs(self.recording.environment()).envs(&program.env);
        if let Some(dir) = &program.cwd {
            command.current_dir(dir);
        }
        // The keys of the terminal are for the tests.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {}", service.name))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        // Whoever waits for the tests reaps it, too: what tells of its end is not its exit code.
        let process = pidfd_open(pid, PidfdFlags::empty()).context("cannot watch a service")?;
        Ok(Program { process, grace: service.stop_grace })
    }
}

impl Program {
    /// Has it end its program; in less time if there is less. Tells what is left otherwise.
    pub(super) fn stop(self, hurry: Option<Duration>) -> Result<(), String> {
        // One that has ended cannot be signalled, and need not be.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
        let grace = hurry.map_or(self.grace, |hurry| hurry.min(self.grace));
        if self.ends_within(grace) {
            return Ok(());
        }
        // A second signal makes haste.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
        if self.ends_within(self.grace + STOP_MAX) { Ok(()) } else { Err("it does not end".to_owned()) }
    }

    fn ends_within(&self, time: Duration) -> bool {
        let timeout = Timespec::try_from(time).ok();
        let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Ok(count) => return count > 0,
                // A signal came: as long again is no harm.
                Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

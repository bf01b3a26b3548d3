//! `logboom run`: a command, in a session of its own.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use logboom_capture::{
    test_spec::{Restart, STOP_GRACE, ServiceSpec, Start, WAIT_MAX},
    waiting::Wait,
};
use logboom_files::units::parse_duration;
use logboom_record::Time;

use crate::{
    args::Global,
    exit::Exit,
    junit_files::JunitFiles,
    options::{Apart, EngineAt, Keeping, Masking, Naming, Running},
    place,
    supervise::Supervise,
    test_session::{Setting, Step, TestSession},
};

/// Run a command and keep all it prints, in a session of its own
///
/// What the command prints is passed on at once, byte for byte. logboom ends as the command does: with its exit code, or of the
/// same signal; 124 if its time was up, 125 if logboom failed, 126 if the command cannot be run, 127 if there is none.
/// Inside another logboom's session it adds to that one (see --new-session).
///
/// With --compose the services of a compose file are started before it, followed from their first line, and taken down after it,
/// however it ended. The command starts when all services with a health check are healthy and all of --wait holds.
#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    apart: Apart,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    masking: Masking,
    #[command(flatten)]
    junit: JunitFiles,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    services: Services,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["CMD", "ARG"], num_args = 1..)]
    command: Vec<OsString>,
}

/// The services that the command needs.
#[derive(clap::Args, Clone)]
struct Services {
    /// Start the services of this compose file, and take them down at the end (may be given more than once)
    #[arg(long, value_name = "FILE", help_heading = "Services")]
    compose: Vec<PathBuf>,
    /// Name of the compose project [one of the session's own]
    #[arg(long, value_name = "PROJECT", requires = "compose", help_heading = "Services")]
    project: Option<String>,
    /// Start the command when this service is ready: SERVICE=healthy, =port:N, =log:TEXT, =http:URL (may be given more than once)
    #[arg(long = "wait", value_name = "SERVICE=CONDITION", requires = "compose", help_heading = "Services")]
    waits: Vec<Wait>,
    /// How long services may take to become ready [60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "compose", help_heading = "Services")]
    wait_timeout: Option<Duration>,
}

impl Run {
    /// Ends as the command does.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        if !self.services.compose.is_empty() {
            return self.run_with_services(global, now);
        }
        let Run { naming, apart, keeping, masking, junit, running, command, .. } = &self;
        let (config, masks) = (&place::config(&running.flags(global))?, masking.masks()?);
        let (called, words, cwd, is_part) = (None, &command[..], None, false);
        let supervise =
            Supervise { config, naming, keeping, masking, masks, junit, running, called, words, cwd, is_part };
        supervise.run(apart.target(config), now)
    }

    fn run_with_services(&self, global: &Global, now: Time) -> Result<Exit> {
        let program = self.command.first().map(|program| Path::new(program).file_name().unwrap_or(program));
        let program = program.map(|program| program.to_string_lossy().into_owned());
        let naming = Naming { name: self.naming.name.clone().or_else(|| program.clone()), ..self.naming.clone() };
        let words: Vec<OsString> = env::args_os().collect();
        let setting = Setting {
            global,
            running: &self.running,
            naming,
            keeping: &self.keeping,
            masking: self.masking.clone(),
            engine: EngineAt { host: None },
            wait_max: self.services.wait_timeout.unwrap_or(WAIT_MAX),
            words: &words,
        };
        let mut session = TestSession::begin(setting, |config| Ok(self.apart.target(config)), now)?;
        let step = Step {
            name: program,
            called: None,
            words: &self.command,
            cwd: None,
            env: Vec::new(),
            junit: &self.junit,
            running: &self.running,
            labels: Vec::new(),
            is_tear_down: false,
        };
        let started = session.start(&[self.services.spec()]);
        let over = started.and_then(|()| Ok(session.run(&step)?));
        Ok(session.end(over))
    }
}

impl Services {
    fn spec(&self) -> ServiceSpec {
        ServiceSpec {
            name: "compose".to_owned(),
            start: Start::Compose { files: self.compose.clone(), project: self.project.clone() },
            waits: self.waits.clone(),
            after: BTreeSet::new(),
            restart: Restart::No,
            stop_grace: STOP_GRACE,
        }
    }
}

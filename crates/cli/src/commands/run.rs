//! `logboom run`: a command, in a session of its own.

use std::{ffi::OsString, path::Path};

use anyhow::Result;
use logboom_files::config::Config;
use logboom_record::Time;

use crate::{
    args::Global,
    exit::Exit,
    options::{Keeping, Naming, Running},
    recording::Target,
    supervise::Supervise,
};

/// Run a command and keep all it prints, in a session of its own
///
/// What the command prints is passed on at once, byte for byte. logboom ends as the command does: with its exit code, or of the
/// same signal; 124 if its time was up, 125 if logboom failed, 126 if the command cannot be run, 127 if there is none.
/// Inside another logboom's session it adds to that one (see --new-session).
#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    naming: Naming,
    /// Start a new session, also inside another one
    #[arg(long)]
    new_session: bool,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    running: Running,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["CMD", "ARG"], num_args = 1..)]
    command: Vec<OsString>,
}

impl Run {
    /// Ends as the command does.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let Run { naming, new_session, keeping, running, command } = &self;
        let supervise = Supervise { global, naming, keeping, running, called: None, words: command };
        supervise.run(|config| Ok(target(*new_session, config)), now)
    }
}

/// The session around us, unless it was not asked for: by `--new-session`, or by `--dir` with another data dir.
pub fn target(new_session: bool, config: &Config) -> Target {
    let around = std::env::var_os("LOGBOOM_DIR");
    let elsewhere = around.is_some_and(|dir| Path::new(&dir) != config.dir.value);
    if new_session || elsewhere { Target::New } else { Target::of_environment() }
}

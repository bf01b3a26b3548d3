//! `logboom run`: a command, in a session of its own.

use std::ffi::OsString;

use anyhow::Result;
use logboom_record::Time;

use crate::{
    args::Global,
    exit::Exit,
    junit_files::JunitFiles,
    options::{Apart, Keeping, Masking, Naming, Running},
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
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["CMD", "ARG"], num_args = 1..)]
    command: Vec<OsString>,
}

impl Run {
    /// Ends as the command does.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let Run { naming, apart, keeping, masking, junit, running, command } = &self;
        let masks = masking.masks()?;
        let supervise = Supervise { global, naming, keeping, masks, junit, running, called: None, words: command };
        supervise.run(|config| Ok(apart.target(config)), now)
    }
}

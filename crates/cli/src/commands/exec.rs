//! `logboom exec`: a command, as part of a started session.

use std::{env, ffi::OsString};

use anyhow::{Context, Result};
use logboom_files::{config::Config, list::SessionRef};
use logboom_record::Time;

use crate::{
    args::Global,
    exit::Exit,
    in_container::{Inside, InsideRun},
    junit_files::JunitFiles,
    options::{Keeping, Masking, Naming, Running},
    place,
    recording::{Target, run_around},
    supervise::Supervise,
};

const NO_SESSION: &str = "no session; give --session ID, or set LOGBOOM_SESSION";

/// Run a command as part of a started session
///
/// Like `logboom run`, but the run is added to a session that `logboom session start` began. Several may run at once.
/// With --container the command runs in that container, as `docker exec` runs it: what it prints is in no log of the container's.
/// With -t and -i all keys are the command's, Ctrl-C too. Else Ctrl-C ends logboom alone, for the engine has no way to end such a command.
#[derive(clap::Args)]
pub struct Exec {
    /// Session: id, its 8 hex digits or the first of them, or name [LOGBOOM_SESSION]
    #[arg(long, value_name = "SESSION")]
    session: Option<SessionRef>,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    masking: Masking,
    #[command(flatten)]
    junit: JunitFiles,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    inside: Inside,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["CMD", "ARG"], num_args = 1..)]
    command: Vec<OsString>,
}

impl Exec {
    /// Ends as the command does.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let Exec { session, naming, keeping, masking, junit, running, inside, command } = &self;
        let masking = &Masking { more: inside.variables(), ..masking.clone() };
        let masks = masking.masks()?;
        let config = place::config(&running.flags(global))?;
        let target = given(session.as_ref(), &config, now)?;
        if let Some(container) = inside.container() {
            anyhow::ensure!(
                junit.is_empty(),
                "--junit reads files of this machine, not of a container; copy them out of it"
            );
            return InsideRun { inside, naming, keeping, masks, words: command }.run(container, &config, target, now);
        }
        let (config, called, words, cwd, is_part) = (&config, None, &command[..], None, false);
        let supervise =
            Supervise { config, naming, keeping, masking, masks, junit, running, called, words, cwd, is_part };
        supervise.run(target, now)
    }
}

/// The session that was asked for. It must be there and go on: nothing is run otherwise.
pub fn given(session: Option<&SessionRef>, config: &Config, now: Time) -> Result<Target> {
    let (reference, parent) = match session {
        Some(reference) => (reference.clone(), None),
        None => (env::var("LOGBOOM_SESSION").ok().context(NO_SESSION)?.parse()?, run_around()),
    };
    let session = place::find_session(&config.data_dir(), &reference, now)?;
    if let Some(end) = session.meta()?.run.end {
        anyhow::bail!(
            "session {} has ended ({} at {}); start a new one with `logboom session start`",
            session.id().short(),
            end.outcome.as_str(),
            end.ended_at
        );
    }
    Ok(Target::Given(session, parent))
}

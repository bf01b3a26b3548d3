//! What logboom runs to start and end services: captured as any command, shown to nobody.

use std::{ffi::OsString, time::Duration};

use anyhow::Result;
use logboom_capture::command::{Group, Spec, TimeLimit, Tty};
use logboom_files::{
    attempts::{SET_UP, STEP, TEAR_DOWN},
    config::OnTerminal,
};
use logboom_record::Outcome;

use super::{Step, Stopped, TestSession};
use crate::{
    junit_files::JunitFiles,
    options::{Keeping, Running},
    supervise::Over,
};

/// How long what ends services may take, beyond the time that these have themselves.
const DOWN_MAX: Duration = Duration::from_secs(120);
/// How long what starts services has to end when a signal came.
const STOP_GRACE: Duration = Duration::from_secs(10);
const KILL_GRACE: Duration = Duration::from_secs(2);

/// Whether it starts or ends services.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A signal ends it.
    Up,
    /// Nothing ends it but its time, beyond what services have themselves.
    Down(Duration),
}

/// A command that logboom needs.
pub(super) struct Chore {
    /// What its run is called.
    pub(super) name: String,
    /// What its text log is called after.
    pub(super) called: &'static str,
    pub(super) words: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
}

impl TestSession<'_> {
    /// Starts something; says what it printed last if it failed.
    pub(super) fn up(&self, chore: &Chore) -> Result<(), Stopped> {
        let over = self.carry_out(chore, Way::Up)?;
        if let Some(signal) = self.interrupted() {
            return Err(Stopped::Interrupted(signal));
        }
        if over.end.outcome == Outcome::Passed {
            return Ok(());
        }
        let why = match over.end.exit_code {
            Some(code) => format!("`{}` exited with {code}", chore.name),
            None => format!("`{}` was ended by a signal", chore.name),
        };
        let lines = self.log_of_last(&chore.name).map(|log| self.last_lines(&log)).unwrap_or_default();
        Err(Stopped::Failed(anyhow::anyhow!(why), lines))
    }

    /// Ends something that has so long to end; whether that was done.
    pub(super) fn down(&self, chore: &Chore, grace: Duration) -> bool {
        self.carry_out(chore, Way::Down(grace)).is_ok_and(|over| over.end.outcome == Outcome::Passed)
    }

    fn carry_out(&self, chore: &Chore, way: Way) -> Result<Over> {
        let when = if way == Way::Up { SET_UP } else { TEAR_DOWN };
        let step = Step {
            name: Some(chore.name.clone()),
            called: Some(chore.called),
            words: &chore.words,
            cwd: None,
            env: Vec::new(),
            junit: &JunitFiles::default(),
            running: &Running::default(),
            labels: vec![(STEP.to_owned(), when.to_owned())],
            is_tear_down: way != Way::Up,
        };
        let keeping = Keeping { quiet: true, no_boom: false, summary: OnTerminal::Never };
        self.run_part(&step, &keeping, |spec| {
            // Not those of the session: what leads to an engine within it does not lead to the engine that has that one.
            spec.env.extend(chore.env.iter().cloned());
            // Nor as the tests run.
            (spec.group, spec.tty, spec.drain) = (Group::Own, Tty::Never, Spec::new("").drain);
            match way {
                Way::Up => {
                    spec.stop_grace = Some(STOP_GRACE);
                    spec.told = Some(self.interrupts.told());
                }
                Way::Down(grace) => {
                    spec.time_limit = Some(TimeLimit { after: DOWN_MAX.saturating_add(grace), grace: KILL_GRACE });
                }
            }
        })
    }

    /// The text log of the last run of this name.
    fn log_of_last(&self, name: &str) -> Option<String> {
        self.session().meta().ok()?.runs.into_iter().rev().find(|run| run.run.name == name)?.text
    }
}

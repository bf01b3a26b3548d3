//! What logboom runs to start and end services: captured as any command, shown to nobody.

use std::{ffi::OsString, time::Duration};

use anyhow::Result;
use logboom_capture::command::{self, Group, Spec, TimeLimit, Tty};
use logboom_files::{config::OnTerminal, session::Counts};
use logboom_record::{Outcome, Time};

use super::{Stopped, TestSession};
use crate::{
    junit_files::JunitFiles,
    options::{Keeping, Naming, Running},
    recording::Recording,
    supervise::{Over, Supervise},
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
        let naming = Naming { name: Some(chore.name.clone()), ..Naming::default() };
        let keeping = Keeping { quiet: true, no_boom: false, summary: OnTerminal::Never };
        let supervise = Supervise {
            global: self.setting.global,
            naming: &naming,
            keeping: &keeping,
            masks: self.masks.clone(),
            junit: &JunitFiles::default(),
            running: &Running::default(),
            called: Some(chore.called),
            words: &chore.words,
        };
        let runner = |spec: &Spec, sink: _, _: Option<&Recording>| {
            let mut spec = Spec { group: Group::Own, tty: Tty::Never, ..spec.clone() };
            spec.env.extend(chore.env.iter().cloned());
            match way {
                Way::Up => {
                    spec.stop_grace = Some(STOP_GRACE);
                    spec.told = Some(self.interrupts.told());
                }
                Way::Down(grace) => {
                    spec.time_limit = Some(TimeLimit { after: DOWN_MAX.saturating_add(grace), grace: KILL_GRACE });
                }
            }
            (command::run(&spec, sink), Counts::default())
        };
        supervise.run_by(Box::new(runner), |_| Ok(self.target()), Time::now())
    }

    /// The text log of the last run of this name.
    fn log_of_last(&self, name: &str) -> Option<String> {
        self.session().meta().ok()?.runs.into_iter().rev().find(|run| run.run.name == name)?.text
    }
}

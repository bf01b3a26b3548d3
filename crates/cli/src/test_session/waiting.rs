//! Waiting for services.

use std::{
    fmt::Write,
    thread,
    time::{Duration, Instant},
};

use logboom_capture::waiting::{Condition, Readiness, Wait};
use logboom_record::Level;

use super::{
    Stopped, TestSession,
    services::{Handle, Started},
};
use crate::human;

/// How often services are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl TestSession<'_> {
    /// Waits until all services of these are ready.
    pub(super) fn wait_for(&mut self, is_meant: impl Fn(&Started) -> bool) -> Result<(), Stopped> {
        let until = Instant::now() + self.setting.wait_max;
        loop {
            let mut left = Vec::new();
            for at in 0..self.started.len() {
                if is_meant(&self.started[at]) {
                    left.extend(self.look_at(at)?);
                }
            }
            if let Some(signal) = self.interrupted() {
                return Err(Stopped::Interrupted(signal));
            }
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(self.too_late(&left));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// What is not so yet of what a service is waited for; what is so now is not looked at again.
    fn look_at(&mut self, at: usize) -> Result<Vec<(usize, Wait, String)>, Stopped> {
        let mut left = Vec::new();
        for wait in std::mem::take(&mut self.started[at].waits) {
            let Started { pick, looker, .. } = &mut self.started[at];
            let found = looker.look(&wait, &|run| pick.has(&wait, run, &self.masks))?;
            match found {
                Readiness::Ready => {
                    let took = human::duration(self.started[at].began.elapsed());
                    self.tell(Level::Info, &format!("{} is ready ({}) after {took}", wait.service, wait.condition));
                    self.started[at].held.push(wait);
                }
                Readiness::NotYet(_) if self.could_not_begin(at, &wait) => return Err(self.not_begun(at)),
                Readiness::NotYet(why) => left.push((at, wait, why)),
                Readiness::Never(why) => {
                    let error = anyhow::anyhow!("{} {why}, and was waited for ({})", wait.service, wait.condition);
                    return Err(Stopped::Failed(error, self.last_lines_of(at, &wait)));
                }
            }
        }
        self.started[at].waits = left.iter().map(|(_, wait, _)| wait.clone()).collect();
        Ok(left)
    }

    /// Looks whether what was ready still runs: another may have had the port, and a program without conditions may be none.
    pub(super) fn look_again(&mut self) -> Result<(), Stopped> {
        for at in 0..self.started.len() {
            let name = self.started[at].name.clone();
            let any = Wait { service: name, condition: Condition::Log(String::new()) };
            if self.could_not_begin(at, &any) {
                return Err(self.not_begun(at));
            }
            let is_of_port = |wait: &Wait| matches!(wait.condition, Condition::Port(_) | Condition::Http(_));
            let mut held = std::mem::take(&mut self.started[at].held);
            held.retain(is_of_port);
            for wait in held {
                let Started { pick, looker, .. } = &mut self.started[at];
                let found = looker.look(&wait, &|run| pick.has(&wait, run, &self.masks))?;
                if let Readiness::Never(why) = found {
                    let error =
                        anyhow::anyhow!("{} {why}, and somebody else has answered ({})", wait.service, wait.condition);
                    return Err(Stopped::Failed(error, self.last_lines_of(at, &wait)));
                }
            }
        }
        Ok(())
    }

    /// Whether what was to keep a program running has ended without having begun.
    fn could_not_begin(&self, at: usize, wait: &Wait) -> bool {
        let Started { handle: Handle::Program(program), pick, .. } = &self.started[at] else { return false };
        let has_run =
            || self.session().meta().is_ok_and(|meta| meta.runs.iter().any(|run| pick.has(wait, run, &self.masks)));
        program.has_ended() && !has_run()
    }

    fn not_begun(&self, at: usize) -> Stopped {
        anyhow::anyhow!("{} could not be started, see above", self.started[at].name).into()
    }

    fn too_late(&self, left: &[(usize, Wait, String)]) -> Stopped {
        let mut text = format!("not ready after {}:", human::duration(self.setting.wait_max));
        for (_, wait, why) in left {
            // Writing to a string cannot fail.
            let _ = write!(text, " {} {why} ({});", wait.service, wait.condition);
        }
        let text = text.trim_end_matches(';').to_owned();
        let lines = left.first().map(|(at, wait, _)| self.last_lines_of(*at, wait));
        Stopped::Failed(anyhow::anyhow!(text), lines.unwrap_or_default())
    }

    /// What a service printed last.
    fn last_lines_of(&self, at: usize, wait: &Wait) -> Vec<String> {
        let Ok(meta) = self.session().meta() else { return Vec::new() };
        let run = meta.runs.iter().rev().find(|run| self.started[at].pick.has(wait, run, &self.masks));
        run.and_then(|run| run.text.as_ref()).map(|log| self.last_lines(log)).unwrap_or_default()
    }
}

//! Markdown of a session, for a pull request or the summary of a CI step.

use std::cmp::Reverse;

use anyhow::Result;
use logboom_files::{
    attempts::{self, Attempts, RunOf, TestOf},
    session::{Counts, RunMeta, Status},
};
use logboom_record::{Kind, Outcome, RunId, TestResult};
use logboom_store::{RunQuery, RunState, Scope, Store};
use logboom_store_embedded::Embedded;

use super::{
    is_test,
    last_lines::{Bounds, Whose, last_lines},
    markdown::{block, name},
    own_run, speaking, text,
};
use crate::{commands::sessions, human};

/// A comment on GitHub takes 65,536 characters, a step 1 MiB.
const BYTES_MAX: usize = 60 << 10;
/// So much is kept free for what comes last: a name may have 1.2 KiB, as each of its characters may be an entity.
const REST_BYTES: usize = 10 << 10;
/// So much the table of runs takes.
const RUNS_BYTES_MAX: usize = 16 << 10;
/// So many runs are in the table.
const RUNS_MAX: usize = 100;
/// So many tests are named that passed on a retry.
const RETRIED_MAX: usize = 20;
/// So many of the slowest are named.
const SLOWEST_MAX: usize = 5;
/// So many commands that failed are shown where no test did.
const COMMANDS_MAX: usize = 5;
/// So many lines of what failed are shown.
const LAST: Bounds = Bounds { lines: 40, bytes: 32 << 10 };

/// The summary.
///
/// # Errors
/// Of the store.
pub fn of(status: &Status, store: &Embedded) -> Result<String> {
    let attempts = attempts::of(status);
    let tests = attempts.iter().flat_map(Attempts::tests).collect();
    let states = store.runs(&RunQuery::new(Scope::Session(status.meta.run.id)))?;
    let mut summary = Summary { status, store, states, attempts, tests, text: String::new() };
    summary.head();
    summary.runs();
    summary.counts();
    summary.failed_tests()?;
    if !summary.tests.iter().any(|one| one.test.outcome.is_bad()) {
        summary.failed_runs()?;
    }
    summary.retried();
    summary.slowest();
    summary.end();
    Ok(summary.text)
}

struct Summary<'a> {
    status: &'a Status,
    store: &'a Embedded,
    states: Vec<RunState>,
    attempts: Vec<Attempts<'a>>,
    tests: Vec<TestOf<'a>>,
    text: String,
}

impl Summary<'_> {
    fn head(&mut self) {
        let Status { meta, outcome, .. } = self.status;
        let how = human::outcome(*outcome, meta.run.end.as_ref());
        let took = human::duration(human::between(meta.run.started_at, self.status.last_seen));
        let exit = match meta.run.end.as_ref().and_then(|end| end.exit_code) {
            Some(0) => " (exit 0)",
            _ => "",
        };
        self.text += &format!("### {}: {how}{exit} in {took}\n\n", name(&meta.run.name));
    }

    fn runs(&mut self) {
        let runs = &self.status.meta.runs;
        if runs.is_empty() {
            self.text += "It has no runs.\n\n";
            return;
        }
        self.text += "| run | outcome | took | lines | errors | warnings | lost |\n|---|---|--:|--:|--:|--:|--:|\n";
        let (begin, mut shown) = (self.text.len(), 0);
        for (meta, outcome) in runs.iter().zip(&self.status.outcomes).take(RUNS_MAX) {
            if self.text.len() - begin > RUNS_BYTES_MAX {
                break;
            }
            let state = self.states.iter().find(|state| state.run.id == meta.run.id);
            self.text += &row(RunOf { meta, outcome: *outcome }, state);
            shown += 1;
        }
        if let Some(more @ 1..) = runs.len().checked_sub(shown) {
            self.text += &format!("\nand {} more\n", human::counted(more as u64, "run"));
        }
        self.text += "\n";
    }

    fn counts(&mut self) {
        let tests = self.tests.iter().map(|one| &*one.test);
        let all = tests.len() as u64;
        if all == 0 {
            return;
        }
        let mut words = human::outcomes(tests.clone().map(|test| test.outcome));
        let retried = tests.filter(|test| test.passed_on_retry()).count() as u64;
        if retried > 0 {
            words += &format!(", {} passed only when run again", human::count(retried));
        }
        self.text += &format!("**{}**: {words}\n\n", human::counted(all, "test"));
    }

    fn failed_tests(&mut self) -> Result<()> {
        let failed: Vec<TestOf<'_>> = self.tests.iter().filter(|one| one.test.outcome.is_bad()).cloned().collect();
        for (number, one) in failed.iter().enumerate() {
            let section = self.failed_test(one.run.run.id, &one.test)?;
            if !self.add(&section) {
                self.left_out(failed.len() - number, "failed test");
                return Ok(());
            }
        }
        Ok(())
    }

    fn failed_test(&self, run: RunId, test: &TestResult) -> Result<String> {
        let word = test.outcome.as_str().replace('_', " ");
        let took = test.duration_us.map_or(String::new(), |us| format!(" in {}", human::took(us)));
        let retries = match test.retries {
            0 => String::new(),
            count => format!(", also when run again ({})", human::counted(u64::from(count), "time")),
        };
        let head = format!("{} {word}{took}{retries}", name(&test.full_name()));
        let message = text::lines(&test.message);
        let message = if message.trim().is_empty() { String::new() } else { block(&message) + "\n" };
        Ok(details(&head, &(message + &self.last(run, Some(test))?)))
    }

    /// Where nothing that failed tells why a session did not end well, logboom's own run does.
    fn failed_runs(&mut self) -> Result<()> {
        let mut failed: Vec<RunOf<'_>> = speaking(self.status, &self.attempts).iter().map(|one| one.last).collect();
        failed.retain(|run| run.outcome.is_bad());
        let is_told = failed.iter().any(|run| is_test(run.meta));
        for run in failed.iter().take(COMMANDS_MAX) {
            self.failed_run(run.meta, &human::outcome(run.outcome, run.meta.run.end.as_ref()))?;
        }
        if let Some(more @ 1..) = failed.len().checked_sub(COMMANDS_MAX) {
            self.left_out(more, "failed run");
        }
        match own_run(self.status) {
            Some(own) if self.status.outcome.is_bad() && !is_told => self.failed_run(own, "told"),
            _ => Ok(()),
        }
    }

    fn failed_run(&mut self, run: &RunMeta, how: &str) -> Result<()> {
        let head = format!("{} {how}", called(run));
        let section = details(&head, &self.last(run.run.id, None)?);
        if !self.add(&section) {
            self.left_out(1, "failed run");
        }
        Ok(())
    }

    /// The last lines as a block, with a word on those before them.
    fn last(&self, run: RunId, test: Option<&TestResult>) -> Result<String> {
        let root = self.status.meta.run.id;
        let lines = last_lines(self.store, Whose { root, run, test }, LAST)?;
        let before = match lines.left_out {
            0 => String::new(),
            count => format!("{} before these:\n\n", human::counted(count, "line")),
        };
        Ok(match (lines.text.is_empty(), test) {
            (false, _) => before + &block(&lines.text),
            (true, Some(test)) if !test.has_output() => "Which lines are its own is not known.\n".to_owned(),
            _ => "It printed nothing.\n".to_owned(),
        })
    }

    fn retried(&mut self) {
        let tests = self.tests.iter().filter(|one| one.test.passed_on_retry());
        let tests = tests.map(|one| (one.test.full_name(), u64::from(one.test.retries)));
        let is_retried = |one: &&Attempts<'_>| {
            let is_told = !attempts::is_step(one.last.meta) && one.tests().is_empty();
            is_told && one.last.outcome == Outcome::Passed && !one.before.is_empty()
        };
        let commands = self.attempts.iter().filter(is_retried);
        let commands = commands.map(|one| (one.last.meta.run.name.clone(), one.before.len() as u64));
        let all: Vec<(String, u64)> = tests.chain(commands).collect();
        if all.is_empty() {
            return;
        }
        self.text += "**Passed only when run again**\n\n";
        let mut shown = 0;
        for (called, times) in all.iter().take(RETRIED_MAX) {
            if !self.add(&format!("- {}: run again {}\n", name(called), human::counted(*times, "time"))) {
                break;
            }
            shown += 1;
        }
        if let Some(more @ 1..) = all.len().checked_sub(shown) {
            self.text += &format!("- and {} more\n", human::count(more as u64));
        }
        self.text += "\n";
    }

    fn slowest(&mut self) {
        let mut timed: Vec<(u64, &TestResult)> =
            self.tests.iter().filter_map(|one| Some((one.test.duration_us?, &*one.test))).collect();
        if timed.len() <= 1 {
            return;
        }
        timed.sort_by_key(|(us, _)| Reverse(*us));
        self.text += "| slowest tests | took |\n|---|--:|\n";
        for (us, test) in timed.iter().take(SLOWEST_MAX) {
            self.text += &format!("| {} | {} |\n", name(&test.full_name()), human::took(*us));
        }
        self.text += "\n";
    }

    fn end(&mut self) {
        let id = self.status.id.short();
        let lost = sessions::counts(self.store, self.status).lost;
        let what = match (lost, self.states.iter().any(|state| state.lost_more)) {
            (0, false) => None,
            (0, true) => Some("Records lost, how many is not known".to_owned()),
            (_, false) => Some(human::counted(lost, "record") + " lost"),
            (_, true) => Some(human::counted(lost, "record") + " lost, and more, how many is not known"),
        };
        if let Some(what) = what {
            self.text += &format!("**{what}**: `logboom verify {id}` says which, and why.\n\n");
        }
        if self.status.outcome == Outcome::Running {
            self.text += "The session still runs.\n\n";
        }
        self.text +=
            &format!("All of it: `logboom show {id}`; what a test printed: `logboom show {id} --test NAME`.\n");
    }

    /// Adds a section if there is room.
    fn add(&mut self, section: &str) -> bool {
        let fits = self.text.len() + section.len() + REST_BYTES <= BYTES_MAX;
        if fits {
            self.text += section;
        }
        fits
    }

    fn left_out(&mut self, count: usize, what: &str) {
        let id = self.status.id.short();
        let more = human::counted(count as u64, what);
        self.text += &format!("{more} left out here; `logboom show {id} --junit -` has them all.\n\n");
    }
}

/// A row of the table of runs. The numbers of a run that has not noted them are those of its files; what nobody knows is not 0.
fn row(run: RunOf<'_>, state: Option<&RunState>) -> String {
    let meta = &run.meta.run;
    let how = human::outcome(run.outcome, meta.end.as_ref());
    let took =
        meta.end.as_ref().map_or(String::new(), |end| human::duration(human::between(meta.started_at, end.ended_at)));
    let counts = run.meta.counts.or(state.map(sessions::counts_of));
    let mut figures = counts
        .map_or([const { String::new() }; 4], |Counts { lines, errors, warnings, lost, .. }| {
            [lines, errors, warnings, lost].map(human::count)
        });
    if state.map_or(run.outcome == Outcome::Lost, |state| state.lost_more) {
        figures[3] = "not known".to_owned();
    }
    let kind = if meta.kind == Kind::Command { String::new() } else { format!(" ({})", meta.kind.as_str()) };
    format!("| {}{kind} | {how} | {took} | {} |\n", called(run.meta), figures.join(" | "))
}

fn called(run: &RunMeta) -> String {
    human::attempt_name(&name(&run.run.name), attempts::attempt(run))
}

fn details(head: &str, body: &str) -> String {
    format!("<details><summary>{head}</summary>\n\n{body}\n</details>\n\n")
}

//! Markdown of a session, for a pull request or the summary of a CI step.

use std::{cmp::Reverse, time::Duration};

use anyhow::Result;
use logboom_files::session::Status;
use logboom_record::{Kind, Outcome, RunId, TestOutcome, TestResult};
use logboom_store_embedded::Embedded;

use super::{
    RunOf,
    last_lines::{Bounds, Whose, last_lines},
    markdown::{block, name},
    runs, tests, text,
};
use crate::{commands::sessions, human};

/// GitHub takes 1 MiB for a step.
const BYTES_MAX: usize = 900 << 10;
/// So much is kept free for what comes last.
const REST_BYTES: usize = 64 << 10;
/// So many runs are in the table.
const RUNS_MAX: usize = 100;
/// So many tests are named that passed on a retry.
const RETRIED_MAX: usize = 20;
/// So many of the slowest are named.
const SLOWEST_MAX: usize = 5;
/// So many commands that failed are shown where no test did.
const COMMANDS_MAX: usize = 5;
/// So many lines of what failed are shown.
const LAST: Bounds = Bounds { lines: 40, bytes: 64 << 10 };

/// The summary.
///
/// # Errors
/// Of the store.
pub fn of(status: &Status, store: &Embedded) -> Result<String> {
    let mut summary = Summary { status, store, text: String::new() };
    summary.head();
    summary.runs();
    summary.counts();
    summary.failed_tests()?;
    if !tests(status).any(|(_, test)| test.outcome.is_bad()) {
        summary.failed_commands()?;
    }
    summary.retried();
    summary.slowest();
    summary.end();
    Ok(summary.text)
}

struct Summary<'a> {
    status: &'a Status,
    store: &'a Embedded,
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
        let shown: Vec<RunOf<'_>> = runs(self.status).take(RUNS_MAX).collect();
        if shown.is_empty() {
            self.text += "It has no runs.\n\n";
            return;
        }
        self.text += "| run | outcome | took | lines | errors | warnings | lost |\n|---|---|--:|--:|--:|--:|--:|\n";
        for run in shown {
            let (meta, counts) = (&run.meta.run, run.meta.counts);
            let how = human::outcome(run.outcome, meta.end.as_ref());
            let took = meta
                .end
                .as_ref()
                .map_or(String::new(), |end| human::duration(human::between(meta.started_at, end.ended_at)));
            let unknown = if run.outcome == Outcome::Lost { "not known" } else { "" };
            let figures = counts.map_or(["", "", "", unknown].map(str::to_owned), |counts| {
                [counts.lines, counts.errors, counts.warnings, counts.lost].map(human::count)
            });
            let kind = if meta.kind == Kind::Command { String::new() } else { format!(" ({})", meta.kind.as_str()) };
            self.text += &format!("| {}{kind} | {how} | {took} | {} |\n", name(&meta.name), figures.join(" | "));
        }
        if let Some(more @ 1..) = self.status.meta.runs.len().checked_sub(RUNS_MAX) {
            self.text += &format!("\nand {} more\n", human::counted(more as u64, "run"));
        }
        self.text += "\n";
    }

    fn counts(&mut self) {
        let count =
            |wanted: &dyn Fn(&TestResult) -> bool| tests(self.status).filter(|(_, test)| wanted(test)).count() as u64;
        let all = count(&|_| true);
        if all == 0 {
            return;
        }
        let outcome = |outcome: TestOutcome| human::count(count(&|test| test.outcome == outcome));
        let mut words = vec![
            format!("{} passed", outcome(TestOutcome::Passed)),
            format!("{} failed", outcome(TestOutcome::Failed)),
        ];
        for (which, word) in [(TestOutcome::TimedOut, "timed out"), (TestOutcome::Skipped, "skipped")] {
            if count(&|test| test.outcome == which) > 0 {
                words.push(format!("{} {word}", outcome(which)));
            }
        }
        let retried = count(&TestResult::passed_on_retry);
        if retried > 0 {
            words.push(format!("{} passed only when run again", human::count(retried)));
        }
        self.text += &format!("**{}**: {}\n\n", human::counted(all, "test"), words.join(", "));
    }

    fn failed_tests(&mut self) -> Result<()> {
        let failed: Vec<_> = tests(self.status).filter(|(_, test)| test.outcome.is_bad()).collect();
        for (number, (run, test)) in failed.iter().enumerate() {
            let section = self.failed_test(run.run.id, test)?;
            if !self.add(&section) {
                self.left_out(failed.len() - number, "failed test");
                return Ok(());
            }
        }
        Ok(())
    }

    fn failed_test(&self, run: RunId, test: &TestResult) -> Result<String> {
        let word = test.outcome.as_str().replace('_', " ");
        let took = test.duration_us.map_or(String::new(), |us| format!(" in {}", took(us)));
        let retries = match test.retries {
            0 => String::new(),
            count => format!(", also when run again ({})", human::counted(u64::from(count), "time")),
        };
        let head = format!("{} {word}{took}{retries}", name(&test.full_name()));
        let message = text::lines(&test.message);
        let message = if message.trim().is_empty() { String::new() } else { block(&message) + "\n" };
        Ok(details(&head, &(message + &self.last(run, Some(test))?)))
    }

    fn failed_commands(&mut self) -> Result<()> {
        let failed: Vec<RunOf<'_>> =
            runs(self.status).filter(|run| run.meta.run.kind == Kind::Command && run.outcome.is_bad()).collect();
        for run in failed.iter().take(COMMANDS_MAX) {
            let meta = &run.meta.run;
            let head = format!("{} {}", name(&meta.name), human::outcome(run.outcome, meta.end.as_ref()));
            let section = details(&head, &self.last(meta.id, None)?);
            self.add(&section);
        }
        if let Some(more @ 1..) = failed.len().checked_sub(COMMANDS_MAX) {
            self.left_out(more, "failed command");
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
        let all: Vec<&TestResult> =
            tests(self.status).map(|(_, test)| test).filter(|test| test.passed_on_retry()).collect();
        if all.is_empty() {
            return;
        }
        self.text += "**Passed only when run again**\n\n";
        for test in all.iter().take(RETRIED_MAX) {
            let times = human::counted(u64::from(test.retries), "time");
            self.text += &format!("- {}: run again {times}\n", name(&test.full_name()));
        }
        if let Some(more @ 1..) = all.len().checked_sub(RETRIED_MAX) {
            self.text += &format!("- and {} more\n", human::count(more as u64));
        }
        self.text += "\n";
    }

    fn slowest(&mut self) {
        let mut timed: Vec<(u64, &TestResult)> =
            tests(self.status).filter_map(|(_, test)| Some((test.duration_us?, test))).collect();
        if timed.len() <= 1 {
            return;
        }
        timed.sort_by_key(|(us, _)| Reverse(*us));
        self.text += "| slowest tests | took |\n|---|--:|\n";
        for (us, test) in timed.iter().take(SLOWEST_MAX) {
            self.text += &format!("| {} | {} |\n", name(&test.full_name()), took(*us));
        }
        self.text += "\n";
    }

    fn end(&mut self) {
        let id = self.status.id.short();
        let lost = sessions::counts(self.store, self.status).lost;
        if lost > 0 {
            let records = human::counted(lost, "record");
            self.text += &format!("**{records} lost**: `logboom verify {id}` says which, and why.\n\n");
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

fn details(head: &str, body: &str) -> String {
    format!("<details><summary>{head}</summary>\n\n{body}\n</details>\n\n")
}

fn took(us: u64) -> String {
    human::duration(Duration::from_micros(us))
}

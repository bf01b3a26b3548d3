//! What stands above the lines of a page: the session, its runs, its tests, what is lost.

use std::{collections::BTreeMap, fmt::Write as _};

use logboom_files::{
    attempts,
    session::{Counts, RunMeta, Status},
};
use logboom_record::{Outcome, RunEnd, RunId, TestResult, Time, ansi};
use logboom_store::RunState;

use super::{
    lines::{Window, anchor, gap_anchor},
    survey::{GAPS_MAX, Survey},
    text::{self, Style, name},
};
use crate::{commands::sessions, human, render::gap_message};

/// So many tests that did not pass are listed.
const BAD_TESTS_MAX: usize = 1_000;

/// So many others are.
const GOOD_TESTS_MAX: usize = 5_000;

/// So much of a command is shown.
const COMMAND_CHARS_MAX: usize = 500;

/// What is known of the session.
pub struct Facts<'a> {
    pub status: &'a Status,
    pub runs: &'a [RunState],
    pub names: &'a BTreeMap<RunId, String>,
    pub survey: &'a Survey,
    pub window: Window,
    pub now: Time,
}

impl Facts<'_> {
    /// What the session is called and how it ended, as the title of the page.
    pub fn title(&self) -> String {
        let status = self.status;
        format!("{}: {} ({})", name(&status.meta.run.name), self.outcome(), status.id.short())
    }

    fn outcome(&self) -> String {
        human::outcome(self.status.outcome, self.status.meta.run.end.as_ref())
    }

    /// Appends all of it.
    pub fn push(&self, out: &mut String) {
        self.push_head(out);
        self.push_runs(out);
        self.push_tests(out);
        self.push_gaps(out);
    }

    fn push_head(&self, out: &mut String) {
        let (status, run) = (self.status, &self.status.meta.run);
        let ended = if status.outcome == Outcome::Running { self.now } else { status.last_seen };
        let took = human::duration(human::between(run.started_at, ended));
        let class = status.outcome.as_str();
        *out += &format!("<h1>{} <strong class=\"{class}\">{}</strong></h1>\n", name(&run.name), self.outcome());
        let mut facts =
            vec![("Session", status.id.to_string()), ("Started", run.started_at.to_string()), ("Took", took)];
        let Counts { lines, errors, warnings, .. } = self.runs.iter().map(sessions::counts_of).sum();
        let seen = [(lines, "line"), (errors, "error"), (warnings, "warning")];
        facts.push(("Printed", seen.map(|(number, what)| human::counted(number, what)).join(", ")));
        let meta = &status.meta;
        let optional = [("Host", &meta.host), ("User", &meta.user)];
        facts.extend(optional.iter().filter_map(|(what, value)| Some((*what, name((*value).as_ref()?)))));
        facts.extend(status.damage.iter().map(|why| ("Damaged", name(why))));
        *out += "<dl>\n";
        for (what, value) in &facts {
            let _ = writeln!(out, "<div><dt>{what}</dt><dd>{value}</dd></div>");
        }
        for (key, value) in &run.labels {
            let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", name(key), name(value));
        }
        *out += "</dl>\n";
    }

    fn push_runs(&self, out: &mut String) {
        if self.status.meta.runs.is_empty() {
            return;
        }
        *out += "<section aria-labelledby=\"runs\"><h2 id=\"runs\">Runs</h2><div class=\"wide\"><table>\n<thead><tr><th>Run<th>Outcome\
                 <th>Took<th>Lines<th>Errors<th>Lost<th>Command</thead>\n<tbody>\n";
        for (run, outcome) in self.status.meta.runs.iter().zip(&self.status.outcomes) {
            self.push_run(out, run, *outcome);
        }
        *out += "</tbody></table></div></section>\n";
    }

    fn push_run(&self, out: &mut String, run: &RunMeta, outcome: Outcome) {
        let state = self.runs.iter().find(|state| state.run.id == run.run.id);
        let end: Option<&RunEnd> = run.run.end.as_ref();
        let took = end.map(|end| human::duration(human::between(run.run.started_at, end.ended_at))).unwrap_or_default();
        let Counts { lines, errors, lost, .. } = state.map(sessions::counts_of).unwrap_or_default();
        let lost = if state.is_some_and(|state| state.lost_more) { "some".to_owned() } else { human::count(lost) };
        let called = self.names.get(&run.run.id).map_or(run.run.name.as_str(), String::as_str);
        let words = run.command.join(" ");
        let mut command: String = words.chars().take(COMMAND_CHARS_MAX).collect();
        if command.len() < words.len() {
            command.push('…');
        }
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=\"{}\">{}<td>{took}<td>{}<td>{}<td>{lost}<td><code>{}</code>",
            human::attempt_name(&name(called), attempts::attempt(run)),
            outcome.as_str(),
            human::outcome(outcome, end),
            human::count(lines),
            human::count(errors),
            name(&command),
        );
    }

    fn push_tests(&self, out: &mut String) {
        let tests = attempts::tests(self.status);
        let all: Vec<(RunId, &TestResult)> = tests.iter().map(|one| (one.run.run.id, &*one.test)).collect();
        if all.is_empty() {
            return;
        }
        let (bad, good): (Vec<_>, Vec<_>) = all.iter().copied().partition(|(_, test)| test.outcome.is_bad());
        let counts = human::outcomes(all.iter().map(|(_, test)| test.outcome));
        *out += &format!("<section aria-labelledby=\"tests\"><h2 id=\"tests\">Tests</h2>\n<p>{counts}</p>\n");
        if !bad.is_empty() {
            self.push_table(out, &bad, BAD_TESTS_MAX);
        }
        if !good.is_empty() {
            let open = if bad.is_empty() && good.len() <= 20 { " open" } else { "" };
            *out += &format!(
                "<details{open}><summary>{}</summary>\n",
                human::counted(good.len() as u64, "test") + " that did not fail"
            );
            self.push_table(out, &good, GOOD_TESTS_MAX);
            *out += "</details>\n";
        }
        *out += "</section>\n";
    }

    fn push_table(&self, out: &mut String, tests: &[(RunId, &TestResult)], count_max: usize) {
        *out += "<div class=\"wide\"><table>\n<thead><tr><th>Outcome<th>Test<th>Suite<th>Took<th>Retries</thead>\n<tbody>\n";
        for (run, test) in tests.iter().take(count_max) {
            let took = test.duration_us.map(human::took).unwrap_or_default();
            let retries = if test.retries == 0 { String::new() } else { human::count(u64::from(test.retries)) };
            let outcome = test.outcome.as_str();
            let _ = writeln!(
                out,
                "<tr><td class=\"{outcome}\">{}<td>{}<td>{}<td>{took}<td>{retries}",
                outcome.replace('_', " "),
                self.linked(*run, test),
                name(&test.suite),
            );
            if test.outcome.is_bad() && !test.message.trim().is_empty() {
                let _ = writeln!(out, "<tr><td><td class=\"message\" colspan=\"4\">{}", message(&test.message));
            }
        }
        *out += "</tbody></table></div>\n";
        if let Some(more) = tests.len().checked_sub(count_max).filter(|more| *more > 0) {
            *out += &format!("<p>and {} more, in session.json</p>\n", human::count(more as u64));
        }
    }

    /// The test's name, as a link to its lines where they are in the page.
    fn linked(&self, run: RunId, test: &TestResult) -> String {
        let place = self.survey.place_of(run, test.from).filter(|place| self.window.has(place.number));
        match place {
            Some(place) => format!("<a href=\"#{}\">{}</a>", anchor(run, place.seq), name(&test.test)),
            None => name(&test.test),
        }
    }

    fn push_gaps(&self, out: &mut String) {
        if self.survey.gaps.is_empty() {
            return;
        }
        *out += "<section aria-labelledby=\"lost\"><h2 id=\"lost\">Lost lines</h2>\n<ul>\n";
        for (gap, number) in &self.survey.gaps {
            let run = self.names.get(&gap.run).map_or_else(|| gap.run.short(), |run| name(run));
            let what = name(&gap_message(gap));
            let _ = match self.window.has(*number) {
                true => writeln!(out, "<li>{run}: <a href=\"#{}\">{what}</a>", gap_anchor(gap)),
                false => writeln!(out, "<li>{run}: {what}"),
            };
        }
        *out += "</ul>\n";
        if self.survey.gap_count > GAPS_MAX as u64 {
            *out += &format!("<p>and {} more</p>\n", human::count(self.survey.gap_count - GAPS_MAX as u64));
        }
        *out += "</section>\n";
    }
}

/// What a tool says of a failure, escaped, on its lines and without its colours.
fn message(message: &str) -> String {
    let (mut bare, mut out) = (Vec::with_capacity(message.len()), Vec::new());
    ansi::strip(message.as_bytes(), &mut bare);
    text::push(&mut out, bare.trim_ascii_end(), &mut Style::default());
    String::from_utf8_lossy(&out).into_owned()
}

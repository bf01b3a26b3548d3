//! JUnit XML of a session.
//!
//! There is a suite for each run and suite of tests. What no test tells of, a command without tests or one that failed though none
//! of its tests did, is a test of the suite `commands`, so that whoever reads the report sees that, too; and where a session did not end
//! well though no command failed, whatever did is, also steps ([`attempts::STEP`]), which are no tests otherwise. What was run again is
//! there once, as it ended at last.

use std::{collections::HashMap, io::Write, time::Duration};

use anyhow::Result;
use logboom_files::{
    attempts::{self, Attempts, RunOf, TestOf},
    session::{RunMeta, Status},
};
use logboom_record::{Outcome, Run, RunEnd, RunId, TestOutcome, TestResult, Time};
use logboom_store_embedded::Embedded;

use super::{
    last_lines::{Bounds, LastLines, Whose, last_lines},
    own_run, speaking, text,
};
use crate::human;

/// What the suite of commands is called.
const COMMANDS: &str = "commands";
/// So many bytes of output a failed test has, …
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// … and all of them together.
const ALL_OUTPUT_BYTES_MAX: usize = 16 << 20;
/// The output of so many is looked up.
const OUTPUTS_MAX: usize = 1_000;
/// So many retries of a test have an element.
const RETRIES_MAX: u32 = 100;

/// Writes the report.
///
/// # Errors
/// Of the store, and of the output.
pub fn write(status: &Status, store: &Embedded, out: &mut dyn Write) -> Result<()> {
    let attempts = attempts::of(status);
    let tests: Vec<TestOf<'_>> = attempts.iter().flat_map(Attempts::tests).collect();
    let suites = suites(status, &attempts, &tests);
    let head = &status.meta.run;
    let all = Totals::of(suites.iter().flat_map(|suite| &suite.cases));
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    let took = human::between(head.started_at, status.last_seen);
    writeln!(
        out,
        "<testsuites name=\"{}\"{all} time=\"{}\" timestamp=\"{}\">",
        attribute(&head.name),
        seconds(took),
        head.started_at
    )?;
    let mut writer = Writer { status, store, out, output_bytes: 0, outputs: 0 };
    suites.iter().try_for_each(|suite| writer.suite(suite))?;
    writeln!(writer.out, "</testsuites>")?;
    Ok(())
}

struct Suite<'a> {
    name: String,
    run: Option<&'a RunMeta>,
    cases: Vec<Case<'a>>,
}

enum Case<'a> {
    Test(&'a TestOf<'a>),
    Run(Attempts<'a>),
    Session(&'a Status),
}

/// In the order in which they appear; commands come last.
fn suites<'a>(status: &'a Status, all: &[Attempts<'a>], tests: &'a [TestOf<'a>]) -> Vec<Suite<'a>> {
    let has_tests = |one: &&Attempts<'_>| !attempts::is_step(one.last.meta) && !one.last.meta.tests.is_empty();
    let several = all.iter().filter(has_tests).count() > 1;
    let mut suites = Vec::new();
    let mut places: HashMap<(RunId, &str), usize> = HashMap::new();
    for one in tests {
        let run = one.last.meta;
        let at = *places.entry((run.run.id, &one.test.suite)).or_insert_with(|| {
            let name = match (several, one.test.suite.as_str()) {
                (_, "") => run.run.name.clone(),
                (false, suite) => suite.to_owned(),
                (true, suite) => format!("{} {suite}", run.run.name),
            };
            suites.push(Suite { name, run: Some(run), cases: Vec::new() });
            suites.len() - 1
        });
        if let Some(suite) = suites.get_mut(at) {
            suite.cases.push(Case::Test(one));
        }
    }
    let mut cases: Vec<Case<'a>> = speaking(status, all).into_iter().map(Case::Run).collect();
    let is_told = suites.iter().flat_map(|suite| &suite.cases).chain(&cases).any(Case::is_bad);
    if status.outcome.is_bad() && !is_told {
        cases.push(Case::Session(status));
    }
    if !cases.is_empty() {
        suites.push(Suite { name: COMMANDS.to_owned(), run: None, cases });
    }
    suites
}

#[derive(Default)]
struct Totals {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Totals {
    fn of<'a>(cases: impl IntoIterator<Item = &'a Case<'a>>) -> Totals {
        cases.into_iter().fold(Totals::default(), |mut totals, case| {
            totals.tests += 1;
            match case {
                Case::Test(one) if one.test.outcome.is_bad() => totals.failures += 1,
                Case::Test(one) => totals.skipped += u64::from(one.test.outcome == TestOutcome::Skipped),
                Case::Run(attempts) => totals.add(attempts.last.outcome),
                Case::Session(status) => totals.add(status.outcome),
            }
            totals
        })
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => {}
            Outcome::Running => self.skipped += 1,
            Outcome::Failed | Outcome::TimedOut => self.failures += 1,
            Outcome::Interrupted | Outcome::Lost => self.errors += 1,
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Totals { tests, failures, errors, skipped } = self;
        write!(f, " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }
}

struct Writer<'a> {
    status: &'a Status,
    store: &'a Embedded,
    out: &'a mut dyn Write,
    output_bytes: usize,
    outputs: usize,
}

impl Writer<'_> {
    fn suite(&mut self, suite: &Suite<'_>) -> Result<()> {
        let totals = Totals::of(&suite.cases);
        let took = suite.cases.iter().filter_map(Case::duration_us).fold(0, u64::saturating_add);
        let timestamp = suite.run.map_or(self.status.meta.run.started_at, |run| run.run.started_at);
        let time = seconds(Duration::from_micros(took));
        let name = attribute(&suite.name);
        writeln!(self.out, "  <testsuite name=\"{name}\"{totals} time=\"{time}\" timestamp=\"{timestamp}\">")?;
        suite.cases.iter().try_for_each(|case| match case {
            Case::Test(one) => self.test(one.run, &one.test),
            Case::Run(attempts) => self.run(attempts),
            Case::Session(status) => self.session(status),
        })?;
        writeln!(self.out, "  </testsuite>")?;
        Ok(())
    }

    fn test(&mut self, run: &RunMeta, test: &TestResult) -> Result<()> {
        let (suite, name) = (attribute(&test.suite), attribute(&test.test));
        write!(self.out, "    <testcase classname=\"{suite}\" name=\"{name}\"")?;
        if suite == name && !suite.is_empty() {
            // Of those alike some tools mean the second alone.
            write!(self.out, " file=\"{suite}\"")?;
        }
        if let Some(us) = test.duration_us {
            let start = Time::from_micros(test.time.as_micros().saturating_sub(i64::try_from(us).unwrap_or(0)));
            write!(self.out, " time=\"{}\" timestamp=\"{start}\"", seconds(Duration::from_micros(us)))?;
        }
        writeln!(self.out, ">")?;
        match test.outcome {
            TestOutcome::Passed => self.retries(test, "flakyFailure", &test.message)?,
            TestOutcome::Skipped => writeln!(self.out, "      <skipped/>")?,
            TestOutcome::Failed => self.said("failure", "", &test.message)?,
            TestOutcome::TimedOut => self.said("failure", " type=\"test timeout\"", &test.message)?,
        }
        if test.outcome.is_bad() {
            self.retries(test, "rerunFailure", "")?;
            self.output(run, Some(test))?;
        }
        writeln!(self.out, "    </testcase>")?;
        Ok(())
    }

    /// An element for each time that it was run again; the first has the message.
    fn retries(&mut self, test: &TestResult, element: &str, message: &str) -> Result<()> {
        for number in 0..test.retries.min(RETRIES_MAX) {
            self.said(element, "", if number == 0 { message } else { "" })?;
        }
        Ok(())
    }

    fn said(&mut self, element: &str, more: &str, message: &str) -> Result<()> {
        let message = text::lines(message);
        let short = attribute(message.lines().next().unwrap_or(""));
        writeln!(self.out, "      <{element} message=\"{short}\"{more}>{}</{element}>", escaped(&message))?;
        Ok(())
    }

    fn run(&mut self, attempts: &Attempts<'_>) -> Result<()> {
        let RunOf { meta, outcome } = attempts.last;
        self.open(&meta.run, case_us(&meta.run))?;
        self.how(outcome, meta.run.end.as_ref())?;
        let element = if outcome.is_bad() { "rerunFailure" } else { "flakyFailure" };
        for before in attempts.before.iter().take(RETRIES_MAX as usize) {
            self.said(element, "", &human::outcome(before.outcome, before.meta.run.end.as_ref()))?;
        }
        if outcome.is_bad() {
            self.output(meta, None)?;
        }
        Ok(writeln!(self.out, "    </testcase>")?)
    }

    /// What no run tells: logboom's own does, if any.
    fn session(&mut self, status: &Status) -> Result<()> {
        let root = &status.meta.run;
        self.open(root, case_us(root))?;
        self.how(status.outcome, root.end.as_ref())?;
        if let Some(own) = own_run(status) {
            self.output(own, None)?;
        }
        Ok(writeln!(self.out, "    </testcase>")?)
    }

    fn open(&mut self, run: &Run, took_us: Option<u64>) -> Result<()> {
        let took = took_us.map_or(String::new(), |us| format!(" time=\"{}\"", seconds(Duration::from_micros(us))));
        let (name, start) = (attribute(&run.name), run.started_at);
        writeln!(self.out, "    <testcase classname=\"{COMMANDS}\" name=\"{name}\"{took} timestamp=\"{start}\">")?;
        Ok(())
    }

    fn how(&mut self, outcome: Outcome, end: Option<&RunEnd>) -> Result<()> {
        let how = human::outcome(outcome, end);
        match outcome {
            Outcome::Passed => Ok(()),
            Outcome::Running => Ok(writeln!(self.out, "      <skipped message=\"it still runs\"/>")?),
            Outcome::Failed => self.said("failure", "", &how),
            Outcome::TimedOut => self.said("failure", " type=\"test timeout\"", &how),
            Outcome::Interrupted | Outcome::Lost => self.said("error", "", &how),
        }
    }

    /// What it printed last.
    fn output(&mut self, run: &RunMeta, test: Option<&TestResult>) -> Result<()> {
        let id = self.status.id.short();
        if test.is_some_and(|test| !test.has_output()) {
            return Ok(());
        }
        if self.outputs >= OUTPUTS_MAX {
            writeln!(self.out, "      <system-out>[left out; logboom show {id}]</system-out>")?;
            return Ok(());
        }
        self.outputs += 1;
        let left = ALL_OUTPUT_BYTES_MAX.saturating_sub(self.output_bytes);
        let bounds = Bounds { lines: usize::MAX, bytes: OUTPUT_BYTES_MAX.min(left) };
        let whose = Whose { root: self.status.meta.run.id, run: run.run.id, test };
        let LastLines { text, left_out } = last_lines(self.store, whose, bounds)?;
        self.output_bytes += text.len();
        if text.is_empty() && left_out == 0 {
            return Ok(());
        }
        let before = match left_out {
            0 => String::new(),
            count => format!("[{} before this; logboom show {id}]\n", human::counted(count, "line")),
        };
        writeln!(self.out, "      <system-out>{}{}</system-out>", escaped(&before), escaped(&text))?;
        Ok(())
    }
}

impl Case<'_> {
    fn duration_us(&self) -> Option<u64> {
        match self {
            Case::Test(one) => one.test.duration_us,
            Case::Run(attempts) => case_us(&attempts.last.meta.run),
            Case::Session(status) => case_us(&status.meta.run),
        }
    }

    fn is_bad(&self) -> bool {
        match self {
            Case::Test(one) => one.test.outcome.is_bad(),
            Case::Run(attempts) => attempts.last.outcome.is_bad(),
            Case::Session(status) => status.outcome.is_bad(),
        }
    }
}

fn case_us(run: &Run) -> Option<u64> {
    let end = run.end.as_ref()?;
    u64::try_from(human::between(run.started_at, end.ended_at).as_micros()).ok()
}

fn seconds(span: Duration) -> String {
    format!("{}.{:06}", span.as_secs(), span.subsec_micros())
}

/// Text of an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The value of an attribute, in which readers keep newlines and tabs.
fn attribute(value: &str) -> String {
    escaped(&text::lines(value)).replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}

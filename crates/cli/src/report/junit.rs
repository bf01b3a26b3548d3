//! JUnit XML of a session.
//!
//! There is a suite for each run and suite of tests. What no test tells of, a command without tests or one that failed though none
//! of its tests did, is a test of the suite `commands`, so that whoever reads the report sees that, too.

use std::{collections::BTreeMap, io::Write, time::Duration};

use anyhow::Result;
use logboom_files::session::{RunMeta, Status};
use logboom_record::{Kind, Outcome, TestOutcome, TestResult, Time};
use logboom_store_embedded::Embedded;

use super::{
    RunOf,
    last_lines::{Bounds, LastLines, Whose, last_lines},
    runs, text,
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
pub fn write(status: &Status, store: &Embedded, out: &mut impl Write) -> Result<()> {
    let suites = suites(status);
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
    Test(&'a RunMeta, &'a TestResult),
    Command(RunOf<'a>),
}

/// In the order in which they appear; commands come last.
fn suites(status: &Status) -> Vec<Suite<'_>> {
    let several = runs(status).filter(|run| !run.meta.tests.is_empty()).count() > 1;
    let mut suites = Vec::new();
    for run in &status.meta.runs {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for test in &run.tests {
            let at = *places.entry(&test.suite).or_insert_with(|| {
                let name = match (several, test.suite.as_str()) {
                    (_, "") => run.run.name.clone(),
                    (false, suite) => suite.to_owned(),
                    (true, suite) => format!("{} {suite}", run.run.name),
                };
                suites.push(Suite { name, run: Some(run), cases: Vec::new() });
                suites.len() - 1
            });
            if let Some(suite) = suites.get_mut(at) {
                suite.cases.push(Case::Test(run, test));
            }
        }
    }
    let commands = runs(status).filter(|run| run.meta.run.kind == Kind::Command && run.speaks_for_itself());
    let cases: Vec<Case<'_>> = commands.map(Case::Command).collect();
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
                Case::Test(_, test) if test.outcome.is_bad() => totals.failures += 1,
                Case::Test(_, test) => totals.skipped += u64::from(test.outcome == TestOutcome::Skipped),
                Case::Command(run) => match run.outcome {
                    Outcome::Passed => {}
                    Outcome::Running => totals.skipped += 1,
                    Outcome::Failed | Outcome::TimedOut => totals.failures += 1,
                    Outcome::Interrupted | Outcome::Lost => totals.errors += 1,
                },
            }
            totals
        })
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Totals { tests, failures, errors, skipped } = self;
        write!(f, " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }
}

struct Writer<'a, W> {
    status: &'a Status,
    store: &'a Embedded,
    out: &'a mut W,
    output_bytes: usize,
    outputs: usize,
}

impl<W: Write> Writer<'_, W> {
    fn suite(&mut self, suite: &Suite<'_>) -> Result<()> {
        let totals = Totals::of(&suite.cases);
        let took: u64 = suite.cases.iter().filter_map(Case::duration_us).sum();
        let timestamp = suite.run.map_or(self.status.meta.run.started_at, |run| run.run.started_at);
        let time = seconds(Duration::from_micros(took));
        let name = attribute(&suite.name);
        writeln!(self.out, "  <testsuite name=\"{name}\"{totals} time=\"{time}\" timestamp=\"{timestamp}\">")?;
        suite.cases.iter().try_for_each(|case| match case {
            Case::Test(run, test) => self.test(run, test),
            Case::Command(run) => self.command(*run),
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

    fn command(&mut self, run: RunOf<'_>) -> Result<()> {
        let meta = &run.meta.run;
        let took = case_us(run).map_or(String::new(), |us| format!(" time=\"{}\"", seconds(Duration::from_micros(us))));
        let (name, start) = (attribute(&meta.name), meta.started_at);
        writeln!(self.out, "    <testcase classname=\"{COMMANDS}\" name=\"{name}\"{took} timestamp=\"{start}\">")?;
        let how = human::outcome(run.outcome, meta.end.as_ref());
        match run.outcome {
            Outcome::Passed => {}
            Outcome::Running => writeln!(self.out, "      <skipped message=\"it still runs\"/>")?,
            Outcome::Failed => self.said("failure", "", &how)?,
            Outcome::TimedOut => self.said("failure", " type=\"test timeout\"", &how)?,
            Outcome::Interrupted | Outcome::Lost => self.said("error", "", &how)?,
        }
        if run.outcome.is_bad() {
            self.output(run.meta, None)?;
        }
        writeln!(self.out, "    </testcase>")?;
        Ok(())
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
            Case::Test(_, test) => test.duration_us,
            Case::Command(run) => case_us(*run),
        }
    }
}

fn case_us(run: RunOf<'_>) -> Option<u64> {
    let meta = &run.meta.run;
    let end = meta.end.as_ref()?;
    u64::try_from(human::between(meta.started_at, end.ended_at).as_micros()).ok()
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

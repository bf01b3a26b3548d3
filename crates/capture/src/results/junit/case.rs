//! A `testcase` element.

use logboom_record::{TestOutcome, TestResult, Time, ansi};
use quick_xml::events::BytesStart;

use super::{
    Suite, duration_us,
    text::{attribute, push_lossy},
    time,
};

/// What node's runner calls the class of every test.
const NO_CLASS: &str = "test";

/// A test on its way.
pub(super) struct Case {
    pub(super) depth: usize,
    pub(super) duration_us: Option<u64>,
    pub(super) started_at: Option<Time>,
    suite: String,
    test: String,
    outcome: TestOutcome,
    retries: u32,
    /// What is said of its failure, and of the first that it was run again for.
    said: [Option<Said>; 2],
    open: Option<usize>,
    /// Within that there is something else: its output.
    is_aside: bool,
}

/// What an element says of a failure.
#[derive(Default)]
struct Said {
    /// In its attributes.
    short: String,
    /// In its text.
    long: String,
}

impl Case {
    pub(super) fn new(depth: usize, start: &BytesStart<'_>, suites: &[Suite]) -> Case {
        let text = |name| attribute(start, name).unwrap_or_default();
        let (test, class) = (text("name"), attribute(start, "classname"));
        let suite = match class.unwrap_or_else(|| NO_CLASS.to_owned()) {
            class if class == NO_CLASS => names_of(suites),
            // jest-junit has what is around a test in both.
            same if same == test && !same.is_empty() => {
                let file = suites.last().map(|suite| suite.file.clone());
                attribute(start, "file").or(file).unwrap_or_default()
            }
            class => class,
        };
        let was_left_out = matches!(text("status").as_str(), "notrun" | "skipped" | "disabled");
        let outcome = if was_left_out { TestOutcome::Skipped } else { TestOutcome::Passed };
        let (duration_us, started_at) = (duration_us(start), time(start));
        Case {
            depth,
            duration_us,
            started_at,
            suite,
            test,
            outcome,
            retries: 0,
            said: [None, None],
            open: None,
            is_aside: false,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.outcome.is_bad()
    }

    /// An element within it begins.
    pub(super) fn start(&mut self, depth: usize, name: &[u8], start: &BytesStart<'_>) {
        if depth != self.depth + 1 {
            self.is_aside |= depth == self.depth + 2 && name != b"stackTrace";
            return;
        }
        let kind = attribute(start, "type").unwrap_or_default();
        let is_late = kind.contains("test timeout");
        let at = match name {
            b"failure" | b"error" => {
                self.outcome = if is_late { TestOutcome::TimedOut } else { TestOutcome::Failed };
                0
            }
            b"flakyFailure" | b"flakyError" | b"rerunFailure" | b"rerunError" => {
                self.retries = self.retries.saturating_add(1);
                1
            }
            b"skipped" if !self.has_failed() => {
                self.outcome = TestOutcome::Skipped;
                return;
            }
            _ => return,
        };
        if self.said[at].is_none() {
            let short = attribute(start, "message").filter(|short| !short.trim().is_empty());
            let short = short.or_else(|| Some(kind).filter(|_| !is_late)).unwrap_or_default();
            (self.said[at], self.open) = (Some(Said { short, long: String::new() }), Some(at));
        }
    }

    /// An element within it ends.
    pub(super) fn end(&mut self, depth: usize) {
        if depth <= self.depth + 2 {
            self.is_aside = false;
        }
        if depth == self.depth + 1 {
            self.open = None;
        }
    }

    /// Where the text that comes belongs, if it is of interest.
    pub(super) fn open_text(&mut self) -> Option<&mut String> {
        let open = self.open.filter(|_| !self.is_aside)?;
        self.said.get_mut(open)?.as_mut().map(|said| &mut said.long)
    }

    /// The result, which was there at `time`.
    pub(super) fn finish(self, time: Time) -> TestResult {
        let Case { suite, test, outcome, duration_us, retries, said: [failure, flaky], .. } = self;
        let said = if outcome.is_bad() { failure.or(flaky) } else { flaky };
        let message = said.map(|said| said.message()).unwrap_or_default();
        TestResult { suite, test, outcome, duration_us, time, retries, from: 0, to: 0, message }
    }
}

/// What is around a test, from the outermost, as far as there is room: each of the names may fill it.
fn names_of(suites: &[Suite]) -> String {
    let mut names = String::new();
    for (depth, suite) in suites.iter().enumerate() {
        push_lossy(&mut names, if depth > 0 { b" > " } else { b"" });
        push_lossy(&mut names, suite.name.as_bytes());
    }
    names
}

impl Said {
    /// The text, where it goes on from what is said in short.
    fn message(&self) -> String {
        let (short, long) = (self.short.trim(), self.long.trim());
        let said = if short.is_empty() || long.starts_with(short) { long } else { short };
        let mut plain = Vec::with_capacity(said.len());
        ansi::strip(said.as_bytes(), &mut plain);
        String::from_utf8_lossy(&plain).into_owned()
    }
}

//! A `testcase` element.

use logboom_record::{TestOutcome, TestResult, Time, ansi};
use quick_xml::events::BytesStart;

use super::{
    Suite, Times, began_at, duration_us, is_of_pytest,
    text::{attribute, push_lossy},
};

/// What node's runner calls the class of every test.
const NO_CLASS: &str = "test";
/// What gotestsum and go-junit-report say of every failure in short, behave of steps that nobody has written, and pytest of files that
/// it could not collect.
const SAYS_NOTHING: [&str; 3] = ["Failed", "None", "collection failure"];
/// In the types and messages of failures whose time was up: of nextest and of what logboom writes, of node, JUnit 4, and Playwright.
const LATE_TYPES: [&str; 3] = ["test timeout", "testTimeoutFailure", "TestTimedOutException"];
const LATE_MESSAGE: &str = "Test timeout of ";

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
    /// As a tool's own word for what became of it.
    status: String,
    /// It may fail.
    is_excused: bool,
    /// Within that there is something else: its output.
    is_aside: bool,
}

/// What an element says of a failure.
#[derive(Default)]
struct Said {
    /// In its message.
    short: String,
    /// In its text.
    long: String,
    kind: String,
}

impl Case {
    pub(super) fn new(depth: usize, start: &BytesStart<'_>, suites: &[Suite], times: &Times) -> Case {
        let (suite, test) = names(start, suites);
        let status = attribute(start, "status").unwrap_or_default();
        // googletest: a test that left itself out was run.
        let result = if status == "run" { attribute(start, "result") } else { None };
        let was_left_out = [Some(&status), result.as_ref()].into_iter().flatten();
        let was_left_out =
            was_left_out.into_iter().any(|word| matches!(word.as_str(), "notrun" | "skipped" | "disabled"));
        Case {
            depth,
            duration_us: duration_us(start),
            started_at: began_at(start, times),
            suite,
            test,
            outcome: if was_left_out { TestOutcome::Skipped } else { TestOutcome::Passed },
            retries: 0,
            said: [None, None],
            open: None,
            status,
            is_excused: false,
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
        match name {
            b"failure" | b"error" if self.is_excused => {}
            b"failure" | b"error" => {
                let said = Said::of(start);
                self.outcome = if said.is_late() { TestOutcome::TimedOut } else { TestOutcome::Failed };
                self.say(0, said);
            }
            b"flakyFailure" | b"flakyError" | b"rerunFailure" | b"rerunError" => {
                self.retries = self.retries.saturating_add(1);
                self.say(1, Said::of(start));
            }
            b"skipped" if !self.has_failed() => self.skip(Said::of(start)),
            // Of ctest's failures nothing is said but what was printed.
            b"system-out" if self.status == "fail" => self.open = self.said[0].is_some().then_some(0),
            _ => {}
        }
    }

    /// What is said first counts.
    fn say(&mut self, at: usize, said: Said) {
        if self.said[at].is_none() {
            (self.said[at], self.open) = (Some(said), Some(at));
        }
    }

    fn skip(&mut self, said: Said) {
        // ctest could not run what it was told to: for itself that has failed.
        if self.status == "notrun" && !said.short.is_empty() && !said.short.starts_with("SKIP_") {
            self.outcome = TestOutcome::Failed;
            self.said[0] = Some(said);
            return;
        }
        self.outcome = TestOutcome::Skipped;
        // node of what is still to be done, Catch2 of what may fail: how it went follows, and changes nothing.
        self.is_excused = said.kind == "todo" || said.short.ends_with("!mayfail");
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
        let message = said.map(|said| said.message(&test)).unwrap_or_default();
        TestResult { suite, test, outcome, duration_us, time, retries, from: 0, to: 0, message }
    }
}

/// What is around a test, and its name.
fn names(start: &BytesStart<'_>, suites: &[Suite]) -> (String, String) {
    let test = attribute(start, "name").unwrap_or_default();
    let class = attribute(start, "classname");
    match class.filter(|class| class != NO_CLASS || is_of_pytest(suites)) {
        // node escapes quotes twice.
        None => (names_of(suites), test.replace("&quot;", "\"")),
        Some(class) if !is_of_pytest(suites) && has_all_in_name(&test, &class, suites) => {
            let file = suites.last().map(|suite| suite.file.clone());
            (attribute(start, "file").or(file).unwrap_or_default(), test.trim_start().to_owned())
        }
        Some(class) => (class, test),
    }
}

/// jest-junit has what is around a test in both, with a blank even where there is nothing; mocha-junit-reporter has it in the name, and the
/// test's own as the class.
fn has_all_in_name(test: &str, class: &str, suites: &[Suite]) -> bool {
    let inner = suites.last().map_or("", |suite| &suite.name);
    let is_mocha = || {
        let before = test.strip_suffix(class).and_then(|before| before.strip_suffix(' '));
        before.and_then(|before| before.strip_suffix(inner)).is_some_and(|rest| rest.is_empty() || rest.ends_with(' '))
    };
    !test.is_empty() && (test == class || (!class.is_empty() && !inner.is_empty() && is_mocha()))
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
    fn of(start: &BytesStart<'_>) -> Said {
        let text = |name| attribute(start, name).unwrap_or_default();
        Said { short: text("message").trim().to_owned(), long: String::new(), kind: text("type") }
    }

    fn is_late(&self) -> bool {
        self.short.starts_with(LATE_MESSAGE) || LATE_TYPES.iter().any(|late| self.kind.contains(late))
    }

    /// The text, where it goes on from what is said in short, or nothing is; if nothing is said at all, what kind of failure it was.
    fn message(&self, test: &str) -> String {
        let long = without_name(self.long.trim(), test);
        let says_nothing = self.short.is_empty() || SAYS_NOTHING.contains(&self.short.as_str());
        let said = match (long.is_empty(), self.short.is_empty()) {
            (false, _) if says_nothing || long.starts_with(&self.short) => long,
            (_, false) => &self.short,
            (_, true) if self.is_late() => "",
            (_, true) => &self.kind,
        };
        let mut plain = Vec::with_capacity(said.len());
        ansi::strip(said.as_bytes(), &mut plain);
        String::from_utf8_lossy(&plain).into_owned()
    }
}

/// What is said below a line that only names the test: Go's `=== RUN   TestA`, PHPUnit's `ATest::testA`.
fn without_name<'a>(text: &'a str, test: &str) -> &'a str {
    let Some((first, rest)) = text.split_once('\n') else { return text };
    let is_name = first.starts_with("=== RUN ")
        || first.split_once("::").is_some_and(|(_, rest)| !test.is_empty() && rest.starts_with(test));
    if is_name { rest.trim() } else { text }
}

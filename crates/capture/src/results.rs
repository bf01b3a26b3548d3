//! Finds the results of tests in what test tools print.
//!
//! The tool is known by its lines; nothing has to be said, and several may follow one another. A line costs a look at its first byte
//! where it tells nothing. What a tool prints is never taken for more than it is: a test that prints what its tool would can at most add
//! a result.

mod go;
mod jest;
mod join;
pub mod junit;
mod libtest;
mod nextest;
mod pytest;
mod tap;

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use logboom_record::{Flags, Stream, TestOutcome, TestResult, Time, ansi};
use memchr::memmem::Finder;

pub(crate) use join::join;

use crate::lines::Part;

/// So many results are kept of a run; what is over is counted.
pub const TESTS_MAX: usize = 100_000;
/// So much all their names have together.
const NAMES_BYTES_MAX: usize = 16 << 20;
/// So many tests that have begun are remembered until they end.
const BEGUN_MAX: usize = 10_000;
/// No test takes longer: what says so is no time.
const SECONDS_MAX: f64 = 10.0 * 365.25 * 86_400.0;
/// What ends a colour beside ESC [ m, on terminals like those of tmux and screen.
const SHIFT_IN: u8 = 0x0f;
/// Of a line so much is looked at.
const LINE_BYTES_MAX: usize = 64 << 10;
/// So much of a name is kept.
const NAME_BYTES_MAX: usize = 1 << 10;

/// The results of one run.
#[derive(Debug, Default)]
pub struct Results {
    tests: Tests,
    /// The beginnings of lines that come in parts, of each stream, and the first record of each.
    begun: [(Vec<u8>, u64); 2],
    tools: Tools,
}

#[derive(Debug, Default)]
struct Tools {
    libtest: libtest::Libtest,
    nextest: nextest::Nextest,
    go: go::Go,
    jest: jest::Jest,
    pytest: pytest::Pytest,
    tap: tap::Tap,
}

impl Results {
    /// Takes the next record of the run.
    #[inline]
    pub fn take(&mut self, seq: u64, stream: Stream, part: &Part<'_>) {
        let Some((begun, first)) = self.begun.get_mut(stream as usize) else { return };
        if part.starts_line && !part.flags.has(Flags::CONTINUED) {
            let line = &part.message[..part.message.len().min(LINE_BYTES_MAX)];
            let is_part = || matches!(line.first(), Some(b' ' | b'\t')) && self.tools.has_parts();
            if is_of_interest(line) || self.tests.block.is_some() || self.tools.is_waiting() || is_part() {
                self.tools.line((seq, seq), part.time, line, &mut self.tests);
            }
            self.tests.last_seq = seq;
            return;
        }
        if part.starts_line {
            begun.clear();
            *first = seq;
        }
        let room = LINE_BYTES_MAX.saturating_sub(begun.len());
        begun.extend_from_slice(&part.message[..part.message.len().min(room)]);
        if !part.flags.has(Flags::CONTINUED) {
            let (line, first) = (std::mem::take(begun), *first);
            self.tools.line((first, seq), part.time, &line, &mut self.tests);
        }
        self.tests.last_seq = seq;
    }

    /// The results that were found since this was asked last. What follows may change how far their output reaches.
    pub fn news(&mut self) -> &[TestResult] {
        let told = std::mem::replace(&mut self.tests.told, self.tests.all.len());
        &self.tests.all[told..]
    }

    /// All results, and how many were too many.
    pub fn finish(mut self) -> (Vec<TestResult>, u64) {
        self.tests.close();
        (self.tests.all, self.tests.over)
    }
}

/// Whether a line may tell of a test. What much else begins with is looked at twice.
#[inline]
fn is_of_interest(line: &[u8]) -> bool {
    match line.first() {
        Some(b' ' | b'\t') => indented_tells(line),
        Some(b'\r' | 0x1b | b'-' | b'=' | b'_' | b'F' | b'P' | b'E' | b'T' | b'1' | b'#') => true,
        Some(b'{') => object_tells(line),
        Some(b'o') => line.starts_with(b"ok"),
        Some(b'n') => line.starts_with(b"not ok"),
        Some(b't') => line.starts_with(b"test "),
        Some(b'D') => line.starts_with(b"DONE "),
        Some(b'r') => line.starts_with(b"running "),
        Some(b'f') => line.starts_with(b"failures:"),
        _ => false,
    }
}

/// The same of an indented line, where no tool has begun of which those are parts.
fn indented_tells(line: &[u8]) -> bool {
    let first = line.trim_ascii_start().first();
    first.is_some_and(|first| first.is_ascii_uppercase() || !first.is_ascii() || matches!(first, 0x1b | b'-' | b'#'))
}

impl Tools {
    /// Whether any line may be of interest.
    fn is_waiting(&self) -> bool {
        self.libtest.is_waiting() || self.pytest.is_running()
    }

    /// Whether any indented line may be.
    fn has_parts(&self) -> bool {
        self.tap.is_on() || self.jest.is_on()
    }

    fn line(&mut self, (from, to): (u64, u64), time: Time, bytes: &[u8], tests: &mut Tests) {
        let mut bare = Cow::Borrowed(bytes);
        if ansi::has_escape(bytes) {
            let mut stripped = Vec::with_capacity(bytes.len());
            ansi::strip(bytes, &mut stripped);
            // Some terminals are told with that to go back to their usual letters, by the same word that ends a colour.
            stripped.retain(|byte| *byte != SHIFT_IN);
            bare = Cow::Owned(stripped);
        }
        // No tool's own line is anything else than UTF-8.
        let Ok(text) = std::str::from_utf8(&bare) else { return };
        let text = text.strip_suffix('\r').unwrap_or(text);
        let line = Line { from, to, time, text, bare: text.trim_ascii_start() };
        let _ = self.nextest.line(line, tests)
            || self.libtest.line(line, tests, &mut self.nextest)
            || self.go.line(line, tests)
            || self.pytest.line(line, tests)
            || self.tap.line(line, tests)
            || self.jest.line(line, tests);
    }
}

/// A line, and its records.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    from: u64,
    to: u64,
    time: Time,
    /// Without colours and newline.
    text: &'a str,
    /// Without what it is indented by.
    bare: &'a str,
}

impl Line<'_> {
    /// How far it is indented.
    fn indent(&self) -> usize {
        self.text.len() - self.bare.len()
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Tests {
    all: Vec<TestResult>,
    over: u64,
    names_bytes: usize,
    told: usize,
    /// The one whose output the next lines are.
    block: Option<usize>,
    last_seq: u64,
}

impl Tests {
    /// Adds a result that the line tells; gives its number.
    fn add(
        &mut self,
        line: Line<'_>,
        suite: &str,
        test: &str,
        outcome: TestOutcome,
        duration_us: Option<u64>,
    ) -> Option<usize> {
        let (suite, test) = (shortened(suite), shortened(test));
        if self.all.len() >= TESTS_MAX || self.names_bytes + suite.len() + test.len() > NAMES_BYTES_MAX {
            self.over += 1;
            return None;
        }
        self.names_bytes += suite.len() + test.len();
        let Line { from, to, time, .. } = line;
        self.all.push(TestResult {
            suite,
            test,
            outcome,
            duration_us,
            time,
            retries: 0,
            from,
            to,
            message: String::new(),
        });
        Some(self.all.len() - 1)
    }

    /// Names the suite of results that were told before it. They stay without one where there is no room for all names.
    fn name_suite(&mut self, numbers: Range<usize>, suite: &str) {
        let suite = shortened(suite);
        let room = NAMES_BYTES_MAX.saturating_sub(self.names_bytes).checked_div(suite.len()).unwrap_or(0);
        let tests = self.all.get_mut(numbers).unwrap_or_default();
        for test in tests.iter_mut().filter(|test| test.suite.is_empty()).take(room) {
            test.suite.clone_from(&suite);
            self.names_bytes += suite.len();
        }
    }

    /// The next lines are of this one, from the line on.
    fn open(&mut self, number: usize, line: Line<'_>) {
        self.close();
        if let Some(test) = self.all.get_mut(number) {
            test.from = line.from;
            self.block = Some(number);
        }
    }

    /// What follows the last record is of no test.
    fn close(&mut self) {
        if let Some(test) = self.block.take().and_then(|number| self.all.get_mut(number)) {
            test.to = test.to.max(self.last_seq);
        }
    }
}

/// The blocks around what comes, from the outermost: how far each is indented, and its name.
#[derive(Debug, Default)]
struct Around(Vec<(usize, String)>);

impl Around {
    /// So deep blocks may be nested.
    const DEPTH_MAX: usize = 32;

    /// A block begins, which ends those that are not around it.
    fn enter(&mut self, indent: usize, name: &str) {
        self.leave(indent);
        if self.0.len() < Around::DEPTH_MAX {
            self.0.push((indent, shortened(name)));
        }
    }

    /// What is indented so far is in no block that is indented as far.
    fn leave(&mut self, indent: usize) {
        self.0.retain(|(around, _)| *around < indent);
    }

    fn has(&self, indent: usize, name: &str) -> bool {
        self.0.iter().any(|(around, of)| *around == indent && of == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, name)| name.as_str())
    }
}

fn shortened(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

/// Whether an object is one of a tool's that may tell something: most tell what a test has printed, or that one begins. That stands before
/// anything that a test may have printed, so the object need not be parsed.
fn object_tells(line: &[u8]) -> bool {
    static ACTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"Action\":"));
    static EVENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"event\":"));
    let begins = |heads: [&[u8]; 2]| heads.iter().any(|head| line.starts_with(head));
    if begins([b"{\"Time\":", b"{\"Action\":"]) {
        !says_early(line, &ACTION, b"\"output\"")
    } else {
        let begins_test = begins([b"{ \"type\": \"test\"", b"{\"type\":\"test\""]);
        begins([b"{ \"type\":", b"{\"type\":"]) && !(begins_test && says_early(line, &EVENT, b"\"started\""))
    }
}

fn says_early(object: &[u8], key: &Finder<'_>, word: &[u8]) -> bool {
    const WITHIN: usize = 64;
    let at = key.find(&object[..object.len().min(WITHIN)]);
    at.is_some_and(|at| object[at + key.needle().len()..].trim_ascii_start().starts_with(word))
}

/// Reads seconds, with a point or without, as microseconds.
fn seconds(text: &str) -> Option<u64> {
    micros(text.trim().parse().ok()?)
}

/// Seconds that a test may take, as microseconds.
fn micros(seconds: f64) -> Option<u64> {
    (0.0..=SECONDS_MAX).contains(&seconds).then(|| (seconds * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::lines::Splitter;
    use proptest::prelude::*;

    /// The results in what a tool has printed on stdout.
    pub(super) fn of(printed: &str) -> Vec<TestResult> {
        let (mut results, mut seq) = (Results::default(), 0);
        let mut splitter = Splitter::<Time>::default();
        let mut take = |part: Part<'_, Time>| {
            seq += 1;
            results.take(seq, Stream::Stdout, &part);
        };
        splitter.push(printed.as_bytes(), Time::default(), &mut take);
        splitter.finish(&mut take);
        results.finish().0
    }

    /// The results, each as `outcome suite test`.
    pub(super) fn shown(printed: &str) -> Vec<String> {
        of(printed).iter().map(|test| format!("{} {}", test.outcome.as_str(), test.full_name())).collect()
    }

    #[test]
    fn a_line_that_comes_in_parts_is_one() {
        let mut results = Results::default();
        let part = |message, flags, starts_line| Part { time: Time::default(), message, flags, starts_line };
        results.take(1, Stream::Stdout, &part(b"running 1 test", Flags::NONE, true));
        results.take(2, Stream::Stdout, &part(b"test slow ... ", Flags::CONTINUED, true));
        results.take(3, Stream::Stderr, &part(b"INFO something else", Flags::NONE, true));
        results.take(4, Stream::Stdout, &part(b"ok", Flags::NONE, false));
        let (tests, over) = results.finish();
        assert_eq!((tests.len(), over), (1, 0));
        assert_eq!((tests[0].test.as_str(), tests[0].from, tests[0].to), ("slow", 2, 4));
    }

    #[test]
    fn what_no_test_takes_is_no_time() {
        assert_eq!(["0", " 1.5 ", "0.0000014"].map(seconds), [Some(0), Some(1_500_000), Some(1)]);
        assert_eq!(["1e30", "1e9", "inf", "NaN", "-1", ""].map(seconds), [None; 6]);
        let printed = "{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"T\",\"Elapsed\":1e30}";
        assert_eq!(of(printed).iter().map(|test| test.duration_us).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn what_is_over_is_counted() {
        let mut printed = format!("running {} tests\n", TESTS_MAX + 2);
        (0..TESTS_MAX + 2).for_each(|number| printed += &format!("test t{number} ... ok\n"));
        let mut results = Results::default();
        for (seq, line) in (1..).zip(printed.lines()) {
            let part = Part { time: Time::default(), message: line.as_bytes(), flags: Flags::NONE, starts_line: true };
            results.take(seq, Stream::Stdout, &part);
        }
        assert_eq!((results.news().len(), results.news().len()), (TESTS_MAX, 0));
        assert_eq!(results.finish().1, 2);
    }

    #[test]
    fn suites_that_are_named_late_have_no_more_room_than_others() {
        let huge = "x".repeat(LINE_BYTES_MAX - 100);
        let of_go = format!("{}ok  \t{huge}\t1s\n", "--- PASS: T (0.00s)\n".repeat(50_000));
        let mut of_cargo = "running 50000 tests\n".to_owned();
        (0..50_000).for_each(|number| of_cargo += &format!("test t{number} ... ok\n"));
        of_cargo += &format!("     Running unittests src/lib.rs (target/debug/deps/{huge}-0123456789abcdef)\n");
        for printed in [of_go, of_cargo] {
            let tests = of(&printed);
            let names: usize = tests.iter().map(|test| test.suite.len() + test.test.len()).sum();
            assert_eq!(tests.len(), 50_000, "none is lost");
            assert!((NAMES_BYTES_MAX - NAME_BYTES_MAX..=NAMES_BYTES_MAX).contains(&names), "{names}");
            assert_eq!(tests[0].suite.len(), NAME_BYTES_MAX);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_printed_is_too_much(lines in proptest::collection::vec(prop_oneof![
            any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            "(running|test|ok|not ok|1\\.\\.|=== RUN|--- FAIL:|---- |failures:|TAP version|FAIL|PASS|TRY 2|Summary\
                |\\{\"Action\":\"pass\"|  ) ?[ -~]{0,40}",
            "(=== (FAILURES|ERRORS|PASSES|(rerun|short) test summary info|test session starts) ===|!!! no !!!\
                |2 failed, 1 rerun in 1s)",
            "___ (a::[tu]( \\[m\\])?( \\(i=1\\))?|ERROR collecting (d/)?a\\.py) ___",
            "(FAILED|ERROR|RERUN|SUBFAILED\\[m\\]( \\(i=1\\))?|\\[m\\] SUBFAIL) (d/)?a\\.py(::a::[tu])?( - no)?",
            "a\\.py::a::[tu] (RERUN|PASSED|SUB(FAILED|SKIPPED)\\[.?\\]( \\(.{0,3}\\))?|\\[.?\\] SUBFAIL)( \\[ 1%\\])?",
            "(test [a-c] \\.\\.\\. (ok|FAILED)|---- [a-c] stdout ----|running 3 tests|failures:|test result: ok)",
        ], 0..60)) {
            for test in of(&lines.join("\n")) {
                prop_assert!(test.from <= test.to && test.from > 0, "{:?}", test);
            }
        }
    }
}

//! `pytest`, with `-v` or without: then those that failed have names, from its summary. With `-q` it does not tell that it begins.

use std::{collections::HashMap, sync::LazyLock};

use logboom_record::TestOutcome;
use memchr::memmem::Finder;

use super::{BEGUN_MAX, Line, Tests, seconds, shortened};

/// What is in the name of every test. Made once: while pytest runs each line is searched for it.
static COLONS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("::"));

/// With `-qq` the summary has no end: it is over after so many lines that tell no result. Some are the rest of why a test failed.
const TELL_NOTHING_MAX: u32 = 1_000;
/// So many places are tried at which a name may end.
const ENDS_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Pytest {
    running: Running,
    part: Part,
    /// The results, by suite and test.
    known: HashMap<(String, String), usize>,
    /// The first and the last record of each section of failures; their titles name no file.
    sections: HashMap<String, (u64, u64)>,
    /// The section that the line is in.
    section: String,
    /// So many lines of the summary told nothing since the last result.
    tell_nothing: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Running {
    #[default]
    No,
    /// There was the title of its failures, which others may print, too: a failure has to follow.
    Perhaps,
    /// It has not told that it began.
    Quietly,
    Yes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Tests,
    Failures,
    Summary,
}

impl Pytest {
    /// Whether it has begun and not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.running, Running::Quietly | Running::Yes)
    }

    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.text;
        if text.starts_with('=')
            && let Some(title) = title(text, '=')
        {
            return self.part(title);
        }
        match self.running {
            Running::No => return false,
            Running::Perhaps if text.starts_with('_') && title(text, '_').is_some() => {
                self.begin(Running::Quietly, Part::Failures)
            }
            Running::Perhaps => {
                self.running = Running::No;
                return false;
            }
            Running::Quietly if is_end(text) => {
                self.running = Running::No;
                return true;
            }
            _ => {}
        }
        match self.part {
            // What did not tell that it began may not tell that it ended: others' lines are theirs.
            Part::Failures => self.failures(line) && self.running == Running::Yes,
            Part::Tests => {
                COLONS.find(text.as_bytes()).is_some() && (self.result(line, tests) || self.duration(text, tests))
            }
            Part::Summary => self.summary(line, tests),
        }
    }

    fn begin(&mut self, running: Running, part: Part) {
        *self = Pytest { running, part, ..Pytest::default() };
    }

    /// `==== FAILURES ====` and the like.
    fn part(&mut self, title: &str) -> bool {
        let part = match title {
            "test session starts" => {
                self.begin(Running::Yes, Part::Tests);
                return true;
            }
            "FAILURES" | "ERRORS" => Part::Failures,
            "short test summary info" => Part::Summary,
            _ => Part::Tests,
        };
        match part {
            _ if is_end(title) => self.running = Running::No,
            _ if self.is_running() => self.part = part,
            Part::Failures => self.running = Running::Perhaps,
            Part::Summary => self.begin(Running::Quietly, part),
            Part::Tests => {}
        }
        self.is_running()
    }

    /// A line of the section of a failure, or its title.
    fn failures(&mut self, line: Line<'_>) -> bool {
        if let Some(name) = title(line.text, '_').filter(|_| self.sections.len() < BEGUN_MAX) {
            // `ERROR at setup of test_adds`
            let name = name.strip_prefix("ERROR at ").and_then(|of| of.split_once(" of ")).map_or(name, |(_, of)| of);
            self.section = shortened(name);
            self.sections.insert(self.section.clone(), (line.from, line.to));
        } else if let Some((_, to)) = self.sections.get_mut(&self.section) {
            *to = line.to;
        }
        true
    }

    /// `FAILED tests/test_cart.py::test_adds - why`.
    fn summary(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        if let Some((outcome, id)) = summed_up(line.text).and_then(|(outcome, rest)| Some((outcome, self.id(rest)?))) {
            self.tell_nothing = 0;
            self.take(line, id, outcome, tests);
            return true;
        }
        self.tell_nothing += 1;
        if self.running == Running::Quietly && self.tell_nothing > TELL_NOTHING_MAX {
            self.running = Running::No;
        }
        false
    }

    /// The name that `tests/test_cart.py::test_adds[a - b] - why` begins with. What a test is run with may be anything, so that it may end
    /// at several places: at that where it is the name of a test that is known, or else at the first.
    fn id<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (suite, rest) = named(text.trim_end())?;
        let ends = rest.match_indices(" - ").map(|(at, _)| &rest[..at]).chain([rest]);
        let mut names = ends.filter(|name| is_whole(name)).take(ENDS_MAX);
        let first = names.clone().next().or_else(|| rest.split(" - ").next()).unwrap_or(rest);
        let is_known = |name: &&str| {
            self.sections.contains_key(&section_of(name))
                || self.known.contains_key(&(shortened(suite), shortened(name)))
        };
        Some((suite, names.find(is_known).unwrap_or(first)))
    }

    /// `tests/test_cart.py::test_adds PASSED [ 50%]`, or `[gw0] [ 50%] PASSED tests/test_cart.py::test_adds` with workers.
    fn result(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.text.trim_end();
        let told = match text.strip_prefix("[gw").and_then(|rest| rest.split_once("] ")) {
            Some((_, rest)) => {
                let rest = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(rest, |(_, rest)| rest);
                rest.split_once(' ').and_then(|(word, id)| Some((outcome(word)?, named(id)?)))
            }
            None => ended(text),
        };
        told.map(|(outcome, id)| self.take(line, id, outcome, tests)).is_some()
    }

    fn take(&mut self, line: Line<'_>, (suite, test): (&str, &str), outcome: TestOutcome, tests: &mut Tests) {
        let section = self.sections.get(&section_of(test)).copied();
        let key = (shortened(suite), shortened(test));
        let Some(number) = self.known.get(&key).copied().or_else(|| tests.add(line, suite, test, outcome, None)) else {
            return;
        };
        let result = &mut tests.all[number];
        if let Some((from, to)) = section {
            (result.from, result.to) = (from, to);
        }
        // An error in tear-down comes behind a pass.
        result.outcome = if result.outcome.is_bad() { result.outcome } else { outcome };
        self.known.insert(key, number);
    }

    /// `0.25s call     tests/test_cart.py::test_adds`.
    fn duration(&self, text: &str, tests: &mut Tests) -> bool {
        let Some((time, id)) = text.split_once("s call ") else { return false };
        let Some((time, (suite, test))) = seconds(time).zip(id.trim().split_once("::")) else { return false };
        let number = self.known.get(&(shortened(suite), shortened(test)));
        if let Some(result) = number.and_then(|number| tests.all.get_mut(*number)) {
            result.duration_us = Some(time);
        }
        true
    }
}

fn outcome(word: &str) -> Option<TestOutcome> {
    match word {
        "PASSED" | "XPASS" => Some(TestOutcome::Passed),
        "FAILED" | "ERROR" => Some(TestOutcome::Failed),
        "SKIPPED" | "XFAIL" => Some(TestOutcome::Skipped),
        _ => None,
    }
}

/// The result that a line of the summary begins with.
fn summed_up(text: &str) -> Option<(TestOutcome, &str)> {
    let (word, rest) = text.split_once(' ')?;
    outcome(word).map(|outcome| (outcome, rest))
}

/// A name and the result behind it: `a.py::b PASSED [ 50%]`, `a.py::b[c d] SKIPPED (why) [ 50%]`.
fn ended(text: &str) -> Option<(TestOutcome, (&str, &str))> {
    let text = text.rsplit_once(" [").filter(|(_, end)| end.ends_with("%]")).map_or(text, |(head, _)| head.trim_end());
    let (suite, rest) = named(text)?;
    let ends = [rest].into_iter().chain(rest.match_indices(" (").map(|(at, _)| &rest[..at]));
    let told = ends.filter_map(|end| end.rsplit_once(' ')).filter_map(|(name, word)| Some((outcome(word)?, name)));
    let (outcome, name) = told.take(ENDS_MAX).find(|(_, name)| is_whole(name))?;
    Some((outcome, (suite, name)))
}

/// The file and the rest of `tests/test_cart.py::TestCart::test_adds`. What has blanks before the first colons is a file of Python at most.
fn named(text: &str) -> Option<(&str, &str)> {
    let (suite, test) = text.split_once("::")?;
    let name = suite.rsplit('/').next().unwrap_or(suite);
    (suite.ends_with(".py") || (name.contains('.') && !suite.contains(' '))).then_some((suite, test))
}

/// Whether this may be the whole name of a test in its file: what it is run with stands in brackets, where alone are blanks.
fn is_whole(name: &str) -> bool {
    match name.split_once('[') {
        Some((before, with)) => with.ends_with(']') && !before.contains(' '),
        None => !name.contains(' '),
    }
}

/// The title of the section of a test: `TestCart.test_adds[a::b]` of `TestCart::test_adds[a::b]`.
fn section_of(test: &str) -> String {
    let (name, with) = test.split_at(test.find('[').unwrap_or(test.len()));
    shortened(&(name.replace("::", ".") + with))
}

/// What stands in the midst of a line of these. Of a long title there may be but one on each side.
fn title(text: &str, of: char) -> Option<&str> {
    let inner = text.strip_prefix(of)?.strip_suffix(of)?.trim_matches(of);
    let title = inner.strip_prefix(' ')?.strip_suffix(' ')?.trim();
    // Such a line is in tracebacks: `_ _ _ _`.
    title.contains(|one: char| one != of && one != ' ').then_some(title)
}

/// Whether this is its last line, or what stands in it: `1 failed, 2 passed in 0.05s`, `no tests ran in 75.05s (0:01:15)`.
fn is_end(text: &str) -> bool {
    if !text.ends_with(['s', ')']) {
        return false; // nearly all are not
    }
    let Some((counts, time)) = text.rsplit_once(" in ") else { return false };
    let (time, clock) = time.split_once(' ').unwrap_or((time, "()"));
    let is_time = time.strip_suffix('s').and_then(seconds).is_some();
    let is_count =
        |part: &str| part.split(' ').next().is_some_and(|count| count == "no" || count.parse::<u64>().is_ok());
    is_time && clock.starts_with('(') && clock.ends_with(')') && counts.split(", ").all(is_count)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of, shown};

    const VERBOSE: &str = include_str!("../../tests/printed/pytest-verbose.txt");
    const DURATIONS: &str = include_str!("../../tests/printed/pytest-durations.txt");
    const WORKERS: &str = include_str!("../../tests/printed/pytest-workers.txt");
    const QUIET: &str = include_str!("../../tests/printed/pytest-quiet.txt");
    /// Nothing but the summary tells of failures.
    const SHORT: &str = include_str!("../../tests/printed/pytest-quiet-short.txt");

    const FAILED: [&str; 10] = [
        "failed tests/test_b lank.py test_b",
        "failed tests/test_cart.py TestCart::test_removes",
        "failed tests/test_cart.py test_bad[a - b]",
        "failed tests/test_cart.py test_bad[a]",
        "failed tests/test_cart.py test_bad[hello world]",
        "failed tests/test_cart.py test_bad[m::n]",
        "failed tests/test_cart.py test_bad[x] - y]",
        "failed tests/test_cart.py test_bad[x] PASSED]",
        "failed tests/test_cart.py test_error",
        "failed tests/test_cart.py test_late",
    ];
    const OTHERS: [&str; 16] = [
        "passed tests/test_b lank.py test_a",
        "passed tests/test_cart.py TestCart::test_adds",
        "passed tests/test_cart.py test_ok[FAILED a::b]",
        "passed tests/test_cart.py test_ok[a - b]",
        "passed tests/test_cart.py test_ok[a]",
        "passed tests/test_cart.py test_ok[ends []",
        "passed tests/test_cart.py test_ok[hello world]",
        "passed tests/test_cart.py test_ok[m::n]",
        "passed tests/test_cart.py test_ok[tab\\there]",
        "passed tests/test_cart.py test_ok[x] - y]",
        "passed tests/test_cart.py test_ok[x] PASSED]",
        "passed tests/test_cart.py test_warn[p q]",
        "passed tests/test_cart.py test_xpass",
        "skipped tests/test_cart.py test_skip",
        "skipped tests/test_cart.py test_skip2[p q]",
        "skipped tests/test_cart.py test_xfail",
    ];

    /// The same in order of names.
    fn sorted(printed: &str) -> Vec<String> {
        let mut all = shown(printed);
        all.sort();
        all
    }

    #[test]
    fn a_heading_that_is_another_program_s_hides_no_result_of_others() {
        let printed =
            "===== ERRORS =====\n__________ link __________\nundefined: x\nTAP version 13\nok 1 - a\nnot ok 2 - b\n";
        assert_eq!(shown(printed), ["passed a", "failed b"]);
    }

    #[test]
    fn what_pytest_7_printed() {
        let all = [&FAILED[..], &OTHERS].concat();
        for printed in [VERBOSE, DURATIONS, WORKERS] {
            assert_eq!(sorted(printed), all);
        }
        let is_timed = |name: &str| of(DURATIONS).iter().any(|test| test.test == name && test.duration_us.is_some());
        assert!(["TestCart::test_removes", "test_ok[a - b]", "test_bad[x] PASSED]"].into_iter().all(is_timed));
    }

    #[test]
    fn quietly_those_that_failed_have_names() {
        assert_eq!(sorted(QUIET), FAILED);
        let without_sections =
            FAILED.map(|name| if name.ends_with("[x] - y]") { "failed tests/test_cart.py test_bad[x]" } else { name });
        assert_eq!(sorted(SHORT), without_sections, "which of the two ends it is cannot be known");
    }

    #[test]
    fn each_failure_has_its_section() {
        for printed in [VERBOSE, QUIET] {
            let lines: Vec<&str> = printed.lines().collect();
            for test in of(printed).iter().filter(|test| test.outcome.is_bad()) {
                let title = lines[test.from as usize - 1];
                assert!(
                    title.starts_with("____") && title.contains(&test.test.replace("TestCart::", "TestCart.")),
                    "{title}"
                );
                let (last, next) = (lines[test.to as usize - 1], lines[test.to as usize]);
                assert!(last.contains("Error") || last == "hello ==== out", "{last}");
                assert!(next.starts_with(['_', '=']), "{next}");
            }
        }
    }

    const LOUD: &str = "===== test session starts =====\na.py::a PASSED [100%]\n";
    const SUMMARY: &str = "===== short test summary info =====\nFAILED a.py::a - no\n";
    const LATER: &str =
        "ERROR crate::db: connection refused\nERROR b.py::b - no\nb.py::c FAILED\nrunning 1 test\ntest t ... ok\n";

    #[test]
    fn nothing_behind_its_last_line_is_a_result() {
        for last in [
            "===== 1 passed in 75.05s (0:01:15) =====",
            "= 8 failed, 13 passed, 2 subtests passed, 1 xpassed, 2 errors in 100000.05s (1 day, 3:46:40) =",
            "===== no tests ran in 0.01s =====",
        ] {
            assert_eq!(shown(&format!("{LOUD}{last}\n{LATER}")), ["passed a.py a", "passed t"], "{last}");
            let bare = last.trim_matches(['=', ' ']);
            assert_eq!(shown(&format!("{SUMMARY}{bare}\n{LATER}")), ["failed a.py a", "passed t"], "{bare}");
        }
    }

    #[test]
    fn a_summary_without_end_is_over_where_nothing_is_told_for_long() {
        let long = "E   why\n".repeat(super::TELL_NOTHING_MAX as usize);
        let printed = format!("{SUMMARY}{long}FAILED a.py::b - no\n{long}over\n{LATER}");
        assert_eq!(shown(&printed), ["failed a.py a", "failed a.py b", "passed t"]);
    }

    #[test]
    fn what_others_print_is_no_result() {
        let log = "ERROR crate::db: connection refused\nFAILED b.py::c - not here\nINFO crate.db::x FAILED\nat a b.c::d FAILED\n";
        assert_eq!(shown(&format!("{LOUD}{log}")), ["passed a.py a"]);
        let heading = "=== FAILURES ===\nThere are none.\n___ more ___\nrunning 1 test\ntest t ... ok\n";
        assert_eq!(shown(heading), ["passed t"]);
    }

    #[test]
    fn a_long_name_leaves_its_title_one_line_on_each_side() {
        let name = format!("test_a[{}]", "x".repeat(100));
        let printed = format!(
            "=== FAILURES ===\n_ {name} _\n\n_ _ _ _ _ _ _ _\nE  no\n{}FAILED a.py::{name}\n",
            SUMMARY.replace("::a", "::b")
        );
        let tests = of(&printed);
        assert_eq!((tests[1].test.as_str(), tests[1].from, tests[1].to), (name.as_str(), 2, 5));
    }

    const END: &str = "=================================== FAILURES ===================================\n\
        _______________________________ TestCart.test_b ________________________________\n\n    def test_b():\n>       assert 1 == 2\n\
        tests/test_a.py:4: AssertionError\n=========================== short test summary info ============================\n\
        FAILED tests/test_a.py::TestCart::test_b - assert 1 == 2\n========================= 1 failed, 2 passed in 0.05s =========================\n";

    #[test]
    fn each_test_has_its_result_and_a_failure_its_section() {
        let printed = format!(
            "============================= test session starts ==============================\n\
            tests/test_a.py::test_a PASSED                       [ 33%]\ntests/test_a.py::TestCart::test_b FAILED  [ 66%]\n\
            tests/test_a.py::test_c[a b] SKIPPED (no)  [100%]\n\n{END}FAILED after.py::it - no\n"
        );
        let want = [
            "passed tests/test_a.py test_a",
            "failed tests/test_a.py TestCart::test_b",
            "skipped tests/test_a.py test_c[a b]",
        ];
        assert_eq!(shown(&printed), want);
        let tests = of(&printed);
        assert_eq!((tests[1].from, tests[1].to), (7, 11));
    }

    #[test]
    fn without_v_those_that_failed_have_names() {
        let printed = format!(
            "============================= test session starts ==============================\ntests/test_a.py .F.   [100%]\n\n{END}"
        );
        assert_eq!(shown(&printed), ["failed tests/test_a.py TestCart::test_b"]);
    }

    #[test]
    fn workers_and_durations() {
        let printed = "===== test session starts =====\ncreated: 2/2 workers\n2 workers [6 items]\n\ntests/test_a.py::test_a \n\
            [gw0] [ 50%] PASSED tests/test_a.py::test_a \n\
            ===== slowest durations =====\n0.25s call     tests/test_a.py::test_a\n===== 1 passed in 0.30s =====\n";
        assert_eq!(shown(printed), ["passed tests/test_a.py test_a"]);
        assert_eq!(of(printed)[0].duration_us, Some(250_000));
    }
}

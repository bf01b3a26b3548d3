//! `pytest`, with `-v` or without: then those that failed have names, from its summary.

use std::{collections::HashMap, sync::LazyLock};

use logboom_record::TestOutcome;
use memchr::memmem::Finder;

use super::{BEGUN_MAX, Line, Tests, seconds, shortened};

/// What is in the name of every test. Made once: while pytest runs each line is searched for it.
static COLONS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("::"));

#[derive(Debug, Default)]
pub(super) struct Pytest {
    is_running: bool,
    is_in_failures: bool,
    /// The results, by suite and test.
    known: HashMap<(String, String), usize>,
    /// The first and the last record of each section of failures; their titles name no file.
    sections: HashMap<String, (u64, u64)>,
    /// The section that the line is in.
    section: String,
}

impl Pytest {
    /// Whether it has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.text;
        if text.starts_with('=')
            && let Some(title) = title(text, '=')
        {
            return self.part(title);
        }
        if !self.is_running {
            return false;
        }
        if self.is_in_failures {
            if let Some(name) = title(text, '_').filter(|_| self.sections.len() < BEGUN_MAX) {
                // `ERROR at setup of test_adds`
                let name =
                    name.strip_prefix("ERROR at ").and_then(|of| of.split_once(" of ")).map_or(name, |(_, of)| of);
                self.section = shortened(name);
                self.sections.insert(self.section.clone(), (line.from, line.to));
            } else if let Some((_, to)) = self.sections.get_mut(&self.section) {
                *to = line.to;
            }
            return true;
        }
        COLONS.find(text.as_bytes()).is_some() && (self.result(line, text, tests) || self.duration(text, tests))
    }

    /// `==== FAILURES ====` and the like.
    fn part(&mut self, title: &str) -> bool {
        self.is_in_failures = false;
        match title {
            "test session starts" => *self = Pytest { is_running: true, ..Pytest::default() },
            "FAILURES" | "ERRORS" => self.is_in_failures = self.is_running,
            _ if title.contains(" in ") && title.ends_with('s') => self.is_running = false,
            _ => {}
        }
        self.is_running || title == "test session starts"
    }

    /// `tests/test_cart.py::test_adds PASSED [ 50%]`, `FAILED tests/test_cart.py::test_adds - why`.
    fn result(&mut self, line: Line<'_>, text: &str, tests: &mut Tests) -> bool {
        let text = text.strip_prefix("[gw").and_then(|rest| rest.split_once("] ")).map_or(text, |(_, rest)| rest);
        let text = if text.starts_with('[') { text.split_once("] ").map_or(text, |(_, rest)| rest) } else { text };
        let (outcome, id) = match text.split_once(' ').map(|(word, rest)| (outcome(word), rest)) {
            Some((Some(outcome), rest)) => (outcome, rest.split_once(" - ").map_or(rest, |(id, _)| id)),
            _ => {
                let text = text.rsplit_once(" [").filter(|(_, end)| end.ends_with("%]")).map_or(text, |(head, _)| head);
                let Some((id, word)) = text.trim_end().split_once(' ') else {
                    return false;
                };
                let word = word.split_once(' ').map_or(word, |(word, _)| word);
                let Some(outcome) = self::outcome(word) else { return false };
                (outcome, id)
            }
        };
        let Some((suite, test)) = id.trim().split_once("::") else { return false };
        // `TestCart.test_adds`
        let section = self.sections.get(&test.replace("::", ".")).copied();
        let known = self.known.get(&(shortened(suite), shortened(test))).copied();
        let Some(number) = known.or_else(|| tests.add(line, suite, test, outcome, None)) else { return true };
        let result = &mut tests.all[number];
        if let Some((from, to)) = section {
            (result.from, result.to) = (from, to);
        }
        // An error in tear-down comes behind a pass.
        result.outcome = if result.outcome.is_bad() { result.outcome } else { outcome };
        self.known.insert((shortened(suite), shortened(test)), number);
        true
    }

    /// `0.25s call     tests/test_cart.py::test_adds`.
    fn duration(&self, text: &str, tests: &mut Tests) -> bool {
        let mut words = text.split_ascii_whitespace();
        let (Some(time), Some("call"), Some(id), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        let (Some(time), Some((suite, test))) = (time.strip_suffix('s').and_then(seconds), id.split_once("::")) else {
            return false;
        };
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

/// What stands in the midst of a line of these.
fn title(text: &str, of: char) -> Option<&str> {
    let inner = text.trim_matches(of);
    let is_title = text.len() >= inner.len() + 6 && inner.starts_with(' ') && inner.ends_with(' ');
    is_title.then(|| inner.trim())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of, shown};

    const END: &str = "=================================== FAILURES ===================================\n\
        _______________________________ TestCart.test_b ________________________________\n\n    def test_b():\n>       assert 1 == 2\n\
        tests/test_a.py:4: AssertionError\n=========================== short test summary info ============================\n\
        FAILED tests/test_a.py::TestCart::test_b - assert 1 == 2\n========================= 1 failed, 2 passed in 0.05s =========================\n";

    #[test]
    fn each_test_has_its_result_and_a_failure_its_section() {
        let printed = format!(
            "============================= test session starts ==============================\n\
            tests/test_a.py::test_a PASSED                       [ 33%]\ntests/test_a.py::TestCart::test_b FAILED  [ 66%]\n\
            tests/test_a.py::test_c[a b] SKIPPED (no)  [100%]\n\n{END}FAILED after::it - no\n"
        );
        let want = ["passed tests/test_a.py test_a", "failed tests/test_a.py TestCart::test_b"];
        assert_eq!(shown(&printed)[..2], want);
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

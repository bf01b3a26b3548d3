//! `cargo nextest`: its lines for people, and what is nextest's in the JSON of [`libtest`](super::libtest), beside which it prints its
//! lines, too: then each test is told of twice.

use std::collections::HashMap;

use logboom_record::TestOutcome;

use super::{Line, Tests, seconds, shortened};

#[derive(Debug, Default)]
pub(super) struct Nextest {
    /// Results are told again behind the summary.
    is_over: bool,
    /// The results, by suite and test: of those that are tried more than once the last counts.
    known: HashMap<(String, String), usize>,
}

/// `   TRY 2 FAIL [   0.004s] ( 3/10) shop::bin/shop cart::adds`.
struct Status<'a> {
    attempt: u32,
    outcome: TestOutcome,
    duration_us: Option<u64>,
    suite: &'a str,
    test: &'a str,
}

impl Nextest {
    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.bare;
        if line.indent() == 0 {
            // The line above the summary.
            if text.starts_with("────") {
                tests.close();
            }
            return false;
        }
        if !text.starts_with(|first: char| first.is_ascii_uppercase()) {
            return false;
        }
        if text.starts_with("Starting ") && text.contains(" across ") {
            // Its JSON may be read before it.
            if self.is_over {
                *self = Nextest::default();
            }
            return true;
        }
        if text.starts_with("Summary [") {
            self.is_over = true;
            tests.close();
            return true;
        }
        let Some(status) = status(text) else { return false };
        if !self.is_over {
            self.take(line, &status, tests);
        }
        true
    }

    fn take(&mut self, line: Line<'_>, status: &Status<'_>, tests: &mut Tests) {
        tests.close();
        let Some(number) = self.put(line, status, tests) else { return };
        // Of one that passed at last what it printed when it failed is of interest.
        if status.outcome.is_bad() {
            tests.open(number, line);
        }
    }

    /// Adds a result, or puts it in the place of an earlier attempt's.
    fn put(&mut self, line: Line<'_>, status: &Status<'_>, tests: &mut Tests) -> Option<usize> {
        let Status { attempt, outcome, duration_us, suite, test } = *status;
        let key = (shortened(suite), shortened(test));
        let number = match self.known.get(&key).copied() {
            Some(number) => number,
            None => tests.add(line, suite, test, outcome, duration_us)?,
        };
        self.known.insert(key, number);
        let result = tests.all.get_mut(number)?;
        (result.outcome, result.duration_us, result.time) = (outcome, duration_us, line.time);
        result.retries = attempt.saturating_sub(1);
        Some(number)
    }

    /// Takes what its JSON tells: `shop::shop$tests::adds`, or `…#3` for the third attempt.
    pub fn json(&mut self, line: Line<'_>, name: &str, told: (TestOutcome, Option<u64>), tests: &mut Tests) {
        let Some((suite, test)) = name.split_once('$') else { return };
        let attempt = test.rsplit_once('#').and_then(|(test, attempt)| Some((test, attempt.parse().ok()?)));
        let (test, attempt) = attempt.unwrap_or((test, 0));
        // The tests of a library, which its lines for people name by the package alone.
        let suite =
            suite.split_once("::").filter(|(package, binary)| package == binary).map_or(suite, |(package, _)| package);
        self.put(line, &Status { attempt, outcome: told.0, duration_us: told.1, suite, test }, tests);
    }
}

fn status(text: &str) -> Option<Status<'_>> {
    let (head, rest) = text.split_once('[')?;
    let (time, rest) = rest.split_once("] ")?;
    let mut words = head.split_ascii_whitespace().peekable();
    let attempt = match words.peek() {
        Some(&"TRY") => words.nth(1)?.parse().ok()?,
        _ => 0,
    };
    let (word, more) = (words.next()?, words.next());
    let outcome = match word {
        "PASS" | "LEAK" => TestOutcome::Passed,
        "FLAKY" if more.is_some() => TestOutcome::Passed,
        "SKIP" => TestOutcome::Skipped,
        "TIMEOUT" | "TMT" => TestOutcome::TimedOut,
        "FAIL" | "ABORT" | "LEAK-FAIL" => TestOutcome::Failed,
        _ if word.len() > 3 && word.starts_with("SIG") => TestOutcome::Failed,
        _ => return None,
    };
    // `2/3`: it passed at the second of three.
    let flaky = more.and_then(|of| of.split_once('/')).and_then(|(attempt, _)| attempt.parse().ok());
    let rest = match rest.strip_prefix('(') {
        Some(count) => count.split_once(") ")?.1,
        None => rest,
    };
    let (suite, test) = rest.trim_start().split_once(' ')?;
    let duration_us = time.trim().strip_suffix('s').and_then(seconds);
    Some(Status { attempt: flaky.unwrap_or(attempt), outcome, duration_us, suite, test: test.trim() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of, shown};

    #[test]
    fn retries_are_one_test_and_the_summary_tells_nothing_new() {
        let printed = "────────────\n Nextest run ID 1 with nextest profile: default\n    Starting 3 tests across 1 binary\n\
            \x20       PASS [   0.005s] (1/3) shop a\n  TRY 1 FAIL [   0.004s] (2/3) shop b\n  stdout ───\n    hello\n\
            \x20   RETRY 2/3 [         ] shop b\n  TRY 2 PASS [   0.003s] (2/3) shop b\n        FAIL [   0.100s] (3/3) shop::it c::d\n\
            \x20 stderr ───\n    panicked\n\n────────────\n     Summary [   0.110s] 3 tests run\n   FLAKY 2/3 [   0.003s] (2/3) shop b\n\
            \x20       FAIL [   0.100s] (3/3) shop::it c::d\nerror: test run failed\n";
        assert_eq!(shown(printed), ["passed shop a", "passed shop b", "failed shop::it c::d"]);
        let tests = of(printed);
        assert_eq!((tests[1].retries, tests[1].from, tests[1].to, tests[1].duration_us), (1, 5, 8, Some(3_000)));
        assert_eq!((tests[2].from, tests[2].to), (10, 13));
    }

    #[test]
    fn signals_and_time_outs_are_failures() {
        let printed = "    Starting 2 tests across 1 binary\n     SIGSEGV [   0.1s] (1/2) s a\n     TIMEOUT [  60.0s] (2/2) s b\n   SLOW [> 60.000s] s c\n";
        assert_eq!(shown(printed), ["failed s a", "timed_out s b"]);
    }

    const PRINTED: &str = include_str!("../../tests/printed/nextest.txt");
    const JSON: &str = include_str!("../../tests/printed/nextest-json.txt");
    const BESIDE_JSON: &str = include_str!("../../tests/printed/nextest-json-stderr.txt");

    /// The results as outcome, suite, test and retries, in order.
    fn sorted(printed: &str) -> Vec<String> {
        let mut all: Vec<String> = of(printed)
            .iter()
            .map(|test| format!("{} {} x{}", test.outcome.as_str(), test.full_name(), test.retries))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn what_nextest_0_9_printed() {
        let want = ["failed shop tests::breaks x2", "passed shop tests::adds x0", "passed shop tests::is_flaky x1"];
        assert_eq!(sorted(PRINTED), want);
        assert!(of(PRINTED).iter().all(|test| test.duration_us.is_some()));
    }

    #[test]
    fn its_json_and_its_lines_tell_of_the_same_tests() {
        let want = [
            "failed shop tests::breaks x2",
            "passed shop tests::adds x0",
            "passed shop tests::is_flaky x1",
            "skipped shop tests::is_left_out x0",
        ];
        assert_eq!(sorted(JSON), want);
        let both = BESIDE_JSON.lines().map(|line| format!("{line}\n"));
        assert_eq!(sorted(&both.clone().chain(JSON.lines().map(|line| format!("{line}\n"))).collect::<String>()), want);
        let (begin, end) = JSON.split_at(JSON.find("{\"type\":\"suite\",\"event\":\"ok\"").unwrap_or(0));
        assert_eq!(sorted(&format!("{begin}{BESIDE_JSON}{end}")), want);
        assert!(
            of(JSON)
                .iter()
                .filter(|test| test.outcome != super::TestOutcome::Skipped)
                .all(|test| test.duration_us.is_some())
        );
    }

    #[test]
    fn one_test_is_a_run_too() {
        let printed = "    Starting 1 test across 1 binary\n        PASS [   0.1s] (1/1) s a\n     Summary [   0.1s] 1 test run\n\
            \x20   Starting 1 test across 1 binary\n        FAIL [   0.1s] (1/1) s b\n";
        assert_eq!(shown(printed), ["passed s a", "failed s b"]);
    }
}

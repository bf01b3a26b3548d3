//! `go test`: its lines for people, with `-v` or without, and `-json`; and what gotestsum prints of it in the end.

use std::collections::HashMap;

use logboom_record::TestOutcome;
use serde::Deserialize;

use super::{BEGUN_MAX, Line, Tests, micros, seconds, shortened};

/// So many tests of one name, in as many packages, are looked at when gotestsum tells again of one.
const SAME_NAME_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Go {
    /// The first record of each test that runs, by package (where it is known) and name.
    running: HashMap<(String, String), u64>,
    /// From which result on the package is not known yet: it is told last.
    unnamed: Option<usize>,
    /// Where a package failed last. A test that began before and has not ended may be one of it, which a panic ended.
    failed_at: u64,
    is_in_failure: bool,
    summary: Summary,
}

/// What gotestsum tells in the end of the tests that have not passed.
#[derive(Debug, Default)]
struct Summary {
    /// Whether one of its headings has come: no line before is an entry. It stays when the summary seems to end, since a test may have printed
    /// what looks like its end, and the entries behind must not be lost.
    has_begun: bool,
    /// The numbers of those whose own lines were printed before, by name; `None` for one that was told again.
    told: HashMap<String, Vec<Option<usize>>>,
    /// The name of the test that it is at.
    entry: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Json {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    test: String,
    elapsed: Option<f64>,
}

impl Go {
    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        if self.is_in_failure && !line.text.starts_with("    ") {
            self.is_in_failure = false;
            tests.close();
        }
        match line.text.as_bytes().first() {
            Some(b'{') => self.json(line, tests),
            Some(b'=') => self.begin(line) || self.heading(line, tests) || self.again(line, tests),
            Some(b'D') => self.done(line, tests),
            Some(b'-' | b' ') => self.end(line, tests),
            Some(b'o' | b'F') => self.package(line, tests),
            _ => false,
        }
    }

    /// `=== RUN   TestX`.
    fn begin(&mut self, line: Line<'_>) -> bool {
        let Some(name) = line.text.strip_prefix("=== RUN ") else { return false };
        let key = (String::new(), shortened(name.trim()));
        if self.running.len() < BEGUN_MAX || self.running.contains_key(&key) {
            self.running.insert(key, line.from); // one that is there has not ended, as in a panic
        }
        true
    }

    /// `--- PASS: TestX (0.01s)`, indented where it is a part of another.
    fn end(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let Some(rest) = line.bare.strip_prefix("--- ") else { return false };
        let Some((word, rest)) = rest.split_once(": ") else { return false };
        let outcome = match word {
            "PASS" => TestOutcome::Passed,
            "FAIL" => TestOutcome::Failed,
            "SKIP" => TestOutcome::Skipped,
            _ => return false,
        };
        let Some((name, duration_us)) = timed(rest) else { return false };
        if line.indent() > 0 && self.summary.is_at(name) {
            return true;
        }
        let from = self.running.remove(&(String::new(), shortened(name))).unwrap_or(line.from);
        let Some(number) = tests.add(Line { from, ..line }, "", name, outcome, duration_us) else { return true };
        self.unnamed.get_or_insert(number);
        if outcome != TestOutcome::Passed {
            self.summary.tell(name, number);
        }
        if outcome == TestOutcome::Failed {
            // What it logged follows, indented.
            tests.open(number, Line { from, ..line });
            self.is_in_failure = true;
        }
        true
    }

    /// `=== Failed`, before what gotestsum tells in the end.
    fn heading(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let is_heading = matches!(line.text.trim_end(), "=== Skipped" | "=== Failed" | "=== Errors");
        if is_heading {
            self.summary.close(tests);
            self.summary.has_begun = true;
        }
        is_heading
    }

    /// `=== FAIL: package TestX (re-run 1) (0.01s)`: an entry, of most formats of gotestsum the first that tells of the test. What it
    /// printed follows, as far from the left as it was, and the line that a part ended with.
    fn again(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let Some(entry) = self.summary.has_begun.then(|| Entry::of(line.text)).flatten() else { return false };
        let Entry { package, name, outcome, duration_us } = entry;
        self.summary.close(tests);
        self.unnamed = None; // the entries name what has no package yet; a line of a package may be the output of a test
        self.summary.entry = Some(name.to_owned());
        if name.is_empty() {
            return true; // the package has failed, none of its tests
        }
        let (number, is_output_here) = match self.summary.take(&entry, tests) {
            Some(told) => told,
            None => match tests.add(line, package, name, outcome, duration_us) {
                Some(number) => (number, true),
                None => return true,
            },
        };
        tests.name_suite(number..number + 1, package);
        if is_output_here && outcome == TestOutcome::Failed {
            if let Some(test) = tests.all.get_mut(number) {
                test.to = line.to;
            }
            tests.open(number, line);
        }
        true
    }

    /// `DONE 2 runs, 5 tests, 4 failures in 0.663s`, after the summary, and between runs, when none has come.
    fn done(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let is_done =
            line.text.strip_prefix("DONE ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_done {
            self.unnamed = None;
        }
        if is_done && self.summary.entry.is_some() {
            self.summary.close(tests);
            self.summary.entry = None;
            self.summary.told.clear();
        }
        is_done
    }

    /// `ok  \tpackage\t0.1s`, `FAIL\tpackage\t0.1s`.
    fn package(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let mut parts = line.text.split('\t');
        let word = parts.next().map(str::trim_end);
        let (Some("ok" | "FAIL"), Some(package)) = (word, parts.next()) else { return false };
        let is_running = |((package, _), from): (&(String, String), &u64)| package.is_empty() && *from > self.failed_at;
        // Where tests of another package still run, as with gotestsum, nobody knows whose those are that have ended.
        if let Some(from) = self.unnamed.take()
            && (word == Some("FAIL") || !self.running.iter().any(is_running))
        {
            tests.name_suite(from..tests.all.len(), package);
        }
        if word == Some("FAIL") {
            self.failed_at = line.from;
        }
        true
    }

    fn json(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let is_ours = [r#"{"Time":"#, r#"{"Action":"#].iter().any(|head| line.text.starts_with(head));
        let Some(json) = is_ours.then(|| serde_json::from_str::<Json>(line.text).ok()).flatten() else {
            return false;
        };
        let outcome = match json.action.as_str() {
            "pass" => TestOutcome::Passed,
            "fail" => TestOutcome::Failed,
            "skip" => TestOutcome::Skipped,
            _ => {
                if !json.test.is_empty() && self.running.len() < BEGUN_MAX {
                    self.running.entry((shortened(&json.package), shortened(&json.test))).or_insert(line.from);
                }
                return true;
            }
        };
        if json.test.is_empty() {
            return true;
        }
        let duration_us = json.elapsed.and_then(micros);
        let key = (shortened(&json.package), shortened(&json.test));
        let from = self.running.remove(&key).unwrap_or(line.from);
        let number = tests.add(Line { from, ..line }, &key.0, &key.1, outcome, duration_us);
        if let Some(number) = number.filter(|_| outcome != TestOutcome::Passed) {
            self.summary.tell(&key.1, number);
        }
        true
    }
}

impl Summary {
    fn tell(&mut self, name: &str, number: usize) {
        if self.told.len() < BEGUN_MAX {
            let numbers = self.told.entry(shortened(name)).or_default();
            if numbers.len() < SAME_NAME_MAX {
                numbers.push(Some(number));
            }
        }
    }

    /// What follows is not of the entry that it is at.
    fn close(&self, tests: &mut Tests) {
        if self.entry.is_some() {
            tests.close();
        }
    }

    /// Whether it is the test that it is at, or a part of that, which its output tells of, too.
    fn is_at(&self, name: &str) -> bool {
        let part = self.entry.as_ref().and_then(|at| name.strip_prefix(at.as_str()));
        part.is_some_and(|part| part.is_empty() || part.starts_with('/'))
    }

    /// The number of the test that an entry tells again, if its own lines were printed: those without a package come first, then the shortest
    /// package, since of `shop/a` and `shop/b/a` it is the first that is called `a`. Each is taken once. Tells also whether those lines may as
    /// well be of a test of that name in another package: then only the output that the entry repeats is known to be its own.
    fn take(&mut self, entry: &Entry<'_>, tests: &Tests) -> Option<(usize, bool)> {
        entry.duration_us?; // else it has not ended
        let numbers = self.told.get_mut(&shortened(entry.name))?;
        let is_one_of_many = numbers.len() > 1;
        let suite_bytes = |number: Option<usize>| {
            let test = tests.all.get(number?)?;
            (test.outcome == entry.outcome && entry.may_be_in(&test.suite)).then_some(test.suite.len())
        };
        let fitting = numbers.iter_mut().filter_map(|number| Some((suite_bytes(*number)?, number)));
        let (suite_bytes, number) = fitting.min_by_key(|(suite_bytes, _)| *suite_bytes)?;
        Some((number.take()?, is_one_of_many && suite_bytes == 0))
    }
}

struct Entry<'a> {
    /// Without the module that is tested; `.` is its own.
    package: &'a str,
    name: &'a str,
    outcome: TestOutcome,
    duration_us: Option<u64>,
}

impl Entry<'_> {
    fn of(line: &str) -> Option<Entry<'_>> {
        let (word, rest) = line.strip_prefix("=== ")?.split_once(": ")?;
        let outcome = match word {
            "FAIL" => TestOutcome::Failed,
            "SKIP" => TestOutcome::Skipped,
            _ => return None,
        };
        // Of a test that has not ended, as when it ran for too long, the time is not known.
        let (names, duration_us) =
            rest.strip_suffix(" (unknown)").map(|names| (names, None)).or_else(|| timed(rest))?;
        let (package, name) = names.split_once(' ')?;
        let name = name.split_once(" (re-run ").map_or(name, |(name, _)| name);
        Some(Entry { package, name, outcome, duration_us })
    }

    fn may_be_in(&self, suite: &str) -> bool {
        let before = suite.strip_suffix(self.package);
        suite.is_empty()
            || self.package == "."
            || before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    }
}

/// What stands before a time, `TestX (0.01s)`, and the time.
fn timed(text: &str) -> Option<(&str, Option<u64>)> {
    let (before, time) = text.rsplit_once(" (")?;
    Some((before, seconds(time.strip_suffix("s)")?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of, shown};
    use super::*;

    #[test]
    fn its_lines_for_people() {
        let printed = "=== RUN   TestA\n    a_test.go:5: hello\n--- PASS: TestA (0.01s)\n=== RUN   TestB\n=== RUN   TestB/part\n\
            --- FAIL: TestB (0.00s)\n    --- FAIL: TestB/part (0.00s)\n        b_test.go:9: broken\n--- SKIP: TestC (0.00s)\nFAIL\n\
            FAIL\texample.com/shop\t0.012s\nok  \texample.com/other\t0.1s\n";
        let want = [
            "passed example.com/shop TestA",
            "failed example.com/shop TestB",
            "failed example.com/shop TestB/part",
            "skipped example.com/shop TestC",
        ];
        assert_eq!(shown(printed), want);
        let ranges: Vec<_> = of(printed).iter().map(|test| (test.from, test.to)).collect();
        assert_eq!(ranges, [(1, 3), (4, 6), (5, 8), (9, 9)]);
    }

    const DONE: &str = "\nDONE 2 tests, 2 failures in 0.663s\n";

    /// gotestsum 1.8.2 of go 1.19.8, `--format standard-verbose` and `--rerun-fails=1`.
    #[test]
    fn what_gotestsum_tells_again_is_the_same_test() {
        let summary = "\n=== Skipped\n=== SKIP: shop TestC (0.00s)\n    a_test.go:5: not now\n\n=== Failed\n\
            === FAIL: shop TestB/part (0.00s)\n    a_test.go:4: no\n    --- FAIL: TestB/part (0.00s)\n\n\
            === FAIL: shop TestB (0.00s)\n\n=== FAIL: shop TestB/part (re-run 1) (0.00s)\n    a_test.go:4: no\n\
            \u{20}   --- FAIL: TestB/part (0.00s)\n\n=== FAIL: shop TestB (re-run 1) (0.00s)\n\nDONE 2 runs, 5 tests\n";
        let of_b = "=== RUN   TestB\n=== RUN   TestB/part\n    a_test.go:4: no\n--- FAIL: TestB (0.00s)\n\
            \u{20}   --- FAIL: TestB/part (0.00s)\n";
        let of_c = "=== RUN   TestC\n    a_test.go:5: not now\n--- SKIP: TestC (0.00s)\n";
        let package = "FAIL\nFAIL\texample.com/shop\t0.003s\n";
        let verbose =
            [of_b, of_c, package, "\nDONE 3 tests, 1 skipped, 2 failures in 0.297s\n\n", of_b, package].concat();
        let attempt = ["failed P TestB", "failed P TestB/part"];
        let want = [&attempt[..], &["skipped P TestC"], &attempt].concat();
        let want: Vec<_> = want.iter().map(|test| test.replace('P', "example.com/shop")).collect();
        assert_eq!(shown(&(verbose + summary)), want);
        let attempt = ["failed shop TestB/part", "failed shop TestB"];
        assert_eq!(shown(summary), [&["skipped shop TestC"][..], &attempt, &attempt].concat());
        let ranges: Vec<_> = of(summary).iter().map(|test| (test.from, test.to)).collect();
        assert_eq!(ranges[1], (7, 10));
        let of_no_package = "=== RUN   TestA\n--- FAIL: TestA (0.00s)\n=== Failed\n=== FAIL: shop TestA (0.00s)\n";
        assert_eq!(shown(of_no_package), ["failed shop TestA"]);
        let twice = of_no_package.to_owned() + "=== RUN   TestB\n" + "=== Failed\n=== FAIL: web TestA (0.00s)\n";
        assert_eq!(shown(&twice), ["failed shop TestA", "failed web TestA"]);
        let of_two = "=== Failed\n=== FAIL: shop TestA (0.00s)\n\n=== FAIL: web TestA (0.00s)\n";
        assert_eq!(shown(of_two), ["failed shop TestA", "failed web TestA"]);
    }

    #[test]
    fn what_gotestsum_tells_of_another_test_is_a_result_of_its_own() {
        let summary = "\n=== Failed\n=== FAIL: b TestA (0.00s)\n    a_test.go:3: boom\n".to_owned() + DONE;
        let skipped = "=== RUN   TestA\n--- SKIP: TestA (0.00s)\nok  \tshop/a\t0.1s\n";
        assert_eq!(shown(&(skipped.to_owned() + &summary)), ["skipped shop/a TestA", "failed b TestA"], "outcome");
        let of_a = "=== RUN   TestA\n--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tshop/a\t0.1s\n";
        assert_eq!(shown(&(of_a.to_owned() + &summary)), ["failed shop/a TestA", "failed b TestA"], "package");
        let of_ab = of_a.replace("/a", "/ab");
        assert_eq!(shown(&(of_ab + &summary)), ["failed shop/ab TestA", "failed b TestA"], "end of a word");
        let of_b = of_a.replace("/a", "/b");
        let again = summary.clone() + &of_b + &summary + &summary;
        assert_eq!(shown(&again), ["failed b TestA", "failed shop/b TestA", "failed b TestA"], "each is told once");
        // `--hide-summary failed`, and then a run of most other formats.
        let hidden = of_b + "=== Skipped\n=== SKIP: b TestC (0.00s)\n" + DONE + &summary;
        assert_eq!(shown(&hidden), ["failed shop/b TestA", "skipped b TestC", "failed b TestA"], "it is done");
    }

    /// `--format pkgname-and-test-fails`: what failed, in any order, without the package; with a test binary that ended with 3 in `pan`.
    #[test]
    fn gotestsum_names_the_packages_of_what_it_has_printed_before() {
        let fails = "=== RUN   TestA\n    a_test.go:3: boom\n--- FAIL: TestA (0.00s)\n".repeat(2);
        let summary = "\n=== Skipped\n=== SKIP: unit TestA (0.00s)\n\n=== Failed\n=== FAIL: pan  (0.00s)\nexit status 3\n\
            FAIL\tshop/pan\t0.001s\n\n=== FAIL: integration TestA (0.00s)\n    a_test.go:3: boom\n\n\
            === FAIL: web TestA (0.00s)\n    a_test.go:3: boom\n";
        let printed = fails + summary + DONE;
        assert_eq!(shown(&printed), ["failed integration TestA", "failed web TestA", "skipped unit TestA"]);
        let ranges: Vec<_> = of(&printed).iter().map(|test| (test.from, test.to)).collect();
        assert_eq!(ranges[..2], [(16, 18), (19, 21)], "the output above may be of the other package");
    }

    /// `--format standard-verbose`: packages that are tested at once.
    #[test]
    fn a_package_that_ends_while_another_is_tested_names_nothing() {
        let printed = "=== RUN   TestSlow\n=== RUN   TestA\n--- FAIL: TestA (0.00s)\nok  \tshop/b\t0.1s\n\
            --- PASS: TestSlow (0.20s)\nFAIL\tshop/a\t0.3s\n\n=== Failed\n=== FAIL: a TestA (0.00s)\n";
        assert_eq!(shown(&(printed.to_owned() + DONE)), ["failed a TestA", "passed shop/a TestSlow"]);
        // A panic ends a test, and its package.
        let panic = "=== RUN   TestA\npanic: oh\nFAIL\tshop/a\t0.1s\n=== RUN   TestA\n--- PASS: TestA (0.00s)\nok  \tshop/b\t0.1s\n";
        assert_eq!(shown(panic), ["passed shop/b TestA"]);
        assert_eq!((of(panic)[0].from, of(panic)[0].to), (4, 5));
    }

    /// gotestsum 1.8.2: parts that have not failed stand in the entry of a test that failed by itself.
    #[test]
    fn parts_that_an_entry_tells_again_are_no_results() {
        let own = "=== RUN   TestB\n=== RUN   TestB/ok\n=== RUN   TestB/left\n--- FAIL: TestB (0.00s)\n\
            \u{20}   --- PASS: TestB/ok (0.00s)\n    --- SKIP: TestB/left (0.00s)\nFAIL\tshop/a\t0.1s\n";
        let summary = "\n=== Skipped\n=== SKIP: a TestB/left (0.00s)\n    --- SKIP: TestB/left (0.00s)\n\n=== Failed\n\
            === FAIL: a TestB (0.00s)\n    --- PASS: TestB/ok (0.00s)\n    --- SKIP: TestB/left (0.00s)\n";
        let want = ["failed shop/a TestB", "passed shop/a TestB/ok", "skipped shop/a TestB/left"];
        assert_eq!(shown(&[own, summary, DONE].concat()), want);
        assert_eq!(shown(&[summary, DONE].concat()), ["skipped a TestB/left", "failed a TestB"]);
    }

    /// gotestsum 1.13 `--format standard-json`.
    #[test]
    fn what_was_told_in_json_is_the_same_test() {
        let told = "{\"Action\":\"fail\",\"Package\":\"shop/a\",\"Test\":\"TestA\",\"Elapsed\":0}\n";
        let summary = "\n=== Failed\n=== FAIL: a TestA (0.00s)\n".to_owned() + DONE;
        assert_eq!(shown(&(told.to_owned() + &summary)), ["failed shop/a TestA"]);
    }

    #[test]
    fn packages_that_end_alike_are_told_apart() {
        let printed = ["shop/b/a", "shop", "shop/a"]
            .map(|package| format!("=== RUN   TestA\n--- FAIL: TestA (0.00s)\nFAIL\t{package}\t0.1s\n"))
            .concat();
        let summary = [".", "a", "b/a"].map(|package| format!("=== FAIL: {package} TestA (0.00s)\n")).concat();
        let want = ["failed shop/b/a TestA", "failed shop TestA", "failed shop/a TestA"];
        assert_eq!(shown(&(printed + "=== Failed\n" + &summary + DONE)), want);
    }

    #[test]
    fn an_entry_reaches_to_the_next_or_the_end_of_the_summary() {
        let entries = "=== Failed\n=== FAIL: a TestA (0.00s)\npanic: oh [recovered]\n\ngoroutine 18 [running]:\n\tpanic.go:9\n\n\
            === FAIL: a TestB (0.00s)\nat the left\n\n=== FAIL: b  (0.00s)\nexit status 3\n\n=== FAIL: c TestC (0.00s)\nat the left\n";
        let ranges: Vec<_> =
            of(&(entries.to_owned() + DONE + "after\n")).iter().map(|test| (test.from, test.to)).collect();
        assert_eq!(ranges, [(2, 7), (8, 10), (14, 16)]);
    }

    #[test]
    fn a_test_that_has_not_ended_has_failed() {
        let printed =
            "=== Failed\n=== FAIL: a TestSlow (unknown)\npanic: test timed out after 300ms\n".to_owned() + DONE;
        assert_eq!(shown(&printed), ["failed a TestSlow"]);
    }

    #[test]
    fn a_line_is_an_entry_only_below_a_heading() {
        assert!(shown("=== FAIL: my suite (1.2s)\n=== SKIP: my suite (1.2s)\n").is_empty());
        // What a test prints, which is told again, loses no entry.
        let printed = ["=== Failed\n=== FAIL: a TestA (0.00s)", DONE, "\n=== FAIL: a TestB (0.00s)\n", DONE].concat();
        assert_eq!(shown(&printed), ["failed a TestA", "failed a TestB"]);
    }

    #[test]
    fn a_part_that_fails_after_gotestsum_is_not_one_of_its_entries() {
        let entry = "=== Failed\n=== FAIL: a TestB/part (0.00s)\n    --- FAIL: TestB/part (0.00s)\n";
        let plain = "--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/part (0.00s)\nFAIL\tshop/a\t0.1s\n";
        let want = ["failed a TestB/part", "failed shop/a TestB", "failed shop/a TestB/part"];
        assert_eq!(shown(&[entry, DONE, plain].concat()), want);
    }

    #[test]
    fn what_is_remembered_for_gotestsum_is_bounded() {
        let mut summary = Summary::default();
        (0..2 * SAME_NAME_MAX).for_each(|number| summary.tell("TestA", number));
        (0..2 * BEGUN_MAX).for_each(|number| summary.tell(&format!("Test{number}"), number));
        assert_eq!((summary.told.len(), summary.told["TestA"].len()), (BEGUN_MAX, SAME_NAME_MAX));
        // What is over is told by an entry as its own: twice rather than never.
        let (fails, entries) = ("--- FAIL: TestA (0.00s)\n", "=== FAIL: a TestA (0.00s)\n");
        let many = SAME_NAME_MAX + 1;
        let printed = fails.repeat(many) + "=== Failed\n" + &entries.repeat(many);
        assert_eq!(of(&printed).len(), many + 1);
    }

    #[test]
    fn its_json() {
        let printed = r#"{"Time":"2026-01-02T03:04:05Z","Action":"run","Package":"shop","Test":"TestA"}
{"Time":"2026-01-02T03:04:05Z","Action":"output","Package":"shop","Test":"TestA","Output":"x\n"}
{"Action":"pass","Package":"shop","Test":"TestA","Elapsed":0.25}
{"Action":"fail","Package":"shop","Elapsed":0.3}
"#;
        let tests = of(printed);
        assert_eq!(shown(printed), ["passed shop TestA"]);
        assert_eq!((tests[0].from, tests[0].to, tests[0].duration_us), (1, 3, Some(250_000)));
    }
}

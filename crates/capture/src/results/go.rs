//! `go test`: its lines for people, with `-v` or without, and `-json`; and what gotestsum prints of it in the end.

use std::collections::HashMap;

use logboom_record::TestOutcome;
use serde::Deserialize;

use super::{BEGUN_MAX, Line, Tests, micros, seconds, shortened};

#[derive(Debug, Default)]
pub(super) struct Go {
    /// The first record of each test that runs, by package (where it is known) and name.
    running: HashMap<(String, String), u64>,
    /// From which result on the package is not known yet: it is told last.
    unnamed: Option<usize>,
    is_in_failure: bool,
    /// The numbers of the tests that have not passed, by package (where it is known) and name: gotestsum tells of them again.
    told: HashMap<(String, String), usize>,
    /// The one that it tells of now.
    again: Option<String>,
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
            Some(b'=') => self.begin(line) || self.again(line, tests),
            Some(b'-' | b' ') => self.end(line, tests),
            Some(b'o' | b'F') => self.package(line, tests),
            _ => false,
        }
    }

    /// `=== RUN   TestX`.
    fn begin(&mut self, line: Line<'_>) -> bool {
        let Some(name) = line.text.strip_prefix("=== RUN ") else { return false };
        if self.again.take().is_some() {
            self.told.clear(); // by another gotestsum
        }
        if self.running.len() < BEGUN_MAX {
            self.running.entry((String::new(), shortened(name.trim()))).or_insert(line.from);
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
        if line.indent() > 0 && self.again.as_deref() == Some(name) {
            return true;
        }
        let from = self.running.remove(&(String::new(), shortened(name))).unwrap_or(line.from);
        let Some(number) = tests.add(Line { from, ..line }, "", name, outcome, duration_us) else { return true };
        self.unnamed.get_or_insert(number);
        if outcome != TestOutcome::Passed {
            self.tell("", name, number);
        }
        if outcome == TestOutcome::Failed {
            // What it logged follows, indented.
            tests.open(number, Line { from, ..line });
            self.is_in_failure = true;
        }
        true
    }

    /// `=== FAIL: package TestX (re-run 1) (0.01s)`: gotestsum tells in the end what failed and what was left out, of most of its formats for
    /// the first time. The line that a part ended with follows below.
    fn again(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let Some((word, rest)) = line.text.strip_prefix("=== ").and_then(|rest| rest.split_once(": ")) else {
            return false;
        };
        let outcome = match word {
            "FAIL" => TestOutcome::Failed,
            "SKIP" => TestOutcome::Skipped,
            _ => return false,
        };
        let Some(((package, entry), duration_us)) =
            timed(rest).and_then(|(names, duration_us)| Some((names.split_once(' ')?, duration_us)))
        else {
            return false;
        };
        let name = entry.split(' ').next().unwrap_or(entry);
        if name.is_empty() {
            return false;
        }
        self.again = Some(name.to_owned());
        if let Some(number) = self.told.get(&(String::new(), shortened(name))) {
            tests.name_suite(*number..*number + 1, package);
        } else if !self.told.contains_key(&(shortened(package), shortened(entry))) {
            self.add(line, (package, entry, name), (outcome, duration_us), tests);
        }
        true
    }

    fn add(
        &mut self,
        line: Line<'_>,
        (package, entry, name): (&str, &str, &str),
        (outcome, duration_us): (TestOutcome, Option<u64>),
        tests: &mut Tests,
    ) {
        let Some(number) = tests.add(line, package, name, outcome, duration_us) else { return };
        self.tell(package, entry, number);
        if outcome == TestOutcome::Failed {
            tests.open(number, line);
            self.is_in_failure = true;
        }
    }

    fn tell(&mut self, package: &str, name: &str, number: usize) {
        if self.told.len() < BEGUN_MAX {
            self.told.insert((shortened(package), shortened(name)), number);
        }
    }

    /// `ok  \tpackage\t0.1s`, `FAIL\tpackage\t0.1s`.
    fn package(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let mut parts = line.text.split('\t');
        let word = parts.next().map(str::trim_end);
        let (Some("ok" | "FAIL"), Some(package)) = (word, parts.next()) else { return false };
        if let Some(from) = self.unnamed.take() {
            tests.name_suite(from..tests.all.len(), package);
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
        tests.add(Line { from, ..line }, &key.0, &key.1, outcome, duration_us);
        true
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

    /// gotestsum 1.8.2 of go 1.19.8, `--format standard-verbose` and `--rerun-fails=2`, shortened.
    #[test]
    fn what_gotestsum_tells_again_is_the_same_test() {
        let summary = "\n=== Skipped\n=== SKIP: shop TestC (0.00s)\n    a_test.go:5: not now\n\n=== Failed\n\
            === FAIL: shop TestB/part (0.00s)\n    a_test.go:4: no\n    --- FAIL: TestB/part (0.00s)\n\n\
            === FAIL: shop TestB (0.00s)\n\n=== FAIL: shop TestB/part (re-run 1) (0.00s)\n    a_test.go:4: no\n\
            \u{20}   --- FAIL: TestB/part (0.00s)\n\n=== FAIL: shop TestB (re-run 1) (0.00s)\n\nDONE 2 runs, 3 tests\n";
        let verbose = "=== RUN   TestB\n=== RUN   TestB/part\n    a_test.go:4: no\n--- FAIL: TestB (0.00s)\n\
            \u{20}   --- FAIL: TestB/part (0.00s)\n=== RUN   TestC\n    a_test.go:5: not now\n--- SKIP: TestC (0.00s)\nFAIL\n\
            FAIL\texample.com/shop\t0.003s\n";
        let package = "example.com/shop";
        let want = ["failed P TestB", "failed P TestB/part", "skipped P TestC"].map(|test| test.replace('P', package));
        assert_eq!(shown(&(verbose.to_owned() + summary)), want);
        let attempt = ["failed shop TestB/part", "failed shop TestB"];
        assert_eq!(shown(summary), [&["skipped shop TestC"][..], &attempt, &attempt].concat());
        let ranges: Vec<_> = of(summary).iter().map(|test| (test.from, test.to)).collect();
        assert_eq!(ranges[1], (7, 9));
        let of_no_package = "=== RUN   TestA\n--- FAIL: TestA (0.00s)\n=== Failed\n=== FAIL: shop TestA (0.00s)\n";
        assert_eq!(shown(of_no_package), ["failed shop TestA"]);
        let twice = of_no_package.to_owned() + "=== RUN   TestB\n" + "=== Failed\n=== FAIL: web TestA (0.00s)\n";
        assert_eq!(shown(&twice), ["failed shop TestA", "failed web TestA"]);
        let of_two = "=== Failed\n=== FAIL: shop TestA (0.00s)\n\n=== FAIL: web TestA (0.00s)\n";
        assert_eq!(shown(of_two), ["failed shop TestA", "failed web TestA"]);
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

//! `go test`: its lines for people, with `-v` or without, and `-json`.

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
            Some(b'=') => self.begin(line),
            Some(b'-' | b' ') => self.end(line, tests),
            Some(b'o' | b'F') => self.package(line, tests),
            _ => false,
        }
    }

    /// `=== RUN   TestX`.
    fn begin(&mut self, line: Line<'_>) -> bool {
        let Some(name) = line.text.strip_prefix("=== RUN ") else { return false };
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
        let Some((name, time)) = rest.rsplit_once(" (").filter(|(_, time)| time.ends_with("s)")) else { return false };
        let from = self.running.remove(&(String::new(), shortened(name))).unwrap_or(line.from);
        let duration_us = time.strip_suffix("s)").and_then(seconds);
        let Some(number) = tests.add(Line { from, ..line }, "", name, outcome, duration_us) else { return true };
        self.unnamed.get_or_insert(number);
        if outcome == TestOutcome::Failed {
            // What it logged follows, indented.
            tests.open(number, Line { from, ..line });
            self.is_in_failure = true;
        }
        true
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

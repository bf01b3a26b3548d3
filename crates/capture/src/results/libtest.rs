//! `cargo test`: the lines of Rust's test harness, and its JSON, which nextest writes, too.

use std::{collections::HashMap, sync::LazyLock};

use logboom_record::TestOutcome;
use memchr::memmem::Finder;
use serde::Deserialize;

use super::{Line, Tests, early_word, micros, nextest::Nextest, seconds, shortened};

/// What stands between a test's name and its result. Made once: each line of a test is searched for it.
static DOTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" ... "));

#[derive(Debug, Default)]
pub(super) struct Libtest {
    suite: String,
    /// The suite was named, and its tests have not begun.
    is_named: bool,
    /// From which result on the suite is not known yet: cargo names it on the other stream, which may be read later.
    unnamed: Option<usize>,
    /// How many tests of a suite that has begun are still to be told of.
    left: Option<u64>,
    is_in_failures: bool,
    /// The tests of this suite, by name.
    known: HashMap<String, usize>,
    /// A test whose line went on with what it printed, and the line's first record.
    open: Option<(String, u64)>,
}

#[derive(Deserialize)]
struct Json {
    r#type: String,
    event: String,
    #[serde(default)]
    name: String,
    exec_time: Option<f64>,
}

impl Libtest {
    /// Whether any line may be the end of one that began.
    pub fn is_waiting(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests, nextest: &mut Nextest) -> bool {
        match line.text.as_bytes().first() {
            Some(b'{') => self.json(line, tests, nextest),
            Some(b' ') => self.names_suite(line, tests),
            Some(b'r') => line.text.strip_prefix("running ").is_some_and(|rest| self.begin(rest, tests)),
            Some(b't') => match line.text.strip_prefix("test result: ") {
                Some(_) => self.end(tests),
                None => line.text.strip_prefix("test ").is_some_and(|rest| self.result(line, rest, tests)),
            },
            Some(b'f') if line.text == "failures:" && self.left.is_some() => self.failures(tests),
            Some(b'-') => self.is_in_failures && self.failure(line, tests),
            _ => self.end_of_open(line, tests),
        }
    }

    /// `     Running unittests src/lib.rs (target/debug/deps/name-0123456789abcdef)`, `   Doc-tests name`.
    fn names_suite(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.bare;
        let name = match text.strip_prefix("Doc-tests ") {
            Some(name) => format!("{name} (doc)"),
            None => {
                let program = text.strip_prefix("Running ").and_then(|text| text.strip_suffix(')'));
                let Some((_, program)) = program.and_then(|text| text.rsplit_once(" (")) else { return false };
                let file = program.rsplit('/').next().unwrap_or(program);
                file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned()
            }
        };
        self.suite = shortened(&name);
        match self.unnamed.take() {
            Some(from) => tests.all[from..].iter_mut().for_each(|test| self.suite.clone_into(&mut test.suite)),
            None => self.is_named = true,
        }
        true
    }

    /// `running 3 tests`.
    fn begin(&mut self, rest: &str, tests: &Tests) -> bool {
        let count = rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"));
        let Some(count) = count.and_then(|count| count.parse().ok()) else { return false };
        (self.left, self.is_in_failures, self.open) = (Some(count), false, None);
        self.known.clear();
        if !std::mem::take(&mut self.is_named) {
            self.suite.clear();
            self.unnamed = Some(tests.all.len());
        }
        true
    }

    /// `test name ... ok`.
    fn result(&mut self, line: Line<'_>, rest: &str, tests: &mut Tests) -> bool {
        if self.left.unwrap_or(0) == 0 {
            return false;
        }
        let Some(at) = DOTS.find(rest.as_bytes()) else { return false };
        let (name, rest) = (&rest[..at], &rest[at + DOTS.needle().len()..]);
        match outcome(rest) {
            Some((outcome, duration_us)) => self.add(line, name, outcome, duration_us, tests),
            None => self.open = Some((shortened(name), line.from)),
        }
        true
    }

    /// `ok`, behind what a test printed that was not captured.
    fn end_of_open(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let Some((outcome, duration_us)) = outcome(line.text) else { return false };
        let Some((name, from)) = self.open.take() else { return false };
        self.add(Line { from, ..line }, &name, outcome, duration_us, tests);
        true
    }

    fn add(&mut self, line: Line<'_>, name: &str, outcome: TestOutcome, duration_us: Option<u64>, tests: &mut Tests) {
        let name_alone = shortened(name.strip_suffix(" - should panic").unwrap_or(name));
        if self.known.contains_key(&name_alone) {
            return;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        if let Some(number) = tests.add(line, &self.suite, &name_alone, outcome, duration_us) {
            self.known.insert(name_alone, number);
        }
    }

    /// Twice: before what the failed tests printed, and before their names.
    fn failures(&mut self, tests: &mut Tests) -> bool {
        self.is_in_failures = !self.is_in_failures;
        if !self.is_in_failures {
            tests.close();
        }
        true
    }

    /// `---- name stdout ----`.
    fn failure(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let name = line.text.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        let Some(name) = name else { return false };
        let number = match self.known.get(name) {
            Some(number) => Some(*number),
            // With `-q` only those that failed have a name.
            None => tests.add(line, &self.suite, name, TestOutcome::Failed, None),
        };
        number.into_iter().for_each(|number| tests.open(number, line));
        true
    }

    fn end(&mut self, tests: &mut Tests) -> bool {
        tests.close();
        (self.left, self.is_in_failures, self.open) = (None, false, None);
        true
    }

    fn json(&mut self, line: Line<'_>, tests: &mut Tests, nextest: &mut Nextest) -> bool {
        let is_ours = [r#"{ "type": "#, r#"{"type":"#].iter().any(|head| line.text.starts_with(head));
        if is_ours && early_word(line.text, br#""event":"#) == Some("started") {
            return true; // every other line is
        }
        let Some(json) = is_ours.then(|| serde_json::from_str::<Json>(line.text).ok()).flatten() else {
            return false;
        };
        let outcome = match (json.r#type.as_str(), json.event.as_str()) {
            ("test", "ok") => TestOutcome::Passed,
            ("test", "failed") => TestOutcome::Failed,
            ("test", "ignored") => TestOutcome::Skipped,
            ("test", "timeout") => TestOutcome::TimedOut,
            _ => return json.r#type == "suite" || json.r#type == "test",
        };
        let duration_us = json.exec_time.and_then(micros);
        match json.name.contains('$') {
            true => nextest.json(line, &json.name, (outcome, duration_us), tests),
            false => drop(tests.add(line, &self.suite, &json.name, outcome, duration_us)),
        }
        true
    }
}

/// `ok`, `FAILED`, `ignored, because`, `ok <0.012s>`.
fn outcome(text: &str) -> Option<(TestOutcome, Option<u64>)> {
    let (word, rest) = text.split_at(text.find([' ', ',', ':']).unwrap_or(text.len()));
    let outcome = match word {
        "ok" | "bench" => TestOutcome::Passed,
        "FAILED" => TestOutcome::Failed,
        "ignored" => TestOutcome::Skipped,
        _ => return None,
    };
    let time = rest.strip_prefix(" <").and_then(|rest| rest.strip_suffix("s>"));
    (rest.is_empty() || time.is_some() || word == "ignored" || word == "bench")
        .then(|| (outcome, time.and_then(seconds)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of, shown};

    #[test]
    fn each_suite_has_its_tests_and_each_failure_its_lines() {
        let printed = "     Running unittests src/lib.rs (target/debug/deps/shop-0123456789abcdef)\n\n\
            running 4 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... ignored, slow\n\
            test d - should panic ... ok <0.250s>\n\nfailures:\n\n---- b stdout ----\nhello\n\
            thread 'b' panicked\n\n\nfailures:\n    b\n\ntest result: FAILED. 2 passed\n\n   Doc-tests shop\n\n\
            running 1 test\ntest src/lib.rs - add (line 3) ... ok\n\ntest result: ok.\n";
        let want = [
            "passed shop a",
            "failed shop b",
            "skipped shop c",
            "passed shop d",
            "passed shop (doc) src/lib.rs - add (line 3)",
        ];
        assert_eq!(shown(printed), want);
        let tests = of(printed);
        assert_eq!((tests[1].from, tests[1].to), (11, 15), "the section of b");
        assert_eq!(tests[3].duration_us, Some(250_000));
    }

    #[test]
    fn what_a_test_prints_itself_adds_no_test() {
        let printed = "test before ... ok\nrunning 2 tests\ntest a ... printed\nmore\nok\ntest a ... ok\ntest b ... ok\ntest forged ... ok\n";
        assert_eq!(shown(printed), ["passed a", "passed b"]);
        let tests = of(printed);
        assert_eq!((tests[0].from, tests[0].to), (3, 5));
    }

    #[test]
    fn json_of_the_harness_and_of_nextest() {
        let printed = r#"{ "type": "suite", "event": "started", "test_count": 2 }
{ "type": "test", "event": "started", "name": "a" }
{ "type": "test", "name": "a", "event": "ok", "exec_time": 0.5 }
{"type":"test","event":"failed","name":"shop::bin/shop$b","exec_time":0.25,"stdout":"x"}
{"type":"other"}
"#;
        assert_eq!(shown(printed), ["passed a", "failed shop::bin/shop b"]);
        assert_eq!(of(printed)[1].duration_us, Some(250_000));
    }

    #[test]
    fn a_suite_may_be_named_when_its_tests_were_told() {
        let printed = "running 1 test\ntest a ... ok\n     Running unittests src/lib.rs (target/debug/deps/shop-0123456789abcdef)\n\
            test result: ok.\n     Running tests/it.rs (target/debug/deps/it-0123456789abcdef)\nrunning 1 test\ntest b ... ok\n";
        assert_eq!(shown(printed), ["passed shop a", "passed it b"]);
    }

    #[test]
    fn quietly_only_failures_have_names() {
        let printed =
            "running 2 tests\n.F\nfailures:\n\n---- b stdout ----\nx\n\nfailures:\n    b\n\ntest result: FAILED.\n";
        assert_eq!(shown(printed), ["failed b"]);
    }
}

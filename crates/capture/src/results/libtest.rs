//! `cargo test`: the lines of Rust's test harness, and its JSON, which nextest writes, too.

use std::{
    collections::{HashMap, VecDeque},
    sync::LazyLock,
};

use logboom_record::{TestOutcome, Time};
use memchr::memmem::Finder;
use serde::Deserialize;

use super::{Line, Tests, micros, nextest::Nextest, seconds, shortened};

/// What stands between a test's name and its result. Made once: each line of a test is searched for it.
static DOTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" ... "));

/// Behind the name of a suite of examples in documentation.
const DOC: &str = " (doc)";
/// So many suites are named before their tests begin, or begin before they are named; of more the first are forgotten.
const APART_MAX: usize = 64;
/// Tests that begin so long after their suite was named are those of a later one, if one was named meanwhile: the earlier has none.
const LATE_US: i64 = 50_000;
/// So long after its tests have begun a suite may be named, but not [`LATE_US`] after they have ended.
const UNNAMED_US: i64 = 1_000_000;

/// Cargo names a suite on the other stream than the suite begins on, so either may be read first, and several of one before the other.
/// Each stream is in order: the first name is the first beginning's. But not each has its other: a program without a harness is named
/// alone, and with `-q` none is. So what waits too long waits for nothing.
#[derive(Debug, Default)]
pub(super) struct Libtest {
    /// The one whose tests come.
    suite: String,
    /// The suites that were named whose tests have not begun, and when they were.
    named: VecDeque<(Time, String)>,
    /// From which result on the tests are of a suite that is not named yet, and until when it may be.
    unnamed: VecDeque<(Time, usize)>,
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
            Some(b'r') => line.text.strip_prefix("running ").is_some_and(|rest| self.begin(line, rest, tests)),
            Some(b't') => match line.text.strip_prefix("test result: ") {
                Some(_) => self.end(line.time, tests),
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
            Some(name) => format!("{name}{DOC}"),
            None => {
                let program = text.strip_prefix("Running ").and_then(|text| text.strip_suffix(')'));
                let Some((_, program)) = program.and_then(|text| text.rsplit_once(" (")) else { return false };
                let file = program.rsplit('/').next().unwrap_or(program);
                file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned()
            }
        };
        while self.unnamed.pop_front_if(|(until, _)| *until < line.time).is_some() {}
        match self.unnamed.pop_front() {
            Some((_, from)) => self.name(from, &name, tests),
            None => push(&mut self.named, (line.time, shortened(&name))),
        }
        true
    }

    /// The tests from this one on are of the suite, up to the next one that has begun.
    fn name(&mut self, from: usize, suite: &str, tests: &mut Tests) {
        let next = self.unnamed.front().map(|(_, from)| *from);
        tests.name_suite(from..next.unwrap_or(tests.all.len()), suite);
        if next.is_none() {
            self.suite = shortened(suite);
        }
    }

    /// `running 3 tests`.
    fn begin(&mut self, line: Line<'_>, rest: &str, tests: &Tests) -> bool {
        let count = rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"));
        let Some(count) = count.and_then(|count| count.parse().ok()) else { return false };
        (self.left, self.is_in_failures, self.open) = (Some(count), false, None);
        self.known.clear();
        self.begin_suite(line, tests);
        true
    }

    fn begin_suite(&mut self, line: Line<'_>, tests: &Tests) {
        while self.named.len() > 1 && self.named.front().is_some_and(|(at, _)| apart_us(*at, line.time) > LATE_US) {
            self.named.pop_front();
        }
        match self.named.pop_front() {
            Some((_, suite)) => self.suite = suite,
            // Those that are compiled together and those that are not begin both.
            None if self.suite.ends_with(DOC) => {}
            None => {
                self.suite.clear();
                push(&mut self.unnamed, (later(line.time, UNNAMED_US), tests.all.len()));
            }
        }
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

    fn end(&mut self, time: Time, tests: &mut Tests) -> bool {
        tests.close();
        if let Some((until, _)) = self.unnamed.back_mut() {
            *until = (*until).min(later(time, LATE_US));
        }
        (self.left, self.is_in_failures, self.open) = (None, false, None);
        true
    }

    fn json(&mut self, line: Line<'_>, tests: &mut Tests, nextest: &mut Nextest) -> bool {
        let is_ours = [r#"{ "type": "#, r#"{"type":"#].iter().any(|head| line.text.starts_with(head));
        let Some(json) = is_ours.then(|| serde_json::from_str::<Json>(line.text).ok()).flatten() else {
            return false;
        };
        let outcome = match (json.r#type.as_str(), json.event.as_str()) {
            ("test", "ok") => TestOutcome::Passed,
            ("test", "failed") => TestOutcome::Failed,
            ("test", "ignored") => TestOutcome::Skipped,
            ("test", "timeout") => TestOutcome::TimedOut,
            ("suite", "started") => {
                self.begin_suite(line, tests);
                return true;
            }
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

fn later(time: Time, us: i64) -> Time {
    Time::from_micros(time.as_micros().saturating_add(us))
}

fn apart_us(earlier: Time, later: Time) -> i64 {
    later.as_micros().saturating_sub(earlier.as_micros())
}

fn push<T>(waiting: &mut VecDeque<T>, one: T) {
    if waiting.len() >= APART_MAX {
        waiting.pop_front();
    }
    waiting.push_back(one);
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
    use super::super::{
        Results,
        tests::{of, shown},
    };
    use crate::lines::Part;
    use logboom_record::{Flags, Stream, Time};

    const DOC: &str = "   Doc-tests a\n";

    /// What cargo prints when it runs the program.
    fn name(program: &str) -> String {
        format!("     Running unittests {program}.rs (target/debug/deps/{program}-0123456789abcdef)\n")
    }

    /// What the program prints that has a test of its name.
    fn tests(program: &str) -> String {
        format!("running 1 test\ntest of_{program} ... ok\ntest result: ok.\n")
    }

    /// The results where each of these was read so many milliseconds after what was before it.
    fn read(printed: &[(i64, String)]) -> Vec<String> {
        let (mut results, mut seq, mut ms) = (Results::default(), 0, 0);
        for (later_ms, lines) in printed {
            ms += later_ms;
            for line in lines.lines() {
                seq += 1;
                let (time, message) = (Time::from_micros(ms * 1_000), line.as_bytes());
                let part = Part { time, message, flags: Flags::NONE, starts_line: true };
                results.take(seq, Stream::Stdout, &part);
            }
        }
        results.finish().0.iter().map(|test| test.full_name()).collect()
    }

    #[test]
    fn colours_as_they_are_in_tmux_are_none_of_the_result() {
        let printed = "running 2 tests\ntest a ... \x1b[32mok\x1b[m\x0f\ntest b ... \x1b[31mFAILED\x1b[m\x0f\n";
        assert_eq!(shown(printed), ["passed a", "failed b"]);
    }

    #[test]
    fn suites_may_be_named_several_before_or_behind_their_tests() {
        for order in
            ["ntntnt", "nnttnt", "nntntt", "nnnttt", "ntnntt", "tntntn", "ttnntn", "ttntnn", "tttnnn", "tnttnn"]
        {
            let (mut names, mut beginnings) =
                (["a", "b", "c"].map(name).into_iter(), ["a", "b", "c"].map(tests).into_iter());
            let next = |of| if of == 'n' { names.next() } else { beginnings.next() };
            let printed: String = order.chars().filter_map(next).collect();
            assert_eq!(read(&[(0, printed)]), ["a of_a", "b of_b", "c of_c"], "{order}");
        }
    }

    #[test]
    fn a_program_without_a_harness_has_no_tests_and_takes_none_of_others() {
        let printed = [(0, name("bench")), (200, name("a")), (1, tests("a")), (1, name("b")), (1, tests("b"))];
        assert_eq!(read(&printed), ["a of_a", "b of_b"]);
    }

    #[test]
    fn tests_that_nobody_names_take_no_name_of_others() {
        let printed = [(0, tests("quiet")), (3_000, name("a")), (1, tests("a")), (1, name("b")), (1, tests("b"))];
        assert_eq!(read(&printed), ["of_quiet", "a of_a", "b of_b"]);
    }

    #[test]
    fn tests_that_have_ended_take_no_name_that_comes_later() {
        let printed = [(0, tests("quiet")), (300, name("a")), (1, tests("a")), (300, name("b")), (1, tests("b"))];
        assert_eq!(read(&printed), ["of_quiet", "a of_a", "b of_b"]);
    }

    #[test]
    fn examples_of_one_crate_may_begin_twice() {
        let printed =
            [(0, format!("{DOC}{}{}", tests("merged"), tests("alone"))), (100, format!("{}{}", name("b"), tests("b")))];
        assert_eq!(read(&printed), ["a (doc) of_merged", "a (doc) of_alone", "b of_b"]);
    }

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

//! Results of small projects of the real tools: pytest, node, go. Where CI has no such tool, of nextest, jest and vitest, what they have
//! printed is recorded in `crates/capture/tests/printed`; the parsers are tested on it there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helper may fail as the test does")]

mod common;

use std::{fs, path::Path};

use common::Logboom;
use serde_json::Value;

/// What is known of the tests of the latest session.
fn tests(logboom: &Logboom) -> Vec<Value> {
    let meta: Value = serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    meta["runs"][0]["tests"].as_array().cloned().unwrap_or_default()
}

/// The results, as `outcome suite test`, in order of that.
fn results(logboom: &Logboom) -> Vec<String> {
    let word = |test: &Value, key: &str| test[key].as_str().unwrap_or_default().to_owned();
    let shown = |test: &Value| format!("{} {} {}", word(test, "outcome"), word(test, "suite"), word(test, "test"));
    let mut all: Vec<String> = tests(logboom).iter().map(shown).collect();
    all.sort();
    all
}

/// How long a test took, in microseconds.
fn took(logboom: &Logboom, name: &str) -> Option<u64> {
    tests(logboom).iter().find(|test| test["test"] == name)?["duration_us"].as_u64()
}

/// What a test printed.
#[track_caller]
fn lines_of(logboom: &Logboom, test: &str) -> String {
    logboom.run(["show", "--raw", "--test", test]).expect(0).text()
}

const PYTEST: &str = "import pytest, time
def test_adds(): time.sleep(0.1)
def test_breaks():
    print('about to break'); assert [1, 2] == [1, 3]
class TestCart:
    @pytest.mark.parametrize('count', [1, 2])
    def test_counts(self, count): print('counts', count); assert count == 1
    @pytest.mark.skip(reason='not here')
    def test_later(self): pass
    @pytest.mark.xfail
    def test_known(self): assert False
@pytest.fixture
def broken(): raise RuntimeError('no shop')
def test_without_shop(broken): pass
";

fn pytest(options: &[&str]) -> Logboom {
    let logboom = Logboom::new();
    fs::write(logboom.path("test_shop.py"), PYTEST).unwrap();
    logboom
        .run([&["run", "-q", "--", "pytest", "-p", "no:cacheprovider"], options, &["test_shop.py"]].concat())
        .expect(1);
    logboom
}

#[test]
fn pytest_verbose_names_each_test_and_a_failure_has_its_section() {
    for options in [
        &["-v", "--durations=0", "-vv"][..],
        &["-v", "--color=yes", "--durations=0", "-vv"],
        &["-v", "-n", "2", "--durations=0", "-vv"],
    ] {
        let logboom = pytest(options);
        let want = [
            "failed test_shop.py TestCart::test_counts[2]",
            "failed test_shop.py test_breaks",
            "failed test_shop.py test_without_shop",
            "passed test_shop.py TestCart::test_counts[1]",
            "passed test_shop.py test_adds",
            "skipped test_shop.py TestCart::test_known",
            "skipped test_shop.py TestCart::test_later",
        ];
        assert_eq!(results(&logboom), want, "{options:?}");
        assert!(took(&logboom, "test_adds").unwrap() >= 100_000, "{options:?}");
        let lines = lines_of(&logboom, "test_breaks");
        assert!(
            lines.contains("about to break") && !lines.contains("no shop") && !lines.contains("counts"),
            "{options:?}: {lines}"
        );
        let lines = lines_of(&logboom, "test_counts[2]");
        assert!(lines.contains("counts 2") && !lines.contains("about to break"), "{options:?}: {lines}");
        assert!(lines_of(&logboom, "test_without_shop").contains("RuntimeError: no shop"), "{options:?}");
    }
}

#[test]
fn pytest_otherwise_names_those_that_failed() {
    let logboom = pytest(&[]);
    let want = [
        "failed test_shop.py TestCart::test_counts[2]",
        "failed test_shop.py test_breaks",
        "failed test_shop.py test_without_shop",
    ];
    assert_eq!(results(&logboom), want);
    assert!(lines_of(&logboom, "test_breaks").contains("about to break"));
}

const COLLECT: &str = "import nosuchmodule\ndef test_adds(): pass\n";

#[test]
fn pytest_fails_where_a_file_cannot_be_collected() {
    for options in [&[][..], &["-q"], &["-qq"], &["-v"], &["-v", "--color=yes"], &["-n", "2"], &["-rA"], &["-ra"]] {
        let logboom = Logboom::new();
        fs::create_dir(logboom.path("tests")).unwrap();
        fs::write(logboom.path("tests/test_import.py"), COLLECT).unwrap();
        let pytest = ["run", "-q", "--junit", "junit.xml", "--", "pytest", "-p", "no:cacheprovider"];
        let files = ["--junitxml=junit.xml", "tests"];
        let with_workers = options.contains(&"-n");
        logboom.run([&pytest, options, &files].concat()).expect(if with_workers { 1 } else { 2 });
        assert_eq!(results(&logboom), ["failed  tests/test_import.py"], "{options:?}");
        for name in ["tests/test_import.py", "test_import.py"] {
            let lines = lines_of(&logboom, name);
            assert!(lines.contains("No module named 'nosuchmodule'") && !lines.contains("=="), "{options:?}: {lines}");
        }
        assert!(logboom.text(["sessions", "--failed"]).contains("tests/test_import.py"), "{options:?}");
        let summary = logboom.text(["show", "--summary"]);
        assert!(
            summary.contains("**1 test**: 0 passed, 1 failed") && summary.contains("nosuchmodule"),
            "{options:?}: {summary}"
        );
        logboom.run(["show", "--junit", "report.xml"]).expect(0);
        let report = fs::read_to_string(logboom.path("report.xml")).unwrap();
        assert!(report.contains("name=\"tests/test_import.py\"") && report.contains("<failure"), "{report}");
    }
}

/// One of the forms that are recorded from tools that CI has not.
fn recorded(file: &str, options: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../capture/tests/printed").join(file);
    let all = fs::read_to_string(path).unwrap();
    all.split("#### ").find_map(|form| form.strip_prefix(options)?.strip_prefix('\n')).unwrap().to_owned()
}

#[test]
fn what_pytest_ran_again_is_flaky_or_failed_with_its_retries() {
    let logboom = Logboom::new();
    fs::write(logboom.path("printed"), recorded("pytest-rerun.txt", "9 -v")).unwrap();
    logboom.run(["run", "-q", "cat", "printed"]).expect(0);
    let retries = |name: &str| tests(&logboom).iter().find(|test| test["test"] == name).unwrap()["retries"].as_u64();
    assert_eq!((retries("test_never"), retries("test_flaky"), retries("test_adds")), (Some(2), Some(1), None));
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("**8 tests**: 6 passed, 2 failed, 5 passed only when run again"), "{summary}");
    assert!(summary.contains("test&#95;flaky</code>: run again 1 time"), "{summary}");
}

#[test]
fn a_subtest_of_pytest_is_shown_by_its_name() {
    let logboom = Logboom::new();
    fs::write(logboom.path("printed"), recorded("pytest-subtests.txt", "9 ")).unwrap();
    logboom.run(["run", "-q", "--", "sh", "-c", "cat printed; exit 1"]).expect(1);
    let lines = lines_of(&logboom, "test_odd [a message] (i=3)");
    assert!(lines.contains("part 3") && !lines.contains("part 1"), "{lines}");
    assert!(logboom.text(["sessions", "--failed"]).contains("test_odd [a message] (i=3)"));
}

const NODE: &str = "import test, { describe } from 'node:test'
import assert from 'node:assert'
describe('cart', () => {
  test('adds', () => new Promise(done => setTimeout(done, 50)))
  test('removes', () => { assert.equal(1, 2) })
  test('later', { skip: 'not here' }, () => {})
})
test('alone', () => {})
";

#[test]
fn node() {
    let logboom = Logboom::new();
    fs::write(logboom.path("shop.test.mjs"), NODE).unwrap();
    logboom.run(["run", "-q", "--", "node", "--test", "--test-reporter", "tap", "shop.test.mjs"]).expect(1);
    // Since some version there is a subtest for each file around them.
    let shown: Vec<String> = results(&logboom)
        .iter()
        .map(|result| result.replace("shop.test.mjs > ", "").replace("shop.test.mjs", ""))
        .collect();
    assert_eq!(shown, ["failed cart removes", "passed  alone", "passed cart adds", "skipped cart later"]);
    assert!(took(&logboom, "adds").unwrap() >= 49_000);
    let lines = lines_of(&logboom, "removes");
    assert!(
        lines.contains("not ok 2 - removes") && lines.contains("ERR_ASSERTION") && !lines.contains("ok 1"),
        "{lines}"
    );
}

const GO: &str = r#"package shop

import (
	"testing"
	"time"
)

func TestAdds(t *testing.T) { time.Sleep(20 * time.Millisecond) }
func TestBreaks(t *testing.T) {
	t.Log("about to break")
	t.Run("part", func(t *testing.T) { t.Error("1 is not 2") })
}
func TestLater(t *testing.T) { t.Skip("not here") }
"#;

fn go(options: &[&str]) -> Logboom {
    let logboom = Logboom::new();
    fs::write(logboom.path("go.mod"), "module example.com/shop\ngo 1.19\n").unwrap();
    fs::write(logboom.path("shop_test.go"), GO).unwrap();
    logboom.run([&["run", "-q", "--", "go", "test"], options, &["./..."]].concat()).expect(1);
    logboom
}

#[test]
fn go_test_for_people_and_as_json() {
    for options in [&["-v"][..], &["-json"]] {
        let logboom = go(options);
        let want = [
            "failed example.com/shop TestBreaks",
            "failed example.com/shop TestBreaks/part",
            "passed example.com/shop TestAdds",
            "skipped example.com/shop TestLater",
        ];
        assert_eq!(results(&logboom), want, "{options:?}");
        assert!(took(&logboom, "TestAdds").unwrap() >= 20_000, "{options:?}");
        let lines = lines_of(&logboom, "TestBreaks");
        assert!(
            lines.contains("about to break") && !lines.contains("not here") && !lines.contains("TestAdds"),
            "{options:?}: {lines}"
        );
    }
}

#[test]
fn go_test_names_those_that_failed() {
    let logboom = go(&[]);
    assert_eq!(results(&logboom), ["failed example.com/shop TestBreaks", "failed example.com/shop TestBreaks/part"]);
    let lines = lines_of(&logboom, "TestBreaks/part");
    assert!(lines.contains("1 is not 2"), "{lines}");
}

#[test]
fn what_nextest_printed_is_one_result_a_test_with_the_lines_of_its_failures() {
    let printed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../capture/tests/printed");
    let logboom = Logboom::new();
    logboom.run(["run", "-q", "cat", printed.join("nextest.txt").to_str().unwrap()]).expect(0);
    assert_eq!(
        results(&logboom),
        ["failed shop tests::breaks", "passed shop tests::adds", "passed shop tests::is_flaky"]
    );
    let retries = |name: &str| tests(&logboom).iter().find(|test| test["test"] == name).unwrap()["retries"].as_u64();
    assert_eq!(
        (retries("tests::breaks"), retries("tests::is_flaky"), retries("tests::adds")),
        (Some(2), Some(1), None)
    );
    let lines = lines_of(&logboom, "breaks");
    assert!(lines.contains("about to break") && !lines.contains("not yet"), "{lines}");
}

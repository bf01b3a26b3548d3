//! What pytest printed, and what others did that looks alike.

#![allow(clippy::unwrap_used, reason = "tests")]
use logboom_record::TestResult;

use super::super::tests::{of, shown};

const VERBOSE: &str = include_str!("../../../tests/printed/pytest-verbose.txt");
const DURATIONS: &str = include_str!("../../../tests/printed/pytest-durations.txt");
const WORKERS: &str = include_str!("../../../tests/printed/pytest-workers.txt");
const QUIET: &str = include_str!("../../../tests/printed/pytest-quiet.txt");
/// Nothing but the summary tells of failures.
const SHORT: &str = include_str!("../../../tests/printed/pytest-quiet-short.txt");

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
    let log =
        "ERROR crate::db: connection refused\nFAILED b.py::c - not here\nINFO crate.db::x FAILED\nat a b.c::d FAILED\n";
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

/// What pytest 7 and 9 printed with several options, as `pytest-record.sh` recorded it.
const RERUN: &str = include_str!("../../../tests/printed/pytest-rerun.txt");
const SUBTESTS: &str = include_str!("../../../tests/printed/pytest-subtests.txt");
const COLLECT: &str = include_str!("../../../tests/printed/pytest-collect.txt");

/// The options, and what was printed.
fn forms(recorded: &str) -> impl Iterator<Item = (&str, &str)> {
    recorded.split("#### ").skip(1).map(|form| form.split_once('\n').unwrap())
}

/// The same in order of names, with how often they were run again.
fn with_retries(tests: &[TestResult]) -> Vec<String> {
    let shown = |test: &TestResult| format!("{} {} {}", test.outcome.as_str(), test.test, test.retries);
    let mut all: Vec<String> = tests.iter().map(shown).collect();
    all.sort();
    all
}

#[test]
fn a_test_that_is_run_again_is_one_with_its_retries() {
    let retried = [
        "failed test_broken 1",
        "failed test_never 2",
        "passed TestCart::test_counts[RERUN x] 2",
        "passed TestCart::test_counts[a - b] 2",
        "passed test_flaky 1",
        "passed test_late 1",
        "passed test_setup 1",
    ];
    for (options, printed) in forms(RERUN) {
        let all = with_retries(&of(printed));
        if options.starts_with('7') && options.contains("-rR") && !options.contains("-v") {
            assert_eq!(all, [""; 0], "{options}: which of them failed is not told");
        } else if options.contains("-v") || options.contains("-rR") {
            let others: Vec<&String> = all.iter().filter(|one| !one.ends_with("test_adds 0")).collect();
            assert_eq!(others, retried, "{options}");
            assert_eq!(all.len() > others.len(), options.contains("-v"), "{options}: {all:?}");
        } else {
            let failed: Vec<&String> = all.iter().filter(|one| one.starts_with("failed")).collect();
            assert_eq!(failed, ["failed test_broken 0", "failed test_never 0"], "{options}: how often is not told");
        }
    }
}

#[test]
fn a_test_that_is_run_again_has_no_result_where_none_is_told() {
    let verbose = "=== test session starts ===\na.py::a RERUN\n";
    let summary = "=== rerun test summary info ===\nRERUN a.py::a\nRERUN a.py::a\n";
    let doctest = "=== FAILURES ===\n___ [doctest] a.a ___\nno\n";
    for printed in [
        format!("{verbose}!!! KeyboardInterrupt !!!\n=== 1 rerun in 0.26s ==="),
        format!("{verbose}!!! _pytest.outcomes.Exit: no !!!\n=== 1 rerun in 0.26s ==="),
        format!("{verbose}=== 1 passed in 0.01s ===\na.py::a FAILED\n=== 1 failed, 1 rerun in 0.26s ==="),
        format!("{doctest}{summary}=== 1 failed, 1 rerun in 0.26s ==="),
        format!("{summary}1 skipped, 1 xfailed, 2 rerun in 0.26s"),
        format!("{summary}3 passed, 2 rerun in 0.05s\nRERUN a.py::b"),
    ] {
        assert_eq!(shown(&printed), [""; 0], "{printed}");
    }
    let told = format!("{summary}FAILED a.py::b - no\n=== short test summary info ===\nFAILED a.py::a - no\n");
    assert_eq!(with_retries(&of(&told)), ["failed a 2", "failed b 0"]);
}

const FAILED_PARTS: [&str; 15] = [
    "TestUnit::test_unit",
    "TestUnit::test_unit [number] (i=1)",
    "TestWith::test_with[a b]",
    "TestWith::test_with[a b] [m (n] (k=x::y, z=1)",
    "TestWith::test_with[c::d (e]",
    "TestWith::test_with[c::d (e] [m (n] (k=x::y, z=1)",
    "test_bare",
    "test_bare (<subtest>)",
    "test_bare (kind=a - b)",
    "test_both",
    "test_both [one]",
    "test_breaks",
    "test_odd",
    "test_odd [a message] (i=1)",
    "test_odd [a message] (i=3)",
];
const SKIPPED_PARTS: [&str; 3] = [
    "TestWith::test_with[a b] [ok] (k=x::y, z=1)",
    "TestWith::test_with[c::d (e] [ok] (k=x::y, z=1)",
    "test_skips [s]",
];

/// The names of those that ended so, in order. Between workers pytest 9 quotes what a subtest is run with once more.
fn names(tests: &[TestResult], outcome: &str) -> Vec<String> {
    let tests = tests.iter().filter(|test| test.outcome.as_str() == outcome);
    let mut all: Vec<String> = tests.map(|test| test.test.replace(['\'', '"'], "")).collect();
    all.sort();
    all
}

/// How many ended in one of these ways, as the last line counts them.
fn counted(printed: &str, ways: &[&str]) -> usize {
    let mut plain = Vec::new();
    logboom_record::ansi::strip(printed.as_bytes(), &mut plain);
    let plain = String::from_utf8(plain).unwrap();
    let last = plain.lines().rfind(|line| line.contains(" in ")).unwrap().trim_matches(['=', ' ']);
    let counts = last.split(" in ").next().unwrap().split(", ").filter_map(|part| part.split_once(' '));
    counts.filter(|(_, way)| ways.contains(way)).map(|(count, _)| count.parse::<usize>().unwrap()).sum()
}

#[test]
fn a_subtest_that_failed_has_a_name_and_its_test_failed_whatever_is_said_of_it() {
    for (options, printed) in forms(SUBTESTS) {
        let tests = of(printed);
        assert_eq!(names(&tests, "failed"), FAILED_PARTS, "{options}");
        let skipped = names(&tests, "skipped");
        assert_eq!(skipped, SKIPPED_PARTS[..if options.contains("-v") { 3 } else { 0 }], "{options}");
        let passed = ["TestUnit::test_well", "test_fine", "test_plain", "test_skips"];
        let are_told = options.contains("-v") || options.contains("-rA");
        assert_eq!(names(&tests, "passed"), passed[..if are_told { 4 } else { 0 }], "{options}");
        assert!(tests.iter().all(|test| test.suite == "tests/test_parts.py"), "{options}");
    }
}

#[test]
fn with_subtests_as_many_are_counted_as_pytest_counts() {
    for (options, printed) in forms(SUBTESTS).filter(|(options, _)| !options.contains("-qq")) {
        let all = of(printed);
        // Of these pytest says that they passed though a subtest of theirs did not.
        let said_to_have_passed = if options.starts_with('7') { 5 } else { 1 };
        assert_eq!(names(&all, "failed").len(), counted(printed, &["failed"]) + said_to_have_passed, "{options}");
        if options.contains("-v") {
            assert_eq!(all.len(), counted(printed, &["failed", "passed", "skipped"]), "{options}");
        }
    }
}

#[test]
fn a_subtest_has_its_section_and_its_test_has_those_of_its_subtests() {
    for (options, printed) in forms(SUBTESTS).filter(|(options, _)| !options.contains("--tb=no")) {
        let (tests, lines): (_, Vec<&str>) = (of(printed), printed.lines().collect());
        let section = |name: &str| {
            let test = tests.iter().find(|test| test.test.replace('\'', "") == name).unwrap();
            lines[test.from as usize - 1..test.to as usize].join("\n")
        };
        let odd = section("test_odd [a message] (i=1)");
        assert!(odd.contains("part 1") && !odd.contains("part 3"), "{options}: {odd}");
        if !options.contains("-n2") {
            let odd = section("test_odd");
            assert!(odd.contains("part 1") && odd.contains("part 3") && !odd.contains("with a kind"), "{options}");
            let both = section("test_both");
            assert!(both.contains("1 == 2") && both.contains("3 == 4") && !both.contains("m (n"), "{options}: {both}");
        }
        let unit = section("TestUnit::test_unit");
        assert!(unit.contains("1 == 1") && !unit.contains("3 == 4"), "{options}: {unit}");
    }
}

#[test]
fn a_file_that_cannot_be_collected_is_a_failure_with_its_section() {
    let files = [
        ("collect/b lank/test_b - c.py", "nosuchmodule"),
        ("collect/test_argument.py", "no argument 'x'"),
        ("collect/test_imports.py", "nosuchmodule"),
        ("collect/test_raises.py", "ValueError: boom"),
    ];
    for (options, printed) in forms(COLLECT) {
        let (mut tests, lines): (_, Vec<&str>) = (of(printed), printed.lines().collect());
        tests.retain(|test| test.outcome.is_bad() && test.test != "test_bad");
        tests.sort_by(|one, other| one.test.cmp(&other.test));
        let want = match options {
            "7 -x" => &files[1..2],
            "9 -x" => &files[..1],
            _ if options.contains("--tb=no") => &files[1..], // with nothing but a blank in it, this may be anybody's line
            _ => &files[..],
        };
        let names: Vec<(&str, &str)> = tests.iter().map(|test| (test.suite.as_str(), test.test.as_str())).collect();
        assert_eq!(names, want.iter().map(|(name, _)| ("", *name)).collect::<Vec<_>>(), "{options}");
        for (test, (_, why)) in tests.iter().zip(want).filter(|_| !options.contains("--tb=no")) {
            let section = lines[test.from as usize - 1..test.to as usize].join("\n");
            let others = files.iter().filter(|(_, other)| other != why).any(|(_, other)| section.contains(other));
            assert!(section.contains(why) && !others, "{options}: {section}");
        }
    }
}

#[test]
fn a_class_that_cannot_be_collected_has_the_section_of_its_file_from_wherever_pytest_runs() {
    let printed = "=== ERRORS ===\n___ ERROR collecting more/test_cls.py ___\nwhy\n___ ERROR collecting coll/test_a.py ___\nwhy not\n\
        === short test summary info ===\nERROR test_cls.py::TestX - TypeError: no\nERROR ../coll/test_a.py\n2 errors in 0.26s\n";
    let shown: Vec<_> = of(printed).iter().map(|test| (test.full_name(), test.from, test.to)).collect();
    assert_eq!(shown, [("test_cls.py TestX".to_owned(), 2, 3), ("../coll/test_a.py".to_owned(), 4, 5)]);
}

#[test]
fn words_of_these_are_no_results_where_others_print_them() {
    let log = "RERUN a.py::a\nERROR collecting a.py\nERROR a.py\nERROR a.py - no\nSUBFAILED[x] a.py::a - no\n[x] SUBFAIL a.py::a - no\n\
        a.py::a RERUN\na.py::a SUBFAILED[x]\n!!! Interrupted: 1 error during collection !!!\n";
    assert_eq!(shown(log), [""; 0]);
    assert_eq!(shown(&format!("{LOUD}=== 1 passed in 0.05s ===\n{log}")), ["passed a.py a"]);
    let interrupted = format!("{SUMMARY}!!!!! Interrupted: 1 error during collection !!!!!\n{log}{LATER}");
    assert_eq!(shown(&interrupted), ["failed a.py a", "passed t"], "with -qq that is its last line");
    let loud = "===== test session starts =====\nERROR a.py\nERROR a.py - no\nSUBFAILED[x] a.py::a - no\n[x] SUBFAIL a.py::a - no\n";
    assert_eq!(shown(loud), [""; 0], "these are of the summary");
    assert_eq!(shown(&format!("{SUMMARY}ERROR app.py connects - no\nERROR db: a.py - no\n")), ["failed a.py a"]);
}

#[test]
fn what_a_test_has_printed_that_passed_is_no_result() {
    let printed = "=== test session starts ===\n=== PASSES ===\n___ test_a ___\n--- Captured stdout call ---\n\
        b.py::b FAILED\nb.py::c SUBFAILED[x]\n=== short test summary info ===\nPASSED a.py::test_a\n";
    assert_eq!(shown(printed), ["passed a.py test_a"]);
}

#[test]
fn a_file_has_the_section_of_the_file_that_is_named_like_it_to_its_end() {
    let sections: String = ["b_x.py", "x.py-b", "c/x.py", "a/c/x.py", "short.py"]
        .map(|file| format!("___ ERROR collecting {file} ___\nwhy\n"))
        .concat();
    let section = |file: &str| {
        let all = of(&format!("=== test session starts ===\n=== ERRORS ===\n{sections}{SUMMARY}ERROR {file}\n"));
        let failed = all.iter().find(|test| test.test == file).unwrap();
        (failed.from, failed.to)
    };
    assert_eq!(["c/x.py", "a/c/x.py", "x.py"].map(section), [(7, 8), (9, 10), (7, 8)]);
    assert_eq!(["../c/x.py", "../../any/short.py"].map(section), [(7, 8), (11, 12)]);
    assert_eq!(section("other/x.py"), (15, 15), "it has none");
}

#[test]
fn a_line_behind_the_summary_that_names_a_file_is_of_others() {
    let bind = "ERROR app.py - cannot bind\n";
    let failures = "=== FAILURES ===\n___ a ___\nE  no\n";
    assert_eq!(shown(&format!("{failures}{SUMMARY}{bind}")), ["failed a.py a"], "it would have a section, too");
    assert_eq!(shown(&format!("{SUMMARY}{bind}")), ["failed a.py a", "failed app.py"], "nothing has a section");
}

#[test]
fn why_tests_of_a_file_were_skipped_names_no_test() {
    let skipped = "SKIPPED [1] tests/a.py:3: see tests/b.py::t_x\n";
    assert_eq!(shown(&format!("{SUMMARY}{skipped}")), ["failed a.py a"]);
}

#[test]
fn where_a_name_may_end_is_tried_at_so_many_places() {
    let many = super::ENDS_MAX;
    let session = "=== test session starts ===\n";
    let verbose = |rest: &str| shown(&format!("{session}a.py::t{rest}\n"));
    assert_eq!(verbose(&format!("{} (i=1) SUBFAIL", " (x".repeat(many - 1))).len(), 2);
    assert_eq!(verbose(&format!("[{}] (i=1) SUBFAIL", " (x".repeat(many - 1))).len(), 2);
    assert_eq!(verbose(&format!("[{}] (i=1) SUBFAIL", " (x".repeat(many))), [""; 0]);
    let skipped = |times: usize| verbose(&format!(" SUBSKIPPED(i=1){} (why)", " (i=1)".repeat(times)));
    assert!(!skipped(many - 1)[0].contains("why") && skipped(many)[0].contains("why"));
    let summed_up = |line: String| shown(&format!("{SUMMARY}{line}\n"));
    let subtest = |times: usize| summed_up(format!("SUBFAILED[{}] (i=1) a.py::t", "x) ".repeat(times)));
    assert_eq!((subtest(many - 1).len(), subtest(many).len()), (3, 1));
    let failed = |times: usize| summed_up(format!("FAILED a.py::t[{}]", " - x".repeat(times)))[1].clone();
    assert!(failed(many - 1).ends_with(']') && failed(many) == "failed a.py t[");
}

#[test]
fn sections_are_so_many_at_most() {
    let numbers = || 0..super::BEGUN_MAX;
    let sections: String = numbers().map(|number| format!("___ t{number} [a] ___\nno\n")).collect();
    let summed_up: String = numbers().map(|number| format!("SUBFAILED[a] a.py::t{number}\n")).collect();
    let tests = of(&format!("=== FAILURES ===\n{sections}=== short test summary info ===\n{summed_up}"));
    let summary = 2 * super::BEGUN_MAX as u64 + 2;
    assert_eq!(tests.len(), 2 * super::BEGUN_MAX);
    for test in tests {
        let is_subtest = test.test.ends_with(" [a]");
        assert_eq!(test.from < summary, is_subtest, "none is made for {}", test.test);
    }
}

#[test]
fn what_passed_has_not_the_output_of_what_failed_in_another_file() {
    let printed = "=== test session starts ===\n=== FAILURES ===\n___ test_x ___\nE   no\n=== PASSES ===\n\
        === short test summary info ===\nPASSED a.py::test_x\nFAILED b.py::test_x - no\n=== 1 failed, 1 passed in 0.1s ===\n";
    let ranges: Vec<_> = of(printed).iter().map(|test| (test.test.clone(), test.from, test.to)).collect();
    assert_eq!(ranges, [("test_x".to_owned(), 7, 7), ("test_x".to_owned(), 3, 4)]);
}

//! What real tools have written, shortened. Each file says which; of each the same is tested: what a test is called, what became of it, and
//! why.

use super::{read, shown};

/// What a tool has written.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("recorded/", $name, ".xml"))
    };
}

#[test]
fn surefire() {
    let want = [
        r#"failed p.CartTest|breaks no <sum> & "é" expected:<3> but was:<4>"#,
        "skipped p.CartTest|assumed",
        "passed p.CartTest|adds",
        "failed p.CartTest|errs boom",
        "passed p.CartTest|slow",
        "skipped p.CartTest|leftOut",
        "passed p.CartTest|flaky first time",
        "failed p.CartTest|noMessage java.lang.AssertionError",
    ];
    assert_eq!(shown(recorded!("surefire")), want);
    let tests = read(recorded!("surefire")).0.tests;
    assert_eq!([0, 2, 3, 6, 7].map(|at| tests[at].retries), [2, 0, 2, 1, 2]);
    assert_eq!([0, 2, 4].map(|at| tests[at].duration_us), [Some(5_000), Some(0), Some(1_100_000)]);
}

#[test]
fn surefire_class() {
    let want = ["failed |p.BeforeTest no database"];
    assert_eq!(shown(recorded!("surefire_class")), want);
}

#[test]
fn surefire_parameters() {
    let want = [
        r#"passed p.ParamTest|small[0: a b "<é>& 1]"#,
        r#"failed p.ParamTest|small[1: a b "<é>& 2] expected:<1> but was:<2>"#,
    ];
    assert_eq!(shown(recorded!("surefire_parameters")), want);
}

#[test]
fn gradle() {
    let want = [
        r#"failed p.CartTest|breaks java.lang.AssertionError: no <sum> & "é" expected:<3> but was:<4>"#,
        "skipped p.CartTest|assumed",
        "passed p.CartTest|adds",
        "failed p.CartTest|errs java.lang.IllegalStateException: boom",
        "passed p.CartTest|slow",
        "skipped p.CartTest|leftOut",
        "failed p.CartTest|flaky java.lang.RuntimeException: first time",
        "failed p.CartTest|noMessage java.lang.AssertionError",
    ];
    assert_eq!(shown(recorded!("gradle")), want);
}

#[test]
fn gotestsum() {
    let want = [
        "failed example.com/shop/shop|TestTable/two_\"<x>\"_&_y a_test.go:4: no <sum>\n    --- FAIL: TestTable/two_\"<x>\"_&_y (0.00s)",
        "failed example.com/shop/shop|TestTable --- FAIL: TestTable (0.00s)",
        "failed example.com/shop/shop|TestPanics --- FAIL: TestPanics (0.00s)\npanic: boom [recovered]\n	panic: boom",
        "skipped example.com/shop/shop|TestSkips",
        "passed example.com/shop/shop|TestAdds",
        "passed example.com/shop/shop|TestTable/one_é",
        r#"passed example.com/shop/shop|TestTable/two_"<x>"_&_y/deep/er"#,
    ];
    assert_eq!(shown(recorded!("gotestsum")), want);
    assert_eq!(read(recorded!("gotestsum")).0.tests[0].time.to_string(), "2026-11-27T21:58:14.000000Z");
}

#[test]
fn phpunit() {
    let want = [
        "passed CalcTest|testAdds",
        "passed CalcTest|testRow with data set #0",
        "failed CalcTest|testRow with data set #1 no <sum>\nFailed asserting that 2 is identical to 1.\n\n/shop/CalcTest.php:6",
        r#"passed CalcTest|testRow with data set "na"med <é> & x""#,
        "failed CalcTest|testErrs RuntimeException: boom & <b>\n\n/shop/CalcTest.php:8",
        "skipped CalcTest|testOut",
        "skipped CalcTest|testNotYet",
        "failed CalcTest|testRisky This test did not perform any assertions\n\n/shop/CalcTest.php:11",
        "failed CalcTest|testWarn old\n\n/shop/CalcTest.php:12",
        "skipped CalcTest|testDepends",
    ];
    assert_eq!(shown(recorded!("phpunit")), want);
}

#[test]
fn rspec() {
    let want = [
        r#"passed a_spec|Cart adds "<é>" & b"#,
        "failed a_spec|Cart breaks expected: 2\n     got: 1\n\n(compared using ==)",
        "failed a_spec|Cart errs boom",
        "skipped a_spec|Cart left out",
        "skipped a_spec|Cart later",
        "passed a_spec|Cart inner is 1",
        "passed a_spec|Cart inner is 2",
        "passed a_spec|Cart inner is expected to eq 1",
    ];
    assert_eq!(shown(recorded!("rspec")), want);
}

#[test]
fn bats() {
    let want = [
        r#"passed a.bats|adds "<é>" & b"#,
        "failed a.bats|breaks (in test file a.bats, line 3)\n  `@test \"breaks\" { echo \"why <no> sum\"; false; }' failed\nwhy <no> sum",
        "skipped a.bats|skips",
    ];
    assert_eq!(shown(recorded!("bats")), want);
}

#[test]
fn googletest() {
    let want = [
        "passed Cart|Adds",
        "failed Cart|Breaks g.cc:3\nExpected equality of these values:\n  1\n  2\nno <sum> & \"é\"",
        "failed Cart|Throws unknown file\nC++ exception with description \"boom\" thrown in the test body.",
        "skipped Cart|Skips",
        "skipped Cart|DISABLED_Off",
        "passed Ty/0|Zero",
        "passed Ty/1|Zero",
        "passed All/P|IsOne/0",
        "failed All/P|IsOne/1 g.cc:8\nExpected equality of these values:\n  GetParam()\n    Which is: \"<two>\"\n  \"one é\"\n    Which is: \"one \\xC3\\xA9\"\n    As Text: \"one é\"",
    ];
    assert_eq!(shown(recorded!("googletest")), want);
}

#[test]
fn catch2() {
    let want = [
        "passed c.global|adds",
        r#"failed c.global|breaks "<é>" & more/inner one 1 == 2"#,
        r#"passed c.global|breaks "<é>" & more/in/ner two"#,
        r#"passed c.global|breaks "<é>" & more/in/ner two/deep"#,
        "failed c.global|errs FAILED:\nboom\nat c.cc:6",
        "skipped c.global|may",
        "passed c.global|templ - int",
        "passed c.global|templ - float",
        "passed c.Fix|of fixture",
        "passed c.global|Scenario: a scenario/Given: a cart/When: added/Then: it is there",
    ];
    assert_eq!(shown(recorded!("catch2")), want);
}

#[test]
fn ctest() {
    let want = [
        "passed |adds",
        r#"failed |breaks "<é>" & b why no <sum>"#,
        "skipped |skips",
        "failed |late",
        "skipped |off",
        "failed |crashes",
        "failed |missing Unable to find executable",
        "passed |flaky",
        "passed |wants_fail",
    ];
    assert_eq!(shown(recorded!("ctest")), want);
}

#[test]
fn jest() {
    let want = [
        r#"passed |cart adds "<é>" & b"#,
        "failed |cart breaks Error: expect(received).toBe(expected) // Object.is equality\n\nExpected: 3\nReceived: 2",
        "failed |cart errs Error: boom",
        "skipped |cart left out",
        "passed |cart later",
        "failed |cart row 1 2 Error: expect(received).toBe(expected) // Object.is equality\n\nExpected: 2\nReceived: 1",
        "passed |cart row 2 2",
        "passed |cart inner is deep",
        "passed |r flaky",
        "passed |alone",
    ];
    assert_eq!(shown(recorded!("jest")), want);
}

#[test]
fn mocha() {
    let want = [
        "passed |alone",
        r#"passed /shop/m/a.js|cart adds "<é>" & b"#,
        "failed /shop/m/a.js|cart breaks no <sum>\n\n2 !== 3",
        "failed /shop/m/a.js|cart errs boom",
        "passed /shop/m/a.js|cart slow",
        "passed /shop/m/a.js|cart inner is deep",
        r#"failed /shop/m/a.js|cart hooked "before all" hook for "one" no db"#,
        "passed /shop/m/a.js|r flaky",
    ];
    assert_eq!(shown(recorded!("mocha")), want);
}

#[test]
fn vitest() {
    let want = [
        r#"passed a.test.js|cart > adds "<é>" & b"#,
        "failed a.test.js|cart > breaks expected 2 to be 3 // Object.is equality",
        "failed a.test.js|cart > errs boom",
        "skipped a.test.js|cart > left out",
        "skipped a.test.js|cart > later",
        "failed a.test.js|cart > row 1 2 expected 1 to be 2 // Object.is equality",
        "passed a.test.js|cart > row 2 2",
        "passed a.test.js|cart > inner > is deep",
        "passed a.test.js|r > flaky",
        "passed a.test.js|alone",
        "failed |bad.test.js Parse failure: Parse failed with 1 error:\nExpected a semicolon or an implicit semicolon after a statement, but found none\n1: syntax error here\n         ^\nAt file: /bad.test.js:1:6",
    ];
    assert_eq!(shown(recorded!("vitest")), want);
}

#[test]
fn playwright() {
    let want = [
        r#"passed a.spec.ts|cart › adds "<é>" & b"#,
        "failed a.spec.ts|cart › breaks expect(received).toBe(expected) // Object.is equality",
        "skipped a.spec.ts|cart › left out",
        "skipped a.spec.ts|cart › fix me",
        "passed a.spec.ts|cart › should fail",
        "passed a.spec.ts|cart › inner › deep",
        "timed_out a.spec.ts|cart › late Test timeout of 100ms exceeded.",
        "passed a.spec.ts|flaky",
    ];
    assert_eq!(shown(recorded!("playwright")), want);
}

#[test]
fn node() {
    let want = [
        r#"passed cart|adds "<é>" & b"#,
        "failed cart|breaks no <sum>2 !== 3",
        "failed cart|errs boom",
        "skipped cart|left out",
        "skipped cart|later",
        "passed cart > inner|is deep",
        "passed with steps|step one",
        "failed with steps|step two x",
        "passed |alone",
        "timed_out |late test timed out after 50ms",
    ];
    assert_eq!(shown(recorded!("node")), want);
}

#[test]
fn pytest() {
    let want = [
        "passed test_a|test_adds",
        "failed test_a|test_breaks AssertionError: no <sum>\nassert (1 + 1) == 3",
        "failed test_a|test_errs ValueError: boom & <b>",
        r#"failed test_a|test_setup failed on setup with "RuntimeError: no db""#,
        r#"failed test_a|test_down failed on teardown with "RuntimeError: teardown""#,
        "failed test_a|test_both AssertionError: both\nassert 0",
        r#"failed test_a|test_skip_down failed on teardown with "RuntimeError: teardown""#,
        "skipped test_a|test_out",
        "skipped test_a|test_x",
        "failed test_a|test_xp [XPASS(strict)]",
        "passed test_a|test_xp_lax",
        r#"passed test_a|test_p[one \xe9]"#,
        r#"passed test_a|test_p[<a>&"b"]"#,
        "passed test_a|test_p[x.y/z]",
        "passed test_a.TestC.TestD|test_deep",
        "failed |coll.test_raise coll/test_raise.py:2: in <module>\n    raise ValueError('boom')\nE   ValueError: boom",
    ];
    assert_eq!(shown(recorded!("pytest")), want);
}

#[test]
fn pytest_reruns() {
    let want = [
        "passed tests.test_flaky|test_adds",
        "failed tests.test_flaky|test_never AssertionError: not yet\nassert 3 > 9",
        "passed tests.test_flaky|test_flaky",
        "passed tests.test_flaky.TestCart|test_counts[RERUN x]",
        "passed tests.test_flaky.TestCart|test_counts[a - b]",
        "passed tests.test_flaky|test_setup",
        "failed tests.test_flaky|test_broken failed on setup with \"AssertionError: not yet\nassert 2 > 9\"",
        "passed tests.test_flaky|test_late",
    ];
    assert_eq!(shown(recorded!("pytest_reruns")), want);
    let tests = read(recorded!("pytest_reruns")).0.tests;
    assert_eq!(tests.iter().map(|test| test.retries).collect::<Vec<_>>(), [0, 2, 1, 2, 2, 1, 1, 1]);
}

#[test]
fn unittest() {
    let want = [
        "passed test_u.Cart|test_adds",
        "failed test_u.Cart|test_breaks 2 != 3 : no <sum>",
        "failed test_u.Cart|test_sub [é <i>] (i=1) 1 == 1",
        "failed test_u.Cart|test_errs boom",
        "skipped test_u.Cart|test_out",
        "skipped test_u.Cart|test_x",
        "failed test_u.Cart|test_xp Unexpected success: This test was marked as expected failure but passed, please review it",
    ];
    assert_eq!(shown(recorded!("unittest")), want);
}

#[test]
fn behave() {
    let want = [
        "passed a.Cart <é>|adds",
        r#"failed a.Cart <é>|breaks "<b>" & c no <sum>"#,
        "failed a.Cart <é>|errs boom",
        "failed a.Cart <é>|undefined Failing step: Given what is not there ... undefined in 0.000s\nLocation: features/a.feature:11\nNone",
        "skipped a.Cart <é>|left out",
        "passed a.Cart <é>|rows -- @1.1 few",
        "failed a.Cart <é>|rows -- @1.2 few Failing step: Given 2 items ... failed in 0.000s\nLocation: features/a.feature:16\nASSERT FAILED:",
    ];
    assert_eq!(shown(recorded!("behave")), want);
}

#[test]
fn robot() {
    let want = [
        r#"passed Robot.A|Adds "<é>" & b"#,
        "failed Robot.A|Breaks no <sum>: 1 != 2",
        "skipped Robot.A|Left Out",
        "passed Robot.Inner.B|Deep",
    ];
    assert_eq!(shown(recorded!("robot")), want);
}

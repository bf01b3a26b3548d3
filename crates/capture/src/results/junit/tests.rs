#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

mod recorded;

const SPAN: (i64, i64, i64) = (1_000_000, 9_000_000_000_000_000, 2_000_000);

fn times() -> Times {
    let (started_at, ended_at, written_at) = SPAN;
    let time = Time::from_micros;
    let zone = jiff::tz::TimeZone::UTC;
    Times { started_at: time(started_at), ended_at: time(ended_at), written_at: time(written_at), zone }
}

fn read(xml: &str) -> (Junit, Result<(), JunitError>) {
    let mut junit = Junit::default();
    let result = junit.read(xml.as_bytes(), &times());
    (junit, result)
}

/// The tests of a file without fault, each as `outcome suite|test message`.
fn shown(xml: &str) -> Vec<String> {
    let (junit, result) = read(xml);
    result.unwrap();
    let show = |test: &TestResult| {
        let (suite, name) = (&test.suite, &test.test);
        format!("{} {suite}|{name} {}", test.outcome.as_str(), test.message).trim_end().to_owned()
    };
    junit.tests.iter().map(show).collect()
}

#[test]
fn nextest() {
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" timestamp="2026-11-27T15:14:12.622+00:00" time="0.480">
  <testsuite name="shop" tests="2" disabled="0" errors="0" failures="1">
    <testcase name="tests::flaky" classname="shop" timestamp="2026-11-27T15:14:12.864+00:00" time="0.017">
      <flakyFailure timestamp="2026-11-27T15:14:12.644+00:00" time="0.215" message="thread &apos;t&apos; panicked" type="test failure with exit code 101">thread &apos;t&apos; panicked:
first time<system-out>running 1 test</system-out></flakyFailure>
    </testcase>
    <testcase name="tests::breaks" classname="shop" timestamp="2026-11-27T15:14:12.622+00:00" time="0.283">
      <failure message="left == right" type="test failure">panicked</failure>
      <rerunFailure message="again" type="test failure">again</rerunFailure>
      <system-out>left == right</system-out>
    </testcase>
  </testsuite>
  <testsuite name="shop::it"><testcase name="late" classname="shop::it" time="1.000"><failure type="test timeout"/></testcase></testsuite>
</testsuites>"#;
    let want = ["passed shop|tests::flaky thread 't' panicked:\nfirst time", "failed shop|tests::breaks left == right"];
    assert_eq!(shown(xml), [want[0], want[1], "timed_out shop::it|late"]);
    let tests = read(xml).0.tests;
    assert_eq!([tests[0].retries, tests[1].retries], [1, 1]);
    assert_eq!(
        (tests[0].duration_us, tests[0].time.to_string().as_str()),
        (Some(17_000), "2026-11-27T15:14:12.881000Z")
    );
    assert_eq!((tests[2].time.as_micros(), tests[2].has_output()), (SPAN.2, false), "no time is told, so the file's");
}

#[test]
fn a_test_of_pytest_without_a_name_is_none() {
    // pytest 9.2.0 of the test that Ctrl-C came in; and as surefire tells of a class that is left out.
    let xml = r#"<testsuites><testsuite name="pytest"><testcase time="0.000"/></testsuite>
<testsuite name="p.A"><testcase name="" classname="p.A"><skipped message="@Disabled"/></testcase></testsuite></testsuites>"#;
    assert_eq!(shown(xml), ["skipped p.A|"]);
}

#[test]
fn what_other_tools_say_by_a_class_may_be_a_module_of_pytest() {
    let case = r#"<testcase classname="test" name="t"/>"#;
    let suite = |name: &str, case: &str| shown(&format!("<testsuite name=\"{name}\">{case}</testsuite>"));
    assert_eq!(suite("pytest", case), ["passed test|t"]);
    assert_eq!(suite("cart", case), ["passed cart|t"]);
    assert_eq!(
        suite("pytest", r#"<testcase classname="test_cart" name="test_cart"/>"#),
        ["passed test_cart|test_cart"]
    );
}

#[test]
fn times_are_with_and_without_commas() {
    let xml = r#"<testsuite name="s"><testcase name="a" time="1,234.5"/><testcase name="b" time="0,5"/><testcase name="c" time="7.3e-05"/>
<testcase name="d"/><testcase name="e" time="soon"/></testsuite>"#;
    let all: Vec<_> = read(xml).0.tests.iter().map(|test| test.duration_us).collect();
    assert_eq!(all, [Some(1_234_500_000), Some(500_000), Some(73), None, None]);
}

#[test]
fn tests_of_a_suite_come_one_after_the_other() {
    let xml = r#"<testsuite timestamp="2026-11-27T15:14:09.5+00:00"><testcase name="a" time="0.001"/><testcase name="b" time="0.002"/></testsuite>"#;
    let ended: Vec<String> = read(xml).0.tests.iter().map(|test| test.time.to_string()).collect();
    assert_eq!(ended, ["2026-11-27T15:14:09.501000Z", "2026-11-27T15:14:09.503000Z"]);
}

#[test]
fn of_a_damaged_file_is_kept_what_comes_before() {
    let whole =
        r#"<testsuite name="s"><testcase name="a"/><testcase name="b"><failure message="why"/></testcase></testsuite>"#;
    let behind = |part: &str| whole.find(part).unwrap() + part.len();
    let (first, second) = (behind("<testcase name=\"a\"/>"), behind("<failure message=\"why\"/>"));
    for cut in 20..whole.len() {
        let (junit, result) = read(&whole[..cut]);
        assert!(result.is_err(), "{cut}");
        assert_eq!(junit.tests.len(), usize::from(cut >= first) + usize::from(cut >= second), "{}", &whole[..cut]);
    }
    let (junit, result) = read(r#"<testsuite><testcase name="a"/></wrong><testcase name="b"/>"#);
    assert!(matches!(result, Err(JunitError::Damaged { .. })), "{result:?}");
    assert_eq!(junit.tests.len(), 1);
}

#[test]
fn what_is_no_junit_is_refused() {
    for other in [
        "",
        "   ",
        "<html><testcase name='a'/></html>",
        "plain text",
        "{\"a\": 1}",
        "\u{0}\u{1}",
        "<?xml version='1.0'?>",
    ] {
        let (junit, result) = read(other);
        assert!(matches!(result, Err(JunitError::Unlike(_))), "{other:?} {result:?}");
        assert_eq!(junit.tests.len(), 0);
    }
}

#[test]
fn entities_are_never_expanded() {
    let bomb = r#"<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>
<testsuite name="s"><testcase name="&b;&#65;&x;"><failure message="&b;">&x; &lt; &#x42; &</failure></testcase></testsuite>"#;
    assert_eq!(shown(bomb), ["failed s|&b;A&x; &b;"]);
    let text =
        r#"<testsuite name="s"><testcase name="t"><failure>&x; &lt; &#x42; &#0; &</failure></testcase></testsuite>"#;
    assert_eq!(shown(text), ["failed s|t &x; < B \u{0} &"]);
}

#[test]
fn everything_has_a_bound() {
    let deep = "<testsuite>".repeat(100_000);
    assert!(matches!(read(&deep).1, Err(JunitError::TooDeep)));
    let long = "n".repeat(1 << 20);
    let (junit, _) =
        read(&format!("<testsuite><testcase name='{long}'><failure>{long}</failure></testcase></testsuite>"));
    assert_eq!((junit.tests[0].test.len(), junit.tests[0].message.len()), (TEXT_BYTES_MAX, TEXT_BYTES_MAX));
    let many = "<testcase name='t'/>".repeat(TESTS_MAX + 3);
    let (junit, _) = read(&format!("<testsuite>{many}</testsuite>"));
    assert_eq!((junit.tests.len(), junit.over), (TESTS_MAX, 3));
    let failed = format!("<testcase name='t'><failure>{}</failure></testcase>", "m".repeat(TEXT_BYTES_MAX));
    let (junit, _) =
        read(&format!("<testsuite>{}</testsuite>", failed.repeat(MESSAGES_BYTES_MAX / TEXT_BYTES_MAX + 2)));
    assert_eq!(junit.messages_over, 2);
}

#[test]
fn names_that_are_nested_take_no_more_room_than_one() {
    let name = "n".repeat(TEXT_BYTES_MAX);
    let (around, cases) = (format!("<testsuite name='{name}'>").repeat(60), "<testcase name='t'/>".repeat(3_000));
    let (junit, _) = read(&format!("{around}{cases}"));
    assert_eq!(junit.tests[0].suite.len(), TEXT_BYTES_MAX);
    let names_bytes: usize = junit.tests.iter().map(|test| test.suite.len() + test.test.len()).sum();
    assert!(names_bytes <= NAMES_BYTES_MAX, "{names_bytes}");
    assert_eq!(junit.tests.len() as u64 + junit.over, 3_000);
}

#[test]
fn what_is_no_utf_8_is_replaced() {
    let mut junit = Junit::default();
    junit
        .read(
            &b"<testsuite name='s'><testcase name='\xff\xe9'><failure>\xe9</failure></testcase></testsuite>"[..],
            &times(),
        )
        .unwrap();
    assert_eq!((junit.tests[0].test.as_str(), junit.tests[0].message.as_str()), ("\u{fffd}\u{fffd}", "\u{fffd}"));
}

proptest! {
    #[test]
    fn nothing_that_is_in_a_file_is_too_much(parts in proptest::collection::vec(prop_oneof![
        any::<Vec<u8>>(),
        "(<testsuites>|<testsuite name='a'>|</testsuite>|<testcase name='b' classname='&#9;'>|</testcase>|<failure>|</failure>|<!\\[CDATA\\[|\\]\\]>|&amp;|&|<!--|-->|<!DOCTYPE |<\\?|\\?>|<skipped/>|x)".prop_map(String::into_bytes),
    ], 0..60)) {
        let mut junit = Junit::default();
        let _ = junit.read(&parts.concat()[..], &times());
        for test in &junit.tests {
            prop_assert!(!test.has_output() && test.time >= times().started_at);
        }
    }
}

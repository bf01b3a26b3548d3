//! How sessions of a name and their tests went.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::Logboom;
use serde_json::Value;

/// A session `shop` with these results, `name ok` or `name FAILED` each.
fn shop(logboom: &Logboom, labels: &[&str], results: &[&str]) {
    let mut script = format!("echo 'running {} tests'\n", results.len());
    results.iter().for_each(|result| script += &format!("echo 'test {}'\n", result.replace(' ', " ... ")));
    let failed = results.iter().any(|result| result.ends_with("FAILED"));
    script += &format!("echo 'test result: x'; exit {}", u8::from(failed));
    let labels = labels.iter().flat_map(|label| ["--label", label]);
    let args: Vec<&str> =
        ["run", "--name", "shop"].into_iter().chain(labels).chain(["--", "sh", "-c", &script]).collect();
    logboom.run(&args).expect(i32::from(failed));
}

fn test<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    lines.iter().find(|line| line["test"] == name).unwrap_or_else(|| panic!("{name}: {lines:?}"))
}

#[test]
fn tests_are_flaky_by_commit_and_newly_failing_by_the_session_before() {
    let logboom = Logboom::new();
    shop(&logboom, &["commit=a"], &["steady ok", "flaky ok", "broken ok"]);
    shop(&logboom, &["commit=a"], &["steady ok", "flaky FAILED", "broken ok"]);
    shop(&logboom, &["commit=b"], &["steady ok", "flaky ok", "broken FAILED"]);
    let lines = logboom.jsons(["history", "shop", "--json"]);
    assert_eq!((&lines[0]["name"], &lines[0]["sessions"]), (&Value::from("shop"), &Value::from(3)));
    assert_eq!((&lines[0]["flaky"], &lines[0]["passed_percent"]), (&Value::from(true), &Value::from(33.3)));
    assert_eq!(lines[0]["history"][1]["commit"], "a");
    assert_eq!(lines[1]["test"], "broken", "the worst is first");
    let flags =
        |name: &str| ["flaky", "failing", "newly_failing"].map(|flag| test(&lines, name)[flag].as_bool().unwrap());
    assert_eq!(flags("broken"), [false, true, true]);
    assert_eq!(flags("flaky"), [true, false, false]);
    assert_eq!(flags("steady"), [false, false, false]);
    assert_eq!(test(&lines, "flaky")["outcomes"], serde_json::json!(["passed", "failed", "passed"]));

    let text = logboom.text(["history", "shop"]);
    assert!(
        text.contains("shop: 3 sessions, 33 % passed, last ")
            && text.contains("; passed and failed on one commit\nPFF"),
        "{text}"
    );
    assert!(text.contains("3 tests: 1 newly failing, 1 failing, 1 flaky, 0 slower\n"), "{text}");
    assert!(text.contains("newly failing  PPF ") && text.contains("flaky          PFP "), "{text}");
    let names = logboom.text(["history"]);
    assert!(names.contains(" PFF ") && names.contains("1 test  shop\n"), "{names}");
    assert_eq!(logboom.json(["history", "--json"])["flaky_tests"], 1);
}

#[test]
fn a_strip_has_letters_as_well_as_colours() {
    let logboom = Logboom::new();
    shop(&logboom, &[], &["t ok"]);
    shop(&logboom, &[], &["t FAILED"]);
    let painted = logboom.text(["--color", "always", "history", "shop"]);
    assert!(painted.contains("\x1b[32mP\x1b[0m\x1b[1;31mF\x1b[0m"), "{painted:?}");
    let plain = logboom.command(["history", "shop"]).env("NO_COLOR", "1").output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains("PF") && !plain.contains('\x1b'), "{plain}");
}

#[test]
fn what_is_left_out_is_said() {
    let logboom = Logboom::new();
    let results: Vec<String> = (0..30).map(|number| format!("t{number:02} ok")).collect();
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    shop(&logboom, &[], &results);
    let text = logboom.text(["history", "shop"]);
    assert!(text.ends_with("and 10 tests more, nothing of note; -n COUNT shows more, --json all\n"), "{text}");
    assert_eq!(logboom.jsons(["history", "shop", "--json"]).len(), 31);
    let one = logboom.text(["history", "shop", "--test", "t07"]);
    assert!(one.contains("1 test:") && one.contains("t07") && !one.contains("t08"), "{one}");
}

#[test]
fn what_is_not_there_is_exit_1() {
    let logboom = Logboom::new();
    assert!(logboom.run(["history"]).expect(0).stderr.contains("no sessions"));
    shop(&logboom, &[], &["t ok"]);
    let none = logboom.run(["history", "other\x1b[2J"]).expect(1);
    assert!(none.stderr.contains("no session is called other") && !none.stderr.contains('\x1b'), "{}", none.stderr);
    assert!(logboom.run(["history", "shop", "--test", "x"]).expect(1).stderr.contains("they have 1 test"));
    logboom.run(["history", "--test", "x"]).expect(2);
}

#[test]
fn a_session_that_runs_is_in_the_strip() {
    let logboom = Logboom::new();
    shop(&logboom, &[], &["t ok"]);
    logboom.text(["session", "start", "--name", "shop"]);
    let text = logboom.text(["history", "shop"]);
    assert!(text.contains("\nPR  "), "{text}");
    assert!(text.contains(" P. "), "{text}");
}

#[test]
fn ci_tells_the_commit_of_a_new_session() {
    let logboom = Logboom::new();
    let labels = |args: &[&str], commit: &str| {
        let done = logboom.command(args).env("GITHUB_SHA", commit).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        logboom.latest()["labels"].clone()
    };
    assert_eq!(labels(&["run", "--", "true"], "0a1b2c"), serde_json::json!({"commit": "0a1b2c"}));
    assert_eq!(
        labels(&["run", "--label", "commit=mine", "--", "true"], "0a1b2c"),
        serde_json::json!({"commit": "mine"})
    );
    assert_eq!(labels(&["run", "--", "true"], "no commit\n"), serde_json::json!({}));
    assert_eq!(labels(&["session", "start"], "0a1b2c"), serde_json::json!({"commit": "0a1b2c"}));
}

#[test]
fn what_turns_text_around_is_shown_and_does_not() {
    let logboom = Logboom::new();
    shop(&logboom, &[], &["t\u{202e}x FAILED"]);
    for args in [&["history", "shop"][..], &["sessions", "--failed"]] {
        let text = logboom.text(args);
        assert!(text.contains("tU+202Ex") && !text.contains('\u{202e}'), "{text}");
    }
}

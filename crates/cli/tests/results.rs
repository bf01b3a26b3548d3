//! What test tools tell of their tests, in sessions of the real tools.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;

use common::Logboom;
use serde_json::Value;

const SHOP: &str = r#"
/// ```
/// assert_eq!(shop::add(1, 2), 3);
/// ```
pub fn add(one: u32, two: u32) -> u32 { one + two }

#[cfg(test)]
mod tests {
    #[test]
    fn adds() { println!("not shown"); }
    #[test]
    fn breaks() { println!("about to break"); assert_eq!(super::add(1, 1), 3); }
    #[test]
    #[ignore]
    fn is_left_out() {}
}
"#;

/// A package with tests of each outcome.
fn shop(logboom: &Logboom) {
    fs::create_dir_all(logboom.path("shop/src")).unwrap();
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::write(logboom.path("shop/Cargo.toml"), manifest).unwrap();
    fs::write(logboom.path("shop/src/lib.rs"), SHOP).unwrap();
}

/// The results of the latest session, as `outcome full name`.
fn results(logboom: &Logboom) -> Vec<String> {
    let tests = session_json(logboom)["runs"][0]["tests"].as_array().cloned().unwrap_or_default();
    let word = |test: &Value, key: &str| test[key].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = tests
        .iter()
        .map(|test| format!("{} {} {}", word(test, "outcome"), word(test, "suite"), word(test, "test")))
        .collect();
    all.sort();
    all
}

fn session_json(logboom: &Logboom) -> Value {
    serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap()
}

#[test]
fn cargo_test() {
    let logboom = Logboom::new();
    shop(&logboom);
    let cargo = ["run", "--", "cargo", "test", "--offline", "--no-fail-fast", "--manifest-path", "shop/Cargo.toml"];
    logboom.run(cargo).expect(101);
    let want = [
        "failed shop tests::breaks",
        "passed shop (doc) src/lib.rs - add (line 2)",
        "passed shop tests::adds",
        "skipped shop tests::is_left_out",
    ];
    assert_eq!(results(&logboom), want);

    let lines = logboom.run(["show", "--raw", "--test", "breaks"]).expect(0).text();
    assert!(lines.starts_with("---- tests::breaks stdout ----\nabout to break\n"), "{lines}");
    assert!(!lines.contains("adds"), "{lines}");
    let unknown = logboom.run(["show", "--test", "breaks_not"]).expect(2);
    assert!(unknown.stderr.contains("has no test breaks_not"), "{}", unknown.stderr);

    let listed = logboom.run(["sessions", "--failed"]).expect(0).text();
    assert!(listed.contains("failed  shop tests::breaks\n"), "{listed}");
    let json = &logboom.jsons(["sessions", "--json"])[0];
    assert_eq!(json["tests"]["passed"], 2);
    assert_eq!(json["failed_tests"], serde_json::json!(["shop tests::breaks"]));
    let timeline = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
    assert_eq!(timeline.matches("\"event\":\"test\"").count(), 4, "{timeline}");
}

#[test]
fn what_other_runs_printed_meanwhile_is_shown_around_a_test() {
    let logboom = Logboom::new();
    let id = logboom.text(["session", "start"]).trim().to_owned();
    let exec = |script: &str| {
        logboom.run(["exec", "--session", &id, "--", "sh", "-c", script]).expect(0);
    };
    exec("echo before");
    let go = "echo '=== RUN   TestA'; echo started; until [ -e beside ]; do sleep 0.01; done; echo '--- PASS: TestA (0.00s)'; sleep 0.1; printf 'ok  \\tshop\\t0.1s\\n'";
    let test = logboom.start(["exec", "--session", &id, "--", "sh", "-c", go]);
    common::wait_until(|| logboom.run(["show", "--raw"]).text().contains("started"));
    exec("echo beside");
    fs::write(logboom.path("beside"), "").unwrap();
    test.done().expect(0);
    exec("echo after");
    logboom.run(["session", "end", &id]).expect(0);
    let around = logboom.run(["show", "--raw", "--test", "TestA", "--around"]).expect(0).text();
    assert_eq!(around, "=== RUN   TestA\nstarted\nbeside\n--- PASS: TestA (0.00s)\n");
    let alone = logboom.run(["show", "--raw", "--test", "TestA"]).expect(0).text();
    assert_eq!(alone, "=== RUN   TestA\nstarted\n--- PASS: TestA (0.00s)\n");
}

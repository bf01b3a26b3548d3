//! `logboom test` with services that are programs: what is started, waited for, and that nothing of it is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{fs, net::TcpListener, path::Path};

use common::{
    Done, Logboom, Running, signal,
    spec::{DAEMON, has, runs, service, spec, test},
    wait_until,
};
use serde_json::Value;

fn run(logboom: &Logboom, text: &str) -> Done {
    spec(logboom, text);
    logboom.run(["test"])
}

/// The messages of a text log of the latest session.
fn log(logboom: &Logboom, name: &str) -> Vec<String> {
    let text = fs::read_to_string(logboom.session_file(name)).unwrap_or_default();
    text.lines().map(|line| line[32..].to_owned()).collect()
}

/// The process ids that services left in `pids`.
fn pids(logboom: &Logboom) -> Vec<u32> {
    let text = fs::read_to_string(logboom.path("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[track_caller]
fn assert_nothing_left(logboom: &Logboom) {
    let left: Vec<u32> = pids(logboom).into_iter().filter(|pid| is_alive(*pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_service_is_started_waited_for_and_ended_and_all_stands_in_one_session() {
    let logboom = Logboom::new();
    let daemon = service("api", &format!("sleep 0.3; {DAEMON}"), "wait = \"log:listening\"\nenv = { SHOP = \"7\" }");
    let done = run(
        &logboom,
        &format!(
            "name = \"shop\"\nlabels = {{ team = \"a\" }}\n{daemon}{}",
            test("unit", "cat pids >/dev/null && echo tested", "")
        ),
    );
    let done = done.expect(0);
    assert_eq!((done.text().as_str(), done.stderr.as_str()), ("tested\n", ""));
    let session = logboom.latest();
    assert_eq!(
        (&session["name"], &session["outcome"], &session["labels"]["team"]),
        (&"shop".into(), &"passed".into(), &"a".into())
    );
    let runs = runs(&logboom);
    assert!(has(&runs, "logboom", "system", "passed"), "{runs:?}");
    assert!(has(&runs, "api", "service", "interrupted"), "{runs:?}");
    assert!(has(&runs, "unit", "command", "passed"), "{runs:?}");
    assert_eq!(log(&logboom, "api.log"), ["listening"]);
    let told = log(&logboom, "logboom.log").join("\n");
    for part in [
        "starting api",
        "api is ready (log:listening) after",
        "unit: passed",
        "1 of 1 test command passed",
        "ending api",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_nothing_left(&logboom);
    assert!(logboom.run(["verify"]).expect(0).text().contains("whole"), "verify");
}

#[test]
fn the_first_test_that_fails_gives_the_exit_code_and_all_are_run() {
    let logboom = Logboom::new();
    let tests = [test("one", "exit 3", ""), test("two", "exit 4", ""), test("three", "echo third", "")].concat();
    assert_eq!(run(&logboom, &tests).expect(3).text(), "third\n");
    assert_eq!(logboom.latest()["outcome"], "failed");
    assert_eq!(logboom.latest()["exit_code"], 3);
    assert!(log(&logboom, "logboom.log").contains(&"1 of 3 test commands passed, failed: one, two".to_owned()));
    logboom.run(["test", "--only", "three"]).expect(0);
    let unknown = logboom.run(["test", "--only", "four"]).expect(125);
    assert!(unknown.stderr.contains("there is no test four; there are one, two, three"), "{}", unknown.stderr);
}

#[test]
fn a_test_is_run_again_as_often_as_it_may() {
    let logboom = Logboom::new();
    run(&logboom, &test("flaky", "echo x >> tries; test $(wc -l < tries) -ge 3", "retries = 2")).expect(0);
    let outcomes: Vec<String> = runs(&logboom).into_iter().filter(|run| run.0 == "flaky").map(|run| run.2).collect();
    assert_eq!(outcomes, ["failed", "failed", "passed"]);
    assert_eq!(logboom.latest()["outcome"], "passed");
    run(&logboom, &test("bad", "echo x >> more; exit 9", "retries = 1")).expect(9);
    assert_eq!(fs::read_to_string(logboom.path("more")).unwrap(), "x\nx\n");
}

/// A test that prints this result of `t::x` the first time, and that the second, and ends so.
fn told_twice(name: &str, first: &str, second: &str) -> String {
    let script = format!(
        "echo x >> {name}; r={first}; test $(wc -l < {name}) -gt 1 && r={second}; echo running 1 test; echo test t::x ... $r; echo test result: x; test $r = ok"
    );
    test(name, &script, "retries = 1")
}

#[test]
fn what_passed_when_it_was_run_again_has_not_failed() {
    let logboom = Logboom::new();
    let nofile = test("nofile", "echo x >> n; test $(wc -l < n) -gt 1", "retries = 1");
    run(&logboom, &format!("{}{nofile}", told_twice("unit", "FAILED", "ok"))).expect(0);
    let report = logboom.text(["show", "--junit", "-"]);
    assert!(report.contains(" tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\""), "{report}");
    assert_eq!(report.matches("<flakyFailure").count(), 2, "{report}");
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("**1 test**: 1 passed, 0 failed, 1 passed only when run again"), "{summary}");
    assert!(summary.contains("<code>t::x</code>: run again 1 time"), "{summary}");
    assert!(summary.contains("<code>nofile</code>: run again 1 time"), "{summary}");
    assert!(summary.contains("| <code>unit</code> (attempt 2) | passed"), "{summary}");
    let line = logboom.json(["sessions", "--json"]);
    assert_eq!(line["tests"], serde_json::json!({"passed": 1}));
    assert!(line.get("failed_tests").is_none(), "{line}");
    assert!(!logboom.text(["sessions"]).contains("t::x"));
    logboom.run(["export", "--html", "page.html"]).expect(0);
    let page = fs::read_to_string(logboom.path("page.html")).unwrap();
    assert!(page.contains("<p>1 passed, 0 failed</p>") && page.contains("unit.2 (attempt 2)"), "{page}");
    let shown = logboom.run(["show", "--raw", "--test", "t::x"]).expect(0).text();
    assert!(shown.contains("FAILED") && !shown.contains("ok"), "what failed is shown: {shown}");
    let last = logboom.run(["show", "--raw", "--run", "unit.2", "--test", "t::x"]).expect(0).text();
    assert!(last.contains("ok") && !last.contains("FAILED"), "{last}");
}

#[test]
fn no_command_hides_the_test_that_failed_in_another() {
    let logboom = Logboom::new();
    run(&logboom, &[told_twice("debug", "FAILED", "FAILED"), told_twice("release", "ok", "ok")].concat()).expect(1);
    let name = logboom.latest()["name"].as_str().unwrap().to_owned();
    let lines = logboom.jsons(["history", &name, "--json"]);
    assert_eq!((&lines[1]["test"], &lines[1]["outcomes"]), (&"t::x".into(), &serde_json::json!(["failed"])));
    assert_eq!(lines[1]["flaky"], false);
    let shown = logboom.run(["show", "--raw", "--test", "t::x"]).expect(0).text();
    assert!(shown.contains("FAILED"), "{shown}");
    let release = logboom.run(["show", "--raw", "--run", "release", "--test", "t::x"]).expect(0).text();
    assert!(release.contains("ok") && !release.contains("FAILED"), "{release}");
}

#[test]
fn a_report_says_that_services_were_not_ready() {
    let logboom = Logboom::new();
    let daemon = service("api", DAEMON, "wait = \"log:never\"");
    run(&logboom, &format!("wait_timeout = \"300ms\"\n{daemon}{}", test("unit", "true", ""))).expect(125);
    let report = logboom.text(["show", "--junit", "-"]);
    let head = report.lines().nth(1).unwrap();
    assert!(!head.contains(" failures=\"0\" errors=\"0\""), "{report}");
    assert!(report.contains("<system-out>"), "{report}");
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("api has not printed that (log:never)"), "{summary}");
}

#[test]
fn a_service_that_ends_before_it_is_ready_is_told_with_its_last_lines_and_no_test_is_run() {
    let logboom = Logboom::new();
    let bad = service("db", "echo no disk >&2; exit 7", "wait = \"port:1\"");
    let done =
        run(&logboom, &format!("{}{bad}{}", service("api", DAEMON, ""), test("unit", "touch ran", ""))).expect(125);
    assert!(done.stderr.contains("db has exited with 7, and was waited for (port:1)"), "{}", done.stderr);
    assert!(done.stderr.contains("no disk"), "{}", done.stderr);
    assert!(!logboom.path("ran").exists());
    assert_eq!(logboom.latest()["outcome"], "failed");
    assert_nothing_left(&logboom);
}

#[test]
fn a_service_that_does_not_become_ready_is_told_with_what_is_missing() {
    let logboom = Logboom::new();
    let daemon = service("api", DAEMON, "wait = [\"log:never\", \"log:listening\"]");
    let done = run(&logboom, &format!("wait_timeout = \"500ms\"\n{daemon}{}", test("unit", "true", ""))).expect(125);
    assert!(done.stderr.contains("not ready after 0.500 s: api has not printed that (log:never)"), "{}", done.stderr);
    assert_nothing_left(&logboom);
}

#[test]
fn ports_and_urls_are_waited_for() {
    let logboom = Logboom::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("sleep 0.2; exec python3 -m http.server --bind 127.0.0.1 {port}");
    let waits = format!("wait = [\"port:{port}\", \"http:http://web:{port}/logboom-test.toml\"]");
    let get = format!("python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:{port}/\").status)'");
    let done = run(&logboom, &format!("{}{}", service("web", &server, &waits), test("get", &get, ""))).expect(0);
    assert_eq!(done.text(), "200\n");
    assert!(
        log(&logboom, "web.log").iter().any(|line| line.contains("GET /logboom-test.toml")),
        "the service's own log"
    );
}

#[test]
fn services_start_behind_those_that_they_come_after() {
    let logboom = Logboom::new();
    let second = service("second", "cat first && touch second; sleep 600", "after = [\"first\"]\nwait = \"log:1\"");
    let first = service("first", "sleep 0.3; echo 1 > first; echo ready; sleep 600", "wait = \"log:ready\"");
    run(&logboom, &format!("{second}{first}{}", test("unit", "test -e second", ""))).expect(0);
}

#[test]
fn a_service_is_started_again_as_its_policy_says() {
    let logboom = Logboom::new();
    let script = "echo x >> starts; test $(wc -l < starts) -ge 3 || { echo crash; exit 1; }; echo up; sleep 600";
    let api = service("api", script, "restart = \"on-failure:5\"\nwait = \"log:up\"");
    run(&logboom, &format!("{api}{}", test("unit", "true", ""))).expect(0);
    let log = log(&logboom, "api.log").join("\n");
    assert_eq!(log.matches("crash").count(), 2, "{log}");
    assert!(log.contains("failed (exit 1); it is started again (2) in 0.200 s"), "{log}");

    let gives_up = service("api", "echo y >> more; exit 1", "restart = \"on-failure:2\"\nwait = \"log:up\"");
    let done = run(&logboom, &format!("{gives_up}{}", test("unit", "true", ""))).expect(125);
    assert!(done.stderr.contains("api has exited with 1"), "{}", done.stderr);
    assert_eq!(fs::read_to_string(logboom.path("more")).unwrap().lines().count(), 3);
}

#[test]
fn a_service_that_does_not_hear_is_killed_with_all_that_it_started() {
    let logboom = Logboom::new();
    let deaf = "trap '' TERM; (trap '' TERM; sh -c 'echo $$ >> pids; exec sleep 600') & echo $$ >> pids; echo up; while :; do sleep 0.1; done";
    let deaf = service("deaf", deaf, "stop_grace = \"200ms\"\nwait = \"log:up\"");
    run(&logboom, &format!("{deaf}{}", test("unit", "test $(wc -l < pids) = 2 || sleep 1", ""))).expect(0);
    assert_eq!(pids(&logboom).len(), 2);
    assert_nothing_left(&logboom);
}

#[test]
fn a_test_whose_time_is_up_fails_as_timed_out_and_services_are_ended() {
    let logboom = Logboom::new();
    let slow = test("slow", "sleep 600", "timeout = \"300ms\"");
    run(&logboom, &format!("{}{slow}", service("api", DAEMON, "wait = \"log:listening\""))).expect(124);
    assert_eq!(logboom.latest()["outcome"], "timed_out");
    assert_nothing_left(&logboom);
    run(&logboom, &format!("timeout = \"300ms\"\n{}{}", test("slow", "sleep 600", ""), test("next", "sleep 600", "")))
        .expect(124);
}

fn started(logboom: &Logboom) -> Running {
    let tests = test("unit", "echo $$ > running; exec sleep 600", "");
    spec(logboom, &format!("{}{tests}", service("api", DAEMON, "wait = \"log:listening\"")));
    let running = logboom.start(["test"]);
    wait_until(|| fs::read_to_string(logboom.path("running")).is_ok_and(|pid| pid.ends_with('\n')));
    running
}

#[test]
fn a_signal_ends_the_test_and_then_the_services_and_logboom_dies_of_it() {
    for (name, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let logboom = Logboom::new();
        let running = started(&logboom);
        signal(name, running.pid());
        assert_eq!(running.done().signal, Some(number));
        assert_eq!(logboom.latest()["outcome"], "interrupted");
        assert!(has(&runs(&logboom), "unit", "command", "interrupted"), "{:?}", runs(&logboom));
        assert_nothing_left(&logboom);
    }
}

#[test]
fn a_signal_while_services_are_waited_for_ends_them() {
    let logboom = Logboom::new();
    spec(&logboom, &format!("{}{}", service("api", DAEMON, "wait = \"log:never\""), test("unit", "touch ran", "")));
    let running = logboom.start(["test"]);
    wait_until(|| !pids(&logboom).is_empty());
    signal("-INT", running.pid());
    assert_eq!(running.done().signal, Some(2));
    assert!(!logboom.path("ran").exists());
    assert_nothing_left(&logboom);
}

#[test]
fn services_end_also_where_logboom_is_killed() {
    let logboom = Logboom::new();
    let mut running = started(&logboom);
    running.kill_9();
    wait_until(|| pids(&logboom).into_iter().all(|pid| !is_alive(pid)));
    wait_until(|| logboom.latest()["outcome"] == "lost");
    let test: u32 = fs::read_to_string(logboom.path("running")).unwrap().trim().parse().unwrap();
    signal("-KILL", test); // as after any `kill -9` of logboom the command goes on
}

#[test]
fn the_tear_down_is_run_while_services_are_there_however_the_tests_ended() {
    let logboom = Logboom::new();
    let dump = "[[tear_down]]\nname = \"dump\"\ncommand = '''kill -0 $(cat pids) && echo dumped > dump'''\n";
    run(
        &logboom,
        &format!("{}{}{dump}", service("api", DAEMON, "wait = \"log:listening\""), test("unit", "exit 5", "")),
    )
    .expect(5);
    assert_eq!(fs::read_to_string(logboom.path("dump")).unwrap(), "dumped\n");
    let runs = runs(&logboom);
    assert!(has(&runs, "dump", "command", "passed"), "{runs:?}");
}

#[test]
fn retention_is_that_of_the_file_and_for_sessions_of_its_name_alone() {
    let logboom = Logboom::new();
    logboom.run_script("true").expect(0);
    for _ in 0..3 {
        run(&logboom, &format!("name = \"mine\"\n[retention]\nkeep = 2\n{}", test("unit", "true", ""))).expect(0);
    }
    let names: Vec<Value> =
        logboom.jsons(["sessions", "--json"]).into_iter().map(|line| line["name"].clone()).collect();
    assert_eq!(names, ["mine", "mine", "sh"]);
}

#[test]
fn a_file_that_is_wrong_or_not_there_is_told_with_what_to_do() {
    let logboom = Logboom::new();
    let none = logboom.run(["test"]).expect(125);
    assert!(none.stderr.contains("`logboom test --init` writes one"), "{}", none.stderr);
    let wrong = run(&logboom, "[[test]]\nname = \"x\"\ncommand = \"true\"\nretry = 1\n").expect(125);
    assert!(
        wrong.stderr.contains("logboom-test.toml:4:") && wrong.stderr.contains("unknown field `retry`"),
        "{}",
        wrong.stderr
    );
    assert!(!logboom.data().join("sessions").exists());
}

#[test]
fn init_writes_a_file_that_runs_the_tests_that_are_there() {
    let logboom = Logboom::new();
    fs::write(logboom.path("Makefile"), "test:\n\t@echo made\n").unwrap();
    let done = logboom.run(["test", "--init"]).expect(0);
    assert!(done.text().contains("wrote logboom-test.toml"), "{}", done.text());
    assert!(Path::new(&logboom.path("logboom-test.toml")).exists());
    assert_eq!(logboom.run(["test"]).expect(0).text(), "made\n");
    assert!(logboom.run(["test", "--init"]).expect(125).stderr.contains("is there already"), "it is left as it is");
}

#[test]
fn a_dead_program_is_not_ready_where_somebody_else_has_its_port() {
    let logboom = Logboom::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let wait = format!("wait = \"port:{port}\"");
    for script in ["exit 3", "sleep 0.3; exit 3"] {
        let slow = service("slow", "sleep 1; echo up; sleep 600", "wait = \"log:up\"");
        let text = format!("{}{slow}{}", service("api", script, &wait), test("unit", "touch ran", ""));
        let done = run(&logboom, &text).expect(125);
        assert!(done.stderr.contains("api has exited with 3"), "{}", done.stderr);
        assert!(!logboom.path("ran").exists());
    }
}

#[test]
fn a_program_that_cannot_be_kept_is_told_at_once() {
    let logboom = Logboom::new();
    for wait in ["", "wait = \"log:up\""] {
        let api = service("api", "echo up; sleep 600", &format!("cwd = \"none\"\n{wait}"));
        let done = run(&logboom, &format!("{api}{}", test("unit", "touch ran", ""))).expect(125);
        assert!(done.stderr.contains("cannot start api"), "{}", done.stderr);
        assert!(!logboom.path("ran").exists());
    }
}

#[test]
fn when_the_time_of_all_tests_is_up_no_other_is_begun() {
    let logboom = Logboom::new();
    let tests = [test("slow", "echo x >> slow; sleep 600", "retries = 5"), test("next", "touch next", "")].concat();
    run(&logboom, &format!("timeout = \"300ms\"\n{tests}")).expect(124);
    assert_eq!(fs::read_to_string(logboom.path("slow")).unwrap(), "x\n");
    assert!(!logboom.path("next").exists());
    assert!(log(&logboom, "logboom.log").contains(&"next: not run, the time of all tests is up".to_owned()));
}

#[test]
fn a_tear_down_that_fails_changes_nothing_of_the_outcome() {
    let logboom = Logboom::new();
    let step = |name: &str, script: &str| format!("[[tear_down]]\nname = \"{name}\"\ncommand = '''{script}'''\n");
    let text = [test("unit", "exit 6", ""), step("one", "exit 1"), step("two", "touch two")].concat();
    run(&logboom, &text).expect(6);
    assert!(logboom.path("two").exists());
    assert!(log(&logboom, "logboom.log").contains(&"tear-down one: failed (exit 1)".to_owned()));
}

#[test]
fn sessions_within_a_session_are_told_apart() {
    let logboom = Logboom::new();
    let api = service("api", "echo x >> starts; sleep 0.3; echo listening; sleep 600", "wait = \"log:listening\"");
    spec(&logboom, &format!("{api}{}", test("unit", "wc -l < starts", "")));
    let program = env!("CARGO_BIN_EXE_logboom");
    let done = logboom.run(["run", "--", "sh", "-c", &format!("{program} test && {program} test")]).expect(0);
    assert_eq!(done.text(), "1\n2\n", "the second waits for its own");
    assert_eq!(logboom.latest()["outcome"], "passed");
    let took = log(&logboom, "logboom.2.log").into_iter().filter(|line| line.contains("is ready"));
    let took: Vec<String> = took.collect();
    assert!(took.len() == 1 && !took[0].ends_with(" 0.000 s"), "{took:?}");
}

#[test]
fn settings_that_become_wrong_meanwhile_stop_nothing() {
    let logboom = Logboom::new();
    let dump = "[[tear_down]]\nname = \"dump\"\ncommand = \"touch dump\"\n";
    let tests = [test("one", "echo 'dri = 1' > logboom.toml", ""), test("two", "touch two", "")].concat();
    run(&logboom, &format!("{}{tests}{dump}", service("api", DAEMON, "wait = \"log:listening\""))).expect(0);
    assert!(logboom.path("two").exists() && logboom.path("dump").exists());
    assert_nothing_left(&logboom);
}

#[test]
fn no_signal_ends_the_tear_down() {
    let logboom = Logboom::new();
    let dump = "[[tear_down]]\nname = \"dump\"\ncommand = '''touch begun; while [ ! -e go ]; do sleep 0.05; done; touch dumped'''\n";
    spec(&logboom, &(test("unit", "echo $$ > running; exec sleep 600", "") + dump));
    let running = logboom.start(["test"]);
    wait_until(|| logboom.path("running").exists());
    signal("-INT", running.pid());
    wait_until(|| logboom.path("begun").exists());
    signal("-INT", running.pid());
    signal("-TERM", running.pid());
    fs::write(logboom.path("go"), "").unwrap();
    assert!(running.done().signal.is_some());
    assert!(logboom.path("dumped").exists());
    assert!(has(&runs(&logboom), "dump", "command", "passed"), "{:?}", runs(&logboom));
}

#[test]
fn a_test_is_noted_with_the_directory_in_which_it_ran_and_one_that_is_not_there_is_named() {
    let logboom = Logboom::new();
    fs::create_dir(logboom.path("sub")).unwrap();
    let tests = [test("in", "pwd", "cwd = \"sub\""), test("out", "pwd", "cwd = \"nope\"")].concat();
    let done = run(&logboom, &tests).expect(125);
    let meta: Value = serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    let of = |name: &str| meta["runs"].as_array().unwrap().iter().find(|run| run["name"] == name).unwrap();
    assert_eq!(format!("{}\n", of("in")["cwd"].as_str().unwrap()), done.text());
    assert!(done.stderr.contains("/nope: there is no such directory"), "{}", done.stderr);
}

#[test]
fn what_could_not_be_kept_is_said_where_logboom_may_speak() {
    let logboom = Logboom::new();
    spec(&logboom, &test("unit", "sleep 600 & echo $! > left; echo hi", ""));
    fs::write(logboom.path("logboom.toml"), "drain = \"100ms\"\n").unwrap();
    let done = logboom.run(["test", "--summary", "always"]).expect(0);
    assert!(done.stderr.contains("stdout was still open after the command's end"), "{}", done.stderr);
    let left = fs::read_to_string(logboom.path("left")).unwrap();
    signal("-KILL", left.trim().parse().unwrap());
}

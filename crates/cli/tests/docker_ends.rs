//! How `logboom docker` begins and ends: in which session, on which signals, with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../../files/tests/small_disk/mod.rs"]
mod small_disk;

use std::{
    io::{BufRead, BufReader, Read},
    process::{ChildStdout, Stdio},
};

use common::{
    Done, Logboom, Running,
    engine::{Container, docker},
    signal,
    terminal::Terminal,
    wait_until,
};
use small_disk::SmallDisk;

/// Prints a line and goes on for ever.
const GOES_ON: &str = "echo begun; while :; do sleep 1000; done";
/// Prints a line, and another when it is told to.
const TWO_LINES: &str = "echo begun; while [ ! -e /go ]; do sleep 0.1; done; echo gone on";

fn go_on(container: &Container) {
    docker(&["exec", &container.name, "sh", "-c", ": > /go"]);
}

/// Follows the container; its lines are shown. The first of them has been when this returns.
fn follow(logboom: &Logboom, container: &Container, args: &[&str]) -> (Running, BufReader<ChildStdout>) {
    let mut following = logboom.start([&["docker", "--container", &container.name], args].concat());
    let mut shown = BufReader::new(following.0.stdout.take().unwrap());
    let mut line = String::new();
    shown.read_line(&mut line).unwrap();
    assert_eq!(line, format!("{} | begun\n", container.name));
    (following, shown)
}

fn rest(mut shown: BufReader<ChildStdout>) -> String {
    let mut rest = String::new();
    shown.read_to_string(&mut rest).unwrap();
    rest
}

#[test]
fn ctrl_c_ends_it_in_a_session_that_goes_on_and_only_what_is_followed_is_shown() {
    let (logboom, container) = (Logboom::new(), Container::named("open"));
    container.run(&[], TWO_LINES);
    let id = logboom.text(["session", "start"]).trim().to_owned();
    let (following, shown) = follow(&logboom, &container, &["--session", &id]);
    logboom.run(["exec", "--session", &id, "--", "echo", "another"]).expect(0);
    go_on(&container);
    docker(&["wait", &container.name]);
    signal("-INT", following.pid());
    assert_eq!(rest(shown), format!("{} | gone on\n", container.name));
    following.done().expect(0);
    assert_eq!(logboom.latest()["outcome"], "running", "it is for others to end");
    assert_eq!(logboom.text(["show", "--raw", "--run", "echo"]), "another\n");
}

#[test]
fn all_that_is_kept_is_shown_before_it_ends() {
    let (logboom, container) = (Logboom::new(), Container::named("allshown"));
    container.run(&[], "seq 1 20000");
    docker(&["wait", &container.name]);
    let id = logboom.text(["session", "start"]).trim().to_owned();
    let args = ["docker", "--container", &container.name, "--until-exit", "--session", &id];
    let shown = logboom.run(args).expect(0).lines();
    let want = (1..=20_000).map(|number| format!("{} | {number}", container.name));
    assert!(shown.len() == 20_000 && shown.into_iter().eq(want));
}

#[test]
fn a_terminal_that_is_closed_ends_it_in_order() {
    let (logboom, container) = (Logboom::new(), Container::named("hangup"));
    container.run(&[], GOES_ON);
    let (following, shown) = follow(&logboom, &container, &[]);
    signal("-HUP", following.pid());
    assert_eq!(rest(shown), "");
    following.done().expect(0);
    assert_eq!(logboom.latest()["outcome"], "interrupted");
}

#[test]
fn under_nohup_it_goes_on_when_the_terminal_is_closed() {
    let (logboom, container) = (Logboom::new(), Container::named("nohup"));
    container.run(&[], TWO_LINES);
    let program = format!("trap '' HUP; exec {} docker --container {}", env!("CARGO_BIN_EXE_logboom"), container.name);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &program]).current_dir(logboom.home()).env("LOGBOOM_DIR", logboom.data());
    command.env_remove("LOGBOOM_SESSION").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut following = Running::of(&mut command);
    let mut shown = BufReader::new(following.0.stdout.take().unwrap());
    let mut line = String::new();
    shown.read_line(&mut line).unwrap();
    signal("-HUP", following.pid());
    go_on(&container);
    line.clear();
    shown.read_line(&mut line).unwrap();
    assert_eq!(line, format!("{} | gone on\n", container.name));
    signal("-TERM", following.pid());
    following.done().expect(0);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (logboom, container) = (Logboom::new(), Container::named("head"));
    // It prints nothing more.
    container.run(&[], GOES_ON);
    let (following, shown) = follow(&logboom, &container, &[]);
    drop(shown);
    let done = following.done().expect(0);
    assert_eq!(done.stderr, "");
    assert_eq!(logboom.latest()["outcome"], "interrupted");
}

#[test]
fn until_exit_is_passed_only_if_all_have_ended_and_passed() {
    let container = Container::named("untilexit");
    container.run(&[], GOES_ON);
    let logboom = Logboom::new();
    let (following, shown) = follow(&logboom, &container, &["--until-exit"]);
    signal("-INT", following.pid());
    rest(shown);
    following.done().expect(1);
    let failed = Container::named("untilfail");
    failed.run(&[], "exit 3");
    logboom.run(["docker", "--container", &failed.name, "--until-exit", "--quiet"]).expect(1);
    let passed = Container::named("untilpass");
    passed.run(&[], "exit 0");
    logboom.run(["docker", "--container", &passed.name, "--until-exit", "--quiet"]).expect(0);
}

/// How the session of a container ends that runs this and ends with 7 when this is done to it.
#[track_caller]
fn outcome_of(script: &str, end: impl Fn(&Container)) -> String {
    let (logboom, container) = (Logboom::new(), Container::named("told"));
    container.run(&[], script);
    let (following, shown) = follow(&logboom, &container, &["--until-exit"]);
    end(&container);
    rest(shown);
    following.done().expect(1);
    logboom.latest()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn only_what_was_told_to_end_is_interrupted() {
    let told = outcome_of("trap 'exit 7' TERM; echo begun; while :; do sleep 0.1; done", |container| {
        docker(&["stop", &container.name]);
    });
    assert_eq!(told, "interrupted");
    let failed = outcome_of(&format!("trap : QUIT; {TWO_LINES}; exit 7"), |container| {
        docker(&["kill", "-s", "QUIT", &container.name]);
        go_on(container);
    });
    assert_eq!(failed, "failed", "it was to tell what its threads do");
}

#[test]
fn what_a_full_disk_has_no_room_for_to_the_end_fails_it() {
    let disk = SmallDisk::new("4m");
    let logboom = Logboom::in_dir(disk.path().join("logs"));
    let (first, late) = (Container::named("end-first"), Container::named("end-late"));
    let label = format!("disk={}", first.name);
    first.run(&["--label", &label], GOES_ON);
    let mut following = logboom.start(["docker", "--label", &label, "--quiet"]);
    wait_until(|| logboom.run(["show", "--raw"]).text() == "begun\n");
    disk.fill();
    late.run(&["--label", &label], "seq 1 10");
    let mut said = BufReader::new(following.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("it is tried again") {
        assert!(said.read_line(&mut line).unwrap() > 0, "{line}");
    }
    signal("-INT", following.pid());
    said.read_to_string(&mut line).unwrap();
    let done = following.done();
    assert_eq!(done.code, Some(2), "{line}");
    assert!(line.lines().last().unwrap().starts_with("logboom: not all could be kept: "), "{line}");
    disk.make_room();
    assert_eq!(logboom.run(["show", "--raw", "--run", &first.name]).text(), "begun\n");
}

#[test]
fn what_nobody_is_called_is_an_error_where_its_end_is_to_be_waited_for() {
    let (logboom, container) = (Logboom::new(), Container::named("typo"));
    container.run(&[], "true");
    let id = docker(&["inspect", "-f", "{{.Id}}", &container.name]);
    // So few digits are none of an id, for docker as for us they might be.
    let few = logboom.run(["docker", "--container", &id[..3], "--until-exit"]).expect(2);
    assert!(few.stderr.contains(&format!("no container is called {}", &id[..3])), "{}", few.stderr);
    logboom.run(["docker", "--container", &id[..12], "--until-exit", "--quiet"]).expect(0);
    let other = logboom.run(["docker", "--container", &container.name, "--label", "no=such", "--until-exit"]).expect(2);
    assert!(other.stderr.contains("no container fits") && other.stderr.lines().count() == 1, "{}", other.stderr);
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 1, "only of the one that was followed");
}

#[test]
fn a_person_is_told_that_nothing_is_followed_yet() {
    let (terminal, container) = (Terminal::start(), Container::named("waitedfor"));
    let pane = terminal.first();
    pane.enter(&format!("logboom docker --container {}", container.name));
    pane.wait_for("logboom: no container fits yet; waiting for one");
    container.run(&[], GOES_ON);
    pane.wait_for(&format!("{} | begun", container.name));
    pane.press("C-c");
    pane.wait_for(&format!("logboom: 1 line; {} interrupted; logboom show ", container.name));
}

#[test]
fn inside_another_logboom_it_adds_to_that_ones_session() {
    let (logboom, container) = (Logboom::new(), Container::named("inside"));
    container.run(&[], "echo begun");
    docker(&["wait", &container.name]);
    let id = logboom.text(["session", "start"]).trim().to_owned();
    let run = |more: &[&str]| {
        let args = ["docker", "--container", &container.name, "--until-exit", "--quiet"];
        let mut command = logboom.command([&args[..], more].concat());
        Done::from(command.env("LOGBOOM_SESSION", &id).output().unwrap())
    };
    run(&[]).expect(0);
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 1);
    assert_eq!(logboom.text(["show", "--raw", &id]), "begun\n");
    run(&["--new-session"]).expect(0);
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 2);
    logboom.run(["session", "end", &id]).expect(0);
    let told = run(&[]).expect(0);
    assert!(told.stderr.contains("has ended") && told.stderr.lines().count() == 1, "{}", told.stderr);
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 3);
}

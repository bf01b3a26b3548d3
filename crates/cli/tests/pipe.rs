//! `pipe`, between the program that writes into it and the one that reads.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod common;

use std::{
    fs::{self, File},
    io::{Read, Write},
    process::Stdio,
};

use common::{Logboom, Running, signal, wait_until};
use rustix::fs::{OFlags, fcntl_setfl};

/// `logboom pipe` whose input stays open; its first line has gone through when this returns.
fn idle(logboom: &Logboom) -> Running {
    let mut running = Running::of(logboom.command(["pipe"]).stdin(Stdio::piped()).stdout(Stdio::piped()));
    running.0.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    let mut line = [0; 4];
    running.0.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    running
}

fn kept(logboom: &Logboom) -> String {
    logboom.text(["show", "--raw", "--stream", "stdout"])
}

#[test]
fn what_comes_in_is_captured_and_passed_on() {
    let logboom = Logboom::new();
    let done = logboom.run_with_input(["pipe", "--name", "tap"], b"one\ntwo\xff").expect(0);
    assert_eq!(done.stdout, b"one\ntwo\xff");
    assert_eq!(logboom.run(["show", "--raw", "tap"]).expect(0).stdout, b"one\ntwo\xff");
    assert_eq!(logboom.run_with_input(["pipe", "--quiet"], b"x\n").expect(0).text(), "");
    let timeline = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
    let events: Vec<&str> = timeline.lines().map(|line| line.split('"').nth(7).unwrap()).collect();
    assert_eq!(events, ["start", "end"]);
}

#[test]
fn it_dies_of_a_signal_that_comes_while_its_input_is_idle() {
    for (name, number) in [("-TERM", 15), ("-HUP", 1)] {
        let logboom = Logboom::new();
        let mut running = idle(&logboom);
        signal(name, running.pid());
        let _open = running.0.stdin.take();
        assert_eq!(running.done().signal, Some(number));
        let latest = logboom.latest();
        assert_eq!((&latest["outcome"], &latest["signal"]), (&"interrupted".into(), &number.into()));
        assert_eq!(kept(&logboom), "one\n");
    }
}

#[test]
fn ctrl_c_is_for_the_program_before_it_whose_last_words_are_kept() {
    let logboom = Logboom::new();
    let mut running = idle(&logboom);
    signal("-INT", running.pid());
    running.0.stdin.take().unwrap().write_all(b"last words\n").unwrap();
    assert_eq!(running.done().expect(0).text(), "last words\n");
    assert_eq!(kept(&logboom), "one\nlast words\n");
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let logboom = Logboom::new();
    let mut running = idle(&logboom);
    drop(running.0.stdout.take());
    running.0.stdin.as_mut().unwrap().write_all(b"two\n").unwrap();
    assert_eq!(running.done().signal, Some(13));
    assert_eq!(logboom.latest()["outcome"], "interrupted");
    assert_eq!(kept(&logboom), "one\ntwo\n");
}

#[test]
fn it_adds_to_the_session_that_is_given_or_around_it() {
    let logboom = Logboom::new();
    let id = logboom.text(["session", "start"]);
    logboom.run_with_input(["pipe", "--quiet", "--session", id.trim()], b"given\n").expect(0);
    let mut around = logboom.command(["pipe", "--quiet"]);
    let mut around = Running::of(around.env("LOGBOOM_SESSION", id.trim()).stdin(Stdio::piped()));
    around.0.stdin.take().unwrap().write_all(b"around\n").unwrap();
    around.done().expect(0);
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 1);
    assert_eq!(kept(&logboom), "given\naround\n");
    logboom.run(["session", "end", id.trim()]).expect(0);
    let refused = logboom.run_with_input(["pipe", "--session", id.trim()], b"late\n").expect(2);
    assert!(refused.stderr.contains("has ended"), "{}", refused.stderr);
}

#[test]
fn the_id_file_has_its_session_and_one_that_cannot_be_written_costs_a_warning() {
    let logboom = Logboom::new();
    logboom.run_with_input(["pipe", "--id-file", "id"], b"a\n").expect(0);
    assert_eq!(logboom.latest()["id"], fs::read_to_string(logboom.path("id")).unwrap().trim());
    let done = logboom.run_with_input(["pipe", "--id-file", "no/such/dir/id"], b"b\n").expect(0);
    assert_eq!((done.text(), done.stderr.lines().count()), ("b\n".into(), 1), "{}", done.stderr);
    assert!(done.stderr.contains("no/such/dir/id: No such file"), "{}", done.stderr);
    assert_eq!((logboom.latest()["outcome"].as_str(), kept(&logboom)), (Some("passed"), "b\n".to_owned()));
}

#[test]
fn an_input_that_cannot_be_read_ends_the_session_as_failed() {
    let logboom = Logboom::new();
    let done: common::Done =
        logboom.command(["pipe"]).stdin(File::open(logboom.home()).unwrap()).output().unwrap().into();
    assert_eq!(done.expect(2).stderr, "logboom: cannot read standard input: Is a directory (os error 21)\n");
    assert_eq!(logboom.latest()["outcome"], "failed");
}

#[test]
fn an_output_without_room_is_said_and_everything_is_kept() {
    let logboom = Logboom::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = logboom.command(["pipe"]);
    let mut running = Running::of(command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()));
    let lines = "line\n".repeat(100_000);
    running.0.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = running.done().expect(2);
    assert_eq!(done.stderr, "logboom: stdout could not be passed on in full: No space left on device (os error 28)\n");
    assert_eq!((logboom.latest()["outcome"].as_str(), kept(&logboom) == lines), (Some("passed"), true));
    assert_eq!(logboom.text(["show", "--raw", "--stream", "system"]), &done.stderr["logboom: ".len()..]);
}

#[test]
fn an_output_that_somebody_made_non_blocking_gets_every_byte() {
    let logboom = Logboom::new();
    let (mut ours, theirs) = std::io::pipe().unwrap();
    fcntl_setfl(&theirs, OFlags::NONBLOCK).unwrap();
    let lines = "line\n".repeat(200_000);
    fs::write(logboom.path("lines"), &lines).unwrap();
    let input = File::open(logboom.path("lines")).unwrap();
    let running = Running::of(logboom.command(["pipe"]).stdin(input).stdout(theirs));
    wait_until(|| logboom.run(["show", "--raw"]).stdout.len() > 64 << 10); // the pipe is full
    let mut passed = String::new();
    ours.read_to_string(&mut passed).unwrap();
    running.done().expect(0);
    assert!(passed == lines);
}

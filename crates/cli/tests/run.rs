//! `run`, `exec`, `session` and `pipe`, as the person in front of them sees them.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod common;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    process::Stdio,
    time::{Duration, Instant},
};

use common::{Logboom, Running, wait_until};
use serde_json::Value;

fn messages(logboom: &Logboom, args: &[&str]) -> Vec<String> {
    let records = logboom.jsons(&[&["show", "--json"], args].concat());
    records.iter().map(|record| record["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn both_streams_pass_through_byte_for_byte() {
    let logboom = Logboom::new();
    let script = r"printf 'out\r\n\033[31mred\033[0m\000\377'; printf 'err, no newline' >&2";
    let (a, b) = (logboom.home().join("a"), logboom.home().join("b"));
    let mut command = logboom.command(&["run", "--", "sh", "-c", script]);
    let status = command.stdout(File::create(&a).unwrap()).stderr(File::create(&b).unwrap()).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read(a).unwrap(), b"out\r\n\x1b[31mred\x1b[0m\0\xff");
    assert_eq!(fs::read(b).unwrap(), b"err, no newline");
}

#[test]
fn every_line_has_its_stream_and_a_seq_without_holes() {
    let logboom = Logboom::new();
    logboom.run_script("for i in 1 2 3; do echo out $i; echo err $i >&2; done").expect(0);
    let records = logboom.jsons(&["show", "--json"]);
    let mut seqs: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    assert_eq!(messages(&logboom, &["--stream", "stdout"]), ["out 1", "out 2", "out 3"]);
    assert_eq!(messages(&logboom, &["--stream", "stderr"]), ["err 1", "err 2", "err 3"]);
}

#[test]
fn the_exit_code_is_the_commands() {
    let logboom = Logboom::new();
    logboom.run_script("exit 0").expect(0);
    logboom.run_script("exit 101").expect(101);
    assert_eq!(logboom.latest()["outcome"], "failed");
    assert_eq!(logboom.latest()["exit_code"], 101);
}

#[test]
fn what_cannot_be_run_gives_the_codes_of_a_shell() {
    let logboom = Logboom::new();
    let done = logboom.run(&["run", "no-such-program"]).expect(127);
    assert_eq!(done.stderr, "logboom: no-such-program was not found\n");
    logboom.run(&["run", logboom.home().to_str().unwrap()]).expect(126);
    logboom.run(&["run", "--no-such-option", "true"]).expect(125);
}

#[test]
fn a_standard_error_that_takes_nothing_changes_no_exit_code_and_the_session_ends() {
    let logboom = Logboom::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let status = logboom.command(["run", "no-such-program"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(127));
    assert_eq!(logboom.latest()["outcome"], "failed");
    let status = logboom.command(["run", "--summary", "always", "true"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(logboom.command(["show", "no-such-session"]).stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn wrong_usage_is_one_line_that_names_the_command_meant() {
    let logboom = Logboom::new();
    let refused = |args: &[&OsStr], code| logboom.run(args).expect(code).stderr;
    let words = |text: &'static str| text.split(' ').map(OsStr::new).collect::<Vec<_>>();
    assert!(refused(&words("--dir run sessions --bogus"), 2).ends_with("(see `logboom sessions --help`)\n"));
    assert!(refused(&words("--color never run --bogus true"), 125).ends_with("(see `logboom run --help`)\n"));
    assert!(refused(&words("exec --bogus --help"), 125).ends_with("(see `logboom exec --help`)\n"));
    let foreign = refused(&[OsStr::from_bytes(b"\xff")], 2);
    assert!(foreign.starts_with("logboom: ") && foreign.ends_with("(see `logboom --help`)\n"), "{foreign}");
}

#[test]
fn a_command_that_dies_of_a_signal_takes_logboom_along() {
    let logboom = Logboom::new();
    for signal in [15, 9, 11, 10] {
        let done = logboom.run_script(&format!("kill -{signal} $$"));
        assert_eq!((done.signal, done.code), (Some(signal), None), "{}", done.stderr);
    }
    assert_eq!(logboom.latest()["signal"], 10);
}

#[test]
fn a_time_out_ends_the_command_and_its_descendants_with_124() {
    let logboom = Logboom::new();
    let script = "sleep 1000 & echo $! > child; trap '' TERM; echo up; while :; do sleep 1000; done";
    let args = ["run", "--timeout", "300ms", "--grace", "200ms", "--", "sh", "-c", script];
    logboom.run(&args).expect(124);
    let child = fs::read_to_string(logboom.home().join("child")).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", child.trim())).exists());
    assert_eq!(logboom.latest()["outcome"], "timed_out");
    assert_eq!(messages(&logboom, &["--stream", "stdout"]), ["up"]);
}

#[test]
fn the_summary_is_one_line_and_only_for_people() {
    let logboom = Logboom::new();
    assert_eq!(logboom.run_script("true").expect(0).stderr, "");
    let args = ["run", "--summary", "always", "--", "sh", "-c", "echo a; echo ERROR b; exit 3"];
    let stderr = logboom.run(&args).expect(3).stderr;
    let short = logboom.latest()["short"].as_str().unwrap().to_owned();
    let (head, tail) = stderr.split_once(" in ").unwrap();
    assert_eq!(head, "logboom: failed (exit 3)");
    assert!(tail.ends_with(&format!(" s, 2 lines, 1 error, 0 lost; logboom show {short}\n")), "{tail}");
}

#[test]
fn the_id_file_has_the_session_while_it_runs() {
    let logboom = Logboom::new();
    let file = logboom.home().join("id");
    let _running = logboom.start(&["run", "--id-file", file.to_str().unwrap(), "--", "sleep", "1000"]);
    wait_until(|| file.exists());
    let id = fs::read_to_string(&file).unwrap();
    wait_until(|| logboom.run(&["tail", "-n", "0", id.trim()]).code == Some(0));
    assert_eq!(logboom.latest()["id"], id.trim());
    assert_eq!(logboom.latest()["outcome"], "running");
}

#[test]
fn name_and_labels_are_kept() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--name", "nightly build", "--label", "branch=main", "--label", "n=1", "true"]).expect(0);
    let latest = logboom.latest();
    assert_eq!(latest["name"], "nightly build");
    assert_eq!(latest["labels"], serde_json::json!({"branch": "main", "n": "1"}));
    logboom.run(&["run", "--label", "nonsense", "true"]).expect(125);
}

#[test]
fn quiet_captures_and_passes_nothing_on() {
    let logboom = Logboom::new();
    let done = logboom.run(&["run", "--quiet", "sh", "-c", "echo out; echo err >&2"]).expect(0);
    assert_eq!((done.text(), done.stderr), (String::new(), String::new()));
    assert_eq!(messages(&logboom, &[]).len(), 2);
}

#[test]
fn options_after_the_command_are_the_commands() {
    let logboom = Logboom::new();
    let done = logboom.run(&["run", "echo", "--quiet", "--dir", "x", "-h"]).expect(0);
    assert_eq!(done.text(), "--quiet --dir x -h\n");
}

#[test]
fn any_bytes_come_back_exactly() {
    let logboom = Logboom::new();
    let mut bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    bytes.extend_from_slice(b"\n\n\r\n\x1b[2J\xff\xfe\0\nlast without newline");
    fs::write(logboom.home().join("bytes"), &bytes).unwrap();
    for option in ["--summary=never", "--no-boom"] {
        logboom.run(&["run", option, "--quiet", "cat", "bytes"]).expect(0);
        let done = logboom.run(&["show", "--raw", "--stream", "stdout"]).expect(0);
        assert!(done.stdout == bytes, "{option}");
    }
}

#[test]
fn a_line_longer_than_a_record_is_one_line_to_every_reader() {
    let logboom = Logboom::new();
    let script = "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo needle; echo last";
    logboom.run(&["run", "--quiet", "sh", "-c", script]).expect(0);
    assert_eq!(logboom.latest()["lines"], 3);
    let records = logboom.jsons(&["show", "--json"]);
    assert_eq!(records.iter().filter(|record| record["continued"] == true).count(), 2);
    let long = logboom.run(&["tail", "-n", "2"]).expect(0);
    assert_eq!(long.lines().len(), 2);
    assert!(long.lines()[0].len() > 3_000_000);
    assert_eq!(logboom.run(&["search", "--count", "xneedle"]).expect(0).text(), "1\n");
}

#[test]
fn an_unfinished_line_is_there_before_its_end() {
    let logboom = Logboom::new();
    let args = ["run", "--", "sh", "-c", "printf 'password: '; read answer; echo \"got $answer\""];
    let mut running = Running::of(logboom.command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
    wait_until(|| logboom.run(&["show", "--raw"]).text() == "password: ");
    running.0.stdin.take().unwrap().write_all(b"it\n").unwrap();
    assert_eq!(running.done().expect(0).text(), "password: got it\n");
    let shown = logboom.run(&["show"]).expect(0).lines();
    assert_eq!((shown.len(), &shown[0][28..]), (1, "O I password: got it"));
}

#[test]
fn the_text_log_can_be_read_by_a_person() {
    let logboom = Logboom::new();
    logboom.run_script("echo hello; printf open").expect(0);
    let text = fs::read_to_string(logboom.session_file("exec_sh.log")).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| &line[28..]).collect();
    assert_eq!(lines, ["O I hello", "o I open"]);
}

#[test]
fn a_logboom_inside_another_adds_to_its_session() {
    let logboom = Logboom::new();
    let bin = env!("CARGO_BIN_EXE_logboom");
    logboom.run(&["run", "--name", "outer", "sh", "-c", &format!("{bin} run --name inner echo hi")]).expect(0);
    let sessions = logboom.jsons(&["sessions", "--json"]);
    assert_eq!(sessions.len(), 1);
    let names: Vec<&Value> = sessions[0]["runs"].as_array().unwrap().iter().map(|run| &run["name"]).collect();
    assert_eq!(names, ["outer", "inner"]);
    assert_eq!(messages(&logboom, &["--run", "inner"]), ["hi"]);
    logboom.run(&["run", "sh", "-c", &format!("{bin} run --new-session echo hi")]).expect(0);
    assert_eq!(logboom.jsons(&["sessions", "--json"]).len(), 3);
}

#[test]
fn where_the_session_around_has_ended_there_is_a_new_one_and_a_word_about_it() {
    let logboom = Logboom::new();
    let id = logboom.run(&["session", "start"]).expect(0).text();
    logboom.run(&["session", "end", id.trim()]).expect(0);
    let done: common::Done =
        logboom.command(&["run", "echo", "hi"]).env("LOGBOOM_SESSION", id.trim()).output().unwrap().into();
    let done = done.expect(0);
    assert!(done.stderr.contains("has ended; this run gets a session of its own"), "{}", done.stderr);
    assert_eq!(logboom.jsons(&["sessions", "--json"]).len(), 2);
}

#[test]
fn several_commands_at_once_add_to_a_started_session() {
    let logboom = Logboom::new();
    let id = logboom.run(&["session", "start", "--name", "many"]).expect(0).text();
    let id = id.trim();
    let starts = (0..8).map(|number| {
        let script = format!("for i in 1 2 3 4 5; do echo {number} $i; done");
        logboom.start(&["exec", "--session", id, "--name", &format!("n{number}"), "--", "sh", "-c", &script])
    });
    let running: Vec<Running> = starts.collect();
    running.into_iter().for_each(|one| {
        one.done().expect(0);
    });
    assert_eq!(logboom.latest()["outcome"], "running");
    logboom.run(&["session", "end", id, "--outcome", "failed"]).expect(0);
    let latest = logboom.latest();
    assert_eq!((&latest["outcome"], &latest["lines"]), (&Value::from("failed"), &Value::from(40)));
    assert_eq!(latest["runs"].as_array().unwrap().len(), 8);
    assert_eq!(messages(&logboom, &["--run", "n3"]), ["3 1", "3 2", "3 3", "3 4", "3 5"]);
    logboom.run(&["verify"]).expect(0);
}

#[test]
fn nothing_is_run_in_a_session_that_is_not_there_or_has_ended() {
    let logboom = Logboom::new();
    let id = logboom.run(&["session", "start"]).expect(0).text();
    logboom.run(&["exec", "--session", "ffffffff", "touch", "made"]).expect(125);
    logboom.run(&["session", "end", id.trim()]).expect(0);
    let done = logboom.run(&["exec", "--session", id.trim(), "touch", "made"]).expect(125);
    assert!(done.stderr.contains("has ended (passed"), "{}", done.stderr);
    assert!(!logboom.home().join("made").exists());
    logboom.run(&["session", "end", id.trim()]).expect(2);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_as_it_would_without_us() {
    let logboom = Logboom::new();
    let mut running = logboom.start(&["run", "yes"]);
    let mut first = [0; 2];
    running.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(running.0.stdout.take());
    assert_eq!(running.done().signal, Some(13));
}

#[test]
fn a_data_dir_that_cannot_be_written_is_one_warning_and_no_more() {
    let logboom = Logboom::new();
    fs::write(logboom.home().join("file"), "").unwrap();
    let done = logboom.run(&["run", "--dir", "file/data", "sh", "-c", "echo out; exit 7"]).expect(7);
    assert_eq!(done.text(), "out\n");
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(done.stderr.starts_with("logboom: this run is not captured: "), "{}", done.stderr);
}

#[test]
fn the_command_finds_its_session_in_its_environment() {
    let logboom = Logboom::new();
    let done = logboom.run_script("echo $LOGBOOM_DIR; echo $LOGBOOM_SESSION; echo $LOGBOOM_RUN").expect(0);
    let (latest, data) = (logboom.latest(), logboom.data());
    let want = [data.to_str().unwrap(), latest["id"].as_str().unwrap(), latest["runs"][0]["id"].as_str().unwrap()];
    assert_eq!(done.lines(), want);
}

#[test]
fn a_signal_after_the_commands_end_does_not_change_how_it_ended() {
    let logboom = Logboom::new();
    let script = "sleep 1000 & echo $! > child; exit 1";
    let running = logboom.start(["run", "--drain", "forever", "--", "sh", "-c", script]);
    wait_until(|| fs::read_to_string(logboom.path("child")).is_ok_and(|pid| pid.ends_with('\n')));
    let child = fs::read_to_string(logboom.path("child")).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    wait_until(|| fs::read_to_string(&children).unwrap().trim() == child.trim()); // adopted: the shell is gone
    common::signal("-TERM", running.pid());
    running.done().expect(1);
    common::signal("-KILL", child.trim().parse().unwrap());
    assert_eq!(logboom.latest()["outcome"], "failed");
}

/// Each event's name and time.
fn timeline(logboom: &Logboom) -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| (event["event"].as_str().unwrap().into(), event["time"].as_str().unwrap().into())).unzip()
}

#[test]
fn the_timeline_tells_what_happened_when() {
    let logboom = Logboom::new();
    logboom.run_script("exit 0").expect(0);
    assert_eq!(timeline(&logboom).0, ["start", "exec", "end"]);
    logboom.run(["run", "no-such-program"]).expect(127);
    assert_eq!(timeline(&logboom).0, ["start", "end"]);

    let script = "trap 'echo heard' USR1; trap '' TERM; echo up; while :; do sleep 0.01; done";
    let args = ["run", "--timeout", "1s", "--grace", "50ms", "--", "sh", "-c", script];
    let running = logboom.start(args);
    wait_until(|| logboom.run(["show", "--raw"]).text() == "up\n");
    common::signal("-USR1", running.pid());
    running.done().expect(124);
    let (names, times) = timeline(&logboom);
    assert_eq!(names, ["start", "exec", "signal", "timeout", "end"]);
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
}

#[test]
fn what_a_descendant_keeps_open_is_drained_and_the_cut_is_noted() {
    let logboom = Logboom::new();
    let script = "(sleep 0.3; echo late; sleep 1000) & echo $! > child; echo early";
    logboom.run(&["run", "--drain", "1s", "--", "sh", "-c", script]).expect(0);
    assert_eq!(messages(&logboom, &["--stream", "stdout"]), ["early", "late"]);
    assert!(messages(&logboom, &["--stream", "system"])[0].contains("still open"));
    let timeline = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
    assert!(timeline.contains("\"drain_cut\""), "{timeline}");
    logboom.run(&["run", "--timeout", "1ms", "--grace", "1ms", "sh", "-c", "kill $(cat child); sleep 5"]);
}

#[test]
fn a_missing_session_or_subcommand_is_said_in_one_plain_line() {
    let logboom = Logboom::new();
    let done = logboom.run(["exec", "true"]).expect(125);
    assert_eq!(done.stderr, "logboom: no session; give --session ID, or set LOGBOOM_SESSION\n");
    let done = logboom.run(["session"]).expect(2);
    assert_eq!(done.stderr, "logboom: a subcommand is missing (see `logboom session --help`)\n");
}

#[test]
fn with_detach_output_a_reader_that_goes_away_changes_nothing() {
    let logboom = Logboom::new();
    let script = "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; echo three; exit 5";
    let mut running = logboom.start(["run", "--detach-output", "--", "sh", "-c", script]);
    let mut first = [0; 4];
    running.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(running.0.stdout.take());
    fs::write(logboom.path("go"), "").unwrap();
    running.done().expect(5);
    assert_eq!(messages(&logboom, &[]), ["one", "two", "three"]);
}

#[test]
fn tty_always_gives_terminals_where_logboom_has_none() {
    let logboom = Logboom::new();
    let script = "for fd in 1 2; do test -t $fd && echo terminal || echo pipe; done";
    let run = |tty: &str| logboom.run(["run", "--tty", tty, "--", "sh", "-c", script]).expect(0).lines();
    assert_eq!(run("always"), ["terminal", "terminal"]);
    assert_eq!(run("auto"), ["pipe", "pipe"]);
    fs::write(logboom.path("logboom.toml"), "tty = \"always\"\n").unwrap();
    assert_eq!(run("never"), ["pipe", "pipe"]);
    assert_eq!(logboom.run_script(script).expect(0).lines(), ["terminal", "terminal"]);
}

#[test]
fn drain_forever_waits_for_the_last_word() {
    let logboom = Logboom::new();
    fs::write(logboom.path("logboom.toml"), "drain = \"10ms\"\n").unwrap();
    let script = "(echo $$ > shell; while [ ! -e go ]; do sleep 0.01; done; echo late) & echo early";
    let running = logboom.start(["run", "--drain", "forever", "--", "sh", "-c", script]);
    let gone = |pid: &str| !std::path::Path::new("/proc").join(pid.trim()).exists();
    wait_until(|| fs::read_to_string(logboom.path("shell")).is_ok_and(|pid| pid.ends_with('\n') && gone(&pid)));
    let since = Instant::now();
    wait_until(|| since.elapsed() > Duration::from_millis(100)); // longer than the configured drain
    fs::write(logboom.path("go"), "").unwrap();
    running.done().expect(0);
    assert_eq!(messages(&logboom, &[]), ["early", "late"]);
}

#[test]
fn what_is_printed_after_a_flood_stands_after_it() {
    let script = "i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); echo $i; done; echo here >&2; read -r answer";
    for options in [&["--quiet"][..], &["--quiet", "--tty", "always"], &[]] {
        for _ in 0..10 {
            let logboom = Logboom::new();
            let run = logboom.command(["run"]).args(options).args(["--", "sh", "-c", script]).output().unwrap();
            assert_eq!(run.status.code(), Some(1), "there is no answer");
            let here = logboom.json(["show", "--stream", "stderr", "--json"]);
            assert!(options.is_empty() || here["seq"] == 3_001, "{here}");
            let numbers: String = (1..=3_000).map(|number| format!("{number}\n")).collect();
            assert_eq!(logboom.text(["show", "--raw", "--stream", "stdout"]), numbers);
            assert!(options.is_empty() == (run.stdout == numbers.as_bytes()));
        }
    }
}

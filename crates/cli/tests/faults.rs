//! What is kept when things go wrong: logboom killed at any moment, a disk that fills, comes back, or does not.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod common;
#[path = "../../files/tests/small_disk/mod.rs"]
mod small_disk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::sync_channel,
    thread::spawn,
    time::{Duration, Instant},
};

use common::{DEADLINE, Done, Logboom, Running, wait_until};
use serde_json::Value;
use small_disk::SmallDisk;

/// The program that prints numbered lines; see `examples/numbers.rs`.
fn numbers() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_logboom")).with_file_name("examples").join("numbers")
}

/// How many lines had been printed for certain when this was read.
fn printed(progress: &Path) -> u64 {
    fs::read_to_string(progress).ok().and_then(|text| text.get(..20)?.parse().ok()).unwrap_or(0)
}

/// Checks that `bytes` are `line 1`, `line 2`, … and gives the last number; a last line without LF may be cut.
fn count_lines(bytes: &[u8]) -> u64 {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut number = 0u64;
    for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
        number += 1;
        assert_eq!(String::from_utf8_lossy(line), format!("line {number}\n"));
    }
    assert!(format!("line {}\n", number + 1).as_bytes().starts_with(&bytes[whole..]), "a foreign end");
    number
}

/// The messages of a text log, as they were printed.
fn messages(text_log: &Path) -> Vec<u8> {
    let text = fs::read(text_log).unwrap();
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| matches!(line.get(28), Some(b'O' | b'o')));
    lines.flat_map(|line| if line[28] == b'o' { &line[32..line.len() - 1] } else { &line[32..] }).copied().collect()
}

/// A number below `below`, of a fixed sequence.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn nothing_printed_more_than_100_ms_before_a_kill_is_lost_at_200_random_moments() {
    // A disk that is busy with what others wrote, a build say, holds up write(2) itself, and with it the flush: then bytes bound
    // what is lost, not time (docs/architecture.md).
    rustix::fs::sync();
    let mut seed = 1;
    for round in 0..200 {
        let logboom = Logboom::new();
        let progress = logboom.path("progress");
        let mut run = logboom.command(["run", "--quiet", "--"]).arg(numbers()).arg(&progress).spawn().unwrap();
        let first = if round % 4 == 0 { 0 } else { random(&mut seed, 50_000) };
        wait_until(|| printed(&progress) >= first);
        std::thread::sleep(Duration::from_micros(random(&mut seed, 20_000))); // any moment is a good one
        let before = printed(&progress);
        std::thread::sleep(Duration::from_millis(100)); // what the promise allows
        run.kill().unwrap();
        run.wait().unwrap();
        check_killed(&logboom, before);
    }
}

fn check_killed(logboom: &Logboom, printed: u64) {
    let verify = logboom.json(["verify", "--json"]);
    assert_eq!(verify["damaged"].as_array().unwrap().len(), 0, "{verify}");
    if printed == 0 && verify["gaps"].as_array().unwrap().is_empty() {
        return; // killed before the command was started: there is no run
    }
    assert_eq!(verify["gaps"].as_array().unwrap().len(), 1, "{verify}");
    assert!(verify["gaps"][0]["to"].is_null() && verify["lost"].is_null(), "{verify}");
    let raw = logboom.command(["show", "--raw", "--stream", "stdout"]).output().unwrap();
    let kept = count_lines(&raw.stdout);
    assert!(kept >= printed, "{kept} of {printed} lines kept");
    assert!(kept == 0 || raw.status.code() == Some(1), "a gap is said by the exit code");
    assert!(logboom.command(["verify", "--repair"]).output().unwrap().status.code() == Some(1));
    assert_eq!(messages(&logboom.session_file("exec_numbers.log")), raw.stdout, "the text log agrees");
    assert_eq!(logboom.json(["sessions", "--json"])["outcome"], "lost");
}

#[test]
fn a_command_on_a_full_disk_is_not_changed_and_the_gap_has_its_count() {
    check_on_full_disk(&[]);
}

#[test]
fn without_a_boom_file_it_is_not_changed_either() {
    check_on_full_disk(&["--no-boom"]);
}

fn check_on_full_disk(options: &[&str]) {
    let disk = SmallDisk::new("2m");
    let logboom = Logboom::in_dir(disk.path().join("logs"));
    let script = "\"$0\" \"$1\" 2000000; exit 3";
    let run = logboom
        .command(["run"])
        .args(options)
        .args(["--", "sh", "-c", script])
        .arg(numbers())
        .arg(logboom.path("progress"))
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(3));
    assert_eq!(count_lines(&run.stdout), 2_000_000);
    let warning = String::from_utf8(run.stderr).unwrap();
    assert_eq!(warning.lines().count(), 1, "one warning: {warning}");

    let verify = logboom.json(["verify", "--json"]);
    let (records, lost) = (verify["records"].as_u64().unwrap(), verify["lost"].as_u64().unwrap());
    assert_eq!(records + lost, 2_000_000, "{verify}");
    assert!(records > 0 && lost > 0, "{verify}");
    assert_eq!(verify["damaged"].as_array().unwrap().len(), 0, "{verify}");
    let session = logboom.json(["sessions", "--json"]);
    assert_eq!((session["outcome"].as_str(), session["exit_code"].as_i64()), (Some("failed"), Some(3)), "{session}");
    let shown = logboom.command(["show", "--raw"]).output().unwrap();
    let lines = shown.stdout.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!((shown.status.code(), lines), (Some(1), records));
}

/// `logboom exec --no-boom` in a session: a command that waits for the end of its input before it prints `count` lines.
fn start_waiting(logboom: &Logboom, session: &str, number: usize, count: &str) -> Running {
    let mut command = logboom.command(["exec", "--no-boom", "--session", session, "--", "sh", "-c"]);
    command.arg("read go; \"$0\" \"$1\" \"$2\"; exit 3").arg(numbers());
    command.arg(logboom.path(&format!("progress{number}"))).arg(count);
    Running::of(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn every_run_without_a_boom_file_keeps_gap_and_end_on_a_disk_that_stays_full() {
    const RUNS: usize = 30; // their metadata are larger than a reserve of one size for all would be
    let disk = SmallDisk::new("8m");
    let logboom = Logboom::in_dir(disk.path().join("logs"));
    let id = logboom.text(["session", "start"]);
    let running: Vec<_> = (0..RUNS).map(|number| start_waiting(&logboom, id.trim(), number, "5000")).collect();
    let timeline = logboom.session_file("timeline.jsonl");
    wait_until(|| fs::read_to_string(&timeline).unwrap().matches("\"exec\"").count() == RUNS);
    for mut run in running {
        disk.fill();
        drop(run.0.stdin.take());
        assert_eq!(count_lines(&run.done().expect(3).stdout), 5_000);
    }

    let check = || {
        let verify = logboom.json(["verify", "--json"]);
        let (records, lost) = (verify["records"].as_u64().unwrap(), verify["lost"].as_u64().unwrap());
        assert_eq!((records + lost, verify["damaged"].as_array().unwrap().len()), (5_000 * RUNS as u64, 0), "{verify}");
        assert!(lost > 0 && verify["gaps"].as_array().unwrap().len() == RUNS, "{verify}");
        let session = logboom.latest();
        let runs = session["runs"].as_array().unwrap();
        assert!(runs.iter().all(|run| run["outcome"] == "failed"), "{session}");
        assert_eq!((runs.len(), session["lost"].as_u64()), (RUNS, Some(lost)), "{session}");
    };
    check();
    disk.make_room();
    logboom.text(["session", "end", id.trim()]);
    check();
    let meta: Value = serde_json::from_slice(&fs::read(timeline.with_file_name("session.json")).unwrap()).unwrap();
    let runs = meta["runs"].as_array().unwrap();
    assert!(runs.iter().all(|run| run["end"]["exit_code"] == 3), "what the disk had no room for is there now: {meta}");
    assert_eq!(meta["run"]["end"]["outcome"], "failed");
}

/// `logboom run` of a million lines where no file may be larger than 32 KiB.
fn run_with_small_files(logboom: &Logboom, options: &str, stderr: Stdio) -> Done {
    let script = format!("trap '' XFSZ; ulimit -f 64; exec \"$0\" run --quiet {options} -- seq 1 1000000");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_logboom")]).env("LOGBOOM_DIR", logboom.data());
    let running = Running::of(shell.stdout(Stdio::null()).stderr(stderr));
    let pid = running.pid();
    let (sender, ended) = sync_channel(1);
    let waiting = spawn(move || sender.send(running.done()));
    let done = ended.recv_timeout(DEADLINE);
    if done.is_err() {
        common::signal("-KILL", pid);
    }
    waiting.join().unwrap().unwrap();
    done.unwrap()
}

#[test]
fn a_warning_that_cannot_be_said_does_not_hold_up_the_command() {
    let logboom = Logboom::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    run_with_small_files(&logboom, "", full.into()).expect(0);
    assert_eq!(logboom.latest()["outcome"], "passed");
}

#[test]
fn the_warning_has_the_reason_and_the_gaps_are_in_the_timeline_before_the_end() {
    for options in ["--summary=never", "--no-boom"] {
        let logboom = Logboom::new();
        let done = run_with_small_files(&logboom, options, Stdio::piped()).expect(0);
        assert_eq!(done.stderr.matches("File too large").count(), 1, "{}", done.stderr);
        let timeline = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
        let events: Vec<Value> = timeline.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        let (last, before) = names.split_last().unwrap();
        assert_eq!((*last, &before[..2]), ("end", &["start", "exec"][..]), "{options}: {names:?}");
        let size = |gap: &Value| gap["to"].as_u64().unwrap() - gap["from"].as_u64().unwrap() + 1;
        let gaps: u64 = events.iter().filter(|event| event["event"] == "gap").map(size).sum();
        assert_eq!(Some(gaps), events.last().unwrap()["lost"].as_u64(), "{options}: {timeline}");
        assert!(gaps > 0);
    }
}

#[test]
fn capture_goes_on_when_there_is_room_again() {
    let disk = SmallDisk::new("10m");
    let logboom = Logboom::in_dir(disk.path().join("logs"));
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 6 << 20]).unwrap();
    let script = "\"$0\" \"$1\" 1500000; rm \"$2\"; sleep 1; echo the end";
    let run = logboom
        .command(["run", "--quiet", "--", "sh", "-c", script])
        .arg(numbers())
        .arg(logboom.path("progress"))
        .arg(&filler)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(0));
    let verify = logboom.json(["verify", "--json"]);
    let (records, lost) = (verify["records"].as_u64().unwrap(), verify["lost"].as_u64().unwrap());
    assert_eq!(records + lost, 1_500_001, "{verify}");
    assert!(lost > 0, "the disk never was full: {verify}");
    let last = logboom.json(["tail", "-n", "1", "--json"]);
    assert_eq!((last["message"].as_str(), last["seq"].as_u64()), (Some("the end"), Some(1_500_001)), "{last}");
}

#[test]
fn a_stopped_logboom_goes_on_where_it_was() {
    let logboom = Logboom::new();
    let progress = logboom.path("progress");
    let mut run =
        logboom.command(["run", "--quiet", "--"]).arg(numbers()).args([&progress]).arg("3000000").spawn().unwrap();
    wait_until(|| printed(&progress) > 10_000);
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, &run.id().to_string()]).status().unwrap().success());
    signal("-STOP");
    let stalled = stable(|| printed(&progress));
    signal("-CONT");
    assert!(run.wait().unwrap().success());
    assert!(stalled < 3_000_000, "the command was never held up");
    let raw = logboom.command(["show", "--raw"]).output().unwrap();
    assert_eq!((raw.status.code(), count_lines(&raw.stdout)), (Some(0), 3_000_000));
}

/// The value once it has not changed for a tenth of a second.
fn stable(value: impl Fn() -> u64) -> u64 {
    let (mut last, mut since) = (value(), Instant::now());
    while since.elapsed() < Duration::from_millis(100) {
        let now = value();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn two_processes_that_end_one_session_agree() {
    let logboom = Logboom::new();
    let id = logboom.text(["session", "start"]);
    let end = |outcome: &str| {
        let mut command = logboom.command(["session", "end", id.trim(), "--outcome", outcome]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ends = [end("passed"), end("failed")].map(|child| child.wait_with_output().unwrap());
    let codes: Vec<_> = ends.iter().map(|output| output.status.code().unwrap()).collect();
    assert!(codes.contains(&0) && codes.contains(&2), "one ends it, the other is told: {codes:?}");
    let told = ends.iter().find(|output| output.status.code() == Some(2)).unwrap();
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("already ended"),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
}

#[test]
fn twenty_writers_in_one_session_lose_nothing() {
    let logboom = Logboom::new();
    let id = logboom.text(["session", "start"]);
    let children: Vec<_> = (0..20)
        .map(|writer| {
            let progress = logboom.path(&format!("progress{writer}"));
            let mut command = logboom.command(["exec", "--quiet", "--session", id.trim(), "--"]);
            command.arg(numbers()).arg(progress).arg("20000").spawn().unwrap()
        })
        .collect();
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    logboom.text(["session", "end", id.trim(), "--outcome", "passed"]);
    let verify = logboom.json(["verify", "--json"]);
    assert_eq!((verify["records"].as_u64(), verify["lost"].as_u64()), (Some(400_000), Some(0)), "{verify}");
    for writer in 1..=20 {
        let name = if writer == 1 { "exec_numbers.log".to_owned() } else { format!("exec_numbers.{writer}.log") };
        assert_eq!(count_lines(&messages(&logboom.session_file(&name))), 20_000);
    }
}

#[test]
fn on_a_read_only_disk_commands_run_and_sessions_can_be_read() {
    let disk = SmallDisk::new("2m");
    let logboom = Logboom::in_dir(disk.path().join("logs"));
    let open = logboom.text(["session", "start"]);
    logboom.run(["run", "--name", "kept", "echo", "kept"]).expect(0);
    disk.make_read_only();

    let script = "echo out; exit 7";
    for options in [&["run"][..], &["exec", "--session", open.trim()]] {
        let done = logboom.run([options, &["--", "sh", "-c", script]].concat()).expect(7);
        assert_eq!(done.text(), "out\n");
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        assert!(done.stderr.starts_with("logboom: this run is not captured: "), "{}", done.stderr);
        assert_eq!(done.stderr.matches("Read-only file system").count(), 1, "{}", done.stderr);
    }
    assert_eq!(logboom.run_with_input(["pipe"], b"in\n").expect(0).text(), "in\n");
    for refused in [&["session", "start"][..], &["session", "end", open.trim()]] {
        let stderr = logboom.run(refused).expect(2).stderr;
        assert!(stderr.lines().count() == 1 && stderr.contains("Read-only file system"), "{stderr}");
    }

    assert_eq!(logboom.text(["show", "--raw", "kept"]), "kept\n");
    assert!(logboom.text(["tail", "-n", "1", "kept"]).ends_with(" kept\n"));
    assert_eq!(logboom.text(["search", "--count", "kept", "kept"]), "1\n");
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 2);
    logboom.run(["verify", "kept"]).expect(0);
}

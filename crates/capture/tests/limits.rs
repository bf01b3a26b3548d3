//! The time limit: everything that descends from the command ends, and nothing else.

mod driver;

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use driver::{capture, lives, program, read_when_written, text};

#[test]
fn a_time_out_is_said_and_ends_the_command() {
    let start = Instant::now();
    let done = capture(&["timeout=200"], &["sleep", "100"]).run();
    assert_eq!(done.status.code(), Some(124));
    assert!(done.report.contains("Signaled(15)") && done.report.contains("timed_out: Some"), "{}", done.report);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_command_within_its_time_is_left_alone() {
    let done = capture(&["timeout=60000"], &["sh", "-c", "exit 3"]).run();
    assert_eq!(done.status.code(), Some(3));
    assert!(done.report.contains("timed_out: None"), "{}", done.report);
}

#[test]
fn descendants_in_sessions_of_their_own_end_too() {
    let script = "setsid sh -c 'echo $$; setsid sleep 100 & sleep 100' & sleep 100";
    let done = capture(&["timeout=300"], &["sh", "-c", script]).run();
    assert_eq!(done.status.code(), Some(124));
    let pid = text(&done.kept_stdout).trim();
    assert!(!pid.is_empty() && !lives(pid));
    assert!(done.report.contains("survivors: [], cut: []"), "{}", done.report);
}

#[test]
fn a_daemon_that_was_orphaned_ends_too() {
    let script = "(setsid sh -c 'sleep 100 & echo $! ; echo $$; wait' &) ; sleep 100";
    let done = capture(&["timeout=300"], &["sh", "-c", script]).run();
    let pids: Vec<_> = text(&done.kept_stdout).lines().collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| !lives(pid)));
}

#[test]
fn the_shell_that_started_us_goes_on_and_so_do_its_other_children() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "sleep 100 & other=$!; '{}' '{}' timeout=200 -- sleep 100; echo still here $?; kill $other && echo and the other",
        program().display(),
        dir.path().display()
    );
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(text(&output.stdout), "still here 124\nand the other\n");
}

#[test]
fn children_that_we_had_before_are_no_descendants() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "sleep 100 >/dev/null 2>&1 & echo $!; exec '{}' '{}' timeout=200 grace=200 -- sh -c 'trap \"\" TERM; sleep 100; sleep 100'",
        program().display(),
        dir.path().display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(124));
    assert!(Command::new("kill").arg(text(&output.stdout).trim()).status().unwrap().success(), "it must still live");
}

#[test]
fn grace_is_over_and_the_deaf_are_killed() {
    let script = "trap '' TERM; (while :; do sleep 1; done) & while :; do sleep 1; done";
    let start = Instant::now();
    let done = capture(&["timeout=200", "grace=200"], &["bash", "-c", script]).run();
    assert!(start.elapsed() >= Duration::from_millis(400) && start.elapsed() < Duration::from_secs(20));
    assert!(done.report.contains("Signaled(9)"), "{}", done.report);
    assert_eq!(done.status.code(), Some(124));
}

#[test]
fn a_command_that_ends_itself_in_its_grace_is_not_killed() {
    let script = "trap 'echo tidy; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let done = capture(&["timeout=300"], &["sh", "-c", script]).run();
    assert!(text(&done.kept_stdout).ends_with("tidy\n"));
    assert!(done.report.contains("Exited(5)"), "{}", done.report);
    assert_eq!(done.status.code(), Some(124));
}

#[test]
fn a_stopped_command_hears_the_time_out() {
    let done = capture(&["timeout=200"], &["sh", "-c", "kill -STOP $$"]).run();
    assert!(done.report.contains("Signaled(15)"), "{}", done.report);
}

#[test]
fn a_family_that_keeps_forking_is_ended() {
    let script = "trap '' TERM; f() { sleep 0.02; f & f2=$!; wait $f2; }; for i in 1 2 3 4 5 6 7 8; do f & done; wait";
    let done = capture(&["timeout=300", "grace=100", "pass=quiet"], &["bash", "-c", script]).run();
    assert_eq!(done.status.code(), Some(124));
    assert!(done.report.contains("survivors: [], cut: []"), "{}", done.report);
}

#[test]
fn the_drain_counts_as_well() {
    let start = Instant::now();
    let done = capture(&["timeout=400", "drain=forever"], &["sh", "-c", "sleep 100 & exit 0"]).run();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(done.report.contains("Exited(0)") && done.report.contains("timed_out: Some"), "{}", done.report);
    assert!(done.report.contains("cut: []"), "{}", done.report);
}

#[test]
fn a_stuck_reader_does_not_outlast_the_time_out() {
    let mut run = capture(&["timeout=200", "drain=100"], &["yes"]);
    let mut child = run.spawn();
    let stdout = child.stdout.take().unwrap(); // never read
    let done = run.wait(child);
    assert_eq!(done.status.code(), Some(124));
    assert!(done.report.contains("(Stdout, Stalled)"), "{}", done.report);
    assert!(done.told.contains("stdout\n"), "{}", done.told);
    drop(stdout);
}

#[test]
fn what_the_ended_command_had_written_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let script = format!("seq 1 30000; echo now > '{}'; sleep 100", ready.display());
    let mut run = capture(&["timeout=2000"], &["sh", "-c", &script]);
    let child = run.spawn();
    read_when_written(&ready);
    let done = run.wait(child);
    assert!(done.kept_stdout.ends_with(b"\n30000\n") && done.stdout == done.kept_stdout);
    assert!(fs::exists(&ready).unwrap());
}

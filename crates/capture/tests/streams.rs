//! The two streams of a command: exact to the byte, as fast and as slow as their readers, and ended when they end.

mod driver;

use std::{
    fs,
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use driver::{capture, program, random_file, read_all, text, wait_until, wait_until_calm};

#[test]
fn both_streams_are_exact_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| random_file(&dir.path().join(name), 8 << 20));
    let mut run = capture(&[], &["sh", "-c", "cat out & cat err >&2; wait"]);
    run.command.current_dir(dir.path());
    let done = run.run();
    assert!(done.stdout == out && done.kept_stdout == out);
    assert!(done.stderr == err && done.kept_stderr == err);
}

#[test]
fn a_command_dies_with_the_reader_of_its_output() {
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("{{ '{}' '{}' -- yes; echo $? >'{1}/code'; }} | head -1", program().display(), dir.path().display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stdout), "y\n");
    assert_eq!(fs::read_to_string(dir.path().join("code")).unwrap(), "141\n");
}

#[test]
fn a_silent_command_hears_of_a_lost_reader_at_its_next_write() {
    let script = "echo ready; read line; echo into nothing; echo survived >&2";
    let mut run = capture(&[], &["bash", "-c", script]);
    let mut child = run.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 6]).unwrap();
    drop(stdout);
    let dir = run.path().to_owned();
    wait_until("stdout to end", || driver::told(&dir).contains("stdout"));
    drop(child.stdin.take());
    let done = run.wait(child);
    assert_eq!((done.status.signal(), text(&done.stderr)), (Some(13), ""));
}

#[test]
fn a_detachable_command_is_captured_on() {
    let mut run = capture(&["pass=detachable"], &["sh", "-c", "seq 1 200000; echo done >&2"]);
    let mut child = run.spawn();
    drop(child.stdout.take());
    let done = run.wait(child);
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), "done\n"));
    assert!(done.kept_stdout.ends_with(b"\n200000\n"));
    assert!(done.report.contains("(Stdout, Closed)"), "{}", done.report);
}

#[test]
fn a_full_disk_behind_the_output_is_reported_and_the_run_goes_on() {
    let mut run = capture(&[], &["sh", "-c", "seq 1 100000; exit 4"]);
    run.command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
    let child = run.command.spawn().unwrap();
    let done = run.wait(child);
    assert_eq!(done.status.code(), Some(4));
    assert!(done.kept_stdout.ends_with(b"\n100000\n"));
    assert!(done.report.contains("StorageFull"), "{}", done.report);
}

#[test]
fn a_slow_reader_stops_the_command() {
    let script = "i=0; while :; do i=$((i+1)); echo $i > written; head -c 65536 /dev/zero || exit 7; done";
    let mut run = capture(&[], &["sh", "-c", script]);
    let dir = tempfile::tempdir().unwrap();
    run.command.current_dir(dir.path());
    let mut child = run.spawn();
    let written = || fs::read_to_string(dir.path().join("written")).unwrap_or_default().trim().parse::<u32>();
    let mut stdout = child.stdout.take().unwrap();
    wait_until("the first write", || written().is_ok());
    let stuck_at = wait_until_calm(Duration::from_millis(300), written).unwrap();
    assert!(stuck_at < 64, "{stuck_at} blocks were written to nobody");
    stdout.read_exact(&mut vec![0; 4 << 20]).unwrap();
    wait_until("the command to go on", || written().is_ok_and(|now| now > stuck_at + 32));
    drop(stdout);
    assert_eq!(run.wait(child).status.code(), Some(7));
}

#[test]
fn a_slow_reader_of_stdout_does_not_stop_stderr() {
    let mut run = capture(&[], &["sh", "-c", "head -c 5000000 /dev/zero & seq 1 100000 >&2; wait"]);
    let mut child = run.spawn();
    let mut stderr = child.stderr.take().unwrap();
    let (mut seen, mut buffer) = (Vec::new(), [0; 65536]);
    while !seen.ends_with(b"\n100000\n") {
        let count = stderr.read(&mut buffer).unwrap();
        assert!(count > 0, "stderr ended early");
        seen.extend(&buffer[..count]);
    }
    assert!(child.try_wait().unwrap().is_none());
    let stdout = read_all(child.stdout.take().unwrap());
    assert!(run.wait(child).status.success());
    assert_eq!(stdout.join().unwrap().len(), 5_000_000);
}

#[test]
fn a_descendant_that_keeps_a_stream_is_drained_then_cut() {
    let start = Instant::now();
    let done = capture(&["drain=300"], &["sh", "-c", "sleep 100 & echo $!; echo last"]).run();
    assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < Duration::from_secs(20));
    assert!(done.report.contains("cut: [(Stdout, DrainOver), (Stderr, DrainOver)]"), "{}", done.report);
    let (pid, rest) = text(&done.kept_stdout).split_once('\n').unwrap();
    assert_eq!((rest, done.status.code()), ("last\n", Some(0)));
    assert!(driver::lives(pid), "a descendant that only keeps a stream must not be harmed");
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
}

#[test]
fn what_was_written_before_the_cut_is_kept() {
    let script = "(while seq 1 1000; do :; done) & trap '' PIPE; seq 1 20000";
    let done = capture(&["drain=0", "pass=quiet"], &["bash", "-c", script]).run();
    assert!(driver::contains(&done.kept_stdout, b"\n19999\n20000\n"));
    assert!(done.report.contains("(Stdout, DrainOver)"), "{}", done.report);
}

#[test]
fn a_drain_for_ever_reads_to_the_end() {
    let script = "exec 3<&0; (read line <&3; seq 1 50000) & echo ready"; // a background job's own input is empty
    let mut run = capture(&["drain=forever"], &["sh", "-c", script]);
    let mut child = run.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let rest = read_all(child.stdout.take().unwrap());
    run.wait_for_kept("ready\n");
    drop(child.stdin.take());
    let done = run.wait(child);
    assert!(rest.join().unwrap().ends_with(b"\n50000\n"));
    assert!(done.report.contains("cut: []"), "{}", done.report);
}

#[test]
fn a_stuck_reader_is_waited_for_after_the_end() {
    // Our output, a pipe that nobody reads, takes 64 KiB, so that we are stuck. What is over fits into the command's pipe, so
    // that the command ends: into its 256 KiB, and into the usual 64 where the system refuses more. How much we hold in
    // hand besides is luck: as much as the last read found.
    let (ours, over) = (64 << 10, 48 << 10);
    let mut run = capture(&["drain=0"], &["sh", "-c", &format!("head -c {} /dev/zero", ours + over)]);
    let mut child = run.spawn();
    let told = run.path().join("ended");
    wait_until("the start", || fs::read_to_string(&told).unwrap_or_default().starts_with("started "));
    let pid = fs::read_to_string(&told).unwrap().trim_start_matches("started ").trim().to_owned();
    wait_until("the command's end", || !driver::lives(&pid));
    assert!(child.try_wait().unwrap().is_none());
    let rest = read_all(child.stdout.take().unwrap());
    let done = run.wait(child);
    assert_eq!(rest.join().unwrap().len(), ours + over);
    assert!(done.report.contains("cut: []"), "{}", done.report);
}

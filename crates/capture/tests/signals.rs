//! Signals: the command hears each of them as often as it would without us.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

mod driver;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command},
};

use driver::{Capture, Terminal, capture, program, text, wait_until};

/// Says `SIGNAL COUNT` for each signal it hears, until it hears TERM.
const COUNTER: &str = "
for s in HUP INT QUIT USR1 USR2; do eval \"n_$s=0; trap 'n_$s=\\$((n_$s+1)); echo $s \\$n_$s' $s\"; done
trap 'echo TERM 1; exit 0' TERM
echo ready; while :; do sleep 0.01; done";

fn send(signal: &str, to: &Child) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &to.id().to_string()]).status().unwrap().success());
}

fn start(script: &str) -> (Capture, Child) {
    let mut run = capture(&[], &["bash", "-c", script]);
    let child = run.spawn();
    run.wait_for_kept("ready\n");
    (run, child)
}

#[test]
fn what_a_process_sends_us_is_forwarded_once() {
    let (run, child) = start(COUNTER);
    for signal in ["HUP", "INT", "QUIT", "USR1", "USR2"] {
        for count in 1..=2 {
            send(signal, &child);
            run.wait_for_kept(&format!("{signal} {count}\n"));
        }
    }
    send("TERM", &child);
    let done = run.wait(child);
    let expected = "ready\nHUP 1\nHUP 2\nINT 1\nINT 2\nQUIT 1\nQUIT 2\nUSR1 1\nUSR1 2\nUSR2 1\nUSR2 2\nTERM 1\n";
    assert_eq!((text(&done.stdout), done.status.code()), (expected, Some(0)));
    assert!(done.report.contains("Received { signal: 15, forwarded: true"), "{}", done.report);
}

#[test]
fn a_forwarded_death_is_ours_too() {
    let (run, child) = start("echo ready; while :; do sleep 0.01; done");
    send("TERM", &child);
    assert_eq!(run.wait(child).status.signal(), Some(15));
}

#[test]
fn a_hangup_that_was_ignored_at_the_start_stays_so() {
    let mut run = capture(&[], &["bash", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"]);
    let mut nohup = Command::new("nohup");
    nohup.arg(program()).args(run.command.get_args());
    run.command = nohup;
    let child = run.spawn();
    run.wait_for_kept("ready\n");
    send("HUP", &child);
    send("TERM", &child);
    let done = run.wait(child);
    assert_eq!(done.status.code(), Some(0));
    assert!(!done.report.contains("signal: 1,"), "{}", done.report);
}

#[test]
fn stopping_us_by_a_process_stops_the_command_and_continuing_continues_it() {
    let (run, child) = start("echo ready; echo $$; while :; do sleep 0.01; done");
    run.wait_for_kept("\n");
    let told = driver::told(run.path());
    let pid = told.trim_start_matches("started ").trim().to_owned();
    let state = |pid: &str| {
        fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit_once(") ").unwrap().1[..1].to_owned()
    };
    let own = child.id().to_string();
    send("TSTP", &child);
    wait_until("both to stop", || state(&pid) == "T" && state(&own) == "T");
    send("CONT", &child);
    wait_until("both to go on", || state(&pid) != "T" && state(&own) != "T");
    send("TERM", &child);
    assert_eq!(run.wait(child).status.signal(), Some(15));
}

#[test]
fn a_signal_ends_the_drain() {
    let mut run = capture(&["drain=forever"], &["sh", "-c", "sleep 100 & echo $!"]);
    let child = run.spawn();
    run.wait_for_kept("\n");
    let told = driver::told(run.path());
    let pid = told.trim_start_matches("started ").trim().to_owned();
    wait_until("the command's end", || !fs::exists(format!("/proc/{pid}")).unwrap());
    send("INT", &child);
    let done = run.wait(child);
    assert_eq!(done.status.code(), Some(0));
    assert!(done.report.contains("(Stdout, Interrupted)"), "{}", done.report);
    assert!(Command::new("kill").arg(text(&done.stdout).trim()).status().unwrap().success());
}

#[test]
fn a_signal_between_the_end_and_our_notice_of_it_ends_the_drain() {
    let mut run = capture(&["drain=forever"], &["sh", "-c", "sleep 100 & echo $!; read line"]);
    let mut child = run.command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    run.wait_for_kept("\n");
    let state = |pid: &str| {
        fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit_once(") ").unwrap().1[..1].to_owned()
    };
    let (own, told) = (child.id().to_string(), driver::told(run.path()));
    let pid = told.trim_start_matches("started ").trim().to_owned();
    send("STOP", &child);
    wait_until("us to stop", || state(&own) == "T");
    drop(child.stdin.take());
    wait_until("the command's end", || state(&pid) == "Z");
    send("TERM", &child);
    send("CONT", &child);
    let done = run.wait(child);
    assert!(done.report.contains("(Stdout, Interrupted)"), "{}", done.report);
    assert!(Command::new("kill").arg(text(&done.kept_stdout).trim()).status().unwrap().success());
}

#[test]
fn control_c_is_counted_once_by_the_command() {
    let run = capture(&[], &["bash", "-c", COUNTER]);
    let mut command = Command::new(program());
    command.args(run.command.get_args());
    let terminal = Terminal::start(command);
    terminal.wait_for("ready");
    for count in 1..=3 {
        terminal.press("\x03");
        terminal.wait_for(&format!("INT {count}"));
    }
    terminal.press("\x1c");
    terminal.wait_for("QUIT 1");
    send("TERM", &terminal.child);
    let (status, screen) = terminal.finish();
    let done = run.done(status, screen, Vec::new());
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(text(&done.kept_stdout), "ready\nINT 1\nINT 2\nINT 3\nQUIT 1\nTERM 1\n");
    assert!(done.report.contains("Received { signal: 2, forwarded: false"), "{}", done.report);
}

#[test]
fn a_command_that_control_c_ends_ends_us_the_same_way() {
    let run = capture(&[], &["sh", "-c", "echo ready; while :; do sleep 0.01; done"]);
    let mut command = Command::new(program());
    command.args(run.command.get_args());
    let terminal = Terminal::start(command);
    terminal.wait_for("ready");
    terminal.press("\x03");
    assert_eq!(terminal.finish().0.signal(), Some(2));
}

#[test]
fn a_hangup_reaches_the_command_when_we_lead_the_session() {
    let run = capture(&[], &["bash", "-c", "trap 'exit 6' HUP; echo ready; while :; do sleep 0.01; done"]);
    let mut command = Command::new(program());
    command.args(run.command.get_args());
    let (master, slave) = pty_process::blocking::open().unwrap();
    let child = pty_process::blocking::Command::from(command).spawn(slave).unwrap();
    run.wait_for_kept("ready\n");
    drop(master);
    let done = run.wait(child);
    assert_eq!(done.status.code(), Some(6), "{}", done.report);
}

//! Terminals: what the command sees of them, and what the terminal sees of the command.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod driver;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use driver::{Capture, Terminal, capture, contains, program, random_file, text, wait_until};

/// The driver's command line, to be started in a terminal.
fn in_terminal(run: &Capture) -> Terminal {
    let mut command = Command::new(program());
    command.args(run.command.get_args());
    Terminal::start(command)
}

#[test]
fn each_stream_has_a_terminal_of_its_own() {
    let run = capture(&[], &["sh", "-c", "tty <&1; tty <&2; tty; echo to stderr >&2"]);
    let (status, screen) = in_terminal(&run).finish();
    let done = run.done(status, screen, Vec::new());
    let ttys: Vec<_> = text(&done.kept_stdout).lines().collect();
    assert_eq!(ttys.len(), 3);
    assert!(ttys[0] != ttys[1] && ttys[1] != ttys[2] && ttys[0] != ttys[2], "{ttys:?}");
    assert!(ttys.iter().all(|tty| tty.starts_with("/dev/pts/")));
    assert_eq!(text(&done.kept_stderr), "to stderr\n");
    assert!(contains(&done.stdout, b"to stderr\r\n"), "our own terminal makes the line ends");
}

#[test]
fn a_redirected_stream_is_a_pipe() {
    let run = capture(&[], &["sh", "-c", "test -t 1 && echo stdout; test -t 2 && echo stderr; true"]);
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\" 2>/dev/null", "sh"]).arg(program()).args(run.command.get_args());
    let (status, screen) = Terminal::start(command).finish();
    assert_eq!(text(&run.done(status, screen, Vec::new()).kept_stdout), "stdout\n");
}

#[test]
fn never_and_always_do_as_they_say() {
    let look = ["sh", "-c", "test -t 1 && echo tty || echo pipe; stty size <&1 2>/dev/null; true"];
    let never = capture(&["tty=never"], &look);
    let (status, screen) = in_terminal(&never).finish();
    assert_eq!(text(&never.done(status, screen, Vec::new()).kept_stdout), "pipe\n");
    let mut always = capture(&["tty=always"], &look);
    always.command.stdin(Stdio::null());
    assert_eq!(text(&always.run().stdout), "tty\n24 80\n");
}

#[test]
fn every_byte_passes_a_terminal_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = random_file(&dir.path().join("bytes"), 3 << 20);
    let mut run = capture(&["tty=always"], &["cat", "bytes"]);
    run.command.current_dir(dir.path());
    let done = run.run();
    assert!(done.kept_stdout == bytes && done.stdout == bytes);
}

#[test]
fn the_last_words_of_a_terminal_are_not_lost() {
    for _ in 0..50 {
        let done = capture(&["tty=always"], &["sh", "-c", "seq 1 1000"]).run();
        assert!(done.kept_stdout.ends_with(b"\n999\n1000\n"), "{}", text(&done.kept_stdout));
    }
}

#[test]
fn a_new_size_reaches_the_command() {
    let script = "exec 3>&1 4>&2; trap 'echo size $(stty size <&3) $(stty size <&4)' WINCH; echo start $(stty size <&3); \
                  while :; do sleep 0.01; done";
    let run = capture(&[], &["bash", "-c", script]);
    let terminal = in_terminal(&run);
    terminal.wait_for("start 33 111");
    terminal.resize(44, 55);
    terminal.wait_for("size 44 55 44 55");
    terminal.resize(12, 34);
    terminal.wait_for("size 12 34 12 34");
    terminal.press("\x03");
    assert_eq!(terminal.finish().0.signal(), Some(2));
}

#[test]
fn control_z_stops_the_job_and_fg_continues_it() {
    let run = capture(&[], &["bash", "-c", "trap 'exit 8' TERM; echo ready; while :; do sleep 0.01; done"]);
    let mut command = Command::new("bash");
    let script = "set -m; \"$@\"; echo stopped $?; jobs; kill -TERM $(jobs -p); fg; echo ended $?";
    command.args(["-c", script, "bash"]).arg(program()).args(run.command.get_args());
    let terminal = Terminal::start(command);
    terminal.wait_for("ready");
    terminal.press("\x1a");
    terminal.wait_for("stopped 147"); // 128 + SIGSTOP: a job that stopped
    terminal.wait_for("ended 8");
    assert!(terminal.finish().0.success());
}

#[test]
fn a_command_that_only_notes_control_z_is_not_stopped() {
    let run = capture(&[], &["bash", "-c", "trap 'echo noted; exit 4' TSTP; echo ready; while :; do :; done"]);
    let mut command = Command::new("bash");
    command.args(["-c", "set -m; \"$@\"; echo ended $?", "bash"]).arg(program()).args(run.command.get_args());
    let terminal = Terminal::start(command);
    terminal.wait_for("ready");
    terminal.press("\x1a");
    terminal.wait_for("noted");
    terminal.wait_for("ended 4");
    terminal.finish();
}

#[test]
fn the_full_terminal_is_the_commands_own() {
    let script = "tty; tty <&1; tty <&2; ps -o sid=,pid= -p $$ | { read s p; test $s = $p && echo leader; }; \
                  stty size; read line </dev/tty; echo \"got $line\"; echo err >&2; exit 3";
    let run = capture(&["tty=full"], &["sh", "-c", script]);
    let terminal = in_terminal(&run);
    terminal.wait_for("33 111");
    assert!(!terminal.modes().local_modes.contains(rustix::termios::LocalModes::ICANON), "ours is raw meanwhile");
    terminal.press("words\r");
    terminal.wait_for("got words");
    let (status, screen) = terminal.finish();
    let done = run.done(status, screen, Vec::new());
    assert_eq!((done.status.code(), done.kept_stderr.len()), (Some(3), 0));
    let lines: Vec<_> = text(&done.kept_stdout).lines().collect();
    assert!(lines[0].starts_with("/dev/pts/") && lines[0] == lines[1] && lines[1] == lines[2], "{lines:?}");
    assert_eq!(lines[3..], ["leader", "33 111", "words", "got words", "err"]);
    assert!(done.stdout == done.kept_stdout);
}

#[test]
fn control_c_in_the_full_terminal_is_the_inner_ones() {
    let run = capture(&["tty=full"], &["sh", "-c", "echo ready; while :; do sleep 0.01; done"]);
    let terminal = in_terminal(&run);
    terminal.wait_for("ready");
    terminal.press("\x03");
    assert_eq!(terminal.finish().0.signal(), Some(2));
}

#[test]
fn our_terminal_gets_its_modes_back_whatever_happens() {
    for (ending, code) in
        [("exit 0", "ended 0"), ("kill -9 $$", "ended 137"), ("kill -TERM $PPID; sleep 100", "ended 143")]
    {
        let run = capture(&["tty=full"], &["sh", "-c", ending]);
        let mut command = Command::new("sh");
        let script = "before=$(stty -g); \"$@\"; echo ended $?; test \"$(stty -g)\" = \"$before\" && echo same";
        command.args(["-c", script, "sh"]).arg(program()).args(run.command.get_args());
        let terminal = Terminal::start(command);
        terminal.wait_for(code);
        terminal.wait_for("same");
        terminal.finish();
    }
}

/// A signal may be delivered to any thread; one to the thread that waits for keys must not make it read where there are none.
#[test]
fn a_signal_does_not_make_us_wait_for_a_key_at_the_end() {
    let run = capture(&["tty=full"], &["sh", "-c", "echo ready; while [ ! -e \"$0\" ]; do sleep 0.01; done; exit 5"]);
    let go = run.path().join("go");
    let mut command = Command::new(program());
    command.args(run.command.get_args()).arg(&go);
    let terminal = Terminal::start(command);
    terminal.wait_for("ready");
    let thread = thread_of(terminal.child.id(), "logboom-input");
    wait_until("the wait for keys", || fs::read_to_string(thread.join("wchan")).unwrap().contains("poll"));
    let woken = || {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
            .unwrap()
    };
    let before = woken();
    let python =
        "import ctypes, sys, signal; ctypes.CDLL(None).tgkill(int(sys.argv[1]), int(sys.argv[2]), signal.SIGWINCH)";
    let (pid, thread_id) = (terminal.child.id().to_string(), thread.file_name().unwrap());
    assert!(Command::new("python3").args(["-c", python, &pid]).arg(thread_id).status().unwrap().success());
    wait_until("the signal to be heard", || woken() > before);
    fs::write(&go, "").unwrap();
    assert_eq!(terminal.finish().0.code(), Some(5));
}

/// Where /proc has a thread of a process, which gives itself its name.
fn thread_of(pid: u32, name: &str) -> PathBuf {
    let mut found = None;
    wait_until(name, || {
        let mut threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
        found = threads.find(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_new_size_reaches_the_full_terminal() {
    let script = "trap 'echo size $(stty size)' WINCH; echo ready; while :; do sleep 0.01; done";
    let run = capture(&["tty=full"], &["bash", "-c", script]);
    let terminal = in_terminal(&run);
    terminal.wait_for("ready");
    terminal.resize(21, 43);
    terminal.wait_for("size 21 43");
    terminal.press("\x03");
    terminal.finish();
}

#[test]
fn the_full_terminal_ends_its_input_where_ours_ends() {
    let mut run = capture(&["tty=full"], &["sh", "-c", "stty -echo; echo ready; cat; echo end"]);
    let file = run.path().join("input");
    fs::write(&file, "line\nunfinished").unwrap();
    run.command.stdin(fs::File::open(&file).unwrap());
    let done = run.run();
    let kept = text(&done.kept_stdout);
    assert!(kept.contains("unfinished") && kept.ends_with("end\r\n"), "{kept:?}");
}

#[test]
fn modes_set_on_the_output_reach_the_input() {
    let script = "exec 3>&1; stty -icanon -echo min 1 <&3; printf ready; key=$(head -c 1); echo \" key $key\"; \
                  stty icanon echo <&3; exit 3";
    let run = capture(&[], &["bash", "-c", script]);
    let mut command = Command::new("sh");
    let check = "before=$(stty -g); \"$@\"; echo ended $?; test \"$(stty -g)\" = \"$before\" && echo same";
    command.args(["-c", check, "sh"]).arg(program()).args(run.command.get_args());
    let terminal = Terminal::start(command);
    terminal.wait_for("ready");
    terminal.press("x"); // and no Enter
    terminal.wait_for("ready key x");
    terminal.wait_for("ended 3");
    terminal.wait_for("same");
    terminal.finish();
}

#[test]
fn output_stays_exact_when_the_command_turns_processing_on() {
    let script = "exec 3>&1; stty sane <&3; echo waiting >&2; \
                  until stty -a <&3 | grep -q -e -opost; do sleep 0.01; done; echo line";
    let run = capture(&[], &["bash", "-c", script]);
    let (status, screen) = in_terminal(&run).finish();
    assert_eq!(text(&run.done(status, screen, Vec::new()).kept_stdout), "line\n");
}

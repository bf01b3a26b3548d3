//! A captured command, as whoever starts it sees it: codes, environment, input, signals it inherits.

mod driver;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::{Command, Stdio},
};

use driver::{capture, read_all, text};

#[test]
fn exit_code_is_the_commands() {
    for code in [0, 1, 7, 126, 255] {
        let done = capture(&[], &["sh", "-c", &format!("exit {code}")]).run();
        assert_eq!(done.status.code(), Some(code));
    }
}

#[test]
fn death_by_a_signal_is_the_same_death() {
    for signal in [1, 2, 6, 9, 11, 13, 15, 34] {
        let done = capture(&[], &["sh", "-c", &format!("ulimit -c 0; kill -{signal} $$")]).run();
        assert_eq!(done.status.signal(), Some(signal), "{}", done.report);
    }
}

#[test]
fn a_missing_program_is_127() {
    for program in ["logboom-no-such-program", "/logboom/no/such", ""] {
        let done = capture(&[], &[program]).run();
        assert_eq!(done.status.code(), Some(127));
        assert!(done.report.contains("was not found"), "{}", done.report);
    }
}

#[test]
fn a_program_that_cannot_run_is_126() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = dir.path().join("orphan");
    fs::write(&orphan, "#!/logboom/no/such\n").unwrap();
    fs::set_permissions(&orphan, fs::Permissions::from_mode(0o755)).unwrap();
    for program in ["/etc/passwd", "/", orphan.to_str().unwrap()] {
        let done = capture(&[], &[program]).run();
        assert_eq!(done.status.code(), Some(126), "{}", done.report);
    }
}

#[test]
fn a_script_without_interpreter_is_given_to_sh() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("plain script");
    fs::write(&script, "echo \"$1 and $2\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let done = capture(&[], &[script.to_str().unwrap(), "a", "b"]).run();
    assert_eq!(text(&done.stdout), "a and b\n");
    let mut by_name = capture(&[], &["plain script", "c", "d"]);
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    by_name.command.env("PATH", path);
    assert_eq!(text(&by_name.run().stdout), "c and d\n");
}

#[test]
fn variables_are_added_and_the_directory_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap();
    let mut run = capture(&["env=LOGBOOM_RUN:abc"], &["sh", "-c", "echo $LOGBOOM_RUN $KEPT; pwd"]);
    run.command.env("KEPT", "kept").current_dir(&path);
    assert_eq!(text(&run.run().stdout), format!("abc kept\n{}\n", path.display()));
}

#[test]
fn standard_input_is_the_commands() {
    let mut run = capture(&[], &["sh", "-c", "read line; echo \"got $line\""]);
    let mut child = run.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"one\n").unwrap();
    let done = run.wait(child);
    assert_eq!(text(&done.stdout), "got one\n");
    drop(stdin); // open to the last: a command that never reads it is not waited for
}

#[test]
fn ignored_and_blocked_signals_reach_the_command_unchanged() {
    let setup = "import os, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
[signal.signal(s, signal.SIG_IGN) for s in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP)]
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM, signal.SIGALRM})
os.execvp(sys.argv[1], sys.argv[1:])";
    let look = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    let direct = Command::new("python3").args(["-c", setup]).args(look).output().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut through = Command::new("python3");
    through.args(["-c", setup]).arg(driver::program()).arg(dir.path()).arg("--").args(look);
    assert!(direct.status.success());
    assert_eq!(text(&through.output().unwrap().stdout), text(&direct.stdout));
}

#[test]
fn the_command_stays_in_our_process_group() {
    let done =
        capture(&[], &["sh", "-c", "echo $(cut -d' ' -f5 /proc/$$/stat) $(cut -d' ' -f5 /proc/$PPID/stat)"]).run();
    let (own, parents) = text(&done.stdout).trim().split_once(' ').unwrap();
    assert_eq!(own, parents);
}

#[test]
fn a_command_inherits_no_descriptors_of_ours() {
    let done = capture(&[], &["sh", "-c", "ls /proc/self/fd | wc -l"]).run();
    let direct = Command::new("sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().unwrap();
    assert_eq!(text(&done.stdout), text(&direct.stdout));
}

#[test]
fn the_sink_hears_of_the_start_and_of_each_end() {
    let done = capture(&[], &["sh", "-c", "echo $$; echo e >&2"]).run();
    let (started, ended) = done.told.split_once('\n').unwrap();
    assert_eq!(started, format!("started {}", text(&done.stdout).trim()));
    let mut ended: Vec<_> = ended.lines().collect();
    ended.sort_unstable();
    assert_eq!(ended, ["stderr", "stdout"]);
}

#[test]
fn quiet_keeps_everything_and_passes_nothing() {
    let done = capture(&["pass=quiet"], &["sh", "-c", "echo out; echo err >&2"]).run();
    assert_eq!((text(&done.stdout), text(&done.stderr)), ("", ""));
    assert_eq!((text(&done.kept_stdout), text(&done.kept_stderr)), ("out\n", "err\n"));
}

#[test]
fn a_command_that_closes_its_streams_is_waited_for() {
    let mut run = capture(&[], &["sh", "-c", "exec >&- 2>&-; read line; exit 9"]);
    let mut child = run.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let dir = run.path().to_owned();
    driver::wait_until("both streams to end", || driver::told(&dir).lines().count() == 3);
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    let rest = read_all(child.stdout.take().unwrap());
    let done = run.wait(child);
    assert_eq!((done.status.code(), rest.join().unwrap().len()), (Some(9), 0));
}

//! `logboom exec --container` against a real engine, as the person in front of it sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
};

use common::{
    Done, Logboom,
    engine::{Container, docker},
    wait_until,
};
use serde_json::Value;

/// A container that runs, and a session to add to.
struct Around {
    logboom: Logboom,
    container: Container,
    session: String,
}

impl Around {
    fn new(test: &str) -> Around {
        let (logboom, container) = (Logboom::new(), Container::named(test));
        container.run(&[], "while :; do sleep 1000; done");
        let session = logboom.run(["session", "start"]).expect(0).text().trim().to_owned();
        Around { logboom, container, session }
    }

    fn args<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["exec", "--session", &self.session, "--container", &self.container.name], rest].concat()
    }

    fn exec(&self, rest: &[&str]) -> Done {
        self.logboom.run(self.args(rest))
    }

    fn command(&self, rest: &[&str]) -> Command {
        let mut command = self.logboom.command(self.args(rest));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn runs(&self) -> Vec<Value> {
        let meta = fs::read(self.logboom.session_file("session.json")).unwrap();
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        meta["runs"].as_array().cloned().unwrap_or_default()
    }
}

#[test]
fn both_streams_pass_through_and_are_kept_apart() {
    let around = Around::new("xstreams");
    let done = around.exec(&["--", "sh", "-c", "echo out; echo err >&2; printf 'nul\\0\\377last'"]).expect(0);
    assert_eq!((done.stdout.as_slice(), done.stderr.as_str()), (&b"out\nnul\0\xfflast"[..], "err\n"));
    let shown = |stream| around.logboom.run(["show", "--raw", "--stream", stream]).expect(0).stdout;
    assert_eq!(shown("stdout"), b"out\nnul\0\xfflast");
    assert_eq!(shown("stderr"), b"err\n");
    assert!(around.logboom.session_file("exec_sh.log").exists());
    let run = &around.runs()[0];
    assert_eq!((&run["kind"], &run["end"]["outcome"]), (&Value::from("command"), &Value::from("passed")));
    assert_eq!(run["labels"]["container"], around.container.name);
    assert_eq!(run["labels"]["container_id"].as_str().unwrap().len(), 64);
    around.logboom.run(["verify"]).expect(0);
}

#[test]
fn the_exit_code_is_the_commands() {
    let around = Around::new("xcodes");
    for code in [0, 1, 42, 126, 127, 255] {
        around.exec(&["--", "sh", "-c", &format!("exit {code}")]).expect(code);
    }
    around.exec(&["--", "sh", "-c", "kill -9 $$"]).expect(137);
    let codes: Vec<i64> = around.runs().iter().map(|run| run["end"]["exit_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [0, 1, 42, 126, 127, 255, 137]);
}

#[test]
fn what_cannot_be_run_gives_the_codes_of_a_shell_and_one_line() {
    let around = Around::new("xnone");
    for (args, code, says) in [
        (&["--", "nope"][..], 127, "nope was not found in container"),
        (&["--", "/no/such"], 127, "/no/such was not found in container"),
        (&["--", "/bin"], 126, "/bin cannot be run in container"),
        (&["-w", "/no/dir", "--", "true"], 126, "true cannot be run in container"),
    ] {
        let done = around.exec(args).expect(code);
        assert!(done.stderr.contains(says) && done.stderr.lines().count() == 1, "{args:?}: {}", done.stderr);
        assert!(done.stdout.is_empty(), "{}", done.text());
    }
    assert_eq!(around.runs().len(), 4);
}

#[test]
fn where_there_is_no_container_nothing_is_added_to_the_session() {
    let (around, ended) = (Around::new("xwhere"), Container::named("xended"));
    ended.create(&[], "true");
    for (container, says) in [
        ("logboom-no-such", "no container logboom-no-such"),
        (ended.name.as_str(), "is created, not running: start it (`docker start"),
    ] {
        let args = ["exec", "--session", &around.session, "--container", container, "--", "true"];
        let done = around.logboom.run(args).expect(125);
        assert!(done.stderr.contains(says) && done.stderr.lines().count() == 1, "{container}: {}", done.stderr);
    }
    assert!(around.runs().is_empty());
    let refused = around.exec(&["--pty", "--", "true"]).expect(125);
    assert!(refused.stderr.contains("--pty"), "{}", refused.stderr);
    around.logboom.run(["session", "end", &around.session]).expect(0);
    assert!(around.exec(&["--", "true"]).expect(125).stderr.contains("has ended"));
}

#[test]
fn environment_directory_and_user_are_the_commands() {
    let around = Around::new("xwho");
    let args = ["-e", "ONE=1", "-e", "TWO=2 2", "-u", "7:8", "-w", "/bin", "--", "sh", "-c"];
    let script = "echo $ONE; echo $TWO; pwd; cat /proc/self/status";
    let text = around.exec(&[&args[..], &[script]].concat()).expect(0).text();
    assert!(text.starts_with("1\n2 2\n/bin\n"), "{text}");
    assert!(text.contains("\nUid:\t7\t7") && text.contains("\nGid:\t8\t8"), "{text}");
}

#[test]
fn standard_input_is_passed_on_to_its_end_and_only_where_it_is_wanted() {
    let around = Around::new("xinput");
    let input: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut child = around.command(&["-i", "--", "cat"]).spawn().unwrap();
    let (mut stdin, sent) = (child.stdin.take().unwrap(), input.clone());
    let sending = thread::spawn(move || stdin.write_all(&sent).unwrap());
    let done = Done::from(child.wait_with_output().unwrap()).expect(0);
    sending.join().unwrap();
    assert!(done.stdout == input, "{} bytes of {}", done.stdout.len(), input.len());
    // It is left open, and nobody reads it.
    let child = around.command(&["--", "cat"]).spawn().unwrap();
    assert!(Done::from(child.wait_with_output().unwrap()).expect(0).stdout.is_empty());
}

#[test]
fn a_terminal_is_one_stream() {
    let around = Around::new("xtty");
    let done = around.exec(&["-t", "--", "sh", "-c", "test -t 1 && echo out; echo err >&2"]).expect(0);
    assert_eq!((done.text().as_str(), done.stderr.as_str()), ("out\r\nerr\r\n", ""));
    assert_eq!(around.logboom.text(["show", "--raw", "--stream", "stdout"]), "out\r\nerr\r\n");
}

#[test]
fn a_signal_ends_logboom_alone_and_that_is_said() {
    let around = Around::new("xsignal");
    let mut child = around.command(&["--", "sh", "-c", "echo begun; sleep 300"]).spawn().unwrap();
    let mut begun = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!(done.signal, Some(2));
    assert!(done.stderr.contains("sh may go on in container"), "{}", done.stderr);
    let run = &around.runs()[0];
    assert_eq!((&run["end"]["outcome"], &run["end"]["signal"]), (&Value::from("interrupted"), &Value::from(2)));
    assert!(around.exec(&["--", "sh", "-c", "cat /proc/[0-9]*/cmdline"]).expect(0).text().contains("sleep\u{0}300"));
}

#[test]
fn a_signal_is_heard_also_when_the_command_prints_no_more() {
    let around = Around::new("xclosed");
    // All its streams are closed, so that nothing but its exit code is waited for.
    let script = "exec >&- 2>&- <&-; : >/closed; while :; do sleep 300; done";
    let child = around.command(&["--", "sh", "-c", script]).spawn().unwrap();
    let closed = ["exec", around.container.name.as_str(), "sh", "-c", "until [ -e /closed ]; do sleep 0.1; done"];
    docker(&closed);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!(done.signal, Some(2), "{}", done.stderr);
}

#[test]
fn a_reader_that_goes_away_ends_it_as_it_would_any_program() {
    let around = Around::new("xpipe");
    let mut child = around.command(&["--", "sh", "-c", "while :; do echo line; done"]).spawn().unwrap();
    let mut some = [0; 1_000];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    wait_until(|| child.try_wait().unwrap().is_some());
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(13));
}

#[test]
fn secrets_among_the_variables_that_the_command_is_given_are_masked() {
    let around = Around::new("xsecret");
    let done = around.exec(&["-e", "API_TOKEN=hunter2hunter2", "--", "sh", "-c", "echo it is $API_TOKEN"]).expect(0);
    assert_eq!(done.text(), "it is hunter2hunter2\n");
    assert_eq!(around.logboom.text(["show", "--raw"]), "it is ***\n");
}

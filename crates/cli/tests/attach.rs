//! `logboom docker` where it attaches to containers: those of log driver `none`, and those of an engine whose files are not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use common::{
    Logboom,
    engine::{Container, Gate, IMAGE, Proxy, docker, numbered},
    wait_until,
};

/// A logboom that follows, and is ended with the test.
struct Following(Child);

impl Following {
    /// Follows this container, which is there; is attached to it when this returns.
    fn of(logboom: &Logboom, container: &Container, args: &[&str]) -> Following {
        let following = Following::start(logboom, &[&["--container", &container.name], args].concat());
        wait_until(|| logs(logboom, container).any(|log| log.exists()));
        following
    }

    /// Has begun to follow when this returns.
    fn start(logboom: &Logboom, args: &[&str]) -> Following {
        let all = [&["docker", "--quiet"], args].concat();
        let child = logboom.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let sessions = logboom.data().join("sessions");
        let has_boom = |dir: fs::DirEntry| dir.path().join("records.boom").exists();
        wait_until(|| fs::read_dir(&sessions).is_ok_and(|dirs| dirs.flatten().any(has_boom)));
        Following(child)
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    fn kill(mut self) {
        self.signal("KILL");
        self.0.wait().unwrap();
    }

    /// Waits for its end by itself; gives what it said.
    fn wait(mut self) -> String {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0), "{said}");
        said
    }

    fn stop(self) -> String {
        self.signal("INT");
        self.wait()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the container's log is to be, in each session there is.
fn logs(logboom: &Logboom, container: &Container) -> impl Iterator<Item = PathBuf> + use<> {
    let name = format!("{}.log", container.name);
    let sessions = fs::read_dir(logboom.data().join("sessions")).into_iter().flatten().flatten();
    sessions.map(move |dir| dir.path().join(&name))
}

fn messages(logboom: &Logboom, stream: &str) -> Vec<String> {
    let shown = logboom.run(["show", "--raw", "--stream", stream]);
    assert!(matches!(shown.code, Some(0 | 1)), "{}", shown.stderr); // 1 where there is a gap
    shown.lines()
}

/// The numbers of the lines on a stream.
fn numbers(logboom: &Logboom, stream: &str) -> Vec<u32> {
    messages(logboom, stream).iter().map(|line| line[4..11].parse().unwrap()).collect()
}

#[track_caller]
fn expect_numbered(logboom: &Logboom, lines: u32) {
    for (stream, step) in [("stdout", 1), ("stderr", 10)] {
        let numbers = numbers(logboom, stream);
        let wrong = numbers.iter().zip((step..).step_by(step as usize)).find(|(found, want)| **found != *want);
        assert_eq!((wrong, numbers.len()), (None, (lines / step) as usize), "of {stream}");
    }
}

fn text_log(logboom: &Logboom, container: &Container) -> String {
    fs::read_to_string(logboom.session_file(&format!("{}.log", container.name))).unwrap()
}

/// Waits until so many bytes are in the container's log.
fn wait_for_bytes(logboom: &Logboom, container: &Container, bytes: u64) {
    wait_until(|| logs(logboom, container).any(|log| fs::metadata(log).is_ok_and(|log| log.len() > bytes)));
}

/// Whether the lines came by attaching: the engine has stamped none of them.
#[track_caller]
fn expect_attached(logboom: &Logboom) {
    let records = logboom.jsons(["show", "--json"]);
    assert!(!records.is_empty());
    assert!(records.iter().all(|record| record["origin_time_ns"].is_null()), "{:?}", records.first());
}

#[test]
fn all_is_there_of_a_container_whose_log_driver_keeps_nothing() {
    let (logboom, container, lines) = (Logboom::new(), Container::named("none"), 200_000);
    container.create(&["--log-driver", "none"], &numbered(lines));
    let following = Following::of(&logboom, &container, &["--until-exit"]);
    container.start();
    assert_eq!(following.wait(), "");
    expect_numbered(&logboom, lines);
    expect_attached(&logboom);
    assert!(!text_log(&logboom, &container).contains(" lost "));
    logboom.run(["verify"]).expect(0);
}

#[test]
fn what_a_container_printed_before_is_a_gap_where_nothing_keeps_it() {
    let (logboom, container) = (Logboom::new(), Container::named("late"));
    container.run(&["--log-driver", "none"], "echo before; while [ ! -e /go ]; do sleep .05; done; echo after");
    let following = Following::of(&logboom, &container, &["--until-exit"]);
    let has_gap = |log| fs::read_to_string(log).is_ok_and(|log| log.contains(" lost "));
    wait_until(|| logs(&logboom, &container).any(has_gap));
    docker(&["exec", &container.name, "sh", "-c", ": >/go"]);
    let said = following.wait();
    assert!(
        said.contains("its log driver keeps nothing to read, so what it printed before now cannot be had"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(messages(&logboom, "stdout"), ["after"]);
    assert!(text_log(&logboom, &container).contains("how many is not known"), "{}", text_log(&logboom, &container));
}

/// What containers that are removed as they end run: a thousand numbered lines.
const THOUSAND: &str = "awk 'BEGIN { for (i = 1; i <= 1000; i++) print \"line\", i }'";

#[test]
fn nothing_is_missed_of_remote_containers_that_are_removed_as_they_end() {
    let (logboom, container, proxy) = (Logboom::new(), Container::named("rms"), Proxy::start());
    let label = format!("test={}", container.name);
    let following = Following::start(&logboom, &["--host", &proxy.host, "--label", &label]);
    for round in 0..20 {
        let one = Container { name: format!("{}-{round}", container.name) };
        one.create(&["--rm", "--label", &label], THOUSAND);
        wait_until(|| logs(&logboom, &one).any(|log| log.exists()));
        docker(&["start", "-a", &one.name]);
    }
    wait_until(|| messages(&logboom, "stdout").len() >= 20_000);
    assert_eq!(following.stop(), "");
    assert_eq!(messages(&logboom, "stdout").len(), 20_000);
    expect_attached(&logboom);
    logboom.run(["verify"]).expect(0);
}

/// `docker run` starts them so quickly that we may be too late.
#[test]
fn remote_containers_that_are_run_and_removed_at_once_are_whole_or_there_is_a_gap() {
    let (logboom, container, proxy) = (Logboom::new(), Container::named("runs"), Proxy::start());
    let label = format!("test={}", container.name);
    let following = Following::start(&logboom, &["--host", &proxy.host, "--label", &label]);
    let ones = (0..20).map(|round| Container { name: format!("{}-{round}", container.name) });
    let ones: Vec<Container> = ones.collect();
    for one in &ones {
        docker(&["run", "--rm", "--name", &one.name, "--label", &label, IMAGE, "/bin/sh", "-c", THOUSAND]);
    }
    let removed = || fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap_or_default();
    wait_until(|| removed().matches("\"event\":\"removed\"").count() == ones.len());
    following.stop();
    for one in &ones {
        let log = text_log(&logboom, one);
        let lines = log.matches(" O I line ").count();
        assert!(lines == 1_000 || log.contains(" lost "), "{lines} lines and no gap: {log}");
    }
}

#[test]
fn a_kill_in_the_middle_loses_nothing_and_repeats_nothing_where_there_is_a_log() {
    for options in [&["json-file"][..], &["local"], &["json-file", "--log-opt", "max-size=100k"]] {
        let (logboom, container, lines) = (Logboom::new(), Container::named("cut"), 60_000);
        let (proxy, gate) = (Proxy::start(), Gate::new());
        // It runs until it is attached to for the last time.
        let script = format!("{}; {}", numbered(lines), gate.wait());
        container.create(&[&["-v", &gate.volume(), "--log-driver"], options].concat(), &script);
        let args = ["--host", &proxy.host, "--until-exit"];
        let following = Following::of(&logboom, &container, &args);
        container.start();
        wait_for_bytes(&logboom, &container, 1_000_000);
        following.kill();
        let rotates = options.contains(&"max-size=100k");
        if rotates {
            // Its log has lost its beginning, so that nobody can count from there, and what came last.
            let last = format!("out {lines:07}");
            wait_until(|| docker(&["logs", "--tail", "20", &container.name]).contains(&last));
        } else {
            let following = Following::of(&logboom, &container, &args);
            wait_for_bytes(&logboom, &container, 3_000_000);
            following.kill();
        }
        let following = Following::of(&logboom, &container, &args);
        wait_until(|| !rotates || text_log(&logboom, &container).contains("its log rotates"));
        gate.open();
        let said = following.wait();
        let (log, numbers) = (text_log(&logboom, &container), numbers(&logboom, "stdout"));
        if rotates {
            // Of the million bytes that were there only the last may have been on their way.
            let ascends = numbers.is_sorted_by(|one, next| one < next);
            assert!(ascends && numbers.starts_with(&[1, 2, 3]) && numbers.len() >= 5_000, "{}", numbers.len());
        } else {
            expect_numbered(&logboom, lines);
            assert!(!log.contains(" lost "), "{said}");
        }
        let first = logboom.json(["show", "--json", "--stream", "stdout"]);
        assert!(first["message"].is_string() && first["origin_time_ns"].is_null(), "it was attached to: {first}");
    }
}

#[test]
fn a_kill_in_the_middle_is_a_gap_where_nothing_keeps_what_was_printed() {
    let (logboom, container, lines) = (Logboom::new(), Container::named("gap"), 2_000_000);
    container.create(&["--log-driver", "none"], &numbered(lines));
    let args = ["--until-exit"];
    let following = Following::of(&logboom, &container, &args);
    container.start();
    wait_for_bytes(&logboom, &container, 1_000_000);
    following.kill();
    let said = Following::of(&logboom, &container, &args).wait();
    assert!(said.contains("what it printed while logboom was not attached is lost"), "{said}");
    let log = text_log(&logboom, &container);
    assert_eq!(log.matches(" lost seq ").count(), 1);
    let before_gap = log.split(" lost seq ").next().unwrap().matches("Z O I out ").count();
    // What comes first when somebody attaches may be the rest of a line; nothing else is.
    let number = |line: &String| line.get(4..11)?.parse::<u32>().ok();
    let lines = messages(&logboom, "stdout");
    let wrong = (0..lines.len()).find(|at| *at != before_gap && number(&lines[*at]).is_none());
    assert_eq!(wrong.map(|at| &lines[at]), None, "{before_gap} lines before the gap");
    let numbers: Vec<u32> = lines.iter().filter_map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "nothing comes twice");
    assert!(numbers.starts_with(&[1, 2, 3]));
}

#[test]
fn a_connection_that_breaks_loses_nothing_where_there_is_a_log() {
    let (logboom, container, lines) = (Logboom::new(), Container::named("broken"), 100_000);
    let proxy = Proxy::start();
    container.create(&[], &numbered(lines));
    let args = ["--host", &proxy.host, "--until-exit"];
    let following = Following::of(&logboom, &container, &args);
    container.start();
    for part in 1..=3 {
        wait_for_bytes(&logboom, &container, part * 1_500_000);
        proxy.cut_all();
    }
    let said = following.wait();
    assert!(said.contains("the engine is gone"), "{said}");
    expect_numbered(&logboom, lines);
    logboom.run(["verify"]).expect(0);
}

/// Starts it three times, each time when all of the last is there; gives what logboom said.
fn start_thrice(logboom: &Logboom, container: &Container, args: &[&str]) -> String {
    let following = Following::of(logboom, container, args);
    for round in 1..=3 {
        container.start();
        docker(&["wait", &container.name]);
        wait_until(|| messages(logboom, "stdout").len() > round);
    }
    following.stop()
}

#[test]
fn a_container_that_is_started_again_goes_on() {
    let proxy = Proxy::start();
    for driver in ["json-file", "local"] {
        let (logboom, container) = (Logboom::new(), Container::named("again"));
        container.create(&["--log-driver", driver], "echo hello; printf part");
        assert_eq!(start_thrice(&logboom, &container, &["--host", &proxy.host]), "");
        assert_eq!(logboom.text(["show", "--raw"]), "hello\npart".repeat(3), "{driver}");
    }
}

#[test]
fn a_container_that_nothing_keeps_anything_of_goes_on_or_there_is_a_gap() {
    let (logboom, container) = (Logboom::new(), Container::named("oncemore"));
    container.create(&["--log-driver", "none"], "echo hello; sleep 0.3; echo there; printf part");
    let said = start_thrice(&logboom, &container, &[]);
    let lines = messages(&logboom, "stdout");
    assert_eq!(lines[..2], ["hello", "there"]);
    assert!(text_log(&logboom, &container).contains(" lost ") || lines.len() == 7, "{said}{lines:?}");
}

#[test]
fn a_container_that_the_engine_starts_again_goes_on() {
    let (logboom, container, proxy) = (Logboom::new(), Container::named("policy"), Proxy::start());
    container.create(&["--restart", "on-failure:3"], "echo same; echo same >&2; exit 3");
    let args = ["--host", &proxy.host];
    let following = Following::of(&logboom, &container, &args);
    container.start();
    wait_until(|| messages(&logboom, "stdout").len() >= 4 && messages(&logboom, "stderr").len() >= 4);
    wait_until(|| docker(&["inspect", "-f", "{{.State.Status}}", &container.name]) == "exited");
    assert_eq!(following.stop(), "");
    for stream in ["stdout", "stderr"] {
        assert_eq!(messages(&logboom, stream), ["same"; 4]);
    }
}

#[test]
fn a_terminal_is_one_stream() {
    let proxy = Proxy::start();
    for (driver, args) in [("none", vec![]), ("json-file", vec!["--host", &proxy.host])] {
        let (logboom, container) = (Logboom::new(), Container::named("atty"));
        container
            .create(&["--tty", "--log-driver", driver], "echo out; printf '\\001\\002\\n'; echo err >&2; printf last");
        let args = [&["--until-exit"], &args[..]].concat();
        let following = Following::of(&logboom, &container, &args);
        container.start();
        assert_eq!(following.wait(), "");
        assert_eq!(logboom.text(["show", "--raw"]), "out\r\n\u{1}\u{2}\r\nerr\r\nlast");
        expect_attached(&logboom);
    }
}

#[test]
fn a_container_that_is_never_started_ends_with_nothing() {
    let (logboom, container, proxy) = (Logboom::new(), Container::named("never"), Proxy::start());
    let following = Following::start(&logboom, &["--host", &proxy.host, "--container", &container.name]);
    container.create(&[], "echo never");
    wait_until(|| logs(&logboom, &container).any(|log| log.exists()));
    container.remove();
    assert_eq!(following.stop(), "");
    assert_eq!(logboom.text(["show", "--raw"]), "");
}

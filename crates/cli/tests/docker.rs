//! `logboom docker` against a real engine: every line of every container, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../../files/tests/small_disk/mod.rs"]
mod small_disk;

use std::io::Read;

use common::{
    Logboom,
    engine::{self, Container, Proxy, docker, follow, messages, numbered, wait_for_session},
    signal, wait_until,
};
use serde_json::Value;
use small_disk::SmallDisk;

#[test]
fn streams_times_parts_and_odd_bytes_are_kept() {
    let (logboom, container) = (Logboom::new(), Container::named("odd"));
    let script = "echo out; echo err >&2; echo; printf 'nul\\0nul\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo; \
                  head -c 16384 /dev/zero | tr '\\0' y; echo; printf last";
    container.run(&[], script);
    logboom.run(["docker", "--container", &container.name, "--until-exit", "--quiet"]).expect(0);
    let records = logboom.jsons(["show", "--json"]);
    let stderr: Vec<&Value> = records.iter().filter(|record| record["stream"] == "stderr").collect();
    assert_eq!((stderr.len(), &stderr[0]["message"]), (1, &Value::from("err")));
    let origin_ns = |record: &Value| record["origin_time_ns"].as_u64().unwrap();
    let time_ns = |record: &Value| {
        let time: logboom_record::Time = record["time"].as_str().unwrap().parse().unwrap();
        time.as_micros() as u64 * 1_000
    };
    let late: Vec<u64> = records.iter().map(|record| time_ns(record).abs_diff(origin_ns(record))).collect();
    assert!(late.iter().max() < Some(&60_000_000_000), "stamped by the engine about when it was read: {late:?}");
    assert_ne!(records.iter().map(|record| origin_ns(record) % 1_000).max(), Some(0), "in nanoseconds");
    let raw = logboom.run(["show", "--raw", "--stream", "stdout"]).expect(0).stdout;
    let want =
        [b"out\n\nnul\0nul\n".to_vec(), vec![b'x'; 40_000], b"\n".to_vec(), vec![b'y'; 16_384], b"\nlast".to_vec()];
    assert!(raw == want.concat(), "{:?}", String::from_utf8_lossy(&raw));
    let lines: Vec<usize> = logboom.run(["show"]).expect(0).lines().iter().map(String::len).collect();
    assert!(lines.contains(&40_032), "a line over 16 KiB is one line: {lines:?}");
    logboom.run(["verify"]).expect(0);
}

#[test]
fn a_terminal_is_one_stream() {
    let (logboom, container) = (Logboom::new(), Container::named("tty"));
    container.run(&["--tty"], "echo out; echo err >&2");
    logboom.run(["docker", "--container", &container.name, "--until-exit", "--quiet"]).expect(0);
    let raw = logboom.run(["show", "--raw"]).expect(0).text();
    assert_eq!(raw, "out\r\nerr\r\n");
}

#[test]
fn the_last_line_of_a_terminal_needs_no_newline_by_the_logs_api_either() {
    let host = Proxy::start().host;
    for driver in ["json-file", "local"] {
        let (logboom, container) = (Logboom::new(), Container::named(&format!("tty-{driver}")));
        let id = logboom.text(["session", "start", "--name", "tty"]);
        let args = ["docker", "--session", id.trim(), "--host", &host, "--container", &container.name];
        let follow = args.into_iter().chain(["--until-exit", "--quiet"]);
        container.run(&["--tty", "--log-driver", driver], "echo out; printf '$ exit'");
        for times in 1..=3 {
            docker(&["wait", &container.name]);
            logboom.run(follow.clone()).expect(0);
            let lines = logboom.text(["show", "--raw"]).replace('\n', "");
            assert_eq!(lines, "out\r$ exit".repeat(times), "{driver}");
            container.start();
        }
    }
}

#[test]
fn what_is_known_of_a_container_stands_in_the_session() {
    let (logboom, container) = (Logboom::new(), Container::named("facts"));
    let mut following = follow(&logboom, &["--label", &format!("test={}", container.name), "--quiet"]);
    wait_for_session(&logboom);
    container.run(&["--label", &format!("test={}", container.name)], "echo hi; exit 3");
    wait_until(|| docker(&["inspect", "-f", "{{.State.Status}}", &container.name]) == "exited");
    let timeline = || std::fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap_or_default();
    wait_until(|| timeline().contains("\"died\""));
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    let meta: Value = serde_json::from_slice(&std::fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    let run = &meta["runs"][0];
    let known = &run["containers"][0];
    assert_eq!((&run["kind"], &run["end"]["outcome"]), (&Value::from("service"), &Value::from("failed")));
    assert_eq!((&known["exit_code"], &known["status"]), (&Value::from(3), &Value::from("exited")));
    assert_eq!((&known["name"], known["id"].as_str().unwrap().len()), (&Value::from(container.name.clone()), 64));
    for event in ["created", "started", "died", "end"] {
        assert!(timeline().contains(&format!("\"event\":\"{event}\"")), "{event}: {}", timeline());
    }
}

/// The events of these kinds, each as `event`, and what its members tell of it.
fn events(logboom: &Logboom, kinds: &[&str]) -> Vec<Value> {
    let timeline = std::fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap_or_default();
    let events = timeline.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| kinds.iter().any(|kind| event["event"] == *kind)).collect()
}

#[test]
fn the_timeline_tells_of_errors_restarts_and_replacements() {
    let (logboom, container) = (Logboom::new(), Container::named("told"));
    let mut following = follow(&logboom, &["--container", &container.name, "--quiet"]);
    wait_for_session(&logboom);
    container.run(&[], "echo fine; echo 'ERROR it broke' >&2; echo 'ERROR again' >&2");
    docker(&["wait", &container.name]);
    container.start();
    docker(&["wait", &container.name]);
    container.remove();
    container.run(&["--restart", "on-failure:1"], "exit 1");
    wait_until(|| events(&logboom, &["died"]).len() >= 4);
    wait_until(|| messages(&logboom, "stderr").len() >= 4);
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));

    let told = events(&logboom, &["created", "started", "restarted"]);
    let names: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["created", "started", "restarted", "created", "started", "restarted"]);
    assert_eq!((&told[0]["replaces"], &told[3]["replaces"]), (&Value::Null, &told[0]["container"]));
    assert_eq!((told[2]["restarts"].as_u64(), told[5]["restarts"].as_u64()), (Some(0), Some(1)));
    let errors = events(&logboom, &["error_line"]);
    let seqs = logboom.jsons(["show", "--json", "--stream", "stderr"]);
    assert!(seqs.iter().any(|record| record["seq"] == errors[0]["seq"]), "{errors:?} {seqs:?}");
    assert_eq!(errors[0]["message"], "ERROR it broke");
}

#[test]
fn on_a_full_disk_it_goes_on_and_takes_up_what_it_could_not() {
    let disk = SmallDisk::new("4m");
    let (logboom, first, late) =
        (Logboom::in_dir(disk.path().join("logs")), Container::named("disk-first"), Container::named("disk-late"));
    let label = format!("disk={}", first.name);
    first.run(&["--label", &label], "seq 1 10; while [ ! -e /go ]; do sleep 0.1; done; seq 11 20");
    let mut following = follow(&logboom, &["--label", &label, "--until-exit", "--quiet"]);
    wait_for_session(&logboom);
    wait_until(|| messages(&logboom, "stdout").len() == 10);
    disk.fill();
    late.run(&["--label", &label], "seq 1 10");
    docker(&["wait", &late.name]);
    let mut errors = following.stderr.take().unwrap();
    let mut said = [0; 4096];
    let length = errors.read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..length]).into_owned();
    assert!(said.contains("it is tried again"), "{said}");
    disk.make_room();
    wait_until(|| messages(&logboom, "stdout").len() == 20);
    docker(&["exec", &first.name, "sh", "-c", ": > /go"]);
    assert_eq!(following.wait().unwrap().code(), Some(0), "{said}");
    let of = |container: &Container| logboom.text(["show", "--raw", "--run", &container.name]);
    let numbers = |to: u32| (1..=to).map(|number| format!("{number}\n")).collect::<String>();
    assert_eq!((of(&first), of(&late)), (numbers(20), numbers(10)));
    logboom.run(["verify"]).expect(0);
}

#[test]
fn a_container_whose_log_has_no_room_does_not_wait_for_it() {
    let disk = SmallDisk::new("160m");
    let (logboom, container) = (Logboom::in_dir(disk.path().join("logs")), Container::named("no-room"));
    let mut following = follow(&logboom, &["--container", &container.name, "--quiet"]);
    wait_for_session(&logboom);
    disk.fill();
    // More than pipes and sockets hold: it would have to wait for whoever is attached to it and does not read.
    container.run(&[], "seq 1 1000000");
    docker(&["wait", &container.name]);
    disk.make_room();
    let log = || logboom.session_file(&format!("{}.log", container.name));
    wait_until(|| std::fs::read(log()).is_ok_and(|log| log.ends_with(b" 1000000\n")));
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    let numbers: String = (1..=1_000_000).map(|number| format!("{number}\n")).collect();
    assert!(logboom.text(["show", "--raw"]) == numbers);
}

#[test]
fn a_running_container_whose_log_cannot_be_read_is_attached_to() {
    let (logboom, container) = (Logboom::new(), Container::named("unreadable"));
    let driver =
        ["--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:9", "--log-opt", "cache-disabled=true"];
    container.run(&driver, "echo before; while [ ! -e /go ]; do sleep 0.1; done; echo after");
    let mut following = follow(&logboom, &["--container", &container.name, "--until-exit", "--quiet"]);
    wait_until(|| logboom.run(["show", "--json"]).stdout.windows(4).any(|bytes| bytes == b"gap\""));
    docker(&["exec", &container.name, "sh", "-c", ": > /go"]);
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(logboom.run(["show", "--raw", "--stream", "stdout"]).expect(1).text(), "after\n");
}

#[test]
fn a_container_that_replaces_another_goes_on_in_its_log() {
    let (logboom, container) = (Logboom::new(), Container::named("again"));
    let mut following = follow(&logboom, &["--container", &container.name, "--quiet"]);
    wait_for_session(&logboom);
    for round in 1..=3 {
        container.run(&[], &format!("echo round {round}; printf part"));
        docker(&["wait", &container.name]);
        container.remove();
    }
    wait_until(|| logboom.jsons(["show", "--json"]).len() >= 6);
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(logboom.text(["show", "--raw"]), "round 1\npartround 2\npartround 3\npart");
    let meta: Value = serde_json::from_slice(&std::fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    let runs = meta["runs"].as_array().unwrap();
    assert_eq!((runs.len(), runs[0]["containers"].as_array().unwrap().len()), (1, 3));
}

#[test]
fn a_container_that_goes_while_nobody_follows_is_a_gap() {
    let (logboom, container) = (Logboom::new(), Container::named("gone"));
    container.run(&["--label", "logboom-gone"], "seq 1 10; exec sleep 1000");
    let args = ["--label", "logboom-gone", "--until-exit", "--quiet"];
    let mut following = follow(&logboom, &args);
    wait_until(|| logboom.run(["show", "--raw"]).stdout.ends_with(b"10\n"));
    signal("-KILL", following.id());
    following.wait().unwrap();
    container.remove();
    follow(&logboom, &args).wait().unwrap();
    let shown = logboom.run(["show", "--json"]).expect(0).text();
    assert!(shown.contains("it was removed before all that it printed was read"), "{shown}");
    assert_eq!(messages_of(&logboom, 1), 10);
}

/// How many lines there are on stdout, where `show` ends with this code.
fn messages_of(logboom: &Logboom, code: i32) -> usize {
    logboom.run(["show", "--raw", "--stream", "stdout"]).expect(code).lines().len()
}

#[test]
fn a_container_that_takes_the_name_of_one_that_goes_on_is_another_service() {
    let (logboom, container) = (Logboom::new(), Container::named("renamed"));
    let old = Container { name: format!("{}-old", container.name) };
    let label = format!("test={}", container.name);
    let mut following = follow(&logboom, &["--label", &label, "--quiet"]);
    wait_for_session(&logboom);
    container.run(&["--label", &label], "echo old; exec sleep 1000");
    wait_until(|| messages(&logboom, "stdout").len() == 1);
    docker(&["rename", &container.name, &old.name]);
    container.run(&["--label", &label], "echo new");
    wait_until(|| messages(&logboom, "stdout").len() == 2);
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(logboom.latest()["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn how_a_container_ended_is_known_though_it_is_removed_at_once() {
    let (logboom, container) = (Logboom::new(), Container::named("rm-exit"));
    let mut following = follow(&logboom, &["--container", &container.name, "--quiet"]);
    wait_for_session(&logboom);
    container.create(&["--rm"], "echo bye; exit 3");
    container.start();
    wait_until(|| !events(&logboom, &["removed"]).is_empty());
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    let meta: Value = serde_json::from_slice(&std::fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    let run = &meta["runs"][0];
    assert_eq!((&run["containers"][0]["exit_code"], &run["end"]["outcome"]), (&Value::from(3), &Value::from("failed")));
    assert_eq!(messages_of(&logboom, 0), 1);
}

#[test]
fn nothing_is_missed_of_containers_that_are_removed_as_they_end() {
    let (logboom, container) = (Logboom::new(), Container::named("rm"));
    let label = format!("test={}", container.name);
    let mut following = follow(&logboom, &["--label", &label, "--quiet"]);
    wait_for_session(&logboom);
    for round in 0..10 {
        let one = Container { name: format!("{}-{round}", container.name) };
        let script = "awk 'BEGIN { for (i = 1; i <= 1000; i++) print \"line\", i }'";
        docker(&["run", "--rm", "--name", &one.name, "--label", &label, engine::IMAGE, "/bin/sh", "-c", script]);
    }
    wait_until(|| messages(&logboom, "stdout").len() >= 10_000);
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(messages(&logboom, "stdout").len(), 10_000);
    logboom.run(["verify"]).expect(0);
}

#[track_caller]
fn expect_numbered(logboom: &Logboom, stream: &str, count: u32, step: u32) {
    let lines = messages(logboom, stream);
    let numbers = lines.iter().map(|line| line[4..11].parse::<u32>().unwrap());
    let wrong = numbers.zip((step..).step_by(step as usize)).find(|(found, want)| found != want);
    assert_eq!((wrong, lines.len()), (None, count as usize), "of {stream}");
}

#[test]
fn kills_and_rotation_at_full_rate_lose_nothing_and_repeat_nothing() {
    let (logboom, container) = (Logboom::new(), Container::named("kills"));
    let lines = 400_000;
    container.create(&["--log-opt", "max-size=10m", "--log-opt", "max-file=5"], &numbered(lines));
    let args = ["--container", &container.name, "--until-exit", "--quiet"];
    let mut following = follow(&logboom, &args);
    wait_for_session(&logboom);
    container.start();
    for part in 1..=5_u64 {
        // Each time at another place of the file, as far as the machine lets it.
        let bytes =
            || std::fs::metadata(logboom.session_file(&format!("{}.log", container.name))).map_or(0, |log| log.len());
        wait_until(|| bytes() > part * 5_000_000 + u64::from(std::process::id() % 97) * 10_007);
        signal("-KILL", following.id());
        following.wait().unwrap();
        following = follow(&logboom, &args);
    }
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 1, "all went on in one session");
    expect_numbered(&logboom, "stdout", lines, 1);
    expect_numbered(&logboom, "stderr", lines / 10, 10);
    logboom.run(["verify"]).expect(0);
}

#[test]
fn a_container_that_is_started_again_goes_on() {
    let container = Container::named("restart");
    let host = Proxy::start().host;
    for args in [
        vec!["--container", &container.name, "--quiet"],
        vec!["--host", &host, "--container", &container.name, "--quiet"],
    ] {
        let logboom = Logboom::new();
        let mut following = follow(&logboom, &args);
        wait_for_session(&logboom);
        container.run(&[], "echo hello");
        docker(&["wait", &container.name]);
        for _ in 0..2 {
            container.start();
            docker(&["wait", &container.name]);
        }
        wait_until(|| messages(&logboom, "stdout").len() >= 3);
        signal("-INT", following.id());
        assert_eq!(following.wait().unwrap().code(), Some(0));
        assert_eq!(logboom.text(["show", "--raw"]), "hello\nhello\nhello\n");
        container.remove();
    }
}

#[test]
fn a_session_is_gone_on_with_where_it_was_left() {
    let container = Container::named("left");
    container.create(&[], "echo hello; echo there");
    let host = Proxy::start().host;
    for args in [vec!["--quiet"], vec![], vec!["--quiet", "--host", &host]] {
        let logboom = Logboom::new();
        let id = logboom.text(["session", "start", "--name", "left"]);
        let all = ["docker", "--session", id.trim(), "--container", &container.name, "--until-exit"];
        for _ in 0..3 {
            container.start();
            docker(&["wait", &container.name]);
            logboom.run(all.iter().chain(&args)).expect(0);
        }
        let before: usize = docker(&["logs", &container.name]).lines().count();
        assert_eq!(logboom.text(["show", "--raw"]), "hello\nthere\n".repeat(before / 2), "{args:?}");
        logboom.run(["verify"]).expect(0);
    }
}

#[test]
fn what_cannot_be_followed_is_said_in_a_line() {
    let logboom = Logboom::new();
    for (args, says) in [
        (vec!["docker"], "--container, --label, --project or --all"),
        (vec!["docker", "--all", "--host", "unix:///nowhere.sock"], "no Docker engine at"),
        (vec!["docker", "--all", "--host", "ssh://somewhere"], "ssh"),
        (vec!["docker", "--container", "logboom-none", "--until-exit"], "no container is called logboom-none"),
        (vec!["docker", "--label", "logboom-none", "--until-exit"], "no container fits"),
        (vec!["docker", "--project", "logboom-none", "--until-exit"], "no container fits"),
    ] {
        let done = logboom.run(&args).expect(2);
        assert!(done.stderr.contains(says) && done.stderr.lines().count() == 1, "{args:?}: {}", done.stderr);
    }
}

#[test]
fn lines_are_shown_with_the_names_of_their_containers() {
    let (logboom, container) = (Logboom::new(), Container::named("shown"));
    container.run(&[], "echo one; echo two");
    docker(&["wait", &container.name]);
    let shown = logboom.run(["docker", "--container", &container.name, "--until-exit"]).expect(0).lines();
    assert_eq!(shown, ["one", "two"].map(|line| format!("{} | {line}", container.name)));
}

#[test]
fn a_container_that_goes_on_holds_up_no_end() {
    let (logboom, container) = (Logboom::new(), Container::named("goes-on"));
    let host = Proxy::start().host;
    container.run(&[], "seq 1 5000; exec sleep 1000");
    let mut following = follow(&logboom, &["--host", &host, "--container", &container.name, "--quiet"]);
    wait_for_session(&logboom);
    wait_until(|| messages(&logboom, "stdout").len() >= 5_000);
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    assert_eq!(messages(&logboom, "stdout").len(), 5_000);
}

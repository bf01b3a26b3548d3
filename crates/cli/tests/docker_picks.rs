//! Which containers and lines `logboom docker` picks, what it tells of them, and how it shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::{
    Logboom, Running,
    engine::{Container, IMAGE, OwnEngine, docker},
    signal,
    terminal::Terminal,
    wait_until,
};
use logboom_record::Time;
use serde_json::Value;

const GO: &str = "while [ ! -e /go ]; do sleep 0.1; done";

fn touch(container: &Container, file: &str) {
    docker(&["exec", &container.name, "sh", "-c", &format!(": > {file}")]);
}

fn log(logboom: &Logboom, name: &str) -> String {
    let sessions = std::fs::read_dir(logboom.data().join("sessions")).into_iter().flatten().flatten();
    let mut logs = sessions.filter_map(|dir| std::fs::read_to_string(dir.path().join(format!("{name}.log"))).ok());
    logs.next().unwrap_or_default()
}

/// The events of the timeline, each by its name, and what the check of health said by that.
fn events(logboom: &Logboom) -> Vec<String> {
    let timeline = std::fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap_or_default();
    // The last line may be being written.
    let events = timeline.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let name = |event: Value| match event["event"].as_str()? {
        "health" => event["status"].as_str().map(str::to_owned),
        name => Some(name.to_owned()),
    };
    events.filter_map(name).collect()
}

/// What the session's metadata have of its one container.
fn container_of(logboom: &Logboom) -> Value {
    let meta = std::fs::read(logboom.session_file("session.json")).unwrap();
    serde_json::from_slice::<Value>(&meta).unwrap()["runs"][0]["containers"][0].clone()
}

/// Has begun to follow when this returns.
fn start(logboom: &Logboom, args: &[&str]) -> Running {
    let following = logboom.start([&["docker", "--quiet"], args].concat());
    let sessions = logboom.data().join("sessions");
    let has_boom = |dir: std::fs::DirEntry| dir.path().join("records.boom").exists();
    wait_until(|| std::fs::read_dir(&sessions).is_ok_and(|dirs| dirs.flatten().any(has_boom)));
    following
}

#[track_caller]
fn stop(following: Running) {
    signal("-INT", following.pid());
    let done = following.done().expect(0);
    assert_eq!((done.text().as_str(), done.stderr.as_str()), ("", ""), "it is quiet");
}

#[test]
fn health_is_on_the_timeline_and_in_the_session() {
    let (logboom, container) = (Logboom::new(), Container::named("health"));
    let following = start(&logboom, &["--container", &container.name]);
    let check = ["--health-cmd", "test -e /well", "--health-interval", "1s", "--health-retries", "1"];
    container.run(&check, GO);
    wait_until(|| events(&logboom).contains(&"unhealthy".to_owned()));
    touch(&container, "/well");
    wait_until(|| events(&logboom).contains(&"healthy".to_owned()));
    wait_until(|| container_of(&logboom)["health"] == "healthy");
    touch(&container, "/go");
    wait_until(|| events(&logboom).contains(&"died".to_owned()));
    stop(following);
    let health: Vec<String> = events(&logboom).into_iter().filter(|event| event.ends_with("healthy")).collect();
    assert_eq!(health, ["unhealthy", "healthy"]);
}

#[test]
fn that_memory_ran_out_is_on_the_timeline_and_in_the_session() {
    let (logboom, container) = (Logboom::new(), Container::named("oom"));
    let following = start(&logboom, &["--container", &container.name]);
    container.run(&["--memory", "8m", "--memory-swap", "8m"], "tail /dev/zero; echo code $?; exit 9");
    docker(&["wait", &container.name]);
    wait_until(|| events(&logboom).contains(&"died".to_owned()));
    let is_killed = docker(&["inspect", "-f", "{{.State.OOMKilled}}", &container.name]) == "true";
    wait_until(|| container_of(&logboom)["oom_killed"].as_bool().unwrap_or_default() == is_killed);
    stop(following);
    // A kernel without limits of memory kills nobody.
    assert_eq!(is_killed, logboom.text(["show", "--raw", "--stream", "stdout"]).contains("code 137"));
    assert_eq!(events(&logboom).contains(&"oom".to_owned()), is_killed, "{:?}", events(&logboom));
}

#[test]
fn since_leaves_out_what_was_printed_before() {
    let (logboom, container) = (Logboom::new(), Container::named("since"));
    container.run(&[], &format!("echo before; {GO}; echo after"));
    wait_until(|| docker(&["logs", &container.name]) == "before");
    let now = Time::now().to_string();
    touch(&container, "/go");
    docker(&["wait", &container.name]);
    logboom.run(["docker", "--container", &container.name, "--since", &now, "--until-exit", "--quiet"]).expect(0);
    assert_eq!(logboom.text(["show", "--raw"]), "after\n");
    logboom.run(["docker", "--container", &container.name, "--since", "1h", "--until-exit", "--quiet"]).expect(0);
    assert_eq!(logboom.text(["show", "--raw"]), "before\nafter\n");
}

#[test]
fn all_are_those_that_run_and_those_to_come() {
    // An engine of its own: others' containers come and go.
    let (logboom, engine) = (Logboom::new(), OwnEngine::start());
    let run = |name: &str, script: &str| {
        engine.docker(&["run", "-d", "--network", "none", "--name", name, IMAGE, "sh", "-c", script]);
    };
    run("ended", "echo long ago");
    engine.docker(&["wait", "ended"]);
    run("runs", "echo runs; sleep 1000");
    let following = start(&logboom, &["--all", "--host", &engine.host()]);
    run("comes", "echo comes");
    wait_until(|| ["runs", "comes"].iter().all(|name| log(&logboom, name).ends_with(&format!(" {name}\n"))));
    stop(following);
    assert_eq!(log(&logboom, "ended"), "");
}

#[test]
fn a_project_is_its_services() {
    let (logboom, container, other) = (Logboom::new(), Container::named("projected"), Container::named("apart"));
    let project = format!("com.docker.compose.project={}", container.name);
    let labels = ["--label", &project, "--label", "com.docker.compose.service=shop"];
    container.run(&labels, "echo open");
    other.run(&["--label", "com.docker.compose.service=shop"], "echo elsewhere");
    logboom.run(["docker", "--project", &container.name, "--until-exit", "--quiet"]).expect(0);
    assert_eq!(logboom.text(["show", "--raw"]), "open\n");
    assert!(log(&logboom, "shop").ends_with(" open\n"), "{}", log(&logboom, "shop"));
}

#[test]
fn bytes_that_are_no_text_are_kept_as_they_are_where_the_driver_does() {
    let printed = b"caf\xe9 \xff\xfe\x80 end\n";
    for (driver, want) in [
        ("none", printed.to_vec()),
        ("local", printed.to_vec()),
        ("json-file", "caf\u{fffd} \u{fffd}\u{fffd}\u{fffd} end\n".into()),
    ] {
        let (logboom, container) = (Logboom::new(), Container::named(driver));
        container.create(&["--log-driver", driver], r"printf 'caf\351 \377\376\200 end\n'");
        let following = start(&logboom, &["--container", &container.name, "--until-exit"]);
        let has_log = |dir: std::fs::DirEntry| dir.path().join(format!("{}.log", container.name)).exists();
        let sessions = logboom.data().join("sessions");
        wait_until(|| std::fs::read_dir(&sessions).unwrap().flatten().any(has_log));
        container.start();
        following.done().expect(0);
        let raw = logboom.run(["show", "--raw"]).expect(0).stdout;
        assert!(raw == want, "{driver}: {:?}", String::from_utf8_lossy(&raw));
    }
}

#[test]
fn names_are_coloured_on_a_terminal_alone() {
    let (terminal, one, two) = (Terminal::start(), Container::named("red"), Container::named("blue"));
    for container in [&one, &two] {
        container.run(&[], "echo hello");
        docker(&["wait", &container.name]);
    }
    let pane = terminal.first();
    let line = format!("logboom docker --container {} --container {} --until-exit", one.name, two.name);
    pane.run(&line);
    let screen = pane.colored();
    let styles = [&one, &two].map(|container| {
        let line =
            screen.lines().find(|line| line.contains(&format!("{} ", container.name)) && line.ends_with("hello"));
        let line = line.unwrap_or_else(|| panic!("{screen}"));
        line.split_once(&container.name).unwrap().0.to_owned()
    });
    assert!(styles.iter().all(|style| style.starts_with("\x1b[")) && styles[0] != styles[1], "{styles:?}");
    let plain = pane.run(&format!("{line} | cat -v"));
    assert!(plain.contains(&one.name) && !plain.contains("^["), "{plain}");
}

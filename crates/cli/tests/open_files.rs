//! The limit of open files: raised for logboom, as ever for what it starts, and said where it is reached.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use common::{
    Done, Logboom,
    engine::{Container, docker, make_image, wait_for_session},
    signal, wait_until,
};

const CONTAINERS: usize = 30;
const LINES: usize = 200;

/// logboom with these arguments, started by a shell under this `ulimit`.
fn limited(logboom: &Logboom, ulimit: &str, args: &[&str]) -> Command {
    let plain = logboom.command(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {ulimit} && exec \"$@\""), "sh"]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(logboom.home()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn what_there_is_no_file_left_for_is_said_and_the_others_are_whole() {
    let (logboom, label) = (Logboom::new(), format!("logboom-many={}", std::process::id()));
    let script = format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; sleep 0.02; done");
    let containers: Vec<Container> =
        (0..CONTAINERS).map(|number| Container::named(&format!("many{number}-"))).collect();
    containers.iter().for_each(|container| container.run(&["--label", &label], &script));
    let args = ["docker", "--label", &label, "--until-exit", "--quiet"];
    let done = Done::from(limited(&logboom, "-n 40", &args).output().unwrap());
    let all: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
    let (mut refused, mut missing) = (0, 0);
    for container in &containers {
        let says = format!("logboom: {} is not followed: logboom may have 40 files open at once", container.name);
        let said: Vec<&str> = done.stderr.lines().filter(|line| line.starts_with(&says)).collect();
        assert!(said.len() <= 1 && said.iter().all(|line| line.ends_with("; it is tried again")), "{}", done.stderr);
        refused += said.len();
        let Ok(text) = fs::read_to_string(logboom.session_file(&format!("{}.log", container.name))) else {
            assert_eq!(said.len(), 1, "{}: {}", container.name, done.stderr);
            missing += 1;
            continue;
        };
        // Its log is there once there is room, and then it is read from its beginning.
        let lines: Vec<&str> = text.lines().map(|line| &line[32..]).collect();
        assert_eq!(lines, all, "{}", container.name);
    }
    assert!(refused > 0 && missing < CONTAINERS, "{refused}, {missing}: {}", done.stderr);
    let fails = done.stderr.contains("logboom: not all could be kept: ");
    assert_eq!((done.code, fails), (Some(if missing > 0 { 2 } else { 0 }), missing > 0), "{}", done.stderr);
    logboom.run(["verify"]).expect(0);
}

#[test]
fn a_container_that_is_gone_makes_room_for_the_next() {
    let (logboom, label) = (Logboom::new(), format!("logboom-turns={}", std::process::id()));
    make_image();
    let mut following = limited(&logboom, "-n 40", &["docker", "--label", &label, "--quiet"]).spawn().unwrap();
    wait_for_session(&logboom);
    for number in 0..CONTAINERS {
        let container = Container::named(&format!("turn{number}-"));
        container.run(&["--label", &label], "echo here; exit 3");
        docker(&["wait", &container.name]);
        let log = || fs::read_to_string(logboom.session_file(&format!("{}.log", container.name)));
        wait_until(|| log().is_ok_and(|text| text.ends_with("here\n")));
    }
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    let session = logboom.latest();
    let runs = session["runs"].as_array().unwrap();
    assert_eq!((runs.len(), session["lines"].as_u64()), (CONTAINERS, Some(CONTAINERS as u64)), "{session}");
    assert!(runs.iter().all(|run| run["outcome"] == "failed"), "{session}");
}

#[test]
fn the_limit_is_raised_for_logboom_alone() {
    make_image();
    let logboom = Logboom::new();
    // Stands in for docker-compose, and says what it was given, and what whoever started it has.
    let script = "#!/bin/sh\ncase \"$*\" in\n\"version --short\") echo 1.29.2 ;;\n*) echo own $(ulimit -Sn); \
                  awk '/open files/ { print \"logboom\", $4, $5 }' /proc/$PPID/limits ;;\nesac\n";
    let bin = logboom.path("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("docker-compose"), script).unwrap();
    fs::set_permissions(bin.join("docker-compose"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(logboom.path("docker-compose.yml"), "version: '3'\n").unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = limited(&logboom, "-Sn 256", &["compose", "-p", "logboomlimit", "up"]);
    let done = Done::from(command.env("PATH", path).output().unwrap()).expect(0);
    let (text, hard) = (done.text(), Command::new("sh").args(["-c", "ulimit -Hn"]).output().unwrap());
    let hard = String::from_utf8(hard.stdout).unwrap();
    assert_eq!(text, format!("own 256\nlogboom {0} {0}\n", hard.trim()), "{}", done.stderr);
    assert_eq!(docker(&["ps", "-aq", "--filter", "label=com.docker.compose.project=logboomlimit"]), "");
}

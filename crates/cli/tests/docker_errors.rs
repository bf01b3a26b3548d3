//! What `logboom docker` says where an engine does not do what is asked: one line, with what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    thread,
};

use common::{Done, Logboom};

/// Somebody who may not do much.
const NOBODY: u32 = 65_534;

/// An engine that answers each request with one of these, by how its path ends.
fn fake_engine(dir: &Path, answers: &'static [(&'static str, u16, &'static str)]) -> PathBuf {
    let socket = dir.join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || answer(client, answers));
        }
    });
    socket
}

fn answer(client: UnixStream, answers: &[(&str, u16, &str)]) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let (_, status, body) = answers.iter().find(|(end, ..)| path.ends_with(end)).copied().unwrap_or(("", 404, "{}"));
    let (version, json) = if path.ends_with("_ping") { (body, "OK") } else { ("1.41", body) };
    let head = format!("HTTP/1.1 {status} x\r\nApi-Version: {version}\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    (&client).write_all(head.as_bytes())
}

#[track_caller]
fn expect_line(done: Done, says: &[&str]) {
    let done = done.expect(2);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    for part in says {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
}

#[test]
fn an_engine_that_is_too_old_is_to_be_upgraded() {
    let (logboom, dir) = (Logboom::new(), tempfile::tempdir().unwrap());
    let socket = fake_engine(dir.path(), &[("/_ping", 200, "1.38")]);
    let done = logboom.run(["docker", "--all", "--host", &format!("unix://{}", socket.display())]);
    expect_line(done, &["has API 1.38", "needs 1.40 (Docker 19.03) or newer", "upgrade the engine"]);
}

#[test]
fn where_nothing_can_be_followed_no_session_is_left() {
    let (logboom, dir) = (Logboom::new(), tempfile::tempdir().unwrap());
    let socket = fake_engine(dir.path(), &[("/_ping", 200, "1.41"), ("/containers/json", 200, "[]")]);
    let host = format!("unix://{}", socket.display());
    let nowhere = format!("unix://{}", dir.path().join("nowhere.sock").display());
    expect_line(logboom.run(["docker", "--all", "--host", &nowhere]), &["no Docker engine at", "nowhere.sock"]);
    let args = ["docker", "--container", "nobody", "--until-exit", "--quiet", "--host", &host];
    expect_line(logboom.run(args), &["no container is called nobody"]);
    assert_eq!(logboom.jsons(["sessions", "--json"]), [] as [serde_json::Value; 0]);
    // One that was there stays.
    let id = logboom.run(["session", "start"]).expect(0).text();
    logboom.run([&args[..], &["--session", id.trim()]].concat()).expect(2);
    assert_eq!(logboom.jsons(["sessions", "--json"]).len(), 1);
}

#[test]
fn a_socket_that_is_not_ours_needs_its_group() {
    let (logboom, dir) = (Logboom::new(), tempfile::tempdir().unwrap());
    let socket = fake_engine(dir.path(), &[("/_ping", 200, "1.41")]);
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
    for dir in [dir.path(), logboom.home()] {
        fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
    }
    // A copy where anybody may run it.
    let program = dir.path().join("logboom");
    fs::copy(env!("CARGO_BIN_EXE_logboom"), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    let host = format!("unix://{}", socket.display());
    command.args(["docker", "--all", "--host", &host]).current_dir(logboom.home()).env("LOGBOOM_DIR", logboom.data());
    let done = Done::from(command.uid(NOBODY).gid(NOBODY).output().unwrap());
    expect_line(done, &["no permission to use the Docker engine", "usermod -aG docker $USER"]);
}

#[test]
fn an_engine_that_refuses_is_quoted() {
    let (logboom, dir) = (Logboom::new(), tempfile::tempdir().unwrap());
    let answers = &[("/_ping", 200, "1.41"), ("/events", 500, r#"{"message":"out of sorts"}"#)];
    let socket = fake_engine(dir.path(), answers);
    let done = logboom.run(["docker", "--all", "--host", &format!("unix://{}", socket.display())]);
    expect_line(done, &["cannot follow the events", "out of sorts", "(500)", "the engine's own log may say more"]);
    assert_eq!(logboom.latest()["outcome"], "failed");
}

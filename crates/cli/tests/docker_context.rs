//! Which engine is meant where docker's client has contexts, which it made itself here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use common::{
    Done, Logboom,
    engine::{Container, IMAGE, docker, make_image, socket},
};

/// Directories of docker's client and of a compose project.
struct Client {
    logboom: Logboom,
}

impl Client {
    /// With the contexts `here`, a way to the engine of the tests, and `nowhere`; this one is current.
    fn with(current: &str) -> Client {
        let client = Client { logboom: Logboom::new() };
        symlink(socket(), client.logboom.path("here.sock")).unwrap();
        for name in ["here", "nowhere"] {
            let to = format!("host=unix://{}", client.logboom.path(&format!("{name}.sock")).display());
            docker(&["--config", &client.dir(), "context", "create", name, "--docker", &to]);
        }
        docker(&["--config", &client.dir(), "context", "use", current]);
        client
    }

    fn dir(&self) -> String {
        self.logboom.path("client").display().to_string()
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        let mut command = self.command(args);
        command.envs(env.iter().copied());
        command.output().unwrap().into()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.logboom.command(args);
        command.env("DOCKER_CONFIG", self.dir());
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"] {
            command.env_remove(name);
        }
        command
    }

    /// The path that is told where nobody listens.
    fn nowhere(&self) -> String {
        format!("no Docker engine at unix://{}", self.logboom.path("nowhere.sock").display())
    }

    fn meta_of_current(&self) -> PathBuf {
        let dirs = fs::read_dir(self.logboom.path("client/contexts/meta")).unwrap();
        let mut files = dirs.map(|dir| dir.unwrap().path().join("meta.json"));
        files.find(|file| fs::read_to_string(file).unwrap().contains("nowhere")).unwrap()
    }
}

#[test]
fn the_engine_is_the_one_that_dockers_client_would_use() {
    let (client, container) = (Client::with("nowhere"), Container::named("context"));
    container.run(&[], "echo hello");
    let follow = ["docker", "--container", &container.name, "--until-exit"];
    let lost = client.run(&follow, &[]).expect(2);
    assert!(lost.stderr.contains(&client.nowhere()) && lost.stderr.lines().count() == 1, "{}", lost.stderr);
    let here = format!("unix://{}", client.logboom.path("here.sock").display());
    for env in [("DOCKER_CONTEXT", "here"), ("DOCKER_HOST", here.as_str()), ("DOCKER_CONTEXT", "default")] {
        assert!(client.run(&follow, &[env]).expect(0).text().contains("hello"), "{env:?}");
    }
    let both = [("DOCKER_HOST", here.as_str()), ("DOCKER_CONTEXT", "nowhere")];
    client.run(&follow, &both).expect(0);
    client.run(&[&follow[..], &["--host", &here]].concat(), &[("DOCKER_HOST", "unix:///nobody")]).expect(0);
}

#[test]
fn a_context_that_is_broken_is_told_by_its_file() {
    let client = Client::with("nowhere");
    let file = client.meta_of_current();
    fs::write(&file, "{\"Name\":").unwrap();
    let broken = client.run(&["docker", "--all"], &[]).expect(2);
    let says = format!("cannot read {}: EOF", file.display());
    assert!(broken.stderr.contains(&says) && broken.stderr.contains("--host or DOCKER_HOST"), "{}", broken.stderr);
    let gone = client.run(&["docker", "--all"], &[("DOCKER_CONTEXT", "here2")]).expect(2);
    assert!(gone.stderr.lines().count() == 1, "{}", gone.stderr);
}

#[test]
fn a_context_with_tls_says_what_to_do() {
    let client = Client::with("here");
    let to = "host=tcp://127.0.0.1:2376,skip-tls-verify=true";
    docker(&["--config", &client.dir(), "context", "create", "sure", "--docker", to]);
    let refused = client.run(&["docker", "--all"], &[("DOCKER_CONTEXT", "sure")]).expect(2);
    let says = ["cannot use docker context \"sure\" (tcp://127.0.0.1:2376)", "TLS", "ssh -NL", "--host unix://"];
    says.iter().for_each(|part| assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr));
}

/// A compose project of one service that prints a line.
fn project(client: &Client) -> String {
    make_image();
    let name = format!("logboomctx{}{:?}", std::process::id(), std::thread::current().id());
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let file = format!("version: '3'\nservices:\n  web:\n    image: {IMAGE}\n    command: [echo, hello]\n");
    fs::write(client.logboom.path("docker-compose.yml"), file.replace("[echo, hello]", "[sh, -c, echo hello]"))
        .unwrap();
    name
}

#[test]
fn compose_and_its_services_are_looked_for_at_the_same_engine() {
    let client = Client::with("nowhere");
    let name = project(&client);
    let up = ["compose", "-p", &name, "up"];
    let lost = client.run(&up, &[]).expect(1);
    assert!(lost.stderr.contains(&client.nowhere()), "{}", lost.stderr);
    // v1 heeds DOCKER_CONTEXT not at all, but the arguments, and the project's file of variables.
    let lost = client.run(&up, &[("DOCKER_CONTEXT", "here")]).expect(1);
    assert!(lost.stderr.contains(&client.nowhere()), "{}", lost.stderr);
    let in_context = client.run(&["compose", "--", "--context", "here", "-p", &name, "up"], &[]).expect(0);
    assert!(in_context.text().contains("hello"), "{}", in_context.text());
    assert_eq!(client.logboom.text(["show", "--raw", "--run", "web"]), "hello\n");
    let here = format!("DOCKER_HOST=unix://{}\n", client.logboom.path("here.sock").display());
    fs::write(client.logboom.path(".env"), here).unwrap();
    client.run(&up, &[]).expect(0);
    assert_eq!(client.logboom.text(["show", "--raw", "--run", "web"]), "hello\n");
    client.run(&["compose", "-p", &name, "down", "-t", "0"], &[]).expect(0);
}

//! The Docker engine of this machine, and containers that a test runs in it: started by the docker command, so that
//! what is under test is not what sets it up.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's support fails as a test does")]

mod image;

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

pub use image::IMAGE;
use logboom_capture::engine::{Engine, Host};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test's future, and fails it when that takes too long.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.unwrap() })
}

/// The engine that `DOCKER_HOST` or the usual socket leads to.
pub async fn engine() -> Engine {
    let host = Host::from_environment().unwrap();
    match Engine::connect(&host).await {
        Ok(engine) => engine,
        Err(error) => panic!("this test needs a running Docker engine (as root: `dockerd &`): {error}"),
    }
}

/// Runs the docker command; gives what it prints.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("the docker command (package docker.io or docker-cli): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {errors}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A container of a test's own; it is removed at its end.
pub struct Container {
    pub name: String,
}

impl Container {
    /// Creates it to run a shell script, and does not start it.
    pub fn create(options: &[&str], script: &str) -> Container {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        image::make(&["docker"]);
        let name = format!("logboom-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let container = Container { name };
        let command = [&["create", "--name", &container.name], options, &[IMAGE, "sh", "-c", script]].concat();
        docker(&command);
        container
    }

    pub fn run(options: &[&str], script: &str) -> Container {
        let container = Container::create(options, script);
        container.start();
        container
    }

    pub fn start(&self) {
        docker(&["start", &self.name]);
    }

    /// Waits for its end; gives its exit code.
    pub fn wait(&self) -> i32 {
        docker(&["wait", &self.name]).parse().unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let removed = Command::new("docker").args(["rm", "-fv", &self.name]).output();
        assert!(removed.is_ok() || std::thread::panicking());
    }
}

//! Drives the real program in a data dir of its own.
//!
//! Every test file takes what it needs of this, so that some is unused in each.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helper may fail as the test does")]

pub mod engine;
pub mod spec;
pub mod terminal;

use std::{
    ffi::OsStr,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take that is waited for.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// logboom with a data dir of its own, which goes with it.
pub struct Logboom {
    home: TempDir,
    data: PathBuf,
}

/// What a finished command left behind.
pub struct Done {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Done {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its lines.
    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Done {
        assert_eq!(self.code, Some(code), "signal {:?}\n{}\n{}", self.signal, self.text(), self.stderr);
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        let Output { status, stdout, stderr } = output;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Done { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

impl Logboom {
    /// With a new data dir.
    pub fn new() -> Logboom {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        Logboom { home, data }
    }

    /// With a data dir somewhere else.
    pub fn in_dir(data: PathBuf) -> Logboom {
        Logboom { data, ..Logboom::new() }
    }

    /// A place for the test's own files, and the working directory of every command.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file of the test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// The data dir; logboom makes it.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// A file of the latest session.
    #[track_caller]
    pub fn session_file(&self, name: &str) -> PathBuf {
        PathBuf::from(self.latest()["dir"].as_str().unwrap()).join(name)
    }

    /// logboom with these arguments, ready to be changed and started.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logboom"));
        command.args(args).current_dir(self.home()).stdin(Stdio::null()).env("LOGBOOM_DIR", self.data());
        // Under `make` a make that a test runs would tell of directories.
        for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
            command.env_remove(name);
        }
        for name in ["LOGBOOM_SESSION", "LOGBOOM_RUN", "LOGBOOM_PAGER", "PAGER", "NO_COLOR", "LESS"] {
            command.env_remove(name);
        }
        // What a CI system says of the commit that these tests are of.
        for name in [
            "GITHUB_SHA",
            "CI_COMMIT_SHA",
            "BUILDKITE_COMMIT",
            "BUILD_SOURCEVERSION",
            "TRAVIS_COMMIT",
            "CIRCLE_SHA1",
            "GIT_COMMIT",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// `sh -c SCRIPT`, with everything else as logboom gets it; `$0` is logboom.
    pub fn shell(&self, script: &str) -> Command {
        let (logboom, mut shell) = (self.command([""; 0]), Command::new("sh"));
        shell.args(["-c", script]).arg(logboom.get_program()).current_dir(self.home()).stdin(Stdio::null());
        for (name, value) in logboom.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    /// Runs logboom to its end.
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// Runs logboom with this standard input.
    pub fn run_with_input<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I, input: &[u8]) -> Done {
        let mut child =
            self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let done = child.wait_with_output().unwrap().into();
        // It may have stopped reading, which is what some tests are about.
        let _ = writer.join().unwrap();
        done
    }

    /// `logboom run -- sh -c SCRIPT`.
    pub fn run_script(&self, script: &str) -> Done {
        self.run(&["run", "--", "sh", "-c", script])
    }

    /// What a command prints that must succeed.
    #[track_caller]
    pub fn text<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> String {
        self.run(args).expect(0).text()
    }

    /// Runs logboom and reads every line of its standard output as JSON.
    #[track_caller]
    pub fn jsons<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Vec<Value> {
        let done = self.run(args);
        let lines = done.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", done.text())))
            .collect()
    }

    /// The first line of them.
    #[track_caller]
    pub fn json<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Value {
        self.jsons(args).into_iter().next().unwrap()
    }

    /// The latest session as `sessions --json` has it.
    #[track_caller]
    pub fn latest(&self) -> Value {
        self.json(["sessions", "-n", "1", "--json"])
    }

    /// Starts logboom in the background, its outputs caught.
    pub fn start<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Running {
        Running::of(self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }
}

/// A started logboom; killed when the test ends before it does.
pub struct Running(pub Child);

impl Running {
    pub fn of(command: &mut Command) -> Running {
        Running(command.spawn().unwrap())
    }

    /// Waits for its end.
    pub fn done(mut self) -> Done {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let err = self.0.stderr.take();
        let reader = std::thread::spawn(move || {
            err.map(|mut err| err.read_to_end(&mut stderr)).transpose().unwrap();
            stderr
        });
        self.0.stdout.take().map(|mut out| out.read_to_end(&mut stdout)).transpose().unwrap();
        let status: ExitStatus = self.0.wait().unwrap();
        Output { status, stdout, stderr: reader.join().unwrap() }.into()
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as nothing can prevent.
    pub fn kill_9(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has most often ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the condition holds.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal, `-TERM` say, to a process.
#[track_caller]
pub fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

//! The Docker engine that `make test` found or started, and containers of a test's own.

use std::process::{Command, Stdio};

/// The image of all test containers: busybox alone.
pub const IMAGE: &str = "logboom-test:busybox";

const NO_ENGINE: &str =
    "these tests need a Docker engine and its client: `make test` starts one where none runs (see docs/guide.md)";

/// Runs `docker` to its end, and gives what it printed.
#[track_caller]
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect(NO_ENGINE);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "docker {args:?}: {}\n{NO_ENGINE}", text(&output.stderr));
    text(&output.stdout)
}

/// Makes the image where it is not there yet.
pub fn make_image() {
    let mut there = Command::new("docker");
    there.args(["image", "inspect", IMAGE]).stdout(Stdio::null()).stderr(Stdio::null());
    if there.status().is_ok_and(|status| status.success()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static is needed for the test image");
    for applet in ["sh", "cat", "sleep", "awk", "printf", "true", "false", "head", "tr", "seq", "stty"] {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
    }
    let tar = format!("tar -C {} -c . | docker import - {IMAGE}", dir.path().display());
    let made = Command::new("sh").args(["-c", &tar]).stdout(Stdio::null()).status().expect(NO_ENGINE);
    assert!(made.success(), "{NO_ENGINE}");
}

/// A container that goes with the test.
pub struct Container {
    pub name: String,
}

impl Container {
    /// A name that no other test has, also in another process.
    pub fn named(test: &str) -> Container {
        make_image();
        Container { name: format!("logboom-{test}-{}", std::process::id()) }
    }

    /// Creates it, with these options of `docker create`, to run this script.
    #[track_caller]
    pub fn create(&self, options: &[&str], script: &str) {
        let mut args = vec!["create", "--name", &self.name];
        args.extend(options);
        args.extend([IMAGE, "/bin/sh", "-c", script]);
        docker(&args);
    }

    /// Starts it.
    #[track_caller]
    pub fn start(&self) {
        docker(&["start", &self.name]);
    }

    /// Creates and starts it.
    #[track_caller]
    pub fn run(&self, options: &[&str], script: &str) {
        self.create(options, script);
        self.start();
    }

    /// Removes it, running or not.
    pub fn remove(&self) {
        let mut remove = Command::new("docker");
        // It may have gone by itself.
        let _ = remove.args(["rm", "-fv", &self.name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

//! What the tests share.

use std::{fs, path::Path};

use logboom::LogCollector;

/// A collector in a directory of its own.
pub fn collector() -> (tempfile::TempDir, LogCollector) {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).build().unwrap();
    (dir, collector)
}

/// The messages of a text log.
pub fn messages(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "torn: {path:?}");
    text.lines().map(|line| line[32..].to_owned()).collect()
}

/// The levels of a text log, by letter.
pub fn levels(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().map(|line| char::from(line.as_bytes()[30])).collect()
}

/// Runs this test again in a process of its own, with `ROLE` set, and gives that process.
pub fn again(test: &str, role: &str, dir: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ROLE", role).env("ROLE_DIR", dir);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    command
}

/// What this process was started for by [`again`].
pub fn role() -> Option<(String, std::path::PathBuf)> {
    Some((std::env::var("ROLE").ok()?, std::env::var_os("ROLE_DIR")?.into()))
}

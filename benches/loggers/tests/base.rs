//! The bench itself, with the logger that it brings along.

#![allow(clippy::unwrap_used)] // tests may

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

fn child(dir: &Path, task: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logboom-bench-loggers"));
    command.args(["child", "--rival", "base", "--lines", "2000", "--threads", "2", "--task", task, "--dir"]).arg(dir);
    command.output().unwrap()
}

#[test]
fn all_lines_of_a_round_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let output = child(dir.path(), "throughput");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((figures["lost"].as_f64(), figures["again"].as_f64()), (Some(0.0), Some(0.0)), "{figures}");
    let text = std::fs::read_to_string(dir.path().join("lines.log")).unwrap();
    assert_eq!(text.lines().count(), 2_000);
}

#[test]
fn process_ends_as_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let ends = ["exit", "panic", "abort", "kill"].map(|task| child(dir.path(), task).status);
    assert_eq!(ends.map(|status| status.code()), [Some(0), Some(101), None, None]);
    assert_eq!(ends.map(|status| status.signal()), [None, None, Some(6), Some(9)]);
}

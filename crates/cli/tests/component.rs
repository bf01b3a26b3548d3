//! `logboom show` of component logs.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use logboom_files::component::{LogConfig, LogEntry, LogLevel, PluginLogger, Rotated, SupervisorLogger};
use logboom_record::Time;

fn show(log_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logboom"));
    command.arg("show").args(arguments).arg("--log-dir").arg(log_dir).output().unwrap()
}

fn text(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_plugins_log_is_shown_oldest_first_across_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { max_file_size: 300, max_rotated_files: 99, log_dir: dir.path().to_owned() };
    let clock = Arc::new(|| Time::from_micros(1_767_323_045_000_000));
    let logger = PluginLogger::open_with(&config, "weather", Rotated::Zstd, clock).unwrap();
    (1..=5).for_each(|number| logger.log(LogLevel::Info, format!("line {number}")).unwrap());
    let time = Time::from_micros(1_767_323_045_000_000);
    let entry =
        LogEntry::builder(LogLevel::Error, "two\nlines").timestamp(time).error("cut").pid(7).field("x", 1).build();
    logger.write(&entry).unwrap();

    let shown = show(dir.path(), &["--plugin", "weather", "-n", "2"]);
    assert!(shown.status.success());
    assert_eq!(
        text(&shown),
        "2026-01-02T03:04:05.000000Z I line 5\n2026-01-02T03:04:05.000000Z E two^Jlines error=\"cut\" pid=7 x=1\n"
    );
    let shown = show(dir.path(), &["--plugin", "weather"]);
    assert!(text(&shown).lines().count() == 6 && text(&shown).lines().next().unwrap().ends_with("I line 1"));
    let shown = show(dir.path(), &["--plugin", "weather", "--json", "--level", "warn"]);
    assert_eq!(serde_json::from_str::<LogEntry>(text(&shown)).unwrap().message, "two\nlines");
}

#[test]
fn torn_lines_are_told_and_an_unknown_plugin_has_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path());
    let logger = SupervisorLogger::open(&config).unwrap();
    logger.enable("a").unwrap();
    OpenOptions::new().append(true).open(logger.path()).unwrap().write_all(b"{\"torn").unwrap();
    let shown = show(dir.path(), &["--supervisor"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown).contains(" I enabled plugin a event=\"enable\"\n"), "{}", text(&shown));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("1 torn or foreign"));

    let shown = show(dir.path(), &["--plugin", "b"]);
    assert_eq!((shown.status.code(), text(&shown)), (Some(0), ""));
    assert_eq!(show(dir.path(), &["--plugin", "../b"]).status.code(), Some(2));
    assert_eq!(show(dir.path(), &["--plugin", "b", "@1"]).status.code(), Some(2));
    assert_eq!(show(dir.path(), &[]).status.code(), Some(2), "--log-dir alone says nothing");
}

//! What a killed program left in its rings, as the program shows it and puts it into files.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod common;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use common::{Logboom, Running, wait_until};
use logboom::{Builder, Live, LogCollector, OnFull};
use logboom_boom::{NewRecord, Options, Writer};
use logboom_record::{Flags, Kind, Level, RunId, Stream, Time};

/// What the program of a test logs.
const LOGGED: [&str; 3] = ["one", "two", "three"];

/// A command of this program that does a test once more, as a program that logs to this data dir.
fn in_role(mut command: Command, test: &str, dir: &Path, role: impl AsRef<OsStr>) -> Command {
    command.args(["--exact", test]).env("ROLE_DIR", dir).env("ROLE", role);
    command
}

/// The data dir and the role that this process was started with.
fn role() -> Option<(PathBuf, String)> {
    Some((env::var_os("ROLE_DIR")?.into(), env::var("ROLE").ok()?))
}

/// Logs to rings that the collector's thread does not empty any more, and says so by a file.
fn log_and_wait(dir: &Path, ready: &Path) -> ! {
    log_to_and_wait(LogCollector::builder(dir), ready)
}

fn log_to_and_wait(builder: Builder, ready: &Path) -> ! {
    log_by(builder, &[], ready, |collector| LOGGED.iter().for_each(|line| collector.log_str(line)))
}

/// The thread gets as far as the first record that is not one of `written`.
fn log_by(builder: Builder, written: &'static [&str], ready: &Path, log: impl FnOnce(&LogCollector)) -> ! {
    let (reached, stuck) = std::sync::mpsc::channel();
    let live = Live::new(move |record| {
        if written.iter().any(|message| message.as_bytes() == record.message) {
            return true;
        }
        reached.send(()).unwrap();
        loop {
            thread::park();
        }
    });
    let collector = builder.live(live).build().unwrap();
    log(&collector);
    stuck.recv().unwrap();
    fs::write(ready, "").unwrap();
    loop {
        thread::park();
    }
}

/// A data dir with a session whose program is gone and has left all in its rings; `while_it_lives` comes before that.
fn killed<T>(test: &str, while_it_lives: impl FnOnce(&Logboom) -> T) -> (Logboom, T) {
    let logboom = Logboom::new();
    let ready = logboom.path("ready");
    let mut command = in_role(Command::new(env::current_exe().unwrap()), test, &logboom.data(), &ready);
    let mut running = Running::of(command.env_remove("LOGBOOM_SESSION"));
    wait_until(|| ready.exists());
    let value = while_it_lives(&logboom);
    running.kill_9();
    (logboom, value)
}

fn rings(logboom: &Logboom) -> PathBuf {
    logboom.session_file("collector.log.ring")
}

#[test]
fn what_only_rings_have_is_counted_and_repaired_once() {
    if let Some((dir, ready)) = role() {
        log_and_wait(&dir, ready.as_ref());
    }
    let (logboom, ()) = killed("what_only_rings_have_is_counted_and_repaired_once", |_| ());
    assert!(fs::read(logboom.session_file("collector.log")).unwrap().is_empty() && rings(&logboom).exists());
    assert_eq!(logboom.latest()["lines"], 3, "they are in rings alone");
    let report = logboom.json(["verify", "--repair", "--json"]);
    let run: RunId = logboom.json(["show", "--json"])["run"].as_str().unwrap().parse().unwrap();
    let repaired = report["repaired"].as_array().unwrap();
    assert_eq!(repaired.len(), 1, "{report}");
    assert_eq!((&repaired[0]["run"], &repaired[0]["bytes_before"]), (&run.to_string().into(), &0.into()), "{report}");
    assert!(!rings(&logboom).exists());
    assert_eq!(logboom.latest()["lines"], 3);
}

#[test]
fn who_follows_is_told_that_rings_keep_what_went_by_them() {
    if let Some((dir, ready)) = role() {
        log_and_wait(&dir, ready.as_ref());
    }
    let follow = |logboom: &Logboom| logboom.start(["tail", "-f"]);
    let (_logboom, follower) = killed("who_follows_is_told_that_rings_keep_what_went_by_them", follow);
    let done = follower.done().expect(1);
    assert!(done.stderr.contains("was killed; what went by its rings is kept"), "{}", done.stderr);
    let shown: Vec<String> =
        done.lines().iter().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect();
    assert_eq!(shown, LOGGED);
}

#[test]
fn who_follows_a_collector_without_rings_is_told_that_what_was_not_written_is_lost() {
    if let Some((dir, ready)) = role() {
        log_to_and_wait(LogCollector::builder(dir).queue_only(), ready.as_ref());
    }
    let test = "who_follows_a_collector_without_rings_is_told_that_what_was_not_written_is_lost";
    let (_logboom, follower) = killed(test, |logboom| logboom.start(["tail", "-f"]));
    let done = follower.done().expect(1);
    assert!(done.stderr.contains("was killed; what it had not yet written is lost"), "{}", done.stderr);
}

#[test]
fn who_follows_to_a_recovery_is_told_that_what_went_by_rings_is_kept() {
    if let Some((dir, ready)) = role() {
        log_and_wait(&dir, ready.as_ref());
    }
    let (logboom, ()) = killed("who_follows_to_a_recovery_is_told_that_what_went_by_rings_is_kept", |_| ());
    logboom.run(["verify", "--repair"]);
    assert!(!rings(&logboom).exists());
    let done = logboom.run(["tail", "-f"]).expect(1);
    assert!(done.stderr.contains("was killed; what went by its rings is kept"), "{}", done.stderr);
}

#[test]
fn a_collector_in_a_captured_run_recovers_what_is_in_the_data_dir_around_it() {
    if let Some((dir, role)) = role() {
        if role == "next" {
            drop(LogCollector::builder(dir).build().unwrap());
            return;
        }
        log_and_wait(&dir, role.as_ref());
    }
    let test = "a_collector_in_a_captured_run_recovers_what_is_in_the_data_dir_around_it";
    let (logboom, ()) = killed(test, |_| ());
    let rings = rings(&logboom);
    assert!(rings.exists());
    let mut run = logboom.command(["run", "--quiet", "--"]);
    run.arg(env::current_exe().unwrap());
    let mut run = in_role(run, test, &logboom.path("elsewhere"), "next");
    assert!(run.status().unwrap().success());
    assert!(!rings.exists());
    let text = fs::read_to_string(rings.with_extension("")).unwrap();
    assert!(text.lines().map(|line| &line[32..]).eq(LOGGED), "{text}");
}

/// The gaps that `verify` has, of which all but an open one are closed.
fn gaps(report: &serde_json::Value) -> Vec<(u64, Option<u64>)> {
    let gaps = report["gaps"].as_array().unwrap().iter();
    gaps.map(|gap| (gap["from"].as_u64().unwrap(), gap["to"].as_u64())).collect()
}

#[test]
fn nothing_is_missing_after_a_recovery_though_one_before_it_was_killed() {
    if let Some((dir, ready)) = role() {
        log_by(LogCollector::builder(dir), &LOGGED[..1], ready.as_ref(), |collector| {
            collector.log_str(LOGGED[0]);
            collector.flush().unwrap();
            LOGGED[1..].iter().for_each(|line| collector.log_str(line));
        });
    }
    let (logboom, ()) = killed("nothing_is_missing_after_a_recovery_though_one_before_it_was_killed", |_| ());
    let run: RunId = logboom.jsons(["show", "--json"])[0]["run"].as_str().unwrap().parse().unwrap();
    // Killed when it had the first record of the batch, which begins with the second of the run.
    let mut boom = Writer::create_in(&logboom.session_file(""), "records", Options::default()).unwrap();
    let slot = boom.run(run, Kind::Collector, 2).unwrap();
    let (stream, level, flags, message) = (Stream::System, Level::Info, Flags::NONE, LOGGED[1].as_bytes());
    let new = NewRecord { time: Time::now(), origin_time_ns: None, stream, level, flags, message, fields: None };
    boom.push(slot, &new).unwrap();
    boom.sync().unwrap();
    drop(boom);
    assert_eq!(gaps(&logboom.json(["verify", "--json"])), [(4, None)]);
    let report = logboom.json(["verify", "--repair", "--json"]);
    assert_eq!((report["records"].as_u64(), report["lost"].as_u64()), (Some(3), Some(0)), "{report}");
    logboom.run(["verify"]).expect(0);
}

#[test]
fn a_run_keeps_to_its_doubt_in_all_that_shows_it() {
    if let Some((dir, ready)) = role() {
        let builder = LogCollector::builder(dir).on_full(OnFull::Drop);
        log_by(builder, &[], ready.as_ref(), |collector| {
            collector.log_str("by a ring");
            collector.log_str(&"x".repeat(300_000));
        });
    }
    let (logboom, ()) = killed("a_run_keeps_to_its_doubt_in_all_that_shows_it", |_| ());
    let report = logboom.json(["verify", "--repair", "--json"]);
    assert_eq!((report["records"].as_u64(), gaps(&report)), (Some(1), vec![(2, None)]), "{report}");
    let text = fs::read_to_string(logboom.session_file("collector.log")).unwrap();
    assert!(text.ends_with("lost seq 2-: writer was killed\n"), "{text}");
    assert!(logboom.text(["show"]).contains("lost"), "{}", logboom.text(["show"]));
}

#[test]
fn dropped_records_are_told_before_they_are_repaired() {
    if let Some((dir, ready)) = role() {
        let builder = LogCollector::builder(dir).on_full(OnFull::Drop);
        let line = "x".repeat(1_000);
        log_by(builder, &[], ready.as_ref(), |collector| (0..3_000).for_each(|_| collector.log_str(&line)));
    }
    let (logboom, ()) = killed("dropped_records_are_told_before_they_are_repaired", |_| ());
    let report = logboom.json(["verify", "--json"]);
    assert!(gaps(&report).iter().any(|(_, to)| *to == Some(3_000)), "{report}");
}

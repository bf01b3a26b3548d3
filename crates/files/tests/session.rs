//! Sessions, as several processes that share one see them.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

mod small_disk;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use logboom_files::{
    DataDir, FilesError, Session,
    session::{Counts, Meta, NewSession, RunMeta, ended, hold_lock, started},
};
use logboom_record::{Kind, Outcome, RunEnd, RunId, Time};
use small_disk::SmallDisk;

const HOUR: i64 = 3_600_000_000;

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

fn noon() -> Time {
    at("2026-01-02T12:00:00Z")
}

fn later(micros: i64) -> Time {
    Time::from_micros(noon().as_micros() + micros)
}

fn new(name: &str, open: bool) -> NewSession {
    NewSession { name: name.into(), labels: BTreeMap::new(), open, user: None, now: noon() }
}

fn session(dir: &Path, open: bool) -> Session {
    Session::create(&DataDir::at(dir.join("data")), new("test", open)).unwrap()
}

fn command(name: &str) -> RunMeta {
    RunMeta::new(started(RunId::new(noon()), Kind::Command, name.into(), noon()))
}

/// Adds a run with a text log whose lock is held for as long as the file lives.
fn live_run(session: &Session) -> (RunMeta, fs::File) {
    let (file, name) = session.claim_text("sh".as_ref()).unwrap();
    hold_lock(&file, &session.dir().join(&name)).unwrap();
    let run = RunMeta { text: Some(name), ..command("sh") };
    session.add_run(run.clone()).unwrap();
    (run, file)
}

#[test]
fn a_run_that_is_written_goes_on_in_another_also_where_its_session_was_ended_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let (first, _file) = live_run(&session);
    session.end(&ended(Outcome::Passed, later(1))).unwrap();
    let (end, next) = (ended(Outcome::Passed, later(2)), command("next"));
    session.hand_over((first.run.id, &end, Counts::default()), next.clone()).unwrap();
    session.end_run(next.run.id, &ended(Outcome::Passed, later(3)), Counts::default()).unwrap();
    let meta = session.meta().unwrap();
    assert_eq!(meta.run.end, Some(ended(Outcome::Passed, later(1))), "as it was ended");
    assert!(meta.runs.iter().all(|run| run.run.end.is_some()) && meta.runs.len() == 2);
}

#[test]
fn a_new_data_dir_is_private_and_ignored_by_git() {
    let dir = tempfile::tempdir().unwrap();
    let made = session(dir.path(), false);
    let data = dir.path().join("data");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read(data.join(".gitignore")).unwrap(), b"*\n");
    assert!(made.id().as_str().starts_with("2026-01-02_12-00-00_"));
    assert_eq!(made.meta().unwrap().run.id.short(), made.id().short());
}

#[test]
fn a_directory_that_was_there_is_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    Session::create(&DataDir::at(dir.path()), new("test", false)).unwrap();
    assert!(!dir.path().join(".gitignore").exists());
}

#[test]
fn a_data_dir_that_cannot_be_made_is_named_with_a_way_out() {
    let error = Session::create(&DataDir::at("/sys/logboom"), new("test", false)).unwrap_err();
    assert!(matches!(error, FilesError::Forbidden { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("/sys/logboom") && text.contains("--dir"), "{text}");
}

#[test]
fn changes_of_several_writers_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let adders = |who: usize| {
        let session = Session::open(session.dir()).unwrap();
        (0..100).for_each(|turn| session.add_run(command(&format!("{who}-{turn}"))).unwrap());
    };
    thread::scope(|scope| (0..4).for_each(|who| drop(scope.spawn(move || adders(who)))));
    let names: BTreeSet<String> = session.meta().unwrap().runs.into_iter().map(|run| run.run.name).collect();
    assert_eq!(names.len(), 400);
}

#[test]
fn the_first_to_end_a_session_wins() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let outcomes = [Outcome::Passed, Outcome::Failed];
    let end = |outcome| session.end(&ended(outcome, noon())).map(|()| outcome);
    let results = thread::scope(|scope| {
        let enders = outcomes.map(|outcome| scope.spawn(move || end(outcome)));
        enders.map(|ender| ender.join().unwrap())
    });
    let winner = results.iter().find_map(|result| result.as_ref().ok()).unwrap();
    let error = results.iter().find_map(|result| result.as_ref().err()).unwrap();
    assert_eq!(session.meta().unwrap().run.outcome(), *winner);
    let want = format!("session {} has already ended ({} at 2026-01-02T12:00:00", session.id(), winner.as_str());
    assert!(error.to_string().starts_with(&want), "{error}");
}

#[test]
fn an_ended_session_takes_no_more_runs() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    session.end(&ended(Outcome::Passed, noon())).unwrap();
    assert!(matches!(session.add_run(command("late")), Err(FilesError::AlreadyEnded { .. })));
}

#[test]
fn twenty_claimers_of_one_program_get_twenty_files() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let claim = || (0..5).map(|_| session.claim_text("/usr/bin/cargo".as_ref()).unwrap().1).collect::<Vec<_>>();
    let names: BTreeSet<String> = thread::scope(|scope| {
        let claimers: Vec<_> = (0..20).map(|_| scope.spawn(claim)).collect();
        claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect()
    });
    assert_eq!(names.len(), 100);
    assert!(names.contains("exec_cargo.log") && names.contains("exec_cargo.100.log"));
}

#[test]
fn members_of_a_newer_version_survive_a_rewrite() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    session.add_run(command("a")).unwrap();
    let path = session.dir().join("session.json");
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    value["verdict"] = serde_json::json!({"why": ["x"]});
    value["run"]["mood"] = serde_json::json!("blue");
    value["runs"][0]["artifacts"] = serde_json::json!([1, 2]);
    fs::write(&path, value.to_string()).unwrap();
    session.add_run(command("b")).unwrap();
    session.end(&ended(Outcome::Passed, noon())).unwrap();
    let after: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(after["verdict"], value["verdict"]);
    assert_eq!(after["run"]["mood"], "blue");
    assert_eq!(after["runs"][0]["artifacts"], value["runs"][0]["artifacts"]);
    assert_eq!(after["runs"][1]["name"], "b");
    assert_eq!(session.meta().unwrap().run.outcome(), Outcome::Passed);
}

#[test]
fn half_written_metadata_are_named_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let path = session.dir().join("session.json");
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() - 2 {
        fs::write(&path, &whole[..cut]).unwrap();
        let error = session.add_run(command("a")).unwrap_err();
        assert!(matches!(error, FilesError::MetaDamaged { .. }), "cut at {cut}: {error:?}");
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap().len(), cut);
    }
    fs::write(&path, &whole[..60]).unwrap();
    let line = whole[..60].iter().filter(|byte| **byte == b'\n').count() + 1;
    let FilesError::MetaDamaged { line: found, .. } = session.meta().unwrap_err() else { unreachable!() };
    assert_eq!(found, line);
}

#[test]
fn a_full_disk_leaves_the_old_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let before = session.meta().unwrap();
    std::os::unix::fs::symlink("/dev/full", session.dir().join("session.json.tmp")).unwrap();
    let error = session.add_run(command("a")).unwrap_err();
    assert!(matches!(error, FilesError::DiskFull { .. }), "{error:?}");
    assert_eq!(session.meta().unwrap(), before);
    session.add_run(command("a")).unwrap();
}

/// The next metadata find no room.
fn fill_disk(session: &Session) {
    std::os::unix::fs::symlink("/dev/full", session.dir().join("session.json.tmp")).unwrap();
}

/// Names of what is kept for the ends of runs.
fn kept(session: &Session) -> Vec<String> {
    let names = fs::read_dir(session.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(".exec_")).collect();
    names.sort();
    names
}

/// A run like [`live_run`] with room set aside for its end.
fn live_run_with_room(session: &Session) -> (RunMeta, fs::File) {
    let (run, file) = live_run(session);
    session.reserve(run.text.as_deref().unwrap()).unwrap();
    (run, file)
}

#[test]
fn only_an_end_uses_the_room_that_was_set_aside_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let (run, lock) = live_run_with_room(&session);
    fill_disk(&session);
    assert!(matches!(session.add_run(command("b")), Err(FilesError::DiskFull { .. })));
    assert_eq!(kept(&session), [".exec_sh.log.reserve"]);
    fill_disk(&session);
    let (end, counts) =
        (RunEnd { exit_code: Some(3), ..ended(Outcome::Failed, later(1)) }, Counts { lost: 7, ..Counts::default() });
    session.end_run(run.run.id, &end, counts).unwrap();
    assert_eq!(
        (kept(&session), session.meta().unwrap().runs[0].run.end.clone()),
        (vec![".exec_sh.log.end".into()], None)
    );
    drop(lock);
    let status = session.status(noon());
    assert_eq!((&status.meta.runs[0].run.end, status.meta.runs[0].counts), (&Some(end.clone()), Some(counts)));
    session.end(&ended(Outcome::Failed, later(2))).unwrap();
    let run = &session.meta().unwrap().runs[0];
    assert_eq!((&run.run.end, run.counts), (&Some(end), Some(counts)), "there is room again");
    assert!(kept(&session).is_empty());
}

#[test]
fn a_session_ends_as_its_first_run_did_also_where_a_full_disk_kept_that_from_the_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let ((first, lock), (second, _second)) = (live_run_with_room(&session), live_run_with_room(&session));
    fill_disk(&session);
    let failed = RunEnd { exit_code: Some(3), ..ended(Outcome::Failed, later(1)) };
    session.end_run(first.run.id, &failed, Counts::default()).unwrap();
    drop(lock);
    session.end_run(second.run.id, &ended(Outcome::Passed, later(2)), Counts::default()).unwrap();
    assert_eq!(session.meta().unwrap().run.end, Some(RunEnd { ended_at: later(2), ..failed }));
    assert!(kept(&session).is_empty());
}

#[test]
fn without_room_set_aside_a_full_disk_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let (run, _lock) = live_run(&session);
    fill_disk(&session);
    let refused = session.end_run(run.run.id, &ended(Outcome::Passed, noon()), Counts::default());
    assert!(matches!(refused, Err(FilesError::DiskFull { .. })), "{refused:?}");
}

#[test]
fn room_that_is_set_aside_in_part_is_given_back() {
    let disk = SmallDisk::new("16k");
    let session = session(disk.path(), true);
    disk.fill();
    assert!(matches!(session.reserve("exec_sh.log"), Err(FilesError::DiskFull { .. })));
    assert!(kept(&session).is_empty());
}

#[test]
fn what_is_kept_for_an_end_is_believed_only_where_it_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let (_, lock) = live_run(&session);
    drop(lock);
    let path = session.dir().join(".exec_sh.log.end");
    for damaged in ["", "{", "{\"end\":{}}"] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(session.status(noon()).outcomes, [Outcome::Lost], "{damaged}");
    }
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(session.status(noon()).outcomes, [Outcome::Lost]);
}

#[test]
fn a_session_whose_first_run_cannot_begin_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let begin = |session: &Session, _: &mut Meta| {
        session.claim_text("x".as_ref())?;
        Err::<(), _>(FilesError::Busy { path: "boom".into(), seconds: 0 })
    };
    assert!(matches!(Session::create_with(&data, new("x", false), begin), Err(FilesError::Busy { .. })));
    assert_eq!(fs::read_dir(data.sessions()).unwrap().count(), 0);
}

#[test]
fn a_fifo_in_the_place_of_a_log_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let made = std::process::Command::new("mkfifo").arg(session.dir().join("fifo.log")).status().unwrap();
    assert!(made.success());
    session.add_run(RunMeta { text: Some("fifo.log".into()), ..command("x") }).unwrap();
    assert_eq!(session.status(noon()).outcome, Outcome::Lost);
}

#[test]
fn metadata_of_another_session_or_a_newer_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let path = session.dir().join("session.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"id\": \"2026", "\"id\": \"2025")).unwrap();
    assert!(session.meta().unwrap_err().to_string().contains("it is that of session"));
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(session.meta().unwrap_err().to_string().contains("format 2 is newer"));
}

#[test]
fn a_copied_and_renamed_session_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(session.dir().join("session.json"), copy.join("session.json")).unwrap();
    assert_eq!(Session::open(&copy).unwrap().id(), session.id());
}

#[test]
fn a_run_is_running_while_its_writer_lives_and_lost_after() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let (_, file) = live_run(&session);
    let status = session.status(later(48 * HOUR));
    assert_eq!((status.outcome, status.outcomes[0]), (Outcome::Running, Outcome::Running));
    let last_write = UNIX_EPOCH + Duration::from_micros(later(7 * HOUR).as_micros() as u64);
    file.set_modified(last_write).unwrap();
    drop(file);
    let status = session.status(noon());
    assert_eq!((status.outcome, status.outcomes[0]), (Outcome::Lost, Outcome::Lost));
    assert_eq!(status.last_seen, later(7 * HOUR));
}

#[test]
fn an_open_session_is_running_for_a_day_after_its_last_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    assert_eq!(session.status(later(23 * HOUR)).outcome, Outcome::Running);
    assert_eq!(session.status(later(25 * HOUR)).outcome, Outcome::Lost);
    let (run, _file) = live_run(&session);
    let end = RunEnd { ended_at: later(20 * HOUR), ..ended(Outcome::Failed, noon()) };
    session.end_run(run.run.id, &end, Counts::default()).unwrap();
    assert_eq!(session.status(later(43 * HOUR)).outcome, Outcome::Running);
    assert_eq!(session.status(later(45 * HOUR)).outcome, Outcome::Lost);
}

#[test]
fn a_session_that_is_just_being_made_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    assert_eq!(session.status(later(HOUR / 600)).outcome, Outcome::Running);
    assert_eq!(session.status(later(HOUR)).outcome, Outcome::Lost);
}

#[test]
fn a_session_whose_writer_waits_for_something_to_capture_is_running() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let boom = logboom_boom::Writer::create_in(session.dir(), "records", logboom_boom::Options::default()).unwrap();
    assert_eq!(session.status(later(HOUR)).outcome, Outcome::Running);
    drop(boom);
    assert_eq!(session.status(later(HOUR)).outcome, Outcome::Lost);
}

#[test]
fn a_session_nobody_keeps_open_ends_with_its_last_writer_as_its_first_run_did() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let ((first, first_file), (second, _second_file), (_, killed)) =
        (live_run(&session), live_run(&session), live_run(&session));
    drop(killed);
    let failed = RunEnd { exit_code: Some(3), ..ended(Outcome::Failed, later(1)) };
    session.end_run(first.run.id, &failed, Counts::default()).unwrap();
    drop(first_file);
    assert_eq!(session.meta().unwrap().run.end, None);
    session.end_run(second.run.id, &ended(Outcome::Passed, later(2)), Counts::default()).unwrap();
    assert_eq!(session.meta().unwrap().run.end, Some(RunEnd { ended_at: later(2), ..failed }));
}

#[test]
fn an_open_session_outlives_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let (run, _file) = live_run(&session);
    let counts = Counts { records: 9, lines: 7, errors: 2, warnings: 1, lost: 0 };
    session.end_run(run.run.id, &ended(Outcome::Passed, noon()), counts).unwrap();
    let meta = session.meta().unwrap();
    assert_eq!((meta.run.end.clone(), meta.runs[0].counts, meta.counts()), (None, Some(counts), counts));
    let again = session.end_run(run.run.id, &ended(Outcome::Failed, noon()), counts).unwrap_err();
    assert!(matches!(again, FilesError::AlreadyEnded { .. }));
}

#[test]
fn the_bytes_of_a_session_are_those_that_stay_also_where_a_run_ends_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let ((first, _first), (late, late_file)) = (live_run(&session), live_run(&session));
    fs::write(session.dir().join("collector.log.ring"), vec![1; 1 << 20]).unwrap();
    session.end_run(first.run.id, &ended(Outcome::Passed, later(1)), Counts::default()).unwrap();
    assert_eq!(session.meta().unwrap().bytes, None);
    session.end(&ended(Outcome::Passed, later(2))).unwrap();
    let bytes = || session.meta().unwrap().bytes.unwrap();
    let small = bytes();
    assert!(small < 1 << 20, "{small}");
    late_file.write_all_at(&[b'x'; 2 << 20], 0).unwrap();
    late_file.sync_all().unwrap();
    session.end_run(late.run.id, &ended(Outcome::Lost, later(3)), Counts::default()).unwrap();
    assert!((small + (2 << 20)..small + (3 << 20)).contains(&bytes()), "{small} then {}", bytes());
}

#[test]
fn a_run_that_is_not_there_cannot_end() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), true);
    let end = session.end_run(RunId::new(noon()), &ended(Outcome::Passed, noon()), Counts::default());
    assert!(matches!(end, Err(FilesError::NoSuchRun { .. })));
}

#[test]
fn hostile_words_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["", "a\nb", "\u{0}", "../..", "\"{", &"x".repeat(300), "\u{202e}"];
    let labels: BTreeMap<String, String> = words.iter().map(|word| (word.to_string(), word.to_string())).collect();
    for word in words {
        let new = NewSession { name: word.into(), labels: labels.clone(), ..new("", false) };
        let made = Session::create(&DataDir::at(dir.path()), new).unwrap();
        let meta = made.meta().unwrap();
        assert_eq!((meta.run.name.as_str(), &meta.run.labels), (word, &labels));
    }
}

#[test]
fn file_names_in_the_metadata_cannot_lead_out_of_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path(), false);
    let outside = dir.path().join("outside");
    let file = fs::File::create(&outside).unwrap();
    hold_lock(&file, &outside).unwrap();
    session.add_run(RunMeta { text: Some("../../../outside".into()), ..command("x") }).unwrap();
    assert_eq!(session.status(noon()).outcomes, [Outcome::Lost]);
}

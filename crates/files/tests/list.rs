//! Listing sessions and finding one, as people name them.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{collections::BTreeMap, fs, path::Path};

use logboom_files::{
    DataDir, Session,
    list::{ResolveError, SessionRef, Sessions},
    session::{NewSession, ended},
};
use logboom_record::{Outcome, Time};

fn now() -> Time {
    "2026-01-03T00:00:00Z".parse().unwrap()
}

fn create(dir: &Path, name: &str, start: &str, outcome: Outcome) -> Session {
    let new =
        NewSession { name: name.into(), labels: BTreeMap::new(), open: true, user: None, now: start.parse().unwrap() };
    let session = Session::create(&DataDir::at(dir), new).unwrap();
    if outcome != Outcome::Running {
        session.end(&ended(outcome, start.parse().unwrap())).unwrap();
    }
    session
}

/// Four sessions, the last three within one second.
fn four(dir: &Path) -> [Session; 4] {
    [
        create(dir, "old", "2026-01-02T03:04:04.9Z", Outcome::Failed),
        create(dir, "build", "2026-01-02T03:04:05.1Z", Outcome::Passed),
        create(dir, "test", "2026-01-02T03:04:05.2Z", Outcome::Failed),
        create(dir, "build", "2026-01-02T03:04:05.3Z", Outcome::Running),
    ]
}

fn find(dir: &Path, text: &str) -> Result<Session, ResolveError> {
    let reference: SessionRef = text.parse().unwrap();
    Sessions::of(&DataDir::at(dir)).unwrap().resolve(&reference, now())
}

#[test]
fn newest_first_even_within_one_second() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = four(dir.path());
    let listed = Sessions::of(&DataDir::at(dir.path())).unwrap().statuses(now());
    let ids: Vec<_> = listed.iter().map(|status| &status.id).collect();
    assert_eq!(ids, sessions.iter().rev().map(Session::id).collect::<Vec<_>>());
    assert_eq!(listed[0].outcome, Outcome::Running);
}

#[test]
fn at_n_counts_back_from_the_latest() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = four(dir.path());
    assert_eq!(find(dir.path(), "latest").unwrap().id(), sessions[3].id());
    for (text, want) in [("@1", 3), ("@2", 2), ("@3", 1), ("@4", 0)] {
        assert_eq!(find(dir.path(), text).unwrap().id(), sessions[want].id(), "{text}");
    }
    let error = find(dir.path(), "@5").unwrap_err().to_string();
    assert!(error.starts_with("@5 is further back than the 4 sessions of "), "{error}");
}

#[test]
fn ids_digits_and_names_lead_to_their_session() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = four(dir.path());
    let first = sessions[0].id();
    for text in [first.as_str(), first.short(), &first.short()[..7], &first.short().to_uppercase(), "old"] {
        assert_eq!(find(dir.path(), text).unwrap().id(), first, "{text}");
    }
    assert_eq!(find(dir.path(), "build").unwrap().id(), sessions[3].id());
}

#[test]
fn the_latest_failed_is_found_behind_others() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = four(dir.path());
    let listed = Sessions::of(&DataDir::at(dir.path())).unwrap();
    assert_eq!(listed.resolve(&SessionRef::LatestFailed, now()).unwrap().id(), sessions[2].id());
}

#[test]
fn what_could_be_several_names_them() {
    let dir = tempfile::tempdir().unwrap();
    for short in ["00000001", "00000002"] {
        fs::create_dir_all(dir.path().join(format!("sessions/2026-01-02_03-04-05_{short}"))).unwrap();
    }
    let error = find(dir.path(), "0000").unwrap_err();
    assert_eq!(error.to_string(), "\"0000\" could be any of 00000002, 00000001; write more of it");
}

#[test]
fn nothing_there_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(find(dir.path(), "latest"), Err(ResolveError::Empty { .. })));
    create(dir.path(), "x", "2026-01-02T03:04:05Z", Outcome::Passed);
    let error = find(dir.path(), "nope").unwrap_err().to_string();
    assert!(error.starts_with("no session \"nope\" in ") && error.contains("logboom sessions"), "{error}");
    let all = Sessions::of(&DataDir::at(dir.path())).unwrap();
    assert!(matches!(all.resolve(&SessionRef::LatestFailed, now()), Err(ResolveError::NoneFailed { .. })));
}

#[test]
fn damaged_sessions_are_listed_among_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = four(dir.path());
    fs::write(sessions[1].dir().join("session.json"), "{\"format\": 1, \"id\": \"20").unwrap();
    fs::remove_file(sessions[2].dir().join("session.json")).unwrap();
    fs::write(sessions[2].dir().join("exec_make.log"), "").unwrap();
    fs::write(dir.path().join("sessions/README"), "not ours").unwrap();
    let listed = Sessions::of(&DataDir::at(dir.path())).unwrap().statuses(now());
    assert_eq!(listed.len(), 4);
    let damaged: Vec<_> = listed.iter().filter(|status| status.damage.is_some()).collect();
    assert_eq!(damaged.len(), 2);
    assert!(damaged.iter().all(|status| status.outcome == Outcome::Lost));
    assert!(damaged.iter().all(|status| status.meta.run.started_at == "2026-01-02T03:04:05Z".parse().unwrap()));
    assert!(
        damaged.iter().any(|status| status.meta.runs.len() == 1 && status.meta.runs[0].run.name == "exec_make.log")
    );
}

#[test]
fn what_names_nothing_is_refused_at_once() {
    for text in ["", "@", "@0", "@x", "@-1"] {
        assert!(text.parse::<SessionRef>().is_err(), "{text:?}");
    }
}

#[test]
fn a_search_stops_when_it_has_enough() {
    let dir = tempfile::tempdir().unwrap();
    for second in 0..40 {
        create(dir.path(), "x", &format!("2026-01-02T03:04:{second:02}Z"), Outcome::Passed);
    }
    let read = std::cell::Cell::new(0);
    let sessions = Sessions::of(&DataDir::at(dir.path())).unwrap();
    let newest = sessions.newest(3, now(), |_| {
        read.set(read.get() + 1);
        true
    });
    assert_eq!((newest.len(), read.get()), (3, 3));
}

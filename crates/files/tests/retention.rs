//! Retention, as the owner of a data dir sees it.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use logboom_files::{
    DataDir, FilesError, Session,
    list::Sessions,
    retention::{BAD_FACTOR, Limits, Reason, Seen, Tidied, apply, plan, survey, tidy},
    session::{NewSession, RunMeta, ended, hold_lock, started},
};
use logboom_record::{Kind, Outcome, Run, RunId, SessionId, Time};
use proptest::prelude::*;

const DAY: i64 = 86_400_000_000;

fn day(number: i64) -> Time {
    Time::from_micros(1_767_225_600_000_000 + number * DAY)
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn seen(number: i64, outcome: Outcome) -> Seen {
    let id = SessionId::new(day(number), RunId::new(day(number)));
    Seen { id, ended_at: day(number), outcome, bytes: 10, live: outcome == Outcome::Running }
}

fn limits(older_than: u64, keep: u64, max_bytes: u64) -> Limits {
    Limits { older_than: days(older_than), keep, max_bytes }
}

#[test]
fn failed_sessions_are_kept_three_times_as_long() {
    let all = [seen(0, Outcome::Passed), seen(0, Outcome::Failed)];
    let limits = limits(30, 100, 1_000);
    assert_eq!(plan(&all, &limits, day(30)), []);
    assert_eq!(plan(&all, &limits, day(31)), [(all[0].id.clone(), Reason::OlderThan(days(30)))]);
    assert_eq!(plan(&all, &limits, day(90)).len(), 1);
    assert_eq!(plan(&all, &limits, day(91)).len(), 2);
}

#[test]
fn the_newest_of_each_kind_are_kept() {
    let all: Vec<Seen> = (0..10).map(|n| seen(n, if n % 2 == 0 { Outcome::Passed } else { Outcome::Lost })).collect();
    let gone = plan(&all, &limits(1_000, 1, 1_000), day(10));
    let want: Vec<_> = [0, 1, 2, 3, 4, 6].map(|n| all[n].id.clone()).into();
    assert_eq!(gone.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), want);
    assert_eq!((gone[0].1, gone[1].1), (Reason::MoreThan(1), Reason::MoreThan(3)));
}

#[test]
fn failed_sessions_stay_within_the_bytes() {
    let all = [seen(0, Outcome::Failed), seen(8, Outcome::Passed), seen(9, Outcome::Passed)];
    let gone = plan(&all, &limits(1_000, 100, 20), day(10));
    assert_eq!(gone, [(all[0].id.clone(), Reason::LargerThan(20))]);
    let gone = plan(&[seen(5, Outcome::Failed), all[1].clone()], &limits(1_000, 100, 10), day(10));
    assert_eq!(gone, [(all[1].id.clone(), Reason::LargerThan(10))]); // 2 days old, against 5 days counted as a third
}

prop_compose! {
    fn any_seen()(start in 0i64..100, lasts in 0i64..20, outcome in 0usize..5, bytes in 0u64..100, live in prop::bool::weighted(0.1))
        -> Seen {
        let outcomes = [Outcome::Passed, Outcome::Passed, Outcome::Failed, Outcome::Lost, Outcome::TimedOut];
        Seen { ended_at: day(start + lasts), bytes, live, ..seen(start, outcomes[outcome]) }
    }
}

proptest! {
    #[test]
    fn a_plan_spares_the_living_keeps_the_limits_and_is_final(
        all in prop::collection::vec(any_seen(), 0..60), older_than in 0u64..60, keep in 0u64..30, max_bytes in 0u64..2_000,
    ) {
        let (limits, now) = (limits(older_than, keep, max_bytes), day(100));
        let gone: BTreeMap<SessionId, Reason> = plan(&all, &limits, now).into_iter().collect();
        let rest: Vec<Seen> = all.iter().filter(|seen| !gone.contains_key(&seen.id)).cloned().collect();
        prop_assert!(all.iter().all(|seen| !seen.live || !gone.contains_key(&seen.id)));
        let dead = |bad: bool| rest.iter().filter(move |seen| !seen.live && seen.outcome.is_bad() == bad);
        prop_assert!(dead(false).count() as u64 <= keep && dead(true).count() as u64 <= keep * u64::from(BAD_FACTOR));
        prop_assert!(dead(false).all(|seen| seen.ended_at >= day(100 - older_than as i64)));
        prop_assert!(dead(true).all(|seen| seen.ended_at >= day(100 - 3 * older_than as i64)));
        let bytes: u64 = rest.iter().map(|seen| seen.bytes).sum();
        prop_assert!(bytes <= max_bytes || rest.iter().all(|seen| seen.live));
        prop_assert_eq!(plan(&rest, &limits, now), []);
    }

    #[test]
    fn a_session_that_failed_is_never_deleted_where_it_would_stay_had_it_passed(
        mut all in prop::collection::vec(any_seen(), 1..40), older_than in 0u64..60, keep in 0u64..30,
    ) {
        let limits = limits(older_than, keep, u64::MAX);
        all[0].outcome = Outcome::Passed;
        all.iter_mut().skip(1).for_each(|seen| seen.outcome = Outcome::Passed);
        let passed = plan(&all, &limits, day(100)).iter().any(|(id, _)| *id == all[0].id);
        all[0].outcome = Outcome::Failed;
        let failed = plan(&all, &limits, day(100)).iter().any(|(id, _)| *id == all[0].id);
        prop_assert!(passed || !failed);
    }
}

fn create(dir: &Path, number: i64, outcome: Outcome) -> Session {
    let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open: true, user: None, now: day(number) };
    let session = Session::create(&DataDir::at(dir), new).unwrap();
    session.end(&ended(outcome, day(number))).unwrap();
    session
}

fn listed(dir: &Path) -> BTreeSet<SessionId> {
    Sessions::of(&DataDir::at(dir)).unwrap().ids().iter().cloned().collect()
}

#[test]
fn what_is_planned_is_gone_and_what_is_left_behind_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let sessions = [create(dir.path(), 0, Outcome::Passed), create(dir.path(), 50, Outcome::Passed)];
    fs::create_dir_all(dir.path().join("sessions/.trash-2025-01-02_03-04-05_00000000/x")).unwrap();
    let gone = plan(&survey(&data, day(51)).unwrap(), &limits(30, 100, u64::MAX), day(51));
    let report = apply(&data, &gone, day(51)).unwrap();
    assert_eq!(report.deleted, gone);
    assert_eq!(listed(dir.path()), BTreeSet::from([sessions[1].id().clone()]));
    assert_eq!(fs::read_dir(dir.path().join("sessions")).unwrap().count(), 1);
}

#[test]
fn a_session_that_came_to_life_after_the_plan_is_spared() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let session = create(dir.path(), 0, Outcome::Passed);
    let gone = [(session.id().clone(), Reason::MoreThan(0))];
    let path = session.dir().join("session.json");
    let text = fs::read_to_string(&path).unwrap();
    let (file, name) = session.claim_text("x".as_ref()).unwrap();
    hold_lock(&file, &session.dir().join(&name)).unwrap();
    let run =
        RunMeta { text: Some(name), ..RunMeta::new(started(RunId::new(day(0)), Kind::Command, "x".into(), day(0))) };
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["runs"] = serde_json::json!([run]);
    fs::write(&path, value.to_string()).unwrap();
    let report = apply(&data, &gone, day(100)).unwrap();
    assert_eq!((report.deleted, report.spared), (vec![], vec![session.id().clone()]));
    drop(file);
    assert_eq!(apply(&data, &gone, day(100)).unwrap().deleted, gone);
}

#[test]
fn what_others_deleted_already_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let session = create(dir.path(), 0, Outcome::Passed);
    let gone = [(session.id().clone(), Reason::MoreThan(0))];
    let data = DataDir::at(dir.path());
    assert_eq!(apply(&data, &gone, day(1)).unwrap().deleted, gone);
    assert_eq!(apply(&data, &gone, day(1)).unwrap().spared, [session.id().clone()]);
}

#[test]
fn only_one_cleans_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let session = create(dir.path(), 0, Outcome::Passed);
    let path = dir.path().join("clean.lock");
    let file = fs::File::create(&path).unwrap();
    hold_lock(&file, &path).unwrap();
    let gone = [(session.id().clone(), Reason::MoreThan(0))];
    let refused = apply(&data, &gone, day(1)).unwrap_err();
    assert!(matches!(refused, FilesError::Busy { .. }));
    let said = refused.to_string();
    assert!(said.contains("is locked by another process; look"), "nobody waited, and it says: {said}");
    assert_eq!(apply(&data, &[], day(1)).unwrap().deleted, [], "nothing to do is no reason to fail");
    let tidied = tidy(&data, &limits(0, 0, 0), day(100_000), Duration::MAX).unwrap();
    assert_eq!(tidied, Tidied::Busy);
}

#[test]
fn tidying_is_due_once_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    create(dir.path(), 0, Outcome::Passed);
    let at = |minutes: i64| Time::from_micros(day(40).as_micros() + minutes * 60_000_000);
    let tidied = |now| tidy(&data, &limits(30, 100, u64::MAX), now, Duration::MAX).unwrap();
    let Tidied::Done(report) = tidied(at(0)) else { panic!("not done") };
    assert_eq!((report.deleted.len(), report.unfinished), (1, false));
    assert_eq!(tidied(at(59)), Tidied::NotDue);
    assert!(matches!(tidied(at(60)), Tidied::Done(_)));
    assert!(matches!(tidied(at(-1_000)), Tidied::Done(_)), "a stamp from the future must not stop it for good");
}

#[test]
fn tidying_stops_when_its_time_is_up_and_goes_on_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    (0..5).for_each(|number| drop(create(dir.path(), number, Outcome::Passed)));
    let Tidied::Done(report) = tidy(&data, &limits(30, 0, u64::MAX), day(10), Duration::ZERO).unwrap() else {
        panic!("not done")
    };
    assert!(report.unfinished && listed(dir.path()).len() == 5);
    let Tidied::Done(report) = tidy(&data, &limits(30, 0, u64::MAX), day(11), Duration::MAX).unwrap() else {
        panic!("not done")
    };
    assert_eq!((report.deleted.len(), report.unfinished), (5, false));
}

#[test]
fn tidying_deletes_the_oldest_of_far_too_many_by_their_names_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let sessions: Vec<Session> = (0..10).map(|number| create(dir.path(), number, Outcome::Passed)).collect();
    fs::write(sessions[0].dir().join("session.json"), "damaged").unwrap();
    let tidied = |now| tidy(&data, &limits(1_000, 1, u64::MAX), now, Duration::MAX).unwrap();
    let Tidied::Done(report) = tidied(day(10)) else { panic!("not done") };
    let gone: Vec<_> = sessions[..6].iter().map(|session| (session.id().clone(), Reason::MoreThan(4))).collect();
    assert_eq!(report.deleted, gone);
    let Tidied::Done(report) = tidied(day(11)) else { panic!("not done") };
    assert_eq!(report.deleted.len(), 3);
    assert_eq!(listed(dir.path()), BTreeSet::from([sessions[9].id().clone()]));
}

/// Sessions that passed, one a day, without waiting for the disk each time.
/// A session a day, the first of them lost.
fn create_many(dir: &Path, lost: i64, count: i64) -> Vec<PathBuf> {
    let create = |number| {
        let run = RunId::new(day(number));
        let (id, end) = (SessionId::new(day(number), run), ended(Outcome::Passed, day(number)));
        let run = Run { end: (number >= lost).then_some(end), ..started(run, Kind::Session, "x".into(), day(number)) };
        let session = dir.join("sessions").join(id.as_str());
        fs::create_dir_all(&session).unwrap();
        fs::write(session.join("session.json"), serde_json::json!({"format": 1, "id": id, "run": run}).to_string())
            .unwrap();
        session
    };
    (0..count).map(create).collect()
}

#[test]
fn tidying_that_cannot_look_at_all_sessions_at_once_comes_to_an_end_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let sessions = create_many(dir.path(), 60, 150);
    let tidied = |hour: i64, budget| {
        let now = Time::from_micros(day(151).as_micros() + hour * 3_600_000_000);
        let Tidied::Done(report) = tidy(&data, &limits(1_000, 50, u64::MAX), now, budget).unwrap() else {
            panic!("not done")
        };
        report
    };
    let unfinished = (0..9).filter(|hour| tidied(*hour, Duration::ZERO).unfinished).count();
    assert_eq!((unfinished, listed(dir.path()).len()), (9, 150));
    sessions.iter().for_each(|session| fs::write(session.join("session.json"), "not needed any more").unwrap());
    assert_eq!(
        tidied(10, Duration::MAX).deleted.len(),
        40,
        "of those that passed; of the lost three times as many are kept"
    );
}

#[test]
fn of_sessions_that_cannot_all_be_looked_at_the_oldest_go_by_their_age() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    create_many(dir.path(), 0, 300);
    let mut hours = 0;
    while listed(dir.path()).len() > 31 {
        let now = Time::from_micros(day(300).as_micros() + hours * 3_600_000_000);
        tidy(&data, &limits(30, 200, u64::MAX), now, Duration::from_millis(5)).unwrap();
        hours += 1;
        assert!(hours < 1_000, "{} are left", listed(dir.path()).len());
    }
}

#[test]
fn large_files_go_in_steps_but_other_names_of_theirs_stay_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    let session = create(dir.path(), 0, Outcome::Passed);
    for name in ["records.boom", "kept.boom"] {
        let file = fs::File::create(session.dir().join(name)).unwrap();
        file.set_len(100 << 20).unwrap();
    }
    fs::hard_link(session.dir().join("kept.boom"), dir.path().join("kept.boom")).unwrap();
    let tidied = tidy(&data, &limits(0, 0, 0), day(10), Duration::from_secs(60)).unwrap();
    assert!(matches!(tidied, Tidied::Done(report) if report.deleted.len() == 1 && !report.unfinished));
    assert!(!session.dir().exists());
    assert_eq!(fs::metadata(dir.path().join("kept.boom")).unwrap().len(), 100 << 20);
}

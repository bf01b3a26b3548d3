#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use logboom_record::{Kind, RunId, TestOutcome, TestResult};
use proptest::prelude::*;

use super::*;
use crate::session::{Meta, RunMeta, ended, started};

use TestOutcome::{Failed as F, Passed as P, Skipped as S};

/// A session of these tests, `name mark`, at this second.
fn session(second: i64, commit: Option<&str>, outcome: Outcome, tests: &[(&str, TestOutcome, u32)]) -> Status {
    let now = Time::from_micros(second * 1_000_000);
    let mut root = started(RunId::new(now), Kind::Session, "s".into(), now);
    root.labels.extend(commit.map(|commit| (COMMIT.to_owned(), commit.to_owned())));
    let id = SessionId::new(now, root.id);
    let last_seen = Time::from_micros(now.as_micros() + 500_000);
    root.end = Some(ended(outcome, last_seen));
    let result = |(name, outcome, retries): &(&str, TestOutcome, u32)| TestResult {
        suite: String::new(),
        test: (*name).to_owned(),
        outcome: *outcome,
        duration_us: Some(1_000),
        time: now,
        retries: *retries,
        from: 1,
        to: 1,
        message: String::new(),
    };
    let mut run = RunMeta::new(started(RunId::new(now), Kind::Command, "c".into(), now));
    run.tests = tests.iter().map(result).collect();
    let mut meta = Meta::of_root(id.clone(), &root);
    meta.runs.push(run);
    Status { id, dir: PathBuf::new(), meta, damage: None, outcome, outcomes: vec![outcome], last_seen }
}

fn history(sessions: &[Status]) -> History {
    let mut history = History::default();
    sessions.iter().for_each(|status| history.take(status));
    history.sort();
    history
}

/// Of each test: its name, whether it is flaky, newly failing; its strip.
fn tests_of(sessions: &[Status]) -> Vec<(String, bool, bool, String)> {
    let history = history(sessions);
    let of = history.name("s").unwrap();
    let tests = history.tests(&of);
    let strip = |test: &OfTest<'_>| test.series.steps().iter().map(|(mark, _)| mark.letter()).collect();
    tests.iter().map(|test| (test.name.to_owned(), test.is_flaky, test.is_newly_failing, strip(test))).collect()
}

#[test]
fn a_test_that_passed_and_failed_on_one_commit_is_flaky() {
    let (good, bad) = (Outcome::Passed, Outcome::Failed);
    let both = [session(1, Some("a"), good, &[("t", P, 0)]), session(2, Some("a"), bad, &[("t", F, 0)])];
    assert_eq!(tests_of(&both), [("t".to_owned(), true, true, "PF".to_owned())]);
    assert!(history(&both).name("s").unwrap().is_flaky);
    let others = [session(1, Some("a"), good, &[("t", P, 0)]), session(2, Some("b"), bad, &[("t", F, 0)])];
    assert!(!tests_of(&others)[0].1);
    let unknown = [session(1, None, good, &[("t", P, 0)]), session(2, None, bad, &[("t", F, 0)])];
    assert!(!tests_of(&unknown)[0].1, "who knows what was changed between them");
    let retried = [session(1, None, good, &[("t", P, 1)])];
    assert_eq!(tests_of(&retried), [("t".to_owned(), true, false, "p".to_owned())]);
    let run_twice = [session(1, None, good, &[("t", F, 0), ("t", P, 0)])];
    assert_eq!(tests_of(&run_twice)[0].3, "p");
}

#[test]
fn a_test_is_newly_failing_if_it_passed_where_it_was_run_last() {
    let (good, bad) = (Outcome::Passed, Outcome::Failed);
    let sessions = [
        session(1, None, good, &[("new", P, 0), ("old", F, 0), ("gone", F, 0)]),
        session(2, None, good, &[("new", S, 0), ("old", F, 0), ("gone", P, 0)]),
        session(3, None, good, &[("old", F, 0), ("gone", F, 0)]),
        session(5, None, bad, &[("first", F, 0), ("new", F, 0), ("old", F, 0)]),
        session(6, None, bad, &[]),
    ];
    let all = tests_of(&sessions);
    let of = |name: &str| all.iter().find(|test| test.0 == name).unwrap().clone();
    assert_eq!((of("new").2, of("new").3), (true, "PS.F.".to_owned()));
    assert!(!of("old").2 && !of("first").2 && !of("gone").2);
    assert_eq!(all[0].0, "new", "the worst is first");
}

#[test]
fn sessions_are_in_order_however_they_come() {
    let mut sessions = [3, 1, 2].map(|second| session(second, None, Outcome::Passed, &[("t", P, 0)]));
    sessions[0].outcome = Outcome::Lost;
    let history = history(&sessions);
    let of = history.name("s").unwrap();
    assert!(of.sessions.is_sorted_by_key(|past| past.started_at));
    assert_eq!(of.sessions[2].mark, Mark::Lost);
    assert_eq!(of.series.passed_share(), Some(1.0), "a lost one tells nothing");
    assert!(history.name("other").is_none());
}

#[test]
fn no_run_hides_the_failure_of_another() {
    let both = |first, second| {
        let mut status = session(1, Some("a"), Outcome::Failed, &[("t", first, 0)]);
        let more = session(1, None, Outcome::Passed, &[("t", second, 0)]);
        status.meta.runs.extend(more.meta.runs.into_iter().map(|mut run| {
            run.run.name = "release".to_owned();
            run
        }));
        status.outcomes.push(Outcome::Passed);
        tests_of(&[status])
    };
    for (first, second) in [(F, P), (P, F)] {
        assert_eq!(both(first, second), [("t".to_owned(), false, false, "F".to_owned())]);
    }
    let in_one = session(1, None, Outcome::Failed, &[("t", F, 0), ("t", P, 0)]);
    assert_eq!(tests_of(&[in_one])[0].3, "F", "the command failed");
}

#[test]
fn names_without_end_are_left_out() {
    let mut history = History::default();
    history.room.names_bytes = 3;
    history.take(&session(1, None, Outcome::Passed, &[("ab", P, 0)]));
    history.take(&session(2, None, Outcome::Passed, &[("ab", P, 0), ("cd", P, 0)]));
    history.take(&session(3, None, Outcome::Passed, &[("ab", P, 0)]));
    history.sort();
    let of = history.name("s").unwrap();
    assert_eq!((history.left_out, history.tests(&of).len(), of.sessions.len()), (1, 1, 3));
}

fn series(durations: &[u64]) -> Series {
    Series::of(durations.iter().map(|us| (Mark::Passed, Some(*us))))
}

#[test]
fn what_takes_clearly_longer_has_regressed_and_one_slow_run_has_not() {
    let ms = |all: &[u64]| series(&all.iter().map(|ms| ms * 1_000).collect::<Vec<_>>());
    assert!(ms(&[100, 110, 90, 200, 210, 190]).has_regressed());
    assert!(!ms(&[100, 110, 90, 900, 100, 100]).has_regressed(), "one");
    assert!(!ms(&[100, 110, 90, 140, 150, 140]).has_regressed(), "not 1.5 times");
    assert!(!ms(&[10, 10, 10, 40, 40, 40]).has_regressed(), "not 50 ms");
    assert!(!ms(&[100, 100, 900, 900, 900]).has_regressed(), "of two nothing is known");
    assert!(!ms(&[30, 190, 60, 120, 20, 150, 90, 200, 40, 180, 170, 160]).has_regressed(), "now this, now that");
    for before in [&[100, 900, 100][..], &[100, 900, 100, 100], &[100, 900, 100, 100, 110]] {
        assert!(ms(&[before, &[400, 410, 390]].concat()).has_regressed(), "one slow run long ago hides nothing");
    }
    assert_eq!(ms(&[100, 100, 100, 150, 150, 150]).trend_percent().map(f64::round), Some(50.0));
    let failed = Series::of([(Mark::Passed, Some(5)), (Mark::Failed, Some(500)), (Mark::Running, None)]);
    assert_eq!((failed.median_us(), failed.last_us(), failed.passed_share()), (Some(5), Some(500), Some(0.5)));
}

#[test]
fn of_nothing_nothing_is_known() {
    let none = series(&[]);
    assert_eq!((none.median_us(), none.p95_us(), none.last_us(), none.passed_share()), (None, None, None, None));
    assert_eq!((none.trend_percent(), none.has_regressed()), (None, false));
}

proptest! {
    #[test]
    fn medians_and_p95_lie_where_they_should(durations in proptest::collection::vec(any::<u64>(), 1..200)) {
        let series = series(&durations);
        let (median, p95) = (series.median_us().unwrap(), series.p95_us().unwrap());
        let at_most = |limit: u64| durations.iter().filter(|us| **us <= limit).count();
        prop_assert!(at_most(median) * 2 >= durations.len());
        prop_assert!(durations.iter().filter(|us| **us >= median).count() * 2 >= durations.len());
        prop_assert!(at_most(p95) * 100 >= durations.len() * 95 && durations.contains(&p95));
        prop_assert!(p95 >= median);
    }

    #[test]
    fn longer_is_never_taken_for_shorter(
        before in proptest::collection::vec(1_u64..1 << 40, 3..20),
        latest in proptest::collection::vec(1_u64..1 << 40, 3),
        factor in 1_u64..1_000,
    ) {
        let whole = |times: u64| [&before[..], &latest.iter().map(|us| us * times).collect::<Vec<_>>()].concat();
        let (one, other) = (series(&whole(1)), series(&whole(factor)));
        prop_assert!(other.trend_percent().unwrap() >= one.trend_percent().unwrap());
        prop_assert!(!one.has_regressed() || other.has_regressed());
    }
}

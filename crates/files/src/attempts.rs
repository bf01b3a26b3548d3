//! Runs of a session that are attempts of one thing: the last one counts.
//!
//! `logboom test` runs again what failed: each attempt is a run with the same name, from the second on with the label [`ATTEMPT`]. Whoever
//! counts failures must not count those that were made good, and whoever looks for flaky tests must see them.
//! No I/O.

use std::{borrow::Cow, collections::HashMap};

use logboom_record::{Kind, Outcome, TestOutcome, TestResult};

use crate::session::{RunMeta, Status};

/// The label by which a run is an attempt after the first; its value is which, from 2.
pub const ATTEMPT: &str = "attempt";

/// The label of runs of a test session that are no tests: what starts and ends its services, and its tear-down. Its value is [`SET_UP`]
/// or [`TEAR_DOWN`].
pub const STEP: &str = "logboom.step";
/// Before the tests.
pub const SET_UP: &str = "set_up";
/// After them.
pub const TEAR_DOWN: &str = "tear_down";

/// A run of a session, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct RunOf<'a> {
    /// The run.
    pub meta: &'a RunMeta,
    /// What became of it.
    pub outcome: Outcome,
}

/// All runs that are one thing.
#[derive(Clone, Debug)]
pub struct Attempts<'a> {
    /// Those that were run again, in order.
    pub before: Vec<RunOf<'a>>,
    /// The one that counts.
    pub last: RunOf<'a>,
}

/// A test as its attempts left it.
#[derive(Clone, Debug)]
pub struct TestOf<'a> {
    /// The run that has its lines.
    pub run: &'a RunMeta,
    /// The last attempt of that run.
    pub last: RunOf<'a>,
    /// Its result; `retries` counts the attempts after one that failed, too; of one that passed then, `message` is of its last failure.
    pub test: Cow<'a, TestResult>,
}

/// Which attempt a run is, from 1.
pub fn attempt(run: &RunMeta) -> u32 {
    run.run.labels.get(ATTEMPT).and_then(|number| number.parse().ok()).filter(|number| *number > 1).unwrap_or(1)
}

/// Whether a run is no test, but for the tests.
pub fn is_step(run: &RunMeta) -> bool {
    run.run.labels.get(STEP).is_some_and(|step| [SET_UP, TEAR_DOWN].contains(&step.as_str()))
}

/// The runs of a session, in the order of the first attempts.
pub fn of(status: &Status) -> Vec<Attempts<'_>> {
    let mut all: Vec<Attempts<'_>> = Vec::new();
    let mut places: HashMap<(&str, Kind), usize> = HashMap::new();
    for (meta, outcome) in status.meta.runs.iter().zip(&status.outcomes) {
        let (run, number) = (RunOf { meta, outcome: *outcome }, attempt(meta));
        let key = (meta.run.name.as_str(), meta.run.kind);
        let earlier = places.get(&key).and_then(|at| all.get_mut(*at));
        match earlier.filter(|earlier| number > attempt(earlier.last.meta)) {
            Some(earlier) => earlier.before.push(std::mem::replace(&mut earlier.last, run)),
            None => {
                places.insert(key, all.len());
                all.push(Attempts { before: Vec::new(), last: run });
            }
        }
    }
    all
}

/// The tests of all runs of a session.
pub fn tests(status: &Status) -> Vec<TestOf<'_>> {
    of(status).iter().flat_map(Attempts::tests).collect()
}

impl<'a> Attempts<'a> {
    /// The tests, each once. Of one that failed and of which the last attempt tells nothing it is taken that it passed if that attempt did:
    /// some tools tell of failures alone. A step has none, whatever it prints.
    pub fn tests(&self) -> Vec<TestOf<'a>> {
        if is_step(self.last.meta) {
            return Vec::new();
        }
        let mut all = tests_of(self.before.first().copied().unwrap_or(self.last), self.last);
        if self.before.is_empty() {
            return all;
        }
        for run in self.before.iter().skip(1).copied().chain([self.last]) {
            merge(&mut all, tests_of(run, self.last));
        }
        if self.last.outcome == Outcome::Passed {
            all.iter_mut().filter(|test| test.test.outcome.is_bad()).for_each(TestOf::make_good);
        }
        all
    }
}

fn tests_of<'a>(run: RunOf<'a>, last: RunOf<'a>) -> Vec<TestOf<'a>> {
    let tests = run.meta.tests.iter();
    tests.map(|test| TestOf { run: run.meta, last, test: Cow::Borrowed(test) }).collect()
}

/// Puts results in the place of those of an earlier attempt: the n-th of a name in that of the n-th.
fn merge<'a>(all: &mut Vec<TestOf<'a>>, later: Vec<TestOf<'a>>) {
    let mut places: HashMap<(String, String, usize), usize> = HashMap::new();
    for (at, key) in keys(all).into_iter().enumerate() {
        places.insert(key, at);
    }
    for (key, test) in keys(&later).into_iter().zip(later) {
        match places.get(&key).and_then(|at| all.get_mut(*at)) {
            Some(before) => before.follow(test),
            None => all.push(test),
        }
    }
}

/// Suite, name, and the how-many-th of these it is.
fn keys(tests: &[TestOf<'_>]) -> Vec<(String, String, usize)> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut key = |test: &TestOf<'_>| (test.test.suite.clone(), test.test.test.clone(), 0);
    let mut all: Vec<(String, String, usize)> = tests.iter().map(&mut key).collect();
    for (test, key) in tests.iter().zip(&mut all) {
        let count = counts.entry((&test.test.suite, &test.test.test)).or_default();
        key.2 = *count;
        *count += 1;
    }
    all
}

impl<'a> TestOf<'a> {
    /// Takes the result of a later attempt.
    fn follow(&mut self, later: TestOf<'a>) {
        let before = std::mem::replace(self, later);
        if !before.test.outcome.is_bad() && before.test.retries == 0 {
            return;
        }
        let test = self.test.to_mut();
        let again = u32::from(before.test.outcome.is_bad());
        test.retries = test.retries.saturating_add(before.test.retries).saturating_add(again);
        if !before.test.message.is_empty() && (test.message.is_empty() || !test.outcome.is_bad()) {
            test.message.clone_from(&before.test.message);
        }
    }

    fn make_good(&mut self) {
        let test = self.test.to_mut();
        (test.outcome, test.retries) = (TestOutcome::Passed, test.retries.saturating_add(1));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::PathBuf;

    use logboom_record::{RunId, SessionId, Time};

    use super::*;
    use crate::session::{Meta, started};

    use TestOutcome::{Failed as F, Passed as P};

    fn run(name: &str, attempt: u32, tests: &[(&str, TestOutcome)]) -> RunMeta {
        let now = Time::from_micros(1);
        let mut run = RunMeta::new(started(RunId::new(now), Kind::Command, name.into(), now));
        if attempt > 1 {
            run.run.labels.insert(ATTEMPT.to_owned(), attempt.to_string());
        }
        let result = |(test, outcome): &(&str, TestOutcome)| TestResult {
            suite: String::new(),
            test: (*test).to_owned(),
            outcome: *outcome,
            duration_us: None,
            time: now,
            retries: 0,
            from: 1,
            to: 1,
            message: if outcome.is_bad() { format!("of {attempt}") } else { String::new() },
        };
        run.tests = tests.iter().map(result).collect();
        run
    }

    /// Each as `name outcome retries message`.
    fn told(runs: Vec<(RunMeta, Outcome)>) -> Vec<String> {
        let now = Time::from_micros(1);
        let root = started(RunId::new(now), Kind::Session, "s".into(), now);
        let id = SessionId::new(now, root.id);
        let mut meta = Meta::of_root(id.clone(), &root);
        let outcomes = runs.iter().map(|(_, outcome)| *outcome).collect();
        meta.runs = runs.into_iter().map(|(run, _)| run).collect();
        let (dir, outcome) = (PathBuf::new(), Outcome::Passed);
        let status = Status { id, dir, meta, damage: None, outcome, outcomes, last_seen: now };
        let line = |one: &TestOf<'_>| {
            let text =
                format!("{} {} {} {}", one.test.test, one.test.outcome.as_str(), one.test.retries, one.test.message);
            text.trim_end().to_owned()
        };
        tests(&status).iter().map(line).collect()
    }

    #[test]
    fn the_last_attempt_counts_and_the_failures_before_it_are_retries() {
        let runs = vec![
            (run("unit", 1, &[("a", P), ("b", F), ("c", F)]), Outcome::Failed),
            (run("other", 1, &[("b", F)]), Outcome::Failed),
            (run("unit", 2, &[("a", P), ("b", F), ("c", P)]), Outcome::Failed),
            (run("unit", 3, &[("a", P), ("b", P), ("c", P)]), Outcome::Passed),
        ];
        assert_eq!(told(runs), ["a passed 0", "b passed 2 of 2", "c passed 1 of 1", "b failed 0 of 1"]);
    }

    #[test]
    fn runs_of_one_name_that_are_no_attempts_stay_apart() {
        let runs = vec![(run("sh", 1, &[("a", F)]), Outcome::Failed), (run("sh", 1, &[("a", P)]), Outcome::Passed)];
        assert_eq!(told(runs), ["a failed 0 of 1", "a passed 0"]);
    }

    #[test]
    fn of_what_the_last_attempt_does_not_tell_its_outcome_does() {
        let again = |outcome| vec![(run("t", 1, &[("a", F)]), Outcome::Failed), (run("t", 2, &[]), outcome)];
        assert_eq!(told(again(Outcome::Passed)), ["a passed 1 of 1"]);
        assert_eq!(told(again(Outcome::Failed)), ["a failed 0 of 1"]);
    }

    #[test]
    fn a_step_has_no_tests_whatever_it_prints() {
        let labelled = |value: &str| {
            let mut run = run("dump", 1, &[("a", F)]);
            run.run.labels.insert(STEP.to_owned(), value.to_owned());
            told(vec![(run, Outcome::Failed)])
        };
        assert_eq!([SET_UP, TEAR_DOWN].map(labelled), [[""; 0]; 2]);
        assert_eq!(labelled("build"), ["a failed 0 of 1"], "somebody else's label");
    }

    #[test]
    fn tests_of_one_name_are_followed_one_by_one() {
        let runs = vec![
            (run("t", 1, &[("a", P), ("a", F)]), Outcome::Failed),
            (run("t", 2, &[("a", F), ("a", P)]), Outcome::Failed),
        ];
        assert_eq!(told(runs), ["a failed 0 of 2", "a passed 1 of 1"]);
    }
}

//! What became of the sessions of a name, and of their tests, from one to the next: pure statistics.
//!
//! Sessions of one name are taken to do the same thing again. Of each only what is needed here is kept, so that thousands of them fit into
//! memory; a name is stored once.

mod series;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use logboom_record::{Outcome, SessionId, Time};

pub use series::{Mark, REGRESSED_BY_US_MIN, REGRESSED_TIMES, Series};

use crate::{
    attempts::{self, Attempts, TestOf},
    session::Status,
};

/// The label by whose value sessions are of the same source.
pub const COMMIT: &str = "commit";

/// Of so many results all sessions together are looked at; of older sessions the tests are left out then.
pub const RESULTS_MAX: usize = 5_000_000;
/// So many bytes all names of tests may have together; likewise.
pub const NAMES_BYTES_MAX: usize = 256 << 20;

/// What became of a test in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PastTest {
    /// Its number among the names.
    name: u32,
    mark: Mark,
    /// How long it took, in microseconds.
    duration_us: Option<u64>,
}

/// A session as it is remembered.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub started_at: Time,
    /// What became of it.
    pub mark: Mark,
    /// How long it took, in microseconds; `None` while it runs, and where its end is not known.
    pub duration_us: Option<u64>,
    /// What it was of.
    pub commit: Option<String>,
    tests: Vec<PastTest>,
}

/// What is remembered of all sessions.
#[derive(Debug, Default)]
pub struct History {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    sessions: BTreeMap<String, Vec<Past>>,
    room: Room,
    /// Of how many sessions the tests were left out, since there were more than [`RESULTS_MAX`] or [`NAMES_BYTES_MAX`].
    pub left_out: u64,
}

/// How much more is remembered.
#[derive(Debug)]
struct Room {
    results: usize,
    names_bytes: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { results: RESULTS_MAX, names_bytes: NAMES_BYTES_MAX }
    }
}

/// How the sessions of a name went.
#[derive(Clone, Debug)]
pub struct OfName<'a> {
    /// The name.
    pub name: &'a str,
    /// The sessions, oldest first.
    pub sessions: &'a [Past],
    /// What became of them.
    pub series: Series,
    /// Whether sessions of one commit passed and failed.
    pub is_flaky: bool,
}

/// How a test went.
#[derive(Clone, Debug)]
pub struct OfTest<'a> {
    /// Its name with that of its suite.
    pub name: &'a str,
    /// What became of it, in every session of the name.
    pub series: Series,
    /// Whether it passed and failed in sessions of one commit, or passed when it was run again.
    pub is_flaky: bool,
    /// Whether it failed in the latest session, and passed in the one before that has it.
    pub is_newly_failing: bool,
    /// Whether it failed in the latest session.
    pub is_failing: bool,
}

impl History {
    /// Remembers a session. They may come in any order; where there are too many results, those that come first stay.
    pub fn take(&mut self, status: &Status) {
        let run = &status.meta.run;
        let is_known = matches!(status.outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut);
        let span = status.last_seen.as_micros().saturating_sub(run.started_at.as_micros());
        let past = Past {
            id: status.id.clone(),
            started_at: run.started_at,
            mark: Mark::of_session(status.outcome),
            duration_us: u64::try_from(span).ok().filter(|_| is_known),
            commit: run.labels.get(COMMIT).filter(|commit| !commit.is_empty()).cloned(),
            tests: self.tests_of(status),
        };
        self.sessions.entry(run.name.clone()).or_default().push(past);
    }

    /// One of each name. Where several runs have a test of a name the worst result counts: none of them hides another's failure.
    fn tests_of(&mut self, status: &Status) -> Vec<PastTest> {
        let results = results_of(status);
        let names_bytes: usize =
            results.keys().filter(|name| !self.numbers.contains_key(name.as_str())).map(String::len).sum();
        if results.len() > self.room.results || names_bytes > self.room.names_bytes {
            self.left_out += 1;
            return Vec::new();
        }
        self.room.results -= results.len();
        self.room.names_bytes -= names_bytes;
        let number = |(name, (mark, duration_us))| PastTest { name: self.number(name), mark, duration_us };
        results.into_iter().map(number).collect()
    }

    fn number(&mut self, name: String) -> u32 {
        if let Some(number) = self.numbers.get(name.as_str()) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    /// Puts the sessions in order. What follows is asked for after this.
    pub fn sort(&mut self) {
        for sessions in self.sessions.values_mut() {
            sessions.sort_by(|a, b| (a.started_at, a.id.as_str()).cmp(&(b.started_at, b.id.as_str())));
        }
    }

    /// How the sessions of each name went; that of the latest first.
    pub fn names(&self) -> Vec<OfName<'_>> {
        let mut all: Vec<OfName<'_>> =
            self.sessions.iter().map(|(name, sessions)| OfName::of(name, sessions)).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.sessions.last().map(|past| past.started_at)));
        all
    }

    /// How the sessions of a name went.
    pub fn name(&self, name: &str) -> Option<OfName<'_>> {
        self.sessions.get_key_value(name).map(|(name, sessions)| OfName::of(name, sessions))
    }

    /// How the tests of a name's sessions went, the worst first.
    pub fn tests(&self, of: &OfName<'_>) -> Vec<OfTest<'_>> {
        let mut by_test: HashMap<u32, Vec<(usize, PastTest)>> = HashMap::new();
        for (at, past) in of.sessions.iter().enumerate() {
            past.tests.iter().for_each(|test| by_test.entry(test.name).or_default().push((at, *test)));
        }
        let latest = of.sessions.iter().rposition(|past| !past.tests.is_empty());
        let name = |number: u32| self.names.get(number as usize).map_or("", |name| &**name);
        let mut all: Vec<OfTest<'_>> =
            by_test.iter().map(|(number, results)| OfTest::of(name(*number), results, of.sessions, latest)).collect();
        all.sort_by(|a, b| a.rank().total_cmp(&b.rank()).then_with(|| a.name.cmp(b.name)));
        all
    }

    /// How many tests of a name's sessions are flaky.
    pub fn flaky_count(&self, of: &OfName<'_>) -> u64 {
        self.tests(of).iter().filter(|test| test.is_flaky).count() as u64
    }
}

/// The results of a session by full name.
fn results_of(status: &Status) -> BTreeMap<String, (Mark, Option<u64>)> {
    let mut all: BTreeMap<String, (Mark, Option<u64>)> = BTreeMap::new();
    for attempts in attempts::of(status) {
        for (name, result) in results_of_run(&attempts) {
            let worst = all.entry(name).or_insert(result);
            if result.0.badness() >= worst.0.badness() {
                *worst = result;
            }
        }
    }
    all
}

/// Where a command that passed told of a test twice, it ran it again; in one that did not pass the worst counts.
fn results_of_run(attempts: &Attempts<'_>) -> BTreeMap<String, (Mark, Option<u64>)> {
    let passed = attempts.last.outcome == Outcome::Passed;
    let mut all: BTreeMap<String, (Mark, Option<u64>)> = BTreeMap::new();
    for TestOf { test, .. } in attempts.tests() {
        let result = (Mark::of_test(&test), test.duration_us);
        let before = all.entry(test.full_name()).or_insert(result);
        *before = match (before.0, result.0) {
            (bad, Mark::Passed) if passed && bad.is_bad() => (Mark::PassedOnRetry, result.1),
            (was, is) if passed || is.badness() >= was.badness() => result,
            _ => *before,
        };
    }
    all
}

impl<'a> OfName<'a> {
    fn of(name: &'a str, sessions: &'a [Past]) -> OfName<'a> {
        let series = Series::of(sessions.iter().map(|past| (past.mark, past.duration_us)));
        let is_flaky = is_both(sessions.iter().map(|past| (past.commit.as_deref(), past.mark)));
        OfName { name, sessions, series, is_flaky }
    }
}

impl<'a> OfTest<'a> {
    /// `results`: in which of the sessions it has which, in order; `latest`: the last session that has tests.
    fn of(name: &'a str, results: &[(usize, PastTest)], sessions: &[Past], latest: Option<usize>) -> OfTest<'a> {
        let steps = results.iter().map(|(at, test)| (*at, test.mark, test.duration_us)).collect();
        let commit = |at: usize| sessions.get(at).and_then(|past| past.commit.as_deref());
        let retried = results.iter().any(|(_, test)| test.mark == Mark::PassedOnRetry);
        let is_flaky = retried || is_both(results.iter().map(|(at, test)| (commit(*at), test.mark)));
        let last = results.last().filter(|(at, _)| Some(*at) == latest);
        let is_failing = last.is_some_and(|(_, test)| test.mark.is_bad());
        let before = results.iter().rev().skip(1).map(|(_, test)| test.mark).find(|mark| *mark != Mark::Skipped);
        let is_newly_failing = is_failing && before.is_some_and(Mark::is_good);
        OfTest { name, series: Series::of_some(steps, sessions.len()), is_flaky, is_newly_failing, is_failing }
    }

    /// Least for the worst.
    fn rank(&self) -> f64 {
        let class = match self {
            OfTest { is_newly_failing: true, .. } => 0.0,
            OfTest { is_failing: true, .. } => 2.0,
            OfTest { is_flaky: true, .. } => 4.0,
            _ if self.series.has_regressed() => 6.0,
            _ => 8.0,
        };
        class + self.series.passed_share().unwrap_or(1.0)
    }
}

/// Whether something of one commit passed and failed.
fn is_both<'a>(marks: impl Iterator<Item = (Option<&'a str>, Mark)>) -> bool {
    let mut seen: HashMap<&str, [bool; 2]> = HashMap::new();
    for (commit, mark) in marks.filter_map(|(commit, mark)| Some((commit?, mark))) {
        let [good, bad] = seen.entry(commit).or_default();
        *good |= mark.is_good();
        *bad |= mark.is_bad();
    }
    seen.values().any(|both| *both == [true, true])
}

#[cfg(test)]
mod tests;

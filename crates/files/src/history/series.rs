//! What became of one thing, again and again.

use logboom_record::{Outcome, TestOutcome, TestResult};

/// Something takes longer than it did when its latest take so many times as long as those before, …
pub const REGRESSED_TIMES: f64 = 1.5;
/// … and at least so much longer, in microseconds.
pub const REGRESSED_BY_US_MIN: u64 = 50_000;
/// So many are the latest, and at least so many must be before them.
const LATEST: usize = 3;
/// Each of the latest must take longer than so many of 100 before: of what takes now this and now that long nothing is said.
const ABOVE_PERCENT: usize = 80;

/// What became of it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It passed.
    Passed,
    /// It failed, was run again, and passed.
    PassedOnRetry,
    /// It failed.
    Failed,
    /// Its time was up.
    TimedOut,
    /// It was ended by somebody.
    Interrupted,
    /// Its end is not known.
    Lost,
    /// It has not ended.
    Running,
    /// It was not run.
    Skipped,
    /// It was not there.
    Absent,
}

impl Mark {
    /// Of a session.
    pub fn of_session(outcome: Outcome) -> Mark {
        match outcome {
            Outcome::Running => Mark::Running,
            Outcome::Passed => Mark::Passed,
            Outcome::Failed => Mark::Failed,
            Outcome::TimedOut => Mark::TimedOut,
            Outcome::Interrupted => Mark::Interrupted,
            Outcome::Lost => Mark::Lost,
        }
    }

    /// Of a test.
    pub fn of_test(test: &TestResult) -> Mark {
        match test.outcome {
            TestOutcome::Passed if test.passed_on_retry() => Mark::PassedOnRetry,
            TestOutcome::Passed => Mark::Passed,
            TestOutcome::Failed => Mark::Failed,
            TestOutcome::Skipped => Mark::Skipped,
            TestOutcome::TimedOut => Mark::TimedOut,
        }
    }

    /// Whether it did what it should, at last.
    pub fn is_good(self) -> bool {
        matches!(self, Mark::Passed | Mark::PassedOnRetry)
    }

    /// Whether it did not. Nothing is known of what somebody ended, or whose end nobody saw.
    pub fn is_bad(self) -> bool {
        matches!(self, Mark::Failed | Mark::TimedOut)
    }

    /// Most for what somebody has to look at first.
    pub(super) fn badness(self) -> u8 {
        match self {
            Mark::Failed | Mark::TimedOut => 3,
            Mark::PassedOnRetry => 2,
            Mark::Passed => 1,
            _ => 0,
        }
    }

    /// One letter for it.
    pub fn letter(self) -> char {
        match self {
            Mark::Passed => 'P',
            Mark::PassedOnRetry => 'p',
            Mark::Failed => 'F',
            Mark::TimedOut => 'T',
            Mark::Interrupted => 'I',
            Mark::Lost => 'L',
            Mark::Running => 'R',
            Mark::Skipped => 'S',
            Mark::Absent => '.',
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Passed => "passed",
            Mark::PassedOnRetry => "passed_on_retry",
            Mark::Failed => "failed",
            Mark::TimedOut => "timed_out",
            Mark::Interrupted => "interrupted",
            Mark::Lost => "lost",
            Mark::Running => "running",
            Mark::Skipped => "skipped",
            Mark::Absent => "absent",
        }
    }
}

/// What became of it, oldest first, and how long it took each time.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Where it was there: at which time, from 0.
    steps: Vec<(usize, Mark, Option<u64>)>,
    times: usize,
    /// In microseconds: of those that passed, in their order; of all that ended where none did.
    counted: Vec<u64>,
    /// The same, the shortest first.
    sorted: Vec<u64>,
}

impl Series {
    /// Of these, each with how long it took in microseconds, oldest first.
    pub fn of(steps: impl IntoIterator<Item = (Mark, Option<u64>)>) -> Series {
        let steps: Vec<_> = steps.into_iter().enumerate().map(|(at, (mark, us))| (at, mark, us)).collect();
        let times = steps.len();
        Series::of_some(steps, times)
    }

    /// Of something that was not there each of so many times; at which it was is told, from 0. Takes no memory for the others.
    pub fn of_some(steps: Vec<(usize, Mark, Option<u64>)>, times: usize) -> Series {
        let durations = |wanted: fn(Mark) -> bool| -> Vec<u64> {
            steps.iter().filter(|(_, mark, _)| wanted(*mark)).filter_map(|(_, _, duration)| *duration).collect()
        };
        // What fails most often ends early, or late.
        let mut counted = durations(Mark::is_good);
        if counted.is_empty() {
            counted = durations(Mark::is_bad);
        }
        let mut sorted = counted.clone();
        sorted.sort_unstable();
        Series { steps, times, counted, sorted }
    }

    /// Each time, oldest first: what became of it, and how long it took in microseconds.
    pub fn steps(&self) -> Vec<(Mark, Option<u64>)> {
        let mut all = vec![(Mark::Absent, None); self.times];
        for (at, mark, duration) in &self.steps {
            if let Some(step) = all.get_mut(*at) {
                *step = (*mark, *duration);
            }
        }
        all
    }

    /// How many of those that passed or failed passed, from 0 to 1.
    pub fn passed_share(&self) -> Option<f64> {
        let count = |wanted: fn(Mark) -> bool| self.steps.iter().filter(|(_, mark, _)| wanted(*mark)).count();
        let (good, bad) = (count(Mark::is_good), count(Mark::is_bad));
        (good + bad > 0).then(|| good as f64 / (good + bad) as f64)
    }

    /// How long it took the last time that it ended, in microseconds.
    pub fn last_us(&self) -> Option<u64> {
        self.steps.iter().rev().find_map(|(_, _, duration)| *duration)
    }

    /// The median of what it took, in microseconds.
    pub fn median_us(&self) -> Option<u64> {
        median(&self.sorted)
    }

    /// What it took at most in 95 of 100 cases, in microseconds (nearest rank).
    pub fn p95_us(&self) -> Option<u64> {
        percentile(&self.sorted, 95)
    }

    /// By how many percent the median of the latest three is above that of those before, of which there must be three.
    pub fn trend_percent(&self) -> Option<f64> {
        let (before, latest) = self.halves()?;
        let (before, latest) = (median(&before)?, median(&latest)?);
        (before > 0).then(|| (latest as f64 / before as f64 - 1.0) * 100.0)
    }

    /// Whether it takes clearly longer than it did: the median of the latest three is more than [`REGRESSED_TIMES`] that of those before,
    /// and at least [`REGRESSED_BY_US_MIN`] above it, and each of them took longer than 80 of 100 before. One slow run does not make it so.
    pub fn has_regressed(&self) -> bool {
        let Some((all_before, all_latest)) = self.halves() else { return false };
        let (Some(before), Some(latest)) = (median(&all_before), median(&all_latest)) else { return false };
        latest as f64 > before as f64 * REGRESSED_TIMES
            && latest.saturating_sub(before) >= REGRESSED_BY_US_MIN
            && all_latest.first() > usual_most(&all_before)
    }

    /// Those before the latest, and the latest, each with the shortest first.
    fn halves(&self) -> Option<(Vec<u64>, Vec<u64>)> {
        let at = self.counted.len().checked_sub(LATEST).filter(|before| *before >= LATEST)?;
        let sorted = |part: &[u64]| {
            let mut part = part.to_vec();
            part.sort_unstable();
            part
        };
        Some((sorted(&self.counted[..at]), sorted(&self.counted[at..])))
    }
}

/// What so many of 100 take at most; the longest is never asked for: it may have been the one slow one.
fn usual_most(sorted: &[u64]) -> Option<&u64> {
    let rank = (sorted.len() * ABOVE_PERCENT).div_ceil(100).min(sorted.len().checked_sub(1)?);
    sorted.get(rank.checked_sub(1)?)
}

/// The nearest rank of what is sorted.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Of what is sorted; between two that is half-way.
fn median(sorted: &[u64]) -> Option<u64> {
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(low + (high - low) / 2)
}

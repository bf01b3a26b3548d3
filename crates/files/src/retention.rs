//! Which sessions are kept, and for how long.
//!
//! The policy is a pure function of the list and the time: [`plan`]. What carries it out, and how a command that just
//! ended is not made to wait for it, is in [`apply`] and [`tidy`].

mod apply;

use std::{cmp::Reverse, collections::BTreeMap, fmt, time::Duration};

use logboom_record::{Outcome, SessionId, Time};

pub use apply::{Report, Tidied, apply, survey, tidy};

use crate::units::{show_bytes, show_duration};

/// How many times longer, and how many times as many, sessions are kept that did not end well.
pub const BAD_FACTOR: u32 = 3;

/// What is kept. All sessions together take at most `max_bytes`, but for live ones, which are never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A session that passed is deleted so long after its end; one that did not, after three times that.
    pub older_than: Duration,
    /// The newest so many that passed are kept, and the newest three times as many that did not.
    pub keep: u64,
    /// The most bytes that all may take. The oldest go first; one that did not pass counts as a third of its age.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { older_than: Duration::from_secs(30 * 86_400), keep: 200, max_bytes: 5 << 30 }
    }
}

/// What retention knows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id, by which sessions are ordered.
    pub id: SessionId,
    /// When it ended, or was last seen alive.
    pub ended_at: Time,
    /// How it ended.
    pub outcome: Outcome,
    /// How much disk it takes.
    pub bytes: u64,
    /// Whether it has a live writer, or may get one.
    pub live: bool,
}

/// Why a session is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It ended longer ago than this.
    OlderThan(Duration),
    /// There are so many newer ones of its kind.
    MoreThan(u64),
    /// All together took more than this.
    LargerThan(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::OlderThan(age) => write!(f, "ended more than {} ago", show_duration(*age)),
            Reason::MoreThan(count) => write!(f, "{count} newer ones are kept"),
            Reason::LargerThan(bytes) => write!(f, "all sessions take more than {}", show_bytes(*bytes)),
        }
    }
}

/// Tells which sessions are to be deleted and why, oldest first. Doing so and asking again gives nothing more.
pub fn plan(seen: &[Seen], limits: &Limits, now: Time) -> Vec<(SessionId, Reason)> {
    let mut newest_first: Vec<&Seen> = seen.iter().collect();
    newest_first.sort_by(|a, b| b.id.cmp(&a.id));
    let mut doomed = BTreeMap::new();
    let mut kept = [0u64; 2];
    for session in newest_first.iter().filter(|session| !session.live) {
        match too_old(session, limits, now).or_else(|| too_many(session, limits, &mut kept)) {
            Some(reason) => doomed.insert(session.id.clone(), reason),
            None => None,
        };
    }
    let mut bytes: u64 = newest_first.iter().filter(|one| !doomed.contains_key(&one.id)).map(|one| one.bytes).sum();
    let mut oldest_first: Vec<&Seen> = newest_first.into_iter().filter(|one| !one.live).collect();
    oldest_first.sort_by_key(|session| (Reverse(weighted_age(session, now)), session.id.clone()));
    for session in oldest_first {
        if bytes > limits.max_bytes && !doomed.contains_key(&session.id) {
            bytes -= session.bytes;
            doomed.insert(session.id.clone(), Reason::LargerThan(limits.max_bytes));
        }
    }
    doomed.into_iter().collect()
}

fn factor(session: &Seen) -> u32 {
    if session.outcome.is_bad() { BAD_FACTOR } else { 1 }
}

fn too_old(session: &Seen, limits: &Limits, now: Time) -> Option<Reason> {
    let age_max = limits.older_than.saturating_mul(factor(session));
    let age = now.as_micros().saturating_sub(session.ended_at.as_micros());
    let too_old = u128::try_from(age).is_ok_and(|age| age > age_max.as_micros());
    too_old.then_some(Reason::OlderThan(age_max))
}

fn too_many(session: &Seen, limits: &Limits, kept: &mut [u64; 2]) -> Option<Reason> {
    let count_max = limits.keep.saturating_mul(u64::from(factor(session)));
    let kept = &mut kept[usize::from(session.outcome.is_bad())];
    if *kept >= count_max {
        return Some(Reason::MoreThan(count_max));
    }
    *kept += 1;
    None
}

/// The age as far as room is concerned.
fn weighted_age(session: &Seen, now: Time) -> i64 {
    now.as_micros().saturating_sub(session.ended_at.as_micros()) / i64::from(factor(session))
}

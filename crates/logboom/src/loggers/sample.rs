//! One of many: events of high frequency, and how many of them were skipped.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Mutex, PoisonError},
};

use logboom_record::{Level, RunId, Stream};

use super::{FieldValue, Fields, in_words, outlet::Outlet};

/// How many keys are told apart; events of further ones are all logged.
const KEYS_MAX: usize = 1_024;

/// What was skipped, by key.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<BTreeMap<String, Skipped>>);

#[derive(Clone, Copy, Debug, Default)]
struct Skipped {
    since_logged: u64,
}

/// What becomes of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Skip,
    Log { skipped: u64 },
}

impl Samples {
    /// Counts an event of the key, one in so many of which is logged. In a fork, where the lock may be held for ever, each is to
    /// be logged, and so counted as lost.
    pub(super) fn take<'a>(&self, outlet: &'a Outlet, run: RunId, (key, one_in): (&str, u32)) -> Sample<'a> {
        let taken = if outlet.is_forked() { Taken::Log { skipped: 0 } } else { self.count(key, one_in) };
        Sample { outlet, run, taken }
    }

    fn count(&self, key: &str, one_in: u32) -> Taken {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains_key(key) {
            if keys.len() < KEYS_MAX {
                keys.insert(key.to_owned(), Skipped::default());
            }
            return Taken::Log { skipped: 0 };
        }
        let Some(skipped) = keys.get_mut(key) else { return Taken::Log { skipped: 0 } };
        if skipped.since_logged + 1 < u64::from(one_in) {
            skipped.since_logged += 1;
            return Taken::Skip;
        }
        Taken::Log { skipped: std::mem::take(&mut skipped.since_logged) }
    }

    /// Tells of what was skipped since each key was last logged.
    pub(super) fn rest(&self, outlet: &Outlet, run: RunId) {
        if outlet.is_forked() {
            return;
        }
        let keys = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, skipped) in keys.into_iter().filter(|(_, skipped)| skipped.since_logged > 0) {
            let fields = [("key", FieldValue::Str(&key)), ("skipped", skipped.since_logged.into())];
            outlet.record(run, Level::Info, Stream::System, in_words("sampled events were skipped", &fields));
        }
    }
}

/// One event of a key, to be logged or not.
#[must_use = "an event that is sampled is to be logged"]
#[derive(Debug)]
pub struct Sample<'a> {
    outlet: &'a Outlet,
    run: RunId,
    taken: Taken,
}

impl Sample<'_> {
    /// Logs the event if it is its turn, with `skipped` as a further field where events before it were not.
    pub fn log(self, level: Level, message: impl Display, fields: Fields<'_>) {
        let Taken::Log { skipped } = self.taken else { return };
        let mut all = fields.to_vec();
        if skipped > 0 {
            all.push(("skipped", skipped.into()));
        }
        self.outlet.record(self.run, level, Stream::System, in_words(message, &all));
    }
}

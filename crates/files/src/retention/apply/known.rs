//! What is known of sessions that have ended, kept in `clean.lock` from one [`tidy`](super::tidy) to the next.
//!
//! To look at some hundred sessions takes longer than a command that has ended may be held up. Such a session does not change
//! any more, so what was seen of it need not be looked at again: `<id> <ended at, in µs> <outcome> <bytes>`, one a line. It
//! is only ever a short cut: a line that is not understood, or none, means that the session is looked at.

use std::{fs, path::Path, time::Duration};

use logboom_record::{Outcome, Time};

use super::Seen;
use crate::{FilesError, session::SIGN_OF_LIFE_S_MAX};

/// Of so many sessions at most it is kept: to read about them all takes well under a millisecond.
const SESSIONS_MAX: usize = 4_096;

/// How a session ended that does not change any more; a lost one only after [`SIGN_OF_LIFE_S_MAX`].
const FINAL: [Outcome; 5] = [Outcome::Passed, Outcome::Failed, Outcome::TimedOut, Outcome::Interrupted, Outcome::Lost];

/// What is kept in the file.
pub(super) fn read(path: &Path) -> Vec<Seen> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().take(SESSIONS_MAX).filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Seen> {
    let mut words = line.split(' ');
    let id = words.next()?.parse().ok()?;
    let ended_at = Time::from_micros(words.next()?.parse().ok()?);
    let outcome = words.next().and_then(|word| FINAL.into_iter().find(|outcome| outcome.as_str() == word))?;
    let bytes = words.next()?.strip_suffix(';')?.parse().ok()?;
    Some(Seen { id, ended_at, outcome, bytes, live: false })
}

/// Keeps what does not change of what was seen.
pub(super) fn write(path: &Path, seen: &[Seen], now: Time) -> Result<(), FilesError> {
    let old = now.as_micros().saturating_sub(Duration::from_secs(SIGN_OF_LIFE_S_MAX).as_micros() as i64);
    let may_change = |seen: &&Seen| seen.outcome == Outcome::Lost && seen.ended_at.as_micros() > old;
    let is_final = |seen: &&Seen| !seen.live && FINAL.contains(&seen.outcome) && !may_change(seen);
    let line = |Seen { id, ended_at, outcome, bytes, .. }: &Seen| {
        format!("{id} {} {} {bytes};\n", ended_at.as_micros(), outcome.as_str())
    };
    let text: String = seen.iter().filter(is_final).take(SESSIONS_MAX).map(line).collect();
    fs::write(path, text).map_err(FilesError::at("write", path))
}

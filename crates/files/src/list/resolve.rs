//! How people name a session: `latest`, `@2`, `8c1f03ab` or the head of it, a whole id, a name.

use std::str::FromStr;

use logboom_record::{SessionId, Time};

use super::Sessions;
use crate::{FilesError, Session};

/// The most candidates that an error names.
const CANDIDATES_MAX: usize = 10;

/// A session, as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRef {
    /// `@1` or `latest` is the newest, `@2` the one before.
    Back(usize),
    /// The newest that did not end well.
    LatestFailed,
    /// A whole id.
    Id(SessionId),
    /// The eight hex digits or the head of them, else a name.
    Word(String),
}

/// Why a text names no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// `@` without a number from 1.
    #[error("{0:?}: write @1 for the latest session, @2 for the one before, and so on")]
    Back(String),
    /// Nothing at all.
    #[error("an empty text names no session; leave it out for the latest")]
    Empty,
}

impl FromStr for SessionRef {
    type Err = RefError;
    fn from_str(text: &str) -> Result<SessionRef, RefError> {
        if let Some(number) = text.strip_prefix('@') {
            let number = number.parse().ok().filter(|number| *number > 0);
            return number.map(SessionRef::Back).ok_or_else(|| RefError::Back(text.to_owned()));
        }
        match text {
            "" => Err(RefError::Empty),
            "latest" => Ok(SessionRef::Back(1)),
            _ => Ok(text.parse().map_or_else(|_| SessionRef::Word(text.to_owned()), SessionRef::Id)),
        }
    }
}

/// Why a reference leads to no session.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There are none at all.
    #[error("no sessions in {dir} yet; `logboom run COMMAND` makes one, --dir names another data dir")]
    Empty {
        /// The data dir's sessions.
        dir: String,
    },
    /// There are fewer.
    #[error("@{asked} is further back than the {have} sessions of {dir}; `logboom sessions` lists them")]
    TooFarBack {
        /// What was asked for.
        asked: usize,
        /// How many there are.
        have: usize,
        /// The data dir's sessions.
        dir: String,
    },
    /// None has this id or name.
    #[error("no session {text:?} in {dir}; `logboom sessions` lists them")]
    NotFound {
        /// What was asked for.
        text: String,
        /// The data dir's sessions.
        dir: String,
    },
    /// None of them failed.
    #[error("none of the {have} sessions of {dir} failed")]
    NoneFailed {
        /// How many there are.
        have: usize,
        /// The data dir's sessions.
        dir: String,
    },
    /// Several begin like this.
    #[error("{text:?} could be any of {}; write more of it", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The short ids, newest first; the last may be `… and 3 more`.
        candidates: Vec<String>,
    },
    /// The names could not be read.
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Sessions {
    /// Finds the session that is meant. Hex digits that begin an id are an id before they are a name.
    ///
    /// # Errors
    /// [`ResolveError`] says what is there instead.
    pub fn resolve(&self, reference: &SessionRef, now: Time) -> Result<Session, ResolveError> {
        if self.ids.is_empty() {
            return Err(ResolveError::Empty { dir: self.place() });
        }
        match reference {
            SessionRef::Back(count) => self.back(*count, now),
            SessionRef::LatestFailed => {
                let found = self.newest(1, now, |status| status.outcome.is_bad());
                let missing = || ResolveError::NoneFailed { have: self.ids.len(), dir: self.place() };
                found.first().map(|status| self.session(&status.id)).ok_or_else(missing)
            }
            SessionRef::Id(id) if self.ids.contains(id) => Ok(self.session(id)),
            SessionRef::Id(id) => Err(self.not_found(id.as_str())),
            SessionRef::Word(word) => self.word(word, now),
        }
    }

    fn back(&self, count: usize, now: Time) -> Result<Session, ResolveError> {
        let missing = || ResolveError::TooFarBack { asked: count, have: self.ids.len(), dir: self.place() };
        let index = count.checked_sub(1).ok_or_else(missing)?;
        let id = self.ids.get(index).ok_or_else(missing)?;
        let start = self.ids.partition_point(|other| super::second(other) > super::second(id));
        let end = self.second_end(index + 1);
        if end - start == 1 {
            return Ok(self.session(id));
        }
        let same_second = self.read(start..end, now);
        same_second.get(index - start).map(|status| self.session(&status.id)).ok_or_else(missing)
    }

    fn word(&self, word: &str, now: Time) -> Result<Session, ResolveError> {
        let hex = word.len() <= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let head = word.to_ascii_lowercase();
        let by_id: Vec<&SessionId> = self.ids.iter().filter(|id| hex && id.short().starts_with(&head)).collect();
        if let [only] = by_id[..] {
            return Ok(self.session(only));
        }
        let named = self.newest(1, now, |status| status.meta.run.name == word);
        match named.first() {
            Some(status) => Ok(self.session(&status.id)),
            None if by_id.is_empty() => Err(self.not_found(word)),
            None => Err(ResolveError::Ambiguous { text: word.to_owned(), candidates: candidates(&by_id) }),
        }
    }

    fn not_found(&self, text: &str) -> ResolveError {
        ResolveError::NotFound { text: text.to_owned(), dir: self.place() }
    }

    fn place(&self) -> String {
        self.dir.display().to_string()
    }
}

fn candidates(ids: &[&SessionId]) -> Vec<String> {
    let mut texts: Vec<String> = ids.iter().take(CANDIDATES_MAX).map(|id| id.short().to_owned()).collect();
    if ids.len() > CANDIDATES_MAX {
        texts.push(format!("… and {} more", ids.len() - CANDIDATES_MAX));
    }
    texts
}

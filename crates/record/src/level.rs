//! How serious a record is, and how to tell from the head of a line.
//!
//! Programs say it in a hundred ways: a JSON or logfmt key, `ERROR` behind a date, `x.c:3:5: error:`, `npm ERR!`, a
//! cross mark. The hard part is to hear all of these and never a word inside a sentence: `0 errors`, `error-free` and
//! `Compiling thiserror` say nothing. So [`guess`] walks over what may stand in front of a level (colours, dates, hosts,
//! threads, file positions) and believes a word only where a level stands; it never searches the text.
//!
//! Only the first few hundred bytes count, nothing is allocated, and a line costs some ten nanoseconds
//! (`cargo bench -p logboom-record --bench level`). `None` is an answer too: readers take it as info.
//! Left out: what only the lines around tell (a frame of a stack trace, the source line under a compiler's message).

mod bracket;
mod head;
mod keys;
mod lexicon;
mod marks;
mod phrases;
mod runners;
mod scan;
mod stamp;
mod token;
mod tools;
mod words;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How serious a record is, least first, so that `level >= Level::Warn` reads as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Level {
    /// Finer than debug.
    Trace = 0,
    /// For the program's developer.
    Debug = 1,
    /// The ordinary course; also what an unknown level is taken for.
    #[default]
    Info = 2,
    /// Something a person may have to look at.
    Warn = 3,
    /// Something failed.
    Error = 4,
}

impl Level {
    /// Every level, least serious first.
    pub const ALL: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// The letter that stands for the level in a text log: `T D I W E`.
    pub const fn letter(self) -> u8 {
        b"TDIWE"[self as usize]
    }

    /// The level as it is written in JSON: `trace debug info warn error`.
    pub const fn as_str(self) -> &'static str {
        ["trace", "debug", "info", "warn", "error"][self as usize]
    }

    /// The level whose number in a binary format is `number` (0 trace to 4 error).
    pub const fn from_u8(number: u8) -> Option<Level> {
        match number {
            0 => Some(Level::Trace),
            1 => Some(Level::Debug),
            2 => Some(Level::Info),
            3 => Some(Level::Warn),
            4 => Some(Level::Error),
            _ => None,
        }
    }

    /// The level that `letter` stands for in a text log, capitals only.
    pub const fn from_letter(letter: u8) -> Option<Level> {
        match letter {
            b'T' => Some(Level::Trace),
            b'D' => Some(Level::Debug),
            b'I' => Some(Level::Info),
            b'W' => Some(Level::Warn),
            b'E' => Some(Level::Error),
            _ => None,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.as_str())
    }
}

/// A name that stands for no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a level; use trace, debug, info, warn or error")]
pub struct LevelError {
    name: String,
}

/// Reads the names that programs use, in any case: the five, and among others `warning`, `err`, `fatal`, `notice`.
///
/// ```
/// use logboom_record::Level;
/// assert_eq!("WARNING".parse(), Ok(Level::Warn));
/// assert!("loud".parse::<Level>().is_err());
/// ```
impl FromStr for Level {
    type Err = LevelError;

    fn from_str(name: &str) -> Result<Self, LevelError> {
        words::whole(name.as_bytes()).ok_or_else(|| LevelError { name: name.to_owned() })
    }
}

/// Tells the level of a line from its head, or `None` where the head says nothing.
///
/// ```
/// use logboom_record::{Level, level::guess};
/// assert_eq!(guess(b"src/main.c:3:5: warning: unused variable 'x'"), Some(Level::Warn));
/// assert_eq!(guess(br#"{"level":50,"msg":"no disk"}"#), Some(Level::Error));
/// assert_eq!(guess(b"   Compiling thiserror v2.0.12"), None);
/// ```
pub fn guess(line: &[u8]) -> Option<Level> {
    head::level(line)
}

#[cfg(test)]
mod tests;

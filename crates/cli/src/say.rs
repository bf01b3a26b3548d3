//! logboom's own words, on standard error.
//!
//! Standard error may be a file on the disk that is full, or nobody's: `eprintln!` panics there, and a word less is no
//! reason to end otherwise than the command did.

use std::{
    fmt::Display,
    io::{Write, stderr},
};

use crate::visible;

/// Says one line.
pub fn say(text: impl Display) {
    // There is no other place to say that it could not be said.
    let _ = stderr().write_all(format!("logboom: {text}\n").as_bytes());
}

/// Says one line that has words of others in it: of an engine, of a file, of a container.
pub fn tell(text: &str) {
    say(visible::plain(text));
}

/// Ends the line that the command left unfinished on the terminal.
pub fn end_line() {
    let _ = stderr().write_all(b"\n");
}

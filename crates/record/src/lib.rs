//! The words of logboom, shared by every other crate: what a record, a run, a level, a stream and a gap are.
//!
//! Nothing here does I/O. Types are parsed at the edge and trusted inside; the text line codec is in [`text`], the
//! JSON form in [`json`], the guess of a line's level in [`level`].

pub mod level;

pub use level::Level;

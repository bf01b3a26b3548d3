//! Log calls as bytes on their way to a collector's writer, in rings whose file outlives a killed program.
//!
//! A call is a [`frame`]; what its frame leaves to be formatted later is in [`deferred`]. A collector has one [`RingFile`];
//! each thread that logs has a [`Producer`] in it, a ring of its own that it writes frames straight into; the writer thread has
//! the [`Drain`], which puts the frames of all rings in order and moves the tails only after the records are in the text
//! log. What a killed program leaves is read by [`recover`], frame by frame, and by [`rest`], record by record.
//! `docs/formats.md` has the bytes, and the order of the stores that recovery relies on.
//!
//! A program that was forked shares the mapped rings with its parent: it must not log into them. Dropping a handle in
//! such a child changes nothing for the parent.

mod clock;
pub mod deferred;
mod drain;
mod error;
mod file;
pub mod frame;
mod layout;
mod mapping;
mod order;
mod producer;
pub mod recover;
pub mod rest;
mod spsc;
mod sync;
mod table;
#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]
mod tests;
mod waker;

pub use clock::{Clock, ClockAnchor, Reading};
pub use drain::Drain;
pub use error::RingError;
pub use file::RingFile;
pub use layout::{RING_BYTES_MAX, RING_BYTES_MIN, RINGS_MAX};
pub use producer::Producer;
pub use table::Generation;
pub use waker::Waker;

//! What the benches share: a deterministic generator of log records that look like those of real runs.
//!
//! [`generate()`] makes the records, [`Form`] writes them as lines. The rest of the crate is the program `logboom-bench`, which
//! puts logboom beside its rivals and renders what it measured.

mod generate;
mod phrase;
mod phrases;
mod random;
mod repertoire;
mod words;
mod written;

pub use generate::{ACTIVE_RUNS, Generated, PLANTED_TIMES, RARE_TOKEN, generate};
pub use written::Form;

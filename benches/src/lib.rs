//! What the benches share: a deterministic generator of log records that look like those of real runs, and what a bench needs
//! around its question.
//!
//! [`generate()`] makes the records, [`Form`] writes them as lines. [`place`] is where a bench works, [`measure`] what a process
//! costs, [`table`] the answer, [`results`] the file that keeps it. The rest of the crate is the program `logboom-bench`, which
//! puts logboom beside its rivals and renders what it measured.

mod generate;
pub mod measure;
mod phrase;
mod phrases;
pub mod place;
mod random;
mod repertoire;
pub mod results;
pub mod table;
mod words;
mod written;

pub use generate::{ACTIVE_RUNS, Generated, PLANTED_TIMES, RARE_TOKEN, generate};
pub use written::Form;

//! How fast are containers read, how soon, and what does that cost?
//!
//! With the real engine. Who reads is a process of its own, so that the kernel tells what it costs; each line has a number and the
//! moment at which it was printed, and a figure counts only if every line was there once and in order.

mod engine;
mod full;
mod pipes;
pub mod print;
pub mod read;
mod reader;
mod sink;

use std::path::Path;

use logboom_bench::place::Place;
use logboom_bench::table::Table;

use self::engine::Docker;
use crate::logboom::Logboom;

/// Measure what reading containers costs them, their engine and the reader.
#[derive(clap::Args)]
pub struct Containers {
    /// How many lines a container prints at full rate.
    #[arg(long, default_value_t = 600_000)]
    lines: u64,
    /// How often each takes its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

impl Containers {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Vec<Table>> {
        let logboom = Logboom::find(logboom, place)?;
        let docker = Docker::ready(place)?;
        Ok(vec![full::run(&docker, place, &logboom, self.lines, self.rounds)?])
    }
}

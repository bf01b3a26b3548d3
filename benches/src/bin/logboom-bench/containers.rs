//! How fast are containers read, how soon, and what does that cost?
//!
//! With the real engine. Who reads is a process of its own, so that the kernel tells what it costs; each line has a number and the
//! moment at which it was printed, and a figure counts only if every line was there once and in order.

mod engine;
mod full;
mod many;
mod paced;
mod pipes;
pub mod print;
pub mod read;
mod reader;
mod sink;

use std::path::Path;

use logboom_bench::place::Place;
use logboom_bench::table::Table;

use self::engine::Docker;
use self::reader::Reader;
use crate::logboom::Logboom;

/// Measure what reading containers costs them, their engine and the reader.
#[derive(clap::Args)]
pub struct Containers {
    /// How many lines a container prints at full rate.
    #[arg(long, default_value_t = 600_000)]
    lines: u64,
    /// For how many seconds containers print that are paced.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each takes its turn at full rate.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often where containers are paced.
    #[arg(long, default_value_t = 3)]
    paced_rounds: usize,
    /// Only these questions.
    #[arg(long, value_enum, default_values_t = [Question::Full, Question::Paced, Question::Many])]
    only: Vec<Question>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Question {
    /// One container as fast as it can.
    Full,
    /// One at a steady pace.
    Paced,
    /// Many at a steady pace.
    Many,
}

/// A container's log driver, and who reads.
type Way = (&'static str, Reader);

impl Containers {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Vec<Table>> {
        let logboom = Logboom::find(logboom, place)?;
        let docker = Docker::ready(place)?;
        let answer = |question: &Question| match question {
            Question::Full => full::run(&docker, place, &logboom, self.lines, self.rounds),
            Question::Paced => paced::run(&docker, place, &logboom, self.seconds, self.paced_rounds),
            Question::Many => many::run(&docker, place, &logboom, self.seconds, self.paced_rounds),
        };
        self.only.iter().map(answer).collect()
    }
}

fn shown(way: Way) -> String {
    format!("{}, {}", way.0, way.1.name())
}

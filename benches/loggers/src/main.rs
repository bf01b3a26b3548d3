//! Measures the loggers that programs embed, logboom's among them, side by side.
//!
//! Each logger does each task in a process of its own, in rounds in which all take turns; every line is read back and counted.
//! [`rival`] tells who is compared, [`task`] what a process does, [`round`] how they take turns, [`tables`] what comes of it.

mod clock;
mod found;
mod idle;
mod line;
mod paced;
mod process;
mod rival;
mod round;
mod slow;
mod switch;
mod tables;
mod task;
mod throughput;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use logboom_bench::place::Place;
use logboom_bench::results::{self, Machine};

use crate::round::Rounds;

/// Measures the loggers that programs embed, side by side.
#[derive(Parser)]
struct Bench {
    /// Where the loggers write: a directory on a real disk.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The file of results; results.jsonl in the work directory if left out.
    #[arg(long)]
    results: Option<PathBuf>,
    #[command(flatten)]
    rounds: Rounds,
    #[command(subcommand)]
    child: Option<What>,
}

#[derive(Subcommand)]
enum What {
    #[command(hide = true)]
    Child(task::Child),
}

fn main() -> anyhow::Result<()> {
    let bench = Bench::parse();
    match &bench.child {
        Some(What::Child(child)) => child.run(),
        None => bench.run(),
    }
}

impl Bench {
    /// Prints what is found, and keeps it.
    fn run(&self) -> anyhow::Result<()> {
        let place = Place::new(&self.work)?;
        let findings = self.rounds.run(&place)?;
        let results = self.results.clone().unwrap_or_else(|| self.work.join("results.jsonl"));
        for table in tables::all(&self.rounds, &findings).into_iter().chain([switch::table(&place)?]) {
            println!("{table}");
            results::append(&results, &Machine::this(&self.work), &table)?;
        }
        Ok(())
    }
}

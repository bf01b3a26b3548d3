//! How much longer does a command take that works and prints?
//!
//! The producer does a fixed amount of arithmetic before each line, so that alone it would print so many MB/s. It is not paced
//! by a clock: a clock would hide what capturing takes from it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::logboom::Logboom;
use crate::measure::{self, median};
use crate::place::{Place, remove};
use crate::produce::steps_per_us;
use crate::table::{Bound, Table, figure};

const LINE_BYTES: f64 = 102.4;
/// What making and printing a line takes before any arithmetic.
const LINE_US: f64 = 0.7;

/// Measure how much a command is slowed that prints less than 10 MB/s.
#[derive(clap::Args)]
pub struct Slowdown {
    /// How often each takes its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long the producer works alone, about.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// How the producer prints.
#[derive(Clone, Copy)]
struct Pace {
    lines: u64,
    steps: u64,
    blocks: bool,
}

impl Slowdown {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let method = format!("fixed work of about {} s, {} alternating rounds, medians", self.seconds, self.rounds);
        let columns = ["prints", "MB/s alone", "s alone", "s under `logboom run --quiet`", "ratio"];
        let mut table = Table::new("slowdown", "How much is a command slowed?", method, &columns);
        let speed = steps_per_us();
        let mut worst: f64 = 0.0;
        for megabytes in [1.0, 5.0, 10.0] {
            for blocks in [false, true] {
                let pace = self.pace(megabytes, blocks, speed);
                let (row, ratio) = self.compare(pace, place, &logboom)?;
                worst = worst.max(ratio);
                table.row(row);
            }
        }
        table.promise("the worst of these", worst, "x", Bound::AtMost(1.05));
        Ok(table)
    }

    fn pace(&self, megabytes: f64, blocks: bool, speed: f64) -> Pace {
        let us_a_line = LINE_BYTES / megabytes;
        let lines = (self.seconds * 1e6 / us_a_line) as u64;
        Pace { lines, steps: ((us_a_line - LINE_US) * speed) as u64, blocks }
    }

    fn compare(&self, pace: Pace, place: &Place, logboom: &Logboom) -> anyhow::Result<([String; 5], f64)> {
        let (mut alone, mut under) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let mut producer = Command::new(std::env::current_exe()?);
            alone.push(seconds(pace.args(producer.arg("produce")))?);
            let dir = place.fresh("slowdown")?;
            under.push(seconds(pace.args(&mut logboom.run_producer(&dir)?))?);
            remove(&dir)?;
        }
        let ratio = median(under.iter().zip(&alone).map(|(under, alone)| under / alone));
        let (alone, under) = (median(alone), median(under));
        let how = if pace.blocks { "blocks of 4 KiB" } else { "line by line" };
        let rate = pace.lines as f64 * LINE_BYTES / 1e6 / alone;
        Ok(([how.to_owned(), figure(rate), figure(alone), figure(under), figure(ratio)], ratio))
    }
}

impl Pace {
    fn args(self, command: &mut Command) -> &mut Command {
        command.arg("work").arg(self.lines.to_string()).arg(self.steps.to_string());
        if self.blocks { command.arg("--blocks") } else { command }
    }
}

fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    Ok(measure::run(command.stdout(Stdio::null()))?.wall.as_secs_f64())
}

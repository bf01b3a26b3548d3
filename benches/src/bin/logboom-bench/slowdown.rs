//! How much longer does a command take that works and prints?
//!
//! The producer does a fixed amount of arithmetic before each line, so that alone it would print so many MB/s. It is not paced
//! by a clock: a clock would hide what capturing takes from it. Alone it prints to /dev/null; what the pipe itself costs
//! is told by `| cat`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use logboom_bench::measure::{self, median};
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;
use crate::produce::steps_per_us;

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
        let columns = ["prints", "MB/s alone", "s alone", "ratio into `cat`", "ratio under `logboom run --quiet`"];
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
        let (mut alone, mut cat, mut under) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let mut producer = Command::new(std::env::current_exe()?);
            alone.push(seconds(pace.args(producer.arg("produce")))?);
            cat.push(into_cat(pace.args(Command::new(std::env::current_exe()?).arg("produce")))?);
            let dir = place.fresh("slowdown")?;
            under.push(seconds(pace.args(&mut logboom.run_producer(&dir)?))?);
            remove(&dir)?;
        }
        let ratio = |times: Vec<f64>| median(times.iter().zip(&alone).map(|(time, alone)| time / alone));
        let (cat, under) = (ratio(cat), ratio(under));
        let alone = median(alone);
        let how = if pace.blocks { "blocks of 4 KiB" } else { "line by line" };
        let rate = pace.lines as f64 * LINE_BYTES / 1e6 / alone;
        Ok(([how.to_owned(), figure(rate), figure(alone), figure(cat), figure(under)], under))
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

fn into_cat(producer: &mut Command) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut producer = producer.stdout(Stdio::piped()).spawn()?;
    let pipe = producer.stdout.take().context("a piped stdout")?;
    let mut cat = Command::new("cat").stdin(pipe).stdout(Stdio::null()).spawn()?;
    let (producer, cat) = (producer.wait()?, cat.wait()?);
    ensure!(producer.success() && cat.success(), "{producer}, cat: {cat}");
    Ok(started.elapsed().as_secs_f64())
}

//! How much longer does a command take that works and prints?
//!
//! The producer does a fixed amount of arithmetic before each line, so that alone it would print so many MB/s. It is not paced
//! by a clock: a clock would hide what capturing takes from it. Alone it prints to /dev/null; what the pipe itself costs
//! is told by `| cat`. On a terminal its output goes to one that is read at once, with and without us; what the second
//! terminal between them costs is told by `script`.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use logboom_bench::measure::{self, median};
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;
use crate::produce::steps_per_us;
use crate::terminal;

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
        let columns =
            ["prints", "MB/s alone", "s alone", "ratio into `cat`, or under `script`", "ratio under `logboom run`"];
        let mut table = Table::new("slowdown", "How much is a command slowed?", method, &columns);
        let speed = steps_per_us();
        let mut worst: f64 = 0.0;
        for output in [Output::Nowhere, Output::Terminal] {
            for megabytes in [1.0, 5.0, 10.0] {
                for blocks in [false, true] {
                    let pace = self.pace(megabytes, blocks, speed);
                    let (row, ratio) = self.compare(pace, output, place, &logboom)?;
                    worst = worst.max(ratio);
                    table.row(row);
                }
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

    fn compare(
        &self,
        pace: Pace,
        output: Output,
        place: &Place,
        logboom: &Logboom,
    ) -> anyhow::Result<([String; 5], f64)> {
        let (mut alone, mut rival, mut under) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let producer = || -> io::Result<Command> { Ok(pace.added_to(Command::new(std::env::current_exe()?))) };
            alone.push(output.seconds(&mut producer()?)?);
            rival.extend(output.rival_seconds(&mut producer()?)?);
            let dir = place.fresh("slowdown")?;
            under.push(output.seconds(&mut output.captured(producer()?, &dir, logboom))?);
            remove(&dir)?;
        }
        let ratio = |times: Vec<f64>| median(times.iter().zip(&alone).map(|(time, alone)| time / alone));
        let (rival, under) = (ratio(rival), ratio(under));
        let alone = median(alone);
        let rate = pace.lines as f64 * LINE_BYTES / 1e6 / alone;
        let rival = if rival.is_nan() { "-".to_owned() } else { figure(rival) };
        Ok(([output.how(pace), figure(rate), figure(alone), rival, figure(under)], under))
    }
}

/// Where the producer prints to.
#[derive(Clone, Copy)]
enum Output {
    /// To /dev/null; logboom passes nothing on.
    Nowhere,
    /// To a terminal, in lines and blocks; logboom passes all on.
    Terminal,
}

impl Output {
    fn how(self, pace: Pace) -> String {
        let how = if pace.blocks { "blocks of 4 KiB" } else { "line by line" };
        match self {
            Output::Nowhere => how.to_owned(),
            Output::Terminal => format!("{how}, on a terminal"),
        }
    }

    fn seconds(self, command: &mut Command) -> anyhow::Result<f64> {
        let cost = match self {
            Output::Nowhere => measure::run(command.stdout(Stdio::null()))?,
            Output::Terminal => terminal::run(command)?,
        };
        Ok(cost.wall.as_secs_f64())
    }

    /// Nothing where the rival is not installed.
    fn rival_seconds(self, producer: &mut Command) -> anyhow::Result<Option<f64>> {
        match self {
            Output::Nowhere => into_cat(producer).map(Some),
            Output::Terminal => under_script(producer),
        }
    }

    fn captured(self, producer: Command, dir: &Path, logboom: &Logboom) -> Command {
        let mut command = logboom.command("run", dir);
        if let Output::Nowhere = self {
            command.arg("--quiet");
        }
        command.arg("--").arg(producer.get_program()).args(producer.get_args());
        command
    }
}

impl Pace {
    fn added_to(self, mut command: Command) -> Command {
        command.args(["produce", "work"]).arg(self.lines.to_string()).arg(self.steps.to_string());
        if self.blocks {
            command.arg("--blocks");
        }
        command
    }
}

fn under_script(producer: &Command) -> anyhow::Result<Option<f64>> {
    if measure::silenced(Command::new("script").arg("--version")).status().is_err() {
        return Ok(None);
    }
    let words = [producer.get_program()].into_iter().chain(producer.get_args());
    let quoted: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &quoted.join(" "), "/dev/null"]).stdin(Stdio::null());
    Ok(Some(terminal::run(&mut script)?.wall.as_secs_f64()))
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

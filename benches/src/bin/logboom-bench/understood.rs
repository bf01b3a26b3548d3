//! What does it cost to look for secrets, and for results of tests, in what a command prints?
//!
//! Secrets: generated text, without masks and with twenty, values of variables and patterns, none of which it has: what has to be
//! looked for is what costs. Results: lines that begin as results of cargo test do, so that each is looked at, and the same lines
//! behind a letter that begins nothing.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use logboom_bench::measure::{self, Cost, median, silenced};
use logboom_bench::place::Place;
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;

/// How many values, and how many patterns, are masked.
const VALUES: usize = 15;
const PATTERNS: usize = 5;

/// Measure what looking for secrets and for results of tests costs.
#[derive(clap::Args)]
pub struct Understood {
    /// How many lines each input has.
    #[arg(long, default_value_t = 1_200_000)]
    lines: u64,
    /// How often each takes its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

impl Understood {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let text = place.text(self.lines)?;
        let results = self.test_lines(place, "")?;
        let other = self.test_lines(place, "x")?;
        let mut costs = [const { Vec::new() }; 4];
        for _ in 0..self.rounds {
            let inputs = [(&text, false), (&text, true), (&other, false), (&results, false)];
            for ((input, is_masked), costs) in inputs.into_iter().zip(&mut costs) {
                let dir = place.fresh("understood")?;
                let mut command = logboom.command("run", &dir);
                command.arg("--quiet");
                if is_masked {
                    mask(&mut command)
                } else {
                    command.arg("--no-mask")
                };
                command.args(["--", "cat"]).arg(input);
                costs.push(measure::run(silenced(&mut command))?);
            }
        }
        Ok(self.table(&costs))
    }

    /// Lines as cargo test prints them, behind `before`.
    fn test_lines(&self, place: &Place, before: &str) -> anyhow::Result<std::path::PathBuf> {
        let lines = self.lines;
        place.made_once(&format!("tests{before}-{lines}.txt"), |file| {
            let mut out = BufWriter::new(file);
            writeln!(out, "{before}running {lines} tests")?;
            for number in 1..lines {
                writeln!(out, "{before}test cart::tests::case_{number:07} ... ok")?;
            }
            Ok(out.flush()?)
        })
    }

    fn table(&self, costs: &[Vec<Cost>; 4]) -> Table {
        let lines = self.lines;
        let method = format!("`logboom run --quiet cat`, {lines} lines, {} alternating rounds, medians", self.rounds);
        let columns = ["input", "s", "CPU-s", "CPU-s more per million lines"];
        let question = "What does it cost to look for secrets and results of tests?";
        let mut table = Table::new("understood", question, method, &columns);
        let walls = costs.each_ref().map(|costs| median(costs.iter().map(|cost| cost.wall.as_secs_f64())));
        let cpus = costs.each_ref().map(|costs| median(costs.iter().map(|cost| cost.cpu.as_secs_f64())));
        let more = |at: usize| (cpus[at] - cpus[at - 1]) / (lines as f64 / 1e6);
        let masked = format!("the same, {VALUES} values and {PATTERNS} patterns masked");
        let names = ["text", &masked, "lines of cargo test behind a letter", "lines of cargo test"];
        for (at, name) in names.into_iter().enumerate() {
            let more = if at % 2 == 1 { figure(more(at)) } else { String::new() };
            table.row([name.to_owned(), figure(walls[at]), figure(cpus[at]), more]);
        }
        table.promise("rate with 20 masks", walls[0] / walls[1], "x without", Bound::AtLeast(0.8));
        table.promise("results of tests", more(3), "CPU-s per million lines", Bound::AtMost(0.15));
        table
    }
}

fn mask(command: &mut Command) -> &mut Command {
    for number in 0..VALUES {
        let name = format!("BENCH_SECRET_{number}");
        command.env(&name, format!("s{number:02}-7f3a9c{number:02}b1e4d8")).args(["--mask-env", &name]);
    }
    for number in 0..PATTERNS {
        command.args(["--mask", &format!("card{number}=[0-9]{{16}}")]);
    }
    command
}

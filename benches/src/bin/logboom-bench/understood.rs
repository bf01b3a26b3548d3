//! What does it cost to look for secrets, and for results of tests, in what a command prints?
//!
//! Secrets: generated text, without masks and with twenty, values of variables and patterns, none of which it has: what has to be
//! looked for is what costs. Results: lines that begin as results of cargo test do, so that each is looked at, and the same lines
//! behind a letter that begins nothing; and beside them results of as many tests, of which 100,000 are kept.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
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
        let other = self.test_lines(place, "other", "x", "says 5")?;
        let alike = self.test_lines(place, "alike", "", "says 5")?;
        let results = self.test_lines(place, "results", "", "... ok")?;
        let mut costs = [const { Vec::new() }; 5];
        for _ in 0..self.rounds {
            let inputs = [(&text, false), (&text, true), (&other, false), (&alike, false), (&results, false)];
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

    /// Lines as cargo test prints them, behind `before`, with this end.
    fn test_lines(&self, place: &Place, name: &str, before: &str, end: &str) -> anyhow::Result<PathBuf> {
        let lines = self.lines;
        place.made_once(&format!("tests-{name}-{lines}.txt"), |file| {
            let mut out = BufWriter::new(file);
            writeln!(out, "{before}running {lines} tests")?;
            for number in 1..lines {
                writeln!(out, "{before}test cart::tests::case_{number:07} {end}")?;
            }
            Ok(out.flush()?)
        })
    }

    fn table(&self, costs: &[Vec<Cost>; 5]) -> Table {
        let lines = self.lines;
        let method = format!("`logboom run --quiet cat`, {lines} lines, {} alternating rounds, medians", self.rounds);
        let columns = ["input", "s", "CPU-s", "CPU-s more per million lines"];
        let question = "What does it cost to look for secrets and results of tests?";
        let mut table = Table::new("understood", question, method, &columns);
        let walls = costs.each_ref().map(|costs| median(costs.iter().map(|cost| cost.wall.as_secs_f64())));
        let cpus = costs.each_ref().map(|costs| median(costs.iter().map(|cost| cost.cpu.as_secs_f64())));
        let more = |at: usize, than: usize| (cpus[at] - cpus[than]) / (lines as f64 / 1e6);
        let masked = format!("the same, {VALUES} values and {PATTERNS} patterns masked");
        let rows = [
            ("text", None),
            (&*masked, Some(0)),
            ("lines that begin as no tool's do", None),
            ("the same that begin as results of cargo test", Some(2)),
            ("results of cargo test alone, 100,000 of them kept", Some(2)),
        ];
        for (at, (name, than)) in rows.into_iter().enumerate() {
            let more = than.map_or_else(String::new, |than| figure(more(at, than)));
            table.row([name.to_owned(), figure(walls[at]), figure(cpus[at]), more]);
        }
        table.promise("rate with 20 masks", walls[0] / walls[1], "x without", Bound::AtLeast(0.8));
        table.promise("looking for results of tests", more(3, 2), "CPU-s per million lines", Bound::AtMost(0.15));
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

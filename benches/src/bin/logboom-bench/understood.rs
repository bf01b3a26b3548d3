//! What does it cost to look for secrets, and for results of tests, in what a command prints?
//!
//! Secrets: generated text, without masks and with twenty, values of variables and patterns, none of which it has: what has to be
//! looked for is what costs. Results: lines of which each is looked at, for it begins as a tool's do or the tool has begun, and the same
//! lines behind a letter that begins nothing; and beside them results of as many tests, of which 100,000 are kept.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use logboom_bench::measure::{self, Cost, median, silenced};
use logboom_bench::place::Place;
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;

/// How many values, and how many patterns, are masked.
const VALUES: usize = 15;
const PATTERNS: usize = 5;

/// What a tool prints that tells no result, and has to be looked at all the same.
struct Tool {
    name: &'static str,
    head: &'static str,
    /// With a number in it.
    line: &'static str,
}

const TOOLS: [Tool; 4] = [
    Tool { name: "cargo test", head: "running 99999999 tests", line: "test cart::tests::case_NUMBER says 5" },
    Tool {
        name: "pytest",
        head: "======= test session starts =======",
        line: "tests/test_cart.py says that case NUMBER [GET] is there",
    },
    Tool { name: "go test", head: "=== RUN   TestCart", line: "    cart_test.go:12: case NUMBER (one of many)" },
    Tool {
        name: "go test -json",
        head: r#"{"Time":"2026-01-02T03:04:05.123456789Z","Action":"run","Package":"example.com/shop","Test":"TestA"}"#,
        line: r#"{"Time":"2026-01-02T03:04:05.123456789Z","Action":"output","Package":"example.com/shop","Test":"TestA","Output":"case NUMBER\n"}"#,
    },
];

const RESULTS: Tool =
    Tool { name: "results", head: "running 99999999 tests", line: "test cart::tests::case_NUMBER ... ok" };

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
        let mut inputs = vec![(text.clone(), false), (text, true)];
        for tool in &TOOLS {
            for before in ["x", ""] {
                inputs.push((self.printed(place, tool, before)?, false));
            }
        }
        inputs.push((self.printed(place, &RESULTS, "")?, false));
        let mut costs = vec![Vec::new(); inputs.len()];
        for _ in 0..self.rounds {
            for ((input, is_masked), costs) in inputs.iter().zip(&mut costs) {
                let dir = place.fresh("understood")?;
                let mut command = logboom.command("run", &dir);
                command.arg("--quiet");
                if *is_masked {
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

    /// What a tool prints, each line behind `before`.
    fn printed(&self, place: &Place, tool: &Tool, before: &str) -> anyhow::Result<PathBuf> {
        let Tool { name, head, line } = tool;
        let lines = self.lines;
        let input = if before.is_empty() { "alike" } else { "other" };
        place.made_once(&format!("tests-{name}-{input}-{lines}.txt"), |file| {
            let mut out = BufWriter::new(file);
            writeln!(out, "{before}{head}")?;
            for number in 1..lines {
                writeln!(out, "{before}{}", line.replace("NUMBER", &format!("{number:07}")))?;
            }
            Ok(out.flush()?)
        })
    }

    fn table(&self, costs: &[Vec<Cost>]) -> Table {
        let lines = self.lines;
        let method = format!("`logboom run --quiet cat`, {lines} lines, {} alternating rounds, medians", self.rounds);
        let columns = ["input", "s", "CPU-s", "CPU-s more per million lines"];
        let question = "What does it cost to look for secrets and results of tests?";
        let mut table = Table::new("understood", question, method, &columns);
        let of = |at: usize, what: fn(&Cost) -> Duration| median(costs[at].iter().map(|cost| what(cost).as_secs_f64()));
        let (wall, cpu) = (|at| of(at, |cost| cost.wall), |at| of(at, |cost| cost.cpu));
        let more = |at: usize, than: usize| (cpu(at) - cpu(than)) / (lines as f64 / 1e6);
        let mut row = |at: usize, name: &str, than: Option<usize>| {
            let more = than.map_or_else(String::new, |than| figure(more(at, than)));
            table.row([name.to_owned(), figure(wall(at)), figure(cpu(at)), more]);
        };
        row(0, "text", None);
        row(1, &format!("the same, {VALUES} values and {PATTERNS} patterns masked"), Some(0));
        for (number, Tool { name, .. }) in TOOLS.iter().enumerate() {
            let at = 2 + 2 * number;
            row(at, &format!("lines as {name}'s, behind a letter"), None);
            row(at + 1, "the same without the letter", Some(at));
        }
        row(costs.len() - 1, "results of cargo test alone, 100,000 of them kept", Some(2));
        let most = (0..TOOLS.len()).map(|number| more(3 + 2 * number, 2 + 2 * number)).fold(0.0, f64::max);
        table.promise("rate with 20 masks", wall(0) / wall(1), "x without", Bound::AtLeast(0.8));
        table.promise("looking for results, at most", most, "CPU-s per million lines", Bound::AtMost(0.15));
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

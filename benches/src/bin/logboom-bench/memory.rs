//! How much memory does capturing take, whatever is printed, and how much showing the longest line?

use std::path::Path;
use std::process::{Command, Stdio};

use logboom_bench::measure::{self, Cost};
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;

/// Measure the peak memory of `logboom run`, and of `show` and `tail` where a line is long.
#[derive(clap::Args)]
pub struct Memory {
    /// How many lines of the generated kind.
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
    /// How long the one long line is.
    #[arg(long, default_value_t = 1 << 30)]
    long_line_bytes: u64,
    /// How many empty lines.
    #[arg(long, default_value_t = 50_000_000)]
    empty_lines: u64,
}

impl Memory {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let method = "peak resident memory of `logboom run --quiet`, or of its command if that had more; of `show` and `tail -n 1` \
                      of the long line, for which nothing is promised"
            .to_owned();
        let mut table =
            Table::new("memory", "How much memory does it take?", method, &["printed", "peak MiB", "wall s", "CPU-s"]);
        let text = place.text(self.lines)?;
        let (long, empty) = (self.long_line_bytes.to_string(), self.empty_lines.to_string());
        let inputs: [(String, &[&str]); 3] = [
            (format!("{} generated lines", self.lines), &[]),
            (format!("one line of {long} bytes, never ended"), &["long-line", &long]),
            (format!("{empty} empty lines"), &["empty-lines", &empty]),
        ];
        for (name, producer) in inputs {
            let dir = place.fresh("memory")?;
            let mut command = match producer {
                [] => with_cat(logboom.run(&dir), &text),
                _ => with_args(logboom.run_producer(&dir)?, producer),
            };
            let cost = measure::run(command.stdout(Stdio::null()))?;
            table.promise(&name, mebibytes(&cost), "MiB", Bound::AtMost(64.0));
            table.row(cells(name, &cost));
            if producer.first() == Some(&"long-line") {
                show(&logboom, &dir, &mut table)?;
            }
            remove(&dir)?;
        }
        Ok(table)
    }
}

/// Shows a session of one long line in each way there is.
fn show(logboom: &Logboom, dir: &Path, table: &mut Table) -> anyhow::Result<()> {
    for (subcommand, arguments) in [("show", &[][..]), ("show", &["--raw"]), ("tail", &["-n", "1"])] {
        let mut command = with_args(logboom.command(subcommand, dir), arguments);
        let cost = measure::run(command.stdout(Stdio::null()))?;
        table.row(cells(format!("the same, by `{}`", [&[subcommand], arguments].concat().join(" ")), &cost));
    }
    Ok(())
}

fn cells(name: String, cost: &Cost) -> [String; 4] {
    [name, figure(mebibytes(cost)), figure(cost.wall.as_secs_f64()), figure(cost.cpu.as_secs_f64())]
}

fn mebibytes(cost: &Cost) -> f64 {
    cost.peak_bytes as f64 / f64::from(1 << 20)
}

fn with_cat(mut command: Command, file: &Path) -> Command {
    command.arg("cat").arg(file);
    command
}

fn with_args(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

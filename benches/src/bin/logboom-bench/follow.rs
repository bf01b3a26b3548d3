//! How long after it was printed does a follower see a line?
//!
//! Each line carries the moment at which its program printed it, so that the figure spans everything: the pipe, the writer, the
//! disk, the follower, its output.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use logboom_bench::measure::quantile;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;
use crate::produce::now_ns;

/// Measure the latency of `tail -f` for lone lines.
#[derive(clap::Args)]
pub struct Follow {
    /// How many lines are printed, one every 20 to 50 ms.
    #[arg(long, default_value_t = 500)]
    lines: u64,
}

const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// The first lines are printed while the follower starts.
const IGNORED: usize = 20;

impl Follow {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let dir = place.fresh("follow")?;
        let mut run = self.start(&logboom, &dir)?;
        let latencies = self.latencies(logboom.command("tail", &dir).args(["--follow", "--json", "-n", "0"]))?;
        ensure!(run.wait()?.success(), "the run that was followed failed");
        remove(&dir)?;
        ensure!(latencies.len() > IGNORED, "only {} lines were seen", latencies.len());
        Ok(self.table(&latencies[IGNORED..]))
    }

    /// Starts the run, and waits until its session can be followed.
    fn start(&self, logboom: &Logboom, dir: &Path) -> anyhow::Result<Child> {
        let run = logboom.run_producer(dir)?.arg("stamps").arg(self.lines.to_string()).spawn()?;
        let deadline = Instant::now() + STARTS_WITHIN;
        while !logboom.command("tail", dir).output()?.stdout.contains(&b'\n') {
            ensure!(Instant::now() < deadline, "no session shows up in {}", dir.display());
        }
        Ok(run)
    }

    fn table(&self, latencies: &[f64]) -> Table {
        let method =
            format!("{} lone lines, one every 20 to 50 ms, from print to `tail -f --json`'s output", self.lines);
        let question = "How soon does a follower see a line?";
        let mut table = Table::new("follow", question, method, &["lines", "median ms", "p99 ms", "slowest ms"]);
        let shares = [0.5, 0.99, 1.0].map(|share| figure(quantile(latencies, share)));
        table.row([latencies.len().to_string()].into_iter().chain(shares));
        table.promise("median", quantile(latencies, 0.5), "ms", Bound::AtMost(10.0));
        table
    }

    /// Reads what the follower prints to its end, and tells for each line how many milliseconds ago it was printed. From the
    /// first line that it prints on there must be every one, in order.
    fn latencies(&self, follower: &mut Command) -> anyhow::Result<Vec<f64>> {
        let mut follower = follower.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(follower.stdout.take().context("the follower has no stdout")?).lines();
        let (mut latencies, mut last) = (Vec::new(), None);
        for line in lines {
            let (line, now) = (line?, now_ns()?);
            let Some((number, printed)) = stamp(&line)? else { continue };
            ensure!(last.is_none_or(|last| number == last + 1), "line {number} follows line {last:?}");
            last = Some(number);
            latencies.push((now - printed) as f64 / 1e6);
        }
        ensure!(follower.wait()?.success(), "the follower failed");
        ensure!(last == Some(self.lines), "line {last:?} of {} is the last that was seen", self.lines);
        Ok(latencies)
    }
}

/// The number of a line, and the nanoseconds since 1970 at which it was printed; `None` for a line of logboom's own.
fn stamp(line: &str) -> anyhow::Result<Option<(u64, u128)>> {
    let record: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
    let message = record["message"].as_str().unwrap_or_default();
    let Some((number, printed)) = message.strip_prefix("stamp=").and_then(|stamp| stamp.split_once(' ')) else {
        return Ok(None);
    };
    Ok(Some((number.parse()?, printed.parse()?)))
}

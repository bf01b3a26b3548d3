//! How long does `logboom run` go on after its command has ended?
//!
//! Then what is under way is written, the last block compressed, the boom file sealed, and everything fsync'ed. Beside it what
//! the disk alone needs: one fsync of as many bytes as the text log had left to sync at most.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use logboom_bench::measure::{self, median, quantile};
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;
use crate::produce::now_ns;

/// What the text log may have left to sync when the run ends.
const UNSYNCED_BYTES: usize = 32 << 20;

/// Measure how long sealing takes, by the size of the run.
#[derive(clap::Args)]
pub struct Seal {
    /// How many lines the largest run has.
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
    /// How often each is done.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

impl Seal {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let method =
            format!("from the end of the command's last write to the end of `run --quiet`, {} rounds", self.rounds);
        let columns = ["lines", "ms, median", "ms, p90"];
        let mut table = Table::new("seal", "How long does sealing take?", method, &columns);
        for lines in [1, self.lines / 1_000, self.lines / 50, self.lines] {
            let times = self.times(lines, place, &logboom)?;
            let middle = median(times.iter().copied());
            table.promise(&format!("{lines} lines"), middle, "ms", Bound::AtMost(50.0));
            table.row([lines.to_string(), figure(middle), figure(quantile(&times, 0.9))]);
        }
        let disk: anyhow::Result<Vec<f64>> = (0..self.rounds).map(|_| fsync(place)).collect();
        let disk = disk?;
        let name = format!("fsync of {} MiB alone", UNSYNCED_BYTES >> 20);
        table.row([name, figure(median(disk.iter().copied())), figure(quantile(&disk, 0.9))]);
        Ok(table)
    }

    /// In milliseconds.
    fn times(&self, lines: u64, place: &Place, logboom: &Logboom) -> anyhow::Result<Vec<f64>> {
        let (input, stamp) = (place.text(lines)?, place.kept("seal-end"));
        (0..self.rounds)
            .map(|_| {
                let dir = place.fresh("seal")?;
                let script = "cat \"$1\"; date +%s%N > \"$2\"";
                measure::run(logboom.run(&dir).args(["sh", "-c", script, "sh"]).arg(&input).arg(&stamp))?;
                let ended = now_ns()?;
                let printed: u128 = std::fs::read_to_string(&stamp)?.trim().parse().context("date prints a number")?;
                remove(&dir)?;
                Ok(ended.saturating_sub(printed) as f64 / 1e6)
            })
            .collect()
    }
}

/// In milliseconds.
fn fsync(place: &Place) -> anyhow::Result<f64> {
    let dir = place.fresh("seal")?;
    let mut file = File::create(dir.join("file"))?;
    file.write_all(&vec![b'x'; UNSYNCED_BYTES])?;
    let started = Instant::now();
    file.sync_data()?;
    let took = started.elapsed().as_secs_f64() * 1e3;
    remove(&dir)?;
    Ok(took)
}

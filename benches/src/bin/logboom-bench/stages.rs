//! Where does the processor time of `run --quiet` go?
//!
//! `perf` samples the whole run, and each sample is counted for the stage of its thread and function. What is inlined counts for the
//! function that it was inlined into, so the shares are good to a few per cent.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use logboom_bench::measure;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Table, figure};

use crate::logboom::Logboom;

/// Measure how the processor time of a run is shared out among its stages.
#[derive(clap::Args)]
pub struct Stages {
    /// How many lines are captured.
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
}

/// A thread's name, what its function's name holds, and the stage; the first that fits counts.
const STAGES: [(&str, &str, &str); 12] = [
    ("cat", "", "the command itself (cat)"),
    ("logboom-std", "", "reading: pipe to memory"),
    ("writer", "level", "level"),
    ("writer", "[k]", "text log and tail: write(2)"),
    ("writer", "", "splitting, text, columns"),
    ("boom-encoder", "ZSTD", "compression (zstd)"),
    ("boom-encoder", "HUF", "compression (zstd)"),
    ("boom-encoder", "FSE", "compression (zstd)"),
    ("boom-encoder", "HIST", "compression (zstd)"),
    ("boom-encoder", "filter", "filter (grams)"),
    ("boom-encoder", "", "buckets, checksums, writing blocks"),
    ("", "", "the rest: start, end, fsync"),
];

impl Stages {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let (input, dir, data) = (place.text(self.lines)?, place.fresh("stages")?, place.kept("stages.perf"));
        let run = logboom.run(&dir);
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-F", "997", "-e", "cpu-clock", "-o"]).arg(&data).arg("--").arg(run.get_program());
        perf.args(run.get_args()).arg("cat").arg(&input);
        let cost = measure::run(&mut perf)?;
        let samples = samples(&data)?;
        remove(&dir)?;

        let method =
            format!("{} lines, `perf record -e cpu-clock`; {:.2} CPU-s in all", self.lines, cost.cpu.as_secs_f64());
        let mut table = Table::new("stages", "Where does the processor time go?", method, &["stage", "share in %"]);
        let all: u64 = samples.iter().map(|(_, count)| count).sum();
        ensure!(all > 0, "perf took no samples");
        for (stage, count) in samples {
            table.row([stage.to_owned(), figure(100.0 * count as f64 / all as f64)]);
        }
        Ok(table)
    }
}

/// How many samples each stage has, in the order of [`STAGES`].
fn samples(data: &Path) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let mut report = Command::new("perf");
    report.args(["report", "--stdio", "--no-children", "-F", "sample,comm,sym", "-t", "|", "-i"]).arg(data);
    let report = report.output().context("cannot start perf")?;
    ensure!(report.status.success(), "perf report: {}", String::from_utf8_lossy(&report.stderr));
    let mut stages: Vec<(&str, u64)> = Vec::new();
    for (_, _, stage) in STAGES {
        if !stages.iter().any(|(known, _)| *known == stage) {
            stages.push((stage, 0));
        }
    }
    for line in String::from_utf8_lossy(&report.stdout).lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.splitn(3, '|').map(str::trim);
        let (Some(count), Some(thread), Some(function)) = (cells.next(), cells.next(), cells.next()) else { continue };
        let stage = stage_of(thread, function);
        let count: u64 = count.parse().with_context(|| format!("perf report says {line:?}"))?;
        stages.iter_mut().filter(|(known, _)| *known == stage).for_each(|(_, sum)| *sum += count);
    }
    Ok(stages)
}

fn stage_of(thread: &str, function: &str) -> &'static str {
    let fits = |(thread_is, function_has, _): &&(&str, &str, &str)| {
        thread.starts_with(thread_is) && function.contains(function_has)
    };
    STAGES.iter().find(fits).map_or("", |(_, _, stage)| stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_stage() {
        assert_eq!(stage_of("boom-encoder", "[.] ZSTD_compressBlock_fast"), "compression (zstd)");
        assert_eq!(stage_of("boom-encoder", "[.] logboom_boom::filter::map::GramMap::add_line"), "filter (grams)");
        assert_eq!(stage_of("writer", "[k] rep_movs_alternative"), "text log and tail: write(2)");
        assert_eq!(stage_of("anything", "[.] main"), "the rest: start, end, fsync");
    }
}

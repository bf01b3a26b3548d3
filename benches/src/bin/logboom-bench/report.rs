//! Renders the results into a page of the documentation.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use logboom_bench::results::{self, Machine, Result};

/// The benches in the order of the page; those of another program (the loggers') come after them.
pub const ORDER: [&str; 12] = [
    "capture",
    "stages",
    "size",
    "memory",
    "seal",
    "startup",
    "slowdown",
    "understood",
    "search",
    "tail",
    "follow",
    "containers",
];

/// Render the latest result of each bench as Markdown.
#[derive(clap::Args)]
pub struct Report {
    /// The day of the measurement, as the page shows it.
    #[arg(long)]
    date: String,
    /// Where to write the page; stdout if left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Report {
    pub fn run(&self, file: &Path) -> anyhow::Result<()> {
        let mut found = results::latest(file)?;
        found.sort_by_key(|result| place_of(&result.table.bench));
        let page = self.page(&found)?;
        match &self.out {
            Some(path) => fs::write(path, page).with_context(|| format!("cannot write {}", path.display())),
            None => io::stdout().write_all(page.as_bytes()).context("cannot print the page"),
        }
    }

    fn page(&self, found: &[Result]) -> anyhow::Result<String> {
        let machine = &found.first().context("there are no results yet")?.machine;
        ensure!(found.iter().all(|result| result.machine == *machine), "results of several machines in one file");
        let mut page = head(machine, &self.date);
        for Result { table, .. } in found {
            let cells = (&table.bench, &table.question, &table.method, table.markdown());
            write!(page, "\n## {}: {}\n\nMethod: {}.\n\n{}", cells.0, cells.1, cells.2, cells.3)?;
        }
        Ok(page)
    }
}

/// Where a table stands; several of one bench are named for it: `BENCH-WHAT`.
fn place_of(table: &str) -> usize {
    let bench = table.split('-').next();
    ORDER.iter().position(|other| Some(*other) == bench).unwrap_or(ORDER.len())
}

fn head(machine: &Machine, date: &str) -> String {
    let Machine { processor, cores, memory_mib, kernel, disk } = machine;
    format!(
        "# Benchmarks\n\n\
         `make bench` makes these figures anew: it builds logboom and the bench, generates the input (deterministic, seed 42, of \
         the shape that `benches/tests/generator.rs` pins), measures and renders this page. Compare ratios, not seconds: \
         virtual machines like this one vary by tens of percent.\n\n\
         Made on {date}: {cores} x {processor}, {memory_mib} MiB of memory, Linux {kernel}, {disk}.\n"
    )
}

//! The file of results: one table a line, and the machine it was made on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::table::Table;

/// A table and where it comes from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Result {
    /// The machine.
    pub machine: Machine,
    /// What was found there.
    pub table: Table,
}

/// What a figure depends on, beside the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many processors the benches may use.
    pub cores: usize,
    /// The memory in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The file system and device that was written to.
    pub disk: String,
}

impl Machine {
    /// This machine; `work` is where the benches write.
    pub fn this(work: &Path) -> Self {
        Self {
            processor: value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: value_of("/proc/meminfo", "MemTotal").and_then(|text| kib(&text)).unwrap_or(0) / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or("unknown".to_owned(), |text| text.trim().to_owned()),
            disk: mount_of(work).unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

fn kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn value_of(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The file system type and the device under `path`: of all mounts, the one that is deepest.
fn mount_of(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let under = mounts.lines().map(fields).filter(|mount| mount.len() > 2 && path.starts_with(&mount[1]));
    under.max_by_key(|mount| mount[1].len()).map(|mount| format!("{} on {}", mount[2], mount[0]))
}

/// Adds a table to the file of results.
pub fn append(file: &Path, machine: &Machine, table: &Table) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(&Result { machine: machine.clone(), table: table.clone() })?;
    line.push('\n');
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("cannot open {}", file.display()))?;
    Ok(file.write_all(line.as_bytes())?)
}

/// The latest table of each bench.
pub fn latest(file: &Path) -> anyhow::Result<Vec<Result>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut latest: Vec<Result> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let result: Result =
            serde_json::from_str(line).with_context(|| format!("{} line {}", file.display(), at + 1))?;
        latest.retain(|old| old.table.bench != result.table.bench);
        latest.push(result);
    }
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_result_of_each_bench_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results.jsonl");
        let machine = Machine::this(dir.path());
        for (bench, question) in [("a", "first"), ("b", "other"), ("a", "second")] {
            append(&file, &machine, &Table::new(bench, question, String::new(), &[])).unwrap();
        }
        let questions: Vec<_> = latest(&file).unwrap().into_iter().map(|result| result.table.question).collect();
        assert_eq!(questions, ["other", "second"]);
    }
}

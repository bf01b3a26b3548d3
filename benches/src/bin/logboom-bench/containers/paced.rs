//! How soon can another process read a line of a container that prints at a steady pace?

use anyhow::Context;
use logboom_bench::measure::median;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use super::engine::Docker;
use super::pipes::Pipes;
use super::reader::{Reader, Task};
use super::{Way, shown};
use crate::logboom::Logboom;

const WAYS: [Way; 4] = [
    ("json-file", Reader::Attach),
    ("json-file", Reader::File),
    ("json-file", Reader::Logboom),
    ("local", Reader::Logboom),
];
const PER_SECOND: u64 = 20_000;
const LAG_MS_MAX: f64 = 10.0;

/// Measures in rounds in which all take turns.
pub fn run(docker: &Docker, place: &Place, logboom: &Logboom, seconds: u64, rounds: usize) -> anyhow::Result<Table> {
    let mut tried = WAYS.map(|way| (way, Vec::new()));
    for round in 1..=rounds {
        for (way, turns) in &mut tried {
            let lags_ms = turn(*way, docker, place, logboom, PER_SECOND * seconds)
                .with_context(|| format!("{} in round {round}", shown(*way)))?;
            eprintln!("round {round}: {:28} lag {lags_ms:.2?} ms", shown(*way));
            turns.push(lags_ms);
        }
    }
    let method = format!(
        "one container that prints {PER_SECOND} lines a second, one by one, for {seconds} s; {rounds} rounds in which all take \
         turns, medians; from just before a line's write(2) until the reader has it, for `logboom docker` until another process \
         has read it in the text log"
    );
    let columns = ["log driver", "who reads", "p50 ms", "p99 ms", "slowest ms"];
    let mut table = Table::new("containers-paced", "How soon is a container's line read?", method, &columns);
    for (way, turns) in &tried {
        let lags = [0, 1, 2].map(|which| median(turns.iter().filter_map(|lags_ms| lags_ms.get(which).copied())));
        table.row([way.0.to_owned(), way.1.name().to_owned()].into_iter().chain(lags.map(figure)));
        table.promise(&format!("{}: p99", shown(*way)), lags[1], "ms", Bound::AtMost(LAG_MS_MAX));
    }
    Ok(table)
}

fn turn(way: Way, docker: &Docker, place: &Place, logboom: &Logboom, lines: u64) -> anyhow::Result<Vec<f64>> {
    let (shared, data) = (place.fresh("containers-shared")?, place.fresh("containers-data")?);
    rustix::fs::sync(); // what the one before left unwritten must not slow this one
    let pipes = Pipes::new(&shared)?;
    let arguments = [lines.to_string(), "--per-second".to_owned(), PER_SECOND.to_string()];
    let container = docker.create("logboom-bench", way.0, &shared, &arguments)?;
    let task = Task { logboom, data: &data, lines, lags: true };
    let mut reader = way.1.begin(&container, &task)?;
    let mut other = reader.text_logs()?.pop().map(|log| task.reader_of(&log)).transpose()?;
    let kept_open = pipes.go()?;
    pipes.printed()?;
    let seen = other.as_mut().unwrap_or(&mut reader).seen()?.context("a reader that says nothing")?;
    container.wait()?;
    reader.end(lines)?;
    other.map(|other| other.end(lines)).transpose()?;
    drop((kept_open, container));
    remove(&shared)?;
    Ok(seen.lags_ms)
}

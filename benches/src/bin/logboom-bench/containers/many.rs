//! What does it take to follow many containers?

use anyhow::Context;
use logboom_bench::measure::median;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use super::engine::{Container, Docker, LABEL, cpu_of};
use super::pipes::Pipes;
use super::reader::Task;
use crate::logboom::Logboom;

const CONTAINERS: usize = 50;
const PER_SECOND: u64 = 1_000;
const CORE_PERCENT_MAX: f64 = 20.0;

/// What was measured in one round.
struct Turn {
    lines_per_s: f64,
    core_percent: f64,
    engine_core_percent: f64,
    lag_ms: f64,
}

/// Measures so often.
pub fn run(docker: &Docker, place: &Place, logboom: &Logboom, seconds: u64, rounds: usize) -> anyhow::Result<Table> {
    let mut turns = Vec::new();
    for round in 1..=rounds {
        let turn = turn(docker, place, logboom, PER_SECOND * seconds).with_context(|| format!("round {round}"))?;
        eprintln!(
            "round {round}: {:.0} lines/s, logboom {:.1} %, dockerd {:.1} %, lag {:.1} ms",
            turn.lines_per_s, turn.core_percent, turn.engine_core_percent, turn.lag_ms
        );
        turns.push(turn);
    }
    let method = format!(
        "{CONTAINERS} containers (json-file) that print {PER_SECOND} lines a second each, one by one, for {seconds} s; {rounds} rounds, \
         medians; processor time from the first line until the last is in its text log"
    );
    let columns = ["lines there", "k lines/s", "logboom, % of a core", "dockerd, % of a core", "lag at the end, ms"];
    let question = "What does `logboom docker` take for many containers?";
    let mut table = Table::new("containers-many", question, method, &columns);
    let all = CONTAINERS as u64 * PER_SECOND * seconds;
    let middle = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure));
    let core_percent = middle(|turn| turn.core_percent);
    table.row([
        format!("{all} of {all}"),
        figure(middle(|turn| turn.lines_per_s) / 1e3),
        figure(core_percent),
        figure(middle(|turn| turn.engine_core_percent)),
        figure(middle(|turn| turn.lag_ms)),
    ]);
    table.promise("processor time of `logboom docker`", core_percent, "% of a core", Bound::AtMost(CORE_PERCENT_MAX));
    table.notes.push(
        "Every line of each container was counted, in order, in its text log, or there would be no figure.".into(),
    );
    Ok(table)
}

fn turn(docker: &Docker, place: &Place, logboom: &Logboom, lines: u64) -> anyhow::Result<Turn> {
    let (shared, data) = (place.fresh("containers-shared")?, place.fresh("containers-data")?);
    rustix::fs::sync(); // what the one before left unwritten must not slow this one
    let pipes = Pipes::new(&shared)?;
    let arguments = [lines.to_string(), "--per-second".to_owned(), PER_SECOND.to_string()];
    let create = |number| docker.create(&format!("logboom-bench-{number}"), "json-file", &shared, &arguments);
    let containers = (0..CONTAINERS).map(create).collect::<anyhow::Result<Vec<Container>>>()?;
    let task = Task { logboom, data: &data, lines, lags: false };
    let mut reader = task.logboom(&["--label", LABEL])?;
    containers.iter().try_for_each(Container::start)?;
    reader.wait_until_ready(CONTAINERS)?;

    let (logboom_pid, engine_before) = (reader.pid()?, docker.cpu()?);
    let before = cpu_of(logboom_pid)?;
    let kept_open = pipes.go()?;
    let printed = containers.iter().map(|_| pipes.printed()).collect::<anyhow::Result<Vec<_>>>()?;
    let written_ns = reader.written_ns(lines)?;
    let (cpu, engine_cpu) = (cpu_of(logboom_pid)? - before, docker.cpu()? - engine_before);

    containers.iter().try_for_each(Container::wait)?;
    reader.end(lines)?;
    drop((kept_open, containers));
    remove(&shared)?;
    let begun_ns = printed.iter().map(|printed| printed.begun_ns).min().context("no containers")?;
    let ended_ns = printed.iter().map(|printed| printed.ended_ns).max().context("no containers")?;
    let seconds = (written_ns - begun_ns) as f64 / 1e9;
    Ok(Turn {
        lines_per_s: (CONTAINERS as u64 * lines) as f64 * 1e9 / (ended_ns - begun_ns) as f64,
        core_percent: cpu.as_secs_f64() / seconds * 100.0,
        engine_core_percent: engine_cpu.as_secs_f64() / seconds * 100.0,
        lag_ms: written_ns.saturating_sub(ended_ns) as f64 / 1e6,
    })
}

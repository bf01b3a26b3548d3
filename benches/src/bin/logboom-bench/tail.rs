//! How long does it take to see the end of a session, and the list of all sessions?

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use logboom_bench::measure::{self, median};
use logboom_bench::place::{Place, count_lines, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::{Logboom, text_logs};
use crate::produce::steps_per_us;

/// Measure `tail -n 100` of a large session, sealed and live, and `sessions`.
#[derive(clap::Args)]
pub struct Tail {
    /// How many lines the session has.
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
    /// How many sessions are listed.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// How often each is done.
    #[arg(long, default_value_t = 51)]
    rounds: usize,
}

/// How many lines a command that prints on prints, at most.
const PRINTED_PER_S: u64 = 20_000;
const CAPTURED_WITHIN: Duration = Duration::from_secs(120);

impl Tail {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let method = format!("whole processes, page cache warm, medians of {}", self.rounds);
        let mut table = Table::new("tail", "How long until the end is seen?", method, &["", "ms"]);
        let input = place.text(self.lines)?;

        let sealed = self.tail(&logboom, &logboom.session_of(&input, place)?)?;
        add(&mut table, format!("`tail -n 100` of {} lines, sealed", self.lines), sealed, 10.0);
        let idle = self.live(&logboom, &input, place, "read answer")?;
        add(&mut table, format!("`tail -n 100` of {} lines, live, idle", self.lines), idle, 10.0);
        let prints_on = "\"$2\" produce work 1000000000000 \"$3\" & read answer; kill $!";
        let busy = self.live(&logboom, &input, place, prints_on)?;
        let name = format!("`tail -n 100` of {} lines, live, {PRINTED_PER_S} more printed a second", self.lines);
        add(&mut table, name, busy, 10.0);
        let dir = logboom.sessions(self.sessions, place)?;
        let list = self.list(&logboom, &dir)?;
        add(&mut table, format!("`sessions` of {}", self.sessions), list, 200.0);
        Ok(table)
    }

    fn tail(&self, logboom: &Logboom, dir: &Path) -> anyhow::Result<f64> {
        let printed = logboom.output("tail", dir, &["-n", "100"])?;
        let lines = printed.iter().filter(|byte| **byte == b'\n').count();
        ensure!(lines == 100, "tail -n 100 printed {lines} lines");
        self.milliseconds(|| with(logboom.command("tail", dir), &["-n", "100"]))
    }

    /// Measures while the command has printed everything and has not ended: it does `then` until it reads from its stdin.
    fn live(&self, logboom: &Logboom, input: &Path, place: &Place, then: &str) -> anyhow::Result<f64> {
        let dir = place.fresh("tail-live")?;
        let mut run = logboom.run(&dir);
        let steps = (steps_per_us() * 1e6 / PRINTED_PER_S as f64) as u64;
        run.args(["sh", "-c", &format!("cat \"$1\"; {then}"), "sh"]).arg(input);
        run.arg(std::env::current_exe()?).arg(steps.to_string());
        let mut run = run.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut stdin = run.stdin.take().context("the run has no stdin")?;
        let measured = self.when_captured(&dir).and_then(|()| self.tail(logboom, &dir));
        stdin.write_all(b"end\n")?;
        drop(stdin);
        ensure!(run.wait()?.success(), "the live run failed");
        remove(&dir)?;
        measured
    }

    fn when_captured(&self, dir: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + CAPTURED_WITHIN;
        loop {
            let log = if dir.join("sessions").exists() { text_logs(dir)?.pop() } else { None };
            if log.map_or(Ok(0), |log| count_lines(&log))? >= self.lines {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the text log in {} stays incomplete", dir.display());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn list(&self, logboom: &Logboom, dir: &Path) -> anyhow::Result<f64> {
        let there = fs::read_dir(dir.join("sessions"))?.count();
        let all = there.to_string();
        let printed = logboom.output("sessions", dir, &["--json", "-n", &all])?;
        let lines = printed.iter().filter(|byte| **byte == b'\n').count();
        ensure!(lines == there, "sessions printed {lines} of {there} sessions");
        self.milliseconds(|| with(logboom.command("sessions", dir), &["-n", &all]))
    }

    fn milliseconds(&self, command: impl Fn() -> Command) -> anyhow::Result<f64> {
        let times: anyhow::Result<Vec<f64>> = (0..=self.rounds)
            .map(|_| Ok(measure::run(command().stdout(Stdio::null()))?.wall.as_secs_f64() * 1e3))
            .collect();
        Ok(median(times?.into_iter().skip(1)))
    }
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn add(table: &mut Table, name: String, milliseconds: f64, bound: f64) {
    table.promise(&name, milliseconds, "ms", Bound::AtMost(bound));
    table.row([name, figure(milliseconds)]);
}

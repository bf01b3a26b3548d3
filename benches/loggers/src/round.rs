//! The rounds in which all loggers take turns, task by task.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use logboom_bench::place::{Place, remove};

use crate::found::Found;
use crate::rival::{self, Rival};
use crate::task::{Figures, Task, lost};

/// A process that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is measured, and how often.
#[derive(clap::Args)]
pub struct Rounds {
    /// How often each takes its turn.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Only these loggers, by the names in the tables.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Calls at 200,000 a second.
    #[arg(long, default_value_t = 200_000)]
    pub paced_lines: u64,
    /// Calls at 100 a second.
    #[arg(long, default_value_t = 150)]
    pub slow_lines: u64,
    /// Lines without a pause, by all threads together.
    #[arg(long, default_value_t = 500_000)]
    pub throughput_lines: u64,
    /// Lines before a process ends in one way or another.
    #[arg(long, default_value_t = 20_000)]
    pub end_lines: u64,
}

/// One task, and under which name its figures are kept.
struct Step {
    name: &'static str,
    task: Task,
    lines: u64,
    threads: u64,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Findings {
    figures: BTreeMap<(&'static str, String), Vec<f64>>,
    /// What went wrong, and with whom.
    pub failures: BTreeSet<String>,
}

impl Findings {
    /// The figures of a logger, one for each round that had one.
    pub fn of(&self, rival: &'static str, key: &str) -> &[f64] {
        self.figures.get(&(rival, key.to_owned())).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, rival: &'static str, step: &Step, found: anyhow::Result<Figures>) {
        match found {
            Ok(figures) => {
                if let Some(again) = figures.get("again").filter(|again| **again > 0.0) {
                    self.failures
                        .insert(format!("{rival}, {}: {again} lines are in the file more than once", step.name));
                }
                for (name, figure) in figures {
                    self.figures.entry((rival, format!("{}.{name}", step.name))).or_default().push(figure);
                }
            }
            Err(error) => {
                self.failures.insert(format!("{rival}, {}: {error:#}", step.name));
            }
        }
    }
}

impl Rounds {
    /// Lets all take their turns.
    pub fn run(&self, place: &Place) -> anyhow::Result<Findings> {
        for name in &self.only {
            rival::named(name).with_context(|| format!("there is no logger named {name}"))?;
        }
        let mut findings = Findings::default();
        for round in 0..self.rounds {
            for step in self.steps() {
                eprintln!("round {} of {}: {}", round + 1, self.rounds, step.name);
                for rival in self.rivals() {
                    let dir = place.fresh("loggers")?;
                    findings.add(rival.name, &step, step.figures(rival, &dir));
                    remove(&dir)?;
                }
            }
        }
        Ok(findings)
    }

    /// Who takes part.
    pub fn rivals(&self) -> impl Iterator<Item = &'static Rival> {
        rival::all().filter(|rival| self.only.is_empty() || self.only.iter().any(|name| name == rival.name))
    }

    fn steps(&self) -> [Step; 11] {
        let step = |name, task, lines, threads| Step { name, task, lines, threads };
        [
            step("paced", Task::Paced, self.paced_lines, 1),
            step("slow", Task::Slow, self.slow_lines, 1),
            step("threads1", Task::Throughput, self.throughput_lines, 1),
            step("threads2", Task::Throughput, self.throughput_lines, 2),
            step("threads4", Task::Throughput, self.throughput_lines, 4),
            step("idle", Task::Idle, 1_000, 1),
            step("end", Task::End, self.end_lines, 1),
            step("exit", Task::Exit, self.end_lines, 1),
            step("panic", Task::Panic, self.end_lines, 1),
            step("abort", Task::Abort, self.end_lines, 1),
            step("kill", Task::Kill, self.end_lines, 1),
        ]
    }
}

impl Step {
    /// Starts the process, waits for its end and takes its figures; what it has lost is counted after its end.
    fn figures(&self, rival: &Rival, dir: &Path) -> anyhow::Result<Figures> {
        let log = dir.join("log");
        fs::create_dir(&log)?;
        self.run(self.task, rival, dir, &log)?;
        if matches!(self.task, Task::Paced | Task::Slow | Task::Throughput | Task::Idle) {
            let said = fs::read_to_string(dir.join("stdout"))?;
            return Ok(serde_json::from_str(said.lines().last().context("no figures came")?)?);
        }
        if rival.recovers && self.task != Task::End {
            self.run(Task::Recover, rival, dir, &log)?;
        }
        Ok(lost(&Found::in_dir(&log, self.threads, self.lines)?, self.lines))
    }

    fn run(&self, task: Task, rival: &Rival, dir: &Path, log: &Path) -> anyhow::Result<()> {
        let value = clap::ValueEnum::to_possible_value(&task).context("a task has a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["child", "--rival", rival.name, "--task", value.get_name(), "--dir"]).arg(log);
        command.args(["--lines", &self.lines.to_string(), "--threads", &self.threads.to_string()]);
        command.env("RUST_BACKTRACE", "0"); // to make one would give the logger of a panicking process time to write
        command
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("stdout"))?)
            .stderr(File::create(dir.join("stderr"))?);
        let status = ended(&mut command)?;
        let said = || fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        ensure!(task.ends_so(status), "{status}: {}", said().lines().next().unwrap_or_default());
        Ok(())
    }
}

/// Waits for the end of a process, and kills it if that does not come.
fn ended(command: &mut Command) -> anyhow::Result<ExitStatus> {
    let mut child = command.spawn().context("cannot start a copy of the bench")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("had not ended after {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

//! What one process does with one logger: it is started anew for each rival, task and round.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{self, ExitStatus};

use anyhow::Context;
use rustix::process::{Signal, getpid, kill_process};

use crate::found::Found;
use crate::line::Line;
use crate::rival::{Logger, Rival, named};
use crate::{idle, paced, slow, throughput};

/// Figures by name; one that could not be had is absent.
pub type Figures = BTreeMap<String, f64>;

/// Log in a process of its own and print the figures as JSON.
#[derive(clap::Args)]
pub struct Child {
    /// Whose logger.
    #[arg(long)]
    pub rival: String,
    /// What to do.
    #[arg(long, value_enum)]
    pub task: Task,
    /// An empty directory for the log.
    #[arg(long)]
    pub dir: PathBuf,
    /// How many lines to log.
    #[arg(long)]
    pub lines: u64,
    /// By how many threads.
    #[arg(long, default_value_t = 1)]
    pub threads: u64,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    /// Call 200,000 times a second.
    Paced,
    /// Call 100 times a second, and watch the file.
    Slow,
    /// Call without a pause.
    Throughput,
    /// Call, then do nothing.
    Idle,
    /// Call, then end as the logger's manual says.
    End,
    /// Call, then `process::exit(0)`.
    Exit,
    /// Call, then panic.
    Panic,
    /// Call, then `abort()`.
    Abort,
    /// Call, then kill -9.
    Kill,
    /// Start, log nothing and end: what recovers the log of a killed process.
    Recover,
}

impl Task {
    /// Whether a process that did this ends so.
    pub fn ends_so(self, status: ExitStatus) -> bool {
        const PANICKED: i32 = 101;
        match self {
            Task::Panic => status.code() == Some(PANICKED),
            Task::Abort => status.signal() == Some(Signal::ABORT.as_raw()),
            Task::Kill => status.signal() == Some(Signal::KILL.as_raw()),
            _ => status.success(),
        }
    }
}

impl Child {
    /// Does what there is to do.
    pub fn run(&self) -> anyhow::Result<()> {
        let rival = named(&self.rival).with_context(|| format!("there is no logger named {}", self.rival))?;
        let figures = match self.task {
            Task::Paced => paced::run(rival, self)?,
            Task::Throughput => throughput::run(rival, self)?,
            Task::Slow => slow::run(rival, self)?,
            Task::Idle => idle::run(rival, self)?,
            Task::Recover => finished((rival.start)(&self.dir)?),
            _ => self.end(rival)?,
        };
        println!("{}", serde_json::to_string(&figures)?);
        Ok(())
    }

    /// How many lines each thread logs.
    pub fn lines_each(&self) -> u64 {
        self.lines / self.threads
    }

    /// Figures of the lines that are not in the file, or not just once.
    pub fn lost(&self) -> anyhow::Result<Figures> {
        Ok(lost(&Found::in_dir(&self.dir, self.threads, self.lines_each())?, self.lines_each() * self.threads))
    }

    #[allow(clippy::panic)] // what a logger loses by a panic is what is asked here
    fn end(&self, rival: &Rival) -> anyhow::Result<Figures> {
        let logger = (rival.start)(&self.dir)?;
        (0..self.lines).for_each(|index| (logger.log)(&line(rival, 0, index)));
        match self.task {
            Task::Exit => process::exit(0),
            Task::Abort => process::abort(),
            Task::Kill => kill_process(getpid(), Signal::KILL)?,
            Task::Panic => panic!("as the bench was told"),
            _ => {}
        }
        Ok(finished(logger))
    }
}

/// A line as `rival` wants it.
pub fn line(rival: &Rival, thread: u64, index: u64) -> Line<'static> {
    let mut line = Line::at(thread, index);
    if rival.ready {
        line.ready = line.to_string();
    }
    line
}

/// Figures of what was found of so many lines.
pub fn lost(found: &Found, logged: u64) -> Figures {
    named_figures([("lost", (logged - found.lines) as f64), ("again", found.again as f64)])
}

/// Figures with their names.
pub fn named_figures<const COUNT: usize>(figures: [(&str, f64); COUNT]) -> Figures {
    figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect()
}

fn finished(logger: Logger) -> Figures {
    logger.finish();
    Figures::new()
}

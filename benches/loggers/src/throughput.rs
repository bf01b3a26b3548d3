//! How many lines a second get into the file, and what does that cost?
//!
//! The time is from the first call until the logger has ended and the last line is in the file. Processor time is that of the
//! whole process: of the threads that log and of the logger's.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::found::Follower;
use crate::process::{cpu, peak_mib};
use crate::rival::{Logger, Rival};
use crate::task::{Child, Figures, line, named_figures};

const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(rival: &Rival, child: &Child) -> anyhow::Result<Figures> {
    let (before, bare_mib) = (cpu(), peak_mib()?);
    let logger = (rival.start)(&child.dir)?;
    let started = log(rival, &logger, child.threads, child.lines_each());
    logger.finish();
    let (ended, cost, mib) = (Instant::now(), cpu() - before, peak_mib()?);
    let lines = child.lines_each() * child.threads;
    let ended = late_end(&child.dir, lines)?.unwrap_or(ended);
    let mut figures = named_figures([
        ("m_lines_per_s", lines as f64 / 1e6 / (ended - started).as_secs_f64()),
        ("cpu_s_per_m", cost.as_secs_f64() / (lines as f64 / 1e6)),
        ("peak_mib", mib),
        ("growth_mib", mib - bare_mib),
    ]);
    figures.extend(child.lost()?);
    Ok(figures)
}

/// All threads begin at once; returns when.
fn log(rival: &Rival, logger: &Logger, threads: u64, lines: u64) -> Instant {
    let barrier = Barrier::new(threads as usize + 1);
    thread::scope(|scope| {
        for thread in 0..threads {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                (0..lines).for_each(|index| (logger.log)(&line(rival, thread, index)));
            });
        }
        let started = Instant::now();
        barrier.wait();
        started
    })
}

/// When the last line came, if some were not there yet when the logger said that it had ended.
fn late_end(dir: &Path, lines: u64) -> anyhow::Result<Option<Instant>> {
    let mut follower = Follower::new(dir);
    let (mut came, mut last) = (follower.new_lines()?, None);
    let deadline = Instant::now() + PATIENCE;
    while came < lines && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
        let new = follower.new_lines()?;
        if new > 0 {
            (came, last) = (came + new, Some(Instant::now()));
        }
    }
    Ok(last)
}

//! How long does a call take, and how long until its line is in the file, when one thread calls 100 times a second?
//!
//! After each call the thread looks for the line, first every 20 microseconds, then every eighth of the time that has passed;
//! when it is there the thread sleeps until the next call.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use logboom_bench::measure::{median, quantile};

use crate::clock::Clock;
use crate::found::Follower;
use crate::rival::Rival;
use crate::task::{Child, Figures, line, named_figures};

const DISTANCE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(3);
const LOOKS_MIN: Duration = Duration::from_micros(20);
const LOOKS_MAX: Duration = Duration::from_millis(2);

pub fn run(rival: &Rival, child: &Child) -> anyhow::Result<Figures> {
    let (logger, clock) = ((rival.start)(&child.dir)?, Clock::calibrated());
    let mut watch = Watch { follower: Follower::new(&child.dir), calls: VecDeque::new(), delays_ms: Vec::new() };
    watch.follower.new_lines()?; // what a logger writes at its start
    let (mut calls, started) = (Vec::new(), Instant::now());
    for index in 0..child.lines {
        watch.until(started + DISTANCE * index as u32)?;
        let line = line(rival, 0, index);
        let before = clock.before();
        (logger.log)(&line);
        let ticks = clock.after() - before;
        watch.calls.push_back(Instant::now());
        calls.push(clock.ns(ticks.saturating_sub(clock.overhead)));
    }
    watch.until_all(Instant::now() + PATIENCE)?;
    logger.finish();
    let mut figures = named_figures([("call_p50_ns", median(calls))]);
    figures.extend(watch.figures(child.lines));
    Ok(figures)
}

/// Calls whose lines are not in the file yet, and how long it took for the others.
struct Watch {
    follower: Follower,
    calls: VecDeque<Instant>,
    delays_ms: Vec<f64>,
}

impl Watch {
    /// Watches until `due`, and sleeps when there is nothing to watch for.
    fn until(&mut self, due: Instant) -> anyhow::Result<()> {
        self.until_all(due)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Watches until all lines are there, or until `due`.
    fn until_all(&mut self, due: Instant) -> anyhow::Result<()> {
        while let Some(newest) = self.calls.back() {
            let now = Instant::now();
            let pause = (now.duration_since(*newest) / 8).clamp(LOOKS_MIN, LOOKS_MAX);
            if now >= due {
                break;
            }
            thread::sleep(pause.min(due - now));
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let new = self.follower.new_lines()? as usize;
        let calls = self.calls.drain(..new.min(self.calls.len()));
        self.delays_ms.extend(calls.map(|call| call.elapsed().as_secs_f64() * 1e3));
        Ok(())
    }

    /// The figures, but for those that depend on a line that never came.
    fn figures(&self, lines: u64) -> Figures {
        let came = self.delays_ms.len() as u64;
        let all = named_figures([("seen_p50_ms", median(self.delays_ms.iter().copied()))]);
        match came {
            _ if came == lines => {
                all.into_iter().chain(named_figures([("seen_max_ms", quantile(&self.delays_ms, 1.0))])).collect()
            }
            _ if came * 2 > lines => all,
            _ => Figures::new(),
        }
    }
}

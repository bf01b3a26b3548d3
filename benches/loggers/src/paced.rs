//! How long does a call take, when one thread calls 200,000 times a second?
//!
//! The thread waits for the next call's time in a loop, without sleeping. A call that comes late does not make the next ones
//! hurry: they follow at the usual distance.

use std::hint;

use crate::clock::Clock;
use crate::rival::{Logger, Rival};
use crate::task::{Child, Figures, line, named_figures};

const CALLS_PER_SECOND: u64 = 200_000;

pub fn run(rival: &Rival, child: &Child) -> anyhow::Result<Figures> {
    let (logger, clock) = ((rival.start)(&child.dir)?, Clock::calibrated());
    let mut ticks = calls(rival, &logger, &clock, child.lines);
    logger.finish();
    ticks.sort_unstable();
    let at = |share: f64| clock.ns(ticks[((ticks.len() as f64 * share) as usize).min(ticks.len() - 1)]);
    let mut figures = named_figures([
        ("p50_ns", at(0.5)),
        ("p99_ns", at(0.99)),
        ("p999_ns", at(0.999)),
        ("max_us", at(1.0) / 1e3),
        ("overhead_ns", clock.ns(clock.overhead)),
    ]);
    figures.extend(child.lost()?);
    Ok(figures)
}

fn calls(rival: &Rival, logger: &Logger, clock: &Clock, lines: u64) -> Vec<u64> {
    let distance = clock.ticks_at(CALLS_PER_SECOND);
    let mut ticks = vec![u64::MAX; lines as usize]; // written to now, so that no page of it is new in the loop
    let mut due = clock.after() + distance;
    for (index, ticks) in ticks.iter_mut().enumerate() {
        let line = line(rival, 0, index as u64);
        while clock.after() < due {
            hint::spin_loop();
        }
        let before = clock.before();
        (logger.log)(&line);
        let after = clock.after();
        *ticks = (after - before).saturating_sub(clock.overhead);
        due = before + distance;
    }
    ticks
}

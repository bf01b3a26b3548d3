//! How often are a logger's threads woken, when nobody logs?

use std::thread;
use std::time::Duration;

use crate::process::sleeps_of_others;
use crate::rival::Rival;
use crate::task::{Child, Figures, line, named_figures};

/// After this a logger has written what there was, and synced it, if it does so every second.
const SETTLING: Duration = Duration::from_millis(1_500);
const SECONDS: u64 = 2;

pub fn run(rival: &Rival, child: &Child) -> anyhow::Result<Figures> {
    let logger = (rival.start)(&child.dir)?;
    (0..child.lines).for_each(|index| (logger.log)(&line(rival, 0, index)));
    thread::sleep(SETTLING);
    let before = sleeps_of_others()?;
    thread::sleep(Duration::from_secs(SECONDS));
    let woken = sleeps_of_others()? - before;
    logger.finish();
    Ok(named_figures([("wakeups_per_s", woken as f64 / SECONDS as f64)]))
}

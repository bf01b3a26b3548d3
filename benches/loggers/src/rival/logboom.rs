//! logboom, called in its three ways: through the `log` crate, by its own macro, with ready text.
//!
//! The log of a killed process is completed by the next collector in the same directory, so these have `recovers` set.

use std::path::Path;

use log::LevelFilter;
use logboom::LogCollector;

use super::facade::by_facade;
use super::{Logger, Rival};

/// The three, with the names that `tables::promises` knows.
pub const RIVALS: [Rival; 3] = [
    Rival { name: "logboom log::info!", start: facade, ready: false, recovers: true },
    Rival { name: "logboom info!", start: own_macro, ready: false, recovers: true },
    Rival { name: "logboom log_str", start: log_str, ready: true, recovers: true },
];

fn facade(dir: &Path) -> anyhow::Result<Logger> {
    let collector = collector(dir)?;
    collector.init_global_logger(LevelFilter::Info)?;
    Ok(Logger { log: Box::new(by_facade), end: flushed(collector) })
}

fn own_macro(dir: &Path) -> anyhow::Result<Logger> {
    let collector = collector(dir)?;
    let end = flushed(collector.clone());
    Ok(Logger {
        log: Box::new(move |line| {
            logboom::info!(
                collector,
                "job {} task {} request completed status={} in {}us path={}",
                line.job,
                line.task,
                line.status,
                line.us,
                line.path
            );
        }),
        end,
    })
}

fn log_str(dir: &Path) -> anyhow::Result<Logger> {
    let collector = collector(dir)?;
    let end = flushed(collector.clone());
    Ok(Logger { log: Box::new(move |line| collector.log_str(&line.ready)), end })
}

fn collector(dir: &Path) -> anyhow::Result<LogCollector> {
    Ok(LogCollector::builder(dir).build()?)
}

fn flushed(collector: LogCollector) -> Box<dyn FnOnce() + Send + Sync> {
    Box::new(move || {
        let _ = collector.flush(); // what it could not keep is missed at the count
    })
}

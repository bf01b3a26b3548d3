//! logboom, called in its three ways: through the `log` crate, by its own macro, with ready text.
//!
//! The log of a killed process is completed by the next collector in the same directory, so these have `recovers` set.

use std::path::Path;

use log::LevelFilter;
use logboom::LogCollector;

use super::facade::by_facade;
use super::{Logger, Rival};

/// The three, with the names that `tables::promises` knows, writing text alone as all rivals do; then with a boom file, too.
pub static RIVALS: [Rival; 5] = [
    Rival { name: "logboom log::info!", start: |dir| facade(text_only(dir)?), ready: false, recovers: true },
    Rival { name: "logboom info!", start: |dir| own_macro(text_only(dir)?), ready: false, recovers: true },
    Rival { name: "logboom log_str", start: |dir| log_str(text_only(dir)?), ready: true, recovers: true },
    Rival { name: "logboom log::info!, boom", start: |dir| facade(with_boom(dir)?), ready: false, recovers: true },
    Rival { name: "logboom info!, boom", start: |dir| own_macro(with_boom(dir)?), ready: false, recovers: true },
];

fn facade(collector: LogCollector) -> anyhow::Result<Logger> {
    collector.init_global_logger(LevelFilter::Info)?;
    Ok(Logger { log: Box::new(by_facade), end: flushed(collector) })
}

fn own_macro(collector: LogCollector) -> anyhow::Result<Logger> {
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

fn log_str(collector: LogCollector) -> anyhow::Result<Logger> {
    let end = flushed(collector.clone());
    Ok(Logger { log: Box::new(move |line| collector.log_str(&line.ready)), end })
}

fn text_only(dir: &Path) -> anyhow::Result<LogCollector> {
    Ok(LogCollector::builder(dir).text_only().build()?)
}

fn with_boom(dir: &Path) -> anyhow::Result<LogCollector> {
    Ok(LogCollector::builder(dir).build()?)
}

/// Ends as the others do: with all lines in the file, not with an fsync.
fn flushed(collector: LogCollector) -> Box<dyn FnOnce() + Send + Sync> {
    std::mem::forget(collector.clone()); // or it would sync at its end
    Box::new(move || {
        let _ = collector.last_lines(0); // what it could not keep is missed at the count
    })
}

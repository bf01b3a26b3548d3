//! ticklog, whose set-up defines macros that its calls look for: they are made at the root of the crate, where calls in a module
//! do not find them, and stand here once more.
#![allow(missing_docs)] // of the macros at the root

use std::path::Path;

use ::ticklog::{Backpressure, FileSink, Level};

use super::Logger;

macro_rules! __ticklog_max_level {
    () => {
        Level::Info
    };
}
macro_rules! __ticklog_backpressure {
    () => {
        Backpressure::Block
    };
}

pub fn start(dir: &Path) -> anyhow::Result<Logger> {
    let guard = ::ticklog::configure! {
        sink: FileSink::new(dir.join("lines.log"))?,
        max_level: Level::Info,
        backpressure: Backpressure::Block,
    }?;
    Ok(Logger {
        log: Box::new(|line| {
            ::ticklog::info!(
                "job {} task {} request completed status={} in {}us path={}",
                line.job,
                line.task,
                line.status,
                line.us,
                line.path
            );
        }),
        end: Box::new(move || drop(guard)),
    })
}

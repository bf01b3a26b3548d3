//! Loggers whose macros take the arguments and format them in a thread of their own.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use ::inqjet::{ColorMode, InqJetBuilder, LevelFilter};
use anyhow::Context;
use low_latency_log::RollingCondition;

use super::Logger;

pub fn inqjet(dir: &Path) -> anyhow::Result<Logger> {
    let guard = InqJetBuilder::default()
        .with_writer(BufWriter::new(File::create(dir.join("lines.log"))?))
        .with_log_level(LevelFilter::Info)
        .with_color_mode(ColorMode::Never)
        .with_buffer_size(1 << 20)
        .build()?;
    Ok(Logger {
        log: Box::new(|line| {
            ::inqjet::info!(
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

pub fn low_latency(dir: &Path) -> anyhow::Result<Logger> {
    let dir = dir.to_str().context("low_latency_log takes a path as text")?.to_owned();
    let guard = low_latency_log::Logger::new(RollingCondition::new(), dir, "lines.log".to_owned()).init()?;
    Ok(Logger {
        log: Box::new(|line| {
            let (job, task, status, us, path) = (line.job, line.task, line.status, line.us, line.path.to_owned());
            low_latency_log::info!(
                "job {} task {} request completed status={} in {}us path={}",
                job,
                task,
                status,
                us,
                path
            );
        }),
        end: Box::new(move || drop(guard)),
    })
}

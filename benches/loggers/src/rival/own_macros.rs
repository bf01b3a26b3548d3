//! Loggers with macros of their own that format at the call.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::slog::Drain;
use ::spdlog::sink::{AsyncPoolSink, FileSink};
use ::spdlog::{Logger as Spdlog, ThreadPool};
use ::tracing::level_filters::LevelFilter;
use anyhow::anyhow;
use slog_async::OverflowStrategy;
use tracing_appender::non_blocking::NonBlockingBuilder;

use super::Logger;

pub fn tracing(dir: &Path) -> anyhow::Result<Logger> {
    let file = File::create(dir.join("lines.log"))?;
    let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(file);
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        .with_writer(writer)
        .try_init()
        .map_err(|error| anyhow!("tracing: {error}"))?;
    Ok(Logger {
        log: Box::new(|line| {
            ::tracing::info!(
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

pub fn spdlog(dir: &Path) -> anyhow::Result<Logger> {
    let pool = ThreadPool::builder().build_arc()?;
    let file = FileSink::builder().path(dir.join("lines.log")).build_arc()?;
    let sink = AsyncPoolSink::builder().sink(file).thread_pool(Arc::clone(&pool)).build_arc()?;
    let logger = Spdlog::builder().sink(sink).build_arc()?;
    Ok(Logger {
        log: Box::new(move |line| {
            ::spdlog::info!(
                logger: logger,
                "job {} task {} request completed status={} in {}us path={}",
                line.job,
                line.task,
                line.status,
                line.us,
                line.path
            );
        }),
        end: Box::new(move || drop(pool)), // the last one joins its thread
    })
}

pub fn slog(dir: &Path) -> anyhow::Result<Logger> {
    let decorator = slog_term::PlainDecorator::new(File::create(dir.join("lines.log"))?);
    let drain = slog_term::FullFormat::new(decorator).build().fuse();
    let drain = slog_async::Async::new(drain).overflow_strategy(OverflowStrategy::Block);
    let (drain, guard) = drain.build_with_guard();
    let logger = ::slog::Logger::root(drain.fuse(), ::slog::o!());
    Ok(Logger {
        log: Box::new(move |line| {
            ::slog::info!(
                logger,
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

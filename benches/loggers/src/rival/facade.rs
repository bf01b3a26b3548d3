//! Loggers behind the `log` crate.

use std::path::Path;

use anyhow::{Context, anyhow};
use ftlog::appender::FileAppender;
use log::LevelFilter;
use log4rs::append::file::FileAppender as Log4rsFile;
use log4rs::config::{Appender, Config, Root};
use log4rs::encode::pattern::PatternEncoder;
use logforth::append::asynchronous::AsyncBuilder;
use logforth::append::file::FileBuilder;
use logforth::layout::TextLayout;

use super::Logger;
use crate::line::Line;

/// One call, the same for all of them.
pub fn by_facade(line: &Line) {
    log::info!(
        "job {} task {} request completed status={} in {}us path={}",
        line.job,
        line.task,
        line.status,
        line.us,
        line.path
    );
}

/// A logger that is ended by a flush.
fn flushed() -> Logger {
    Logger { log: Box::new(by_facade), end: Box::new(|| log::logger().flush()) }
}

/// A logger that is ended by dropping its guard.
fn guarded(guard: impl Send + Sync + 'static) -> Logger {
    Logger { log: Box::new(by_facade), end: Box::new(move || drop(guard)) }
}

pub fn flexi(dir: &Path) -> anyhow::Result<Logger> {
    let file = flexi_logger::FileSpec::default().directory(dir).basename("lines").suppress_timestamp().suffix("log");
    let handle = flexi_logger::Logger::with(flexi_logger::LogSpecification::info())
        .log_to_file(file)
        .format(flexi_logger::opt_format)
        .write_mode(flexi_logger::WriteMode::Async)
        .start()?;
    Ok(Logger { log: Box::new(by_facade), end: Box::new(move || handle.shutdown()) })
}

pub fn ftlog(dir: &Path) -> anyhow::Result<Logger> {
    let guard = ftlog::builder()
        .max_log_level(LevelFilter::Info)
        .bounded(100_000, true)
        .root(FileAppender::new(dir.join("lines.log")))
        .utc()
        .try_init()
        .map_err(|error| anyhow!("ftlog: {error}"))?;
    Ok(guarded(guard))
}

pub fn fast(dir: &Path) -> anyhow::Result<Logger> {
    let path = dir.join("lines.log");
    let path = path.to_str().context("fast_log takes a path as text")?;
    fast_log::init(fast_log::Config::new().level(LevelFilter::Info).file(path).chan_len(Some(100_000)))?;
    Ok(flushed())
}

pub fn log4rs(dir: &Path) -> anyhow::Result<Logger> {
    let encoder = PatternEncoder::new("{d(%Y-%m-%dT%H:%M:%S%.6f)} {l} {m}{n}");
    let file = Log4rsFile::builder().encoder(Box::new(encoder)).build(dir.join("lines.log"))?;
    let config = Config::builder().appender(Appender::builder().build("file", Box::new(file)));
    log4rs::init_config(config.build(Root::builder().appender("file").build(LevelFilter::Info))?)?;
    Ok(flushed())
}

pub fn logforth(dir: &Path) -> anyhow::Result<Logger> {
    let layout = TextLayout::default().no_color();
    let file = FileBuilder::new(dir, "lines").filename_suffix("log").layout(layout).build()?;
    let append = AsyncBuilder::new("logforth").append(file).build();
    logforth::starter_log::builder().dispatch(|dispatch| dispatch.append(append)).apply();
    log::set_max_level(LevelFilter::Info);
    Ok(flushed())
}

pub fn fern(dir: &Path) -> anyhow::Result<Logger> {
    fern::Dispatch::new()
        .format(|out, message, record| {
            out.finish(format_args!("{:.6} {} {message}", jiff::Timestamp::now(), record.level()));
        })
        .level(LevelFilter::Info)
        .chain(fern::log_file(dir.join("lines.log"))?)
        .apply()?;
    Ok(flushed())
}

//! Who is compared: loggers of programs that write to a file, each line with a time stamp and its level.
//!
//! Each is set up as its own manual advises, with one file that is never rotated, and where it can be told to lose nothing it
//! is. `log` takes one logger a process, so a process sets up only one of them.

mod base;
mod deferred;
mod facade;
mod logboom;
mod own_macros;
mod ticklog;

use std::path::Path;

use crate::line::Line;

/// A way to log.
pub struct Rival {
    /// What the tables call it.
    pub name: &'static str,
    /// Sets it up in this process; its log goes to a file in the directory, with `.log` in its name.
    pub start: fn(&Path) -> anyhow::Result<Logger>,
    /// Whether it takes ready text only: `Line::ready` is then filled in before the call.
    pub ready: bool,
    /// Whether its next start completes what a killed process has left.
    pub recovers: bool,
}

/// A logger at work.
pub struct Logger {
    /// One call.
    pub log: Box<dyn Fn(&Line) + Send + Sync>,
    /// What the manual tells a program to do at its end, so that everything gets into the file.
    pub end: Box<dyn FnOnce() + Send + Sync>,
}

impl Logger {
    /// Lets go of the handle that logs, then ends.
    pub fn finish(self) {
        drop(self.log);
        (self.end)();
    }
}

/// Whom the others are compared with.
pub const BASE: &str = "base";

static OTHERS: [Rival; 13] = [
    rival(BASE, base::start),
    rival("tracing-appender", own_macros::tracing),
    rival("flexi_logger async", facade::flexi),
    rival("ftlog", facade::ftlog),
    rival("spdlog-rs", own_macros::spdlog),
    rival("fast_log", facade::fast),
    rival("log4rs", facade::log4rs),
    rival("logforth async", facade::logforth),
    rival("slog-async", own_macros::slog),
    rival("fern", facade::fern),
    rival("inqjet", deferred::inqjet),
    rival("ticklog", ticklog::start),
    rival("low_latency_log", deferred::low_latency),
];

/// Everybody, in the order in which they take their turns.
pub fn all() -> impl Iterator<Item = &'static Rival> {
    OTHERS.iter().chain(&logboom::RIVALS)
}

/// What the reader of the tables has to know of them.
pub const NOTES: [&str; 5] = [
    "base is an unbounded crossbeam channel, a thread and a BufWriter: time stamp and text are made at the call, and the thread \
     flushes whenever it finds the channel empty.",
    "fern and log4rs write in the call itself; all others have a thread for it. log4rs, fern, fast_log, ftlog, flexi_logger and \
     logforth are called by `log::info!`, the others by macros of their own, of which those of inqjet, ticklog and \
     low_latency_log format in their thread.",
    "tracing-appender, ftlog, slog-async and ticklog are told to block where by default they drop lines; inqjet gets a ring of \
     1 MiB, as it advises for bursts.",
    "low_latency_log's macro takes what it is given into a closure, so that the path has to be copied for it.",
    "logboom ends, as the others do, with all lines handed to the system, not with the fsync of its `flush`; it is timed \
     without a boom file but where the name says so.",
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Rival> {
    all().find(|rival| rival.name == name)
}

const fn rival(name: &'static str, start: fn(&Path) -> anyhow::Result<Logger>) -> Rival {
    Rival { name, start, ready: false, recovers: false }
}

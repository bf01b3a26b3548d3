//! The log of whoever starts and watches plugins.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use logboom_record::{Level, Time};

use super::{Clock, ComponentError, LogConfig, LogEntry, LogEntryBuilder, Rotated, logger::Log, names::Place};

/// Writes `<log_dir>/plugin-supervisor.log`: what was done to plugins, and what they did. Each method writes one entry, whose
/// field `event` has the method's name; errors are those of [`PluginLogger::write`](super::PluginLogger::write).
pub struct SupervisorLogger {
    log: Log,
}

impl SupervisorLogger {
    /// Opens the log; makes it, and `log_dir`, where missing. Mends what a killed writer left.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(config: &LogConfig) -> Result<SupervisorLogger, ComponentError> {
        SupervisorLogger::open_with(config, Rotated::Plain, Arc::new(Time::now))
    }

    /// As [`SupervisorLogger::open`]; says what becomes of closed files, and who tells the time.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open_with(config: &LogConfig, rotated: Rotated, clock: Clock) -> Result<SupervisorLogger, ComponentError> {
        let place = Place::of_supervisor(&config.log_dir);
        Ok(SupervisorLogger { log: Log::open(config, place, rotated, clock)? })
    }

    /// A plugin was started, as this process.
    ///
    /// # Errors
    /// See the type.
    pub fn spawn(&self, plugin: &str, pid: u32) -> Result<(), ComponentError> {
        self.put(plugin, "spawn", entry(Level::Info, format!("spawned plugin {plugin}, pid {pid}")).pid(pid))
    }

    /// A plugin was killed by the supervisor.
    ///
    /// # Errors
    /// See the type.
    pub fn kill(&self, plugin: &str, pid: u32) -> Result<(), ComponentError> {
        self.put(plugin, "kill", entry(Level::Info, format!("killed plugin {plugin}, pid {pid}")).pid(pid))
    }

    /// A plugin may run from now on.
    ///
    /// # Errors
    /// See the type.
    pub fn enable(&self, plugin: &str) -> Result<(), ComponentError> {
        self.put(plugin, "enable", entry(Level::Info, format!("enabled plugin {plugin}")))
    }

    /// A plugin may no longer run.
    ///
    /// # Errors
    /// See the type.
    pub fn disable(&self, plugin: &str) -> Result<(), ComponentError> {
        self.put(plugin, "disable", entry(Level::Info, format!("disabled plugin {plugin}")))
    }

    /// A plugin ended by itself, and why: level error.
    ///
    /// # Errors
    /// See the type.
    pub fn crash(&self, plugin: &str, pid: u32, error: &str) -> Result<(), ComponentError> {
        let message = format!("plugin {plugin}, pid {pid}, crashed");
        self.put(plugin, "crash", entry(Level::Error, message).pid(pid).error(error))
    }

    /// A plugin will be started again, for the `attempt`th time, after `delay`: level warn, whole milliseconds.
    ///
    /// # Errors
    /// See the type.
    pub fn restart(&self, plugin: &str, attempt: u32, delay: Duration) -> Result<(), ComponentError> {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let message = format!("restarting plugin {plugin} in {delay_ms} ms, attempt {attempt}");
        self.put(plugin, "restart", entry(Level::Warn, message).field("attempt", attempt).field("delay_ms", delay_ms))
    }

    /// A plugin will not be started again, and why: level error.
    ///
    /// # Errors
    /// See the type.
    pub fn gave_up(&self, plugin: &str, reason: &str) -> Result<(), ComponentError> {
        let message = format!("gave up on plugin {plugin}: {reason}");
        self.put(plugin, "gave_up", entry(Level::Error, message).field("reason", reason))
    }

    /// The live file.
    pub fn path(&self) -> PathBuf {
        self.log.live.clone()
    }

    /// As [`PluginLogger::flush`](super::PluginLogger::flush).
    ///
    /// # Errors
    /// Those of the system.
    pub fn flush(&self) -> Result<(), ComponentError> {
        self.log.flush()
    }

    /// How many entries this logger could not write.
    pub fn dropped(&self) -> u64 {
        self.log.dropped()
    }

    fn put(&self, plugin: &str, event: &str, entry: LogEntryBuilder) -> Result<(), ComponentError> {
        let entry = entry.plugin(plugin).field("event", event).timestamp((self.log.clock)());
        self.log.write(&entry.build())
    }
}

impl fmt::Debug for SupervisorLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorLogger").field("path", &self.log.live).finish_non_exhaustive()
    }
}

fn entry(level: Level, message: String) -> LogEntryBuilder {
    LogEntry::builder(level, message)
}

//! The log of one plugin, to write.

use std::{
    borrow::Cow,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use logboom_record::{Level, Time};

use super::{Clock, ComponentError, LogConfig, LogEntry, Rotated, names::Place, writer::Writer};

/// Writes the log of one plugin, `<log_dir>/plugins/<id>.log`; any number of threads, loggers and processes may at once.
///
/// `Ok` means that the entry is in the file as a whole, where other processes see it and a kill cannot take it;
/// [`PluginLogger::flush`] makes it survive a power cut.
pub struct PluginLogger {
    id: String,
    log: Log,
}

impl PluginLogger {
    /// Opens the log of a plugin; makes it, and `log_dir`, where missing. Mends what a killed writer left.
    ///
    /// # Errors
    /// [`ComponentError::BadId`], and those of the system.
    pub fn open(config: &LogConfig, id: &str) -> Result<PluginLogger, ComponentError> {
        PluginLogger::open_with(config, id, Rotated::Plain, Arc::new(Time::now))
    }

    /// As [`PluginLogger::open`]; says what becomes of closed files, and who tells the time of entries and rotations.
    ///
    /// # Errors
    /// As [`PluginLogger::open`].
    pub fn open_with(
        config: &LogConfig,
        id: &str,
        rotated: Rotated,
        clock: Clock,
    ) -> Result<PluginLogger, ComponentError> {
        let place = Place::of_plugin(&config.log_dir, id)?;
        Ok(PluginLogger { id: id.to_owned(), log: Log::open(config, place, rotated, clock)? })
    }

    /// The plugin.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The live file.
    pub fn path(&self) -> PathBuf {
        self.log.live.clone()
    }

    /// Writes an entry of now that is only a message.
    ///
    /// # Errors
    /// As [`PluginLogger::write`].
    pub fn log(&self, level: Level, message: impl Into<String>) -> Result<(), ComponentError> {
        let entry = LogEntry::builder(level, message).plugin(self.id.as_str()).timestamp((self.log.clock)());
        self.log.write(&entry.build())
    }

    /// Writes an entry; one that names no plugin is about this one.
    ///
    /// # Errors
    /// The entry is then not in the log, and counts as dropped: [`ComponentError::TooLong`], [`ComponentError::DiskFull`],
    /// [`ComponentError::Busy`], [`ComponentError::Crowded`], and others of the system. The next one may go well.
    pub fn write(&self, entry: &LogEntry) -> Result<(), ComponentError> {
        let entry = match entry.plugin.is_empty() {
            true => Cow::Owned(entry.clone().about(&self.id)),
            false => Cow::Borrowed(entry),
        };
        self.log.write(&entry)
    }

    /// Makes every entry that this logger wrote survive a power cut. After a rotation it syncs the whole file system.
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
}

impl fmt::Debug for PluginLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginLogger").field("path", &self.log.live).finish_non_exhaustive()
    }
}

/// A log that threads share.
pub(super) struct Log {
    /// Held while a line is written: lines of one process come one after the other anyway.
    writer: Mutex<Writer>,
    dropped: AtomicU64,
    pub(super) live: PathBuf,
    pub(super) clock: Clock,
}

impl Log {
    pub(super) fn open(
        config: &LogConfig,
        place: Place,
        rotated: Rotated,
        clock: Clock,
    ) -> Result<Log, ComponentError> {
        let live = place.live();
        let writer = Writer::open(config, place, rotated, Arc::clone(&clock))?;
        Ok(Log { writer: Mutex::new(writer), dropped: AtomicU64::new(0), live, clock })
    }

    pub(super) fn write(&self, entry: &LogEntry) -> Result<(), ComponentError> {
        let line = entry.to_line();
        // A writer whose thread panicked knows at worst less than it could, and looks.
        let written = self.writer.lock().unwrap_or_else(PoisonError::into_inner).append(&line);
        if written.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    pub(super) fn flush(&self) -> Result<(), ComponentError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

//! Logs of components: one rotating file of JSON lines for each plugin, and one for the supervisor of plugins.
//!
//! Any number of processes may write and read the log of a plugin at once. The hard part is to keep every file below its limit
//! and every line whole without a lock around each write: a writer appends only what it was granted beforehand, under the
//! lock of the log, and asks the file itself whether it is still the live one. So a line costs an fstat(2) and a write(2).
//! Every byte stands in `docs/formats.md`, "Component logs".
//!
//! ```
//! use logboom_files::component::{LogConfig, LogEntry, LogLevel, LogReader, PluginLogger};
//!
//! # let dir = tempfile::tempdir()?;
//! let config = LogConfig::in_dir(dir.path());
//! let logger = PluginLogger::open(&config, "weather")?;
//! logger.log(LogLevel::Info, "ready")?;
//! logger.write(&LogEntry::builder(LogLevel::Error, "no answer").error("timed out").field("attempt", 3).build())?;
//!
//! let page = LogReader::of(&config).read("weather", LogLevel::Warn, 0, 50)?;
//! assert_eq!(page.entries[0].message, "no answer"); // newest first
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! A logger that a process had before `fork(2)` is the parent's; a child opens its own. Left out: following a log live.

mod compress;
mod config;
mod entry;
mod error;
mod lock;
mod logger;
mod names;
mod read;
mod rotate;
mod supervisor;
mod writer;

use std::sync::Arc;

pub use config::{LogConfig, Rotated};
pub use entry::{LogEntry, LogEntryBuilder};
pub use error::ComponentError;
/// How serious an entry is; ordered, read in any case (`"WARN".parse()`), shown in lower case.
pub use logboom_record::Level as LogLevel;
use logboom_record::Time;
pub use logger::PluginLogger;
pub use names::ID_BYTES_MAX;
pub use read::{Cursor, CursorError, LogReader, Page};
pub use supervisor::SupervisorLogger;

/// Tells the time; an argument, so that tests choose it.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// The longest line that is written or read, its newline included.
pub const LINE_BYTES_MAX: usize = 1 << 20;

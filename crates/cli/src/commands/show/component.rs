//! `logboom show --plugin ID` and `--supervisor`: the log of a component, oldest entry first.

use std::path::{Path, PathBuf};

use anyhow::Result;
use logboom_files::{
    component::{Cursor, LogConfig, LogEntry, LogLevel, LogReader, Page},
    config::World,
};

use crate::{exit::Exit, output::Out, say::say, visible};

/// How many entries are read at once.
const PAGE_SIZE: usize = 1_000;

/// Which component's log to read instead of a session.
#[derive(clap::Args)]
#[group(id = "component", multiple = true)]
pub struct Component {
    /// The log of this plugin, not a session
    #[arg(long, value_name = "ID", conflicts_with_all = NOT_OURS, help_heading = "Component logs")]
    plugin: Option<String>,
    /// The log of the supervisor of plugins, not a session
    #[arg(long, conflicts_with = "plugin", conflicts_with_all = NOT_OURS, help_heading = "Component logs")]
    supervisor: bool,
    /// Where component logs are [/var/log/logboom, or logboom in the state directory]
    #[arg(long, value_name = "DIR", requires = "component", help_heading = "Component logs")]
    log_dir: Option<PathBuf>,
    /// Only the last lines of it, so many
    #[arg(short = 'n', long, value_name = "COUNT", requires = "component", help_heading = "Component logs")]
    lines: Option<usize>,
}

/// Options that say something about sessions alone.
const NOT_OURS: [&str; 7] = ["session", "failed", "runs", "streams", "since", "until", "raw"];

impl Component {
    /// Whether one is asked for.
    pub fn is_meant(&self) -> bool {
        self.plugin.is_some() || self.supervisor
    }

    /// Prints its entries that are at least so serious. Exits 1 if some lines are torn or foreign, or were deleted meanwhile.
    pub fn show(&self, level: LogLevel, as_json: bool, mut out: Out) -> Result<Exit> {
        let (entries, lost) = self.entries(level)?;
        let mut bytes = Vec::new();
        for entries in entries.rchunks(PAGE_SIZE) {
            bytes.clear();
            entries.iter().rev().for_each(|entry| push(&mut bytes, entry, as_json));
            out.put(&bytes)?;
        }
        out.finish()?;
        Ok(if lost { Exit::No } else { Exit::Done })
    }

    /// The entries, newest first, and whether some could not be read.
    fn entries(&self, level: LogLevel) -> Result<(Vec<LogEntry>, bool)> {
        let reader = LogReader::of(&self.config()?);
        let count = self.lines.unwrap_or(usize::MAX);
        let (mut entries, mut skipped, mut gone, mut cursor) = (Vec::new(), 0, false, None);
        while entries.len() < count {
            let page = self.page(&reader, level, cursor.as_ref(), PAGE_SIZE.min(count - entries.len()))?;
            entries.extend(page.entries);
            skipped += page.skipped;
            gone |= page.gone;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if skipped > 0 {
            say(format_args!("{skipped} torn or foreign lines are left out"));
        }
        if gone {
            say("older files were deleted while they were read");
        }
        Ok((entries, skipped > 0 || gone))
    }

    fn page(&self, reader: &LogReader, level: LogLevel, from: Option<&Cursor>, size: usize) -> Result<Page> {
        Ok(match &self.plugin {
            Some(id) => reader.read_from(id, level, from, size)?,
            None => reader.supervisor(level, from, size)?,
        })
    }

    fn config(&self) -> Result<LogConfig> {
        Ok(match &self.log_dir {
            Some(dir) => LogConfig::in_dir(dir),
            None => LogConfig::find(World { cwd: Path::new("/"), env: &|name| std::env::var_os(name) })?,
        })
    }
}

/// A line: as in the log for `--json`, else time, level, message, and what else there is as `key=value`, with controls visible.
fn push(out: &mut Vec<u8>, entry: &LogEntry, as_json: bool) {
    if as_json {
        return logboom_record::json::push_line(out, entry);
    }
    let mut text = format!("{} {} {}", entry.timestamp, char::from(entry.level.letter()), entry.message);
    let error = entry.error.as_ref().map(|error| format!(" error={error:?}"));
    let pid = entry.pid.map(|pid| format!(" pid={pid}"));
    text.extend(error.into_iter().chain(pid));
    text.extend(entry.fields().iter().map(|(name, value)| format!(" {name}={value}")));
    out.extend_from_slice(visible::plain(&text).as_bytes());
    out.push(b'\n');
}

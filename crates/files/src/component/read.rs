//! Reads the log of a component, newest entry first, across its files.
//!
//! Nothing is ever waited for or changed: files are read backwards in blocks while others append to them, rotate and delete them.
//! A page by number is for people; it moves when entries are added. A [`Cursor`] does not.

mod backwards;
mod cursor;
mod files;
mod parse;
mod snapshot;

use std::path::{Path, PathBuf};

use logboom_record::Level;

pub use cursor::{Cursor, CursorError};

use super::{ComponentError, LINE_BYTES_MAX, LogConfig, LogEntry, names, names::Place};
use backwards::{Backwards, Line};
use cursor::Spot;
use files::{Content, Source};
use parse::Parsed;
use snapshot::Snapshot;

/// A page of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// At most as many as were asked for, newest first.
    pub entries: Vec<LogEntry>,
    /// Where the next page begins; `None` if there is nothing older. There may be nothing there that was asked for, either.
    pub next: Option<Cursor>,
    /// How many lines from the page before on are torn, foreign or unreadable, and so no entries.
    pub skipped: u64,
    /// Whether files that this walk had still to read were deleted (by retention, as a rule): their entries are gone. Said once.
    pub gone: bool,
}

/// Reads component logs.
#[derive(Clone, Debug)]
pub struct LogReader {
    log_dir: PathBuf,
    max_file_size: u64,
}

impl LogReader {
    /// Reads the logs that loggers with this configuration write.
    pub fn of(config: &LogConfig) -> LogReader {
        LogReader { log_dir: config.log_dir.clone(), max_file_size: config.max_file_size }
    }

    /// The ids of the plugins that have a log, sorted.
    ///
    /// # Errors
    /// Those of the system.
    pub fn plugins(&self) -> Result<Vec<String>, ComponentError> {
        names::plugins(&self.log_dir)
    }

    /// The `page`th page, from 0, of the entries of a plugin that are at least this serious. An unknown plugin's is empty.
    ///
    /// # Errors
    /// [`ComponentError::BadId`], and those of the system.
    pub fn read(&self, id: &str, level_at_least: Level, page: usize, page_size: usize) -> Result<Page, ComponentError> {
        let place = Place::of_plugin(&self.log_dir, id)?;
        let to_skip = page.saturating_mul(page_size);
        Walk { to_skip, ..self.walk(&place, Some(id), level_at_least) }.page(None, page_size)
    }

    /// The newest entries of a plugin, or those before a cursor of the same log. Pages that follow one another by cursor hold every
    /// entry that was there when the first was read, once, however much is written and rotated meanwhile.
    ///
    /// # Errors
    /// [`ComponentError::BadId`], and those of the system.
    pub fn read_from(
        &self,
        id: &str,
        level_at_least: Level,
        cursor: Option<&Cursor>,
        page_size: usize,
    ) -> Result<Page, ComponentError> {
        let place = Place::of_plugin(&self.log_dir, id)?;
        self.walk(&place, Some(id), level_at_least).page(cursor, page_size)
    }

    /// As [`LogReader::read_from`], for the log of the supervisor.
    ///
    /// # Errors
    /// Those of the system.
    pub fn supervisor(
        &self,
        level_at_least: Level,
        cursor: Option<&Cursor>,
        page_size: usize,
    ) -> Result<Page, ComponentError> {
        let place = Place::of_supervisor(&self.log_dir);
        self.walk(&place, None, level_at_least).page(cursor, page_size)
    }

    fn walk<'a>(&self, place: &'a Place, plugin: Option<&'a str>, level: Level) -> Walk<'a> {
        Walk { place, plugin, level, max_file_size: self.max_file_size, to_skip: 0, page: Page::default() }
    }
}

/// One way back through a log.
struct Walk<'a> {
    place: &'a Place,
    /// Whom an entry is about that does not say it.
    plugin: Option<&'a str>,
    level: Level,
    max_file_size: u64,
    /// How many entries come before the page.
    to_skip: usize,
    page: Page,
}

impl Walk<'_> {
    fn page(mut self, cursor: Option<&Cursor>, page_size: usize) -> Result<Page, ComponentError> {
        let snapshot = Snapshot::take(self.place)?;
        let mut oldest = snapshot.oldest();
        if let Some(cursor) = cursor {
            self.page.gone = cursor.oldest.is_some_and(|was| snapshot.all_are_after(was));
            oldest = oldest.or(cursor.oldest.filter(|_| !self.page.gone));
        }
        let start = snapshot.start(self.place, cursor)?;
        self.page.gone |= start.gone;
        let mut end = start.offset;
        let mut sources = start.sources.into_iter().peekable();
        while let Some(source) = sources.next() {
            let Some(content) = source.content(self.place, self.max_file_size)? else {
                self.page.gone = true; // deleted since we looked
                continue;
            };
            self.page.skipped += u64::from(end.is_none() && content.is_damaged());
            let from = end.take().unwrap_or(u64::MAX).min(content.settled_len().map_err(self.failed(&source))?);
            let stopped = self.file(&content, from, page_size).map_err(self.failed(&source))?;
            let Some(offset) = stopped else { continue };
            if offset > 0 || sources.peek().is_some() {
                let spot = source.spot(&content, &snapshot).map_err(self.failed(&source))?;
                self.page.next = Some(Cursor { spot, offset, oldest });
            }
            break;
        }
        Ok(self.page)
    }

    /// Reads one file from there back; says at which offset if the page is full.
    fn file(&mut self, content: &Content, from: u64, page_size: usize) -> std::io::Result<Option<u64>> {
        let mut lines = Backwards::new(content, from);
        while self.page.entries.len() < page_size {
            match lines.next()? {
                None => return Ok(None),
                Some(Line::TooLong) => self.skip_lines(1),
                Some(Line::Whole(line)) => {
                    let Parsed { entry, torn } = parse::entry(line, self.level);
                    self.take(entry);
                    self.skip_lines(u64::from(torn));
                }
            }
        }
        Ok(Some(lines.offset()))
    }

    fn take(&mut self, entry: Option<LogEntry>) {
        match entry {
            Some(_) if self.to_skip > 0 => self.to_skip -= 1,
            Some(entry) => self.page.entries.push(entry.about(self.plugin.unwrap_or_default())),
            None => {}
        }
    }

    /// Lines between the entries of earlier pages were counted there.
    fn skip_lines(&mut self, count: u64) {
        if self.to_skip == 0 {
            self.page.skipped += count;
        }
    }

    fn failed(&self, source: &Source) -> impl FnOnce(std::io::Error) -> ComponentError + use<> {
        let path = source.path(self.place);
        move |error| ComponentError::at("read", Path::new(&path))(error)
    }
}

/// The smallest number of bytes that a compressed file may always unpack to, however small files are now.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

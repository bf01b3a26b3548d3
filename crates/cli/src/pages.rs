//! Walks through a query page by page, in pages that take about the same memory whatever the lines are.
//!
//! Making a page costs reading at least one block of a megabyte, so that small pages of short lines would read each block
//! again and again; large pages of long lines would fill the memory. The first page is small, for the first lines to be
//! seen at once; what it weighs tells how many lines the next one has.

use anyhow::Result;
use logboom_record::Entry;
use logboom_store::{Cursor, Page, Query, Store};
use logboom_store_embedded::Embedded;

/// What a page may weigh, about.
const PAGE_BYTES: usize = 16 << 20;

/// What a record weighs besides its message.
const RECORD_BYTES: usize = 200;

const FIRST_LINES: usize = 100;
const LINES_MAX: usize = 100_000;

/// A walk through a query.
pub struct Pages<'a> {
    store: &'a Embedded,
    query: Query,
    cursor: Option<Cursor>,
    lines_max: usize,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// From this place, or from the beginning in the order of the query.
    pub fn new(store: &'a Embedded, query: &Query, from: Option<Cursor>) -> Pages<'a> {
        Pages { store, query: query.clone(), cursor: from, lines_max: FIRST_LINES, is_over: false }
    }

    /// The next page, of at most so many lines; `None` when there was nothing after the last one.
    ///
    /// # Errors
    /// Of the store.
    pub fn next(&mut self, lines_max: usize) -> Result<Option<Page>> {
        if self.is_over || lines_max == 0 {
            return Ok(None);
        }
        self.query.lines_max = self.lines_max.min(lines_max);
        let page = self.store.page(&self.query, self.cursor.as_ref())?;
        self.is_over = !page.more;
        self.cursor = Some(page.cursor.clone());
        self.lines_max = lines_of_next(&page.entries, self.query.lines_max);
        Ok(Some(page))
    }
}

/// How many lines the page after one with these entries may have.
fn lines_of_next(entries: &[Entry], lines: usize) -> usize {
    let weigh = |entry: &Entry| match entry {
        Entry::Record(record) => RECORD_BYTES + record.message.len() + record.fields.as_ref().map_or(0, String::len),
        Entry::Gap(_) => RECORD_BYTES,
    };
    let bytes = entries.iter().map(weigh).sum::<usize>().max(RECORD_BYTES);
    (lines.saturating_mul(PAGE_BYTES) / bytes).clamp(1, lines.saturating_mul(100)).min(LINES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_record::{Flags, Level, Record, RunId, Stream, Time};

    fn records(count: usize, bytes: usize) -> Vec<Entry> {
        let (run, time, stream, level) =
            (RunId::from_bytes([1; 16]), Time::from_micros(0), Stream::Stdout, Level::Info);
        let (message, flags) = (vec![b'x'; bytes], Flags::NONE);
        let record = Record { run, seq: 1, time, origin_time_ns: None, stream, level, flags, message, fields: None };
        vec![Entry::Record(record); count]
    }

    #[test]
    fn a_page_takes_about_the_same_memory_whatever_the_lines_are() {
        assert_eq!(lines_of_next(&records(100, 0), 100), 10_000);
        assert_eq!(lines_of_next(&records(10_000, 0), 10_000), PAGE_BYTES / 200);
        assert_eq!(lines_of_next(&records(100, 1 << 20), 100), 15);
        assert_eq!(lines_of_next(&records(1, 64 << 20), 1), 1);
        assert_eq!(lines_of_next(&[], 100), 10_000);
    }
}

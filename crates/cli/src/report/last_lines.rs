//! The last lines of a run or a test, as text without anything that a terminal would act on.

use anyhow::Result;
use logboom_record::{Entry, Flags, RunId, TestResult, ansi};
use logboom_store::{Order, Query, RunPick, Scope, Store};
use logboom_store_embedded::Embedded;

use super::text::plain;
use crate::{human, render::gap_message};

/// So many lines are asked for at first, …
const PAGE_LINES_MIN: usize = 16;
/// … and so many at last, …
const PAGE_LINES_MAX: usize = 500;
/// … where pages have less than this: a line may have a megabyte.
const PAGE_BYTES: usize = 256 << 10;

/// So much of a record is shown, so that one without end does not take the place of all others.
const RECORD_BYTES_MAX: usize = 8 << 10;

/// Whose lines.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    /// The session's root run.
    pub root: RunId,
    /// The run.
    pub run: RunId,
    /// Of its lines, those of this test.
    pub test: Option<&'a TestResult>,
}

/// How many at most.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub lines: usize,
    pub bytes: usize,
}

/// The last lines, and how many there are before them.
pub struct LastLines {
    /// Each with its newline.
    pub text: String,
    /// How many lines are left out.
    pub left_out: u64,
}

/// Reads them; of a test of which no output is known there are none.
///
/// # Errors
/// Of the store.
pub fn last_lines(store: &Embedded, whose: Whose<'_>, bounds: Bounds) -> Result<LastLines> {
    let mut query = Query::new(Scope::Session(whose.root));
    (query.runs, query.order) = (vec![RunPick::Id(whose.run)], Order::Newest);
    if let Some(test) = whose.test {
        if !test.has_output() {
            return Ok(LastLines { text: String::new(), left_out: 0 });
        }
        (query.seq_min, query.seq_max) = (test.from, test.to);
    }
    let (mut pages, mut lines, mut bytes, mut cursor) = (Vec::new(), 0, 0, None);
    let (mut page_lines, mut is_all) = (PAGE_LINES_MIN, false);
    while lines < bounds.lines && bytes < bounds.bytes {
        query.lines_max = (bounds.lines - lines).min(page_lines);
        let page = store.page(&query, cursor.as_ref())?;
        page_lines = next_page_lines(page_lines, bytes_of(&page.entries));
        let text = text_of(page.entries);
        (lines, bytes) = (lines + query.lines_max, bytes + text.len());
        pages.push(text);
        cursor = Some(page.cursor);
        if !page.more {
            is_all = true;
            break;
        }
    }
    let mut text: String = pages.into_iter().rev().collect();
    let read = text.lines().count() as u64;
    if text.len() > bounds.bytes {
        let from = text.ceil_char_boundary(text.len() - bounds.bytes);
        let whole_line = text[from..].find('\n').map_or(from, |end| from + end + 1);
        // Of a line that is longer than all, its end.
        text = text[if whole_line < text.len() { whole_line } else { from }..].to_owned();
    }
    // To count them may mean to read as much again.
    let all = if is_all { read } else { store.count(&query)? };
    let left_out = all.saturating_sub(text.lines().count() as u64);
    Ok(LastLines { text, left_out })
}

/// How many lines to ask for after a page of so many lines that had so many bytes.
fn next_page_lines(lines: usize, bytes: usize) -> usize {
    if bytes * 2 < PAGE_BYTES { (lines * 2).min(PAGE_LINES_MAX) } else { (lines / 2).max(1) }
}

fn bytes_of(entries: &[Entry]) -> usize {
    let bytes = |entry: &Entry| if let Entry::Record(record) = entry { record.message.len() } else { 0 };
    entries.iter().map(bytes).sum()
}

/// The entries as they were printed.
fn text_of(mut entries: Vec<Entry>) -> String {
    entries.sort_by_key(Entry::seq);
    let mut text = String::new();
    for entry in &entries {
        match entry {
            Entry::Gap(gap) => text += &format!("{}\n", gap_message(gap)),
            Entry::Record(record) => {
                let mut bare = Vec::with_capacity(record.message.len());
                ansi::strip(&record.message, &mut bare);
                let whole = String::from_utf8_lossy(&bare);
                let shown = &whole[..whole.floor_char_boundary(RECORD_BYTES_MAX)];
                text += &plain(shown.trim_end_matches('\r'));
                if shown.len() < whole.len() {
                    text += &format!(" … {} more", human::counted((whole.len() - shown.len()) as u64, "byte"));
                }
                if !record.flags.has(Flags::CONTINUED) {
                    text.push('\n');
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_many_lines_only_while_those_are_short() {
        let after = |bytes_of_line: usize| {
            (0..10).fold(PAGE_LINES_MIN, |lines, _| next_page_lines(lines, lines * bytes_of_line))
        };
        assert_eq!(after(100), PAGE_LINES_MAX);
        assert_eq!(after(1 << 20), 1);
        assert!(after(8 << 10) * (8 << 10) <= PAGE_BYTES, "{}", after(8 << 10));
    }
}

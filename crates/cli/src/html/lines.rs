//! The lines of a page.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use logboom_record::{Gap, Level, RecordRef, RunId, Stream, Time};

use super::{
    Item,
    text::{self, Style},
};
use crate::{human, join::Piece, render::gap_message};

/// So many lines are a block that is laid out together.
const BLOCK_LINES: u64 = 100;

/// So much of a line is in the page: more is nothing for a browser.
const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// How much is put together before it is written.
const BATCH_BYTES: usize = 256 << 10;

/// Which lines are in the page: the first and the last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    total: u64,
    /// So many of the first.
    head: u64,
    /// The number of the first of the last.
    tail_from: u64,
}

impl Window {
    pub fn new(lines_max: u64, total: u64) -> Window {
        if total <= lines_max {
            return Window { total, head: total, tail_from: total };
        }
        Window { total, head: lines_max.div_ceil(2), tail_from: total - lines_max / 2 }
    }

    pub fn has(self, number: u64) -> bool {
        number < self.head || number >= self.tail_from
    }

    pub fn left_out(self) -> u64 {
        self.tail_from - self.head
    }

    pub fn shown(self) -> u64 {
        self.total - self.left_out()
    }
}

/// What a line is called in links.
pub fn anchor(run: RunId, seq: u64) -> String {
    format!("{}-{seq}", run.short())
}

/// The same for a gap.
pub fn gap_anchor(gap: &Gap) -> String {
    format!("{}-{}-lost", gap.run.short(), gap.from)
}

/// Writes lines.
pub struct Lines<'a> {
    names: BTreeMap<RunId, (usize, String)>,
    window: Window,
    out: &'a mut dyn Write,
    page: Vec<u8>,
    number: u64,
    in_block: u64,
    day: String,
    open: Option<Open>,
}

/// A very long line that is being written, or left out.
struct Open {
    style: Style,
    is_shown: bool,
    bytes: usize,
}

impl<'a> Lines<'a> {
    pub fn new(names: &BTreeMap<RunId, String>, window: Window, out: &'a mut dyn Write) -> Lines<'a> {
        let names = names.iter().enumerate().map(|(at, (run, name))| (*run, (at, text::name(name)))).collect();
        let (page, day) = (Vec::new(), String::new());
        Lines { names, window, out, page, number: 0, in_block: 0, day, open: None }
    }

    pub fn take(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Piece(Piece::Line(line)) => {
                self.begin(&line);
                self.more(line.message);
                self.end();
            }
            Item::Piece(Piece::First(line)) => {
                self.begin(&line);
                self.more(line.message);
            }
            Item::Piece(Piece::More(part)) => self.more(part.message),
            Item::Piece(Piece::Last) => self.end(),
            Item::Gap(gap) => self.gap(gap),
        }
        if self.page.len() >= BATCH_BYTES { self.put() } else { Ok(()) }
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.end_block();
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        self.out.write_all(&self.page)?;
        self.page.clear();
        Ok(())
    }

    fn begin(&mut self, line: &RecordRef<'_>) {
        let is_shown = self.is_next_shown();
        if is_shown {
            let id = anchor(line.run, line.seq);
            self.head(&id, line.run, line.time, (line.stream.as_str(), line.stream), line.level);
        }
        self.open = Some(Open { style: Style::default(), is_shown, bytes: 0 });
    }

    fn more(&mut self, message: &[u8]) {
        let Some(open) = self.open.as_mut().filter(|open| open.is_shown) else { return };
        let room = MESSAGE_BYTES_MAX.saturating_sub(open.bytes);
        text::push(&mut self.page, head_of(message, room), &mut open.style);
        open.bytes = open.bytes.saturating_add(message.len());
    }

    fn end(&mut self) {
        let Some(open) = self.open.take().filter(|open| open.is_shown) else { return };
        if open.bytes > MESSAGE_BYTES_MAX {
            let more = human::count((open.bytes - MESSAGE_BYTES_MAX) as u64);
            self.page.extend_from_slice(format!("<i>… {more} more bytes</i>").as_bytes());
        }
        self.page.extend_from_slice(b"</span></p>\n");
    }

    fn gap(&mut self, gap: &Gap) {
        if self.is_next_shown() {
            self.head(&gap_anchor(gap), gap.run, gap.time, ("lost", Stream::System), Level::Warn);
            self.page.extend_from_slice(text::name(&gap_message(gap)).as_bytes());
            self.page.extend_from_slice(b"</span></p>\n");
        }
    }

    /// Counts a line, and says where lines are left out.
    fn is_next_shown(&mut self) -> bool {
        let number = self.number;
        self.number += 1;
        if number == self.window.head && self.window.left_out() > 0 {
            self.end_block();
            let count = human::counted(self.window.left_out(), "line");
            let text = format!(
                "<p class=\"note\">{count} left out here; <code>logboom show</code> has all, <code>--lines</code> takes more</p>\n"
            );
            self.page.extend_from_slice(text.as_bytes());
        }
        self.window.has(number)
    }

    /// What stands before the message.
    fn head(&mut self, id: &str, run: RunId, time: Time, (kind, stream): (&str, Stream), level: Level) {
        self.block();
        let stamp = time.to_string();
        let (day, clock) = (&stamp[..10], &stamp[11..stamp.len() - 1]);
        if day != self.day {
            self.page.extend_from_slice(format!("<p class=\"day\">{day}</p>\n").as_bytes());
            day.clone_into(&mut self.day);
        }
        let unknown = (usize::MAX, run.short());
        let (at, name) = self.names.get(&run).unwrap_or(&unknown);
        let name = if self.names.len() < 2 { String::new() } else { format!("<b>{name}</b> ") };
        let head = format!(
            "<p id=\"{id}\" data-r=\"{at}\" data-k=\"{}{}\"><a href=\"#{id}\">{clock}</a> {name}<em>{kind}</em> <em>{}</em> <span>",
            stream as u8,
            level as u8,
            level.as_str(),
        );
        self.page.extend_from_slice(head.as_bytes());
    }

    /// Begins a block where one is due.
    fn block(&mut self) {
        if self.in_block == BLOCK_LINES {
            self.end_block();
        }
        if self.in_block == 0 {
            self.page.extend_from_slice(b"<div>\n");
        }
        self.in_block += 1;
    }

    fn end_block(&mut self) {
        if std::mem::take(&mut self.in_block) > 0 {
            self.page.extend_from_slice(b"</div>\n");
        }
    }
}

/// At most so many bytes, and no half of a character at the end.
fn head_of(message: &[u8], room: usize) -> &[u8] {
    if message.len() <= room {
        return message;
    }
    let is_inner = |byte: u8| byte & 0xC0 == 0x80;
    let end = (room.saturating_sub(3)..=room).rev().find(|at| !is_inner(message[*at])).unwrap_or(room);
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_first_and_the_last() {
        let window = Window::new(5, 100);
        let shown: Vec<u64> = (0..100).filter(|number| window.has(*number)).collect();
        assert_eq!(shown, [0, 1, 2, 98, 99]);
        assert_eq!((window.left_out(), window.shown()), (95, 5));
        assert_eq!((Window::new(5, 5).left_out(), Window::new(0, 3).shown()), (0, 0));
    }

    #[test]
    fn a_cut_line_ends_with_a_whole_character() {
        assert_eq!(head_of("aü".as_bytes(), 2), b"a");
        assert_eq!(head_of("aüb".as_bytes(), 3), "aü".as_bytes());
        assert_eq!(head_of(b"abc", 0), b"");
        assert_eq!(head_of(&[0x80; 10], 5).len(), 5);
    }
}

//! Puts lines together that were kept in parts.
//!
//! A long or unfinished line comes in parts, and other streams' lines may come in between. A line belongs where its
//! first part is, so what follows an open line is held back until that one is whole. A line that is too large to be held goes
//! out part by part, and only the others wait; then nobody knows yet whether a newline ends it, and it is taken that one
//! does. When too much of the others is held the open line is let go as it stands, and its rest becomes a line of its own.
//! Nearly all lines come in one part and pass through without being copied.

use logboom_record::{Flags, RecordRef, RunId, Stream};

/// The most bytes held back for one open line.
const HELD_BYTES_MAX: usize = 4 << 20;

/// The most lines held back for one open line.
const HELD_LINES_MAX: usize = 4_096;

/// What a [`Joiner`] hands on.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    /// A line: its first part, with the whole line's message and the flags of its last.
    Line(RecordRef<'a>),
    /// The beginning of a line that is too large to be held. Nothing but its further parts comes before its end.
    First(RecordRef<'a>),
    /// What follows in that line: its first part, with this part's message.
    More(RecordRef<'a>),
    /// The end of that line.
    Last,
}

/// Lines that wait for the rest of the first of them.
#[derive(Default)]
pub struct Joiner {
    held: std::collections::VecDeque<Held>,
    held_bytes: usize,
}

struct Held {
    record: logboom_record::Record,
    open: bool,
    /// It goes out part by part, and the record has no message any more.
    begun: bool,
}

impl Held {
    fn awaits(&self, run: RunId, stream: Stream) -> bool {
        self.open && self.record.run == run && self.record.stream == stream
    }
}

impl Joiner {
    /// Takes the next record, and hands on what need not wait any more.
    pub fn push(&mut self, record: &RecordRef<'_>, mut hand_on: impl FnMut(Piece<'_>)) {
        let open = record.flags.has(Flags::CONTINUED);
        if self.held.is_empty() && !open {
            return hand_on(Piece::Line(*record));
        }
        match self.held.iter_mut().find(|held| held.awaits(record.run, record.stream)) {
            Some(held) if held.begun => {
                hand_on(Piece::More(RecordRef { message: record.message, ..held.record.as_ref() }));
                held.open = open;
            }
            Some(held) => {
                self.held_bytes += record.message.len();
                held.record.message.extend_from_slice(record.message);
                held.record.flags = record.flags;
                held.open = open;
            }
            None => {
                self.held_bytes += record.message.len();
                self.held.push_back(Held { record: record.to_owned(), open, begun: false });
            }
        }
        while self.held.front().is_some_and(|held| !held.open) || self.is_full() {
            if !self.begin(&mut hand_on) {
                self.let_go(&mut hand_on);
            }
        }
    }

    /// Some records of the run are lost: nobody knows how its open lines went on. What says so cannot stand within another
    /// run's line, so one that goes out part by part ends here.
    pub fn gap(&mut self, run: RunId, mut hand_on: impl FnMut(Piece<'_>)) {
        self.held.iter_mut().filter(|held| held.record.run == run).for_each(|held| held.open = false);
        self.held.iter_mut().filter(|held| held.begun).for_each(|held| held.open = false);
        while self.held.front().is_some_and(|held| !held.open) {
            self.let_go(&mut hand_on);
        }
    }

    /// Whether anything is held back.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Hands on all that is held back, as it stands.
    pub fn flush(&mut self, mut hand_on: impl FnMut(Piece<'_>)) {
        while !self.held.is_empty() {
            self.let_go(&mut hand_on);
        }
    }

    fn is_full(&self) -> bool {
        self.held_bytes > HELD_BYTES_MAX || self.held.len() > HELD_LINES_MAX
    }

    /// Begins with the first line if it is open and most of what is held is its own; tells whether it did.
    fn begin(&mut self, hand_on: &mut impl FnMut(Piece<'_>)) -> bool {
        let Some(held) = self.held.front_mut().filter(|held| held.open && !held.begun) else { return false };
        if held.record.message.len() < HELD_BYTES_MAX / 2 {
            return false;
        }
        hand_on(Piece::First(RecordRef { flags: Flags::NONE, ..held.record.as_ref() }));
        self.held_bytes -= held.record.message.len();
        held.record.message = Vec::new();
        held.begun = true;
        true
    }

    fn let_go(&mut self, hand_on: &mut impl FnMut(Piece<'_>)) {
        if let Some(held) = self.held.pop_front() {
            self.held_bytes -= held.record.message.len();
            hand_on(if held.begun { Piece::Last } else { Piece::Line(held.record.as_ref()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_record::{Level, Time};

    fn record(stream: Stream, flags: Flags, message: &[u8]) -> RecordRef<'_> {
        let (run, time) = (RunId::from_bytes([1; 16]), Time::from_micros(0));
        RecordRef { run, seq: 1, time, origin_time_ns: None, stream, level: Level::Info, flags, message, fields: None }
    }

    fn joined(parts: &[RecordRef<'_>]) -> Vec<String> {
        let (mut joiner, mut lines) = (Joiner::default(), Vec::new());
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Line(line) | Piece::First(line) => {
                let mark = if line.flags.has(Flags::CONTINUED) { "…" } else { "" };
                lines.push(format!("{}{mark}", String::from_utf8_lossy(line.message)));
            }
            Piece::More(part) => *lines.last_mut().unwrap() += &String::from_utf8_lossy(part.message),
            Piece::Last => {}
        };
        parts.iter().for_each(|part| joiner.push(part, &mut take));
        joiner.flush(&mut take);
        assert_eq!(joiner.held_bytes, 0);
        lines
    }

    #[test]
    fn a_line_stands_where_its_first_part_is() {
        let lines = joined(&[
            record(Stream::Stdout, Flags::CONTINUED, b"wait"),
            record(Stream::Stderr, Flags::NONE, b"warning"),
            record(Stream::Stdout, Flags::CONTINUED, b"ing.."),
            record(Stream::Stdout, Flags::NONE, b" done"),
            record(Stream::Stdout, Flags::NONE, b"next"),
        ]);
        assert_eq!(lines, ["waiting.. done", "warning", "next"]);
    }

    #[test]
    fn a_line_that_stays_open_holds_back_only_so_much() {
        let mut parts = vec![record(Stream::Stdout, Flags::CONTINUED, b"> ")];
        parts.extend(vec![record(Stream::Stderr, Flags::NONE, b"noise"); HELD_LINES_MAX]);
        parts.push(record(Stream::Stdout, Flags::NONE, b"answer"));
        let lines = joined(&parts);
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (HELD_LINES_MAX + 2, "> …", "noise"));
        assert_eq!(lines.last().unwrap(), "answer");
    }

    #[test]
    fn a_line_is_one_line_however_long_it_is() {
        let part = vec![b'x'; 1 << 20];
        let mut parts = Vec::new();
        for _ in 0..11 {
            parts.push(record(Stream::Stdout, Flags::CONTINUED, &part));
            parts.push(record(Stream::Stderr, Flags::NONE, b"warning"));
        }
        parts.push(record(Stream::Stdout, Flags::NONE, b"end"));
        let lines = joined(&parts);
        assert_eq!((lines.len(), lines[0].len(), lines[11].as_str()), (12, (11 << 20) + 3, "warning"));
    }

    #[test]
    fn a_gap_ends_the_open_lines_of_its_run() {
        let (mut joiner, mut count) = (Joiner::default(), 0);
        joiner.push(&record(Stream::Stdout, Flags::CONTINUED, b"> "), |_| count += 1);
        assert_eq!(count, 0);
        joiner.gap(RunId::from_bytes([1; 16]), |_| count += 1);
        assert_eq!(count, 1);
        assert!(joiner.is_empty());
    }
}

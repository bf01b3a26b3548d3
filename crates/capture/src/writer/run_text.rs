//! One run on its way into its text log: its numbers, its counts, and the lines that are not written yet.
//!
//! Writers of one run and of many have this in common. The boom file is theirs: what is lost there, this does not know.

use std::io;

use logboom_files::{
    FilesError,
    session::Counts,
    textlog::{TextBatch, TextWriter},
};
use logboom_record::{Flags, Level, Stream, Time, level, text::Prefix};

/// See the module.
pub(crate) struct RunText {
    log: Option<TextWriter>,
    prefix: Prefix,
    lines: Vec<u8>,
    lines_bytes_max: usize,
    lines_from_seq: u64,
    next_seq: u64,
    unsynced_bytes: u64,
    /// What was taken so far; the writer sets what is lost at the end.
    pub(crate) counts: Counts,
}

impl RunText {
    /// Goes on where the next record has this seq. When `lines_bytes_max` wait they should be written.
    pub(crate) fn new(log: Option<TextWriter>, next_seq: u64, lines_bytes_max: usize) -> RunText {
        RunText {
            log,
            prefix: Prefix::new(Time::default()),
            lines: Vec::new(),
            lines_bytes_max,
            lines_from_seq: next_seq,
            next_seq,
            unsynced_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// The seq of the next record.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// How many bytes were written that nobody has asked to sync.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// The level of the line that begins with this, which is counted.
    #[inline]
    pub(crate) fn level_of(&mut self, head: &[u8]) -> Level {
        let level = level::guess(head).unwrap_or_default();
        self.counts.errors += u64::from(level == Level::Error);
        self.counts.warnings += u64::from(level == Level::Warn);
        level
    }

    /// Takes a record whose message has no newline. Tells whether so much waits that it should be written.
    #[inline]
    pub(crate) fn push(&mut self, stream: Stream, level: Level, flags: Flags, time: Time, message: &[u8]) -> bool {
        self.next_seq += 1;
        self.counts.lines += u64::from(!flags.has(Flags::CONTINUED));
        if self.log.is_none() {
            return false;
        }
        self.prefix.set_time(time);
        self.prefix.push_single(&mut self.lines, stream, level, flags, message);
        self.lines.len() >= self.lines_bytes_max
    }

    /// Hands what waits to the kernel.
    ///
    /// # Errors
    /// Why it is lost; it has been counted, and is said in the log when there is room.
    pub(crate) fn flush(&mut self) -> Result<(), FilesError> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let seqs = self.lines_from_seq..self.next_seq;
        let written = log.append(&TextBatch { lines: &self.lines, seqs, time: self.prefix.time() });
        self.unsynced_bytes += self.lines.len() as u64;
        self.lines.clear();
        self.lines.shrink_to(2 * self.lines_bytes_max);
        self.lines_from_seq = self.next_seq;
        written
    }

    /// Notes that the next `count` records never came.
    ///
    /// # Errors
    /// Why that is not said in the log yet, or what was before it is lost.
    pub(crate) fn lose(&mut self, count: u64, time: Time, why: &str) -> Result<(), FilesError> {
        let written = self.flush();
        self.next_seq += count;
        let seqs = self.lines_from_seq..self.next_seq;
        self.lines_from_seq = self.next_seq;
        let Some(log) = &mut self.log else { return Ok(()) };
        log.lose(&TextBatch { lines: &[], seqs, time }, &io::Error::other(why.to_owned()));
        written.and(log.append(&TextBatch { lines: &[], seqs: self.next_seq..self.next_seq, time }))
    }

    /// How many bytes of the log are the lines of all records but the last so many, which wait; `None` where some are not there.
    pub(crate) fn written(&self) -> Option<(u64, u64)> {
        let log = self.log.as_ref().filter(|log| !log.has_unsaid_gap())?;
        Some((log.position(), self.next_seq - self.lines_from_seq))
    }

    /// The log.
    pub(crate) fn log(&self) -> Option<&TextWriter> {
        self.log.as_ref()
    }

    /// The log, for whoever tells it how a sync ended.
    pub(crate) fn log_mut(&mut self) -> Option<&mut TextWriter> {
        self.log.as_mut()
    }

    /// The log, about to be synced.
    pub(crate) fn begin_sync(&mut self) -> Option<&TextWriter> {
        self.unsynced_bytes = 0;
        self.log.as_ref()
    }

    /// Takes the log away, to be finished.
    pub(crate) fn take_log(&mut self) -> Option<TextWriter> {
        self.log.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dir: &std::path::Path) -> RunText {
        let path = dir.join("x.log");
        let file = std::fs::File::create_new(&path).unwrap();
        RunText::new(Some(TextWriter::new(file, &path)), 1, 1 << 10)
    }

    fn push(text: &mut RunText, message: &str) -> bool {
        text.push(Stream::Stdout, Level::Info, Flags::NONE, Time::from_micros(0), message.as_bytes())
    }

    #[test]
    fn a_loss_stands_where_it_was_and_takes_its_seqs() {
        let dir = tempfile::tempdir().unwrap();
        let mut text = text(dir.path());
        push(&mut text, "one");
        assert_eq!(text.written(), Some((0, 1)), "a line waits");
        text.lose(3, Time::from_micros(0), "rotated away").unwrap();
        push(&mut text, "five");
        text.flush().unwrap();
        let written = std::fs::read_to_string(dir.path().join("x.log")).unwrap();
        let lines: Vec<&str> = written.lines().map(|line| &line[28..]).collect();
        assert_eq!(lines, ["O I one", "- W lost seq 2-4: rotated away", "O I five"]);
        assert_eq!((text.next_seq(), text.written()), (6, Some((written.len() as u64, 0))));
    }

    #[test]
    fn says_when_enough_waits() {
        let dir = tempfile::tempdir().unwrap();
        let mut text = text(dir.path());
        assert!(!push(&mut text, "x"));
        assert!(push(&mut text, &"x".repeat(1 << 10)));
    }
}

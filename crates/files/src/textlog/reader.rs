//! Gives back the records of a text log, forward, with their seq.
//!
//! The text has no column for seq, and none for whether an open line goes on or ended its stream: seq is counted, over
//! gap lines too; an open line goes on unless it is the last of its stream in a run that ended. A line torn by a crash, and
//! any that somebody else wrote, is skipped and counted.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use logboom_boom::reader::open_regular;
use logboom_record::{
    Flags, Gap, Level, RECORD_BYTES_MAX, RecordRef, RunId, Stream, Time,
    text::{GapText, PREFIX_BYTES, STREAM_AT, TextLine},
};

use super::window::{Line, Window};
use crate::FilesError;

/// The most bytes of a line of ours; a longer one is somebody else's.
pub(super) const LINE_BYTES_MAX: usize = PREFIX_BYTES + RECORD_BYTES_MAX;

/// A place between two entries of a text log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextMark {
    /// Its offset in the file.
    pub offset: u64,
    /// The seq of the next record.
    pub seq: u64,
}

impl TextMark {
    /// The beginning of every text log.
    pub const START: TextMark = TextMark { offset: 0, seq: 1 };
}

/// What a text log has next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextEntry<'a> {
    /// A record.
    Record(RecordRef<'a>),
    /// Some records are lost here.
    Gap(Gap),
}

/// Whether a text log may still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its run goes on: what is torn at its end may only be late.
    Growing,
    /// Its run has an end, so that nothing will follow.
    Final,
}

/// Reads one text log. Sees what is appended meanwhile.
#[derive(Debug)]
pub struct TextReader {
    window: Window,
    path: PathBuf,
    run: RunId,
    extent: Extent,
    seq: u64,
    skipped: u64,
    /// For each stream, the offset of some record of it: those before it are not the last.
    later: [u64; 3],
    /// A message that was put together from several lines.
    joined: Vec<u8>,
}

/// An entry that has been moved over.
enum Step {
    Gap(Gap),
    Record { head: Head, flags: Flags, message: Message },
}

/// What the first line of a record tells.
#[derive(Clone, Copy)]
struct Head {
    time: Time,
    stream: Stream,
    level: Level,
    open: bool,
}

/// Where the message is.
enum Message {
    /// So many bytes, and a newline, before the window.
    Behind(usize),
    Joined,
}

impl TextReader {
    /// Opens the text log of a run at its beginning.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn open(path: &Path, run: RunId, extent: Extent) -> Result<TextReader, FilesError> {
        let file = open_regular(path).map_err(FilesError::at("read", path))?;
        let window = Window::new(file);
        Ok(TextReader { window, path: path.to_owned(), run, extent, seq: 1, skipped: 0, later: [0; 3], joined: vec![] })
    }

    /// Where it is.
    pub fn mark(&self) -> TextMark {
        TextMark { offset: self.window.offset(), seq: self.seq }
    }

    /// Goes to a place that [`TextReader::mark`] gave, be it of another reader of the same file.
    pub fn go_to(&mut self, mark: TextMark) {
        self.window.seek(mark.offset);
        self.seq = mark.seq;
    }

    /// Whether the file has these bytes there.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn has(&self, at: u64, bytes: &[u8]) -> Result<bool, FilesError> {
        self.bytes_at(at, bytes.len()).map(|found| found == bytes)
    }

    /// So many bytes of the file from there on; fewer where it ends.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn bytes_at(&self, at: u64, count: usize) -> Result<Vec<u8>, FilesError> {
        let (mut bytes, mut had) = (vec![0; count], 0);
        while had < count {
            let read = self.window.file().read_at(&mut bytes[had..], at + had as u64);
            match read.map_err(FilesError::at("read", &self.path))? {
                0 => break,
                more => had += more,
            }
        }
        bytes.truncate(had);
        Ok(bytes)
    }

    /// How many lines were no lines of ours so far, one torn at the end of an ended run included.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next entry; `None` at the end of what is written so far.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    #[expect(clippy::should_implement_trait, reason = "an entry borrows from the reader, which an Iterator's cannot")]
    pub fn next(&mut self) -> Result<Option<TextEntry<'_>>, FilesError> {
        let step = self.step().map_err(FilesError::at("read", &self.path))?;
        Ok(step.map(|step| match step {
            Step::Gap(gap) => TextEntry::Gap(gap),
            Step::Record { head, flags, message } => TextEntry::Record(self.record(head, flags, &message)),
        }))
    }

    fn record(&self, head: Head, flags: Flags, message: &Message) -> RecordRef<'_> {
        let message = match message {
            Message::Joined => &self.joined,
            Message::Behind(bytes) => &self.window.behind(bytes + 1)[..*bytes],
        };
        RecordRef {
            run: self.run,
            seq: self.seq - 1, // it has been moved over
            time: head.time,
            origin_time_ns: None,
            stream: head.stream,
            level: head.level,
            flags,
            message,
            fields: None,
        }
    }

    /// Moves over the next entry, and over what is none before it.
    fn step(&mut self) -> io::Result<Option<Step>> {
        while let Some(bytes) = self.whole_line()? {
            let line = &self.window.held()[..bytes];
            if let Some(gap) = GapText::parse(line).filter(|gap| gap.from >= self.seq) {
                let gap = self.gap(gap);
                self.window.consume(bytes + 1);
                return Ok(Some(Step::Gap(gap)));
            }
            let Some((line, stream)) = TextLine::parse(line).and_then(|line| Some((line, line.stream?))) else {
                self.skipped += 1;
                self.window.consume(bytes + 1);
                continue;
            };
            let head = Head { time: line.time, stream, level: line.level, open: line.open };
            let message = self.message(bytes)?;
            let flags = self.flags(head)?;
            self.seq += 1;
            return Ok(Some(Step::Record { head, flags, message }));
        }
        Ok(None)
    }

    /// How long the next line is that ends with a newline and could be ours.
    fn whole_line(&mut self) -> io::Result<Option<usize>> {
        loop {
            match self.window.line(LINE_BYTES_MAX)? {
                Line::Whole(bytes) => return Ok(Some(bytes)),
                Line::Torn(0) => return Ok(None),
                Line::Torn(_) if self.extent == Extent::Growing => return Ok(None), // its writer may be at it
                Line::TooLong | Line::Torn(_) => {
                    self.skipped += 1;
                    self.window.skip_line()?;
                }
            }
        }
    }

    /// The gap that a line tells. Where it begins later than counted, lines before it are damaged: they are lost too.
    fn gap(&mut self, text: GapText) -> Gap {
        let from = self.seq;
        let why = match text.from - from {
            0 => text.why,
            missing => format!("{}; {missing} lines before are damaged", text.why),
        };
        self.seq = text.to.map_or(text.from, |to| to.saturating_add(1));
        Gap { run: self.run, from, to: text.to, time: text.time, why }
    }

    /// Moves over a line of `bytes` bytes and those that go on with its message.
    fn message(&mut self, bytes: usize) -> io::Result<Message> {
        let next = bytes + 1;
        if self.window.peek(next + STREAM_AT)? != Some(b'+') {
            self.window.consume(next);
            return Ok(Message::Behind(bytes - PREFIX_BYTES));
        }
        self.joined.clear();
        self.joined.extend_from_slice(&self.window.held()[PREFIX_BYTES..bytes]);
        self.window.consume(next);
        while self.join_next()? {}
        Ok(Message::Joined)
    }

    /// Joins the next line if it goes on with the message.
    fn join_next(&mut self) -> io::Result<bool> {
        let Line::Whole(bytes) = self.window.line(LINE_BYTES_MAX)? else { return Ok(false) };
        let Some(line) = TextLine::parse(&self.window.held()[..bytes]) else { return Ok(false) };
        if line.stream.is_some() || self.joined.len() + 1 + line.message.len() > RECORD_BYTES_MAX {
            return Ok(false);
        }
        self.joined.push(b'\n');
        self.joined.extend_from_slice(line.message);
        self.window.consume(bytes + 1);
        Ok(true)
    }

    /// What the stream letter's case means for a record that has just been moved over.
    fn flags(&mut self, head: Head) -> io::Result<Flags> {
        match head.open {
            false => Ok(Flags::NONE),
            true if self.extent == Extent::Final && !self.goes_on(head.stream)? => Ok(Flags::NO_NEWLINE),
            true => Ok(Flags::CONTINUED),
        }
    }

    /// Whether there is a further record of the stream. What is found is kept, so that all the lines are looked through
    /// once at most for each stream.
    fn goes_on(&mut self, stream: Stream) -> io::Result<bool> {
        let slot = stream as usize;
        if self.later[slot] >= self.window.offset() && self.later[slot] > 0 {
            return Ok(true);
        }
        let found = match find_held(self.window.held(), stream) {
            Ok(at) => Some(self.window.offset() + at as u64),
            Err(searched) => find_in_file(self.window.file(), self.window.offset() + searched as u64, stream)?,
        };
        self.later[slot] = found.unwrap_or(0);
        Ok(found.is_some())
    }
}

/// Where a record of the stream begins, or how far there is none.
fn find_held(held: &[u8], stream: Stream) -> Result<usize, usize> {
    let mut at = 0;
    for newline in memchr::memchr_iter(b'\n', held) {
        if is_of(&held[at..newline], stream) {
            return Ok(at);
        }
        at = newline + 1;
    }
    Err(at)
}

fn find_in_file(file: &File, from: u64, stream: Stream) -> io::Result<Option<u64>> {
    let mut window = Window::new(file.try_clone()?);
    window.seek(from);
    loop {
        match window.line(LINE_BYTES_MAX)? {
            Line::Whole(bytes) if is_of(&window.held()[..bytes], stream) => return Ok(Some(window.offset())),
            Line::Whole(bytes) => window.consume(bytes + 1),
            Line::TooLong => window.skip_line()?,
            Line::Torn(_) => return Ok(None),
        }
    }
}

fn is_of(line: &[u8], stream: Stream) -> bool {
    let letter = line.get(STREAM_AT).map(u8::to_ascii_uppercase);
    letter == Some(stream.letter()) && TextLine::parse(line).is_some()
}

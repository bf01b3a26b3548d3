//! One session file: the text log of one generation of a collector, and its run in the boom file.

use std::io;

use logboom_boom as boom;
use logboom_files::{
    FilesError,
    session::Counts,
    textlog::{Syncer, TextBatch, TextWriter},
};
use logboom_record::{Flags, Level, RECORD_BYTES_MAX, RunId, Stream, Time, text::Prefix};

use crate::ring::Generation;

/// Text is handed to the kernel in pieces of about this size.
const TEXT_BUFFER_BYTES: usize = 256 << 10;

/// A file that was opened, and what is to be known of it.
pub struct NewFile {
    /// Which one of its collector it is, from 1.
    pub generation: u32,
    /// Its run.
    pub run: RunId,
    /// What the user called it.
    pub name: String,
    /// The file's own name.
    pub file_name: String,
    /// The file.
    pub text: TextWriter,
    /// When it was opened.
    pub time: Time,
}

impl NewFile {
    /// What the ring file says of it.
    pub fn as_generation(&self, boom: Option<String>) -> Generation {
        let (number, run, started_at, text) = (self.generation, self.run, self.time, self.file_name.clone());
        Generation { number, run, started_at, text, boom, name: self.name.clone() }
    }
}

/// A record on its way to the files.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// When the call was made.
    pub time: Time,
    /// How serious it is.
    pub level: Level,
    /// Whether the level was told from the message.
    pub guessed: bool,
    /// The message; of any length.
    pub message: &'a [u8],
    /// Its fields as a JSON object.
    pub fields: Option<&'a str>,
}

/// A session file that is being written.
pub struct Output {
    /// What is known of it.
    pub new: NewFile,
    /// Its run in the boom file.
    pub slot: Option<boom::RunSlot>,
    /// What was written.
    pub counts: Counts,
    sync: Syncer,
    lines: Vec<u8>,
    from_seq: u64,
    next_seq: u64,
    prefix: Prefix,
}

impl Output {
    /// Begins with an empty file. `wake` is called when a sync in the background has ended.
    pub fn new(new: NewFile, slot: Option<boom::RunSlot>, wake: impl Fn() + Send + Sync + 'static) -> Output {
        let sync = Syncer::new(std::fs::File::sync_data, wake);
        let prefix = Prefix::new(Time::default());
        Output { new, slot, counts: Counts::default(), sync, lines: Vec::new(), from_seq: 1, next_seq: 1, prefix }
    }

    /// How many records came so far, lost ones included.
    pub fn records(&self) -> u64 {
        self.next_seq - 1
    }

    /// The seq of the next record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Takes a record; a message that is larger than a record may be comes in parts. Gives the seq of its first.
    pub fn push(&mut self, record: &NewRecord<'_>, boom: Option<&mut boom::Writer>) -> u64 {
        let seq = self.next_seq;
        self.counts.lines += 1;
        self.counts.errors += u64::from(record.level == Level::Error);
        self.counts.warnings += u64::from(record.level == Level::Warn);
        let guessed = if record.guessed { Flags::LEVEL_GUESSED } else { Flags::NONE };
        if record.message.len() <= RECORD_BYTES_MAX {
            self.push_part(record, guessed, record.message, boom);
        } else {
            self.push_parts(record, guessed, boom);
        }
        seq
    }

    #[cold]
    fn push_parts(&mut self, record: &NewRecord<'_>, guessed: Flags, mut boom: Option<&mut boom::Writer>) {
        let mut parts = record.message.chunks(RECORD_BYTES_MAX).peekable();
        let mut fields = record.fields;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_some() { guessed.with(Flags::CONTINUED) } else { guessed };
            self.push_part(&NewRecord { fields: fields.take(), ..*record }, flags, part, boom.as_deref_mut());
        }
    }

    #[inline]
    fn push_part(&mut self, record: &NewRecord<'_>, flags: Flags, message: &[u8], boom: Option<&mut boom::Writer>) {
        let NewRecord { time, level, fields, .. } = *record;
        self.next_seq += 1;
        if let (Some(boom), Some(slot)) = (boom, self.slot) {
            let stream = Stream::System;
            let new = boom::NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields };
            // Only what is too large is refused: parts are not, and fields only by a caller who makes them so.
            if boom.push(slot, &new).is_err() {
                let _ = boom.push(slot, &boom::NewRecord { fields: None, ..new });
            }
        }
        self.prefix.set_time(time);
        self.prefix.push(&mut self.lines, Stream::System, level, flags, message);
    }

    /// Whether there is so much text that it should be written now.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.lines.len() >= TEXT_BUFFER_BYTES
    }

    /// Hands the text to the kernel; false if there was none.
    ///
    /// # Errors
    /// Why it is lost; it has been counted.
    pub fn write_text(&mut self) -> Result<bool, FilesError> {
        if self.from_seq == self.next_seq {
            return Ok(false);
        }
        let batch = TextBatch { lines: &self.lines, seqs: self.from_seq..self.next_seq, time: self.prefix.time() };
        let written = match self.new.text.is_unlinked() {
            true => {
                let gone = deleted();
                self.new.text.lose(&batch, &gone);
                Err(FilesError::at("write", self.new.text.path())(gone))
            }
            false => self.new.text.append(&batch),
        };
        self.lines.clear();
        self.lines.shrink_to(2 * TEXT_BUFFER_BYTES);
        self.from_seq = self.next_seq;
        written.map(|()| true)
    }

    /// Notes records that never came here.
    pub fn lose(&mut self, count: u64, time: Time, why: &str, boom: Option<&mut boom::Writer>) {
        let written = self.write_text();
        let seqs = self.next_seq..self.next_seq + count;
        self.new.text.lose(&TextBatch { lines: &[], seqs, time }, &io::Error::other(why.to_owned()));
        self.next_seq += count;
        self.from_seq = self.next_seq;
        if let (Some(boom), Some(slot)) = (boom, self.slot) {
            boom.gap_at(slot, count, time, why);
        }
        // The loss of the text before has been counted where it happened, and comes again if it lasts.
        drop(written);
    }

    /// Whether something is lost of which the text log does not tell yet.
    pub fn has_unsaid_losses(&self) -> bool {
        self.new.text.has_unsaid_gap()
    }

    /// Writes the gap of what is lost, which else comes with the next records.
    ///
    /// # Errors
    /// Why not; it comes with the next records.
    pub fn say_losses(&mut self) -> Result<(), FilesError> {
        if !self.has_unsaid_losses() {
            return Ok(());
        }
        if self.new.text.is_unlinked() {
            return Err(FilesError::at("write", self.new.text.path())(deleted()));
        }
        let time = self.prefix.time();
        self.new.text.append(&TextBatch { lines: &[], seqs: self.next_seq..self.next_seq, time })
    }

    /// Has what was written synced in the background.
    ///
    /// # Errors
    /// If that cannot be begun.
    pub fn request_sync(&mut self) -> Result<(), FilesError> {
        self.sync.request(&self.new.text).map_err(FilesError::at("sync", self.new.text.path()))
    }

    /// Takes note of a sync in the background that has ended.
    ///
    /// # Errors
    /// Why it failed; what was not synced has become a gap.
    pub fn note_sync(&mut self) -> Result<(), FilesError> {
        self.sync.note_ended(&mut self.new.text)
    }

    /// Makes all that was pushed survive a power cut.
    ///
    /// # Errors
    /// Why something does not; it has been counted.
    pub fn sync(&mut self) -> Result<(), FilesError> {
        let written = self.write_text().and_then(|_| self.say_losses());
        let mark = self.new.text.sync_mark();
        let synced = self.new.text.file().sync_data();
        written.and(self.new.text.note_sync(mark, synced))
    }

    /// The same at the end, with the last chance to say what is missing.
    ///
    /// # Errors
    /// As [`Output::sync`].
    pub fn finish(&mut self) -> Result<(), FilesError> {
        let written = self.write_text();
        written.and(self.new.text.finish())
    }
}

fn deleted() -> io::Error {
    io::Error::other("the log was deleted while it was written")
}

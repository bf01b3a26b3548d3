//! A window that slides over a file: the bytes that are needed next, read in blocks of 1 MiB.

use std::{fs::File, io, os::unix::fs::FileExt};

/// How much is read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    /// The offset of `bytes[start]` in the file.
    offset: u64,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// How the line at the beginning of the window ends.
pub(super) enum Line {
    /// With a newline, after so many bytes.
    Whole(usize),
    /// Not within the bytes that were allowed.
    TooLong,
    /// With the file, after so many bytes.
    Torn(usize),
}

impl Window {
    pub(super) fn new(file: File) -> Window {
        Window { file, offset: 0, bytes: Vec::new(), start: 0, end: 0 }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file the window begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Begins somewhere else; nothing is read yet.
    pub(super) fn seek(&mut self, offset: u64) {
        (self.offset, self.start, self.end) = (offset, 0, 0);
    }

    /// Moves its beginning on by `count` bytes, which it holds. They stay readable until it reads on.
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// All that it holds.
    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The last `count` bytes before its beginning, consumed since it last read on.
    pub(super) fn behind(&self, count: usize) -> &[u8] {
        &self.bytes[self.start - count..self.start]
    }

    /// Finds the end of the first line, which may have at most `bytes_max` bytes.
    pub(super) fn line(&mut self, bytes_max: usize) -> io::Result<Line> {
        let mut searched = 0;
        loop {
            let held = self.held();
            match memchr::memchr(b'\n', &held[searched..]) {
                Some(at) if searched + at <= bytes_max => return Ok(Line::Whole(searched + at)),
                Some(_) => return Ok(Line::TooLong),
                None => searched = held.len(),
            }
            if searched > bytes_max {
                return Ok(Line::TooLong);
            }
            if !self.more()? {
                return Ok(Line::Torn(searched));
            }
        }
    }

    /// Moves over the first line, however long; stops at the end of the file.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let held = self.held();
            if let Some(at) = memchr::memchr(b'\n', held) {
                self.consume(at + 1);
                return Ok(());
            }
            self.consume(held.len());
            if !self.more()? {
                return Ok(());
            }
        }
    }

    /// The byte at a place in the window; `None` where the file ends before it.
    pub(super) fn peek(&mut self, at: usize) -> io::Result<Option<u8>> {
        while self.held().len() <= at && self.more()? {}
        Ok(self.held().get(at).copied())
    }

    /// Reads on; `false` at the end of the file.
    fn more(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() < self.end + BLOCK_BYTES {
            self.bytes.resize(self.end + BLOCK_BYTES, 0);
        }
        let at = self.offset + self.end as u64;
        loop {
            match self.file.read_at(&mut self.bytes[self.end..self.end + BLOCK_BYTES], at) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

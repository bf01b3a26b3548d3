//! Whether a service has printed a text: what its text log gains is looked through once.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use logboom_record::text::TextLine;
use memchr::memmem;

/// So much is read at once.
const READ_BYTES: usize = 256 << 10;
/// A line that is longer is looked through in parts; a text that stands across the places where they meet is not found.
const LINE_BYTES_MAX: usize = 1 << 20;

pub(super) struct Printed {
    file: PathBuf,
    text: Vec<u8>,
    read: u64,
    /// The beginning of a line whose end was not there yet.
    rest: Vec<u8>,
    found: bool,
}

impl Printed {
    pub(super) fn new(file: PathBuf, text: &str) -> Printed {
        Printed { file, text: text.as_bytes().to_vec(), read: 0, rest: Vec::new(), found: false }
    }

    /// Looks through what was added since the last time.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        if self.found {
            return Ok(true);
        }
        let file = File::open(&self.file)?;
        if file.metadata()?.len() < self.read {
            (self.read, self.rest) = (0, Vec::new()); // a repaired one
        }
        loop {
            let mut new = Vec::new();
            let mut part = Reader { file: &file, at: self.read }.take(READ_BYTES as u64);
            part.read_to_end(&mut new)?;
            if new.is_empty() || self.found {
                return Ok(self.found);
            }
            self.read += new.len() as u64;
            self.add(&new);
        }
    }

    fn add(&mut self, new: &[u8]) {
        self.rest.extend_from_slice(new);
        let Some(end) = memchr::memrchr(b'\n', &self.rest) else {
            if self.rest.len() > LINE_BYTES_MAX {
                self.found |= self.is_in(&self.rest);
                self.rest.clear();
            }
            return;
        };
        self.found |= self.rest[..end].split(|byte| *byte == b'\n').any(|line| self.is_in(line));
        self.rest.drain(..=end);
    }

    /// Whether a line of the log has it in its message.
    fn is_in(&self, line: &[u8]) -> bool {
        let message = TextLine::parse(line).map_or(line, |line| line.message);
        memmem::find(message, &self.text).is_some()
    }
}

struct Reader<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    #[test]
    fn a_text_is_found_in_a_message_however_the_log_grows_and_not_before_it() {
        let line = b"2026-01-02T03:04:05.123456Z O I the server is ready\n";
        for (text, want) in [("ready", true), ("the server", true), ("O I", false), ("2026", false)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("web.log");
            let mut printed = Printed::new(path.clone(), text);
            printed.look().unwrap_err();
            for byte in line {
                let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
                assert!(!printed.look().unwrap());
                file.write_all(&[*byte]).unwrap();
            }
            assert_eq!(printed.look().unwrap(), want, "{text}");
        }
    }
}

//! Whether a service has printed a text: what its text log gains is looked through once.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use logboom_record::{Stream, text::TextLine};
use memchr::memmem;

/// So much is read at once.
const READ_BYTES: usize = 256 << 10;
/// A line that is longer is looked through in parts; a text that stands across the places where they meet is not found.
const LINE_BYTES_MAX: usize = 1 << 20;

pub(super) struct Printed {
    file: PathBuf,
    text: Vec<u8>,
    read: u64,
    /// The beginning of a line of the log whose end was not there yet.
    rest: Vec<u8>,
    /// Of each stream, the end of a line that goes on: it was printed in parts.
    begun: [Vec<u8>; Stream::ALL.len()],
    found: bool,
}

impl Printed {
    pub(super) fn new(file: PathBuf, text: &str) -> Printed {
        Printed {
            file,
            text: text.as_bytes().to_vec(),
            read: 0,
            rest: Vec::new(),
            begun: Default::default(),
            found: false,
        }
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
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(new);
        let end = match memchr::memrchr(b'\n', &rest) {
            None if rest.len() > LINE_BYTES_MAX => rest.len(),
            end => end.map_or(0, |end| end + 1),
        };
        let lines = rest[..end].split_inclusive(|byte| *byte == b'\n');
        lines.for_each(|line| self.see(line.strip_suffix(b"\n").unwrap_or(line)));
        rest.drain(..end);
        self.rest = rest;
    }

    /// Looks for it in a line of the log's, behind what it goes on with.
    fn see(&mut self, line: &[u8]) {
        let (stream, is_open, message) = match TextLine::parse(line) {
            Some(TextLine { stream: Some(stream), open, message, .. }) => (stream, open, message),
            _ => (Stream::System, false, line),
        };
        let begun = &mut self.begun[stream as usize];
        begun.extend_from_slice(message);
        self.found |= memmem::find(begun, &self.text).is_some();
        let kept = if is_open { begun.len().min(self.text.len().saturating_sub(1)) } else { 0 };
        begun.drain(..begun.len() - kept);
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
    #[test]
    fn a_line_that_was_printed_in_parts_is_one_and_the_streams_are_two() {
        let stamp = "2026-01-02T03:04:05.123456Z";
        let log = format!(
            "{stamp} o I now it is rea\n{stamp} e I read\n{stamp} o I dy to \n{stamp} O I serve\n{stamp} O I  you\n"
        );
        for (text, want) in [
            ("is ready to serve", true),
            ("ready", true),
            ("read to", false),
            ("serve you", false),
            ("ready to you", false),
        ] {
            let mut printed = Printed::new(PathBuf::new(), text);
            printed.add(log.as_bytes());
            assert_eq!(printed.found, want, "{text}");
        }
    }
}

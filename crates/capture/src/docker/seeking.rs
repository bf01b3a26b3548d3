//! Finds in a container's log where what came by attached streams ends, by what that was.
//!
//! A log that rotates may have lost its beginning, so that nobody can count from there. But it is what the container printed, and the
//! last lines that came are in it once, unless they were rotated away, or are repeated.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt, path::Path};

use logboom_record::{Stream, Time};

use super::logs::{self, Entries};
use crate::{
    engine::{Container, Engine, EngineError, LogsQuery},
    services::feed::{Place, Reached, StreamPlace},
};

/// So many lines are looked for.
const LINES_MAX: usize = 20;
/// If only some of them are left at the beginning of a log, they have to be so many.
const LINES_SURE: usize = 5;
/// How much of a text log is read for them.
const TEXT_BYTES: u64 = 64 << 10;
/// Where a line of a text log has its stream, and its message.
const STREAM_AT: usize = 28;
const MESSAGE_AT: usize = 32;

/// Looks for the end of what came, of which each stream's last bytes are `last`. Gives the place behind it, by the log's time stamps;
/// none of a stream where it is not in the log, or more than once.
pub(super) async fn seek(
    container: &Container,
    engine: &Engine,
    last: &[Vec<u8>; 2],
) -> Result<[Option<StreamPlace>; 2], EngineError> {
    let mut frames = engine.logs(&container.id, container.framing(), &LogsQuery::default()).await?;
    let mut entries = Entries::new(container.framing(), Reached::default());
    let mut seekers = last.each_ref().map(|last| Seeker::of(last));
    loop {
        let (mut delivery, frame) = (logs::delivery(Time::now()), frames.next().await?);
        let pushed = match &frame {
            Some(frame) => entries.push(frame, &mut delivery),
            None => entries.settle(true, &mut delivery),
        };
        let mut rest = &delivery.bytes[..];
        for piece in &delivery.pieces {
            let (text, later) = rest.split_at_checked(piece.len as usize).unwrap_or((rest, &[]));
            rest = later;
            seekers[usize::from(piece.stream == Stream::Stderr)].take(piece.at, text);
        }
        // What is no entry is told where the log is read.
        if pushed.is_err() || frame.is_none() {
            break;
        }
    }
    Ok(seekers.map(|seeker| seeker.found()))
}

/// Finds the last lines of one stream.
struct Seeker<'a> {
    lines: Vec<&'a [u8]>,
    /// The line that has only begun.
    begun: &'a [u8],
    window: VecDeque<Vec<u8>>,
    /// The last lines were found, and this is the place behind them.
    behind: Option<Place>,
    matches: Vec<StreamPlace>,
}

impl Seeker<'_> {
    fn of(last: &[u8]) -> Seeker<'_> {
        let (whole, begun) = last.split_at(memchr::memrchr(b'\n', last).map_or(0, |end| end + 1));
        let mut lines: Vec<_> =
            whole.split_inclusive(|byte| *byte == b'\n').map(line_of).rev().take(LINES_MAX).collect();
        lines.reverse();
        Seeker { lines, begun, window: VecDeque::new(), behind: None, matches: Vec::new() }
    }

    fn take(&mut self, at: Place, entry: &[u8]) {
        if self.lines.is_empty() {
            return;
        }
        if self.behind.take().is_some() && entry.starts_with(self.begun) {
            let skip = u32::try_from(self.begun.len()).unwrap_or(u32::MAX);
            self.matches.push(StreamPlace { at, skip, in_line: true, ..StreamPlace::default() });
        }
        if self.window.len() == self.lines.len() {
            self.window.pop_front();
        }
        self.window.push_back(line_of(entry).to_vec());
        // The first of the lines may be gone: then the log begins with the others. A few may be others that only look the same.
        if (self.window.len() == self.lines.len() || self.window.len() >= LINES_SURE)
            && self.window.iter().eq(&self.lines[self.lines.len() - self.window.len()..])
        {
            let behind = Place { offset: at.offset + 1, ..at };
            match self.begun.is_empty() {
                true => self.matches.push(StreamPlace { at: behind, ..StreamPlace::default() }),
                false => self.behind = Some(behind),
            }
        }
    }

    fn found(self) -> Option<StreamPlace> {
        match &self.matches[..] {
            [] if self.lines.is_empty() && self.begun.is_empty() => Some(StreamPlace::default()),
            [one] => Some(*one),
            _ => None,
        }
    }
}

fn line_of(entry: &[u8]) -> &[u8] {
    entry.strip_suffix(b"\n").unwrap_or(entry)
}

/// What each stream printed last, out of the text log of its service, as much as there is in its last 64 KiB.
pub(super) fn last_recorded(text: &Path) -> io::Result<[Vec<u8>; 2]> {
    let file = File::open(text)?;
    let bytes = file.metadata()?.len();
    let start = bytes.saturating_sub(TEXT_BYTES);
    let mut text = vec![0; (bytes - start) as usize];
    file.read_exact_at(&mut text, start)?;
    let whole = match start {
        0 => &text[..],
        _ => &text[memchr::memchr(b'\n', &text).map_or(text.len(), |end| end + 1)..],
    };
    let mut last: [Vec<u8>; 2] = Default::default();
    for line in whole.split(|byte| *byte == b'\n').filter(|line| line.len() >= MESSAGE_AT) {
        let (stream, ends) = match line[STREAM_AT] {
            b'O' => (0, true),
            b'o' => (0, false),
            b'E' => (1, true),
            b'e' => (1, false),
            _ => continue,
        };
        last[stream].extend_from_slice(&line[MESSAGE_AT..]);
        last[stream].extend(ends.then_some(b'\n'));
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn found(last: &str, log: &[&str]) -> Option<(u64, u32)> {
        let mut seeker = Seeker::of(last.as_bytes());
        for (number, entry) in (1..).zip(log) {
            seeker.take(Place { part: number, offset: 0 }, entry.as_bytes());
        }
        seeker.found().map(|place| (place.at.part, place.skip))
    }

    #[test]
    fn the_end_is_where_the_last_lines_are_once() {
        let log = ["b\n", "c\n", "d\n", "e\n", "f\n"];
        assert_eq!(
            found("x\na\nb\nc\nd\ne\nf\n", &["a\n", "b\n", "c\n", "d\n", "e\n", "f\n"]),
            Some((6, 0)),
            "x was rotated away"
        );
        assert_eq!(found("a\nb\nc\n", &log), None, "too few to be sure");
        assert_eq!(found("a\nx\nc\n", &log), None);
        assert_eq!(found("b\nc\n", &log), Some((2, 0)));
        assert_eq!(found("b\nc\nd", &["b\n", "c\n", "de\n"]), Some((3, 1)));
        assert_eq!(found("b\nc\nd", &["b\n", "c\n", "e\n"]), None);
        assert_eq!(found("a\n", &["a\n", "a\n"]), None, "nobody knows which");
        assert_eq!(found("", &log), Some((0, 0)), "nothing came, all is new");
        assert_eq!(found("begun", &log), None);
    }

    #[test]
    fn what_came_last_stands_in_the_text_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let stamp = "2026-01-02T03:04:05.123456Z";
        let text =
            format!("{stamp} O I one\n{stamp} E W two\n{stamp} S W gone\n{stamp} - W lost seq 3: x\n{stamp} o I half");
        std::fs::write(&path, &text).unwrap();
        assert_eq!(last_recorded(&path).unwrap(), [b"one\nhalf".to_vec(), b"two\n".to_vec()]);
        std::fs::write(&path, text.repeat(2_000)).unwrap();
        assert!(last_recorded(&path).unwrap()[0].ends_with(b"half"));
    }
}

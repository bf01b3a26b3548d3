//! Follows the json-file log of one container, exactly once and through rotation.
//!
//! The engine appends to `PATH`; when that is full it renames `PATH.1` to `PATH.2` and so on, `PATH` to `PATH.1`, and
//! creates `PATH` anew. The file being read is held open, as are the newer ones that were seen (some), so that what the
//! engine removes meanwhile is still read. A file is left for the next one only when it was read to its end after the
//! next one was seen: the engine writes to one file at a time. Where a file was removed before it was seen, where
//! the only file was emptied in place, or by a power cut made shorter, [`Outcome::Lost`] says so before what comes next.
//!
//! Over restarts of logboom a file is known again by its first line ([`FileMark`]), whatever it is called by then; rotated
//! files that the engine compressed (`PATH.N.gz`) are unpacked as they are read. No thread, no waiting: [`LogFile::read`]
//! hands out what there is. [`super::tailer`] calls it for many containers.

use std::{
    collections::VecDeque,
    fmt, io,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::services::feed::{Delivery, FileMark, Place, Reached};

mod begin;
mod names;
mod pieces;
mod reading;
mod source;

use super::jsonfile::Decoder;
use begin::{Begin, FIRST_PART, begin};
use names::{Found, Names};
use pieces::Pieces;
use reading::{BUFFER_BYTES, Reading, Restart, Took};
use source::Source;

/// How many files newer than the one being read are held open. What is removed from the disk only ends being there when it
/// was read, so this bounds what a slow reader keeps there.
const NEWER_MAX: usize = 8;

/// No engine writes faster, in bytes a nanosecond: what would take longer than there was time for has not happened.
const BYTES_PER_NS_MAX: u64 = 1;

/// How far records go, and the files that they are from.
#[derive(Clone, Copy, Debug)]
pub struct Resume<'a> {
    /// What is in records.
    pub reached: Reached,
    /// The marks that came in deliveries, the last of each part: that of [`Reached::from`] and all newer ones. Some older
    /// ones (say 16) help to tell files that were read from new ones where the log was emptied by hand.
    pub files: &'a [(u64, FileMark)],
}

/// What one read brought.
#[derive(Debug)]
pub enum Outcome {
    /// A delivery, which may have no pieces. Without `more` there was nothing behind it.
    Read {
        /// Whether to read again at once.
        more: bool,
    },
    /// There is nothing new.
    Nothing,
    /// Something was lost, or cannot be ruled out to have been, before what comes next.
    Lost(Lost),
    /// Some bytes of a file are no entry.
    Damage(Damage),
    /// Everything of a finished log was read.
    Drained,
}

/// Output that the engine may have kept and removed before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The log.
    pub path: PathBuf,
    /// How it came to that.
    pub why: Why,
}

/// How output was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file to go on in was rotated away, or the one that followed it.
    RotatedAway,
    /// The file was emptied in place: by hand, or by an engine that keeps one file (20.10 renames that, too).
    Emptied,
    /// The file is shorter than it was: the machine lost its end.
    Shortened,
    /// A rotated and compressed file cannot be unpacked to its end.
    Broken,
    /// The files were removed with the container.
    Removed,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.why {
            Why::RotatedAway => write!(f, "a file of {path} was rotated away before it was read"),
            Why::Emptied => write!(f, "{path} was emptied, maybe before all of it was read"),
            Why::Shortened => write!(f, "{path} has lost its end"),
            Why::Broken => write!(f, "a compressed file of {path} is damaged"),
            Why::Removed => write!(f, "{path} was removed before all of it was read"),
        }
    }
}

/// Bytes of a log that are no entry: half of one where an engine was killed, or what a power cut left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The log.
    pub path: PathBuf,
    /// Which of its files, and where in it the bytes begin.
    pub at: Place,
    /// How many they are.
    pub bytes: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {} of {} are no entry", self.bytes, self.at.offset, self.path.display())
    }
}

/// Why a log cannot be read right now. Reading it later may succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct LogError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What reading needs beside the log itself; one for many logs.
#[derive(Debug)]
pub struct Scratch {
    buffer: Vec<u8>,
    decoder: Decoder,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { buffer: vec![0; BUFFER_BYTES], decoder: Decoder::default() }
    }
}

/// The log of one container.
///
/// ```
/// # use logboom_capture::{docker::logfile::{LogFile, Outcome, Scratch}, services::feed::Delivery};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("c-json.log");
/// # std::fs::write(&path, "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n")?;
/// let (mut log, mut scratch, mut delivery) = (LogFile::new(&path, None), Scratch::default(), Delivery::default());
/// let outcome = log.read(&mut scratch, &mut delivery)?;
/// assert!(matches!(outcome, Outcome::Read { more: false }));
/// assert_eq!(delivery.bytes, b"hello\n");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogFile {
    names: Names,
    file_bytes_max: Option<u64>,
    /// When the current file was last known not to be emptied; kept only where the size at which it is is known.
    intact_at: Option<Instant>,
    /// The marks of files that may still come, and the parts they are.
    marks: Vec<(u64, FileMark)>,
    /// What is in records; none where nothing of that comes any more.
    known: Option<Reached>,
    current: Option<Reading>,
    newer: VecDeque<Newer>,
    lost: Option<Why>,
    finishing: bool,
    /// Whether the end of the newest file was seen after the log was finished.
    ended: bool,
}

/// What a look at the files' names found.
enum Sight {
    Something,
    Nothing,
    /// They are being renamed: to be looked at again.
    Unsettled,
}

/// A file that was seen, newer than the one being read.
#[derive(Debug)]
struct Newer {
    source: Source,
    after_loss: bool,
}

impl LogFile {
    /// The log at this path (the engine's `LogPath`), from where records end. Opens nothing yet: the file may come later.
    ///
    /// Pieces of which all is in records are left out; one of which a part is comes whole.
    pub fn new(path: &Path, resume: Option<Resume<'_>>) -> LogFile {
        LogFile {
            names: Names::new(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned())),
            file_bytes_max: None,
            intact_at: None,
            marks: resume.map_or_else(Vec::new, |resume| resume.files.to_vec()),
            known: resume.map(|resume| resume.reached),
            current: None,
            newer: VecDeque::new(),
            lost: None,
            finishing: false,
            ended: false,
        }
    }

    /// With the size at which the engine rotates (`max-size`). Nothing is told to be lost where a file is emptied that was
    /// read up to there, if there was no time to fill it again; a full file that is removed may have had a successor.
    #[must_use]
    pub fn with_file_bytes_max(self, bytes: Option<u64>) -> LogFile {
        LogFile { file_bytes_max: bytes, ..self }
    }

    /// The container has ended, and the engine has written everything it printed.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Whether [`LogFile::finish`] was called.
    pub fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// The path of the newest file.
    pub fn path(&self) -> &Path {
        self.names.newest()
    }

    /// Reads what there is: at most about 256 KiB of one file, up to the first damage.
    ///
    /// # Errors
    /// [`LogError`] if a file may not be opened or cannot be read; nothing is skipped then.
    pub fn read(&mut self, scratch: &mut Scratch, into: &mut Delivery) -> Result<Outcome, LogError> {
        clear(into);
        loop {
            if let Some(why) = self.lost.take() {
                return Ok(Outcome::Lost(Lost { path: self.path().to_owned(), why }));
            }
            match self.take(scratch, into)? {
                Some(Took::Pieces { more }) => return Ok(self.read_some(more)),
                Some(Took::Damage { at, bytes }) => {
                    return Ok(Outcome::Damage(Damage { path: self.path().to_owned(), at, bytes }));
                }
                Some(Took::Changed) => self.start_over()?,
                Some(Took::Nothing) => {
                    if let Some(outcome) = self.at_end()? {
                        return Ok(outcome);
                    }
                }
                None => match self.begin()? {
                    Sight::Something => {}
                    Sight::Nothing if self.finishing => return Ok(Outcome::Drained),
                    Sight::Nothing | Sight::Unsettled => return Ok(Outcome::Nothing),
                },
            }
        }
    }

    /// Reads the current file, if there is one.
    fn take(&mut self, scratch: &mut Scratch, into: &mut Delivery) -> Result<Option<Took>, LogError> {
        let Some(reading) = &mut self.current else { return Ok(None) };
        let ended = self.ended || !self.newer.is_empty();
        let (part, now) = (reading.part, self.file_bytes_max.map(|_| Instant::now()));
        let mut pieces = Pieces { decoder: &mut scratch.decoder, into, known: &mut self.known, part };
        let took = reading.take(&mut scratch.buffer, &mut pieces, ended);
        if !matches!(took, Ok(Took::Changed) | Err(_)) {
            self.intact_at = now;
        }
        took.map(Some).map_err(|source| self.error("read", source))
    }

    fn read_some(&mut self, more: bool) -> Outcome {
        if more {
            // While they are there. An error comes again at the end of the file, and is told then.
            let _ = self.see_newer();
        }
        Outcome::Read { more }
    }

    /// The current file has nothing more: goes on with the next, or tells what there is instead.
    fn at_end(&mut self) -> Result<Option<Outcome>, LogError> {
        if self.go_on()? {
            return Ok(None);
        }
        match self.see_newer()? {
            Sight::Something => Ok(None), // the current file is read once more: no longer, now, can it have grown since
            Sight::Unsettled => Ok(Some(Outcome::Nothing)),
            Sight::Nothing if !self.finishing => Ok(Some(Outcome::Nothing)),
            Sight::Nothing if self.ended && !self.may_have_lost_newer()? => Ok(Some(Outcome::Drained)),
            Sight::Nothing => {
                self.ended = true; // and once more for the rest of a line
                Ok(None)
            }
        }
    }

    /// Goes on with the oldest of the newer files, if one was seen.
    fn go_on(&mut self) -> Result<bool, LogError> {
        let Some(mut next) = self.newer.pop_front() else { return Ok(false) };
        let part = self.part_of(&mut next.source)?.filter(|part| *part > self.part()).unwrap_or(self.next_part());
        let left = self.current.replace(Reading::new(next.source, part));
        if next.after_loss {
            self.lost = Some(Why::RotatedAway);
        } else if left.is_some_and(|left| left.source.is_broken()) {
            self.lost = Some(Why::Broken);
        }
        Ok(true)
    }

    /// What was read before is not in the current file any more.
    fn start_over(&mut self) -> Result<(), LogError> {
        let (part, path, may_have_lost) = (self.next_part(), self.path().to_owned(), self.may_have_lost_emptied());
        let Some(reading) = &mut self.current else { return Ok(()) };
        let restart = reading.start_over(part).map_err(|source| LogError { action: "read", path, source })?;
        self.lost = match restart {
            Restart::AtBeginning => may_have_lost.then_some(Why::Emptied),
            Restart::AtEnd => Some(Why::Shortened),
        };
        Ok(())
    }

    /// Whether the current file, which was emptied, may have had more than was read of it, or may have been filled and
    /// emptied once more.
    fn may_have_lost_emptied(&self) -> bool {
        let (Some(max), Some(intact_at)) = (self.file_bytes_max, self.intact_at) else { return true };
        !self.is_full() || intact_at.elapsed().as_nanos() >= u128::from(max / BYTES_PER_NS_MAX)
    }

    /// Whether the engine writes no more to the current file, and all of it was read.
    fn is_full(&self) -> bool {
        let offset = self.current.as_ref().map_or(0, Reading::offset);
        self.file_bytes_max.is_some_and(|max| offset >= max)
    }

    /// Whether the current file was full and is gone with all others, so that there may have been one that was never
    /// seen. Tells it once.
    fn may_have_lost_newer(&mut self) -> Result<bool, LogError> {
        let Some(reading) = &self.current else { return Ok(false) };
        let lost = self.is_full() && reading.source.is_unlinked().map_err(|source| self.error("look at", source))?;
        if lost {
            (self.lost, self.file_bytes_max) = (Some(Why::Removed), None);
        }
        Ok(lost)
    }

    /// Opens the newer files that there are.
    fn see_newer(&mut self) -> Result<Sight, LogError> {
        if self.newer.len() < NEWER_MAX && self.is_newest_unseen()? {
            let Some(found) = self.list()? else { return Ok(Sight::Unsettled) };
            let seen = self.position_of_newest_seen(&found)?;
            let unseen = &found[seen.map_or(0, |seen| seen + 1)..];
            self.open_newer(unseen, seen.is_none())?;
            if self.newer.is_empty() && !unseen.is_empty() {
                return Ok(Sight::Unsettled);
            }
        }
        Ok(if self.newer.is_empty() { Sight::Nothing } else { Sight::Something })
    }

    /// Whether the log's path leads to a file that was not seen, or to none for good.
    fn is_newest_unseen(&mut self) -> Result<bool, LogError> {
        match self.names.newest_inode().map_err(|source| self.error("look at", source))? {
            Some(inode) => Ok(self.newest_seen().is_none_or(|seen| seen.inode() != inode)),
            None => Ok(self.finishing), // else it is between the two halves of a rotation, or removed
        }
    }

    fn open_newer(&mut self, unseen: &[Found], mut after_loss: bool) -> Result<(), LogError> {
        for found in &unseen[..unseen.len().min(NEWER_MAX - self.newer.len())] {
            let Some(source) = self.open(found)? else { break }; // rotated just now: the rest is seen the next time
            self.newer.push_back(Newer { source, after_loss });
            after_loss = false;
        }
        Ok(())
    }

    fn newest_seen(&mut self) -> Option<&mut Source> {
        let current = self.current.as_mut().map(|reading| &mut reading.source);
        self.newer.back_mut().map(|newer| &mut newer.source).or(current)
    }

    /// Where the newest file that was seen is among those found. It may be there packed, and have another inode for that.
    fn position_of_newest_seen(&mut self, found: &[Found]) -> Result<Option<usize>, LogError> {
        let path = self.path().to_owned();
        let Some(seen) = self.newest_seen() else { return Ok(None) };
        if let Some(index) = found.iter().position(|found| found.inode == seen.inode()) {
            return Ok(Some(index));
        }
        let (mark, _) = seen.mark().map_err(|source| LogError { action: "read", path, source })?;
        for (index, found) in found.iter().enumerate().filter(|(_, found)| found.packed) {
            if let Some(mut source) = self.open(found)?
                && source.is(&mark).map_err(|source| self.error("read", source))?
            {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Opens the file to begin in, or says that something was lost.
    fn begin(&mut self) -> Result<Sight, LogError> {
        let Some(found) = self.list()? else { return Ok(Sight::Unsettled) };
        let Some(last) = found.last() else {
            let has_news = self.finishing && self.has_lost_all();
            return Ok(if has_news { Sight::Something } else { Sight::Nothing });
        };
        if last.number > 0 && !self.finishing {
            return Ok(Sight::Unsettled); // between the two halves of a rotation
        }
        let Some(parts) = self.parts_of(&found)? else { return Ok(Sight::Unsettled) };
        let reached = self.known.unwrap_or_default().from();
        let known: Vec<_> = self.marks.iter().map(|(part, _)| *part).collect();
        let begin = begin(reached, &known, &parts);
        let Some(source) = self.open(&found[begin.index.min(found.len() - 1)])? else { return Ok(Sight::Unsettled) };
        self.begin_in(source, begin)?;
        Ok(Sight::Something)
    }

    /// Which parts the files are, where that was told before. None if they are renamed meanwhile.
    fn parts_of(&self, found: &[Found]) -> Result<Option<Vec<Option<u64>>>, LogError> {
        let mut parts = Vec::new();
        for found in found {
            let Some(mut source) = self.open(found)? else { return Ok(None) };
            parts.push(self.part_of(&mut source)?);
        }
        Ok(Some(parts))
    }

    fn begin_in(&mut self, source: Source, begin: Begin) -> Result<(), LogError> {
        let mark = self.marks.iter().find(|(part, _)| *part == begin.at.part).map(|(_, mark)| *mark);
        let reading = match mark {
            Some(mark) => Reading::resume(source, begin.at, mark).map_err(|source| self.error("read", source))?,
            None => Reading::new(source, begin.at.part),
        };
        self.current = Some(reading);
        self.lost = begin.lost.then_some(Why::RotatedAway);
        Ok(())
    }

    /// Whether records were made of files of which none is left. Tells it once.
    fn has_lost_all(&mut self) -> bool {
        let some = self.known.take().is_some_and(|known| known.from().part >= FIRST_PART);
        self.lost = some.then_some(Why::Removed);
        some
    }

    /// Which part a file is, if it was told before.
    fn part_of(&self, source: &mut Source) -> Result<Option<u64>, LogError> {
        let mut part = None;
        for (known, mark) in &self.marks {
            if source.is(mark).map_err(|source| self.error("read", source))? {
                part = part.max(Some(*known));
            }
        }
        Ok(part)
    }

    fn part(&self) -> u64 {
        self.current.as_ref().map_or(FIRST_PART, |reading| reading.part)
    }

    /// The number of a file that was never told.
    fn next_part(&self) -> u64 {
        self.marks.iter().map(|(part, _)| *part).fold(self.part(), u64::max) + 1
    }

    fn list(&self) -> Result<Option<Vec<Found>>, LogError> {
        self.names.list().map_err(|source| self.error("list the files of", source))
    }

    fn open(&self, found: &Found) -> Result<Option<Source>, LogError> {
        let error = |source| LogError { action: "open", path: self.names.path_of(found), source };
        Source::open(&self.names, found).map_err(error)
    }

    fn error(&self, action: &'static str, source: io::Error) -> LogError {
        LogError { action, path: self.path().to_owned(), source }
    }
}

fn clear(delivery: &mut Delivery) {
    delivery.bytes.clear();
    delivery.pieces.clear();
    (delivery.reached, delivery.file) = (Place::default(), None);
}

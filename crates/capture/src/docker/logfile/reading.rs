//! Reading one file of a log, from an offset on.
//!
//! Each read begins a little before the offset, at bytes that were read before: if they are not the same any more, the
//! file was emptied and written anew, however long it is by now. They hold the time stamp of an entry, so that equal lines
//! are told apart.

use std::{io, mem};

use logboom_record::Time;

use super::{
    pieces::{Pieces, Step, find_entry},
    source::Source,
};
use crate::{
    docker::jsonfile::{BEGIN, ENTRY_BYTES_MAX},
    services::feed::{FileMark, Place},
};

/// How many bytes before the offset are read again.
const BEHIND_BYTES: usize = 64;
/// How much is read at once: a flood in one file must not hold up the others for long.
const READ_BYTES: usize = 256 << 10;
/// The longest read, for an entry that is longer than that.
pub(super) const BUFFER_BYTES: usize = BEHIND_BYTES + ENTRY_BYTES_MAX;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub source: Source,
    pub part: u64,
    /// Everything before is done with.
    offset: u64,
    behind: Behind,
    /// Where a line begins that is too long.
    skipping_from: Option<u64>,
    mark: Option<FileMark>,
    mark_is_final: bool,
    mark_is_told: bool,
    /// Whether more is done with than was told.
    moved: bool,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// A delivery, maybe of no pieces. Without `more` the end of the file was seen behind it.
    Pieces { more: bool },
    /// Bytes that are no entry.
    Damage { at: Place, bytes: u64 },
    /// There is nothing new.
    Nothing,
    /// What was read before is not in the file any more.
    Changed,
}

/// Where reading goes on in a file that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// It has another first line: at the beginning.
    AtBeginning,
    /// It begins as before, but is shorter: at its end. Or it is packed, and cannot change.
    AtEnd,
}

impl Reading {
    /// Reads from the beginning.
    pub fn new(source: Source, part: u64) -> Reading {
        Reading {
            source,
            part,
            offset: 0,
            behind: Behind::default(),
            skipping_from: None,
            mark: None,
            mark_is_final: false,
            mark_is_told: false,
            moved: false,
        }
    }

    /// Goes on at a place in a file whose mark was told.
    pub fn resume(source: Source, from: Place, mark: FileMark) -> io::Result<Reading> {
        let mut reading = Reading { offset: from.offset, mark: Some(mark), ..Reading::new(source, from.part) };
        reading.behind = Behind::read(&mut reading.source, from.offset)?;
        Ok(reading)
    }

    /// Goes on in the same file after it changed, as another part.
    pub fn start_over(&mut self, part: u64) -> io::Result<Restart> {
        let same = self.mark.map_or(Ok(false), |mark| self.source.is(&mark))?;
        let len = self.source.len()?;
        self.offset = match len {
            Some(len) if same => len,
            Some(_) => 0,
            None => u64::MAX, // packed, and shorter than what it was packed from
        };
        self.behind = if len.is_some() { Behind::read(&mut self.source, self.offset)? } else { Behind::default() };
        (self.part, self.skipping_from, self.moved) = (part, None, false);
        (self.mark, self.mark_is_final, self.mark_is_told) = (None, false, false);
        Ok(if self.offset == 0 { Restart::AtBeginning } else { Restart::AtEnd })
    }

    /// How many bytes are done with.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads what there is, at most [`READ_BYTES`] unless an entry is longer, up to the first damage. A file that has
    /// `ended` does not grow any more: its last line needs no newline.
    pub fn take(&mut self, buffer: &mut [u8], pieces: &mut Pieces<'_>, ended: bool) -> io::Result<Took> {
        let (len, full) = self.fill(buffer)?;
        pieces.into.time = Time::now();
        let Some(raw) = buffer[..len].strip_prefix(self.behind.bytes()) else { return Ok(Took::Changed) };
        if !self.mark_is_final && !raw.is_empty() {
            let (mark, is_final) = if self.offset == 0 { self.source.mark_of(raw) } else { self.source.mark()? };
            (self.mark, self.mark_is_final, self.mark_is_told) = (Some(mark), is_final, false);
        }
        let begin = self.skipping_from.unwrap_or(self.offset);
        let used = self.use_up(raw, pieces, ended && !full, full);
        self.advance(&buffer[..len - raw.len() + used.bytes()], used.bytes());
        match used {
            Used::Damage(_) => {
                let at = Place { part: self.part, offset: begin };
                Ok(Took::Damage { at, bytes: self.offset - begin })
            }
            Used::Entries { more, .. } => Ok(self.deliver(pieces, more || full || ended)),
        }
    }

    /// Reads into the buffer, more than usual if no line ends in that. Tells how much, and whether there may be more.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let behind = self.behind.bytes().len();
        let from = self.offset - behind as u64;
        let usual = behind + READ_BYTES;
        let len = self.source.read_at(&mut buffer[..usual], from)?;
        if len < usual || memchr::memchr(b'\n', &buffer[behind..len]).is_some() {
            return Ok((len, len == usual));
        }
        let len = self.source.read_at(buffer, from)?;
        Ok((len, len == buffer.len()))
    }

    fn use_up(&mut self, raw: &[u8], pieces: &mut Pieces<'_>, ended: bool, full: bool) -> Used {
        if self.skipping_from.is_none() {
            let used = lines(raw, pieces, self.offset, ended);
            if used.bytes() > 0 || !full {
                return used;
            }
        }
        self.skip(raw, pieces, ended)
    }

    /// Goes to the end of a line that is too long, or to the next entry in it.
    fn skip(&mut self, raw: &[u8], pieces: &Pieces<'_>, ended: bool) -> Used {
        let first = usize::from(self.skipping_from.is_none()); // it may begin as an entry does
        let begin = *self.skipping_from.get_or_insert(self.offset);
        let newline = memchr::memchr(b'\n', raw).map(|at| at + 1);
        let line = &raw[first..newline.unwrap_or(raw.len())];
        let end = find_entry(line).map(|at| first + at).or(newline).or(ended.then_some(raw.len()));
        let Some(end) = end else {
            let bytes = raw.len().saturating_sub(BEGIN.len() - 1).max(first); // the next may have begun
            return Used::Entries { bytes, more: false };
        };
        self.skipping_from = None;
        if pieces.is_told(begin) { Used::Entries { bytes: end, more: true } } else { Used::Damage(end) }
    }

    /// Has done with all of what was read, and so many bytes more than before.
    fn advance(&mut self, read: &[u8], bytes: usize) {
        self.behind = Behind::end_of(read);
        self.offset += bytes as u64;
        self.moved |= bytes > 0;
    }

    fn deliver(&mut self, pieces: &mut Pieces<'_>, more: bool) -> Took {
        if !mem::take(&mut self.moved) {
            return Took::Nothing;
        }
        pieces.reach(Place { part: self.part, offset: self.skipping_from.unwrap_or(self.offset) });
        if !mem::replace(&mut self.mark_is_told, true) {
            pieces.into.file = self.mark;
        }
        Took::Pieces { more }
    }
}

/// How far the bytes that were read are done with.
enum Used {
    /// Up to there are entries. Whether it goes on behind them.
    Entries { bytes: usize, more: bool },
    /// Up to there is damage.
    Damage(usize),
}

impl Used {
    fn bytes(&self) -> usize {
        match self {
            Used::Entries { bytes, .. } | Used::Damage(bytes) => *bytes,
        }
    }
}

/// Takes the entries, up to the first damage, or that.
fn lines(raw: &[u8], pieces: &mut Pieces<'_>, offset: u64, ended: bool) -> Used {
    let mut used = 0;
    while let Some((line, newline)) = next_line(&raw[used..], ended) {
        let all = |bytes| if bytes == line.len() { bytes + newline } else { bytes };
        match pieces.step(line, offset + used as u64) {
            Step::Taken(bytes) => used += all(bytes),
            Step::Damage(bytes) if used == 0 => return Used::Damage(all(bytes)),
            Step::Damage(_) => return Used::Entries { bytes: used, more: true },
        }
    }
    Used::Entries { bytes: used, more: false }
}

/// The next line, and how long its newline is.
#[inline]
fn next_line(raw: &[u8], ended: bool) -> Option<(&[u8], usize)> {
    match memchr::memchr(b'\n', raw) {
        Some(end) => Some((&raw[..end], 1)),
        None => (ended && !raw.is_empty()).then_some((raw, 0)),
    }
}

/// The last bytes before the offset.
#[derive(Clone, Copy, Debug)]
struct Behind {
    kept: [u8; BEHIND_BYTES],
    len: usize,
}

impl Default for Behind {
    fn default() -> Behind {
        Behind { kept: [0; BEHIND_BYTES], len: 0 }
    }
}

impl Behind {
    /// Those in a file. If it does not go that far, they will not be what the next read finds either.
    fn read(source: &mut Source, offset: u64) -> io::Result<Behind> {
        let len = offset.min(BEHIND_BYTES as u64);
        let mut behind = Behind { len: len as usize, ..Behind::default() };
        source.read_at(&mut behind.kept[..len as usize], offset - len)?;
        Ok(behind)
    }

    fn end_of(read: &[u8]) -> Behind {
        let last = &read[read.len().saturating_sub(BEHIND_BYTES)..];
        let mut behind = Behind { len: last.len(), ..Behind::default() };
        behind.kept[..last.len()].copy_from_slice(last);
        behind
    }

    fn bytes(&self) -> &[u8] {
        &self.kept[..self.len]
    }
}

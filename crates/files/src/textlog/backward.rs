//! Finds the last lines of a text log from its end, without reading the rest.
//!
//! A line's parts may have records of other streams between them, so the walk goes on above the first line that is not
//! wanted until the heads of the wanted ones are found, or for [`PARTS_BYTES_MAX`].

use std::{fs::File, io, os::unix::fs::FileExt};

use logboom_record::{
    Stream,
    text::{GapText, TextLine},
};

use super::reader::LINE_BYTES_MAX;

/// How much is read at once.
const BLOCK_BYTES: u64 = 128 << 10;

/// How far above the wanted lines their first parts are looked for.
const PARTS_BYTES_MAX: u64 = 4 << 20;

/// Where the wanted lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The offset of the first.
    pub(super) offset: u64,
    /// How many records, lost ones included, follow from there to the end.
    pub(super) records_after: u64,
    /// The seq at the offset, if a gap line below it tells.
    pub(super) seq: Option<u64>,
}

/// Finds the last `wanted` lines; offset 0 where there are no more than that.
pub(super) fn find(file: &File, wanted: usize) -> io::Result<Found> {
    let mut lines = LinesBack::new(file)?;
    let end = Found { offset: lines.end_offset(), records_after: 0, seq: None };
    let mut walk = Walk { wanted, counted: 0, seen: [false; 3], headless: [false; 3], here: end, found: end };
    while let Some((offset, line)) = lines.next()? {
        let Some(line) = line.and_then(TextLine::parse) else { continue };
        walk.here.offset = offset;
        let Some(stream) = line.stream else { continue };
        match line.gap() {
            Some(gap) => walk.pass_gap(&gap),
            None => walk.pass_record(stream, line.open),
        }
        if walk.is_done() {
            return Ok(walk.found);
        }
    }
    let all = Found { offset: 0, records_after: walk.here.records_after, seq: Some(1) };
    Ok(if walk.counted < wanted { all } else { walk.found })
}

struct Walk {
    wanted: usize,
    counted: usize,
    /// Streams of which a record has been passed.
    seen: [bool; 3],
    /// Streams of which a wanted line may have parts further up.
    headless: [bool; 3],
    here: Found,
    found: Found,
}

impl Walk {
    fn pass_gap(&mut self, gap: &GapText) {
        let lost = gap.to.map_or(0, |to| to.saturating_sub(gap.from).saturating_add(1));
        self.here.records_after = self.here.records_after.saturating_add(lost);
        self.here.seq = Some(gap.from);
    }

    fn pass_record(&mut self, stream: Stream, open: bool) {
        let slot = stream as usize;
        self.here.records_after += 1;
        self.here.seq = self.here.seq.map(|seq| seq.saturating_sub(1));
        let ends_line = !open || !self.seen[slot];
        self.seen[slot] = true;
        if ends_line {
            self.headless[slot] = self.counted < self.wanted;
            self.counted += usize::from(self.headless[slot]);
        }
        if self.headless[slot] {
            self.found = self.here;
        }
    }

    fn is_done(&self) -> bool {
        let far = self.found.offset.saturating_sub(self.here.offset) > PARTS_BYTES_MAX;
        self.counted >= self.wanted && (far || self.headless == [false; 3])
    }
}

/// The offset of a line, and its bytes without the newline; none of one that is longer than any of ours.
type Placed<'a> = (u64, Option<&'a [u8]>);

/// The lines of a file, last first.
struct LinesBack<'a> {
    file: &'a File,
    /// The offset of `bytes[0]`.
    offset: u64,
    bytes: Vec<u8>,
    /// How many of `bytes` are still to be given out; the last of them is a newline.
    end: usize,
    /// The line at the end is longer than any of ours, and its tail was thrown away.
    too_long: bool,
}

impl<'a> LinesBack<'a> {
    fn new(file: &'a File) -> io::Result<LinesBack<'a>> {
        let mut lines = LinesBack { file, offset: file.metadata()?.len(), bytes: Vec::new(), end: 0, too_long: false };
        while lines.offset > 0 {
            lines.end = 0; // what follows the last newline is torn
            lines.block_before()?;
            if let Some(newline) = memchr::memrchr(b'\n', &lines.bytes[..lines.end]) {
                lines.end = newline + 1;
                return Ok(lines);
            }
        }
        lines.end = 0;
        Ok(lines)
    }

    fn end_offset(&self) -> u64 {
        self.offset + self.end as u64
    }

    /// The line before those already given out.
    fn next(&mut self) -> io::Result<Option<Placed<'_>>> {
        if self.end == 0 && self.offset > 0 {
            self.block_before()?;
        }
        let mut line_end = self.end.checked_sub(1);
        loop {
            let searched = line_end.unwrap_or(self.end);
            if let Some(newline) = memchr::memrchr(b'\n', &self.bytes[..searched]) {
                return Ok(Some(self.give(newline + 1, line_end)));
            }
            if self.offset == 0 {
                let some = self.end > 0 || self.too_long;
                return Ok(some.then(|| self.give(0, line_end)));
            }
            if self.end > LINE_BYTES_MAX {
                (self.end, self.too_long, line_end) = (0, true, None);
            }
            let held = self.end;
            self.block_before()?;
            line_end = line_end.map(|end| end + (self.end - held));
        }
    }

    fn give(&mut self, start: usize, line_end: Option<usize>) -> Placed<'_> {
        let too_long = std::mem::take(&mut self.too_long);
        self.end = start;
        let line = line_end.filter(|_| !too_long).map(|end| &self.bytes[start..end]);
        (self.offset + start as u64, line)
    }

    /// Puts the block before in front of what is held.
    fn block_before(&mut self) -> io::Result<()> {
        let count = BLOCK_BYTES.min(self.offset);
        let mut bytes = vec![0; count as usize];
        self.file.read_exact_at(&mut bytes, self.offset - count)?;
        bytes.extend_from_slice(&self.bytes[..self.end]);
        (self.offset, self.end, self.bytes) = (self.offset - count, bytes.len(), bytes);
        Ok(())
    }
}

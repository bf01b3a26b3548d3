//! One ring of a file that is read from outside: its frames, through a window.

use std::{fs::File, io};

use super::read_at;
use crate::{
    frame::{Frame, HEAD_BYTES},
    layout::{HEAD_AT, NEXT_TAIL_AT, PAGE, RING_BYTES_MAX, RING_BYTES_MIN, RING_MAGIC, TAIL_AT},
    order::Key,
};

/// How much is read at a time; more only for a frame that is longer.
const WINDOW_BYTES: u64 = 16 << 10;

/// A ring, and how far it was read.
#[derive(Debug)]
pub(super) struct DeadRing {
    at: u64,
    index: u32,
    size: u64,
    /// Where the next frame is.
    position: u64,
    /// Where the batch ends that was being written, while it is being read.
    batch_end: Option<u64>,
    head: u64,
    window: Vec<u8>,
    window_from: u64,
    damaged: bool,
    damaged_bytes: u64,
}

/// What came of reading on.
enum Filled {
    /// The window has the bytes.
    Whole,
    /// There are none: the ring or the file ends before.
    Short,
    /// A live writer was faster; the next frame is another one.
    Moved,
}

impl DeadRing {
    /// The ring whose header is at `at`; `None` if there is none.
    pub fn read(file: &File, at: u64, index: u32, in_batch: bool) -> io::Result<Option<DeadRing>> {
        let mut about = [0; 12];
        let got = read_at(file, &mut about, at)?;
        let size = u64::from(u32::from_le_bytes([about[8], about[9], about[10], about[11]]));
        let sizes = RING_BYTES_MIN as u64..=RING_BYTES_MAX as u64;
        let fits = size.is_power_of_two() && sizes.contains(&size) && about[4..8] == index.to_le_bytes();
        if got < about.len() || about[..4] != RING_MAGIC || !fits {
            return Ok(None);
        }
        let positions = (word(file, at + TAIL_AT)?, word(file, at + NEXT_TAIL_AT)?, word(file, at + HEAD_AT)?);
        Ok(Some(DeadRing::new(at, index, size, positions, in_batch)))
    }

    fn new(at: u64, index: u32, size: u64, positions: (u64, u64, u64), in_batch: bool) -> DeadRing {
        let (tail, next_tail, head) = positions;
        let batch_end = if in_batch { next_tail } else { tail };
        let fits = tail <= batch_end && batch_end <= head && head - tail <= size && (tail | batch_end | head) % 8 == 0;
        DeadRing {
            at,
            index,
            size,
            position: tail,
            batch_end: (in_batch && fits).then_some(batch_end),
            head: if fits { head } else { tail },
            window: Vec::new(),
            window_from: tail,
            damaged: !fits,
            damaged_bytes: 0,
        }
    }

    /// Whether its numbers do not fit.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Where the next ring begins.
    pub fn end(&self) -> u64 {
        self.at + PAGE as u64 + self.size
    }

    pub fn tail_at(&self) -> u64 {
        self.at + TAIL_AT
    }

    pub fn next_tail_at(&self) -> u64 {
        self.at + NEXT_TAIL_AT
    }

    /// Up to where frames were taken.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on with what follows the batch.
    pub fn leave_batch(&mut self) {
        if let Some(end) = self.batch_end.take() {
            self.position = self.position.max(end);
        }
    }

    /// What the next frame is compared by; `None` at the end. What is no frame is passed over, as the writer does.
    pub fn key(&mut self, file: &File) -> io::Result<Option<Key>> {
        while self.left() > 0 {
            match self.fill(file, HEAD_BYTES as u64)? {
                Filled::Moved => {}
                Filled::Short => self.give_up(),
                Filled::Whole => {
                    return Ok(self.unread().first_chunk::<HEAD_BYTES>().map(|head| Key::new(head, self.index)));
                }
            }
        }
        Ok(None)
    }

    /// Takes the next frame, which has this key, into `frame`; false if it is damaged or the live writer was faster.
    pub fn take(&mut self, file: &File, key: Key, frame: &mut Vec<u8>) -> io::Result<bool> {
        if self.key(file)? != Some(key) {
            return Ok(false);
        }
        let len = self.unread().first_chunk::<4>().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
        let filled = self.fill(file, len.next_multiple_of(8))?;
        if let Filled::Moved = filled {
            return Ok(false);
        }
        let Some(bytes) = Frame::parse(self.unread()).map(|frame| frame.bytes) else {
            self.give_up();
            return Ok(false);
        };
        frame.clear();
        frame.extend_from_slice(&self.unread()[..bytes]);
        self.position += bytes as u64;
        self.forget_large_window();
        Ok(true)
    }

    /// Long frames in many rings must not add up.
    fn forget_large_window(&mut self) {
        if self.window.len() as u64 > WINDOW_BYTES {
            self.window = Vec::new();
        }
    }

    /// The bytes found damaged since the last call.
    pub fn take_damage(&mut self) -> u64 {
        std::mem::take(&mut self.damaged_bytes)
    }

    fn left(&self) -> u64 {
        self.batch_end.unwrap_or(self.head).saturating_sub(self.position)
    }

    fn give_up(&mut self) {
        self.damaged_bytes += self.left();
        self.position += self.left();
    }

    /// What the window holds from the next frame on, as far as it may be read.
    fn unread(&self) -> &[u8] {
        let from = self.position.checked_sub(self.window_from).unwrap_or(u64::MAX);
        let unread = usize::try_from(from).ok().and_then(|from| self.window.get(from..)).unwrap_or_default();
        &unread[..unread.len().min(self.left() as usize)]
    }

    /// Makes the window hold so many bytes from the next frame on.
    fn fill(&mut self, file: &File, bytes: u64) -> io::Result<Filled> {
        if self.unread().len() as u64 >= bytes {
            return Ok(Filled::Whole);
        }
        if bytes > self.left() {
            return Ok(Filled::Short);
        }
        self.window.clear();
        self.window.resize(bytes.max(WINDOW_BYTES).min(self.left()) as usize, 0);
        self.window_from = self.position;
        let got = self.read_around(file)?;
        self.window.truncate(got);
        if self.skip_what_moved(file)? {
            return Ok(Filled::Moved);
        }
        Ok(if got as u64 >= bytes { Filled::Whole } else { Filled::Short })
    }

    /// What a live writer has written into the text log by now may have been overwritten before it was read here.
    fn skip_what_moved(&mut self, file: &File) -> io::Result<bool> {
        let tail = word(file, self.tail_at())?;
        let moved = tail > self.position;
        self.position = tail.clamp(self.position, self.position + self.left());
        Ok(moved)
    }

    /// Fills the window, over the end of the ring to its beginning.
    fn read_around(&mut self, file: &File) -> io::Result<usize> {
        let offset = self.position & (self.size - 1);
        let first = self.window.len().min((self.size - offset) as usize);
        let data = self.at + PAGE as u64;
        let got = read_at(file, &mut self.window[..first], data + offset)?;
        if got < first {
            return Ok(got);
        }
        Ok(first + read_at(file, &mut self.window[first..], data)?)
    }
}

/// A word of the file, 0 past its end. A live writer stores it at once, but a read may see a part: so it is read until it
/// comes out the same twice.
pub(super) fn word(file: &File, at: u64) -> io::Result<u64> {
    let once = || -> io::Result<u64> {
        let mut bytes = [0; 8];
        read_at(file, &mut bytes, at)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let mut last = once()?;
    for _ in 0..8 {
        let next = once()?;
        if next == last {
            break;
        }
        last = next;
    }
    Ok(last)
}

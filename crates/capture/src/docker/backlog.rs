//! What attached streams brought and the writer has not taken yet: first in memory, then in a file.
//!
//! The engine makes a container wait whose attached reader does not read, so the reader must never wait for the writer. What
//! waits is taken in its order. The file has no name any more once it is there, so that nothing of it stays behind, however we end;
//! what is taken out of it is given back to the disk at once. Where there is no room, output is counted as lost until all that
//! waits has been taken, so that there is one gap and not one for each line.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use logboom_record::{Stream, Time};
use rustix::fs::{FallocateFlags, fallocate};

use crate::services::feed::{Delivery, Piece, Place};

/// How many bytes of one container wait in memory; the writer has 8 MiB of its own for all.
pub const MEMORY_BYTES_MAX: usize = 1 << 20;
/// How many bytes of one container wait in its file.
pub const SPILL_BYTES_MAX: u64 = 4 << 30;
/// After so many bytes taken from the file its beginning is given back.
const GIVE_BACK_BYTES: u64 = 16 << 20;

const HEAD_BYTES: usize = 16;
const PIECE_BYTES: usize = 21;

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Output.
    Delivery(Delivery),
    /// Output that found no room.
    Lost(NoRoom),
}

/// Output that found no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoRoom {
    /// When the first of it came.
    pub time: Time,
    /// How many lines, unfinished ones included.
    pub lines: u64,
    /// Why.
    pub why: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Backlog {
    dir: PathBuf,
    memory: VecDeque<Delivery>,
    memory_bytes: usize,
    spill: Option<Spill>,
    /// Behind all that waits.
    lost: Option<NoRoom>,
}

impl Backlog {
    /// Nothing waits. The file, once there is need of one, is in `dir`.
    pub fn in_dir(dir: &Path) -> Backlog {
        Backlog { dir: dir.to_owned(), memory: VecDeque::new(), memory_bytes: 0, spill: None, lost: None }
    }

    /// Takes what came last.
    pub fn push(&mut self, delivery: Delivery) {
        if let Some(lost) = &mut self.lost {
            lost.lines += lines_of(&delivery);
            return;
        }
        let is_spilling = self.spill.as_ref().is_some_and(|spill| !spill.is_empty());
        if !is_spilling && self.memory_bytes + delivery.bytes_held() <= MEMORY_BYTES_MAX {
            self.memory_bytes += delivery.bytes_held();
            self.memory.push_back(delivery);
        } else if let Err(error) = self.spill(&delivery) {
            let why = format!("no room for what waits to be written: {error}");
            self.lost = Some(NoRoom { time: delivery.time, lines: lines_of(&delivery), why });
        }
    }

    fn spill(&mut self, delivery: &Delivery) -> io::Result<()> {
        if self.spill.is_none() {
            self.spill = Some(Spill::create(&self.dir)?);
        }
        let none = || io::Error::other("there is no file");
        self.spill.as_mut().ok_or_else(none)?.push(delivery)
    }

    /// Gives what came first; `None` if nothing waits.
    pub fn pop(&mut self) -> Option<Next> {
        if let Some(delivery) = self.memory.pop_front() {
            self.memory_bytes -= delivery.bytes_held();
            return Some(Next::Delivery(delivery));
        }
        match self.spill.as_mut().and_then(Spill::pop) {
            Some(Ok(delivery)) => Some(Next::Delivery(delivery)),
            Some(Err(error)) => Some(Next::Lost(self.unread(&error))),
            None => {
                self.spill = None;
                self.lost.take().map(Next::Lost)
            }
        }
    }

    /// The file cannot be read: all in it is lost, and nobody knows how many lines.
    fn unread(&mut self, error: &io::Error) -> NoRoom {
        self.spill = None;
        NoRoom { time: Time::now(), lines: 0, why: format!("what waited in a file cannot be read: {error}") }
    }
}

fn lines_of(delivery: &Delivery) -> u64 {
    let newlines = memchr::memchr_iter(b'\n', &delivery.bytes).count() as u64;
    newlines.max(u64::from(!delivery.bytes.is_empty()))
}

/// A file from which is taken at its beginning what was added at its end.
#[derive(Debug)]
struct Spill {
    file: File,
    start: u64,
    end: u64,
    given_back: u64,
    buffer: Vec<u8>,
}

impl Spill {
    fn create(dir: &Path) -> io::Result<Spill> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = dir.join(format!(".spill-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Spill { file, start: 0, end: 0, given_back: 0, buffer: Vec::new() })
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn push(&mut self, delivery: &Delivery) -> io::Result<()> {
        self.buffer.clear();
        encode(&mut self.buffer, delivery);
        let bytes = self.buffer.len() as u64;
        if self.end - self.start + bytes > SPILL_BYTES_MAX {
            return Err(io::Error::other(format!("{} GiB wait already", SPILL_BYTES_MAX >> 30)));
        }
        self.file.write_all_at(&self.buffer, self.end)?;
        self.end += bytes;
        Ok(())
    }

    fn pop(&mut self) -> Option<io::Result<Delivery>> {
        (!self.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> io::Result<Delivery> {
        let mut head = [0; HEAD_BYTES];
        self.file.read_exact_at(&mut head, self.start)?;
        let (time, bytes, pieces) = decode_head(&head);
        self.buffer.resize(bytes + pieces * PIECE_BYTES, 0);
        self.file.read_exact_at(&mut self.buffer, self.start + HEAD_BYTES as u64)?;
        self.start += (HEAD_BYTES + self.buffer.len()) as u64;
        let (piece_bytes, bytes) = self.buffer.split_at(pieces * PIECE_BYTES);
        let pieces = piece_bytes.chunks_exact(PIECE_BYTES).map(decode_piece).collect();
        let delivery = Delivery { time, bytes: bytes.to_vec(), pieces, ..Delivery::default() };
        self.give_back();
        Ok(delivery)
    }

    fn give_back(&mut self) {
        let taken = self.start - self.given_back;
        if taken >= GIVE_BACK_BYTES {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // Where a file system cannot, the file is given back as a whole when all is taken.
            let _ = fallocate(&self.file, flags, self.given_back, taken);
            self.given_back = self.start;
        }
    }
}

fn encode(out: &mut Vec<u8>, delivery: &Delivery) {
    out.extend_from_slice(&delivery.time.as_micros().to_le_bytes());
    out.extend_from_slice(&(delivery.bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&(delivery.pieces.len() as u32).to_le_bytes());
    for piece in &delivery.pieces {
        out.push(u8::from(piece.stream == Stream::Stderr));
        out.extend_from_slice(&piece.len.to_le_bytes());
        out.extend_from_slice(&piece.at.part.to_le_bytes());
        out.extend_from_slice(&piece.at.offset.to_le_bytes());
    }
    out.extend_from_slice(&delivery.bytes);
}

fn decode_head(head: &[u8; HEAD_BYTES]) -> (Time, usize, usize) {
    let time = Time::from_micros(number(&head[..8]).cast_signed());
    (time, number(&head[8..12]) as usize, number(&head[12..]) as usize)
}

fn decode_piece(bytes: &[u8]) -> Piece {
    let stream = if bytes[0] == 0 { Stream::Stdout } else { Stream::Stderr };
    let at = Place { part: number(&bytes[5..13]), offset: number(&bytes[13..]) };
    Piece { stream, len: number(&bytes[1..5]) as u32, origin_time_ns: None, at }
}

/// At most eight bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(number: u64, bytes: usize) -> Delivery {
        let at = |stream, len, offset| Piece { stream, len, origin_time_ns: None, at: Place { part: number, offset } };
        let half = bytes / 2;
        let pieces = vec![
            at(Stream::Stdout, half as u32, 1 << 40),
            at(Stream::Stderr, (bytes - half) as u32, u64::from(u32::MAX)),
        ];
        let mut text = vec![b'x'; bytes];
        text[bytes - 1] = b'\n';
        Delivery { time: Time::from_micros(-7), bytes: text, pieces, ..Delivery::default() }
    }

    #[test]
    fn what_waits_comes_in_its_order_from_memory_and_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut backlog = Backlog::in_dir(dir.path());
        let (mut pushed, mut popped) = (0, 0);
        for burst in [3, 400, 2, 900, 1] {
            (0..burst).for_each(|more| backlog.push(delivery(pushed + more, 30_000)));
            pushed += burst;
            for _ in 0..burst / 2 {
                assert_eq!(backlog.pop(), Some(Next::Delivery(delivery(popped, 30_000))));
                popped += 1;
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nobody sees the file");
        assert!(backlog.spill.as_ref().unwrap().given_back > 0);
        while let Some(next) = backlog.pop() {
            assert_eq!(next, Next::Delivery(delivery(popped, 30_000)));
            popped += 1;
        }
        assert_eq!((popped, backlog.spill.is_none(), backlog.memory_bytes), (pushed, true, 0));
    }

    #[test]
    fn what_finds_no_room_is_counted_until_all_that_waits_is_taken() {
        let mut backlog = Backlog::in_dir(Path::new("/nowhere"));
        (0..100).for_each(|number| backlog.push(delivery(number, 30_000)));
        let mut kept = 0;
        let lost = loop {
            match backlog.pop().unwrap() {
                Next::Delivery(next) => assert_eq!(next, delivery(kept, 30_000)),
                Next::Lost(lost) => break lost,
            }
            kept += 1;
        };
        assert!(kept > 30, "{kept}");
        assert_eq!((lost.lines, lost.time), (100 - kept, Time::from_micros(-7)));
        assert!(lost.why.contains("No such file"), "{}", lost.why);
        backlog.push(delivery(7, 10));
        assert_eq!((backlog.pop(), backlog.pop()), (Some(Next::Delivery(delivery(7, 10))), None));
    }
}

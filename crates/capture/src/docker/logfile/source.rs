//! One file of a log, open: the bytes at an offset, and by what it is known again.
//!
//! A packed file is unpacked as it is read, from its beginning on: offsets are those of what was packed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use crc32c::crc32c;
use flate2::read::MultiGzDecoder;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::names::{Found, Names};
use crate::services::feed::FileMark;

/// The most bytes the checksum of a head is of.
const HEAD_BYTES_MAX: usize = u16::MAX as usize;
/// What is read first to find the end of the first line.
const HEAD_BYTES_USUAL: usize = 1 << 10;
/// How many bytes that nobody wants are unpacked at once.
const SKIP_BYTES: usize = 64 << 10;

/// A file of a log.
#[derive(Debug)]
pub(super) struct Source {
    content: Content,
    inode: u64,
}

#[derive(Debug)]
enum Content {
    Plain(File),
    Packed(Box<Packed>),
}

impl Source {
    /// Opens a file that was found. None if its name is another's by now, or nobody's.
    pub fn open(names: &Names, found: &Found) -> io::Result<Option<Source>> {
        let file = match open(&names.path_of(found)) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if metadata.ino() != found.inode || !metadata.is_file() {
            return Ok(None);
        }
        let content = if found.packed { Content::Packed(Box::new(Packed::new(file))) } else { Content::Plain(file) };
        Ok(Some(Source { content, inode: found.inode }))
    }

    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// How many bytes it has, if that is known without reading them.
    pub fn len(&self) -> io::Result<Option<u64>> {
        match &self.content {
            Content::Plain(file) => Ok(Some(file.metadata()?.len())),
            Content::Packed(_) => Ok(None),
        }
    }

    /// Whether no name leads to it any more.
    pub fn is_unlinked(&self) -> io::Result<bool> {
        match &self.content {
            Content::Plain(file) => Ok(file.metadata()?.nlink() == 0),
            Content::Packed(_) => Ok(false),
        }
    }

    /// Whether it is packed, and what is packed in it cannot be unpacked to its end.
    pub fn is_broken(&self) -> bool {
        matches!(&self.content, Content::Packed(packed) if packed.broken)
    }

    /// Reads until `out` is full or there is no more. Of a packed file offsets must not go back by more than was asked
    /// for last.
    pub fn read_at(&mut self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match &mut self.content {
            Content::Plain(file) => read_plain(file, out, offset),
            Content::Packed(packed) => packed.read_at(out, offset),
        }
    }

    /// By what the file is known again: what it begins with, up to the end of the first line that has a time stamp. Tells,
    /// too, whether the mark stays the same whatever is appended.
    pub fn mark(&mut self) -> io::Result<(FileMark, bool)> {
        let mut head = self.bytes_of_head(HEAD_BYTES_USUAL)?;
        if head.len() == HEAD_BYTES_USUAL && end_of_stamped(&head).is_none() {
            head = self.bytes_of_head(HEAD_BYTES_MAX)?;
        }
        Ok(self.mark_of(&head))
    }

    /// The mark of the file if it begins with these bytes; they are all it has, or as many as a mark may be of.
    pub fn mark_of(&self, begin: &[u8]) -> (FileMark, bool) {
        let begin = &begin[..begin.len().min(HEAD_BYTES_MAX)];
        let end = end_of_stamped(begin);
        let head = &begin[..end.unwrap_or(begin.len())];
        let head_bytes = u16::try_from(head.len()).unwrap_or(u16::MAX); // it has no more
        let is_final = end.is_some() || head.len() == HEAD_BYTES_MAX;
        (FileMark { inode: self.inode, head_bytes, head_crc: crc32c(head) }, is_final)
    }

    /// Whether the mark is of this file. A copy of it (packed, or brought back from a backup) has another inode, but a
    /// time stamp in nanoseconds is in no other.
    pub fn is(&mut self, mark: &FileMark) -> io::Result<bool> {
        let head = self.bytes_of_head(usize::from(mark.head_bytes))?;
        let same = !head.is_empty() && head.len() == usize::from(mark.head_bytes) && crc32c(&head) == mark.head_crc;
        Ok(same && (self.inode == mark.inode || end_of_stamped(&head).is_some()))
    }

    fn bytes_of_head(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; bytes];
        let len = match &mut self.content {
            Content::Plain(file) => read_plain(file, &mut head, 0)?,
            Content::Packed(packed) => packed.read_head(&mut head),
        };
        head.truncate(len);
        Ok(head)
    }
}

fn open(path: &Path) -> rustix::io::Result<File> {
    // A FIFO in the place of a log holds nobody up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    // To note that it was read, each time it has grown, costs as much as to read it. Only an owner may say not to.
    let opened = rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty());
    let opened =
        if opened.as_ref().err() == Some(&Errno::PERM) { rustix::fs::open(path, flags, Mode::empty()) } else { opened };
    opened.map(File::from)
}

/// Where the first line ends that has a time stamp. Inside a string its name would be escaped.
fn end_of_stamped(head: &[u8]) -> Option<usize> {
    let stamp = memchr::memmem::find(head, br#""time":"#)?;
    Some(stamp + memchr::memchr(b'\n', &head[stamp..])? + 1)
}

fn read_plain(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match file.read_at(&mut out[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What a packed file has, from where it is still wanted to how far it was unpacked.
#[derive(Debug)]
struct Packed {
    unpacker: MultiGzDecoder<File>,
    head: Vec<u8>,
    kept: Vec<u8>,
    kept_from: u64,
    ended: bool,
    broken: bool,
}

impl Packed {
    fn new(file: File) -> Packed {
        let unpacker = MultiGzDecoder::new(file);
        let (head, kept) = (Vec::new(), Vec::new());
        Packed { unpacker, head, kept, kept_from: 0, ended: false, broken: false }
    }

    fn read_head(&mut self, out: &mut [u8]) -> usize {
        self.keep_head();
        copy_start(&self.head, out)
    }

    fn keep_head(&mut self) {
        if self.head.is_empty() && self.kept_from == 0 {
            self.unpack(HEAD_BYTES_MAX);
            self.head = self.kept[..self.kept.len().min(HEAD_BYTES_MAX)].to_vec();
        }
    }

    fn read_at(&mut self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(mut skip) = offset.checked_sub(self.kept_from) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a packed file is read from its beginning on"));
        };
        self.keep_head();
        while skip > self.kept.len() as u64 && !self.ended {
            skip -= self.kept.len() as u64;
            self.kept_from += self.kept.len() as u64;
            self.kept.clear();
            self.unpack(SKIP_BYTES);
        }
        let dropped = self.kept.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
        self.kept.drain(..dropped);
        self.kept_from += dropped as u64;
        if (dropped as u64) < skip {
            return Ok(0);
        }
        self.unpack(out.len());
        Ok(copy_start(&self.kept, out))
    }

    /// Unpacks until so many bytes are kept, or there is no more.
    fn unpack(&mut self, bytes: usize) {
        let wanted = bytes.saturating_sub(self.kept.len());
        if wanted == 0 || self.ended {
            return;
        }
        match self.unpacker.by_ref().take(wanted as u64).read_to_end(&mut self.kept) {
            Ok(read) => self.ended = read < wanted,
            Err(_) => (self.ended, self.broken) = (true, true), // what came before the error is kept
        }
    }
}

fn copy_start(from: &[u8], out: &mut [u8]) -> usize {
    let len = from.len().min(out.len());
    out[..len].copy_from_slice(&from[..len]);
    len
}

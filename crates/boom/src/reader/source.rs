//! The boom file as bytes at offsets: heads, meta sections, and the search for the next frame after damage.
//!
//! Everything is a pread into memory of ours; lengths are checked against the file's before anything is allocated.

use std::{
    cmp::min,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, LazyLock},
};

use memchr::memmem;
use rustix::fs::{Mode, OFlags, open};

use crate::{
    BoomError,
    block::Place,
    format::{
        FileHeader, FileId, FormatError, FrameHead,
        frame::{FRAME_MAGIC, HEAD_BYTES, HEADER_BYTES},
    },
};

/// How much is read at once where the length of a meta section is not known yet: most are shorter.
const GUESS_BYTES: usize = 4_096;
/// How much is searched at once for a frame.
const SCAN_BYTES: u64 = 64 << 10;

static FORWARD: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(&FRAME_MAGIC));
static BACKWARD: LazyLock<memmem::FinderRev<'static>> = LazyLock::new(|| memmem::FinderRev::new(&FRAME_MAGIC));

/// An open boom file.
pub(crate) struct Source {
    file: File,
    pub(crate) path: Arc<Path>,
    pub(crate) id: FileId,
}

/// Opens a file to read it. Never waits, as opening a FIFO would for its writer.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`] for what is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// A frame of which head and meta section were read.
pub(crate) struct Frame {
    pub(crate) head: FrameHead,
    /// The meta section, or why it cannot be believed.
    pub(crate) meta: Result<Vec<u8>, FormatError>,
}

impl Source {
    /// Opens the file and checks its header.
    pub(crate) fn open(path: &Path) -> Result<Source, BoomError> {
        let failed = |source| BoomError::Io { action: "open", path: path.to_owned(), source };
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(BoomError::NotBoom { path: path.to_owned() });
            }
            file => file.map_err(failed)?,
        };
        let mut bytes = [0; HEADER_BYTES];
        let read = read_some(&file, &mut bytes, 0).map_err(failed)?;
        let header = header_of(path, &bytes[..read])?;
        Ok(Source { file, path: path.into(), id: header.id })
    }

    /// The descriptor, for flock.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// How many bytes the file has now.
    pub(crate) fn bytes(&self) -> Result<u64, BoomError> {
        Ok(self.file.metadata().map_err(|source| self.failed(source))?.len())
    }

    /// Fills `out` from `offset` as far as the file goes; tells how far.
    pub(crate) fn read_some(&self, out: &mut [u8], offset: u64) -> Result<usize, BoomError> {
        read_some(&self.file, out, offset).map_err(|source| self.failed(source))
    }

    /// The place `offset` of this file.
    pub(crate) fn place(&self, offset: u64) -> Place {
        Place { path: self.path.clone(), offset }
    }

    /// The head at `offset`, if one is there that ends within `file_bytes`.
    pub(crate) fn head(&self, offset: u64, file_bytes: u64) -> Result<Option<FrameHead>, BoomError> {
        let mut bytes = [0; HEAD_BYTES];
        let read = self.read_some(&mut bytes, offset)?;
        Ok(self.decode_head(&bytes[..read], offset).filter(|head| head.end() <= file_bytes))
    }

    /// The frame at `offset`, if a head is there that ends within `file_bytes`.
    pub(crate) fn frame(&self, offset: u64, file_bytes: u64) -> Result<Option<Frame>, BoomError> {
        let mut bytes = [0; GUESS_BYTES];
        let read = self.read_some(&mut bytes, offset)?;
        let Some(head) = self.decode_head(&bytes[..read], offset).filter(|head| head.end() <= file_bytes) else {
            return Ok(None);
        };
        let end = HEAD_BYTES + head.meta_bytes as usize;
        let meta = match bytes[..read].get(HEAD_BYTES..end) {
            Some(meta) => meta.to_vec(),
            None => self.read_meta(&head)?,
        };
        Ok(Some(Frame { head, meta: head.check_meta(&meta, &self.id).map(|()| meta) }))
    }

    /// The meta section of a head that was read, which ends within the file.
    fn read_meta(&self, head: &FrameHead) -> Result<Vec<u8>, BoomError> {
        let mut meta = vec![0; head.meta_bytes as usize];
        let read = self.read_some(&mut meta, head.meta_offset())?;
        meta.truncate(read);
        Ok(meta)
    }

    /// A frame's whole body, or why it cannot be believed. The head must be one that ends within the file.
    pub(crate) fn body(&self, head: &FrameHead) -> Result<Result<Vec<u8>, FormatError>, BoomError> {
        let mut body = vec![0; head.body_bytes as usize];
        let read = self.read_some(&mut body, head.meta_offset())?;
        Ok(head.check_body(&body[..read], &self.id).map(|_| ()).map(|()| body))
    }

    /// The first head at or after `from` that ends before `to`.
    pub(crate) fn next_head(&self, from: u64, to: u64) -> Result<Option<FrameHead>, BoomError> {
        let mut buffer = Vec::new();
        let mut start = from;
        while start < to {
            let bytes = self.window(&mut buffer, start, to)?;
            for at in FORWARD.find_iter(bytes) {
                if let Some(head) = self.head(start + at as u64, to)? {
                    return Ok(Some(head));
                }
            }
            start = start.saturating_add(SCAN_BYTES);
        }
        Ok(None)
    }

    /// The last head that starts at or after `from` and ends before or at `to`.
    pub(crate) fn last_head(&self, from: u64, to: u64) -> Result<Option<FrameHead>, BoomError> {
        let mut buffer = Vec::new();
        let mut end = to;
        while end > from {
            let start = end.saturating_sub(SCAN_BYTES).max(from);
            let bytes = self.window(&mut buffer, start, to)?;
            for at in BACKWARD.rfind_iter(bytes) {
                if let Some(head) = self.head(start + at as u64, to)? {
                    return Ok(Some(head));
                }
            }
            end = start;
        }
        Ok(None)
    }

    /// So many bytes from `start` that a magic which starts in the next [`SCAN_BYTES`] is whole among them.
    fn window<'b>(&self, buffer: &'b mut Vec<u8>, start: u64, to: u64) -> Result<&'b [u8], BoomError> {
        let bytes = min(SCAN_BYTES + FRAME_MAGIC.len() as u64 - 1, to - start);
        buffer.resize(bytes as usize, 0);
        let read = self.read_some(buffer, start)?;
        Ok(&buffer[..read])
    }

    fn decode_head(&self, bytes: &[u8], offset: u64) -> Option<FrameHead> {
        FrameHead::decode(bytes, &self.id, offset).ok()
    }

    fn failed(&self, source: io::Error) -> BoomError {
        BoomError::Io { action: "read", path: self.path.to_path_buf(), source }
    }
}

/// The header a boom file starts with, or why it is none.
fn header_of(path: &Path, bytes: &[u8]) -> Result<FileHeader, BoomError> {
    FileHeader::decode(bytes).map_err(|source| match FileHeader::version(bytes) {
        None => BoomError::NotBoom { path: path.to_owned() },
        Some(version) if source == FormatError::wrong("file header") => {
            BoomError::Version { path: path.to_owned(), version }
        }
        Some(_) => BoomError::Damaged { path: path.to_owned(), offset: 0, source },
    })
}

/// Fills `out` from `offset` as far as the file goes; tells how far.
pub(crate) fn read_some(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match file.read_at(&mut out[read..], offset.saturating_add(read as u64)) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

//! The header of a boom file and the heads of its frames.

use logboom_record::Time;

use super::input::{FormatError, Input};

/// How many bytes the file header has.
pub const HEADER_BYTES: usize = 64;
/// How many bytes a frame's head has.
pub const HEAD_BYTES: usize = 48;
/// The most bytes a frame's body may have: what a reader is ready to allocate.
pub const BODY_BYTES_MAX: u32 = 256 << 20;
/// No file is longer than this, so that sums of an offset and a length need no check.
const OFFSET_MAX: u64 = i64::MAX as u64;
/// What a boom file starts with.
pub const FILE_MAGIC: [u8; 8] = *b"\x89BOOM\r\n\x1a";
/// What a frame starts with.
pub const FRAME_MAGIC: [u8; 8] = [0xf5, 0x0f, 0x62, 0x6f, 0x6f, 0x6d, 0xf0, 0x5f];
/// The version of the format this code writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// The random id of one boom file: the seed of every checksum in it, so that what a program prints cannot forge a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    bytes: [u8; 16],
    seed: u32,
}

impl FileId {
    /// The id of these bytes.
    pub fn new(bytes: [u8; 16]) -> FileId {
        FileId { bytes, seed: crc32c::crc32c(&bytes) }
    }

    /// The checksum of some bytes of this file.
    pub fn crc(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed, bytes)
    }

    /// The checksum of bytes that follow each other but lie apart.
    pub fn crc_of_parts<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
        parts.into_iter().fold(self.seed, crc32c::crc32c_append)
    }
}

/// The first 64 bytes of a boom file, and of its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The file's id.
    pub id: FileId,
    /// When the file was made.
    pub created_at: Time,
}

impl FileHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&FILE_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.id.bytes);
        out[32..40].copy_from_slice(&self.created_at.as_micros().to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header from the start of `bytes`.
    ///
    /// # Errors
    /// Whatever is not a header of version 1; [`FileHeader::version`] tells a newer one.
    pub fn decode(bytes: &[u8]) -> Result<FileHeader, FormatError> {
        let mut input = Input::new("file header", bytes);
        let header: [u8; HEADER_BYTES] = input.array()?;
        let mut input = Input::new("file header", &header);
        if input.array()? != FILE_MAGIC {
            return Err(input.wrong());
        }
        if crc32c::crc32c(&header[..60]).to_le_bytes() != header[60..] {
            return Err(FormatError::checksum("file header"));
        }
        if input.u32()? != VERSION || input.u32()? != 0 {
            return Err(input.wrong());
        }
        let id = FileId::new(input.array()?);
        Ok(FileHeader { id, created_at: Time::from_micros(input.u64()?.cast_signed()) })
    }

    /// The version that a file which starts with `bytes` says it has, if it is a boom file at all.
    pub fn version(bytes: &[u8]) -> Option<u32> {
        let mut input = Input::new("file header", bytes);
        (input.array() == Ok(FILE_MAGIC)).then(|| input.u32().ok()).flatten()
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Records.
    Block = 1,
    /// What the blocks before it hold.
    Index = 2,
    /// The end of a sealed file.
    Footer = 3,
}

/// The 48 bytes before a frame's body, which is a meta section and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What the frame holds.
    pub kind: FrameKind,
    /// How many bytes its body has.
    pub body_bytes: u32,
    /// Where the frame starts in the file.
    pub offset: u64,
    /// Where the last index frame before this one starts; 0 if there is none.
    pub last_index: u64,
    /// How many of those bytes are the meta section.
    pub meta_bytes: u32,
    /// The checksum of the meta section, as [`FileId::crc`] gives it.
    pub meta_crc: u32,
    /// The checksum of the rest of the body.
    pub rest_crc: u32,
}

impl FrameHead {
    /// The head's bytes.
    pub fn encode(&self, id: &FileId) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[..8].copy_from_slice(&FRAME_MAGIC);
        out[8] = self.kind as u8;
        out[12..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[16..24].copy_from_slice(&self.offset.to_le_bytes());
        out[24..32].copy_from_slice(&self.last_index.to_le_bytes());
        out[32..36].copy_from_slice(&self.meta_bytes.to_le_bytes());
        out[36..40].copy_from_slice(&self.meta_crc.to_le_bytes());
        out[40..44].copy_from_slice(&self.rest_crc.to_le_bytes());
        let crc = id.crc(&out[..44]);
        out[44..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the head that stands at `offset` of the file from the start of `bytes`.
    ///
    /// # Errors
    /// Whatever is not a head, or is the head of another place.
    pub fn decode(bytes: &[u8], id: &FileId, offset: u64) -> Result<FrameHead, FormatError> {
        const WHAT: &str = "frame head";
        let head: [u8; HEAD_BYTES] = Input::new(WHAT, bytes).array()?;
        let mut input = Input::new(WHAT, &head);
        if input.array()? != FRAME_MAGIC {
            return Err(input.wrong());
        }
        if id.crc(&head[..44]).to_le_bytes() != head[44..] {
            return Err(FormatError::checksum(WHAT));
        }
        let kind = match input.array()? {
            [1, 0, 0, 0] => FrameKind::Block,
            [2, 0, 0, 0] => FrameKind::Index,
            [3, 0, 0, 0] => FrameKind::Footer,
            _ => return Err(input.wrong()),
        };
        let head = FrameHead {
            kind,
            body_bytes: input.u32()?,
            offset: input.u64()?,
            last_index: input.u64()?,
            meta_bytes: input.u32()?,
            meta_crc: input.u32()?,
            rest_crc: input.u32()?,
        };
        if head.meta_bytes > head.body_bytes || head.body_bytes > BODY_BYTES_MAX || head.offset > OFFSET_MAX {
            return Err(input.wrong());
        }
        if head.offset == offset {
            Ok(head)
        } else {
            Err(FormatError { what: WHAT, problem: "is that of another place" })
        }
    }

    /// Where the meta section starts in the file.
    pub fn meta_offset(&self) -> u64 {
        self.offset + HEAD_BYTES as u64
    }

    /// Where the rest of the body starts in the file.
    pub fn rest_offset(&self) -> u64 {
        self.meta_offset() + u64::from(self.meta_bytes)
    }

    /// Where the frame after this one starts.
    pub fn end(&self) -> u64 {
        self.meta_offset() + u64::from(self.body_bytes)
    }

    /// Checks the meta section.
    ///
    /// # Errors
    /// A wrong length or checksum.
    pub fn check_meta(&self, meta: &[u8], id: &FileId) -> Result<(), FormatError> {
        let fits = meta.len() == self.meta_bytes as usize && id.crc(meta) == self.meta_crc;
        if fits { Ok(()) } else { Err(FormatError::checksum("meta section")) }
    }

    /// Checks a whole body; gives its meta section and the rest.
    ///
    /// # Errors
    /// A wrong length or checksum.
    pub fn check_body<'a>(&self, body: &'a [u8], id: &FileId) -> Result<(&'a [u8], &'a [u8]), FormatError> {
        const WRONG: FormatError = FormatError::checksum("frame body");
        let (meta, rest) = body.split_at_checked(self.meta_bytes as usize).ok_or(WRONG)?;
        self.check_meta(meta, id)?;
        let fits = body.len() == self.body_bytes as usize && id.crc(rest) == self.rest_crc;
        if fits { Ok((meta, rest)) } else { Err(WRONG) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> FileId {
        FileId::new(*b"sixteen bytes id")
    }

    #[test]
    fn file_header_comes_back_and_any_flipped_byte_is_seen() {
        let header = FileHeader { id: id(), created_at: Time::from_micros(1_767_323_045_123_456) };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for at in 0..HEADER_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert!(FileHeader::decode(&flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn frame_head_comes_back_and_any_flipped_byte_is_seen() {
        let head = FrameHead {
            kind: FrameKind::Index,
            body_bytes: 77,
            offset: 4_096,
            last_index: 64,
            meta_bytes: 70,
            meta_crc: 9,
            rest_crc: 8,
        };
        let bytes = head.encode(&id());
        assert_eq!(FrameHead::decode(&bytes, &id(), 4_096), Ok(head));
        assert!(FrameHead::decode(&bytes, &id(), 4_097).is_err());
        assert!(FrameHead::decode(&bytes, &FileId::new([7; 16]), 4_096).is_err());
        for at in 0..HEAD_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 0x80;
            assert!(FrameHead::decode(&flipped, &id(), 4_096).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_body_is_checked_in_two_parts() {
        let head = FrameHead {
            kind: FrameKind::Block,
            body_bytes: 8,
            offset: 64,
            last_index: 0,
            meta_bytes: 4,
            meta_crc: id().crc(b"meta"),
            rest_crc: id().crc(b"rest"),
        };
        assert_eq!(head.check_body(b"metarest", &id()), Ok((&b"meta"[..], &b"rest"[..])));
        assert!(head.check_meta(b"meta", &id()).is_ok());
        for wrong in [&b"metaresT"[..], b"metArest", b"metares", b"met", b"metarest "] {
            assert!(head.check_body(wrong, &id()).is_err());
        }
    }

    #[test]
    fn checksum_of_parts_is_that_of_the_whole() {
        assert_eq!(id().crc(b"one two"), id().crc_of_parts([&b"one "[..], b"", b"two"]));
    }
}

//! The files of a log, as bytes to read at any place.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::PathBuf,
    thread,
};

use logboom_boom::reader::open_regular;

use super::{
    super::{
        ComponentError, compress,
        names::{Place, Stem},
    },
    Snapshot, Spot, UNPACKED_BYTES_MAX,
    backwards::ReadAt,
};

/// How much of the first line tells files apart.
const HEAD_BYTES: usize = 1_024;
/// How often the end of a file is looked at again that does not end with a line.
const LOOKS_MAX: u32 = 50;

/// One file of a log.
pub(super) enum Source {
    /// The live one, open since the snapshot; its stem if it was closed since.
    Open(File, Option<Stem>),
    /// A closed one, still to be opened.
    Closed(Stem),
}

/// What a file holds.
pub(super) enum Content {
    File(File),
    Unpacked { bytes: Vec<u8>, whole: bool },
}

impl Source {
    pub(super) fn stem(&self) -> Option<Stem> {
        match self {
            Source::Open(_, stem) => *stem,
            Source::Closed(stem) => Some(*stem),
        }
    }

    /// Its path, for people.
    pub(super) fn path(&self, place: &Place) -> PathBuf {
        self.stem().map_or_else(|| place.live(), |stem| place.plain(stem))
    }

    /// Opens and unpacks it; `None` if it was deleted.
    pub(super) fn content(&self, place: &Place, max_file_size: u64) -> Result<Option<Content>, ComponentError> {
        let stem = match self {
            Source::Open(file, _) => {
                let file = file.try_clone().map_err(ComponentError::at("open", &self.path(place)))?;
                return Ok(Some(Content::File(file)));
            }
            Source::Closed(stem) => *stem,
        };
        Ok(match open_closed(place, stem)? {
            None => None,
            Some(Form::Plain(file)) => Some(Content::File(file)),
            Some(Form::Packed(file)) => {
                let (bytes, whole) = compress::unpack(file, max_file_size.max(UNPACKED_BYTES_MAX));
                Some(Content::Unpacked { bytes, whole })
            }
        })
    }

    /// What a cursor says of it.
    pub(super) fn spot(&self, content: &Content, snapshot: &Snapshot) -> io::Result<Spot> {
        match self.stem() {
            Some(stem) => Ok(Spot::Closed(stem)),
            None => Ok(Spot::Live { after: snapshot.newest_closed(), head: content.head()? }),
        }
    }

    /// The hash of its first line; `None` if it was deleted.
    pub(super) fn head(&self, place: &Place) -> Result<Option<u64>, ComponentError> {
        let hashed = |head: io::Result<u64>| head.map(Some).map_err(ComponentError::at("read", &self.path(place)));
        let stem = match self {
            Source::Open(file, _) => return hashed(head_at(file)),
            Source::Closed(stem) => *stem,
        };
        match open_closed(place, stem)? {
            None => Ok(None),
            Some(Form::Plain(file)) => hashed(head_at(&file)),
            Some(Form::Packed(file)) => Ok(Some(hash_head(&compress::unpack_head(file, HEAD_BYTES)))),
        }
    }
}

impl Content {
    /// How far it reaches. The live file can be in the middle of a write(2), which others see page by page: then a moment later.
    pub(super) fn settled_len(&self) -> io::Result<u64> {
        let mut len = self.len()?;
        for _ in 0..LOOKS_MAX {
            let Some(last) = len.checked_sub(1) else { break };
            let mut byte = [0];
            self.read_exact_at(&mut byte, last)?;
            if byte == *b"\n" {
                break;
            }
            thread::yield_now();
            len = self.len()?;
        }
        Ok(len)
    }

    pub(super) fn is_damaged(&self) -> bool {
        matches!(self, Content::Unpacked { whole: false, .. })
    }

    fn len(&self) -> io::Result<u64> {
        match self {
            Content::File(file) => Ok(file.metadata()?.len()),
            Content::Unpacked { bytes, .. } => Ok(bytes.len() as u64),
        }
    }

    fn head(&self) -> io::Result<u64> {
        match self {
            Content::File(file) => head_at(file),
            Content::Unpacked { bytes, .. } => Ok(hash_head(bytes)),
        }
    }
}

impl ReadAt for Content {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Content::File(file) => file.read_exact_at(out, at),
            Content::Unpacked { bytes, .. } => {
                let mut rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                rest.read_exact(out)
            }
        }
    }
}

enum Form {
    Plain(File),
    Packed(File),
}

/// The compressed one has its name before the plain one loses its own: so one of them is found, unless both are deleted.
fn open_closed(place: &Place, stem: Stem) -> Result<Option<Form>, ComponentError> {
    if let Some(file) = open(place.plain(stem))? {
        return Ok(Some(Form::Plain(file)));
    }
    Ok(open(place.packed(stem))?.map(Form::Packed))
}

/// The file, if it is there.
pub(super) fn open(path: PathBuf) -> Result<Option<File>, ComponentError> {
    match open_regular(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some).map_err(ComponentError::at("open", &path)),
    }
}

fn head_at(file: &File) -> io::Result<u64> {
    let (mut bytes, mut had) = ([0; HEAD_BYTES], 0);
    while had < HEAD_BYTES {
        match file.read_at(&mut bytes[had..], had as u64)? {
            0 => break,
            more => had += more,
        }
    }
    Ok(hash_head(&bytes[..had]))
}

/// FNV-1a of the first line without its LF, at most so many bytes.
fn hash_head(bytes: &[u8]) -> u64 {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let line = memchr::memchr(b'\n', head).map_or(head, |lf| &head[..lf]);
    line.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3))
}

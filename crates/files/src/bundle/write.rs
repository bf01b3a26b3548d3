//! Writes a bundle.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::Path,
};

use logboom_boom::reader::open_regular;
use logboom_record::{SessionId, Time};
use tar::{Builder, EntryType, Header};

use super::{BundleError, Contents, Name};
use crate::{FilesError, Session};

/// zstd's fastest ordinary level: boom files are compressed already, and text logs shrink about as much with any.
const LEVEL: i32 = 1;

/// Names that are longer do not fit the header, and come in a pax record.
const HEADER_NAME_BYTES_MAX: usize = 60;

/// A file of the session, and by what it is seen whether it has changed.
#[derive(PartialEq, Eq)]
struct Part {
    name: Name,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    inode: u64,
}

/// Writes the session to `out`. The same files with the same times give the same bytes. Nothing in the session is changed.
///
/// # Errors
/// [`BundleError::Running`], [`BundleError::Changed`] and [`BundleError::Write`]; those of the session's files. What was written by
/// then is no bundle.
pub fn export(session: &Session, now: Time, out: impl Write) -> Result<Contents, BundleError> {
    if session.status(now).is_live() {
        return Err(BundleError::Running(session.id().clone()));
    }
    let (parts, left_out) = parts_of(session.dir())?;
    let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(BundleError::Write)?;
    encoder.include_checksum(true).map_err(BundleError::Write)?;
    let mut tar = Builder::new(encoder);
    for part in &parts {
        append(&mut tar, session, part).map_err(|error| unwrap_inner(error, session.id()))?;
    }
    tar.into_inner().and_then(|encoder| encoder.finish()?.flush()).map_err(BundleError::Write)?;
    // Nobody writes in a session that has ended, but for recovery, repair, and who goes on with a lost one.
    if parts_of(session.dir())?.0 != parts || session.status(now).is_live() {
        return Err(BundleError::Changed(session.id().clone()));
    }
    let bytes = parts.iter().map(|part| part.bytes).sum();
    Ok(Contents { files: parts.len() as u64, bytes, left_out })
}

/// The files of a session in order of their names, and the names of what is no file of a session.
fn parts_of(dir: &Path) -> Result<(Vec<Part>, Vec<String>), FilesError> {
    let (mut parts, mut left_out) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(FilesError::at("list", dir))? {
        let entry = entry.map_err(FilesError::at("list", dir))?;
        let found = entry.metadata().map_err(FilesError::at("look at", &entry.path()))?;
        let name = entry.file_name().into_vec();
        if !found.is_file() || name.iter().any(u8::is_ascii_control) {
            left_out.push(String::from_utf8_lossy(&name).into_owned());
        } else if !is_half_made(&name) {
            let modified = (found.mtime(), found.mtime_nsec());
            parts.push(Part { name, bytes: found.len(), modified, inode: found.ino() });
        }
    }
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    left_out.sort();
    Ok((parts, left_out))
}

/// Whether a file has no name of its own yet: what a kill left then holds nothing, and the next writer removes it.
fn is_half_made(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name == b"session.json.tmp" || (name.starts_with(b".") && (has(b".boom.") || has(b".log.ring.")))
}

fn append<W: Write>(tar: &mut Builder<W>, session: &Session, part: &Part) -> io::Result<()> {
    let path = [session.id().as_str().as_bytes(), b"/", &part.name].concat();
    let mut beyond = Vec::new();
    let (seconds, nanoseconds) = part.modified;
    let exact = format!("{seconds}.{nanoseconds:09}");
    if nanoseconds != 0 && seconds >= 0 {
        beyond.push(("mtime", exact.as_bytes()));
    }
    if part.name.len() > HEADER_NAME_BYTES_MAX {
        beyond.push(("path", &path[..]));
    }
    if !beyond.is_empty() {
        tar.append_pax_extensions(beyond)?;
    }
    let path = session.dir().join(std::ffi::OsStr::from_bytes(&part.name));
    let file = open_regular(&path).map_err(FilesError::at("read", &path)).map_err(io::Error::other)?;
    tar.append(&header(session.id(), part)?, Exactly { file, path: &path, left: part.bytes })
}

fn header(id: &SessionId, part: &Part) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    let name = &part.name[..part.name.len().min(HEADER_NAME_BYTES_MAX)];
    header.set_path(Path::new(id.as_str()).join(std::ffi::OsStr::from_bytes(name)))?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(part.bytes);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(part.modified.0).unwrap_or(0));
    header.set_cksum();
    Ok(header)
}

/// As many bytes of a file as the header has promised.
struct Exactly<'a> {
    file: File,
    path: &'a Path,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..want]);
        let count = read.map_err(FilesError::at("read", self.path)).map_err(io::Error::other)?;
        if count == 0 && want > 0 {
            return Err(io::Error::other(Shrunk));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// A file became shorter while it was read.
#[derive(Debug, thiserror::Error)]
#[error("it became shorter")]
struct Shrunk;

/// What failed: a file of the session, on its way through tar, or the bundle.
fn unwrap_inner(error: io::Error, id: &SessionId) -> BundleError {
    match error.downcast::<FilesError>() {
        Ok(FilesError::Missing { .. }) => BundleError::Changed(id.clone()),
        Ok(files) => BundleError::Files(files),
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Shrunk>()) => BundleError::Changed(id.clone()),
        Err(error) => BundleError::Write(error),
    }
}

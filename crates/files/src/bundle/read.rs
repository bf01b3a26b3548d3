//! Reads a bundle, which may be anything at all.
//!
//! Only this is taken: regular files right in one directory that is called as a session is, each once, up to the end that a tar
//! says it has, with nothing behind it.

use std::{
    ffi::OsStr,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    str,
};

use logboom_record::SessionId;
use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::{
    BundleError, Contents, FILES_MAX, Imported, Name,
    compare::Comparison,
    staging::{Added, Staging, stamp},
};
use crate::{DataDir, FilesError};

/// More than the records before a file need.
const PAX_BYTES_MAX: u64 = 8 << 10;

/// Each file may have a header of its own, and their directory an entry.
const ENTRIES_MAX: u64 = 2 * FILES_MAX + 1;

/// The longest name that a file system takes.
const NAME_BYTES_MAX: usize = 255;

/// A tar ends with two blocks of zeros.
const END_BYTES: u64 = 1_024;

/// What may follow: tar fills up its last write with zeros.
const PADDING_BYTES_MAX: u64 = 1 << 20;

/// Takes the session out of a bundle into the data dir. It appears there as a whole, or not at all. `bytes_max` is how many bytes it
/// may hold; as many as the disk has room for where nothing is said.
///
/// # Errors
/// [`BundleError::NotOne`], [`BundleError::Damaged`], [`BundleError::TooLarge`], [`BundleError::Different`]; [`FilesError::DiskFull`] and
/// others of the data dir.
pub fn import(data: &DataDir, input: impl Read, bytes_max: Option<u64>) -> Result<Imported, BundleError> {
    data.create()?;
    let decoder = zstd::stream::read::Decoder::new(input).map_err(BundleError::Damaged)?;
    let mut archive = Archive::new(Metered { inner: decoder, bytes: 0, zeros_from: 0 });
    let mut gathering = Gathering::new(data, bytes_max);
    let mut end = 0;
    for entry in archive.entries().map_err(BundleError::Damaged)?.raw(true) {
        let entry = entry.map_err(BundleError::Damaged)?;
        end = (entry.raw_file_position() + entry.size()).next_multiple_of(512);
        gathering.take(entry)?;
    }
    see_the_end(archive.into_inner(), end)?;
    gathering.finish()
}

/// Reads on to the end of the file, so that its checksum is looked at.
fn see_the_end(mut rest: Metered<impl Read>, end: u64) -> Result<(), BundleError> {
    let padding =
        io::copy(&mut (&mut rest).take(PADDING_BYTES_MAX + 1), &mut io::sink()).map_err(BundleError::Damaged)?;
    if padding > PADDING_BYTES_MAX || rest.zeros_from > end {
        return Err(BundleError::NotOne("there is something behind its end".to_owned()));
    }
    if rest.bytes < end + END_BYTES {
        return Err(BundleError::Damaged(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// Counts what is read, and where the zeros at its end begin.
struct Metered<R> {
    inner: R,
    bytes: u64,
    zeros_from: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(last) = buffer[..count].iter().rposition(|byte| *byte != 0) {
            self.zeros_from = self.bytes + last as u64 + 1;
        }
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Where the files go.
enum Place {
    /// A session that is not there yet.
    New(Staging),
    /// One that is.
    There(Comparison),
}

/// What the records before a file say of it.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    modified: Option<(u64, u32)>,
}

/// A session that is being read.
struct Gathering<'a> {
    data: &'a DataDir,
    bytes_max: Option<u64>,
    place: Option<(SessionId, Place)>,
    pax: Pax,
    contents: Contents,
    /// How many, of every type.
    entries: u64,
}

impl<'a> Gathering<'a> {
    fn new(data: &'a DataDir, bytes_max: Option<u64>) -> Gathering<'a> {
        Gathering { data, bytes_max, place: None, pax: Pax::default(), contents: Contents::default(), entries: 0 }
    }

    fn take(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), BundleError> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(BundleError::NotOne(format!("it has more than {ENTRIES_MAX} entries")));
        }
        match entry.header().entry_type() {
            EntryType::XHeader => {
                self.pax = read_pax(&mut entry)?;
                Ok(())
            }
            EntryType::Regular => self.file(entry),
            // Only logboom leaves it out.
            EntryType::Directory => self.directory(&entry.path_bytes(), entry.size()),
            kind => {
                let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                Err(BundleError::NotOne(format!(
                    "{path:?} is no regular file but of type {:?}",
                    char::from(kind.as_byte())
                )))
            }
        }
    }

    fn directory(&mut self, path: &[u8], bytes: u64) -> Result<(), BundleError> {
        self.pax = Pax::default();
        if bytes > 0 {
            return Err(BundleError::NotOne(format!("{:?} is a directory of {bytes} bytes", lossy(path))));
        }
        let id = path.strip_suffix(b"/").unwrap_or(path);
        let is_known = |id: &SessionId| self.place.as_ref().is_none_or(|(known, _)| known == id);
        match str::from_utf8(id).ok().and_then(|id| id.parse().ok()).filter(is_known) {
            Some(_) => Ok(()),
            None => Err(BundleError::NotOne(format!("{:?} is a directory", lossy(path)))),
        }
    }

    fn file(&mut self, entry: Entry<'_, impl Read>) -> Result<(), BundleError> {
        let pax = std::mem::take(&mut self.pax);
        let path = pax.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let (id, name) = split(&path)?;
        let modified = pax.modified.unwrap_or((entry.header().mtime().unwrap_or(0), 0));
        let bytes = entry.size();
        self.count(bytes)?;
        let (known, place) = match &mut self.place {
            Some(place) => place,
            None => self.place.insert((id.clone(), begin(self.data, &id)?)),
        };
        if *known != id {
            return Err(BundleError::NotOne(format!("it holds files of {known} and of {id}")));
        }
        match place {
            Place::There(comparison) => comparison.add(&name, bytes, entry),
            Place::New(staging) => {
                let file = match staging.add(&name, bytes, entry)? {
                    Added::Once(file) => file,
                    Added::Twice => return Err(BundleError::NotOne(format!("{:?} is in it twice", lossy(&path)))),
                };
                Ok(stamp(&file, modified, &self.data.session(&id).join(OsStr::from_bytes(&name)))?)
            }
        }
    }

    /// Counts a file before anything of it is written.
    fn count(&mut self, bytes: u64) -> Result<(), BundleError> {
        let bytes_max = match self.bytes_max {
            Some(bytes_max) => bytes_max,
            None => *self.bytes_max.insert(free_bytes(self.data)?),
        };
        self.contents.files += 1;
        self.contents.bytes = self.contents.bytes.saturating_add(bytes);
        match () {
            () if self.contents.bytes > bytes_max => Err(BundleError::TooLarge { bytes_max }),
            () if self.contents.files > FILES_MAX => {
                Err(BundleError::NotOne(format!("it has more than {FILES_MAX} files")))
            }
            () => Ok(()),
        }
    }

    fn finish(self) -> Result<Imported, BundleError> {
        let Some((id, place)) = self.place else {
            return Err(BundleError::NotOne("there are no files in it".to_owned()));
        };
        let was_there = matches!(place, Place::There(_));
        match place {
            Place::There(comparison) if comparison.is_same()? => {}
            Place::There(_) => return Err(BundleError::Different(id)),
            Place::New(staging) if staging.has(is_of_session) => staging.publish(self.data, &id)?,
            Place::New(_) => {
                return Err(BundleError::NotOne("it has neither a session.json nor a boom file".to_owned()));
            }
        }
        Ok(Imported { id, contents: self.contents, was_there })
    }
}

/// Whether a file of this name makes a directory a session.
fn is_of_session(name: &[u8]) -> bool {
    name == b"session.json" || (name.starts_with(b"records.") && name.ends_with(b"boom"))
}

fn begin(data: &DataDir, id: &SessionId) -> Result<Place, FilesError> {
    let dir = data.session(id);
    match dir.symlink_metadata() {
        Ok(_) => Ok(Place::There(Comparison::with(dir))),
        Err(_) => Staging::new(data, id).map(Place::New),
    }
}

fn free_bytes(data: &DataDir) -> Result<u64, FilesError> {
    let dir = data.sessions();
    let found = rustix::fs::statvfs(&dir).map_err(|error| FilesError::at("look at the disk of", &dir)(error.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The session and the file's name in `<session id>/<name>`.
fn split(path: &[u8]) -> Result<(SessionId, Name), BundleError> {
    let refused = || BundleError::NotOne(format!("{:?} is not the path of a session's file", lossy(path)));
    let at = path.iter().position(|byte| *byte == b'/').ok_or_else(refused)?;
    let (id, name) = (&path[..at], &path[at + 1..]);
    let id = str::from_utf8(id).ok().and_then(|id| id.parse().ok()).ok_or_else(refused)?;
    let is_plain = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| *byte == b'/' || byte.is_ascii_control());
    if is_plain { Ok((id, name.to_vec())) } else { Err(refused()) }
}

fn read_pax(entry: &mut Entry<'_, impl Read>) -> Result<Pax, BundleError> {
    if entry.size() > PAX_BYTES_MAX {
        return Err(BundleError::NotOne("a header in it is too long".to_owned()));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(BundleError::Damaged)?;
    let mut pax = Pax::default();
    for record in PaxExtensions::new(&bytes) {
        let record = record.map_err(BundleError::Damaged)?;
        match record.key_bytes() {
            b"path" => pax.path = Some(record.value_bytes().to_vec()),
            b"mtime" => pax.modified = record.value().ok().and_then(time_of),
            b"atime" | b"ctime" => {}
            key => return Err(BundleError::NotOne(format!("a header in it says {:?}", lossy(key)))),
        }
    }
    Ok(pax)
}

/// `1767225600.000123` in seconds and nanoseconds.
fn time_of(text: &str) -> Option<(u64, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((seconds.parse().ok()?, digits.parse().ok()?))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_right_in_a_session_is_one() {
        let id = "2026-01-02_03-04-05_8c1f03ab";
        let path = |rest: &str| split(format!("{id}{rest}").as_bytes());
        assert_eq!(path("/session.json").unwrap(), (id.parse().unwrap(), b"session.json".to_vec()));
        for rest in ["", "/", "/.", "/..", "//a", "/a/b", "/../x", "/a\0", "/a\nb", "x/a"] {
            assert!(path(rest).is_err(), "{rest:?}");
        }
        for path in ["/etc/passwd", "session.json", "../2026-01-02_03-04-05_8c1f03ab/a", "./x/a", ""] {
            assert!(split(path.as_bytes()).is_err(), "{path:?}");
        }
        assert!(path(&format!("/{}", "x".repeat(256))).is_err());
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        assert_eq!(time_of("1767225600.123456789"), Some((1_767_225_600, 123_456_789)));
        assert_eq!(time_of("5.25"), Some((5, 250_000_000)));
        assert_eq!((time_of("5"), time_of("-1"), time_of("5.x")), (Some((5, 0)), None, None));
    }
}

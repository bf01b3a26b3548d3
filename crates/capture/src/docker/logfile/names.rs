//! The files of one container's log, as they are named right now: `NAME.N` to `NAME.1`, then `NAME`; packed ones `NAME.N.gz`.
//!
//! The engine rotates by renaming each file to the next number, the oldest first, so names move while one looks. A
//! file's number only ever grows: if two looks in a row find the same, each file had its name all the time between them.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// How many looks may differ from the one before; a rotation takes a fraction of a millisecond.
const LOOKS_MAX: usize = 16;

/// What the files of a log are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    newest: PathBuf,
    dir: PathBuf,
    name: OsString,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// 0 is the newest, which has no number in its name.
    pub number: u64,
    /// Whether it is compressed.
    pub packed: bool,
    /// Its inode when it was found.
    pub inode: u64,
}

impl Names {
    pub fn new(newest: &Path) -> Names {
        let dir = newest.parent().unwrap_or(Path::new(""));
        let name = newest.file_name().unwrap_or_default().to_owned();
        Names { newest: newest.to_owned(), dir: dir.to_owned(), name }
    }

    /// The path of the newest file.
    pub fn newest(&self) -> &Path {
        &self.newest
    }

    pub fn path_of(&self, found: &Found) -> PathBuf {
        let mut path = self.newest.clone().into_os_string();
        if found.number > 0 {
            path.push(format!(".{}{}", found.number, if found.packed { ".gz" } else { "" }));
        }
        path.into()
    }

    /// The inode of the newest file. None between the two halves of a rotation, and when the container was removed.
    pub fn newest_inode(&self) -> io::Result<Option<u64>> {
        none_if_missing(fs::metadata(&self.newest)).map(|metadata| metadata.map(|metadata| metadata.ino()))
    }

    /// The files, oldest first. None if they are renamed so often that no two looks were the same.
    pub fn list(&self) -> io::Result<Option<Vec<Found>>> {
        let mut before = self.look()?;
        for _look in 0..LOOKS_MAX {
            let now = self.look()?;
            if now == before {
                return Ok(Some(now));
            }
            before = now;
        }
        Ok(None)
    }

    fn look(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in none_if_missing(fs::read_dir(&self.dir))?.into_iter().flatten() {
            let Some(entry) = none_if_missing(entry)? else { continue };
            let Some((number, packed)) = self.number_of(entry.file_name().as_bytes()) else { continue };
            let Some(metadata) = none_if_missing(fs::metadata(entry.path()))? else { continue };
            if metadata.is_file() {
                found.push(Found { number, packed, inode: metadata.ino() });
            }
        }
        found.sort_by_key(|found| (std::cmp::Reverse(found.number), found.packed));
        found.dedup_by_key(|found| found.number); // what is being packed is still there unpacked
        Ok(found)
    }

    /// The number in a file's name, and whether it ends in `.gz`.
    fn number_of(&self, name: &[u8]) -> Option<(u64, bool)> {
        let rest = name.strip_prefix(self.name.as_bytes())?;
        if rest.is_empty() {
            return Some((0, false));
        }
        let rest = rest.strip_prefix(b".")?;
        let digits = rest.strip_suffix(b".gz").unwrap_or(rest);
        let number = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some((number.parse().ok().filter(|number| *number > 0)?, digits.len() < rest.len()))
    }
}

/// What is not there is none, as is a directory that is none.
fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_from_the_oldest_and_others_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(&dir.path().join("c-json.log"));
        assert_eq!(names.list().unwrap().unwrap(), []);
        assert_eq!(names.newest_inode().unwrap(), None);
        for name in ["", ".1", ".2", ".2.gz", ".3.gz", ".10", ".x", ".01x", ".+4", ".0", ".1.bak", "2"] {
            fs::write(dir.path().join(format!("c-json.log{name}")), "").unwrap();
        }
        fs::create_dir(dir.path().join("c-json.log.7")).unwrap();
        let found = names.list().unwrap().unwrap();
        let shape: Vec<_> = found.iter().map(|found| (found.number, found.packed)).collect();
        assert_eq!(shape, [(10, false), (3, true), (2, false), (1, false), (0, false)]);
        assert_eq!(names.newest_inode().unwrap(), Some(found[4].inode));
        assert!(names.path_of(&found[1]).ends_with("c-json.log.3.gz"));
        assert_eq!(names.path_of(&found[4]), names.newest());
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_files() {
        assert_eq!(Names::new(Path::new("/nowhere/at/all/c-json.log")).list().unwrap().unwrap(), []);
        assert_eq!(Names::new(Path::new("/dev/null/c-json.log")).newest_inode().unwrap(), None);
    }
}

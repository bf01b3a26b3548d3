//! Whether a session that is there is the one that a bundle holds.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use logboom_boom::reader::open_regular;

use super::{BundleError, Name};
use crate::FilesError;

/// How much is compared at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A session that is looked at beside a bundle.
pub(super) struct Comparison {
    dir: PathBuf,
    names: BTreeSet<Name>,
    is_same: bool,
}

impl Comparison {
    pub(super) fn with(dir: PathBuf) -> Comparison {
        Comparison { dir, names: BTreeSet::new(), is_same: true }
    }

    /// Looks at one file of the bundle.
    pub(super) fn add(&mut self, name: &[u8], bytes: u64, mut content: impl Read) -> Result<(), BundleError> {
        let path = self.dir.join(std::ffi::OsStr::from_bytes(name));
        let is_new = self.names.insert(name.to_vec());
        let is_same = self.is_same && is_new && (is_lock(name) || has_content(&path, bytes, &mut content)?);
        self.is_same = is_same;
        // To its end, so that a damaged bundle is known as one.
        io::copy(&mut content, &mut io::sink()).map(drop).map_err(BundleError::Damaged)
    }

    /// Whether the session has these files and no others. Locks are empty, and come and go with who looks at it.
    pub(super) fn is_same(&self) -> Result<bool, FilesError> {
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(&self.dir).map_err(FilesError::at("list", &self.dir))? {
            there.insert(entry.map_err(FilesError::at("list", &self.dir))?.file_name().into_vec());
        }
        let files = |names: &BTreeSet<Name>| names.iter().filter(|name| !is_lock(name)).cloned().collect::<Vec<_>>();
        Ok(self.is_same && files(&there) == files(&self.names))
    }
}

fn is_lock(name: &[u8]) -> bool {
    matches!(name, b"session.lock" | b"services.lock")
}

fn has_content(path: &Path, bytes: u64, content: &mut impl Read) -> Result<bool, BundleError> {
    let mut file = match open_regular(path) {
        Ok(file) if file.metadata().is_ok_and(|found| found.len() == bytes) => file,
        Ok(_) => return Ok(false),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
            return Ok(false);
        }
        Err(error) => return Err(FilesError::at("read", path)(error).into()),
    };
    let (mut ours, mut theirs) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        content.read_exact(&mut theirs[..count]).map_err(BundleError::Damaged)?;
        file.read_exact(&mut ours[..count]).map_err(FilesError::at("read", path))?;
        if ours[..count] != theirs[..count] {
            return Ok(false);
        }
        left -= count as u64;
    }
    Ok(true)
}

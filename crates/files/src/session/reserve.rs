//! The end of a run without a boom file where a full disk has no room for new metadata.
//!
//! The metadata of a session grow with its runs, so that no room set aside for them would do for any number of ends. Each
//! such run has its own room instead, for its own end, in a file beside its text log that gets another name once it is
//! used. A run with a boom file needs none: the footer has its end.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use logboom_record::RunEnd;
use serde::{Deserialize, Serialize};

use super::Counts;
use crate::FilesError;

/// More than an end takes, and what most file systems give a file at least.
const RESERVE_BYTES: usize = 4 << 10;

/// How the name of the room ends.
const RESERVE: &str = ".reserve";
/// How it ends once an end is in it.
const END: &str = ".end";

/// What the file of a used reserve holds: the members of the run's entry that the metadata lack.
#[derive(Serialize, Deserialize)]
pub(super) struct Ended {
    pub end: RunEnd,
    #[serde(flatten)]
    pub counts: Counts,
}

/// Sets the room aside that the run of this text log needs.
pub(super) fn set_aside(dir: &Path, text: &str) -> Result<(), FilesError> {
    let path = path(dir, text, RESERVE);
    let written = File::create(&path).and_then(|mut file| file.write_all(&[0; RESERVE_BYTES]));
    written.map_err(|error| {
        // The run does not begin; a part of the room is of no use to anybody.
        let _ = fs::remove_file(&path);
        FilesError::at("write", &path)(error)
    })
}

/// Removes what is kept of a run whose end is in the metadata.
pub(super) fn give_back(dir: &Path, text: &str) {
    // It has one of the two, or none; a small file that stays harms nobody.
    [RESERVE, END].into_iter().for_each(|kind| drop(fs::remove_file(path(dir, text, kind))));
}

/// Writes an end into the room that was set aside for it; it is on the disk when this returns.
pub(super) fn use_up(dir: &Path, text: &str, ended: &Ended) -> io::Result<()> {
    let (reserve, path) = (path(dir, text, RESERVE), path(dir, text, END));
    let mut bytes = serde_json::to_vec(ended)?;
    bytes.push(b'\n');
    let mut file = OpenOptions::new().write(true).open(&reserve)?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    fs::rename(reserve, path)
}

/// The end that was written so; none where there is no such file, or one of somebody else.
pub(super) fn read(dir: &Path, text: &str) -> Option<Ended> {
    let path = path(dir, text, END);
    // To open a FIFO would wait for its writer.
    fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(RESERVE_BYTES as u64).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Whether a file of this name is room that was set aside.
pub(super) fn is_reserve(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") && name.as_encoded_bytes().ends_with(RESERVE.as_bytes())
}

/// `.<text log><kind>`, in the session's directory whatever the metadata claim.
fn path(dir: &Path, text: &str, kind: &str) -> PathBuf {
    dir.join(format!(".{}{kind}", text.replace('/', "_")))
}

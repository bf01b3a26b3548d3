//! Closed files, compressed: made aside, synced, renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use logboom_boom::reader::open_regular;

use super::{
    ComponentError,
    lock::Lock,
    names::{Place, Stem},
};
use crate::session::try_lock;

/// zstd's fastest ordinary level: JSON lines shrink about tenfold, and the call that rotates waits for it.
const LEVEL: i32 = 1;

/// Compresses the closed files that no process has open.
pub(super) fn all(place: &Place, lock: &mut Lock) -> Result<(), ComponentError> {
    for (stem, closed) in place.closed()? {
        if closed.plain.is_some() && !closed.packed {
            one(place, stem, lock)?;
        }
    }
    Ok(())
}

fn one(place: &Place, stem: Stem, lock: &mut Lock) -> Result<(), ComponentError> {
    let (plain, unfinished) = (place.plain(stem), place.unfinished(stem));
    let source = match open_regular(&plain) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()), // deleted meanwhile
        source => source.map_err(ComponentError::at("open", &plain))?,
    };
    // Its writers hold the shared lock, another one that compresses it this one.
    if !try_lock(&source).map_err(ComponentError::at("lock", &plain))? {
        return Ok(());
    }
    let packed = pack(&source, &unfinished).map_err(ComponentError::at("compress", &plain));
    let finished = packed.and_then(|()| finish(place, stem, &source, lock));
    if finished.is_err() {
        let _ = fs::remove_file(&unfinished); // the error says more
    }
    finished
}

fn pack(source: &File, to: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o440).open(to)?;
    let mut encoder = zstd::stream::write::Encoder::new(file, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut &*source, &mut encoder)?;
    encoder.finish()?.sync_all()
}

/// Puts the compressed file in the place of the plain one, unless that was deleted meanwhile.
fn finish(place: &Place, stem: Stem, source: &File, lock: &mut Lock) -> Result<(), ComponentError> {
    let (plain, unfinished, packed) = (place.plain(stem), place.unfinished(stem), place.packed(stem));
    let inode = source.metadata().map_err(ComponentError::at("look at", &plain))?.ino();
    let _held = lock.take()?;
    if plain.symlink_metadata().is_ok_and(|found| found.ino() == inode) {
        fs::rename(&unfinished, &packed).map_err(ComponentError::at("compress", &plain))?;
        return fs::remove_file(&plain).map_err(ComponentError::at("delete", &plain));
    }
    fs::remove_file(&unfinished).map_err(ComponentError::at("delete", &unfinished))
}

/// What a compressed file holds, at most `bytes_max` of it; `false` with what precedes the damage where it is damaged or longer.
pub(super) fn unpack(file: File, bytes_max: u64) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let Ok(decoder) = zstd::stream::read::Decoder::with_buffer(BufReader::new(file)) else { return (bytes, false) };
    let read = decoder.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    let whole = read.is_ok() && bytes.len() as u64 <= bytes_max;
    bytes.truncate(usize::try_from(bytes_max).unwrap_or(usize::MAX));
    (bytes, whole)
}

/// The first bytes of what a compressed file holds, as far as they can be read.
pub(super) fn unpack_head(file: File, bytes_max: usize) -> Vec<u8> {
    unpack(file, bytes_max as u64).0
}

//! Closing the live file, and deleting the oldest closed ones. All of it under the log's lock, which is asked for as a
//! witness; each step leaves what the next writer can go on from.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use logboom_record::Time;

use super::{
    ComponentError,
    lock::Held,
    names::{Closed, Place, Stem},
};

/// A closed file has no write permission: so whoever still has it open sees it by fstat(2).
const CLOSED_MODE: u32 = 0o440;

/// Whether a file with this mode is closed.
pub(super) fn is_closed(mode: u32) -> bool {
    mode & 0o222 == 0
}

/// Closes the live file; there is none afterwards. One that is closed already only gets its name.
pub(super) fn close(place: &Place, now: Time, _: &Held<'_>) -> Result<(), ComponentError> {
    let live = place.live();
    match fs::set_permissions(&live, fs::Permissions::from_mode(CLOSED_MODE)) {
        // Another user's file: who has it open finds out when the grant is used up.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        closed => closed.map_err(ComponentError::at("close", &live))?,
    }
    let newest = place.closed()?.last_key_value().map(|(stem, _)| *stem);
    let path = place.plain(Stem::next(now, newest));
    fs::rename(&live, &path).map_err(ComponentError::at("rotate", &live))
}

/// Deletes the closed files beyond the newest `keep`, and what killed writers left. What cannot be deleted is tried again at the
/// next rotation: it must not keep entries from being written.
pub(super) fn tidy(place: &Place, keep: usize, _: &Held<'_>) -> Result<(), ComponentError> {
    let closed = place.closed()?;
    let readable = closed.values().filter(|closed| closed.is_readable()).count();
    let mut surplus = readable.saturating_sub(keep);
    for (stem, closed) in closed {
        if closed.is_readable() && surplus > 0 {
            surplus -= 1;
            remove_all(place, stem);
        } else {
            remove_leftovers(place, stem, closed);
        }
    }
    Ok(())
}

fn remove_all(place: &Place, stem: Stem) {
    [place.plain(stem), place.packed(stem), place.unfinished(stem)].iter().for_each(|path| remove(path));
}

fn remove_leftovers(place: &Place, stem: Stem, closed: Closed) {
    if closed.packed && closed.plain.is_some() {
        remove(&place.plain(stem)); // killed between renaming the compressed one and this
    }
    if closed.unfinished && (closed.packed || closed.plain.is_none()) {
        remove(&place.unfinished(stem));
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

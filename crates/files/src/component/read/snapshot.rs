//! The files of a log at one moment, while others rotate it.
//!
//! The live file is opened first, then the directory is listed. If another file is the live one by then, the one that is open is
//! among the listed ones (by inode: it cannot be used again while the file is open), or everything is looked at again. A listing
//! can miss what is renamed while it is made: so two must agree.

use std::{fs::File, io, os::unix::fs::MetadataExt};

use rustix::fs::FlockOperation;

use super::{
    super::{
        ComponentError, lock,
        names::{Place, Stem},
    },
    Cursor, Spot,
    files::{Source, open},
};

/// How often it is tried before the log's lock is taken.
const TRIES_MAX: u32 = 8;

/// See the module.
pub(super) struct Snapshot {
    live: Option<Live>,
    /// The closed files that are older than `live`, oldest first.
    closed: Vec<Stem>,
}

struct Live {
    file: File,
    /// Set if it was closed meanwhile.
    stem: Option<Stem>,
}

/// Where a walk begins.
pub(super) struct Start {
    /// What to read, newest first.
    pub(super) sources: Vec<Source>,
    /// Where in the first of them to begin; `None` for its end.
    pub(super) offset: Option<u64>,
    /// Whether the file in which it was to go on is deleted.
    pub(super) gone: bool,
}

impl Snapshot {
    pub(super) fn take(place: &Place) -> Result<Snapshot, ComponentError> {
        for _ in 0..TRIES_MAX {
            if let Some(snapshot) = Snapshot::try_take(place)? {
                return Ok(snapshot);
            }
        }
        Snapshot::take_locked(place)
    }

    fn try_take(place: &Place) -> Result<Option<Snapshot>, ComponentError> {
        let live = open(place.live())?;
        let looks = Looks {
            opened: live.as_ref().map(|file| inode(file, place)).transpose()?,
            listed: list(place)?,
            again: list(place)?,
            live: open(place.live())?.map(|file| inode(&file, place)).transpose()?,
        };
        Ok(looks.agree().map(|(stem, closed)| Snapshot { live: live.map(|file| Live { file, stem }), closed }))
    }

    /// Nobody renames or deletes a file meanwhile.
    fn take_locked(place: &Place) -> Result<Snapshot, ComponentError> {
        let lock_file = open(place.lock())?;
        if let Some(file) = &lock_file {
            lock::wait(file, FlockOperation::NonBlockingLockShared, place)?;
        }
        let live = open(place.live())?.map(|file| Live { file, stem: None });
        Ok(Snapshot { live, closed: stems(&list(place)?) })
    }

    /// The newest file that was closed before the live one was begun.
    pub(super) fn newest_closed(&self) -> Option<Stem> {
        self.closed.last().copied()
    }

    /// The oldest closed file.
    pub(super) fn oldest(&self) -> Option<Stem> {
        self.closed.first().copied().or(self.live.as_ref()?.stem)
    }

    /// Whether a file that was there, and all before it, are deleted.
    pub(super) fn all_are_after(&self, stem: Stem) -> bool {
        self.oldest().is_none_or(|oldest| oldest > stem)
    }

    /// What to read from a cursor on, or from the end.
    pub(super) fn start(self: &Snapshot, place: &Place, cursor: Option<&Cursor>) -> Result<Start, ComponentError> {
        let mut sources = self.sources(place)?;
        let Some(cursor) = cursor else { return Ok(Start { sources, offset: None, gone: false }) };
        let at = match cursor.spot {
            Spot::Closed(stem) => sources.iter().position(|source| source.stem() == Some(stem)),
            Spot::Live { after, head } => find_live(&sources, place, after, head)?,
        };
        if let Some(at) = at {
            sources.drain(..at);
            return Ok(Start { sources, offset: Some(cursor.offset), gone: false });
        }
        let is_older = |stem: Stem| match cursor.spot {
            Spot::Closed(of) => stem < of,
            Spot::Live { after, .. } => after.is_some_and(|after| stem <= after),
        };
        sources.retain(|source| source.stem().is_some_and(is_older));
        Ok(Start { sources, offset: None, gone: true })
    }

    fn sources(&self, place: &Place) -> Result<Vec<Source>, ComponentError> {
        let mut sources = Vec::with_capacity(self.closed.len() + 1);
        if let Some(live) = &self.live {
            let file = live.file.try_clone().map_err(ComponentError::at("open", &place.live()))?;
            sources.push(Source::Open(file, live.stem));
        }
        sources.extend(self.closed.iter().rev().map(|stem| Source::Closed(*stem)));
        Ok(sources)
    }
}

/// What was seen, one after the other.
struct Looks {
    /// The inode of the file that was the live one, and is open since.
    opened: Option<u64>,
    listed: Listed,
    again: Listed,
    /// The inode of the live one at the end.
    live: Option<u64>,
}

impl Looks {
    /// Under which name the open file was closed meanwhile, if it was, and which ones are older; `None` if that is not certain.
    fn agree(&self) -> Option<(Option<Stem>, Vec<Stem>)> {
        let stem = match self.opened {
            opened if opened == self.live => None,
            None => return None,
            Some(opened) => Some(self.again.iter().find(|(_, plain)| *plain == Some(opened))?.0),
        };
        let older = |listed: &Listed| -> Vec<Stem> {
            stems(listed).into_iter().filter(|other| stem.is_none_or(|stem| *other < stem)).collect()
        };
        let closed = older(&self.again);
        (older(&self.listed) == closed).then_some((stem, closed))
    }
}

/// The file that was the live one after `after` and begins so: it is the oldest of those since, unless it was deleted.
fn find_live(
    sources: &[Source],
    place: &Place,
    after: Option<Stem>,
    head: u64,
) -> Result<Option<usize>, ComponentError> {
    let since = |source: &Source| source.stem().is_none_or(|stem| after.is_none_or(|after| stem > after));
    for (at, source) in sources.iter().enumerate().rev().filter(|(_, source)| since(source)) {
        if source.head(place)? == Some(head) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

type Listed = Vec<(Stem, Option<u64>)>;

fn list(place: &Place) -> Result<Listed, ComponentError> {
    let closed = place.closed()?.into_iter().filter(|(_, closed)| closed.is_readable());
    Ok(closed.map(|(stem, closed)| (stem, closed.plain)).collect())
}

fn stems(listed: &[(Stem, Option<u64>)]) -> Vec<Stem> {
    listed.iter().map(|(stem, _)| *stem).collect()
}

fn inode(file: &File, place: &Place) -> Result<u64, ComponentError> {
    let inode: io::Result<u64> = file.metadata().map(|found| found.ino());
    inode.map_err(ComponentError::at("look at", &place.live()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stem(second: u32) -> Stem {
        format!("20260102-0304{second:02}").parse().unwrap()
    }

    /// Seconds of closed files with their inodes, 0 for a compressed one.
    fn listing(files: &[(u32, u64)]) -> Listed {
        files.iter().map(|(second, inode)| (stem(*second), Some(*inode).filter(|inode| *inode > 0))).collect()
    }

    fn agreed(
        opened: Option<u64>,
        listed: &[(u32, u64)],
        again: &[(u32, u64)],
        live: Option<u64>,
    ) -> Option<(Option<Stem>, Vec<Stem>)> {
        Looks { opened, listed: listing(listed), again: listing(again), live }.agree()
    }

    #[test]
    fn nothing_happened_meanwhile() {
        assert_eq!(agreed(Some(9), &[(1, 5)], &[(1, 5)], Some(9)), Some((None, vec![stem(1)])));
        assert_eq!(agreed(None, &[(1, 5)], &[(1, 5)], None), Some((None, vec![stem(1)])));
    }

    #[test]
    fn a_file_that_is_closed_meanwhile_is_read_once_and_newer_ones_not() {
        let rotated = agreed(Some(9), &[(1, 0)], &[(1, 0), (2, 9)], Some(10));
        assert_eq!(rotated, Some((Some(stem(2)), vec![stem(1)])));
        let twice = agreed(Some(9), &[(1, 0), (2, 9)], &[(1, 0), (2, 9), (3, 10)], Some(11));
        assert_eq!(twice, Some((Some(stem(2)), vec![stem(1)])));
        assert_eq!(agreed(Some(9), &[(2, 9)], &[(2, 9)], None), Some((Some(stem(2)), vec![])));
    }

    #[test]
    fn what_is_not_certain_is_looked_at_again() {
        assert_eq!(agreed(Some(9), &[(2, 9)], &[(2, 0)], Some(10)), None, "compressed, so perhaps it");
        assert_eq!(agreed(Some(9), &[(1, 5)], &[(1, 5)], Some(10)), None, "renamed behind the back of both listings");
        assert_eq!(agreed(Some(9), &[(2, 7)], &[(1, 0), (2, 7)], Some(9)), None, "the first missed a compression");
        assert_eq!(agreed(None, &[], &[], Some(9)), None, "made meanwhile");
    }
}

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
        let listed = list(place)?;
        let again = list(place)?;
        let Some(file) = live else {
            let still_none = !place.live().exists();
            return Ok((still_none && listed == again).then(|| Snapshot { live: None, closed: stems(&listed) }));
        };
        let inode = inode(&file, place)?;
        let stem = match open(place.live())? {
            Some(now) if self::inode(&now, place)? == inode => None,
            _ => match again.iter().find(|(_, plain)| *plain == Some(inode)) {
                Some((stem, _)) => Some(*stem),
                None => return Ok(None),
            },
        };
        let older = |listed: &[(Stem, Option<u64>)]| -> Vec<Stem> {
            stems(listed).into_iter().filter(|other| stem.is_none_or(|stem| *other < stem)).collect()
        };
        let closed = older(&again);
        Ok((older(&listed) == closed).then_some(Snapshot { live: Some(Live { file, stem }), closed }))
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

//! A disk in memory with a boom file and its tail, that fails when it is told to.

use std::{
    collections::BTreeSet,
    io::{self, IoSlice},
    ops::Range,
    sync::{Arc, Mutex},
};

use crate::storage::Storage;

const PAGE_BYTES: u64 = 4_096;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpKind {
    Write,
    Sync,
    Reserve,
    Other,
}

/// An operation that is about to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    /// How many were done before.
    pub(crate) number: u64,
    pub(crate) kind: OpKind,
    /// Whether it is one of the tail's.
    pub(crate) in_tail: bool,
}

/// What is to become of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does nothing and says so.
    Fail(i32),
    /// The process dies in it: a part of it is done, and no later one.
    Die,
    /// A sync fails and the pages stay readable.
    SyncFails,
    /// A sync fails and what was not on the disk is gone.
    SyncLoses,
}

type Plan = Box<dyn FnMut(Op) -> Option<Fault> + Send>;

#[derive(Default)]
struct Content {
    /// What everybody reads.
    cache: Vec<u8>,
    /// What survives a power cut.
    disk: Vec<u8>,
    /// What of the cache the disk does not have.
    dirty: Vec<Range<usize>>,
    pages: BTreeSet<u64>,
    removed: bool,
}

#[derive(Default)]
struct State {
    files: [Content; 2],
    ops: u64,
    plan: Option<Plan>,
    pages_max: Option<usize>,
    dead: bool,
}

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new() -> Disk {
        Disk::default()
    }

    /// Asks `plan` before every operation.
    pub(crate) fn plan(&self, plan: impl FnMut(Op) -> Option<Fault> + Send + 'static) {
        self.0.lock().unwrap().plan = Some(Box::new(plan));
    }

    /// Gives the disk room for so many bytes; `None` for any.
    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().unwrap().pages_max = bytes.map(|bytes| (bytes / PAGE_BYTES) as usize);
    }

    /// How many operations were done.
    pub(crate) fn ops(&self) -> u64 {
        self.0.lock().unwrap().ops
    }

    pub(crate) fn boom(&self) -> Arc<dyn Storage> {
        Arc::new(SimStorage { disk: self.clone(), file: 0 })
    }

    pub(crate) fn tail(&self) -> Arc<dyn Storage> {
        Arc::new(SimStorage { disk: self.clone(), file: 1 })
    }

    /// What a reader finds: the boom file, and the tail unless it was removed.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        let state = self.0.lock().unwrap();
        let [boom, tail] = &state.files;
        read(&boom.cache, if tail.removed { &[] } else { &tail.cache })
    }

    /// What a reader finds after a power cut at which nothing more than what was synced had reached the disk.
    pub(crate) fn read_after_power_cut<T>(&self, read: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        let state = self.0.lock().unwrap();
        read(&state.files[0].disk, &state.files[1].disk)
    }
}

struct SimStorage {
    disk: Disk,
    file: usize,
}

impl SimStorage {
    fn act<T>(&self, kind: OpKind, act: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock().unwrap();
        if state.dead {
            return Err(io::Error::other("dead"));
        }
        let op = Op { number: state.ops, kind, in_tail: self.file == 1 };
        state.ops += 1;
        let fault = state.plan.as_mut().and_then(|plan| plan(op));
        if let Some(Fault::Fail(errno)) = fault {
            return Err(io::Error::from_raw_os_error(errno));
        }
        state.dead = fault == Some(Fault::Die);
        act(&mut state, fault)
    }

    fn allocate(&self, state: &mut State, offset: u64, bytes: u64) -> io::Result<()> {
        let used: usize = state.files.iter().map(|file| file.pages.len()).sum();
        let pages = &mut state.files[self.file].pages;
        let new: Vec<u64> =
            (offset / PAGE_BYTES..(offset + bytes).div_ceil(PAGE_BYTES)).filter(|page| !pages.contains(page)).collect();
        if state.pages_max.is_some_and(|max| used + new.len() > max) && !new.is_empty() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        pages.extend(new);
        Ok(())
    }
}

impl Storage for SimStorage {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.act(OpKind::Write, |state, fault| {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.allocate(state, offset, bytes.len() as u64)?;
            if fault == Some(Fault::Die) {
                bytes.truncate(bytes.len() / 2);
            }
            let (start, end) = (offset as usize, offset as usize + bytes.len());
            let file = &mut state.files[self.file];
            file.cache.resize(file.cache.len().max(end), 0);
            file.cache[start..end].copy_from_slice(&bytes);
            file.dirty.push(start..end);
            if state.dead { Err(io::Error::other("dead")) } else { Ok(()) }
        })
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.act(OpKind::Other, |state, _| {
            let from = state.files[self.file].cache.get(offset as usize..).unwrap_or_default();
            let from = from.get(..out.len()).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
            out.copy_from_slice(from);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.act(OpKind::Sync, |state, fault| {
            let file = &mut state.files[self.file];
            let (dirty, len) = (file.dirty.clone(), file.cache.len());
            if matches!(fault, None | Some(Fault::SyncLoses)) {
                file.dirty.clear();
                file.disk.resize(len, 0);
            }
            match fault {
                None => {
                    for range in dirty.into_iter().filter(|range| range.end <= len) {
                        file.disk[range.clone()].copy_from_slice(&file.cache[range]);
                    }
                }
                Some(Fault::SyncLoses) => {
                    for range in dirty.into_iter().filter(|range| range.end <= len) {
                        file.cache[range.clone()].copy_from_slice(&file.disk[range]);
                    }
                }
                Some(_) => {}
            }
            if fault.is_none() { Ok(()) } else { Err(io::Error::from_raw_os_error(5)) }
        })
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.act(OpKind::Reserve, |state, _| self.allocate(state, offset, bytes))
    }

    fn trim(&self, bytes: u64) -> io::Result<()> {
        self.act(OpKind::Other, |state, _| {
            let file = &mut state.files[self.file];
            file.cache.truncate(bytes as usize);
            file.pages.retain(|page| page * PAGE_BYTES < bytes);
            Ok(())
        })
    }

    fn remove(&self) -> io::Result<()> {
        self.act(OpKind::Other, |state, _| {
            state.files[self.file].removed = true;
            state.files[self.file].pages.clear();
            Ok(())
        })
    }
}

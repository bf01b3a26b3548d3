//! The ring file of a collector: made, extended and removed here.

use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Deref,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logboom_record::Time;
use rustix::{
    fs::{CWD, FallocateFlags, FlockOperation, RenameFlags, fallocate, flock, renameat_with},
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

use super::{
    ClockAnchor, Drain, Generation, Producer, RingError, Waker,
    layout::{
        BEHIND, BOOT_ID, BY_QUEUE, FILE_MAGIC, FIXED_BYTES, LIVE, PAGE, Positions, RING_BYTES_MAX, RING_BYTES_MIN,
        RING_MAGIC, RINGS_AT, RINGS_MAX, SETTLING, VERSION,
    },
    mapping::{ControlPage, Ring},
    sync::{AtomicU32, Ordering},
    table::{self, Entry, Table},
};

/// A ring that several hold.
#[derive(Clone, Debug)]
pub(super) struct Handle(pub Arc<Ring>);

impl Deref for Handle {
    type Target = Positions;

    #[inline]
    fn deref(&self) -> &Positions {
        &self.0
    }
}

/// The ring file of a collector. Clone is a handle; the file stays until it is removed.
#[derive(Clone, Debug)]
pub struct RingFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    pid: u32,
    control: ControlPage,
    waker: Arc<Waker>,
    table: Mutex<Table>,
    /// Where the file ends. Held while it grows: a ring must stand in the file before the next one does.
    end: Mutex<u64>,
    lists: Mutex<Lists>,
    /// Changes whenever there is a ring that the drain does not know.
    version: AtomicU32,
}

#[derive(Debug, Default)]
struct Lists {
    /// Closed and drained.
    free: Vec<Handle>,
    /// Handed to a producer, not yet known to the drain.
    fresh: Vec<Handle>,
}

impl RingFile {
    /// Makes the file, which must not exist, and the one drain that it may have.
    ///
    /// # Errors
    /// [`RingError::Machine`] where there can be no ring file, and what the operating system refuses: no file is left then.
    pub fn create(path: &Path, clock: &ClockAnchor, waker: Arc<Waker>) -> Result<(RingFile, Drain), RingError> {
        if rustix::param::page_size() != PAGE || cfg!(target_endian = "big") {
            return Err(RingError::Machine);
        }
        let hidden = hidden_name(path).map_err(|source| failed("get random bytes for", path, source))?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&hidden);
        let file = file.map_err(|source| failed("create", &hidden, source))?;
        let made = RingFile::init(path, file, clock, waker).and_then(|made| {
            publish(&hidden, path).map_err(|source| failed("create", path, source))?;
            Ok(made)
        });
        if made.is_err() {
            // The error that is returned says what is wrong; readers pass over hidden names.
            let _ = fs::remove_file(&hidden);
        }
        made
    }

    /// The lock tells readers that the writer lives; the system takes it back when the program ends, however that is.
    fn init(path: &Path, file: File, clock: &ClockAnchor, waker: Arc<Waker>) -> Result<(RingFile, Drain), RingError> {
        let pid = std::process::id();
        rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
            .map_err(|errno| failed("lock", path, errno.into()))?;
        let file_id = random().map_err(|source| failed("get random bytes for", path, source))?;
        let control = prepare(&file, &head(&file_id, pid, clock)).map_err(|source| failed("allocate", path, source))?;
        let inner = Inner {
            path: path.to_owned(),
            file,
            pid,
            control,
            waker,
            table: Mutex::new(Table::new(file_id)),
            end: Mutex::new(RINGS_AT),
            lists: Mutex::default(),
            version: AtomicU32::new(0),
        };
        let made = RingFile(Arc::new(inner));
        let mut drain = Drain::new(made.clone());
        drain.set_clock(clock);
        Ok((made, drain))
    }

    /// A ring of about so many bytes: the next power of two, within [`RING_BYTES_MIN`] and [`RING_BYTES_MAX`].
    ///
    /// # Errors
    /// [`RingError::TooManyRings`], and a full disk: the queue is the other way then.
    pub fn producer(&self, bytes: usize) -> Result<Producer, RingError> {
        let size = bytes.clamp(RING_BYTES_MIN, RING_BYTES_MAX).next_power_of_two();
        let free = self.take_free(size);
        let ring = free.map_or_else(|| self.grow(size), Ok)?;
        ring.about.0.state.store(LIVE, Ordering::Release);
        self.lists().fresh.push(ring.clone());
        self.0.version.fetch_add(1, Ordering::Release);
        Ok(Producer::new(self.clone(), ring))
    }

    fn take_free(&self, size: usize) -> Option<Handle> {
        let mut lists = self.lists();
        let found = lists.free.iter().position(|ring| ring.0.size() == size)?;
        Some(lists.free.swap_remove(found))
    }

    /// Appends a ring to the file.
    fn grow(&self, size: usize) -> Result<Handle, RingError> {
        let mut end = locked(&self.0.end);
        let index = self.0.control.growth.0.rings.load(Ordering::Relaxed);
        if index >= RINGS_MAX {
            return Err(RingError::TooManyRings { path: self.0.path.clone(), max: RINGS_MAX });
        }
        let ring = append(&self.0.file, *end, size, index).map_err(|source| self.failed("add a ring to", source))?;
        *end += (PAGE + size) as u64;
        self.0.control.growth.0.rings.store(index + 1, Ordering::Release);
        Ok(Handle(Arc::new(ring)))
    }

    /// Adds a call site to the table, unless it is there. To be called before a frame with its number is published.
    ///
    /// # Errors
    /// [`RingError::TableFull`] and what the operating system refuses. The call is to be formatted at once then.
    pub fn add_site(&self, number: u32, encode: impl FnOnce() -> Vec<u8>) -> Result<(), RingError> {
        let mut table = locked(&self.0.table);
        if table.has_site(number) {
            return Ok(());
        }
        self.add(&mut table, Entry { kind: table::SITE, number, body: &encode() })
    }

    /// Adds a session file to the table. To be called before a frame with its number is published.
    ///
    /// # Errors
    /// What the operating system refuses, and [`RingError::TableFull`] if generations are never forgotten.
    pub fn add_generation(&self, generation: &Generation) -> Result<(), RingError> {
        let body = generation.encode();
        self.add(&mut locked(&self.0.table), Entry { kind: table::GENERATION, number: generation.number, body: &body })
    }

    fn add(&self, table: &mut Table, entry: Entry) -> Result<(), RingError> {
        let added = table.add(&self.0.file, entry).map_err(|source| self.failed("write the table of", source))?;
        let word = added.ok_or_else(|| RingError::TableFull { path: self.0.path.clone() })?;
        self.0.control.growth.0.table.store(word, Ordering::Release);
        Ok(())
    }

    /// Says that no ring has or will have frames of generations before this one, so that the table need not keep them.
    pub fn forget_generations_before(&self, number: u32) {
        locked(&self.0.table).forget_generations_before(number);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What the writer sleeps on.
    pub fn waker(&self) -> &Arc<Waker> {
        &self.0.waker
    }

    /// Removes the file, once everything is drained. Producers that are left write into memory that nobody reads.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn remove(&self) -> Result<(), RingError> {
        fs::remove_file(&self.0.path).map_err(|source| self.failed("remove", source))
    }

    /// Counts a record that found no room, so that recovery knows of it if the process is killed before a file tells.
    pub fn note_dropped(&self) {
        self.0.control.dropped.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes whether a record is in the queue whose call did not wait until it was in a file: a kill may take it.
    pub fn set_by_queue(&self, is_there: bool) {
        self.set(BY_QUEUE, is_there);
    }

    /// Whether that is noted.
    pub fn is_by_queue(&self) -> bool {
        self.0.control.dropped.0.load(Ordering::Relaxed) & BY_QUEUE != 0
    }

    /// Notes whether there is something that the writer could not write, which a kill would take without a trace.
    pub fn set_behind(&self, is_behind: bool) {
        self.set(BEHIND, is_behind);
    }

    fn set(&self, flag: u64, is_set: bool) {
        let word = &self.0.control.dropped.0;
        if (word.load(Ordering::Relaxed) & flag != 0) != is_set {
            if is_set {
                word.fetch_or(flag, Ordering::Relaxed)
            } else {
                word.fetch_and(!flag, Ordering::Relaxed)
            };
        }
    }

    /// Says that the gap of dropped records is about to be written, as what comes next of the session file that the control page
    /// counts for: after a kill the files show whether it is there.
    pub fn begin_dropped(&self) {
        self.set(SETTLING, true);
    }

    /// Says that so many dropped records are told of in the files, and that nothing of that is about to be written.
    pub fn settle_dropped(&self, count: u64) {
        let word = &self.0.control.dropped.0;
        // The one that drops none and has begun no gap is called for every batch.
        let settled = count + (word.load(Ordering::Relaxed) & SETTLING);
        if settled > 0 {
            word.fetch_sub(settled, Ordering::Relaxed);
        }
    }

    /// Whether this is the process that made the file, not a child that was forked from it.
    pub(super) fn is_own(&self) -> bool {
        std::process::id() == self.0.pid
    }

    pub(super) fn control(&self) -> &ControlPage {
        &self.0.control
    }

    pub(super) fn version(&self) -> u32 {
        self.0.version.load(Ordering::Acquire)
    }

    pub(super) fn take_fresh(&self) -> Vec<Handle> {
        std::mem::take(&mut self.lists().fresh)
    }

    pub(super) fn give_back(&self, ring: Handle) {
        self.lists().free.push(ring);
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        locked(&self.0.lists)
    }

    fn failed(&self, action: &'static str, source: io::Error) -> RingError {
        failed(action, &self.0.path, source)
    }
}

/// What the mutexes here guard is whole after each step, so a panic elsewhere does not make it worse.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> RingError {
    RingError::Io { action, path: path.to_owned(), source }
}

/// What the file is called until it is locked and has its header: whoever sees its final name sees a live writer's file.
fn hidden_name(path: &Path) -> io::Result<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{:016x}", std::process::id(), u128::from_le_bytes(random()?) as u64));
    Ok(path.with_file_name(name))
}

/// Gives the file its final name, which nothing may have yet.
fn publish(hidden: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, hidden, CWD, path, RenameFlags::NOREPLACE) {
        // Not every file system can do both at once.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(hidden, path).and_then(|()| fs::remove_file(hidden)),
        other => Ok(other?),
    }
}

fn random() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom(&mut id, GetRandomFlags::empty())?;
    Ok(id)
}

fn head(file_id: &[u8; 16], pid: u32, clock: &ClockAnchor) -> [u8; FIXED_BYTES] {
    let mut head = [0; FIXED_BYTES];
    head[..8].copy_from_slice(&FILE_MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&pid.to_le_bytes());
    head[16..32].copy_from_slice(file_id);
    head[32..40].copy_from_slice(&Time::now().as_micros().to_le_bytes());
    head[40..44].copy_from_slice(&(clock.clock() as u32).to_le_bytes());
    head[BOOT_ID].copy_from_slice(&boot_id().unwrap_or_default());
    let crc = crc32c::crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// What tells one boot of the system from another.
pub(super) fn boot_id() -> Option<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.trim().split('-').collect();
    Some(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
}

fn prepare(file: &File, head: &[u8; FIXED_BYTES]) -> io::Result<ControlPage> {
    file.set_len(RINGS_AT)?;
    allocate(file, 0, PAGE)?;
    file.write_all_at(head, 0)?;
    ControlPage::map(file)
}

fn append(file: &File, at: u64, size: usize, index: u32) -> io::Result<Ring> {
    allocate(file, at, PAGE + size)?;
    let mut head = RING_MAGIC.to_vec();
    head.extend(index.to_le_bytes());
    head.extend((size as u32).to_le_bytes());
    file.write_all_at(&head, at)?;
    Ring::map(file, at, size, index)
}

/// Gives the file disk blocks, so that a full disk is an error here and not a signal where the memory is written.
fn allocate(file: &File, at: u64, bytes: usize) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), at, bytes as u64) {
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP) => return file.write_all_at(&vec![0; bytes], at),
            other => return Ok(other?),
        }
    }
}

//! The ring file of a program that is gone, or that goes on: what it had logged and not yet written.
//!
//! Everything is read, nothing is mapped, and no byte is believed: a file may be cut, damaged or forged. Memory is bounded by the
//! table and by a window for each ring.

mod ring;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use logboom_record::{Time, text::SEQ_MAX};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use self::ring::{DeadRing, word};
use super::{
    Clock, ClockAnchor, Generation, RingError,
    file::boot_id,
    layout::{
        BATCH_AT, BEHIND, BOOT_ID, BY_QUEUE, CLOCK_AT, CLOCK_SET_AT, CLOCK_STRIDE, DROPPED_AT, DROPPED_FLAGS,
        DROPPED_MAX, FILE_MAGIC, FIRST_SEQ_AT, FIXED_BYTES, GENERATION_AT, RING_COUNT_AT, RINGS_AT, RINGS_MAX,
        SETTLING, TABLE_AT, VERSION,
    },
    order::Key,
    table::{self, Entry},
};
use crate::frame::Frame;

/// How often a live file is read again until one state of it was seen.
const TRIES: usize = 100;

/// The batch that was being written when the program died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Of which session file.
    pub generation: u32,
    /// The seq of its first record. Those that the text log has come to are to be skipped.
    pub first_seq: u64,
}

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Rings whose numbers do not fit, or that the file ends before.
    pub rings: u32,
    /// Bytes that are no frames, or no numbers that can be.
    pub bytes: u64,
    /// Bytes of the table that are no entries.
    pub table_bytes: u64,
}

/// A ring file that is read from outside.
#[derive(Debug)]
pub struct DeadRings {
    path: PathBuf,
    file: File,
    writable: bool,
    pid: u32,
    clock: ClockAnchor,
    sites: BTreeMap<u32, Vec<u8>>,
    generations: BTreeMap<u32, Generation>,
    batch: Option<Batch>,
    counted: Batch,
    dropped: u64,
    is_of_this_boot: bool,
    number: u64,
    rings: Vec<DeadRing>,
    order: BinaryHeap<Reverse<(Key, usize)>>,
    /// The frame that was taken last.
    frame: Vec<u8>,
    damage: Damage,
}

impl DeadRings {
    /// Opens the file to read it. Its writer may be alive: what is read then is not in the text log at this moment.
    ///
    /// # Errors
    /// [`RingError::NotRing`] and [`RingError::Version`]; [`RingError::Changing`] for a live file; what the operating system refuses.
    pub fn open(path: &Path) -> Result<DeadRings, RingError> {
        DeadRings::load(path, false, None)
    }

    /// Opens the file of a dead writer to write its records into the text logs, in batches. Holds its lock, so that nobody else
    /// does the same.
    ///
    /// # Errors
    /// As of [`DeadRings::open`]; [`RingError::Live`] if its writer lives, or somebody drains or reads it; [`RingError::Io`] with
    /// [`io::ErrorKind::NotFound`] also if somebody had drained and removed it before it was locked.
    pub fn open_to_drain(path: &Path) -> Result<DeadRings, RingError> {
        DeadRings::load(path, true, Some(FlockOperation::NonBlockingLockExclusive))
    }

    /// Opens the file of a dead writer to read it. Holds a shared lock, so that nobody drains it meanwhile.
    ///
    /// # Errors
    /// As of [`DeadRings::open_to_drain`].
    pub fn open_dead(path: &Path) -> Result<DeadRings, RingError> {
        DeadRings::load(path, false, Some(FlockOperation::NonBlockingLockShared))
    }

    fn load(path: &Path, writable: bool, lock: Option<FlockOperation>) -> Result<DeadRings, RingError> {
        let failed = |source| RingError::Io { action: "read", path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(writable).open(path).map_err(failed)?;
        if let Some(lock) = lock {
            take_lock(path, &file, lock)?;
        }
        let head = head(path, &file)?;
        let clock = read_clock(&file, &head).map_err(failed)?;
        let mut rings = DeadRings {
            path: path.to_owned(),
            file,
            writable,
            pid: u32::from_le_bytes([head[12], head[13], head[14], head[15]]),
            clock,
            sites: BTreeMap::new(),
            generations: BTreeMap::new(),
            batch: None,
            counted: Batch { generation: 0, first_seq: 0 },
            dropped: 0,
            is_of_this_boot: boot_id().is_some_and(|id| id == head[BOOT_ID]),
            number: 0,
            rings: Vec::new(),
            order: BinaryHeap::new(),
            frame: Vec::new(),
            damage: Damage::default(),
        };
        rings.read_positions()?;
        rings.dropped = rings.word(DROPPED_AT)?;
        if rings.dropped() > DROPPED_MAX {
            rings.dropped &= BEHIND;
            rings.note_damage(8);
        }
        rings.read_table(&file_id(&head)).map_err(failed)?;
        rings.enqueue_all().map_err(failed)?;
        Ok(rings)
    }

    /// The process that wrote the file.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What turns the ticks of the frames into time.
    pub fn clock(&self) -> ClockAnchor {
        self.clock
    }

    /// The session files, by number.
    pub fn generations(&self) -> &BTreeMap<u32, Generation> {
        &self.generations
    }

    /// The call sites, by number, as module `deferred` encodes them.
    pub fn sites(&self) -> &BTreeMap<u32, Vec<u8>> {
        &self.sites
    }

    /// The batch that was being written, until it is ended; the frames that come are its own.
    pub fn batch(&self) -> Option<Batch> {
        self.batch
    }

    /// How far the control page says that the files go: the session file of the last batch, and the seq of its next record,
    /// or, while a batch is being written, of the batch's first. Generation 0 before the first batch.
    pub fn counted(&self) -> Batch {
        self.counted
    }

    /// How many records found no room, and are in no gap yet.
    pub fn dropped(&self) -> u64 {
        self.dropped & !DROPPED_FLAGS
    }

    /// Whether their gap was begun, which may then be in the file: see [`DeadRings::begin_dropped`].
    pub fn is_dropped_begun(&self) -> bool {
        self.dropped & SETTLING != 0
    }

    /// Whether all that was logged is in the files or the rings, or counted: none was in the queue without being waited for, the
    /// writer was not behind, and the system still runs whose memory it was.
    pub fn has_all(&self) -> bool {
        self.is_of_this_boot && self.dropped & (BY_QUEUE | BEHIND) == 0
    }

    /// Says that the gap of dropped records is about to be written, into the session file that the control page counts for.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn begin_dropped(&mut self) -> Result<(), RingError> {
        self.dropped |= SETTLING;
        self.store(DROPPED_AT, self.dropped)
    }

    /// Says that so many of them are in a gap.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn end_dropped(&mut self, told: u64) -> Result<(), RingError> {
        self.dropped = (self.dropped & !SETTLING) - told.min(self.dropped());
        self.store(DROPPED_AT, self.dropped)
    }

    /// Counts bytes that can be no record's, whatever their frames say.
    pub(crate) fn note_damage(&mut self, bytes: u64) {
        self.damage.bytes += bytes;
    }

    /// What could not be read so far.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.batch.is_none() && self.order.is_empty()
    }

    /// The next frame in the writer's order: first those of [`DeadRings::batch`], if there is one, then `None`, and, after
    /// [`DeadRings::end_batch`], all others, then `None`. (An iterator but for the frame's bytes, which stay until the next call.)
    ///
    /// # Errors
    /// What the operating system refuses.
    #[expect(clippy::should_implement_trait, reason = "the frame borrows what the next call overwrites")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, RingError> {
        self.take(None)
    }

    /// The session file of the next frame.
    pub fn generation(&self) -> Option<u32> {
        self.order.peek().map(|Reverse((key, _))| key.generation)
    }

    /// As [`DeadRings::next`], but `None` also before a frame of another session file.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn next_of(&mut self, generation: u32) -> Result<Option<Frame<'_>>, RingError> {
        self.take(Some(generation))
    }

    fn take(&mut self, generation: Option<u32>) -> Result<Option<Frame<'_>>, RingError> {
        let taken = self.advance(generation);
        let taken = taken.map_err(|source| self.failed("read", source))?;
        Ok(if taken { Frame::parse(&self.frame) } else { None })
    }

    /// Copies the next frame; false if there is none.
    fn advance(&mut self, generation: Option<u32>) -> io::Result<bool> {
        while self.generation().is_some_and(|next| generation.is_none_or(|wanted| wanted == next)) {
            let Some(Reverse((key, at))) = self.order.pop() else { break };
            let found = self.rings[at].take(&self.file, key, &mut self.frame)?;
            self.enqueue(at)?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says that what was taken since the last batch is about to be written. As [`super::Drain::begin_batch`]; the dead
    /// writer's own batch is begun already, and must be ended first.
    ///
    /// # Errors
    /// What the operating system refuses; nothing is to be written then.
    pub fn begin_batch(&mut self, generation: u32, first_seq: u64) -> Result<(), RingError> {
        for at in 0..self.rings.len() {
            self.store(self.rings[at].next_tail_at(), self.rings[at].position())?;
        }
        if self.counted.generation != generation {
            self.store(FIRST_SEQ_AT, 1)?;
            self.store_bytes(GENERATION_AT, &generation.to_le_bytes())?;
        }
        self.store(FIRST_SEQ_AT, first_seq)?;
        self.counted = Batch { generation, first_seq };
        self.number |= 1;
        self.store(BATCH_AT, self.number)
    }

    /// Says that the batch is in the text log. As [`super::Drain::end_batch`]. Ends the batch that the dead writer had begun, too; of a
    /// file that is only read it moves on and stores nothing.
    ///
    /// # Errors
    /// What the operating system refuses; the file is then to be recovered anew.
    pub fn end_batch(&mut self, next_seq: u64) -> Result<(), RingError> {
        self.skip_rest_of_batch()?;
        if self.damage != Damage::default() && self.dropped & BEHIND == 0 {
            // Whoever goes on after a recovery that fails or is killed does not find it: it is before the tails then.
            self.dropped |= BEHIND;
            self.store(DROPPED_AT, self.dropped)?;
        }
        for at in 0..self.rings.len() {
            self.store(self.rings[at].tail_at(), self.rings[at].position())?;
        }
        self.store(FIRST_SEQ_AT, next_seq)?;
        self.counted.first_seq = next_seq;
        self.number = (self.number | 1).wrapping_add(1);
        self.store(BATCH_AT, self.number)
    }

    fn skip_rest_of_batch(&mut self) -> Result<(), RingError> {
        if self.batch.take().is_none() {
            return Ok(());
        }
        self.rings.iter_mut().for_each(DeadRing::leave_batch);
        self.enqueue_all().map_err(|source| self.failed("read", source))
    }

    fn store(&self, at: u64, value: u64) -> Result<(), RingError> {
        self.store_bytes(at, &value.to_le_bytes())
    }

    fn store_bytes(&self, at: u64, bytes: &[u8]) -> Result<(), RingError> {
        if !self.writable {
            return Ok(());
        }
        self.file.write_all_at(bytes, at).map_err(|source| self.failed("write", source))
    }

    /// Reads batch and positions, again until none of them changed meanwhile.
    fn read_positions(&mut self) -> Result<(), RingError> {
        for tries in 1..=TRIES {
            let number = self.word(BATCH_AT)?;
            let generation = self.word(GENERATION_AT)? as u32;
            let told = self.word(FIRST_SEQ_AT)?;
            // Without a seq that can be, what of the batch is in the files cannot be told: it follows them, as all else.
            let is_seq = told <= SEQ_MAX;
            let (batch, in_batch) = match is_seq {
                true => (Batch { generation, first_seq: told }, number & 1 == 1),
                false => (Batch { generation, first_seq: 1 }, false),
            };
            let count = self.word(RING_COUNT_AT)? as u32;
            let read = read_rings(&self.file, count, in_batch);
            let rings = read.map_err(|source| self.failed("read", source))?;
            // A live writer moves a ring's positions before it begins a batch: what does not fit may fit when it is read again.
            let fits = tries == TRIES || !rings.iter().any(DeadRing::is_damaged);
            if fits && self.word(BATCH_AT)? == number {
                (self.number, self.counted) = (number, batch);
                self.batch = in_batch.then_some(batch);
                self.note_damage(if is_seq { 0 } else { size_of_val(&told) as u64 });
                self.damage.rings = count - rings.iter().filter(|ring| !ring.is_damaged()).count() as u32;
                self.rings = rings;
                return Ok(());
            }
        }
        Err(RingError::Changing { path: self.path.clone() })
    }

    fn word(&self, at: u64) -> Result<u64, RingError> {
        word(&self.file, at).map_err(|source| self.failed("read", source))
    }

    fn read_table(&mut self, file_id: &[u8; 16]) -> io::Result<()> {
        let place = table::place(word(&self.file, TABLE_AT)?);
        let mut bytes = vec![0; place.as_ref().map_or(0, |place| (place.end - place.start) as usize)];
        let got = read_at(&self.file, &mut bytes, place.map_or(0, |place| place.start))?;
        let mut rest = &bytes[..got];
        while let Some((entry, after)) = Entry::split_first(file_id, rest) {
            self.learn(entry);
            rest = after;
        }
        self.damage.table_bytes = (rest.len() + bytes.len() - got) as u64;
        Ok(())
    }

    fn learn(&mut self, entry: Entry) {
        match entry.kind {
            table::SITE => drop(self.sites.insert(entry.number, entry.body.to_vec())),
            table::GENERATION => {
                let generation = Generation::decode(entry.number, entry.body);
                self.generations.extend(generation.map(|generation| (entry.number, generation)));
            }
            _ => {}
        }
    }

    fn enqueue_all(&mut self) -> io::Result<()> {
        self.order.clear();
        (0..self.rings.len()).try_for_each(|at| self.enqueue(at))
    }

    fn enqueue(&mut self, at: usize) -> io::Result<()> {
        let key = self.rings[at].key(&self.file)?;
        self.order.extend(key.map(|key| Reverse((key, at))));
        self.damage.bytes += self.rings[at].take_damage();
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> RingError {
        RingError::Io { action, path: self.path.clone(), source }
    }
}

/// Locks the file, which must still be there then: who held the lock before may have removed it.
fn take_lock(path: &Path, file: &File, lock: FlockOperation) -> Result<(), RingError> {
    let failed = |source| RingError::Io { action: "lock", path: path.to_owned(), source };
    match flock(file, lock) {
        Err(Errno::WOULDBLOCK) => return Err(RingError::Live { path: path.to_owned() }),
        other => other.map_err(|errno| failed(errno.into()))?,
    }
    match file.metadata().map_err(failed)?.nlink() {
        0 => Err(failed(io::ErrorKind::NotFound.into())),
        _ => Ok(()),
    }
}

fn head(path: &Path, file: &File) -> Result<[u8; FIXED_BYTES], RingError> {
    let mut head = [0; FIXED_BYTES];
    let got = read_at(file, &mut head, 0);
    let got = got.map_err(|source| RingError::Io { action: "read", path: path.to_owned(), source })?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if got < FIXED_BYTES || head[..8] != FILE_MAGIC || crc32c::crc32c(&head[..60]) != number(60) {
        return Err(RingError::NotRing { path: path.to_owned() });
    }
    match number(8) {
        VERSION => Ok(head),
        version => Err(RingError::Version { path: path.to_owned(), version }),
    }
}

fn file_id(head: &[u8; FIXED_BYTES]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&head[16..32]);
    id
}

fn read_clock(file: &File, head: &[u8; FIXED_BYTES]) -> io::Result<ClockAnchor> {
    let clock = if head[40] == 0 { Clock::Monotonic } else { Clock::Tsc };
    let place = CLOCK_AT + (word(file, CLOCK_SET_AT)? & 1) * CLOCK_STRIDE;
    let mut words = [0; 6];
    for (word_at, word) in (place..).step_by(8).zip(&mut words) {
        *word = self::word(file, word_at)?;
    }
    Ok(ClockAnchor::from_words(clock, words))
}

/// The rings up to the first whose header is none.
fn read_rings(file: &File, count: u32, in_batch: bool) -> io::Result<Vec<DeadRing>> {
    let (mut rings, mut at) = (Vec::new(), RINGS_AT);
    for index in 0..count.min(RINGS_MAX) {
        let Some(ring) = DeadRing::read(file, at, index, in_batch)? else { break };
        at = ring.end();
        rings.push(ring);
    }
    Ok(rings)
}

/// Fills the buffer from there on, as far as the file goes.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], at + got as u64) {
            Ok(0) => break,
            Ok(bytes) => got += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// Whether the writer of a ring file lives, or somebody drains it. A file that is not there has none.
pub fn is_live(path: &Path) -> bool {
    let file = File::open(path);
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK))
}

/// When the file was made; `None` if it is no ring file.
pub fn created_at(path: &Path) -> Option<Time> {
    let head = head(path, &File::open(path).ok()?).ok()?;
    Some(Time::from_micros(i64::from_le_bytes(*head[32..].first_chunk()?)))
}

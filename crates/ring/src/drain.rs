//! The writer's side of a ring file: the frames of all rings in one order, taken in batches.
//!
//! The order of the stores is what recovery relies on; `docs/formats.md` has it. Each is released, so that none is
//! swapped with the one before.
//!
//! The bytes of a ring are shared with the thread that writes them, hence the unsafe code.
#![allow(unsafe_code)]

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    ClockAnchor, RingFile,
    file::Handle,
    layout::{CLOSED, FREE},
    order::Key,
    spsc::Reading,
    sync::Ordering,
};
use crate::frame::{Frame, HEAD_BYTES};

/// Takes frames out of all rings of a file. There is one for a file, in its collector's writer thread.
///
/// The writer looks, takes frames of one generation, begins a batch, writes the records into the text log, ends the batch, and
/// so on until nothing is left of what was there when it looked. It looks again between two batches, never within one.
#[derive(Debug)]
pub struct Drain {
    file: RingFile,
    version: u32,
    rings: Vec<Reading<Handle>>,
    /// The rings with frames as of the last look, by their next ones.
    order: BinaryHeap<Reverse<(Key, usize)>>,
    /// Frames taken since the last batch ended.
    taken: u64,
    damaged_bytes: u64,
}

impl Drain {
    pub(super) fn new(file: RingFile) -> Drain {
        Drain { file, version: 0, rings: Vec::new(), order: BinaryHeap::new(), taken: 0, damaged_bytes: 0 }
    }

    /// Takes note of all frames that are published by now. Gives how many bytes there are. Does nothing while frames are
    /// taken that no batch has ended with: recovery could not tell in which order they came.
    pub fn look(&mut self) -> u64 {
        if self.taken == 0 {
            self.release_damage();
            self.adopt();
            self.give_back_closed();
            self.order.clear();
            (0..self.rings.len()).for_each(|at| self.enqueue(at));
        }
        self.rings.iter().map(|ring| ring.unread().1).sum()
    }

    /// No batch is being written, so this changes nothing for recovery.
    fn release_damage(&mut self) {
        for ring in self.rings.iter_mut().filter(|ring| ring.is_held()) {
            ring.intend();
            ring.release();
        }
    }

    fn adopt(&mut self) {
        let version = self.file.version();
        if version != self.version {
            self.version = version;
            let new = |ring: Handle| {
                let size = ring.0.size() as u64;
                Reading::new(ring, size)
            };
            self.rings.extend(self.file.take_fresh().into_iter().map(new));
        }
    }

    /// Looks at all rings, and gives those back whose thread has ended and of which everything is done.
    fn give_back_closed(&mut self) {
        let is_done = |ring: &mut Reading<Handle>| {
            let closed = ring.ring.about.0.state.load(Ordering::Acquire) == CLOSED;
            ring.look();
            closed && ring.unread().1 == 0
        };
        for done in self.rings.extract_if(.., is_done) {
            done.ring.about.0.state.store(FREE, Ordering::Release);
            self.file.give_back(done.ring);
        }
    }

    fn enqueue(&mut self, at: usize) {
        if let Some(key) = self.key(at) {
            self.order.push(Reverse((key, at)));
        }
    }

    /// What the next frame of the ring is compared by. What is no frame is passed over, to the end of what is there.
    fn key(&mut self, at: usize) -> Option<Key> {
        let unread = unread(&self.rings[at]);
        if let (Some(_), Some(head)) = (Frame::parse(unread), unread.first_chunk::<HEAD_BYTES>()) {
            return Some(Key::new(head, self.rings[at].ring.0.index));
        }
        let damaged = unread.len() as u64;
        self.damaged_bytes += damaged;
        self.rings[at].take(damaged);
        None
    }

    /// The next frame. Its bytes stay until the batch that it is taken for ends.
    #[inline]
    pub fn peek(&self) -> Option<Frame<'_>> {
        let Reverse((_, at)) = self.order.peek()?;
        Frame::parse(unread(&self.rings[*at]))
    }

    /// Takes the frame that [`Drain::peek`] shows.
    #[inline]
    pub fn take(&mut self) {
        let Some(Reverse((_, at))) = self.order.peek() else { return };
        let at = *at;
        let bytes = Frame::parse(unread(&self.rings[at])).map_or(0, |frame| frame.bytes);
        self.rings[at].take(bytes as u64);
        self.taken += 1;
        match self.key(at) {
            Some(key) => {
                if let Some(mut first) = self.order.peek_mut() {
                    *first = Reverse((key, at));
                }
            }
            None => drop(self.order.pop()),
        }
    }

    /// Says that the frames taken since the last batch are about to be written, as records of this generation from this
    /// seq on. To be called before the first byte of them is.
    pub fn begin_batch(&mut self, generation: u32, first_seq: u64) {
        self.begin_batch_by_steps(generation, first_seq, || ());
    }

    /// Says that all of them are written (or given up), and gives their room back. `next_seq` is what follows them.
    pub fn end_batch(&mut self, next_seq: u64) {
        self.end_batch_by_steps(next_seq, || ());
    }

    pub(super) fn begin_batch_by_steps(&mut self, generation: u32, first_seq: u64, step: impl Fn()) {
        for ring in self.rings.iter().filter(|ring| ring.is_held()) {
            ring.intend();
            step();
        }
        let batch = &self.file.control().batch.0;
        if batch.generation.load(Ordering::Relaxed) != generation {
            // The seq that is there is of another session file, whose records this one would seem to lack.
            batch.first_seq.store(1, Ordering::Release);
            step();
            batch.generation.store(generation, Ordering::Release);
            step();
        }
        batch.first_seq.store(first_seq, Ordering::Release);
        step();
        batch.number.store(batch.number.load(Ordering::Relaxed) | 1, Ordering::Release);
        step();
    }

    pub(super) fn end_batch_by_steps(&mut self, next_seq: u64, step: impl Fn()) {
        for ring in self.rings.iter_mut().filter(|ring| ring.is_held()) {
            ring.release();
            step();
        }
        self.taken = 0;
        let batch = &self.file.control().batch.0;
        batch.first_seq.store(next_seq, Ordering::Release);
        step();
        batch.number.store((batch.number.load(Ordering::Relaxed) | 1) + 1, Ordering::Release);
        step();
    }

    /// Whether something was published since the last look, or is left of it.
    pub fn has_work(&self) -> bool {
        self.file.version() != self.version || !self.order.is_empty() || self.rings.iter().any(Reading::has_news)
    }

    /// Puts the clock into the file, for those who read it after a crash. To be called at each refresh.
    pub fn set_clock(&mut self, clock: &ClockAnchor) {
        let control = self.file.control();
        let count = control.clock_set.0.load(Ordering::Relaxed) + 1;
        let place = &control.clocks[(count & 1) as usize].0;
        place.iter().zip(clock.to_words()).for_each(|(word, value)| word.store(value, Ordering::Release));
        control.clock_set.0.store(count, Ordering::Release);
    }

    /// How many rings are in use, or closed and not yet drained.
    pub fn rings(&self) -> usize {
        self.rings.len()
    }

    /// How many bytes were passed over since they were no frames: 0 unless something else wrote into the memory.
    pub fn damaged_bytes(&self) -> u64 {
        self.damaged_bytes
    }
}

#[inline]
fn unread(reading: &Reading<Handle>) -> &[u8] {
    let (at, bytes) = reading.unread();
    // SAFETY: bytes from the read position to head are the consumer's until the tail passes them, which needs &mut, and no
    // more than the ring has.
    unsafe { reading.ring.0.bytes(at, bytes as usize) }
}

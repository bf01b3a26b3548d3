//! The positions of a ring: where its one producer and its one consumer are. No bytes are touched here.
//!
//! Positions count bytes from the ring's beginning and never turn back. The producer alone stores `head`, the consumer
//! alone `tail` and `next_tail`. `head` is released after the bytes before it are written, `tail` after those before it
//! were read; each side acquires the other's. A producer that waits for room says so and looks again, with a full fence
//! between, and the consumer frees room and looks whether anybody waits, with the same fence between: one of them sees
//! the other.

use std::{
    ops::Deref,
    time::{Duration, Instant},
};

use super::{
    layout::Positions,
    sync::{Ordering, fence},
};

/// The producer's side.
#[derive(Debug)]
pub(super) struct Writing<R> {
    pub ring: R,
    head: u64,
    /// The tail when it was last looked at; the true one is this or later.
    tail: u64,
    size: u64,
}

impl<R: Deref<Target = Positions>> Writing<R> {
    /// Goes on where the ring's last producer ended.
    pub fn new(ring: R, size: u64) -> Writing<R> {
        let head = ring.head.0.load(Ordering::Relaxed);
        let tail = ring.tail.0.load(Ordering::Acquire);
        Writing { ring, head, tail, size }
    }

    /// Where the next byte goes.
    #[inline]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// How many bytes are known to be free. The tail, another core's cache line, is only looked at when that is less
    /// than half the ring.
    #[inline]
    pub fn free(&mut self) -> u64 {
        if self.known_free() < self.size / 2 { self.look() } else { self.known_free() }
    }

    #[inline]
    fn known_free(&self) -> u64 {
        self.size.saturating_sub(self.head.wrapping_sub(self.tail))
    }

    fn look(&mut self) -> u64 {
        self.tail = self.ring.tail.0.load(Ordering::Acquire);
        self.known_free()
    }

    /// Lets the consumer see so many further bytes, at most those known to be free.
    #[inline]
    pub fn publish(&mut self, bytes: u64) {
        self.head += bytes.min(self.known_free());
        self.ring.head.0.store(self.head, Ordering::Release);
    }

    /// Whether the consumer is done with everything.
    pub fn is_drained(&self) -> bool {
        self.ring.tail.0.load(Ordering::Acquire) == self.head
    }

    /// Waits until so many bytes are free, or the ring is empty if it is no larger; false if the deadline came first.
    /// `ask` tells the consumer to hurry.
    pub fn wait(&mut self, bytes: u64, deadline: Option<Instant>, ask: impl Fn()) -> bool {
        let bytes = bytes.min(self.size);
        loop {
            let seen = self.ring.room.0.freed.0.load(Ordering::Acquire);
            self.ring.room.0.wanted.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.look() >= bytes {
                self.ring.room.0.wanted.store(0, Ordering::Relaxed);
                return true;
            }
            let Some(left) = left(deadline) else { return false };
            ask();
            self.ring.room.0.freed.wait(seen, left);
        }
    }
}

/// How long until the deadline; `None` when it is over.
fn left(deadline: Option<Instant>) -> Option<Option<Duration>> {
    let Some(deadline) = deadline else { return Some(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(Some(left))
}

/// The consumer's side.
#[derive(Debug)]
pub(super) struct Reading<R> {
    pub ring: R,
    tail: u64,
    /// Where the next byte to read is.
    at: u64,
    /// The head when it was last looked at.
    head: u64,
    size: u64,
}

impl<R: Deref<Target = Positions>> Reading<R> {
    /// Goes on where the ring's last consumer ended.
    pub fn new(ring: R, size: u64) -> Reading<R> {
        let tail = ring.tail.0.load(Ordering::Relaxed);
        Reading { ring, tail, at: tail, head: tail, size }
    }

    /// Takes note of what the producer has published by now.
    #[inline]
    pub fn look(&mut self) {
        let head = self.ring.head.0.load(Ordering::Acquire);
        // What another process may have scribbled must not lead out of the ring.
        self.head = if head.wrapping_sub(self.tail) <= self.size { head } else { self.head };
    }

    /// Where unread bytes begin, and how many there are as of the last look.
    #[inline]
    pub fn unread(&self) -> (u64, u64) {
        (self.at, self.head - self.at)
    }

    /// Whether something was published since the last look.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.ring.head.0.load(Ordering::Acquire) != self.head
    }

    /// Whether something was read that is not released.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.at != self.tail
    }

    /// Goes on by so many bytes, at most the unread ones.
    #[inline]
    pub fn take(&mut self, bytes: u64) {
        self.at += bytes.min(self.head - self.at);
    }

    /// Says that what was read up to here belongs to the batch that is about to be written.
    #[inline]
    pub fn intend(&self) {
        self.ring.next_tail.0.store(self.at, Ordering::Release);
    }

    /// Gives the room of what was read back to the producer, and wakes it if it waits.
    #[inline]
    pub fn release(&mut self) {
        self.tail = self.at;
        self.ring.tail.0.store(self.tail, Ordering::Release);
        fence(Ordering::SeqCst);
        let room = &self.ring.room.0;
        if room.wanted.load(Ordering::Relaxed) != 0 {
            room.wanted.store(0, Ordering::Relaxed);
            room.freed.0.fetch_add(1, Ordering::Release);
            room.freed.wake();
        }
    }
}

#[cfg(all(test, loom))]
#[allow(unsafe_code, reason = "loom watches the cells that stand for the bytes")]
mod loom_tests {
    use super::*;
    use loom::{cell::UnsafeCell, sync::Arc, thread};

    const SIZE: u64 = 2;

    /// A ring of two cells, each a "byte".
    #[derive(Default)]
    struct Ring {
        positions: Positions,
        cells: [UnsafeCell<u64>; SIZE as usize],
    }

    struct Shared(Arc<Ring>);

    impl Deref for Shared {
        type Target = Positions;
        fn deref(&self) -> &Positions {
            &self.0.positions
        }
    }

    // SAFETY: that the cells are used by one thread at a time is what loom checks.
    unsafe impl Sync for Ring {}
    // SAFETY: as above.
    unsafe impl Send for Ring {}

    fn log(writing: &mut Writing<Shared>, number: u64) {
        assert!(writing.wait(1, None, || ()));
        let at = (writing.head() % SIZE) as usize;
        // SAFETY: loom panics if the consumer reads this cell meanwhile.
        writing.ring.0.cells[at].with_mut(|cell| unsafe { *cell = number });
        writing.publish(1);
    }

    fn drain(reading: &mut Reading<Shared>) -> Vec<u64> {
        reading.look();
        let (at, count) = reading.unread();
        // SAFETY: loom panics if the producer writes this cell meanwhile.
        let read = |n: u64| reading.ring.0.cells[(n % SIZE) as usize].with(|cell| unsafe { *cell });
        let read = (at..at + count).map(read).collect();
        reading.take(count);
        if reading.is_held() {
            reading.intend();
            reading.release();
        }
        read
    }

    #[test]
    fn loom_everything_comes_over_in_order_and_a_full_ring_waits() {
        loom::model(|| {
            let ring = Arc::new(Ring::default());
            let mut writing = Writing::new(Shared(ring.clone()), SIZE);
            let producer = thread::spawn(move || (1..=3).for_each(|number| log(&mut writing, number)));
            let mut reading = Reading::new(Shared(ring), SIZE);
            let mut read = Vec::new();
            while read.len() < 3 {
                let new = drain(&mut reading);
                if new.is_empty() {
                    thread::yield_now();
                }
                read.extend(new);
            }
            assert_eq!(read, [1, 2, 3]);
            producer.join().unwrap();
        });
    }
}

//! The ring of one thread that logs, as that thread has it.
//!
//! The bytes of a ring are shared with the thread that reads them, hence the unsafe code.
#![allow(unsafe_code)]

use std::{sync::Arc, time::Instant};

use super::{RingError, RingFile, Waker, file::Handle, layout::CLOSED, spsc::Writing, sync::Ordering};

/// Writes frames into a ring of its own. Belongs to one thread at a time; dropped, the ring is closed, and what it holds is
/// still drained.
#[derive(Debug)]
pub struct Producer {
    writing: Writing<Handle>,
    waker: Arc<Waker>,
    file: RingFile,
    /// A bit for each call site that the table is known to have.
    sites: Vec<u64>,
}

impl Producer {
    pub(super) fn new(file: RingFile, ring: Handle) -> Producer {
        let size = ring.0.size() as u64;
        Producer { writing: Writing::new(ring, size), waker: file.waker().clone(), file, sites: Vec::new() }
    }

    /// The place for what comes next: all bytes that are known to be free, in a row. May be empty.
    #[inline]
    pub fn slot(&mut self) -> &mut [u8] {
        let free = self.writing.free();
        if free < self.capacity() as u64 / 2 {
            // Its nap is too long for who logs so much: the ring would be full before.
            self.waker.wake();
        }
        let (ring, at) = (&self.writing.ring.0, self.writing.head());
        // SAFETY: the free bytes are the producer's, which is borrowed as long as the slot is; the consumer reads up to head only.
        unsafe { ring.bytes_mut(at, free as usize) }
    }

    /// Hands the first `bytes` of the slot to the writer, a whole frame. From then on a killed process cannot take them.
    #[inline]
    pub fn publish(&mut self, bytes: usize) {
        debug_assert!(bytes.is_multiple_of(8));
        self.writing.publish(bytes as u64);
        self.waker.published();
        self.writing.ring.0.prefetch(self.writing.head());
    }

    /// Whether everything is in the text log.
    pub fn is_drained(&self) -> bool {
        self.writing.is_drained()
    }

    /// How many bytes the ring has.
    pub fn capacity(&self) -> usize {
        self.writing.ring.0.size()
    }

    /// Waits until the slot has `bytes` (at most the capacity); false if the deadline came first.
    pub fn wait_for_room(&mut self, bytes: usize, deadline: Option<Instant>) -> bool {
        self.writing.wait(bytes as u64, deadline, || self.waker.wake())
    }

    /// Makes sure that the table has the call site with this number; `encode` gives its body. Costs a look into a set after
    /// the first time.
    ///
    /// # Errors
    /// [`RingError::TableFull`] and what the operating system refuses. The call is to be formatted at once then.
    #[inline]
    pub fn ensure_site(&mut self, number: u32, encode: impl FnOnce() -> Vec<u8>) -> Result<(), RingError> {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.sites.get(word).is_some_and(|known| known & bit != 0) {
            return Ok(());
        }
        self.file.add_site(number, encode)?;
        self.sites.resize(self.sites.len().max(word + 1), 0);
        self.sites[word] |= bit;
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.file.is_own() {
            self.writing.ring.about.0.state.store(CLOSED, Ordering::Release);
        }
    }
}

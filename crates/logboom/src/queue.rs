//! The way to the writer for what is in no ring: one mutex, bytes copied once, bounded.
//!
//! It is the only way where there are no rings, and the side way where there are: for records that are too large for one,
//! and for threads that have none. Frames lie one behind the other in one buffer that the writer swaps for an empty one, so
//! that nothing is allocated for a call. What the collector's user asks for (a switch, a flush, the end) comes this way too,
//! and never waits for room.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::ring::Waker;

/// How many bytes of frames may wait for the writer, unless one frame alone has more.
pub const QUEUE_BYTES_MAX: usize = 1 << 20;

/// What to do with a record that finds the buffer full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The call waits until there is room; the stall is counted in [`Stats`](crate::Stats).
    #[default]
    Block,
    /// The record is dropped, and a gap in the file says how many were.
    Drop,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It will be written.
    Taken,
    /// There is no room for it.
    Full,
    /// The writer is gone.
    Closed,
}

/// Frames and requests, in order.
pub struct Batch<C> {
    /// Frames, one behind the other.
    pub frames: Vec<u8>,
    /// Requests, in order.
    pub requests: VecDeque<C>,
    /// How many records were dropped since the last batch.
    pub dropped: u64,
}

impl<C> Batch<C> {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.requests.is_empty() && self.dropped == 0
    }
}

impl<C> Default for Batch<C> {
    fn default() -> Batch<C> {
        Batch { frames: Vec::new(), requests: VecDeque::new(), dropped: 0 }
    }
}

/// The queue. `C` is what can be asked for.
pub struct Queue<C> {
    waiting: Mutex<Waiting<C>>,
    waker: Arc<Waker>,
    room: Condvar,
    bytes_max: usize,
}

struct Waiting<C> {
    batch: Batch<C>,
    closed: bool,
}

impl<C> Queue<C> {
    /// A queue that holds so many bytes of frames, whose writer sleeps on `waker`.
    pub fn new(bytes_max: usize, waker: Arc<Waker>) -> Queue<C> {
        let waiting = Waiting { batch: Batch::default(), closed: false };
        Queue { waiting: Mutex::new(waiting), waker, room: Condvar::new(), bytes_max }
    }

    /// Adds a frame if there is room, right after `note`.
    pub fn push(&self, frame: &[u8], note: impl FnOnce()) -> Pushed {
        let waiting = self.lock();
        if self.is_full(&waiting, frame.len()) {
            self.waker.wake(); // a nap is over
            return Pushed::Full;
        }
        note();
        self.take(waiting, frame)
    }

    /// Adds a frame as soon as there is room.
    pub fn push_when_there_is_room(&self, frame: &[u8]) -> Pushed {
        let full = |waiting: &mut Waiting<C>| self.is_full(waiting, frame.len());
        let waiting = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        self.take(waiting, frame)
    }

    /// Notes a record that was not added, because there was no room.
    pub fn drop_one(&self) {
        self.lock().batch.dropped += 1;
        self.waker.published();
    }

    fn is_full(&self, waiting: &Waiting<C>, bytes: usize) -> bool {
        let held = waiting.batch.frames.len();
        !waiting.closed && held > 0 && held + bytes > self.bytes_max
    }

    fn take(&self, mut waiting: MutexGuard<'_, Waiting<C>>, frame: &[u8]) -> Pushed {
        if waiting.closed {
            return Pushed::Closed;
        }
        waiting.batch.frames.extend_from_slice(frame);
        drop(waiting);
        self.waker.published();
        Pushed::Taken
    }

    /// Asks for something. False, and nothing is asked for, if the writer is gone.
    pub fn ask(&self, request: C) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.batch.requests.push_back(request);
        drop(waiting);
        self.waker.wake();
        self.waker.published();
        true
    }

    /// Swaps what waits into `batch`, whose frames and requests must have been dealt with. False if nothing does.
    pub fn fetch(&self, batch: &mut Batch<C>) -> bool {
        batch.frames.clear();
        batch.requests.clear();
        let mut waiting = self.lock();
        batch.frames.shrink_to(2 * self.bytes_max); // one large record is no reason to keep its room
        std::mem::swap(&mut waiting.batch, batch);
        waiting.batch.dropped = 0;
        self.room.notify_all();
        !batch.is_empty()
    }

    /// Whether something waits.
    pub fn has_work(&self) -> bool {
        !self.lock().batch.is_empty()
    }

    /// Calls `note` if no frame waits; while it runs none comes.
    pub fn note_if_empty(&self, note: impl FnOnce()) {
        let waiting = self.lock();
        if waiting.batch.frames.is_empty() {
            note();
        }
    }

    /// Takes nothing any more, and lets go whoever waits for room. Gives what nobody will fetch.
    pub fn close(&self) -> Batch<C> {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.room.notify_all();
        std::mem::take(&mut waiting.batch)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue<C>() -> Queue<C> {
        Queue::new(8, Arc::new(Waker::new()))
    }

    #[test]
    fn requests_need_no_room() {
        let queue = queue();
        assert_eq!(queue.push(b"12345678", || ()), Pushed::Taken);
        assert!(queue.ask("switch"));
        assert_eq!(queue.push(b"12345678", || ()), Pushed::Full);
        queue.drop_one();
        let mut batch = Batch::default();
        assert!(queue.has_work() && queue.fetch(&mut batch));
        assert_eq!((&batch.frames[..], batch.dropped), (&b"12345678"[..], 1));
        assert_eq!(batch.requests, ["switch"]);
        assert!(!queue.has_work() && !queue.fetch(&mut batch));
    }

    #[test]
    fn a_frame_larger_than_the_queue_goes_through_alone() {
        let queue = queue::<()>();
        assert_eq!(queue.push(&[1; 100], || ()), Pushed::Taken);
    }

    #[test]
    fn who_waits_for_room_goes_on_when_there_is_some_or_nobody_fetches_any_more() {
        let queue = queue::<()>();
        queue.push(b"12345678", || ());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.push_when_there_is_room(b"abcd"));
            let mut batch = Batch::default();
            let mut seen = Vec::new();
            while seen.len() < 12 {
                queue.fetch(&mut batch);
                seen.extend_from_slice(&batch.frames);
            }
            waiter.join().unwrap();
            queue.push(b"12345678", || ());
            let waiter = scope.spawn(|| queue.push_when_there_is_room(b"abcd"));
            queue.close();
            assert_eq!(waiter.join().unwrap(), Pushed::Closed);
        });
        assert!(!queue.ask(()));
    }
}

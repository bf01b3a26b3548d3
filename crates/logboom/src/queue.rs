//! The way from the threads that log to the writer: one mutex, bytes copied once, bounded.
//!
//! Frames lie one behind the other in one buffer that the writer swaps for an empty one, so that nothing is allocated for
//! a call. What the collector's user asks for (a switch, a flush, the end) stands between the frames where it was asked, and
//! never waits for room. The writer naps while there is much to do and is woken only when it sleeps, so that a program that
//! logs 100,000 lines a second costs a thousand wake-ups a second, and one that logs nothing none.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
    /// Requests, each with how many of the bytes stand before it.
    pub requests: VecDeque<(usize, C)>,
    /// How many records were dropped since the last batch, all after its frames.
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
    data: Condvar,
    room: Condvar,
    bytes_max: usize,
}

struct Waiting<C> {
    batch: Batch<C>,
    /// How many bytes wake the writer: few while it sleeps, many while it naps, none can while it works.
    wake_at_bytes: usize,
    closed: bool,
}

/// How the writer waits when there is nothing to do.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// For so long, or until half of the room is taken: more will come soon.
    Nap(Duration),
    /// Until something comes.
    Sleep,
    /// Until something comes, at most so long.
    SleepAtMost(Duration),
}

impl<C> Queue<C> {
    /// A queue that holds so many bytes of frames.
    pub fn new(bytes_max: usize) -> Queue<C> {
        let waiting = Waiting { batch: Batch::default(), wake_at_bytes: usize::MAX, closed: false };
        Queue { waiting: Mutex::new(waiting), data: Condvar::new(), room: Condvar::new(), bytes_max }
    }

    /// Adds a frame if there is room.
    pub fn push(&self, frame: &[u8]) -> Pushed {
        let waiting = self.lock();
        if self.is_full(&waiting, frame.len()) {
            self.data.notify_one(); // a nap is over
            return Pushed::Full;
        }
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
        if waiting.batch.frames.len() >= waiting.wake_at_bytes {
            self.wake(&mut waiting);
        }
        Pushed::Taken
    }

    /// Asks for something. False, and nothing is asked for, if the writer is gone.
    pub fn ask(&self, request: C) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        let at = waiting.batch.frames.len();
        waiting.batch.requests.push_back((at, request));
        self.wake(&mut waiting);
        true
    }

    /// Swaps what waits into `batch`, whose frames and requests must have been dealt with; where nothing does, waits first.
    /// False if nothing came.
    pub fn fetch(&self, batch: &mut Batch<C>, wait: Wait) -> bool {
        batch.frames.clear();
        batch.requests.clear();
        let mut waiting = self.lock();
        if waiting.batch.is_empty() {
            waiting = self.wait(waiting, wait);
        }
        waiting.wake_at_bytes = usize::MAX;
        std::mem::swap(&mut waiting.batch, batch);
        waiting.batch.dropped = 0;
        self.room.notify_all();
        !batch.is_empty()
    }

    fn wait<'a>(&self, mut waiting: MutexGuard<'a, Waiting<C>>, wait: Wait) -> MutexGuard<'a, Waiting<C>> {
        waiting.wake_at_bytes = if matches!(wait, Wait::Nap(_)) { self.bytes_max / 2 } else { 1 };
        let nothing = |waiting: &mut Waiting<C>| waiting.batch.is_empty();
        match wait {
            Wait::Nap(time) => self.data.wait_timeout(waiting, time).unwrap_or_else(PoisonError::into_inner).0,
            Wait::Sleep => self.data.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner),
            Wait::SleepAtMost(time) => {
                self.data.wait_timeout_while(waiting, time, nothing).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Takes nothing any more, and lets go whoever waits for room. Gives what nobody will fetch.
    pub fn close(&self) -> Batch<C> {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.room.notify_all();
        std::mem::take(&mut waiting.batch)
    }

    fn wake(&self, waiting: &mut MutexGuard<'_, Waiting<C>>) {
        waiting.wake_at_bytes = usize::MAX;
        self.data.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stand_where_they_were_made_and_need_no_room() {
        let queue = Queue::new(8);
        assert_eq!(queue.push(b"12345678"), Pushed::Taken);
        assert!(queue.ask("switch"));
        assert_eq!(queue.push(b"12345678"), Pushed::Full);
        queue.drop_one();
        let mut batch = Batch::default();
        assert!(queue.fetch(&mut batch, Wait::Sleep));
        assert_eq!((&batch.frames[..], batch.dropped), (&b"12345678"[..], 1));
        assert_eq!(batch.requests, [(8, "switch")]);
        assert!(!queue.fetch(&mut batch, Wait::Nap(Duration::ZERO)));
    }

    #[test]
    fn a_frame_larger_than_the_queue_goes_through_alone() {
        let queue = Queue::<()>::new(8);
        assert_eq!(queue.push(&[1; 100]), Pushed::Taken);
    }

    #[test]
    fn who_waits_for_room_goes_on_when_there_is_some_or_nobody_fetches_any_more() {
        let queue = Queue::<()>::new(8);
        queue.push(b"12345678");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.push_when_there_is_room(b"abcd"));
            let mut batch = Batch::default();
            let mut seen = Vec::new();
            while seen.len() < 12 {
                queue.fetch(&mut batch, Wait::Sleep);
                seen.extend_from_slice(&batch.frames);
            }
            waiter.join().unwrap();
            queue.push(b"12345678");
            let waiter = scope.spawn(|| queue.push_when_there_is_room(b"abcd"));
            queue.close();
            assert_eq!(waiter.join().unwrap(), Pushed::Closed);
        });
        assert!(!queue.ask(()));
    }
}

//! Where the readers of a run's streams leave what they read, and its writer fetches it.
//!
//! One mutex gives the order over all streams; the bytes are copied once, into a buffer that the writer swaps for an
//! empty one. When [`BYTES_MAX`] wait, readers wait: memory stays bounded and a slow disk slows the pipe, as a slow
//! reader would. The writer is woken only when it listens, so that a program that prints 100,000 single lines a second
//! costs a thousand wake-ups, not as many as lines.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use logboom_record::{Level, RunEnd, Stream, TestResult, Time};

use crate::command::OutputSink;

/// How many bytes may wait for the writer: little, since `kill -9` takes what waits.
pub const BYTES_MAX: usize = 128 << 10;

/// What a reader hands over. Cheap to clone; every clone is a hand on the same intake.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    data: Condvar,
    space: Condvar,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    wake_at_bytes: usize,
    urgent: bool,
    abandoned: bool,
}

/// The writer's side. Once it is gone, however it went, nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Outlet(Intake);

/// What came in since the writer last fetched, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Debug)]
pub(crate) enum Piece {
    /// So many of the batch's bytes, from one read(2).
    Data { stream: Stream, time: Time, len: usize },
    /// The stream has ended.
    End { stream: Stream },
    /// A line of logboom's own.
    Note { time: Time, level: Level, message: String },
    /// What files tell of tests.
    Tests(Vec<TestResult>),
    /// Nothing comes any more.
    Close { end: RunEnd },
}

impl Intake {
    pub(crate) fn new() -> (Intake, Outlet) {
        let waiting = Waiting { batch: Batch::default(), wake_at_bytes: 1, urgent: false, abandoned: false };
        let shared = Shared { waiting: Mutex::new(waiting), data: Condvar::new(), space: Condvar::new() };
        let intake = Intake(Arc::new(shared));
        (intake.clone(), Outlet(intake))
    }

    /// Takes the bytes of one read(2), which returned at `time`. Waits while [`BYTES_MAX`] are waiting already. Takes
    /// nothing once the writer is gone: the command matters more.
    pub fn push(&self, stream: Stream, time: Time, bytes: &[u8]) {
        let full = |waiting: &mut Waiting| {
            !waiting.abandoned && !waiting.batch.bytes.is_empty() && waiting.batch.bytes.len() + bytes.len() > BYTES_MAX
        };
        let mut waiting = self.0.space.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if waiting.abandoned {
            return;
        }
        waiting.batch.bytes.extend_from_slice(bytes);
        waiting.batch.pieces.push(Piece::Data { stream, time, len: bytes.len() });
        if waiting.batch.bytes.len() >= waiting.wake_at_bytes {
            self.0.data.notify_one();
        }
    }

    /// Says that a stream has ended.
    pub fn end(&self, stream: Stream) {
        self.push_urgent(Piece::End { stream });
    }

    /// Adds a line of logboom's own to the run, on [`Stream::System`].
    pub fn note(&self, time: Time, level: Level, message: String) {
        self.push_urgent(Piece::Note { time, level, message });
    }

    /// Adds what files tell of the run's tests. One that was found in the output, too, stays one.
    pub fn report(&self, tests: Vec<TestResult>) {
        self.push_urgent(Piece::Tests(tests));
    }

    pub(crate) fn close(&self, end: RunEnd) {
        self.push_urgent(Piece::Close { end });
    }

    fn push_urgent(&self, piece: Piece) {
        let mut waiting = self.lock();
        waiting.batch.pieces.push(piece);
        waiting.urgent = true;
        self.0.data.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Swaps what waits into `batch`, which is cleared first. Waits until at least `wake_at_bytes` are there, something else
    /// than data came, or `patience` is over.
    pub(crate) fn fetch(&self, batch: &mut Batch, wake_at_bytes: usize, patience: Option<Duration>) {
        batch.bytes.clear();
        batch.pieces.clear();
        let until = patience.map(|patience| Instant::now() + patience);
        let Shared { data, space, .. } = &*self.0.0;
        let mut waiting = self.0.lock();
        while waiting.batch.bytes.len() < wake_at_bytes && !waiting.urgent {
            waiting.wake_at_bytes = wake_at_bytes;
            waiting = match until {
                None => data.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    data.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::swap(&mut waiting.batch, batch);
        waiting.wake_at_bytes = usize::MAX; // nobody listens until the next call
        waiting.urgent = false;
        space.notify_all();
    }

    /// Lets the next or current [`Outlet::fetch`] come back; may be called from any thread.
    pub(crate) fn waker(&self) -> impl Fn() + Send + Sync + use<> {
        let intake = self.0.clone();
        move || {
            intake.lock().urgent = true;
            intake.0.data.notify_one();
        }
    }

    /// Whether nothing waits right now.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().batch.pieces.is_empty()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.0.space.notify_all();
    }
}

impl OutputSink for Intake {
    fn push(&self, stream: Stream, time: Time, bytes: &[u8]) {
        Intake::push(self, stream, time, bytes);
    }

    fn end(&self, stream: Stream) {
        Intake::end(self, stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_intake_makes_readers_wait_and_loses_nothing() {
        let (reader, outlet) = Intake::new();
        let chunk = vec![b'x'; 100_000];
        let pushing = std::thread::spawn(move || {
            (0..40).for_each(|_| reader.push(Stream::Stdout, Time::from_micros(0), &chunk));
            reader.end(Stream::Stdout);
        });
        let (mut batch, mut total, mut ended) = (Batch::default(), 0, false);
        while !ended {
            outlet.fetch(&mut batch, 1, None);
            assert!(batch.bytes.len() <= BYTES_MAX);
            total += batch.bytes.len();
            ended = batch.pieces.iter().any(|piece| matches!(piece, Piece::End { .. }));
        }
        pushing.join().unwrap();
        assert_eq!(total, 40 * 100_000);
    }

    #[test]
    fn nobody_waits_for_a_writer_that_is_gone() {
        let (intake, outlet) = Intake::new();
        let chunk = vec![b'x'; BYTES_MAX];
        intake.push(Stream::Stdout, Time::from_micros(0), &chunk);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| intake.push(Stream::Stdout, Time::from_micros(0), &chunk));
            drop(outlet);
            waiting.join().unwrap();
        });
        intake.push(Stream::Stdout, Time::from_micros(0), &chunk);
    }

    #[test]
    fn a_fetch_comes_back_when_its_patience_is_over() {
        let mut batch = Batch::default();
        Intake::new().1.fetch(&mut batch, 1, Some(Duration::from_millis(1)));
        assert!(batch.pieces.is_empty());
    }
}

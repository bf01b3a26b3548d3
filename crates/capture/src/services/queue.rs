//! Where the sources leave what they read, and the writer fetches it.
//!
//! Each service has a lane, which keeps its order; the writer takes from the lanes in turn, a little of each, so that one that
//! floods holds up no other. When [`BYTES_MAX`] wait in all, a source waits, or keeps what it has, unless nothing of its own
//! service waits. The writer is woken only when it listens.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::{Duration, Instant},
};

use logboom_record::{Level, RunEnd, Time};

use super::{
    Ended, NewService, SERVICES_EVER_MAX, SERVICES_MAX, ServicesError, Source,
    feed::{Delivery, Lost},
};

/// How many bytes may wait for the writer in all. Beyond it each service may have one delivery.
pub const BYTES_MAX: usize = 8 << 20;
/// How many bytes of one service are taken before it is the next one's turn; a delivery is taken whole.
const TURN_BYTES: usize = 64 << 10;

/// What happens to a service.
pub(super) enum Item {
    Add(Box<NewService>),
    Begin { time: Time, source: Box<Source> },
    Delivery(Delivery),
    Note { time: Time, level: Level, message: String },
    Lost(Lost),
    End { end: RunEnd, answer: SyncSender<Ended> },
}

/// Hears that it is done, or why not.
pub(super) type Answer = SyncSender<Result<(), String>>;

/// What is asked for behind all that waits.
pub(super) enum Request {
    /// To make it survive a power cut.
    Flush(Answer),
    /// To end.
    Close,
}

/// What the writer fetches.
#[derive(Default)]
pub(super) struct Batch {
    /// By service, each in its order.
    pub(super) items: Vec<(u32, Item)>,
    /// To be done after these.
    pub(super) requests: Vec<Request>,
}

/// The hand of a service's source on the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    service: u32,
}

/// The writer's side. Once it is gone, however it went, nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Outlet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    data: Condvar,
    space: Condvar,
}

struct Waiting {
    lanes: Vec<Lane>,
    /// How many of the services have ended, or are about to.
    ended: usize,
    /// The lanes that have something, in turn.
    ready: VecDeque<u32>,
    requests: Vec<Request>,
    bytes: usize,
    /// How many sources wait for room.
    blocked: usize,
    wake_at_bytes: usize,
    urgent: bool,
    abandoned: bool,
}

#[derive(Default)]
struct Lane {
    items: VecDeque<Item>,
    bytes: usize,
    /// Its source has more, which did not find room here.
    is_behind: bool,
}

/// Makes a queue: the hand that adds services to it, and the writer's.
pub(super) fn queue() -> (Hand, Outlet) {
    let waiting = Waiting {
        lanes: Vec::new(),
        ended: 0,
        ready: VecDeque::new(),
        requests: Vec::new(),
        bytes: 0,
        blocked: 0,
        wake_at_bytes: 1,
        urgent: false,
        abandoned: false,
    };
    let shared = Arc::new(Shared { waiting: Mutex::new(waiting), data: Condvar::new(), space: Condvar::new() });
    (Hand(Arc::clone(&shared)), Outlet(shared))
}

/// What is not about output.
#[derive(Clone, Debug)]
pub(super) struct Hand(Arc<Shared>);

impl Hand {
    /// Whether there may be one more.
    ///
    /// # Errors
    /// [`ServicesError::TooMany`].
    pub(super) fn room_for_one(&self) -> Result<(), ServicesError> {
        self.0.lock().room_for_one()
    }

    /// Adds a service, and gives its number.
    ///
    /// # Errors
    /// [`ServicesError::TooMany`].
    pub(super) fn add(&self, service: NewService) -> Result<u32, ServicesError> {
        let mut waiting = self.0.lock();
        waiting.room_for_one()?;
        let number = waiting.lanes.len();
        waiting.lanes.push(Lane::default());
        self.0.push(waiting, number as u32, Item::Add(Box::new(service)), 0);
        Ok(number as u32)
    }

    /// Hands over what must not wait.
    pub(super) fn push(&self, service: u32, item: Item) {
        let mut waiting = self.0.lock();
        waiting.ended += usize::from(matches!(item, Item::End { .. }));
        waiting.urgent = true;
        self.0.push(waiting, service, item, 0);
    }

    /// Asks for something.
    pub(super) fn request(&self, request: Request) {
        let mut waiting = self.0.lock();
        // Once the writer is gone whoever waits for an answer hears of that as the request is dropped.
        if !waiting.abandoned {
            waiting.requests.push(request);
            waiting.urgent = true;
            self.0.data.notify_one();
        }
    }

    /// A hand for the source of a service.
    pub(super) fn feed(&self, service: u32) -> Feed {
        Feed { shared: Arc::clone(&self.0), service }
    }
}

impl Feed {
    /// Hands over what a read brought; some 64 KiB are a good size, since a delivery is written as a whole. Waits while too
    /// much waits already.
    ///
    /// # Errors
    /// [`ServicesError::WriterGone`]: nothing is written any more.
    pub fn push(&self, delivery: Delivery) -> Result<(), ServicesError> {
        let bytes = delivery.bytes_held();
        let mut waiting = self.shared.lock();
        while waiting.is_full(self.service, bytes) && !waiting.abandoned {
            waiting.blocked += 1;
            waiting = self.shared.space.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.blocked -= 1;
        }
        if waiting.abandoned {
            return Err(ServicesError::WriterGone);
        }
        self.shared.push(waiting, self.service, Item::Delivery(delivery), bytes);
        Ok(())
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// The delivery, where too much waits, or the writer is gone: [`Feed::is_closed`].
    pub fn try_push(&self, delivery: Delivery) -> Result<(), Delivery> {
        let bytes = delivery.bytes_held();
        let waiting = self.shared.lock();
        if waiting.abandoned || waiting.is_full(self.service, bytes) {
            return Err(delivery);
        }
        self.shared.push(waiting, self.service, Item::Delivery(delivery), bytes);
        Ok(())
    }

    /// Says whether the source has more that waits elsewhere for room. While it does, no line counts as unfinished: its
    /// rest may be there.
    pub(crate) fn set_behind(&self, is_behind: bool) {
        if let Some(lane) = self.shared.lock().lanes.get_mut(self.service as usize) {
            lane.is_behind = is_behind;
        }
    }

    /// Whether the writer is gone, so that nothing is written any more.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().abandoned
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, service: u32, item: Item, bytes: usize) {
        let Some(lane) = waiting.lanes.get_mut(service as usize) else { return };
        let was_empty = lane.items.is_empty();
        lane.items.push_back(item);
        lane.bytes += bytes;
        waiting.bytes += bytes;
        if was_empty {
            waiting.ready.push_back(service);
        }
        let is_listening = waiting.wake_at_bytes != usize::MAX;
        if is_listening && (waiting.bytes >= waiting.wake_at_bytes || waiting.urgent) {
            waiting.wake_at_bytes = usize::MAX; // once is enough
            drop(waiting);
            self.data.notify_one();
        }
    }
}

impl Waiting {
    fn room_for_one(&self) -> Result<(), ServicesError> {
        let number = self.lanes.len();
        let counts = [(number - self.ended, SERVICES_MAX), (number, SERVICES_EVER_MAX)];
        match counts.into_iter().find(|(count, max)| count >= max) {
            Some((_, max)) => Err(ServicesError::TooMany { max }),
            None => Ok(()),
        }
    }

    fn is_full(&self, service: u32, bytes: usize) -> bool {
        let has_own = self.lanes.get(service as usize).is_some_and(|lane| lane.bytes > 0);
        has_own && self.bytes + bytes > BYTES_MAX
    }

    /// Moves so many bytes of each lane, or a little more.
    fn take(&mut self, items: &mut Vec<(u32, Item)>, lane_bytes_max: usize) {
        for _ in 0..self.ready.len() {
            let Some(service) = self.ready.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(service as usize) else { continue };
            let mut taken = 0;
            while taken < lane_bytes_max
                && let Some(item) = lane.items.pop_front()
            {
                taken += if let Item::Delivery(delivery) = &item { delivery.bytes_held() } else { 0 };
                items.push((service, item));
            }
            lane.bytes -= taken;
            self.bytes -= taken;
            if !lane.items.is_empty() {
                self.ready.push_back(service);
            }
        }
    }
}

impl Outlet {
    /// Fetches something of each service that has something, or, where something is asked for, all there is. Waits until at
    /// least `wake_at_bytes` are there, something else than output came, or `patience` is over.
    pub(super) fn fetch(&self, batch: &mut Batch, wake_at_bytes: usize, patience: Option<Duration>) {
        let mut waiting = self.wait(wake_at_bytes, patience);
        batch.requests.append(&mut waiting.requests);
        let lane_bytes_max = if batch.requests.is_empty() { TURN_BYTES } else { usize::MAX };
        waiting.take(&mut batch.items, lane_bytes_max);
        waiting.wake_at_bytes = usize::MAX; // nobody listens until the next call
        waiting.urgent = !waiting.ready.is_empty();
        if waiting.blocked > 0 {
            self.0.space.notify_all();
        }
    }

    fn wait(&self, wake_at_bytes: usize, patience: Option<Duration>) -> MutexGuard<'_, Waiting> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut waiting = self.0.lock();
        while waiting.bytes < wake_at_bytes && !waiting.urgent {
            waiting.wake_at_bytes = wake_at_bytes;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match left {
                None => self.0.data.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.0.data.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        waiting
    }

    /// Lets the next or current [`Outlet::fetch`] come back; may be called from any thread.
    pub(super) fn waker(&self) -> impl Fn() + Send + use<> {
        let shared = Arc::clone(&self.0);
        move || {
            shared.lock().urgent = true;
            shared.data.notify_one();
        }
    }

    /// Whether the source of a service has more that waits elsewhere.
    pub(super) fn is_behind(&self, service: u32) -> bool {
        self.0.lock().lanes.get(service as usize).is_some_and(|lane| lane.is_behind)
    }

    /// Whether nothing waits right now.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().ready.is_empty()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.abandoned = true;
        // Whoever waits for an answer to one of these hears that there is none.
        waiting.requests.clear();
        waiting.lanes.clear();
        self.0.space.notify_all();
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("bytes", &self.bytes).field("ready", &self.ready).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use logboom_files::textlog::TextWriter;
    use logboom_record::RunId;

    use super::*;

    fn feeds<const N: usize>() -> ([Feed; N], Hand, Outlet) {
        let (hand, outlet) = queue();
        let feed = |number: usize| {
            let text = TextWriter::new(tempfile::tempfile().unwrap(), Path::new("x.log"));
            hand.feed(hand.add(NewService::new(RunId::from_bytes([number as u8; 16]), text)).unwrap())
        };
        let feeds = std::array::from_fn(feed);
        outlet.fetch(&mut Batch::default(), 0, None);
        (feeds, hand, outlet)
    }

    fn delivery(bytes: usize) -> Delivery {
        Delivery { bytes: vec![b'x'; bytes], ..Delivery::default() }
    }

    /// How many bytes of output of each service a fetch brings.
    fn fetch(outlet: &Outlet) -> Vec<(u32, usize)> {
        let mut batch = Batch::default();
        outlet.fetch(&mut batch, 1, None);
        let bytes = |item: &Item| if let Item::Delivery(delivery) = item { delivery.bytes.len() } else { 0 };
        batch.items.iter().map(|(service, item)| (*service, bytes(item))).collect()
    }

    #[test]
    fn a_service_that_floods_holds_up_no_other() {
        let ([flood, quiet], _, outlet) = feeds();
        (0..100).for_each(|_| flood.push(delivery(50_000)).unwrap());
        quiet.push(delivery(7)).unwrap();
        assert_eq!(fetch(&outlet), [(0, 50_000), (0, 50_000), (1, 7)]);
        quiet.push(delivery(8)).unwrap();
        assert_eq!(fetch(&outlet), [(0, 50_000), (0, 50_000), (1, 8)]);
        assert!(!outlet.is_empty());
    }

    #[test]
    fn where_much_waits_each_service_may_have_one_delivery() {
        let ([flood, quiet], _, outlet) = feeds();
        while flood.try_push(delivery(100_000)).is_ok() {}
        assert_eq!(flood.try_push(delivery(9)), Ok(()), "it fits");
        assert_eq!(flood.try_push(delivery(100_000)), Err(delivery(100_000)));
        assert_eq!(quiet.try_push(delivery(100_000)), Ok(()));
        assert_eq!(quiet.try_push(delivery(100_000)), Err(delivery(100_000)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| quiet.push(delivery(1)));
            let (mut got, mut bytes) = (0, 0);
            while got < 100_001 {
                for (service, more) in fetch(&outlet) {
                    bytes += more;
                    got += if service == 1 { more } else { 0 };
                }
            }
            assert!(bytes > got);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn what_is_asked_for_comes_behind_all_that_waits() {
        let ([flood], hand, outlet) = feeds();
        (0..80).for_each(|_| flood.push(delivery(50_000)).unwrap());
        hand.request(Request::Close);
        let mut batch = Batch::default();
        outlet.fetch(&mut batch, usize::MAX, None);
        assert_eq!((batch.items.len(), batch.requests.len()), (80, 1));
    }

    #[test]
    fn nobody_waits_for_a_writer_that_is_gone() {
        let ([feed], hand, outlet) = feeds();
        while feed.try_push(delivery(100_000)).is_ok() {}
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| feed.push(delivery(100_000)));
            drop(outlet);
            assert!(matches!(waiting.join().unwrap(), Err(ServicesError::WriterGone)));
        });
        assert!(feed.is_closed() && feed.try_push(delivery(1)).is_err());
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        hand.request(Request::Flush(answer));
        assert!(answered.recv().is_err());
    }

    #[test]
    fn a_fetch_comes_back_when_its_patience_is_over() {
        let (_, outlet) = queue();
        let mut batch = Batch::default();
        outlet.fetch(&mut batch, 1, Some(Duration::from_millis(1)));
        assert!(batch.items.is_empty());
    }
}

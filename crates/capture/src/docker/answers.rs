//! Reads answers of the logs API, by a task for each container.
//!
//! What is to be read is known by what came last, see [`joining`](super::joining). A log that cannot lose its beginning is followed; one that
//! rotates is asked again and again.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use logboom_record::Time;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    counted::{self, Beginning, Counter, Placed},
    joining::Joined,
    logs::{self, Entries},
    sources::{Left, Said, leave_out_before},
    tailer::Token,
};
use crate::{
    engine::{Container, Engine, EngineError, Framing, LogsQuery},
    services::{
        Feed, ServiceId, ServiceWriter, Source,
        feed::{ContainerId, Delivery, Lost, Place, Reached, SourceKind},
    },
};

/// So much is put together before it is handed over.
const DELIVERY_BYTES: usize = 64 << 10;
/// How long a source waits that must not hold up the runtime, where the writer has too much already.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// How long a log that rotates is left alone that had something new, and one that had nothing where nobody says that it has.
const POLL_PAUSE: Duration = Duration::from_millis(20);
const POLL_AT_LATEST: Duration = Duration::from_secs(5);
/// It is not left alone where so many entries were new.
const MANY: u64 = 2_000;
/// When an answer that goes on with what comes has had all that there was, if nothing came for so long.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

const ROTATED: &str = "lines may be lost: the engine's log lost its beginning before that was read";
const LACKS: &str =
    "the engine's log lacks so much of what came before that some of what it has since may be taken for that";

/// How an answer of the logs API ended.
#[derive(Debug)]
pub(super) struct LogsEnd {
    /// How far it had come.
    pub reached: Reached,
    /// Whether it was to go on with what comes. Engines end such an answer when the container ends, maybe before all was said.
    pub followed: bool,
    /// Why it broke off, if it did.
    pub why: Option<EngineError>,
}

/// What one container's output is read for.
#[derive(Clone)]
pub(super) struct Target {
    pub service: ServiceId,
    pub feed: Feed,
    /// What was printed before is not wanted.
    pub since_ns: Option<i64>,
    /// How far it is handed over.
    pub left: Left,
    /// Places are counts: the source began as attached streams.
    pub counter: Option<Arc<Mutex<Counter>>>,
}

/// What is asked of the logs API.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub engine: Engine,
    pub container: String,
    pub framing: Framing,
    /// Go on with what comes, until the container ends.
    pub follow: bool,
    /// The log may lose its beginning.
    pub rotates: bool,
}

impl Asked {
    /// Of a container, to follow it.
    pub fn of(engine: &Engine, container: &Container) -> Asked {
        let rotates = counted::beginning(container) != Beginning::Kept && container.log_driver != "journald";
        let framing = container.framing();
        Asked { engine: engine.clone(), container: container.id.clone(), framing, follow: true, rotates }
    }
}

/// Why nothing comes of an answer any more.
enum Ended {
    /// The engine ended it.
    ByEngine,
    /// It was not to be waited for any more.
    ToNow,
}

/// Reads the log of one container.
pub(super) struct Task {
    pub token: Token,
    pub target: Target,
    pub reached: Reached,
    pub of: Asked,
    pub said: mpsc::UnboundedSender<Said>,
    /// Ends the waiting for more.
    pub to_now: Arc<Notify>,
    pub writer: Arc<ServiceWriter>,
}

impl Task {
    /// Reads until nothing comes any more, then says [`Said::Ended`].
    pub async fn run_after(self, pause: Duration) {
        tokio::time::sleep(pause).await;
        let mut entries = Entries::new(self.of.framing, self.reached);
        let (followed, ended) = self.run(&mut entries).await;
        let end = LogsEnd { reached: entries.reached(), followed, why: ended.err() };
        let _ = self.said.send(Said::Ended(self.token, end));
    }

    /// Reads until there is no more. Tells whether what would have come later was waited for.
    async fn run(&self, entries: &mut Entries) -> (bool, Result<(), EngineError>) {
        let ended = match (self.of.follow, self.of.rotates) {
            (false, _) => Ok(Ended::ToNow),
            (true, false) => self.read(entries, true).await,
            (true, true) => self.poll(entries).await,
        };
        match ended {
            // What was on its way comes by an answer that ends.
            Ok(Ended::ToNow) => (false, self.read(entries, false).await.map(drop)),
            ended => (true, ended.map(drop)),
        }
    }

    /// Asks for what came, again and again: an engine that follows a log which rotates leaves out what it was too slow for.
    async fn poll(&self, entries: &mut Entries) -> Result<Ended, EngineError> {
        let mut idle = 0;
        loop {
            self.read(entries, false).await?;
            let new = entries.new_entries();
            idle = if new == 0 { idle + 1 } else { 0 };
            if idle > 0
                && let Some(ended) = self.wait_for_more(entries).await?
            {
                return Ok(ended);
            }
            // One that had something new after it was waited for is asked at once.
            let pause = if new >= MANY || idle == 1 { Duration::ZERO } else { POLL_PAUSE };
            tokio::select! {
                biased;
                () = self.to_now.notified() => return Ok(Ended::ToNow),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits until the log ends in another entry than the one that was the last, or nothing more is to be waited for.
    async fn wait_for_more(&self, known: &Entries) -> Result<Option<Ended>, EngineError> {
        let query = LogsQuery { follow: true, tail: Some(1), ..LogsQuery::default() };
        let mut frames = self.of.engine.logs(&self.of.container, self.of.framing, &query).await?;
        let until = Instant::now() + POLL_AT_LATEST;
        let (mut entries, mut came) = (Entries::new(self.of.framing, Reached::default()), Delivery::default());
        loop {
            let frame = tokio::select! {
                () = self.to_now.notified() => return Ok(Some(Ended::ToNow)),
                () = tokio::time::sleep_until(until) => return Ok(None),
                next = frames.next() => next?,
            };
            let Some(frame) = frame else { return Ok(Some(Ended::ByEngine)) };
            let is_entry = entries.push(&frame, &mut came).is_ok();
            if !is_entry || came.pieces.len() > 1 || (came.pieces.len() == 1 && !entries.ends_as(known)) {
                return Ok(None);
            }
        }
    }

    /// Reads behind what came, asking for more of the log until it is seen where that is.
    async fn read(&self, entries: &mut Entries, follow: bool) -> Result<Ended, EngineError> {
        loop {
            if let Some(ended) = self.read_last(entries, follow).await? {
                return Ok(ended);
            }
        }
    }

    /// Reads an answer. Gives nothing if it has too few of the last entries.
    async fn read_last(&self, entries: &mut Entries, follow: bool) -> Result<Option<Ended>, EngineError> {
        let since_ns = self.target.since_ns.filter(|_| entries.is_at_beginning());
        let query = LogsQuery { follow, since_ns, tail: entries.begin(), ..LogsQuery::default() };
        let mut frames = self.of.engine.logs(&self.of.container, self.of.framing, &query).await?;
        let mut delivery = logs::delivery(Time::now());
        loop {
            // What is there at once goes together.
            let next = tokio::select! {
                biased;
                () = self.to_now.notified(), if follow && delivery.pieces.is_empty() => return Ok(Some(Ended::ToNow)),
                next = frames.next() => Some(next),
                () = std::future::ready(()), if !delivery.pieces.is_empty() => {
                    self.hand_over(&mut delivery).await;
                    continue;
                }
                () = tokio::time::sleep(SETTLED_AFTER), if follow && !entries.is_settled() => None,
            };
            if delivery.pieces.is_empty() {
                delivery.time = Time::now();
            }
            let (pushed, has_ended) = match next {
                Some(Ok(Some(frame))) => (entries.push(&frame, &mut delivery), false),
                Some(Ok(None)) => (entries.settle(true, &mut delivery), true),
                None => (entries.settle(false, &mut delivery), false),
                Some(Err(error)) => {
                    self.hand_over(&mut delivery).await;
                    return Err(error);
                }
            };
            if pushed == Ok(Joined::Torn) {
                self.go_on_torn(entries, &mut delivery).await;
            }
            let is_short = pushed == Ok(Joined::Short);
            if delivery.bytes.len() >= DELIVERY_BYTES || pushed.is_err() || is_short || has_ended {
                self.hand_over(&mut delivery).await;
            }
            pushed.map_err(|bad| self.of.engine.unreadable_logs(&self.of.container, bad))?;
            if is_short || has_ended {
                return Ok((!is_short).then_some(Ended::ByEngine));
            }
        }
    }

    /// The log has lost what came last: tells that, between what came before and what comes now.
    async fn go_on_torn(&self, entries: &Entries, delivery: &mut Delivery) {
        let later = entries.split_torn(delivery);
        self.hand_over(delivery).await;
        *delivery = later;
        if self.target.counter.is_none() {
            self.begin(SourceKind::LogsApi, *entries.from());
        }
        self.lose(ROTATED);
        let _ = self.said.send(Said::Trouble(self.token, ROTATED.to_owned()));
    }

    async fn hand_over(&self, delivery: &mut Delivery) {
        let mut entries = mem::take(delivery);
        leave_out_before(&mut entries, self.target.since_ns);
        let Some(counter) = &self.target.counter else { return self.push(entries).await };
        let placed = counter.lock().unwrap_or_else(PoisonError::into_inner).place(&entries);
        for placed in placed {
            match placed {
                Placed::Delivery(delivery) => self.push(delivery).await,
                Placed::Anew { reached, is_doubtful } => self.begin_anew(reached, is_doubtful),
            }
        }
    }

    /// The log lacks what came last by attached streams.
    fn begin_anew(&self, reached: Reached, is_doubtful: bool) {
        self.begin(SourceKind::Attached, reached);
        if is_doubtful {
            self.lose(LACKS);
        }
    }

    fn begin(&self, kind: SourceKind, reached: Reached) {
        let container = ContainerId::parse(&self.of.container).unwrap_or_default();
        self.writer.begin(self.target.service, Source { reached, ..Source::new(container, kind) });
    }

    fn lose(&self, why: &str) {
        let lost = Lost { time: Time::now(), count: None, why: why.to_owned(), reached: Place::default() };
        self.writer.gap(self.target.service, lost);
    }

    async fn push(&self, mut full: Delivery) {
        while !full.pieces.is_empty()
            && let Err(back) = self.target.feed.try_push(full)
        {
            if self.target.feed.is_closed() {
                return;
            }
            full = back;
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

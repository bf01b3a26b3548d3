//! The thread that writes the services: it turns deliveries into lines, and decides when they go to the files.
//!
//! Its times are those of the writer of one run while there are few services. With more of them the pause between flushes grows,
//! for each has its bytes in the checkpoint, and text logs lag behind: they cost a write(2) each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use logboom_record::{RunEnd, Stream, Time};

use super::{
    Ended, Written,
    feed::{Delivery, Lost, Source},
    held::Held,
    out::{Out, Stamp},
    queue::{Batch, Item, Outlet, Request},
};
use crate::{
    lines::{Part, Splitter},
    writer::{FLUSH_AFTER, FLUSH_PAUSE, FlushClock, OpenStream},
};

/// How much longer the pause between two flushes is with each service.
const PAUSE_PER_SERVICE: Duration = Duration::from_micros(100);
/// With more services than these text logs may lag behind the boom file.
const FEW_SERVICES: u32 = 10;
/// How long with each service, and at most.
const LAG_PER_SERVICE: Duration = Duration::from_micros(400);
const LAG_MAX: Duration = Duration::from_millis(100);
/// After so many bytes of a delivery it is looked whether it is time to flush.
const LOOK_EVERY_BYTES: usize = 16 << 10;
/// What a piece of a delivery costs, in bytes.
const PIECE_BYTES: usize = 64;

/// See the module.
pub(super) struct Worker {
    queue: Outlet,
    services: Vec<Service>,
    /// Those with an unfinished line.
    unfinished: Vec<u32>,
    out: Out,
    clock: FlushClock,
    /// How long text logs may lag behind, and when they did not.
    pub(super) text_lag: Duration,
    last_texts: Instant,
}

/// The lines of a service.
#[derive(Default)]
struct Service {
    streams: [OpenStream<Stamp>; 2],
    held: [Held; 2],
    is_unfinished: bool,
}

impl Worker {
    pub(super) fn new(queue: Outlet, out: Out) -> Worker {
        let now = Instant::now();
        let (clock, text_lag, last_texts) = (FlushClock::new(now), Duration::ZERO, now);
        Worker { queue, services: Vec::new(), unfinished: Vec::new(), out, clock, text_lag, last_texts }
    }

    /// Works until it is asked to end.
    pub(super) fn run(mut self) -> Written {
        let mut batch = Batch::default();
        loop {
            let due = self.next_unfinished().into_iter().chain(self.texts_due_at()).min();
            let (wake_at_bytes, patience) = self.clock.next_wait(Instant::now(), due);
            self.queue.fetch(&mut batch, wake_at_bytes, patience);
            if !batch.items.is_empty() {
                self.clock.note_taken(Instant::now());
            }
            self.out.masks.look();
            batch.items.drain(..).for_each(|(service, item)| self.take(service, item));
            if self.answer(&mut batch.requests) {
                return self.finish();
            }
            let now = Instant::now();
            self.write_unfinished(now);
            if self.clock.is_due(now, || self.queue.is_empty()) {
                self.flush();
            }
            self.write_texts_if_due(now);
            if self.clock.take_sync(now, false) {
                self.clock.unsynced = !self.out.request_sync();
            }
            self.clock.unsynced |= !self.out.note_syncs();
        }
    }

    /// Ends all files.
    pub(super) fn finish(self) -> Written {
        self.out.finish()
    }

    fn next_unfinished(&self) -> Option<Instant> {
        let services = self.unfinished.iter().map(|number| &self.services[*number as usize]);
        services.flat_map(|service| &service.streams).filter_map(OpenStream::is_due_at).min()
    }

    /// Does what happened to a service.
    pub(super) fn take(&mut self, number: u32, item: Item) {
        match item {
            Item::Add(new) => {
                self.services.resize_with(number as usize + 1, Service::default);
                self.out.add(number, *new);
                self.set_pace(self.out.live() as u32);
            }
            Item::Begin { time, source } => self.begin(number, time, *source),
            Item::Delivery(delivery) => self.deliver(number, &delivery),
            Item::Note { time, level, message } => self.out.note(number, time, level, &message),
            Item::Lost(lost) => self.lose(number, &lost),
            Item::End { end, answer } => {
                let ended = self.end(number, &end);
                // Who does not want to know does not listen.
                let _ = answer.send(ended);
            }
        }
    }

    fn begin(&mut self, number: u32, time: Time, source: Source) {
        self.finish_lines(number);
        let going_on = |stream| {
            let from = source.reached.of(stream);
            OpenStream::going_on(from.in_line, from.level, Stamp { time, origin_ns: None })
        };
        self.services[number as usize].streams = [going_on(Stream::Stdout), going_on(Stream::Stderr)];
        self.out.begin(number, source);
    }

    fn deliver(&mut self, number: u32, delivery: &Delivery) {
        if !self.out.begin_delivery(number, delivery) {
            return;
        }
        let (mut rest, mut looked_at) = (&delivery.bytes[..], 0);
        for piece in &delivery.pieces {
            let (bytes, later) = rest.split_at_checked(piece.len as usize).unwrap_or((rest, &[]));
            rest = later;
            let track = usize::from(piece.stream == Stream::Stderr);
            let skip = self.out.begin_piece(number, track, piece);
            let stamp = Stamp { time: delivery.time, origin_ns: piece.origin_time_ns };
            self.write_bytes(number, track, &bytes[skip.min(bytes.len())..], stamp);
            looked_at += bytes.len() + PIECE_BYTES;
            if looked_at >= LOOK_EVERY_BYTES {
                looked_at = 0;
                self.flush_if_late();
            }
        }
        self.out.pass(number, delivery.reached);
        self.note_unfinished(number);
    }

    #[inline]
    fn write_bytes(&mut self, number: u32, track: usize, bytes: &[u8], stamp: Stamp) {
        if self.out.masks.masks.values().is_empty() {
            return self.write(number, track, |splitter, take| splitter.push(bytes, stamp, take));
        }
        let mut held = std::mem::take(&mut self.services[number as usize].held[track]);
        let masks = Arc::clone(&self.out.masks.masks);
        held.push(&masks, bytes, stamp, |bytes, stamp| {
            self.write(number, track, |splitter, take| splitter.push(bytes, stamp, take));
        });
        self.services[number as usize].held[track] = held;
    }

    #[inline]
    fn write(
        &mut self,
        number: u32,
        track: usize,
        split: impl FnOnce(&mut Splitter<Stamp>, &mut dyn FnMut(Part<'_, Stamp>)),
    ) {
        let (out, stream) = (&mut self.out, &mut self.services[number as usize].streams[track]);
        let level = &mut stream.level;
        split(&mut stream.splitter, &mut |part| out.record(number, track, level, &part));
    }

    fn finish_lines(&mut self, number: u32) {
        for track in 0..2 {
            let mut held = std::mem::take(&mut self.services[number as usize].held[track]);
            let masks = Arc::clone(&self.out.masks.masks);
            held.finish(&masks, |bytes, stamp| {
                self.write(number, track, |splitter, take| splitter.push(bytes, stamp, take));
            });
            self.services[number as usize].held[track] = held;
            self.write(number, track, |splitter, take| splitter.finish(take));
        }
    }

    fn lose(&mut self, number: u32, lost: &Lost) {
        self.finish_lines(number);
        self.out.lose(number, lost);
    }

    fn end(&mut self, number: u32, end: &RunEnd) -> Ended {
        self.finish_lines(number);
        let service = std::mem::take(&mut self.services[number as usize]);
        let mut ended = self.out.end(number, end);
        ended.masked += service.held.iter().map(|held| held.count).sum::<u64>();
        self.clock.flushed();
        self.set_pace(self.out.live() as u32);
        ended
    }

    /// Sees to it that what is unfinished becomes a part in time.
    fn note_unfinished(&mut self, number: u32) {
        let service = &mut self.services[number as usize];
        let is_unfinished = service.streams.iter().any(|stream| stream.splitter.unfinished_since().is_some());
        if is_unfinished && !std::mem::replace(&mut service.is_unfinished, true) {
            self.unfinished.push(number);
        }
    }

    /// Writes as a part what has been unfinished for long enough, and notes since when the rest is.
    pub(super) fn write_unfinished(&mut self, now: Instant) {
        for number in std::mem::take(&mut self.unfinished) {
            self.services[number as usize].is_unfinished = false;
            for track in 0..2 {
                let stream = &mut self.services[number as usize].streams[track];
                if stream.note_unfinished(now, || self.queue.is_behind(number)) {
                    self.write(number, track, |splitter, take| splitter.hand_out_unfinished(take));
                    self.clock.note_taken(now);
                }
            }
            self.note_unfinished(number);
        }
    }

    /// Does what was asked for. True if that is to end.
    fn answer(&mut self, requests: &mut Vec<Request>) -> bool {
        let mut is_end = false;
        for request in requests.drain(..) {
            match request {
                Request::Flush(answer) => {
                    self.out.sync(answer);
                    self.clock.flushed();
                }
                Request::Close => is_end = true,
            }
        }
        is_end
    }

    fn set_pace(&mut self, services: u32) {
        self.clock.pause = (PAUSE_PER_SERVICE * services).clamp(FLUSH_PAUSE, FLUSH_AFTER);
        let is_few = services <= FEW_SERVICES;
        self.text_lag = if is_few { Duration::ZERO } else { (LAG_PER_SERVICE * services).min(LAG_MAX) };
    }

    /// Hands all that was taken to the kernel, but for text logs that may lag behind.
    pub(super) fn flush(&mut self) {
        self.write_texts_if_due(Instant::now());
        self.out.flush_boom();
        self.clock.flushed();
    }

    fn texts_due_at(&self) -> Option<Instant> {
        self.out.has_unwritten_text().then(|| self.last_texts + self.text_lag)
    }

    fn write_texts_if_due(&mut self, now: Instant) {
        if self.texts_due_at().is_some_and(|due| now >= due) {
            self.out.flush_texts();
            (self.last_texts, self.clock.unsynced) = (now, true);
        }
    }

    fn flush_if_late(&mut self) {
        if self.clock.is_late(Instant::now()) {
            self.flush();
        }
    }
}

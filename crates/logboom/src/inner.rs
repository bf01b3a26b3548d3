//! What the handles of a collector and its writer share: the way of a call into its ring or the queue.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use logboom_record::Level;

use crate::{
    ack::{Ack, Answer, ack},
    deferred::{Fields, FieldsWriter, Source},
    error::CollectorError,
    filter::Filter,
    fork::forks,
    frame::{FrameKind, HEAD_BYTES, Head, Slot},
    private::Call,
    queue::{Batch, OnFull, Pushed, QUEUE_BYTES_MAX, Queue},
    ring::{Clock, RingFile, Waker},
    rings::{self, Put},
    stats::Counters,
    writer::Request,
};

/// The most bytes of one message with its fields; of a longer one the start is kept, and a note says so.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

const FRAME_BYTES_MAX: usize = HEAD_BYTES + MESSAGE_BYTES_MAX;
const CUT: &str = " … (the rest is cut: a message has at most 16 MiB)";
const SCRATCH_BYTES: usize = 4 << 10;
const SCRATCH_KEPT_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Where calls of this thread are put into words that do not fit their ring. Taken while in use, so that a call within a call
    /// has its own.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread is the writer of a collector.
    static WRITES: Cell<bool> = const { Cell::new(false) };
    /// Whether a call is put into words once more, because there was too little room: calls within it were made before.
    static REPEATS: Cell<bool> = const { Cell::new(false) };
}

/// What the handles and the writer share.
pub struct Inner {
    /// Its number in the process, from 1.
    pub id: u64,
    /// Which records of the facades it wants.
    pub filter: Filter,
    /// What to do with a record that finds the buffer full.
    pub on_full: OnFull,
    /// The current session file, from 1.
    pub generation: AtomicU32,
    /// The side way to the writer.
    pub queue: Queue<Request>,
    /// How it does.
    pub stats: Counters,
    rings: Option<RingFile>,
    /// Whether no call waits until its record is written: so it was asked for.
    queue_only: bool,
    clock: Clock,
    closed: AtomicBool,
    /// How many forks lie between the program's start and the process that made it.
    forks: u64,
}

impl Inner {
    /// A collector that nobody writes yet. Without rings all goes by the queue, and each call waits until its record is written.
    pub fn new(filter: Filter, on_full: OnFull, rings: Option<RingFile>, waker: Arc<Waker>) -> Inner {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Inner {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            filter,
            on_full,
            generation: AtomicU32::new(1),
            queue: Queue::new(QUEUE_BYTES_MAX, waker),
            stats: Counters::default(),
            rings,
            queue_only: false,
            clock: Clock::detect(),
            closed: AtomicBool::new(false),
            forks: forks(),
        }
    }

    /// The same without rings where nobody wants any: no call waits until its record is written.
    pub fn queue_only(filter: Filter, on_full: OnFull, waker: Arc<Waker>) -> Inner {
        Inner { queue_only: true, ..Inner::new(filter, on_full, None, waker) }
    }

    /// The file of the rings, where there are any.
    pub fn ring_file(&self) -> Option<&RingFile> {
        self.rings.as_ref()
    }

    /// Whether nobody writes any more.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Notes that nobody writes any more. Gives what was left in the queue.
    pub fn close(&self) -> Batch<Request> {
        self.closed.store(true, Ordering::Relaxed);
        self.queue.close()
    }

    /// Whether this process is a fork of the one that made the collector: its writer is not here.
    #[inline]
    pub fn is_forked(&self) -> bool {
        self.forks != forks()
    }

    /// Logs a ready message. Without a level it is told from the message's head.
    pub fn log_bytes(self: &Arc<Self>, level: Option<Level>, message: &[u8]) {
        let (kind, level) = level.map_or((FrameKind::Unleveled, Level::Info), |level| (FrameKind::Text, level));
        self.log_text(kind, level, |slot| {
            slot.put(message);
            message.len() as u32
        });
    }

    /// Logs a message that is put into words now.
    pub fn log_args(self: &Arc<Self>, level: Level, message: fmt::Arguments<'_>) {
        self.log_text(FrameKind::Text, level, |slot| {
            // What does not fit is noted by the slot; a Display that fails has written what it could.
            let _ = slot.write_fmt(message);
            slot.payload_bytes() as u32
        });
    }

    /// Logs the text that `fill` writes, which gives the length of the message; fields may follow it as JSON.
    fn log_text(self: &Arc<Self>, kind: FrameKind, level: Level, fill: impl Fn(&mut Slot<'_>) -> u32) {
        if !self.log(kind, level, &fill) {
            self.log_start(level, fill);
        }
    }

    /// Logs a call of one of the macros.
    #[inline]
    pub fn log_call<F: Fn(&mut Slot<'_>)>(self: &Arc<Self>, call: &Call<F>) {
        if self.is_forked() || REPEATS.get() {
            return;
        }
        let head = self.head(FrameKind::Deferred, call.level);
        match rings::write_call(self, &head, call.site, &call.encode) {
            Put::Done => {}
            put => self.log_call_otherwise(head, call, put),
        }
    }

    #[cold]
    fn log_call_otherwise<F: Fn(&mut Slot<'_>)>(self: &Arc<Self>, head: Head, call: &Call<F>, put: Put) {
        let fill = |slot: &mut Slot<'_>| {
            (call.encode)(slot);
            call.site.number()
        };
        if !put_into_words(put, head, fill, |frame| self.push_after(put, frame)) {
            self.leave_out(call.level, call.site.source());
        }
    }

    #[cold]
    fn leave_out(self: &Arc<Self>, level: Level, Source { file, line, .. }: Source) {
        self.stats.note_cut();
        self.log_args(level, format_args!("a message of more than 16 MiB from {file}:{line} is left out"));
    }

    /// Logs what `fill` writes, which gives the head's number. It is called again with more room where that was short.
    /// False if it never fits.
    #[inline]
    fn log(self: &Arc<Self>, kind: FrameKind, level: Level, fill: impl Fn(&mut Slot<'_>) -> u32) -> bool {
        if self.is_forked() || REPEATS.get() {
            return true;
        }
        let head = self.head(kind, level);
        match rings::write(self, &head, &fill) {
            Put::Done => true,
            put => put_into_words(put, head, fill, |frame| self.push_after(put, frame)),
        }
    }

    fn head(&self, kind: FrameKind, level: Level) -> Head {
        // The generation first: a record of a session file is never older than the file.
        let generation = self.generation.load(Ordering::Acquire);
        Head { kind, level, ticks: self.clock.ticks(), generation, number: 0 }
    }

    /// Logs the start of a message that is too long, and says that the rest is missing.
    #[cold]
    fn log_start(self: &Arc<Self>, level: Level, fill: impl Fn(&mut Slot<'_>) -> u32) {
        self.stats.note_cut();
        let mut place = vec![0; FRAME_BYTES_MAX - CUT.len()];
        let mut slot = Slot::cutting(&mut place);
        let message_bytes = repeat(|| fill(&mut slot)) as usize;
        let kept = slot.payload_bytes().min(message_bytes);
        place.truncate(HEAD_BYTES + kept);
        place.extend_from_slice(CUT.as_bytes());
        self.log_bytes(Some(level), &place[HEAD_BYTES..]);
    }

    /// Logs a ready message and its fields as JSON.
    pub fn log_ready(self: &Arc<Self>, level: Level, message: &str, json: &str) {
        self.log_text(FrameKind::Text, level, |slot| {
            slot.put(message.as_bytes());
            slot.put(json.as_bytes());
            message.len() as u32
        });
    }

    /// Logs a record of the `log` facade.
    pub fn log_record(self: &Arc<Self>, record: &log::Record<'_>) {
        let level = level_of(record.level());
        if record.key_values().count() > 0 {
            return self.log_with_fields(level, record);
        }
        match record.args().as_str() {
            Some(message) => self.log_bytes(Some(level), message.as_bytes()),
            None => self.log_args(level, *record.args()),
        }
    }

    #[cold]
    fn log_with_fields(self: &Arc<Self>, level: Level, record: &log::Record<'_>) {
        let mut fields = FieldsOfRecord(FieldsWriter::default());
        // This visitor refuses nothing.
        let _ = record.key_values().visit(&mut fields);
        let Fields { suffix, json, .. } = fields.0.finish();
        self.log_text(FrameKind::Text, level, |slot| {
            let _ = slot.write_fmt(*record.args());
            slot.put(suffix.as_bytes());
            let message_bytes = slot.payload_bytes();
            slot.put(json.unwrap_or_default().as_bytes());
            message_bytes as u32
        });
    }

    /// Has everything that was logged before fsync'ed.
    pub fn flush(&self) -> Result<(), CollectorError> {
        self.ask(Request::Flush)?.wait().unwrap_or(Err(CollectorError::Ended))
    }

    /// The same for a caller that has no way to tell how it went; the collector's own flush tells it, and its stats.
    pub fn flush_untold(&self) {
        // One that has ended has flushed all, and a writer cannot wait for itself.
        let _ = self.ask(Request::FlushUntold).map(Ack::wait);
    }

    /// Asks the writer for something that it answers.
    pub fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<Ack<T>, CollectorError> {
        if is_writer() {
            return Err(CollectorError::OwnWriter);
        }
        let (answer, ack) = ack();
        if self.is_forked() || !self.queue.ask(request(answer)) {
            return Err(CollectorError::Ended);
        }
        Ok(ack)
    }

    /// Hands a frame to the writer that the ring did not take as it was made.
    #[cold]
    fn push_after(self: &Arc<Self>, put: Put, frame: &[u8]) {
        match put {
            Put::NoRing if self.queue_only => self.push_aside(frame),
            Put::NoRing | Put::Within => self.push_and_wait(frame),
            _ => match rings::copy(self, frame) {
                Put::Done => {}
                Put::TooLarge => self.push_and_wait(frame),
                _ => self.push_when_there_is_room(frame),
            },
        }
    }

    #[cold]
    fn push_when_there_is_room(self: &Arc<Self>, frame: &[u8]) {
        if self.drops() {
            return self.drop_one();
        }
        let before = Instant::now();
        self.stats.note_stall();
        while rings::copy(self, frame) == Put::Full {
            if self.is_closed() {
                return self.note_dropped();
            }
            rings::wait(self, frame.len());
        }
        self.stats.note_stalled(before.elapsed());
    }

    /// A record that cannot go by the ring of its thread goes by the queue, after what the thread logged before, and is waited for,
    /// so that it is in the file when the call returns.
    #[cold]
    fn push_and_wait(self: &Arc<Self>, frame: &[u8]) {
        if self.drops() {
            return self.push_aside(frame);
        }
        let written = || self.ask(Request::Write).map(Ack::wait);
        // Where the writer cannot be waited for, its queue is all there is.
        let _ = written();
        self.push_aside(frame);
        let _ = written();
    }

    fn push_aside(&self, frame: &[u8]) {
        let nobody_waits = || {
            if self.drops() {
                self.rings.iter().for_each(|file| file.set_by_queue(true));
            }
        };
        let mut pushed = self.queue.push(frame, nobody_waits);
        if pushed == Pushed::Full {
            if self.drops() {
                return self.drop_one();
            }
            let before = Instant::now();
            self.stats.note_stall();
            pushed = self.queue.push_when_there_is_room(frame);
            self.stats.note_stalled(before.elapsed());
        }
        if pushed == Pushed::Closed {
            self.note_dropped();
        }
    }

    /// Whether a record is dropped where there is no room. A writer waits for none: not for itself, nor for one that may wait for it.
    fn drops(&self) -> bool {
        self.on_full == OnFull::Drop || is_writer()
    }

    fn drop_one(&self) {
        self.note_dropped();
        self.queue.drop_one();
    }

    /// First where a killed process leaves it: what the writer tells of is settled there.
    fn note_dropped(&self) {
        self.rings.iter().for_each(RingFile::note_dropped);
        self.stats.note_dropped();
    }
}

/// Makes this thread known as the writer of a collector.
pub fn be_writer() {
    WRITES.set(true);
}

/// Whether this thread is the writer of a collector.
pub fn is_writer() -> bool {
    WRITES.get()
}

/// Runs what was run before, and keeps the calls within it from being logged again.
fn repeat<T>(run: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            REPEATS.set(self.0);
        }
    }
    let _before = Before(REPEATS.replace(true));
    run()
}

/// Makes a frame in memory, with as much room as it takes. False if it never fits.
fn put_into_words(put: Put, head: Head, fill: impl Fn(&mut Slot<'_>) -> u32, push: impl FnOnce(&[u8])) -> bool {
    // Where the ring was too short it has been put into words once.
    let mut again = put == Put::Full;
    let mut place = SCRATCH.try_with(|scratch| scratch.take()).unwrap_or_default();
    let mut room = place.len().max(SCRATCH_BYTES);
    let fits = loop {
        place.resize(room, 0);
        let mut slot = Slot::new(&mut place);
        let number = if again { repeat(|| fill(&mut slot)) } else { fill(&mut slot) };
        let wanted = slot.wanted();
        match slot.finish(&Head { number, ..head }) {
            Some(bytes) => {
                push(&place[..bytes]);
                break true;
            }
            None if wanted > FRAME_BYTES_MAX => break false,
            None => (room, again) = (wanted.max(room + 1), true),
        }
    };
    place.truncate(SCRATCH_KEPT_BYTES_MAX);
    place.shrink_to(SCRATCH_KEPT_BYTES_MAX);
    let _ = SCRATCH.try_with(|scratch| scratch.replace(place));
    fits
}

/// The level of the facade in logboom's words.
pub fn level_of(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

struct FieldsOfRecord(FieldsWriter);

impl<'kvs> log::kv::VisitSource<'kvs> for FieldsOfRecord {
    fn visit_pair(&mut self, key: log::kv::Key<'kvs>, value: log::kv::Value<'kvs>) -> Result<(), log::kv::Error> {
        let (key, fields) = (key.as_str(), &mut self.0);
        if let Some(value) = value.to_u64() {
            fields.push_u64(key, value);
        } else if let Some(value) = value.to_i64() {
            fields.push_i64(key, value);
        } else if let Some(value) = value.to_f64() {
            fields.push_f64(key, value);
        } else if let Some(value) = value.to_bool() {
            fields.push_bool(key, value);
        } else {
            fields.push_display(key, &value);
        }
        Ok(())
    }
}

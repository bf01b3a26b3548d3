//! What the handles of a collector and its writer share: the way of a call into the queue.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Instant,
};

use logboom_record::Level;

use crate::{
    ack::{Ack, Answer, ack},
    clock,
    deferred::{Fields, FieldsWriter, Source},
    error::CollectorError,
    filter::Filter,
    fork::forks,
    frame::{FrameKind, HEAD_BYTES, Head, Slot},
    private::Call,
    queue::{OnFull, Pushed, QUEUE_BYTES_MAX, Queue},
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
    /// Where calls of this thread are put into words. Taken while in use, so that a call within a call gets its own.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The collector whose writer this thread is.
    static WRITER_OF: Cell<u64> = const { Cell::new(0) };
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
    /// The way to the writer.
    pub queue: Queue<Request>,
    /// How it does.
    pub stats: Counters,
    /// How many forks lie between the program's start and the process that made it.
    forks: u64,
}

impl Inner {
    /// A collector that nobody writes yet.
    pub fn new(filter: Filter, on_full: OnFull) -> Inner {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Inner {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            filter,
            on_full,
            generation: AtomicU32::new(1),
            queue: Queue::new(QUEUE_BYTES_MAX),
            stats: Counters::default(),
            forks: forks(),
        }
    }

    /// Whether this process is a fork of the one that made the collector: its writer is not here.
    #[inline]
    pub fn is_forked(&self) -> bool {
        self.forks != forks()
    }

    /// Makes this thread known as the collector's writer, which cannot wait for itself.
    pub fn be_writer(&self) {
        WRITER_OF.set(self.id);
    }

    /// Whether this thread is the collector's writer.
    pub fn is_writer(&self) -> bool {
        WRITER_OF.get() == self.id
    }

    /// Logs a ready message. Without a level it is told from the message's head.
    pub fn log_bytes(&self, level: Option<Level>, message: &[u8]) {
        let (kind, level) = level.map_or((FrameKind::Unleveled, Level::Info), |level| (FrameKind::Text, level));
        self.log_text(kind, level, |slot| {
            slot.put(message);
            message.len() as u32
        });
    }

    /// Logs a message that is put into words now.
    pub fn log_args(&self, level: Level, message: fmt::Arguments<'_>) {
        self.log_text(FrameKind::Text, level, |slot| {
            // What does not fit is noted by the slot; a Display that fails has written what it could.
            let _ = slot.write_fmt(message);
            slot.payload_bytes() as u32
        });
    }

    /// Logs the text that `fill` writes, which gives the length of the message; fields may follow it as JSON.
    pub fn log_text(&self, kind: FrameKind, level: Level, fill: impl Fn(&mut Slot<'_>) -> u32) {
        if !self.log(kind, level, &fill) {
            self.log_start(level, fill);
        }
    }

    /// Logs a call of one of the macros.
    pub fn log_call<F: Fn(&mut Slot<'_>)>(&self, call: &Call<F>) {
        let fits = self.log(FrameKind::Deferred, call.level, |slot| {
            (call.encode)(slot);
            call.site.number()
        });
        if !fits {
            self.stats.note_cut();
            let Source { file, line, .. } = call.site.source();
            self.log_args(call.level, format_args!("a message of more than 16 MiB from {file}:{line} is left out"));
        }
    }

    /// Logs what `fill` writes, which gives the head's number. It is called again with more room where that was short.
    /// False if it never fits.
    pub fn log(&self, kind: FrameKind, level: Level, fill: impl Fn(&mut Slot<'_>) -> u32) -> bool {
        if self.is_forked() {
            return true;
        }
        let generation = self.generation.load(Ordering::Acquire);
        let head = Head { kind, level, ticks: clock::ticks(), generation, number: 0 };
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => self.log_through(&mut scratch, head, fill),
            Err(_) => self.log_through(&mut Vec::new(), head, fill),
        })
    }

    fn log_through(&self, scratch: &mut Vec<u8>, head: Head, fill: impl Fn(&mut Slot<'_>) -> u32) -> bool {
        let mut room = scratch.len().max(SCRATCH_BYTES);
        let fits = loop {
            scratch.resize(room, 0);
            let mut slot = Slot::new(scratch);
            let number = fill(&mut slot);
            match slot.finish(&Head { number, ..head }) {
                Some(bytes) => {
                    self.push(&scratch[..bytes]);
                    break true;
                }
                None if room >= FRAME_BYTES_MAX => break false,
                None => room = (room * 4).min(FRAME_BYTES_MAX),
            }
        };
        if scratch.len() > SCRATCH_KEPT_BYTES_MAX {
            scratch.truncate(SCRATCH_KEPT_BYTES_MAX);
            scratch.shrink_to_fit();
        }
        fits
    }

    /// Logs the start of a message that is too long, and says that the rest is missing.
    #[cold]
    fn log_start(&self, level: Level, fill: impl Fn(&mut Slot<'_>) -> u32) {
        self.stats.note_cut();
        let mut place = vec![0; FRAME_BYTES_MAX - CUT.len()];
        let mut slot = Slot::cutting(&mut place);
        fill(&mut slot);
        let kept = slot.payload_bytes();
        place.truncate(HEAD_BYTES + kept);
        place.extend_from_slice(CUT.as_bytes());
        self.log_bytes(Some(level), &place[HEAD_BYTES..]);
    }

    /// Logs a record of the `log` facade.
    pub fn log_record(&self, record: &log::Record<'_>) {
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
    fn log_with_fields(&self, level: Level, record: &log::Record<'_>) {
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

    /// Asks the writer for something that it answers.
    pub fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<Ack<T>, CollectorError> {
        if self.is_writer() {
            return Err(CollectorError::OwnWriter);
        }
        let (answer, ack) = ack();
        if self.is_forked() || !self.queue.ask(request(answer)) {
            return Err(CollectorError::Ended);
        }
        Ok(ack)
    }

    fn push(&self, frame: &[u8]) {
        if self.queue.push(frame) != Pushed::Full {
            return;
        }
        // The writer cannot wait for itself.
        if self.on_full == OnFull::Drop || self.is_writer() {
            self.stats.note_dropped();
            return self.queue.drop_one();
        }
        let before = Instant::now();
        self.stats.note_stall();
        self.queue.push_when_there_is_room(frame);
        self.stats.note_stalled(before.elapsed());
    }
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

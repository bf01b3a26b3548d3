//! The thread of a collector: it numbers the records, and keeps them in the current session file and the boom file.
//!
//! It looks at what the queue and the rings hold, writes all of that, and then naps for [`NAP`], so that what comes meanwhile
//! is written at once; when nothing came in several it sleeps until it is woken. Records go from the rings in batches, each of one session file, and
//! a ring's room is given back when its batch is in the text log (and in the boom file's tail): so a killed program loses
//! nothing, and `ring::recover` finds the rest.
//!
//! A call's frame says which session file was the current one when it began. The request for a switch is made before that
//! number is given out, so it is known before the first frame that has it. A frame that names an older file than the current
//! one was logged while the switch was made, and may go to either. A disk that fails never stops the callers: what is lost is
//! counted, and comes as a gap when there is room again.

mod disk;

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use logboom_boom as boom;
use logboom_files::{
    FilesError,
    session::{Counts, ended},
    timeline::What,
};
use logboom_record::{Flags, Kind, Outcome, Record, RunEnd, RunId, Stream, Time, level};

use self::disk::{Trouble, said};
use crate::{
    ack::Answer,
    deferred::FieldsWriter,
    error::CollectorError,
    frame::{Frame, FrameKind, Head},
    inner::{Inner, be_writer},
    journal::Journal,
    live::Live,
    output::{NewFile, NewRecord, Output},
    queue::Batch,
    ring::{ClockAnchor, Drain, Waker},
    sites::Sites,
};

/// How long the writer lets records gather while there are many.
const NAP: Duration = Duration::from_millis(1);
/// How long while there are few: to wake a thread costs the call a hundred times what the call itself does.
const LONG_NAP: Duration = Duration::from_millis(4);
/// So many of these with nothing to do are followed by sleep.
const LONG_NAPS: u32 = 25;
/// How many bytes of frames are written at once, about.
const BATCH_BYTES: usize = 192 << 10;
/// How often the writer looks once more for what is logged while the collector ends.
const LAST_LOOKS: usize = 8;
/// How often what was written is fsync'ed, in the background.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What the writer can be asked for, between records.
pub enum Request {
    /// To write to this file from now on.
    Switch(Option<Box<NewFile>>),
    /// To hand all before it to the kernel.
    Write(Answer<()>),
    /// To make all before it survive a power cut.
    Flush(Answer<Result<(), CollectorError>>),
    /// The same for somebody who is not told how it went: whoever flushes next has still to be told of what is lost.
    FlushUntold(Answer<()>),
    /// To write what is left, and to end.
    Close,
}

/// What the writer starts with.
pub struct Start {
    /// What it shares with the callers.
    pub inner: Arc<Inner>,
    /// What the session says of the files; the first is noted.
    pub journal: Journal,
    /// The boom file.
    pub boom: Option<boom::Writer>,
    /// The first file; its run is in the session's metadata already.
    pub first: NewFile,
    /// Who gets copies.
    pub live: Option<Live>,
    /// The far end of the rings.
    pub drain: Option<Drain>,
    /// What turns ticks into time.
    pub clock: ClockAnchor,
    /// What it sleeps on.
    pub waker: Arc<Waker>,
}

/// The thread's own.
pub struct Writer {
    inner: Arc<Inner>,
    journal: Journal,
    boom: Option<boom::Writer>,
    output: Output,
    live: Option<Live>,
    last_sync: Instant,
    unsynced: bool,
    /// How many records the files before the current one lost.
    lost_before: u64,
    /// How many dropped records the ring file has that are in a gap, perhaps not in the files.
    unsettled: u64,
    /// How many were dropped in all.
    dropped: u64,
    /// How many others were lost when somebody who asked for a flush was last told.
    lost_told: u64,
    /// An earlier file lacks the gap of what it lost, and the metadata do not have its counts yet.
    unsaid: bool,
    trouble: Trouble,
    sites: Sites,
    words: (Vec<u8>, FieldsWriter),
    /// The frames of a batch.
    frames: Vec<u8>,
    drain: Option<Drain>,
    clock: ClockAnchor,
    waker: Arc<Waker>,
    /// Session files that are to be switched to.
    next: VecDeque<NewFile>,
}

impl Writer {
    /// Takes what it starts with.
    ///
    /// # Errors
    /// If the boom file cannot take the first run.
    pub fn new(start: Start) -> Result<Writer, FilesError> {
        let Start { inner, journal, mut boom, first, live, drain, clock, waker } = start;
        let slot = boom.as_mut().map(|boom| boom.run(first.run, Kind::Collector, 1)).transpose()?;
        if slot.is_none() {
            journal.reserve(&first);
        }
        let output = Output::new(first, slot, to_wake(&waker));
        let last_sync = Instant::now();
        let (sites, words) = (Sites::default(), Default::default());
        let writer = Writer {
            inner,
            journal,
            boom,
            output,
            live,
            last_sync,
            unsynced: false,
            lost_before: 0,
            unsettled: 0,
            dropped: 0,
            lost_told: 0,
            unsaid: false,
            trouble: Trouble::default(),
            sites,
            words,
            drain,
            clock,
            waker,
            next: VecDeque::new(),
            frames: Vec::new(),
        };
        let (time, collector) = (writer.output.new.time, writer.inner.id);
        writer.note(time, What::Start { name: writer.output.new.name.clone() });
        writer.note(time, What::Registered { collector, pid: std::process::id() });
        Ok(writer)
    }

    /// Works until it is asked to close.
    pub fn run(mut self) {
        let (inner, mut batch, mut idle) = (Arc::clone(&self.inner), Batch::default(), LONG_NAPS);
        be_writer();
        loop {
            let mut busy = inner.queue.fetch(&mut batch);
            busy |= self.take(&mut batch);
            if !self.answer(&mut batch) {
                return self.finish();
            }
            self.sync_if_due();
            idle = if busy { 0 } else { idle + 1 };
            match idle {
                0 => self.waker.nap(NAP, || inner.queue.has_work()),
                1..=LONG_NAPS => self.waker.nap(LONG_NAP, || inner.queue.has_work()),
                _ => self.sleep(),
            }
        }
    }

    fn sleep(&self) {
        let is_refused = self.trouble.boom.is_some() || self.output.has_unsaid_losses();
        let is_due = self.unsynced || self.journal.is_behind() || is_refused;
        let sync_in = is_due.then(|| SYNC_EVERY.saturating_sub(self.last_sync.elapsed()));
        let in_rings = || self.drain.as_ref().is_some_and(Drain::has_work);
        self.waker.sleep(sync_in, || self.inner.queue.has_work() || in_rings());
    }

    /// Writes the records that wait. True if there were some in the rings.
    fn take(&mut self, batch: &mut Batch<Request>) -> bool {
        self.refresh_clock();
        batch.requests.retain_mut(|request| match request {
            Request::Switch(new) => {
                self.next.extend(new.take().map(|new| *new));
                true
            }
            _ => true,
        });
        self.take_frames(&batch.frames);
        self.flush();
        let any = self.take_rings(u32::MAX);
        // They found the rings full of what was written just now.
        if mem::take(&mut batch.dropped) > 0 {
            self.lose_dropped();
        }
        self.note_queue_written();
        any
    }

    /// Answers what was asked; false if it is the end.
    fn answer(&mut self, batch: &mut Batch<Request>) -> bool {
        let (mut open, mut flushes, mut untold) = (true, Vec::new(), Vec::new());
        for request in batch.requests.drain(..) {
            match request {
                Request::Switch(_) => self.switch_as_far_as_asked(),
                Request::Write(answer) => answer.give(()),
                Request::Flush(answer) => flushes.push(answer),
                Request::FlushUntold(answer) => untold.push(answer),
                Request::Close => open = false,
            }
        }
        if !flushes.is_empty() || !untold.is_empty() {
            self.flush_for_good();
        }
        untold.into_iter().for_each(|answer| answer.give(()));
        self.tell_flushed(flushes);
        open
    }

    fn take_frames(&mut self, mut frames: &[u8]) {
        while let Some(frame) = Frame::parse(frames) {
            if frame.head.generation > self.output.new.generation {
                // What was logged before the switch may still be in rings.
                self.flush();
                self.take_rings(frame.head.generation);
                self.switch_to(frame.head.generation);
            }
            self.take_frame(&frame);
            if self.output.is_full() {
                self.flush();
            }
            frames = &frames[frame.bytes..];
        }
    }

    /// Writes what the rings hold of files before this generation, batch by batch. True if there was something.
    fn take_rings(&mut self, before: u32) -> bool {
        let Some(mut drain) = self.drain.take() else { return false };
        let mut any = false;
        drain.look();
        while self.take_batch(&mut drain, before) {
            any = true;
        }
        self.drain = Some(drain);
        self.tell();
        any
    }

    /// One batch: records of one session file, as many as are written at once. False if there are none.
    fn take_batch(&mut self, drain: &mut Drain, before: u32) -> bool {
        let Some(generation) = drain.peek().map(|frame| frame.head.generation) else { return false };
        if generation >= before || !self.switch_to(generation) {
            return false;
        }
        let (mut frames, first_seq) = (mem::take(&mut self.frames), self.output.next_seq());
        frames.clear();
        while let Some(frame) = drain.peek()
            && frame.head.generation <= self.output.new.generation
            && frames.len() < BATCH_BYTES
        {
            frames.extend_from_slice(frame.raw);
            drain.take();
        }
        // Before the first of them is anywhere: a boom file may write its block while it takes them.
        drain.begin_batch(self.output.new.generation, first_seq);
        let mut rest = &frames[..];
        while let Some(frame) = Frame::parse(rest) {
            self.take_frame(&frame);
            rest = &rest[frame.bytes..];
        }
        self.flush();
        drain.end_batch(self.output.next_seq());
        self.frames = frames;
        true
    }

    /// Goes on with the file of this generation, unless it is over. False if it is not known yet.
    #[inline]
    fn switch_to(&mut self, generation: u32) -> bool {
        while self.output.new.generation < generation {
            let Some(new) = self.next.pop_front() else { return false };
            self.switch(new);
        }
        true
    }

    fn switch_as_far_as_asked(&mut self) {
        if let Some(last) = self.next.back() {
            self.switch_to(last.generation);
        }
    }

    fn refresh_clock(&mut self) {
        let clock = self.clock.clock();
        if self.clock.is_due(clock.ticks()) {
            self.clock.refresh(clock.read());
            if let Some(drain) = &mut self.drain {
                drain.set_clock(&self.clock);
            }
        }
    }

    #[inline]
    fn take_frame(&mut self, frame: &Frame<'_>) {
        let (head, payload) = (&frame.head, frame.payload);
        let (time, level, guessed) = (self.clock.time(head.ticks), head.level, false);
        match head.kind {
            FrameKind::Text => {
                let (message, fields) = payload.split_at(payload.len().min(head.number as usize));
                self.record(&NewRecord { time, level, guessed, message, fields: text_of(fields) });
            }
            FrameKind::Unleveled => {
                let (level, guessed) = (level::guess(payload).unwrap_or_default(), true);
                self.record(&NewRecord { time, level, guessed, message: payload, fields: None });
            }
            FrameKind::Deferred => self.take_deferred(head, payload),
        }
    }

    fn take_deferred(&mut self, head: &Head, payload: &[u8]) {
        let (time, level, guessed) = (self.clock.time(head.ticks), head.level, false);
        let (mut message, mut fields) = mem::take(&mut self.words);
        message.clear();
        fields.clear();
        // A site's number is given out before its first frame is, so it is known.
        if let Some(site) = self.sites.get(head.number)
            && let Err(error) = site.render(payload, &mut message, &mut fields)
        {
            message.extend_from_slice(error.to_string().as_bytes());
        }
        let shown = fields.finish();
        message.extend_from_slice(shown.suffix.as_bytes());
        self.record(&NewRecord { time, level, guessed, message: &message, fields: shown.json });
        self.words = (message, fields);
    }

    #[inline]
    fn record(&mut self, record: &NewRecord<'_>) {
        let seq = self.output.push(record, self.boom.as_mut());
        if let Some(live) = &mut self.live {
            live.send(&self.inner.stats, || to_record(self.output.new.run, seq, record));
        }
    }

    /// Goes on with another file. The old one's end and the new one's start are one change of the metadata.
    fn switch(&mut self, new: NewFile) {
        let slot = self.boom.as_mut().map(|boom| boom.run(new.run, Kind::Collector, 1));
        let (slot, refused) =
            slot.map_or((None, Ok(())), |slot| slot.map_or_else(|e| (None, Err(e)), |s| (Some(s), Ok(()))));
        let switched = What::SessionSwitched { generation: new.generation, file: new.file_name.clone() };
        let (end, counts) = self.end_output();
        let (time, old) = (new.time, (self.output.new.run, end, counts));
        if slot.is_none() {
            self.journal.reserve(&new);
        }
        let noted = self.journal.switch(old, &new, self.boom.as_ref().filter(|_| slot.is_some()));
        self.unsaid |= self.output.has_unsaid_losses();
        let old_output = mem::replace(&mut self.output, Output::new(new, slot, to_wake(&self.waker)));
        self.inner.stats.set_generation(self.output.new.generation);
        if let Some(file) = self.inner.ring_file().filter(|_| !self.journal.is_behind()) {
            file.forget_generations_before(self.output.new.generation);
        }
        drop(old_output); // and its lock, which says that its run goes on until its end is noted
        self.note(time, What::Start { name: self.output.new.name.clone() });
        self.note(time, switched);
        Trouble::add(&mut self.trouble.boom, refused);
        self.trouble.meta = said(noted);
        self.tell();
    }

    /// Writes the last of the current session file, and tells how it ended.
    fn end_output(&mut self) -> (RunEnd, Counts) {
        let finished = self.output.finish();
        Trouble::add(&mut self.trouble.text, finished);
        let end = ended(Outcome::Passed, Time::now());
        if let (Some(boom), Some(slot)) = (&mut self.boom, self.output.slot) {
            boom.end_run(slot, &end);
        }
        let lost = self.lost();
        self.lost_before += lost;
        (end, Counts { records: self.output.records().saturating_sub(lost), lost, ..self.output.counts })
    }

    /// Ends everything. Answers nobody who asks from now on: they are told that the collector has ended.
    fn finish(mut self) {
        let mut rest = self.inner.close();
        for _ in 0..LAST_LOOKS {
            let busy = self.take(&mut rest);
            rest = Batch::default();
            if !busy {
                break;
            }
        }
        self.switch_as_far_as_asked();
        self.lose_dropped();
        let (end, counts) = self.end_output();
        let sealed = self.boom.take().map_or(Ok(()), |boom| boom.seal().map(drop));
        Trouble::add(&mut self.trouble.boom, sealed);
        let noted = self.journal.end(self.output.new.run, &end, counts);
        Trouble::add(&mut self.trouble.meta, noted);
        let Counts { lines, errors, lost, .. } = counts;
        let outcome = end.outcome;
        self.note(end.ended_at, What::End { outcome, exit_code: None, signal: None, lines, errors, lost });
        self.note(end.ended_at, What::Unregistered { collector: self.inner.id });
        self.inner.stats.tell(0, self.lost_before, self.trouble.why());
        // What the metadata do not know of is known from the file: the next collector notes it, and removes the file.
        if let Some(file) = self.inner.ring_file().filter(|_| !self.journal.is_behind()) {
            // One that stays is empty, and the next collector removes it too.
            let _ = file.remove();
        }
    }

    fn note(&self, time: Time, what: What) {
        self.journal.note(self.output.new.run, time, what);
    }
}

impl Drop for Writer {
    /// However it ends, nobody waits for it any more.
    fn drop(&mut self) {
        self.inner.close();
        if std::thread::panicking() {
            self.inner.stats.fail("the writer of this collector panicked; make a new one");
        }
    }
}

fn to_wake(waker: &Arc<Waker>) -> impl Fn() + Send + Sync + 'static {
    let waker = Arc::clone(waker);
    move || waker.wake()
}

fn text_of(fields: &[u8]) -> Option<&str> {
    if fields.is_empty() { None } else { std::str::from_utf8(fields).ok() }
}

fn to_record(run: RunId, seq: u64, record: &NewRecord<'_>) -> Record {
    Record {
        run,
        seq,
        time: record.time,
        origin_time_ns: None,
        stream: Stream::System,
        level: record.level,
        flags: if record.guessed { Flags::LEVEL_GUESSED } else { Flags::NONE },
        message: record.message.to_vec(),
        fields: record.fields.map(str::to_owned),
    }
}

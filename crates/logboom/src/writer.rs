//! The thread of a collector: it numbers the records, and keeps them in the current session file and the boom file.
//!
//! It writes whenever it has emptied the queue, and then naps for [`NAP`], so that what comes meanwhile is written at once;
//! when nothing came in a nap it sleeps until it is woken. A call's frame says which session file was the current one when
//! it began. The queue has a switch before anything that was logged after it, so a file can be finished as soon as its
//! switch is met: a frame that names an older file after that was logged while the switch was made, and may go to either.
//! A disk that fails never stops the callers: what is lost is counted, and comes as a gap when there is room again.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use logboom_boom as boom;
use logboom_files::{
    FilesError, Session,
    session::{Counts, RunMeta, ended, started},
    timeline::{self, Event, What},
    with_causes,
};
use logboom_record::{Flags, Kind, Outcome, Record, Run, RunEnd, RunId, Stream, Time, level};

use crate::{
    ack::Answer,
    clock,
    deferred::{FieldsWriter, Site, SiteInfo},
    error::CollectorError,
    frame::{Frame, FrameKind, Head},
    inner::Inner,
    live::Live,
    output::{NewFile, NewRecord, Output},
    queue::{Batch, Wait},
};

/// How long the writer lets records gather while there are many.
const NAP: Duration = Duration::from_millis(1);
/// How often what was written is fsync'ed, in the background.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What the writer can be asked for, between records.
pub enum Request {
    /// To write to this file from now on.
    Switch(Box<NewFile>),
    /// To hand all before it to the kernel.
    Write(Answer<()>),
    /// To make all before it survive a power cut.
    Flush(Answer<Result<(), CollectorError>>),
    /// To come back from sleep, because a sync has ended.
    Wake,
    /// To write what is left, and to end.
    Close,
}

/// What the writer starts with.
pub struct Start {
    /// What it shares with the callers.
    pub inner: Arc<Inner>,
    /// Where the files are.
    pub session: Session,
    /// The run that the session files belong to.
    pub parent: RunId,
    /// The boom file.
    pub boom: Option<boom::Writer>,
    /// The first file; its run is in the session's metadata already.
    pub first: NewFile,
    /// Who gets copies.
    pub live: Option<Live>,
}

/// The thread's own.
pub struct Writer {
    inner: Arc<Inner>,
    session: Session,
    parent: RunId,
    boom: Option<boom::Writer>,
    output: Output,
    live: Option<Live>,
    last_sync: Instant,
    unsynced: bool,
    /// How many records the files before the current one lost.
    lost_before: u64,
    /// Why not all is kept at the moment.
    trouble: Option<String>,
    sites: Sites,
    words: (Vec<u8>, FieldsWriter),
}

/// What is known of the call sites, by number.
#[derive(Default)]
struct Sites(Vec<SiteInfo>);

impl Sites {
    fn get(&mut self, number: u32) -> Option<&SiteInfo> {
        if self.0.len() < number as usize {
            let known = self.0.len() as u32;
            self.0.extend(Site::after(known).into_iter().map(Site::info));
        }
        self.0.get((number as usize).checked_sub(1)?)
    }
}

impl Writer {
    /// Takes what it starts with.
    ///
    /// # Errors
    /// If the boom file cannot take the first run.
    pub fn new(start: Start) -> Result<Writer, FilesError> {
        let Start { inner, session, parent, mut boom, first, live } = start;
        let slot = boom.as_mut().map(|boom| boom.run(first.run, Kind::Collector, 1)).transpose()?;
        let output = Output::new(first, slot, waker(&inner));
        let last_sync = Instant::now();
        let (unsynced, lost_before, trouble) = (false, 0, None);
        let (sites, words) = (Sites::default(), Default::default());
        let writer = Writer {
            inner,
            session,
            parent,
            boom,
            output,
            live,
            last_sync,
            unsynced,
            lost_before,
            trouble,
            sites,
            words,
        };
        let (time, collector) = (writer.output.new.time, writer.inner.id);
        writer.note(time, What::Start { name: writer.output.new.name.clone() });
        writer.note(time, What::Registered { collector, pid: std::process::id() });
        Ok(writer)
    }

    /// Works until it is asked to close.
    pub fn run(mut self) {
        let (inner, mut batch, mut busy) = (Arc::clone(&self.inner), Batch::default(), false);
        inner.be_writer();
        loop {
            let wait = if busy { Wait::Nap(NAP) } else { self.sleep() };
            busy = inner.queue.fetch(&mut batch, wait);
            let open = self.take(&mut batch);
            self.flush();
            self.sync_if_due();
            if !open {
                return self.finish();
            }
        }
    }

    fn sleep(&self) -> Wait {
        let since = self.last_sync.elapsed();
        if self.unsynced { Wait::SleepAtMost(SYNC_EVERY.saturating_sub(since)) } else { Wait::Sleep }
    }

    /// Deals with everything in the batch; false if it says that this is the end.
    fn take(&mut self, batch: &mut Batch<Request>) -> bool {
        let (frames, mut done) = (mem::take(&mut batch.frames), 0);
        let mut open = true;
        while let Some((at, request)) = batch.requests.pop_front() {
            self.take_frames(&frames[done..at]);
            done = at;
            open &= self.do_request(request);
        }
        self.take_frames(&frames[done..]);
        if mem::take(&mut batch.dropped) > 0 {
            let dropped = self.inner.stats.take_dropped();
            self.lose(dropped, "buffer full");
        }
        batch.frames = frames;
        open
    }

    fn do_request(&mut self, request: Request) -> bool {
        match request {
            Request::Switch(new) => self.switch(*new),
            Request::Write(answer) => {
                self.flush();
                answer.give(());
            }
            Request::Flush(answer) => answer.give(self.flush_for_good()),
            Request::Wake => {}
            Request::Close => return false,
        }
        true
    }

    fn take_frames(&mut self, mut frames: &[u8]) {
        while let Some(frame) = Frame::parse(frames) {
            self.take_frame(&frame);
            frames = &frames[frame.bytes..];
        }
    }

    #[inline]
    fn take_frame(&mut self, frame: &Frame<'_>) {
        let (head, payload) = (&frame.head, frame.payload);
        let (time, level, guessed) = (clock::time(head.ticks), head.level, false);
        match head.kind {
            FrameKind::Text => {
                let (message, fields) = payload.split_at(payload.len().min(head.number as usize));
                self.record(&NewRecord { time, level, guessed, message, fields: text_of(fields) });
            }
            FrameKind::Unleveled => {
                let (level, guessed) = (level::guess(payload).unwrap_or_default(), true);
                self.record(&NewRecord { time, level, guessed, message: payload, fields: None });
            }
            FrameKind::Dropped => self.lose(u64::from(head.number), "buffer full"),
            FrameKind::Deferred => self.take_deferred(head, payload),
        }
    }

    fn take_deferred(&mut self, head: &Head, payload: &[u8]) {
        let (time, level, guessed) = (clock::time(head.ticks), head.level, false);
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
        if self.output.is_full() {
            self.write_text();
        }
    }

    fn lose(&mut self, count: u64, why: &str) {
        self.output.lose(count, Time::now(), why, self.boom.as_mut());
    }

    /// Hands everything to the kernel.
    fn flush(&mut self) {
        self.write_text();
        if let Some(boom) = &mut self.boom
            && let Err(error) = boom.flush()
        {
            self.trouble.get_or_insert_with(|| with_causes(&error));
        }
        self.tell();
    }

    fn write_text(&mut self) {
        match self.output.write_text() {
            Ok(false) => {}
            Ok(true) => (self.unsynced, self.trouble) = (true, None),
            Err(error) => (self.unsynced, self.trouble) = (true, Some(with_causes(&error))),
        }
    }

    /// Tells the callers how it stands.
    fn tell(&self) {
        let lost = self.lost_before + self.lost();
        self.inner.stats.tell(self.output.records(), lost, self.trouble.as_deref());
    }

    /// How many records of the current file are lost. The boom file is the truth, where there is one.
    fn lost(&self) -> u64 {
        match &self.boom {
            Some(boom) => boom.lost() - self.lost_before,
            None => self.output.new.text.lost(),
        }
    }

    fn note_trouble(&mut self, result: Result<(), FilesError>) {
        if let Err(error) = result {
            self.trouble = Some(with_causes(&error));
        }
    }

    fn flush_for_good(&mut self) -> Result<(), CollectorError> {
        self.flush();
        let text = self.output.sync();
        self.note_trouble(text);
        let boom = self.boom.as_mut().map_or(Ok(()), boom::Writer::sync);
        self.note_trouble(boom.map_err(FilesError::from));
        (self.last_sync, self.unsynced) = (Instant::now(), false);
        self.note(Time::now(), What::Flushed { records: self.output.records() });
        self.tell();
        match &self.trouble {
            Some(why) => Err(CollectorError::Failing { lost: self.lost_before + self.lost(), why: why.clone() }),
            None => Ok(()),
        }
    }

    fn sync_if_due(&mut self) {
        let noted = self.output.note_sync();
        self.unsynced |= noted.is_err();
        self.note_trouble(noted);
        if self.unsynced && self.last_sync.elapsed() >= SYNC_EVERY {
            (self.last_sync, self.unsynced) = (Instant::now(), false);
            if let Some(boom) = &mut self.boom {
                boom.request_sync();
            }
            let requested = self.output.request_sync();
            self.note_trouble(requested);
        }
    }

    /// Goes on with another file. The old one's end and the new one's start are one change of the metadata.
    fn switch(&mut self, new: NewFile) {
        let slot = self.boom.as_mut().map(|boom| boom.run(new.run, Kind::Collector, 1));
        let (slot, refused) =
            slot.map_or((None, Ok(())), |slot| slot.map_or_else(|e| (None, Err(e)), |s| (Some(s), Ok(()))));
        let entry = entry(&new, self.parent, self.boom.as_ref().filter(|_| slot.is_some()));
        let switched = What::SessionSwitched { generation: new.generation, file: new.file_name.clone() };
        let (end, counts) = self.end_output();
        let (time, old) = (new.time, self.output.new.run);
        let old_output = mem::replace(&mut self.output, Output::new(new, slot, waker(&self.inner)));
        let noted = self.session.hand_over((old, &end, counts), entry);
        drop(old_output); // and its lock, which says that its run goes on until its end is noted
        self.note(time, What::Start { name: self.output.new.name.clone() });
        self.note(time, switched);
        self.note_trouble(refused.map_err(FilesError::from));
        self.note_trouble(noted);
        self.tell();
    }

    /// Writes the last of the current session file, and tells how it ended.
    fn end_output(&mut self) -> (RunEnd, Counts) {
        let finished = self.output.finish();
        self.note_trouble(finished);
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
        let rest = self.inner.queue.close();
        self.take_frames(&rest.frames);
        let (end, counts) = self.end_output();
        let sealed = self.boom.take().map_or(Ok(()), |boom| boom.seal().map(drop));
        self.note_trouble(sealed.map_err(FilesError::from));
        let noted = self.session.end_run(self.output.new.run, &end, counts);
        self.note_trouble(noted);
        let Counts { lines, errors, lost, .. } = counts;
        let outcome = end.outcome;
        self.note(end.ended_at, What::End { outcome, exit_code: None, signal: None, lines, errors, lost });
        self.note(end.ended_at, What::Unregistered { collector: self.inner.id });
        self.inner.stats.tell(0, self.lost_before, self.trouble.as_deref());
    }

    fn note(&self, time: Time, what: What) {
        // Where there is no room for an event there is none for records either, and those are counted.
        let _ = timeline::append(self.session.dir(), &[Event { time, run: self.output.new.run, what }]);
    }
}

impl Drop for Writer {
    /// However it ends, nobody waits for it any more.
    fn drop(&mut self) {
        self.inner.queue.close();
    }
}

/// What `session.json` says of a session file.
pub fn entry(new: &NewFile, parent: RunId, boom: Option<&boom::Writer>) -> RunMeta {
    let run = Run { parent: Some(parent), ..started(new.run, Kind::Collector, new.name.clone(), new.time) };
    let boom = boom.and_then(|boom| Some(boom.path().file_name()?.to_str()?.to_owned()));
    RunMeta { text: Some(new.file_name.clone()), boom, ..RunMeta::new(run) }
}

fn waker(inner: &Arc<Inner>) -> impl Fn() + Send + Sync + 'static {
    let inner = Arc::downgrade(inner);
    move || {
        if let Some(inner) = inner.upgrade() {
            inner.queue.ask(Request::Wake);
        }
    }
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

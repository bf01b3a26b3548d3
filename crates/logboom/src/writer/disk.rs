//! What becomes of what was written: handed to the kernel, synced, and how it stands where the disk refuses.

use std::{mem, time::Instant};

use logboom_files::{timeline::What, with_causes};
use logboom_record::Time;

use super::{SYNC_EVERY, Writer};
use crate::{ack::Answer, error::CollectorError};

/// Why records are lost where nothing is wrong any more.
const SINCE_WELL: &str = "the disk has refused them; what was written since is kept";

impl Writer {
    /// Hands everything to the kernel.
    pub(super) fn flush(&mut self) {
        self.write_text();
        if let Some(boom) = &mut self.boom {
            self.trouble.boom = said(boom.flush());
        }
        self.tell();
    }

    pub(super) fn write_text(&mut self) {
        match self.output.write_text() {
            Ok(false) => {}
            Ok(true) => (self.unsynced, self.trouble.text) = (true, None),
            Err(error) => (self.unsynced, self.trouble.text) = (true, Some(with_causes(&error))),
        }
    }

    /// Tells the callers how it stands, and whoever may have to recover.
    pub(super) fn tell(&mut self) {
        let lost = self.lost_before + self.lost();
        self.inner.stats.tell(self.output.records(), lost, self.trouble.why());
        self.unsaid &= self.journal.is_behind();
        let is_behind = self.is_behind();
        let settled = if is_behind { 0 } else { mem::take(&mut self.unsettled) };
        if let Some(file) = self.inner.ring_file() {
            file.set_behind(is_behind);
            file.settle_dropped(settled);
        }
    }

    /// Whether a kill would take something without a trace. The boom file is the truth, where there is one.
    pub(super) fn is_behind(&self) -> bool {
        match self.output.slot {
            Some(_) => self.trouble.boom.is_some(),
            None => self.unsaid || self.output.has_unsaid_losses(),
        }
    }

    /// How many records of the current file are lost. The boom file is the truth, where there is one.
    pub(super) fn lost(&self) -> u64 {
        match &self.boom {
            // It takes everything also when it has been deleted.
            Some(boom) if !boom.path().exists() => self.output.new.text.lost(),
            Some(boom) => boom.lost().saturating_sub(self.lost_before),
            None => self.output.new.text.lost(),
        }
    }

    /// Makes all that was written survive a power cut.
    pub(super) fn flush_for_good(&mut self) {
        // Whoever asks is told of what is lost, though its gap has room by now.
        let is_news = self.output.has_unsaid_losses();
        let synced = said(self.output.sync());
        if synced.is_some() || !is_news {
            self.trouble.text = synced;
        }
        if let Some(boom) = &mut self.boom {
            self.trouble.boom = said(boom.sync());
        }
        self.trouble.meta = said(self.journal.catch_up().and_then(|()| self.journal.sync_names()));
        (self.last_sync, self.unsynced) = (Instant::now(), false);
        if self.trouble.why().is_none() {
            self.note(Time::now(), What::Flushed { records: self.output.records() });
        }
        self.tell();
    }

    /// Tells all who have asked at once the same: each may have logged what is lost.
    pub(super) fn tell_flushed(&mut self, asked: Vec<Answer<Result<(), CollectorError>>>) {
        if asked.is_empty() {
            return;
        }
        let lost = self.lost_before + self.lost();
        // What found no room was dropped as its caller wished.
        let told = mem::replace(&mut self.lost_told, lost - self.dropped.min(lost));
        let news = (self.lost_told > told).then_some(SINCE_WELL);
        let why = self.trouble.why().or(news).map(str::to_owned);
        for answer in asked {
            answer.give(why.clone().map_or(Ok(()), |why| Err(CollectorError::Failing { lost, why })));
        }
    }

    /// Notes that nothing is in the queue any more that a kill would take.
    pub(super) fn note_queue_written(&self) {
        if let Some(file) = self.inner.ring_file().filter(|file| file.is_by_queue() && !self.is_behind()) {
            self.inner.queue.note_if_empty(|| file.set_by_queue(false));
        }
    }

    /// Tells of records that found no room.
    pub(super) fn lose_dropped(&mut self) {
        let dropped = self.inner.stats.take_dropped();
        if dropped == 0 {
            return;
        }
        self.begin_dropped();
        self.output.lose(dropped, Time::now(), "buffer full", self.boom.as_mut());
        self.unsettled += dropped;
        self.dropped += dropped;
        let said = self.output.say_losses();
        self.trouble.text = self.trouble.text.take().or(self::said(said));
        self.flush();
    }

    /// Has the ring file count up to the gap that is written next, and say that it is.
    fn begin_dropped(&mut self) {
        if let (Some(drain), Some(file)) = (&mut self.drain, self.inner.ring_file()) {
            let next_seq = self.output.next_seq();
            drain.begin_batch(self.output.new.generation, next_seq);
            drain.end_batch(next_seq);
            file.begin_dropped();
        }
    }

    pub(super) fn sync_if_due(&mut self) {
        let noted = self.output.note_sync();
        self.unsynced |= noted.is_err();
        Trouble::add(&mut self.trouble.text, noted);
        if self.last_sync.elapsed() < SYNC_EVERY {
            return;
        }
        if self.journal.is_behind() {
            self.last_sync = Instant::now();
            self.trouble.meta = said(self.journal.catch_up());
            self.tell();
        }
        if self.output.has_unsaid_losses() {
            self.last_sync = Instant::now();
            // Why not is known.
            let _ = self.output.say_losses();
            self.tell();
        }
        if self.trouble.boom.is_some() {
            self.last_sync = Instant::now();
            self.flush();
        }
        if mem::take(&mut self.unsynced) {
            self.last_sync = Instant::now();
            if let Some(boom) = &mut self.boom {
                boom.request_sync();
            }
            let requested = self.output.request_sync();
            Trouble::add(&mut self.trouble.text, requested);
        }
    }
}

/// Why not all was kept when each was last written.
#[derive(Default)]
pub(super) struct Trouble {
    pub text: Option<String>,
    pub boom: Option<String>,
    pub meta: Option<String>,
}

impl Trouble {
    /// Notes what went wrong, and nothing where nothing did.
    pub fn add<E: std::error::Error>(to: &mut Option<String>, result: Result<(), E>) {
        if let Some(why) = said(result) {
            *to = Some(why);
        }
    }

    pub fn why(&self) -> Option<&str> {
        [&self.text, &self.boom, &self.meta].into_iter().flatten().map(String::as_str).next()
    }
}

/// What an error says.
pub(super) fn said<T, E: std::error::Error>(result: Result<T, E>) -> Option<String> {
    result.err().map(|error| with_causes(&error))
}

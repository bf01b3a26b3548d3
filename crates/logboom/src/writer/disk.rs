//! What becomes of what was written: handed to the kernel, synced, and how it stands where the disk refuses.

use std::{mem, time::Instant};

use logboom_files::{FilesError, timeline::What, with_causes};
use logboom_record::Time;

use super::{BOOM, META, SYNC_EVERY, TEXT, Writer, said};
use crate::{ack::Answer, error::CollectorError};

/// Why records are lost where nothing is wrong any more.
const SINCE_WELL: &str = "the disk refused them, and takes records again";

impl Writer {
    /// Hands everything to the kernel.
    pub(super) fn flush(&mut self) {
        self.write_text();
        if let Some(boom) = &mut self.boom {
            self.trouble[BOOM] = said(boom.flush());
        }
        self.tell();
    }

    pub(super) fn write_text(&mut self) {
        match self.output.write_text() {
            Ok(false) => {}
            Ok(true) => {
                (self.unsynced, self.trouble[TEXT]) = (true, None);
                if self.boom.is_none() {
                    self.trouble[BOOM] = None;
                }
            }
            Err(error) => (self.unsynced, self.trouble[TEXT]) = (true, Some(with_causes(&error))),
        }
    }

    /// Tells the callers how it stands, and whoever may have to recover.
    pub(super) fn tell(&mut self) {
        let lost = self.lost_before + self.lost();
        self.inner.stats.tell(self.output.records(), lost, self.why());
        self.unsaid &= self.journal.is_behind();
        let failing = self.trouble[TEXT].is_some() || self.trouble[BOOM].is_some();
        let is_behind = failing || self.unsaid || self.output.has_unsaid_losses();
        if let Some(file) = self.inner.ring_file() {
            file.set_behind(is_behind);
            if !is_behind && self.unsettled > 0 {
                file.settle_dropped(mem::take(&mut self.unsettled));
            }
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

    pub(super) fn why(&self) -> Option<&str> {
        self.trouble.iter().flatten().map(String::as_str).next()
    }

    /// Notes what went wrong beside the text log, until the boom file is written again, or the text log where there is none.
    pub(super) fn note_trouble(&mut self, result: Result<(), FilesError>) {
        if let Some(why) = said(result) {
            self.trouble[BOOM] = Some(why);
        }
    }

    /// Makes all that was written survive a power cut.
    pub(super) fn flush_for_good(&mut self) {
        // Whoever asks is told of what is lost, though its gap has room by now.
        let is_news = self.output.has_unsaid_losses();
        let synced = said(self.output.sync());
        if synced.is_some() || !is_news {
            self.trouble[TEXT] = synced;
        }
        match &mut self.boom {
            Some(boom) => self.trouble[BOOM] = said(boom.sync()),
            None if is_news => {}
            None => self.trouble[BOOM] = None,
        }
        self.trouble[META] = said(self.journal.catch_up());
        let synced = self.journal.sync_names();
        self.note_trouble(synced);
        (self.last_sync, self.unsynced) = (Instant::now(), false);
        self.note(Time::now(), What::Flushed { records: self.output.records() });
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
        let why = self.why().or(news).map(str::to_owned);
        for answer in asked {
            answer.give(why.clone().map_or(Ok(()), |why| Err(CollectorError::Failing { lost, why })));
        }
    }

    pub(super) fn sync_if_due(&mut self) {
        let noted = self.output.note_sync();
        self.unsynced |= noted.is_err();
        self.note_trouble(noted);
        if self.last_sync.elapsed() < SYNC_EVERY {
            return;
        }
        if self.journal.is_behind() {
            self.last_sync = Instant::now();
            self.trouble[META] = said(self.journal.catch_up());
            self.tell();
        }
        if self.output.has_unsaid_losses() {
            self.last_sync = Instant::now();
            // Why not is known.
            let _ = self.output.say_losses();
            self.tell();
        }
        if mem::take(&mut self.unsynced) {
            self.last_sync = Instant::now();
            if let Some(boom) = &mut self.boom {
                boom.request_sync();
            }
            let requested = self.output.request_sync();
            self.note_trouble(requested);
        }
    }
}

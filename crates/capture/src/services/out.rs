//! The files of the services: one boom file for all, a text log for each; and the checkpoint that goes with the records.
//!
//! A checkpoint must have come to exactly the records that are handed to the kernel with it: it is set before each flush, and
//! before whatever may make the boom file write a block. It also says how far the text logs go, which may be behind: what is
//! missing there is made from the records after a kill, and what is beyond it is of no record.

mod service;

use std::{borrow::Cow, path::Path};

use logboom_boom as boom;
use logboom_files::{session::Counts, with_causes};
use logboom_record::{Flags, Kind, Level, RunEnd, RunId, Stream, Time};

use service::Service;

use super::{
    Ended, NewService, Written,
    checkpoint::{self, Boot, ServicePlace, this_boot},
    errors::{ErrorLines, Pace},
    feed::{Delivery, Lost, Piece, Place, Reached, Source},
    queue::Answer,
    syncs::{Synced, TextSyncs},
    track::Track,
};
use crate::{
    lines::Part,
    masks::Seen,
    writer::{RunText, Trouble},
};

/// So many bytes of text of a service are written at once.
const TEXT_BUFFER_BYTES: usize = 64 << 10;

/// What is said of whatever comes of a service that takes nothing: a mistake of the caller's.
const ENDED: &str = "output came of a service that has ended or not begun";

/// What is noted of each byte: when it was read, and what the engine stamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) time: Time,
    pub(super) origin_ns: Option<i64>,
}

/// The two streams of a service, by their place among its tracks.
pub(super) const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// See the module.
pub(super) struct Out {
    boom: boom::Writer,
    /// By number; `None`: not yet, or not any more.
    services: Vec<Option<Box<Service>>>,
    /// The numbers of those that there are.
    live: Vec<u32>,
    /// Those whose text log lags behind.
    dirty: Vec<u32>,
    /// Those whose text log is to be synced.
    unsynced: Vec<u32>,
    text_syncs: TextSyncs,
    /// Who waits for the round of syncs that is under way, and for the next.
    answers: Vec<Answer>,
    next_answers: Vec<Answer>,
    /// Why a text log could not be synced in this round.
    round_failed: Option<String>,
    checkpoint: Vec<u8>,
    spare: Vec<u8>,
    boot: Boot,
    error_lines: ErrorLines,
    pub(super) masks: Seen,
    pub(super) trouble: Trouble,
    /// What the services came to that have ended.
    pub(super) ended: Vec<(RunId, Counts)>,
    /// How far their sources were read: another service may go on there.
    left: Vec<ServicePlace>,
}

impl Out {
    pub(super) fn new(boom: boom::Writer, text_syncs: TextSyncs, trouble: Trouble, masks: Seen) -> Out {
        let error_lines = ErrorLines::new(boom.path().parent().unwrap_or(Path::new(".")));
        Out {
            error_lines,
            boom,
            services: Vec::new(),
            live: Vec::new(),
            dirty: Vec::new(),
            unsynced: Vec::new(),
            text_syncs,
            answers: Vec::new(),
            next_answers: Vec::new(),
            round_failed: None,
            checkpoint: Vec::new(),
            spare: Vec::new(),
            boot: this_boot(),
            masks,
            trouble,
            ended: Vec::new(),
            left: Vec::new(),
        }
    }

    /// How many services there are.
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// Takes a service; its number is the next.
    pub(super) fn add(&mut self, number: u32, new: NewService) {
        let NewService { run, text, next_seq, counts } = new;
        let slot = match self.boom.run(run, Kind::Service, next_seq) {
            Ok(slot) => slot,
            // There are never so many: `ServiceWriter::add` counts.
            Err(error) => return self.trouble.note(with_causes(&error)),
        };
        let service = Service {
            slot,
            text: RunText::new(Some(text), self.boom.next_seq(slot), TEXT_BUFFER_BYTES),
            before: counts,
            began: (self.boom.next_seq(slot), self.boom.lost_of(slot)),
            place: ServicePlace { run, text: None, source: None },
            tracks: Default::default(),
            passed: Place::default(),
            is_dirty: false,
            is_unsynced: false,
            errors: Pace::default(),
            masked: 0,
        };
        self.services.resize_with(number as usize + 1, || None);
        self.services[number as usize] = Some(Box::new(service));
        self.live.push(number);
    }

    fn service(&mut self, number: u32) -> Option<&mut Service> {
        self.services.get_mut(number as usize)?.as_deref_mut()
    }

    /// What the service is read from from now on. All that came of the one before is in records.
    pub(super) fn begin(&mut self, number: u32, source: Source) {
        let Some(service) = self.service(number) else { return self.trouble.note(ENDED.to_owned()) };
        let Reached { stdout, stderr } = &source.reached;
        (service.tracks, service.passed) = ([Track::going_on(stdout), Track::going_on(stderr)], Place::default());
        service.place.source = Some(source);
    }

    /// Begins with a delivery. False if there is nobody to take it.
    pub(super) fn begin_delivery(&mut self, number: u32, delivery: &Delivery) -> bool {
        let Some(source) = self.service(number).and_then(|service| service.place.source.as_mut()) else {
            self.trouble.note(ENDED.to_owned());
            return false;
        };
        if let Some(file) = delivery.file {
            let part = delivery.pieces.first().map_or(delivery.reached.part, |piece| piece.at.part);
            source.files.retain(|(other, _)| *other != part);
            source.files.push((part, file));
            source.files.sort_unstable_by_key(|(part, _)| *part);
        }
        true
    }

    /// Goes on to a piece. Tells how many of its first bytes came before.
    #[inline]
    pub(super) fn begin_piece(&mut self, number: u32, track: usize, piece: &Piece) -> usize {
        let Some(service) = self.service(number) else { return 0 };
        if piece.at < service.passed {
            return piece.len as usize;
        }
        service.tracks[track].take(piece.at, piece.len) as usize
    }

    /// All pieces before this place are taken.
    pub(super) fn pass(&mut self, number: u32, reached: Place) {
        if let Some(service) = self.service(number) {
            service.pass(reached);
        }
    }

    /// Takes a line, or a part of one. `level` is that of its stream's last line.
    #[inline]
    pub(super) fn record(&mut self, number: u32, track: usize, level: &mut Level, part: &Part<'_, Stamp>) {
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        if part.starts_line {
            *level = service.text.level_of(part.message);
        }
        let mut message = Cow::Borrowed(part.message);
        service.masked += self.masks.masks.mask_patterns(&mut message);
        let (stream, flags) = (STREAMS[track], part.flags.with(Flags::LEVEL_GUESSED));
        let Stamp { time, origin_ns: origin_time_ns } = part.time;
        let record =
            boom::NewRecord { time, origin_time_ns, stream, level: *level, flags, message: &message, fields: None };
        let level = *level;
        self.push(number, &record, Some((track, part.message.len())));
        if part.starts_line && level >= Level::Error {
            self.note_error(number, time, &message);
        }
    }

    /// The last record is an error line.
    #[cold]
    fn note_error(&mut self, number: u32, time: Time, message: &[u8]) {
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        if !self.boom.is_dropping() {
            let seq = self.boom.next_seq(service.slot) - 1;
            self.error_lines.push(&mut service.errors, (service.place.run, seq), time, message);
        }
    }

    /// Adds a line of logboom's own.
    pub(super) fn note(&mut self, number: u32, time: Time, level: Level, message: &str) {
        self.masks.look();
        let (message, flags) = (self.masks.masks.mask_str(message).replace('\n', " "), Flags::NONE);
        let (stream, message) = (Stream::System, message.as_bytes());
        let record = boom::NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields: None };
        self.push(number, &record, None);
    }

    /// Puts a record where it belongs; one of output is of a track, and had so many bytes when it came.
    #[inline]
    fn push(&mut self, number: u32, record: &boom::NewRecord<'_>, track: Option<(usize, usize)>) {
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        match self.boom.push_in_block(service.slot, record) {
            Ok(Some(_)) => {}
            Ok(None) => self.push_after_block(number, record),
            Err(error) => self.trouble.note(with_causes(&error)),
        }
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        let boom::NewRecord { stream, level, flags, time, message, .. } = *record;
        if let Some((track, came)) = track {
            let bytes = came + usize::from(flags.ends_line_with_newline());
            service.tracks[track].wrote(bytes, flags.has(Flags::CONTINUED), level);
        }
        if !std::mem::replace(&mut service.is_dirty, true) {
            self.dirty.push(number);
        }
        if service.text.push(stream, level, flags, time, message) {
            let flushed = service.text.flush();
            self.trouble.check(flushed);
        }
    }

    #[cold]
    fn push_after_block(&mut self, number: u32, record: &boom::NewRecord<'_>) {
        self.set_checkpoint_before_block();
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        let pushed = self.boom.push(service.slot, record);
        self.trouble.check(pushed.map(drop));
    }

    /// Notes what is lost. All that came before it is in records.
    pub(super) fn lose(&mut self, number: u32, lost: &Lost) {
        self.set_checkpoint_before_block();
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        let (count, why) = match lost.count {
            Some(count) => (count, lost.why.clone()),
            None => (1, format!("{}; how many is not known", lost.why)),
        };
        self.boom.gap_at(service.slot, count, lost.time, &why);
        let said = service.text.lose(count, lost.time, &why);
        self.trouble.check(said);
        service.pass(lost.reached);
        if !std::mem::replace(&mut service.is_dirty, true) {
            self.dirty.push(number);
        }
    }

    /// Ends a service, all of which is in records. Tells what it came to.
    pub(super) fn end(&mut self, number: u32, end: &RunEnd) -> Ended {
        self.set_checkpoint_before_block();
        let Some(service) = self.services.get_mut(number as usize).and_then(Option::take) else {
            return Ended::default();
        };
        let masked = service.masked;
        self.boom.end_run(service.slot, end);
        self.live.retain(|live| *live != number);
        let counts = self.finish_service(number, *service);
        self.flush();
        Ended { counts, masked }
    }

    fn finish_service(&mut self, number: u32, mut service: Service) -> Counts {
        let flushed = service.text.flush();
        self.trouble.check(flushed);
        let counts = service.counts(&self.boom);
        service.set_place();
        self.left.push(ServicePlace { text: None, ..service.place.clone() });
        self.ended.push((service.place.run, counts));
        if let Some(log) = service.text.take_log() {
            self.text_syncs.finish(number, log);
        }
        counts
    }

    /// Hands all that was taken so far to the kernel, but for the text logs.
    pub(super) fn flush_boom(&mut self) {
        self.set_checkpoint();
        let flushed = self.boom.flush();
        self.trouble.check(flushed);
        self.error_lines.write();
    }

    /// Before the boom file may write a block: what is in it is in the checkpoint then. While records are dropped there is
    /// none, and a checkpoint for each would cost much.
    fn set_checkpoint_before_block(&mut self) {
        if !self.boom.is_dropping() {
            self.set_checkpoint();
        }
    }

    fn set_checkpoint(&mut self) {
        for number in &self.live {
            if let Some(service) = &mut self.services[*number as usize] {
                service.set_place();
            }
        }
        let live = self.live.iter().filter_map(|number| self.services[*number as usize].as_deref());
        let places = live.map(|service| &service.place).chain(&self.left);
        let left_out = checkpoint::encode(&mut self.spare, self.boot, places);
        let left_out = left_out.saturating_sub(self.left.len()); // those that have ended come last
        if left_out > 0 {
            self.trouble.note(format!("{left_out} services are too many to go on with where this process is killed"));
        }
        if self.spare != self.checkpoint {
            std::mem::swap(&mut self.spare, &mut self.checkpoint);
            let set = self.boom.checkpoint(&self.checkpoint);
            self.trouble.check(set);
        }
    }

    /// Hands all that was taken so far to the kernel.
    pub(super) fn flush(&mut self) {
        self.flush_texts();
        self.flush_boom();
    }

    /// Whether some text log lags behind.
    pub(super) fn has_unwritten_text(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes what the text logs lack.
    pub(super) fn flush_texts(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in dirty.drain(..) {
            let Some(service) = self.services[number as usize].as_deref_mut() else { continue };
            service.is_dirty = false;
            let flushed = service.text.flush();
            self.trouble.check(flushed);
            if !std::mem::replace(&mut service.is_unsynced, true) {
                self.unsynced.push(number);
            }
        }
        self.dirty = dirty;
    }

    /// Has what was flushed fsync'ed, without waiting for it. False if a part of that has to be asked for again.
    pub(super) fn request_sync(&mut self) -> bool {
        self.boom.request_sync();
        let is_free = !self.text_syncs.is_busy();
        if is_free {
            self.request_text_syncs();
        }
        is_free
    }

    /// Makes all that was taken so far survive a power cut. The answer comes by [`Out::note_syncs`] when the text logs do, too:
    /// many of them take long.
    pub(super) fn sync(&mut self, answer: Answer) {
        self.flush();
        match self.boom.sync() {
            // Who does not want to know does not listen; so it is with every answer here.
            Err(error) => _ = answer.send(Err(with_causes(&error))),
            Ok(()) => self.next_answers.push(answer),
        }
        self.answer_syncs();
    }

    /// Answers what the round of syncs that has ended was for, and begins the next that is asked for.
    fn answer_syncs(&mut self) {
        while !self.text_syncs.is_busy() {
            let result = self.round_failed.take().map_or(Ok(()), Err);
            self.answers.drain(..).for_each(|answer| _ = answer.send(result.clone()));
            if self.next_answers.is_empty() {
                break;
            }
            self.answers = std::mem::take(&mut self.next_answers);
            self.request_text_syncs();
        }
    }

    fn request_text_syncs(&mut self) {
        let (services, trouble) = (&mut self.services, &mut self.trouble);
        let unsynced = std::mem::take(&mut self.unsynced);
        for number in &unsynced {
            let Some(service) = services[*number as usize].as_deref_mut() else { continue };
            service.is_unsynced = false;
            if let Some(log) = service.text.log().filter(|log| log.is_unlinked()) {
                trouble.note(format!("{} was deleted while it was written", log.path().display()));
            }
        }
        let service = |number: &u32| Some((*number, self.services[*number as usize].as_deref()?.text.log()?));
        self.text_syncs.request(unsynced.iter().filter_map(service));
    }

    /// Takes note of syncs that have ended. False if one failed: what tells of the records that are lost is not synced.
    pub(super) fn note_syncs(&mut self) -> bool {
        let mut all_good = true;
        while let Some(synced) = self.text_syncs.poll() {
            all_good &= self.note_synced(synced);
        }
        self.answer_syncs();
        all_good
    }

    fn note_synced(&mut self, synced: Synced) -> bool {
        let noted = match synced {
            Synced::End(result) => result,
            Synced::Log(number, mark, result) => {
                let Some(service) = self.services[number as usize].as_deref_mut() else { return true };
                if result.is_err() && !std::mem::replace(&mut service.is_unsynced, true) {
                    self.unsynced.push(number);
                }
                service.text.log_mut().map_or(Ok(()), |log| log.note_sync(mark, result))
            }
        };
        if let Err(error) = &noted {
            self.round_failed.get_or_insert_with(|| with_causes(error));
        }
        self.trouble.check(noted)
    }

    /// Ends all files. What of a service that has not ended is in no record yet stays in its source.
    pub(super) fn finish(mut self) -> Written {
        self.flush();
        while let Some(synced) = self.text_syncs.wait() {
            self.note_synced(synced);
            self.answer_syncs();
        }
        for number in std::mem::take(&mut self.live) {
            if let Some(service) = self.services[number as usize].take() {
                self.finish_service(number, *service);
            }
        }
        let Out { boom, text_syncs, mut trouble, ended, .. } = self;
        let path = boom.path().to_owned();
        let mut lost = boom.lost();
        match boom.seal() {
            Ok(sealed) => {
                lost = sealed.totals.lost;
                let why = sealed.failing.map(|why| format!("cannot write all of {}: {why}", path.display()));
                why.into_iter().for_each(|why| trouble.note(why));
            }
            Err(error) => trouble.note(with_causes(&error)),
        }
        for synced in text_syncs.close() {
            // Every log has been handed over to be finished.
            if let Synced::End(result) = synced {
                trouble.check(result);
            }
        }
        let reader = Some(path).filter(|_| lost > 0).and_then(|path| boom::reader::Reader::open(&path).ok());
        let gaps = reader.map(|reader| reader.gaps()).unwrap_or_default();
        Written { services: ended, gaps, trouble: trouble.first }
    }
}

//! Writes one run: lines with seq, time and level into its text log and its boom file.
//!
//! One thread does it all, so that the order in the intake is the order of the seq. It hands what it has to the kernel
//! whenever it finds the intake empty, at most every [`FLUSH_PAUSE`], and at the latest [`FLUSH_AFTER`] after a byte came:
//! that is all that `kill -9` can take. fsync runs beside it every [`SYNC_EVERY`]. A disk that fails never stops the run: the
//! sinks count what they lose, and the caller hears of it once.

mod end;
mod flush_clock;
mod open_stream;
mod run_text;
mod trouble;

use std::{borrow::Cow, fs::File, io, sync::Arc, thread::JoinHandle, time::Instant};

use logboom_boom as boom;
use logboom_files::{
    session::Counts,
    textlog::{Syncer, TextWriter},
    timeline::What,
    with_causes,
};
use logboom_record::{Flags, Gap, Level, RunEnd, Stream, TestResult, Time};

use end::{End, finish_boom, finish_text};
pub(crate) use flush_clock::FlushClock;
pub use flush_clock::{FLUSH_AFTER, FLUSH_PAUSE, SYNC_EVERY};
pub(crate) use open_stream::OpenStream;
pub use open_stream::UNFINISHED_AFTER;
pub(crate) use run_text::RunText;
pub(crate) use trouble::Trouble;

use crate::{
    intake::{Batch, Intake, Outlet, Piece},
    lines::{Part, Splitter},
    markup::{Annotation, Marked, Markup, may_tell_secret},
    masks::{MASK, MaskedStream, Masks, Seen, SharedMasks, VALUE_BYTES_MAX, VALUE_BYTES_MIN},
    results::{self, Results, TESTS_MAX},
};

/// After so many bytes of text it is fsync'ed earlier, so that little is left to do when the run ends.
pub const SYNC_EVERY_BYTES: u64 = 32 << 20;

const TEXT_BUFFER_BYTES: usize = 1 << 20;

/// Hears what happened in a run, and when.
pub type Tell = dyn FnMut(Vec<(Time, What)>) + Send;

/// Where the records of a run go.
pub struct Sinks {
    /// The text log.
    pub text: Option<TextWriter>,
    /// The boom file, and the run in it.
    pub boom: Option<(boom::Writer, boom::RunSlot)>,
    /// Called once, when something could not be written for the first time.
    pub warn: Box<dyn FnMut(&str) + Send>,
    /// What is taken out of all that is printed before it is kept.
    pub masks: SharedMasks,
    /// Called with what the lines since the last time say that happened: results of tests, groups, annotations.
    pub events: Box<Tell>,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// How many records and lines; the lost ones are those that are in no file.
    pub counts: Counts,
    /// Which records are lost, as far as the files tell it. Those of a text log do not name their run.
    pub gaps: Vec<Gap>,
    /// Why the run's files are not whole, or not sealed.
    pub trouble: Option<String>,
    /// What test tools told of their tests.
    pub tests: Vec<TestResult>,
    /// How many secrets were masked.
    pub masked: u64,
}

/// The thread that writes a run.
#[derive(Debug)]
pub struct RunWriter {
    intake: Intake,
    thread: JoinHandle<Written>,
}

impl RunWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(sinks: Sinks) -> io::Result<RunWriter> {
        let (intake, outlet) = Intake::new();
        let worker = Worker::new(outlet, sinks);
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || worker.run())?;
        Ok(RunWriter { intake, thread })
    }

    /// A hand for a reader of one of the run's streams.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Writes what is left, ends the run in its boom file, seals and syncs everything.
    pub fn finish(self, end: RunEnd) -> Written {
        self.intake.close(end);
        match self.thread.join() {
            Ok(written) => written,
            Err(_) => {
                Written { trouble: Some("the writer failed; see logboom verify".to_owned()), ..Written::default() }
            }
        }
    }
}

struct Worker {
    intake: Outlet,
    streams: [OpenStream; 3],
    masked: [MaskedStream; 3],
    out: Out,
    clock: FlushClock,
}

impl Worker {
    fn new(intake: Outlet, sinks: Sinks) -> Worker {
        let out = Out::new(sinks, Syncer::new(File::sync_data, intake.waker()));
        Worker {
            intake,
            streams: Default::default(),
            masked: Default::default(),
            out,
            clock: FlushClock::new(Instant::now()),
        }
    }

    fn run(mut self) -> Written {
        let mut batch = Batch::default();
        loop {
            let unfinished = self.streams.iter().filter_map(OpenStream::is_due_at).min();
            let (wake_at_bytes, patience) = self.clock.next_wait(Instant::now(), unfinished);
            self.intake.fetch(&mut batch, wake_at_bytes, patience);
            if let Some(end) = self.write_batch(&batch) {
                self.finish_streams();
                return self.out.finish(&end);
            }
            let now = Instant::now();
            self.write_unfinished(now);
            if self.clock.is_due(now, || self.intake.is_empty()) {
                self.flush();
            }
            if self.clock.take_sync(now, self.out.run.unsynced_bytes() >= SYNC_EVERY_BYTES) {
                self.out.request_sync();
            }
            // What tells of the records that a failed sync lost is not on the disk either.
            self.clock.unsynced |= !self.out.note_sync();
        }
    }

    /// Gives how the run ended if the batch says so.
    fn write_batch(&mut self, batch: &Batch) -> Option<RunEnd> {
        let mut rest = &batch.bytes[..];
        for piece in &batch.pieces {
            match piece {
                Piece::Data { stream, time, len } => {
                    let (bytes, later) = rest.split_at(*len);
                    rest = later;
                    self.take(*stream, bytes, *time);
                    // In the middle of a batch, whose lines may be many and short.
                    if self.clock.is_late(Instant::now()) {
                        self.flush();
                    }
                }
                Piece::End { stream } => self.finish_stream(*stream),
                Piece::Note { time, level, message } => self.out.note(*time, *level, message),
                Piece::Tests(tests) => self.out.reported.extend_from_slice(tests),
                Piece::Close { end } => return Some(end.clone()),
            }
        }
        if !batch.pieces.is_empty() {
            self.clock.note_taken(Instant::now());
        }
        None
    }

    fn write(&mut self, stream: Stream, split: impl FnOnce(&mut Splitter, &mut dyn FnMut(Part<'_>))) {
        let state = &mut self.streams[stream as usize];
        let (out, level) = (&mut self.out, &mut state.level);
        split(&mut state.splitter, &mut |part| out.record(stream, level, &part));
    }

    /// Takes what was read, without secrets.
    fn take(&mut self, stream: Stream, bytes: &[u8], time: Time) {
        if self.out.masks().is_empty() {
            return self.write(stream, |splitter, take| splitter.push(bytes, time, take));
        }
        let (state, out) = (&mut self.streams[stream as usize], &mut self.out);
        let (masks, OpenStream { splitter, level, .. }) = (Arc::clone(&out.masks.masks), state);
        self.masked[stream as usize].push(&masks, bytes, time, |time, bytes| {
            splitter.push(bytes, time, |part| out.record(stream, level, &part));
        });
    }

    fn finish_stream(&mut self, stream: Stream) {
        let mut masked = std::mem::take(&mut self.masked[stream as usize]);
        let masks = Arc::clone(&self.out.masks.masks);
        masked.finish(&masks, |time, bytes| self.write(stream, |splitter, take| splitter.push(bytes, time, take)));
        self.out.masked += masked.count;
        self.write(stream, |splitter, take| splitter.finish(take));
    }

    fn finish_streams(&mut self) {
        Stream::ALL.into_iter().for_each(|stream| self.finish_stream(stream));
    }

    /// Writes as a part what has been unfinished for long enough, and notes since when the rest is.
    fn write_unfinished(&mut self, now: Instant) {
        for stream in Stream::ALL {
            // A secret that is being told is in no part of its line.
            let may_tell = may_tell_secret(self.streams[stream as usize].splitter.begun());
            if self.streams[stream as usize].note_unfinished(now, || may_tell) {
                self.write(stream, |splitter, take| splitter.hand_out_unfinished(take));
                self.clock.note_taken(now);
            }
        }
    }

    fn flush(&mut self) {
        self.out.flush();
        self.clock.flushed();
    }
}

/// The sinks and what is on its way to them.
struct Out {
    run: RunText,
    text_sync: Syncer,
    boom: Option<(boom::Writer, boom::RunSlot)>,
    trouble: Trouble,
    results: Results,
    /// What files tell of tests.
    reported: Vec<TestResult>,
    masks: Seen,
    masked: u64,
    /// Secrets were told, by the command itself or another of the session.
    has_told_secrets: bool,
    markup: Markup,
    events: Vec<(Time, What)>,
    tell: Box<Tell>,
}

impl Out {
    fn new(sinks: Sinks, text_sync: Syncer) -> Out {
        let Sinks { text, boom, warn, masks, events: tell } = sinks;
        let (run, trouble) = (RunText::new(text, 1, TEXT_BUFFER_BYTES), Trouble::new(warn));
        let masks = Seen::of(masks);
        let (results, markup) = (Results::default(), Markup::new(std::env::var_os("BUILDKITE").is_some()));
        Out {
            run,
            text_sync,
            boom,
            trouble,
            results,
            reported: Vec::new(),
            masks,
            masked: 0,
            has_told_secrets: false,
            markup,
            events: Vec::new(),
            tell,
        }
    }

    /// What is secret by now.
    fn masks(&mut self) -> &Masks {
        self.has_told_secrets |= self.masks.look();
        &self.masks.masks
    }

    fn record(&mut self, stream: Stream, level: &mut Level, part: &Part<'_>) {
        let mut message = Cow::Borrowed(part.message);
        if self.has_told_secrets {
            // What was read together with the line that told one was not yet looked at for it.
            let count;
            (message, count) = self.masks.masks.mask(part.message);
            self.masked += count;
        } else {
            self.masked += self.masks.masks.mask_patterns(&mut message);
        }
        if part.starts_line && !part.flags.has(Flags::CONTINUED) {
            self.hear(part.time, &mut message);
        }
        if part.starts_line {
            *level = self.run.level_of(&message);
        }
        self.results.take(self.run.next_seq(), stream, &Part { message: &message, ..*part });
        self.write(stream, *level, part.flags.with(Flags::LEVEL_GUESSED), part.time, &message);
    }

    fn note(&mut self, time: Time, level: Level, message: &str) {
        let message = message.replace('\n', " ");
        self.masks();
        let masks = Arc::clone(&self.masks.masks);
        let (message, masked) = masks.mask(message.as_bytes());
        self.masked += masked;
        self.write(Stream::System, level, Flags::NONE, time, &message);
    }

    fn write(&mut self, stream: Stream, level: Level, flags: Flags, time: Time, message: &[u8]) {
        if let Some((boom, run)) = &mut self.boom {
            let record = boom::NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields: None };
            // Only a message over the limit is refused, and the splitter hands out none.
            if let Err(error) = boom.push(*run, &record) {
                self.trouble.note(with_causes(&error));
            }
        }
        if self.run.push(stream, level, flags, time, message) {
            self.flush_text();
        }
    }

    /// Hands all that was written so far to the kernel.
    fn flush(&mut self) {
        self.flush_text();
        self.tell_events();
        if let Some((boom, _)) = &mut self.boom {
            let flushed = boom.flush();
            self.trouble.check(flushed);
        }
    }

    /// Takes note of what a line says for a CI system. A secret that it tells is not kept.
    fn hear(&mut self, time: Time, message: &mut Cow<'_, [u8]>) {
        let seq = self.run.next_seq();
        let what = match self.markup.read(message) {
            None => return,
            Some(Marked::Group(name)) => What::Group { name: self.mask_str(&name), seq },
            Some(Marked::GroupEnd) => What::GroupEnd { seq },
            // In what they mean there may be secrets that are not in what was printed: escapes are read.
            Some(Marked::Annotation(Annotation { level, message, file, line })) => {
                let (message, file) = (self.mask_str(&message), file.map(|file| self.mask_str(&file)));
                What::Annotation { level, message, file, line, seq }
            }
            Some(Marked::Secret(value)) => {
                self.hear_secret(time, &value);
                *message = Cow::Owned([b"::add-mask::", MASK.as_bytes()].concat());
                return;
            }
        };
        self.events.push((time, what));
    }

    fn mask_str(&self, text: &str) -> String {
        self.masks.masks.mask_str(text)
    }

    fn hear_secret(&mut self, time: Time, value: &[u8]) {
        // One that is known reads `***` by now.
        let is_known = value.windows(MASK.len()).any(|part| part == MASK.as_bytes());
        let unmasked = match self.masks.add(value) {
            Err(error) => Some(format!("a value that ::add-mask:: tells is not masked: {error}")),
            Ok(0) => None,
            Ok(_) => Some(format!(
                "a value that ::add-mask:: tells is not masked, or a line of it: only lines of {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} bytes are"
            )),
        };
        if let Some(why) = unmasked.filter(|_| !is_known) {
            self.note(time, Level::Warn, &why);
        }
        (self.masked, self.has_told_secrets) = (self.masked + 1, true);
    }

    fn tell_events(&mut self) {
        self.masks();
        let masks = &self.masks.masks;
        self.events.extend(self.results.news().iter().map(|test| (test.time, What::Test(masked(test.clone(), masks)))));
        if !self.events.is_empty() {
            (self.tell)(std::mem::take(&mut self.events));
        }
    }

    fn flush_text(&mut self) {
        let flushed = self.run.flush();
        self.trouble.check(flushed);
    }

    /// Has what was flushed fsync'ed, without waiting for it.
    fn request_sync(&mut self) {
        if let Some((boom, _)) = &mut self.boom {
            boom.request_sync();
        }
        if let Some(text) = self.run.begin_sync() {
            let requested = self.text_sync.request(text);
            self.trouble.check(requested);
        }
    }

    /// Takes note of a sync of the text log that has ended. False if it failed.
    fn note_sync(&mut self) -> bool {
        let Some(text) = self.run.log_mut() else { return true };
        let noted = self.text_sync.note_ended(text);
        self.trouble.check(noted)
    }

    /// The results of the output and of files.
    fn finish_tests(&mut self, now: Time) -> Vec<TestResult> {
        self.masks();
        let (tests, mut over) = std::mem::take(&mut self.results).finish();
        let mut tests: Vec<TestResult> = tests.into_iter().map(|test| masked(test, &self.masks.masks)).collect();
        let printed = tests.len();
        let joined = results::join(&mut tests, std::mem::take(&mut self.reported), &self.masks.masks);
        (over, self.masked) = (over + joined.over, self.masked + joined.masked);
        if over > 0 {
            let why = format!("{over} results of tests are not kept: at most {TESTS_MAX} are, with names of 16 MiB");
            self.note(now, Level::Warn, &why);
        }
        let new = tests.get(printed..).unwrap_or_default();
        if !new.is_empty() {
            (self.tell)(new.iter().map(|test| (test.time, What::Test(test.clone()))).collect());
        }
        tests
    }

    /// Seals the boom file while the text log is synced beside it.
    fn finish(mut self, end: &RunEnd) -> Written {
        self.tell_events();
        let tests = self.finish_tests(end.ended_at);
        self.flush_text();
        let Out { mut run, text_sync, boom, mut trouble, masked, .. } = self;
        let (boom, text) = std::thread::scope(|scope| {
            let text = run.take_log().map(|text| scope.spawn(move || finish_text(text, text_sync)));
            (boom.map(|(boom, run)| finish_boom(boom, run, end)), text.and_then(|text| text.join().ok()))
        });
        for why in [&boom, &text].into_iter().flatten().filter_map(|end| end.trouble.clone()) {
            trouble.note(why);
        }
        // The boom file is the truth, where there is one.
        let End { lost, gaps, .. } = boom.or(text).unwrap_or_default();
        let records = (run.next_seq() - 1).saturating_sub(lost);
        Written { counts: Counts { records, lost, ..run.counts }, gaps, trouble: trouble.first, tests, masked }
    }
}

/// A test whose name, which may have been escaped where it was printed, is without secrets.
fn masked(test: TestResult, masks: &Masks) -> TestResult {
    match masks.is_empty() {
        true => test,
        false => TestResult { suite: masks.mask_str(&test.suite), test: masks.mask_str(&test.test), ..test },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc::sync_channel, time::Duration};

    /// Fails until the text tells of a gap.
    fn sync(file: &File) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let mut text = vec![0; file.metadata()?.len() as usize];
        file.read_exact_at(&mut text, 0)?;
        let has_gap = String::from_utf8_lossy(&text).contains("lost seq 1-1");
        if has_gap { Ok(()) } else { Err(io::Error::from_raw_os_error(5)) }
    }

    #[test]
    fn the_gap_that_a_failed_sync_leaves_is_synced_without_anything_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let sinks = Sinks {
            text: Some(TextWriter::new(file, &path)),
            boom: None,
            warn: Box::new(|_| {}),
            masks: SharedMasks::default(),
            events: Box::new(|_| {}),
        };
        let (intake, outlet) = Intake::new();
        let (wake, (synced, syncs)) = (outlet.waker(), sync_channel(9));
        let mut worker = Worker::new(outlet, sinks);
        worker.out.text_sync = Syncer::new(sync, move || {
            synced.send(()).unwrap();
            wake();
        });
        let worker = std::thread::spawn(move || worker.run());
        intake.push(Stream::Stdout, Time::default(), b"line\n");
        for sync in ["of the line", "of the gap"] {
            syncs.recv_timeout(Duration::from_secs(30)).expect(sync);
        }
        intake.close(RunEnd {
            ended_at: Time::default(),
            outcome: logboom_record::Outcome::Passed,
            exit_code: None,
            signal: None,
        });
        assert_eq!(worker.join().unwrap().counts.lost, 1);
    }
}

//! The output of many services at once, written into one session: a text log each, and one boom file for all.
//!
//! One thread writes them all. With the records goes a checkpoint, which says for each service how far they go in its source:
//! whoever goes on after this process was killed ([`resume`]) gets every byte that is in no record, and writes none twice.
//! Nothing here knows an engine; what a source hands over stands in [`feed`].
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use logboom_capture::services::{NewService, ServiceWriter, Source, feed::*, resume};
//! # use logboom_files::{DataDir, Session, session::{NewSession, RunMeta, started}, textlog::TextWriter};
//! # use logboom_record::{Kind, Run, RunId, Stream, Time};
//! # let dir = tempfile::tempdir()?;
//! # let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: true, user: None, now: Time::now() };
//! # let session = Session::create(&DataDir::at(dir.path()), new)?;
//! let boom = logboom_boom::Writer::create_in(session.dir(), "records", Default::default())?;
//! let (file, name) = session.claim_named("web")?;
//! let text = TextWriter::new(file, &session.dir().join(&name));
//! let run = started(RunId::new(Time::now()), Kind::Service, "web".into(), Time::now());
//! let run = Run { external_id: Some("the container's id".into()), ..run };
//! let (id, boom_name) = (run.id, Some("records.boom".to_owned()));
//! session.add_run(RunMeta { text: Some(name), boom: boom_name, ..RunMeta::new(run) })?;
//!
//! let writer = ServiceWriter::start(boom, Box::new(|why| eprintln!("{why}")))?;
//! let web = writer.add(NewService::new(id, text))?;
//! writer.begin(web, Source::new(ContainerId([7; 16]), SourceKind::LogsApi));
//! let (at, reached) = (Place { part: 5, offset: 0 }, Place { part: 5, offset: 1 });
//! let pieces = vec![Piece { stream: Stream::Stdout, len: 11, origin_time_ns: Some(5), at }];
//! let delivery = Delivery { time: Time::now(), bytes: b"one\nhalf of".to_vec(), pieces, reached, file: None };
//! writer.feed(web).push(delivery)?;
//! writer.finish(); // or it is killed
//!
//! let resumed = resume(&session)?;
//! let boom = logboom_boom::Writer::create_in(session.dir(), "records", Default::default())?;
//! resumed.name_boom(&boom)?;
//! let source = resumed.services[0].source.as_ref().ok_or("it had one")?;
//! assert_eq!((source.reached.from(), source.reached.stdout.skip), (at, 4)); // from there to its end it comes again
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod errors;
pub mod feed;
mod held;
mod missing;
mod out;
mod queue;
mod resume;
mod syncs;
#[cfg(test)]
mod tests;
mod track;
mod worker;

use std::{
    io,
    sync::mpsc::{Receiver, sync_channel},
    thread::JoinHandle,
};

use logboom_boom as boom;
use logboom_files::{session::Counts, textlog::TextWriter};
use logboom_record::{Gap, Level, RunEnd, RunId, Time};

use feed::Lost;
pub use feed::Source;
use out::Out;
pub use queue::{BYTES_MAX, Feed};
use queue::{Hand, Item, Request};
pub use resume::{EndedService, Resumed, ResumedService, resume};
use syncs::TextSyncs;
use worker::Worker;

use crate::{
    masks::{Seen, SharedMasks},
    writer::Trouble,
};

/// How many services there may be at once that have not ended: what a checkpoint has room for.
pub const SERVICES_MAX: usize = 1_000;
/// How many services one writer may have had in all: what a boom file has room for.
pub const SERVICES_EVER_MAX: usize = boom::format::RUNS_MAX;

/// A service that is to be written.
#[derive(Debug)]
pub struct NewService {
    /// Its run.
    pub run: RunId,
    /// Its text log, at its end.
    pub text: TextWriter,
    /// The seq of its next record; 1 unless it is gone on with.
    pub next_seq: u64,
    /// What it came to so far.
    pub counts: Counts,
}

impl NewService {
    /// One of which nothing is written yet.
    pub fn new(run: RunId, text: TextWriter) -> NewService {
        NewService { run, text, next_seq: 1, counts: Counts::default() }
    }
}

/// A service of one [`ServiceWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceId(u32);

/// What a service came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many records and lines it has, those of earlier writers included.
    pub counts: Counts,
    /// How many secrets were masked in what came since this writer began.
    pub masked: u64,
}

/// What all services came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Each of them, in the order of their ends.
    pub services: Vec<(RunId, Counts)>,
    /// Which records are lost.
    pub gaps: Vec<Gap>,
    /// Why the files are not whole, or not sealed.
    pub trouble: Option<String>,
}

/// Why a service could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// Some must end first, or another process must write this one.
    #[error("{max} services are followed already; end some, or follow fewer, for example by label")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// Its thread panicked: nothing is written any more.
    #[error("the writer of the services failed; see logboom verify")]
    WriterGone,
    /// It may be asked for again.
    #[error("not everything is on the disk: {why}")]
    NotDurable {
        /// Why.
        why: String,
    },
}

/// The thread that writes services.
#[derive(Debug)]
pub struct ServiceWriter {
    hand: Hand,
    thread: JoinHandle<Written>,
}

impl ServiceWriter {
    /// Starts the thread. `warn` is called once, when something could not be written for the first time.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(boom: boom::Writer, warn: Box<dyn FnMut(&str) + Send>) -> io::Result<ServiceWriter> {
        ServiceWriter::start_masked(boom, warn, SharedMasks::default())
    }

    /// The same, with secrets that are not kept: `***` stands for what fits a pattern, and a `*` for each byte of a value.
    ///
    /// # Errors
    /// As [`ServiceWriter::start`].
    pub fn start_masked(
        boom: boom::Writer,
        warn: Box<dyn FnMut(&str) + Send>,
        masks: SharedMasks,
    ) -> io::Result<ServiceWriter> {
        let (hand, outlet) = queue::queue();
        let out = Out::new(boom, TextSyncs::start(outlet.waker())?, Trouble::new(warn), Seen::of(masks));
        let worker = Worker::new(outlet, out);
        let thread = std::thread::Builder::new().name("services".to_owned()).spawn(move || worker.run())?;
        Ok(ServiceWriter { hand, thread })
    }

    /// Whether a service can be added now.
    ///
    /// # Errors
    /// [`ServicesError::TooMany`].
    pub fn room_for_one(&self) -> Result<(), ServicesError> {
        self.hand.room_for_one()
    }

    /// Adds a service. It has no output before [`ServiceWriter::begin`].
    ///
    /// # Errors
    /// [`ServicesError::TooMany`].
    pub fn add(&self, service: NewService) -> Result<ServiceId, ServicesError> {
        self.hand.add(service).map(ServiceId)
    }

    /// Says what the service is read from: its first container, or one that took the place of another, whose last line ends
    /// here. Deliveries that follow are of it.
    pub fn begin(&self, service: ServiceId, source: Source) {
        self.hand.push(service.0, Item::Begin { time: Time::now(), source: Box::new(source) });
    }

    /// The hand for the source of a service.
    pub fn feed(&self, service: ServiceId) -> Feed {
        self.hand.feed(service.0)
    }

    /// Adds a line of logboom's own to the service, on [`Stream::System`](logboom_record::Stream::System).
    pub fn note(&self, service: ServiceId, time: Time, level: Level, message: String) {
        self.hand.push(service.0, Item::Note { time, level, message });
    }

    /// Says that the source has lost output that would come next. A line that is unfinished there ends.
    pub fn gap(&self, service: ServiceId, lost: Lost) {
        self.hand.push(service.0, Item::Lost(lost));
    }

    /// Ends a service behind all that was handed over for it; nothing may follow. What it came to can be waited for, and is
    /// told when its records are in the hands of the system.
    pub fn end(&self, service: ServiceId, end: RunEnd) -> Ending {
        let (answer, ended) = sync_channel(1);
        self.hand.push(service.0, Item::End { end, answer });
        Ending(ended)
    }

    /// Makes all that was handed over so far survive a power cut.
    ///
    /// # Errors
    /// [`ServicesError::NotDurable`], [`ServicesError::WriterGone`].
    pub fn flush(&self) -> Result<(), ServicesError> {
        let (answer, synced) = sync_channel(1);
        self.hand.request(Request::Flush(answer));
        let synced = synced.recv().map_err(|_| ServicesError::WriterGone)?;
        synced.map_err(|why| ServicesError::NotDurable { why })
    }

    /// Writes what is left, seals and syncs everything. Services that have not ended can be gone on with ([`resume`]): of
    /// them nothing is written that ends no line.
    pub fn finish(self) -> Written {
        self.hand.request(Request::Close);
        self.thread
            .join()
            .unwrap_or_else(|_| Written { trouble: Some(ServicesError::WriterGone.to_string()), ..Written::default() })
    }
}

/// A service that ends.
#[derive(Debug)]
pub struct Ending(Receiver<Ended>);

impl Ending {
    /// Waits until all of it is written. For so long its run is written by this process, as others see it.
    ///
    /// # Errors
    /// [`ServicesError::WriterGone`].
    pub fn wait(self) -> Result<Ended, ServicesError> {
        self.0.recv().map_err(|_| ServicesError::WriterGone)
    }
}

//! Reads what a container prints straight from it, by a thread of its own.
//!
//! That costs the engine next to nothing, where its logs API costs it 7 µs a line, and it is the only way where the log driver keeps
//! nothing. But the engine makes the container wait whenever its reader does not read. So the reader hands over what the
//! writer takes at once, and leaves the rest in a [`Backlog`], which a second thread hands over; that one is there only
//! while something waits. Places are counts, see [`counted`](super::counted). Attached streams have no time stamps.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use logboom_record::{Stream, Time};

use super::{
    backlog::{Backlog, Next},
    counted::Counter,
};
use crate::{
    engine::{BlockingFrames, EngineError, Frame, Stopper},
    services::{
        Feed, ServiceId, ServiceWriter,
        feed::{Delivery, Lost, Place},
    },
};

/// How much of what a stream printed last is remembered at least; less only where it printed less.
pub(super) const LAST_BYTES: usize = 64 << 10;

/// How it ended.
#[derive(Debug)]
pub(super) struct Detached {
    /// How far it has come.
    pub counter: Counter,
    /// When the last of it came.
    pub last_time: Option<Time>,
    /// What each stream printed last.
    pub last: [Vec<u8>; 2],
    /// Why the stream broke off; `None` if the engine has ended it, or we.
    pub why: Option<EngineError>,
    /// How often the engine was asked since how the container is.
    pub looks: u32,
    /// The engine could not be asked at once, so that it may have ended the stream because it ended itself.
    pub is_late: bool,
}

/// A container that is attached to.
#[derive(Debug)]
pub(super) struct Attachment {
    stopper: Arc<Stopper>,
    thread: JoinHandle<()>,
}

impl Attachment {
    /// Reads until the container ends, the connection breaks, or it is told to stop. Then, when all is with the writer, calls `ended`.
    ///
    /// # Errors
    /// If there is no thread or no file descriptor left.
    pub fn start(
        frames: BlockingFrames,
        outlet: Outlet,
        ended: impl FnOnce(Detached) + Send + 'static,
    ) -> io::Result<Attachment> {
        let stopper = Arc::new(frames.stopper().map_err(io::Error::other)?);
        let reader = thread::Builder::new().name("attached".to_owned());
        let thread = reader.spawn(move || ended(Reader::new(frames, outlet).read()))?;
        Ok(Attachment { stopper, thread })
    }

    /// Has what came so far read, and no more.
    pub fn stopper(&self) -> Arc<Stopper> {
        Arc::clone(&self.stopper)
    }

    /// Stops, and waits until all is with the writer.
    pub fn join(self) {
        self.stopper.stop();
        // One that panicked has told so, and what it had is lost.
        let _ = self.thread.join();
    }
}

/// The way from the reader to the writer.
#[derive(Clone)]
pub(super) struct Outlet(Arc<Shared>);

struct Shared {
    feed: Feed,
    writer: Arc<ServiceWriter>,
    service: ServiceId,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    backlog: Backlog,
    /// The thread that hands over what waits, for as long as something does.
    drainer: Option<JoinHandle<()>>,
    is_draining: bool,
}

impl Outlet {
    /// To this service; what waits may be put into a file in `dir`.
    pub fn new(writer: Arc<ServiceWriter>, service: ServiceId, dir: &Path) -> Outlet {
        let waiting = Waiting { backlog: Backlog::in_dir(dir), drainer: None, is_draining: false };
        Outlet(Arc::new(Shared { feed: writer.feed(service), writer, service, waiting: Mutex::new(waiting) }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over without waiting.
    fn push(&self, delivery: Delivery) {
        let mut waiting = self.lock();
        let delivery = match waiting.is_draining {
            true => delivery,
            false => match self.0.feed.try_push(delivery) {
                Ok(()) => return,
                Err(back) => back,
            },
        };
        waiting.backlog.push(delivery);
        if !waiting.is_draining {
            self.0.feed.set_behind(true);
            self.start_drainer(&mut waiting);
        }
    }

    fn start_drainer(&self, waiting: &mut Waiting) {
        let outlet = self.clone();
        // Without a thread it is tried again with what comes next, and at the end.
        let drainer = thread::Builder::new().name("backlog".to_owned()).spawn(move || outlet.drain());
        waiting.drainer = drainer.ok();
        waiting.is_draining = waiting.drainer.is_some();
    }

    /// Hands over all that waits. Waits for the writer.
    fn drain(&self) {
        while let Some(next) = self.next() {
            match next {
                // The writer is gone: that is said where it is waited for.
                Next::Delivery(delivery) => drop(self.0.feed.push(delivery)),
                Next::Lost(lost) => {
                    let (count, reached) = (Some(lost.lines).filter(|lines| *lines > 0), Place::default());
                    self.0.writer.gap(self.0.service, Lost { time: lost.time, count, why: lost.why, reached });
                }
            }
        }
    }

    fn next(&self) -> Option<Next> {
        let mut waiting = self.lock();
        let next = waiting.backlog.pop();
        waiting.is_draining = next.is_some();
        if next.is_none() {
            self.0.feed.set_behind(false);
        }
        next
    }

    /// Waits until the writer has all.
    fn finish(&self) {
        let drainer = self.lock().drainer.take();
        if let Some(drainer) = drainer {
            // One that panicked leaves the rest to us.
            let _ = drainer.join();
        }
        self.drain();
    }
}

struct Reader {
    frames: BlockingFrames,
    outlet: Outlet,
    counter: Counter,
    last_time: Option<Time>,
    last: [Vec<u8>; 2],
}

impl Reader {
    fn new(frames: BlockingFrames, outlet: Outlet) -> Reader {
        Reader { frames, outlet, counter: Counter::default(), last_time: None, last: Default::default() }
    }

    fn read(mut self) -> Detached {
        let why = loop {
            match self.read_once() {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        self.outlet.finish();
        let Reader { counter, last_time, last, .. } = self;
        Detached { counter, last_time, last, why, looks: 0, is_late: false }
    }

    /// Takes what one read brings. False at the end.
    fn read_once(&mut self) -> Result<bool, EngineError> {
        let Some(frame) = self.frames.next()? else { return Ok(false) };
        let mut delivery = Delivery { time: Time::now(), ..Delivery::default() };
        take(&mut self.counter, &mut self.last, &frame, &mut delivery);
        let rest = loop {
            match self.frames.next_at_hand() {
                Ok(Some(frame)) => take(&mut self.counter, &mut self.last, &frame, &mut delivery),
                Ok(None) => break Ok(true),
                Err(error) => break Err(error),
            }
        };
        self.last_time = Some(delivery.time);
        self.outlet.push(delivery);
        rest
    }
}

fn take(counter: &mut Counter, last: &mut [Vec<u8>; 2], frame: &Frame<'_>, delivery: &mut Delivery) {
    counter.push(frame.stream, None, frame.bytes, delivery);
    remember(&mut last[usize::from(frame.stream == Stream::Stderr)], frame.bytes);
}

/// Keeps at least the last [`LAST_BYTES`], and at most twice as many.
fn remember(last: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(LAST_BYTES)..];
    if last.len() + bytes.len() > 2 * LAST_BYTES {
        last.drain(..last.len().saturating_sub(LAST_BYTES));
    }
    last.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Write,
        os::unix::net::UnixStream,
        path::PathBuf,
        sync::mpsc::{Receiver, Sender, channel},
        time::{Duration, Instant},
    };

    use logboom_boom::{self as boom, reader::Reader as BoomReader};
    use logboom_files::textlog::TextWriter;
    use logboom_record::{Entry, EntryRef, Flags, RunId};

    use super::*;
    use crate::{
        engine::Framing,
        services::{
            NewService, Source,
            feed::{ContainerId, SourceKind},
        },
        writer::UNFINISHED_AFTER,
    };

    /// How long anything may take.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A container that is attached to, and a writer that is stuck from the first line on until it is let go.
    struct Stuck {
        dir: tempfile::TempDir,
        writer: Arc<ServiceWriter>,
        let_go: Sender<()>,
        container: UnixStream,
        outlet: Outlet,
        attachment: Attachment,
        detached: Receiver<Detached>,
    }

    impl Stuck {
        fn new(spill: impl FnOnce(&Path) -> PathBuf) -> Stuck {
            let dir = tempfile::tempdir().unwrap();
            let boom = boom::Writer::create_in(dir.path(), "records", boom::Options::default()).unwrap();
            let (let_go, gone) = channel();
            // A text log that takes nothing is told of once, on the writer's thread.
            let warn = Box::new(move |_: &str| gone.recv().unwrap());
            let writer = Arc::new(ServiceWriter::start(boom, warn).unwrap());
            let full = File::options().write(true).open("/dev/full").unwrap();
            let text = TextWriter::new(full, Path::new("full.log"));
            let service = writer.add(NewService::new(RunId::from_bytes([7; 16]), text)).unwrap();
            writer.begin(service, Source::new(ContainerId([7; 16]), SourceKind::Attached));
            let (container, engine) = UnixStream::pair().unwrap();
            let outlet = Outlet::new(Arc::clone(&writer), service, &spill(dir.path()));
            let (ended, detached) = channel();
            let frames = BlockingFrames::of_socket(engine, Framing::Multiplexed);
            let attachment = Attachment::start(frames, outlet.clone(), move |how| ended.send(how).unwrap()).unwrap();
            Stuck { dir, writer, let_go, container, outlet, attachment, detached }
        }

        /// Prints numbered lines as fast as they are taken.
        fn print(&mut self, lines: u32) {
            let started = Instant::now();
            (0..lines).for_each(|number| self.container.write_all(&frame(number)).unwrap());
            assert!(started.elapsed() < PATIENCE);
        }

        /// Lets the writer go on; gives all records and gaps, and how the stream ended.
        fn finish(self) -> (Vec<Entry>, Detached) {
            self.container.shutdown(std::net::Shutdown::Both).unwrap();
            self.let_go.send(()).unwrap();
            let detached = self.detached.recv_timeout(PATIENCE).unwrap();
            self.attachment.join();
            drop(self.outlet);
            Arc::into_inner(self.writer).unwrap().finish();
            let reader = BoomReader::open(&self.dir.path().join("records.boom")).unwrap();
            let mut entries = Vec::new();
            for block in 0..reader.blocks().len() {
                let mut block = reader.read(block).unwrap();
                entries.extend(block.records().unwrap().entries().map(|entry| match entry {
                    EntryRef::Record(record) => Entry::Record(record.to_owned()),
                    EntryRef::Gap(gap) => Entry::Gap(gap.clone()),
                }));
            }
            (entries, detached)
        }
    }

    fn frame(number: u32) -> Vec<u8> {
        let line = format!("{number:07} {}\n", "x".repeat(100));
        let stream = if number.is_multiple_of(10) { 2 } else { 1 };
        let head = [stream, 0, 0, 0, 0, 0, 0, line.len() as u8];
        [&head, line.as_bytes()].concat()
    }

    fn number(entry: &Entry) -> Option<u32> {
        match entry {
            Entry::Record(record) => Some(std::str::from_utf8(&record.message[..7]).unwrap().parse().unwrap()),
            Entry::Gap(_) => None,
        }
    }

    #[test]
    fn a_writer_that_is_stuck_holds_nobody_up_and_loses_nothing() {
        let mut stuck = Stuck::new(Path::to_owned);
        stuck.print(300_000); // 32 MB
        let (entries, detached) = stuck.finish();
        let numbers: Vec<u32> = entries.iter().map(|entry| number(entry).unwrap()).collect();
        assert_eq!(numbers, (0..300_000).collect::<Vec<u32>>(), "in the order in which they came");
        let reached = detached.counter.reached();
        assert_eq!((reached.stdout.at.part, reached.stderr.at.part), (270_000, 30_000));
        assert!(detached.why.is_none() && detached.last[0].ends_with(b"x\n"));
    }

    #[test]
    fn a_line_is_not_cut_while_its_rest_waits() {
        let mut stuck = Stuck::new(Path::to_owned);
        let frames: Vec<u8> = (0..200_000).flat_map(frame).collect();
        stuck.container.write_all(&frames).unwrap(); // at once, so that a read ends anywhere in a line
        let held_up = stuck.outlet.lock(); // nothing is drained
        stuck.let_go.send(()).unwrap();
        let more_than_fits = || Delivery { bytes: vec![0; 8 << 20], ..Delivery::default() };
        let started = Instant::now();
        while stuck.outlet.0.feed.try_push(more_than_fits()).is_err() {
            assert!(started.elapsed() < PATIENCE); // until the writer has all that it was given
        }
        thread::sleep(4 * UNFINISHED_AFTER);
        drop(held_up);
        let (entries, _) = stuck.finish();
        let cut = |entry: &&Entry| matches!(entry, Entry::Record(record) if record.flags.has(Flags::CONTINUED));
        assert_eq!((entries.len(), entries.iter().find(cut)), (200_000, None));
    }

    #[test]
    fn what_finds_no_room_is_a_gap_with_its_count_and_holds_nobody_up() {
        let mut stuck = Stuck::new(|dir| dir.join("nowhere"));
        stuck.print(300_000);
        let (entries, detached) = stuck.finish();
        let numbers: Vec<u32> = entries.iter().filter_map(number).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<u32>>());
        let [Entry::Gap(gap)] = &entries[numbers.len()..] else { panic!("one gap at the end") };
        let lost = gap.to.unwrap() - gap.from + 1;
        assert_eq!(numbers.len() as u64 + lost, 300_000);
        assert!(lost > 100_000 && gap.why.contains("no room for what waits"), "{lost}: {}", gap.why);
        assert_eq!(detached.counter.reached().stdout.at.part, 270_000, "what is lost is counted, too");
    }
}

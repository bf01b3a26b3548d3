//! The thread of one stream: reads it, gives the bytes to the sink, passes them on.
//!
//! Reading never blocks and waiting is a poll, so that two things are noticed at once: the word to stop, and the reader
//! of our output going away, which must close the command's stream as early as it would be closed without us. Passing
//! on does block, as the command would. A stream that is left before its end is read once more, for what was written
//! before the moment of leaving.
//!
//! A command that prints many single lines pays for each with the wake-up of its reader, which takes longer than the
//! write. So while small reads follow one another quickly, each is followed by a pause in which more can gather. Who has
//! something from another stream meanwhile first reads what has gathered, so that the order of the streams stays.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
    thread,
};

use logboom_record::{Stream, Time};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fs::{FileType, fstat},
    io::{Errno, read, write},
    pipe::fcntl_getpipe_size,
    termios::isatty,
};

use super::{OutputSink, Passed, rhythm::Rhythm};
use crate::pty::Modes;

/// How much one read takes at most.
const READ_BYTES_MAX: usize = 256 << 10;

/// How much is still read when a stream is left: a full pipe and one read more, so that its end is seen if it is there.
const LAST_BYTES_MAX: usize = (1 << 20) + READ_BYTES_MAX;

/// What a terminal holds that nobody has read: 64 KiB on their way, of which a read gives 4 KiB.
const TERMINAL_BYTES: usize = (64 << 10) + (4 << 10);

/// An event that stays raised once it is.
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(super) fn ring(&self) {
        // It can only fail when the bell has been rung 2^64 times and is therefore raised.
        let _ = write(&self.0, &1u64.to_ne_bytes());
    }

    /// Lowers the event again.
    pub(super) fn silence(&self) {
        // It fails only when the bell was not rung.
        let _ = read(&self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the watching thread says to the relays.
pub(super) struct Control {
    stop: Bell,
    stopping: AtomicBool,
    mid_line: AtomicBool,
    // One for each stream, held while the sink is used: a sink that makes one stream wait must not stop the other.
    abandoned: [Mutex<bool>; Stream::ALL.len()],
}

impl Control {
    pub(super) fn new() -> io::Result<Control> {
        let (stopping, mid_line) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Control { stop: Bell::new()?, stopping, mid_line, abandoned: Default::default() })
    }

    /// Tells the relays to read what is there and end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.ring();
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether what was passed on to a terminal last did not end a line.
    pub(super) fn is_mid_line(&self) -> bool {
        self.mid_line.load(Ordering::Relaxed)
    }

    /// Takes the sink away from a relay that does not end because it waits for a reader.
    pub(super) fn abandon(&self, stream: Stream) {
        *self.abandoned(stream) = true;
    }

    fn abandoned(&self, stream: Stream) -> MutexGuard<'_, bool> {
        self.abandoned[stream as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` with the sink unless it was taken away.
    fn unless_abandoned(&self, stream: Stream, work: impl FnOnce()) {
        let abandoned = self.abandoned(stream);
        if !*abandoned {
            work();
        }
    }
}

/// Where a stream goes besides the sink.
pub(super) struct Target {
    pub(super) fd: BorrowedFd<'static>,
    /// Whether the command's stream is to be closed when nobody reads this any more.
    pub(super) close_with_reader: bool,
}

/// How a stream was left.
pub(super) struct Ended {
    pub(super) stream: Stream,
    pub(super) cut: bool,
    pub(super) passed: Passed,
}

/// One stream on its way.
pub(super) struct Relay {
    stream: Stream,
    source: Arc<OwnedFd>,
    target: Option<Target>,
    watch_target: bool,
    /// How long small reads wait for company.
    pause: Timespec,
    shared: Shared,
    hands: Arc<Hands>,
    others: Vec<Other>,
}

/// What it takes to read a stream once and to pass it on: for its own thread, and for those of other streams that help it.
struct Hands {
    reading: Mutex<Reading>,
    passing: Mutex<Passing>,
}

/// Held for a read and until the sink has what was read: its order is the order of the stream.
struct Reading {
    stream: Stream,
    /// `None` once the stream is left: the command is to see that it is closed.
    source: Option<Arc<OwnedFd>>,
    rhythm: Rhythm,
    /// What it holds that nobody has read, at most; of a pipe one read takes all.
    held_max: usize,
    /// The stream's own thread will pass on before it sleeps for long.
    is_awake: bool,
    /// Another thread has read since the stream's own did.
    was_helped: bool,
    /// What is to be passed on.
    unpassed: Vec<u8>,
    shared: Shared,
}

/// Held while bytes are passed on, which may take for ever.
struct Passing {
    target: Option<BorrowedFd<'static>>,
    to_terminal: bool,
    passed: Passed,
    bytes: Vec<u8>,
    control: Arc<Control>,
}

/// Another stream of the command.
struct Other {
    hands: Arc<Hands>,
    /// Both are passed on to the same place, or to none: who waits for its reader waits for our own.
    same_place: bool,
    /// It is helped only where it is the busier one: what is read first is what was printed first, most probably.
    if_quick: bool,
}

/// What the relays of a command have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) control: Arc<Control>,
    pub(super) modes: Arc<Modes>,
    pub(super) sink: Arc<dyn OutputSink>,
}

/// Says that a relay has ended, whichever way it did.
struct Farewell {
    sender: Option<SyncSender<Ended>>,
    bell: Arc<Bell>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.sender = None;
        self.bell.ring();
    }
}

impl Relay {
    /// The relays of a command's streams, each with its source and target.
    pub(super) fn all(streams: Vec<(Stream, Arc<OwnedFd>, Option<Target>)>, shared: &Shared) -> Vec<Relay> {
        let place = |target: &Option<Target>| fstat(target.as_ref()?.fd).ok().map(|stat| (stat.st_dev, stat.st_ino));
        let places: Vec<_> = streams.iter().map(|(stream, _, target)| (*stream, place(target))).collect();
        let mut relays: Vec<Relay> =
            streams.into_iter().map(|(stream, source, target)| Relay::new(stream, source, target, shared)).collect();
        let hands: Vec<Arc<Hands>> = relays.iter().map(|relay| Arc::clone(&relay.hands)).collect();
        for ((relay, own), at) in relays.iter_mut().zip(&places).zip(0..) {
            let others = hands.iter().zip(&places).enumerate().filter(|(other, _)| *other != at);
            relay.others = others
                .map(|(_, (hands, (stream, place)))| Other {
                    hands: Arc::clone(hands),
                    same_place: *place == own.1,
                    if_quick: *stream != Stream::Stdout,
                })
                .collect();
        }
        relays
    }

    fn new(stream: Stream, source: Arc<OwnedFd>, target: Option<Target>, shared: &Shared) -> Relay {
        let watch_target = target.as_ref().is_some_and(|target| is_pipe(target.fd));
        let pipe_bytes = fcntl_getpipe_size(&source).ok();
        let rhythm = pipe_bytes.map_or_else(Rhythm::of_terminal, Rhythm::of_pipe);
        let pause = rhythm.pause();
        let reading = Reading {
            stream,
            source: Some(Arc::clone(&source)),
            rhythm,
            held_max: if pipe_bytes.is_some() { 1 } else { TERMINAL_BYTES },
            is_awake: true,
            was_helped: false,
            unpassed: Vec::new(),
            shared: shared.clone(),
        };
        let passing = Passing {
            target: target.as_ref().map(|target| target.fd),
            to_terminal: target.as_ref().is_some_and(|target| isatty(target.fd)),
            passed: Passed::All,
            bytes: Vec::new(),
            control: Arc::clone(&shared.control),
        };
        let hands = Arc::new(Hands { reading: Mutex::new(reading), passing: Mutex::new(passing) });
        Relay { stream, source, target, watch_target, pause, shared: shared.clone(), hands, others: Vec::new() }
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Starts the thread; its last word goes to `sender`, then `bell` is rung.
    pub(super) fn start(self, sender: SyncSender<Ended>, bell: Arc<Bell>) -> io::Result<thread::JoinHandle<()>> {
        let farewell = Farewell { sender: Some(sender), bell };
        thread::Builder::new().name(format!("logboom-{}", self.stream.as_str())).spawn(move || {
            let ended = self.run();
            if let Some(sender) = &farewell.sender {
                // There is room for every relay's word; nobody hears it after an abandonment.
                let _ = sender.send(ended);
            }
        })
    }

    fn run(self) -> Ended {
        let cut = self.read_all();
        self.hands.reading().source = None;
        self.shared.modes.update();
        self.shared.control.unless_abandoned(self.stream, || self.shared.sink.end(self.stream));
        let passed = std::mem::replace(&mut self.hands.passing().passed, Passed::All);
        Ended { stream: self.stream, cut, passed }
    }

    /// Reads to the end, or until told to leave; whether it was cut off.
    fn read_all(&self) -> bool {
        let mut buffer = vec![0; READ_BYTES_MAX];
        let mut left = LAST_BYTES_MAX;
        loop {
            let (stopping, closing) = (self.shared.control.stopping(), self.closing());
            let read = self.hands.reading().read(&mut buffer, self.target.is_some());
            self.hands.pass_on();
            match read {
                // A terminal says EIO when its last user is gone and everything has been read.
                Ok(Read { bytes: 0, .. }) | Err(Errno::IO) => return false,
                Ok(Read { bytes, is_quick }) => {
                    left -= if stopping || closing { bytes.min(left) } else { 0 };
                    if is_quick {
                        self.pause();
                    }
                }
                Err(Errno::AGAIN) if stopping || closing => left = 0,
                Err(Errno::AGAIN) => self.rest(&mut buffer),
                Err(Errno::INTR) => {}
                Err(_) => return true,
            }
            if left == 0 {
                return !closing;
            }
        }
    }

    /// Whether the command's stream is to be closed because nobody reads ours.
    fn closing(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.close_with_reader)
            && matches!(self.hands.passing().passed, Passed::Closed)
    }

    /// Lets bytes gather, unless told to stop.
    fn pause(&self) {
        // Interrupted or failed: then it was a short one.
        let _ = poll(&mut [PollFd::new(&self.shared.control.stop, PollFlags::IN)], Some(&self.pause));
    }

    /// Where there is nothing to read: pauses on if others read it, else waits for what comes.
    fn rest(&self, buffer: &mut [u8]) {
        let mut reading = self.hands.reading();
        if std::mem::take(&mut reading.was_helped) {
            drop(reading);
            return self.pause();
        }
        if !reading.unpassed.is_empty() {
            return;
        }
        reading.rhythm.found_nothing();
        reading.is_awake = false;
        drop(reading);
        self.wait();
        self.hands.reading().is_awake = true;
        self.others.iter().for_each(|other| other.help(buffer));
    }

    /// Waits for bytes, for the word to stop, or for our reader to go away.
    fn wait(&self) {
        let mut fds =
            vec![PollFd::new(&*self.source, PollFlags::IN), PollFd::new(&self.shared.control.stop, PollFlags::IN)];
        let watched = self.target.as_ref().filter(|_| self.watch_target);
        if let Some(target) = watched.filter(|_| matches!(self.hands.passing().passed, Passed::All)) {
            // A pipe without readers raises ERR whatever is asked for.
            fds.push(PollFd::from_borrowed_fd(target.fd, PollFlags::empty()));
        }
        // Interrupted or failed: the next read says what there is.
        let _ = poll(&mut fds, None);
        if fds.get(2).is_some_and(|target| target.revents().contains(PollFlags::ERR)) {
            self.hands.passing().passed = Passed::Closed;
        }
    }
}

impl Hands {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn passing(&self) -> MutexGuard<'_, Passing> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(&self) {
        let mut passing = self.passing();
        passing.take(&mut self.reading().unpassed);
        passing.pass_on();
    }
}

impl Other {
    /// Reads what the stream has, which was printed before what its helper has come for; never waits for a reader that is not
    /// the helper's own.
    fn help(&self, buffer: &mut [u8]) {
        let mut passing = match self.hands.passing.try_lock() {
            Ok(passing) => passing,
            Err(_) if self.same_place => self.hands.passing(),
            Err(_) => return, // its own thread is passing on, and has just read
        };
        let mut reading = self.hands.reading();
        let is_passed_on = self.same_place || reading.is_awake;
        if !is_passed_on || (self.if_quick && !reading.rhythm.is_quick()) {
            return;
        }
        let mut left = reading.held_max;
        while left > 0
            && let Ok(Read { bytes: bytes @ 1.., .. }) = reading.read(buffer, passing.target.is_some())
        {
            left = left.saturating_sub(bytes);
            reading.was_helped = true;
        }
        if self.same_place {
            passing.take(&mut reading.unpassed);
            drop(reading);
            passing.pass_on();
        }
    }
}

/// What one read brought.
struct Read {
    bytes: usize,
    /// So many reads were that more should gather before the next.
    is_quick: bool,
}

impl Reading {
    fn read(&mut self, buffer: &mut [u8], is_passed_on: bool) -> Result<Read, Errno> {
        let count = self.source.as_ref().map_or(Err(Errno::AGAIN), |source| read(&**source, &mut *buffer))?;
        let (time, bytes) = (Time::now(), &buffer[..count]);
        if count == 0 {
            return Ok(Read { bytes: 0, is_quick: false });
        }
        // Before the prompt is shown that a change of modes was made for.
        self.shared.modes.update();
        self.shared.control.unless_abandoned(self.stream, || self.shared.sink.push(self.stream, time, bytes));
        if is_passed_on {
            self.unpassed.extend_from_slice(bytes);
        }
        Ok(Read { bytes: count, is_quick: self.rhythm.note(count, time) })
    }
}

impl Passing {
    fn take(&mut self, unpassed: &mut Vec<u8>) {
        self.bytes.clear();
        std::mem::swap(&mut self.bytes, unpassed);
    }

    fn pass_on(&mut self) {
        let (Passed::All, Some(target), false) = (&self.passed, self.target, self.bytes.is_empty()) else { return };
        match write_all(target, &self.bytes) {
            Ok(()) if self.to_terminal => {
                self.control.mid_line.store(self.bytes.last() != Some(&b'\n'), Ordering::Relaxed);
            }
            Ok(()) => {}
            Err(Errno::PIPE) => self.passed = Passed::Closed,
            Err(errno) => self.passed = Passed::Failed(errno.into()),
        }
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// Writes everything, waiting where the other side is slow, even if it was made non-blocking by somebody who shares it.
///
/// # Errors
/// What the system says, [`Errno::PIPE`] where nobody reads; part of the bytes may have been written.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Interrupted or failed: the next write says why.
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_non_blocking_target_gets_every_byte() {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let reader = thread::spawn(move || {
            rustix::fs::fcntl_setfl(&ours, rustix::fs::OFlags::empty()).unwrap();
            let mut all = Vec::new();
            std::fs::File::from(ours).read_to_end(&mut all).unwrap();
            all
        });
        let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        write_all(theirs.as_fd(), &bytes).unwrap();
        drop(theirs);
        assert!(reader.join().unwrap() == bytes);
    }
}

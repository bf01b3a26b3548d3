//! The thread of one stream: reads it, gives the bytes to the sink, passes them on.
//!
//! Reading never blocks and waiting is a poll, so that two things are noticed at once: the word to stop, and the reader
//! of our output going away, which must close the command's stream as early as it would be closed without us. Passing
//! on does block, as the command would. A stream that is left before its end is read once more, for what was written
//! before the moment of leaving.
//!
//! A command that prints many single lines pays for each with the wake-up of its reader, which takes longer than the
//! write. So while small reads follow one another quickly, each is followed by a pause in which more can gather.

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
    termios::isatty,
};

use super::{OutputSink, Passed};
use crate::pty::Modes;

/// How much one read takes at most.
const READ_BYTES_MAX: usize = 256 << 10;

/// How much is still read when a stream is left: a full pipe and one read more, so that its end is seen if it is there.
const LAST_BYTES_MAX: usize = (1 << 20) + READ_BYTES_MAX;

/// How long small reads wait for company.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// From so many bytes on a read is not small: the pipe must not fill up during a pause.
const SMALL_BYTES_MAX: usize = 16 << 10;

/// So many small reads in a row, each at most so long after the one before on average, begin the pauses.
const QUICK_READS: u32 = 16;
const QUICK_AFTER_US: i64 = 500;

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
    passed: Passed,
    watch_target: bool,
    to_terminal: bool,
    rhythm: Rhythm,
    shared: Shared,
}

/// How quickly small reads follow one another.
#[derive(Default)]
struct Rhythm {
    since: Time,
    reads: u32,
    quick: bool,
}

impl Rhythm {
    /// Notes a read; tells whether to pause after it.
    fn note(&mut self, bytes: usize, at: Time) -> bool {
        if bytes >= SMALL_BYTES_MAX {
            *self = Rhythm::default();
        } else if !self.quick {
            self.reads += 1;
            if self.reads >= QUICK_READS {
                let took = at.as_micros() - self.since.as_micros();
                *self = Rhythm { since: at, reads: 0, quick: took <= i64::from(QUICK_READS) * QUICK_AFTER_US };
            }
        }
        self.quick
    }

    /// Notes that nothing gathered.
    fn found_nothing(&mut self) {
        self.quick = false;
    }
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
    pub(super) fn new(stream: Stream, source: Arc<OwnedFd>, target: Option<Target>, shared: Shared) -> Relay {
        let watch_target = target.as_ref().is_some_and(|target| is_pipe(target.fd));
        let to_terminal = target.as_ref().is_some_and(|target| isatty(target.fd));
        Relay {
            stream,
            source,
            target,
            passed: Passed::All,
            watch_target,
            to_terminal,
            rhythm: Rhythm::default(),
            shared,
        }
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

    fn run(mut self) -> Ended {
        let cut = self.read_all();
        self.shared.modes.update();
        self.shared.control.unless_abandoned(self.stream, || self.shared.sink.end(self.stream));
        Ended { stream: self.stream, cut, passed: self.passed }
    }

    /// Reads to the end, or until told to leave; whether it was cut off.
    fn read_all(&mut self) -> bool {
        let mut buffer = vec![0; READ_BYTES_MAX];
        let mut left = LAST_BYTES_MAX;
        loop {
            let (stopping, closing) = (self.shared.control.stopping(), self.closing());
            match read(&*self.source, &mut buffer) {
                // A terminal says EIO when its last user is gone and everything has been read.
                Ok(0) | Err(Errno::IO) => return false,
                Ok(count) => {
                    let time = Time::now();
                    self.take(time, &buffer[..count]);
                    left -= if stopping || closing { count.min(left) } else { 0 };
                    if self.rhythm.note(count, time) {
                        self.pause();
                    }
                }
                Err(Errno::AGAIN) if stopping || closing => left = 0,
                Err(Errno::AGAIN) => {
                    self.rhythm.found_nothing();
                    self.wait();
                }
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
        matches!(self.passed, Passed::Closed) && self.target.as_ref().is_some_and(|target| target.close_with_reader)
    }

    fn take(&mut self, time: Time, bytes: &[u8]) {
        // Before the prompt is shown that a change of modes was made for.
        self.shared.modes.update();
        self.shared.control.unless_abandoned(self.stream, || self.shared.sink.push(self.stream, time, bytes));
        if let (Passed::All, Some(target)) = (&self.passed, &self.target) {
            match write_all(target.fd, bytes) {
                Ok(()) if self.to_terminal => {
                    self.shared.control.mid_line.store(bytes.last() != Some(&b'\n'), Ordering::Relaxed);
                }
                Ok(()) => {}
                Err(Errno::PIPE) => self.passed = Passed::Closed,
                Err(errno) => self.passed = Passed::Failed(errno.into()),
            }
        }
    }

    /// Lets bytes gather, unless told to stop.
    fn pause(&self) {
        // Interrupted or failed: then it was a short one.
        let _ = poll(&mut [PollFd::new(&self.shared.control.stop, PollFlags::IN)], Some(&PAUSE));
    }

    /// Waits for bytes, for the word to stop, or for our reader to go away.
    fn wait(&mut self) {
        let mut fds =
            vec![PollFd::new(&*self.source, PollFlags::IN), PollFd::new(&self.shared.control.stop, PollFlags::IN)];
        let target = self.target.as_ref().filter(|_| self.watch_target && matches!(self.passed, Passed::All));
        if let Some(target) = target {
            // A pipe without readers raises ERR whatever is asked for.
            fds.push(PollFd::from_borrowed_fd(target.fd, PollFlags::empty()));
        }
        // Interrupted or failed: the next read says what there is.
        let _ = poll(&mut fds, None);
        if fds.get(2).is_some_and(|target| target.revents().contains(PollFlags::ERR)) {
            self.passed = Passed::Closed;
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
    fn only_small_reads_in_quick_succession_are_followed_by_pauses() {
        let mut rhythm = Rhythm::default();
        let mut now = 1_000_000;
        let mut read = |rhythm: &mut Rhythm, bytes, after| {
            now += after;
            rhythm.note(bytes, Time::from_micros(now))
        };
        assert!(!(0..100).any(|_| read(&mut rhythm, 100, 1_000)), "one line a millisecond is seen at once");
        assert!((0..100).any(|_| read(&mut rhythm, 100, 20)));
        assert!(read(&mut rhythm, 1_000, 1_000), "what gathered in a pause is followed by another");
        assert!(!read(&mut rhythm, 100_000, 10), "a full pipe is not left alone");
        assert!((0..100).any(|_| read(&mut rhythm, 100, 20)));
        rhythm.found_nothing();
        assert!(!read(&mut rhythm, 100, 10), "the first line after silence is seen at once");
    }

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

//! One thread that reads the logs of all containers as they grow.
//!
//! inotify says in which directory something happened; what happened is told by the files alone. After a round in which
//! there was something to read the thread naps, so that what comes meanwhile is read together: to be woken, and to
//! read a file, cost more than the lines do. A log that had something in several turns running is busy: it is read after each
//! nap, and inotify is not asked for what is written there, which costs the engine, too. Files that have more take
//! turns, some 256 KiB each. A log whose directory cannot be watched is looked at every [`POLL`], and each log every
//! [`SAFETY_POLL`].
//!
//! What was read is handed to a closure, on the thread. While that waits nothing is read: the files keep it.

use std::{
    collections::{HashMap, VecDeque},
    io, mem,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use super::logfile::{Damage, LogError, LogFile, Lost, Outcome, Scratch};
use crate::services::feed::Delivery;

mod watch;

use watch::Watch;

/// How long what comes is left to gather: longer, up to a limit, where the round before had much to read.
const NAP: Duration = Duration::from_millis(2);
const NAP_PER_READ: Duration = Duration::from_micros(40);
const NAP_MAX: Duration = Duration::from_millis(4);
/// So many turns running make a log busy that had something in each, or not busy any more that had nothing.
const TURNS_MIN: u32 = 8;
/// How often a log is looked at that is not watched.
const POLL: Duration = Duration::from_millis(100);
/// How often each log is looked at, whatever inotify says.
const SAFETY_POLL: Duration = Duration::from_secs(1);

/// Which log, in the words of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What there is to say of a log, in the order in which it is in the log.
#[derive(Debug)]
pub enum News<'a> {
    /// Some output. May be taken away in exchange for another, whose room is used again; it may have no pieces.
    Delivery(&'a mut Delivery),
    /// Output may have been lost here.
    Lost(Lost),
    /// Some bytes are no output.
    Damage(Damage),
    /// It cannot be read. It is tried again, but this is not said again before it could be read.
    Failed(LogError),
    /// It was finished, and everything is read. The last that is said of it.
    Drained,
}

/// Reads logs until it is stopped. Dropping it stops it, and waits for what the closure does at that moment.
#[derive(Debug)]
pub struct Tailer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// What was asked for and not heard yet: at most three things for each log of the caller's.
    commands: Mutex<Vec<Command>>,
    wake: OwnedFd,
}

#[derive(Debug)]
enum Command {
    Add(Token, Box<LogFile>),
    Finish(Token),
    Remove(Token),
    Stop,
}

impl Tailer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no more threads or file descriptors.
    pub fn start(news: impl FnMut(Token, News<'_>) + Send + 'static) -> io::Result<Tailer> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { commands: Mutex::default(), wake });
        let tail = Tail::new(Arc::clone(&shared), news);
        let thread = thread::Builder::new().name("logboom-tailer".to_owned()).spawn(move || tail.run())?;
        Ok(Tailer { shared, thread: Some(thread) })
    }

    /// Reads this log, too. A log that has the token already is not read any more.
    pub fn add(&self, token: Token, log: LogFile) {
        self.shared.ask(Command::Add(token, Box::new(log)));
    }

    /// The container has ended: reads its log to the end, then says [`News::Drained`].
    pub fn finish(&self, token: Token) {
        self.shared.ask(Command::Finish(token));
    }

    /// Reads the log no more. What was read already may still be handed out.
    pub fn remove(&self, token: Token) {
        self.shared.ask(Command::Remove(token));
    }

    /// Stops after the read under way; nothing is handed out once this returns.
    pub fn stop(self) {}
}

impl Drop for Tailer {
    fn drop(&mut self) {
        self.shared.ask(Command::Stop);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic); // the closure's own
        }
    }
}

impl Shared {
    fn ask(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        // It fails only if the thread was woken 2^64 - 2 times and has not heard of it.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Command> {
        mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the thread has.
struct Tail<N> {
    shared: Arc<Shared>,
    news: N,
    logs: HashMap<Token, Log>,
    /// Those that may have something to read, each once, in the order of their turns.
    ready: VecDeque<Token>,
    /// Those that are written all the time.
    busy: Vec<Token>,
    busy_since: Instant,
    watch: Watch,
    scratch: Scratch,
    delivery: Delivery,
    polled: Instant,
    polled_all: Instant,
}

struct Log {
    file: LogFile,
    is_ready: bool,
    has_failed: bool,
    is_busy: bool,
    /// Turns running that were not as busy as it is, or not as quiet.
    turns: u32,
}

impl Log {
    fn new(file: LogFile) -> Log {
        Log { file, is_ready: false, has_failed: false, is_busy: false, turns: 0 }
    }

    /// Notes whether a turn had something; tells whether that changes how busy it is.
    fn note_turn(&mut self, had_some: bool) -> bool {
        self.turns = if had_some == self.is_busy { 0 } else { self.turns + 1 };
        let changes = self.turns == TURNS_MIN;
        if changes {
            (self.is_busy, self.turns) = (had_some, 0);
        }
        changes
    }
}

impl<N: FnMut(Token, News<'_>)> Tail<N> {
    fn new(shared: Arc<Shared>, news: N) -> Tail<N> {
        let now = Instant::now();
        Tail {
            shared,
            news,
            logs: HashMap::new(),
            ready: VecDeque::new(),
            busy: Vec::new(),
            busy_since: now,
            watch: Watch::new(),
            scratch: Scratch::default(),
            delivery: Delivery::default(),
            polled: now,
            polled_all: now,
        }
    }

    fn run(mut self) {
        while self.obey() {
            self.hear();
            self.poll_if_due();
            let reads = self.read_round();
            if !self.ready.is_empty() {
                continue;
            }
            if reads > 0 || !self.busy.is_empty() { self.nap(reads) } else { self.wait() }
        }
    }

    /// Does what was asked for. False if that is to stop.
    fn obey(&mut self) -> bool {
        for command in self.shared.take() {
            match command {
                Command::Add(token, file) => self.add(token, *file),
                Command::Finish(token) => {
                    if let Some(log) = self.logs.get_mut(&token) {
                        log.file.finish();
                        self.make_ready(token);
                    }
                }
                Command::Remove(token) => self.forget(token),
                Command::Stop => return false,
            }
        }
        true
    }

    fn add(&mut self, token: Token, file: LogFile) {
        self.forget(token);
        self.watch.add(token, file.path());
        self.logs.insert(token, Log::new(file));
        self.make_ready(token);
    }

    fn forget(&mut self, token: Token) {
        if self.logs.remove(&token).is_some() {
            self.watch.remove(token);
            self.ready.retain(|ready| *ready != token);
            self.busy.retain(|busy| *busy != token);
        }
    }

    fn make_ready(&mut self, token: Token) {
        if let Some(log) = self.logs.get_mut(&token)
            && !mem::replace(&mut log.is_ready, true)
        {
            self.ready.push_back(token);
        }
    }

    /// Makes those ready of which inotify has something to tell.
    fn hear(&mut self) {
        let mut watch = mem::take(&mut self.watch);
        let heard_all = watch.hear(|token| self.make_ready(token));
        self.watch = watch;
        if !heard_all {
            self.make_all_ready();
        }
    }

    fn make_all_ready(&mut self) {
        let all: Vec<_> = self.logs.keys().copied().collect();
        all.into_iter().for_each(|token| self.make_ready(token));
    }

    fn poll_if_due(&mut self) {
        if self.busy_since.elapsed() >= NAP {
            self.busy_since = Instant::now();
            let busy = mem::take(&mut self.busy);
            busy.iter().for_each(|token| self.make_ready(*token));
            self.busy = busy;
        }
        if self.polled_all.elapsed() >= SAFETY_POLL {
            self.polled_all = Instant::now();
            self.make_all_ready();
        }
        if self.watch.has_unwatched() && self.polled.elapsed() >= POLL {
            self.polled = Instant::now();
            self.watch.retry().into_iter().for_each(|token| self.make_ready(token));
        }
    }

    /// Reads once from each that is ready. Tells how many had something.
    fn read_round(&mut self) -> u32 {
        let mut reads = 0;
        for _turn in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else { break };
            let Some(log) = self.logs.get_mut(&token) else { continue };
            log.is_ready = false;
            let outcome = log.file.read(&mut self.scratch, &mut self.delivery);
            let had_some = !matches!(outcome, Ok(Outcome::Nothing) | Err(_));
            reads += u32::from(had_some);
            if log.note_turn(had_some) {
                self.change_pace(token, had_some);
            }
            self.tell(token, outcome);
        }
        reads
    }

    /// A log is busy from now on, or is not any more.
    fn change_pace(&mut self, token: Token, is_busy: bool) {
        self.watch.listen_to_writes(token, !is_busy);
        if is_busy {
            self.busy.push(token);
        } else {
            self.busy.retain(|busy| *busy != token);
            self.make_ready(token); // for what was written before inotify was asked
        }
    }

    /// Says what a read brought, and makes the log ready again if there is more to come.
    fn tell(&mut self, token: Token, outcome: Result<Outcome, LogError>) {
        let Some(log) = self.logs.get_mut(&token) else { return };
        let had_failed = mem::replace(&mut log.has_failed, outcome.is_err());
        let more = match outcome {
            Ok(Outcome::Nothing) => log.file.is_finishing(), // its files are being renamed
            Ok(Outcome::Read { more }) => {
                (self.news)(token, News::Delivery(&mut self.delivery));
                more || log.file.is_finishing()
            }
            Ok(Outcome::Lost(lost)) => {
                (self.news)(token, News::Lost(lost));
                true
            }
            Ok(Outcome::Damage(damage)) => {
                (self.news)(token, News::Damage(damage));
                true
            }
            Ok(Outcome::Drained) => {
                self.forget(token);
                (self.news)(token, News::Drained);
                false
            }
            Err(error) => {
                if !had_failed {
                    (self.news)(token, News::Failed(error));
                }
                false
            }
        };
        if more {
            self.make_ready(token);
        }
    }

    /// Lets lines gather. Only what is asked for ends it.
    fn nap(&self, reads: u32) {
        let time = NAP.saturating_add(NAP_PER_READ.saturating_mul(reads)).min(NAP_MAX);
        self.sleep(&mut [PollFd::new(&self.shared.wake, PollFlags::IN)], time);
    }

    /// Waits until there may be something to read.
    fn wait(&self) {
        let poll_in = if self.watch.has_unwatched() { POLL.saturating_sub(self.polled.elapsed()) } else { SAFETY_POLL };
        let time = poll_in.min(SAFETY_POLL.saturating_sub(self.polled_all.elapsed()));
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        fds.extend(self.watch.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        self.sleep(&mut fds, time);
    }

    /// Sleeps until one of these has something. The first is what wakes us.
    fn sleep(&self, fds: &mut [PollFd<'_>], time: Duration) {
        let limit = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
        match poll(fds, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => thread::sleep(NAP), // no memory: the files are looked at all the same
        }
        if fds[0].revents().contains(PollFlags::IN) {
            let _ = rustix::io::read(self.shared.wake.as_fd(), &mut [0; 8]); // only so that it is quiet again
        }
    }
}

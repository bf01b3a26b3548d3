//! Watches over a command that runs: its end, its descendants, its streams, the signals, the time.
//!
//! One loop on the calling thread; it sleeps in poll until a signal arrives (a child's end is one), a stream ends, or the
//! next deadline comes. The command is over when it has ended itself, its streams have, and, after a time-out, its
//! descendants as well. Each of these has a bound, except for what the user made unbounded and a slow reader of our
//! output, who may take as long as without us.

use std::{
    collections::HashSet,
    io,
    os::fd::AsFd,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use logboom_record::{Stream, Time};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, wait},
};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};

use super::{
    CommandError, CutWhy, Drain, Finished, Group, OutputSink, Passed, Received, Spec, Status, Survivor, Tty,
    descendants::{self, Process},
    failed,
    input::Input,
    relay::{Bell, Control, Ended, Relay, Shared},
    signals::{Arrived, Signals},
    spawn::{InStep, Running},
};
use crate::pty::{self, RawMode};

/// How often terminals are looked at: a command in a process group of its own gets the SIGWINCH instead of us, and
/// nothing tells of a change of modes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the command must have been stopped for us to stop as well; its last words are passed on meanwhile.
const STOP_AFTER: Duration = Duration::from_millis(20);
/// How often descendants are killed until none is left.
const KILL_EVERY: Duration = Duration::from_millis(10);
/// When killing is given up: the rest is stuck in the kernel.
const KILL_FOR: Duration = Duration::from_secs(5);
/// How long a stuck reader of our output is waited for once a signal has told us to end.
const STALL_AFTER_SIGNAL: Duration = Duration::from_secs(1);
const SIGNALS_MAX: usize = 64;

/// How far the time limit has got.
#[derive(Clone, Copy)]
enum Limit {
    None,
    Running { until: Instant },
    Terminating { until: Instant },
    Killing { until: Instant },
    Enforced,
}

/// A command and everything that is known about it so far.
pub(super) struct Watch<'a> {
    spec: &'a Spec,
    pid: Pid,
    started_at: Time,
    sink: Arc<dyn OutputSink>,
    signals: Signals,
    told: Option<i32>,
    strangers: HashSet<i32>,
    raw: RawMode,
    input: Option<Input>,
    in_step: InStep,
    control: Arc<Control>,
    bell: Arc<Bell>,
    relays: Vec<(Stream, JoinHandle<()>)>,
    words: Receiver<Ended>,
    open: Vec<Stream>,
    limit: Limit,
    exit: Option<(Status, Time, Instant)>,
    /// What came when the command was dead and that not yet known.
    too_late: Vec<Arrived>,
    childless: bool,
    stopped: Option<Instant>,
    give_up: Option<Instant>,
    cut_why: CutWhy,
    finished: Parts,
}

/// The parts of [`Finished`] that grow.
#[derive(Default)]
struct Parts {
    timed_out: Option<Time>,
    survivors: Vec<Survivor>,
    cut: Vec<(Stream, CutWhy)>,
    signals: Vec<Received>,
    passed: Vec<(Stream, Passed)>,
}

/// What the caller set up before the command ran.
pub(super) struct Surroundings {
    pub(super) signals: Signals,
    /// One that came before.
    pub(super) told: Option<i32>,
    pub(super) strangers: HashSet<i32>,
    pub(super) raw: RawMode,
    pub(super) sink: Arc<dyn OutputSink>,
}

impl<'a> Watch<'a> {
    /// Starts the threads of the command's streams; if that fails the command is killed.
    pub(super) fn new(spec: &'a Spec, running: Running, around: Surroundings) -> Result<Watch<'a>, CommandError> {
        let pid = running.pid;
        Watch::start(spec, running, around).map_err(|error| {
            // It can only be gone already.
            let _ = kill_process(pid, Signal::KILL);
            failed("start the threads that read the command's output")(error)
        })
    }

    fn start(spec: &'a Spec, running: Running, around: Surroundings) -> io::Result<Watch<'a>> {
        let Surroundings { signals, told, strangers, raw, sink } = around;
        let (control, bell) = (Arc::new(Control::new()?), Arc::new(Bell::new()?));
        let (sender, words) = sync_channel(running.sources.len());
        let open = running.sources.iter().map(|source| source.stream).collect();
        let full = running.sources.first().filter(|_| spec.tty == Tty::Full);
        let input = full.map(|source| Input::start(Arc::clone(&source.fd))).transpose()?;
        let modes = Arc::clone(&running.in_step.modes);
        let shared = Shared { control: Arc::clone(&control), modes, sink: Arc::clone(&sink) };
        let sources = running.sources.into_iter().map(|source| (source.stream, source.fd, source.target));
        let mut relays = Vec::new();
        for relay in Relay::all(sources.collect(), &shared) {
            relays.push((relay.stream(), relay.start(sender.clone(), Arc::clone(&bell))?));
        }
        let limit =
            spec.time_limit.map_or(Limit::None, |limit| Limit::Running { until: running.started + limit.after });
        Ok(Watch {
            spec,
            pid: running.pid,
            started_at: running.started_at,
            sink,
            signals,
            told,
            strangers,
            raw,
            input,
            in_step: running.in_step,
            control,
            bell,
            relays,
            words,
            open,
            limit,
            exit: None,
            too_late: Vec::new(),
            childless: false,
            stopped: None,
            give_up: None,
            cut_why: CutWhy::DrainOver,
            finished: Parts::default(),
        })
    }

    /// Watches until the command is over.
    pub(super) fn until_over(mut self) -> Finished {
        if let Some(number) = self.told.take() {
            self.hear(Arrived { number, ours_alone: true });
        }
        loop {
            self.reap();
            self.collect();
            self.enforce();
            if self.is_over() {
                return self.finish();
            }
            self.sleep();
            self.bell.silence();
            for signal in self.signals.take() {
                self.hear(signal);
            }
        }
    }

    /// Takes the ends and stops of our children, adopted ones included.
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) if pid == self.pid => {
                    if let Some(code) = status.exit_status() {
                        self.exited(Status::Exited(code));
                    } else if let Some(signal) = status.terminating_signal() {
                        self.exited(Status::Signaled(signal));
                    } else if status.stopping_signal().is_some_and(mirrored) {
                        self.stopped = Some(Instant::now());
                    }
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return self.childless = false,
                Err(_) => return self.without_children(),
            }
        }
    }

    fn exited(&mut self, status: Status) {
        // What ended the command may have reached us with it; what comes from now on had no part in that.
        let arrived = std::mem::take(&mut self.too_late).into_iter().chain(self.signals.take());
        self.exit = Some((status, Time::now(), Instant::now()));
        for signal in arrived.filter(|signal| signal.is_for_the_command()) {
            self.note(signal.number, false);
            if signal.ours_alone && !self.open.is_empty() && status != Status::Signaled(signal.number) {
                self.hear_while_draining(signal.number);
            }
        }
        self.stopped = None;
        self.in_step.modes.update();
    }

    fn without_children(&mut self) {
        self.childless = true;
        if self.exit.is_none() {
            // Somebody else in this process has waited for it, against the rules; how it ended is not known.
            self.exited(Status::Exited(125));
        }
    }

    /// Takes the last words of the relays.
    fn collect(&mut self) {
        loop {
            match self.words.try_recv() {
                Ok(ended) => {
                    self.open.retain(|stream| *stream != ended.stream);
                    if ended.cut {
                        self.finished.cut.push((ended.stream, self.cut_why));
                    }
                    self.finished.passed.push((ended.stream, ended.passed));
                }
                Err(TryRecvError::Empty) => break,
                // A relay that panicked; joining it below raises the panic again.
                Err(TryRecvError::Disconnected) => return self.open.clear(),
            }
        }
        if self.open.is_empty() {
            // The terminal is closed with the last of its users.
            self.input = None;
        }
    }

    /// Does what is due now.
    fn enforce(&mut self) {
        let now = Instant::now();
        self.enforce_limit(now);
        if self.stopped.is_some_and(|since| now >= since + STOP_AFTER) {
            self.stop_like_the_command();
        }
        if self.drain_until().is_some_and(|until| now >= until) && !self.control.stopping() {
            self.control.stop();
        }
        self.in_step.modes.update();
        self.update_sizes();
    }

    fn enforce_limit(&mut self, now: Instant) {
        match self.limit {
            Limit::Running { until } if now >= until => {
                self.finished.timed_out = Some(Time::now());
                descendants::terminate(&self.strangers);
                let grace = self.spec.time_limit.map_or(Duration::ZERO, |limit| limit.grace);
                self.limit = Limit::Terminating { until: now + grace };
            }
            Limit::Terminating { .. } if self.none_left() => self.enforced(Vec::new(), now),
            Limit::Terminating { until } if now >= until => {
                self.limit = Limit::Killing { until: now + KILL_FOR };
                self.kill(now, now + KILL_FOR);
            }
            Limit::Killing { .. } if self.none_left() => self.enforced(Vec::new(), now),
            Limit::Killing { until } => self.kill(now, until),
            Limit::None | Limit::Running { .. } | Limit::Terminating { .. } | Limit::Enforced => {}
        }
    }

    fn kill(&mut self, now: Instant, until: Instant) {
        let killed = descendants::kill(&self.strangers);
        if now >= until || killed.sent.is_empty() && !killed.refused.is_empty() {
            self.enforced(killed.refused.into_iter().chain(killed.sent).collect(), now);
        }
    }

    /// Whether no descendant is left. Every chain of them starts with a child of ours.
    fn none_left(&self) -> bool {
        self.childless
            || !self.strangers.is_empty() && self.exit.is_some() && descendants::alive(&self.strangers).is_empty()
    }

    /// Nobody writes any more: what is in the pipes is read, and a stuck reader of ours is not waited for.
    fn enforced(&mut self, survivors: Vec<Survivor>, now: Instant) {
        self.limit = Limit::Enforced;
        self.finished.survivors = survivors;
        self.control.stop();
        if let Drain::For(drain) = self.spec.drain {
            self.give_up = Some(now + drain);
        }
        if self.exit.is_none() {
            // It cannot be ended, and is left behind.
            self.exited(Status::Signaled(Signal::KILL.as_raw()));
        }
    }

    /// When streams are cut that are still open.
    fn drain_until(&self) -> Option<Instant> {
        match (&self.exit, self.spec.drain) {
            (Some((_, _, ended)), Drain::For(drain)) => ended.checked_add(drain),
            _ => None,
        }
    }

    fn is_over(&self) -> bool {
        let given_up = self.give_up.is_some_and(|until| Instant::now() >= until);
        self.exit.is_some() && !self.enforcing() && (self.open.is_empty() || given_up)
    }

    fn enforcing(&self) -> bool {
        matches!(self.limit, Limit::Terminating { .. } | Limit::Killing { .. })
    }

    fn sleep(&self) {
        let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = [
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN),
        ];
        // Interrupted by a signal, which is what it waits for.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn next_deadline(&self) -> Option<Instant> {
        let limit = match self.limit {
            Limit::Running { until } | Limit::Terminating { until } => Some(until),
            Limit::Killing { .. } => Some(Instant::now() + KILL_EVERY),
            Limit::None | Limit::Enforced => None,
        };
        let drain = self.drain_until().filter(|_| !self.control.stopping());
        let stop = self.stopped.map(|since| since + STOP_AFTER);
        let sizes = (!self.in_step.sizes.is_empty()).then(|| Instant::now() + LOOK_EVERY);
        let give_up = self.give_up.filter(|_| !self.enforcing());
        [limit, drain, stop, sizes, give_up].into_iter().flatten().min()
    }

    fn hear(&mut self, signal: Arrived) {
        match signal.number {
            SIGCHLD | SIGWINCH => {}
            SIGCONT => self.go_on(),
            SIGTSTP if self.spec.tty == Tty::Full || self.exit.is_some() => self.suspend(),
            SIGHUP | SIGINT | SIGTERM if self.spec.stop_grace.is_some() => self.stop(signal.number),
            _ if self.exit.is_some() => self.hear_while_draining(signal.number),
            _ => self.forward(signal),
        }
    }

    /// Ends the command and all its descendants, as a time-out does. To be told so again is to make haste.
    fn stop(&mut self, signal: i32) {
        self.note(signal, true);
        let now = Instant::now();
        match (self.limit, self.spec.stop_grace) {
            (Limit::None | Limit::Running { .. }, Some(grace)) => {
                descendants::terminate(&self.strangers);
                self.limit = Limit::Terminating { until: now + grace };
            }
            (Limit::Terminating { .. }, _) => self.limit = Limit::Terminating { until: now },
            _ => {}
        }
    }

    fn forward(&mut self, signal: Arrived) {
        if self.has_state(b'Z') {
            return self.too_late.push(signal); // a dead command takes signals, and does not hear them
        }
        // A command that stopped already was told by the one who stops the whole group.
        let wanted =
            signal.ours_alone && self.spec.group == Group::Ours && !(signal.number == SIGTSTP && self.is_stopped());
        let forwarded = wanted
            && Signal::from_named_raw(signal.number).is_some_and(|number| kill_process(self.pid, number).is_ok());
        self.note(signal.number, forwarded);
    }

    /// The command has ended; without us nothing would be there to be waited for.
    fn hear_while_draining(&mut self, signal: i32) {
        if [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&signal) {
            self.cut_why = CutWhy::Interrupted;
            self.control.stop();
            let give_up = Instant::now() + STALL_AFTER_SIGNAL;
            self.give_up = Some(self.give_up.map_or(give_up, |earlier| earlier.min(give_up)));
        }
    }

    fn note(&mut self, signal: i32, forwarded: bool) {
        if self.finished.signals.len() < SIGNALS_MAX {
            self.finished.signals.push(Received { signal, forwarded, time: Time::now() });
        }
    }

    fn is_stopped(&self) -> bool {
        self.has_state(b'T')
    }

    fn has_state(&self, state: u8) -> bool {
        Process::read(self.pid.as_raw_nonzero().get()).is_some_and(|process| process.state == state)
    }

    /// The shell that started us looks at us, not at the command: it must see a stopped job.
    fn stop_like_the_command(&mut self) {
        self.stopped = None;
        if self.spec.tty != Tty::Full && self.exit.is_none() && self.is_stopped() {
            self.suspend();
        }
    }

    fn suspend(&self) {
        self.in_step.modes.update();
        self.raw.pause();
        // Returns when somebody continues us; sending it to oneself cannot fail.
        let _ = kill_process(getpid(), Signal::STOP);
        self.raw.resume();
    }

    /// Somebody has continued us; a shell does so for the whole group, anybody else may mean the command as well.
    fn go_on(&mut self) {
        self.stopped = None;
        self.raw.resume();
        if self.exit.is_none() && self.is_stopped() {
            // It can only be gone.
            let _ = kill_process(self.pid, Signal::CONT);
        }
    }

    /// The kernel told the foreground of the real size before the command's terminal had it: it is told once more.
    fn update_sizes(&self) {
        if !self.in_step.sizes.update() || self.spec.tty == Tty::Full {
            return;
        }
        let group = pty::foreground_group().unwrap_or_else(getpgrp).as_raw_nonzero().get();
        for process in descendants::alive(&self.strangers).iter().filter(|process| process.group == group) {
            // One that may not be signalled looks for itself, or does not.
            let _ = process.signal(Signal::WINCH);
        }
    }

    fn finish(mut self) -> Finished {
        for stream in std::mem::take(&mut self.open) {
            self.control.abandon(stream);
            self.finished.cut.push((stream, CutWhy::Stalled));
            self.relays.retain(|(of, _)| *of != stream);
            self.sink.end(stream);
        }
        for (_, relay) in self.relays {
            if let Err(panic) = relay.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let (status, ended_at, _) = self.exit.unwrap_or((Status::Exited(125), Time::now(), Instant::now()));
        let Parts { timed_out, survivors, mut cut, signals, mut passed } = self.finished;
        cut.sort_by_key(|(stream, _)| *stream);
        passed.sort_by_key(|(stream, _)| *stream);
        let (started_at, mid_line) = (self.started_at, self.control.is_mid_line());
        Finished { status, started_at, ended_at, timed_out, survivors, cut, signals, passed, mid_line }
    }
}

/// Whether a command stopped by this signal stops us as well: job control did it, or could tell the user.
fn mirrored(signal: i32) -> bool {
    signal != Signal::STOP.as_raw() || pty::foreground_group() == Some(getpgrp())
}

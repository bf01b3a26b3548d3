//! The signals that reach us while the command runs.
//!
//! Handlers and not a blocked mask, since the command inherits the mask but not handlers: it starts with the mask that we
//! were started with, and signals that were ignored then (nohup, a shell's background job) are left alone and stay
//! ignored. What a terminal sends reaches the whole group and therefore the command; the kernel's `si_code` tells it from
//! what a process sent to us alone.
//! One thing cannot be known: a process that signals the whole group looks like one that signals us.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use rustix::process::{getpid, getsid};
use signal_hook::{
    consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH},
    iterator::{backend::SignalDelivery, exfiltrator::raw::WithRawSiginfo},
};

use super::Tty;

const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP];

/// One signal that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) number: i32,
    /// Whether the command did not get it itself.
    pub(super) ours_alone: bool,
}

impl Arrived {
    /// Whether it says something to the command, and not to its parent alone.
    pub(super) fn is_for_the_command(self) -> bool {
        PASSED_ON.contains(&self.number)
    }
}

/// Collects signals from now until it is dropped; afterwards they are ignored.
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, WithRawSiginfo>,
    tty: Tty,
}

impl Signals {
    pub(super) fn watch(tty: Tty) -> io::Result<Signals> {
        let ignored = ignored_signals()?;
        let watched = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let watched = watched.chain([SIGCHLD, SIGCONT, SIGWINCH]);
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, WithRawSiginfo, watched)?;
        Ok(Signals { delivery, tty })
    }

    /// What has arrived since the last call.
    pub(super) fn take(&mut self) -> Vec<Arrived> {
        let tty = self.tty;
        self.delivery
            .pending()
            .map(|info| Arrived {
                number: info.si_signo,
                ours_alone: tty == Tty::Full || info.si_code <= 0 || hangup_of_our_session(info.si_signo),
            })
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// A terminal that is gone tells the leader of its session alone.
fn hangup_of_our_session(signal: i32) -> bool {
    signal == SIGHUP && getsid(None).is_ok_and(|leader| leader == getpid())
}

/// Whether whoever started us has us ignore a signal, as nohup does. Where nobody can tell, it is not.
pub fn is_ignored(signal: i32) -> bool {
    ignored_signals().is_ok_and(|bits| bits & (1 << (signal - 1)) != 0)
}

/// The signals that this process ignores, as bits from 0 for signal 1.
fn ignored_signals() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status has no SigIgn"))
}

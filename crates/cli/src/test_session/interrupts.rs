//! Whether somebody wants it to end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use logboom_capture::command::is_ignored;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag::register_usize,
};

/// The signal that asked for the end, from [`Interrupts::watch`] on. The process no longer dies of it.
#[derive(Clone, Debug)]
pub struct Interrupts(Arc<AtomicUsize>);

impl Interrupts {
    /// Takes SIGHUP, SIGINT, SIGQUIT and SIGTERM from now on, but for those that whoever started us has us ignore.
    pub fn watch() -> io::Result<Interrupts> {
        let came = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)) {
            register_usize(signal, Arc::clone(&came), signal.unsigned_abs() as usize)?;
        }
        Ok(Interrupts(came))
    }

    /// Where the signal stands, for a command that is to hear it.
    pub fn told(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// The last one that came.
    pub fn signal(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }
}

//! Whether the process is a fork of another: the threads that write are not in it, and locks may be held for ever.
//!
//! To ask the system for the process id costs more than a log call may. The C library calls back in the child of a fork
//! instead, which only adds to a counter. That callback can be installed through C alone, hence the unsafe code.
#![allow(unsafe_code)]

use std::sync::{
    Once,
    atomic::{AtomicU64, Ordering},
};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// How many forks lie between the first call and now, in this line of processes.
#[inline]
pub fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Begins to count.
pub fn watch() {
    static WATCHED: Once = Once::new();
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    WATCHED.call_once(|| {
        // SAFETY: the function stays for as long as the program, and does nothing but an atomic addition, which is
        // allowed in the child of a program with threads. Without memory for it a fork is not noticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

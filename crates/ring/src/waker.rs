//! How the writer sleeps, and how those who log wake it without paying for it while it is awake.
//!
//! The writer says that it sleeps and then looks once more whether there is something to do; who logs publishes and then
//! looks whether the writer sleeps. Between the two steps each needs a fence, or both may miss the other. The
//! one of those who log is the writer's too: membarrier(2) makes every other core of the process pass one, so
//! that a log call only keeps the compiler from swapping its two steps. Where the kernel has no membarrier, a log call
//! pays for a fence.
//!
//! membarrier(2) has no safe name, hence the unsafe code.
#![allow(unsafe_code)]

use std::time::Duration;

use super::{
    layout::Apart,
    sync::{Futex, Ordering, compiler_fence, fence},
};

const AWAKE: u32 = 0;
/// Until something is published.
const SLEEPING: u32 = 1;
/// For a given time, or until somebody has no room.
const NAPPING: u32 = 2;

/// Where the one writer of a collector sleeps. All its rings and the queue share it.
#[derive(Debug)]
pub struct Waker {
    state: Apart<Futex>,
    asymmetric: bool,
}

impl Default for Waker {
    fn default() -> Waker {
        Waker::new()
    }
}

impl Waker {
    /// Of a writer that is awake.
    pub fn new() -> Waker {
        Waker { state: Apart::default(), asymmetric: membarrier::register() }
    }

    /// Wakes the writer if it sleeps. To be called after something was published, in a ring or in the queue.
    #[inline]
    pub fn published(&self) {
        if self.asymmetric {
            compiler_fence(Ordering::SeqCst)
        } else {
            fence(Ordering::SeqCst)
        }
        if self.state.0.0.load(Ordering::Relaxed) == SLEEPING {
            self.wake();
        }
    }

    /// Wakes the writer, also from a nap: there is no room, or somebody waits for a flush.
    #[cold]
    pub fn wake(&self) {
        if self.state.0.0.load(Ordering::Relaxed) != AWAKE && self.state.0.0.swap(AWAKE, Ordering::AcqRel) != AWAKE {
            self.state.0.wake();
        }
    }

    /// For the writer: sleeps for so long while those who log need not wake it. `is_asked` says whether somebody waits for it
    /// already, and is asked after everybody can see that it naps.
    pub fn nap(&self, time: Duration, is_asked: impl FnOnce() -> bool) {
        self.state.0.0.store(NAPPING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !is_asked() {
            self.state.0.wait(NAPPING, Some(time));
        }
        self.state.0.0.store(AWAKE, Ordering::Relaxed);
    }

    /// For the writer: sleeps until something is published, [`Waker::wake`] is called or the time is over. `has_work` says
    /// whether there is something to do already; it is asked after everybody can see that the writer sleeps. May
    /// return early.
    pub fn sleep(&self, at_most: Option<Duration>, has_work: impl FnOnce() -> bool) {
        self.state.0.0.store(SLEEPING, Ordering::Relaxed);
        self.fence_everywhere();
        if !has_work() {
            self.state.0.wait(SLEEPING, at_most);
        }
        self.state.0.0.store(AWAKE, Ordering::Relaxed);
    }

    fn fence_everywhere(&self) {
        fence(Ordering::SeqCst);
        if self.asymmetric {
            membarrier::everywhere();
        }
    }
}

#[cfg(all(target_os = "linux", not(all(test, loom))))]
mod membarrier {
    /// Whether the kernel will do it for this process.
    pub fn register() -> bool {
        call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
    }

    /// Every other core that runs this process passes a full fence before this returns.
    pub fn everywhere() {
        // It cannot fail for a process that is registered.
        call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    }

    fn call(command: libc::c_int) -> bool {
        // SAFETY: membarrier(2) takes three numbers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", not(all(test, loom)))))]
mod membarrier {
    pub fn register() -> bool {
        false
    }

    pub fn everywhere() {}
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::super::sync::AtomicU64;
    use super::*;
    use loom::{sync::Arc, thread};

    #[test]
    fn loom_a_sleeping_writer_never_misses_what_is_published() {
        loom::model(|| {
            let shared = Arc::new((Waker::new(), AtomicU64::default()));
            let other = shared.clone();
            let producer = thread::spawn(move || {
                other.1.store(1, Ordering::Release);
                other.0.published();
            });
            while shared.1.load(Ordering::Acquire) == 0 {
                shared.0.sleep(None, || shared.1.load(Ordering::Acquire) != 0);
            }
            producer.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    /// With the machine's fences, that loom cannot try.
    #[test]
    fn a_writer_that_sleeps_whenever_it_can_sees_everything() {
        for asymmetric in [true, false] {
            let waker = Waker { state: Apart::default(), asymmetric: asymmetric && membarrier::register() };
            let shared = Arc::new((waker, AtomicU64::new(0)));
            let other = shared.clone();
            let producer = std::thread::spawn(move || {
                for number in 1..=20_000 {
                    other.1.store(number, Ordering::Release);
                    other.0.published();
                    while other.1.load(Ordering::Acquire) != 0 {
                        std::thread::yield_now();
                    }
                }
            });
            for number in 1..=20_000 {
                while shared.1.load(Ordering::Acquire) != number {
                    shared.0.sleep(None, || shared.1.load(Ordering::Acquire) == number);
                }
                shared.1.store(0, Ordering::Release);
            }
            producer.join().unwrap();
        }
    }
}

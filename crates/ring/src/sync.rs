//! The atomics of the rings, and a futex: the machine's, or loom's, which tries every interleaving.

pub use imp::*;

#[cfg(not(all(test, loom)))]
mod imp {
    pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
    use std::time::Duration;

    use rustix::thread::futex;

    /// A word that threads of this process sleep on.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct Futex(pub AtomicU32);

    impl Futex {
        /// Sleeps while the word is `seen`, until it is woken, at most so long. May return for no reason.
        pub fn wait(&self, seen: u32, at_most: Option<Duration>) {
            let limit = at_most.and_then(|limit| limit.try_into().ok());
            // Woken, timed out, interrupted or no longer `seen`: the caller looks at what it waits for in any case.
            let _ = futex::wait(&self.0, futex::Flags::PRIVATE, seen, limit.as_ref());
        }

        /// Wakes every thread that sleeps on the word.
        pub fn wake(&self) {
            // It fails only for an address that is none.
            let _ = futex::wake(&self.0, futex::Flags::PRIVATE, i32::MAX as u32);
        }
    }
}

#[cfg(all(test, loom))]
mod imp {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    use loom::sync::{Condvar, Mutex};
    use std::time::Duration;

    /// The machine's fence stands for the compiler's: loom has no membarrier.
    pub fn compiler_fence(order: Ordering) {
        fence(order);
    }

    /// A word that threads sleep on. loom has no time: a wait never ends by itself.
    #[derive(Debug, Default)]
    pub struct Futex(pub AtomicU32, Mutex<()>, Condvar);

    impl Futex {
        pub fn wait(&self, seen: u32, _at_most: Option<Duration>) {
            let guard = self.1.lock().unwrap();
            if self.0.load(Ordering::SeqCst) == seen {
                drop(self.2.wait(guard).unwrap());
            }
        }

        pub fn wake(&self) {
            drop(self.1.lock().unwrap());
            self.2.notify_all();
        }
    }
}

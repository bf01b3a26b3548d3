//! The clock around a call: the processor's time stamp counter, since clock_gettime(2) costs as much as the fastest calls.
//!
//! Where the counter does not run evenly (no x86-64, no `constant_tsc` and `nonstop_tsc`) ticks are nanoseconds of `Instant`.
#![allow(unsafe_code)] // the counter is only to be had by intrinsics, which are all unsafe to call

use std::fs;
use std::hint;
use std::time::{Duration, Instant};

const CALIBRATION: Duration = Duration::from_millis(50);
const EMPTY_PAIRS: usize = 20_000;

/// Reads time in ticks, and knows what a tick is.
#[derive(Clone, Copy)]
pub struct Clock {
    origin: Instant,
    counts: bool,
    ticks_per_ns: f64,
    /// What a pair of readings costs, in ticks; to be subtracted from what was measured between them.
    pub overhead: u64,
}

impl Clock {
    /// Takes a few hundredths of a second to find out how long a tick is.
    pub fn calibrated() -> Self {
        let mut clock = Self { origin: Instant::now(), counts: runs_evenly(), ticks_per_ns: 1.0, overhead: 0 };
        let (started, first) = (Instant::now(), clock.before());
        while started.elapsed() < CALIBRATION {
            hint::spin_loop();
        }
        clock.ticks_per_ns = (clock.after() - first) as f64 / started.elapsed().as_nanos() as f64;
        let mut pairs: Vec<u64> = (0..EMPTY_PAIRS).map(|_| clock.empty_pair()).collect();
        pairs.sort_unstable();
        clock.overhead = pairs[EMPTY_PAIRS / 2];
        clock
    }

    /// The time before a call; nothing that stands before it in the program is still under way.
    pub fn before(&self) -> u64 {
        if self.counts { counter::before() } else { self.origin.elapsed().as_nanos() as u64 }
    }

    /// The time after a call; what stands after it has not begun.
    pub fn after(&self) -> u64 {
        if self.counts { counter::after() } else { self.origin.elapsed().as_nanos() as u64 }
    }

    /// Ticks as nanoseconds.
    pub fn ns(&self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks_per_ns
    }

    /// How many ticks there are between events that come so often in a second.
    pub fn ticks_at(&self, per_second: u64) -> u64 {
        (1e9 / per_second as f64 * self.ticks_per_ns) as u64
    }

    fn empty_pair(&self) -> u64 {
        let before = self.before();
        self.after() - before
    }
}

fn runs_evenly() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cfg!(target_arch = "x86_64") && ["constant_tsc", "nonstop_tsc", "rdtscp"].iter().all(|flag| flags.contains(flag))
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};

    pub fn before() -> u64 {
        // SAFETY: every x86-64 processor has both instructions, and they touch no memory.
        unsafe {
            _mm_lfence();
            _rdtsc()
        }
    }

    pub fn after() -> u64 {
        let mut core = 0;
        // SAFETY: `runs_evenly` has seen that there is rdtscp; it writes to `core`, which lives here.
        unsafe {
            let now = __rdtscp(&mut core);
            _mm_lfence();
            now
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub fn before() -> u64 {
        0 // never called: `runs_evenly` is false
    }

    pub fn after() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds() {
        let clock = Clock::calibrated();
        let (started, before) = (Instant::now(), clock.before());
        while started.elapsed() < Duration::from_millis(20) {
            hint::spin_loop();
        }
        let seen = clock.ns(clock.after() - before);
        assert!(seen >= 19e6, "{seen} ns in at least 20 ms");
    }
}

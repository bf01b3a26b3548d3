//! When a call was made, at the cost of a few nanoseconds, and what time of day that was.
//!
//! A log call notes ticks: the processor's time stamp counter where the kernel itself keeps time by it, else
//! CLOCK_MONOTONIC. The writer turns ticks into time by a line through the last point where it compared both, and
//! compares them anew about once a second. The line has a kink at the last ticks that were converted, never a jump, so that later ticks
//! have later times while the system's clock is slewed: an error is made up for by going at most 1 % faster or slower. Where
//! the writer slept since, the new line ends at the new comparison, and what was logged in between lies on it.
//! A step of the system's clock of more than a quarter of a second is followed at once, forward or back: records that are
//! converted after it have the new time, like those of a program that asks the system for every record.
//!
//! The time stamp counter is an instruction that has no safe name, hence the unsafe code.
#![allow(unsafe_code)]

use std::sync::OnceLock;

use logboom_record::Time;
use rustix::time::{ClockId, clock_gettime};

const SECOND_NS: i64 = 1_000_000_000;
/// An error larger than this is a step of the system's clock.
const STEP_NS: i64 = SECOND_NS / 4;
/// A rate is measured over no less than this.
const MEASURE_NS: i64 = SECOND_NS / 2;
/// An error is made up for in this many times itself.
const SLEW: i64 = 100;

/// What ticks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Clock {
    /// Nanoseconds of CLOCK_MONOTONIC.
    Monotonic = 0,
    /// The processor's time stamp counter.
    Tsc = 1,
}

/// Ticks, and the system's time at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Of the collector's clock.
    pub ticks: u64,
    /// Nanoseconds since 1970 UTC.
    pub unix_ns: i64,
}

impl Clock {
    /// The cheapest clock that is the same on all cores of this machine.
    pub fn detect() -> Clock {
        static FOUND: OnceLock<Clock> = OnceLock::new();
        *FOUND.get_or_init(|| if tsc::is_trusted() { Clock::Tsc } else { Clock::Monotonic })
    }

    /// The ticks of now.
    #[inline(always)]
    pub fn ticks(self) -> u64 {
        match self {
            Clock::Tsc => tsc::read(),
            Clock::Monotonic => monotonic_ns() as u64,
        }
    }

    /// The ticks and the system's time of now.
    pub fn read(self) -> Reading {
        self.compare(|| nanoseconds(ClockId::Realtime))
    }

    /// Reads both clocks, several times; the closest counts, for the thread may be stopped between the two.
    fn compare(self, other: impl Fn() -> i64) -> Reading {
        let once = || {
            let before = self.ticks();
            let unix_ns = other();
            let took = self.ticks().saturating_sub(before);
            (took, Reading { ticks: before + took / 2, unix_ns })
        };
        (0..4).map(|_| once()).fold(once(), |best, next| if next.0 < best.0 { next } else { best }).1
    }

    /// Nanoseconds per tick, to begin with: measured over a millisecond, once in a process.
    fn first_rate(self) -> u64 {
        static OF_TSC: OnceLock<u64> = OnceLock::new();
        match self {
            Clock::Monotonic => ONE,
            Clock::Tsc => *OF_TSC.get_or_init(|| {
                let from = self.compare(monotonic_ns);
                while monotonic_ns() - from.unix_ns < SECOND_NS / 1000 {
                    std::hint::spin_loop();
                }
                rate_between(from, self.compare(monotonic_ns)).unwrap_or(ONE)
            }),
        }
    }
}

fn monotonic_ns() -> i64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * SECOND_NS + time.tv_nsec
}

#[cfg(target_arch = "x86_64")]
mod tsc {
    use std::{arch::x86_64::__cpuid, fs};

    #[inline(always)]
    pub fn read() -> u64 {
        // SAFETY: the instruction only reads a counter; Linux leaves it to programs.
        unsafe { std::arch::x86_64::_rdtsc() }
    }

    /// It counts at one rate, and the kernel, which watches whether the cores agree, has not given it up.
    pub fn is_trusted() -> bool {
        let current = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        let by_tsc = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page"];
        is_invariant() && current.is_ok_and(|name| by_tsc.contains(&name.trim()))
    }

    fn is_invariant() -> bool {
        const POWER: u32 = 0x8000_0007;
        __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & (1 << 8) != 0
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod tsc {
    pub fn read() -> u64 {
        0
    }

    pub fn is_trusted() -> bool {
        false
    }
}

/// A rate of one nanosecond per tick. Rates have 32 bits behind the point.
const ONE: u64 = 1 << 32;

/// The rate at which the system's time went between two readings; `None` where it did not go forward.
fn rate_between(from: Reading, to: Reading) -> Option<u64> {
    let ticks = to.ticks.checked_sub(from.ticks).filter(|ticks| *ticks > 0)?;
    let ns = u64::try_from(to.unix_ns - from.unix_ns).ok().filter(|ns| *ns > 0)?;
    u64::try_from((u128::from(ns) << 32) / u128::from(ticks)).ok()
}

fn ns_of(ticks: u64, rate: u64) -> i64 {
    i64::try_from((u128::from(ticks) * u128::from(rate)) >> 32).unwrap_or(i64::MAX)
}

fn ticks_of(ns: i64, rate: u64) -> u64 {
    u64::try_from((u128::from(ns.unsigned_abs()) << 32) / u128::from(rate.max(1))).unwrap_or(u64::MAX)
}

/// What turns ticks into time; see `docs/formats.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    ticks: u64,
    unix_ns: i64,
    turn: u64,
    before: u64,
    until: u64,
    after: u64,
}

impl Line {
    fn straight(through: Reading, rate: u64) -> Line {
        Line { ticks: through.ticks, unix_ns: through.unix_ns, turn: 0, before: rate, until: rate, after: rate }
    }

    fn ns_at(&self, ticks: u64) -> i64 {
        match ticks.checked_sub(self.ticks) {
            None => self.unix_ns.saturating_sub(ns_of(self.ticks - ticks, self.before)),
            Some(since) if since <= self.turn => self.unix_ns.saturating_add(ns_of(since, self.until)),
            Some(since) => {
                let turned = self.unix_ns.saturating_add(ns_of(self.turn, self.until));
                turned.saturating_add(ns_of(since - self.turn, self.after))
            }
        }
    }

    /// The rate just before these ticks.
    fn rate_at(&self, ticks: u64) -> u64 {
        match ticks.checked_sub(self.ticks) {
            None => self.before,
            Some(since) if since <= self.turn => self.until,
            Some(_) => self.after,
        }
    }
}

/// Turns the ticks of a collector's clock into time.
#[derive(Clone, Copy, Debug)]
pub struct ClockAnchor {
    clock: Clock,
    line: Line,
    measured: Reading,
    /// The latest ticks that were turned into time.
    latest: u64,
}

impl ClockAnchor {
    /// Begins at now. The first time in a process this takes a millisecond, in which the rate of the ticks is measured.
    pub fn new(clock: Clock) -> ClockAnchor {
        ClockAnchor::at(clock, clock.read(), clock.first_rate())
    }

    fn at(clock: Clock, now: Reading, rate: u64) -> ClockAnchor {
        ClockAnchor { clock, line: Line::straight(now, rate), measured: now, latest: 0 }
    }

    /// What it turns into time.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The time of these ticks. Between two calls of [`ClockAnchor::refresh`] and over each of them, later ticks have no
    /// earlier time, unless the system's clock was set back by more than a quarter of a second.
    #[inline]
    pub fn time(&mut self, ticks: u64) -> Time {
        self.latest = self.latest.max(ticks);
        Time::from_micros(self.line.ns_at(ticks).div_euclid(1000))
    }

    /// Whether a second has passed since the clocks were compared. To be asked before the ticks of now are turned into time.
    pub fn is_due(&self, ticks: u64) -> bool {
        ticks.saturating_sub(self.measured.ticks) >= ticks_of(SECOND_NS, self.line.after)
    }

    /// Takes the clocks' comparison into account; see the head of this module.
    pub fn refresh(&mut self, now: Reading) {
        let rate = self.measured_rate(now);
        let error = now.unix_ns.saturating_sub(self.line.ns_at(now.ticks));
        let bent = self.bent(now, rate, error);
        self.line = bent.unwrap_or_else(|| Line::straight(now, rate));
        self.measured = now;
    }

    /// The rate since the last comparison, if that is long ago and no step lies between.
    fn measured_rate(&self, now: Reading) -> u64 {
        let old = self.line.after;
        let long = now.unix_ns.saturating_sub(self.measured.unix_ns) >= MEASURE_NS;
        let new = rate_between(self.measured, now).filter(|new| long && new.abs_diff(old) <= old / 100);
        new.unwrap_or(old)
    }

    /// A line that leaves the old one where it was last used and comes to the system's time; `None` at a step.
    fn bent(&self, now: Reading, rate: u64, error: i64) -> Option<Line> {
        let latest = self.latest.clamp(self.line.ticks.min(now.ticks), now.ticks);
        let from = Reading { ticks: latest, unix_ns: self.line.ns_at(latest) };
        let slept_ns = ns_of(now.ticks - from.ticks, rate);
        let bearable = error.saturating_abs().saturating_mul(SLEW);
        let to = match slept_ns >= bearable.max(MEASURE_NS) {
            true => now,
            false if error.saturating_abs() > STEP_NS => return None,
            false => ahead(now, rate, bearable.max(SECOND_NS)),
        };
        let until = rate_between(from, to)?;
        let before = self.line.rate_at(from.ticks);
        Some(Line { ticks: from.ticks, unix_ns: from.unix_ns, turn: to.ticks - from.ticks, before, until, after: rate })
    }

    /// What stands in the control page.
    pub(super) fn to_words(self) -> [u64; 6] {
        let Line { ticks, unix_ns, turn, before, until, after } = self.line;
        [ticks, unix_ns as u64, turn, before, until, after]
    }

    /// From what stands there; any words are a line.
    pub(super) fn from_words(clock: Clock, words: [u64; 6]) -> ClockAnchor {
        let [ticks, unix_ns, turn, before, until, after] = words;
        let line = Line { ticks, unix_ns: unix_ns as i64, turn, before, until, after };
        ClockAnchor { clock, line, measured: Reading { ticks, unix_ns: line.unix_ns }, latest: 0 }
    }
}

/// The reading that is to be expected so many nanoseconds later.
fn ahead(now: Reading, rate: u64, ns: i64) -> Reading {
    Reading { ticks: now.ticks.saturating_add(ticks_of(ns, rate)), unix_ns: now.unix_ns.saturating_add(ns) }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]
mod tests;

//! What logboom promises of its figures.

use logboom_bench::table::{Bound, Table};

use super::{Of, value};
use crate::round::Findings;

const FACADE: &str = "logboom log::info!";
const MACRO: &str = "logboom info!";
const READY: &str = "logboom log_str";

/// A figure of one way to call logboom, and its bound.
pub struct Promised {
    rival: &'static str,
    what: &'static str,
    key: &'static str,
    of: Of,
    unit: &'static str,
    bound: Bound,
}

pub const CALLS: [Promised; 11] = [
    median(FACADE, "p50", "paced.p50_ns", "ns", Bound::AtMost(170.0)),
    median(FACADE, "p99", "paced.p99_ns", "ns", Bound::AtMost(600.0)),
    median(FACADE, "p99.9", "paced.p999_ns", "ns", Bound::AtMost(2_500.0)),
    Promised { of: Of::TimesBase, ..median(FACADE, "p50", "paced.p50_ns", "x base", Bound::AtMost(0.4)) },
    median(MACRO, "p50", "paced.p50_ns", "ns", Bound::AtMost(40.0)),
    median(MACRO, "p99", "paced.p99_ns", "ns", Bound::AtMost(180.0)),
    median(MACRO, "p99.9", "paced.p999_ns", "ns", Bound::AtMost(600.0)),
    median(READY, "p50", "paced.p50_ns", "ns", Bound::AtMost(50.0)),
    median(FACADE, "p50 at 100 calls/s", "slow.call_p50_ns", "ns", Bound::AtMost(5_000.0)),
    median(FACADE, "until the line is in the file, p50", "slow.seen_p50_ms", "ms", Bound::AtMost(10.0)),
    median(FACADE, "until the line is in the file, max", "slow.seen_max_ms", "ms", Bound::AtMost(10.0)),
];

pub const LINES: [Promised; 10] = [
    median(FACADE, "1 thread", "threads1.m_lines_per_s", "M lines/s", Bound::AtLeast(1.7)),
    median(FACADE, "2 threads", "threads2.m_lines_per_s", "M lines/s", Bound::AtLeast(1.7)),
    median(FACADE, "4 threads", "threads4.m_lines_per_s", "M lines/s", Bound::AtLeast(1.7)),
    median(MACRO, "1 thread", "threads1.m_lines_per_s", "M lines/s", Bound::AtLeast(2.5)),
    median(MACRO, "2 threads", "threads2.m_lines_per_s", "M lines/s", Bound::AtLeast(2.5)),
    median(MACRO, "4 threads", "threads4.m_lines_per_s", "M lines/s", Bound::AtLeast(2.5)),
    median(FACADE, "processor time", "threads1.cpu_s_per_m", "CPU-s per M lines", Bound::AtMost(0.33)),
    median(MACRO, "processor time", "threads1.cpu_s_per_m", "CPU-s per M lines", Bound::AtMost(0.26)),
    median(FACADE, "memory more than without, 1 thread", "threads1.growth_mib", "MiB", Bound::AtMost(7.0)),
    median(FACADE, "memory more than without, 4 threads", "threads4.growth_mib", "MiB", Bound::AtMost(10.0)),
];

pub const LOSSES: [Promised; 10] = [
    worst("lost at the end", "end.lost"),
    worst("lost by exit", "exit.lost"),
    worst("lost by panic", "panic.lost"),
    worst("lost by abort", "abort.lost"),
    worst("lost by kill -9", "kill.lost"),
    worst("lost when paced", "paced.lost"),
    worst("lost with full buffers, 1 thread", "threads1.lost"),
    worst("lost with full buffers, 2 threads", "threads2.lost"),
    worst("lost with full buffers, 4 threads", "threads4.lost"),
    Promised { unit: "wake-ups/s", ..worst("idle", "idle.wakeups_per_s") },
];

const fn median(
    rival: &'static str,
    what: &'static str,
    key: &'static str,
    unit: &'static str,
    bound: Bound,
) -> Promised {
    Promised { rival, what, key, of: Of::Median, unit, bound }
}

const fn worst(what: &'static str, key: &'static str) -> Promised {
    Promised { of: Of::Worst, ..median(FACADE, what, key, "lines", Bound::AtMost(0.0)) }
}

impl Promised {
    /// Holds the figure against its bound, if there is one.
    pub fn keep_in(&self, table: &mut Table, findings: &Findings) {
        if let Some(figure) = value(findings, self.rival, self.key, self.of) {
            table.promise(&format!("{}: {}", self.rival, self.what), figure, self.unit, self.bound);
        }
    }
}

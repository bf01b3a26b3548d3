//! The clock of a collector: cheap to read where a call is made, turned into a time where it is written.

use std::time::SystemTime;

use logboom_record::Time;

/// The ticks of now: nanoseconds since 1970 UTC.
pub fn ticks() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The time that these ticks are.
pub fn time(ticks: u64) -> Time {
    Time::from_micros(i64::try_from(ticks / 1_000).unwrap_or(i64::MAX))
}

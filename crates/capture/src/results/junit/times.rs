//! When tests were over, as far as their file tells.
//!
//! Many tools write times without a zone: Gradle, bats and jest-junit in UTC, googletest, ctest, behave, Robot Framework and older pytests as
//! the clock on the wall shows them. Which it is, the run tells: what began in it is not from hours before or after.

use jiff::{civil::DateTime, tz::TimeZone};
use logboom_record::Time;

/// Tools that write whole seconds tell of a beginning that is so much earlier, and clocks of file systems lag.
const COARSE_US: i64 = 1_000_000;

/// When the tests of a file may have ended.
#[derive(Clone, Debug)]
pub struct Times {
    /// Not before: their run began then.
    pub started_at: Time,
    /// Not after: their run ended then.
    pub ended_at: Time,
    /// When the file was written, for those of which it tells no time within these two.
    pub written_at: Time,
    /// Where the clock on the wall hangs.
    pub zone: TimeZone,
}

impl Times {
    /// The beginning that is meant, if it lies within the run. In a run of many hours UTC and the local time may both do: tools write their
    /// file soon, so what is closer before that.
    pub(super) fn beginning(&self, text: &str) -> Option<Time> {
        let order = |time: &Time| {
            let before_us = self.written_at.as_micros().saturating_sub(time.as_micros());
            (before_us < -COARSE_US, before_us.unsigned_abs())
        };
        self.readings(text).into_iter().flatten().filter(|time| self.is_within(*time)).min_by_key(order)
    }

    /// What the text may mean. When clocks are set back an hour is there twice.
    fn readings(&self, text: &str) -> [Option<Time>; 3] {
        if let Ok(time) = text.parse() {
            return [Some(time), None, None];
        }
        let Ok(civil) = text.parse::<DateTime>() else { return [None; 3] };
        let local = self.zone.to_ambiguous_timestamp(civil);
        let all = [TimeZone::UTC.to_timestamp(civil), local.earlier(), local.later()];
        all.map(|one| one.ok().map(|stamp| Time::from_micros(stamp.as_microsecond())))
    }

    fn is_within(&self, time: Time) -> bool {
        time.as_micros() >= self.started_at.as_micros().saturating_sub(COARSE_US) && time <= self.ended_at
    }

    /// The end of a test that the file puts there, if it may be; else that of its file.
    pub(super) fn ending(&self, told: Option<Time>) -> Time {
        let time = told.filter(|time| self.is_within(*time)).unwrap_or(self.written_at);
        time.clamp(self.started_at, self.ended_at.max(self.started_at))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The beginning that this text means in a run of one file, in this zone.
    fn beginning(text: &str, zone: &str, (started, ended, written): (&str, &str, &str)) -> Option<String> {
        let time = |text: &str| text.parse().unwrap();
        let zone = TimeZone::posix(zone).unwrap();
        let times = Times { started_at: time(started), ended_at: time(ended), written_at: time(written), zone };
        times.beginning(text).map(|time| time.to_string())
    }

    const INDIA: &str = "IST-5:30";
    const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
    const SHORT: (&str, &str, &str) = ("2026-11-27T21:58:13.5Z", "2026-11-27T21:58:15Z", "2026-11-27T21:58:14.9Z");

    #[test]
    fn without_a_zone_it_is_utc_or_local_time_as_the_run_tells() {
        let at = |text, zone| beginning(text, zone, SHORT);
        let want = Some("2026-11-27T21:58:14.433000Z".to_owned());
        // googletest 1.12.1 in these two zones; pytest 8 and jest-junit write the others.
        assert_eq!(at("2026-11-28T03:28:14.433", INDIA), want);
        assert_eq!(at("2026-11-27T16:58:14.433", NEW_YORK), want);
        assert_eq!(at("2026-11-27T21:58:14.433", INDIA), want);
        assert_eq!(at("2026-11-27T21:58:14.433", NEW_YORK), want);
        assert_eq!(at("2026-11-28T03:28:14.433+05:30", NEW_YORK), want);
        assert_eq!(at("2026-11-27T21:58:14.433Z", INDIA), want);
    }

    #[test]
    fn whole_seconds_may_lie_just_before_the_run() {
        assert_eq!(beginning("2026-11-27T21:58:13", INDIA, SHORT).unwrap(), "2026-11-27T21:58:13.000000Z");
        assert_eq!(beginning("2026-11-27T21:58:12", INDIA, SHORT), None);
    }

    #[test]
    fn what_lies_outside_of_the_run_is_no_time_of_it() {
        // googletest of a test that is disabled, unittest-xml-reporting of a class that could not be set up, and nobody.
        for text in ["1970-01-01T05:30:00.000", "0001-01-01T00:00:00", "2026-11-27T21:59:00Z", "yesterday", ""] {
            assert_eq!(beginning(text, INDIA, SHORT), None, "{text}");
        }
    }

    #[test]
    fn in_a_run_of_hours_it_is_what_comes_shortly_before_the_file() {
        let long = |written| ("2026-11-27T10:00:00Z", "2026-11-27T22:00:00Z", written);
        let at = |text, zone, written| beginning(text, zone, long(written)).unwrap();
        assert_eq!(at("2026-11-27T16:30:00", INDIA, "2026-11-27T11:00:01Z"), "2026-11-27T11:00:00.000000Z");
        assert_eq!(at("2026-11-27T16:30:00", INDIA, "2026-11-27T16:30:01Z"), "2026-11-27T16:30:00.000000Z");
        assert_eq!(at("2026-11-27T11:00:00", NEW_YORK, "2026-11-27T16:00:01Z"), "2026-11-27T16:00:00.000000Z");
        assert_eq!(at("2026-11-27T11:00:00", NEW_YORK, "2026-11-27T11:00:01Z"), "2026-11-27T11:00:00.000000Z");
    }

    #[test]
    fn the_hour_that_is_there_twice_is_the_one_of_the_run() {
        let at = |started, ended| beginning("2026-11-01T01:30:00", NEW_YORK, (started, ended, ended)).unwrap();
        assert_eq!(at("2026-11-01T05:29:00Z", "2026-11-01T05:31:00Z"), "2026-11-01T05:30:00.000000Z");
        assert_eq!(at("2026-11-01T06:29:00Z", "2026-11-01T06:31:00Z"), "2026-11-01T06:30:00.000000Z");
    }
}

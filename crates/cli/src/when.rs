//! Moments as people type them: `--since 2h`, `--until 2026-01-02`.
//!
//! A moment without a zone is UTC, as everything logboom prints. The clock comes in as an argument ([`When::at`]), so that
//! `10m` can be tested. No calendar words ("yesterday", "last week"): they mean different things to different people.

use std::{str::FromStr, time::Duration};

use jiff::{civil, tz::TimeZone};
use logboom_files::units;
use logboom_record::Time;

/// Why a text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 2026-01-02T03:04:05Z, 2026-01-02, \"2026-01-02 03:04\" (UTC), or how long ago: 10m, 1h30m, \"2d ago\"")]
pub struct WhenError;

/// A moment on the command line: fixed, or so long before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This moment.
    At(Time),
    /// So long before the command was started.
    Ago(Duration),
}

impl When {
    /// The moment, seen from `now`.
    pub fn at(self, now: Time) -> Time {
        match self {
            When::At(time) => time,
            When::Ago(span) => {
                let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
                Time::from_micros(now.as_micros().saturating_sub(micros))
            }
        }
    }
}

impl FromStr for When {
    type Err = WhenError;
    fn from_str(text: &str) -> Result<When, WhenError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("now") {
            return Ok(When::Ago(Duration::ZERO));
        }
        if let Ok(span) = units::parse_duration(text.strip_suffix("ago").unwrap_or(text)) {
            return Ok(When::Ago(span));
        }
        text.parse().ok().or_else(|| utc(text)).map(When::At).ok_or(WhenError)
    }
}

/// A date, or a date and a time of day, without a zone.
fn utc(text: &str) -> Option<Time> {
    let moment =
        text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(civil::DateTime::from)).ok()?;
    let stamp = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Time::from_micros(stamp.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now: Time = "2026-01-02T03:04:05.5Z".parse().unwrap();
        text.parse::<When>().map(|when| when.at(now).to_string()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn moments_are_read_as_people_type_them() {
        for (text, want) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.25+01:00", "2026-01-02T02:04:05.250000Z"),
            ("2026-01-02", "2026-01-02T00:00:00.000000Z"),
            ("2026-01-02 03:04", "2026-01-02T03:04:00.000000Z"),
            ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000Z"),
            ("10m", "2026-01-02T02:54:05.500000Z"),
            ("2h ago", "2026-01-02T01:04:05.500000Z"),
            ("1h30m", "2026-01-02T01:34:05.500000Z"),
            ("2d ago", "2025-12-31T03:04:05.500000Z"),
            ("500ms", "2026-01-02T03:04:05.000000Z"),
            ("now", "2026-01-02T03:04:05.500000Z"),
        ] {
            assert_eq!(at(text), want, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_would_do() {
        for text in ["", "yesterday", "10", "10x", "m", "-5m", "2026-13-01", "ago", "1h30", "99999999999999999999w"] {
            assert!(at(text).starts_with("use 2026-"), "{text}: {}", at(text));
        }
    }

    #[test]
    fn a_span_longer_than_time_is_its_beginning() {
        assert_eq!(at("99999999w"), "0000-01-01T00:00:00.000000Z");
    }
}

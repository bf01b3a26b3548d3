//! A moment: microseconds since 1970 UTC, written as RFC 3339.
//!
//! Formatting is on the path of every text line, so [`Time::write_rfc3339`] fills a fixed array with plain integer
//! arithmetic; everything rarer (zones, parsing) is jiff's.

use std::{fmt, str::FromStr, time::SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time: {why}")]
pub struct TimeError {
    text: String,
    why: String,
}

/// Microseconds since 1970-01-01T00:00:00 UTC, between the years 0 and 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

const MIN_MICROS: i64 = -62_167_219_200_000_000; // 0000-01-01T00:00:00Z
const MAX_MICROS: i64 = 253_402_207_200_999_999; // 9999-12-30T22:00:00.999999Z, the last that every zone can show

impl Time {
    /// How many bytes [`Time::write_rfc3339`] fills.
    pub const RFC3339_BYTES: usize = 27;

    /// The time of the machine's clock. Pure code takes its time as an argument; this is for the edge.
    pub fn now() -> Time {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(MAX_MICROS)),
            Err(before) => Time::from_micros(-i64::try_from(before.duration().as_micros()).unwrap_or(MAX_MICROS)),
        }
    }

    /// The time so many microseconds after 1970, moved into the years 0 to 9999.
    pub const fn from_micros(micros: i64) -> Time {
        if micros < MIN_MICROS {
            Time(MIN_MICROS)
        } else if micros > MAX_MICROS {
            Time(MAX_MICROS)
        } else {
            Time(micros)
        }
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Writes `2026-01-02T03:04:05.123456Z`.
    pub fn write_rfc3339(self, out: &mut [u8; Time::RFC3339_BYTES]) {
        let (days, micros) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let (year, month, day) = civil_from_days(days);
        let seconds = micros / 1_000_000;
        *out = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut out[0..4], year);
        digits(&mut out[5..7], month);
        digits(&mut out[8..10], day);
        digits(&mut out[11..13], seconds / 3_600);
        digits(&mut out[14..16], seconds / 60 % 60);
        digits(&mut out[17..19], seconds % 60);
        digits(&mut out[20..26], micros % 1_000_000);
    }
}

fn digits(out: &mut [u8], mut number: i64) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970: H. Hinnant, "chrono-compatible low-level date algorithms".
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; Time::RFC3339_BYTES];
        self.write_rfc3339(&mut bytes);
        f.write_str(str::from_utf8(&bytes).unwrap_or_default()) // it is ASCII
    }
}

impl FromStr for Time {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Time, TimeError> {
        match text.parse::<jiff::Timestamp>() {
            Ok(stamp) => Ok(Time::from_micros(stamp.as_microsecond())),
            Err(error) => Err(TimeError { text: text.to_owned(), why: error.to_string() }),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_are_written_as_rfc_3339() {
        for text in [
            "1970-01-01T00:00:00.000000Z",
            "2024-02-29T23:59:59.999999Z",
            "0000-03-01T00:00:00.000001Z",
            "9999-12-30T22:00:00.999999Z",
        ] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn zones_are_read() {
        let (a, b): (Time, Time) =
            ("2026-01-02T03:04:05+01:00".parse().unwrap(), "2026-01-02T02:04:05Z".parse().unwrap());
        assert_eq!(a, b);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros in MIN_MICROS..=MAX_MICROS) {
            let time = Time::from_micros(micros);
            prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        }
    }
}

//! RFC 3339 as nanoseconds since 1970, by hand: there is a time stamp in every entry.

const DAY_NS: i64 = 86_400_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const DATE_BYTES: usize = 10;

/// The last day that was asked for.
#[derive(Clone, Debug)]
pub(in crate::docker) struct Days {
    date: [u8; DATE_BYTES],
    ns: i64,
}

impl Default for Days {
    fn default() -> Days {
        Days { date: *b"1970-01-01", ns: 0 }
    }
}

impl Days {
    /// `2026-01-02T03:04:05Z`, with up to 9 digits of a fraction.
    #[inline]
    pub fn utc(&mut self, text: &[u8]) -> Option<i64> {
        let (moment, fraction) = self.moment(text)?;
        Some(moment + nanoseconds(fraction.strip_suffix(b"Z")?)?)
    }

    /// Any RFC 3339 text.
    pub fn any(&mut self, text: &[u8]) -> Option<i64> {
        let text = text.to_ascii_uppercase();
        let (moment, rest) = self.moment(&text)?;
        let digits = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, zone) = rest.split_at(if rest.first() == Some(&b'.') { 1 + digits } else { 0 });
        moment.checked_add(nanoseconds(fraction)?)?.checked_sub(offset_ns(zone)?)
    }

    /// The nanoseconds up to the whole second, and what follows that.
    #[inline]
    fn moment<'a>(&mut self, text: &'a [u8]) -> Option<(i64, &'a [u8])> {
        let (date, rest) = text.split_first_chunk::<DATE_BYTES>()?;
        let ([t, clock @ .., c, s0, s1], rest) = rest.split_first_chunk::<9>()?;
        let ([h0, h1, b':', m0, m1], b':', b'T' | b' ') = (clock, c, t) else { return None };
        let (hour, minute, second) = (two(*h0, *h1)?, two(*m0, *m1)?, two(*s0, *s1)?);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        if *date != self.date {
            (self.ns, self.date) = (day_ns(date)?, *date);
        }
        Some((self.ns + (hour * 3_600 + minute * 60 + second) * SECOND_NS, rest))
    }
}

/// `.123456789`, or nothing.
#[inline]
fn nanoseconds(fraction: &[u8]) -> Option<i64> {
    let Some((dot, digits)) = fraction.split_first() else { return Some(0) };
    if *dot != b'.' || digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let number = digits.iter().try_fold(0, |number, &byte| Some(number * 10 + digit(byte)?))?;
    Some(number * SCALE[digits.len()])
}

const SCALE: [i64; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// `Z`, `+01:00` or `-01:00`.
fn offset_ns(zone: &[u8]) -> Option<i64> {
    let (sign, h0, h1, m0, m1) = match zone {
        b"Z" => return Some(0),
        [b'+', h0, h1, b':', m0, m1] => (1, h0, h1, m0, m1),
        [b'-', h0, h1, b':', m0, m1] => (-1, h0, h1, m0, m1),
        _ => return None,
    };
    let (hours, minutes) = (two(*h0, *h1)?, two(*m0, *m1)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60) * SECOND_NS)
}

#[inline]
fn digit(byte: u8) -> Option<i64> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(i64::from(digit))
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// The first nanosecond of a day, of those whose nanoseconds have room in 64 bits.
#[cold]
fn day_ns(date: &[u8; DATE_BYTES]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *date else { return None };
    let (year, month, day) = (two(y0, y1)? * 100 + two(y2, y3)?, two(m0, m1)?, two(d0, d1)?);
    let sound =
        (1_678..=2_261).contains(&year) && (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
    sound.then(|| days_from_civil(year, month, day) * DAY_NS)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970: H. Hinnant, "chrono-compatible low-level date algorithms", of years after 0.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_record::Time;
    use proptest::prelude::*;

    fn ns(text: &str) -> Option<i64> {
        let (usual, any) = (Days::default().utc(text.as_bytes()), Days::default().any(text.as_bytes()));
        assert!(usual.is_none() || usual == any, "{text}");
        any
    }

    #[test]
    fn a_fraction_has_as_many_digits_as_it_needs() {
        assert_eq!(ns("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ns("1970-01-01T00:00:00.5Z"), Some(500_000_000));
        assert_eq!(ns("1970-01-01T00:00:01.000000001Z"), Some(1_000_000_001));
        assert_eq!(ns("1969-12-31T23:59:59.999999999Z"), Some(-1));
    }

    #[test]
    fn zones_are_taken_off() {
        assert_eq!(ns("2026-01-02T03:04:05.25+01:30"), ns("2026-01-02T01:34:05.25Z"));
        assert_eq!(ns("2026-01-02t03:04:05-00:30"), ns("2026-01-02T03:34:05z"));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-02-29T03:04:05Z",
            "2026-13-01T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:04:05.12x4Z",
            "2026-01-02T03:04:05+24:00",
            "2026-01-02T03-04-05Z",
            "1677-01-02T03:04:05Z",
            "2262-01-02T03:04:05Z",
        ] {
            assert_eq!(ns(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_as_the_record_crate_writes_it(
            micros in prop::collection::vec(-9_214_646_400_000_000i64..9_214_646_399_999_999, 1..8),
        ) {
            let mut days = Days::default();
            for micros in micros {
                let text = Time::from_micros(micros).to_string();
                prop_assert_eq!(days.utc(text.as_bytes()), Some(micros * 1_000), "{}", text);
            }
        }

        #[test]
        fn any_bytes_are_a_time_or_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Days::default().any(&bytes);
        }
    }
}

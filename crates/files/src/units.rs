//! Durations and sizes as people write them: `30s`, `1h30m`, `7d`; `500 MB`, `5 GiB`.
//!
//! What is shown is read back the same, so that `logboom config` can be copied into a file.

use std::time::Duration;

/// Why a text is not a duration or a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("{0:?} is not a duration: write whole numbers with ms, s, m, h, d or w, as in 30s, 1h30m or 7d")]
    Duration(String),
    /// Not a size.
    #[error("{0:?} is not a size: write a whole number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, as in 5 GiB")]
    Size(String),
}

const DURATION_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `30s`, `10m`, `2h`, `7d`, `1h30m`, `250ms`.
///
/// ```
/// # use logboom_files::units::parse_duration;
/// assert_eq!(parse_duration("1h30m")?.as_secs(), 5_400);
/// # Ok::<_, logboom_files::units::UnitError>(())
/// ```
///
/// # Errors
/// [`UnitError::Duration`] for anything else, a bare number and an overflow included.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Duration(text.to_owned());
    let (mut rest, mut sum_ms) = (text.trim(), 0u64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or_else(wrong)?;
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, unit_ms) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        sum_ms = number.checked_mul(*unit_ms).and_then(|ms| sum_ms.checked_add(ms)).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(sum_ms))
}

/// Reads `5 GiB`, `500MB`, `100 B`; the unit's case does not matter, its `i` does.
///
/// # Errors
/// [`UnitError::Size`] for anything else, a bare number and an overflow included.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let (number, unit) = leading_number(text.trim()).ok_or_else(wrong)?;
    let unit = unit.trim_start();
    let (_, unit_bytes) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
    number.checked_mul(*unit_bytes).ok_or_else(wrong)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Writes a duration in its largest whole units: `1h30m`, `30d`, `0s`. Parts of a millisecond are left out.
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, unit_ms) in DURATION_UNITS.iter().filter(|(unit, _)| *unit != "w") {
        let count = rest / unit_ms;
        rest %= unit_ms;
        if count > 0 {
            text += &format!("{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Writes a size in the largest unit that divides it: `5 GiB`, `500 MB`, `1023 B`.
pub fn show_bytes(bytes: u64) -> String {
    let fits = |(_, unit_bytes): &&(&str, u64)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes);
    let (unit, unit_bytes) = SIZE_UNITS.iter().find(fits).unwrap_or(&("B", 1));
    format!("{} {unit}", bytes / unit_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_people_write_them_are_read() {
        let seconds = |text| parse_duration(text).unwrap().as_secs();
        assert_eq!((seconds("30s"), seconds("10m"), seconds("2h"), seconds("7d")), (30, 600, 7_200, 604_800));
        assert_eq!((seconds("1h30m"), seconds(" 1h 30m "), seconds("2w"), seconds("0s")), (5_400, 5_400, 1_209_600, 0));
    }

    #[test]
    fn sizes_as_people_write_them_are_read() {
        assert_eq!(parse_bytes("5 GiB"), Ok(5 << 30));
        assert_eq!(parse_bytes("500MB"), Ok(500_000_000));
        assert_eq!(parse_bytes("1kib"), Ok(1_024));
    }

    #[test]
    fn what_has_no_unit_or_too_much_of_it_is_refused() {
        for text in ["", "30", "s", "3 parsecs", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615w"] {
            assert_eq!(parse_duration(text), Err(UnitError::Duration(text.to_owned())));
        }
        for text in ["", "5", "5 G", "GiB", "-5 GiB", "1.5 GiB", "99999999999 TiB"] {
            assert_eq!(parse_bytes(text), Err(UnitError::Size(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(ms in 0..u64::MAX, bytes: u64) {
            prop_assert_eq!(parse_duration(&show_duration(Duration::from_millis(ms))), Ok(Duration::from_millis(ms)));
            prop_assert_eq!(parse_bytes(&show_bytes(bytes)), Ok(bytes));
        }
    }
}

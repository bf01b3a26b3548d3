//! What the raw bytes of the columns mean, record by record.
//!
//! Writers append to a column one record at a time, so that what a tail frame adds is a slice of it. Decoders get the
//! count of records and fail unless the column has exactly that many; they fill vectors that a reader can use again.

use logboom_record::{Flags, Level, Stream, Time};

use super::input::{FormatError, Input, put_varint, put_varint_u128, put_zigzag, unzigzag_u128};

/// The control byte of a record: stream, level, flags.
#[inline]
pub const fn control(stream: Stream, level: Level, flags: Flags) -> u8 {
    stream as u8 | (level as u8) << 2 | flags.bits() << 5
}

/// Stream, level and flags of a control byte.
///
/// # Errors
/// A stream or level that does not exist.
pub fn decode_control(byte: u8) -> Result<(Stream, Level, Flags), FormatError> {
    const WRONG: FormatError = FormatError::wrong("control column");
    let stream = Stream::from_u8(byte & 3).ok_or(WRONG)?;
    let level = *Level::ALL.get(usize::from(byte >> 2 & 7)).ok_or(WRONG)?;
    let flags = Flags::from_bits(byte >> 5).ok_or(WRONG)?;
    Ok((stream, level, flags))
}

/// Appends the time of a record that follows one of time `last` (in a tail 0 at first, in a block time_min).
#[inline]
pub fn put_time(out: &mut Vec<u8>, last: Time, time: Time) {
    put_zigzag(out, time.as_micros() - last.as_micros());
}

/// Reads the times of `records` records; `base` is time_min in a block, 0 in a tail.
///
/// # Errors
/// Whatever is not a column of so many times.
pub fn decode_times(bytes: &[u8], base: Time, records: usize, out: &mut Vec<Time>) -> Result<(), FormatError> {
    let mut input = Input::new("time column", bytes);
    let mut last = base;
    out.clear();
    for _ in 0..records {
        let micros = last.as_micros().checked_add(input.zigzag()?).ok_or(input.wrong())?;
        last = Time::from_micros(micros);
        out.push(last);
    }
    input.finish()
}

/// Reads the run numbers of `records` records, each below `runs`.
///
/// # Errors
/// Whatever is not a column of so many runs.
pub fn decode_runs(bytes: &[u8], runs: usize, records: usize, out: &mut Vec<u8>) -> Result<(), FormatError> {
    let mut input = Input::new("run column", bytes);
    out.clear();
    for _ in 0..records {
        let run: usize = input.number()?;
        out.push(u8::try_from(run).ok().filter(|_| run < runs).ok_or(input.wrong())?);
    }
    input.finish()
}

/// Appends that `count` LFs are inside the message of a record, `step` records after the last such one (or the first
/// record of the block).
pub fn put_inner_newlines(out: &mut Vec<u8>, step: u32, count: u32) {
    put_varint(out, u64::from(step));
    put_varint(out, u64::from(count));
}

/// Reads which records hold how many LFs inside their message: pairs of index and count, indexes ascending.
///
/// # Errors
/// Whatever is not such a column of a block of `records` records.
pub fn decode_inner_newlines(bytes: &[u8], records: usize, out: &mut Vec<(u32, u32)>) -> Result<(), FormatError> {
    let mut input = Input::new("inner newline column", bytes);
    out.clear();
    let mut at = 0u64;
    while !input.rest().is_empty() {
        let (step, count) = (input.varint()?, input.number()?);
        at = at.checked_add(step).filter(|at| *at < records as u64).ok_or(input.wrong())?;
        if count == 0 || (step == 0 && !out.is_empty()) {
            return Err(input.wrong());
        }
        out.push((at as u32, count));
    }
    Ok(())
}

/// Appends the origin time of a record, `last` being the last one before it in the block (at first 0 in a tail,
/// time_min in nanoseconds in a block).
pub fn put_origin_time(out: &mut Vec<u8>, last: i128, time: Option<i64>) {
    let Some(time) = time else { return out.push(0) };
    let difference = i128::from(time) - last;
    put_varint_u128(out, ((difference << 1) ^ (difference >> 127)).cast_unsigned() + 1);
}

/// Reads the origin times of `records` records; `base` is time_min × 1000 in a block, 0 in a tail.
///
/// # Errors
/// Whatever is not a column of so many origin times.
pub fn decode_origin_times(
    bytes: &[u8],
    base: i128,
    records: usize,
    out: &mut Vec<Option<i64>>,
) -> Result<(), FormatError> {
    let mut input = Input::new("origin time column", bytes);
    let mut last = base;
    out.clear();
    for _ in 0..records {
        let Some(packed) = input.varint_u128()?.checked_sub(1) else {
            out.push(None);
            continue;
        };
        last = last.checked_add(unzigzag_u128(packed)).ok_or(input.wrong())?;
        out.push(Some(i64::try_from(last).map_err(|_| input.wrong())?));
    }
    input.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn every_control_byte_is_one_record_s_or_refused() {
        let good = (0..=255u8).filter_map(|byte| decode_control(byte).ok().map(|parts| (byte, parts)));
        let again = good.map(|(byte, (stream, level, flags))| (byte, control(stream, level, flags)));
        assert_eq!(again.inspect(|(byte, back)| assert_eq!(byte, back)).count(), 3 * 5 * 8);
    }

    proptest! {
        #[test]
        fn times_come_back(micros in vec(-62_167_219_200_000_000i64..253_402_207_200_999_999, 0..50), base in any::<i64>()) {
            let times: Vec<_> = micros.into_iter().map(Time::from_micros).collect();
            let base = Time::from_micros(base);
            let (mut bytes, mut last, mut back) = (Vec::new(), base, Vec::new());
            times.iter().for_each(|time| put_time(&mut bytes, std::mem::replace(&mut last, *time), *time));
            decode_times(&bytes, base, times.len(), &mut back).unwrap();
            prop_assert_eq!(&back, &times);
            prop_assert!(decode_times(&bytes, base, times.len() + 1, &mut back).is_err());
        }

        #[test]
        fn origin_times_come_back(times in vec(proptest::option::of(any::<i64>()), 0..50), base in any::<i64>()) {
            let base = i128::from(base) * 1_000;
            let (mut bytes, mut last, mut back) = (Vec::new(), base, Vec::new());
            for time in &times {
                put_origin_time(&mut bytes, last, *time);
                last = time.map_or(last, i128::from);
            }
            decode_origin_times(&bytes, base, times.len(), &mut back).unwrap();
            prop_assert_eq!(&back, &times);
        }

        #[test]
        fn inner_newlines_come_back(counts in vec(0u32..3, 1..50)) {
            let expected: Vec<(u32, u32)> =
                (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(at, count)| (at, *count)).collect();
            let (mut bytes, mut last, mut back) = (Vec::new(), 0, Vec::new());
            for (at, count) in &expected {
                put_inner_newlines(&mut bytes, at - std::mem::replace(&mut last, *at), *count);
            }
            decode_inner_newlines(&bytes, counts.len(), &mut back).unwrap();
            prop_assert_eq!(back, expected);
        }

        #[test]
        fn any_bytes_are_columns_or_errors(bytes in vec(any::<u8>(), 0..99), records in 0usize..99) {
            let _ = decode_times(&bytes, Time::default(), records, &mut Vec::new());
            let _ = decode_runs(&bytes, 3, records, &mut Vec::new());
            let _ = decode_inner_newlines(&bytes, records, &mut Vec::new());
            let _ = decode_origin_times(&bytes, 0, records, &mut Vec::new());
        }
    }
}

//! Integers and slices, read from and appended to bytes.

use logboom_record::Time;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct FormatError {
    /// Which part.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl FormatError {
    /// The part says something that cannot be.
    pub const fn wrong(what: &'static str) -> FormatError {
        FormatError { what, problem: "is not valid" }
    }

    /// The part is cut off.
    pub const fn short(what: &'static str) -> FormatError {
        FormatError { what, problem: "is cut off" }
    }

    /// The part fails its checksum.
    pub const fn checksum(what: &'static str) -> FormatError {
        FormatError { what, problem: "fails its checksum" }
    }
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Reads `bytes`; errors name them as `what`.
    pub const fn new(what: &'static str, bytes: &'a [u8]) -> Input<'a> {
        Input { what, rest: bytes }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error that names these bytes.
    pub const fn wrong(&self) -> FormatError {
        FormatError::wrong(self.what)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// If there are fewer; so it is with every function below.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(FormatError::short(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(FormatError::short(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A little-endian u32.
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian u64.
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, FormatError> {
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        u64::try_from(self.varint_u128()?).map_err(|_| self.wrong())
    }

    /// A varint of up to 128 bits.
    pub fn varint_u128(&mut self) -> Result<u128, FormatError> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let part = u128::from(byte & 0x7f);
            if shift == 126 && part > 3 {
                return Err(self.wrong());
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.wrong())
    }

    /// A varint that must fit `T` (usize, u32).
    pub fn number<T: TryFrom<u64>>(&mut self) -> Result<T, FormatError> {
        T::try_from(self.varint()?).map_err(|_| self.wrong())
    }

    /// A count of things that take at least one byte each here, so never more than there are bytes.
    pub fn count(&mut self) -> Result<usize, FormatError> {
        let count: usize = self.number()?;
        if count <= self.rest.len() { Ok(count) } else { Err(FormatError::short(self.what)) }
    }

    /// A zigzag integer.
    pub fn zigzag(&mut self) -> Result<i64, FormatError> {
        self.varint().map(unzigzag)
    }

    /// A time as zigzag microseconds.
    pub fn time(&mut self) -> Result<Time, FormatError> {
        self.zigzag().map(Time::from_micros)
    }

    /// Nothing must be left.
    pub fn finish(self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError { what: self.what, problem: "is too long" }) }
    }
}

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint of up to 128 bits.
pub fn put_varint_u128(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zigzag integer.
#[inline]
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Small numbers of either sign as small numbers without one.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of zigzag for 128 bits.
pub const fn unzigzag_u128(value: u128) -> i128 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The inverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(a in any::<u64>(), b in any::<i64>(), c in any::<u128>(), shift in 0u32..64) {
            let mut out = Vec::new();
            put_varint(&mut out, a >> shift);
            put_zigzag(&mut out, b >> shift);
            put_varint_u128(&mut out, c >> shift);
            let mut input = Input::new("numbers", &out);
            prop_assert_eq!(input.varint(), Ok(a >> shift));
            prop_assert_eq!(input.zigzag(), Ok(b >> shift));
            prop_assert_eq!(input.varint_u128(), Ok(c >> shift));
            prop_assert_eq!(input.finish(), Ok(()));
        }
    }

    #[test]
    fn numbers_that_are_cut_off_or_too_large_are_refused() {
        assert_eq!(Input::new("x", &[0x80]).varint(), Err(FormatError::short("x")));
        assert_eq!(Input::new("x", &[0xff; 11]).varint(), Err(FormatError::short("x")));
        assert_eq!(Input::new("x", &[0xff; 19]).varint_u128(), Err(FormatError::wrong("x")));
        assert_eq!(Input::new("x", &[5, 1]).count(), Err(FormatError::short("x")));
    }
}

//! Grams: the short pieces of lines by which a search rules out whole blocks.
//!
//! The writer sets a bit for every gram of every line, a reader asks for the grams of what it looks for. Both get them
//! from here, so a gram that one leaves out the other never asks for. Every 5 bytes are a gram, and every 3 bytes without a digit. Most
//! 5-byte grams of a log are pieces of numbers and hashes; of those with two or more digits only every fourth (by its
//! hash) counts. ASCII letters count as lower case. No gram holds an LF: lines are put one after the other with LFs.

/// Calls `set` with the 32-bit hash of every gram of `line`, some of them more than once.
pub fn for_each_gram(line: &[u8], mut set: impl FnMut(u32)) {
    let mut window = 0u64;
    let (mut digits, mut breaks) = (0u32, 0xffu32);
    for byte in line {
        let byte = byte.to_ascii_lowercase();
        window = (window << 8 | u64::from(byte)) & 0xff_ffff_ffff;
        digits = digits << 1 | u32::from(byte.is_ascii_digit());
        breaks = breaks << 1 | u32::from(byte == b'\n');
        if breaks & 0b111 == 0 && digits & 0b111 == 0 {
            set(hash3(window as u32 & 0xff_ffff));
        }
        if breaks & 0b11111 == 0 {
            let hash = hash5(window);
            if (digits & 0b11111).count_ones() < 2 || hash & 3 == 0 {
                set(hash);
            }
        }
    }
}

/// The hash of 5 bytes, given as their big-endian value.
#[inline]
fn hash5(bytes: u64) -> u32 {
    (bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// The hash of 3 bytes, given as their big-endian value.
#[inline]
fn hash3(bytes: u32) -> u32 {
    bytes.wrapping_mul(0x9e37_79b1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams(line: &[u8]) -> Vec<u32> {
        let mut grams = Vec::new();
        for_each_gram(line, |gram| grams.push(gram));
        grams
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(grams(b"Error"), grams(b"eRROR"));
        assert_eq!(grams(b"Error").len(), 4);
    }

    #[test]
    fn no_gram_reaches_over_a_newline() {
        assert_eq!(grams(b"ab\ncd"), []);
        assert_eq!(grams(b"abc\ndefg"), [grams(b"abc"), grams(b"defg")].concat());
    }

    #[test]
    fn of_grams_with_digits_only_some_count() {
        assert_eq!(grams(b"ab1"), []);
        assert_eq!(grams(b"x1abc").len(), 2);
        let numbers: usize = (10_000..20_000).map(|n: u32| grams(n.to_string().as_bytes()).len()).sum();
        assert!((2_000..3_000).contains(&numbers), "{numbers} of 10000");
    }
}

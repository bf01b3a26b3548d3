//! Buckets: lines of one template next to each other, which a compressor with short memory likes.
//!
//! The bucket of a record is told by the first 8 bytes of its message after ANSI codes, every digit as `0`.

use crate::format::BUCKETS_MAX;

/// With fewer records the column of buckets costs more than it brings.
const RECORDS_MIN: usize = 32;
const SLOTS: usize = 1_024;
const FREE: u16 = u16::MAX;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Sorts the messages of block after block; keeps its memory.
pub(crate) struct Buckets {
    keys: Box<[u64; SLOTS]>,
    numbers: Box<[u16; SLOTS]>,
    /// The bucket of each record.
    pub(crate) of_record: Vec<u8>,
    /// How many records each bucket has; empty where messages stay in order.
    pub(crate) records: Vec<u32>,
    bytes: Vec<u32>,
    sorted: Vec<u8>,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets {
            keys: Box::new([0; SLOTS]),
            numbers: Box::new([FREE; SLOTS]),
            of_record: Vec::new(),
            records: Vec::new(),
            bytes: Vec::new(),
            sorted: Vec::new(),
        }
    }
}

impl Buckets {
    /// The messages bucket by bucket; `ends` says where each ends in `messages`. In order where one bucket takes nearly all,
    /// or most are like no others.
    pub(crate) fn sort<'a>(&'a mut self, messages: &'a [u8], ends: &[u32]) -> &'a [u8] {
        self.clear();
        if ends.len() < RECORDS_MIN {
            return messages;
        }
        let mut start = 0;
        for end in ends {
            let message = messages.get(start..*end as usize).unwrap_or_default();
            let bucket = self.bucket(key(message));
            self.of_record.push(bucket as u8);
            self.records[bucket] += 1;
            self.bytes[bucket] += message.len() as u32;
            start = *end as usize;
        }
        let rest = self.records.get(BUCKETS_MAX - 1).copied().unwrap_or(0) as usize;
        if self.records.len() < 2 || rest > ends.len() / 2 {
            self.clear();
            return messages;
        }
        self.copy(messages, ends);
        &self.sorted
    }

    fn clear(&mut self) {
        self.numbers.fill(FREE);
        self.of_record.clear();
        self.records.clear();
        self.bytes.clear();
    }

    /// The bucket of a key, a new one if need be.
    #[inline]
    fn bucket(&mut self, key: u64) -> usize {
        let mut slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
        loop {
            match self.numbers[slot] {
                FREE => return self.new_bucket(slot, key),
                number if self.keys[slot] == key => return usize::from(number),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    fn new_bucket(&mut self, slot: usize, key: u64) -> usize {
        let bucket = self.records.len().min(BUCKETS_MAX - 1);
        if bucket == self.records.len() {
            self.records.push(0);
            self.bytes.push(0);
        }
        // The table is never more than half full, so a search in it ends soon: keys of the rest are not kept.
        if bucket < BUCKETS_MAX - 1 {
            self.keys[slot] = key;
            self.numbers[slot] = bucket as u16;
        }
        bucket
    }

    fn copy(&mut self, messages: &[u8], ends: &[u32]) {
        let mut places = Vec::with_capacity(BUCKETS_MAX);
        self.bytes.iter().fold(0, |place, bytes| {
            places.push(place);
            place + *bytes as usize
        });
        self.sorted.resize(messages.len(), 0);
        let mut start = 0;
        for (end, bucket) in ends.iter().zip(&self.of_record) {
            let message = &messages[start..*end as usize];
            let place = &mut places[usize::from(*bucket)];
            self.sorted[*place..*place + message.len()].copy_from_slice(message);
            *place += message.len();
            start = *end as usize;
        }
    }
}

/// The first 8 bytes, after ANSI codes, with every digit as `0`.
#[inline]
fn key(message: &[u8]) -> u64 {
    let head = match message.first_chunk() {
        Some(head) => u64::from_le_bytes(*head),
        None => short_head(message),
    };
    if has_byte(head, 0x1b) { key_after_codes(message) } else { zero_digits(head) }
}

fn short_head(message: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = message.len().min(8);
    head[..len].copy_from_slice(&message[..len]);
    u64::from_le_bytes(head)
}

#[cold]
fn key_after_codes(message: &[u8]) -> u64 {
    let mut plain = Vec::with_capacity(64);
    logboom_record::ansi::strip(&message[..message.len().min(64)], &mut plain);
    zero_digits(short_head(&plain))
}

const fn has_byte(word: u64, byte: u8) -> bool {
    let zero_where = word ^ (ONES * byte as u64);
    zero_where.wrapping_sub(ONES) & !zero_where & (ONES * 0x80) != 0
}

/// Every ASCII digit as `0`.
const fn zero_digits(word: u64) -> u64 {
    word & !(digit_flags(word) >> 7).wrapping_mul(0x0f)
}

/// The top bit of every byte that is an ASCII digit.
pub(crate) const fn digit_flags(word: u64) -> u64 {
    let low = word & (ONES * 0x7f);
    let at_least_0 = low + ONES * (0x80 - b'0' as u64);
    let above_9 = low + ONES * (0x80 - b'9' as u64 - 1);
    at_least_0 & !above_9 & !word & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn sort(lines: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>, Vec<u32>) {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for line in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
            ends.push(text.len() as u32);
        }
        let mut buckets = Buckets::default();
        let sorted = buckets.sort(&text, &ends).to_vec();
        (sorted, buckets.of_record, buckets.records)
    }

    #[test]
    fn numbers_and_colours_do_not_part_lines_of_a_template() {
        assert_eq!(key(b"line 1 of"), key(b"line 7 of"));
        assert_eq!(key(b"line 1\n"), key(b"\x1b[1;32mline 2\x1b[0m\n"));
        assert_ne!(key(b"line 1\n"), key(b"lime 1\n"));
    }

    #[test]
    fn digits_are_told_from_their_neighbours() {
        for byte in 0..=255u8 {
            assert_eq!(digit_flags(u64::from(byte)) != 0, byte.is_ascii_digit(), "{byte}");
            assert_eq!(
                digit_flags(u64::from(byte) << 24 | 0x31),
                if byte.is_ascii_digit() { 0x8000_0080 } else { 0x80 }
            );
        }
    }

    #[test]
    fn lines_that_are_all_alike_or_all_different_stay_in_order() {
        let alike: Vec<_> = (0..99).map(|n| format!("line {n:04}").into_bytes()).collect();
        assert_eq!(sort(&alike).2, [0_u32; 0]);
        let different: Vec<_> =
            (0..9_999u32).map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes().map(|b| b | 0x80).to_vec()).collect();
        assert_eq!(sort(&different).2, [0_u32; 0]);
    }

    proptest! {
        #[test]
        fn buckets_put_back_in_order_are_the_messages(lines in vec(vec(97u8..100, 0..3), 0..500)) {
            let (sorted, of_record, records) = sort(&lines);
            let mut buckets = Vec::new();
            let mut rest = sorted.split(|byte| *byte == b'\n');
            for count in &records {
                buckets.push(rest.by_ref().take(*count as usize).collect::<Vec<_>>().into_iter());
            }
            let back: Vec<&[u8]> = match records.is_empty() {
                true => rest.take(lines.len()).collect(),
                false => of_record.iter().map(|bucket| buckets[usize::from(*bucket)].next().unwrap()).collect(),
            };
            prop_assert_eq!(back, lines);
        }
    }
}

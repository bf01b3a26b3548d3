//! Takes the values of secrets out of a service's output before lines are made of it.
//!
//! Each of a value's bytes becomes a `*`, so that there are as many bytes as came: places in a source count them, and whoever goes on
//! after a kill finds its place again. The end of what came that may be the beginning of a value waits, and is in no record until
//! more is known. No I/O.

use super::out::Stamp;
use crate::masks::Masks;

/// What a byte of a value becomes.
const STAR: u8 = b'*';

/// The bytes of one stream that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Where in `bytes` what has this stamp begins.
    stamps: Vec<(usize, Stamp)>,
    /// How many values were found so far.
    pub(super) count: u64,
}

impl Held {
    /// Takes the next bytes; gives on what of them may be kept.
    pub(super) fn push(&mut self, masks: &Masks, bytes: &[u8], stamp: Stamp, give: impl FnMut(&[u8], Stamp)) {
        if bytes.is_empty() {
            return;
        }
        self.stamps.push((self.bytes.len(), stamp));
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len() - masks.begun(&self.bytes);
        self.give(masks, end, give);
    }

    /// Nothing follows.
    pub(super) fn finish(&mut self, masks: &Masks, give: impl FnMut(&[u8], Stamp)) {
        self.give(masks, self.bytes.len(), give);
    }

    /// Gives on what is before `end`, or before the end of the value that goes further.
    fn give(&mut self, masks: &Masks, mut end: usize, mut give: impl FnMut(&[u8], Stamp)) {
        let found: Vec<_> = masks.values_in(&self.bytes).take_while(|found| found.start < end).collect();
        self.count += found.len() as u64;
        for found in found {
            end = end.max(found.end);
            self.bytes[found].fill(STAR);
        }
        let mut rest = Vec::new();
        for (at, (from, stamp)) in self.stamps.iter().enumerate() {
            let to = self.stamps.get(at + 1).map_or(self.bytes.len(), |(next, _)| *next);
            if *from < end {
                give(&self.bytes[*from..to.min(end)], *stamp);
            }
            if to > end {
                rest.push((from.saturating_sub(end), *stamp));
            }
        }
        self.bytes.drain(..end);
        self.stamps = rest;
    }
}

#[cfg(test)]
mod tests {
    use logboom_record::Time;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn however_it_comes_as_many_bytes_are_kept_each_with_its_own_stamp_and_no_value(
            text in vec(prop_oneof![Just("aaab"), Just("aab"), Just("a"), Just("aaaabaaab"), Just("x"), Just("\n")], 0..40),
            cuts in vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let masks = Masks::new(["aaab", "aaabaaab", "bxaa"].map(str::as_bytes), &[]).unwrap();
            let text = text.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let (mut held, mut kept) = (Held::default(), Vec::new());
            for pair in cuts.windows(2) {
                // The stamp of a piece is where it begins.
                let stamp = Stamp { time: Time::from_micros(pair[0] as i64), origin_ns: None };
                let mut give = |bytes: &[u8], stamp: Stamp| kept.extend(bytes.iter().map(|byte| (*byte, stamp.time.as_micros())));
                held.push(&masks, &text.as_bytes()[pair[0]..pair[1]], stamp, &mut give);
            }
            held.finish(&masks, |bytes, stamp| kept.extend(bytes.iter().map(|byte| (*byte, stamp.time.as_micros()))));
            let mut want = text.clone().into_bytes();
            let found: Vec<_> = masks.values_in(text.as_bytes()).collect();
            found.iter().for_each(|found| want[found.clone()].fill(STAR));
            prop_assert_eq!(held.count as usize, found.len());
            prop_assert_eq!(kept.iter().map(|(byte, _)| *byte).collect::<Vec<_>>(), want);
            for (at, (_, stamp)) in kept.iter().enumerate() {
                let piece = cuts.windows(2).find(|pair| pair[0] <= at && at < pair[1]).unwrap()[0];
                prop_assert_eq!(*stamp, piece as i64);
            }
        }
    }
}

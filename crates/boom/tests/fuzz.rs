//! Reads boom files that were changed at random, for `LOGBOOM_FUZZ_SECONDS` seconds (2 if that is not set).
//!
//! Two kinds of change: to the bytes, after which every record that is shown must be one that was written, in its order;
//! and to a meta section with the checksums made right again, as only an attacker would, after which nothing is promised
//! but that the reader stays on its feet. A failure prints the seed and the round to begin with:
//! `LOGBOOM_FUZZ_SEED=7 LOGBOOM_FUZZ_ROUND=1234 cargo test -p logboom-boom --test fuzz`.

#![allow(clippy::unwrap_used, clippy::panic)] // tests may

mod maker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use logboom_boom::{
    format::{
        FrameHead, FrameKind,
        frame::HEAD_BYTES,
        frame::HEADER_BYTES,
        tail::{TAIL_PAGE_BYTES, slot_offset},
    },
    gram_query::{Case, GramQuery},
    reader::Reader,
};
use logboom_record::{Entry, Flags, Gap, Level, Record, Stream};
use maker::{Maker, Shape, read_block, record, run, write};

/// Random numbers that a seed and a round repeat: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn entries(random: &mut Random) -> Vec<Entry> {
    let mut next = [1u64; 3];
    let mut entry = |random: &mut Random| {
        let number = 1 + random.below(2);
        let seq = next[number];
        let message = "word \x1b[1m7\n".repeat(random.below(4)) + &"x".repeat(random.below(30));
        let plain = record(seq, message);
        if random.below(12) == 0 {
            next[number] += 2;
            let why = "disk full".to_owned();
            return Entry::Gap(Gap { run: run(number as u8), from: seq, to: Some(seq + 1), time: plain.time, why });
        }
        next[number] += 1;
        let flags = if random.below(6) == 0 { Flags::CONTINUED } else { Flags::NONE };
        let fields = (random.below(3) == 0).then(|| "{\"a\":1}".to_owned());
        let origin_time_ns = (random.below(3) == 0).then(|| random.next() as i64);
        let (stream, level) = (Stream::ALL[random.below(3)], Level::ALL[random.below(5)]);
        Entry::Record(Record { run: run(number as u8), flags, fields, origin_time_ns, stream, level, ..plain })
    };
    (0..10 + random.below(60)).map(|_| entry(random)).collect()
}

/// A valid file, its tail, and what is in them.
fn valid(random: &mut Random) -> (Maker, Vec<u8>, Vec<Entry>) {
    let flags = [(); 3].map(|()| random.below(2) == 0);
    let [compressed, bucketed, filter] = flags;
    let mut maker = Maker::new(Shape { compressed, bucketed, filter, blocks_per_index: 1 + random.below(4) });
    let all = entries(random);
    let sealed = random.below(2) == 0;
    let written = if sealed { all.len() } else { all.len() - random.below(10) };
    for entries in all[..written].chunks(1 + random.below(12)) {
        maker.block(entries, &[], (random.below(4) == 0).then_some(&b"checkpoint"[..]));
    }
    let frames = all[written..].chunks(3).map(|entries| (entries.to_vec(), vec![])).collect();
    let tail = maker.tail(&[(maker.next_number(), frames)]);
    if sealed {
        maker.seal();
    }
    (maker, tail, all)
}

/// Changes bytes somewhere after `from`.
fn change(random: &mut Random, bytes: &mut Vec<u8>, from: usize) {
    for _ in 0..1 + random.below(3) {
        let len = bytes.len() - from;
        let (at, other) = (from + random.below(len), from + random.below(len));
        let (start, end) = (at.min(other), at.max(other));
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes[start..end].fill(0),
            4 => drop(bytes.drain(start..end)),
            5 => bytes.extend_from_within(start..end),
            _ => bytes.copy_within(start..end, from),
        }
        if bytes.len() <= from {
            return bytes.resize(from + 1, 0);
        }
    }
}

/// Changes the meta section of some frame and makes the checksums right.
fn forge(random: &mut Random, maker: &mut Maker) {
    let heads: Vec<FrameHead> = frames(maker).collect();
    let Some(head) = heads.get(random.below(heads.len())) else { return };
    let (at, end) = (head.offset as usize, head.end() as usize);
    let mut body = maker.bytes[at + HEAD_BYTES..end].to_vec();
    let meta_bytes = head.meta_bytes as usize;
    let part = if random.below(4) == 0 { body.len() } else { meta_bytes };
    for _ in 0..1 + random.below(3) {
        let place = random.below(part);
        if let Some(byte) = body.get_mut(place) {
            *byte = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)];
        }
    }
    let (meta, rest) = body.split_at(meta_bytes);
    let (meta_crc, rest_crc) = (maker.id.crc(meta), maker.id.crc(rest));
    let last_index = if random.below(8) == 0 { random.next() } else { head.last_index };
    let kind = if random.below(8) == 0 { FrameKind::Index } else { head.kind };
    let forged = FrameHead { meta_crc, rest_crc, last_index, kind, ..*head };
    maker.bytes[at..at + HEAD_BYTES].copy_from_slice(&forged.encode(&maker.id));
    maker.bytes[at + HEAD_BYTES..end].copy_from_slice(&body);
}

fn frames(maker: &Maker) -> impl Iterator<Item = FrameHead> {
    let mut at = HEADER_BYTES;
    std::iter::from_fn(move || {
        let head = FrameHead::decode(maker.bytes.get(at..)?, &maker.id, at as u64).ok()?;
        at = head.end() as usize;
        Some(head)
    })
}

/// Reads all that can be read in every way there is.
fn read(path: &Path) -> Vec<Entry> {
    let Ok(mut reader) = Reader::open(path) else { return Vec::new() };
    let shown = (0..reader.blocks().len()).filter_map(|block| read_block(&reader, block).ok()).flatten().collect();
    let _ = (reader.totals(), reader.runs(), reader.gaps(), reader.checkpoint(), reader.damage().len());
    let _ = reader.candidates(&GramQuery::literal(b"word x", Case::Sensitive)).count();
    reader.check(&mut |_| {}).unwrap();
    reader.refresh().unwrap();
    shown
}

/// One round: makes a file, changes it, reads it.
fn round(random: &mut Random, dir: &Path) {
    let (mut maker, mut tail, all) = valid(random);
    let forged = random.below(2) == 0;
    if forged {
        (0..1 + random.below(2)).for_each(|_| forge(random, &mut maker));
    } else if random.below(4) > 0 {
        change(random, &mut maker.bytes, HEADER_BYTES);
    } else if tail.len() as u64 > TAIL_PAGE_BYTES {
        let frames_at = slot_offset(maker.next_number()) as usize;
        change(random, &mut tail, frames_at);
    }
    let with_tail = (tail.len() as u64 > TAIL_PAGE_BYTES).then_some(&tail[..]);
    let _ = std::fs::remove_file(dir.join("records.boom.tail")); // of the round before
    let shown = read(&write(dir, &maker.bytes, with_tail));
    let mut rest = all.iter();
    let is_part = shown.iter().all(|entry| rest.any(|written| written == entry));
    assert!(forged || is_part, "records that were not written, or not in this order");
}

#[test]
fn no_file_brings_the_reader_down_or_makes_it_tell_what_was_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let seconds = number("LOGBOOM_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("LOGBOOM_FUZZ_SEED").unwrap_or(seconds);
    let end = Instant::now() + Duration::from_secs(seconds);
    for number in number("LOGBOOM_FUZZ_ROUND").unwrap_or(0).. {
        let mut random = Random(seed.rotate_left(32) ^ number);
        let done = catch_unwind(AssertUnwindSafe(|| round(&mut random, dir.path())));
        assert!(done.is_ok(), "LOGBOOM_FUZZ_SEED={seed} LOGBOOM_FUZZ_ROUND={number} repeats this");
        if Instant::now() > end {
            println!("{number} rounds");
            break;
        }
    }
}

//! Files with right checksums that claim more than they can hold: what only an attacker makes. Each must be refused for
//! little time and memory, and what stands beside the lie be read.

#![allow(clippy::unwrap_used)] // tests may

mod maker;

use std::path::Path;

use logboom_boom::{
    format::{FrameKind, input::put_varint, tail::slot_offset},
    reader::Reader,
};
use logboom_record::Entry;
use maker::{Maker, PLAIN, Shape, read_all, record, run, write};
use tempfile::tempdir;

/// What reading any of these files may take; the least of them took 1.8 GB.
const PEAK_BYTES_MAX: u64 = 300 << 20;

/// A meta section in the making.
#[derive(Default)]
struct Meta(Vec<u8>);

impl Meta {
    fn numbers(mut self, numbers: impl IntoIterator<Item = u64>) -> Meta {
        numbers.into_iter().for_each(|number| put_varint(&mut self.0, number));
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Meta {
        self.0.extend_from_slice(bytes);
        self
    }
}

fn lines(from: u64, count: u64) -> Vec<Entry> {
    (from..from + count).map(|seq| Entry::Record(record(seq, format!("line {seq}")))).collect()
}

/// A good block of four records, and room for a lie after it.
fn with_one_block() -> Maker {
    let mut maker = Maker::new(Shape { blocks_per_index: 32, ..PLAIN });
    maker.block(&lines(1, 4), &[], None);
    maker
}

/// The block after that one: `records` records of `runs` runs, of which the first has them all, then `gaps` gaps.
fn block(records: u64, runs: u64, gaps: u64) -> Vec<u8> {
    let meta = Meta::default().numbers([1, 0, 0, 0, runs]);
    let run = |meta: Meta, number: u64| {
        let records = if number == 0 { records } else { 0 };
        let id = meta.bytes(run(2).as_bytes()).bytes(&[3]);
        id.numbers([1, records, records, 0, 0, records, 0, 0])
    };
    let meta = (0..runs).fold(meta, run).numbers([gaps]);
    let meta = (0..gaps).fold(meta, |meta, _| meta.numbers([0, 0, 1, 1, 0, 0]));
    meta.numbers([0, 0, records, 0, 0]).0 // no end, no checkpoint, no bucket, no column
}

/// An index of blocks, the first of which is said to have these runs.
fn index(blocks: u64, runs: u64) -> Vec<u8> {
    let meta = Meta::default().numbers([1]).bytes(run(2).as_bytes()).bytes(&[3]).numbers([blocks]);
    let block = |meta: Meta, number: u64| {
        let meta = meta.numbers([64, 16, number, 0, 0, 0, 0, runs]);
        let meta = (0..runs).fold(meta, |meta, _| meta.numbers([0, 1, 0, 0, 0, 0, 0, 0, 0]));
        meta.numbers([0, 0])
    };
    packed(&(0..blocks).fold(meta, block).numbers([0]).0)
}

fn packed(meta: &[u8]) -> Vec<u8> {
    Meta::default().numbers([1, meta.len() as u64]).bytes(&zstd::bulk::compress(meta, 1).unwrap()).0
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

/// Reads all of it. The file holds what is true, and the lie is told.
fn assert_refused(path: &Path, truth: &[Entry]) {
    let mut reader = Reader::open(path).unwrap();
    assert_eq!(read_all(&reader), truth);
    let mut damage = Vec::new();
    reader.check(&mut |found| damage.push(found)).unwrap();
    reader.refresh().unwrap();
    assert!(!damage.is_empty());
    assert!(peak_bytes() < PEAK_BYTES_MAX, "{} bytes", peak_bytes());
}

fn assert_frame_refused(kind: FrameKind, meta: &[u8]) {
    let dir = tempdir().unwrap();
    let mut maker = with_one_block();
    maker.frame(kind, meta, &[]);
    // The last frame of a file may be torn: so another one follows.
    maker.skip_number();
    maker.block(&lines(5, 4), &[], None);
    assert_refused(&write(dir.path(), &maker.bytes, None), &lines(1, 8));
}

#[test]
fn a_block_of_more_records_than_a_block_has_is_refused() {
    assert_frame_refused(FrameKind::Block, &block(0xffff_ffff, 1, 0));
    assert_frame_refused(FrameKind::Block, &block(65_537, 1, 0));
}

#[test]
fn a_block_of_more_runs_or_gaps_than_a_block_has_is_refused() {
    assert_frame_refused(FrameKind::Block, &block(0, 257, 0));
    assert_frame_refused(FrameKind::Block, &block(0, 1, 1_000_000));
}

#[test]
fn an_index_that_unpacks_to_more_than_its_blocks_can_be_is_refused() {
    assert_frame_refused(FrameKind::Index, &packed(&vec![0; 64 << 20]));
    assert_frame_refused(FrameKind::Index, &index(1, 5_000_000));
    assert_frame_refused(FrameKind::Index, &index(33, 0));
    // 32 blocks of 256 runs in 16 bytes each.
    assert_frame_refused(FrameKind::Index, &index(32, 256));
}

#[test]
fn a_footer_that_names_an_index_over_and_over_is_refused() {
    let dir = tempdir().unwrap();
    let mut maker = Maker::new(Shape { blocks_per_index: 32, ..PLAIN });
    let all = lines(1, 3_200);
    for entries in all.chunks(100) {
        maker.block(entries, &[], None);
    }
    let index_at = maker.last_index();
    let offsets = Meta::default().numbers([100_000]).numbers([index_at; 100_000]);
    let meta = offsets.numbers([3_200, 3_200, 0, 0, 0, 3_200, 0, 0, 0, 0]).0;
    let trailer = logboom_boom::format::Footer::trailer(maker.bytes.len() as u64);
    maker.frame(FrameKind::Footer, &meta, &trailer);
    assert_refused(&write(dir.path(), &maker.bytes, None), &all);
}

#[test]
fn a_tail_of_more_gaps_than_a_block_has_ends_before_them() {
    let dir = tempdir().unwrap();
    let maker = with_one_block();
    let mut tail = maker.tail(&[(1, vec![(lines(5, 4), vec![])])]);
    let gaps = Meta::default().numbers([0, 600_000]);
    let gaps = (0..600_000).fold(gaps, |meta, _| meta.numbers([4, 0, 9, 1, 0, 0]));
    let meta = gaps.numbers([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).0;
    let body = Meta::default().numbers([meta.len() as u64]).bytes(&meta).0;
    let at = tail.len();
    assert!(at as u64 > slot_offset(1));
    tail.extend(maker.tail_head(1, 1, &body));
    tail.extend(&body);
    let path = write(dir.path(), &maker.bytes, Some(&tail));
    assert_eq!(read_all(&Reader::open(&path).unwrap()), lines(1, 8));
    assert!(peak_bytes() < PEAK_BYTES_MAX);
}

#[test]
fn a_seq_of_zero_is_refused() {
    let mut meta = block(1, 1, 0);
    let first_seq = 5 + 16 + 1;
    assert_eq!(meta[first_seq], 1);
    meta[first_seq] = 0;
    assert_frame_refused(FrameKind::Block, &meta);
}

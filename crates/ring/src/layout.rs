//! Where things stand in a ring file, and what is mapped of it.

use super::sync::{AtomicU32, AtomicU64, Futex};

/// The least bytes of a ring.
pub const RING_BYTES_MIN: usize = 16 << 10;
/// The most bytes of a ring.
pub const RING_BYTES_MAX: usize = 1 << 20;
/// How many rings a file may have.
pub const RINGS_MAX: u32 = 1024;

/// The unit of mapping, and the size of the control page and of a ring's header.
pub(super) const PAGE: usize = 4096;
/// The bytes of one table; there are two.
pub(super) const TABLE_BYTES: usize = 1 << 20;
/// Where the first ring begins.
pub(super) const RINGS_AT: u64 = (PAGE + 2 * TABLE_BYTES) as u64;

pub(super) const FILE_MAGIC: [u8; 8] = *b"\x89RING\r\n\x1a";
pub(super) const VERSION: u32 = 1;
/// The bytes of the control page that never change.
pub(super) const FIXED_BYTES: usize = 64;
/// Where among them the id of the system's boot is.
pub(super) const BOOT_ID: std::ops::Range<usize> = 44..60;
pub(super) const RING_MAGIC: [u8; 4] = [0xB0, 0x0F, 0x52, 0x47];

pub(super) const TABLE_AT: u64 = 128;
pub(super) const RING_COUNT_AT: u64 = 136;
pub(super) const BATCH_AT: u64 = 256;
pub(super) const FIRST_SEQ_AT: u64 = 264;
pub(super) const GENERATION_AT: u64 = 272;
pub(super) const CLOCK_SET_AT: u64 = 384;
pub(super) const CLOCK_AT: u64 = 512;
pub(super) const CLOCK_STRIDE: u64 = 128;
pub(super) const DROPPED_AT: u64 = 768;

pub(super) const HEAD_AT: u64 = 128;
pub(super) const TAIL_AT: u64 = 256;
pub(super) const NEXT_TAIL_AT: u64 = 384;

/// The bit of the table word that says that table 1 counts.
pub(super) const SECOND_TABLE: u64 = 1 << 63;

/// The bit of the word of dropped records that says that some are in the queue, and nobody waits for them.
pub(super) const BY_QUEUE: u64 = 1 << 63;
/// The bit that says that the writer had records that it could not write, or a gap of them.
pub(super) const BEHIND: u64 = 1 << 62;
/// The bit that says that somebody is about to write the gap of dropped records.
pub(super) const SETTLING: u64 = 1 << 61;
/// All of them.
pub(super) const DROPPED_FLAGS: u64 = BY_QUEUE | BEHIND | SETTLING;
/// More records than this are dropped by no program.
pub(super) const DROPPED_MAX: u64 = 1 << 48;

/// A ring's `state`.
pub(super) const FREE: u32 = 0;
pub(super) const LIVE: u32 = 1;
pub(super) const CLOSED: u32 = 2;

/// What has cache lines of its own: two, for processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(super) struct Apart<T>(pub T);

/// The control page, mapped.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Control {
    fixed: Apart<[u8; FIXED_BYTES]>,
    pub growth: Apart<Growth>,
    pub batch: Apart<BatchWords>,
    pub clock_set: Apart<AtomicU64>,
    pub clocks: [Apart<[AtomicU64; 6]>; 2],
    /// Records that found no room, and of which no file tells yet.
    pub dropped: Apart<AtomicU64>,
}

/// How far table and rings go.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Growth {
    pub table: AtomicU64,
    pub rings: AtomicU32,
}

/// The batch that is being written.
#[derive(Debug)]
#[repr(C)]
pub(super) struct BatchWords {
    pub number: AtomicU64,
    pub first_seq: AtomicU64,
    pub generation: AtomicU32,
}

/// The header of a ring, mapped.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Positions {
    pub about: Apart<About>,
    pub head: Apart<AtomicU64>,
    pub tail: Apart<AtomicU64>,
    pub next_tail: Apart<AtomicU64>,
    pub room: Apart<Room>,
}

/// What a ring is.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct About {
    fixed: [u32; 3],
    pub state: AtomicU32,
}

/// How a producer waits for room.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Room {
    /// Counts what the producer was woken for.
    pub freed: Futex,
    /// 1 while the producer wants to be woken.
    pub wanted: AtomicU32,
}

#[cfg(not(all(test, loom)))]
const _: () = {
    use std::mem::{offset_of, size_of};
    let control = [
        (offset_of!(Control, growth.0.table), TABLE_AT),
        (offset_of!(Control, growth.0.rings), RING_COUNT_AT),
        (offset_of!(Control, batch.0.number), BATCH_AT),
        (offset_of!(Control, batch.0.first_seq), FIRST_SEQ_AT),
        (offset_of!(Control, batch.0.generation), GENERATION_AT),
        (offset_of!(Control, clock_set), CLOCK_SET_AT),
        (offset_of!(Control, clocks), CLOCK_AT),
        (offset_of!(Control, dropped), DROPPED_AT),
        (offset_of!(Positions, about.0.state), 12),
        (offset_of!(Positions, head), HEAD_AT),
        (offset_of!(Positions, tail), TAIL_AT),
        (offset_of!(Positions, next_tail), NEXT_TAIL_AT),
        (offset_of!(Positions, room), 512),
        (size_of::<Apart<[AtomicU64; 6]>>(), CLOCK_STRIDE),
    ];
    let mut at = 0;
    while at < control.len() {
        assert!(control[at].0 as u64 == control[at].1);
        at += 1;
    }
    assert!(size_of::<Control>() <= PAGE && size_of::<Positions>() <= PAGE);
};

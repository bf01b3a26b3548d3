//! In which order the frames of several rings come: the writer's order, and recovery's, which has to be the same.

use crate::frame::HEAD_BYTES;

/// What the next frames of the rings are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub generation: u32,
    pub ticks: u64,
    pub ring: u32,
}

impl Key {
    /// Of the frame with this head in this ring.
    #[inline]
    pub fn new(head: &[u8; HEAD_BYTES], ring: u32) -> Key {
        let [_, _, _, _, _, _, _, _, t0, t1, t2, t3, t4, t5, t6, t7, g0, g1, g2, g3, ..] = *head;
        Key {
            generation: u32::from_le_bytes([g0, g1, g2, g3]),
            ticks: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            ring,
        }
    }
}

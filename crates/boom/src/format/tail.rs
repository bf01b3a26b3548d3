//! The frames of the tail: what has been taken of a block that is still being filled.
//!
//! A frame adds to its block; all frames of a block together are the block. Run numbers and places of gaps count in the
//! whole block. Column bytes are as [`columns`](super::columns) writes them, but messages in order, differences of times
//! from 0, and the run column always present.

use logboom_record::{Kind, RunId};

use super::{
    BLOCK_RUNS_MAX, ColumnId, EndInBlock, GapInBlock,
    frame::FileId,
    input::{FormatError, Input, put_varint},
    parts::{
        put_checkpoint, put_ends, put_gaps, put_run_id, take_checkpoint, take_ends, take_gaps, take_many, take_run_id,
    },
};

/// How many bytes stand before the first slot: a page, of which the first are the boom file's header.
pub const TAIL_PAGE_BYTES: u64 = 4_096;
/// How many bytes a slot has.
pub const SLOT_BYTES: u64 = 4 << 20;
/// How many slots there are; block `n` is in slot `n % TAIL_SLOTS`.
pub const TAIL_SLOTS: u64 = 4;
/// How many bytes a tail frame's head has.
pub const TAIL_HEAD_BYTES: usize = 24;
/// What a tail frame starts with.
pub const TAIL_MAGIC: [u8; 4] = [0xb0, 0x0f, 0x7a, 0x11];
/// The columns a tail frame has, in the order of their lengths and bytes.
pub const TAIL_COLUMNS: [ColumnId; 7] = [
    ColumnId::Messages,
    ColumnId::Control,
    ColumnId::Time,
    ColumnId::Run,
    ColumnId::InnerNewlines,
    ColumnId::OriginTime,
    ColumnId::Fields,
];

/// Where the slot of a block starts.
pub const fn slot_offset(block: u64) -> u64 {
    TAIL_PAGE_BYTES + block % TAIL_SLOTS * SLOT_BYTES
}

/// The head of a tail frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailHead {
    /// The low 32 bits of the block's number.
    pub block: u32,
    /// The frame's number within the block, from 0.
    pub frame: u32,
    /// How many bytes its body has.
    pub body_bytes: u32,
    /// The checksum of the body.
    pub body_crc: u32,
}

impl TailHead {
    /// The head's bytes.
    pub fn encode(&self, id: &FileId) -> [u8; TAIL_HEAD_BYTES] {
        let mut out = [0; TAIL_HEAD_BYTES];
        out[..4].copy_from_slice(&TAIL_MAGIC);
        out[4..8].copy_from_slice(&self.block.to_le_bytes());
        out[8..12].copy_from_slice(&self.frame.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = id.crc(&out[..20]);
        out[20..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the head from the start of `bytes`.
    ///
    /// # Errors
    /// Whatever is no head of this file's tail.
    pub fn decode(bytes: &[u8], id: &FileId) -> Result<TailHead, FormatError> {
        const WHAT: &str = "tail frame head";
        let head: [u8; TAIL_HEAD_BYTES] = Input::new(WHAT, bytes).array()?;
        let mut input = Input::new(WHAT, &head);
        if input.array()? != TAIL_MAGIC {
            return Err(input.wrong());
        }
        if id.crc(&head[..20]).to_le_bytes() != head[20..] {
            return Err(FormatError::checksum(WHAT));
        }
        Ok(TailHead { block: input.u32()?, frame: input.u32()?, body_bytes: input.u32()?, body_crc: input.u32()? })
    }
}

/// A run that has its first entry of the block in this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// The run.
    pub id: RunId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The seq of that entry.
    pub first_seq: u64,
}

/// The meta section of a tail frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailMeta {
    /// The runs that this frame adds to the block's.
    pub runs: Vec<NewRun>,
    /// The gaps it adds.
    pub gaps: Vec<GapInBlock>,
    /// The ends it adds.
    pub ends: Vec<EndInBlock>,
    /// A checkpoint that replaces an earlier one.
    pub checkpoint: Option<Vec<u8>>,
    /// How many records it adds.
    pub records: u32,
    /// How many bytes it adds to each of [`TAIL_COLUMNS`].
    pub column_bytes: [usize; 7],
}

impl TailMeta {
    /// Appends the start of a tail frame's body: the length of the meta section and the section.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut meta = Vec::with_capacity(64);
        put_varint(&mut meta, self.runs.len() as u64);
        for run in &self.runs {
            put_run_id(&mut meta, run.id, run.kind);
            put_varint(&mut meta, run.first_seq);
        }
        put_gaps(&mut meta, &self.gaps);
        put_ends(&mut meta, &self.ends);
        put_checkpoint(&mut meta, self.checkpoint.as_deref());
        put_varint(&mut meta, u64::from(self.records));
        self.column_bytes.iter().for_each(|bytes| put_varint(&mut meta, *bytes as u64));
        put_varint(out, meta.len() as u64);
        out.extend_from_slice(&meta);
    }

    /// Reads the meta section from the start of a tail frame's body; also gives the column bytes that follow it.
    ///
    /// # Errors
    /// Whatever is not the body of a tail frame. Numbers that count in the whole block are the caller's to check.
    pub fn decode(body: &[u8]) -> Result<(TailMeta, &[u8]), FormatError> {
        const WHAT: &str = "tail frame";
        let mut body = Input::new(WHAT, body);
        let meta_len = body.number()?;
        let mut input = Input::new(WHAT, body.take(meta_len)?);
        let runs = take_many(&mut input, BLOCK_RUNS_MAX, |input| {
            let (id, kind) = take_run_id(input)?;
            let first_seq = input.varint()?;
            if first_seq == 0 { Err(input.wrong()) } else { Ok(NewRun { id, kind, first_seq }) }
        })?;
        let gaps = take_gaps(&mut input, BLOCK_RUNS_MAX)?;
        let ends = take_ends(&mut input, BLOCK_RUNS_MAX)?;
        let checkpoint = take_checkpoint(&mut input)?;
        let records = input.number()?;
        let mut column_bytes = [0; 7];
        for bytes in &mut column_bytes {
            *bytes = input.number()?;
        }
        input.finish()?;
        let sum = column_bytes.iter().try_fold(0usize, |sum, bytes| sum.checked_add(*bytes));
        if sum != Some(body.rest().len()) {
            return Err(FormatError::wrong(WHAT));
        }
        Ok((TailMeta { runs, gaps, ends, checkpoint, records, column_bytes }, body.rest()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parts::any;
    use super::*;
    use proptest::{
        collection::vec,
        prelude::{any as anything, *},
    };

    fn meta() -> impl Strategy<Value = TailMeta> {
        let run = (any::run_id(), 1..u64::MAX).prop_map(|((id, kind), first_seq)| NewRun { id, kind, first_seq });
        let parts = (vec(run, 0..4), any::gaps(256, 999), any::ends(256), any::checkpoint());
        (parts, anything::<u32>(), proptest::array::uniform7(0usize..99)).prop_map(
            |((runs, gaps, ends, checkpoint), records, column_bytes)| TailMeta {
                runs,
                gaps,
                ends,
                checkpoint,
                records,
                column_bytes,
            },
        )
    }

    proptest! {
        #[test]
        fn any_tail_frame_comes_back(meta in meta()) {
            let mut body = Vec::new();
            meta.encode(&mut body);
            body.resize(body.len() + meta.column_bytes.iter().sum::<usize>(), 7);
            let (back, columns) = TailMeta::decode(&body).unwrap();
            prop_assert!(columns.iter().all(|byte| *byte == 7));
            prop_assert_eq!(back, meta);
            prop_assert!(TailMeta::decode(&[&body[..], &[7]].concat()).is_err());
        }

        #[test]
        fn any_bytes_are_a_tail_frame_or_an_error(bytes in vec(anything::<u8>(), 0..200)) {
            let _ = TailMeta::decode(&bytes);
        }
    }

    #[test]
    fn tail_head_comes_back_and_any_flipped_byte_is_seen() {
        let id = FileId::new([9; 16]);
        let head = TailHead { block: 7, frame: 3, body_bytes: 99, body_crc: 5 };
        let bytes = head.encode(&id);
        assert_eq!(TailHead::decode(&bytes, &id), Ok(head));
        for at in 0..TAIL_HEAD_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert!(TailHead::decode(&flipped, &id).is_err(), "byte {at}");
        }
    }
}

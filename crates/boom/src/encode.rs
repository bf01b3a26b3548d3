//! Makes the bytes of a block from its columns: buckets, compression, checksums, grams.
//!
//! This is nearly all the work of writing a boom file, so it is done by threads of its own, a block at a time. What
//! depends on the block's place in the file (the frame head) is left to whoever appends it.

use logboom_record::Time;
use zstd::bulk::Compressor;

use crate::{
    bucket::Buckets,
    columns::Columns,
    filter::{GramBits, GramMap},
    format::{
        BlockFlags, BlockMeta, BlockSummary, ColumnId, ColumnMeta, FileId,
        columns::{put_origin_time, put_time},
        input::{Input, unzigzag_u128},
    },
};

/// Fewer bytes are not worth the compressor's call.
const COMPRESS_BYTES_MIN: usize = 32;

/// The bytes of a block's frame, all but its head.
#[derive(Default)]
pub(crate) struct EncodedBlock {
    pub(crate) meta: Vec<u8>,
    pub(crate) columns: Vec<u8>,
    pub(crate) meta_crc: u32,
    pub(crate) columns_crc: u32,
    /// What the index will say of the block; its offset is not known yet.
    pub(crate) summary: Option<BlockSummary>,
    pub(crate) grams: Option<GramBits>,
    /// How many records the gaps of the block tell of.
    pub(crate) lost: u64,
}

/// Encodes block after block; keeps its memory.
pub(crate) struct Encoder {
    id: FileId,
    compressor: Option<Compressor<'static>>,
    buckets: Buckets,
    grams: GramMap,
    packed: Vec<u8>,
}

impl Encoder {
    /// An encoder of blocks of the file `id`. Where the compressor cannot be had, columns are stored raw.
    pub(crate) fn new(id: FileId, compression_level: i32) -> Encoder {
        let (buckets, grams) = (Buckets::default(), GramMap::default());
        Encoder { id, compressor: Compressor::new(compression_level).ok(), buckets, grams, packed: Vec::new() }
    }

    /// The bytes of block `number`.
    pub(crate) fn encode(&mut self, number: u64, block: &Columns) -> EncodedBlock {
        let (compressor, packed) = (self.compressor.as_mut(), &mut self.packed);
        let mut columns = Packer { compressor, packed, metas: Vec::new(), bytes: Vec::new() };
        let (time_min, time_max) = block.times();
        let text = self.buckets.sort(&block.messages, &block.message_ends);
        self.grams.clear();
        self.grams.add_block(text, block);
        columns.add(ColumnId::Messages, text);
        columns.add(ColumnId::Buckets, &self.buckets.of_record);
        columns.add(ColumnId::Control, &block.control);
        columns.add(ColumnId::Time, &rebased_times(&block.time, time_min));
        if block.runs.len() > 1 {
            columns.add(ColumnId::Run, &block.run);
        }
        columns.add(ColumnId::InnerNewlines, &block.inner_newlines);
        columns.add(ColumnId::OriginTime, &rebased_origin_times(block, time_min));
        columns.add(ColumnId::Fields, &block.fields);
        let (metas, columns) = (columns.metas, columns.bytes);
        let meta = BlockMeta {
            number,
            flags: flags(block),
            time_min,
            time_max,
            runs: block.runs.clone(),
            gaps: block.gaps.clone(),
            ends: block.ends.clone(),
            checkpoint: block.checkpoint.clone(),
            records: block.records() as u32,
            buckets: self.buckets.records.clone(),
            columns: metas,
        };
        self.finish(meta, columns, block.lost())
    }

    fn finish(&mut self, block: BlockMeta, columns: Vec<u8>, lost: u64) -> EncodedBlock {
        let mut meta = Vec::with_capacity(256);
        block.encode(&mut meta);
        EncodedBlock {
            meta_crc: self.id.crc(&meta),
            columns_crc: self.id.crc(&columns),
            summary: Some(BlockSummary {
                offset: 0,
                body_bytes: (meta.len() + columns.len()) as u32,
                number: block.number,
                flags: block.flags,
                time_min: block.time_min,
                time_max: block.time_max,
                records: block.records,
                runs: block.runs,
                gaps: block.gaps,
                ends: block.ends,
            }),
            grams: Some(self.grams.bits()),
            meta,
            columns,
            lost,
        }
    }
}

fn flags(block: &Columns) -> BlockFlags {
    match block.checkpoint {
        Some(_) => block.flags.with(BlockFlags::CHECKPOINT),
        None => block.flags,
    }
}

/// The columns of a block so far.
struct Packer<'a> {
    compressor: Option<&'a mut Compressor<'static>>,
    packed: &'a mut Vec<u8>,
    metas: Vec<ColumnMeta>,
    bytes: Vec<u8>,
}

impl Packer<'_> {
    /// Adds a column, compressed where that makes it smaller; an empty one is left out.
    fn add(&mut self, id: ColumnId, raw: &[u8]) {
        if raw.is_empty() {
            return;
        }
        let packed = self.compress(raw);
        let compressed = packed.is_some();
        let stored_bytes = packed.unwrap_or(raw.len());
        self.metas.push(ColumnMeta { id, compressed, raw_bytes: raw.len(), stored_bytes });
        self.bytes.extend_from_slice(if compressed { self.packed } else { raw });
    }

    /// Leaves the compressed column in `packed`; gives its length if it is smaller than the raw one.
    fn compress(&mut self, raw: &[u8]) -> Option<usize> {
        if raw.len() < COMPRESS_BYTES_MIN {
            return None;
        }
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        let bytes = self.compressor.as_mut()?.compress_to_buffer(raw, self.packed).ok()?;
        (bytes < raw.len()).then_some(bytes)
    }
}

/// The time column with its first difference taken from time_min instead of 0.
fn rebased_times(column: &[u8], time_min: Time) -> Vec<u8> {
    let mut input = Input::new("time column", column);
    let Ok(first) = input.time() else { return Vec::new() };
    let mut out = Vec::with_capacity(column.len());
    put_time(&mut out, time_min, first);
    out.extend_from_slice(input.rest());
    out
}

/// The origin time column with its first difference taken from time_min instead of 0.
fn rebased_origin_times(block: &Columns, time_min: Time) -> Vec<u8> {
    let Some((none_yet, rest)) = block.origin_time.split_at_checked(block.origin_time_first) else { return Vec::new() };
    let mut input = Input::new("origin time column", rest);
    let Some(packed) = input.varint_u128().ok().and_then(|packed| packed.checked_sub(1)) else { return Vec::new() };
    let first = unzigzag_u128(packed);
    let mut out = none_yet.to_vec();
    put_origin_time(&mut out, i128::from(time_min.as_micros()) * 1_000, i64::try_from(first).ok());
    out.extend_from_slice(input.rest());
    out
}

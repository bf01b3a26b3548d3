//! The body of an index frame: what up to 32 blocks hold, and a filter over their lines.
//!
//! Filters are megabytes, and a search asks for a few rows: so the filter comes in pages with a checksum each, and only
//! the meta section is read when a file is opened.

use logboom_record::{Kind, RunId, Time};
use zstd::bulk::Decompressor;

use super::{
    BLOCK_RECORDS_MAX, BLOCK_RUNS_MAX, BlockFlags, EndInBlock, GROUP_BLOCKS, GapInBlock, RunInBlock,
    frame::FileId,
    input::{FormatError, Input, put_varint},
    parts::{
        put_counts, put_ends, put_gaps, put_run_id, put_times, take_counts, take_ends, take_gaps, take_many,
        take_run_id, take_times,
    },
};

const WHAT: &str = "index";
/// What a meta section may have unpacked: 32 blocks of 256 runs, 512 gaps with their reasons and 512 ends have less.
const META_BYTES_MAX: usize = 8 << 20;
/// How many bytes a run, a gap and an end have at least in a block's meta section.
const PART_BYTES_MIN: [usize; 3] = [25, 6, 5];
/// The most rows a filter may have, as a power of two.
pub const ROWS_LOG2_MAX: u32 = 18;
/// The fewest.
pub const ROWS_LOG2_MIN: u32 = 9;
/// How many rows a page of the filter has.
pub const PAGE_ROWS: usize = 512;
/// How many bytes a page of the filter has: its rows of 4 bytes each, and its checksum.
pub const PAGE_BYTES: usize = PAGE_ROWS * 4 + 4;

/// What the index knows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Where the block's frame starts.
    pub offset: u64,
    /// How many bytes its body has.
    pub body_bytes: u32,
    /// 0, 1, … in the file.
    pub number: u64,
    /// What is special about the block.
    pub flags: BlockFlags,
    /// The earliest time of any record or gap.
    pub time_min: Time,
    /// The latest.
    pub time_max: Time,
    /// How many records it has.
    pub records: u32,
    /// The runs that have something there.
    pub runs: Vec<RunInBlock>,
    /// What is lost, in the order of the places; run numbers count in `runs`.
    pub gaps: Vec<GapInBlock>,
    /// The runs that ended there; run numbers count in `runs`.
    pub ends: Vec<EndInBlock>,
}

/// The meta section of an index frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexMeta {
    /// The blocks since the last index frame.
    pub blocks: Vec<BlockSummary>,
    /// The number of the filter's rows as a power of two; `None`: there is no filter.
    pub rows_log2: Option<u32>,
}

impl IndexMeta {
    /// Appends the meta section, compressed where that makes it smaller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let meta = self.encode_meta();
        let packed = zstd::bulk::compress(&meta, 1).ok().filter(|packed| packed.len() < meta.len());
        out.push(u8::from(packed.is_some()));
        if packed.is_some() {
            put_varint(out, meta.len() as u64);
        }
        out.extend_from_slice(packed.as_ref().unwrap_or(&meta));
    }

    fn encode_meta(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut runs: Vec<(RunId, Kind)> = self.blocks.iter().flat_map(|b| &b.runs).map(|r| (r.id, r.kind)).collect();
        runs.sort_by_key(|(id, kind)| (*id, *kind as u8));
        runs.dedup();
        put_varint(&mut out, runs.len() as u64);
        runs.iter().for_each(|(id, kind)| put_run_id(&mut out, *id, *kind));
        put_varint(&mut out, self.blocks.len() as u64);
        let mut last = 0;
        for block in &self.blocks {
            put_varint(&mut out, block.offset - last);
            last = block.offset;
            put_block(&mut out, block, &runs);
        }
        put_varint(&mut out, self.rows_log2.map_or(0, u64::from));
        out
    }

    /// Reads the meta section, with a decompressor for many sections.
    ///
    /// # Errors
    /// Whatever contradicts itself, and what no group of blocks can be.
    pub fn decode(section: &[u8], decompressor: &mut Decompressor<'_>) -> Result<IndexMeta, FormatError> {
        IndexMeta::decode_meta(&unpack(section, decompressor)?)
    }

    fn decode_meta(meta: &[u8]) -> Result<IndexMeta, FormatError> {
        let mut input = Input::new(WHAT, meta);
        let runs = take_many(&mut input, GROUP_BLOCKS * BLOCK_RUNS_MAX, take_run_id)?;
        let mut last = 0;
        let blocks = take_many(&mut input, GROUP_BLOCKS, |input| {
            last = input.varint()?.checked_add(last).ok_or(input.wrong())?;
            take_block(input, last, &runs)
        })?;
        let rows_log2 = match input.varint()? {
            0 => None,
            log2 @ 9..=18 => Some(log2 as u32),
            _ => return Err(input.wrong()),
        };
        input.finish()?;
        Ok(IndexMeta { blocks, rows_log2 })
    }

    /// How many bytes the filter has, with the checksums of its pages.
    pub fn filter_bytes(&self) -> usize {
        self.rows_log2.map_or(0, |log2| (1 << log2) / PAGE_ROWS * PAGE_BYTES)
    }
}

/// Appends a filter of a multiple of [`PAGE_ROWS`] rows as pages.
pub fn put_filter(rows: &[u32], id: &FileId, out: &mut Vec<u8>) {
    for page in rows.chunks(PAGE_ROWS) {
        let start = out.len();
        page.iter().for_each(|row| out.extend_from_slice(&row.to_le_bytes()));
        let crc = id.crc(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }
}

/// Reads the rows of one page of a filter.
///
/// # Errors
/// A wrong length or checksum.
pub fn decode_page(page: &[u8], id: &FileId) -> Result<[u32; PAGE_ROWS], FormatError> {
    let (rows, crc) = page.split_last_chunk().ok_or(FormatError::short("filter page"))?;
    if page.len() != PAGE_BYTES || id.crc(rows).to_le_bytes() != *crc {
        return Err(FormatError::checksum("filter page"));
    }
    let mut input = Input::new("filter page", rows);
    let mut out = [0; PAGE_ROWS];
    for row in &mut out {
        *row = input.u32()?;
    }
    Ok(out)
}

fn unpack(section: &[u8], decompressor: &mut Decompressor<'_>) -> Result<Vec<u8>, FormatError> {
    let mut input = Input::new(WHAT, section);
    match input.u8()? {
        0 => Ok(input.rest().to_vec()),
        1 => {
            let raw_bytes: usize = input.number()?;
            if raw_bytes > META_BYTES_MAX {
                return Err(input.wrong());
            }
            decompressor.decompress(input.rest(), raw_bytes).map_err(|_| input.wrong())
        }
        _ => Err(input.wrong()),
    }
}

fn put_block(out: &mut Vec<u8>, block: &BlockSummary, runs: &[(RunId, Kind)]) {
    put_varint(out, u64::from(block.body_bytes));
    put_varint(out, block.number);
    put_varint(out, block.flags.bits());
    put_times(out, block.time_min, block.time_max);
    put_varint(out, u64::from(block.records));
    put_varint(out, block.runs.len() as u64);
    for run in &block.runs {
        let key = (run.id, run.kind as u8);
        let number = runs.partition_point(|(id, kind)| (*id, *kind as u8) < key);
        put_varint(out, number as u64);
        put_counts(out, run);
    }
    put_gaps(out, &block.gaps);
    put_ends(out, &block.ends);
}

fn take_block(input: &mut Input, offset: u64, runs: &[(RunId, Kind)]) -> Result<BlockSummary, FormatError> {
    let (body_bytes, number, flags) = (input.number()?, input.varint()?, BlockFlags::from_bits(input.varint()?));
    let (time_min, time_max) = take_times(input)?;
    let records = input.number()?;
    let runs = take_many(input, BLOCK_RUNS_MAX, |input| {
        let run = *runs.get(input.number::<usize>()?).ok_or(input.wrong())?;
        take_counts(input, run)
    })?;
    let (gaps, ends) = (take_gaps(input, runs.len())?, take_ends(input, runs.len())?);
    let block = BlockSummary { offset, body_bytes, number, flags, time_min, time_max, records, runs, gaps, ends };
    if block.is_possible() { Ok(block) } else { Err(input.wrong()) }
}

impl BlockSummary {
    /// Whether a block can be so, and its body have all that: what an index says takes no more memory than the file it
    /// tells of has bytes, give or take.
    fn is_possible(&self) -> bool {
        let in_runs = self.runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.records));
        let whys: usize = self.gaps.iter().map(|gap| gap.why.len()).sum();
        let parts = [self.runs.len(), self.gaps.len(), self.ends.len()].into_iter().zip(PART_BYTES_MIN);
        in_runs == Some(u64::from(self.records))
            && self.records as usize <= BLOCK_RECORDS_MAX
            && parts.map(|(count, bytes)| count * bytes).sum::<usize>() + whys <= self.body_bytes as usize
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

    fn block() -> impl Strategy<Value = BlockSummary> {
        vec(any::run_in_block(), 1..4).prop_flat_map(|runs| {
            let records = runs.iter().map(|run| run.records as u32).sum();
            let numbers = (anything::<u64>(), anything::<u32>(), 0u64..8);
            let count = runs.len() as u32;
            let parts = (any::gaps(count, records), any::ends(count));
            (parts, any::time(), any::time(), numbers, Just(runs)).prop_map(
                move |((gaps, ends), time_min, time_max, (number, body_bytes, flags), runs)| BlockSummary {
                    offset: 0,
                    body_bytes: body_bytes | 1 << 16,
                    number,
                    flags: BlockFlags::from_bits(flags),
                    time_min,
                    time_max,
                    records,
                    runs,
                    gaps,
                    ends,
                },
            )
        })
    }

    fn decode(section: &[u8]) -> Result<IndexMeta, FormatError> {
        IndexMeta::decode(section, &mut Decompressor::default())
    }

    fn index() -> impl Strategy<Value = IndexMeta> {
        (vec((block(), 1u64..1 << 40), 0..5), proptest::option::of(9u32..=18)).prop_map(|(blocks, rows_log2)| {
            let mut offset = 0;
            let at = |(block, step)| {
                offset += step;
                BlockSummary { offset, ..block }
            };
            let blocks = blocks.into_iter().map(at).collect();
            IndexMeta { blocks, rows_log2 }
        })
    }

    proptest! {
        #[test]
        fn any_index_comes_back(meta in index()) {
            let mut section = Vec::new();
            meta.encode(&mut section);
            prop_assert_eq!(decode(&section), Ok(meta));
            prop_assert!(decode(&section[..section.len() - 1]).is_err());
        }

        #[test]
        fn any_bytes_are_an_index_or_an_error(bytes in vec(anything::<u8>(), 0..200)) {
            let _ = IndexMeta::decode_meta(&bytes);
            let _ = decode(&bytes);
        }

        #[test]
        fn filter_pages_come_back(rows in vec(anything::<u32>(), PAGE_ROWS * 2)) {
            let (id, mut out) = (FileId::new([3; 16]), Vec::new());
            put_filter(&rows, &id, &mut out);
            let pages: Vec<_> = out.chunks(PAGE_BYTES).flat_map(|page| decode_page(page, &id).unwrap()).collect();
            prop_assert_eq!(pages, rows);
            out[7] ^= 1;
            prop_assert!(decode_page(&out[..PAGE_BYTES], &id).is_err());
        }
    }
}

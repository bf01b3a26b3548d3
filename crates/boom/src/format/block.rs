//! The meta section of a block: all it says but the columns.

use logboom_record::Time;

use super::{
    BLOCK_RECORDS_MAX, BLOCK_RUNS_MAX, BUCKETS_MAX, COLUMN_BYTES_MAX,
    input::{FormatError, Input, put_varint},
    parts::{
        EndInBlock, GapInBlock, RunInBlock, put_checkpoint, put_ends, put_gaps, put_run, put_times, take_checkpoint,
        take_ends, take_gaps, take_many, take_run, take_times,
    },
};

const WHAT: &str = "block meta";

/// What a reader should know of a block before it reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockFlags(u64);

impl BlockFlags {
    /// Nothing special.
    pub const NONE: BlockFlags = BlockFlags(0);
    /// Some message holds ESC.
    pub const ANSI: BlockFlags = BlockFlags(1);
    /// The first record of some stream goes on with a line of an earlier block.
    pub const JOINS_EARLIER: BlockFlags = BlockFlags(2);
    /// Some line goes on in a later block.
    pub const JOINS_LATER: BlockFlags = BlockFlags(4);
    /// The block has a checkpoint.
    pub const CHECKPOINT: BlockFlags = BlockFlags(8);

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: BlockFlags) -> BlockFlags {
        BlockFlags(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: BlockFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some line is not whole in this block.
    pub const fn joins(self) -> bool {
        self.0 & (Self::JOINS_EARLIER.0 | Self::JOINS_LATER.0) != 0
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn from_bits(bits: u64) -> BlockFlags {
        BlockFlags(bits)
    }
}

/// Which column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ColumnId {
    /// The messages, each with LF.
    Messages = 0,
    /// The bucket of each record.
    Buckets = 1,
    /// Stream, level and flags.
    Control = 2,
    /// Time.
    Time = 3,
    /// Run.
    Run = 4,
    /// LFs inside messages.
    InnerNewlines = 5,
    /// What the origin stamped.
    OriginTime = 6,
    /// Fields as JSON text, each with LF.
    Fields = 7,
}

impl ColumnId {
    /// Every column, in the order of its number.
    pub const ALL: [ColumnId; 8] = [
        ColumnId::Messages,
        ColumnId::Buckets,
        ColumnId::Control,
        ColumnId::Time,
        ColumnId::Run,
        ColumnId::InnerNewlines,
        ColumnId::OriginTime,
        ColumnId::Fields,
    ];
}

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnMeta {
    /// Which column.
    pub id: ColumnId,
    /// Whether the stored bytes are zstd, or the raw ones.
    pub compressed: bool,
    /// How many bytes the column has; at most [`COLUMN_BYTES_MAX`].
    pub raw_bytes: usize,
    /// How many bytes are stored.
    pub stored_bytes: usize,
}

/// The meta section of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockMeta {
    /// 0, 1, … in the file.
    pub number: u64,
    /// What is special about the block.
    pub flags: BlockFlags,
    /// The earliest time of any record or gap.
    pub time_min: Time,
    /// The latest.
    pub time_max: Time,
    /// The runs that have something here.
    pub runs: Vec<RunInBlock>,
    /// What is lost, in the order of the places.
    pub gaps: Vec<GapInBlock>,
    /// The runs that ended.
    pub ends: Vec<EndInBlock>,
    /// What the writer wants to find again; the latest of the file counts.
    pub checkpoint: Option<Vec<u8>>,
    /// How many records the block has.
    pub records: u32,
    /// How many records each bucket has; with fewer than two, messages are in the order of the records.
    pub buckets: Vec<u32>,
    /// The columns in the order in which their bytes follow the meta section.
    pub columns: Vec<ColumnMeta>,
}

impl BlockMeta {
    /// Appends the meta section.
    pub fn encode(&self, meta: &mut Vec<u8>) {
        put_varint(meta, self.number);
        put_varint(meta, self.flags.bits());
        put_times(meta, self.time_min, self.time_max);
        put_varint(meta, self.runs.len() as u64);
        self.runs.iter().for_each(|run| put_run(meta, run));
        put_gaps(meta, &self.gaps);
        put_ends(meta, &self.ends);
        put_checkpoint(meta, self.checkpoint.as_deref());
        put_varint(meta, u64::from(self.records));
        put_varint(meta, self.buckets.len() as u64);
        self.buckets.iter().for_each(|lines| put_varint(meta, u64::from(*lines)));
        put_varint(meta, self.columns.len() as u64);
        for column in &self.columns {
            put_varint(meta, column.id as u64);
            put_varint(meta, u64::from(column.compressed));
            put_varint(meta, column.raw_bytes as u64);
            put_varint(meta, column.stored_bytes as u64);
        }
    }

    /// Reads the meta section of a block whose columns have `column_bytes` bytes in all.
    ///
    /// # Errors
    /// Whatever contradicts itself: run numbers, places of gaps, counts of buckets, lengths of columns.
    pub fn decode(meta: &[u8], column_bytes: usize) -> Result<BlockMeta, FormatError> {
        let mut input = Input::new(WHAT, meta);
        let (number, flags) = (input.varint()?, BlockFlags::from_bits(input.varint()?));
        let (time_min, time_max) = take_times(&mut input)?;
        let runs = take_many(&mut input, BLOCK_RUNS_MAX, take_run)?;
        let gaps = take_gaps(&mut input, runs.len())?;
        let ends = take_ends(&mut input, runs.len())?;
        let checkpoint = take_checkpoint(&mut input)?;
        let records = input.number()?;
        let buckets = take_many(&mut input, BUCKETS_MAX, |input| input.number())?;
        let columns = take_many(&mut input, ColumnId::ALL.len(), take_column)?;
        input.finish()?;
        let meta =
            BlockMeta { number, flags, time_min, time_max, runs, gaps, ends, checkpoint, records, buckets, columns };
        meta.check(column_bytes)?;
        Ok(meta)
    }

    fn check(&self, column_bytes: usize) -> Result<(), FormatError> {
        let stored = self.columns.iter().map(|column| column.stored_bytes);
        let in_runs = self.runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.records));
        let in_buckets: u64 = self.buckets.iter().map(|lines| u64::from(*lines)).sum();
        let records = u64::from(self.records);
        let good = stored.sum::<usize>() == column_bytes
            && self.columns.is_sorted_by(|a, b| a.id < b.id)
            && in_runs == Some(records)
            && records <= BLOCK_RECORDS_MAX as u64
            && (self.buckets.len() < 2 || in_buckets == records)
            && self.gaps.is_sorted_by_key(|gap| gap.at)
            && self.gaps.last().is_none_or(|gap| gap.at <= self.records);
        if good { Ok(()) } else { Err(FormatError::wrong(WHAT)) }
    }
}

fn take_column(input: &mut Input) -> Result<ColumnMeta, FormatError> {
    let id = *ColumnId::ALL.get(input.number::<usize>()?).ok_or(input.wrong())?;
    let compressed = input.varint()?;
    let (raw_bytes, stored_bytes) = (input.number()?, input.number()?);
    let fits = raw_bytes <= COLUMN_BYTES_MAX && stored_bytes <= COLUMN_BYTES_MAX;
    if !fits || compressed > 1 || (compressed == 0 && raw_bytes != stored_bytes) {
        return Err(input.wrong());
    }
    Ok(ColumnMeta { id, compressed: compressed == 1, raw_bytes, stored_bytes })
}

#[cfg(test)]
mod tests {
    use super::super::parts::any;
    use super::*;
    use proptest::{
        collection::vec,
        prelude::{any as anything, *},
    };

    fn meta() -> impl Strategy<Value = BlockMeta> {
        vec(any::run_in_block(), 1..4).prop_flat_map(|runs| {
            let records: u64 = runs.iter().map(|run| run.records).sum();
            let (count, records) = (runs.len() as u32, records as u32);
            let columns = vec((anything::<bool>(), 0usize..9_999, 0usize..9_999), 0..8);
            let rest = (any::ends(count), any::checkpoint(), anything::<u64>(), 0u64..16, columns);
            (Just(runs), any::gaps(count, records), any::time(), any::time(), rest).prop_map(
                move |(runs, gaps, time_min, time_max, (ends, checkpoint, number, flags, columns))| BlockMeta {
                    number,
                    flags: BlockFlags(flags),
                    time_min,
                    time_max,
                    runs,
                    gaps,
                    ends,
                    checkpoint,
                    records,
                    buckets: if flags & 1 == 1 { vec![records / 2, records - records / 2] } else { Vec::new() },
                    columns: columns
                        .into_iter()
                        .zip(ColumnId::ALL)
                        .map(|((compressed, raw_bytes, stored), id)| {
                            let stored_bytes = if compressed { stored } else { raw_bytes };
                            ColumnMeta { id, compressed, raw_bytes, stored_bytes }
                        })
                        .collect(),
                },
            )
        })
    }

    fn encoded(meta: &BlockMeta) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        meta.encode(&mut out);
        (out, meta.columns.iter().map(|column| column.stored_bytes).sum())
    }

    proptest! {
        #[test]
        fn any_meta_comes_back(meta in meta()) {
            let (bytes, column_bytes) = encoded(&meta);
            prop_assert!(BlockMeta::decode(&bytes, column_bytes + 1).is_err());
            prop_assert_eq!(BlockMeta::decode(&bytes, column_bytes), Ok(meta));
        }

        #[test]
        fn a_meta_that_is_cut_off_is_refused(meta in meta(), part in 0.0..1.0f64) {
            let (bytes, column_bytes) = encoded(&meta);
            prop_assert!(BlockMeta::decode(&bytes[..(bytes.len() as f64 * part) as usize], column_bytes).is_err());
        }

        #[test]
        fn any_bytes_are_a_meta_or_an_error(bytes in vec(anything::<u8>(), 0..200)) {
            let _ = BlockMeta::decode(&bytes, 0);
        }
    }
}

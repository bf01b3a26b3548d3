//! The columns of a block beside its messages, decoded: what each record has besides its text.

use logboom_record::{Flags, Level, Stream, Time};

use crate::format::{BlockMeta, FormatError, columns};

/// The raw bytes of the columns; empty where a column is absent.
#[derive(Debug, Default)]
pub(super) struct RawColumns {
    pub(super) buckets: Vec<u8>,
    pub(super) control: Vec<u8>,
    pub(super) time: Vec<u8>,
    pub(super) run: Vec<u8>,
    pub(super) newlines: Vec<u8>,
    pub(super) origin: Vec<u8>,
    pub(super) fields: Vec<u8>,
}

/// What each record has, in the order of the records.
#[derive(Debug, Default)]
pub(super) struct Cells {
    control: Vec<u8>,
    times: Vec<Time>,
    /// Empty with one run.
    runs: Vec<u8>,
    /// Empty with one run and no gap: then they count on from `first_seq`.
    seqs: Vec<u64>,
    first_seq: u64,
    /// Empty where no record has one.
    origins: Vec<Option<i64>>,
    /// Empty where no record has any; else where each record's start, and the end.
    field_starts: Vec<u32>,
    fields: String,
}

impl Cells {
    /// Decodes the columns of the block `meta` tells of, whose times start from `base`.
    pub(super) fn decode(&mut self, raw: &mut RawColumns, meta: &BlockMeta, base: Time) -> Result<(), FormatError> {
        let records = meta.records as usize;
        self.control.clone_from(&raw.control);
        let known = |byte: &u8| columns::decode_control(*byte).is_ok();
        if self.control.len() != records || !self.control.iter().all(known) {
            return Err(FormatError::wrong("control column"));
        }
        columns::decode_times(&raw.time, base, records, &mut self.times)?;
        self.runs.clear();
        if !raw.run.is_empty() {
            columns::decode_runs(&raw.run, meta.runs.len(), records, &mut self.runs)?;
        } else if records > 0 && meta.runs.len() != 1 {
            return Err(FormatError::short("run column"));
        }
        self.origins.clear();
        if !raw.origin.is_empty() {
            let base = i128::from(base.as_micros()) * 1_000;
            columns::decode_origin_times(&raw.origin, base, records, &mut self.origins)?;
        }
        self.cut_fields(&mut raw.fields, records)?;
        self.count_seqs(meta)
    }

    /// The seq of a record, which must be one of the block's; so it is with every function below.
    pub(super) fn seq(&self, record: usize) -> u64 {
        self.seqs.get(record).copied().unwrap_or(self.first_seq.saturating_add(record as u64))
    }

    pub(super) fn time(&self, record: usize) -> Time {
        self.times[record]
    }

    /// The index into the block's runs.
    pub(super) fn run(&self, record: usize) -> usize {
        self.runs.get(record).map_or(0, |run| usize::from(*run))
    }

    pub(super) fn control(&self, record: usize) -> (Stream, Level, Flags) {
        // Checked when it was decoded.
        columns::decode_control(self.control[record]).unwrap_or((Stream::System, Level::Info, Flags::NONE))
    }

    pub(super) fn origin_time_ns(&self, record: usize) -> Option<i64> {
        self.origins.get(record).copied().flatten()
    }

    pub(super) fn fields(&self, record: usize) -> Option<&str> {
        let (start, end) = (self.field_starts.get(record)?, self.field_starts.get(record + 1)?);
        self.fields.get(*start as usize..*end as usize - 1).filter(|fields| !fields.is_empty())
    }

    /// The memory of the last block's fields, for the raw bytes of the next one's.
    pub(super) fn take_field_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.fields).into_bytes()
    }

    fn cut_fields(&mut self, raw: &mut Vec<u8>, records: usize) -> Result<(), FormatError> {
        const WRONG: FormatError = FormatError::wrong("fields column");
        self.field_starts.clear();
        if raw.is_empty() {
            return Ok(());
        }
        self.fields = String::from_utf8(std::mem::take(raw)).map_err(|_| WRONG)?;
        self.field_starts.push(0);
        let newlines = memchr::memchr_iter(b'\n', self.fields.as_bytes());
        self.field_starts.extend(newlines.map(|at| at as u32 + 1));
        let end = u32::try_from(self.fields.len()).ok();
        let whole = self.field_starts.len() == records + 1 && self.field_starts.last().copied() == end;
        if whole { Ok(()) } else { Err(WRONG) }
    }

    /// Counts every run's seqs on, over the gaps at their places.
    fn count_seqs(&mut self, meta: &BlockMeta) -> Result<(), FormatError> {
        self.seqs.clear();
        self.first_seq = meta.runs.first().map_or(0, |run| run.first_seq);
        if meta.runs.len() == 1 && meta.gaps.is_empty() {
            return Ok(());
        }
        let mut next: Vec<u64> = meta.runs.iter().map(|run| run.first_seq).collect();
        let mut gaps = meta.gaps.iter().peekable();
        for record in 0..=meta.records {
            while let Some(gap) = gaps.next_if(|gap| gap.at == record) {
                let seq = &mut next[gap.run as usize];
                if gap.from > *seq {
                    return Err(FormatError::wrong("place of a gap"));
                }
                // One of earlier seqs tells of a block that was lost after it had been written: nothing here moves.
                if gap.from == *seq {
                    *seq = gap.to.map_or(gap.from, |to| to.saturating_add(1));
                }
            }
            if record < meta.records {
                let seq = &mut next[self.run(record as usize)];
                self.seqs.push(*seq);
                *seq = seq.saturating_add(1);
            }
        }
        Ok(())
    }
}

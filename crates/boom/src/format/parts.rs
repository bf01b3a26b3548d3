//! What blocks, index, footer and tail have in common: runs, gaps, ends and checkpoints.

use logboom_record::{Kind, Outcome, RunEnd, RunId, Time};

use super::{
    BLOCK_GAPS_MAX, CHECKPOINT_BYTES_MAX, WHY_BYTES_MAX,
    input::{FormatError, Input, put_varint, put_zigzag},
};

/// What a block holds of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInBlock {
    /// The run.
    pub id: RunId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The seq that the run's first entry in this block has, be it a record or a gap.
    pub first_seq: u64,
    /// How many records of the run the block has.
    pub records: u64,
    /// How many of them end a line (are not continued).
    pub lines: u64,
    /// How many records there are of each level, trace first.
    pub levels: [u64; 5],
}

/// A gap in its place in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapInBlock {
    /// The gap stands before the record of this index in the block, or at the block's end.
    pub at: u32,
    /// Index into the block's runs.
    pub run: u32,
    /// The seq of the first lost record.
    pub from: u64,
    /// The seq of the last, where it is known.
    pub to: Option<u64>,
    /// When the loss was noted.
    pub time: Time,
    /// Why.
    pub why: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndInBlock {
    /// Index into the block's runs.
    pub run: u32,
    /// How and when the run ended.
    pub end: RunEnd,
}

/// Reads a count, at most `max`, and as many things.
pub(super) fn take_many<'a, T>(
    input: &mut Input<'a>,
    max: usize,
    mut take: impl FnMut(&mut Input<'a>) -> Result<T, FormatError>,
) -> Result<Vec<T>, FormatError> {
    let count = input.count()?;
    if count > max {
        return Err(input.wrong());
    }
    (0..count).map(|_| take(input)).collect()
}

pub(super) fn put_times(out: &mut Vec<u8>, min: Time, max: Time) {
    put_zigzag(out, min.as_micros());
    put_zigzag(out, max.as_micros() - min.as_micros());
}

pub(super) fn take_times(input: &mut Input) -> Result<(Time, Time), FormatError> {
    let min = input.time()?;
    let max = min.as_micros().checked_add(input.zigzag()?).ok_or(input.wrong())?;
    Ok((min, Time::from_micros(max)))
}

pub(super) fn put_run_id(out: &mut Vec<u8>, id: RunId, kind: Kind) {
    out.extend_from_slice(id.as_bytes());
    out.push(kind as u8);
}

pub(super) fn take_run_id(input: &mut Input) -> Result<(RunId, Kind), FormatError> {
    let id = RunId::from_bytes(input.array()?);
    let kind = Kind::from_u8(input.u8()?).ok_or(input.wrong())?;
    Ok((id, kind))
}

pub(super) fn put_counts(out: &mut Vec<u8>, run: &RunInBlock) {
    put_varint(out, run.first_seq);
    put_varint(out, run.records);
    put_varint(out, run.lines);
    run.levels.iter().for_each(|count| put_varint(out, *count));
}

/// Reads the counts of a run that is already known.
pub(super) fn take_counts(input: &mut Input, (id, kind): (RunId, Kind)) -> Result<RunInBlock, FormatError> {
    let (first_seq, records, lines) = (input.varint()?, input.varint()?, input.varint()?);
    let mut levels = [0; 5];
    for count in &mut levels {
        *count = input.varint()?;
    }
    let last = first_seq.checked_add(records);
    let sum = levels.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
    if first_seq == 0 || last.is_none() || sum != Some(records) || lines > records {
        return Err(input.wrong());
    }
    Ok(RunInBlock { id, kind, first_seq, records, lines, levels })
}

pub(super) fn put_run(out: &mut Vec<u8>, run: &RunInBlock) {
    put_run_id(out, run.id, run.kind);
    put_counts(out, run);
}

pub(super) fn take_run(input: &mut Input) -> Result<RunInBlock, FormatError> {
    let id = take_run_id(input)?;
    take_counts(input, id)
}

pub(super) fn put_gaps(out: &mut Vec<u8>, gaps: &[GapInBlock]) {
    put_varint(out, gaps.len() as u64);
    for gap in gaps {
        put_varint(out, u64::from(gap.at));
        put_varint(out, u64::from(gap.run));
        put_varint(out, gap.from);
        put_varint(out, gap.to.map_or(0, |to| to - gap.from + 1));
        put_zigzag(out, gap.time.as_micros());
        put_varint(out, gap.why.len() as u64);
        out.extend_from_slice(gap.why.as_bytes());
    }
}

pub(super) fn take_gaps(input: &mut Input, runs: usize) -> Result<Vec<GapInBlock>, FormatError> {
    take_many(input, BLOCK_GAPS_MAX, |input| {
        let (at, run, from, count) = (input.number()?, input.number()?, input.varint()?, input.varint()?);
        let to = match count {
            0 => None,
            count => Some(from.checked_add(count - 1).ok_or(input.wrong())?),
        };
        let time = input.time()?;
        let len = input.count()?;
        let why = str::from_utf8(input.take(len)?).map_err(|_| input.wrong())?;
        if run as usize >= runs || from == 0 || len > WHY_BYTES_MAX {
            return Err(input.wrong());
        }
        Ok(GapInBlock { at, run, from, to, time, why: why.to_owned() })
    })
}

pub(super) fn put_ends(out: &mut Vec<u8>, ends: &[EndInBlock]) {
    put_varint(out, ends.len() as u64);
    for end in ends {
        put_varint(out, u64::from(end.run));
        put_end(out, &end.end);
    }
}

pub(super) fn take_ends(input: &mut Input, runs: usize) -> Result<Vec<EndInBlock>, FormatError> {
    take_many(input, BLOCK_GAPS_MAX, |input| {
        let (run, end) = (input.number()?, take_end(input)?);
        if run as usize >= runs { Err(input.wrong()) } else { Ok(EndInBlock { run, end }) }
    })
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Running, Outcome::Passed, Outcome::Failed, Outcome::TimedOut, Outcome::Interrupted, Outcome::Lost];

pub(super) fn put_end(out: &mut Vec<u8>, end: &RunEnd) {
    put_zigzag(out, end.ended_at.as_micros());
    out.push(OUTCOMES.iter().position(|outcome| *outcome == end.outcome).unwrap_or(0) as u8);
    for number in [end.exit_code, end.signal] {
        out.push(u8::from(number.is_some()));
        number.into_iter().for_each(|number| put_zigzag(out, i64::from(number)));
    }
}

pub(super) fn take_end(input: &mut Input) -> Result<RunEnd, FormatError> {
    let ended_at = input.time()?;
    let outcome = *OUTCOMES.get(usize::from(input.u8()?)).ok_or(input.wrong())?;
    let (exit_code, signal) = (take_optional_i32(input)?, take_optional_i32(input)?);
    Ok(RunEnd { ended_at, outcome, exit_code, signal })
}

fn take_optional_i32(input: &mut Input) -> Result<Option<i32>, FormatError> {
    match input.u8()? {
        0 => Ok(None),
        1 => i32::try_from(input.zigzag()?).map(Some).map_err(|_| input.wrong()),
        _ => Err(input.wrong()),
    }
}

pub(super) fn put_checkpoint(out: &mut Vec<u8>, checkpoint: Option<&[u8]>) {
    out.push(u8::from(checkpoint.is_some()));
    if let Some(bytes) = checkpoint {
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

pub(super) fn take_checkpoint(input: &mut Input) -> Result<Option<Vec<u8>>, FormatError> {
    match input.u8()? {
        0 => Ok(None),
        1 => match input.count()? {
            len if len <= CHECKPOINT_BYTES_MAX => input.take(len).map(|bytes| Some(bytes.to_vec())),
            _ => Err(input.wrong()),
        },
        _ => Err(input.wrong()),
    }
}

/// Arbitrary parts of metas, for the round trips of every codec.
#[cfg(test)]
pub(super) mod any {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    pub fn time() -> impl Strategy<Value = Time> {
        (-1_000_000_000_000_000i64..100_000_000_000_000_000).prop_map(Time::from_micros)
    }

    pub fn run_id() -> impl Strategy<Value = (RunId, Kind)> {
        (any::<[u8; 16]>(), 0usize..8).prop_map(|(id, kind)| (RunId::from_bytes(id), Kind::ALL[kind]))
    }

    pub fn run_in_block() -> impl Strategy<Value = RunInBlock> {
        (run_id(), 1u64..1 << 60, proptest::array::uniform5(0u64..999), 0.0..=1.0f64).prop_map(
            |((id, kind), first_seq, levels, part)| {
                let records = levels.iter().sum();
                RunInBlock { id, kind, first_seq, records, lines: (records as f64 * part) as u64, levels }
            },
        )
    }

    /// Gaps in the order of places up to `records`, of the first `runs` runs.
    pub fn gaps(runs: u32, records: u32) -> impl Strategy<Value = Vec<GapInBlock>> {
        let one = (0..=records, 0..runs, 1..u64::MAX / 2, option::of(0..u64::MAX / 2), time(), ".{0,40}");
        let gap = one.prop_map(|(at, run, from, count, time, why)| GapInBlock {
            at,
            run,
            from,
            to: count.map(|count| from + count),
            time,
            why,
        });
        vec(gap, 0..4).prop_map(|mut gaps| {
            gaps.sort_by_key(|gap| gap.at);
            gaps
        })
    }

    pub fn end() -> impl Strategy<Value = RunEnd> {
        (time(), 0usize..6, option::of(any::<i32>()), option::of(any::<i32>())).prop_map(
            |(ended_at, outcome, exit_code, signal)| RunEnd { ended_at, outcome: OUTCOMES[outcome], exit_code, signal },
        )
    }

    pub fn ends(runs: u32) -> impl Strategy<Value = Vec<EndInBlock>> {
        vec((0..runs, end()).prop_map(|(run, end)| EndInBlock { run, end }), 0..3)
    }

    pub fn checkpoint() -> impl Strategy<Value = Option<Vec<u8>>> {
        option::of(vec(any::<u8>(), 0..50))
    }
}

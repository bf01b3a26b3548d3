//! The body of the footer, the last frame of a sealed file, and the sixteen bytes by which a reader finds it.

use logboom_record::{Kind, RunEnd, RunId};

use super::{
    RUNS_MAX,
    input::{FormatError, Input, put_varint},
    parts::{put_end, put_run_id, take_end, take_many, take_run_id},
};

const WHAT: &str = "footer";
/// What a sealed file ends with.
pub const TRAILER_MAGIC: [u8; 8] = *b"\x89BOOMEND";
/// How many bytes the end of a sealed file has: the offset of the footer's frame, then [`TRAILER_MAGIC`].
pub const TRAILER_BYTES: usize = 16;

/// How a run stands at the end of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInFooter {
    /// The run.
    pub id: RunId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The seq that its next record would have.
    pub next_seq: u64,
    /// How it ended, if it did.
    pub end: Option<RunEnd>,
}

/// The body of the footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// Where the index frames start, first to last.
    pub index_offsets: Vec<u64>,
    /// How many records the file's blocks hold; those of a tail that stays are not among them.
    pub records: u64,
    /// How many lines.
    pub lines: u64,
    /// How many records are known to be lost.
    pub lost: u64,
    /// How many records there are of each level, trace first.
    pub levels: [u64; 5],
    /// Every run of the file, in the order in which they came.
    pub runs: Vec<RunInFooter>,
    /// Whether the tail beside the file still holds blocks that could not be written here.
    pub has_tail: bool,
}

impl Footer {
    /// Appends the meta section.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.index_offsets.len() as u64);
        self.index_offsets.iter().for_each(|at| put_varint(out, *at));
        [self.records, self.lines, self.lost].into_iter().for_each(|total| put_varint(out, total));
        self.levels.iter().for_each(|count| put_varint(out, *count));
        put_varint(out, self.runs.len() as u64);
        for run in &self.runs {
            put_run_id(out, run.id, run.kind);
            put_varint(out, run.next_seq);
            out.push(u8::from(run.end.is_some()));
            run.end.iter().for_each(|end| put_end(out, end));
        }
        out.push(u8::from(self.has_tail));
    }

    /// The rest of the body, with which the file ends, of a footer whose frame starts at `offset`.
    pub fn trailer(offset: u64) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[..8].copy_from_slice(&offset.to_le_bytes());
        out[8..].copy_from_slice(&TRAILER_MAGIC);
        out
    }

    /// Reads the meta section.
    ///
    /// # Errors
    /// Whatever is not the meta section of a footer: index frames that do not follow each other among it.
    pub fn decode(meta: &[u8]) -> Result<Footer, FormatError> {
        let mut input = Input::new(WHAT, meta);
        let index_offsets = take_many(&mut input, usize::MAX, |input| input.varint())?;
        let (records, lines, lost) = (input.varint()?, input.varint()?, input.varint()?);
        let mut levels = [0; 5];
        for count in &mut levels {
            *count = input.varint()?;
        }
        let runs = take_many(&mut input, RUNS_MAX, take_run)?;
        let has_tail = input.u8()? != 0;
        if !index_offsets.is_sorted_by(|a: &u64, b| a < b) {
            return Err(input.wrong());
        }
        input.finish()?;
        Ok(Footer { index_offsets, records, lines, lost, levels, runs, has_tail })
    }

    /// Where the footer's frame starts, told from the last [`TRAILER_BYTES`] of a file; `None` if it is not sealed.
    pub fn find(trailer: &[u8]) -> Option<u64> {
        let (offset, magic) = trailer.split_first_chunk()?;
        (magic == TRAILER_MAGIC).then(|| u64::from_le_bytes(*offset))
    }
}

fn take_run(input: &mut Input) -> Result<RunInFooter, FormatError> {
    let (id, kind) = take_run_id(input)?;
    let next_seq = input.varint()?;
    let end = match input.u8()? {
        0 => None,
        1 => Some(take_end(input)?),
        _ => return Err(input.wrong()),
    };
    Ok(RunInFooter { id, kind, next_seq, end })
}

#[cfg(test)]
mod tests {
    use super::super::parts::any;
    use super::*;
    use proptest::{
        collection::vec,
        option,
        prelude::{any as anything, *},
    };

    fn index_offsets() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::btree_set(anything::<u64>(), 0..4).prop_map(|offsets| offsets.into_iter().collect())
    }

    fn footer() -> impl Strategy<Value = Footer> {
        let run = (any::run_id(), anything::<u64>(), option::of(any::end()));
        let runs = vec(run.prop_map(|((id, kind), next_seq, end)| RunInFooter { id, kind, next_seq, end }), 0..4);
        (index_offsets(), [anything::<u64>(); 3], [anything::<u64>(); 5], runs, anything::<bool>()).prop_map(
            |(index_offsets, [records, lines, lost], levels, runs, has_tail)| Footer {
                index_offsets,
                records,
                lines,
                lost,
                levels,
                runs,
                has_tail,
            },
        )
    }

    proptest! {
        #[test]
        fn any_footer_comes_back_and_is_found(footer in footer(), offset in anything::<u64>()) {
            let mut meta = Vec::new();
            footer.encode(&mut meta);
            prop_assert_eq!(Footer::find(&Footer::trailer(offset)), Some(offset));
            prop_assert!(Footer::decode(&meta[..meta.len() - 1]).is_err());
            prop_assert_eq!(Footer::decode(&meta), Ok(footer));
        }
    }
}

//! Ends a boom file: last block, index, footer.
//!
//! Where the disk refuses to the end, what the tail holds stays there; what it does not is one gap per run, in a block without
//! records that goes, with index and footer, into the bytes that were reserved for it.

use std::{collections::BTreeMap, io};

use logboom_record::Time;

use super::{BEHIND, GONE, RunState, Sealed, Writer, gap_in_block};
use crate::{
    BoomError,
    boom_file::Reserve,
    columns::Columns,
    encode::Encoder,
    format::{BLOCK_RUNS_MAX, Footer, RunInBlock, RunInFooter},
    pipeline::{Unwritten, append, encode},
};

/// How often the end is written when a sync loses what was there.
const ENDS_MAX: usize = 3;

impl Writer {
    /// Writes what is left, the index and the footer, waits until all is on the disk, and removes the tail, unless some
    /// sync of the boom file failed. On a disk that takes nothing more, see [`Sealed::failing`]: what could not be written is a
    /// gap, and the tail may stay.
    ///
    /// # Errors
    /// If not even the footer could be written; the files are then as a killed process leaves them.
    pub fn seal(mut self) -> Result<Sealed, BoomError> {
        self.note_gone_blocks();
        self.note_open_lines();
        let mut encoder = self.pipeline.encoder();
        let last = (!self.block.is_empty()).then(|| encode(&mut encoder, self.number, &self.block)).transpose();
        let mut left = self.pipeline.finish(self.number);
        self.resolve_incomplete();
        if last.is_err() {
            encoder = self.pipeline.encoder();
        }
        // The blocks before a last one that cannot be encoded are good.
        let last = last.map(|last| left.extend(last.map(|block| (self.number, Unwritten::Encoded(block)))));
        let appended = self.append_all(&mut left, &mut encoder).and(last);
        let failing = appended.err().map(|error| error.to_string());
        if failing.is_some() {
            encoder = self.pipeline.encoder();
        }
        let has_tail = failing.is_some() && self.keep_tail(&mut left);
        let dropped = self.runs.iter().find_map(|run| run.dropped.as_ref().map(|dropped| dropped.why.clone()));
        let failing = failing.or(dropped);
        let why = failing.clone().unwrap_or_else(|| BEHIND.to_owned());
        self.number =
            if has_tail { self.number + u64::from(self.held.is_any()) } else { self.pipeline.file().blocks() };
        let lost = self.append_lost(&mut encoder, &why).and(self.append_gone(&mut encoder));
        let synced = self.append_footer(&mut encoder, has_tail)?;
        // After a failed sync the tail may be all that the disk has.
        if !has_tail && synced.is_none() && !self.pipeline.file().has_failed() {
            // A tail that cannot be removed is one that readers ignore: the blocks are in the file.
            let _ = self.pipeline.tail().remove();
        }
        let failing = failing.or(lost.err().map(|error| error.to_string())).or(synced);
        let file = self.pipeline.file();
        Ok(Sealed { totals: file.totals(), bytes: file.end(), failing })
    }

    /// Appends the blocks in order; what is not appended stays in `left`.
    fn append_all(&mut self, left: &mut BTreeMap<u64, Unwritten>, encoder: &mut Encoder) -> io::Result<()> {
        while let Some((number, block)) = left.pop_first() {
            let mut encoded = match block {
                Unwritten::Encoded(encoded) => encoded,
                Unwritten::Columns(columns) => match encode(encoder, number, &columns) {
                    Ok(encoded) => encoded,
                    Err(error) => {
                        left.insert(number, Unwritten::Columns(columns));
                        return Err(error);
                    }
                },
            };
            let appended = append(&mut self.pipeline.file(), &mut encoded, Reserve::Use);
            if let Err(error) = appended {
                left.insert(number, Unwritten::Encoded(encoded));
                return Err(error);
            }
            self.note_written(number);
        }
        Ok(())
    }

    /// A block is in the boom file: what it holds is safe.
    fn note_written(&mut self, number: u64) {
        let safe = match &mut self.incomplete {
            _ if number == self.number => self.safe_after_block(),
            Some(block) if block.number == number => std::mem::take(&mut block.safe),
            _ => Vec::new(),
        };
        safe.into_iter().for_each(|(run, seq)| self.runs[run as usize].safe_seq = seq);
    }

    /// Flushes what is left to the tail, if it still takes it. Whether the tail holds anything of the blocks left.
    fn keep_tail(&mut self, left: &mut BTreeMap<u64, Unwritten>) -> bool {
        left.remove(&self.number);
        let nothing_of = match &self.incomplete {
            Some(block) if left.contains_key(&block.number) => (!block.is_begun).then_some(block.number),
            _ => {
                self.incomplete = None;
                // What cannot be flushed becomes a gap, whose reason is that of the block before it.
                let _ = self.flush_tail();
                None
            }
        };
        left.keys().any(|number| nothing_of != Some(*number)) || self.held.is_any()
    }

    /// Appends the gaps of what is neither in the boom file nor in the tail.
    fn append_lost(&mut self, encoder: &mut Encoder, why: &str) -> io::Result<()> {
        let lost: Vec<usize> =
            (0..self.runs.len()).filter(|run| self.runs[*run].safe_seq < self.runs[*run].next_seq).collect();
        let mut checkpoint = self.waiting_checkpoint.take();
        for (chunk, runs) in lost.chunks(BLOCK_RUNS_MAX).enumerate() {
            let mut block = Columns::default();
            if (chunk + 1) * BLOCK_RUNS_MAX >= lost.len() {
                block.checkpoint = checkpoint.take();
            }
            for (number, run) in (0..).zip(runs) {
                let RunState { id, kind, safe_seq, next_seq, ref dropped, .. } = self.runs[*run];
                let (time, why) = dropped.as_ref().map_or((Time::now(), why), |dropped| (dropped.time, &dropped.why));
                block.runs.push(RunInBlock { id, kind, first_seq: safe_seq, records: 0, lines: 0, levels: [0; 5] });
                block.push_gap(gap_in_block(number, safe_seq..next_seq, time, why));
            }
            self.append_last(encoder, &block)?;
        }
        Ok(())
    }

    fn append_last(&mut self, encoder: &mut Encoder, block: &Columns) -> io::Result<()> {
        let mut encoded = encode(encoder, self.number, block)?;
        append(&mut self.pipeline.file(), &mut encoded, Reserve::Use)?;
        self.number += 1;
        Ok(())
    }

    /// Appends the footer and waits for the disk. Gives why not all may be there.
    fn append_footer(&mut self, encoder: &mut Encoder, has_tail: bool) -> Result<Option<String>, BoomError> {
        let mut why = None;
        for _ in 0..ENDS_MAX {
            let appended = self.pipeline.file().append_footer(self.footer(has_tail));
            let offset = appended.map_err(|error| self.error("seal", error))?;
            why = self.pipeline.sync().err().map(|error| error.to_string());
            if !self.take_gone() {
                break;
            }
            why = Some(GONE.to_owned());
            self.pipeline.file().reopen(offset).map_err(|error| self.error("seal", error))?;
            self.append_gone(encoder).map_err(|error| self.error("seal", error))?;
        }
        Ok(why)
    }

    /// Appends blocks without records that tell what the disk lost of the file.
    fn append_gone(&mut self, encoder: &mut Encoder) -> io::Result<()> {
        for seqs in std::mem::take(&mut self.gone).chunks(BLOCK_RUNS_MAX) {
            let mut block = Columns::default();
            for (slot, range) in seqs {
                let RunState { id, kind, next_seq, .. } = self.runs[slot.0 as usize];
                let known = block.runs.iter().position(|run| run.id == id);
                if known.is_none() {
                    let run = RunInBlock { id, kind, first_seq: next_seq, records: 0, lines: 0, levels: [0; 5] };
                    block.runs.push(run);
                }
                let number = known.unwrap_or(block.runs.len() - 1) as u32;
                block.push_gap(gap_in_block(number, range.clone(), Time::now(), GONE));
            }
            self.append_last(encoder, &block)?;
        }
        Ok(())
    }

    fn footer(&self, has_tail: bool) -> Footer {
        let run =
            |run: &RunState| RunInFooter { id: run.id, kind: run.kind, next_seq: run.next_seq, end: run.end.clone() };
        Footer { runs: self.runs.iter().map(run).collect(), has_tail, ..Footer::default() }
    }
}

//! Room in the block being filled, for records, gaps and runs; and what becomes of those that find none.

use std::time::{Duration, Instant};

use logboom_record::Time;

use super::{BEHIND, Dropped, RunSlot, RunState, Writer, gap_in_block};
use crate::format::{BLOCK_RUNS_MAX, RunInBlock};

/// How long a writer that drops records waits before it asks the disk again.
const RETRY: Duration = Duration::from_millis(100);

impl Writer {
    /// Counts records that find no room, `why` if it is not the disk; gives the seq of the first. None is taken any more
    /// until their gap has its place.
    #[cold]
    pub(super) fn drop_records(&mut self, run: RunSlot, count: u64, time: Time, why: Option<&str>) -> u64 {
        self.dropping_until.get_or_insert_with(|| Instant::now() + RETRY);
        let from = self.runs[run.0 as usize].next_seq;
        if self.runs[run.0 as usize].dropped.is_none() {
            let why = why.map(str::to_owned).or_else(|| self.health().failing).unwrap_or_else(|| BEHIND.to_owned());
            self.runs[run.0 as usize].dropped = Some(Dropped { from, time, why });
        }
        let state = &mut self.runs[run.0 as usize];
        state.next_seq += count;
        state.lost += count;
        self.lost += count;
        from
    }

    /// Makes room for a record; false while there is none to be had.
    #[cold]
    pub(super) fn make_room(&mut self) -> bool {
        let now = Instant::now();
        if self.dropping_until.is_some_and(|until| now < until) {
            return false;
        }
        if !self.rotate() {
            self.dropping_until = Some(now + RETRY);
            return false;
        }
        if self.dropping_until.take().is_some() {
            (0..self.runs.len()).for_each(|run| self.place_dropped(RunSlot(run as u32)));
            if self.dropping_until.is_none()
                && let Some(bytes) = self.waiting_checkpoint.take()
            {
                self.set_checkpoint(bytes);
            }
        }
        self.dropping_until.is_none()
    }

    /// Puts the gap of records that found no room where the run goes on.
    fn place_dropped(&mut self, run: RunSlot) {
        let nothing = self.runs[run.0 as usize].dropped.is_none();
        if nothing || self.dropping_until.is_some() {
            return;
        }
        if !self.enter_block(run) {
            self.dropping_until = Some(Instant::now() + RETRY);
            return;
        }
        let state = &mut self.runs[run.0 as usize];
        if let Some(dropped) = state.dropped.take() {
            let range = dropped.from..state.next_seq;
            self.block.push_gap(gap_in_block(state.number, range, dropped.time, &dropped.why));
        }
    }

    /// Makes the run one of the block's, where there is room for a gap or an end as well.
    pub(super) fn enter_with_gap(&mut self, run: RunSlot) -> bool {
        (self.block.takes_gap() || self.rotate()) && self.enter_block(run)
    }

    /// Whether the block takes no run that it does not have.
    pub(super) fn is_full_of_runs(&self) -> bool {
        self.block.runs.len() >= BLOCK_RUNS_MAX || !self.block.takes_gap()
    }

    /// Makes the run one of the block's; a new block if this one has too many. False if there is none to be had.
    pub(super) fn enter_block(&mut self, run: RunSlot) -> bool {
        if self.runs[run.0 as usize].block == self.number + 1 {
            return true;
        }
        if self.is_full_of_runs() && !self.rotate() {
            return false;
        }
        let (number, state) = (self.block.runs.len() as u32, &mut self.runs[run.0 as usize]);
        let RunState { id, kind, next_seq, .. } = *state;
        let first_seq = state.dropped.as_ref().map_or(next_seq, |dropped| dropped.from);
        self.block.runs.push(RunInBlock { id, kind, first_seq, records: 0, lines: 0, levels: [0; 5] });
        (state.block, state.number) = (self.number + 1, number);
        (state.open_before, state.open_here) = (state.open, 0);
        self.place_dropped(run);
        true
    }
}

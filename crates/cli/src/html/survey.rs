//! What has to be known of all lines before the first is written: how many there are, which are lost, and where tests stand.

use std::{collections::HashMap, io};

use anyhow::Result;
use logboom_files::session::Status;
use logboom_record::{Gap, RunId};

use super::Item;
use crate::join::Piece;

/// So many gaps are listed.
pub const GAPS_MAX: usize = 1_000;

/// A line: its first seq in its run, and its number in the session, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub seq: u64,
    pub number: u64,
}

/// What was found.
#[derive(Default)]
pub struct Survey {
    /// How many lines there are, gaps included.
    pub lines: u64,
    /// The first of the gaps, each with its number among the lines.
    pub gaps: Vec<(Gap, u64)>,
    /// How many gaps there are.
    pub gap_count: u64,
    tests: HashMap<(RunId, u64), Place>,
}

/// The records of a run whose lines are looked for, in order.
#[derive(Default)]
struct Sought {
    seqs: Vec<u64>,
    done: usize,
    last: Option<Place>,
}

impl Survey {
    /// Looks at all that `walk` hands on.
    pub fn of(
        status: &Status,
        walk: impl FnOnce(&mut dyn FnMut(Item<'_>) -> io::Result<()>) -> Result<()>,
    ) -> Result<Survey> {
        let mut sought: HashMap<RunId, Sought> = HashMap::new();
        for run in status.meta.runs.iter().filter(|run| !run.tests.is_empty()) {
            let mut seqs: Vec<u64> = run.tests.iter().map(|test| test.from).collect();
            seqs.sort_unstable();
            sought.insert(run.run.id, Sought { seqs, ..Sought::default() });
        }
        let mut survey = Survey::default();
        walk(&mut |item| {
            match item {
                Item::Piece(Piece::Line(line) | Piece::First(line)) => {
                    let place = Place { seq: line.seq, number: survey.lines };
                    if let Some(sought) = sought.get_mut(&line.run) {
                        sought.pass(line.run, place, &mut survey.tests);
                    }
                    survey.lines += 1;
                }
                Item::Piece(_) => {}
                Item::Gap(gap) => survey.gap(gap),
            }
            Ok(())
        })?;
        let end = Place { seq: u64::MAX, number: survey.lines };
        sought.iter_mut().for_each(|(run, sought)| sought.pass(*run, end, &mut survey.tests));
        Ok(survey)
    }

    /// Where the line is that this record of a test stands in, if there is one.
    pub fn place_of(&self, run: RunId, seq: u64) -> Option<Place> {
        self.tests.get(&(run, seq)).copied()
    }

    fn gap(&mut self, gap: &Gap) {
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push((gap.clone(), self.lines));
        }
        self.gap_count += 1;
        self.lines += 1;
    }
}

impl Sought {
    /// A line begins: what is before it stands in the one before.
    fn pass(&mut self, run: RunId, line: Place, found: &mut HashMap<(RunId, u64), Place>) {
        while let Some(seq) = self.seqs.get(self.done).filter(|seq| **seq < line.seq) {
            self.last.map(|last| found.insert((run, *seq), last));
            self.done += 1;
        }
        self.last = Some(line);
    }
}

//! The lines around those that were found: `search -C`.
//!
//! Found lines come in any order; those whose surroundings touch are printed as one group, oldest first, so that a
//! group reads as the log does. Surroundings are counted in lines of the same run, whatever passed the filter. Lines of
//! several runs may alternate: each run has a group of its own, which is printed when the next of its lines does not touch it.

use anyhow::Result;
use logboom_record::{Entry, RunId};
use logboom_store::{Order, Query, Scope, Store};
use logboom_store_embedded::Embedded;

use crate::reading::Reading;

/// A line, or several that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    run: RunId,
    /// The seq of the first part of the first.
    first: u64,
    /// The seq of the last part of the last.
    last: u64,
}

impl Lines {
    /// The line of these parts.
    pub fn of(parts: &[&Entry]) -> Option<Lines> {
        let seqs = || parts.iter().map(|part| part.seq());
        Some(Lines { run: parts.first()?.run(), first: seqs().min()?, last: seqs().max()? })
    }

    fn touches(&self, other: &Lines) -> bool {
        self.run == other.run && self.first <= other.last + 1 && other.first <= self.last + 1
    }

    fn with(&self, other: &Lines) -> Lines {
        Lines { run: self.run, first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// Prints found lines with those around them.
pub struct Around<'a> {
    store: &'a Embedded,
    count: usize,
    /// One of each run, in the order in which they were begun.
    groups: Vec<Lines>,
    /// Something was printed already.
    is_begun: bool,
}

impl<'a> Around<'a> {
    /// With so many lines before and after each.
    pub fn new(store: &'a Embedded, count: usize) -> Around<'a> {
        Around { store, count, groups: Vec::new(), is_begun: false }
    }

    /// Takes a line that was found.
    ///
    /// # Errors
    /// Of the store, and of the output.
    pub fn add(&mut self, line: Lines, reading: &mut Reading<'_>) -> Result<()> {
        let wide = self.widen(line)?;
        let Some(at) = self.groups.iter().position(|group| group.run == wide.run) else {
            self.groups.push(wide);
            return Ok(());
        };
        if self.groups[at].touches(&wide) {
            self.groups[at] = self.groups[at].with(&wide);
            return Ok(());
        }
        let done = self.groups.remove(at);
        self.groups.push(wide);
        self.print(done, reading)
    }

    /// Prints the last groups.
    ///
    /// # Errors
    /// As [`Around::add`].
    pub fn finish(mut self, reading: &mut Reading<'_>) -> Result<()> {
        std::mem::take(&mut self.groups).into_iter().try_for_each(|group| self.print(group, reading))
    }

    fn widen(&self, line: Lines) -> Result<Lines> {
        let all = Query { lines_max: self.count, ..Query::new(Scope::Run(line.run)) };
        let before = Query { order: Order::Newest, seq_max: line.first.saturating_sub(1), ..all.clone() };
        let after = Query { seq_min: line.last + 1, ..all };
        let mut wide = line;
        for query in [before, after] {
            let page = self.store.page(&query, None)?;
            let parts: Vec<&Entry> = page.entries.iter().collect();
            wide = Lines::of(&parts).map_or(wide, |more| wide.with(&more));
        }
        Ok(wide)
    }

    fn print(&mut self, group: Lines, reading: &mut Reading<'_>) -> Result<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            reading.separator("--");
        }
        reading.scan(&Query { seq_min: group.first, seq_max: group.last, ..Query::new(Scope::Run(group.run)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(first: u64, last: u64) -> Lines {
        Lines { run: RunId::from_bytes([1; 16]), first, last }
    }

    #[test]
    fn neighbours_touch_and_strangers_do_not() {
        assert!(at(5, 7).touches(&at(8, 9)) && at(8, 9).touches(&at(5, 7)) && at(5, 7).touches(&at(1, 20)));
        assert!(!at(5, 7).touches(&at(9, 9)));
        assert!(!at(5, 7).touches(&Lines { run: RunId::from_bytes([2; 16]), ..at(5, 7) }));
        assert_eq!(at(5, 7).with(&at(8, 9)), at(5, 9));
    }
}

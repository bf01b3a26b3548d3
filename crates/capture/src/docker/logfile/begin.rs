//! Where to begin among the files there are, given how far the records go. Pure: the caller has compared the marks.

use crate::services::feed::Place;

/// The number of the first file of a container that was ever read. Places of part 0 are before everything.
pub(super) const FIRST_PART: u64 = 1;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// Which of the files, from the oldest; there may be no such file.
    pub index: usize,
    /// Which part it is, and where in it.
    pub at: Place,
    /// Whether what is before that may have been lost.
    pub lost: bool,
}

/// Goes on at the place that was reached; else in the oldest file known to be newer; else after those known to be older.
///
/// `known` are the parts whose marks are known, `found` which of them each file is.
pub(super) fn begin(reached: Place, known: &[u64], found: &[Option<u64>]) -> Begin {
    let from = reached.max(Place { part: FIRST_PART, offset: 0 });
    if let Some(index) = found.iter().position(|part| *part == Some(from.part)) {
        return Begin { index, at: from, lost: false };
    }
    if known.is_empty() && from.part == FIRST_PART && from.offset == 0 {
        return Begin { index: 0, at: from, lost: false };
    }
    if let Some((index, part)) =
        found.iter().enumerate().find_map(|(index, part)| Some((index, (*part)?))).filter(|(_, part)| *part > from.part)
    {
        return Begin { index, at: Place { part, offset: 0 }, lost: true };
    }
    let index = found.iter().rposition(Option::is_some).map_or(0, |older| older + 1);
    let part = known.iter().copied().fold(from.part, u64::max) + 1;
    Begin { index, at: Place { part, offset: 0 }, lost: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(part: u64, offset: u64) -> Place {
        Place { part, offset }
    }

    #[test]
    fn without_records_the_oldest_file_is_the_first() {
        assert_eq!(begin(Place::default(), &[], &[None, None]), Begin { index: 0, at: at(1, 0), lost: false });
        assert_eq!(begin(Place::default(), &[1], &[Some(1), None]), Begin { index: 0, at: at(1, 0), lost: false });
    }

    #[test]
    fn a_file_that_is_still_there_is_gone_on_in() {
        assert_eq!(
            begin(at(3, 70), &[2, 3], &[Some(2), Some(3), None]),
            Begin { index: 1, at: at(3, 70), lost: false }
        );
    }

    #[test]
    fn a_newer_file_that_is_known_keeps_its_number() {
        assert_eq!(begin(at(3, 70), &[3, 4, 5], &[Some(5), None]), Begin { index: 0, at: at(5, 0), lost: true });
    }

    #[test]
    fn files_that_were_read_before_are_not_read_again() {
        assert_eq!(
            begin(at(3, 70), &[1, 2, 3], &[Some(1), Some(2), None]),
            Begin { index: 2, at: at(4, 0), lost: true }
        );
    }

    #[test]
    fn where_none_is_known_everything_is_new() {
        assert_eq!(begin(at(3, 70), &[3], &[None, None]), Begin { index: 0, at: at(4, 0), lost: true });
        assert_eq!(begin(at(3, 70), &[], &[]), Begin { index: 0, at: at(4, 0), lost: true });
        assert_eq!(begin(Place::default(), &[2], &[None]), Begin { index: 0, at: at(3, 0), lost: true });
    }
}

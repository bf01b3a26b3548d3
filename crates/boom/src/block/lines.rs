//! Where each record's message stands in a block's text.
//!
//! Messages stand bucket by bucket, so record *i* is found by counting: it is the next of its bucket. Both ways are kept
//! as tables of four bytes a record, and none of them where the messages are in order.

use crate::format::{FormatError, columns};

const MESSAGES: &str = "message column";
const BUCKETS: &str = "bucket column";

/// How a block's messages are laid out.
pub(super) struct Layout<'a> {
    pub(super) text: &'a [u8],
    pub(super) records: usize,
    /// How many messages each bucket has; none where they are in order.
    pub(super) buckets: &'a [u32],
    /// The bucket of each record.
    pub(super) bucket_of: &'a [u8],
    /// The pairs of column 5.
    pub(super) newlines: &'a [u8],
}

/// The line table of a block. A *place* is a message's number in the text.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where each place starts, and the end of the text.
    starts: Vec<u32>,
    /// The place of each record, and the record at each place; empty where they are the same.
    places: Vec<u32>,
    records: Vec<u32>,
    /// Messages with newlines inside: place and how many.
    newlines: Vec<(u32, u32)>,
}

impl Lines {
    /// Builds the table anew, in the memory of the old one.
    pub(super) fn build(&mut self, layout: &Layout<'_>) -> Result<(), FormatError> {
        self.order(layout)?;
        self.read_newlines(layout)?;
        self.cut(layout)
    }

    /// The message of a record, which must be one of the block's.
    pub(super) fn message<'t>(&self, text: &'t [u8], record: usize) -> &'t [u8] {
        let place = self.places.get(record).map_or(record, |place| *place as usize);
        &text[self.starts[place] as usize..self.starts[place + 1] as usize - 1]
    }

    /// The record whose message, with the LF after it, holds this offset of the text.
    pub(super) fn locate(&self, offset: usize) -> Option<usize> {
        let place = self.starts.partition_point(|start| *start as usize <= offset).checked_sub(1)?;
        (place + 1 < self.starts.len()).then(|| self.records.get(place).map_or(place, |record| *record as usize))
    }

    fn order(&mut self, layout: &Layout<'_>) -> Result<(), FormatError> {
        self.places.clear();
        self.records.clear();
        if layout.buckets.len() < 2 {
            return Ok(());
        }
        let (mut next, mut ends) = ([0u32; 256], [0u32; 256]);
        let mut sum = 0u32;
        for (bucket, count) in layout.buckets.iter().enumerate() {
            let wrong = FormatError::wrong(BUCKETS);
            *next.get_mut(bucket).ok_or(wrong)? = sum;
            sum = sum.checked_add(*count).ok_or(wrong)?;
            ends[bucket] = sum;
        }
        if sum as usize != layout.records || layout.bucket_of.len() != layout.records {
            return Err(FormatError::wrong(BUCKETS));
        }
        self.records.resize(layout.records, 0);
        self.count_on(layout.bucket_of, &mut next, &ends)
    }

    /// The bounds of `next` and `ends` are those of `self.records`.
    fn count_on(&mut self, bucket_of: &[u8], next: &mut [u32; 256], ends: &[u32; 256]) -> Result<(), FormatError> {
        self.places.reserve(bucket_of.len());
        for (record, bucket) in (0u32..).zip(bucket_of) {
            let place = next[usize::from(*bucket)];
            if place >= ends[usize::from(*bucket)] {
                return Err(FormatError::wrong(BUCKETS));
            }
            next[usize::from(*bucket)] = place + 1;
            self.places.push(place);
            self.records[place as usize] = record;
        }
        Ok(())
    }

    fn read_newlines(&mut self, layout: &Layout<'_>) -> Result<(), FormatError> {
        columns::decode_inner_newlines(layout.newlines, layout.records, &mut self.newlines)?;
        if !self.places.is_empty() {
            self.newlines.iter_mut().for_each(|(record, _)| *record = self.places[*record as usize]);
            self.newlines.sort_unstable();
        }
        Ok(())
    }

    /// Cuts the text at its newlines, but those inside messages.
    fn cut(&mut self, layout: &Layout<'_>) -> Result<(), FormatError> {
        let wrong = FormatError::wrong(MESSAGES);
        if u32::try_from(layout.text.len()).is_err() {
            return Err(wrong);
        }
        self.starts.clear();
        self.starts.reserve(layout.records + 1);
        self.starts.push(0);
        let newlines = memchr::memchr_iter(b'\n', layout.text);
        if self.newlines.is_empty() {
            self.starts.extend(newlines.map(|at| at as u32 + 1));
        } else {
            self.cut_around(newlines);
        }
        let whole = self.starts.len() == layout.records + 1 && self.starts.last() == Some(&(layout.text.len() as u32));
        if whole { Ok(()) } else { Err(wrong) }
    }

    fn cut_around(&mut self, newlines: impl Iterator<Item = usize>) {
        let mut inner = self.newlines.iter().copied().peekable();
        let mut skip = 0;
        for at in newlines {
            let place = self.starts.len() as u32 - 1;
            if let Some((_, count)) = inner.next_if(|(with, _)| *with == place) {
                skip = count;
            }
            match skip {
                0 => self.starts.push(at as u32 + 1),
                _ => skip -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(layout: &Layout<'_>) -> Result<Lines, FormatError> {
        let mut lines = Lines::default();
        lines.build(layout).map(|()| lines)
    }

    fn layout(text: &[u8], records: usize) -> Layout<'_> {
        Layout { text, records, buckets: &[], bucket_of: &[], newlines: &[] }
    }

    #[test]
    fn records_in_order_are_lines_of_the_text() {
        let lines = lines(&layout(b"a\n\nbc\n", 3)).unwrap();
        assert_eq!([0, 1, 2].map(|i| lines.message(b"a\n\nbc\n", i)), [&b"a"[..], b"", b"bc"]);
        assert_eq!([0, 1, 2, 3, 5, 6].map(|at| lines.locate(at)), [Some(0), Some(0), Some(1), Some(2), Some(2), None]);
    }

    #[test]
    fn records_are_found_in_their_buckets_and_back() {
        let text = b"a0\na2\nb1\nb3\n";
        let lines = lines(&Layout { buckets: &[2, 2], bucket_of: &[0, 1, 0, 1], ..layout(text, 4) }).unwrap();
        assert_eq!([0, 1, 2, 3].map(|i| lines.message(text, i)), [b"a0", b"b1", b"a2", b"b3"]);
        assert_eq!([0, 3, 6, 9].map(|at| lines.locate(at)), [Some(0), Some(2), Some(1), Some(3)]);
    }

    #[test]
    fn newlines_inside_messages_do_not_end_them() {
        // Record 1 stands first and has two newlines inside, record 2 has one.
        let text = b"x\ny\nz\nplain\np\nq\n";
        let with = Layout { buckets: &[1, 2], bucket_of: &[1, 0, 1], newlines: &[1, 2, 1, 1], ..layout(text, 3) };
        let lines = lines(&with).unwrap();
        assert_eq!([0, 1, 2].map(|i| lines.message(text, i)), [&b"plain"[..], b"x\ny\nz", b"p\nq"]);
        assert_eq!(lines.locate(4), Some(1));
    }

    #[test]
    fn tables_that_do_not_fit_the_text_are_refused() {
        assert!(lines(&layout(b"a\nb\n", 1)).is_err());
        assert!(lines(&layout(b"a\nb\n", 3)).is_err());
        assert!(lines(&layout(b"a\nb", 2)).is_err());
        assert!(lines(&layout(b"a\n", 0)).is_err());
        let bad: [(&[u32], &[u8], &[u8]); 6] = [
            (&[1, 2], &[0, 1], &[]),
            (&[1, 1], &[0, 0], &[]),
            (&[1, 1], &[0, 2], &[]),
            (&[1, u32::MAX, 2], &[0, 1], &[]),
            (&[], &[], &[5, 1]),
            (&[], &[], &[0, 1]),
        ];
        for (buckets, bucket_of, newlines) in bad {
            let layout = Layout { text: b"a\nb\n", records: 2, buckets, bucket_of, newlines };
            assert!(lines(&layout).is_err(), "{buckets:?} {bucket_of:?} {newlines:?}");
        }
    }
}

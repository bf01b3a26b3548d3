//! The lines that a text log lacks at its end, made from the records of the boom file.

use std::collections::HashMap;

use logboom_boom::{BoomError, block::Block, reader::Reader};
use logboom_record::{EntryRef, Gap, RunId, text};

/// What a text log lacks.
#[derive(Debug)]
pub(super) struct Missing {
    /// The seq of the first entry whose line is missing, or is to be made next.
    next: u64,
    /// The seq after the last.
    end: u64,
    lines: Vec<u8>,
}

impl Missing {
    /// The lines from this seq on, up to before the other.
    pub(super) fn new(from: u64, end: u64) -> Missing {
        Missing { next: from, end, lines: Vec::new() }
    }

    /// The lines, if all were found.
    pub(super) fn lines(&self) -> Option<&[u8]> {
        (self.next == self.end).then_some(&self.lines)
    }

    fn add(&mut self, entry: EntryRef<'_>) {
        match entry {
            EntryRef::Record(record) if record.seq == self.next => {
                text::push_record(&mut self.lines, &record);
                self.next += 1;
            }
            // It may begin before, where lines were written that the boom file has lost.
            EntryRef::Gap(Gap { from, to: Some(to), .. }) if (*from..=*to).contains(&self.next) => {
                if let EntryRef::Gap(gap) = entry {
                    text::push_gap(&mut self.lines, &Gap { from: self.next, ..gap.clone() });
                }
                self.next = to + 1;
            }
            _ => {}
        }
    }
}

/// Finds what is missing of each run in its boom file, in one go for all.
///
/// # Errors
/// If a block cannot be read.
pub(super) fn find(reader: &Reader, missing: &mut HashMap<RunId, Missing>) -> Result<(), BoomError> {
    let mut block = Block::default();
    for (index, info) in reader.blocks().iter().enumerate() {
        let is_in = |run: RunId, missing: &Missing| {
            missing.next < missing.end && info.seqs(run).is_some_and(|seqs| seqs.contains(&missing.next))
        };
        if info.runs.iter().any(|run| missing.get(&run.id).is_some_and(|missing| is_in(run.id, missing))) {
            reader.read_into(index, &mut block)?;
            for entry in block.records()?.entries() {
                if let Some(missing) = missing.get_mut(&entry.run()) {
                    missing.add(entry);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_record::{Flags, Level, RecordRef, Stream, Time};

    const RUN: RunId = RunId::from_bytes([7; 16]);

    fn add(missing: &mut Missing, seq: u64) {
        let (time, stream, level, flags) = (Time::from_micros(0), Stream::Stdout, Level::Info, Flags::NONE);
        let (message, fields, origin_time_ns) = (&b"line"[..], None, None);
        missing.add(EntryRef::Record(RecordRef {
            run: RUN,
            seq,
            time,
            origin_time_ns,
            stream,
            level,
            flags,
            message,
            fields,
        }));
    }

    fn add_gap(missing: &mut Missing, from: u64, to: u64) {
        let gap = Gap { run: RUN, from, to: Some(to), time: Time::from_micros(0), why: "why".into() };
        missing.add(EntryRef::Gap(&gap));
    }

    #[test]
    fn lines_and_gaps_are_made_from_where_the_log_ends() {
        let mut missing = Missing::new(3, 8);
        (1..=3).for_each(|seq| add(&mut missing, seq));
        add_gap(&mut missing, 2, 5);
        (6..=7).for_each(|seq| add(&mut missing, seq));
        let lines = String::from_utf8(missing.lines().unwrap().to_vec()).unwrap();
        let lines: Vec<&str> = lines.lines().map(|line| &line[28..]).collect();
        assert_eq!(lines, ["O I line", "- W lost seq 4-5: why", "O I line", "O I line"]);
    }

    #[test]
    fn what_is_not_found_whole_is_not_given() {
        let mut missing = Missing::new(1, 4);
        [1, 3].into_iter().for_each(|seq| add(&mut missing, seq));
        assert_eq!(missing.lines(), None);
    }
}

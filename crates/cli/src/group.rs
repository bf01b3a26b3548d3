//! Which entries of a page are one line.
//!
//! A page has every part of each of its lines, but other lines between them, and newest first it has the last part of a
//! line before its first. Whoever prints line by line needs the parts together and in order.

use logboom_record::{Entry, Flags, RunId, Stream};
use logboom_store::Order;

/// The lines of a page in the order of the page; of each, the places of its parts, first part first. A gap is a line.
pub fn lines(entries: &[Entry], order: Order) -> Vec<Vec<usize>> {
    let mut lines = Vec::new();
    let mut open: Vec<(usize, RunId, Stream)> = Vec::new();
    let mut add = |place: usize| {
        let Entry::Record(record) = &entries[place] else { return lines.push(vec![place]) };
        let begun = open.iter().position(|(_, run, stream)| (*run, *stream) == (record.run, record.stream));
        let at = match begun {
            Some(at) => open.remove(at).0,
            None => {
                lines.push(Vec::new());
                lines.len() - 1
            }
        };
        lines[at].push(place);
        if record.flags.has(Flags::CONTINUED) {
            open.push((at, record.run, record.stream));
        }
    };
    match order {
        Order::Oldest => (0..entries.len()).for_each(&mut add),
        Order::Newest => (0..entries.len()).rev().for_each(&mut add),
    }
    if order == Order::Newest {
        lines.reverse();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_record::{Level, Record, Time};

    fn part(seq: u64, stream: Stream, flags: Flags) -> Entry {
        let (run, time) = (RunId::from_bytes([1; 16]), Time::from_micros(0));
        let (message, fields, origin_time_ns, level) = (Vec::new(), None, None, Level::Info);
        Entry::Record(Record { run, seq, time, origin_time_ns, stream, level, flags, message, fields })
    }

    #[test]
    fn parts_come_together_in_either_order() {
        let mut entries = vec![
            part(1, Stream::Stdout, Flags::CONTINUED),
            part(2, Stream::Stderr, Flags::NONE),
            part(3, Stream::Stdout, Flags::NONE),
            part(4, Stream::Stdout, Flags::NONE),
        ];
        assert_eq!(lines(&entries, Order::Oldest), [vec![0, 2], vec![1], vec![3]]);
        entries.reverse();
        assert_eq!(lines(&entries, Order::Newest), [vec![0], vec![2], vec![3, 1]]);
    }
}

//! Text logs, written and read back.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{fs, path::Path};

use logboom_files::textlog::{Extent, TextBatch, TextEntry, TextMark, TextReader, TextWriter};
use logboom_record::{Entry, Flags, Gap, Level, Record, RunId, Stream, Time, text};
use proptest::prelude::*;

const RUN: RunId = RunId::from_bytes([7; 16]);

fn record(seq: u64, stream: Stream, flags: Flags, message: &[u8]) -> Record {
    let time = Time::from_micros(seq as i64);
    let message = message.to_vec();
    Record { run: RUN, seq, time, origin_time_ns: None, stream, level: Level::Info, flags, message, fields: None }
}

fn out(seq: u64, message: &str) -> Record {
    record(seq, Stream::Stdout, Flags::NONE, message.as_bytes())
}

fn gap(from: u64, to: u64) -> Gap {
    Gap { run: RUN, from, to: Some(to), time: Time::from_micros(from as i64), why: "disk full".into() }
}

fn lines(entries: &[Entry]) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in entries {
        match entry {
            Entry::Record(record) => text::push_record(&mut lines, &record.as_ref()),
            Entry::Gap(gap) => text::push_gap(&mut lines, gap),
        }
    }
    lines
}

fn records(records: &[Record]) -> Vec<Entry> {
    records.iter().cloned().map(Entry::Record).collect()
}

fn rest(reader: &mut TextReader) -> Vec<Entry> {
    let mut all = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        all.push(match entry {
            TextEntry::Record(record) => Entry::Record(record.to_owned()),
            TextEntry::Gap(gap) => Entry::Gap(gap),
        });
    }
    all
}

/// A text log with this content.
fn log(dir: &Path, content: &[u8]) -> std::path::PathBuf {
    let path = dir.join("exec_x.log");
    fs::write(&path, content).unwrap();
    path
}

fn read(content: &[u8], extent: Extent) -> (Vec<Entry>, u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = TextReader::open(&log(dir.path(), content), RUN, extent).unwrap();
    let all = rest(&mut reader);
    (all, reader.skipped())
}

#[test]
fn what_a_writer_appends_a_reader_sees() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exec_x.log");
    let mut writer = TextWriter::new(fs::File::create_new(&path).unwrap(), &path);
    let mut reader = TextReader::open(&path, RUN, Extent::Growing).unwrap();
    for seq in 1..50u64 {
        let entries = records(&[out(seq, "x")]);
        let batch = TextBatch { lines: &lines(&entries), seqs: seq..seq + 1, time: Time::from_micros(0) };
        writer.append(&batch).unwrap();
        assert_eq!(rest(&mut reader), entries);
    }
    assert_eq!(reader.mark(), TextMark { offset: writer.position(), seq: 50 });
}

#[test]
fn lost_records_have_a_seq_too() {
    let entries =
        [Entry::Record(out(1, "a")), Entry::Gap(gap(2, 9)), Entry::Record(out(10, "b")), Entry::Record(out(11, "c"))];
    assert_eq!(read(&lines(&entries), Extent::Final), (entries.into(), 0));
}

#[test]
fn an_open_line_goes_on_unless_it_is_the_last_of_its_stream_in_a_run_that_ended() {
    let part = |seq, stream, message: &str| record(seq, stream, Flags::CONTINUED, message.as_bytes());
    let (stdout, stderr) = (Stream::Stdout, Stream::Stderr);
    let mut all = [part(1, stdout, "a"), part(2, stderr, "x"), part(3, stdout, "b"), out(4, "c"), part(5, stdout, "d")];
    let content = lines(&records(&all));
    assert_eq!(read(&content, Extent::Growing).0, records(&all));
    all[1].flags = Flags::NO_NEWLINE;
    all[4].flags = Flags::NO_NEWLINE;
    assert_eq!(read(&content, Extent::Final).0, records(&all));
}

#[test]
fn torn_and_foreign_lines_are_passed_over_and_counted() {
    let first = lines(&records(&[out(1, "a")]));
    let second = lines(&records(&[out(2, "b")]));
    let foreign = [&first[..], b"Traceback (most recent call last):\n", &[b'x'; 3 << 20], b"\n", &second].concat();
    assert_eq!(read(&foreign, Extent::Final), (records(&[out(1, "a"), out(2, "b")]), 2));
    for cut in 1..second.len() {
        let torn = [&first[..], &second[..cut]].concat();
        assert_eq!(read(&torn, Extent::Final), (records(&[out(1, "a")]), 1), "cut at {cut}");
        assert_eq!(read(&torn, Extent::Growing), (records(&[out(1, "a")]), 0), "a live writer may be at it");
    }
}

#[test]
fn a_line_that_arrives_in_pieces_is_seen_once_whole() {
    let dir = tempfile::tempdir().unwrap();
    let content = lines(&records(&[out(1, "first"), out(2, "second")]));
    let path = log(dir.path(), b"");
    let mut reader = TextReader::open(&path, RUN, Extent::Growing).unwrap();
    let mut seen = Vec::new();
    for end in 0..=content.len() {
        fs::write(&path, &content[..end]).unwrap();
        seen.extend(rest(&mut reader));
    }
    assert_eq!((seen, reader.skipped()), (records(&[out(1, "first"), out(2, "second")]), 0));
}

#[test]
fn damage_before_a_gap_line_is_lost_too() {
    let content = [&b"garbage\n"[..], &lines(&[Entry::Gap(gap(3, 4)), Entry::Record(out(5, "x"))])].concat();
    let (entries, _) = read(&content, Extent::Final);
    let Entry::Gap(gap) = &entries[0] else { panic!("no gap") };
    assert_eq!((gap.from, gap.to, entries[1].seq()), (1, Some(4), 5));
}

#[test]
fn what_only_looks_like_a_gap_is_a_record() {
    let says = |seq, message: &str| Record {
        level: Level::Warn,
        ..record(seq, Stream::System, Flags::NONE, message.as_bytes())
    };
    let all = [out(1, "lost seq 2-9: me"), says(2, "lost seq 3-9: x"), says(3, "lost seq 4-: x\nmore"), says(4, "end")];
    assert_eq!(read(&lines(&records(&all)), Extent::Final), (records(&all), 0));
}

#[test]
fn a_gap_of_what_was_counted_already_is_skipped() {
    let entries = [Entry::Record(out(1, "a")), Entry::Gap(gap(1, 9)), Entry::Record(out(2, "b"))];
    assert_eq!(read(&lines(&entries), Extent::Final), (records(&[out(1, "a"), out(2, "b")]), 1));
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'+')];
    prop_oneof![9 => prop::collection::vec(byte, 0..60), 1 => Just(vec![b'\n'; 500])]
}

prop_compose! {
    /// Entries of a run that ended, as its writer would have made them.
    fn any_entries()(
        entries in prop::collection::vec((any_message(), 0u8..3, 0usize..5, any::<bool>(), 0u64..10), 0..40)
    ) -> Vec<Entry> {
        let (mut all, mut seq) = (Vec::new(), 1);
        for (message, stream, level, open, gap_sized) in entries {
            if gap_sized == 9 {
                all.push(Entry::Gap(gap(seq, seq + 2)));
                seq += 3;
            }
            let stream = Stream::from_u8(stream).unwrap();
            let flags = if open { Flags::CONTINUED } else { Flags::NONE };
            all.push(Entry::Record(Record { level: Level::ALL[level], ..record(seq, stream, flags, &message) }));
            seq += 1;
        }
        for stream in Stream::ALL {
            let last = all.iter_mut().rev().find_map(|entry| match entry {
                Entry::Record(record) if record.stream == stream => Some(record),
                _ => None,
            });
            if let Some(record) = last && record.flags == Flags::CONTINUED {
                record.flags = Flags::NO_NEWLINE;
            }
        }
        all
    }
}

proptest! {
    #[test]
    fn any_entries_come_back(entries in any_entries()) {
        prop_assert_eq!(read(&lines(&entries), Extent::Final), (entries, 0));
    }

    #[test]
    fn reading_on_from_any_mark_gives_the_rest(entries in any_entries()) {
        let dir = tempfile::tempdir().unwrap();
        let path = log(dir.path(), &lines(&entries));
        let mut reader = TextReader::open(&path, RUN, Extent::Final).unwrap();
        for done in 0..entries.len() {
            let mut other = TextReader::open(&path, RUN, Extent::Final).unwrap();
            other.go_to(reader.mark());
            prop_assert_eq!(rest(&mut other), &entries[done..]);
            prop_assert!(reader.next().unwrap().is_some());
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(content in prop::collection::vec(any::<u8>(), 0..400)) {
        let (entries, _) = read(&content, Extent::Final);
        prop_assert!(entries.len() <= content.len() / 33 + 1);
    }
}

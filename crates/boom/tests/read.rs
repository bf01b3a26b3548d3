//! Reading boom files: sealed, live, abandoned, and those that no writer would write.

#![allow(clippy::unwrap_used, clippy::panic)] // tests may

mod maker;

use std::{fs::File, path::Path};

use logboom_boom::{
    BoomError,
    format::FrameKind,
    gram_query::{Case, GramQuery},
    reader::{Reader, State},
};
use logboom_record::{Entry, Flags, Gap, Level, Record, Stream, Time};
use maker::{Maker, PLAIN, Shape, ended, read_all, record, run, write};
use proptest::prelude::*;
use rustix::fs::{FlockOperation, flock};
use tempfile::{TempDir, tempdir};

/// What a live writer holds.
fn lock(path: &Path) -> File {
    let file = File::open(path).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

fn records(seqs: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    seqs.map(|seq| Entry::Record(record(seq, format!("line {seq} of the test")))).collect()
}

/// A file of five blocks of ten records each, and what is in it.
fn five_blocks(shape: Shape) -> (Maker, Vec<Entry>) {
    let mut maker = Maker::new(shape);
    let all = records(1..=50);
    all.chunks(10).for_each(|entries| {
        maker.block(entries, &[], None);
    });
    (maker, all)
}

fn made(boom: &[u8], tail: Option<&[u8]>) -> (TempDir, Reader) {
    let dir = tempdir().unwrap();
    let reader = Reader::open(&write(dir.path(), boom, tail)).unwrap();
    (dir, reader)
}

#[test]
fn a_sealed_file_is_read_by_its_footer() {
    let (mut maker, all) = five_blocks(PLAIN);
    let (_dir, reader) = made(&maker.seal().bytes, None);
    assert_eq!(reader.state(), State::Sealed);
    assert_eq!(read_all(&reader), all);
    assert_eq!((reader.totals().records, reader.totals().lines, reader.totals().lost), (50, 50, 0));
    assert_eq!(reader.runs()[0].next_seq, 51);
    assert_eq!((reader.damage(), reader.gaps()), (&[][..], vec![]));
}

#[test]
fn a_file_without_footer_is_read_by_its_last_index_and_what_follows() {
    for (blocks_per_index, compressed) in [(1, true), (2, false), (3, true), (32, false)] {
        let (maker, all) = five_blocks(Shape { blocks_per_index, compressed, ..PLAIN });
        let (_dir, reader) = made(&maker.bytes, None);
        assert_eq!(reader.state(), State::Abandoned);
        assert_eq!(read_all(&reader), all);
        assert_eq!(reader.damage(), []);
    }
}

#[test]
fn a_killed_writer_leaves_an_open_gap_for_each_run_without_end() {
    let mut maker = Maker::new(PLAIN);
    let other = Entry::Record(Record { run: run(2), ..record(1, "of another run") });
    maker.block(&[records(1..=3), vec![other]].concat(), &[run(2)], None);
    let (_dir, reader) = made(&maker.bytes, None);
    let gaps = reader.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].run, gaps[0].from, gaps[0].to), (run(1), 4, None));
    assert_eq!(reader.runs()[1].end, Some(ended()));
    let checked = reader.check(&mut |damage| panic!("{damage:?}")).unwrap();
    assert_eq!((checked.records, checked.lost), (4, None));
}

#[test]
fn blocks_and_tail_are_one_stream() {
    let (maker, all) = five_blocks(PLAIN);
    // The tail still has block 4, which the file has too, then block 5 in three frames.
    let rest = records(51..=60);
    let frames = vec![(rest[..4].to_vec(), vec![]), (rest[4..5].to_vec(), vec![]), (rest[5..].to_vec(), vec![run(1)])];
    let tail = maker.tail(&[(4, vec![(all[40..].to_vec(), vec![])]), (5, frames)]);
    let (_dir, reader) = made(&maker.bytes, Some(&tail));
    assert_eq!(read_all(&reader), [all, rest].concat());
    assert_eq!(reader.totals().records, 60);
    assert_eq!(reader.runs()[0].end, Some(ended()));
    assert!(reader.blocks()[5].in_tail && !reader.blocks()[4].in_tail);
    assert_eq!((reader.gaps(), reader.damage()), (vec![], &[][..]));
}

#[test]
fn a_live_file_is_followed() {
    let dir = tempdir().unwrap();
    let (mut maker, all) = five_blocks(PLAIN);
    let path = write(dir.path(), &maker.bytes, None);
    let held = lock(&path);
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!((reader.state(), reader.blocks().len()), (State::Live, 5));
    assert!(!reader.refresh().unwrap());

    let more = records(51..=60);
    let tail = maker.tail(&[(5, vec![(more[..4].to_vec(), vec![])])]);
    write(dir.path(), &maker.bytes, Some(&tail));
    assert!(reader.refresh().unwrap());
    assert_eq!(read_all(&reader), [&all[..], &more[..4]].concat());

    let tail = maker.tail(&[(5, vec![(more[..4].to_vec(), vec![]), (more[4..6].to_vec(), vec![])])]);
    write(dir.path(), &maker.bytes, Some(&tail));
    assert!(reader.refresh().unwrap());
    assert_eq!(read_all(&reader).len(), 56);

    maker.block(&more, &[run(1)], None).seal();
    std::fs::write(&path, &maker.bytes).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.state(), State::Sealed);
    assert_eq!(read_all(&reader), [all, more].concat());
    assert!(!reader.refresh().unwrap());
    drop(held);
}

#[test]
fn a_slot_that_is_used_again_shows_its_new_block() {
    let dir = tempdir().unwrap();
    let mut maker = Maker::new(PLAIN);
    let all = records(1..=6);
    let tail = maker.tail(&[(0, vec![(all[..1].to_vec(), vec![]), (all[1..2].to_vec(), vec![])])]);
    let path = write(dir.path(), &maker.bytes, Some(&tail));
    let _held = lock(&path);
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(read_all(&reader).len(), 2);
    all[..4].chunks(1).for_each(|entries| {
        maker.block(entries, &[], None);
    });
    let tail = maker.tail(&[(4, vec![(all[4..].to_vec(), vec![])])]);
    write(dir.path(), &maker.bytes, Some(&tail));
    assert!(reader.refresh().unwrap());
    assert_eq!(read_all(&reader), all);
}

#[test]
fn a_block_in_neither_file_hides_what_follows_while_the_writer_lives() {
    let dir = tempdir().unwrap();
    let (mut maker, all) = five_blocks(PLAIN);
    let more = records(51..=60);
    let tail = maker.tail(&[(6, vec![(more[5..].to_vec(), vec![])])]);
    let path = write(dir.path(), &maker.bytes, Some(&tail));
    let held = lock(&path);
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(read_all(&reader), all);
    assert_eq!(reader.damage(), []);
    // It arrives: everything is there. Had the writer died first, it would be damage.
    maker.block(&more[..5], &[], None);
    let arrived = dir.path().join("arrived");
    std::fs::create_dir(&arrived).unwrap();
    let arrived = Reader::open(&write(&arrived, &maker.bytes, Some(&tail))).unwrap();
    assert_eq!(read_all(&arrived), [&all[..], &more].concat());
    drop(held);
    assert!(reader.refresh().unwrap());
    assert_eq!(read_all(&reader), [&all[..], &more[5..]].concat());
    let lost = reader.damage()[0].runs[0];
    assert_eq!((lost.run, lost.from, lost.to), (run(1), 51, 55));
}

#[test]
fn a_sealed_file_can_leave_blocks_in_its_tail() {
    let (mut maker, all) = five_blocks(PLAIN);
    let more = records(51..=53);
    let tail = maker.tail(&[(5, vec![(more.clone(), vec![])])]);
    let (_dir, reader) = made(&maker.seal_with_tail(true).bytes, Some(&tail));
    assert_eq!((reader.state(), read_all(&reader)), (State::Sealed, [all, more].concat()));
}

#[test]
fn gaps_of_a_full_disk_follow_the_blocks_that_stay_in_the_tail() {
    let (mut maker, all) = five_blocks(PLAIN);
    let more = records(51..=53);
    let tail = maker.tail(&[(5, vec![(more.clone(), vec![])])]);
    maker.skip_number();
    let (from, to, why) = (54, Some(60), "disk full".to_owned());
    let gap = Entry::Gap(Gap { run: run(1), from, to, time: Time::from_micros(9), why });
    let (_dir, reader) =
        made(&maker.block(std::slice::from_ref(&gap), &[], None).seal_with_tail(true).bytes, Some(&tail));
    assert_eq!((reader.state(), read_all(&reader)), (State::Sealed, [all, more, vec![gap]].concat()));
    assert_eq!((reader.totals().records, reader.totals().lost, reader.runs()[0].next_seq), (53, 7, 61));
    let line = GramQuery::literal(b"line 3 of", Case::Sensitive);
    assert!(reader.candidates(&line).contains(0) && reader.candidates(&line).contains(5));
    let mut damage = Vec::new();
    let checked = reader.check(&mut |found| damage.push(found)).unwrap();
    assert_eq!((checked.records, checked.lost, damage), (53, Some(7), vec![]));
}

#[test]
fn a_gap_of_a_block_that_the_disk_lost_later_moves_no_seq() {
    let mut maker = Maker::new(PLAIN);
    maker.block(&records(1..=4), &[], None);
    // Block 1, with records 5 to 8, did not survive a failed sync.
    let lost = maker.bytes.len();
    maker.frame(FrameKind::Block, &[0; 30], &[0; 300]);
    let length = maker.bytes.len();
    maker.bytes[lost..].fill(0);
    assert_eq!(length, maker.bytes.len());
    maker.skip_number();
    let gap = Gap { run: run(1), from: 5, to: Some(8), time: Time::from_micros(9), why: "lost later".into() };
    let entries = [records(9..=10), vec![Entry::Gap(gap.clone())], records(11..=12)].concat();
    let (_dir, reader) = made(&maker.block(&entries, &[run(1)], None).bytes, None);
    assert_eq!(read_all(&reader), [records(1..=4), entries].concat());
    assert_eq!(reader.gaps(), [gap]);
    let mut damage = Vec::new();
    let checked = reader.check(&mut |found| damage.push(found)).unwrap();
    assert_eq!((checked.records, checked.lost, damage.len()), (8, Some(4), 1));
}

#[test]
fn a_block_that_is_written_to_the_tail_again_is_read_again() {
    let dir = tempdir().unwrap();
    let maker = Maker::new(PLAIN);
    let all = records(1..=6);
    let frames = [&all[..2], &all[2..4]].map(|entries| (entries.to_vec(), vec![])).to_vec();
    let path = write(dir.path(), &maker.bytes, Some(&maker.tail(&[(0, frames)])));
    let _held = lock(&path);
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(read_all(&reader), all[..4]);
    // After a failed sync the writer begins the slot anew, with all it has.
    write(dir.path(), &maker.bytes, Some(&maker.tail(&[(0, vec![(all.clone(), vec![])])])));
    assert!(reader.refresh().unwrap());
    assert_eq!(read_all(&reader), all);
}

#[test]
fn the_latest_checkpoint_is_found_wherever_it_is() {
    let mut maker = Maker::new(PLAIN);
    for (seq, checkpoint) in [(1, Some(&b"old"[..])), (2, Some(b"new")), (3, None), (4, None)] {
        maker.block(&records(seq..=seq), &[], checkpoint);
    }
    let (_dir, reader) = made(&maker.bytes, None);
    assert_eq!(reader.checkpoint().unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let dir = tempdir().unwrap();
    let open = |bytes: &[u8]| Reader::open(&write(dir.path(), bytes, None)).err().unwrap();
    assert!(matches!(open(b""), BoomError::NotBoom { .. }));
    assert!(matches!(open(&[b'x'; 100]), BoomError::NotBoom { .. }));
    let mut header = Maker::new(PLAIN).bytes;
    header[20] ^= 1;
    assert!(matches!(open(&header), BoomError::Damaged { offset: 0, .. }));
    assert!(matches!(Reader::open(&dir.path().join("none")), Err(BoomError::Io { action: "open", .. })));
}

#[test]
fn an_empty_file_has_nothing_and_no_damage() {
    let (_dir, reader) = made(&Maker::new(PLAIN).bytes, None);
    assert_eq!((reader.blocks().len(), reader.damage(), reader.totals().times), (0, &[][..], None));
    let (_dir, reader) = made(&Maker::new(PLAIN).seal().bytes, None);
    assert_eq!((reader.state(), reader.blocks().len(), reader.damage()), (State::Sealed, 0, &[][..]));
}

/// Entries of a few runs, with everything a record can have; seqs count on in each run, gaps included.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let message = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[a-e]{0,3}(\n|\x1b\\[1m)?[a-z 0-9]{0,30}".prop_map(String::into_bytes),
    ];
    let times = (any::<i32>(), proptest::option::of(any::<i64>()));
    let kind = (1u8..4, 0u8..3, 0usize..5, 0u8..8);
    let entry = (kind, message, times, proptest::option::of("\\{[a-z\":]{0,9}\\}"), 0u64..40);
    proptest::collection::vec(entry, 0..60).prop_map(|parts| {
        let mut next = [1u64; 4];
        let entry =
            |((number, stream, level, flags), message, (time, origin_time_ns), fields, gap): (_, _, _, _, _)| {
                let (id, seq) = (run(number), next[usize::from(number)]);
                let time = Time::from_micros(1_700_000_000_000_000 + i64::from(time));
                let lost = if gap == 7 { 3 } else { 1 };
                next[usize::from(number)] += lost;
                if gap == 7 {
                    return Entry::Gap(Gap { run: id, from: seq, to: Some(seq + 2), time, why: "disk full".into() });
                }
                let (stream, level) = (Stream::from_u8(stream).unwrap(), Level::ALL[level]);
                let flags = Flags::from_bits(flags).unwrap();
                Entry::Record(Record { run: id, seq, time, origin_time_ns, stream, level, flags, message, fields })
            };
        parts.into_iter().map(entry).collect()
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    (any::<[bool; 3]>(), 1usize..4).prop_map(|([compressed, bucketed, filter], blocks_per_index)| Shape {
        compressed,
        bucketed,
        filter,
        blocks_per_index,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_entries_come_back(all in entries(), shape in shape(), per_block in 1usize..20, tail in 0usize..9, sealed: bool) {
        let mut maker = Maker::new(shape);
        let written = if sealed { all.len() } else { all.len() - tail.min(all.len()) };
        all[..written].chunks(per_block).for_each(|entries| { maker.block(entries, &[], None); });
        let frames = all[written..].chunks(3).map(|entries| (entries.to_vec(), vec![])).collect();
        let tail = maker.tail(&[(maker.next_number(), frames)]);
        if sealed {
            maker.seal();
        }
        let (_dir, reader) = made(&maker.bytes, Some(&tail));
        prop_assert_eq!(read_all(&reader), all.clone());
        prop_assert_eq!(reader.damage(), &[]);
        let records = all.iter().filter(|entry| matches!(entry, Entry::Record(_))).count() as u64;
        prop_assert_eq!(reader.totals().records, records);
        prop_assert_eq!(reader.totals().lost, (all.len() as u64 - records) * 3);
        let mut damage = Vec::new();
        let checked = reader.check(&mut |found| damage.push(found)).unwrap();
        prop_assert_eq!((checked.records, damage), (records, vec![]));
        prop_assert_eq!(checked.lost.is_none(), !sealed && !all.is_empty());
    }

    #[test]
    fn a_place_in_the_text_is_mapped_to_its_record(all in entries(), shape in shape()) {
        let mut maker = Maker::new(shape);
        maker.block(&all, &[], None);
        let (_dir, reader) = made(&maker.bytes, None);
        let mut block = reader.read(0).unwrap();
        let records = block.records().unwrap();
        for index in 0..records.len() {
            let message = records.message(index).as_ptr_range();
            let offset = |at: *const u8| at as usize - records.text().as_ptr() as usize;
            let (start, end) = (offset(message.start), offset(message.end));
            prop_assert_eq!((records.locate(start), records.locate(end)), (Some(index), Some(index)));
        }
        prop_assert_eq!(records.locate(records.text().len()), None);
    }
}

//! A writer on a disk that fails, as a reader sees what is left.

use std::collections::BTreeMap;

use logboom_record::{Entry, Flags, Gap, Kind, Level, Outcome, Record, RunEnd, RunId, Stream, Time};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::reader::Reader;
use crate::testing::{Disk, Fault, OpKind, Read, read};

mod losses;

const NOSPC: i32 = 28;
const RUN: RunId = RunId::from_bytes([7; 16]);

fn writer(disk: &Disk, block_text_bytes_max: usize) -> Writer {
    let header = crate::format::FileHeader { id: crate::format::FileId::new([3; 16]), created_at: Time::default() };
    let file = BoomFile::create(disk.boom(), header).unwrap();
    let options = Options { block_text_bytes_max, ..Options::default() };
    Writer::new("sim.boom".into(), file, disk.tail(), options)
}

fn plain(message: &[u8], micros: i64) -> NewRecord<'_> {
    NewRecord {
        time: Time::from_micros(micros),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::NONE,
        message,
        fields: None,
    }
}

/// The message of the record with this seq.
fn message(seq: u64) -> Vec<u8> {
    format!("{} line {seq} {:x}", ["warning:", "note:", "done"][seq as usize % 3], seq.wrapping_mul(0x9e37_79b9))
        .into_bytes()
}

fn push(writer: &mut Writer, run: RunSlot, count: u64) {
    for _ in 0..count {
        let seq = writer.next_seq(run);
        assert_eq!(writer.push(run, &plain(&message(seq), seq as i64)).unwrap(), seq);
    }
}

fn read_disk(disk: &Disk) -> Read {
    disk.read(read)
}

/// The same for the reader that everybody uses.
fn with_reader<T>(disk: &Disk, act: impl FnOnce(&Reader) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.boom");
    disk.read(|boom, tail| {
        std::fs::write(&path, boom).unwrap();
        std::fs::write(dir.path().join("records.boom.tail"), tail).unwrap();
    });
    act(&Reader::open(&path).unwrap())
}

/// Every seq up to `last` is a record as it was pushed, or in a gap, each once.
fn assert_accounted(read: &Read, last: u64) {
    let (kept, lost) = read.seqs(RUN);
    let mut all: Vec<u64> = kept.iter().chain(&lost).copied().collect();
    all.sort_unstable();
    assert_eq!(all, (1..=last).collect::<Vec<_>>());
    assert_right(read);
}

fn assert_right(read: &Read) {
    read.records(RUN).into_iter().for_each(|record| assert_eq!(record.message, message(record.seq)));
}

fn end() -> RunEnd {
    RunEnd { ended_at: Time::from_micros(9), outcome: Outcome::Failed, exit_code: Some(3), signal: None }
}

#[test]
fn a_short_session_is_one_block_and_leaves_no_tail() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 1 << 20);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    push(&mut writer, run, 3);
    writer.end_run(run, &end());
    let sealed = writer.seal().unwrap();
    let read = read_disk(&disk);
    assert_accounted(&read, 3);
    assert_eq!((sealed.totals.records, sealed.failing), (3, None));
    assert_eq!((read.blocks.len(), read.indexes.len(), disk.read(|_, tail| tail.len())), (1, 1, 0));
    let footer = read.footer.unwrap();
    assert_eq!((footer.records, footer.lines, footer.has_tail), (3, 3, false));
    assert_eq!((footer.runs[0].next_seq, &footer.runs[0].end), (4, &Some(end())));
    assert_eq!(read.ends, [(RUN, end())]);
}

#[test]
fn an_empty_session_has_only_a_footer() {
    let disk = Disk::new();
    writer(&disk, 1 << 20).seal().unwrap();
    let read = read_disk(&disk);
    assert_eq!((read.blocks.len(), read.indexes.len(), read.footer.is_some()), (0, 0, true));
}

#[test]
fn an_index_follows_every_32_blocks() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 200);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    push(&mut writer, run, 700);
    writer.seal().unwrap();
    let read = read_disk(&disk);
    assert_accounted(&read, 700);
    let (last, full) = read.indexes.split_last().unwrap();
    assert!(full.len() > 1 && full.iter().all(|index| index.blocks.len() == 32), "{}", full.len());
    assert_eq!(last.blocks.len() + full.len() * 32, read.blocks.len());
    assert_eq!(read.footer.unwrap().index_offsets.len(), read.indexes.len());
}

#[test]
fn what_was_flushed_is_seen_by_others_at_once() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 400);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    for count in 1..200 {
        push(&mut writer, run, 1);
        writer.flush().unwrap();
        // A block may move to the boom file between the two reads of a live reader; this one looks at one moment.
        assert_accounted(&read_disk(&disk), count);
    }
}

#[test]
fn a_large_record_has_its_block_for_itself() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 1 << 20);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    let large = vec![b'x'; RECORD_BYTES_MAX];
    for message in [&b"small"[..], &large, b"small", &large, &large] {
        writer.push(run, &plain(message, 0)).unwrap();
    }
    let too_large = vec![b'x'; RECORD_BYTES_MAX + 1];
    assert!(matches!(writer.push(run, &plain(&too_large, 0)), Err(BoomError::TooLarge { .. })));
    assert_eq!(writer.next_seq(run), 6);
    writer.seal().unwrap();
    let read = read_disk(&disk);
    assert_eq!(read.blocks.iter().map(|block| block.records).collect::<Vec<_>>(), [1, 1, 1, 1, 1]);
    assert_eq!(read.records(RUN)[3].message, large);
}

#[test]
fn a_block_ends_before_its_slot_is_full_of_small_frames() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 1 << 20);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    for _ in 0..60_000 {
        writer.push(run, &plain(b"", 0)).unwrap();
        writer.flush().unwrap();
    }
    writer.seal().unwrap();
    assert!(read_disk(&disk).blocks.len() > 1);
}

#[test]
fn lines_in_parts_are_told_where_blocks_join() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 1 << 20);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    let part = |flags, stream| NewRecord { flags, stream, ..plain(b"part", 0) };
    let next_block = |writer: &mut Writer| assert!(writer.rotate());
    writer.push(run, &part(Flags::CONTINUED, Stream::Stdout)).unwrap();
    next_block(&mut writer);
    writer.push(run, &part(Flags::NONE, Stream::Stderr)).unwrap();
    next_block(&mut writer);
    writer.push(run, &part(Flags::NONE, Stream::Stdout)).unwrap();
    next_block(&mut writer);
    writer.push(run, &part(Flags::CONTINUED, Stream::Stdout)).unwrap();
    writer.push(run, &part(Flags::NONE, Stream::Stdout)).unwrap();
    writer.seal().unwrap();
    let flags: Vec<_> = read_disk(&disk).blocks.iter().map(|block| block.flags).collect();
    assert_eq!(flags, [BlockFlags::JOINS_LATER, BlockFlags::NONE, BlockFlags::JOINS_EARLIER, BlockFlags::NONE]);
}

#[test]
fn a_257th_run_starts_a_block() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 1 << 20);
    for number in 0..300u16 {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_le_bytes());
        let run = writer.run(RunId::from_bytes(id), Kind::Task, 5).unwrap();
        assert_eq!(writer.push(run, &plain(b"x", 0)).unwrap(), 5);
    }
    writer.seal().unwrap();
    let read = read_disk(&disk);
    assert_eq!(read.blocks.iter().map(|block| block.runs.len()).collect::<Vec<_>>(), [256, 44]);
    assert!(read.entries.values().all(|entries| entries.len() == 1 && entries[0].seq() == 5));
}

#[test]
fn killed_at_any_operation_it_leaves_all_that_was_flushed() {
    let ops = history(&Disk::new()).1;
    for dies_at in 0..ops {
        let disk = Disk::new();
        disk.plan(move |op| (op.number == dies_at).then_some(Fault::Die));
        let (flushed, _) = history(&disk);
        let read = read_disk(&disk);
        let (kept, lost) = read.seqs(RUN);
        assert_eq!(kept, (1..=kept.len() as u64).collect::<Vec<_>>(), "operation {dies_at}");
        assert!(kept.len() as u64 >= flushed && lost.is_empty(), "operation {dies_at}");
        assert_eq!(read.damaged_bytes, 0, "operation {dies_at}");
        assert_right(&read);
    }
}

/// 300 records over many blocks, flushed now and then, not sealed where the disk dies. How many were flushed for sure, and
/// how many operations that took.
fn history(disk: &Disk) -> (u64, u64) {
    let header = crate::format::FileHeader { id: crate::format::FileId::new([3; 16]), created_at: Time::default() };
    let Ok(file) = BoomFile::create(disk.boom(), header) else { return (0, 0) };
    let options = Options { block_text_bytes_max: 500, ..Options::default() };
    let mut writer = Writer::new("sim.boom".into(), file, disk.tail(), options);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    let mut flushed = 0;
    for _ in 0..100 {
        push(&mut writer, run, 3);
        let lost = writer.health().lost;
        if writer.flush().is_ok() && lost == 0 {
            flushed = writer.next_seq(run) - 1;
        }
    }
    let sealed = writer.seal();
    (sealed.map_or(flushed, |sealed| if sealed.failing.is_none() { 300 } else { flushed }), disk.ops())
}

#[test]
fn refused_room_at_any_operation_it_accounts_for_every_record() {
    let ops = history(&Disk::new()).1;
    for full_at in 2..ops {
        for last in [full_at, u64::MAX] {
            let disk = Disk::new();
            disk.plan(move |op| {
                let takes_room = op.kind == OpKind::Reserve || op.kind == OpKind::Write && op.in_tail;
                (takes_room && (full_at..=last).contains(&op.number)).then_some(Fault::Fail(NOSPC))
            });
            history(&disk);
            let read = read_disk(&disk);
            assert!(read.footer.is_some(), "operation {full_at}");
            assert_accounted(&read, 300);
        }
    }
}

#[test]
fn on_a_full_disk_nothing_blocks_and_what_was_lost_is_one_gap() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 20_000);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    push(&mut writer, run, 5_000);
    writer.flush().unwrap();
    disk.set_room(Some(0));
    for _ in 0..100 {
        push(&mut writer, run, 1_000);
        let _ = writer.flush();
    }
    let health = writer.health();
    assert!(health.lost > 40_000 && health.failing.is_some(), "{health:?}");
    assert!(writer.flush().is_err());
    assert_eq!(writer.next_seq(run), 105_001);
    disk.set_room(None);
    while writer.flush().is_err() {
        std::thread::yield_now();
    }
    push(&mut writer, run, 1_000);
    let sealed = writer.seal().unwrap();
    let read = read_disk(&disk);
    assert_accounted(&read, 106_000);
    assert_eq!(read.gaps(RUN).len(), 1);
    assert!(read.gaps(RUN)[0].why.contains("No space left"), "{}", read.gaps(RUN)[0].why);
    assert_eq!(sealed.totals.lost, read.seqs(RUN).1.len() as u64);
    assert_eq!((sealed.failing, read.footer.unwrap().has_tail), (None, false));
}

#[test]
fn on_a_disk_that_stays_full_the_gap_goes_into_the_reserve() {
    for room in [0u64, 8_192, 20_000, 40_960, 1 << 20] {
        let disk = Disk::new();
        let mut writer = writer(&disk, 20_000);
        disk.set_room(Some((64 << 10) + 8_192 + room));
        let run = writer.run(RUN, Kind::Command, 1).unwrap();
        for _ in 0..150 {
            push(&mut writer, run, 1_000);
            let _ = writer.flush();
        }
        writer.end_run(run, &end());
        let sealed = writer.seal().unwrap();
        let read = read_disk(&disk);
        assert_accounted(&read, 150_000);
        assert_eq!(read.gaps(RUN).len(), 1, "room {room}");
        let in_tail: u64 = if read.footer.as_ref().unwrap().has_tail { read.tail_blocks as u64 } else { 0 };
        assert_eq!(in_tail, read.tail_blocks as u64);
        assert!(sealed.failing.unwrap().contains("No space left"));
        let checked = with_reader(&disk, |reader| reader.check(&mut |damage| panic!("{damage:?}")).unwrap());
        assert_eq!(checked.records + checked.lost.unwrap(), 150_000);
        assert_eq!(checked.gaps.len(), 1);
        assert_eq!(read.footer.unwrap().runs[0].end, Some(end()));
    }
}

#[test]
fn a_power_cut_takes_nothing_that_was_synced() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 500);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    let mut synced = 0;
    for round in 0..200 {
        push(&mut writer, run, 1 + round % 40);
        if round % 3 == 0 {
            writer.sync().unwrap();
            synced = writer.next_seq(run) - 1;
        }
        let kept = disk.read_after_power_cut(read).seqs(RUN).0;
        assert!(kept.len() as u64 >= synced, "round {round}: {} of {synced}", kept.len());
        assert_eq!(kept, (1..=kept.len() as u64).collect::<Vec<_>>());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push { run: usize, record: Record },
    Gap { run: usize, count: u64, why: String },
    Checkpoint(Vec<u8>),
    Flush,
    Sync,
}

fn record() -> impl Strategy<Value = Record> {
    let byte = prop_oneof![b'a'..b'e', b'0'..=b'9', Just(b'\n'), Just(0x1b), any::<u8>()];
    let times = (-1_000i64..1_000_000, option::weighted(0.2, any::<i64>()));
    let fields = option::weighted(0.2, "\\{\"a\":[0-9]{1,9}\\}");
    (times, 0u8..3, 0usize..5, 0u8..8, vec(byte, 0..60), fields).prop_map(
        |((micros, origin_time_ns), stream, level, flags, message, fields)| Record {
            run: RUN,
            seq: 0,
            time: Time::from_micros(micros),
            origin_time_ns,
            stream: Stream::from_u8(stream).unwrap(),
            level: Level::ALL[level],
            flags: Flags::from_bits(flags).unwrap(),
            message,
            fields,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0usize..3, record()).prop_map(|(run, record)| Step::Push { run, record }),
        1 => (0usize..3, 1u64..9, "[a-z ]{0,300}").prop_map(|(run, count, why)| Step::Gap { run, count, why }),
        1 => vec(any::<u8>(), 0..9).prop_map(Step::Checkpoint),
        2 => Just(Step::Flush),
        1 => Just(Step::Sync),
    ]
}

fn run_id(run: usize) -> RunId {
    RunId::from_bytes([run as u8; 16])
}

/// Does the steps; gives what must be found, gaps without their times.
fn act(writer: &mut Writer, steps: &[Step], disk: &Disk) -> (BTreeMap<RunId, Vec<Entry>>, Option<Vec<u8>>) {
    let (mut expected, mut checkpoint) = (BTreeMap::<RunId, Vec<Entry>>::new(), None);
    let slots: Vec<_> = (0..3).map(|run| writer.run(run_id(run), Kind::Task, 1 + run as u64 * 100).unwrap()).collect();
    for step in steps {
        match step {
            Step::Push { run, record } => {
                let Record { time, origin_time_ns, stream, level, flags, .. } = *record;
                let (message, fields) = (&record.message[..], record.fields.as_deref());
                let new = NewRecord { time, origin_time_ns, stream, level, flags, message, fields };
                let seq = writer.push(slots[*run], &new).unwrap();
                let record = Record { run: run_id(*run), seq, ..record.clone() };
                expected.entry(record.run).or_default().push(Entry::Record(record));
            }
            Step::Gap { run, count, why } => {
                let from = writer.next_seq(slots[*run]);
                writer.gap(slots[*run], *count, why);
                let why = why[..why.len().min(WHY_BYTES_MAX)].to_owned();
                let gap = Gap { run: run_id(*run), from, to: Some(from + count - 1), time: Time::default(), why };
                expected.entry(gap.run).or_default().push(Entry::Gap(gap));
            }
            Step::Checkpoint(bytes) => {
                writer.checkpoint(bytes).unwrap();
                checkpoint = Some(bytes.clone());
            }
            Step::Flush => {
                writer.flush().unwrap();
                let read = read_disk(disk);
                assert_eq!(timeless(read.entries), expected);
                assert_eq!(read.checkpoint, checkpoint);
            }
            Step::Sync => {
                writer.sync().unwrap();
                assert_eq!(timeless(disk.read_after_power_cut(read).entries), expected);
            }
        }
    }
    (expected, checkpoint)
}

fn timeless(mut entries: BTreeMap<RunId, Vec<Entry>>) -> BTreeMap<RunId, Vec<Entry>> {
    for entry in entries.values_mut().flatten() {
        if let Entry::Gap(gap) = entry {
            gap.time = Time::default();
        }
    }
    entries
}

proptest! {
    #[test]
    fn any_entries_come_back(steps in vec(step(), 0..300), block_bytes in prop_oneof![Just(100usize), Just(3_000), Just(1 << 20)]) {
        let disk = Disk::new();
        let mut writer = writer(&disk, block_bytes);
        let (expected, checkpoint) = act(&mut writer, &steps, &disk);
        let sealed = writer.seal().unwrap();
        let read = read_disk(&disk);
        let records = expected.values().flatten().filter(|entry| matches!(entry, Entry::Record(_))).count();
        prop_assert_eq!(timeless(read.entries), expected);
        prop_assert_eq!(read.checkpoint, checkpoint);
        prop_assert_eq!(sealed.totals.records, records as u64);
        prop_assert_eq!(read.blocks.iter().map(|block| block.number).collect::<Vec<_>>(), (0..read.blocks.len() as u64).collect::<Vec<_>>());
    }
}

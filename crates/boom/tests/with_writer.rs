//! What the writer writes, the reader reads: at any moment, while it is written and after its end.

#![allow(clippy::unwrap_used, clippy::panic)] // tests may

mod maker;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use logboom_boom::{
    NewRecord, Options, Writer,
    block::Block,
    gram_query::{Case, GramQuery},
    reader::{Reader, State},
};
use logboom_record::{Entry, Flags, Kind, Level, Record, Stream, Time};
use maker::{ended, read_all, record, run};
use proptest::{collection::vec, prelude::*};
use tempfile::tempdir;

const SMALL: Options = Options { compression_level: 1, block_text_bytes_max: 2_000 };

fn new(record: &Record) -> NewRecord<'_> {
    NewRecord {
        time: record.time,
        origin_time_ns: record.origin_time_ns,
        stream: record.stream,
        level: record.level,
        flags: record.flags,
        message: &record.message,
        fields: record.fields.as_deref(),
    }
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let message = prop_oneof![
        vec(any::<u8>(), 0..60),
        "[a-zA-Z]{0,9} (timeout|refused) [0-9a-f]{0,16}(\n|\x1b\\[1m)?[a-z ]{0,40}".prop_map(String::into_bytes),
        (200usize..3_000).prop_map(|len| vec![b'x'; len]),
    ];
    let rest = (1u8..4, 0u8..3, 0usize..5, 0u8..8, any::<i32>(), proptest::option::of(any::<i64>()));
    let fields = proptest::option::of("\\{[a-z\":]{0,9}\\}");
    let record =
        (message, rest, fields).prop_map(|(message, (id, stream, level, flags, time, origin), fields)| Record {
            run: run(id),
            seq: 0,
            time: Time::from_micros(1_700_000_000_000_000 + i64::from(time)),
            origin_time_ns: origin,
            stream: Stream::from_u8(stream).unwrap(),
            level: Level::ALL[level],
            flags: Flags::from_bits(flags).unwrap(),
            message,
            fields,
        });
    vec(record, 0..150).prop_map(|mut records| {
        let mut next = [1u64; 4];
        for record in &mut records {
            let next = &mut next[usize::from(record.run.as_bytes()[0])];
            record.seq = *next;
            *next += 1;
        }
        records
    })
}

/// How a file is left: sealed, with its writer alive, or by a writer that died.
#[derive(Clone, Copy, Debug)]
enum Left {
    Sealed,
    Live,
    Abandoned,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_records_come_back(
        records in records(), flush_every in 1usize..40,
        left in prop_oneof![Just(Left::Sealed), Just(Left::Live), Just(Left::Abandoned)],
    ) {
        let dir = tempdir().unwrap();
        let mut writer = Writer::create_in(dir.path(), "records", SMALL).unwrap();
        for (number, record) in records.iter().enumerate() {
            let slot = writer.run(record.run, Kind::Command, 1).unwrap();
            prop_assert_eq!(writer.push(slot, &new(record)).unwrap(), record.seq);
            if number % flush_every == 0 {
                writer.flush().unwrap();
            }
        }
        writer.flush().unwrap();
        let path = writer.path().to_owned();
        let alive = match left {
            Left::Sealed => writer.seal().map(|_| None).unwrap(),
            Left::Live => Some(writer),
            Left::Abandoned => {
                drop(writer);
                None
            }
        };
        let reader = Reader::open(&path).unwrap();
        let state = match left { Left::Sealed => State::Sealed, Left::Live => State::Live, Left::Abandoned => State::Abandoned };
        prop_assert_eq!(reader.state(), state);
        let all: Vec<Entry> = records.iter().cloned().map(Entry::Record).collect();
        prop_assert_eq!(read_all(&reader), all);
        let mut damage = Vec::new();
        let checked = reader.check(&mut |found| damage.push(found)).unwrap();
        prop_assert_eq!((checked.records, damage), (records.len() as u64, vec![]));
        drop(alive);
    }

    #[test]
    fn a_filtered_search_finds_what_a_full_one_does(records in records(), pick in any::<prop::sample::Index>(), from in 0usize..50, len in 3usize..20) {
        prop_assume!(!records.is_empty());
        let dir = tempdir().unwrap();
        let mut writer = Writer::create_in(dir.path(), "records", SMALL).unwrap();
        for record in &records {
            let slot = writer.run(record.run, Kind::Command, 1).unwrap();
            writer.push(slot, &new(record)).unwrap();
        }
        let path = writer.path().to_owned();
        writer.seal().unwrap();
        let message = &pick.get(&records).message;
        let from = from.min(message.len());
        let piece = &message[from..(from + len).min(message.len())];
        let reader = Reader::open(&path).unwrap();
        let candidates = reader.candidates(&GramQuery::literal(piece, Case::Sensitive));
        let mut block = Block::default();
        for index in 0..reader.blocks().len() {
            reader.read_into(index, &mut block).unwrap();
            let found = block.records().unwrap().iter().any(|record| memchr::memmem::find(record.message, piece).is_some());
            prop_assert!(!found || candidates.contains(index), "{:?} in block {}", piece, index);
        }
    }
}

/// Follows the file until it is no longer live, and checks that each record is seen once and in order.
fn follow(path: &Path) -> (u64, State) {
    let mut reader = Reader::open(path).unwrap();
    let (mut block, mut seen, mut place) = (Block::default(), 0, (0, 0));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        for index in place.0..reader.blocks().len() {
            reader.read_into(index, &mut block).unwrap();
            assert_eq!(block.number(), index as u64);
            let records = block.records().unwrap();
            let first = if index == place.0 { place.1 } else { 0 };
            for number in first..records.len() {
                seen += 1;
                assert_eq!(records.seq(number), seen);
                assert_eq!(records.message(number), format!("line {seen} of a program").as_bytes());
            }
            place = (index, records.len());
        }
        assert_eq!(reader.totals().records, seen);
        assert_eq!(reader.damage(), []);
        if reader.state() != State::Live {
            return (seen, reader.state());
        }
        assert!(Instant::now() < deadline, "the writer does not end");
        if !reader.refresh().unwrap() {
            thread::yield_now();
        }
    }
}

/// Writes 20,000 records, with flushes at odd places, beside three readers.
fn race(seal: bool) -> Vec<(u64, State)> {
    let dir = tempdir().unwrap();
    let mut writer = Writer::create_in(dir.path(), "records", SMALL).unwrap();
    let path = writer.path().to_owned();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| follow(&path))).collect();
        let slot = writer.run(run(1), Kind::Command, 1).unwrap();
        for seq in 1..=20_000 {
            writer.push(slot, &new(&record(seq, format!("line {seq} of a program")))).unwrap();
            if seq % 7 == 0 || seq % 64 < 3 {
                writer.flush().unwrap();
            }
        }
        writer.flush().unwrap();
        if seal {
            writer.end_run(slot, &ended());
            writer.seal().unwrap();
        } else {
            drop(writer);
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    })
}

#[test]
fn readers_of_a_live_file_see_every_record_once_until_it_is_sealed() {
    assert_eq!(race(true), [(20_000, State::Sealed); 3]);
}

#[test]
fn readers_of_a_live_file_see_every_record_once_until_its_writer_dies() {
    assert_eq!(race(false), [(20_000, State::Abandoned); 3]);
}

#[test]
fn gaps_ends_and_checkpoints_come_back() {
    let dir = tempdir().unwrap();
    let mut writer = Writer::create_in(dir.path(), "records", Options::default()).unwrap();
    let slot = writer.run(run(1), Kind::Task, 1).unwrap();
    writer.push(slot, &new(&record(1, "before"))).unwrap();
    writer.gap(slot, 5, "too fast");
    writer.push(slot, &new(&record(7, "after"))).unwrap();
    writer.checkpoint(b"here").unwrap();
    writer.end_run(slot, &ended());
    writer.flush().unwrap();
    let check = |reader: &Reader| {
        let seqs: Vec<u64> = read_all(reader).iter().map(Entry::seq).collect();
        assert_eq!(seqs, [1, 2, 7]);
        assert_eq!((reader.totals().records, reader.totals().lost), (2, 5));
        assert_eq!(reader.checkpoint().unwrap().as_deref(), Some(&b"here"[..]));
        assert_eq!((reader.runs()[0].next_seq, &reader.runs()[0].end), (8, &Some(ended())));
        assert_eq!(reader.runs()[0].kind, Kind::Task);
        let gaps: Vec<_> = reader.gaps().into_iter().map(|gap| (gap.from, gap.to, gap.why)).collect();
        assert_eq!(gaps, [(2, Some(6), "too fast".to_owned())]);
    };
    check(&Reader::open(writer.path()).unwrap());
    let path = writer.path().to_owned();
    writer.seal().unwrap();
    check(&Reader::open(&path).unwrap());
}

#[test]
fn a_block_of_hashes_has_a_filter_of_many_rows_that_finds_each() {
    let dir = tempdir().unwrap();
    let mut writer = Writer::create_in(dir.path(), "records", Options::default()).unwrap();
    let slot = writer.run(run(1), Kind::Command, 1).unwrap();
    let hash = |seq: u64| {
        let mixed = |salt: u64| {
            (seq ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        format!("{:016x}{:016x}{:016x}{:016x}", mixed(1), mixed(2), mixed(3), mixed(4))
    };
    let records = 48_000; // three blocks of 16,131 lines of 65 bytes at most
    for seq in 1..=records {
        writer.push(slot, &new(&record(seq, hash(seq)))).unwrap();
    }
    let path = writer.path().to_owned();
    writer.seal().unwrap();
    let reader = Reader::open(&path).unwrap();
    let blocks = reader.blocks().len();
    assert_eq!(blocks, 3);
    // With one page of 512 rows every block would be a candidate of every search.
    let mut candidates = 0;
    for seq in (1..=records).step_by(97) {
        let home = reader.blocks().iter().position(|block| block.seqs(run(1)).unwrap().contains(&seq)).unwrap();
        let found = reader.candidates(&GramQuery::literal(&hash(seq).as_bytes()[20..40], Case::Sensitive));
        assert!(found.contains(home), "record {seq} is not looked for in its block");
        candidates += found.count();
    }
    let searches = (1..=records).step_by(97).count();
    assert!(candidates < searches * 3 / 2, "{candidates} candidates of {searches} searches");
}

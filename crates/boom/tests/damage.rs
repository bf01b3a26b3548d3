//! Files that were cut or changed: what can be read is right, and what cannot is said.

#![allow(clippy::unwrap_used, clippy::panic)] // tests may

mod maker;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use logboom_boom::{
    BoomError,
    format::{BlockFlags, BlockSummary, tail::slot_offset},
    reader::{Damage, Reader, State},
    verify::Checked,
};
use logboom_record::{Entry, Gap, Record, Time};
use maker::{Maker, PLAIN, Shape, read_block, record, run, write};
use tempfile::{TempDir, tempdir};

const RECORDS: u64 = 24;

/// Six blocks of four records of two runs, which both end in the last one.
fn sealed() -> (Vec<u8>, Vec<Entry>) {
    let mut maker = Maker::new(PLAIN);
    let all = two_runs();
    let blocks: Vec<_> = all.chunks(4).collect();
    for (number, entries) in blocks.iter().enumerate() {
        let ends = if number + 1 == blocks.len() { vec![run(1), run(2)] } else { vec![] };
        maker.block(entries, &ends, None);
    }
    (maker.seal().bytes.clone(), all)
}

fn two_runs() -> Vec<Entry> {
    let entry = |number: u64| {
        let plain = record(number / 2 + 1, format!("line {number} says so"));
        Entry::Record(Record { run: run(1 + (number % 2) as u8), ..plain })
    };
    (0..RECORDS).map(entry).collect()
}

/// Five blocks of one run and no footer; two more in the tail, in frames of one and three records.
fn abandoned() -> (Vec<u8>, Vec<u8>, Vec<Entry>) {
    let mut maker = Maker::new(Shape { blocks_per_index: 3, ..PLAIN });
    let all: Vec<Entry> = (1..=RECORDS).map(|seq| Entry::Record(record(seq, format!("line {seq}")))).collect();
    all[..16].chunks(4).for_each(|entries| {
        maker.block(entries, &[], None);
    });
    let frames = |from: usize| vec![(all[from..from + 1].to_vec(), vec![]), (all[from + 1..from + 4].to_vec(), vec![])];
    let tail = maker.tail(&[(4, frames(16)), (5, frames(20))]);
    (maker.bytes, tail, all)
}

/// A boom file and perhaps a tail, which are changed in place: writing them anew for each byte would take minutes.
struct Dir {
    dir: TempDir,
    boom: PathBuf,
}

/// What came of reading a damaged file.
struct Outcome {
    state: State,
    entries: Vec<Entry>,
    unreadable_blocks: usize,
    damage: Vec<Damage>,
    checked: Checked,
}

impl Dir {
    fn new(boom: &[u8], tail: Option<&[u8]>) -> Dir {
        let dir = tempdir().unwrap();
        Dir { boom: write(dir.path(), boom, tail), dir }
    }

    fn tail(&self) -> PathBuf {
        self.dir.path().join("records.boom.tail")
    }

    fn read(&self) -> Result<Outcome, BoomError> {
        let reader = Reader::open(&self.boom)?;
        let (mut entries, mut unreadable_blocks) = (Vec::new(), 0);
        for block in 0..reader.blocks().len() {
            match read_block(&reader, block) {
                Ok(read) => entries.extend(read),
                Err(BoomError::Damaged { .. }) => unreadable_blocks += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let mut damage = Vec::new();
        let checked = reader.check(&mut |found| damage.push(found))?;
        Ok(Outcome { state: reader.state(), entries, unreadable_blocks, damage, checked })
    }
}

/// Calls `then` with one bit of each of these bytes of the file changed, which is undone afterwards.
fn flip_each(path: &Path, places: impl Iterator<Item = usize>, mut then: impl FnMut(usize)) {
    let bytes = std::fs::read(path).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    for at in places {
        file.write_all_at(&[bytes[at] ^ 1 << (at % 8)], at as u64).unwrap();
        then(at);
        file.write_all_at(&bytes[at..=at], at as u64).unwrap();
    }
}

/// Calls `then` with the file cut to each of these lengths, which go down.
fn cut_each(path: &Path, lengths: impl Iterator<Item = usize>, mut then: impl FnMut(usize)) {
    let file = File::options().write(true).open(path).unwrap();
    for len in lengths {
        file.set_len(len as u64).unwrap();
        then(len);
    }
}

impl Outcome {
    /// Whether every record that was not read is in a gap, and none that was.
    fn accounts_for(&self, all: &[Entry]) -> bool {
        all.iter().all(|entry| {
            let (id, seq) = (entry.run(), entry.seq());
            let in_gap =
                |gap: &&logboom_record::Gap| gap.run == id && gap.from <= seq && gap.to.is_none_or(|to| seq <= to);
            let gaps = self.checked.gaps.iter().filter(in_gap).count();
            gaps == usize::from(!self.entries.contains(entry))
        })
    }

    /// Whether what was read is some of `all`, in its order.
    fn is_part_of(&self, all: &[Entry]) -> bool {
        let mut rest = all.iter();
        self.entries.iter().all(|entry| rest.any(|one| one == entry))
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_is_whole_and_an_open_gap() {
    let (boom, _, all) = abandoned();
    let dir = Dir::new(&boom, None);
    cut_each(&dir.boom, (64..boom.len()).rev(), |len| {
        let read = dir.read().unwrap();
        assert_eq!(
            (read.state, read.unreadable_blocks, &read.damage[..]),
            (State::Abandoned, 0, &[][..]),
            "cut to {len}"
        );
        assert_eq!(read.entries, all[..read.entries.len()], "cut to {len}");
        let gap = read.checked.gaps.first().map(|gap| (gap.from, gap.to));
        let expected = (!read.entries.is_empty()).then_some((read.entries.len() as u64 + 1, None));
        assert_eq!(gap, expected, "cut to {len}");
    });
    cut_each(&dir.boom, (0..64).rev(), |len| {
        let error = dir.read().err().unwrap();
        assert!(matches!(error, BoomError::NotBoom { .. } | BoomError::Damaged { .. }), "cut to {len}: {error}");
    });
}

#[test]
fn a_sealed_file_cut_anywhere_is_one_whose_writer_died() {
    let (boom, all) = sealed();
    let dir = Dir::new(&boom, None);
    cut_each(&dir.boom, (64..boom.len()).rev(), |len| {
        let read = dir.read().unwrap();
        assert_eq!(
            (read.state, read.unreadable_blocks, &read.damage[..]),
            (State::Abandoned, 0, &[][..]),
            "cut to {len}"
        );
        assert_eq!(read.entries, all[..read.entries.len()], "cut to {len}");
        assert!(read.entries.is_empty() || read.accounts_for(&all), "cut to {len}");
    });
}

#[test]
fn a_tail_cut_anywhere_gives_its_whole_frames() {
    let (boom, tail, all) = abandoned();
    let dir = Dir::new(&boom, Some(&tail));
    cut_each(&dir.tail(), (slot_offset(1) as usize..tail.len()).chain(0..5_000).rev(), |len| {
        let read = dir.read().unwrap();
        assert_eq!((read.unreadable_blocks, &read.damage[..]), (0, &[][..]), "cut to {len}");
        assert!(read.entries.len() >= 16 && read.entries == all[..read.entries.len()], "cut to {len}");
        assert!(read.accounts_for(&all), "cut to {len}");
    });
}

#[test]
fn a_sealed_file_with_any_byte_flipped_says_exactly_what_is_lost() {
    let (boom, all) = sealed();
    let dir = Dir::new(&boom, None);
    flip_each(&dir.boom, 64..boom.len(), |at| {
        let read = dir.read().unwrap();
        assert!(read.is_part_of(&all), "byte {at}");
        assert!(!read.damage.is_empty(), "byte {at}");
        assert!(read.accounts_for(&all), "byte {at}: {:?} {:?}", read.damage, read.checked.gaps);
        assert_eq!(read.checked.records + read.checked.lost.unwrap(), RECORDS, "byte {at}");
        assert_eq!(read.checked.records, read.entries.len() as u64, "byte {at}");
    });
}

#[test]
fn an_abandoned_file_with_any_byte_flipped_says_what_is_lost() {
    let (boom, tail, all) = abandoned();
    let dir = Dir::new(&boom, Some(&tail));
    flip_each(&dir.boom, 64..boom.len(), |at| {
        let read = dir.read().unwrap();
        assert!(read.is_part_of(&all), "byte {at}");
        assert!(read.accounts_for(&all), "byte {at}: {:?} {:?}", read.damage, read.checked.gaps);
        assert_eq!(read.checked.records, read.entries.len() as u64, "byte {at}");
    });
}

#[test]
fn a_tail_with_any_byte_flipped_ends_there() {
    let (boom, tail, all) = abandoned();
    let dir = Dir::new(&boom, Some(&tail));
    let slots = [0, 1].map(|slot| slot_offset(slot) as usize);
    let places = (0..64).chain(slots[0]..slots[0] + 300).chain(slots[1]..tail.len());
    flip_each(&dir.tail(), places, |at| {
        let read = dir.read().unwrap();
        assert!(read.is_part_of(&all), "byte {at}");
        assert!(read.accounts_for(&all), "byte {at}: {:?} {:?}", read.damage, read.checked.gaps);
    });
}

#[test]
fn every_flip_of_the_header_is_refused() {
    let dir = Dir::new(&sealed().0, None);
    flip_each(&dir.boom, 0..64, |at| assert!(dir.read().is_err(), "byte {at}"));
}

#[test]
fn what_stands_after_the_footer_is_damage_and_nothing_more() {
    let (mut boom, all) = sealed();
    boom.extend(b"appended by somebody");
    let read = Dir::new(&boom, None).read().unwrap();
    assert_eq!((read.state, read.entries, read.damage.len()), (State::Sealed, all, 1));
}

#[test]
fn frames_of_another_file_are_no_frames() {
    let (mut boom, all) = abandoned_without_tail();
    let (other, _) = sealed();
    // What a program prints may well be a boom file.
    boom.extend(&other[64..other.len() - 16]);
    let read = Dir::new(&boom, None).read().unwrap();
    assert_eq!((read.entries, read.damage), (all, vec![]));
}

fn abandoned_without_tail() -> (Vec<u8>, Vec<Entry>) {
    let mut maker = Maker::new(PLAIN);
    maker.id = logboom_boom::format::FileId::new([0x77; 16]);
    let header = logboom_boom::format::FileHeader { id: maker.id, created_at: Time::from_micros(0) };
    maker.bytes = header.encode().to_vec();
    let all: Vec<Entry> = (1..=4).map(|seq| Entry::Record(record(seq, "x"))).collect();
    maker.block(&all, &[], None);
    (maker.bytes, all)
}

#[test]
fn an_index_that_says_another_thing_than_its_block_is_told_of() {
    let changes: [fn(&mut BlockSummary); 6] = [
        |block| block.runs[0].id = run(9),
        |block| block.runs[0].first_seq += 1,
        |block| block.gaps[0].why = "another reason".to_owned(),
        |block| block.ends.clear(),
        |block| block.flags = BlockFlags::JOINS_LATER,
        |block| block.time_max = Time::from_micros(block.time_max.as_micros() + 1),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut maker = Maker::new(Shape { blocks_per_index: 4, ..PLAIN });
        let why = "a reason".to_owned();
        let first = record(1, "line");
        let gap = Gap { run: run(1), from: 2, to: Some(3), time: first.time, why };
        maker.block(&[Entry::Record(first), Entry::Gap(gap)], &[run(1)], None);
        maker.forge_summary(change);
        let read = Dir::new(&maker.seal().bytes, None).read().unwrap();
        let told =
            read.damage.iter().any(|damage| damage.what.to_string().contains("does not say what its block holds"));
        assert!(told, "change {number}: {:?}", read.damage);
    }
}

/// Six blocks of four records of one run, sealed or not, and a tail that has the third and the fourth, of that only three
/// records.
fn with_old_tail(is_sealed: bool) -> (Vec<u8>, Vec<u8>, Vec<Entry>) {
    let mut maker = Maker::new(Shape { blocks_per_index: 5, ..PLAIN });
    let all: Vec<Entry> = (1..=RECORDS).map(|seq| Entry::Record(record(seq, format!("line {seq}")))).collect();
    all.chunks(4).for_each(|entries| {
        maker.block(entries, &[], None);
    });
    let frames =
        |from: usize, to: usize| vec![(all[from..to - 1].to_vec(), vec![]), (all[to - 1..to].to_vec(), vec![])];
    let tail = maker.tail(&[(2, frames(8, 12)), (3, frames(12, 15))]);
    if is_sealed {
        maker.seal();
    }
    (maker.bytes, tail, all)
}

/// Where the frames of the blocks start, and where the last one ends.
fn block_places(boom: &[u8]) -> Vec<usize> {
    let magic = memchr_all(boom, &[0xF5, 0x0F, 0x62, 0x6F, 0x6F, 0x6D, 0xF0, 0x5F]);
    magic.into_iter().filter(|at| boom[at + 8] == 1).collect()
}

fn memchr_all(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(what)).collect()
}

/// The file with the end of a block's body, or from its head on all of it, as zeros.
fn zeroed(boom: &[u8], block: usize, with_head: bool) -> Vec<u8> {
    let start = block_places(boom)[block];
    let end = start + 48 + u32::from_le_bytes(boom[start + 12..start + 16].try_into().unwrap()) as usize;
    let mut boom = boom.to_vec();
    boom[if with_head { start } else { end - 8 }..end].fill(0);
    boom
}

#[test]
fn a_block_that_the_boom_file_lost_is_read_from_the_tail() {
    for (is_sealed, with_head) in [(false, false), (true, false), (false, true), (true, true)] {
        let (boom, tail, all) = with_old_tail(is_sealed);
        let outcome = Dir::new(&zeroed(&boom, 2, with_head), Some(&tail)).read().unwrap();
        assert_eq!((outcome.entries, outcome.damage), (all, vec![]), "{is_sealed} {with_head}");
        assert_eq!(outcome.checked.records, RECORDS);
        assert!(outcome.checked.gaps.iter().all(|gap| gap.to.is_none()));
    }
}

#[test]
fn of_a_block_that_the_boom_file_lost_the_tail_gives_the_beginning_and_the_rest_is_a_gap() {
    for is_sealed in [false, true] {
        let (boom, tail, all) = with_old_tail(is_sealed);
        let outcome = Dir::new(&zeroed(&boom, 3, false), Some(&tail)).read().unwrap();
        let kept: Vec<Entry> = [&all[..15], &all[16..]].concat();
        assert_eq!((outcome.entries, outcome.damage.len()), (kept, 1));
        let closed: Vec<_> = outcome.checked.gaps.iter().filter_map(|gap| Some((gap.from, gap.to?))).collect();
        assert_eq!((closed, outcome.checked.records), (vec![(16, 16)], RECORDS - 1));
    }
}

#[test]
fn a_block_that_the_boom_file_lost_is_not_looked_for_in_the_tail_of_another_file() {
    let (boom, mut tail, _) = with_old_tail(true);
    // Its header is good, and the id another one.
    let other = logboom_boom::format::FileHeader {
        id: logboom_boom::format::FileId::new([9; 16]),
        created_at: Time::default(),
    };
    tail[..64].copy_from_slice(&other.encode());
    let outcome = Dir::new(&zeroed(&boom, 2, false), Some(&tail)).read().unwrap();
    assert_eq!((outcome.unreadable_blocks, outcome.checked.lost), (1, Some(4)));
}

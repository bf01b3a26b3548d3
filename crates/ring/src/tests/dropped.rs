//! What the control page says of records that found no room, and of doubts.

use std::{fs, ops::Range, os::unix::fs::FileExt};

use logboom_record::{Record, RunId, Time};

use super::*;
use crate::{
    Generation,
    layout::{BATCH_AT, BOOT_ID, DROPPED_AT, FIRST_SEQ_AT, FIXED_BYTES, GENERATION_AT, PAGE, RINGS_AT},
    recover::Damage,
    rest::{self, hand_over},
};

/// Files that are killed after this many further writes.
struct Held {
    next_seq: u64,
    gaps: Vec<Range<u64>>,
    writes_left: usize,
}

impl rest::Files for Held {
    type Error = RingError;

    fn next_seq(&mut self, _: &Generation, _: Option<u64>) -> Result<u64, RingError> {
        Ok(self.next_seq)
    }

    fn append(&mut self, _: &Generation, lost: Range<u64>, records: Vec<Record>) -> Result<(), RingError> {
        self.next_seq = lost.end.max(self.next_seq) + records.len() as u64;
        self.gaps.extend(Some(lost).filter(|lost| !lost.is_empty()));
        self.writes_left = self.writes_left.checked_sub(1).ok_or(RingError::Machine)?;
        Ok(())
    }
}

/// A ring file with two records, of which the writer has counted `counted` more, and five were dropped; its program is dead.
fn left(path: &Path, counted: u64) {
    let (file, mut drain) = create(path);
    let (started_at, text) = (Time::now(), "a.log".to_owned());
    let run = RunId::new(started_at);
    file.add_generation(&Generation { number: 1, run, started_at, text, boom: None, name: "a".into() }).unwrap();
    if counted > 0 {
        drain.look();
        drain.begin_batch(1, 1);
        drain.end_batch(1 + counted);
    }
    let mut producer = file.producer(0).unwrap();
    assert!(log(&mut producer, 1, 1, b"one") && log(&mut producer, 1, 2, b"two"));
    (0..5).for_each(|_| file.note_dropped());
}

#[test]
fn the_gap_of_dropped_records_comes_once_however_often_recovery_is_killed() {
    for counted in [0, 3] {
        for writes in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.log.ring");
            left(&path, counted);
            let mut files = Held { next_seq: 1, gaps: Vec::new(), writes_left: writes };
            let mut killed = 0;
            while hand_over(&mut open_to_drain(&path), &mut files).is_err() {
                (files.writes_left, killed) = (4, killed + 1);
            }
            let before = (counted > 0).then_some(1..1 + counted);
            let gaps: Vec<Range<u64>> = before.into_iter().chain(Some(3 + counted..8 + counted)).collect();
            assert_eq!((files.next_seq, &files.gaps), (8 + counted, &gaps), "killed {killed} times");
            assert_eq!(open_to_drain(&path).dropped(), 0);
        }
    }
}

#[test]
fn a_gap_that_was_being_written_comes_once_with_what_was_dropped_meanwhile() {
    for told in [0, 3] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log.ring");
        let (file, mut drain) = create(&path);
        let (started_at, text) = (Time::now(), "a.log".to_owned());
        let run = RunId::new(started_at);
        file.add_generation(&Generation { number: 1, run, started_at, text, boom: None, name: "a".into() }).unwrap();
        drain.begin_batch(1, 4);
        drain.end_batch(4);
        (0..3).for_each(|_| file.note_dropped());
        file.begin_dropped();
        (0..2).for_each(|_| file.note_dropped());
        assert!(log(&mut file.producer(0).unwrap(), 1, 1, b"one"));
        let mut files = Held { next_seq: 4 + told, gaps: Vec::new(), writes_left: 9 };
        drop((file, drain));
        hand_over(&mut open_to_drain(&path), &mut files).unwrap();
        assert_eq!((files.next_seq, files.gaps.pop(), files.gaps.len()), (10, Some(5 + told..10), 0), "{told} told");
    }
}

#[test]
fn a_gap_that_the_writer_has_told_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    let (file, _drain) = create(&path);
    (0..5).for_each(|_| file.note_dropped());
    file.begin_dropped();
    file.settle_dropped(3);
    file.settle_dropped(0);
    let rings = DeadRings::open(&path).unwrap();
    assert_eq!((rings.dropped(), rings.is_dropped_begun()), (2, false));
}

#[test]
fn what_the_disk_did_not_take_is_a_gap_though_the_rings_are_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    left(&path, 0);
    let mut files = Held { next_seq: 1, gaps: Vec::new(), writes_left: 9 };
    hand_over(&mut open_to_drain(&path), &mut files).unwrap();
    let mut behind = Held { next_seq: 2, gaps: Vec::new(), writes_left: 9 };
    hand_over(&mut open_to_drain(&path), &mut behind).unwrap();
    assert_eq!((behind.gaps.len(), behind.gaps.pop()), (1, Some(2..3)));
}

#[test]
fn a_late_record_of_a_session_file_that_the_table_has_forgotten_goes_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    let (file, drain) = create(&path);
    let (started_at, text, name) = (Time::now(), "b.log".to_owned(), "b".to_owned());
    let run = RunId::new(started_at);
    file.add_generation(&Generation { number: 2, run, started_at, text, boom: None, name }).unwrap();
    assert!(log(&mut file.producer(0).unwrap(), 1, 1, b"late"));
    let mut files = Held { next_seq: 1, gaps: Vec::new(), writes_left: 9 };
    drop((file, drain));
    let damage = hand_over(&mut open_to_drain(&path), &mut files).unwrap();
    assert_eq!((files.next_seq, damage.bytes), (2, 0));
}

#[test]
fn a_recovery_says_whether_it_can_be_sure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    let (file, _) = create(&path);
    let has_all = || DeadRings::open(&path).unwrap().has_all();
    assert!(has_all());
    file.set_behind(true);
    assert!(!has_all());
    file.set_behind(false);
    assert!(has_all());
    let mut bytes = fs::read(&path).unwrap();
    bytes[BOOT_ID.start] ^= 1;
    let crc = crc32c::crc32c(&bytes[..FIXED_BYTES - 4]);
    bytes[FIXED_BYTES - 4..FIXED_BYTES].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(!has_all());
    let (file, _) = create(&dir.path().join("b.log.ring"));
    let has_all = || DeadRings::open(&dir.path().join("b.log.ring")).unwrap().has_all();
    file.set_by_queue(true);
    assert!(!has_all());
    file.set_by_queue(false);
    assert!(has_all());
}

#[test]
fn a_count_that_no_program_can_have_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    left(&path, 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[DROPPED_AT as usize + 7] = 1;
    fs::write(&path, bytes).unwrap();
    let rings = DeadRings::open(&path).unwrap();
    assert_eq!((rings.dropped(), rings.damage().bytes), (0, 8));
}

#[test]
fn a_recovery_that_is_killed_leaves_word_of_the_damage_that_it_passed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    let (file, _) = create(&path);
    for number in 1..=2 {
        let (started_at, text) = (Time::now(), format!("{number}.log"));
        let run = RunId::new(started_at);
        file.add_generation(&Generation { number, run, started_at, text, boom: None, name: "a".into() }).unwrap();
    }
    let mut producers = [file.producer(0).unwrap(), file.producer(0).unwrap()];
    assert!(log(&mut producers[0], 1, 1, b"damaged"));
    assert!(log(&mut producers[1], 1, 2, b"one") && log(&mut producers[1], 2, 3, b"two"));
    drop((producers, file));
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"?", RINGS_AT + PAGE as u64 + 4).unwrap();
    let mut files = Held { next_seq: 1, gaps: Vec::new(), writes_left: 1 };
    hand_over(&mut open_to_drain(&path), &mut files).unwrap_err();
    files.writes_left = 9;
    let mut rings = open_to_drain(&path);
    assert_eq!(hand_over(&mut rings, &mut files).unwrap(), Damage::default());
    assert!(!rings.has_all());
}

#[test]
fn a_seq_that_no_run_can_have_is_damage_and_loses_nothing_of_the_rings() {
    for number in [0, 1_u64] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log.ring");
        left(&path, 0);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&1_u64.to_le_bytes(), GENERATION_AT).unwrap();
        file.write_all_at(&u64::MAX.to_le_bytes(), FIRST_SEQ_AT).unwrap();
        file.write_all_at(&number.to_le_bytes(), BATCH_AT).unwrap();
        let mut files = Held { next_seq: 4, gaps: Vec::new(), writes_left: 9 };
        let damage = hand_over(&mut open_to_drain(&path), &mut files).unwrap();
        assert_eq!((files.next_seq, files.gaps.len(), damage.bytes), (11, 1, 8));
        assert_eq!(files.gaps[0], 6..11);
        assert_eq!(open_to_drain(&path).counted().first_seq, 6);
    }
}

#[test]
fn who_only_reads_rings_is_told_of_dropped_records_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.ring");
    left(&path, 0);
    let (found, _) = rest::read(&path, |_, _| 1).unwrap();
    assert_eq!((found.len(), found[0].records.len(), found[0].lost.len()), (1, 2, 1));
    assert_eq!(found[0].lost[0], 3..8);
}

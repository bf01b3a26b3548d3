//! A container's log, read while an engine writes and rotates it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share")]

mod jsonlog;

use std::fs;

use jsonlog::{
    Keeper, entry,
    setup::{Setup, inode},
};
use logboom_capture::{
    docker::logfile::{Outcome, Why},
    services::feed::{Delivery, Reached},
};
use logboom_record::Stream;

#[test]
fn a_file_that_comes_later_is_read() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(3));
    assert!(!setup.read(&mut log));
    setup.write(&mut engine, 3);
    assert!(!setup.read(&mut log));
    setup.assert_whole();
}

#[test]
fn a_log_that_never_comes_is_drained_when_finished() {
    let mut setup = Setup::new();
    let mut log = setup.log();
    setup.drain(&mut log);
    setup.assert_whole();
}

#[test]
fn rotated_files_that_were_there_before_are_read_first() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(4);
    for _file in 0..4 {
        setup.write(&mut engine, 5);
        engine.rotate();
    }
    let mut log = setup.log();
    setup.written = 20;
    setup.drain(&mut log);
    assert_eq!(setup.numbers(), (5..20).collect::<Vec<_>>(), "one file is gone, but was before there was a reader");
    assert_eq!(setup.why(), []);
}

#[test]
fn nothing_is_lost_while_the_engine_still_has_the_files() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(5));
    setup.write(&mut engine, 2);
    setup.read(&mut log);
    for rotations in [1, 3, 4, 2, 4] {
        for _rotation in 0..rotations {
            setup.write(&mut engine, 2);
            engine.rotate();
        }
        setup.write(&mut engine, 1);
        setup.read(&mut log);
        setup.assert_whole();
    }
}

#[test]
fn what_was_rotated_away_is_told_to_be_lost() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(3));
    setup.write(&mut engine, 2);
    setup.read(&mut log);
    for _rotation in 0..5 {
        engine.rotate();
        setup.write(&mut engine, 1);
    }
    setup.read(&mut log);
    assert_eq!(setup.numbers(), [0, 1, 4, 5, 6]);
    assert_eq!(setup.why(), [Why::RotatedAway]);
    setup.read(&mut log);
    assert_eq!(setup.why(), [Why::RotatedAway], "once");
}

#[test]
fn the_rest_of_a_file_is_read_after_it_was_removed() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    setup.write(&mut engine, 1);
    setup.read(&mut log);
    setup.write(&mut engine, 3);
    fs::remove_dir_all(setup.dir.path()).unwrap();
    setup.write(&mut engine, 2);
    assert!(!setup.read(&mut log), "it may have been removed between two halves of a rotation");
    setup.drain(&mut log);
    setup.assert_whole();
}

#[test]
fn a_full_file_that_was_removed_may_have_had_a_successor() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    setup.write(&mut engine, 4);
    let full = fs::metadata(setup.path()).unwrap().len();
    for (bytes_max, why) in [(full + 1, vec![]), (full, vec![Why::Removed])] {
        let mut log = setup.log().with_file_bytes_max(Some(bytes_max));
        setup.keeper = Keeper::default();
        setup.read(&mut log);
        fs::rename(setup.path(), setup.dir.path().join("moved")).unwrap();
        let kept = fs::read(setup.dir.path().join("moved")).unwrap();
        fs::remove_file(setup.dir.path().join("moved")).unwrap();
        setup.drain(&mut log);
        assert_eq!(setup.why(), why);
        fs::write(setup.path(), kept).unwrap();
    }
}

#[test]
fn newer_files_that_were_seen_are_read_however_many_rotations_follow() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    let (mut delivery, lines) = (Delivery::default(), 8_000);
    setup.write(&mut engine, lines); // more than one read takes
    for _file in 0..3 {
        engine.rotate();
        setup.write(&mut engine, 1);
        assert!(matches!(log.read(&mut setup.scratch, &mut delivery), Ok(Outcome::Read { more: true })));
        setup.keeper.keep(&delivery);
    }
    setup.read(&mut log);
    setup.assert_whole();
}

#[test]
fn a_file_that_is_emptied_in_place_is_told_and_read_anew() {
    for lines_after in [0, 1, 5, 10, 40] {
        let mut setup = Setup::new();
        let (mut log, mut engine) = (setup.log(), setup.engine(1));
        setup.write(&mut engine, 10);
        setup.read(&mut log);
        engine.rotate();
        setup.write(&mut engine, lines_after);
        setup.read(&mut log);
        setup.write(&mut engine, 1);
        setup.read(&mut log);
        assert_eq!(setup.numbers(), (0..setup.written).collect::<Vec<_>>(), "{lines_after} lines after");
        assert_eq!(setup.why(), [Why::Emptied]);
    }
}

#[test]
fn equal_lines_in_an_emptied_file_are_new_ones() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(1));
    let same = |number| entry(Stream::Stderr, "again\n", number);
    (0..4).for_each(|number| engine.write(&same(number)));
    setup.read(&mut log);
    engine.rotate();
    (4..9).for_each(|number| engine.write(&same(number)));
    setup.read(&mut log);
    assert_eq!(setup.keeper.texts(Stream::Stderr).len(), 9);
    assert_eq!(setup.why(), [Why::Emptied]);
}

#[test]
fn a_full_file_that_was_read_and_is_emptied_has_lost_nothing() {
    // Only if there was no time to fill it twice, which another process may use up: hence some rounds.
    let told: usize = (0..10)
        .map(|_round| {
            let mut setup = Setup::new();
            let mut engine = setup.engine(1);
            setup.write(&mut engine, 60_000);
            let mut log = setup.log().with_file_bytes_max(Some(fs::metadata(setup.path()).unwrap().len()));
            setup.read(&mut log);
            engine.rotate();
            setup.write(&mut engine, 1);
            setup.read(&mut log);
            assert_eq!(setup.numbers().len() as u64, setup.written);
            setup.why().len()
        })
        .sum();
    assert!(told < 10);
}

#[test]
fn a_file_that_was_not_read_whole_when_it_was_emptied_has_lost_something() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(1);
    setup.write(&mut engine, 60_000);
    let mut log = setup.log().with_file_bytes_max(Some(fs::metadata(setup.path()).unwrap().len() + 1));
    setup.read(&mut log);
    setup.written += 1; // this one
    engine.rotate();
    setup.write(&mut engine, 1);
    setup.read(&mut log);
    assert_eq!(setup.why(), [Why::Emptied]);
}

#[test]
fn a_reused_inode_is_not_taken_for_the_file_that_had_it() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    setup.write(&mut engine, 3);
    let mut log = setup.log();
    setup.read(&mut log);
    let reached = setup.keeper.crash((0, 0), (0, 0));
    setup.keeper.marks[0].1.inode = {
        engine.rotate();
        engine.rotate();
        setup.write(&mut engine, 7);
        inode(&setup.path()) // as a file system may have it
    };
    let mut log = setup.keeper.resume(&setup.path(), reached);
    setup.read(&mut log);
    assert_eq!(setup.numbers(), (0..10).collect::<Vec<_>>());
    assert_eq!(setup.why(), [Why::RotatedAway]);
}

#[test]
fn a_copy_of_the_file_is_gone_on_in() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    setup.write(&mut engine, 3);
    let mut log = setup.log();
    setup.read(&mut log);
    setup.write(&mut engine, 2);
    let reached = setup.keeper.crash((1, 3), (0, 0));
    fs::rename(setup.path(), setup.dir.path().join("old")).unwrap();
    fs::copy(setup.dir.path().join("old"), setup.path()).unwrap();
    let mut log = setup.keeper.resume(&setup.path(), reached);
    setup.read(&mut log);
    setup.assert_whole();
}

#[test]
fn compressed_files_are_read() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(5);
    engine.compresses = true;
    setup.write(&mut engine, 3);
    let mut log = setup.log();
    setup.read(&mut log);
    let reached = setup.keeper.crash((2, 1), (0, 0));
    for lines in [20_000, 2, 2] {
        setup.write(&mut engine, lines);
        engine.rotate();
    }
    setup.write(&mut engine, 1);
    let mut log = setup.keeper.resume(&setup.path(), reached);
    setup.read(&mut log);
    setup.assert_whole();
}

#[test]
fn a_held_file_is_found_again_when_it_was_compressed() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(5);
    engine.compresses = true;
    let mut log = setup.log();
    for rotations in [1, 2, 4] {
        setup.write(&mut engine, 2);
        setup.read(&mut log);
        for _rotation in 0..rotations {
            setup.write(&mut engine, 3);
            engine.rotate();
            setup.write(&mut engine, 1);
        }
        engine.compress();
        setup.read(&mut log);
        setup.assert_whole();
    }
}

#[test]
fn files_that_are_all_gone_after_a_restart_are_told_once() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    setup.write(&mut engine, 3);
    let mut log = setup.log();
    setup.read(&mut log);
    let reached = setup.keeper.crash((0, 0), (0, 0));
    fs::remove_file(setup.path()).unwrap();
    let mut log = setup.keeper.resume(&setup.path(), reached);
    assert!(!setup.read(&mut log));
    setup.drain(&mut log);
    assert_eq!(setup.why(), [Why::Removed]);
}

#[test]
fn a_log_without_records_is_read_from_its_beginning() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    setup.write(&mut engine, 3);
    engine.rotate();
    setup.write(&mut engine, 3);
    let mut log = setup.keeper.resume(&setup.path(), Reached::default());
    setup.read(&mut log);
    setup.assert_whole();
}

#[test]
fn an_emptied_log_is_told_from_rotated_files_that_were_read() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(5);
    let mut log = setup.log();
    for _file in 0..3 {
        setup.write(&mut engine, 2);
        setup.read(&mut log);
        engine.rotate();
    }
    setup.write(&mut engine, 2);
    setup.read(&mut log);
    let reached = setup.keeper.crash((0, 0), (0, 0));
    fs::write(setup.path(), "").unwrap(); // as truncate(1) does
    setup.write(&mut engine, 2);
    let mut log = setup.keeper.resume(&setup.path(), reached);
    setup.read(&mut log);
    assert_eq!(setup.numbers(), (0..setup.written).collect::<Vec<_>>());
    assert_eq!(setup.why(), [Why::RotatedAway]);
}

#[test]
fn a_file_that_may_not_be_read_is_an_error_and_can_be_tried_again() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    let mut log = setup.log();
    std::os::unix::fs::symlink("c-json.log", setup.path()).unwrap(); // to itself
    let error = log.read(&mut setup.scratch, &mut Delivery::default()).unwrap_err();
    assert!(error.to_string().contains("c-json.log"), "{error}");
    fs::remove_file(setup.path()).unwrap();
    setup.write(&mut engine, 2);
    setup.read(&mut log);
    setup.assert_whole();
}

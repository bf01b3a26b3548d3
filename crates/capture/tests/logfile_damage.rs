//! A container's log with half lines, junk and long lines in it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share")]

mod jsonlog;

use std::fs;

use jsonlog::{
    entry,
    setup::{Setup, numbered},
};
use logboom_capture::{docker::logfile::Why, services::feed::StreamPlace};
use logboom_record::Stream;

#[test]
fn a_line_is_read_when_it_is_whole() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    let line = numbered(0);
    setup.written = 1;
    for byte in &line[..line.len() - 1] {
        engine.append(&[*byte]);
        setup.read(&mut log);
        assert!(setup.numbers().is_empty());
    }
    engine.append(b"\n");
    setup.read(&mut log);
    setup.assert_whole();
}

#[test]
fn a_last_line_without_newline_counts_if_it_is_whole() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    let line = numbered(0);
    engine.append(&line[..line.len() - 1]);
    setup.read(&mut log);
    assert!(setup.numbers().is_empty());
    setup.drain(&mut log);
    setup.written = 1;
    setup.assert_whole();
}

#[test]
fn half_a_line_at_the_end_is_damage() {
    for rotates in [false, true] {
        let mut setup = Setup::new();
        let (mut log, mut engine) = (setup.log(), setup.engine(2));
        setup.write(&mut engine, 1);
        let at = fs::metadata(setup.path()).unwrap().len();
        engine.append(&numbered(7)[..30]);
        if rotates {
            engine.rotate();
        }
        setup.write(&mut engine, u64::from(rotates));
        setup.drain(&mut log);
        assert_eq!(setup.numbers(), (0..setup.written).collect::<Vec<_>>());
        let damage = &setup.keeper.damage[..];
        assert!(matches!(damage, [one] if (one.at.part, one.at.offset, one.bytes) == (1, at, 30)), "{damage:?}");
    }
}

#[test]
fn an_entry_behind_half_a_line_is_read() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    let torn = numbered(7);
    for cut in 1..torn.len() - 1 {
        engine.append(&torn[..cut]);
        setup.write(&mut engine, 1);
    }
    setup.read(&mut log);
    assert_eq!(setup.numbers().iter().filter(|number| **number != 7).count() as u64, setup.written - 1);
    // Without its newline alone an entry is whole.
    let bytes: u64 = setup.keeper.damage.iter().map(|damage| damage.bytes).sum();
    assert_eq!(bytes, (1..torn.len() as u64 - 1).sum::<u64>());
}

#[test]
fn what_a_power_cut_leaves_is_damage_and_what_follows_is_read() {
    for (junk, ends) in [(5, false), (5, true), (300 << 10, true), (3 << 20, false), (3 << 20, true)] {
        let mut setup = Setup::new();
        let (mut log, mut engine) = (setup.log(), setup.engine(2));
        setup.write(&mut engine, 2);
        let at = fs::metadata(setup.path()).unwrap().len();
        engine.append(&vec![0; junk]);
        if ends {
            engine.append(b"\n");
        }
        setup.write(&mut engine, 2);
        setup.read(&mut log);
        assert_eq!(setup.numbers(), [0, 1, 2, 3]);
        let bytes: u64 = setup.keeper.damage.iter().map(|damage| damage.bytes).sum();
        assert_eq!((setup.keeper.damage[0].at.offset, bytes), (at, junk as u64 + u64::from(ends)));
    }
}

#[test]
fn a_line_that_is_too_long_is_damage_up_to_its_end_however_it_comes() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    setup.write(&mut engine, 1);
    let long = entry(Stream::Stdout, &"x".repeat(3 << 20), 9);
    for chunk in long.chunks(700_001) {
        engine.append(chunk);
        setup.read(&mut log);
    }
    setup.write(&mut engine, 1);
    setup.read(&mut log);
    assert_eq!(setup.numbers(), [0, 1]);
    assert!(matches!(&setup.keeper.damage[..], [one] if one.bytes == long.len() as u64));
}

#[test]
fn junk_without_an_end_is_damage_when_the_log_ends() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    engine.append(&vec![b'x'; 2 << 20]);
    setup.read(&mut log);
    setup.drain(&mut log);
    assert!(matches!(&setup.keeper.damage[..], [one] if one.bytes == 2 << 20));
}

#[test]
fn a_long_entry_is_read_whole() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    let long = "é\u{1}\"".repeat(60_000);
    engine.write(&entry(Stream::Stderr, &long, 1));
    setup.write(&mut engine, 1);
    setup.read(&mut log);
    setup.assert_whole();
    assert_eq!(setup.keeper.texts(Stream::Stderr), [long]);
}

#[test]
fn a_file_that_lost_its_end_is_gone_on_in_at_its_end() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(2);
    setup.write(&mut engine, 10);
    let mut log = setup.log();
    setup.read(&mut log);
    let reached = setup.keeper.crash((0, 0), (0, 0));
    let line_bytes = numbered(0).len() as u64;
    fs::File::options().write(true).open(setup.path()).unwrap().set_len(7 * line_bytes).unwrap();
    let mut log = setup.keeper.resume(&setup.path(), reached);
    setup.read(&mut log);
    setup.write(&mut engine, 2);
    setup.read(&mut log);
    assert_eq!(setup.numbers(), (0..12).collect::<Vec<_>>());
    assert_eq!(setup.why(), [Why::Shortened]);
}

#[test]
fn a_compressed_file_that_is_cut_is_told() {
    let mut setup = Setup::new();
    let mut engine = setup.engine(5);
    engine.compresses = true;
    setup.write(&mut engine, 5_000);
    engine.rotate();
    engine.compress();
    setup.write(&mut engine, 1);
    let packed = engine.numbered(1, ".gz");
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() / 2]).unwrap();
    let mut log = setup.log();
    setup.read(&mut log);
    let numbers = setup.numbers();
    assert_eq!(numbers.last(), Some(&5_000));
    assert!(
        (100..4_900).contains(&numbers.len())
            && numbers[..numbers.len() - 1].iter().enumerate().all(|(a, b)| a as u64 == *b)
    );
    assert_eq!(setup.why(), [Why::Broken]);
}

#[test]
fn damage_before_the_place_of_either_stream_is_not_told_again() {
    let mut setup = Setup::new();
    let (mut log, mut engine) = (setup.log(), setup.engine(2));
    setup.write(&mut engine, 1);
    engine.append(b"torn\n");
    setup.write(&mut engine, 1);
    setup.read(&mut log);
    assert_eq!(setup.keeper.damage.len(), 1);
    let end = StreamPlace { at: setup.keeper.reached, ..StreamPlace::default() };
    let mut reached = setup.keeper.crash((2, 0), (0, 0));
    reached.stderr = end;
    let mut log = setup.keeper.resume(&setup.path(), reached);
    setup.read(&mut log);
    assert_eq!((setup.numbers(), setup.keeper.damage.len()), (vec![0, 1], 1));
}

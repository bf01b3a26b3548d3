//! A program that is killed at any moment, or read while it goes on: see `program`.

use std::fs;

use super::{program::*, *};
use crate::{RingError, recover};

/// The whole lines of the text logs. What a kill has cut is removed.
fn written(dir: &Path) -> Files {
    let lines = |generation| -> Option<Vec<Vec<u8>>> {
        let text = fs::read(text_log(dir, generation)).ok()?;
        let whole = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        Some(whole.map(|line| line[..line.len() - 1].to_vec()).collect())
    };
    (1..).map_while(|generation| Some((generation, lines(generation)?))).collect()
}

fn of_thread(files: &Files, thread: usize) -> Vec<String> {
    let lines = files.values().flatten().map(|line| String::from_utf8(line.clone()).unwrap());
    lines.filter(|line| line.starts_with(&format!("{thread} "))).collect()
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_program_loses_no_record_that_was_logged_and_doubles_none() {
    if let Some(dir) = asked_for() {
        run(&dir);
    }
    for round in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let mut program =
            start("tests::killed::a_killed_program_loses_no_record_that_was_logged_and_doubles_none", dir.path());
        let some = 1 + u64::from(std::process::id()) * 7919 * (round + 1) % 3000;
        wait_until(|| returned(dir.path())[0] >= some || program.has_ended());
        program.kill();
        let (returned, mut files) = (returned(dir.path()), written(dir.path()));
        assert!(recover(&rings(dir.path()), &mut files, usize::MAX));
        for (thread, returned) in returned.into_iter().enumerate() {
            let lines = of_thread(&files, thread);
            let expected: Vec<_> = (1..=lines.len() as u64).map(|n| message(thread, n)).collect();
            assert_eq!(lines, expected, "round {round}");
            assert!(
                (returned..=returned + 1).contains(&(lines.len() as u64)),
                "round {round}: {returned}, {}",
                lines.len()
            );
        }
    }
}

#[test]
fn a_program_that_goes_on_is_read_from_outside() {
    if let Some(dir) = asked_for() {
        run(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut program = start("tests::killed::a_program_that_goes_on_is_read_from_outside", dir.path());
    wait_until(|| returned(dir.path()).iter().all(|count| *count > 0) || program.has_ended());
    let (mut opened, mut frames) = (0, 0);
    while opened < 200 || frames == 0 {
        match recover::DeadRings::open(&rings(dir.path())) {
            Ok(rings) => frames += read_along(rings),
            Err(RingError::Changing { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
        opened += 1;
    }
}

/// Every frame is what one of the threads logged, each thread's in order.
fn read_along(mut rings: recover::DeadRings) -> u64 {
    let (mut last, mut frames) = ([0; THREADS], 0);
    for _ in 0..2 {
        while let Some(frame) = rings.next().unwrap() {
            let text = str::from_utf8(frame.payload).unwrap();
            let mut words = text.split(' ');
            let thread: usize = words.next().unwrap().parse().unwrap();
            let n = words.next().unwrap().parse().unwrap();
            assert_eq!(text, message(thread, n));
            assert!(last[thread] < n);
            last[thread] = n;
            frames += 1;
        }
        rings.end_batch(1).unwrap();
    }
    assert_eq!(rings.damage(), recover::Damage::default());
    frames
}

#[test]
fn what_was_overwritten_before_it_was_read_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    let (file, mut drain) = create(&path);
    let mut producer = file.producer(64 << 10).unwrap();
    let mut log_all =
        |name: &str| (0..500).for_each(|n| assert!(log(&mut producer, 1, n, format!("{name}{n:96}").as_bytes())));
    log_all("old");
    let mut rings = recover::DeadRings::open(&path).unwrap();
    assert_eq!(drain_all(&mut drain).len(), 500);
    log_all("new");
    let mut read = Vec::new();
    while let Some(frame) = rings.next().unwrap() {
        read.push(String::from_utf8(frame.payload.to_vec()).unwrap());
    }
    assert!((1..500).contains(&read.len()));
    assert!(read.iter().enumerate().all(|(n, text)| *text == format!("old{n:96}")));
    assert_eq!(rings.damage(), recover::Damage::default());
}

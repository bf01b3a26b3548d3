//! A kill between any two stores of the writer, and between any two records that it, or a recovery, writes.

use std::{cell::RefCell, fs, path::PathBuf};

use proptest::prelude::*;

use super::*;

/// What a kill at this moment leaves: a copy of the ring file, and the text logs.
struct Left {
    rings: PathBuf,
    files: Files,
}

/// Logs into three rings, and writes it all, in batches of a few records. Gives what a kill would leave after each step.
fn every_moment(dir: &Path, logged: &[(usize, u32, u64)], batch_records: usize) -> (Files, Vec<Left>) {
    let path = dir.join("a.log.ring");
    let (file, mut drain) = create(&path);
    let mut producers: Vec<_> = (0..3).map(|_| file.producer(0).unwrap()).collect();
    for (n, (ring, generation, ticks)) in logged.iter().enumerate() {
        assert!(log(&mut producers[*ring], *generation, *ticks, n.to_string().as_bytes()));
    }
    let (files, left) = (RefCell::new(Files::new()), RefCell::new(Vec::new()));
    let step = || {
        let copy = dir.join(left.borrow().len().to_string());
        fs::copy(&path, &copy).unwrap();
        left.borrow_mut().push(Left { rings: copy, files: files.borrow().clone() });
    };
    step();
    drain.look();
    while let Some(generation) = drain.peek().map(|frame| frame.head.generation) {
        let payloads = take_batch(&mut drain, generation, batch_records);
        let seq = || files.borrow().get(&generation).map_or(0, Vec::len) as u64 + 1;
        drain.begin_batch_by_steps(generation, seq(), step);
        for payload in payloads {
            files.borrow_mut().entry(generation).or_default().push(payload);
            step();
        }
        drain.end_batch_by_steps(seq(), step);
        drain.look();
    }
    (files.into_inner(), left.into_inner())
}

fn take_batch(drain: &mut Drain, generation: u32, records: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while payloads.len() < records {
        let Some(frame) = drain.peek().filter(|frame| frame.head.generation == generation) else { break };
        payloads.push(frame.payload.to_vec());
        drain.take();
    }
    payloads
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_kill_loses_or_doubles_a_record(
        logged in prop::collection::vec((0..3usize, 1..3u32, 0..5u64), 1..14), batch_records in 1..6usize, cut in 0..6usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (whole, left) = every_moment(dir.path(), &logged, batch_records);
        for (step, mut left) in left.into_iter().enumerate() {
            let counted = DeadRings::open(&left.rings).unwrap().counted();
            let held = left.files.get(&counted.generation).map_or(0, Vec::len) as u64;
            prop_assert!(counted.first_seq <= held + 1, "step {}: {:?} of {}", step, counted, held);
            // The recovery is killed, too.
            while !recover(&left.rings, &mut left.files, cut + 1) && cut < 5 {}
            recover(&left.rings, &mut left.files, usize::MAX);
            prop_assert_eq!(&left.files, &whole, "step {}", step);
            prop_assert!(DeadRings::open(&left.rings).unwrap().is_empty());
        }
    }
}

//! Ring files with any bytes in them.

use std::{fs, os::unix::fs::FileExt};

use proptest::prelude::*;

use super::*;
use crate::{
    RING_BYTES_MAX,
    layout::{PAGE, RINGS_AT},
    recover::Damage,
};

/// A file with a table, two rings of which one has wrapped, and a batch that was begun.
fn good_file(path: &Path) {
    let (file, mut drain) = create(path);
    let mut producers = [file.producer(0).unwrap(), file.producer(0).unwrap()];
    producers[0].ensure_site(1, || vec![1; 300]).unwrap();
    for n in 0..300_u64 {
        log(&mut producers[0], 1, n, &[n as u8; 60]);
        if n % 100 == 99 && n < 250 {
            drain_all(&mut drain);
        }
        log(&mut producers[1], 2, n, &[n as u8; 10]);
    }
    drain.look();
    (0..7).for_each(|_| drain.take());
    drain.begin_batch(1, 5);
}

/// Where a number stands that a reader goes by.
fn place() -> impl Strategy<Value = u64> {
    let ring = |at: u64| [0, 4, 8, 128, 256, 384, PAGE as u64].map(|offset| at + offset);
    let mut places = vec![8, 40, 128, 132, 136, 256, 264, 272, 384, 4096, 4104, 4108];
    places.extend((512..560).step_by(8).chain((640..688).step_by(8)));
    places.extend(ring(RINGS_AT).into_iter().chain(ring(RINGS_AT + (PAGE + 16384) as u64)));
    let anywhere = 0..RINGS_AT + 2 * (PAGE + 16384) as u64;
    prop_oneof![4 => prop::sample::select(places), 1 => anywhere, 2 => RINGS_AT + PAGE as u64..RINGS_AT + 20480]
}

fn value() -> impl Strategy<Value = u64> {
    let near = |middle: u64| (0..64_u64).prop_map(move |by| middle.wrapping_sub(32).wrapping_add(by));
    prop_oneof![
        any::<u64>(),
        near(0),
        near(16384),
        near(RING_BYTES_MAX as u64),
        near(1 << 32),
        (0..64_u32).prop_map(|bit| 1 << bit)
    ]
}

/// Reads everything, twice over: as far as the batch goes, and the rest.
fn read_all(path: &Path) -> Option<(usize, Damage)> {
    let mut rings = DeadRings::open(path).ok()?;
    let mut bytes = 0;
    for _ in 0..2 {
        while let Some(frame) = rings.next().unwrap() {
            bytes += frame.bytes;
        }
        rings.end_batch(u64::MAX).unwrap();
    }
    assert!(rings.is_empty());
    for ticks in [0, 1, u64::MAX] {
        rings.clock().time(ticks);
    }
    Some((bytes, rings.damage()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic_or_give_more_than_there_is(
        changes in prop::collection::vec((place(), value(), 1..9usize), 1..5), cut in prop::option::of(0..2_200_000_u64),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ring");
        good_file(&path);
        let file = fs::File::options().write(true).open(&path).unwrap();
        for (at, value, bytes) in changes {
            file.write_all_at(&value.to_le_bytes()[..bytes], at).unwrap();
        }
        if let Some(bytes) = cut {
            file.set_len(bytes).unwrap();
        }
        let size = file.metadata().unwrap().len() as usize;
        if let Some((bytes, _)) = read_all(&path) {
            prop_assert!(bytes <= size);
            let mut files = Files::new();
            recover(&path, &mut files, usize::MAX);
            prop_assert!(files.values().flatten().map(Vec::len).sum::<usize>() <= size);
        }
    }
}

#[test]
fn damage_in_one_ring_is_reported_and_leaves_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    let (file, _drain) = create(&path);
    let mut producers = [file.producer(0).unwrap(), file.producer(0).unwrap()];
    for n in 0..4 {
        assert!(log(&mut producers[n % 2], 1, n as u64, &[n as u8; 8]));
    }
    let second_frame = RINGS_AT + PAGE as u64 + 32;
    fs::File::options().write(true).open(&path).unwrap().write_all_at(&[0xFF; 4], second_frame).unwrap();
    drop((producers, _drain, file));
    let mut files = Files::new();
    recover(&path, &mut files, usize::MAX);
    assert_eq!(files[&1], [[0; 8], [1; 8], [3; 8]]);
    let mut rings = DeadRings::open(&path).unwrap();
    assert!(rings.next().unwrap().is_none());

    let (file, mut drain) = create(&dir.path().join("b.ring"));
    let mut producer = file.producer(0).unwrap();
    producer.slot()[..32].fill(0xFF);
    producer.publish(32);
    assert!(log(&mut producer, 1, 1, b"behind it"));
    assert!(drain_all(&mut drain).is_empty());
    assert_eq!(drain.damaged_bytes(), 72);
    assert!(log(&mut producer, 1, 1, b"after it"));
    assert_eq!(drain_all(&mut drain), [b"after it"]);
}

#[test]
fn long_frames_of_many_rings_are_read_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    let (file, _drain) = create(&path);
    let mut producers: Vec<_> = (0..8).map(|_| file.producer(RING_BYTES_MAX).unwrap()).collect();
    for (n, producer) in producers.iter_mut().enumerate() {
        assert!(log(producer, 1, n as u64, &vec![n as u8; RING_BYTES_MAX / 2]));
        assert!(log(producer, 1, n as u64, &vec![n as u8; RING_BYTES_MAX / 2 - 100]));
    }
    drop((producers, _drain, file));
    let mut files = Files::new();
    recover(&path, &mut files, usize::MAX);
    let expected = (0..8).flat_map(|n| [vec![n; RING_BYTES_MAX / 2], vec![n; RING_BYTES_MAX / 2 - 100]]);
    assert!(files[&1].iter().eq(&expected.collect::<Vec<_>>()));
}

#[test]
fn what_is_no_ring_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    for bytes in [vec![], vec![0; 10_000], b"\x89RING\r\n\x1a".to_vec()] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(DeadRings::open(&path), Err(crate::RingError::NotRing { .. })));
    }
}

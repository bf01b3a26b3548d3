//! Rings that threads leave behind, and threads that find none.

use super::*;
use crate::{RING_BYTES_MIN, RINGS_MAX, RingError};

fn ring_count(path: &Path) -> u32 {
    use std::os::unix::fs::FileExt;
    let mut count = [0; 4];
    std::fs::File::open(path).unwrap().read_exact_at(&mut count, crate::layout::RING_COUNT_AT).unwrap();
    u32::from_le_bytes(count)
}

#[test]
fn threads_one_after_the_other_use_one_ring() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    let (file, mut drain) = create(&path);
    for n in 0..100 {
        let mut producer = file.producer(RING_BYTES_MIN).unwrap();
        assert!(log(&mut producer, 1, n, &n.to_le_bytes()));
        drop(producer);
        assert_eq!(drain_all(&mut drain), [n.to_le_bytes()]);
        drain.look();
        assert_eq!((ring_count(&path), drain.rings()), (1, 0));
    }
}

#[test]
fn a_ring_that_holds_frames_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut drain) = create(&dir.path().join("a.ring"));
    let mut gone = file.producer(0).unwrap();
    assert!(log(&mut gone, 1, 1, b"of the one that is gone"));
    drop(gone);
    drain.look();
    let mut other = file.producer(0).unwrap();
    assert!(log(&mut other, 1, 2, b"of the other"));
    assert_eq!(drain_all(&mut drain), [&b"of the one that is gone"[..], b"of the other"]);
    assert!(other.is_drained());
}

#[test]
fn there_are_only_so_many_rings() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut drain) = create(&dir.path().join("a.ring"));
    let producers: Vec<_> = (0..RINGS_MAX).map(|_| file.producer(0).unwrap()).collect();
    assert!(matches!(file.producer(0), Err(RingError::TooManyRings { max: RINGS_MAX, .. })));
    drop(producers);
    drain.look();
    assert!(file.producer(0).is_ok());
}

#[test]
fn what_the_table_holds_is_read_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    let (file, _drain) = create(&path);
    let mut producer = file.producer(0).unwrap();
    for number in [1, 70, 1] {
        producer.ensure_site(number, || vec![number as u8; 5]).unwrap();
    }
    producer.ensure_site(70, || unreachable!("it is known")).unwrap();
    file.add_site(70, || unreachable!("it is known")).unwrap();
    let run = logboom_record::RunId::from_bytes([3; 16]);
    let started_at = logboom_record::Time::from_micros(77);
    let generation =
        crate::Generation { number: 1, run, started_at, text: "a.log".into(), boom: None, name: "a".into() };
    file.add_generation(&generation).unwrap();
    let read = DeadRings::open(&path).unwrap();
    assert_eq!(read.sites().iter().collect::<Vec<_>>(), [(&1, &vec![1; 5]), (&70, &vec![70; 5])]);
    assert_eq!(read.generations().values().collect::<Vec<_>>(), [&generation]);
    assert_eq!(read.pid(), std::process::id());
}

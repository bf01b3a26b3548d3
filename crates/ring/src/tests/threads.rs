//! Whatever the frames' sizes and however two threads and the writer interleave, every byte comes over, in order.

use std::thread;

use proptest::prelude::*;

use super::*;
use crate::{RING_BYTES_MIN, frame::HEAD_BYTES};

fn payload(thread: u8, n: usize, bytes: usize) -> Vec<u8> {
    let seed = thread.wrapping_mul(91).wrapping_add(n as u8);
    let mut payload = vec![thread];
    payload.extend((0..bytes).map(|at| seed.wrapping_add(at as u8)));
    payload
}

fn log_waiting(producer: &mut Producer, n: u64, payload: &[u8]) {
    let bytes = (HEAD_BYTES + payload.len()).next_multiple_of(8);
    while !log(producer, 1, n, payload) {
        assert!(producer.wait_for_room(bytes, None));
    }
}

/// The writer, until both threads have ended and everything is taken.
fn drain_until(drain: &mut Drain, waker: &Waker, frames: usize) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    while taken.len() < frames {
        taken.extend(drain_all(drain));
        if taken.len() < frames {
            waker.sleep(None, || drain.has_work());
        }
    }
    taken
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..200usize, 1 => 0..RING_BYTES_MIN - HEAD_BYTES - 1, 1 => Just(RING_BYTES_MIN - HEAD_BYTES - 1)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn two_threads_log_frames_of_any_size(sizes in prop::array::uniform2(prop::collection::vec(size(), 0..300))) {
        let dir = tempfile::tempdir().unwrap();
        let (file, mut drain) = create(&dir.path().join("a.ring"));
        let expected = |thread: u8| -> Vec<Vec<u8>> {
            sizes[usize::from(thread)].iter().enumerate().map(|(n, bytes)| payload(thread, n, *bytes)).collect()
        };
        let taken = thread::scope(|scope| {
            for thread in [0, 1] {
                let (mut producer, payloads) = (file.producer(0).unwrap(), expected(thread));
                scope.spawn(move || {
                    payloads.iter().zip(0..).for_each(|(payload, n)| log_waiting(&mut producer, n, payload));
                });
            }
            drain_until(&mut drain, file.waker(), sizes[0].len() + sizes[1].len())
        });
        for thread in [0, 1] {
            let of_thread: Vec<_> = taken.iter().filter(|payload| payload[0] == thread).cloned().collect();
            prop_assert_eq!(of_thread, expected(thread));
        }
    }
}

#[test]
fn frames_of_one_look_come_by_generation_then_ticks_then_ring() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut drain) = create(&dir.path().join("a.ring"));
    let mut producers = [file.producer(0).unwrap(), file.producer(0).unwrap()];
    for (ring, generation, ticks, name) in
        [(1, 1, 5, "b"), (1, 2, 1, "d"), (0, 1, 5, "a"), (0, 1, 9, "c"), (0, 2, 2, "e"), (1, 2, 3, "f")]
    {
        assert!(log(&mut producers[ring], generation, ticks, name.as_bytes()));
    }
    assert_eq!(drain_all(&mut drain).concat(), b"abcdef");
}

#[test]
fn a_full_ring_says_so_when_the_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _drain) = create(&dir.path().join("a.ring"));
    let mut producer = file.producer(0).unwrap();
    while log(&mut producer, 1, 1, &[7; 100]) {}
    assert!(!producer.wait_for_room(producer.capacity(), Some(std::time::Instant::now())));
    assert!(!producer.is_drained());
}

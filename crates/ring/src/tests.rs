//! What the parts of a ring file promise together.

mod crash;
mod disk;
mod dropped;
mod hostile;
mod killed;
mod program;
mod reuse;
mod threads;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use logboom_record::Level;

use super::{Clock, ClockAnchor, Drain, Producer, RingError, RingFile, Waker, recover::DeadRings};
use crate::frame::{Frame, FrameKind, Head, Slot};

/// The records of each session file, as a text log would hold them.
type Files = BTreeMap<u32, Vec<Vec<u8>>>;

fn create(path: &Path) -> (RingFile, Drain) {
    RingFile::create(path, &ClockAnchor::new(Clock::detect()), Arc::new(Waker::new())).unwrap()
}

/// Logs a frame; false if it has no room.
fn log(producer: &mut Producer, generation: u32, ticks: u64, payload: &[u8]) -> bool {
    let head = Head { kind: FrameKind::Text, level: Level::Info, ticks, generation, number: payload.len() as u32 };
    let mut slot = Slot::new(producer.slot());
    slot.put(payload);
    let bytes = slot.finish(&head);
    bytes.inspect(|bytes| producer.publish(*bytes)).is_some()
}

/// Takes what is there and ends the batch. Gives the payloads.
fn drain_all(drain: &mut Drain) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    drain.look();
    while let Some(frame) = drain.peek() {
        taken.push(frame.payload.to_vec());
        drain.take();
    }
    drain.begin_batch(1, 1);
    drain.end_batch(1);
    taken
}

/// Recovers the file into the text logs. Writes at most so many records; false if it was cut off by that.
fn recover(path: &Path, files: &mut Files, mut records_max: usize) -> bool {
    let mut rings = open_to_drain(path);
    recover_batch(&mut rings, files, &mut records_max)
        && std::iter::from_fn(|| rings.generation().map(|_| recover_next(&mut rings, files, &mut records_max)))
            .all(|done| done)
}

/// A child that another test starts at this moment holds the locks of all open files until it runs its program.
fn open_to_drain(path: &Path) -> DeadRings {
    loop {
        match DeadRings::open_to_drain(path) {
            Err(RingError::Live { .. }) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn recover_batch(rings: &mut DeadRings, files: &mut Files, records_max: &mut usize) -> bool {
    let Some(batch) = rings.batch() else { return true };
    let file = files.entry(batch.generation).or_default();
    let mut seq = batch.first_seq;
    while let Some(frame) = rings.next().unwrap() {
        if seq > file.len() as u64 && !write(file, frame.payload, records_max) {
            return false;
        }
        seq += 1;
    }
    rings.end_batch(file.len() as u64 + 1).unwrap();
    true
}

/// A batch of three records at most.
fn recover_next(rings: &mut DeadRings, files: &mut Files, records_max: &mut usize) -> bool {
    let generation = rings.generation().unwrap();
    let mut take = || rings.next_of(generation).unwrap().map(|frame: Frame| frame.payload.to_vec());
    let payloads: Vec<_> = (0..3).map_while(|_| take()).collect();
    let file = files.entry(generation).or_default();
    rings.begin_batch(generation, file.len() as u64 + 1).unwrap();
    if !payloads.iter().all(|payload| write(file, payload, records_max)) {
        return false;
    }
    rings.end_batch(file.len() as u64 + 1).unwrap();
    true
}

fn write(file: &mut Vec<Vec<u8>>, payload: &[u8], records_max: &mut usize) -> bool {
    let within = *records_max > 0;
    if within {
        *records_max -= 1;
        file.push(payload.to_vec());
    }
    within
}

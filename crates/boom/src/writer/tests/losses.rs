//! What a writer says of records that a disk refuses or loses.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;

#[test]
fn a_failed_sync_whose_pages_stay_loses_nothing() {
    let ops = synced_history(&Disk::new()).0;
    for fails_at in 0..ops {
        let disk = Disk::new();
        disk.plan(move |op| (op.number == fails_at && op.kind == OpKind::Sync).then_some(Fault::SyncFails));
        synced_history(&disk);
        let read = disk.read_after_power_cut(read);
        assert_eq!(read.seqs(RUN).1.len(), 20, "operation {fails_at}");
        assert_accounted(&read, 320);
        assert_eq!(read.damaged_bytes, 0);
    }
}

#[test]
fn what_a_failed_sync_drops_becomes_a_gap() {
    let ops = synced_history(&Disk::new()).0;
    let mut lost_somewhere = 0;
    for fails_at in 0..ops {
        let disk = Disk::new();
        disk.plan(move |op| (op.number == fails_at && op.kind == OpKind::Sync).then_some(Fault::SyncLoses));
        let sealed = synced_history(&disk).1;
        let read = read_disk(&disk);
        assert_accounted(&read, 320);
        let lost = read.seqs(RUN).1.len() as u64;
        assert_eq!((sealed.totals.lost, sealed.totals.records), (lost, 320 - lost), "operation {fails_at}");
        lost_somewhere += lost - 20;
    }
    assert!(lost_somewhere > 0);
}

/// 300 records and ten gaps of two, synced ten times. How many operations that took, and what was sealed.
fn synced_history(disk: &Disk) -> (u64, Sealed) {
    let mut writer = writer(disk, 500);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    for _ in 0..10 {
        push(&mut writer, run, 30);
        writer.gap(run, 2, "lost elsewhere");
        // Whether it failed is what the file tells.
        let _ = writer.sync();
    }
    let sealed = writer.seal().unwrap();
    (disk.ops(), sealed)
}

#[test]
fn a_requested_sync_is_done_and_its_failure_is_told() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 500);
    let failed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&failed);
    disk.plan(move |op| (op.kind == OpKind::Sync && !seen.load(Ordering::Relaxed)).then_some(Fault::SyncFails));
    writer.request_sync();
    while writer.health().failing.is_none() {
        std::thread::yield_now();
    }
    failed.store(true, Ordering::Relaxed);
    writer.request_sync();
    while writer.health().failing.is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn what_a_failed_sync_drops_is_told_though_the_disk_is_full_when_it_is_seen() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 500);
    let slots = runs(&mut writer, 900);
    for slot in &slots {
        writer.push(*slot, &plain(b"x", 0)).unwrap();
    }
    while writer.health().blocks < 3 {
        std::thread::yield_now();
    }
    disk.plan(|op| (op.kind == OpKind::Sync && !op.in_tail).then_some(Fault::SyncLoses));
    assert!(writer.sync().is_err());
    disk.plan(|_| None);
    // No block goes on, and the one being filled takes 256 runs.
    disk.set_room(Some(0));
    let _ = writer.flush();
    disk.set_room(None);
    writer.seal().unwrap();
    let read = read_disk(&disk);
    assert!(slots.iter().zip(0u16..).all(|(_, number)| {
        let (kept, lost) = read.seqs(numbered(number));
        kept.into_iter().chain(lost).eq([1])
    }));
}

fn numbered(number: u16) -> RunId {
    let mut id = [9; 16];
    id[..2].copy_from_slice(&number.to_le_bytes());
    RunId::from_bytes(id)
}

fn runs(writer: &mut Writer, count: u16) -> Vec<RunSlot> {
    (0..count).map(|number| writer.run(numbered(number), Kind::Task, 1).unwrap()).collect()
}

#[test]
fn a_checkpoint_comes_with_the_gap_of_what_was_dropped_before_it() {
    let mut checked = 0;
    for dies_after in (0..12).chain([1_000]) {
        let disk = Disk::new();
        let mut writer = writer(&disk, 20_000);
        let run = writer.run(RUN, Kind::Command, 1).unwrap();
        disk.set_room(Some(64 << 10));
        while writer.health().lost == 0 {
            push(&mut writer, run, 1_000);
            let _ = writer.flush();
        }
        writer.checkpoint(&writer.next_seq(run).to_le_bytes()).unwrap();
        disk.set_room(None);
        let dies_at = disk.ops() + dies_after;
        disk.plan(move |op| (op.number >= dies_at).then_some(Fault::Die));
        while writer.flush().is_err() && disk.ops() <= dies_at {
            std::thread::yield_now();
        }
        drop(writer);
        let read = read_disk(&disk);
        if let Some(bytes) = &read.checkpoint {
            assert_accounted(&read, u64::from_le_bytes(bytes[..].try_into().unwrap()) - 1);
            checked += 1;
        }
    }
    assert!(checked > 0);
}

/// Records of 300 runs, and a checkpoint that counts them whenever something is written, by a process that dies at an
/// operation. How many operations that took.
fn counted_history(disk: &Disk, dies_at: u64) -> u64 {
    let mut writer = writer(disk, 2_000);
    disk.plan(move |op| (op.number >= dies_at).then_some(Fault::Die));
    let slots = runs(&mut writer, 300);
    for (slot, count) in slots.iter().cycle().zip(0..1_500u64) {
        let message = message(count);
        let record = plain(&message, 0);
        if writer.push_in_block(*slot, &record).unwrap().is_none() {
            writer.checkpoint(&count.to_le_bytes()).unwrap();
            writer.push(*slot, &record).unwrap();
        }
        if count % 100 == 99 {
            writer.checkpoint(&(count + 1).to_le_bytes()).unwrap();
            // Once the disk is dead it fails.
            let _ = writer.flush();
        }
    }
    disk.ops()
}

#[test]
fn a_checkpoint_made_before_a_block_is_written_counts_its_records() {
    for dies_at in 0..counted_history(&Disk::new(), u64::MAX) {
        let disk = Disk::new();
        counted_history(&disk, dies_at);
        let read = read_disk(&disk);
        let kept: usize = (0..300).map(|number| read.seqs(numbered(number)).0.len()).sum();
        let counted = read.checkpoint.map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()));
        assert_eq!(counted, kept as u64, "operation {dies_at}");
    }
}

#[test]
fn what_is_lost_is_counted_for_each_run() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 20_000);
    let slots = runs(&mut writer, 2);
    writer.gap(slots[1], 3, "lost elsewhere");
    disk.set_room(Some(64 << 10));
    while writer.lost_of(slots[0]) == 0 {
        writer.push(slots[0], &plain(&message(1), 0)).unwrap();
    }
    assert!(writer.is_dropping());
    assert_eq!((writer.lost_of(slots[0]) + 3, writer.lost_of(slots[1])), (writer.lost(), 3));
}

#[test]
fn many_gaps_and_ends_without_a_record_are_many_blocks() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 1 << 20);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    for _ in 0..60_000 {
        writer.gap(run, 2, "a reason that is long enough to fill a slot of the tail before long");
    }
    for _ in 0..1_000 {
        writer.end_run(run, &end());
    }
    writer.flush().unwrap();
    let sealed = writer.seal().unwrap();
    let read = read_disk(&disk);
    assert_accounted(&read, 120_000);
    assert_eq!((sealed.totals.lost, read.ends.len()), (120_000, 1_000));
    assert!(read.blocks.len() > 200);
}

#[test]
fn on_a_disk_that_stays_full_the_end_of_thousands_of_runs_fits_the_reserve() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 20_000);
    let slots = runs(&mut writer, 3_000);
    for slot in &slots {
        writer.push(*slot, &plain(b"x", 0)).unwrap();
    }
    while writer.flush().is_err() {
        std::thread::yield_now();
    }
    disk.set_room(Some(0));
    while writer.health().lost == 0 {
        writer.push(slots[0], &plain(&message(9), 0)).unwrap();
    }
    for slot in &slots {
        writer.push(*slot, &plain(b"y", 0)).unwrap();
        writer.end_run(*slot, &end());
    }
    let sealed = writer.seal().unwrap();
    assert!(sealed.failing.is_some());
    let read = read_disk(&disk);
    let runs = read.footer.as_ref().unwrap().runs.iter();
    assert!(runs.clone().all(|run| run.end == Some(end()) && run.next_seq > 2));
    let accounted = (0..3_000).skip(1).filter(|number| {
        let (kept, lost) = read.seqs(numbered(*number));
        kept.into_iter().chain(lost).eq([1, 2])
    });
    assert_eq!(accounted.count(), 2_999);
}

#[test]
fn a_file_is_sealed_with_its_tail_where_a_sync_failed_and_what_the_disk_lost_is_read_from_there() {
    let disk = Disk::new();
    let mut writer = writer(&disk, 2_000);
    let run = writer.run(RUN, Kind::Command, 1).unwrap();
    push(&mut writer, run, 20);
    writer.sync().unwrap();
    disk.plan(|op| (op.kind == OpKind::Sync && !op.in_tail).then_some(Fault::SyncFails));
    push(&mut writer, run, 100);
    writer.flush().unwrap();
    assert!(writer.seal().unwrap().failing.is_some());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.boom");
    disk.read(|boom, tail| {
        let mut boom = boom.to_vec();
        let first = Reader::open(&write_both(dir.path(), &boom, tail)).unwrap().blocks()[0].clone();
        let end = first.offset as usize + crate::format::frame::HEAD_BYTES + first.body_bytes as usize;
        boom[end - 100..end].fill(0);
        write_both(dir.path(), &boom, tail);
    });
    let reader = Reader::open(&path).unwrap();
    assert!(reader.blocks()[0].in_tail && reader.blocks().len() > 1);
    let checked = reader.check(&mut |damage| panic!("{damage:?}")).unwrap();
    assert_eq!((checked.records, checked.lost), (120, Some(0)));
    let mut first = reader.read(0).unwrap();
    let messages: Vec<Vec<u8>> = first.records().unwrap().iter().map(|record| record.message.to_vec()).collect();
    assert!(messages.len() > 20 && messages.iter().zip(1..).all(|(read, seq)| *read == message(seq)));
}

fn write_both(dir: &std::path::Path, boom: &[u8], tail: &[u8]) -> PathBuf {
    let path = dir.join("records.boom");
    std::fs::write(&path, boom).unwrap();
    std::fs::write(dir.join("records.boom.tail"), tail).unwrap();
    path
}

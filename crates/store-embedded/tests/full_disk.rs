//! A store whose disk fills up: what it acknowledged is there, and a retry is not told that it is before it is.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

#[path = "../../files/tests/small_disk/mod.rs"]
mod small_disk;

use std::fs;

use logboom_files::session::started;
use logboom_record::{Entry, Flags, Kind, Level, Record, RunId, Stream, Time};
use logboom_store::{Query, Scope, Store};
use logboom_store_embedded::Embedded;
use small_disk::SmallDisk;

fn time() -> Time {
    Time::from_micros(1_767_323_045_000_000)
}

/// Records that do not compress well.
fn batch(run: RunId, first: u64, count: u64) -> Vec<Entry> {
    batch_of(400, run, first, count)
}

fn batch_of(message_bytes: usize, run: RunId, first: u64, count: u64) -> Vec<Entry> {
    let message = |seq: u64| -> Vec<u8> {
        let mut state = seq;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b' ' + (state >> 58) as u8
        };
        (0..message_bytes).map(|_| next()).collect()
    };
    let record = |seq| Record {
        run,
        seq,
        time: time(),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::NONE,
        message: message(seq),
        fields: None,
    };
    (first..first + count).map(|seq| Entry::Record(record(seq))).collect()
}

/// The seqs of the records that another store finds.
fn held(disk: &SmallDisk, session: RunId) -> Vec<u64> {
    let reader = Embedded::open(disk.path()).unwrap();
    let query = Query { lines_max: usize::MAX, ..Query::new(Scope::Session(session)) };
    let (mut seqs, mut after) = (Vec::new(), None);
    loop {
        let page = reader.page(&query, after.as_ref()).unwrap();
        let records = page.entries.iter().filter(|entry| matches!(entry, Entry::Record(_)));
        seqs.extend(records.map(Entry::seq));
        if !page.more {
            return seqs;
        }
        after = Some(page.cursor);
    }
}

#[test]
fn a_retry_on_a_full_disk_is_refused_until_there_is_room_and_nothing_is_lost() {
    for per_batch in [1, 300, 6_000] {
        let disk = SmallDisk::new("24m");
        let ballast = disk.path().join("ballast");
        fs::write(&ballast, vec![0; 18 << 20]).unwrap();
        let store = Embedded::open(disk.path()).unwrap();
        let run = started(RunId::new(time()), Kind::Session, "s".into(), time());
        store.start_run(&run).unwrap();
        let mut next = 1;
        while store.append(&batch(run.id, next, per_batch)).is_ok() {
            next += per_batch;
        }
        // A tmpfs may have a page again for whoever is on another core.
        let mut refused = 0;
        while refused < 3 {
            match store.append(&batch(run.id, next, per_batch)) {
                Ok(()) => (next, refused) = (next + per_batch, 0),
                Err(_) => refused += 1,
            }
        }
        fs::remove_file(ballast).unwrap();
        for _ in 0..3 {
            store.append(&batch(run.id, next, per_batch)).unwrap();
            next += per_batch;
        }
        assert_eq!(held(&disk, run.id), (1..next).collect::<Vec<u64>>(), "{per_batch} a batch");
    }
}

#[test]
fn retries_that_fail_leave_no_files_behind() {
    for (message_bytes, per_batch) in [(400, 30_000), (300_000, 40)] {
        let disk = SmallDisk::new("64m");
        let store = Embedded::open(disk.path()).unwrap();
        let run = started(RunId::new(time()), Kind::Session, "s".into(), time());
        store.start_run(&run).unwrap();
        let batch = batch_of(message_bytes, run.id, 1, per_batch);
        let files = || {
            let session = fs::read_dir(disk.path().join("sessions")).unwrap().next().unwrap().unwrap();
            fs::read_dir(session.path()).unwrap().count()
        };
        let mut after_one = 0;
        for retry in 0..30 {
            disk.fill_but(200 << 10); // others free a little now and then
            assert!(store.append(&batch).is_err(), "{message_bytes} bytes, {retry}");
            after_one = if retry == 0 { files() } else { after_one };
        }
        assert!(files() <= after_one + 1, "{message_bytes} bytes: {after_one} files, now {}", files());
        disk.make_room();
        store.append(&batch).unwrap();
        assert_eq!(held(&disk, run.id), (1..=per_batch).collect::<Vec<u64>>(), "{message_bytes} bytes");
    }
}

#[test]
fn what_was_refused_is_not_held_when_the_store_was_closed_on_the_full_disk() {
    for per_batch in [300, 20_000] {
        let disk = SmallDisk::new("64m");
        let run = started(RunId::new(time()), Kind::Session, "s".into(), time());
        let store = Embedded::open(disk.path()).unwrap();
        store.start_run(&run).unwrap();
        store.append(&batch(run.id, 1, 10)).unwrap();
        disk.fill_but(20 << 10);
        let refused = batch(run.id, 11, per_batch);
        assert!(store.append(&refused).is_err());
        drop(store);
        disk.make_room();
        Embedded::open(disk.path()).unwrap().append(&refused).unwrap();
        assert_eq!(held(&disk, run.id), (1..=10 + per_batch).collect::<Vec<u64>>(), "{per_batch} a batch");
    }
}

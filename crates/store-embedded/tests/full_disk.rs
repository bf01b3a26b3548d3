//! A store whose disk fills up: what it acknowledged is there, and a retry is not told that it is before it is.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{fs, process::Command};

use logboom_record::{Entry, Flags, Kind, Level, Record, Run, RunId, Stream, Time};
use logboom_store::{Query, Scope, Store};
use logboom_store_embedded::Embedded;

/// A small tmpfs, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> SmallDisk {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status();
        assert!(mounted.unwrap().success(), "mounting a tmpfs needs root: run the tests as root or in `unshare -rm`");
        SmallDisk(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn time() -> Time {
    Time::from_micros(1_767_323_045_000_000)
}

/// Records that do not compress well.
fn batch(run: RunId, first: u64, count: u64) -> Vec<Entry> {
    let message = |seq: u64| -> Vec<u8> {
        let mut state = seq;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b' ' + (state >> 58) as u8
        };
        (0..400).map(|_| next()).collect()
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

#[test]
fn a_retry_on_a_full_disk_is_refused_until_there_is_room_and_nothing_is_lost() {
    for per_batch in [1, 300, 6_000] {
        let disk = SmallDisk::new("24m");
        let ballast = disk.0.path().join("ballast");
        fs::write(&ballast, vec![0; 18 << 20]).unwrap();
        let store = Embedded::open(disk.0.path()).unwrap();
        let run = Run {
            id: RunId::new(time()),
            parent: None,
            kind: Kind::Session,
            name: "s".into(),
            owner: None,
            labels: Default::default(),
            started_at: time(),
            end: None,
            external_id: None,
        };
        store.start_run(&run).unwrap();
        let mut next = 1;
        while store.append(&batch(run.id, next, per_batch)).is_ok() {
            next += per_batch;
        }
        for _ in 0..3 {
            assert!(store.append(&batch(run.id, next, per_batch)).is_err(), "{per_batch} a batch, at {next}");
        }
        fs::remove_file(ballast).unwrap();
        for _ in 0..3 {
            store.append(&batch(run.id, next, per_batch)).unwrap();
            next += per_batch;
        }
        let reader = Embedded::open(disk.0.path()).unwrap();
        let query = Query { lines_max: usize::MAX, ..Query::new(Scope::Session(run.id)) };
        let seqs: Vec<u64> = reader.page(&query, None).unwrap().entries.iter().map(Entry::seq).collect();
        assert_eq!(seqs, (1..next).collect::<Vec<u64>>(), "{per_batch} a batch");
    }
}

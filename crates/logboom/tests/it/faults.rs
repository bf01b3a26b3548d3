//! What happens when not everything can be kept.

use std::fs;

use logboom::{CollectorError, Level, Live, LogCollector, OnFull};

use crate::{common::messages, small_disk::SmallDisk};

fn gap(message: &str) -> Option<(u64, u64)> {
    let (from, to) = message.strip_prefix("lost seq ")?.strip_suffix(": disk full")?.split_once('-')?;
    Some((from.parse().unwrap(), to.parse().unwrap()))
}

#[test]
fn a_full_disk_is_a_counted_gap_and_nobody_waits() {
    for boom in [false, true] {
        let disk = SmallDisk::new("24m");
        let builder = LogCollector::builder(disk.path());
        let collector = if boom { builder } else { builder.text_only() }.build().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let other = LogCollector::builder(elsewhere.path()).build().unwrap();
        collector.log_str("before");
        collector.flush().unwrap();
        disk.fill();
        // More than fits into what the writer has set aside.
        (0..400_000).for_each(|line| collector.log_at(Level::Info, format_args!("lost {line} {:050}", line)));
        let error = collector.flush().unwrap_err();
        assert!(matches!(&error, CollectorError::Failing { .. }), "{error}");
        let stats = collector.stats();
        assert!(stats.failing.is_some() && stats.records == 400_001, "{stats:?}");
        other.log_str("not concerned");
        other.flush().unwrap();
        assert_eq!(messages(&other.path()), ["not concerned"]);
        disk.make_room();
        collector.log_str("after");
        collector.flush().unwrap();
        assert_eq!(collector.stats().failing, None);
        let lines = messages(&collector.path());
        assert_eq!((lines[0].as_str(), lines.last().unwrap().as_str()), ("before", "after"));
        // A few lines went into the last free page, and into what a boom file gave back meanwhile.
        let gaps: Vec<(u64, u64)> = lines.iter().filter_map(|line| gap(line)).collect();
        let lost: u64 = gaps.iter().map(|(from, to)| to - from + 1).sum();
        assert_eq!((lines.len() - gaps.len()) as u64 + lost, 400_002, "{gaps:?}");
        assert!(boom || stats.lost == lost, "{stats:?}, {gaps:?}");
        drop(collector);
    }
}

#[test]
fn a_directory_that_is_removed_is_noticed() {
    for boom in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let builder = LogCollector::builder(dir.path());
        let collector = if boom { builder } else { builder.text_only() }.build().unwrap();
        collector.log_str("kept");
        collector.flush().unwrap();
        fs::remove_dir_all(collector.dir()).unwrap();
        (0..10).for_each(|_| collector.log_str("gone"));
        let error = collector.flush().unwrap_err();
        assert!(error.to_string().contains("deleted"), "{error}");
        assert_eq!((collector.stats().lost, collector.stats().records), (10, 11), "{boom}");
    }
}

#[test]
fn a_full_buffer_drops_where_it_was_told_to_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let (entered, waits) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let stuck = Live::new(move |_| entered.send(()).is_err() || gone.recv().is_ok());
    let collector = LogCollector::builder(dir.path()).on_full(OnFull::Drop).live(stuck).build().unwrap();
    collector.log_str("the writer is stuck with this one");
    waits.recv().unwrap();
    let line = "x".repeat(1_000);
    (0..5_000).for_each(|_| collector.log_str(&line));
    let dropped = collector.stats().dropped;
    assert!((1..5_000).contains(&dropped), "{dropped}");
    drop((go, waits));
    collector.flush().unwrap();
    collector.log_str("after");
    collector.flush().unwrap();
    let stats = collector.stats();
    assert_eq!((stats.lost, stats.records, stats.stalls), (dropped, 5_002, 0));
    let lines = messages(&collector.path());
    let kept = 5_000 - dropped;
    assert_eq!(lines[kept as usize + 1], format!("lost seq {}-5001: buffer full", kept + 2));
    assert_eq!(lines.last().unwrap(), "after");
}

#[test]
fn a_full_buffer_blocks_and_the_stall_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (entered, waits) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let stuck = Live::new(move |_| entered.send(()).is_err() || gone.recv().is_ok());
    let collector = LogCollector::builder(dir.path()).live(stuck).build().unwrap();
    collector.log_str("the writer is stuck with this one");
    waits.recv().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let line = "x".repeat(1_000);
            (0..5_000).for_each(|_| collector.log_str(&line));
        });
        while collector.stats().stalls == 0 {
            std::thread::yield_now();
        }
        drop((go, waits));
    });
    collector.flush().unwrap();
    assert_eq!((collector.stats().lost, messages(&collector.path()).len()), (0, 5_001));
}

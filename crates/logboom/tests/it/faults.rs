//! What happens when not everything can be kept.

use std::{
    fs,
    future::Future,
    io::{BufRead, BufReader},
    task::{Context, Waker},
};

use logboom::{Builder, CollectorError, Level, Live, LogCollector, OnFull};
use logboom_files::Session;
use logboom_record::{Outcome, Time};
use logboom_ring::recover::DeadRings;

use crate::{
    common::{again, messages, role},
    small_disk::SmallDisk,
};

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
        let mut after = 1;
        collector.log_str("after");
        // A boom file that was refused is not written again at once, and loses what comes until then.
        while collector.flush().is_err() {
            collector.log_str("after");
            after += 1;
        }
        assert_eq!(collector.stats().failing, None);
        let lines = messages(&collector.path());
        assert_eq!((lines[0].as_str(), lines.last().unwrap().as_str()), ("before", "after"));
        // A few lines went into the last free page, and into what a boom file gave back meanwhile.
        let gaps: Vec<(u64, u64)> = lines.iter().filter_map(|line| gap(line)).collect();
        let lost: u64 = gaps.iter().map(|(from, to)| to - from + 1).sum();
        assert_eq!((lines.len() - gaps.len()) as u64 + lost, 400_001 + after, "{gaps:?}");
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

/// The text logs that the session's metadata know of.
fn known(session: &Session) -> Vec<String> {
    session.meta().unwrap().runs.into_iter().filter_map(|run| run.text).collect()
}

#[test]
fn a_switch_that_a_full_disk_keeps_out_of_the_metadata_is_noted_when_there_is_room() {
    for boom in [true, false] {
        let (disk, elsewhere) = (SmallDisk::new("24m"), tempfile::tempdir().unwrap());
        let builder = LogCollector::builder(disk.path()).bound_only();
        let collector = if boom { builder } else { builder.text_only() }.build().unwrap();
        let other = LogCollector::builder(elsewhere.path()).bound_only().build().unwrap();
        let session = Session::open(collector.dir()).unwrap();
        collector.log_str("before");
        collector.flush().unwrap();
        let first = collector.path();
        disk.fill();
        let second = collector.start_new_session_blocking("second").unwrap();
        (0..100).for_each(|_| collector.log_str("on a full disk"));
        let error = collector.flush().unwrap_err();
        assert!(matches!(&error, CollectorError::Failing { .. }), "{error}");
        assert!(collector.stats().failing.is_some());
        assert_eq!(known(&session), ["collector.log"]);
        let next = other.start_new_session_blocking("next").unwrap();
        other.log_str("not concerned");
        other.flush().unwrap();
        assert_eq!((messages(&next), other.stats().failing), (vec!["not concerned".to_owned()], None));
        disk.make_room();
        // Nobody logs, and nobody asks.
        while known(&session) != ["collector.log", "second.log"] {
            std::thread::yield_now();
        }
        collector.log_str("after");
        collector.flush().unwrap();
        assert_eq!(collector.stats().failing, None, "{boom}");
        drop(collector);
        assert_eq!(messages(&first), ["before"]);
        let lines = messages(&second);
        let gaps: Vec<(u64, u64)> = lines.iter().filter_map(|line| gap(line)).collect();
        let lost: u64 = gaps.iter().map(|(from, to)| to - from + 1).sum();
        assert_eq!((lines.len() - gaps.len()) as u64 + lost, 101, "{lines:?}");
        let status = session.status(Time::now());
        assert_eq!((status.outcome, status.damage), (Outcome::Passed, None));
        let counts = status.meta.runs.iter().map(|run| run.counts.unwrap());
        let counts: Vec<u64> = counts.map(|counts| counts.records + counts.lost).collect();
        assert_eq!(counts, [1, 101], "{boom}");
    }
}

#[test]
fn a_switch_that_was_never_noted_is_found_when_the_program_is_gone() {
    let test = "faults::a_switch_that_was_never_noted_is_found_when_the_program_is_gone";
    if let Some((role, dir)) = role() {
        let builder = LogCollector::builder(dir);
        let collector = if role == "boom" { builder } else { builder.text_only() }.build().unwrap();
        collector.log_str("before");
        collector.flush().unwrap();
        println!("READY");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        for name in ["second", "third"] {
            collector.start_new_session_blocking(name).unwrap();
            collector.log_str(&format!("in the {name}"));
            assert!(collector.flush().is_err());
        }
        std::process::abort();
    }
    for kind in ["boom", "text"] {
        let disk = SmallDisk::new("24m");
        let mut child = again(test, kind, disk.path()).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("READY")));
        disk.fill();
        drop(child.stdin.take());
        assert!(!child.wait().unwrap().success());
        disk.make_room();
        let left = fs::read_dir(disk.path().join("sessions")).unwrap().next().unwrap().unwrap().path();
        let session = Session::open(&left).unwrap();
        assert_eq!(known(&session), ["collector.log"]);
        logboom::recover(&session).unwrap();
        assert_eq!(known(&session), ["collector.log", "second.log", "third.log"], "{kind}");
        assert_eq!(messages(&session.dir().join("collector.log")), ["before"]);
        check_told(&session, kind);
    }
}

/// Of a run that is said to be whole, its one record is there or in a gap.
fn check_told(session: &Session, what: &str) {
    for run in session.meta().unwrap().runs {
        let told = run.counts.map_or(0, |counts| counts.records + counts.lost);
        assert!(run.run.end.is_none() || told == 1, "{what}: {run:?}");
    }
}

#[test]
fn a_switch_that_was_not_noted_by_the_end_is_found_by_the_next_collector() {
    for boom in [true, false] {
        let disk = SmallDisk::new("24m");
        let builder = || {
            let builder = LogCollector::builder(disk.path()).bound_only();
            if boom { builder } else { builder.text_only() }
        };
        let collector = builder().build().unwrap();
        let session = Session::open(collector.dir()).unwrap();
        // In a thread, which lets go of its ring when it ends.
        let log = |line: &str| std::thread::scope(|scope| scope.spawn(|| collector.log_str(line)).join().unwrap());
        log("before");
        collector.flush().unwrap();
        disk.fill();
        let second = collector.start_new_session_blocking("second").unwrap();
        log("on a full disk");
        drop(collector);
        // A boom file gives back what it kept when it is sealed, and that is room enough.
        assert_eq!(known(&session).len(), if boom { 2 } else { 1 });
        disk.make_room();
        drop(builder().build().unwrap());
        assert_eq!(known(&session), ["collector.log", "second.log"], "{boom}");
        assert!(second.exists());
        assert!(
            fs::read_dir(session.dir()).unwrap().all(|name| name.unwrap().path().extension() != Some("ring".as_ref()))
        );
        assert_eq!(session.status(Time::now()).outcome, if boom { Outcome::Passed } else { Outcome::Lost });
        check_told(&session, "at the end");
    }
}

/// A collector that has flushed a first record, and has no room for more.
fn on_full_disk(boom: bool, more: impl FnOnce(Builder) -> Builder) -> (SmallDisk, LogCollector) {
    let disk = SmallDisk::new("24m");
    let builder = more(LogCollector::builder(disk.path()));
    let collector = if boom { builder } else { builder.text_only() }.build().unwrap();
    collector.log_str("before");
    collector.flush().unwrap();
    disk.fill();
    (disk, collector)
}

#[test]
fn flush_is_well_again_when_there_is_room_though_nothing_more_is_logged() {
    for boom in [true, false] {
        let (disk, collector) = on_full_disk(boom, |builder| builder);
        collector.log_str(&"x".repeat(200_000));
        assert!(collector.flush().is_err());
        disk.make_room();
        while collector.flush().is_err() {
            std::thread::yield_now();
        }
        assert_eq!(collector.stats().failing, None);
    }
}

#[test]
fn a_boom_file_is_written_again_when_there_is_room_though_nobody_asks() {
    let (disk, collector) = on_full_disk(true, |builder| builder);
    (0..400_000).for_each(|line| collector.log_at(Level::Info, format_args!("lost {line} {:050}", line)));
    let _ = collector.last_lines(1);
    let is_behind = || DeadRings::open(&collector.dir().join("collector.log.ring")).is_ok_and(|rings| !rings.has_all());
    assert!(is_behind());
    disk.make_room();
    while is_behind() {
        std::thread::yield_now();
    }
}

/// A collector that has lost records, and whose disk takes all again.
fn lost_and_well(boom: bool, more: impl FnOnce(Builder) -> Builder) -> (SmallDisk, LogCollector) {
    let (disk, collector) = on_full_disk(boom, more);
    (0..400_000).for_each(|line| collector.log_at(Level::Info, format_args!("lost {line} {:050}", line)));
    while collector.stats().lost == 0 {
        std::thread::yield_now();
    }
    disk.make_room();
    while collector.stats().failing.is_some() {
        collector.log_str("after");
        std::thread::yield_now();
    }
    (disk, collector)
}

#[test]
fn flush_tells_of_what_was_lost_before_though_all_is_well_again() {
    for boom in [true, false] {
        let (_disk, collector) = lost_and_well(boom, |builder| builder);
        let _ = collector.init_global_logger(log::LevelFilter::Info);
        // Nobody is told by this one.
        log::logger().flush();
        let error = collector.flush().unwrap_err();
        assert!(matches!(error, CollectorError::Failing { lost: 1.., .. }), "{error}");
        collector.flush().unwrap();
    }
}

#[test]
fn all_who_flush_at_once_are_told_of_what_was_lost() {
    let (entered, waits) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let live = Live::new(move |record| {
        if record.message == b"stop" {
            entered.send(()).unwrap();
            gone.recv().unwrap();
        }
        true
    });
    let (_disk, collector) = lost_and_well(false, |builder| builder.live(live));
    collector.log_str("stop");
    waits.recv().unwrap();
    // They ask when they are polled first, while the writer is held.
    let mut flushes = [Box::pin(collector.wait_for_empty()), Box::pin(collector.wait_for_empty())];
    let mut context = Context::from_waker(Waker::noop());
    assert!(flushes.iter_mut().all(|flush| flush.as_mut().poll(&mut context).is_pending()));
    go.send(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for flush in flushes {
        let told = runtime.block_on(flush);
        assert!(matches!(told, Err(CollectorError::Failing { lost: 1.., .. })), "{told:?}");
    }
    collector.flush().unwrap();
}

#[test]
fn a_session_file_that_is_written_alone_ends_as_passed_on_a_full_disk() {
    for switches in 0..3 {
        let disk = SmallDisk::new("24m");
        let collector = LogCollector::builder(disk.path()).text_only().build().unwrap();
        let session = Session::open(collector.dir()).unwrap();
        (0..switches).for_each(|_| drop(collector.start_new_session_blocking("next").unwrap()));
        collector.log_str("before");
        collector.flush().unwrap();
        disk.fill();
        (0..50_000).for_each(|line| collector.log_at(Level::Info, format_args!("lost {line} {line:050}")));
        drop(collector);
        let status = session.status(Time::now());
        let passed = vec![Outcome::Passed; switches + 1];
        assert_eq!((status.outcome, status.outcomes), (Outcome::Passed, passed));
        let counts = status.meta.runs.last().unwrap().counts.unwrap();
        assert!(counts.lost > 0 && counts.records + counts.lost == 50_001, "{counts:?}");
    }
}

#[test]
fn only_a_flush_that_went_well_is_an_event() {
    let (disk, collector) = on_full_disk(false, |builder| builder);
    collector.log_str(&"x".repeat(200_000));
    assert!(collector.flush().is_err());
    disk.make_room();
    while collector.flush().is_err() {}
    let timeline = fs::read_to_string(collector.dir().join("timeline.jsonl")).unwrap();
    assert_eq!(timeline.lines().filter(|line| line.contains("flushed")).count(), 2, "{timeline}");
}

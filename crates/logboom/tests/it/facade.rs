//! The `log` facade, and who hears what.

use std::fmt;

use log::LevelFilter;
use logboom::LogCollector;

use crate::common::{levels, messages};

fn bound() -> (tempfile::TempDir, LogCollector) {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).bound_only().build().unwrap();
    // Other tests in this process may have installed it.
    let _ = collector.init_global_logger(LevelFilter::Trace);
    (dir, collector)
}

#[test]
fn to_install_it_twice_says_so_and_is_harmless() {
    let (_dir, collector) = bound();
    let error = collector.init_global_logger(LevelFilter::Info).unwrap_err();
    assert!(error.ours);
    assert_eq!(log::max_level(), LevelFilter::Trace, "it is never lowered");
    let _bound = collector.bind_thread();
    log::info!("heard");
    collector.flush().unwrap();
    assert_eq!(messages(&collector.path()), ["heard"]);
}

#[test]
fn parallel_tests_do_not_hear_each_other() {
    std::thread::scope(|scope| {
        for test in 0..8 {
            scope.spawn(move || {
                let (_dir, collector) = bound();
                let _bound = collector.bind_thread();
                (0..500).for_each(|line| log::debug!("{test} {line}"));
                collector.flush().unwrap();
                let want: Vec<_> = (0..500).map(|line| format!("{test} {line}")).collect();
                assert_eq!(messages(&collector.path()), want);
            });
        }
    });
}

#[test]
fn tasks_are_bound_wherever_they_run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let collectors: Vec<_> = (0..4).map(|_| bound()).collect();
    runtime.block_on(async {
        let tasks: Vec<_> = collectors
            .iter()
            .enumerate()
            .map(|(number, (_, collector))| {
                tokio::spawn(collector.bind_task(async move {
                    for line in 0..200 {
                        log::info!("{number} {line}");
                        tokio::task::yield_now().await;
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    for (number, (_, collector)) in collectors.iter().enumerate() {
        collector.flush().unwrap();
        let want: Vec<_> = (0..200).map(|line| format!("{number} {line}")).collect();
        assert_eq!(messages(&collector.path()), want);
    }
}

#[test]
fn levels_and_targets_decide() {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).bound_only().level(LevelFilter::Warn);
    let collector = collector.target("app::db", LevelFilter::Trace).target("noisy", LevelFilter::Off).build().unwrap();
    let _ = collector.init_global_logger(LevelFilter::Trace);
    let _bound = collector.bind_thread();
    log::trace!(target: "app::db::pool", "1");
    log::info!(target: "app", "no");
    log::error!(target: "noisy", "no");
    log::warn!(target: "app", "2");
    log::error!("3");
    log::logger().flush();
    assert_eq!(
        (messages(&collector.path()), levels(&collector.path())),
        (["1", "2", "3"].map(String::from).into(), "TWE".to_owned())
    );
    assert!(!log::log_enabled!(target: "noisy", log::Level::Error));
}

struct Logs;

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::warn!("from within");
        f.write_str("outer")
    }
}

#[test]
fn a_call_within_a_call_neither_deadlocks_nor_vanishes_nor_comes_twice() {
    let (_dir, collector) = bound();
    let _bound = collector.bind_thread();
    log::info!("{}", Logs);
    log::info!("{}{}", "x".repeat(700_000), Logs);
    logboom::info!(collector, "{}{}", "y".repeat(10_000), Logs);
    collector.flush().unwrap();
    let lines: Vec<String> = messages(&collector.path()).into_iter().map(|line| line.replace(['x', 'y'], "")).collect();
    assert_eq!(lines, ["from within", "outer"].repeat(3));
}

struct LogsWhenDropped(&'static str);

impl Drop for LogsWhenDropped {
    fn drop(&mut self) {
        log::info!("{}", self.0);
    }
}

#[test]
fn a_thread_that_ends_may_still_log() {
    thread_local! {
        static FIRST: std::cell::RefCell<Option<LogsWhenDropped>> = const { std::cell::RefCell::new(None) };
        static LAST: std::cell::RefCell<Option<LogsWhenDropped>> = const { std::cell::RefCell::new(None) };
    }
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).target("it::facade", LevelFilter::Trace).build().unwrap();
    let _ = collector.init_global_logger(LevelFilter::Trace);
    let thread = std::thread::spawn(|| {
        FIRST.with(|first| *first.borrow_mut() = Some(LogsWhenDropped("end of the first")));
        log::info!("from the thread");
        LAST.with(|last| *last.borrow_mut() = Some(LogsWhenDropped("end of the last")));
    });
    thread.join().unwrap();
    collector.flush().unwrap();
    let lines = messages(&collector.path());
    for want in ["from the thread", "end of the first", "end of the last"] {
        assert_eq!(lines.iter().filter(|line| *line == want).count(), 1, "{want}: {lines:?}");
    }
}

#[test]
fn long_and_odd_messages_come_back() {
    let (_dir, collector) = bound();
    let _bound = collector.bind_thread();
    let long = "é".repeat(2 << 20);
    log::info!("{long}");
    log::info!("");
    log::info!("two\nlines");
    log::info!("{}", "x".repeat(logboom::MESSAGE_BYTES_MAX + 5));
    collector.flush().unwrap();
    let text = std::fs::read(collector.path()).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines[..4].iter().map(|line| line.len()).sum::<usize>() - 4 * 32, long.len());
    assert_eq!(&lines[4][27..], b" S I ");
    assert_eq!((&lines[5][27..], &lines[6][27..]), (&b" S I two"[..], &b" + I lines"[..]));
    assert!(text.ends_with("the rest is cut: a message has at most 16 MiB)\n".as_bytes()));
    assert_eq!((collector.stats().cut, collector.stats().lost), (1, 0));
}

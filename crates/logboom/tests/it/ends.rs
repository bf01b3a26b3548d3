//! How a collector ends: in odd places, and never without what was logged.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use logboom::{CollectorError, Live, LogCollector};

use crate::common::{again, collector, messages, role, stored};

#[test]
fn the_last_handle_writes_what_is_left() {
    let (_dir, collector) = collector();
    let (path, clone) = (collector.path(), collector.clone());
    drop(collector);
    clone.log_str("by the clone");
    drop(clone);
    assert_eq!(messages(&path), ["by the clone"]);
}

#[test]
fn it_ends_inside_any_runtime() {
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for runtime in [&current, &several] {
        let (_dir, collector) = collector();
        let path = runtime.block_on(async {
            let path = collector.start_new_session("async").await.unwrap();
            collector.log_str("waited for");
            collector.wait_for_empty().await.unwrap();
            assert_eq!(messages(&path), ["waited for"]);
            collector.log_str("dropped in the runtime");
            drop(collector);
            path
        });
        assert_eq!(messages(&path), ["waited for", "dropped in the runtime"]);
    }
}

#[test]
fn it_works_in_nested_runtimes() {
    let (_dir, collector) = collector();
    let path = collector.path();
    let outer = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    outer.block_on(async {
        let inner_collector = collector.clone();
        let inner = tokio::task::spawn_blocking(move || {
            let inner = tokio::runtime::Builder::new_current_thread().build().unwrap();
            inner.block_on(async {
                inner_collector.log_str("inner");
                inner_collector.wait_for_empty().await.unwrap();
            });
        });
        inner.await.unwrap();
        collector.log_str("outer");
        collector.wait_for_empty().await.unwrap();
    });
    assert_eq!(messages(&path), ["inner", "outer"]);
}

#[test]
fn it_ends_in_a_panic() {
    let (_dir, collector) = collector();
    let path = collector.path();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        collector.log_str("before the panic");
        panic!("on purpose: {:?}", collector);
    }));
    assert!(result.is_err());
    assert_eq!(messages(&path), ["before the panic"]);
}

#[test]
fn it_ends_from_its_own_consumer() {
    let dir = tempfile::tempdir().unwrap();
    let last: Arc<Mutex<Option<LogCollector>>> = Arc::default();
    let (dropped, seen) = std::sync::mpsc::channel();
    let mine = Arc::clone(&last);
    let live = Live::new(move |_| {
        if let Some(collector) = mine.lock().unwrap().take() {
            assert!(matches!(collector.flush(), Err(CollectorError::OwnWriter)));
            collector.log_str("by its own consumer");
            drop(collector);
            dropped.send(()).unwrap();
        }
        true
    });
    let collector = LogCollector::new(dir.path(), live).unwrap();
    let path = collector.path();
    let session = logboom_files::Session::open(collector.dir()).unwrap();
    collector.log_str("first");
    *last.lock().unwrap() = Some(collector.clone());
    collector.log_str("second");
    drop(collector);
    seen.recv().unwrap();
    // The writer ends by itself, since nobody can wait for it.
    while session.status(logboom_record::Time::now()).is_live() {
        std::thread::yield_now();
    }
    let written = messages(&path);
    assert_eq!((written[0].as_str(), written.len()), ("first", 3), "{written:?}");
}

#[test]
fn a_consumer_that_panics_or_is_slow_loses_its_copies_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(2);
    let slow = LogCollector::new(dir.path(), sender).unwrap();
    (0..10).for_each(|_| slow.log_str("line"));
    slow.flush().unwrap();
    assert_eq!((slow.stats().live_dropped, receiver.try_iter().count(), messages(&slow.path()).len()), (8, 2, 10));
    let panics = LogCollector::new(dir.path(), Live::new(|_| panic!("on purpose"))).unwrap();
    (0..10).for_each(|_| panics.log_str("line"));
    panics.flush().unwrap();
    assert_eq!((panics.stats().live_dropped, messages(&panics.path()).len()), (10, 10));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let tokio = LogCollector::new(dir.path(), sender).unwrap();
    tokio.log_str("ERROR: line");
    tokio.flush().unwrap();
    let record = receiver.try_recv().unwrap();
    assert_eq!((record.seq, &record.message[..], record.level), (1, &b"ERROR: line"[..], logboom::Level::Error));
}

#[test]
fn consumers_that_log_to_each_other_do_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let other: [Arc<Mutex<Option<LogCollector>>>; 2] = Default::default();
    let collectors: Vec<_> = (0..2)
        .map(|at| {
            let other = Arc::clone(&other[1 - at]);
            let live = Live::new(move |record| {
                if let Some(other) = &*other.lock().unwrap()
                    && record.message.starts_with(b"from outside")
                {
                    (0..200).for_each(|_| other.log_str(&"echo ".repeat(200)));
                    assert!(matches!(other.flush(), Err(CollectorError::OwnWriter)));
                }
                true
            });
            LogCollector::new(dir.path(), live).unwrap()
        })
        .collect();
    for (slot, collector) in other.iter().zip(&collectors) {
        *slot.lock().unwrap() = Some(collector.clone());
    }
    for collector in collectors.iter().cycle().take(200) {
        collector.log_str("from outside");
    }
    collectors.iter().for_each(|collector| collector.flush().unwrap());
    for (slot, collector) in other.iter().zip(&collectors) {
        *slot.lock().unwrap() = None;
        let asked = messages(&collector.path()).iter().filter(|line| *line == "from outside").count();
        assert_eq!(asked, 100);
    }
}

#[test]
fn a_forked_child_is_detached_and_can_have_a_collector_of_its_own() {
    let test = "ends::a_forked_child_is_detached_and_can_have_a_collector_of_its_own";
    let Some((_, dir)) = role() else {
        let dir = tempfile::tempdir().unwrap();
        assert!(again(test, "forks", dir.path()).status().unwrap().success());
        return;
    };
    let collector = LogCollector::builder(&dir).build().unwrap();
    collector.log_str("parent");
    let path = collector.path();
    // SAFETY: the test's only other threads are the harness's, which hold no lock that the child needs.
    #[allow(unsafe_code)]
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        collector.log_str("child");
        let detached = matches!(collector.flush(), Err(CollectorError::Ended))
            && matches!(collector.start_new_session_blocking("x"), Err(CollectorError::Ended));
        drop(collector);
        let own = LogCollector::builder(&dir).build().unwrap();
        own.log_str("child's own");
        own.flush().unwrap();
        let kept = messages(&own.path()) == ["child's own"];
        drop(own);
        // SAFETY: ends the child at once, as a fork of a program with threads should.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(if detached && kept { 0 } else { 1 })
        }
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    #[allow(unsafe_code)]
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!((waited, status), (pid, 0));
    collector.flush().unwrap();
    assert_eq!(messages(&path), ["parent"]);
}

#[test]
fn a_forked_child_waits_for_no_lock_that_its_parent_held() {
    let test = "ends::a_forked_child_waits_for_no_lock_that_its_parent_held";
    let Some((_, dir)) = role() else {
        let dir = tempfile::tempdir().unwrap();
        assert!(again(test, "forks", dir.path()).status().unwrap().success());
        return;
    };
    let collector = LogCollector::builder(&dir).text_only().build().unwrap();
    let over = AtomicBool::new(false);
    let is_over = || over.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over() {
                collector.stats();
            }
        });
        scope.spawn(|| {
            while !is_over() {
                collector.start_new_session_blocking("next").unwrap();
            }
        });
        let failed = (0..100).map(|_| status_of_fork(&collector)).find(|status| *status != 0);
        over.store(true, Ordering::Relaxed);
        assert_eq!(failed, None);
    });
}

/// How a child ends that does all that a forked one may do with a collector; a signal ends one that waits for ever.
fn status_of_fork(collector: &LogCollector) -> i32 {
    // SAFETY: the child allocates at most, which the C library sees to, and ends at once.
    #[allow(unsafe_code)]
    let pid = unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::alarm(10);
        }
        pid
    };
    if pid == 0 {
        collector.log_str("child");
        let detached = matches!(collector.flush(), Err(CollectorError::Ended))
            && matches!(collector.last_lines(1), Err(CollectorError::Ended))
            && matches!(collector.start_new_session_blocking("x"), Err(CollectorError::Ended))
            && collector.stats().failing.is_none()
            && collector.path().parent() == Some(collector.dir());
        // SAFETY: ends the child at once, as a fork of a program with threads should.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(i32::from(!detached))
        }
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    #[allow(unsafe_code)]
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(waited, pid);
    status
}

const LOGGERS: usize = 4;

/// Four threads log to whatever collector is there; each knows how many of its calls have returned.
struct Crowd {
    returned: [AtomicU64; LOGGERS],
    over: AtomicBool,
}

impl Crowd {
    fn log(&self, thread: usize) {
        for number in 1_u64.. {
            match thread % 2 {
                0 => log::info!("{thread} {number}"),
                _ => tracing::info!("{thread} {number}"),
            }
            self.returned[thread].fetch_add(1, Ordering::AcqRel);
            std::thread::yield_now();
            if self.over.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// How many calls have returned. What is read here is also written, so that it comes before the calls after those.
    fn returned(&self) -> [u64; LOGGERS] {
        std::array::from_fn(|thread| self.returned[thread].fetch_add(0, Ordering::AcqRel))
    }

    /// Makes a collector, lets the threads log, drops its handles at once in several threads, and reads what it kept.
    fn collect(&self, builder: logboom::Builder, dir: &std::path::Path) {
        let collector = builder.build().unwrap();
        let (path, session) = (collector.path(), logboom_files::Session::open(collector.dir()).unwrap());
        let first = self.returned();
        while self.returned().iter().zip(first).any(|(now, first)| *now < first + 50) {
            std::thread::yield_now();
        }
        let handles = [collector.clone(), collector.clone(), collector];
        let last = self.returned();
        std::thread::scope(|scope| handles.into_iter().for_each(|handle| drop(scope.spawn(|| drop(handle)))));
        let lines = messages(&path);
        for thread in 0..LOGGERS {
            let own = lines.iter().filter_map(|line| line.strip_prefix(&format!("{thread} ")));
            let numbers: Vec<u64> = own.map(|number| number.parse().unwrap()).collect();
            assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "thread {thread}: {numbers:?}");
            assert!(numbers[0] <= first[thread] + 2, "thread {thread}: {} after {}", numbers[0], first[thread]);
            assert!(numbers[numbers.len() - 1] >= last[thread], "thread {thread}: {numbers:?}, not {}", last[thread]);
        }
        assert_eq!(stored(dir, &session), [lines]);
    }
}

#[test]
fn collectors_come_and_go_while_others_log() {
    const ROUNDS: usize = 30;
    let test = "ends::collectors_come_and_go_while_others_log";
    // In a process of its own: the threads log to all collectors that there are.
    if role().is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(again(test, "alone", dir.path()).status().unwrap().success());
        return;
    }
    logboom::init(log::LevelFilter::Info).unwrap();
    let crowd = Crowd { returned: Default::default(), over: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        let crowd = &crowd;
        (0..LOGGERS).for_each(|thread| drop(scope.spawn(move || crowd.log(thread))));
        let makers = (0..2).map(|maker| {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let dir = tempfile::tempdir().unwrap();
                    let builder = LogCollector::builder(dir.path());
                    let builder = match (maker + round) % 3 {
                        0 => builder,
                        1 => builder.text_only(),
                        _ => builder.queue_only(),
                    };
                    crowd.collect(builder, dir.path());
                }
            })
        });
        let ended: Vec<_> = makers.collect::<Vec<_>>().into_iter().map(|maker| maker.join()).collect();
        crowd.over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    });
}

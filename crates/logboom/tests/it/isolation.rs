//! Collectors side by side: each has its own lines, all of them, in order.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    path::PathBuf,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use logboom::{Level, LogCollector};

use crate::common::{again, crowd, messages, role, stored};

#[test]
fn collectors_in_sequence_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..20)
        .map(|number| {
            let collector = LogCollector::builder(dir.path()).build().unwrap();
            collector.log_at(Level::Info, number);
            collector.path()
        })
        .collect();
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(messages(path), [number.to_string()]);
    }
}

#[test]
fn collectors_in_several_processes_share_a_data_dir() {
    if let Some((name, dir)) = role() {
        let collector = LogCollector::builder(dir).name(&*name).build().unwrap();
        (0..2_000).for_each(|line| collector.log_at(Level::Info, format_args!("{name} {line}")));
        collector.flush().unwrap();
        println!("PATH {}", collector.path().display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "isolation::collectors_in_several_processes_share_a_data_dir";
    let children: Vec<_> = (0..6).map(|name| again(test, &name.to_string(), dir.path()).spawn().unwrap()).collect();
    for (name, child) in children.into_iter().enumerate() {
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let path = output.lines().find_map(|line| Some(line.split_once("PATH ")?.1)).unwrap();
        let want: Vec<_> = (0..2_000).map(|line| format!("{name} {line}")).collect();
        assert_eq!(messages(path.as_ref()), want);
    }
}

/// 64 threads log 100,000 lines each, in turn to each of 8 collectors, which switch files meanwhile.
#[test]
fn every_line_is_in_the_file_it_belongs_to_and_in_order() {
    const THREADS: u64 = 64;
    const LINES: u64 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let collectors: Vec<_> = (0..8).map(|_| LogCollector::builder(dir.path()).text_only().build().unwrap()).collect();
    let mut paths: Vec<_> = collectors.iter().map(|collector| vec![collector.path()]).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let collectors = &collectors;
                scope.spawn(move || {
                    for line in 0..LINES {
                        let to = (line + thread) as usize % collectors.len();
                        collectors[to].log_at(Level::Info, format_args!("{to} {thread} {line}"));
                    }
                })
            })
            .collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            for (paths, collector) in paths.iter_mut().zip(&collectors) {
                if paths.len() < 20 {
                    paths.push(collector.start_new_session_blocking("part").unwrap());
                }
            }
            std::thread::yield_now();
        }
    });
    for collector in &collectors {
        collector.flush().unwrap();
        assert_eq!((collector.stats().lost, collector.stats().failing), (0, None));
    }
    drop(collectors);
    let mut found = 0;
    for (to, paths) in paths.iter().enumerate() {
        let mut next: HashMap<u64, u64> = HashMap::new();
        for message in paths.iter().flat_map(|path| messages(path)) {
            let numbers: Vec<u64> = message.split(' ').map(|number| number.parse().unwrap()).collect();
            let [of, thread, line] = numbers[..] else { panic!("{message}") };
            assert_eq!(of, to as u64);
            let first = (to as u64 + 64 - thread) % 8;
            let want = next.insert(thread, line + 8).unwrap_or(first);
            assert_eq!(line, want, "thread {thread}");
            found += 1;
        }
    }
    assert_eq!(found, THREADS * LINES);
}

/// What a collector's switches are known by: a thread that reads `returned` before its call logs to that file or a later one, one
/// that reads `begun` after its call has logged to that file or an earlier one.
#[derive(Default)]
struct Switches {
    begun: AtomicU64,
    returned: AtomicU64,
}

impl Switches {
    /// Logs between the two, and gives them. Each read is a write too, so that it comes before a switch whose number it does
    /// not give, and not only seems to.
    fn around(&self, log: impl FnOnce()) -> RangeInclusive<u64> {
        let first = self.returned.load(Ordering::Acquire);
        log();
        first..=self.begun.fetch_add(0, Ordering::AcqRel)
    }

    fn switch(&self, collector: &LogCollector) -> PathBuf {
        self.begun.fetch_add(1, Ordering::AcqRel);
        let path = collector.start_new_session_blocking("part").unwrap();
        self.returned.fetch_add(1, Ordering::Release);
        path
    }
}

/// 16 threads, two of which have no rings, log to each of 8 collectors with boom files, two of which have no rings either, and which
/// switch meanwhile.
#[test]
fn every_line_is_in_a_file_that_was_current_while_it_was_logged() {
    const THREADS: usize = 16;
    const COLLECTORS: usize = 8;
    const FILES: usize = 25;
    let lines = |thread: usize| if thread < 2 { 1_600 } else { 20_000 };
    let dir = tempfile::tempdir().unwrap();
    let crowd = crowd(dir.path());
    let collector = |number: usize| {
        let builder = LogCollector::builder(dir.path()).bound_only();
        if number % 4 == 3 { builder.queue_only() } else { builder }.build().unwrap()
    };
    let collectors: Vec<_> = (0..COLLECTORS).map(collector).collect();
    let mut paths: Vec<_> = collectors.iter().map(|collector| vec![collector.path()]).collect();
    let switches: [Switches; COLLECTORS] = Default::default();
    let log = |thread: usize, line: usize| {
        let to = (line + thread) % COLLECTORS;
        switches[to].around(|| match line / COLLECTORS % 3 {
            0 => collectors[to].log_str(&format!("{to} {thread} {line}")),
            1 => logboom::info!(collectors[to], "{} {} {}", to, thread, line),
            _ => collectors[to].log_at(Level::Info, format_args!("{to} {thread} {line}")),
        })
    };
    let done: [AtomicU64; THREADS] = Default::default();
    let switched = AtomicUsize::new(0);
    // The threads with rings are done long before the others: they have the first half of the switches, and none runs ahead.
    let part = |at: usize| match at < FILES / 2 {
        true => (THREADS - 1, lines(THREADS - 1) * 2 * at / FILES),
        false => (0, lines(0) * at / FILES),
    };
    let may_go_on = |thread: usize, line: usize| {
        let at = switched.load(Ordering::Relaxed) + 2;
        thread < 2 || at >= FILES / 2 || line <= part(at).1
    };
    let mut around: Vec<Vec<RangeInclusive<u64>>> = std::thread::scope(|scope| {
        let (log, crowd, done, may_go_on) = (&log, &crowd, &done, &may_go_on);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    if thread < 2 {
                        crowd.iter().for_each(|collector| collector.log_str("takes a ring"));
                    }
                    let one = |line| {
                        done[thread].store(line as u64, Ordering::Relaxed);
                        while !may_go_on(thread, line) {
                            std::thread::yield_now();
                        }
                        log(thread, line)
                    };
                    (0..lines(thread)).map(one).collect()
                })
            })
            .collect();
        let mut mine = Vec::new();
        for at in 1..FILES {
            let (thread, line) = part(at);
            while done[thread].load(Ordering::Relaxed) < line as u64 && !threads[thread].is_finished() {
                std::thread::yield_now();
            }
            for _ in 0..COLLECTORS {
                let to = (mine.len() + THREADS) % COLLECTORS;
                paths[to].push(switches[to].switch(&collectors[to]));
                mine.push(log(THREADS, mine.len()));
            }
            switched.store(at, Ordering::Relaxed);
        }
        let mut around: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        around.push(mine);
        around
    });
    let sessions: Vec<_> =
        collectors.iter().map(|collector| logboom_files::Session::open(collector.dir()).unwrap()).collect();
    for collector in &collectors {
        collector.flush().unwrap();
        assert_eq!((collector.stats().lost, collector.stats().failing), (0, None));
    }
    drop(collectors);
    for (to, (paths, session)) in paths.iter().zip(&sessions).enumerate() {
        let texts: Vec<Vec<String>> = paths.iter().map(|path| messages(path)).collect();
        assert_eq!(stored(dir.path(), session), texts, "collector {to}");
        let mut next: Vec<usize> =
            (0..=THREADS).map(|thread| (to + COLLECTORS - thread % COLLECTORS) % COLLECTORS).collect();
        for (file, message) in texts.iter().enumerate().flat_map(|(file, lines)| lines.iter().map(move |l| (file, l))) {
            let numbers: Vec<usize> = message.split(' ').map(|number| number.parse().unwrap()).collect();
            let [of, thread, line] = numbers[..] else { panic!("{message}") };
            assert_eq!((of, line), (to, next[thread]), "thread {thread}");
            next[thread] = line + COLLECTORS;
            let files = &around[thread][line];
            assert!(files.contains(&(file as u64)), "{message} is in file {file}, not in {files:?}");
        }
        for (thread, next) in next.into_iter().enumerate() {
            assert!(next >= around[thread].len(), "thread {thread}: {next} of {}", around[thread].len());
        }
    }
    // Without such there was nothing to see.
    around.truncate(THREADS);
    assert!(around.iter().all(|thread| thread.iter().any(|files| *files.start() > 0)));
}

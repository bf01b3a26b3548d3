//! Collectors side by side: each has its own lines, all of them, in order.

use std::collections::HashMap;

use logboom::{Level, LogCollector};

use crate::common::{again, messages, role};

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

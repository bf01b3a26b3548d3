//! Programs that end without a word: every call that returned is found once, by readers and in the files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{BuildHasher, Hasher, RandomState},
    os::unix::fs::FileExt,
    path::Path,
};

use logboom::LogCollector;
use logboom_files::Session;
use logboom_record::{Outcome, Time};

use crate::common::{again, crowd, messages, role, stored};

const THREADS: usize = 3;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Killed,
    Abort,
    Exit,
    Panic,
}

/// Logs numbers from several threads, in each way there is, and notes each number when its call has returned.
fn program(role: &str, dir: &Path) {
    let text_only = role.contains("text");
    let builder = LogCollector::builder(dir);
    let collector = if text_only { builder.text_only() } else { builder }.build().unwrap();
    let last: u64 = role.split(' ').next_back().unwrap().parse().unwrap();
    let returned = File::options().write(true).open(dir.join("returned")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (collector, returned) = (&collector, &returned);
            scope.spawn(move || {
                let is_crowded = thread == THREADS - 1;
                let crowd = if is_crowded { crowd(dir) } else { Vec::new() };
                crowd.iter().for_each(|collector| collector.log_str("takes a ring"));
                for number in 1..=if is_crowded { last.min(500) } else { last } {
                    match number % 5 {
                        0 => collector.log_str(&format!("{thread} {number}")),
                        1 => logboom::info!(collector, "{} {}", thread, number, odd = number % 2),
                        2 => logboom::error!(collector, "{thread} {number}"),
                        3 if thread == 0 && number % 1_500 == 3 => {
                            collector.start_new_session_blocking("part").unwrap();
                            collector.log_at(logboom::Level::Debug, format_args!("{thread} {number}"));
                        }
                        3 if number % 500 == 3 => {
                            collector.log_str(&format!("{thread} {number} {}", "x".repeat(300_000)))
                        }
                        _ => collector.log_at(logboom::Level::Debug, format_args!("{thread} {number}")),
                    }
                    returned.write_all_at(&number.to_le_bytes(), thread as u64 * 8).unwrap();
                }
                std::mem::forget(crowd);
            });
        }
    });
    match role {
        _ if role.starts_with("Abort") => std::process::abort(),
        _ if role.starts_with("Exit") => std::process::exit(0),
        _ if role.starts_with("Panic") => {
            let thread = std::thread::spawn(|| panic!("on purpose"));
            std::process::exit(if thread.join().is_err() { 101 } else { 0 })
        }
        _ => loop {
            std::thread::park();
        },
    }
}

fn returned(dir: &Path) -> [u64; THREADS] {
    let bytes = fs::read(dir.join("returned")).unwrap();
    std::array::from_fn(|thread| u64::from_le_bytes(bytes[thread * 8..][..8].try_into().unwrap()))
}

/// Each thread's numbers are 1, 2, … up to at least what had returned, each once and in order; one more may have been under way.
fn check(what: &str, messages: impl Iterator<Item = String>, returned: [u64; THREADS]) {
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    for message in messages {
        let mut words = message.split(' ');
        let (thread, number) = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
        let before = last.insert(thread, number).unwrap_or(0);
        assert_eq!(number, before + 1, "{what}: thread {thread}");
    }
    for (thread, returned) in returned.into_iter().enumerate() {
        let last = last.get(&thread).copied().unwrap_or(0);
        assert!(last == returned || last == returned + 1, "{what}: thread {thread}: {last} of {returned}");
    }
}

fn round(test: &str, end: End, text_only: bool, wait_for: u64) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("returned"), [0; THREADS * 8]).unwrap();
    let lines = if end == End::Killed { 1_000_000 } else { wait_for };
    let role = format!("{end:?} {} {lines}", if text_only { "text" } else { "boom" });
    let mut child = again(test, &role, dir.path());
    let mut child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
    if end == End::Killed {
        while returned(dir.path()).iter().all(|number| *number < wait_for) {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::yield_now();
        }
        child.kill().unwrap();
    }
    child.wait().unwrap();
    let returned = returned(dir.path());
    let sessions = fs::read_dir(dir.path().join("sessions")).unwrap().next().unwrap().unwrap().path();
    let session = Session::open(&sessions).unwrap();
    assert_eq!(session.status(Time::now()).outcome, Outcome::Lost);
    // Of a file that was begun when the program died the metadata know nothing yet.
    let known = || session.status(Time::now()).meta.runs.len();
    let (before, seen) = (known(), stored(dir.path(), &session).concat());
    logboom::recover(&session).unwrap();
    if known() == before {
        check("as it was left", seen.into_iter(), returned);
    }
    check("recovered", stored(dir.path(), &session).concat().into_iter(), returned);
    let texts = session.status(Time::now()).meta.runs.into_iter().filter_map(|run| run.text);
    let texts: Vec<String> = texts.flat_map(|name| messages(&session.dir().join(name))).collect();
    check("text logs", texts.into_iter().filter(|line| !line.starts_with("lost seq")), returned);
    assert_eq!(logboom::recover(&session).unwrap().records, 0);
    assert!(fs::read_dir(session.dir()).unwrap().all(|name| !name.unwrap().path().ends_with(".ring")));
}

#[test]
fn every_call_that_returned_is_found_once() {
    let test = "killed::every_call_that_returned_is_found_once";
    if let Some((role, dir)) = role() {
        program(&role, &dir);
    }
    let mut random = RandomState::new().build_hasher().finish() | 1;
    for (end, rounds) in [(End::Killed, 10), (End::Abort, 2), (End::Exit, 2), (End::Panic, 2)] {
        for text_only in [true, false].repeat(rounds / 2) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            round(test, end, text_only, 1 + random % 20_000);
        }
    }
}

#[test]
fn the_next_collector_puts_it_into_files() {
    if let Some((role, dir)) = role() {
        program(&role, &dir);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("returned"), [0; THREADS * 8]).unwrap();
    let mut child = again("killed::the_next_collector_puts_it_into_files", "Abort text 500", dir.path());
    child.status().unwrap();
    let left = fs::read_dir(dir.path().join("sessions")).unwrap().next().unwrap().unwrap().path();
    assert!(left.join("collector.log.ring").exists());
    let collector = LogCollector::builder(dir.path()).build().unwrap();
    assert!(!left.join("collector.log.ring").exists());
    let session = Session::open(&left).unwrap();
    check("recovered", stored(dir.path(), &session).concat().into_iter(), [500; THREADS]);
    drop(collector);
}

/// Makes collectors one after the other. The ring file of each is there while it lives.
fn make_collectors(dir: &Path) -> ! {
    for _ in 0..COLLECTORS {
        let collector = LogCollector::builder(dir).text_only().build().unwrap();
        let path = collector.start_new_session_blocking("next").unwrap();
        assert!(path.with_file_name("collector.log.ring").exists(), "{path:?}");
        drop(collector);
    }
    std::process::exit(0)
}

const COLLECTORS: usize = 300;

#[test]
fn the_rings_of_a_collector_that_starts_are_not_taken_for_those_of_a_dead_one() {
    if let Some((_, dir)) = role() {
        make_collectors(&dir);
    }
    let test = "killed::the_rings_of_a_collector_that_starts_are_not_taken_for_those_of_a_dead_one";
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sessions")).unwrap();
    let mut child = again(test, "make", dir.path()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut newest = None;
    let status = loop {
        let names = fs::read_dir(dir.path().join("sessions")).unwrap().flatten().map(|entry| entry.path());
        newest = names.filter(|path| !path.ends_with(".trash")).max().max(newest);
        if let Some(session) = newest.as_ref().and_then(|path| Session::open(path).ok()) {
            logboom::recover(&session).unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success());
}

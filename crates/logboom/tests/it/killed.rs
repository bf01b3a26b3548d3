//! Programs that end without a word: every call that returned is found once, by readers and in the files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{BuildHasher, Hasher, RandomState},
    io::{BufRead, BufReader},
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::Path,
    sync::{Barrier, mpsc},
    time::{Duration, Instant},
};

use logboom::{Builder, Live, LogCollector, OnFull};
use logboom_boom::reader::Reader;
use logboom_files::{Session, session::Counts};
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
    let session = only_session(dir.path());
    assert_eq!(session.status(Time::now()).outcome, Outcome::Lost);
    // Of a file that was begun when the program died the metadata know nothing yet.
    let known = || session.status(Time::now()).meta.runs.len();
    let (before, seen) = (known(), stored(dir.path(), &session).concat());
    logboom::recover(&session).unwrap();
    if known() == before {
        check("as it was left", seen.into_iter(), returned);
    }
    let recovered = stored(dir.path(), &session).concat();
    let runs = session.meta().unwrap().runs;
    assert!(runs.iter().all(|run| run.run.end.is_some()));
    assert_eq!(runs.last().map(|run| run.run.outcome()), Some(Outcome::Lost));
    assert_eq!(session.status(Time::now()).outcome, Outcome::Lost);
    let counts: Counts = runs.iter().filter_map(|run| run.counts).sum();
    assert_eq!((counts.records, counts.lost), (recovered.len() as u64, 0));
    check("recovered", recovered.into_iter(), returned);
    let texts = runs.into_iter().filter_map(|run| run.text);
    let texts: Vec<String> = texts.flat_map(|name| messages(&session.dir().join(name))).collect();
    check("text logs", texts.into_iter(), returned);
    assert_eq!(logboom::recover(&session).unwrap().records, 0);
    assert!(logboom_ring::rest::files_in(session.dir()).is_empty());
}

/// Logs a record too large for a ring, which `on_full(Drop)` does not wait for, while the writer is stuck.
fn log_aside(dir: &Path) -> ! {
    let builder = LogCollector::builder(dir).on_full(OnFull::Drop).live(Live::new(|_| {
        loop {
            std::thread::park();
        }
    }));
    let collector = builder.text_only().build().unwrap();
    collector.log_str("by a ring");
    collector.log_str(&"x".repeat(300_000));
    std::process::abort()
}

#[test]
fn what_nobody_waited_for_leaves_a_doubt() {
    if let Some((_, dir)) = role() {
        log_aside(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    again("killed::what_nobody_waited_for_leaves_a_doubt", "log", dir.path()).status().unwrap();
    let session = only_session(dir.path());
    logboom::recover(&session).unwrap();
    let run = session.meta().unwrap().runs.remove(0);
    assert!(run.run.end.is_none(), "{run:?}");
}

/// Logs more than there is room for while the writer is stuck, so that it has no time to tell what was dropped.
fn overflow(role: &str, dir: &Path) -> ! {
    let builder = LogCollector::builder(dir).on_full(OnFull::Drop).live(Live::new(|_| {
        loop {
            std::thread::park();
        }
    }));
    let collector = if role == "text" { builder.text_only() } else { builder }.build().unwrap();
    (1..=OVERFLOW).for_each(|number| collector.log_str(&format!("{number} {}", "x".repeat(100))));
    std::process::abort()
}

const OVERFLOW: u64 = 30_000;

#[test]
fn what_was_dropped_before_a_kill_is_a_gap() {
    if let Some((role, dir)) = role() {
        overflow(&role, &dir);
    }
    for mode in ["text", "boom"] {
        let dir = tempfile::tempdir().unwrap();
        let status = again("killed::what_was_dropped_before_a_kill_is_a_gap", mode, dir.path()).status().unwrap();
        assert_eq!(status.signal(), Some(6));
        let session = only_session(dir.path());
        let kept = logboom::recover(&session).unwrap().records;
        assert_eq!(logboom::recover(&session).unwrap().records, 0);
        let run = session.meta().unwrap().runs.remove(0);
        let counts = run.counts.unwrap();
        assert!((1..OVERFLOW).contains(&kept) && counts.records >= kept, "{mode}: {counts:?}");
        assert_eq!(counts.records + counts.lost, OVERFLOW, "{mode}: {counts:?}");
        let gap = format!("lost seq {}-{OVERFLOW}: writer was killed", counts.records + 1);
        assert_eq!(messages(&session.dir().join(run.text.unwrap())).last(), Some(&gap), "{mode}");
    }
}

#[test]
fn every_call_that_returned_is_found_once() {
    let test = "killed::every_call_that_returned_is_found_once";
    if let Some((role, dir)) = role() {
        program(&role, &dir);
    }
    let mut random = Random::new();
    for (end, rounds) in [(End::Killed, 10), (End::Abort, 2), (End::Exit, 2), (End::Panic, 2)] {
        for text_only in [true, false].repeat(rounds / 2) {
            round(test, end, text_only, 1 + random.next() % 20_000);
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

/// A live consumer that holds the writer at the first record until somebody receives, and is told of each further one.
fn holding(mut each: impl FnMut(u64) + Send + 'static) -> (Live, mpsc::Receiver<()>) {
    let (enter, entered) = mpsc::sync_channel(0);
    let mut seen = 0;
    let take = move |_| {
        seen += 1;
        match seen {
            // Twice: the writer is held between the two.
            1 => enter.send(()).and_then(|()| enter.send(())).unwrap(),
            seen => each(seen),
        }
        true
    };
    (Live::new(take), entered)
}

fn only_session(dir: &Path) -> Session {
    let path = fs::read_dir(dir.join("sessions")).unwrap().next().unwrap().unwrap().path();
    Session::open(&path).unwrap()
}

/// The numbers that the messages begin with.
fn numbers(messages: &[String]) -> Vec<u64> {
    messages.iter().map(|message| message.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_batch_is_begun_before_any_of_its_records_is_in_a_file() {
    const LAST: u64 = 40;
    if let Some((_, dir)) = role() {
        // More than a block of a boom file holds, of the one batch that all but the first record are in.
        let (live, entered) = holding(|seen| {
            if seen == LAST - 10 {
                std::process::abort()
            }
        });
        let collector = LogCollector::builder(&dir).live(live).build().unwrap();
        collector.log_str("1");
        entered.recv().unwrap();
        (2..=LAST).for_each(|number| logboom::info!(collector, "{} {:>60000}", number, 'x'));
        entered.recv().unwrap();
        let _ = collector.flush();
        panic!("the writer should have ended the program");
    }
    let (dir, test) = (tempfile::tempdir().unwrap(), "killed::a_batch_is_begun_before_any_of_its_records_is_in_a_file");
    let status = again(test, "abort", dir.path()).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    let session = only_session(dir.path());
    let held = Reader::open(&session.dir().join("records.boom")).unwrap().runs()[0].next_seq;
    assert!((3..LAST).contains(&held), "{held}");
    let want: Vec<u64> = (1..=LAST).collect();
    assert_eq!(numbers(&stored(dir.path(), &session).concat()), want, "as it was left, with {held} held");
    assert_eq!(logboom::recover(&session).unwrap().records, LAST + 1 - held);
    assert_eq!(numbers(&stored(dir.path(), &session).concat()), want, "with {held} held");
    assert_eq!(numbers(&messages(&session.dir().join("collector.log"))), want, "with {held} held");
}

/// How many records each thread of [`leave`] logs.
const LEFT: u64 = 4_000;

/// Ends with all but nothing written: the rings hold the records of two session files.
fn leave(builder: Builder) -> ! {
    let (live, entered) = holding(|_| ());
    let collector = builder.live(live).build().unwrap();
    collector.log_str("0 1");
    entered.recv().unwrap();
    let barrier = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (collector, barrier) = (&collector, &barrier);
            scope.spawn(move || {
                for number in 1 + u64::from(thread == 0)..=LEFT {
                    if number == LEFT / 2 {
                        barrier.wait();
                        barrier.wait();
                    }
                    logboom::info!(collector, "{} {} {:>1000}", thread, number, 'x');
                }
            });
        }
        barrier.wait();
        collector.start_new_session_blocking("next").unwrap();
        barrier.wait();
    });
    std::process::abort()
}

/// Starts a recovery. Gives how long it took, or nothing if that was more than `at_most`: it is killed then.
fn recover_for(test: &str, dir: &Path, at_most: Duration) -> Option<Duration> {
    let mut child = again(test, "recover", dir).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("BEGINS")));
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return Some(begun.elapsed());
        }
        if begun.elapsed() >= at_most {
            child.kill().unwrap();
            let status = child.wait().unwrap();
            return status.success().then_some(at_most);
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_recovery_that_is_killed_is_done_again() {
    let test = "killed::a_recovery_that_is_killed_is_done_again";
    match role() {
        Some((role, dir)) if role == "recover" => {
            println!("BEGINS");
            logboom::recover(&only_session(&dir)).unwrap();
            std::process::exit(0);
        }
        Some((role, dir)) => {
            let builder = LogCollector::builder(&dir);
            leave(if role == "text" { builder.text_only() } else { builder });
        }
        None => {}
    }
    let mut random = Random::new();
    for kind in ["text", "boom"] {
        let left = || {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(again(test, kind, dir.path()).status().unwrap().signal(), Some(libc::SIGABRT));
            dir
        };
        let (mut whole, mut killed) = (recover_for(test, left().path(), Duration::MAX).unwrap(), 0);
        while killed < 10 {
            let (dir, mut tries) = (left(), 0);
            while tries < 4 {
                let at_most = whole.mul_f64((random.next() % 1_000) as f64 / 1_000.0);
                if let Some(took) = recover_for(test, dir.path(), at_most) {
                    // A measurement while the machine was busy must not let all others be done in time.
                    whole = if tries == 0 { took } else { whole };
                    break;
                }
                tries += 1;
            }
            killed += tries;
            let session = only_session(dir.path());
            logboom::recover(&session).unwrap();
            let what = format!("{kind}, killed {tries} times");
            check(&what, stored(dir.path(), &session).concat().into_iter(), [LEFT; THREADS]);
            let texts = ["collector.log", "next.log"].map(|name| messages(&session.dir().join(name))).concat();
            check(&what, texts.into_iter(), [LEFT; THREADS]);
            assert!(!session.dir().join("collector.log.ring").exists());
        }
    }
}

/// Numbers that are other ones each time.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(RandomState::new().build_hasher().finish() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

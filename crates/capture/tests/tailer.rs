//! The thread that reads all logs, beside engines that write them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share")]

mod jsonlog;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use jsonlog::{Engine, Keeper, Kept, entry, setup::numbered};
use logboom_capture::docker::{
    logfile::{LogFile, Scratch},
    tailer::{News, Tailer, Token},
};
use logboom_record::Stream;

/// What was said of all logs.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<HashMap<Token, Log>>>);

#[derive(Default)]
struct Log {
    keeper: Keeper,
    drained: u32,
    failed: Vec<String>,
}

impl Heard {
    fn start(&self) -> Tailer {
        let heard = self.clone();
        Tailer::start(move |token, news| heard.hear(token, news)).unwrap()
    }

    fn hear(&self, token: Token, news: News<'_>) {
        let mut logs = self.0.lock().unwrap();
        let log = logs.entry(token).or_default();
        match news {
            News::Delivery(delivery) => log.keeper.keep(delivery),
            News::Lost(lost) => log.keeper.lost.push(lost),
            News::Damage(damage) => log.keeper.damage.push(damage),
            News::Failed(error) => log.failed.push(error.to_string()),
            News::Drained => log.drained += 1,
        }
    }

    fn of<T>(&self, token: Token, look: impl FnOnce(&mut Log) -> T) -> T {
        look(self.0.lock().unwrap().entry(token).or_default())
    }

    fn pieces(&self, token: Token) -> usize {
        self.of(token, |log| log.keeper.streams.iter().map(Vec::len).sum())
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "{what} never came");
        thread::yield_now();
    }
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("c-json.log")
}

const ONE: Token = Token(1);
const TWO: Token = Token(2);

#[test]
fn a_file_that_is_created_later_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let tailer = heard.start();
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    thread::yield_now();
    let mut engine = Engine::new(&path_in(dir.path()), u64::MAX, 2);
    for number in 0..5 {
        engine.write(&numbered(number));
        wait_until("the line", || heard.pieces(ONE) as u64 == number + 1);
    }
    tailer.finish(ONE);
    wait_until("the end", || heard.of(ONE, |log| log.drained) == 1);
}

#[test]
fn a_directory_that_is_created_later_or_replaced_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("c");
    let heard = Heard::default();
    let tailer = heard.start();
    tailer.add(ONE, LogFile::new(&path_in(&inner), None));
    for round in 1..3 {
        fs::create_dir(&inner).unwrap();
        let mut engine = Engine::new(&path_in(&inner), u64::MAX, 2);
        engine.write(&numbered(round));
        wait_until("the line", || heard.pieces(ONE) as u64 == round);
        fs::remove_dir_all(&inner).unwrap();
    }
}

#[test]
fn a_rotation_is_followed_without_another_line_in_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let tailer = heard.start();
    let mut engine = Engine::new(&path_in(dir.path()), 1, 3);
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    for number in 0..20 {
        engine.write(&numbered(number));
        wait_until("the line", || heard.pieces(ONE) as u64 == number + 1);
    }
    assert!(heard.of(ONE, |log| log.keeper.lost.is_empty() && log.keeper.marks.len() == 20));
}

#[test]
fn a_log_that_was_busy_and_fell_silent_is_heard_at_once() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (heard, mut engines) =
        (Heard::default(), dirs.each_ref().map(|dir| Engine::new(&path_in(dir.path()), u64::MAX, 2)));
    let tailer = heard.start();
    tailer.add(ONE, LogFile::new(&engines[0].path, None));
    tailer.add(TWO, LogFile::new(&engines[1].path, None));
    let mut say = |engine: usize, token| {
        let (before, since) = (heard.pieces(token), Instant::now());
        engines[engine].write(&numbered(before as u64));
        wait_until("the line", || heard.pieces(token) > before);
        since.elapsed()
    };
    let waits = (0..4).map(|_round| {
        for (engine, token) in [(0, ONE), (1, TWO)] {
            (0..20).for_each(|_line| _ = say(engine, token)); // with a nap between two; the other one is silent
        }
        say(0, ONE)
    });
    let quickest = waits.min().unwrap();
    assert!(quickest < Duration::from_millis(500), "{quickest:?}, as if each second's look had found it");
}

#[test]
fn a_finished_log_is_read_to_its_end_and_then_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let tailer = heard.start();
    let mut engine = Engine::new(&path_in(dir.path()), 1 << 20, 10);
    (0..40_000).for_each(|number| engine.write(&numbered(number)));
    engine.append(&numbered(40_000)[..20]);
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    tailer.finish(ONE);
    wait_until("the end", || heard.of(ONE, |log| log.drained) == 1);
    assert_eq!((heard.pieces(ONE), heard.of(ONE, |log| log.keeper.damage.len())), (40_000, 1));
    tailer.stop();
    assert_eq!(heard.of(ONE, |log| log.drained), 1);
}

#[test]
fn a_log_that_was_removed_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let tailer = heard.start();
    let mut engine = Engine::new(&path_in(dir.path()), u64::MAX, 2);
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    tailer.add(TWO, LogFile::new(&path_in(dir.path()), None));
    engine.write(&numbered(0));
    wait_until("the line", || heard.pieces(ONE) == 1 && heard.pieces(TWO) == 1);
    tailer.remove(ONE);
    tailer.add(TWO, LogFile::new(&dir.path().join("other"), None)); // in exchange, after ONE was removed
    tailer.add(Token(3), LogFile::new(&path_in(dir.path()), None));
    wait_until("another reader", || heard.pieces(Token(3)) == 1);
    engine.write(&numbered(1));
    wait_until("its line", || heard.pieces(Token(3)) == 2);
    tailer.stop();
    assert_eq!((heard.pieces(ONE), heard.pieces(TWO)), (1, 1));
}

#[test]
fn what_cannot_be_read_is_said_once_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let tailer = heard.start();
    std::os::unix::fs::symlink("c-json.log", path_in(dir.path())).unwrap(); // to itself
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    wait_until("the error", || heard.of(ONE, |log| log.failed.len()) == 1);
    fs::write(dir.path().join("c-json.log.1"), "").unwrap(); // something to look at
    let mut engine = Engine::new(&dir.path().join("new"), u64::MAX, 2);
    engine.write(&numbered(0));
    fs::rename(&engine.path, path_in(dir.path())).unwrap();
    wait_until("the line", || heard.pieces(ONE) == 1);
    assert_eq!(heard.of(ONE, |log| log.failed.len()), 1);
}

#[test]
fn a_flood_does_not_hold_up_the_others() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (flood, quiet) = (path_in(dirs[0].path()), path_in(dirs[1].path()));
    let mut engine = Engine::new(&flood, u64::MAX, 2);
    engine.append(&(0..200_000).flat_map(numbered).collect::<Vec<_>>());
    Engine::new(&quiet, u64::MAX, 2).write(&numbered(0));
    let (sender, tokens) = mpsc::channel();
    let tailer = Tailer::start(move |token, news| {
        if matches!(news, News::Delivery(_) | News::Drained) {
            sender.send(token).unwrap();
        }
    })
    .unwrap();
    tailer.add(ONE, LogFile::new(&flood, None));
    tailer.add(TWO, LogFile::new(&quiet, None));
    tailer.finish(ONE);
    let all: Vec<_> = tokens.iter().take(50).collect();
    let turn = all.iter().position(|token| *token == TWO).unwrap();
    assert!(turn <= 10, "TWO came after {turn} of the flood's"); // it may be added a little later
}

#[test]
fn while_the_closure_waits_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = mpsc::channel::<()>();
    let heard = Heard::default();
    let kept = heard.clone();
    let tailer = Tailer::start(move |token, news| {
        let _ = gate.recv(); // closed: goes on
        kept.hear(token, news);
    })
    .unwrap();
    let mut engine = Engine::new(&path_in(dir.path()), 10_000, 50);
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    (0..3_000).for_each(|number| engine.write(&numbered(number)));
    drop(open);
    tailer.finish(ONE);
    wait_until("the end", || heard.of(ONE, |log| log.drained) == 1);
    assert_eq!(heard.pieces(ONE), 3_000);
    assert!(heard.of(ONE, |log| log.keeper.lost.is_empty()));
}

#[test]
fn a_panic_of_the_closure_comes_out_of_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, gone) = mpsc::channel::<()>();
    let tailer = Tailer::start(move |_, _| {
        let _sender = &sender;
        panic!("the closure's own")
    })
    .unwrap();
    tailer.add(ONE, LogFile::new(&path_in(dir.path()), None));
    tailer.finish(ONE);
    assert!(gone.recv().is_err());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tailer.stop())).is_err());
}

const LINES: u64 = 300_000;

/// How far an engine may be ahead: three of its files, of which it keeps five.
fn ahead_lines_max(file_bytes: u64) -> u64 {
    const LINE_BYTES_MAX: u64 = 200;
    3 * file_bytes / LINE_BYTES_MAX
}

/// Writes numbered lines to both streams as fast as it can, but for what it would remove unread.
fn write_at_full_rate(mut engine: Engine, lines: u64, kept: &AtomicU64) {
    let ahead = ahead_lines_max(engine.bytes_max);
    for number in 0..lines {
        while number > kept.load(Ordering::Acquire) + ahead {
            thread::yield_now();
        }
        let text = format!("{number} {}\n", "x".repeat((number % 97) as usize));
        engine.write(&entry(stream_of(number), &text, number));
    }
}

fn stream_of(number: u64) -> Stream {
    if number.is_multiple_of(3) { Stream::Stderr } else { Stream::Stdout }
}

fn number_of(kept: &Kept) -> u64 {
    str::from_utf8(&kept.text).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn numbers(keeper: &Keeper, stream: Stream) -> Vec<u64> {
    keeper.streams[stream as usize].iter().map(number_of).collect()
}

/// Numbers that look random: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}

/// Reads a while, then is killed with some of what was read unwritten; again and again until it has everything.
fn read_with_crashes(path: &Path, kept: &Arc<AtomicU64>, file_bytes: u64) -> (Keeper, u32) {
    let (dice, unwritten_max) = (&mut Dice(file_bytes), ahead_lines_max(file_bytes) / 20);
    let (heard, mut crashes) = (Heard::default(), 0);
    let mut log = LogFile::new(path, None);
    loop {
        let (noted, sink) = (Arc::clone(kept), heard.clone());
        let tailer = Tailer::start(move |token, news| {
            sink.hear(token, news);
            noted.store(sink.pieces(token) as u64, Ordering::Release);
        })
        .unwrap();
        tailer.add(ONE, log);
        let enough = kept.load(Ordering::Acquire) + dice.below(30_000) as u64;
        wait_until("the next lines", || kept.load(Ordering::Acquire) >= enough.min(LINES));
        tailer.stop();
        if heard.pieces(ONE) as u64 == LINES {
            return (heard.of(ONE, |log| log.keeper.clone()), crashes);
        }
        let mut unwritten = || (dice.below(unwritten_max), dice.below(3));
        let (stdout, stderr) = (unwritten(), unwritten());
        log = heard.of(ONE, |log| {
            let reached = log.keeper.crash(stdout, stderr);
            log.keeper.resume(path, reached)
        });
        crashes += 1;
    }
}

#[test]
fn every_line_comes_once_at_full_rate_through_rotation_and_restarts() {
    for (file_bytes, compresses) in [(1 << 20, false), (1 << 20, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (path, kept) = (path_in(dir.path()), Arc::new(AtomicU64::new(0)));
        let mut engine = Engine::new(&path, file_bytes, 5);
        engine.compresses = compresses;
        let counted = Arc::clone(&kept);
        let writer = thread::spawn(move || write_at_full_rate(engine, LINES, &counted));
        let (keeper, crashes) = read_with_crashes(&path, &kept, file_bytes);
        writer.join().unwrap();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let want: Vec<_> = (0..LINES).filter(|number| stream_of(*number) == stream).collect();
            assert!(numbers(&keeper, stream) == want, "{stream:?} in files of {file_bytes}");
        }
        assert_eq!((keeper.lost.as_slice(), keeper.damage.as_slice()), (&[][..], &[][..]));
        assert!(crashes >= 10 && keeper.marks.len() >= 20, "{crashes} crashes, {} files", keeper.marks.len());
    }
}

/// The engine rotates every few lines, the reader never naps: many a line is written between the look at the end of a file
/// and the look for a newer one.
#[test]
fn nothing_falls_between_the_end_of_a_file_and_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (path, kept) = (path_in(dir.path()), Arc::new(AtomicU64::new(0)));
    let (engine, counted, lines) = (Engine::new(&path, 4_000, 5), Arc::clone(&kept), 40_000);
    let writer = thread::spawn(move || write_at_full_rate(engine, lines, &counted));
    let (mut log, mut scratch, mut keeper) = (LogFile::new(&path, None), Scratch::default(), Keeper::default());
    while !writer.is_finished() {
        keeper.read_all(&mut log, &mut scratch);
        let last = keeper.streams.iter().filter_map(|kept| kept.last()).map(number_of).max();
        kept.store(last.map_or(0, |last| last + 1), Ordering::Release);
    }
    writer.join().unwrap();
    log.finish();
    assert!(keeper.read_all(&mut log, &mut scratch));
    assert_eq!(keeper.lost, []);
    for stream in [Stream::Stdout, Stream::Stderr] {
        assert!(numbers(&keeper, stream).into_iter().eq((0..lines).filter(|number| stream_of(*number) == stream)));
    }
}

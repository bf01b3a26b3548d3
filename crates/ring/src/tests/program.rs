//! A program that logs, for tests that kill it or read along: this test executable, started once more.

use std::{
    env, fs,
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::*;
use crate::frame::HEAD_BYTES;

pub const THREADS: usize = 3;
const DIR: &str = "LOGBOOM_TEST_RING_PROGRAM";

/// The directory to log into, in the started program.
pub fn asked_for() -> Option<PathBuf> {
    env::var_os(DIR).map(PathBuf::from)
}

/// The started program, killed at the latest when dropped.
pub struct Program(Child);

impl Program {
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the program; `test` is the test that calls [`run`] when it is asked to.
pub fn start(test: &str, dir: &Path) -> Program {
    let mut program = Command::new(env::current_exe().unwrap());
    program.args(["--exact", test]).env(DIR, dir).stdout(Stdio::null());
    Program(program.spawn().unwrap())
}

/// The ring file in the directory.
pub fn rings(dir: &Path) -> PathBuf {
    dir.join("a.ring")
}

/// How many calls of each thread have returned.
pub fn returned(dir: &Path) -> [u64; THREADS] {
    let bytes = fs::read(dir.join("returned")).unwrap_or_default();
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|thread| words.get(thread).map_or(0, |word| u64::from_le_bytes(*word)))
}

/// The session file of this number.
pub fn text_log(dir: &Path, generation: u32) -> PathBuf {
    dir.join(format!("{generation}.log"))
}

/// What a thread's `n`th call logs: some bytes more each time, to 99.
pub fn message(thread: usize, n: u64) -> String {
    format!("{thread} {n} {}", "x".repeat((n % 97) as usize))
}

/// Logs until killed: three threads, a writer that writes in pieces, and a new session file every 500 records or so.
pub fn run(dir: &Path) {
    let (file, mut drain) = create(&rings(dir));
    let returned = File::create(dir.join("returned")).unwrap();
    let generation = AtomicU32::new(1);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (file, returned, generation) = (&file, &returned, &generation);
            scope.spawn(move || log_forever(file.producer(0).unwrap(), thread, returned, generation));
        }
        loop {
            drain.look();
            while write_batch(dir, &mut drain) {}
            file.waker().sleep(None, || drain.has_work());
        }
    });
}

fn log_forever(mut producer: Producer, thread: usize, returned: &File, generation: &AtomicU32) {
    let clock = Clock::detect();
    for n in 1.. {
        let message = message(thread, n);
        while !log(&mut producer, generation.load(Ordering::Acquire), clock.ticks(), message.as_bytes()) {
            producer.wait_for_room(HEAD_BYTES + message.len() + 8, None);
        }
        returned.write_all_at(&n.to_le_bytes(), 8 * thread as u64).unwrap();
        if thread == 0 && n % 500 == 0 {
            generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Up to 40 records, written in three pieces that end anywhere.
fn write_batch(dir: &Path, drain: &mut Drain) -> bool {
    let Some(generation) = drain.peek().map(|frame| frame.head.generation) else { return false };
    let (mut text, mut records) = (Vec::new(), 0);
    while let Some(frame) = drain.peek().filter(|frame| frame.head.generation == generation && records < 40) {
        text.extend_from_slice(frame.payload);
        text.push(b'\n');
        records += 1;
        drain.take();
    }
    let path = text_log(dir, generation);
    let before = fs::read(&path).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64;
    drain.begin_batch(generation, before + 1);
    let mut log = File::options().create(true).append(true).open(path).unwrap();
    text.chunks(text.len().div_ceil(3)).for_each(|piece| log.write_all(piece).unwrap());
    drain.end_batch(before + 1 + records);
    true
}

//! What does it cost to write a million lines into a boom file, and which thread pays?
//!
//! `cargo bench -p logboom-boom --bench write [FILE]`: the lines of FILE, or a million made ones of about 100 bytes. They are pushed
//! as one read(2) of 64 KiB would bring them, and flushed every 5,000. CPU times are those of the kernel's scheduler; they
//! go up on a busy machine whose cores share their units. The file is on the disk of the temporary directory.

use std::{fs, io::Write as _, path::Path, time::Instant};

use logboom_boom::{NewRecord, Options, Writer};
use logboom_record::{Flags, Kind, Level, RunId, Stream, Time};

const LINES: u64 = 1_000_000;
const ROUNDS: usize = 3;
const LINES_PER_READ: usize = 620;
const LINES_PER_FLUSH: usize = 5_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let text = match file {
        Some(file) => fs::read(file)?,
        None => made_lines()?,
    };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    println!("{} lines of {} bytes", lines.len(), text.len() / lines.len());
    for _ in 0..ROUNDS {
        write(&lines)?;
    }
    Ok(())
}

fn write(lines: &[&[u8]]) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let resident = memory_kib("VmRSS")?;
    let (start, before) = (Instant::now(), cpu_ns()?);
    let mut writer = Writer::create_in(dir.path(), "records", Options::default())?;
    let run = writer.run(RunId::new(Time::now()), Kind::Command, 1)?;
    for (number, line) in lines.iter().enumerate() {
        writer.push(run, &record(line, number))?;
        if number % LINES_PER_FLUSH == 0 {
            writer.flush()?;
        }
    }
    let threads = cpu_ns()?;
    let (sealing, path) = (Instant::now(), writer.path().to_owned());
    let sealed = writer.seal()?;
    let (seal, wall) = (sealing.elapsed(), start.elapsed());
    report(lines.len(), &before, &threads, wall.as_secs_f64());
    let bytes = fs::metadata(&path)?.len();
    println!("  at most {:.1} MiB more than before", (memory_kib("VmHWM")? - resident) as f64 / 1_024.0);
    println!("  seal {:.1} ms, {:.2} bytes a line", seal.as_secs_f64() * 1e3, bytes as f64 / lines.len() as f64);
    assert_eq!(sealed.totals.records, lines.len() as u64);
    Ok(())
}

fn record(line: &[u8], number: usize) -> NewRecord<'_> {
    NewRecord {
        time: Time::from_micros(1_767_323_045_000_000 + (number / LINES_PER_READ) as i64 * 412),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::LEVEL_GUESSED,
        message: line,
        fields: None,
    }
}

fn report(lines: usize, before: &[(String, u64)], after: &[(String, u64)], wall: f64) {
    let of = |name: &str, times: &[(String, u64)]| -> u64 {
        times.iter().filter(|(thread, _)| thread == name).map(|(_, time)| time).sum()
    };
    let mut names: Vec<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    print!("{:.2} M lines/s;", lines as f64 / wall / 1e6);
    for name in names {
        print!(" {name} {:.0} ns a line,", (of(name, after) - of(name, before)) as f64 / lines as f64);
    }
    println!();
}

/// How long each thread of this process has run.
fn cpu_ns() -> Outcome<Vec<(String, u64)>> {
    let of = |dir: &Path| -> Option<(String, u64)> {
        let name = fs::read_to_string(dir.join("comm")).ok()?;
        let times = fs::read_to_string(dir.join("schedstat")).ok()?;
        Some((name.trim().to_owned(), times.split(' ').next()?.parse().ok()?))
    };
    Ok(fs::read_dir("/proc/self/task")?.flatten().filter_map(|task| of(&task.path())).collect())
}

/// A line of the process's status.
fn memory_kib(name: &str) -> Outcome<i64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.trim_matches(|letter: char| !letter.is_ascii_digit()).parse()?)
}

/// Lines of a few templates with numbers and hashes in them.
fn made_lines() -> Outcome<Vec<u8>> {
    let (mut text, mut state) = (Vec::new(), 7u64);
    for number in 0..LINES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b) = (state >> 33, state >> 50);
        let written = match state >> 61 {
            0 => writeln!(
                text,
                "test storage::segment::tests::case_{b} ... ok (in {}.{:03} s, {} allocations)",
                a % 9,
                a % 1_000,
                b
            ),
            1 => writeln!(
                text,
                "GET /api/v1/jobs/{a:08x}/tasks?page={} 200 {} bytes in {} us, from 10.0.{}.{}",
                a % 40,
                b * 7,
                a % 90_000,
                a % 256,
                b % 256
            ),
            2 => writeln!(
                text,
                "   Compiling crate-{} v{}.{}.{} (registry, {} files, features default std derive)",
                b % 700,
                a % 9,
                b % 40,
                a % 20,
                b % 99
            ),
            3 => writeln!(
                text,
                "worker-{} finished task {number} of job {a:x}{b:x} with exit code 0 after {} ms (attempt 1 of 3)",
                a % 32,
                b
            ),
            4 => {
                writeln!(text, "debug: cache lookup key={state:016x} shard={} hit={} age_ms={}", a % 64, b % 2 == 0, b)
            }
            5 => writeln!(
                text,
                "layer sha256:{state:016x}{a:08x}: downloaded {}.{} MB of {}.4 MB, {} connections open",
                a % 99,
                b % 9,
                a % 200,
                b % 12
            ),
            6 => writeln!(
                text,
                "{number} INFO scheduler: dispatched task {b} to worker-{} (image stratal/runner:1.{}), queue default",
                a % 40,
                b % 30
            ),
            _ => writeln!(
                text,
                "warning: unused variable `value_{b}` in src/module_{}/file_{}.rs:{}:{}",
                a % 50,
                b % 90,
                a % 900,
                b % 80
            ),
        };
        written?;
    }
    Ok(text)
}

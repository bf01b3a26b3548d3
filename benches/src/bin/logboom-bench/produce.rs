//! The programs that are captured: what they print, and how they come to it.

use std::fs;
use std::hint::black_box;
use std::io::{self, BufWriter, LineWriter, Write};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Subcommand;
use logboom_bench::generate;
use logboom_bench::measure;

use crate::containers::print::Print;
use crate::containers::read::Read;

/// Print something that is to be captured.
#[derive(Subcommand)]
pub enum Produce {
    /// What `cat FILE` prints; its CPU seconds are written down.
    Cat {
        file: PathBuf,
        #[arg(long)]
        cpu_file: PathBuf,
    },
    /// One line without a newline.
    LongLine { bytes: u64 },
    /// Nothing but newlines.
    EmptyLines { lines: u64 },
    /// The same line again and again.
    SameLine { lines: u64 },
    /// Generated lines, with so many steps of arithmetic before each.
    Work {
        lines: u64,
        steps: u64,
        /// Print blocks of 4 KiB, as most programs do to a pipe; else line by line.
        #[arg(long)]
        blocks: bool,
    },
    /// Lone lines, each with its number and the nanoseconds since 1970 at which it was printed.
    Stamps { lines: u64 },
    /// What a container prints.
    Print(Print),
    /// Nothing of its own: reads a container.
    Read(Read),
}

impl Produce {
    pub fn run(&self) -> anyhow::Result<()> {
        let out = io::stdout().lock();
        match self {
            Produce::Cat { file, cpu_file } => {
                let cost = measure::run(Command::new("cat").arg(file))?;
                fs::write(cpu_file, format!("{}\n", cost.cpu.as_secs_f64()))?;
            }
            Produce::LongLine { bytes } => repeat(b"a long line without an end, ", *bytes, out)?,
            Produce::EmptyLines { lines } => repeat(b"\n", *lines, out)?,
            Produce::SameLine { lines } => repeat(SAME_LINE, SAME_LINE.len() as u64 * lines, out)?,
            Produce::Work { lines, steps, blocks: true } => work(*lines, *steps, BufWriter::with_capacity(4096, out))?,
            Produce::Work { lines, steps, blocks: false } => work(*lines, *steps, LineWriter::new(out))?,
            Produce::Stamps { lines } => stamps(*lines, out)?,
            Produce::Print(print) => print.run(out)?,
            Produce::Read(read) => {
                drop(out); // it prints by itself
                read.run()?;
            }
        }
        Ok(())
    }
}

const SAME_LINE: &[u8] = b"Waiting for the database to accept connections on port 5432, trying again in one second\n";

/// Prints `bytes` bytes of `text`, repeated.
fn repeat(text: &[u8], bytes: u64, mut out: impl Write) -> io::Result<()> {
    let chunk = text.repeat((64 << 10) / text.len());
    let mut left = bytes;
    while left > 0 {
        let now = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        out.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    out.flush()
}

fn work(lines: u64, steps: u64, mut out: impl Write) -> io::Result<()> {
    let mut result = Ok(());
    generate(lines, 1, |record| {
        black_box(arithmetic(steps));
        if result.is_ok() {
            result = out.write_all(record.message).and_then(|()| out.write_all(b"\n"));
        }
    });
    result.and_then(|()| out.flush())
}

/// Takes a time in proportion to `steps`.
fn arithmetic(steps: u64) -> u64 {
    (0..steps).fold(black_box(1), |state: u64, step| (state ^ step).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(23))
}

/// How many steps of arithmetic this machine does in a microsecond: the best of several tries.
pub fn steps_per_us() -> f64 {
    const STEPS: u64 = 10_000_000;
    let tries = (0..10).map(|_| {
        let started = Instant::now();
        black_box(arithmetic(STEPS));
        STEPS as f64 / started.elapsed().as_secs_f64() / 1e6
    });
    tries.fold(0.0, f64::max)
}

fn stamps(lines: u64, mut out: impl Write) -> anyhow::Result<()> {
    for line in 1..=lines {
        thread::sleep(Duration::from_micros(20_000 + line * 7_919 % 30_000));
        writeln!(out, "stamp={line} {}", now_ns()?)?;
        out.flush()?;
    }
    Ok(())
}

/// The wall clock, which all processes share.
pub fn now_ns() -> anyhow::Result<u128> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())
}

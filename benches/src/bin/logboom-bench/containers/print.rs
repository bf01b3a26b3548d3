//! What the containers print: numbered lines of one length, each with the moment at which it was printed.
//!
//! The program is this one, in an image of its own. It says hello until it is told to go, so that whoever reads is there before
//! what is measured begins; and tells when it had printed what. Both by named pipes in a directory that it has from the host.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::produce::now_ns;

/// The length of a line with its newline.
pub const LINE_BYTES: usize = 120;
/// What opens for reading when the containers are to begin.
pub const GO: &str = "go";
/// Where each container says when it has begun and ended.
pub const DONE: &str = "done";
/// Printed until it is told to go.
pub const HELLO: &[u8] = b"hello";

const NUMBER_DIGITS: usize = 8;
const TIME_DIGITS: usize = 19;
/// How much a program prints at once that has much to print.
const BLOCK_BYTES: usize = 64 << 10;
const HELLO_EVERY: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(1);

/// Print numbered lines when told to.
#[derive(clap::Args)]
pub struct Print {
    /// How many.
    lines: u64,
    /// Where the pipes are.
    dir: PathBuf,
    /// Line by line, so many a second; else blocks of lines as fast as they are taken.
    #[arg(long)]
    per_second: Option<u32>,
}

impl Print {
    pub fn run(&self, mut out: impl Write) -> anyhow::Result<()> {
        greet_until_told(&self.dir.join(GO), &mut out)?;
        let begun = now_ns()?;
        match self.per_second {
            Some(pace) => self.paced(pace, &mut out)?,
            None => self.at_full_rate(&mut out)?,
        }
        let ended = now_ns()?;
        let mut done = fs::OpenOptions::new().write(true).open(self.dir.join(DONE))?;
        Ok(done.write_all(format!("{begun} {ended}\n").as_bytes())?) // at once: others write there, too
    }

    fn at_full_rate(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        for number in 0..self.lines {
            push_line(&mut block, number, now_ns()?);
            if block.len() + LINE_BYTES > BLOCK_BYTES || number + 1 == self.lines {
                write_now(out, &block)?;
                block.clear();
            }
        }
        Ok(())
    }

    fn paced(&self, per_second: u32, out: &mut impl Write) -> anyhow::Result<()> {
        let (started, mut line, mut number) = (Instant::now(), Vec::with_capacity(LINE_BYTES), 0);
        while number < self.lines {
            let due = (started.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
            while number < due.min(self.lines) {
                line.clear();
                push_line(&mut line, number, now_ns()?);
                write_now(out, &line)?;
                number += 1;
            }
            thread::sleep(TICK);
        }
        Ok(())
    }
}

fn greet_until_told(go: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let (told, tell) = mpsc::channel();
    let go = go.to_owned();
    thread::spawn(move || told.send(File::open(go).map(drop)));
    loop {
        write_now(out, &[HELLO, b"\n"].concat())?;
        match tell.recv_timeout(HELLO_EVERY) {
            Ok(opened) => return Ok(opened?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(gone) => return Err(gone.into()),
        }
    }
}

fn write_now(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

fn push_line(into: &mut Vec<u8>, number: u64, now_ns: u128) {
    let start = into.len();
    // Writing to memory does not fail.
    let _ = write!(into, "{number:0NUMBER_DIGITS$} {now_ns:0TIME_DIGITS$} ");
    into.resize(start + LINE_BYTES - 1, b'x');
    into.push(b'\n');
}

/// The number of a line, given without its newline, and when it was printed in nanoseconds since 1970; `None` for any other line.
pub fn parsed(line: &[u8]) -> Option<(u64, u128)> {
    let line = &line[line.len().checked_sub(LINE_BYTES - 1)?..];
    let (number, rest) = line.split_at(NUMBER_DIGITS);
    let time = rest.get(1..=TIME_DIGITS)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, std::str::from_utf8(time).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_number_and_time() {
        let mut line = Vec::new();
        push_line(&mut line, 42, 1_764_230_000_123_456_789);
        assert_eq!(line.len(), LINE_BYTES);
        assert_eq!(parsed(line.trim_ascii_end()), Some((42, 1_764_230_000_123_456_789)));
        assert_eq!(parsed(&[b"head ", line.trim_ascii_end()].concat()), Some((42, 1_764_230_000_123_456_789)));
        assert_eq!(parsed(HELLO), None);
    }
}

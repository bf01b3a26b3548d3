//! How long does one guess of a level take?
//!
//! `cargo bench -p logboom-record --bench level [-- FILE..]`: each FILE is a log, one line a line; without any, the
//! fixture of `tests/levels.rs`. Prints the median, over rounds, of the mean nanoseconds a line.

use std::hint::black_box;
use std::time::Instant;

use logboom_record::Level;
use logboom_record::level::guess;

include!("../tests/fixture/read.rs");

const ROUNDS: usize = 15;
const LINES_PER_ROUND: usize = 1_000_000;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if files.is_empty() {
        report("the fixture", &labelled().into_iter().map(|(_, line)| line).collect::<Vec<_>>());
    }
    for file in files {
        let text = std::fs::read(&file).unwrap_or_default();
        report(&file, &text.split(|b| *b == b'\n').collect::<Vec<_>>());
    }
}

fn report(name: &str, lines: &[impl AsRef<[u8]>]) {
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(lines)).collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name}: {} lines, {:.1} ns a line (median of {ROUNDS} rounds)", lines.len(), rounds[ROUNDS / 2]);
}

/// Nanoseconds a line, over enough lines to measure.
fn round(lines: &[impl AsRef<[u8]>]) -> f64 {
    let repeats = LINES_PER_ROUND.div_ceil(lines.len());
    let start = Instant::now();
    for line in (0..repeats).flat_map(|_| lines) {
        black_box(guess(black_box(line.as_ref())));
    }
    start.elapsed().as_nanos() as f64 / (repeats * lines.len()) as f64
}

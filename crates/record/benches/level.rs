//! How long does one guess of a level take?
//!
//! `cargo bench -p logboom-record --bench level [-- FILE..]`: each FILE is a log, one line a line; without any, the
//! fixture of `tests/levels.rs`. Prints the median, over short rounds, of the nanoseconds a line.

use std::hint::black_box;
use std::time::Instant;

use logboom_record::Level;
use logboom_record::level::guess;

include!("../tests/fixture/read.rs");

const ROUNDS: usize = 2_000;
/// Few enough that most rounds run undisturbed on a busy machine.
const LINES_PER_ROUND: usize = 2_000;

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
    let mut line = lines.iter().cycle();
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&mut line)).collect();
    rounds.sort_by(f64::total_cmp);
    let (best, median) = (rounds[ROUNDS / 20], rounds[ROUNDS / 2]);
    println!("{name}: {} lines, {median:.1} ns a line (median; {best:.1} in the best 5 % of rounds)", lines.len());
}

/// Nanoseconds a line, over the next lines.
fn round<'a, T: AsRef<[u8]> + 'a>(lines: &mut impl Iterator<Item = &'a T>) -> f64 {
    let start = Instant::now();
    for line in lines.take(LINES_PER_ROUND) {
        black_box(guess(black_box(line.as_ref())));
    }
    start.elapsed().as_nanos() as f64 / LINES_PER_ROUND as f64
}

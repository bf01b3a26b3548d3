//! The generator keeps its promises: the same records for the same seed, and the shape of the reference workload.

#![allow(clippy::unwrap_used, reason = "the lint spares test functions, not the helpers beside them")]

use std::collections::{HashMap, HashSet};

use logboom_bench::{ACTIVE_RUNS, Form, Generated, PLANTED_TIMES, RARE_TOKEN, generate};
use logboom_record::Level;

const LINES: u64 = 500_000;
const SEED: u64 = 42;

/// What the reference workload gives for 500,000 lines, seed 42: `runlog-gen text 500000 42 | zstd -3 --single-thread | wc -c`,
/// and the same for `jsonl`.
const REFERENCE_TEXT: Shape = Shape { bytes: 51_923_971, compressed: 11_285_213 };
const REFERENCE_JSONL: Shape = Shape { bytes: 158_912_828, compressed: 19_560_197 };
/// From `runlog-gen facts 500000 42`.
const REFERENCE_LEVELS: [(Level, u64); 4] =
    [(Level::Debug, 37_970), (Level::Info, 427_911), (Level::Warn, 24_479), (Level::Error, 9_640)];

struct Shape {
    bytes: usize,
    compressed: usize,
}

impl Shape {
    fn of(text: &[u8]) -> Self {
        Self { bytes: text.len(), compressed: zstd::bulk::compress(text, 3).unwrap().len() }
    }

    fn ratio(&self) -> f64 {
        self.bytes as f64 / self.compressed as f64
    }
}

#[test]
fn same_seed_gives_the_same_bytes() {
    assert!(written(Form::Jsonl, 20_000, 7) == written(Form::Jsonl, 20_000, 7));
    assert!(written(Form::Jsonl, 20_000, 7) != written(Form::Jsonl, 20_000, 8));
}

#[test]
fn text_has_the_size_and_entropy_of_the_reference() {
    assert_like(&Shape::of(&written(Form::Text, LINES, SEED)), &REFERENCE_TEXT);
}

#[test]
fn jsonl_has_the_size_and_entropy_of_the_reference() {
    assert_like(&Shape::of(&written(Form::Jsonl, LINES, SEED)), &REFERENCE_JSONL);
}

#[test]
fn levels_are_mixed_as_in_the_reference() {
    let mut counts: HashMap<Level, u64> = HashMap::new();
    generate(LINES, SEED, |record| *counts.entry(record.level).or_default() += 1);
    for (level, reference) in REFERENCE_LEVELS {
        let points = (counts[&level] as f64 - reference as f64) / LINES as f64 * 100.0;
        assert!(points.abs() < 1.0, "{level:?} is {points:.2} percentage points off");
    }
}

#[test]
fn rare_token_is_planted_five_times() {
    for lines in [1_000, 54_321] {
        assert_eq!(count(lines, |record| contains(record.message, RARE_TOKEN)), PLANTED_TIMES, "in {lines} lines");
    }
}

#[test]
fn hex_tokens_of_16_and_32_digits_are_frequent() {
    assert!(count(LINES, |record| has_hex_token(record.message, 16)) > LINES / 20);
    assert!(count(LINES, |record| has_hex_token(record.message, 32)) > LINES / 100);
}

#[test]
fn a_fifth_of_the_records_has_fields() {
    let share = count(LINES, |record| record.fields.is_some()) as f64 / LINES as f64;
    assert!((share - 0.2).abs() < 0.01, "{share}");
}

#[test]
fn many_jobs_interleave_in_bursts() {
    let mut jobs = Vec::new();
    generate(LINES, SEED, |record| jobs.extend(record.job_number));
    let in_a_moment = jobs[LINES as usize / 2..][..5_000].iter().collect::<HashSet<_>>();
    assert!(in_a_moment.len() >= ACTIVE_RUNS, "only {} jobs within 5,000 lines", in_a_moment.len());
    let turns = jobs.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let burst = jobs.len() as f64 / turns as f64;
    assert!((3.0..12.0).contains(&burst), "a burst has {burst} lines on average");
}

#[test]
fn every_json_line_parses_and_says_what_the_record_says() {
    let mut line = Vec::new();
    generate(20_000, SEED, |record| {
        line.clear();
        Form::Jsonl.write(record, &mut line);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["message"].as_str().unwrap().as_bytes(), record.message);
        assert_eq!(value["job_run_id"].as_str(), record.job);
        assert_eq!(value["task_run_id"].as_str(), record.task);
        assert_eq!(value["level"].as_str(), Some(record.level.as_str()));
        assert_eq!(value["fields"].is_object(), record.fields.is_some());
    });
}

fn written(form: Form, lines: u64, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    generate(lines, seed, |record| form.write(record, &mut out));
    out
}

fn assert_like(ours: &Shape, reference: &Shape) {
    let ratio = ours.ratio() / reference.ratio();
    assert!((0.95..1.05).contains(&ratio), "compresses {:.3}, the reference {:.3}", ours.ratio(), reference.ratio());
    let size = ours.bytes as f64 / reference.bytes as f64;
    assert!((0.97..1.03).contains(&size), "{} bytes, the reference {}", ours.bytes, reference.bytes);
}

fn count(lines: u64, holds: impl Fn(&Generated<'_>) -> bool) -> u64 {
    let mut count = 0;
    generate(lines, SEED, |record| count += u64::from(holds(record)));
    count
}

fn contains(message: &[u8], token: &str) -> bool {
    message.windows(token.len()).any(|window| window == token.as_bytes())
}

fn has_hex_token(message: &[u8], digits: usize) -> bool {
    message
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|token| token.len() == digits && token.iter().all(u8::is_ascii_hexdigit))
}

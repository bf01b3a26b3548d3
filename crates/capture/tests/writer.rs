//! A run as its writer leaves it, and as others see it while it is written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share")]

use std::{
    fs::{self, File},
    path::PathBuf,
    time::{Duration, Instant},
};

use logboom_boom as boom;
use logboom_capture::{
    Intake,
    masks::SharedMasks,
    writer::{RunWriter, Sinks},
};
use logboom_files::{session::Counts, textlog::TextWriter};
use logboom_record::{Kind, Outcome, RECORD_BYTES_MAX, RunEnd, RunId, Stream, Time};

struct Run {
    dir: tempfile::TempDir,
    writer: RunWriter,
    intake: Intake,
}

impl Run {
    fn start() -> Run {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text.log");
        let text = TextWriter::new(File::create(&text).unwrap(), &text);
        let mut boom = boom::Writer::create_in(dir.path(), "records", boom::Options::default()).unwrap();
        let run = boom.run(RunId::from_bytes([7; 16]), Kind::Command, 1).unwrap();
        let warn = Box::new(|message: &str| panic!("{message}"));
        let writer = RunWriter::start(Sinks {
            text: Some(text),
            boom: Some((boom, run)),
            warn,
            masks: SharedMasks::default(),
            events: Box::new(|_| {}),
        })
        .unwrap();
        let intake = writer.intake();
        Run { dir, writer, intake }
    }

    fn print(&self, stream: Stream, bytes: &[u8]) {
        self.intake.push(stream, Time::from_micros(0), bytes);
    }

    fn text(&self) -> String {
        fs::read_to_string(self.dir.path().join("text.log")).unwrap()
    }

    fn boom(&self) -> boom::reader::Reader {
        boom::reader::Reader::open(&self.dir.path().join("records.boom")).unwrap()
    }

    fn finish(self) -> (tempfile::TempDir, Counts) {
        Stream::ALL.into_iter().for_each(|stream| self.intake.end(stream));
        let end = RunEnd { ended_at: Time::from_micros(9), outcome: Outcome::Passed, exit_code: Some(0), signal: None };
        (self.dir, self.writer.finish(end).counts)
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "{what} never came");
        std::thread::yield_now();
    }
}

/// Stream, seq and bytes of every record of a boom file, newlines put back.
fn records(path: PathBuf) -> Vec<(Stream, u64, Vec<u8>)> {
    let reader = boom::reader::Reader::open(&path).unwrap();
    let blocks = (0..reader.blocks().len()).map(|block| reader.read(block).unwrap());
    let mut records = Vec::new();
    for mut block in blocks {
        let found = block.records().unwrap();
        for record in (0..found.len()).map(|index| found.get(index)) {
            let mut bytes = record.message.to_vec();
            bytes.extend(record.flags.ends_line_with_newline().then_some(b'\n'));
            records.push((record.stream, record.seq, bytes));
        }
    }
    records
}

#[test]
fn a_lone_line_is_seen_by_others_at_once() {
    let run = Run::start();
    run.print(Stream::Stdout, b"lone\n");
    wait_until("the text line", || run.text().ends_with(" O I lone\n"));
    wait_until("the record", || run.boom().totals().records == 1);
    run.finish();
}

#[test]
fn a_prompt_without_a_newline_becomes_a_part_and_the_line_goes_on() {
    let run = Run::start();
    run.print(Stream::Stdout, b"Name? ");
    wait_until("the prompt", || run.text().ends_with(" o I Name? \n"));
    run.print(Stream::Stdout, b"Ada\n");
    let (dir, counts) = run.finish();
    assert_eq!((counts.records, counts.lines), (2, 1));
    let records = records(dir.path().join("records.boom"));
    assert_eq!(records, [(Stream::Stdout, 1, b"Name? ".to_vec()), (Stream::Stdout, 2, b"Ada\n".to_vec())]);
}

#[test]
fn both_streams_come_back_exactly_with_one_seq_over_both() {
    let run = Run::start();
    let out: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let err = [vec![b'x'; 3 * RECORD_BYTES_MAX], b"\n\r\n\0\xff no end".to_vec()].concat();
    for at in (0..err.len()).step_by(10_000) {
        run.print(Stream::Stderr, &err[at..(at + 10_000).min(err.len())]);
        run.print(Stream::Stdout, out.get(at..(at + 10_000).min(out.len())).unwrap_or_default());
    }
    let (dir, counts) = run.finish();
    let records = records(dir.path().join("records.boom"));
    let stream =
        |want| records.iter().filter(|(stream, ..)| *stream == want).flat_map(|(.., bytes)| bytes).copied().collect();
    let (back_out, back_err): (Vec<u8>, Vec<u8>) = (stream(Stream::Stdout), stream(Stream::Stderr));
    assert!(back_out == out[..back_out.len()] && back_err == err, "bytes changed");
    assert_eq!(back_out.len(), out.len().min(err.len()));
    assert!(records.iter().map(|(_, seq, _)| *seq).eq(1..=counts.records));
    assert_eq!(counts.lost, 0);
}

#[test]
fn what_is_left_without_a_newline_keeps_its_end() {
    let run = Run::start();
    run.print(Stream::Stdout, b"ERROR: no newline");
    let (dir, counts) = run.finish();
    assert_eq!((counts.lines, counts.errors), (1, 1));
    assert_eq!(records(dir.path().join("records.boom")), [(Stream::Stdout, 1, b"ERROR: no newline".to_vec())]);
    let text = fs::read_to_string(dir.path().join("text.log")).unwrap();
    assert!(text.ends_with(" o E ERROR: no newline\n"), "{text}");
}

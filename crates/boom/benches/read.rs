//! How long does it take to open a boom file of half a gigabyte, to ask its filter, and to scan its text?
//!
//! `cargo bench -p logboom-boom --bench read`. The file has `LOGBOOM_BENCH_BLOCKS` blocks (2,000 if that is not set) of lines
//! that a fixed seed makes. Times are medians, all warm. The scan is held against mere preads and decompression of
//! the same bytes.

#![allow(clippy::unwrap_used)] // nobody else uses it

use std::{
    fs::File,
    hint::black_box,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use logboom_boom::{
    NewRecord, Options, Writer,
    block::Block,
    format::{BlockMeta, FileHeader, FrameHead, FrameKind, frame::HEAD_BYTES, frame::HEADER_BYTES},
    gram_query::{Case, GramQuery},
    reader::Reader,
};
use logboom_record::{Flags, Kind, Level, RunId, Stream, Time};

const MIB: f64 = (1 << 20) as f64;
const SEED: u64 = 7;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// A line of about 105 bytes, one of a few templates with words, numbers and hashes.
fn line(random: &mut Random, out: &mut Vec<u8>) {
    const VERBS: [&str; 6] = ["GET", "POST", "connected to", "retrying", "flushed", "compiled"];
    const NOUNS: [&str; 8] = ["session", "worker", "partition", "index", "queue", "bucket", "shard", "lease"];
    use std::io::Write;
    let (a, b, c) = (random.next(), random.next(), random.next());
    let (verb, noun) = (VERBS[(a >> 40) as usize % VERBS.len()], NOUNS[(a >> 50) as usize % NOUNS.len()]);
    out.clear();
    let (ip, port, ms, id) = (a & 0xff, 1_024 + (b & 0x3fff), c % 900, b >> 20);
    let _ = match a >> 60 {
        0..8 => write!(
            out,
            "{verb} /api/v1/{noun}/{} from 10.3.{ip}.{} port {port}: 200 in {ms} ms, trace {id:011x}",
            c % 9_999,
            b & 0xff
        ),
        8..13 => write!(
            out,
            "{noun} {id:011x} on node-{ip} {verb} {noun} {} after {ms} ms, {} entries left in the journal",
            c % 99,
            b & 0xffff
        ),
        _ => write!(
            out,
            "level=info component={noun} msg=\"{verb} upstream\" peer=10.3.{ip}.7:{port} took={ms}ms request={id:011x}-{:04x}",
            c & 0xffff
        ),
    };
}

/// Writes the file but for its end, so that it can be opened live.
fn fill(dir: &Path, blocks: u64) -> Writer {
    let mut writer = Writer::create_in(dir, "records", Options::default()).unwrap();
    let slot = writer.run(RunId::from_bytes([1; 16]), Kind::Command, 1).unwrap();
    let (mut random, mut message, mut bytes, mut time) = (Random(SEED), Vec::new(), 0, 1_767_323_045_000_000);
    while bytes < blocks << 20 {
        line(&mut random, &mut message);
        if bytes < 1 << 20 && bytes > 1_000_000 {
            message.extend(b" zebra crossing");
        }
        bytes += message.len() as u64 + 1;
        time += (random.next() & 31) as i64;
        let (stream, level, flags) = (Stream::Stdout, Level::Info, Flags::LEVEL_GUESSED);
        let time = Time::from_micros(time);
        let record = NewRecord { time, origin_time_ns: None, stream, level, flags, message: &message, fields: None };
        writer.push(slot, &record).unwrap();
    }
    writer.flush().unwrap();
    writer
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn time(rounds: usize, mut once: impl FnMut()) -> Duration {
    let timed = || {
        let start = Instant::now();
        once();
        start.elapsed()
    };
    median(std::iter::repeat_with(timed).take(rounds).collect())
}

fn opens(path: &Path, what: &str) {
    let took = time(51, || drop(black_box(Reader::open(path).unwrap())));
    let reader = Reader::open(path).unwrap();
    let bytes = std::fs::metadata(path).unwrap().len() as f64 / 1e6;
    println!(
        "open, {what}: {took:.2?} ({} blocks, {bytes:.0} MB, {} damaged)",
        reader.blocks().len(),
        reader.damage().len()
    );
}

fn asks(reader: &Reader) {
    let literals =
        ["zebra crossing", "5f9ac1b2-77aa-4c1e-9b1f-01238c1f03ab", "deadbeefcafe", "queue lease upstream", "journal"];
    for text in literals {
        let query = GramQuery::literal(text.as_bytes(), Case::Sensitive);
        let took = time(51, || drop(black_box(reader.candidates(&query))));
        println!("candidates, {text:?}: {took:.2?}, {} blocks left", reader.candidates(&query).count());
    }
    let hir = regex_syntax::parse("(?i)zebra (crossing|kiss)").unwrap();
    let took = time(51, || drop(black_box(reader.candidates(&GramQuery::regex(&hir)))));
    println!("candidates, (?i)zebra (crossing|kiss): {took:.2?}, with building the query");
}

/// Where a block's stored messages are: offset, how many bytes, how many raw.
type Stored = (u64, usize, usize);

fn stored(path: &Path) -> Vec<Stored> {
    let (file, mut at, mut all) = (File::open(path).unwrap(), HEADER_BYTES as u64, Vec::new());
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).unwrap();
    let id = FileHeader::decode(&header).unwrap().id;
    let mut bytes = [0; HEAD_BYTES];
    while file.read_exact_at(&mut bytes, at).is_ok() {
        let head = FrameHead::decode(&bytes, &id, at).unwrap();
        if head.kind == FrameKind::Block {
            let mut meta = vec![0; head.meta_bytes as usize];
            file.read_exact_at(&mut meta, head.meta_offset()).unwrap();
            let meta = BlockMeta::decode(&meta, (head.body_bytes - head.meta_bytes) as usize).unwrap();
            all.push((head.rest_offset(), meta.columns[0].stored_bytes, meta.columns[0].raw_bytes));
        }
        at = head.end();
    }
    all
}

/// Scans some blocks with and without the reader, in turns and block by block, so that whatever else the machine does slows
/// both alike. Gives the time of each.
fn scan(path: &Path, reader: &Reader, stored: &[Stored], blocks: impl Iterator<Item = usize>) -> [Duration; 2] {
    let (file, finder) = (File::open(path).unwrap(), memchr::memmem::Finder::new("no such text"));
    let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
    let (mut packed, mut text, mut block) = (Vec::new(), Vec::with_capacity(4 << 20), Block::default());
    let mut took = [Duration::ZERO; 2];
    for number in blocks {
        for turn in 0..2 {
            let with_reader = (turn + number / 2) % 2;
            let start = Instant::now();
            if with_reader == 1 {
                reader.read_into(number, &mut block).unwrap();
                assert!(finder.find(block.text()).is_none());
            } else {
                packed.resize(stored[number].1, 0);
                file.read_exact_at(&mut packed, stored[number].0).unwrap();
                decompressor.decompress_to_buffer(&packed, &mut text).unwrap();
                black_box(&text);
            }
            took[with_reader] += start.elapsed();
        }
    }
    took
}

fn scans(path: &Path, reader: &Reader) {
    let stored = stored(path);
    let raw = stored.iter().map(|(_, _, raw)| *raw as f64).sum::<f64>() / MIB;
    for threads in [1, thread::available_parallelism().map_or(1, usize::from)] {
        let times = thread::scope(|scope| {
            let blocks = |first| (first..stored.len()).step_by(threads);
            let spawn = |first| {
                let (blocks, stored) = (blocks(first), &stored);
                scope.spawn(move || scan(path, reader, stored, blocks))
            };
            let all: Vec<_> = (0..threads).map(spawn).collect();
            all.into_iter()
                .map(|one| one.join().unwrap())
                .fold([0.0; 2], |sum, [zstd, ours]| [sum[0] + zstd.as_secs_f64(), sum[1] + ours.as_secs_f64()])
        });
        let [zstd, ours] = times.map(|took| raw * threads as f64 / took);
        let share = ours / zstd;
        println!("{threads} threads: zstd {zstd:.0} MiB/s, read and memmem {ours:.0} MiB/s, {share:.2} of it");
    }
}

fn decodes(reader: &Reader) {
    let mut block = Block::default();
    let mut times = Vec::new();
    for number in 0..reader.blocks().len().min(200) {
        reader.read_into(number, &mut block).unwrap();
        let start = Instant::now();
        black_box(block.records().unwrap().len());
        times.push(start.elapsed());
    }
    reader.read_into(0, &mut block).unwrap();
    let records = block.records().unwrap();
    let every = time(51, || {
        records.iter().for_each(|record| {
            black_box(record);
        })
    });
    println!("records() of a block of {}: {:.2?}; then every record: {every:.2?}", records.len(), median(times));
}

fn main() {
    let blocks = std::env::var("LOGBOOM_BENCH_BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let dir = tempfile::tempdir().unwrap();
    let writer = fill(dir.path(), blocks);
    let path = writer.path().to_owned();
    opens(&path, "live");
    writer.seal().unwrap();
    opens(&path, "sealed");
    let reader = Reader::open(&path).unwrap();
    asks(&reader);
    decodes(&reader);
    scans(&path, &reader);
}

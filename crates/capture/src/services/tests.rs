//! What is written of any output, however often the writer is killed while it comes.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    time::{Duration, Instant},
};

use logboom_boom::reader::Reader;
use logboom_files::{
    DataDir, Session,
    session::{NewSession, RunMeta, ended, started},
    textlog::TextWriter,
};
use logboom_record::{Entry, Flags, Kind, Outcome, Record, Run, RunId, Stream, text};
use proptest::{collection::vec, prelude::*};

use crate::masks::Masks;

use super::{
    feed::{ContainerId, Delivery, FileMark, Piece, Place, SourceKind},
    out::STREAMS,
    *,
};

const SERVICES: usize = 3;
/// How many places a log file has.
const PART_OFFSETS: u64 = 40;

/// What happens after a service has printed something.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Nothing,
    Deliver,
    Flush,
    TakeUnfinished,
    Kill,
}

fn prints() -> impl Strategy<Value = Vec<(usize, bool, Vec<u8>, Then)>> {
    let word = prop_oneof![4 => Just("\n"), 2 => Just("ERROR: "), 2 => Just("a"), 2 => Just("bc"), 1 => Just("d\n\ne")];
    let bytes = vec(word, 0..4).prop_map(|words| words.concat().into_bytes());
    let then = prop_oneof![
        3 => Just(Then::Nothing),
        4 => Just(Then::Deliver),
        3 => Just(Then::Flush),
        2 => Just(Then::TakeUnfinished),
        1 => Just(Then::Kill),
    ];
    vec((0..SERVICES, any::<bool>(), bytes, then), 0..150)
}

/// Where a service prints, as its engine keeps it: all pieces, and how many were delivered.
#[derive(Default)]
struct Engine {
    pieces: Vec<(Stream, Vec<u8>)>,
    delivered: usize,
    file: Option<u64>,
    /// So much smaller are the places of stderr than those of stdout, where the engine stamps the streams apart.
    disorder: u64,
}

impl Engine {
    fn place(&self, piece: usize) -> Place {
        let is_stderr = self.pieces.get(piece).is_none_or(|(stream, _)| *stream == Stream::Stderr);
        let place = piece as u64 * 3 + PART_OFFSETS - if is_stderr { self.disorder } else { 0 };
        Place { part: place / PART_OFFSETS, offset: place % PART_OFFSETS }
    }

    /// What comes next, of one log file if places are in order.
    fn next(&mut self) -> Option<Delivery> {
        let first = self.delivered;
        let part = self.place(first).part;
        let mut delivery = Delivery { time: Time::from_micros(first as i64), ..Delivery::default() };
        while let Some((stream, bytes)) = self.pieces.get(self.delivered)
            && (self.place(self.delivered).part == part || self.disorder > 0)
        {
            let (len, at) = (bytes.len() as u32, self.place(self.delivered));
            delivery.bytes.extend(bytes);
            delivery.pieces.push(Piece { stream: *stream, len, origin_time_ns: Some(self.delivered as i64), at });
            self.delivered += 1;
        }
        // As if the next one, of which nothing is known, was of stderr.
        delivery.reached = Engine { disorder: self.disorder, ..Engine::default() }.place(self.delivered);
        let is_new = self.file.replace(part) != Some(part) && self.disorder == 0;
        delivery.file = is_new.then_some(FileMark { inode: part, head_bytes: 7, head_crc: 9 });
        (first < self.delivered).then_some(delivery)
    }

    /// Goes back to a place, or even before it.
    fn go_back(&mut self, from: Place, further: usize) {
        let first = (0..self.pieces.len()).find(|piece| self.place(*piece) >= from).unwrap_or(self.pieces.len());
        (self.delivered, self.file) = (first.saturating_sub(further), None);
    }

    /// What it printed, with stars in the place of what is secret.
    fn printed(&self, stream: Stream, masks: &Masks) -> Vec<u8> {
        let pieces = self.pieces.iter().filter(|(of, _)| *of == stream);
        let printed: Vec<u8> = pieces.flat_map(|(_, bytes)| bytes).copied().collect();
        let mut masked = printed.clone();
        masks.values_in(&printed).for_each(|found| masked[found].fill(b'*'));
        masked
    }

    /// Which piece has the byte at this offset of the stream.
    fn piece_of(&self, stream: Stream, offset: usize) -> Option<i64> {
        let mut end = 0;
        let mut pieces = self.pieces.iter().zip(0..).filter(|((of, _), _)| *of == stream);
        pieces.find_map(|((_, bytes), piece)| {
            end += bytes.len();
            (offset < end).then_some(piece)
        })
    }
}

/// A session whose services are written by one worker after the other.
struct Fixture {
    _dir: tempfile::TempDir,
    session: Session,
    block_bytes: usize,
    masks: Masks,
}

fn run_of(number: u32) -> RunId {
    RunId::from_bytes([number as u8; 16])
}

fn begin(worker: &mut Worker, number: u32, service: NewService, source: Source) {
    worker.take(number, Item::Add(Box::new(service)));
    worker.take(number, Item::Begin { time: Time::from_micros(0), source: Box::new(source) });
}

impl Fixture {
    fn new(block_bytes: usize, masks: Masks) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::from_micros(0);
        let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open: true, user: None, now };
        let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
        Fixture { _dir: dir, session, block_bytes, masks }
    }

    fn boom(&self) -> boom::Writer {
        let options = boom::Options { block_text_bytes_max: self.block_bytes, ..boom::Options::default() };
        boom::Writer::create_in(self.session.dir(), "records", options).unwrap()
    }

    fn start(&self) -> Worker {
        let boom = self.boom();
        let mut worker = worker(boom, self.masks.clone());
        for number in 0..SERVICES as u32 {
            let (file, name) = self.session.claim_named("web").unwrap();
            let text = TextWriter::new(file, &self.session.dir().join(&name));
            let entry = RunMeta::new(Run {
                external_id: Some("c0ffee".into()),
                ..started(run_of(number), Kind::Service, "web".into(), Time::from_micros(0))
            });
            self.session.add_run(RunMeta { text: Some(name), boom: Some("records.boom".into()), ..entry }).unwrap();
            let source = Source::new(ContainerId([number as u8; 16]), SourceKind::LogFile);
            begin(&mut worker, number, NewService::new(run_of(number), text), source);
        }
        worker
    }

    /// Goes on after a kill, with what the sources are to go on from.
    fn go_on(&self) -> (Worker, Vec<Source>) {
        let resumed = resume(&self.session).unwrap();
        let boom = self.boom();
        resumed.name_boom(&boom).unwrap();
        let (mut worker, mut sources) = (worker(boom, self.masks.clone()), Vec::new());
        for (service, number) in resumed.services.into_iter().zip(0..) {
            assert_eq!(service.service.run, run_of(number));
            let none = Source::new(ContainerId([number as u8; 16]), SourceKind::LogFile);
            let source = service.source.unwrap_or(none.clone());
            assert_eq!(source.container, none.container);
            assert!(source.files.iter().all(|(part, file)| *part == file.inode && *part >= source.reached.from().part));
            begin(&mut worker, number, service.service, source.clone());
            sources.push(source);
        }
        assert_eq!(sources.len(), SERVICES);
        (worker, sources)
    }

    fn text_path(&self, number: u32) -> std::path::PathBuf {
        self.session.dir().join(["web.log", "web.2.log", "web.3.log"][number as usize])
    }

    /// The records of a service in all boom files, in order.
    fn records(&self, number: u32) -> Vec<Record> {
        let names = fs::read_dir(self.session.dir()).unwrap().map(|entry| entry.unwrap().path());
        let mut records = Vec::new();
        for path in names.filter(|path| path.extension().is_some_and(|end| end == "boom")) {
            let reader = Reader::open(&path).unwrap();
            assert!(reader.damage().is_empty());
            for block in 0..reader.blocks().len() {
                let mut block = reader.read(block).unwrap();
                records.extend(block.records().unwrap().entries().filter_map(|entry| match entry.to_owned() {
                    Entry::Record(record) if record.run == run_of(number) => Some(record),
                    Entry::Gap(gap) => panic!("{gap:?}"),
                    Entry::Record(_) => None,
                }));
            }
        }
        records.sort_by_key(|record| record.seq);
        records
    }
}

fn worker(boom: boom::Writer, masks: Masks) -> Worker {
    let (_, outlet) = queue::queue();
    let trouble = Trouble::new(Box::new(|why| panic!("{why}")));
    Worker::new(outlet, Out::new(boom, TextSyncs::start(|| {}).unwrap(), trouble, Seen::of(masks.into())))
}

/// Every record, each once and in order: the bytes as printed, but for secrets, and what is said of them.
fn check_records(records: &[Record], engine: &Engine, masks: &Masks) {
    assert!(records.iter().map(|record| record.seq).eq(1..=records.len() as u64));
    for stream in [Stream::Stdout, Stream::Stderr] {
        let (mut back, mut open): (Vec<u8>, Option<&Record>) = (Vec::new(), None);
        for record in records.iter().filter(|record| record.stream == stream) {
            let is_end_alone = record.flags.has(Flags::NO_NEWLINE) && record.message.is_empty();
            let origin = record.origin_time_ns.filter(|_| !is_end_alone);
            assert_eq!(origin, engine.piece_of(stream, back.len()).filter(|_| !is_end_alone), "{record:?}");
            let guessed = logboom_record::level::guess(&record.message).unwrap_or_default();
            assert_eq!(record.level, open.map_or(guessed, |head| head.level));
            back.extend(&record.message);
            back.extend(record.flags.ends_line_with_newline().then_some(b'\n'));
            open = if record.flags.has(Flags::CONTINUED) { open.or(Some(record)) } else { None };
        }
        assert_eq!(String::from_utf8(back).unwrap(), String::from_utf8(engine.printed(stream, masks)).unwrap());
    }
}

/// The text log holds what the records are.
fn check_text(fixture: &Fixture, number: u32, records: &[Record]) {
    let mut lines = Vec::new();
    records.iter().for_each(|record| text::push_record(&mut lines, &record.as_ref()));
    let written = fs::read_to_string(fixture.text_path(number)).unwrap();
    assert_eq!(written, String::from_utf8(lines).unwrap());
}

fn deliver(worker: &mut Worker, engines: &mut [Engine]) {
    for (engine, number) in engines.iter_mut().zip(0..) {
        while let Some(delivery) = engine.next() {
            worker.take(number, Item::Delivery(delivery));
        }
    }
}

/// What a kill makes of a text log: lines that the boom file does not have, perhaps torn; or a power cut: less than there was.
fn scribble(fixture: &Fixture, bytes: isize) {
    let lines = "2026-01-02T03:04:05.123456Z O I more\n2026-01-02T03:04:05.123456Z O I and mo";
    for number in 0..SERVICES as u32 {
        let mut text = fs::File::options().append(true).open(fixture.text_path(number)).unwrap();
        let length = text.metadata().unwrap().len();
        text.set_len(length.saturating_add_signed(bytes.min(0) as i64)).unwrap();
        text.write_all(&lines.as_bytes()[..bytes.max(0) as usize]).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_byte_is_in_one_record_however_often_the_writer_is_killed(
        prints in prints(),
        block_bytes in prop_oneof![Just(20), Just(200), Just(1 << 20)],
        scribbled in -200isize..70,
        further in 0usize..4,
        text_lag in prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(3_600))],
        disorder in prop_oneof![2 => Just(0), 1 => 1..PART_OFFSETS],
        values in prop_oneof![Just(&[][..]), Just(&["abca", "bcbca"][..])],
    ) {
        let masks = Masks::new(values.iter().map(|value| value.as_bytes()), &[]).unwrap();
        let fixture = Fixture::new(block_bytes, masks.clone());
        let mut worker = fixture.start();
        worker.text_lag = text_lag;
        let mut engines: [Engine; SERVICES] = Default::default();
        engines.iter_mut().for_each(|engine| engine.disorder = disorder);
        for (service, is_stderr, bytes, then) in prints {
            engines[service].pieces.push((STREAMS[usize::from(is_stderr)], bytes));
            if then != Then::Nothing {
                deliver(&mut worker, &mut engines);
            }
            match then {
                Then::Nothing | Then::Deliver => {}
                Then::Flush => worker.flush(),
                Then::TakeUnfinished => {
                    let now = Instant::now();
                    worker.write_unfinished(now);
                    worker.write_unfinished(now + Duration::from_secs(1));
                }
                Then::Kill => {
                    drop(worker);
                    scribble(&fixture, scribbled);
                    let sources;
                    (worker, sources) = fixture.go_on();
                    worker.text_lag = text_lag;
                    for (engine, source) in engines.iter_mut().zip(sources) {
                        engine.go_back(source.reached.from(), further);
                    }
                }
            }
        }
        deliver(&mut worker, &mut engines);
        for number in 0..SERVICES as u32 {
            let (answer, _) = sync_channel(1);
            worker.take(number, Item::End { end: ended(Outcome::Passed, Time::from_micros(0)), answer });
        }
        let written = worker.finish();
        prop_assert_eq!(written.trouble, None);
        for (engine, number) in engines.iter().zip(0..) {
            let records = fixture.records(number);
            check_records(&records, engine, &masks);
            check_text(&fixture, number, &records);
            let lines = records.iter().filter(|record| !record.flags.has(Flags::CONTINUED)).count() as u64;
            let counts = written.services[number as usize].1;
            prop_assert_eq!((counts.records, counts.lines, counts.lost), (records.len() as u64, lines, 0));
        }
    }
}

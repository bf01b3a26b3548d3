//! What a killed program left in its rings, as readers of its session see it.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use logboom_boom::{NewRecord, Options, Writer};
use logboom_files::{
    DataDir, Session,
    session::{NewSession, RunMeta, started},
};
use logboom_record::{
    Entry, Flags, Kind, Level, RECORD_BYTES_MAX, Record, RunId, Stream, Time,
    text::{PREFIX_BYTES, push_record},
};
use logboom_ring::{
    Clock, ClockAnchor, Drain, Generation, Producer, RingFile, Waker,
    deferred::{Site, Source},
    frame::{FrameKind, Head, Slot},
};
use logboom_store::{Case, Order, Query, RunQuery, Scope, Store, Syntax, TextQuery, View};
use logboom_store_embedded::Embedded;

/// A collector that writes text alone, up to where its program is killed.
struct Killed {
    dir: tempfile::TempDir,
    session: Session,
    run: RunId,
    rings: Option<(RingFile, Drain, Producer)>,
}

impl Killed {
    fn new() -> Killed {
        Killed::with_boom(None)
    }

    /// One that has this boom file, too.
    fn with_boom(boom: Option<&str>) -> Killed {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::now();
        let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open: false, user: None, now };
        let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
        let (run, text) = (RunId::new(now), "collector.log".to_owned());
        let meta = RunMeta::new(started(run, Kind::Collector, "collector".into(), now));
        session.add_run(RunMeta { text: Some(text.clone()), boom: boom.map(str::to_owned), ..meta }).unwrap();
        let clock = ClockAnchor::new(Clock::detect());
        let path = session.dir().join("collector.log.ring");
        let (file, drain) = RingFile::create(&path, &clock, Arc::new(Waker::new())).unwrap();
        file.add_generation(&Generation {
            number: 1,
            run,
            started_at: now,
            text,
            boom: boom.map(str::to_owned),
            name: "collector".into(),
        })
        .unwrap();
        let producer = file.producer(1 << 20).unwrap();
        Killed { dir, session, run, rings: Some((file, drain, producer)) }
    }

    fn text(&self) -> PathBuf {
        self.session.dir().join("collector.log")
    }

    fn producer(&mut self) -> &mut Producer {
        &mut self.rings.as_mut().unwrap().2
    }

    fn log(&mut self, kind: FrameKind, number: u32, payload: &[u8]) {
        let head = Head { kind, level: Level::Info, ticks: Clock::detect().ticks(), generation: 1, number };
        let producer = self.producer();
        let mut slot = Slot::new(producer.slot());
        slot.put(payload);
        let bytes = slot.finish(&head).unwrap();
        producer.publish(bytes);
    }

    fn log_text(&mut self, message: &str) {
        self.log(FrameKind::Text, message.len() as u32, message.as_bytes());
    }

    /// A message that is five times this one.
    fn log_five_times(&mut self, text: &str) {
        static SITE: Site = Site::new(Source { target: "rings", file: "rings.rs", line: 1 }, "{0}{0}{0}{0}{0}", &[]);
        let encode = || {
            let mut bytes = Vec::new();
            SITE.encode(&mut bytes);
            bytes
        };
        self.producer().ensure_site(SITE.number(), encode).unwrap();
        let argument = [&[15][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        self.log(FrameKind::Deferred, SITE.number(), &argument);
    }

    /// All that was logged since becomes a batch that is being written.
    fn begin_batch(&mut self, first_seq: u64) {
        let (_, drain, _) = self.rings.as_mut().unwrap();
        drain.look();
        while drain.peek().is_some() {
            drain.take();
        }
        drain.begin_batch(1, first_seq);
    }

    fn end_batch(&mut self, next_seq: u64) {
        self.rings.as_mut().unwrap().1.end_batch(next_seq);
    }

    /// The program is killed, and so much of its text log is written.
    fn with_text(&mut self, text: &[u8]) {
        fs::write(self.text(), text).unwrap();
        self.rings = None;
    }

    fn everything(&self) -> Query {
        Query { lines_max: 1_000, ..Query::new(Scope::Run(self.run)) }
    }
}

/// The text log of these messages.
fn text_of(messages: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    for message in messages {
        let record = Record {
            run: RunId::from_bytes([0; 16]),
            seq: 1,
            time: Time::now(),
            origin_time_ns: None,
            stream: Stream::System,
            level: Level::Info,
            flags: Flags::NONE,
            message: message.as_bytes().to_vec(),
            fields: None,
        };
        push_record(&mut text, &record.as_ref());
    }
    text
}

/// The seqs and messages of all that a store has; of a gap, its reason.
fn read(store: &Embedded, query: &Query) -> Vec<(u64, String)> {
    let entries = store.page(query, None).unwrap().entries;
    let shown = |entry: &Entry| match entry {
        Entry::Record(record) => (record.seq, String::from_utf8(record.message.clone()).unwrap()),
        Entry::Gap(gap) => (gap.from, gap.why.clone()),
    };
    entries.iter().map(shown).collect()
}

fn numbered(messages: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(messages.iter().map(|message| (*message).to_owned())).collect()
}

#[test]
fn a_record_that_was_cut_anywhere_in_the_text_log_is_read_whole_from_the_rings() {
    let before = ["earlier"];
    let batch = ["one", "two\nlines", "first\n\nthird\nlast"];
    let whole = text_of(&[&before[..], &batch].concat());
    let start = whole.len() - text_of(&[batch[2]]).len();
    let expected = numbered(&[&before[..], &batch, &["behind the batch"]].concat());
    for cut in start..=whole.len() {
        let mut killed = Killed::new();
        killed.log_text(before[0]);
        killed.begin_batch(1);
        killed.end_batch(2);
        batch.iter().for_each(|message| killed.log_text(message));
        killed.begin_batch(2);
        killed.log_text("behind the batch");
        killed.with_text(&whole[..cut]);
        let (store, query) = (Embedded::open(killed.dir.path()).unwrap(), killed.everything());
        assert_eq!(read(&store, &query), expected, "cut at {cut}");
        let state = store.runs(&RunQuery::new(query.scope)).unwrap().remove(0);
        assert_eq!((state.records, state.lines, state.lost), (5, 5, 0), "cut at {cut}");
    }
}

#[test]
fn a_reader_that_is_open_goes_on_with_what_recovery_made_of_a_cut_record() {
    let mut killed = Killed::new();
    ["one", "two\nlines"].iter().for_each(|message| killed.log_text(message));
    killed.begin_batch(1);
    let whole = text_of(&["one", "two\nlines"]);
    killed.with_text(&whole[..whole.len() - "lines\n".len() - PREFIX_BYTES]);
    let (store, query) = (Embedded::open(killed.dir.path()).unwrap(), killed.everything());
    assert_eq!(read(&store, &query), numbered(&["one", "two\nlines"]));
    // Recovery writes first, and removes the ring file then.
    let recovered = [&whole[..], &text_of(&["three"])].concat();
    fs::write(killed.text(), &recovered).unwrap();
    assert_eq!(read(&store, &query), numbered(&["one", "two\nlines"]), "each once");
    fs::remove_file(killed.session.dir().join("collector.log.ring")).unwrap();
    assert_eq!(read(&store, &query), numbered(&["one", "two\nlines", "three", "writer was killed"]));
}

#[test]
fn the_last_record_of_a_text_log_stays_where_the_rings_have_no_copy_of_it() {
    let mut killed = Killed::new();
    killed.log_text("one");
    killed.begin_batch(1); // of two rings: the tail of the other one is stored already
    killed.with_text(&text_of(&["one", "two\nlines"]));
    let store = Embedded::open(killed.dir.path()).unwrap();
    assert_eq!(read(&store, &killed.everything()), numbered(&["one", "two\nlines", "writer was killed"]));
}

#[test]
fn a_line_in_parts_is_one_line_wherever_its_parts_are() {
    let part = 500_000;
    let end = "needle at the end";
    let long = "x".repeat(part - end.len()) + end;
    let whole = long.repeat(5);
    let cuts = [0, RECORD_BYTES_MAX, 2 * RECORD_BYTES_MAX];
    let parts: Vec<&str> = cuts.iter().map(|at| &whole[*at..whole.len().min(at + RECORD_BYTES_MAX)]).collect();
    let mut text = text_of(&[&["before"][..], &parts].concat());
    let first = text_of(&["before"]).len();
    for at in [first, first + PREFIX_BYTES + RECORD_BYTES_MAX + 1] {
        text[at + PREFIX_BYTES - 4] = b's'; // the line goes on
    }
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &text).map(|at| at + 1).collect();
    for cut in ends.iter().flat_map(|end| [end - 1, *end]).chain([0]) {
        let mut killed = Killed::new();
        killed.log_text("before");
        killed.log_five_times(&long);
        killed.log_text("after");
        killed.begin_batch(1);
        killed.with_text(&text[..cut]);
        let (store, query) = (Embedded::open(killed.dir.path()).unwrap(), killed.everything());
        let seqs: Vec<u64> = read(&store, &query).iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5], "cut at {cut}");
        let state = store.runs(&RunQuery::new(query.scope)).unwrap().remove(0);
        assert_eq!((state.records, state.lines), (5, 3), "cut at {cut}");
        let last_two = Query { order: Order::Newest, lines_max: 2, ..query.clone() };
        let seqs: Vec<u64> = read(&store, &last_two).iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, [5, 4, 3, 2], "two lines, the newest first, cut at {cut}");
        // Over the edge between two parts.
        let searched = &whole[RECORD_BYTES_MAX - 200_000..RECORD_BYTES_MAX + 10];
        let found = TextQuery::new(searched, Syntax::Literal, Case::Sensitive, View::Plain).unwrap();
        let found = read(&store, &Query { text: Some(found), ..query.clone() });
        assert_eq!(found.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 3, 4], "cut at {cut}");
        let counted = TextQuery::new("needle", Syntax::Literal, Case::Sensitive, View::Plain).unwrap();
        assert_eq!(store.count(&Query { text: Some(counted), ..query }).unwrap(), 1, "cut at {cut}");
    }
}

#[test]
fn what_a_recovery_has_put_into_a_boom_file_is_not_read_from_the_rings_too() {
    let mut killed = Killed::with_boom(Some("records.boom"));
    let messages = ["first", "second", "third"];
    messages.iter().for_each(|message| killed.log_text(message));
    killed.rings = None;
    let store = Embedded::open(killed.dir.path()).unwrap();
    assert_eq!(read(&store, &killed.everything()), numbered(&messages));
    let mut boom = Writer::create_in(killed.session.dir(), "records", Options::default()).unwrap();
    let slot = boom.run(killed.run, Kind::Collector, 1).unwrap();
    for (message, time) in messages.iter().zip(0..) {
        let (level, stream, flags) = (Level::Info, Stream::System, Flags::NONE);
        let (time, message) = (Time::from_micros(time), message.as_bytes());
        boom.push(slot, &NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields: None })
            .unwrap();
        boom.flush().unwrap();
        assert_eq!(read(&store, &killed.everything()), numbered(&messages));
    }
}

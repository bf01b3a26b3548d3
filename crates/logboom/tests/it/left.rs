//! What recovery makes of files and rings that a killed program left, byte by byte.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use logboom_boom as boom;
use logboom_files::{
    DataDir, Session,
    session::{NewSession, RunMeta, started},
};
use logboom_record::{Flags, Kind, Level, RECORD_BYTES_MAX, Record, RunId, Stream, Time, text};
use logboom_ring::{
    Clock, ClockAnchor, Drain, Generation, Producer, RingFile, Waker,
    deferred::{Site, Source},
    frame::{FrameKind, Head, Slot},
};

use crate::common::messages;

/// A session with one collector, as its program left it.
struct Left {
    _dir: tempfile::TempDir,
    session: Session,
    run: RunId,
    file: RingFile,
    drain: Drain,
    producer: Producer,
}

impl Left {
    fn new(boom: Option<&str>) -> Left {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::now();
        let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open: true, user: None, now };
        let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
        let (run, text, boom) = (RunId::new(now), "collector.log".to_owned(), boom.map(str::to_owned));
        let meta = RunMeta::new(started(run, Kind::Collector, "collector".into(), now));
        session.add_run(RunMeta { text: Some(text.clone()), boom: boom.clone(), ..meta }).unwrap();
        let path = session.dir().join("collector.log.ring");
        let clock = ClockAnchor::new(Clock::detect());
        let (file, drain) = RingFile::create(&path, &clock, Arc::new(Waker::new())).unwrap();
        file.add_generation(&Generation { number: 1, run, started_at: now, text, boom, name: "collector".into() })
            .unwrap();
        let producer = file.producer(1 << 20).unwrap();
        Left { _dir: dir, session, run, file, drain, producer }
    }

    fn text(&self) -> PathBuf {
        self.session.dir().join("collector.log")
    }

    fn log(&mut self, kind: FrameKind, number: u32, payload: &[u8]) {
        let ticks = Clock::detect().ticks();
        let head = Head { kind, level: Level::Info, ticks, generation: 1, number };
        let mut slot = Slot::new(self.producer.slot());
        slot.put(payload);
        let bytes = slot.finish(&head).unwrap();
        self.producer.publish(bytes);
    }

    fn log_text(&mut self, message: &str) {
        self.log(FrameKind::Text, message.len() as u32, message.as_bytes());
    }

    /// Takes all that was logged as a batch that is begun with this seq.
    fn begin(&mut self, first_seq: u64) {
        self.drain.look();
        while self.drain.peek().is_some() {
            self.drain.take();
        }
        self.drain.begin_batch(1, first_seq);
    }

    /// The text of these messages, each a record.
    fn lines(&self, messages: &[&str]) -> Vec<u8> {
        let mut lines = Vec::new();
        for message in messages {
            text::push_record(&mut lines, &self.record(message).as_ref());
        }
        lines
    }

    fn record(&self, message: &str) -> Record {
        Record {
            run: self.run,
            seq: 1,
            time: Time::now(),
            origin_time_ns: None,
            stream: Stream::System,
            level: Level::Info,
            flags: Flags::NONE,
            message: message.into(),
            fields: None,
        }
    }

    /// The program is gone, and what it left is put into files. Gives the lines of the text log, without their stamps.
    fn recover(self) -> Vec<String> {
        let Left { _dir, session, file, drain, producer, .. } = self;
        drop((producer, drain, file));
        let recovered = logboom::recover(&session).unwrap();
        assert_eq!((recovered.damaged_rings, recovered.damaged_bytes), (0, 0));
        assert!(!session.dir().join("collector.log.ring").exists());
        messages(&session.dir().join("collector.log"))
    }
}

#[test]
fn a_record_of_several_lines_that_was_cut_between_them_is_whole_again() {
    let (one, many) = ("one", "first\nsecond\nthird");
    let whole = Left::new(None).lines(&[one, many]);
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    for cut in ends.flat_map(|end| [end - 5, end]).chain([0]) {
        let mut left = Left::new(None);
        [one, many].iter().for_each(|message| left.log_text(message));
        left.begin(1);
        fs::write(left.text(), &whole[..cut]).unwrap();
        assert_eq!(left.recover(), ["one", "first", "second", "third"], "{cut}");
    }
}

#[test]
fn the_last_record_stays_where_the_ring_has_no_copy_of_it() {
    let mut left = Left::new(None);
    left.log_text("one");
    left.begin(1); // of two rings: the tail of the other one is stored already
    fs::write(left.text(), left.lines(&["one", "first\nsecond"])).unwrap();
    assert_eq!(left.recover(), ["one", "first", "second"]);
}

#[test]
fn what_the_text_log_misses_before_the_rings_is_a_gap() {
    for ended in [true, false] {
        let mut left = Left::new(None);
        left.log_text("five");
        if ended {
            left.drain.begin_batch(1, 1);
            left.drain.end_batch(5);
        } else {
            left.begin(5);
        }
        fs::write(left.text(), left.lines(&["one"])).unwrap();
        assert_eq!(left.recover(), ["one", "lost seq 2-4: writer was killed", "five"]);
    }
}

#[test]
fn what_the_boom_file_misses_before_the_rings_is_a_gap() {
    let mut left = Left::new(Some("records.boom"));
    left.log_text("five");
    left.drain.begin_batch(1, 1);
    left.drain.end_batch(5);
    let mut boom = boom::Writer::create_in(left.session.dir(), "records", boom::Options::default()).unwrap();
    let slot = boom.run(left.run, Kind::Collector, 1).unwrap();
    let Record { time, origin_time_ns, stream, level, flags, .. } = left.record("");
    let new = boom::NewRecord { time, origin_time_ns, stream, level, flags, message: b"one", fields: None };
    boom.push(slot, &new).unwrap();
    boom.seal().unwrap();
    assert_eq!(left.recover(), ["one", "lost seq 2-4: writer was killed", "five"]);
}

#[test]
fn a_deferred_call_that_is_larger_than_a_record_comes_in_parts() {
    static SITE: Site = Site::new(Source { target: "left", file: "left.rs", line: 1 }, "{0}{0}{0}{0}{0}", &[]);
    let mut left = Left::new(None);
    let number = SITE.number();
    let encode = || {
        let mut bytes = Vec::new();
        SITE.encode(&mut bytes);
        bytes
    };
    left.producer.ensure_site(number, encode).unwrap();
    let long = 500_000;
    left.log(FrameKind::Deferred, number, &[&[15][..], &(long as u32).to_le_bytes(), &vec![b'x'; long]].concat());
    left.log_text("after");
    fs::write(left.text(), b"").unwrap();
    let lines = left.recover();
    let lengths: Vec<usize> = lines.iter().map(String::len).collect();
    assert_eq!(lengths, [RECORD_BYTES_MAX, RECORD_BYTES_MAX, 5 * long - 2 * RECORD_BYTES_MAX, 5]);
}

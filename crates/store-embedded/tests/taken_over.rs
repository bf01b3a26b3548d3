//! A run that a killed writer left, and that another goes on with in a boom file of its own.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{collections::BTreeMap, ops::ControlFlow};

use logboom_boom::{NewRecord, Options, RunSlot, Writer};
use logboom_files::{
    DataDir, Session,
    session::{Durable, Meta, NewSession, RunMeta, started},
};
use logboom_record::{Entry, Flags, Kind, Level, Outcome, RunEnd, RunId, Stream, Time};
use logboom_store::{Query, RunQuery, Scope, Store};
use logboom_store_embedded::Embedded;

const RUN: RunId = RunId::from_bytes([7; 16]);

struct Fixture {
    _dir: tempfile::TempDir,
    session: Session,
    root: RunId,
    store: Embedded,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::from_micros(0);
        let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: true, user: None, now };
        let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
        let root = session.meta().unwrap().run.id;
        session.add_run(RunMeta::new(started(RUN, Kind::Service, "web".into(), now))).unwrap();
        let store = Embedded::open(dir.path()).unwrap();
        Fixture { _dir: dir, session, root, store }
    }

    /// A writer whose boom file the metadata name.
    fn writer(&self, first_seq: u64) -> (Writer, RunSlot) {
        let mut writer = Writer::create_in(self.session.dir(), "records", Options::default()).unwrap();
        let slot = writer.run(RUN, Kind::Service, first_seq).unwrap();
        let name = writer.path().file_name().unwrap().to_str().unwrap().to_owned();
        let name_boom = |meta: &mut Meta| {
            meta.runs[0].boom = Some(name);
            Ok(())
        };
        self.session.update(Durable::Soon, name_boom).unwrap();
        (writer, slot)
    }

    /// What a reader that was there before is told: seqs of records, and `from-` of the gap.
    #[track_caller]
    fn expect(&self, want: &[&str]) {
        let query = Query::new(Scope::Session(self.root));
        let page = self.store.page(&query, None).unwrap();
        assert_eq!(page.entries.iter().map(shown).collect::<Vec<_>>(), want);
        let mut scanned = Vec::new();
        let each = &mut |entry: logboom_record::EntryRef<'_>| {
            scanned.push(shown(&entry.to_owned()));
            ControlFlow::Continue(())
        };
        self.store.scan(&query, each).unwrap();
        assert_eq!(scanned, want);
        let states = self.store.runs(&RunQuery::new(Scope::Run(RUN))).unwrap();
        let has_gap = want.iter().any(|shown| shown.ends_with('-'));
        assert_eq!((states[0].lost, states[0].lost_more), (0, has_gap));
    }
}

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Record(record) => record.seq.to_string(),
        Entry::Gap(gap) => format!("{}-{}", gap.from, gap.to.map(|to| to.to_string()).unwrap_or_default()),
    }
}

fn push((writer, slot): &mut (Writer, RunSlot)) {
    let (time, stream, level) = (Time::from_micros(5), Stream::Stdout, Level::Info);
    let (flags, message) = (Flags::NONE, &b"line"[..]);
    let record = NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields: None };
    writer.push(*slot, &record).unwrap();
    writer.flush().unwrap();
}

#[test]
fn there_is_no_gap_where_another_writer_goes_on_and_one_behind_the_last_that_was_killed() {
    let fixture = Fixture::new();
    let mut first = fixture.writer(1);
    push(&mut first);
    push(&mut first);
    fixture.expect(&["1", "2"]);
    drop(first);
    fixture.expect(&["1", "2", "3-"]);
    let second = fixture.writer(3);
    fixture.expect(&["1", "2"]);
    drop(second);
    fixture.expect(&["1", "2", "3-"]);
    let mut third = fixture.writer(3);
    push(&mut third);
    fixture.expect(&["1", "2", "3"]);
    drop(third);
    fixture.expect(&["1", "2", "3", "4-"]);
    let mut fourth = fixture.writer(4);
    push(&mut fourth);
    let end = RunEnd { ended_at: Time::from_micros(9), outcome: Outcome::Passed, exit_code: Some(0), signal: None };
    fourth.0.end_run(fourth.1, &end);
    fourth.0.seal().unwrap();
    fixture.expect(&["1", "2", "3", "4"]);
    let states = fixture.store.runs(&RunQuery::new(Scope::Run(RUN))).unwrap();
    assert_eq!((states[0].records, states[0].run.end.as_ref()), (4, Some(&end)));
}

#[test]
fn a_writer_that_is_killed_at_once_leaves_a_gap_behind_what_one_before_it_left_in_order() {
    let fixture = Fixture::new();
    let mut first = fixture.writer(1);
    push(&mut first);
    first.0.seal().unwrap();
    let second = fixture.writer(2);
    fixture.expect(&["1"]);
    drop(second);
    fixture.expect(&["1", "2-"]);
    let mut third = fixture.writer(2);
    fixture.expect(&["1"]);
    push(&mut third);
    fixture.expect(&["1", "2"]);
}

//! The unknown end of a run whose writers were killed, or that others went on with: decided by the run, not by its files.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::collections::BTreeMap;

use logboom_boom::{NewRecord, Options, Writer};
use logboom_files::{
    DataDir, Session,
    session::{NewSession, RunMeta, started},
};
use logboom_record::{Entry, Flags, Kind, Level, Outcome, RunEnd, RunId, Stream, Time};
use logboom_store::{Query, RunQuery, Scope, Store};
use logboom_store_embedded::Embedded;

fn now() -> Time {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// A session whose run has the file `records.boom` as its own.
struct Fixture {
    dir: tempfile::TempDir,
    session: Session,
    run: RunId,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open: false, user: None, now: now() };
        let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
        let run = RunId::new(now());
        let meta = RunMeta::new(started(run, Kind::Collector, "collector".into(), now()));
        session.add_run(RunMeta { boom: Some("records.boom".into()), ..meta }).unwrap();
        Fixture { dir, session, run }
    }

    /// Begins a further boom file of the run.
    fn writer(&self) -> Writer {
        Writer::create_in(self.session.dir(), "records", Options::default()).unwrap()
    }

    /// Writes records of these seqs.
    fn write(&self, boom: &mut Writer, seqs: std::ops::Range<u64>) {
        let slot = boom.run(self.run, Kind::Collector, seqs.start).unwrap();
        let (stream, level, flags, message) = (Stream::System, Level::Info, Flags::NONE, b"x");
        let record = NewRecord { time: now(), origin_time_ns: None, stream, level, flags, message, fields: None };
        seqs.for_each(|_| assert!(boom.push(slot, &record).unwrap() > 0));
        boom.flush().unwrap();
    }

    /// The seqs that are there, and where gaps begin.
    fn shown(&self, store: &Embedded) -> (Vec<u64>, Vec<(u64, Option<u64>)>) {
        let scope = Scope::Run(self.run);
        let entries = store.page(&Query { lines_max: 100, ..Query::new(scope) }, None).unwrap().entries;
        let (mut seqs, mut gaps) = (Vec::new(), Vec::new());
        entries.iter().for_each(|entry| match entry {
            Entry::Record(record) => seqs.push(record.seq),
            Entry::Gap(gap) => gaps.push((gap.from, gap.to)),
        });
        let states = store.runs(&RunQuery::new(scope)).unwrap();
        assert_eq!(states[0].lost_more, gaps.iter().any(|(_, to)| to.is_none()));
        (seqs, gaps)
    }

    fn open(&self) -> Embedded {
        Embedded::open(self.dir.path()).unwrap()
    }
}

#[test]
fn doubt_of_a_recovery_is_an_open_gap_behind_what_it_has_recovered() {
    for held in [0, 2] {
        let run = Fixture::new();
        let mut own = run.writer();
        if held > 0 {
            run.write(&mut own, 1..held + 1);
        }
        drop(own);
        let mut recovered = run.writer();
        run.write(&mut recovered, held + 1..held + 3);
        recovered.seal().unwrap();
        let seqs: Vec<u64> = (1..held + 3).collect();
        assert_eq!(run.shown(&run.open()), (seqs, vec![(held + 3, None)]), "{held} in its own file");
    }
}

#[test]
fn who_goes_on_with_a_killed_writers_run_leaves_no_gap_between_and_none_while_it_lives() {
    let run = Fixture::new();
    let mut first = run.writer();
    run.write(&mut first, 1..3);
    drop(first);
    let reader = run.open();
    assert_eq!(run.shown(&reader), (vec![1, 2], vec![(3, None)]));
    let mut second = run.writer();
    run.write(&mut second, 3..4);
    assert_eq!(run.shown(&reader), (vec![1, 2, 3], vec![]));
    drop(second);
    for reader in [&reader, &run.open()] {
        assert_eq!(run.shown(reader), (vec![1, 2, 3], vec![(4, None)]), "once, at the end");
    }
    let mut third = run.writer();
    run.write(&mut third, 4..5);
    assert_eq!(run.shown(&reader), (vec![1, 2, 3, 4], vec![]));
    let slot = third.run(run.run, Kind::Collector, 5).unwrap();
    third.end_run(slot, &RunEnd { ended_at: now(), outcome: Outcome::Passed, exit_code: None, signal: None });
    third.seal().unwrap();
    for reader in [&reader, &run.open()] {
        assert_eq!(run.shown(reader), (vec![1, 2, 3, 4], vec![]), "its end is there");
    }
}

#[test]
fn a_writer_that_is_named_as_the_runs_own_lives_for_it_before_it_has_written_anything() {
    let run = Fixture::new();
    let mut first = run.writer();
    run.write(&mut first, 1..3);
    drop(first);
    let _second = run.writer();
    let rename = |meta: &mut logboom_files::session::Meta| {
        meta.runs[0].boom = Some("records.2.boom".into());
        Ok(())
    };
    run.session.update(logboom_files::session::Durable::Soon, rename).unwrap();
    assert_eq!(run.shown(&run.open()), (vec![1, 2], vec![]));
}

//! FIFOs among the files of a session: to open one would wait for its other end, for ever.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::sync_channel,
    thread::spawn,
    time::Duration,
};

use logboom_boom::reader::tail_path;
use logboom_files::{
    DataDir, Session,
    session::{Counts, NewSession, RunMeta, ended, started},
};
use logboom_record::{Entry, Flags, Kind, Level, Outcome, Record, Run, RunId, Stream, Time};
use logboom_store::{Query, Scope, Store};
use logboom_store_embedded::Embedded;

fn now() -> Time {
    Time::from_micros(1_767_323_045_000_000)
}

fn record(run: RunId, seq: u64) -> Entry {
    Entry::Record(Record {
        run,
        seq,
        time: now(),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::NONE,
        message: format!("line {seq}").into_bytes(),
        fields: None,
    })
}

/// The session that an earlier store has written, and its directory.
fn written(dir: &Path) -> (Run, Vec<Entry>, PathBuf) {
    let store = Embedded::open(dir).unwrap();
    let run = started(RunId::new(now()), Kind::Session, "s".into(), now());
    store.start_run(&run).unwrap();
    let entries: Vec<Entry> = (1..=9).map(|seq| record(run.id, seq)).collect();
    store.append(&entries).unwrap();
    let session = fs::read_dir(dir.join("sessions")).unwrap().next().unwrap().unwrap().path();
    (run, entries, session)
}

/// The root of a session of one run that has a text log and no boom file, and the text log.
fn text_session(dir: &Path) -> (RunId, PathBuf) {
    let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: false, user: None, now: now() };
    let session = Session::create(&DataDir::at(dir), new).unwrap();
    let root = session.meta().unwrap().run.id;
    let (_, text) = session.claim_text("make".as_ref()).unwrap();
    let run = Run { parent: Some(root), ..started(RunId::new(now()), Kind::Command, "make".into(), now()) };
    let (id, path) = (run.id, session.dir().join(&text));
    session.add_run(RunMeta { text: Some(text), ..RunMeta::new(run) }).unwrap();
    session.end_run(id, &ended(Outcome::Passed, now()), Counts::default()).unwrap();
    (root, path)
}

/// Puts a FIFO in the place of a file.
fn fifo(place: &Path) {
    let _ = fs::remove_file(place); // there may be none
    assert!(Command::new("mkfifo").arg(place).status().unwrap().success());
}

#[test]
fn a_fifo_among_the_files_of_an_earlier_writer_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let (_, entries, session) = written(dir.path());
    fifo(&session.join("records.fifo"));
    let (sender, appended) = sync_channel(1);
    // Should it wait for the other end of the FIFO it does so for ever: the thread is not waited for.
    spawn(move || sender.send(Embedded::open(dir.path()).unwrap().append(&entries)));
    appended.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
}

#[test]
fn fifos_in_the_place_of_files_hold_no_reader_up() {
    let dir = tempfile::tempdir().unwrap();
    let (run, entries, session) = written(dir.path());
    for place in [session.join("records.2.boom"), session.join("x.log.ring"), tail_path(&session.join("records.boom"))]
    {
        fifo(&place);
    }
    let of_text = tempfile::tempdir().unwrap();
    let (root, text) = text_session(of_text.path());
    fifo(&text);
    let (sender, read) = sync_channel(2);
    let all = |dir: &Path, run| {
        let query = Query { lines_max: usize::MAX, ..Query::new(Scope::Session(run)) };
        Embedded::open(dir).unwrap().page(&query, None).unwrap().entries
    };
    // As above: it would wait for ever.
    spawn(move || {
        sender.send(all(dir.path(), run.id)).unwrap();
        sender.send(all(of_text.path(), root)).unwrap();
    });
    assert_eq!(read.recv_timeout(Duration::from_secs(30)).unwrap(), entries);
    assert_eq!(read.recv_timeout(Duration::from_secs(30)).unwrap(), []);
}

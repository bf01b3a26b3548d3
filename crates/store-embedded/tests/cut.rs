//! A text log that its living writer cuts back, since a sync of it failed, as those see it who follow it.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use logboom_files::{
    DataDir, Session,
    session::{NewSession, RunMeta, started},
    textlog::{TextBatch, TextWriter},
};
use logboom_record::{Entry, Flags, Kind, Level, Run, RunId, Stream, Time, text::Prefix};
use logboom_store::{Cursor, Query, Scope, Store, Wake};
use logboom_store_embedded::Embedded;

/// A run that is being written.
fn running(dir: &Path) -> (Query, TextWriter) {
    let now = Time::now();
    let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: false, user: None, now };
    let session = Session::create(&DataDir::at(dir), new).unwrap();
    let root = session.meta().unwrap().run;
    let (writer, text) = TextWriter::create(&session, "make".as_ref()).unwrap();
    writer.hold_lock().unwrap();
    let run = Run { parent: Some(root.id), ..started(RunId::new(now), Kind::Command, "make".into(), now) };
    session.add_run(RunMeta { text: Some(text), ..RunMeta::new(run) }).unwrap();
    (Query::new(Scope::Session(root.id)), writer)
}

fn append(writer: &mut TextWriter, seqs: Range<u64>) {
    let (mut lines, time) = (Vec::new(), Time::now());
    for seq in seqs.clone() {
        Prefix::new(time).push(&mut lines, Stream::Stdout, Level::Info, Flags::NONE, format!("line {seq}").as_bytes());
    }
    writer.append(&TextBatch { lines: &lines, seqs, time }).unwrap();
}

fn fail_to_sync(writer: &mut TextWriter) {
    writer.note_sync(writer.sync_mark(), Err(io::Error::from_raw_os_error(5))).unwrap_err();
}

/// What is new after the cursor, which moves on: of each entry the first and the last seq.
fn news(store: &Embedded, query: &Query, cursor: &mut Cursor) -> Vec<(u64, u64)> {
    let soon = Instant::now() + Duration::from_secs(30);
    assert_eq!(store.wait(query, cursor, soon).unwrap(), Wake::Entries);
    let page = store.page(query, Some(cursor)).unwrap();
    *cursor = page.cursor;
    let seqs = page.entries.iter().map(|entry| match entry {
        Entry::Record(record) => (record.seq, record.seq),
        Entry::Gap(gap) => (gap.from, gap.to.unwrap()),
    });
    seqs.collect()
}

/// Follows a log of which 10 lines were seen, 3 of them synced, and then others came. Gives what is seen after the cut.
fn after_a_cut(others: Range<u64>) -> Vec<(u64, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let (query, mut writer) = running(dir.path());
    let store = Embedded::open(dir.path()).unwrap();
    let mut cursor = store.page(&query, None).unwrap().end;
    append(&mut writer, 1..4);
    writer.note_sync(writer.sync_mark(), Ok(())).unwrap();
    append(&mut writer, 4..11);
    assert_eq!(news(&store, &query, &mut cursor).len(), 10);
    let next = others.end;
    if !others.is_empty() {
        append(&mut writer, others);
    }
    fail_to_sync(&mut writer);
    append(&mut writer, next..next + 2);
    news(&store, &query, &mut cursor)
}

#[test]
fn records_that_were_seen_before_the_disk_lost_them_are_not_told_again() {
    assert_eq!(after_a_cut(11..11), [(11, 11), (12, 12)]);
}

#[test]
fn records_that_the_disk_lost_before_they_were_seen_are_a_gap() {
    assert_eq!(after_a_cut(11..21), [(11, 20), (21, 21), (22, 22)]);
}

//! Runs, records and questions for the rules to use.

use std::collections::BTreeMap;

use logboom_record::{Entry, Flags, Gap, Kind, Level, Outcome, Record, Run, RunEnd, RunId, Stream, Time};

use crate::{Cursor, Order, Query, RunQuery, Scope, Store, StoreError};

/// A time: so many milliseconds after a fixed one.
pub fn at(ms: i64) -> Time {
    Time::from_micros(1_767_323_045_000_000 + ms * 1_000)
}

/// A run id that sorts by its number.
pub fn id(number: u8) -> RunId {
    let mut bytes = *b"\x01\x9b\x7c\x11\x22\x33\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00";
    bytes[5] = number;
    bytes[15] = number;
    RunId::from_bytes(bytes)
}

/// A root run.
pub fn root(number: u8) -> Run {
    Run {
        id: id(number),
        parent: None,
        kind: Kind::Session,
        name: format!("session {number}"),
        owner: None,
        labels: BTreeMap::from([("branch".to_owned(), "main".to_owned())]),
        started_at: at(i64::from(number)),
        end: None,
        external_id: None,
    }
}

/// A run below the root `parent`.
pub fn child(number: u8, parent: u8) -> Run {
    Run { parent: Some(id(parent)), kind: Kind::Command, name: format!("command {number}"), ..root(number) }
}

/// A whole line on stdout; its time is its seq.
pub fn line(run: RunId, seq: u64, message: &str) -> Record {
    Record {
        run,
        seq,
        time: at(seq.cast_signed()),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::NONE,
        message: message.as_bytes().to_vec(),
        fields: None,
    }
}

/// A part of a line that goes on.
pub fn part(run: RunId, seq: u64, message: &str) -> Record {
    Record { flags: Flags::CONTINUED, ..line(run, seq, message) }
}

/// The same record on stderr.
pub fn on_stderr(record: Record) -> Record {
    Record { stream: Stream::Stderr, ..record }
}

/// A gap.
pub fn gap(run: RunId, from: u64, to: u64) -> Entry {
    Entry::Gap(Gap { run, from, to: Some(to), time: at(from.cast_signed()), why: "disk full".to_owned() })
}

/// A good end.
pub fn passed(ms: i64) -> RunEnd {
    RunEnd { ended_at: at(ms), outcome: Outcome::Passed, exit_code: Some(0), signal: None }
}

/// Session 1 with its command 2, which the records of a rule are of.
pub fn start_command(store: &dyn Store) -> RunId {
    store.start_run(&root(1)).unwrap();
    store.start_run(&child(2, 1)).unwrap();
    id(2)
}

/// Stores records.
pub fn put(store: &dyn Store, records: &[Record]) {
    store.append(&entries(records)).unwrap();
}

/// Records as entries.
pub fn entries(records: &[Record]) -> Vec<Entry> {
    records.iter().cloned().map(Entry::Record).collect()
}

/// So many lines `line 1`, `line 2`, ...
pub fn lines(run: RunId, seqs: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    seqs.map(|seq| line(run, seq, &format!("line {seq}"))).collect()
}

/// Everything of session 1, oldest first, in pages of so many lines.
pub fn session(lines_max: usize) -> Query {
    Query { lines_max, ..Query::new(Scope::Session(id(1))) }
}

/// The same, newest first.
pub fn newest(lines_max: usize) -> Query {
    Query { order: Order::Newest, ..session(lines_max) }
}

/// Every page up to the one that says that there is no more, and the cursor after it.
pub fn walk(store: &dyn Store, query: &Query, from: Option<&Cursor>) -> (Vec<Vec<Entry>>, Cursor) {
    let mut page = store.page(query, from).unwrap();
    let mut pages = Vec::new();
    while page.more {
        assert!(!page.entries.is_empty(), "a page is empty and yet not the last");
        pages.push(std::mem::take(&mut page.entries));
        page = store.page(query, Some(&page.cursor)).unwrap();
    }
    pages.push(page.entries);
    (pages, page.cursor)
}

/// Everything that answers the query.
pub fn all(store: &dyn Store, query: &Query) -> Vec<Entry> {
    walk(store, query, None).0.concat()
}

/// The seqs of everything that answers the query.
pub fn seqs(store: &dyn Store, query: &Query) -> Vec<u64> {
    all(store, query).iter().map(Entry::seq).collect()
}

/// Run and seq of each entry.
pub fn places(entries: &[Entry]) -> Vec<(RunId, u64)> {
    entries.iter().map(|entry| (entry.run(), entry.seq())).collect()
}

/// How many entries are held in all.
pub fn held(store: &dyn Store) -> usize {
    all(store, &Query::new(Scope::All)).len()
}

/// Every run of the store.
pub fn every_run() -> RunQuery {
    RunQuery::new(Scope::All)
}

/// Fails unless the result is this error.
#[macro_export]
#[doc(hidden)]
macro_rules! refused {
    ($result:expr, $error:pat) => {
        match $result {
            Err($error) => {}
            other => panic!("should be {}, is {other:?}", stringify!($error)),
        }
    };
}

/// Fails unless the scope is unknown.
pub fn assert_unknown<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    crate::refused!(result, StoreError::UnknownRun { .. });
}

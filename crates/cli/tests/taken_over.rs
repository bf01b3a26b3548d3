//! A service whose writer was killed and that another goes on with, as the commands show it.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod common;

use std::collections::BTreeMap;

use common::Logboom;
use logboom_boom::{NewRecord, Options, RunSlot, Writer};
use logboom_files::{
    DataDir, Session,
    session::{Counts, Durable, Meta, NewSession, RunMeta, ended, started},
};
use logboom_record::{Flags, Kind, Level, Outcome, RunId, Stream, Time};
use serde_json::{Value, json};

const RUN: RunId = RunId::from_bytes([7; 16]);

/// A session with a service that has no writer yet.
fn session(logboom: &Logboom) -> Session {
    let now = Time::now();
    let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: true, user: None, now };
    let session = Session::create(&DataDir::at(logboom.data()), new).unwrap();
    let (_, text) = session.claim_named("web").unwrap();
    let run = started(RUN, Kind::Service, "web".into(), now);
    session.add_run(RunMeta { text: Some(text), ..RunMeta::new(run) }).unwrap();
    session
}

/// A writer whose boom file the metadata name.
fn writer(session: &Session, first_seq: u64) -> (Writer, RunSlot) {
    let mut writer = Writer::create_in(session.dir(), "records", Options::default()).unwrap();
    let slot = writer.run(RUN, Kind::Service, first_seq).unwrap();
    let name = writer.path().file_name().unwrap().to_str().unwrap().to_owned();
    let name_boom = |meta: &mut Meta| {
        meta.runs[0].boom = Some(name);
        Ok(())
    };
    session.update(Durable::Soon, name_boom).unwrap();
    (writer, slot)
}

fn push((writer, slot): &mut (Writer, RunSlot), message: &str) {
    let (time, stream, level, flags) = (Time::now(), Stream::Stdout, Level::Info, Flags::NONE);
    let message = message.as_bytes();
    let record = NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields: None };
    writer.push(*slot, &record).unwrap();
    writer.flush().unwrap();
}

fn verify(logboom: &Logboom, code: i32) -> Value {
    serde_json::from_slice(&logboom.run(["verify", "--json"]).expect(code).stdout).unwrap()
}

fn shown(logboom: &Logboom) -> Vec<String> {
    logboom.run(["show", "--raw"]).expect(0).lines()
}

#[test]
fn nothing_is_missing_where_another_writer_goes_on() {
    let logboom = Logboom::new();
    let session = session(&logboom);
    let mut first = writer(&session, 1);
    push(&mut first, "one");
    drop(first);
    let open = json!([{"run": RUN, "from": 2, "to": null, "why": "writer was killed"}]);
    assert_eq!(verify(&logboom, 1)["gaps"], open);
    let second = writer(&session, 2);
    assert_eq!(verify(&logboom, 0)["gaps"], json!([]));
    assert_eq!(shown(&logboom), ["one"]);
    drop(second);
    assert_eq!(verify(&logboom, 1)["gaps"], open, "once, though two were killed");
    let mut third = writer(&session, 2);
    push(&mut third, "two");
    assert_eq!(verify(&logboom, 0)["gaps"], json!([]));
    let end = ended(Outcome::Passed, Time::now());
    third.0.end_run(third.1, &end);
    third.0.seal().unwrap();
    session.end_run(RUN, &end, Counts { records: 2, lines: 2, ..Counts::default() }).unwrap();
    session.end(&end).unwrap();
    let found = verify(&logboom, 0);
    assert_eq!((&found["records"], &found["lost"], &found["damaged"]), (&json!(2), &json!(0), &json!([])));
    assert_eq!(shown(&logboom), ["one", "two"]);
    logboom.run(["verify", "--repair"]).expect(0);
    let text = std::fs::read_to_string(session.dir().join("web.log")).unwrap();
    assert_eq!(text.lines().map(|line| &line[28..]).collect::<Vec<_>>(), ["O I one", "O I two"]);
}

#[test]
fn a_writer_that_was_killed_at_once_leaves_a_gap_behind_what_was_left_in_order() {
    let logboom = Logboom::new();
    let session = session(&logboom);
    let mut first = writer(&session, 1);
    push(&mut first, "one");
    first.0.seal().unwrap();
    drop(writer(&session, 2));
    let open = json!([{"run": RUN, "from": 2, "to": null, "why": "writer was killed"}]);
    assert_eq!(verify(&logboom, 1)["gaps"], open);
    let lines = logboom.run(["verify", "--repair"]).expect(1).lines();
    assert!(lines[0].contains("an unknown number lost"), "{lines:?}");
    let text = std::fs::read_to_string(session.dir().join("web.log")).unwrap();
    assert_eq!(
        text.lines().map(|line| &line[28..]).collect::<Vec<_>>(),
        ["O I one", "- W lost seq 2-: writer was killed"]
    );
}

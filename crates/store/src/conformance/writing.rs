//! What is stored, and what is refused.

use logboom_record::{Entry, FIELDS_BYTES_MAX, Flags, Gap, Level, RECORD_BYTES_MAX, Record, Run, Stream};

use super::sample::{
    all, assert_unknown, at, child, entries, every_run, gap, held, id, line, lines, part, passed, places, put, root,
    seqs, session, start_command,
};
use crate::{Depth, Order, Query, RunQuery, Scope, Store, StoreError, refused};

/// A batch that is sent again, whole or with more, is stored once.
pub fn retry_is_harmless(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=3));
    put(store, &lines(run, 1..=3));
    put(store, &lines(run, 2..=5));
    assert_eq!(all(store, &session(100)), entries(&lines(run, 1..=5)));
}

/// Nothing of a refused batch is stored.
pub fn batch_is_stored_whole_or_not_at_all(store: &dyn Store) {
    let run = start_command(store);
    let mut batch = entries(&lines(run, 1..=3));
    batch.push(Entry::Record(line(id(9), 1, "of a run nobody knows")));
    assert_unknown(store.append(&batch));
    assert_eq!(held(store), 0);
}

/// What is missing must be said to be.
pub fn hole_without_gap_is_refused(store: &dyn Store) {
    let run = start_command(store);
    refused!(store.append(&entries(&lines(run, 2..=3))), StoreError::Hole { expected: 1, found: 2, .. });
    put(store, &lines(run, 1..=3));
    refused!(store.append(&entries(&lines(run, 5..=5))), StoreError::Hole { expected: 4, found: 5, .. });
    assert_eq!(seqs(store, &session(100)), [1, 2, 3]);
}

/// A gap stands for what it says, and the run goes on after it.
pub fn gap_fills_a_hole(store: &dyn Store) {
    let run = start_command(store);
    let batch = [entries(&lines(run, 1..=2)), vec![gap(run, 3, 9)], entries(&lines(run, 10..=10))].concat();
    store.append(&batch).unwrap();
    store.append(&batch).unwrap();
    put(store, &lines(run, 5..=11));
    assert_eq!(all(store, &session(100)), [batch, entries(&lines(run, 11..=11))].concat());
}

/// Of a gap that reaches back into what is held only the rest is stored.
pub fn gap_that_is_held_in_part_is_cut(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=3));
    let Entry::Gap(whole) = gap(run, 2, 6) else { return };
    store.append(&[Entry::Gap(whole.clone())]).unwrap();
    assert_eq!(all(store, &session(100))[3], Entry::Gap(Gap { from: 4, ..whole }));
}

/// A gap without an end says nothing of what follows.
pub fn open_gap_is_refused(store: &dyn Store) {
    let run = start_command(store);
    let Entry::Gap(closed) = gap(run, 1, 2) else { return };
    refused!(store.append(&[Entry::Gap(Gap { to: None, ..closed })]), StoreError::OpenGap { .. });
}

/// A record may be as large as a record may be, and no larger.
pub fn too_large_is_refused(store: &dyn Store) {
    let run = start_command(store);
    let large = Record { message: vec![b'a'; RECORD_BYTES_MAX + 1], ..line(run, 2, "") };
    refused!(store.append(&entries(&[line(run, 1, "a"), large])), StoreError::TooLarge { seq: 2, .. });
    let broken = Record { fields: Some("{\n}".to_owned()), ..line(run, 1, "") };
    refused!(store.append(&entries(&[broken])), StoreError::TooLarge { seq: 1, .. });
    assert_eq!(held(store), 0);
}

/// Nothing is taken for, or told of, a run that was never started.
pub fn unknown_run_is_refused(store: &dyn Store) {
    assert_unknown(store.append(&[Entry::Record(line(id(7), 1, "x"))]));
    assert_unknown(store.end_run(id(7), &passed(9)));
    assert_unknown(store.start_run(&child(2, 7)));
    start_command(store);
    assert_unknown(store.page(&Query::new(Scope::Run(id(7))), None));
    assert_unknown(store.page(&Query::new(Scope::Session(id(2))), None));
    assert_unknown(store.runs(&RunQuery::new(Scope::Session(id(7)))));
}

/// After its end a run takes nothing new, but a retry is still harmless.
pub fn ended_run_refuses_more(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=2));
    store.end_run(run, &passed(5)).unwrap();
    refused!(store.append(&entries(&lines(run, 1..=3))), StoreError::RunEnded { .. });
    put(store, &lines(run, 1..=2));
    assert_eq!(seqs(store, &session(100)), [1, 2]);
}

/// An end is not changed by another one.
pub fn first_end_stays(store: &dyn Store) {
    let run = start_command(store);
    store.end_run(run, &passed(5)).unwrap();
    store.end_run(run, &logboom_record::RunEnd { exit_code: Some(3), ..passed(8) }).unwrap();
    let states = store.runs(&RunQuery::new(Scope::Run(run))).unwrap();
    assert_eq!(states[0].run.end, Some(passed(5)));
}

/// The same run can be started again, another one of its id cannot.
pub fn run_starts_once(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=2));
    store.start_run(&root(1)).unwrap();
    store.start_run(&child(2, 1)).unwrap();
    refused!(store.start_run(&Run { name: "other".to_owned(), ..child(2, 1) }), StoreError::RunExists { .. });
    assert_eq!(store.runs(&every_run()).unwrap().len(), 2);
    assert_eq!(seqs(store, &session(100)), [1, 2]);
}

/// A root that has ended gets no further runs.
pub fn session_that_ended_takes_no_runs(store: &dyn Store) {
    let run = start_command(store);
    store.end_run(run, &passed(5)).unwrap();
    store.end_run(id(1), &passed(6)).unwrap();
    refused!(store.start_run(&child(3, 1)), StoreError::RunEnded { .. });
    store.start_run(&child(2, 1)).unwrap();
}

/// Every message, flag, level, stream, field and time is given back as it came.
pub fn every_byte_comes_back(store: &dyn Store) {
    let run = start_command(store);
    let bytes: Vec<u8> = (0..=255).collect();
    let fields = format!("{{\"a\":\"{}\"}}", "x".repeat(FIELDS_BYTES_MAX - 8));
    let messages = [bytes, Vec::new(), b"\n\n".to_vec(), b"\r".to_vec(), vec![b'a'; RECORD_BYTES_MAX]];
    let plain = |(seq, message): (u64, Vec<u8>)| Record { message, ..line(run, seq, "") };
    let mut records: Vec<Record> = (1..).zip(messages).map(plain).collect();
    for bits in 0..8 {
        let seq = records.len() as u64 + 1;
        records.push(Record {
            flags: Flags::from_bits(bits).unwrap(),
            stream: Stream::ALL[usize::from(bits) % 3],
            level: Level::ALL[usize::from(bits) % 5],
            origin_time_ns: (bits > 4).then(|| i64::MAX - i64::from(bits)),
            fields: (bits > 2).then(|| if bits == 7 { fields.clone() } else { "{}".to_owned() }),
            ..line(run, seq, "flagged")
        });
    }
    put(store, &records);
    assert!(all(store, &session(100)) == entries(&records), "some record was changed");
}

/// Counts, levels, losses and ends are told for each run, in order of their start.
pub fn runs_tell_how_they_stand(store: &dyn Store) {
    let run = start_command(store);
    let error = Record { level: Level::Error, ..line(run, 2, "error: no") };
    store.append(&[entries(&[part(run, 1, "a"), error]), vec![gap(run, 3, 7)]].concat()).unwrap();
    store.end_run(run, &passed(50)).unwrap();
    store.start_run(&root(4)).unwrap();
    let states = store.runs(&every_run()).unwrap();
    assert_eq!(states.iter().map(|state| state.run.id).collect::<Vec<_>>(), [id(1), id(2), id(4)]);
    assert_eq!((states[1].records, states[1].lines, states[1].lost, states[1].lost_more), (2, 1, 5, false));
    assert_eq!(states[1].levels, [0, 0, 1, 0, 1]);
    assert_eq!(states[1].run, Run { end: Some(passed(50)), ..child(2, 1) });
    assert_eq!(states[0].run, root(1));
    let roots = RunQuery { depth: Depth::Roots, order: Order::Newest, runs_max: 1, ..every_run() };
    assert_eq!(store.runs(&roots).unwrap()[0].run.id, id(4));
    assert_eq!(store.runs(&RunQuery::new(Scope::Session(id(1)))).unwrap().len(), 2);
}

/// Records of several runs and sessions can come in one batch.
pub fn batch_may_mix_runs(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&root(5)).unwrap();
    let records = [line(run, 1, "a"), line(id(5), 1, "b"), line(id(1), 1, "c"), line(run, 2, "d"), line(id(5), 2, "e")];
    put(store, &records);
    let expected = [(id(1), 1), (run, 1), (id(5), 1), (run, 2), (id(5), 2)];
    assert_eq!(places(&all(store, &Query::new(Scope::All))), expected);
    assert_eq!(store.runs(&RunQuery::new(Scope::Run(run))).unwrap()[0].records, 2);
    assert_eq!(at(1), records[0].time);
}

//! What boom files tell where metadata and text logs do not.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use logboom_boom::{NewRecord, Options, RunSlot, Writer};
use logboom_files::{
    DataDir, Session,
    repair::{Repair, complete_to_go_on, repair},
    session::{Durable, NewSession, RunMeta, started},
    textlog::{TextBatch, TextWriter},
};
use logboom_record::{Flags, Gap, Kind, Level, Outcome, RunEnd, RunId, Stream, Time, text};

fn now() -> Time {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

fn end() -> RunEnd {
    RunEnd { ended_at: now(), outcome: Outcome::Failed, exit_code: Some(3), signal: None }
}

/// A session with one run that writes both text and boom.
struct Fixture {
    _dir: tempfile::TempDir,
    session: Session,
    run: RunId,
    slot: RunSlot,
    boom: Option<Writer>,
    text: TextWriter,
    /// What the text log should hold.
    lines: Vec<u8>,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open: false, user: None, now: now() };
        let run = RunId::new(now());
        let begin = |session: &Session, meta: &mut logboom_files::session::Meta| {
            let (text, name) = TextWriter::create(session, "make".as_ref())?;
            let mut boom = Writer::create_in(session.dir(), "records", Options::default())?;
            let slot = boom.run(run, Kind::Command, 1)?;
            meta.runs.push(RunMeta {
                text: Some(name),
                boom: Some("records.boom".into()),
                ..RunMeta::new(started(run, Kind::Command, "make".into(), now()))
            });
            Ok::<_, logboom_files::FilesError>((text, boom, slot))
        };
        let (session, (text, boom, slot)) = Session::create_with(&DataDir::at(dir.path()), new, begin).unwrap();
        Fixture { _dir: dir, session, run, slot, boom: Some(boom), text, lines: Vec::new() }
    }

    fn print(&mut self, count: u64) {
        let boom = self.boom.as_mut().unwrap();
        for number in 0..count {
            let message = format!("line {number}\nand more");
            let (time, stream, level) = (now(), Stream::Stdout, Level::Info);
            let (flags, message) = (Flags::NONE, message.as_bytes());
            let record = NewRecord { time, origin_time_ns: None, stream, level, flags, message, fields: None };
            boom.push(self.slot, &record).unwrap();
            text::Prefix::new(time).push(&mut self.lines, stream, level, flags, message);
        }
        boom.flush().unwrap();
    }

    /// Writes some of the lines to the text log.
    fn write_text(&mut self, lines: std::ops::Range<usize>) {
        let batch = TextBatch { lines: &self.lines[lines], seqs: 1..2, time: now() };
        self.text.append(&batch).unwrap();
    }

    fn seal(&mut self) {
        let mut boom = self.boom.take().unwrap();
        boom.end_run(self.slot, &end());
        boom.seal().unwrap();
    }

    /// Another writer goes on with the run, in a boom file of its own.
    fn go_on(&mut self) {
        let mut boom = Writer::create_in(self.session.dir(), "records", Options::default()).unwrap();
        self.slot = boom.run(self.run, Kind::Command, 11).unwrap();
        let name = boom.path().file_name().unwrap().to_str().unwrap().to_owned();
        let name_boom = |meta: &mut logboom_files::session::Meta| {
            meta.runs[0].boom = Some(name);
            Ok(())
        };
        self.session.update(Durable::Soon, name_boom).unwrap();
        self.boom = Some(boom);
    }

    fn push_open_gap(&mut self, from: u64) {
        let why = "writer was killed".to_owned();
        text::push_gap(&mut self.lines, &Gap { run: self.run, from, to: None, time: now(), why });
    }

    fn text(&self) -> String {
        fs::read_to_string(self.text_path()).unwrap()
    }

    fn want(&self) -> &str {
        std::str::from_utf8(&self.lines).unwrap()
    }

    fn repair(&self) -> Repair {
        let mut repaired = repair(&self.session, now());
        assert_eq!((repaired.len(), repaired[0].0), (1, self.run));
        repaired.remove(0).1.unwrap()
    }

    fn text_path(&self) -> PathBuf {
        self.session.dir().join("exec_make.log")
    }
}

#[test]
fn a_writer_is_running_killed_or_at_its_end() {
    let mut run = Fixture::new();
    assert_eq!(run.session.status(now()).outcome, Outcome::Running);
    run.print(3);
    drop(run.boom.take());
    let status = run.session.status(now());
    assert_eq!((status.outcome, status.outcomes[0]), (Outcome::Lost, Outcome::Lost));
    assert_eq!(status.meta.runs[0].counts.unwrap().records, 3);
}

#[test]
fn an_end_that_is_in_the_boom_file_alone_counts() {
    let mut run = Fixture::new();
    run.print(3);
    run.seal();
    assert_eq!(run.session.meta().unwrap().run.end, None);
    let status = run.session.status(now());
    assert_eq!((status.outcome, status.outcomes[0]), (Outcome::Failed, Outcome::Failed));
    assert_eq!((status.meta.run.end, status.last_seen), (Some(end()), now()));
    assert_eq!(status.meta.runs[0].counts.unwrap().lines, 3);
}

#[test]
fn a_session_without_metadata_is_told_by_its_files() {
    let mut run = Fixture::new();
    run.print(3);
    fs::write(run.session.dir().join("session.json"), "{").unwrap();
    let status = run.session.status(now());
    assert!(status.damage.is_some() && status.outcome == Outcome::Running);
    run.seal();
    let status = run.session.status(now());
    assert_eq!((status.outcome, status.meta.runs[0].run.id), (Outcome::Failed, run.run));
    assert_eq!(status.meta.runs[0].text.as_deref(), Some("exec_make.log"));
}

#[test]
fn a_session_that_is_just_being_made_is_not_damaged() {
    let mut run = Fixture::new();
    fs::remove_file(run.session.dir().join("session.json")).unwrap();
    let status = run.session.status(now());
    assert_eq!((status.damage, status.outcome), (None, Outcome::Running));
    drop(run.boom.take());
    assert!(run.session.status("2026-01-02T13:00:00Z".parse().unwrap()).damage.is_some());
}

#[test]
fn a_text_log_that_lags_leads_or_is_torn_is_completed() {
    let mut run = Fixture::new();
    run.print(2_000);
    run.seal();
    let whole = run.lines.clone();
    let longer = [&whole[..], b"2026-01-02T12:00:00.000000Z O I more\n"].concat();
    let other = whole.to_ascii_uppercase();
    for content in [&whole[..0], &whole[..40], &whole[..whole.len() - 1], &longer, &other] {
        fs::write(run.text_path(), content).unwrap();
        let want = Repair::Rewritten { bytes_before: content.len() as u64, bytes_after: whole.len() as u64 };
        assert_eq!(run.repair(), want);
        assert!(fs::read(run.text_path()).unwrap() == whole);
        assert_eq!(run.repair(), Repair::Whole);
    }
    fs::remove_file(run.text_path()).unwrap();
    assert!(matches!(run.repair(), Repair::Rewritten { bytes_before: 0, .. }));
    assert!(!run.session.dir().join("exec_make.log.tmp").exists());
}

#[test]
fn a_run_is_not_repaired_while_its_writer_lives() {
    let mut run = Fixture::new();
    run.print(10);
    run.write_text(0..100);
    assert_eq!(run.repair(), Repair::Live);
    assert_eq!(fs::metadata(run.text_path()).unwrap().len(), 100);
}

#[test]
fn a_killed_writer_leaves_a_gap_without_an_end_in_the_text_too() {
    let mut run = Fixture::new();
    run.print(10);
    drop(run.boom.take());
    assert!(matches!(run.repair(), Repair::Rewritten { .. }));
    run.push_open_gap(11);
    assert_eq!(run.text(), run.want());
    assert_eq!(run.repair(), Repair::Whole);
}

/// Goes on with a run in a further boom file, with one record; its writer lives.
fn go_on(run: &mut Fixture, seq: u64) -> Writer {
    let mut boom = Writer::create_in(run.session.dir(), "records", Options::default()).unwrap();
    let slot = boom.run(run.run, Kind::Command, seq).unwrap();
    let (stream, level, flags, message) = (Stream::Stdout, Level::Info, Flags::NONE, b"further");
    let record = NewRecord { time: now(), origin_time_ns: None, stream, level, flags, message, fields: None };
    boom.push(slot, &record).unwrap();
    boom.flush().unwrap();
    text::Prefix::new(now()).push(&mut run.lines, stream, level, flags, message);
    boom
}

#[test]
fn the_open_gap_is_behind_all_that_others_have_gone_on_with() {
    let mut run = Fixture::new();
    run.print(10);
    drop(run.boom.take());
    let boom = go_on(&mut run, 11);
    assert_eq!(run.repair(), Repair::Live);
    boom.seal().unwrap();
    drop(go_on(&mut run, 12));
    assert!(matches!(run.repair(), Repair::Rewritten { .. }));
    let why = "writer was killed".to_owned();
    text::push_gap(&mut run.lines, &Gap { run: run.run, from: 13, to: None, time: now(), why });
    assert_eq!(fs::read_to_string(run.text_path()).unwrap(), String::from_utf8(run.lines.clone()).unwrap());
}

#[test]
fn a_run_whose_doubt_a_sealed_file_has_gone_on_with_keeps_its_open_gap() {
    let mut run = Fixture::new();
    run.print(10);
    drop(run.boom.take());
    go_on(&mut run, 11).seal().unwrap();
    assert!(matches!(run.repair(), Repair::Rewritten { .. }));
    let text = fs::read_to_string(run.text_path()).unwrap();
    assert!(text.ends_with("lost seq 12-: writer was killed\n"), "{text}");
}

#[test]
fn a_text_log_may_be_the_only_copy_of_what_a_damaged_boom_file_lost() {
    let mut run = Fixture::new();
    run.print(2_000);
    run.seal();
    let path = run.session.dir().join("records.boom");
    let mut bytes = fs::read(&path).unwrap();
    bytes[2_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    run.write_text(0..100);
    assert_eq!(run.repair(), Repair::BoomDamaged);
    fs::write(&path, "").unwrap();
    assert_eq!(run.repair(), Repair::BoomDamaged);
    assert_eq!(fs::metadata(run.text_path()).unwrap().len(), 100);
}

#[test]
fn a_run_that_another_writer_goes_on_with_lacks_nothing_where_the_first_was_killed() {
    let mut run = Fixture::new();
    run.print(10);
    drop(run.boom.take());
    let entry = run.session.meta().unwrap().runs.remove(0);
    assert!(matches!(complete_to_go_on(&run.session, &entry).unwrap(), Repair::Rewritten { .. }));
    assert_eq!(run.text(), run.want());
    assert_eq!(complete_to_go_on(&run.session, &entry).unwrap(), Repair::Whole);
    run.go_on();
    assert_eq!(run.session.status(now()).outcomes, [Outcome::Running]);
    assert_eq!(run.repair(), Repair::Live);
    run.print(5);
    run.seal();
    let status = run.session.status(now());
    assert_eq!((status.outcome, status.meta.runs[0].counts.unwrap().records), (Outcome::Failed, 15));
    assert!(matches!(run.repair(), Repair::Rewritten { .. }));
    assert_eq!(run.text(), run.want());
}

#[test]
fn a_second_writer_that_was_killed_at_once_leaves_a_gap_behind_the_first_ones_records() {
    for first_is_sealed in [false, true] {
        let mut run = Fixture::new();
        run.print(10);
        let first = run.boom.take().unwrap();
        if first_is_sealed {
            first.seal().unwrap();
        } else {
            drop(first);
        }
        run.go_on();
        drop(run.boom.take());
        let status = run.session.status(now());
        assert_eq!((status.outcomes[0], status.meta.runs[0].counts.unwrap().records), (Outcome::Lost, 10));
        run.repair();
        run.push_open_gap(11);
        assert_eq!(run.text(), run.want());
    }
}

#[test]
fn without_metadata_a_run_in_two_boom_files_is_one() {
    let mut run = Fixture::new();
    run.print(10);
    drop(run.boom.take());
    run.go_on();
    run.print(5);
    fs::write(run.session.dir().join("session.json"), "{").unwrap();
    let status = run.session.status(now());
    assert_eq!(status.outcomes, [Outcome::Running]);
    assert_eq!(status.meta.runs[0].boom.as_deref(), Some("records.2.boom"));
    assert_eq!(status.meta.runs[0].counts.unwrap().records, 15);
}

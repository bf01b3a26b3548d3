//! The loggers of systems, job runs and tasks.
#![allow(unsafe_code)] // fork(2) is to be had from C alone.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use logboom::{CollectorSink, JsonLines, Level, Logger, Outcome, Sink, SinkError, Stream};
use logboom_record::{Entry, EntryRef, Gap, Kind, Run, RunEnd, RunId, Time};
use logboom_store::{Query, RunQuery, Store, StoreSink, mem::Mem};
use logboom_store_embedded::Embedded;

use crate::common::{again, collector, levels, messages, role};

fn log_a_day(logger: &Logger) {
    logger.system(Level::Info, "ready", &[("workers", 4_u32.into())]);
    let job = logger.job_run("nightly-7");
    job.log_job(Level::Info, "started", &[]);
    job.log_task("build", Level::Warn, "2 warnings", Stream::Stderr, &[("file", "a b.c".into())]);
    job.log_task("test", Level::Info, "ok", Stream::Stdout, &[]);
    job.end_task("build", Outcome::Failed);
    job.close(Outcome::TimedOut);
    let dropped = logger.job_run("hourly-1");
    dropped.log_job(Level::Debug, "dropped", &[]);
}

#[test]
fn runs_of_every_store_tell_who_belongs_to_whom() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn Store>; 2] = [Arc::new(Mem::default()), Arc::new(Embedded::open(dir.path()).unwrap())];
    for store in stores {
        let logger = Logger::new("scheduler", StoreSink(Arc::clone(&store))).unwrap();
        log_a_day(&logger);
        logger.flush().unwrap();
        drop(logger);
        let runs = store.runs(&RunQuery::new(logboom_store::Scope::All)).unwrap();
        let seen: Vec<_> =
            runs.iter().map(|state| (state.run.kind, state.run.external_id.as_deref(), state.run.outcome())).collect();
        assert_eq!(seen.len(), 5, "{seen:?}");
        for want in [
            (Kind::System, None, Outcome::Passed),
            (Kind::Job, Some("nightly-7"), Outcome::TimedOut),
            (Kind::Task, Some("build"), Outcome::Failed),
            (Kind::Task, Some("test"), Outcome::TimedOut),
            (Kind::Job, Some("hourly-1"), Outcome::Passed),
        ] {
            assert!(seen.contains(&want), "{want:?} in {seen:?}");
        }
        let page = store.page(&Query::new(logboom_store::Scope::All), None).unwrap();
        let records: Vec<_> = page
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Record(record) => {
                    Some((String::from_utf8_lossy(&record.message).into_owned(), record.stream, record.seq))
                }
                Entry::Gap(_) => None,
            })
            .collect();
        assert_eq!(records.len(), 5, "{records:?}");
        assert!(records.contains(&("2 warnings file=\"a b.c\"".to_owned(), Stream::Stderr, 1)), "{records:?}");
    }
}

/// Memory that the test can look at while it is written.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn json_lines_have_every_record_and_what_became_of_the_runs() {
    let output = Output::default();
    let logger = Logger::new("scheduler", JsonLines::new(output.clone())).unwrap();
    log_a_day(&logger);
    drop(logger);
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.contains("\"message\":")).count(), 5, "{text}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("{\"start\":")).count(), 5, "{text}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("{\"end\":")).count(), 5, "{text}");
    assert!(
        text.contains(r#""level":"warn","message":"2 warnings file=\"a b.c\"","fields":{"file":"a b.c"}"#),
        "{text}"
    );
}

#[test]
fn what_is_skipped_is_counted() {
    let output = Output::default();
    let logger = Logger::new("s", JsonLines::new(output.clone())).unwrap();
    for tick in 0..25 {
        logger.sample("tick", 10).log(Level::Debug, format_args!("tick {tick}"), &[]);
        logger.sample("all", 1).log(Level::Debug, "each", &[]);
    }
    drop(logger);
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    for want in [
        "\"tick 0\"",
        "\"tick 10 skipped=9\"",
        "\"tick 20 skipped=9\"",
        "\"sampled events were skipped key=tick skipped=4\"",
    ] {
        assert!(text.contains(want), "{want} in {text}");
    }
    assert_eq!((text.matches("\"tick ").count(), text.matches("\"each\"").count()), (3, 25));
}

/// Refuses records while it is told to.
struct Moody(Arc<AtomicBool>, StoreSink);

impl Sink for Moody {
    fn start_run(&self, run: &Run) -> Result<(), SinkError> {
        self.1.start_run(run)
    }
    fn append(&self, batch: &[Entry]) -> Result<(), SinkError> {
        if self.0.load(Ordering::Relaxed) { Err(SinkError("out of paper".into())) } else { self.1.append(batch) }
    }
    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), SinkError> {
        self.1.end_run(id, end)
    }
}

#[test]
fn what_the_sink_refuses_is_a_gap() {
    let (refuses, store): (_, Arc<dyn Store>) = (Arc::new(AtomicBool::new(false)), Arc::new(Mem::default()));
    let logger = Logger::new("s", Moody(Arc::clone(&refuses), StoreSink(Arc::clone(&store)))).unwrap();
    logger.system(Level::Info, "1", &[]);
    logger.flush().unwrap();
    refuses.store(true, Ordering::Relaxed);
    (2..5).for_each(|n| logger.system(Level::Info, n, &[]));
    let error = logger.flush().unwrap_err();
    assert!(error.to_string().contains("out of paper"), "{error}");
    refuses.store(false, Ordering::Relaxed);
    logger.system(Level::Info, "5", &[]);
    logger.flush().unwrap();
    assert_eq!(logger.lost(), 3);
    let page = store.page(&Query::new(logboom_store::Scope::All), None).unwrap();
    let seen: Vec<_> = page
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Record(record) => (record.seq, record.seq),
            Entry::Gap(gap) => (gap.from, gap.to.unwrap()),
        })
        .collect();
    assert_eq!(seen, [(1, 1), (2, 4), (5, 5)]);
}

/// Panics at the first record, once it may.
struct Panics(Mutex<std::sync::mpsc::Receiver<()>>);

impl Sink for Panics {
    fn start_run(&self, _: &Run) -> Result<(), SinkError> {
        Ok(())
    }
    fn append(&self, _: &[Entry]) -> Result<(), SinkError> {
        self.0.lock().unwrap().recv().unwrap();
        panic!("the printer is on fire")
    }
    fn end_run(&self, _: RunId, _: &RunEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_sink_that_panics_holds_nobody_up() {
    let (go, gone) = std::sync::mpsc::channel();
    let logger = Logger::new("s", Panics(Mutex::new(gone))).unwrap();
    logger.system(Level::Info, "0", &[]);
    go.send(()).unwrap();
    logger.flush().unwrap_err();
    let long = "x".repeat(100 << 10);
    (0..100).for_each(|_| logger.system(Level::Info, &long, &[]));
    let job = logger.job_run("j");
    job.log_task("t", Level::Info, "1", Stream::Stdout, &[]);
    job.close(Outcome::Passed);
    let error = logger.flush().unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    assert_eq!(logger.lost(), 102);
}

#[test]
fn a_fork_has_no_part_in_the_loggers() {
    let test = "loggers::a_fork_has_no_part_in_the_loggers";
    if role().is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(again(test, "forks", dir.path()).status().unwrap().success());
        return;
    }
    let output = Output::default();
    let logger = Logger::new("s", JsonLines::new(output.clone())).unwrap();
    let job = logger.job_run("j");
    logger.flush().unwrap();
    // SAFETY: the child only uses what is promised to work there, and ends by _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        logger.system(Level::Info, "child", &[]);
        job.log_task("t", Level::Info, "child", Stream::Stdout, &[]);
        logger.sample("k", 2).log(Level::Info, "child", &[]);
        let done = logger.flush().is_err() && logger.lost() == 3;
        job.close(Outcome::Passed);
        drop(logger);
        // SAFETY: ends the child at once, as a fork of a program with threads should.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
    logger.system(Level::Info, "parent", &[]);
    drop(job);
    drop(logger);
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("parent") && !text.contains("child"), "{text}");
}

/// What a sink was given, and what it refuses.
#[derive(Default)]
struct Seen {
    refused_starts: Vec<&'static str>,
    refused_records: Vec<&'static str>,
    names: std::collections::BTreeMap<RunId, String>,
    taken: Vec<String>,
}

/// Refuses the runs of some names, and batches with a record of some names.
#[derive(Clone, Default)]
struct Picky(Arc<Mutex<Seen>>);

impl Picky {
    fn set(&self, refused_starts: &[&'static str], refused_records: &[&'static str]) {
        let mut seen = self.0.lock().unwrap();
        (seen.refused_starts, seen.refused_records) = (refused_starts.to_vec(), refused_records.to_vec());
    }

    fn taken(&self) -> Vec<String> {
        self.0.lock().unwrap().taken.clone()
    }
}

impl Sink for Picky {
    fn start_run(&self, run: &Run) -> Result<(), SinkError> {
        let mut seen = self.0.lock().unwrap();
        if seen.refused_starts.contains(&run.name.as_str()) {
            return Err(SinkError("no such run".into()));
        }
        if let Some(parent) = run.parent {
            assert!(seen.names.contains_key(&parent), "{} starts before its parent", run.name);
        }
        seen.names.insert(run.id, run.name.clone());
        seen.taken.push(format!("start {}", run.name));
        Ok(())
    }
    fn append(&self, batch: &[Entry]) -> Result<(), SinkError> {
        let mut seen = self.0.lock().unwrap();
        let known =
            |entry: &Entry| seen.names.get(&entry.run()).is_some_and(|name| !seen.refused_records.contains(&&**name));
        if !batch.iter().all(known) {
            return Err(SinkError("not these records".into()));
        }
        for entry in batch {
            let name = seen.names[&entry.run()].clone();
            seen.taken.push(match entry {
                Entry::Record(record) => format!("{name} {}", record.seq),
                Entry::Gap(gap) => format!("{name} lost {}-{}", gap.from, gap.to.unwrap()),
            });
        }
        Ok(())
    }
    fn end_run(&self, id: RunId, _: &RunEnd) -> Result<(), SinkError> {
        let mut seen = self.0.lock().unwrap();
        let name = seen.names[&id].clone();
        seen.taken.push(format!("end {name}"));
        Ok(())
    }
}

#[test]
fn a_run_that_was_refused_is_offered_again_and_others_lose_nothing() {
    let sink = Picky::default();
    let logger = Logger::new("s", sink.clone()).unwrap();
    sink.set(&["j"], &[]);
    let job = logger.job_run("j");
    job.log_task("t", Level::Info, "lost", Stream::Stdout, &[]);
    logger.system(Level::Info, "kept", &[]);
    job.log_job(Level::Info, "lost", &[]);
    logger.flush().unwrap_err();
    assert_eq!((sink.taken(), logger.lost()), (["start s", "s 1"].map(String::from).into(), 2));
    sink.set(&[], &[]);
    job.log_task("t", Level::Info, "kept", Stream::Stdout, &[]);
    job.close(Outcome::Passed);
    logger.flush().unwrap();
    let mut want = vec!["start s", "s 1", "start j", "j lost 1-1", "start t", "t lost 1-1", "t 2", "end t", "end j"];
    let mut taken = sink.taken();
    assert_eq!((taken[0].as_str(), taken[1].as_str()), ("start s", "s 1"));
    taken.sort();
    want.sort_unstable();
    assert_eq!(taken, want);
}

#[test]
fn of_a_batch_that_is_refused_only_the_run_concerned_loses() {
    let sink = Picky::default();
    let logger = Logger::new("s", sink.clone()).unwrap();
    let (bad, good) = (logger.job_run("bad"), logger.job_run("good"));
    logger.flush().unwrap();
    sink.set(&[], &["bad"]);
    // However they fall into batches.
    for _ in 0..50 {
        bad.log_job(Level::Info, "x", &[]);
        good.log_job(Level::Info, "x", &[]);
    }
    logger.flush().unwrap_err();
    assert_eq!((logger.lost(), sink.taken().iter().filter(|line| line.starts_with("good ")).count()), (50, 50));
    // Its gap is refused at its end, and not tried again for ever.
    bad.close(Outcome::Passed);
    logger.flush().unwrap_err();
    logger.system(Level::Info, "x", &[]);
    logger.flush().unwrap();
    assert_eq!(logger.lost(), 50);
}

/// Takes nothing until it may.
struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>, Arc<std::sync::atomic::AtomicUsize>);

impl Sink for Stuck {
    fn start_run(&self, run: &Run) -> Result<(), SinkError> {
        if run.kind == Kind::Job {
            self.1.fetch_add(1, Ordering::Relaxed);
            // An error is the end of what holds it up.
            let _ = self.0.lock().unwrap().recv();
        }
        Ok(())
    }
    fn append(&self, _: &[Entry]) -> Result<(), SinkError> {
        Ok(())
    }
    fn end_run(&self, _: RunId, _: &RunEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn runs_that_start_and_end_wait_for_a_sink_that_is_stuck() {
    let (go, gone) = std::sync::mpsc::channel();
    let started = Arc::default();
    let logger = Logger::new("s", Stuck(Mutex::new(gone), Arc::clone(&started))).unwrap();
    // 64 MiB of names, of which 4 MiB wait.
    let (name, (made, makes)) = ("x".repeat(1 << 20), std::sync::mpsc::channel());
    let thread = std::thread::spawn(move || {
        for at in 0..64 {
            drop(logger.job_run(&name));
            made.send(at).unwrap();
        }
    });
    let mut count = 0;
    // Until it is held up; were it not, it would come to the end while the sink has not gone on.
    while count < 20 && makes.recv_timeout(std::time::Duration::from_secs(1)).is_ok() {
        count += 1;
    }
    assert!(count < 20, "nothing holds it up");
    assert!(started.load(Ordering::Relaxed) <= 1);
    drop(go);
    thread.join().unwrap();
    assert_eq!(started.load(Ordering::Relaxed), 64);
}

/// Takes some bytes, then an error, then everything.
struct Torn(Output, usize);

impl std::io::Write for Torn {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.1 {
            0 => {
                self.1 = usize::MAX;
                Err(std::io::ErrorKind::StorageFull.into())
            }
            left => {
                let taken = left.min(bytes.len());
                self.1 = if left == usize::MAX { left } else { left - taken };
                self.0.write(&bytes[..taken])
            }
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_torn_line_is_ended_before_the_next() {
    let output = Output::default();
    let start = {
        let whole = Output::default();
        drop(Logger::new("s", JsonLines::new(whole.clone())).unwrap());
        let text = String::from_utf8(whole.0.lock().unwrap().clone()).unwrap();
        text.find('\n').unwrap() + 1
    };
    let logger = Logger::new("s", JsonLines::new(Torn(output.clone(), start + 20))).unwrap();
    logger.system(Level::Info, "1", &[]);
    logger.system(Level::Info, "2", &[]);
    drop(logger);
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1].len(), 20, "{text}");
    assert!(lines[2..].iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{text}");
    assert!(text.ends_with('\n') && lines[2..].iter().any(|line| line.contains("\"message\":\"2\"")), "{text}");
}

#[test]
fn a_collector_has_the_lines_of_runs_by_their_names() {
    let (_dir, collector) = collector();
    let sink = Arc::new(CollectorSink::new(collector.clone()));
    let logger = Logger::new("scheduler", CollectorSink::new(collector.clone())).unwrap();
    log_a_day(&logger);
    drop(logger);
    let run = logboom_files::session::started(RunId::new(Time::now()), Kind::Job, "torn".to_owned(), Time::now());
    sink.start_run(&run).unwrap();
    let gap = Gap { run: run.id, from: 2, to: Some(4), time: Time::now(), why: "out of paper".to_owned() };
    sink.append(&[Entry::Gap(gap)]).unwrap();
    collector.flush().unwrap();
    let want = [
        "system scheduler started",
        "[scheduler] ready workers=4",
        "job nightly-7 started",
        "[nightly-7] started",
        "task build started",
        "[build] 2 warnings file=\"a b.c\"",
        "task test started",
        "[test] ok",
        "task build failed",
        "task test timed_out",
        "job nightly-7 timed_out",
        "job hourly-1 started",
        "[hourly-1] dropped",
        "job hourly-1 passed",
        "system scheduler passed",
        "job torn started",
        "lost seq 2-4 of torn: out of paper",
    ];
    assert_eq!(messages(&collector.path()), want);
    assert_eq!(levels(&collector.path()), "IIIIIWIIIIIIDIIIW");
    let boom = collector.dir().join("records.boom");
    drop((sink, collector));
    let reader = logboom_boom::reader::Reader::open(&boom).unwrap();
    let mut block = reader.read(0).unwrap();
    let fields: Vec<_> = block
        .records()
        .unwrap()
        .entries()
        .filter_map(|entry| match entry {
            EntryRef::Record(record) => record.fields.map(str::to_owned),
            EntryRef::Gap(_) => None,
        })
        .collect();
    assert_eq!(fields, [r#"{"workers":4}"#, r#"{"file":"a b.c"}"#]);
}

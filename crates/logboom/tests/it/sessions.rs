//! Session files: what is logged goes to the one that is current.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use logboom::{CollectorError, Level, LogCollector};
use logboom_files::Session;
use logboom_record::{Kind, Outcome, Time};

use crate::common::{collector, levels, messages};

#[test]
fn nothing_that_is_logged_early_is_lost() {
    let (_dir, collector) = collector();
    collector.log_str("early");
    let first = collector.path();
    assert_eq!(first.file_name().unwrap(), "collector.log");
    collector.flush().unwrap();
    assert_eq!(messages(&first), ["early"]);
}

#[test]
fn a_switch_divides_what_was_logged() {
    let (_dir, collector) = collector();
    let mut paths = vec![collector.path()];
    for file in 0..50 {
        (0..100).for_each(|line| collector.log_at(Level::Info, format_args!("{file} {line}")));
        paths.push(collector.start_new_session_blocking("a.log").unwrap());
    }
    drop(collector);
    for (file, path) in paths[..50].iter().enumerate() {
        let want: Vec<String> = (0..100).map(|line| format!("{file} {line}")).collect();
        assert_eq!(messages(path), want, "{path:?}");
    }
    assert_eq!(messages(&paths[50]), [""; 0]);
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names[..4], ["collector.log", "a.log", "a.2.log", "a.3.log"]);
}

#[test]
fn every_thread_sees_the_switch_that_it_knows_of() {
    let (_dir, collector) = collector();
    let current = Mutex::new(0);
    let over = AtomicBool::new(false);
    let mut paths = vec![collector.path()];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (collector, current, over) = (&collector, &current, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let known = current.lock().unwrap();
                    collector.log_at(Level::Debug, format_args!("{} {thread}", *known));
                    drop(known);
                }
            });
        }
        for number in 1..200 {
            let mut known = current.lock().unwrap();
            paths.push(collector.start_new_session_blocking("rapid").unwrap());
            *known = number;
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(collector);
    for (number, path) in paths.iter().enumerate() {
        let strays: Vec<_> =
            messages(path).into_iter().filter(|line| !line.starts_with(&format!("{number} "))).collect();
        assert_eq!(strays, [""; 0], "{path:?}");
    }
}

#[test]
fn a_switch_does_not_wait_for_what_has_yet_to_be_written() {
    let (entered, waits) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let dir = tempfile::tempdir().unwrap();
    let stuck = logboom::Live::new(move |_| {
        entered.send(()).unwrap();
        gone.recv().is_ok()
    });
    let collector = LogCollector::new(dir.path(), stuck).unwrap();
    let first = collector.path();
    collector.log_str("the writer is stuck with this one");
    waits.recv().unwrap();
    collector.log_str("and this one waits behind it");
    let second = collector.start_new_session_blocking("b").unwrap();
    collector.log_str("new");
    drop(go);
    drop(collector);
    assert_eq!(messages(&first), ["the writer is stuck with this one", "and this one waits behind it"]);
    assert_eq!(messages(&second), ["new"]);
}

#[test]
fn any_name_becomes_a_file_of_the_session() {
    let (_dir, collector) = collector();
    let long = "x".repeat(300);
    for name in
        ["../../../tmp/x", "/etc/passwd", "..", "", "a\0b", "records.boom", "session.json", long.as_str(), "ü\n"]
    {
        let path = collector.start_new_session_blocking(name).unwrap();
        assert_eq!(path.parent(), Some(collector.dir()), "{name:?}");
        collector.log_str(name);
        collector.flush().unwrap();
        assert_eq!(messages(&path).first().map(String::as_str), Some(name.lines().next().unwrap_or("")), "{name:?}");
    }
    assert!(collector.dir().join("session.json").is_file());
}

#[test]
fn where_no_file_can_be_made_everything_stays_as_it_was() {
    let (_dir, collector) = collector();
    let before = collector.path();
    let (dir, away) = (collector.dir().to_owned(), collector.dir().with_extension("away"));
    fs::rename(&dir, &away).unwrap();
    let error = collector.start_new_session_blocking("b").unwrap_err();
    assert!(matches!(error, CollectorError::Files(_)), "{error}");
    assert!(error.to_string().contains("b.log"), "{error}");
    fs::rename(&away, &dir).unwrap();
    collector.log_str("still there");
    collector.flush().unwrap();
    assert_eq!(messages(&before), ["still there"]);
}

#[test]
fn a_session_tells_its_files_as_runs_of_a_collector() {
    let (dir, collector) = collector();
    collector.log_at(Level::Error, "one");
    collector.start_new_session_blocking("second").unwrap();
    collector.log_at(Level::Warn, "two\nlines");
    collector.log_str("WARN: three");
    collector.flush().unwrap();
    assert_eq!(levels(&collector.dir().join("collector.log")), "E");
    let session = Session::open(collector.dir()).unwrap();
    let status = session.status(Time::now());
    assert_eq!(status.outcome, Outcome::Running);
    drop(collector);
    let status = session.status(Time::now());
    assert_eq!((status.outcome, status.damage), (Outcome::Passed, None));
    let [first, second] = &status.meta.runs[..] else { panic!("{:?}", status.meta.runs) };
    assert_eq!((first.run.kind, first.run.name.as_str()), (Kind::Collector, "collector.log"));
    assert_eq!((second.run.name.as_str(), second.text.as_deref()), ("second", Some("second.log")));
    let (one, two) = (first.counts.unwrap(), second.counts.unwrap());
    assert_eq!((one.records, one.lines, one.errors, one.lost), (1, 1, 1, 0));
    assert_eq!((two.records, two.lines, two.warnings, two.lost), (2, 2, 2, 0));
    assert_eq!(levels(&session.dir().join("second.log")), "WWW");
    let events = fs::read_to_string(session.dir().join("timeline.jsonl")).unwrap();
    let names = ["start", "registered", "start", "session_switched", "flushed", "end", "unregistered"];
    let seen: Vec<_> = events.lines().filter_map(|line| line.split("\"event\":\"").nth(1)?.split('"').next()).collect();
    assert_eq!(seen, names);
    drop(dir);
}

#[test]
fn the_last_lines_are_those_logged_last() {
    let (_dir, collector) = collector();
    (0..5_000).for_each(|line| collector.log_at(Level::Info, line));
    let last = collector.last_lines(3).unwrap();
    assert_eq!(last.iter().map(|line| &line[32..]).collect::<Vec<_>>(), ["4997", "4998", "4999"]);
    assert_eq!(collector.last_lines(0).unwrap(), [""; 0]);
    collector.log_with_progress(Level::Info, "copying", 3, 10);
    assert!(collector.last_lines(1).unwrap()[0].ends_with(" S I copying [3/10, 30 %]"));
}

#[test]
fn a_collector_in_a_captured_run_adds_to_its_session() {
    let test = "sessions::a_collector_in_a_captured_run_adds_to_its_session";
    if let Some((_, dir)) = crate::common::role() {
        let collector = LogCollector::builder(dir.join("unused")).build().unwrap();
        collector.log_str("from the child");
        return;
    }
    let (dir, outer) = collector();
    let mut child = crate::common::again(test, "child", dir.path());
    child.env("LOGBOOM_DIR", dir.path()).env("LOGBOOM_SESSION", outer.session_id().as_str());
    assert!(child.status().unwrap().success());
    assert!(!dir.path().join("unused").exists());
    assert_eq!(messages(&outer.dir().join("collector.2.log")), ["from the child"]);
    let session = Session::open(outer.dir()).unwrap();
    assert_eq!(session.status(Time::now()).outcome, Outcome::Running, "the outer collector goes on");
    outer.log_str("going on");
    outer.flush().unwrap();
}

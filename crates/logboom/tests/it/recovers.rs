//! What recovery does where a session cannot take what is in its rings as it comes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::{fs::MetadataExt, process::ExitStatusExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, SystemTime},
};

use logboom::{Live, LogCollector, OnFull};
use logboom_files::{
    DataDir, Session,
    session::{Counts, NewSession, RunMeta, hold_lock, started},
    textlog::TextWriter,
};
use logboom_record::{Kind, Outcome, RunId, Time};
use logboom_ring::recover::DeadRings;

use crate::{
    common::{again, messages, role},
    small_disk::SmallDisk,
};

fn only_session(dir: &Path) -> Session {
    let path = fs::read_dir(dir.join("sessions")).unwrap().next().unwrap().unwrap().path();
    Session::open(&path).unwrap()
}

/// A live consumer that holds the writer at the first record for ever.
fn stuck() -> Live {
    Live::new(|_| {
        loop {
            std::thread::park();
        }
    })
}

const THREADS: u64 = 40;
const RECORDS: u64 = 20;

/// Ends with 8 MB of what cannot be compressed in rings.
fn leave_much(dir: &Path) -> ! {
    let collector = LogCollector::builder(dir).live(stuck()).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let collector = &collector;
            scope.spawn(move || {
                let mut random = 88_172_645_463_325_252 ^ thread;
                for _ in 0..RECORDS {
                    let bytes = (0..10_000).map(|_| {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        char::from(b'!' + (random % 90) as u8)
                    });
                    collector.log_str(&bytes.collect::<String>());
                }
            });
        }
    });
    std::process::abort()
}

fn blocks(dir: &Path) -> u64 {
    // A file may have another name by now.
    fs::read_dir(dir).unwrap().flatten().filter_map(|entry| Some(entry.metadata().ok()?.blocks())).sum()
}

#[test]
fn what_a_disk_refuses_for_a_moment_stays_in_the_rings() {
    let test = "recovers::what_a_disk_refuses_for_a_moment_stays_in_the_rings";
    if let Some((_, dir)) = role() {
        leave_much(&dir);
    }
    let disk = SmallDisk::new("64m");
    assert_eq!(again(test, "leave", disk.path()).status().unwrap().signal(), Some(libc::SIGABRT));
    let left = only_session(disk.path()).dir().to_owned();
    for room in (1..=8).map(|part| part << 18) {
        let copy = disk.path().join("copy");
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(&left).unwrap().flatten() {
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        let session = Session::open(&copy).unwrap();
        disk.fill_but(room);
        let before = blocks(&copy);
        std::thread::scope(|scope| {
            let recovery = scope.spawn(|| logboom::recover(&session));
            while blocks(&copy) < before + room / 512 && !recovery.is_finished() {
                std::hint::spin_loop();
            }
            disk.make_room();
            drop(recovery.join().unwrap()); // which of the two was first is not known
        });
        logboom::recover(&session).unwrap();
        let counts = session.meta().unwrap().runs.remove(0).counts.unwrap();
        let Counts { records, lost, .. } = counts;
        assert_eq!((records, lost), (THREADS * RECORDS, 0), "{room}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

/// A session of two collectors that were killed with three records each in their rings.
fn two_left(test: &str, dir: &Path) -> Session {
    let session = around(dir, true);
    let mut children: Vec<Child> = (0..2)
        .map(|_| {
            let mut child = within(test, "leave", dir, &session).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.map_while(Result::ok).any(|line| line.contains("READY")));
            child
        })
        .collect();
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    session
}

fn leave_three(dir: &Path) -> ! {
    let collector = LogCollector::builder(dir).text_only().live(stuck()).build().unwrap();
    (1..=3).for_each(|number| collector.log_str(&number.to_string()));
    println!("READY");
    loop {
        std::thread::park();
    }
}

fn around(dir: &Path, open: bool) -> Session {
    let new = NewSession { name: "x".into(), labels: BTreeMap::new(), open, user: None, now: Time::now() };
    Session::create(&DataDir::at(dir), new).unwrap()
}

/// This test again, as part of a captured run.
fn within(test: &str, role: &str, dir: &Path, session: &Session) -> Command {
    let mut command = again(test, role, dir);
    command.env("LOGBOOM_DIR", dir).env("LOGBOOM_SESSION", session.id().as_str());
    command
}

#[test]
fn a_text_log_that_is_gone_keeps_no_other_rings_from_being_recovered() {
    let test = "recovers::a_text_log_that_is_gone_keeps_no_other_rings_from_being_recovered";
    if let Some((_, dir)) = role() {
        leave_three(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let session = two_left(test, dir.path());
    fs::remove_file(session.dir().join("collector.2.log")).unwrap();
    let error = logboom::recover(&session).unwrap_err();
    assert!(error.to_string().contains("collector.2.log"), "{error}");
    assert_eq!(messages(&session.dir().join("collector.log")), ["1", "2", "3"]);
    assert_eq!(logboom_ring::rest::files_in(session.dir()), [session.dir().join("collector.2.log.ring")]);
}

#[test]
fn the_rings_of_a_text_log_that_is_gone_go_into_no_other() {
    let test = "recovers::the_rings_of_a_text_log_that_is_gone_go_into_no_other";
    if let Some((_, dir)) = role() {
        leave_three(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let session = two_left(test, dir.path());
    fs::remove_file(session.dir().join("collector.log")).unwrap();
    let (file, name) = session.claim_named("collector").unwrap();
    assert_eq!(name, "collector.3.log");
    // Also where its name was taken by other means.
    fs::rename(session.dir().join(name), session.dir().join("collector.log")).unwrap();
    TextWriter::new(file.try_clone().unwrap(), &session.dir().join("collector.log")).hold_lock().unwrap();
    assert!(logboom::recover(&session).is_err());
    assert_eq!(messages(&session.dir().join("collector.log")), [""; 0]);
    drop(file);
}

#[test]
fn a_collector_whose_session_ends_by_its_recovery_has_one_of_its_own() {
    let test = "recovers::a_collector_whose_session_ends_by_its_recovery_has_one_of_its_own";
    if let Some((role, dir)) = role() {
        let collector = LogCollector::builder(&dir).build().unwrap();
        collector.log_str(&role);
        collector.flush().unwrap();
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    let session = around(dir.path(), false);
    // The command of a `logboom run` that was killed.
    let run = started(RunId::new(Time::now()), Kind::Command, "sh".into(), Time::now());
    session.add_run(RunMeta::new(run)).unwrap();
    for role in ["first", "second"] {
        within(test, role, dir.path(), &session).status().unwrap();
    }
    assert_eq!(messages(&session.dir().join("collector.log")), ["first"]);
    assert_eq!(session.meta().unwrap().run.outcome(), Outcome::Lost);
    let sessions = fs::read_dir(dir.path().join("sessions")).unwrap().map(|entry| entry.unwrap().path());
    let others: Vec<_> = sessions.filter(|path| path != session.dir()).collect();
    assert_eq!(others.len(), 1, "{others:?}");
    assert_eq!(messages(&others[0].join("collector.log")), ["second"]);
}

#[test]
fn what_was_dropped_is_in_one_gap_though_the_text_log_is_gone() {
    const LAST: u64 = 5_000;
    let test = "recovers::what_was_dropped_is_in_one_gap_though_the_text_log_is_gone";
    if let Some((role, dir)) = role() {
        let (entered, waits) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let held = Live::new(move |_| entered.send(()).is_err() || gone.recv().is_ok());
        let collector = LogCollector::builder(&dir).on_full(OnFull::Drop).live(held).build().unwrap();
        collector.log_str("1");
        waits.recv().unwrap();
        if role == "gone" {
            fs::remove_file(collector.path()).unwrap();
        }
        (2..=LAST).for_each(|number| collector.log_str(&format!("{number} {}", "x".repeat(1_000))));
        drop((go, waits));
        let _ = collector.last_lines(1); // which is not there where the file is gone
        std::process::abort()
    }
    for role in ["there", "gone"] {
        let dir = tempfile::tempdir().unwrap();
        again(test, role, dir.path()).status().unwrap();
        let session = only_session(dir.path());
        logboom::recover(&session).unwrap();
        let Counts { records, lost, .. } = session.meta().unwrap().runs.remove(0).counts.unwrap();
        assert!(lost > 0 && records + lost == LAST, "{role}: {records} + {lost}");
    }
}

#[test]
fn what_went_by_the_queue_and_is_written_leaves_no_doubt() {
    let test = "recovers::what_went_by_the_queue_and_is_written_leaves_no_doubt";
    if let Some((_, dir)) = role() {
        let collector = LogCollector::builder(&dir).on_full(OnFull::Drop).text_only().build().unwrap();
        collector.log_str(&"x".repeat(300_000));
        collector.last_lines(1).unwrap();
        std::process::abort()
    }
    let dir = tempfile::tempdir().unwrap();
    again(test, "log", dir.path()).status().unwrap();
    let session = only_session(dir.path());
    logboom::recover(&session).unwrap();
    assert_eq!(session.meta().unwrap().runs.remove(0).counts.map(|counts| counts.records), Some(1));
}

#[test]
fn a_call_waits_until_its_record_is_written_where_there_can_be_no_rings() {
    let test = "recovers::a_call_waits_until_its_record_is_written_where_there_can_be_no_rings";
    if let Some((_, dir)) = role() {
        let collector = LogCollector::builder(&dir).text_only().build().unwrap();
        assert!(logboom_ring::rest::files_in(collector.dir()).is_empty());
        for number in 1..=100 {
            collector.log_str("waited for");
            assert_eq!(messages(&collector.path()).len(), number);
        }
        std::process::exit(0);
    }
    let dir = tempfile::tempdir().unwrap();
    let again = again(test, "log", dir.path());
    // No file may have the two MiB of a ring file.
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""]).arg(again.get_program());
    limited.args(again.get_args()).stdout(Stdio::null());
    limited.envs(again.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(limited.status().unwrap().success());
}

#[test]
fn a_run_that_was_never_noted_has_the_name_that_its_program_gave_it() {
    let test = "recovers::a_run_that_was_never_noted_has_the_name_that_its_program_gave_it";
    if let Some((_, dir)) = role() {
        let collector = LogCollector::builder(&dir).text_only().live(stuck()).build().unwrap();
        collector.log_str("the writer is stuck with this one");
        collector.start_new_session_blocking("log in: ä/b").unwrap();
        collector.log_str("one");
        std::process::abort()
    }
    let dir = tempfile::tempdir().unwrap();
    again(test, "log", dir.path()).status().unwrap();
    let session = only_session(dir.path());
    logboom::recover(&session).unwrap();
    let runs = session.meta().unwrap().runs;
    assert_eq!(runs.iter().map(|run| &run.run.name[..]).collect::<Vec<_>>(), ["collector.log", "log in: ä/b"]);
}

#[test]
fn what_a_kill_left_of_a_ring_file_that_was_being_made_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let session = around(dir.path(), true);
    let make = |name: &str| File::create(session.dir().join(name)).unwrap();
    let (left, live) = (".collector.log.ring.1-0123456789abcdef", ".collector.log.ring.2-0123456789abcdef");
    let (new, other) = (".collector.log.ring.3-0123456789abcdef", ".collector.log.ring.mine");
    let long_ago = SystemTime::now() - Duration::from_secs(120);
    [left, other].iter().for_each(|name| make(name).set_modified(long_ago).unwrap());
    let (lives, _) = (make(live), make(new));
    lives.set_modified(long_ago).unwrap();
    hold_lock(&lives, &session.dir().join(live)).unwrap();
    drop(LogCollector::builder(dir.path()).build().unwrap());
    let is_there = |name: &&str| session.dir().join(name).exists();
    assert_eq!([left, live, new, other].iter().copied().filter(is_there).collect::<Vec<_>>(), [live, new, other]);
}

#[test]
fn a_reader_does_not_make_a_dead_ring_file_live() {
    let test = "recovers::a_reader_does_not_make_a_dead_ring_file_live";
    if let Some((_, dir)) = role() {
        leave_three(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let session = two_left(test, dir.path());
    let [first, _] = &logboom_ring::rest::files_in(session.dir())[..] else { panic!("two were left") };
    let reader = DeadRings::open_dead(first).unwrap();
    std::thread::scope(|scope| {
        let recovery = scope.spawn(|| logboom::recover(&session).unwrap().records);
        // While it reads nothing is drained.
        assert_eq!(fs::metadata(session.dir().join("collector.log")).unwrap().len(), 0);
        drop(reader);
        assert_eq!(recovery.join().unwrap(), 6);
    });
}

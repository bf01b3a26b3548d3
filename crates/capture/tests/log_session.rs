//! A harness's own session: containers that a streamer follows into it, and a service whose output the harness hands over.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod docker;

use std::{fs, io::Write, process::Command, thread};

use docker::Container;
use logboom_capture::{
    docker::{
        select::Selection,
        streamer::{Follow, LogStreamer},
    },
    engine::Host,
    log_session::LogSession,
    masks::SharedMasks,
};
use logboom_files::{DataDir, retention::Limits, session::Status};
use logboom_record::{Kind, Outcome};

fn data() -> (tempfile::TempDir, DataDir) {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path());
    (dir, data)
}

fn texts(status: &Status, log: &str) -> Vec<String> {
    let text = fs::read_to_string(status.dir.join(log)).unwrap();
    text.lines().map(|line| line[28..].to_owned()).collect()
}

#[test]
fn containers_and_other_services_share_a_session() {
    let (_dir, data) = data();
    let session = LogSession::create(&data, "the shop sells").unwrap();
    let container = Container::create(&[], "for i in 1 2 3; do echo order $i; done; echo low on tea >&2");
    let selection = Selection { containers: vec![container.name.clone()], ..Selection::default() };
    let follow = Follow {
        host: Host::from_environment().unwrap(),
        selection,
        since: None,
        until_exit: false,
        masks: SharedMasks::default(),
    };
    let streamer = LogStreamer::start(session.session(), follow, |what: &str| panic!("{what}")).unwrap();
    container.start();

    let mut client = session.add_service("client").unwrap();
    let child = Command::new("sh").args(["-c", "echo buying; echo bought >&2"]).output().unwrap();
    client.stdout().write_all(&child.stdout).unwrap();
    client.stderr().write_all(&child.stderr).unwrap();
    let counts = client.end(Outcome::Passed).unwrap();
    assert_eq!((counts.lines, counts.lost), (2, 0));
    container.wait();
    assert_eq!(LogSession::running(&data).unwrap().len(), 1);

    let streamed = streamer.stop().unwrap();
    assert_eq!(streamed.outcomes.into_iter().collect::<Vec<_>>(), [(container.name.clone(), Outcome::Passed)]);
    let ended = session.finalize(Outcome::Failed).unwrap();
    assert_eq!((ended.outcome, ended.outcomes.as_slice()), (Outcome::Failed, &[Outcome::Passed; 2][..]));
    assert!(
        ended.meta.runs.iter().all(|run| run.run.kind == Kind::Service && run.run.parent == Some(ended.meta.run.id))
    );
    assert_eq!(texts(&ended, "client.log"), ["O I buying", "E I bought"]);
    let mut shop = texts(&ended, &format!("{}.log", container.name));
    shop.sort();
    assert_eq!(shop, ["E I low on tea", "O I order 1", "O I order 2", "O I order 3"]);

    let loaded = LogSession::load(&data, "the shop sells").unwrap();
    assert_eq!(loaded.status().meta, LogSession::latest(&data).unwrap().unwrap().status().meta);
    drop(loaded);
    assert_eq!((LogSession::list(&data).unwrap().len(), LogSession::running(&data).unwrap().len()), (1, 0));
    let none = Limits { keep: 0, ..Limits::default() };
    assert_eq!(LogSession::cleanup(&data, &none).unwrap().deleted.len(), 1);
    assert!(LogSession::latest(&data).unwrap().is_none());
}

#[test]
fn many_threads_write_services_and_every_line_is_there_once() {
    let (_dir, data) = data();
    let session = LogSession::create(&data, "many").unwrap();
    thread::scope(|scope| {
        for number in 0..8 {
            let session = &session;
            scope.spawn(move || {
                let mut service = session.add_service("worker").unwrap();
                for line in 0..5_000 {
                    writeln!(service.stdout(), "{number} {line}").unwrap();
                }
                assert_eq!(service.end(Outcome::Passed).unwrap().lines, 5_000);
            });
        }
    });
    let ended = session.finalize(Outcome::Passed).unwrap();
    let mut found = Vec::new();
    for run in &ended.meta.runs {
        let lines = texts(&ended, run.text.as_deref().unwrap());
        let number = lines[0].split(' ').nth(2).unwrap().to_owned();
        let want: Vec<String> = (0..5_000).map(|line| format!("O I {number} {line}")).collect();
        assert_eq!(lines, want);
        found.push(number);
    }
    found.sort();
    assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_session_that_nobody_ends_tells_why() {
    let (_dir, data) = data();
    let panicked = thread::scope(|scope| {
        let test = scope.spawn(|| {
            let session = LogSession::create(&data, "panics").unwrap();
            let mut service = session.add_service("web").unwrap();
            write!(service.stdout(), "no newline").unwrap();
            panic!("as a failed assertion does");
        });
        test.join().is_err()
    });
    let failed = LogSession::latest(&data).unwrap().unwrap().status();
    assert_eq!(
        (panicked, failed.outcome, failed.outcomes.as_slice()),
        (true, Outcome::Failed, &[Outcome::Interrupted][..])
    );
    assert_eq!(texts(&failed, "web.log")[0], "o I no newline");
    drop(LogSession::create(&data, "left").unwrap());
    assert_eq!(LogSession::load(&data, "left").unwrap().status().outcome, Outcome::Interrupted);
    let missing = LogSession::load(&data, "nothing").unwrap_err().to_string();
    assert!(missing.contains("nothing"), "{missing}");
}

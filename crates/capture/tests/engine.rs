//! The client against a real Docker engine: what it asks for is what it gets, to the byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what sets a test up fails as a test does")]

mod docker;

use std::{collections::BTreeMap, thread};

use docker::{Container, PATIENCE, block_on, docker, engine};
use logboom_capture::engine::{
    Action, ApiVersion, Engine, EngineError, Event, ExecConfig, Frames, Framing, Health, ListQuery, LogsQuery,
};
use logboom_record::Stream;

/// Prints numbered lines on both streams, and says on stderr how it ends.
const BOTH: &str = "for n in $(seq 1 500); do echo out $n; echo err $n >&2; done; printf end; exit 7";

/// Prints many numbered lines on both streams at once, and a byte that is no UTF-8.
const MANY: &str = "lines() { n=0; while [ $n -lt 10000 ]; do n=$((n + 1)); echo $1 $n; done; }
lines err >&2 & lines out; wait; printf '\\377'";

/// What a container printed: stdout and stderr.
#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
            Stream::System => panic!("the engine's own words are an error"),
        }
    }
}

async fn read_all(mut frames: Frames) -> Output {
    let mut output = Output::default();
    while let Some(frame) = frames.next().await.unwrap() {
        output.push(frame.stream, frame.bytes);
    }
    output
}

/// Reads the entries of a log: stream, time stamp in nanoseconds, text.
async fn read_entries(mut frames: Frames) -> Vec<(Stream, i64, String)> {
    let (mut entries, mut entry): (_, Vec<u8>) = (Vec::new(), Vec::new());
    while let Some(frame) = frames.next().await.unwrap() {
        assert_eq!(frame.starts, entry.is_empty());
        entry.extend_from_slice(frame.bytes);
        if frame.ends {
            let text = String::from_utf8(std::mem::take(&mut entry)).unwrap();
            let (time, text) = text.split_once(' ').unwrap();
            let time: jiff::Timestamp = time.parse().unwrap();
            entries.push((frame.stream, i64::try_from(time.as_nanosecond()).unwrap(), text.to_owned()));
        }
    }
    entries
}

fn numbered(word: &str, count: u32) -> String {
    (1..=count).map(|number| format!("{word} {number}\n")).collect()
}

async fn next_of(engine: &Engine, container: &str, events: &mut logboom_capture::engine::Events) -> Event {
    loop {
        let event = events.next().await.unwrap().expect("the engine goes on");
        if event.name() == container {
            assert_eq!(engine.inspect(&event.id).await.map_or(event.id.clone(), |found| found.id), event.id);
            return event;
        }
    }
}

/// The engine's clock is this machine's.
fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

#[test]
fn the_newest_api_that_both_know_is_spoken() {
    block_on(async {
        let engine = engine().await;
        let newest: ApiVersion = docker(&["version", "--format", "{{.Server.APIVersion}}"]).parse().unwrap();
        assert_eq!(Some(engine.version()), newest.in_common());
        assert_eq!(engine.is_local(), engine.host().to_string().starts_with("unix://"));
    });
}

#[test]
fn a_container_is_shown_as_it_was_created_and_as_it_ended() {
    let options = ["--label", "key=value", "--log-opt", "max-size=1m", "--log-driver", "json-file", "--tty"];
    let container = Container::create(&options, "exit 3");
    block_on(async {
        let engine = engine().await;
        let created = engine.inspect(&container.name).await.unwrap();
        assert_eq!((created.name.as_str(), created.image.as_str()), (container.name.as_str(), docker::IMAGE));
        assert_eq!((created.id.len(), created.labels["key"].as_str()), (64, "value"));
        assert_eq!((created.log_driver.as_str(), created.log_options["max-size"].as_str()), ("json-file", "1m"));
        assert_eq!((created.tty, created.framing(), created.auto_remove), (true, Framing::Raw, false));
        assert_eq!((created.state.status.as_str(), created.state.running, created.state.pid), ("created", false, None));
        assert_eq!((created.state.started_at_ns, created.state.health), (None, None));
        assert!((now_ns() - created.created_at_ns.unwrap()).abs() < 60_000_000_000);

        container.start();
        assert_eq!(container.wait(), 3);
        let ended = engine.inspect(&created.id[..12]).await.unwrap();
        assert_eq!((ended.id.as_str(), ended.state.status.as_str()), (created.id.as_str(), "exited"));
        assert_eq!((ended.state.exit_code, ended.state.oom_killed, ended.restart_count), (3, false, 0));
        for time in [ended.state.started_at_ns, ended.state.finished_at_ns] {
            assert!((now_ns() - time.unwrap()).abs() < 60_000_000_000);
        }
        assert!(ended.log_path.unwrap().ends_with(format!("{}-json.log", created.id)));
    });
}

#[test]
fn a_running_container_has_a_process() {
    let container = Container::run(&["--rm"], "sleep 1000");
    block_on(async {
        let running = engine().await.inspect(&container.name).await.unwrap();
        assert_eq!((running.state.status.as_str(), running.state.running), ("running", true));
        assert!(running.state.pid.is_some() && running.auto_remove);
    });
}

#[test]
fn the_list_has_those_with_all_of_the_labels() {
    let label = format!("logboom-list=é&{}", std::process::id());
    let one = Container::run(&["--label", &label, "--label", "a=1"], "sleep 1000");
    let two = Container::create(&["--label", &label], "true");
    block_on(async {
        let engine = engine().await;
        let names = async |labels: &[&str], all| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            let listed = engine.list(&ListQuery { labels, all }).await.unwrap();
            let mut names: Vec<String> = listed.into_iter().map(|container| container.name).collect();
            names.sort();
            names
        };
        assert_eq!(names(&[&label], false).await, [one.name.as_str()]);
        assert_eq!(names(&[&label], true).await, [one.name.as_str(), two.name.as_str()]);
        assert_eq!(names(&[&label, "a"], true).await, [one.name.as_str()]);
        assert_eq!(names(&[&label, "a=2"], true).await, [""; 0]);
        assert!(names(&[], true).await.contains(&two.name));

        let listed = engine.list(&ListQuery { labels: vec![label.clone()], all: true }).await.unwrap();
        let created = listed.iter().find(|listed| listed.name == two.name).unwrap();
        assert_eq!((created.status.as_str(), created.image.as_str()), ("created", docker::IMAGE));
        assert_eq!(created.id, engine.inspect(&two.name).await.unwrap().id);
        assert_eq!(created.labels, BTreeMap::from([label.split_once('=').map(|(k, v)| (k.into(), v.into())).unwrap()]));
    });
}

#[test]
fn events_tell_the_life_of_a_container() {
    block_on(async {
        let engine = engine().await;
        let since = now_ns();
        let health = ["--health-cmd", "test ! -e /ill", "--health-interval", "100ms", "--health-retries", "1"];
        let options = [&health[..], &["--label", "key=value"]].concat();
        let container = Container::run(&options, "while [ ! -e /stop ]; do sleep .05; done; exit 3");
        let mut events = engine.events(Some(since), None).await.unwrap();
        let mut next = async || loop {
            let event = next_of(&engine, &container.name, &mut events).await;
            match event.action {
                Action::Other(_) => {} // exec_create and its like, of the health check
                _ => return event,
            }
        };
        let created = next().await;
        assert_eq!(created.action, Action::Created);
        assert_eq!((created.image(), created.attributes["key"].as_str()), (docker::IMAGE, "value"));
        assert!((since..since + 60_000_000_000).contains(&created.time_ns));
        let started = next().await;
        assert_eq!(started.action, Action::Started);
        assert!(started.time_ns > created.time_ns && started.id == created.id);
        assert_eq!(next().await.action, Action::Health(Health::Healthy));
        assert_eq!(engine.inspect(&created.id).await.unwrap().state.health, Some(Health::Healthy));
        docker(&["exec", &container.name, "sh", "-c", ": >/ill"]);
        assert_eq!(next().await.action, Action::Health(Health::Unhealthy));
        docker(&["exec", &container.name, "sh", "-c", ": >/stop"]);
        assert_eq!(next().await.action, Action::Died { exit_code: Some(3) });
        docker(&["rm", &container.name]);
        assert_eq!(next().await.action, Action::Removed);
    });
}

#[test]
fn a_container_that_is_started_again_counts_it() {
    block_on(async {
        let engine = engine().await;
        let since = now_ns();
        let container = Container::run(&["--restart", "on-failure:2"], "echo once; exit 9");
        let mut events = engine.events(Some(since), None).await.unwrap();
        let mut ends = 0;
        while ends < 3 {
            let event = next_of(&engine, &container.name, &mut events).await;
            ends += i32::from(event.action == Action::Died { exit_code: Some(9) });
        }
        let query = LogsQuery { follow: true, ..LogsQuery::default() };
        let entries = read_entries(engine.logs(&container.name, Framing::Multiplexed, &query).await.unwrap()).await;
        assert_eq!(entries.iter().map(|entry| entry.2.as_str()).collect::<String>(), "once\n".repeat(3));
        let ended = engine.inspect(&container.name).await.unwrap();
        assert_eq!((ended.restart_count, ended.state.exit_code), (2, 9));
    });
}

#[test]
fn events_end_where_they_were_asked_to() {
    block_on(async {
        let engine = engine().await;
        let since = now_ns();
        let container = Container::create(&[], "true");
        let mut events = engine.events(Some(since), Some(now_ns())).await.unwrap();
        let mut actions = Vec::new();
        while let Some(event) = events.next().await.unwrap() {
            actions.extend((event.name() == container.name).then_some(event.action));
        }
        assert_eq!(actions, [Action::Created]);
    });
}

#[test]
fn logs_have_both_streams_with_time_stamps() {
    let container = Container::run(&[], BOTH);
    assert_eq!(container.wait(), 7);
    block_on(async {
        let engine = engine().await;
        let entries =
            read_entries(engine.logs(&container.name, Framing::Multiplexed, &LogsQuery::default()).await.unwrap())
                .await;
        for (stream, want) in [(Stream::Stdout, numbered("out", 500) + "end"), (Stream::Stderr, numbered("err", 500))] {
            let of_stream: Vec<_> = entries.iter().filter(|entry| entry.0 == stream).collect();
            let text: String = of_stream.iter().map(|entry| entry.2.as_str()).collect();
            assert_eq!(text, want);
            assert!(of_stream.is_sorted_by(|a, b| a.1 < b.1), "time stamps of a stream go up");
        }
    });
}

#[test]
fn logs_since_a_nanosecond_start_with_it() {
    let container = Container::run(&[], "for n in $(seq 1 100); do echo $n; done");
    container.wait();
    block_on(async {
        let engine = engine().await;
        let read = async |since_ns, until_ns, tail| {
            let query = LogsQuery { follow: false, since_ns, until_ns, tail };
            read_entries(engine.logs(&container.name, Framing::Multiplexed, &query).await.unwrap()).await
        };
        let all = read(None, None, None).await;
        assert_eq!(all.len(), 100);
        let time = all[40].1;
        assert_eq!(read(Some(time), None, None).await, all[40..]);
        assert_eq!(read(Some(time + 1), None, None).await, all[41..]);
        assert_eq!(read(None, Some(time), None).await, all[..=40]);
        assert_eq!(read(None, None, Some(3)).await, all[97..]);
    });
}

#[test]
fn followed_logs_end_with_the_container() {
    let container = Container::run(&[], "while [ ! -e /go ]; do sleep .05; done; echo done");
    block_on(async {
        let query = LogsQuery { follow: true, ..LogsQuery::default() };
        let frames = engine().await.logs(&container.name, Framing::Multiplexed, &query).await.unwrap();
        docker(&["exec", &container.name, "sh", "-c", ": >/go"]);
        let entries = read_entries(frames).await;
        assert_eq!(entries.iter().map(|entry| entry.2.as_str()).collect::<Vec<_>>(), ["done\n"]);
    });
}

#[test]
fn a_terminals_bytes_are_raw_even_where_they_look_like_a_header() {
    let container = Container::create(&["--tty"], r"printf '\001\000\000\000\000\000\000\005hello\n'; echo err >&2");
    block_on(async {
        let engine = engine().await;
        let framing = engine.inspect(&container.name).await.unwrap().framing();
        let attached = engine.attach(&container.name, framing).await.unwrap();
        container.start();
        let output = read_all(attached).await;
        assert_eq!(output.stdout, b"\x01\0\0\0\0\0\0\x05hello\r\nerr\r\n");
        assert_eq!(output.stderr, b"");
        let logged = read_all(engine.logs(&container.name, framing, &LogsQuery::default()).await.unwrap()).await;
        assert!(logged.stdout.ends_with(b" err\r\n") && logged.stdout.windows(7).any(|part| part == b"\x05hello\r"));
    });
}

#[test]
fn attached_before_the_start_every_byte_comes() {
    let want = (numbered("out", 10_000), numbered("err", 10_000));
    for round in 0..20 {
        let container = Container::create(&["--rm"], MANY);
        let mut got = Output::default();
        block_on(async {
            let attached = engine().await.attach(&container.name, Framing::Multiplexed).await.unwrap();
            container.start();
            if round % 2 == 0 {
                got = read_all(attached).await;
                return;
            }
            let mut frames = attached.into_blocking().unwrap().expect("the engine upgrades the connection");
            got = thread::spawn(move || {
                let mut got = Output::default();
                while let Some(frame) = frames.next().unwrap() {
                    got.push(frame.stream, frame.bytes);
                }
                got
            })
            .join()
            .unwrap();
        });
        assert!(got.stdout.strip_suffix(b"\xff") == Some(want.0.as_bytes()), "round {round}: {}", got.stdout.len());
        assert!(got.stderr == want.1.as_bytes(), "round {round}: {}", got.stderr.len());
    }
}

#[test]
fn a_thread_that_reads_an_attached_container_can_be_stopped() {
    let container = Container::run(&[], "while true; do echo tick; sleep .01; done");
    let attached = block_on(async { engine().await.attach(&container.name, Framing::Multiplexed).await });
    // The runtime is gone, which the thread does not need.
    let mut frames = attached.unwrap().into_blocking().unwrap().expect("the engine upgrades the connection");
    let stopper = frames.stopper().unwrap();
    let (first, is_read) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        while let Some(frame) = frames.next().unwrap() {
            assert_eq!(frame.bytes.strip_prefix(b"tick\n").map(|rest| rest.len() % 5), Some(0));
            let _ = first.send(());
        }
    });
    is_read.recv_timeout(PATIENCE).unwrap();
    stopper.stop();
    stopper.stop();
    reader.join().unwrap();
}

#[test]
fn a_command_in_a_container_is_read_and_has_an_exit_code() {
    let container = Container::run(&[], "sleep 1000");
    let exec = async |engine: &Engine, tty, script: &str| {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let env = vec!["NAME=a b".to_owned()];
        let config = ExecConfig { cmd, env, working_dir: "/bin".to_owned(), tty, ..ExecConfig::default() };
        let exec = engine.exec_create(&container.name, &config).await.unwrap();
        let output = read_all(engine.exec_start(&exec).await.unwrap()).await;
        let state = loop {
            let state = engine.exec_inspect(&exec).await.unwrap();
            if !state.running {
                break state;
            }
        };
        (output, state.exit_code)
    };
    block_on(async {
        let engine = engine().await;
        let (output, code) = exec(&engine, false, "pwd; echo $NAME >&2; printf '\\377\\000'; exit 42").await;
        assert_eq!((&output.stdout[..], &output.stderr[..], code), (&b"/bin\n\xff\0"[..], &b"a b\n"[..], Some(42)));
        let (output, code) = exec(&engine, true, "echo err >&2; tty").await;
        assert_eq!((output.stderr, code), (Vec::new(), Some(0)));
        assert!(output.stdout.starts_with(b"err\r\n/dev/pts/"));
    });
}

#[test]
fn what_cannot_be_run_in_a_container_is_told() {
    let (running, created) = (Container::run(&[], "sleep 1000"), Container::create(&[], "true"));
    block_on(async {
        let engine = engine().await;
        let config = ExecConfig { cmd: vec!["/no/such".into()], ..ExecConfig::default() };
        let exec = engine.exec_create(&running.name, &config).await.unwrap();
        // The engine says so where it has not yet answered, else in the command's output.
        let told = match engine.exec_start(&exec).await {
            Err(error) => error.to_string(),
            Ok(frames) => String::from_utf8(read_all(frames).await.stdout).unwrap(),
        };
        assert!(told.contains("/no/such"), "{told}");
        let error = engine.exec_create(&created.name, &config).await.unwrap_err();
        assert!(matches!(error, EngineError::Conflict { .. }), "{error:?}");
        assert!(error.to_string().contains("is not running"), "{error}");
    });
}

#[test]
fn a_container_that_is_not_there_is_named() {
    block_on(async {
        let engine = engine().await;
        let config = ExecConfig { cmd: vec!["true".into()], ..ExecConfig::default() };
        for name in ["logboom-no-such", "..", "a/b", "", "a?b", "a\nb"] {
            let query = LogsQuery::default();
            for error in [
                engine.inspect(name).await.unwrap_err(),
                engine.logs(name, Framing::Raw, &query).await.unwrap_err(),
                engine.attach(name, Framing::Raw).await.unwrap_err(),
                engine.exec_create(name, &config).await.unwrap_err(),
            ] {
                assert!(
                    matches!(&error, EngineError::NoSuchContainer { container, .. } if container == name),
                    "{error:?}"
                );
                assert!(error.to_string().contains(name) && !error.is_lost(), "{error}");
            }
        }
    });
}

#[test]
fn logs_that_no_driver_keeps_are_an_error_and_attaching_helps() {
    let container = Container::create(&["--log-driver", "none"], BOTH);
    block_on(async {
        let engine = engine().await;
        assert_eq!(engine.inspect(&container.name).await.unwrap().log_driver, "none");
        let attached = engine.attach(&container.name, Framing::Multiplexed).await.unwrap();
        container.start();
        let output = read_all(attached).await;
        assert_eq!(output.stdout, (numbered("out", 500) + "end").as_bytes());
        assert_eq!(output.stderr, numbered("err", 500).as_bytes());
        let error = engine.logs(&container.name, Framing::Multiplexed, &LogsQuery::default()).await.unwrap_err();
        assert!(matches!(error, EngineError::LogsUnreadable { .. }), "{error:?}");
        assert!(error.to_string().contains(&container.name) && !error.is_lost(), "{error}");
    });
}

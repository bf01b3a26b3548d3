//! Whatever listens where an engine is expected: nothing, something else, or an engine that breaks off or talks
//! nonsense. It is an error that says what to do, at once and within bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what sets a test up fails as a test does")]

use std::{
    fs::Permissions,
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    thread::{self, JoinHandle},
    time::Duration,
};

use logboom_capture::engine::{
    ApiVersion, EVENT_BYTES_MAX, Engine, EngineError, Events, ExecConfig, Frames, Framing, Host, ListQuery, LogsQuery,
};
use logboom_record::Stream;

const PING: &[u8] = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
/// The head of a stream that ends when its connection does.
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const UPGRADED: &[u8] = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.unwrap() })
}

/// Listens on a port of its own, and gives each connection the next of the answers, whatever it asks for. Each answer
/// is written as many times as it says, unless the client hangs up. Gives the requests.
struct Server {
    host: Host,
    thread: JoinHandle<Vec<String>>,
}

fn server(answers: Vec<(Vec<u8>, usize)>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        answers.into_iter().map(|(answer, times)| serve(listener.accept().unwrap().0, &answer, times)).collect()
    });
    Server { host: format!("tcp://127.0.0.1:{port}").parse().unwrap(), thread }
}

fn serve(mut connection: std::net::TcpStream, answer: &[u8], times: usize) -> String {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    for _ in 0..times {
        if connection.write_all(answer).is_err() {
            break; // the client has had enough
        }
    }
    let _ = connection.shutdown(Shutdown::Write);
    String::from_utf8(request).unwrap()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() == length.map_or(0, |length| length.parse().unwrap())
}

fn connect_to(answers: &[&[u8]]) -> Result<Engine, EngineError> {
    let server = server(answers.iter().map(|answer| (answer.to_vec(), 1)).collect());
    let connected = block_on(Engine::connect(&server.host));
    server.thread.join().unwrap();
    connected
}

/// What an engine says in the second answer, `times` in a row, to something that is asked of it.
fn ask<T>(answer: &[u8], times: usize, question: impl AsyncFnOnce(Engine) -> T) -> T {
    let server = server(vec![(PING.to_vec(), 1), (answer.to_vec(), times)]);
    let told = block_on(async { question(Engine::connect(&server.host).await.unwrap()).await });
    server.thread.join().unwrap();
    told
}

async fn read_all(mut frames: Frames) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    while let Some(frame) = frames.next().await? {
        bytes.extend_from_slice(frame.bytes);
    }
    Ok(bytes)
}

fn logs(answer: &[u8], times: usize) -> Result<Vec<u8>, EngineError> {
    ask(answer, times, async |engine| {
        read_all(engine.logs("c", Framing::Multiplexed, &LogsQuery::default()).await?).await
    })
}

async fn count(mut events: Events) -> Result<u32, EngineError> {
    let mut count = 0;
    while events.next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn events(answer: &[u8], times: usize) -> Result<u32, EngineError> {
    ask(answer, times, async |engine| count(engine.events(None, None).await?).await)
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The text of an error, which is of this variant. Only two of them lead to trying again.
fn text_of(error: EngineError, variant: &str) -> String {
    assert!(format!("{error:?}").starts_with(&format!("{variant} {{")), "{error:?}");
    assert_eq!(error.is_lost(), ["NoEngine", "Lost"].contains(&variant), "{error}");
    error.to_string()
}

#[test]
fn an_engine_that_is_not_there_is_looked_for_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, refusing, file) = (dir.path().join("none"), dir.path().join("socket"), dir.path().join("file"));
    drop(UnixListener::bind(&refusing).unwrap());
    std::fs::write(&file, "").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unix = |path: &Path| format!("unix://{}", path.display());
    for host in
        [unix(&missing), unix(&refusing), unix(&file), format!("tcp://{closed}"), "tcp://no.such.invalid:1".into()]
    {
        let text = text_of(block_on(Engine::connect(&host.parse().unwrap())).unwrap_err(), "NoEngine");
        assert!(text.contains(&host) && text.contains("DOCKER_HOST"), "{text}");
    }
}

#[test]
fn a_socket_that_is_not_ours_to_use_names_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let connect = move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::thread::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap(); // of this thread alone
        }
        block_on(Engine::connect(&Host::Unix(path))).unwrap_err()
    };
    let text = text_of(thread::spawn(connect).join().unwrap(), "NoPermission");
    assert!(text.contains("docker") && text.contains("root"), "{text}");
}

#[test]
fn an_engine_that_is_too_old_is_refused_by_its_version() {
    let old = b"HTTP/1.1 200 OK\r\nApi-Version: 1.39\r\nContent-Length: 2\r\n\r\nOK";
    let text = text_of(connect_to(&[old]).unwrap_err(), "TooOld");
    assert!(text.contains("1.39") && text.contains("1.40"), "{text}");
}

#[test]
fn the_version_may_be_told_elsewhere() {
    let ping = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
    let version = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"Version\":\"4.3.1\",\"ApiVersion\":\"1.41\"}";
    assert_eq!(connect_to(&[ping, version]).unwrap().version(), "1.41".parse::<ApiVersion>().unwrap());
    let newer = b"HTTP/1.1 200 OK\r\nApi-Version: 1.99\r\nContent-Length: 2\r\n\r\nOK";
    assert_eq!(connect_to(&[newer]).unwrap().version(), ApiVersion::NEWEST);
}

#[test]
fn what_is_no_engine_is_told_by_what_it_says() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>Hi</html>";
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n<h1>Nothing here!</h1>";
    let tls = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let long_head = [b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; 1 << 20][..], b"\r\n\r\n"].concat();
    let many_heads = [b"HTTP/1.1 200 OK\r\n", &b"A: b\r\n".repeat(10_000)[..], b"\r\n"].concat();
    for (answers, hint) in [
        (vec![&page[..], page], "version"),
        (vec![&missing[..]], "Nothing here!"),
        (vec![&tls[..]], "HTTPS server"),
        (vec![&b"SSH-2.0-OpenSSH_9.2\r\n"[..]], "HTTP"),
        (vec![&b"\x15\x03\x01\x00\x02\x02\x46"[..]], "HTTP"),
        (vec![&long_head[..]], "large"),
        (vec![&many_heads[..]], "large"),
    ] {
        let text = text_of(connect_to(&answers).unwrap_err(), "NotDocker");
        assert!(text.contains(hint) && text.contains("tcp://127.0.0.1:"), "{text}");
    }
}

#[test]
fn an_answer_that_breaks_off_may_be_asked_for_again() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\nApi-Ver", b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nhal"] {
        text_of(connect_to(&[answer]).unwrap_err(), "Lost");
    }
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Id\":\"c\"";
    text_of(ask(half, 1, async |engine| engine.inspect("c").await).unwrap_err(), "Lost");
}

#[test]
fn an_engine_that_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap(); // accepts nothing
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let error = runtime.block_on(Engine::connect(&Host::Unix(path))).unwrap_err();
    text_of(error, "Lost");
}

#[test]
fn an_engines_refusal_is_told_in_its_words() {
    let refuse = |head: &str, body: &str| {
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        ask(answer.as_bytes(), 1, async |engine| {
            engine.logs("c", Framing::Multiplexed, &LogsQuery::default()).await.unwrap_err()
        })
    };
    let missing = refuse("404 Not Found", r#"{"message":"No such container: c"}"#);
    assert!(text_of(missing, "NoSuchContainer").contains(" c "));
    let paused = refuse("409 Conflict", r#"{"message":"it is paused"}"#);
    assert!(text_of(paused, "Conflict").contains("it is paused"));
    let driver = refuse("501 Not Implemented", r#"{"message":"driver does not support reading"}"#);
    assert!(text_of(driver, "LogsUnreadable").contains("does not support reading"));
    let failed = refuse("500 Internal Server Error", r#"{"message":"disk on fire"}"#);
    assert!(text_of(failed, "Said").contains("disk on fire"));
    let forbidden = refuse("403 Forbidden", "\n<h1>403 Forbidden</h1>\nby a proxy");
    assert!(text_of(forbidden, "Said").contains("<h1>403 Forbidden</h1>\""));
    let moved = refuse("301 Moved Permanently", "");
    assert!(text_of(moved, "Said").contains("Moved Permanently"));
    let gateway = refuse("503 Service Unavailable", "");
    assert!(gateway.is_lost() && gateway.to_string().contains("503"), "{gateway}");
}

#[test]
fn a_stream_of_logs_that_is_none_is_told() {
    for (answer, hint) in [
        (joined(&[STREAM, b"2026-11-27T00:00:00Z raw\n"]), "header of a frame"),
        (joined(&[CHUNKED, b"zz\r\n"]), "chunk"),
        (joined(&[CHUNKED, b"fffffffffffffffff\r\n"]), "chunk"),
        (joined(&[CHUNKED, b"1;", &[b'x'; 1 << 20], b"\r\n"]), "chunk"),
    ] {
        let text = text_of(logs(&answer, 1).unwrap_err(), "Unreadable");
        assert!(text.contains(hint) && text.contains("read the logs of container c"), "{text}");
    }
}

#[test]
fn a_stream_that_breaks_off_within_a_frame_is_lost() {
    for answer in [
        joined(&[STREAM, b"\x01\0\0"]),
        joined(&[STREAM, b"\x01\0\0\0\0\0\0\x05abc"]),
        joined(&[STREAM, b"\x02\0\0\0\xff\xff\xff\xffabc"]),
        joined(&[CHUNKED, b"8\r\n\x01\0\0\0\0\0\0\0\r\n"]),
        joined(&[CHUNKED, b"f\r\n\x01\0\0"]),
    ] {
        text_of(logs(&answer, 1).unwrap_err(), "Lost");
    }
    assert_eq!(logs(&joined(&[STREAM, b"\x01\0\0\0\0\0\0\x03abc"]), 1).unwrap(), b"abc");
    assert_eq!(logs(&joined(&[CHUNKED, b"b\r\n\x01\0\0\0\0\0\0\x03abc\r\n0\r\n\r\n"]), 1).unwrap(), b"abc");
}

#[test]
fn what_an_engine_says_within_a_stream_is_an_error() {
    let said = [STREAM, b"\x01\0\0\0\0\0\0\x01a", b"\x03\0\0\0\0\0\0\x0bno more it\n"].concat();
    assert!(text_of(logs(&said, 1).unwrap_err(), "Said").contains("\"no more it\""));
    let endless = joined(&[STREAM, b"\x03\0\0\0\xff\xff\xff\xff", &[b'x'; 1 << 20]]);
    let text = text_of(logs(&endless, 1).unwrap_err(), "Said");
    assert!(text.len() < 10_000);
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n[", &[b' '; 1 << 20][..]].concat();
    let list = async |engine: Engine| engine.list(&ListQuery::default()).await;
    let text = text_of(ask(&endless, 1_000, list).unwrap_err(), "Unreadable");
    assert!(text.contains("more than"), "{text}");
    let error = [b"HTTP/1.1 500 No\r\n\r\n", &[b' '; 1 << 20][..]].concat();
    text_of(ask(&error, 1_000, list).unwrap_err(), "Unreadable");
}

#[test]
fn json_of_another_kind_is_told() {
    let answer = |json: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len()).into_bytes();
    let exec = ExecConfig { cmd: vec!["true".into()], ..ExecConfig::default() };
    let text = text_of(ask(&answer("{}"), 1, async |engine| engine.inspect("c").await).unwrap_err(), "Unreadable");
    assert!(text.contains("inspect container c"), "{text}");
    text_of(ask(&answer("{}"), 1, async |engine| engine.list(&ListQuery::default()).await).unwrap_err(), "Unreadable");
    text_of(ask(&answer("[]"), 1, async |engine| engine.exec_create("c", &exec).await).unwrap_err(), "Unreadable");
}

#[test]
fn events_that_are_none_or_without_an_end_are_told() {
    let event = br#"{"Type":"container","Action":"start","Actor":{"ID":"c"}}"#;
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let whole = [event, &b"\r\n"[..]].concat();
    assert_eq!(events(&[CHUNKED, &chunk(&whole), &chunk(&whole), b"0\r\n\r\n"].concat(), 1).unwrap(), 2);
    text_of(events(&[CHUNKED, &chunk(b"no event\n")].concat(), 1).unwrap_err(), "Unreadable");
    text_of(events(&[CHUNKED, &chunk(&whole)].concat(), 1).unwrap_err(), "Lost");
    text_of(events(&[STREAM, &event[..20]].concat(), 1).unwrap_err(), "Lost");
    let long = [STREAM, &vec![b'x'; EVENT_BYTES_MAX + 1]].concat();
    let text = text_of(events(&long, 1).unwrap_err(), "Unreadable");
    assert!(text.contains("1 MiB"), "{text}");
}

#[test]
fn an_attached_stream_may_come_with_and_without_an_upgrade() {
    let frames = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err";
    for (head, is_upgraded) in [(UPGRADED, true), (STREAM, false)] {
        let got = ask(&[head, frames].concat(), 1, async |engine| {
            let attached = engine.attach("c", Framing::Multiplexed).await.unwrap();
            match attached.into_blocking().unwrap() {
                Ok(mut frames) => {
                    assert!(is_upgraded);
                    let mut got = Vec::new();
                    while let Some(frame) = frames.next().unwrap() {
                        got.push((frame.stream, frame.bytes.to_vec()));
                    }
                    got
                }
                Err(mut frames) => {
                    assert!(!is_upgraded);
                    let mut got = Vec::new();
                    while let Some(frame) = frames.next().await.unwrap() {
                        got.push((frame.stream, frame.bytes.to_vec()));
                    }
                    got
                }
            }
        });
        assert_eq!(got, [(Stream::Stdout, b"out".to_vec()), (Stream::Stderr, b"err".to_vec())]);
    }
}

#[test]
fn an_attached_stream_that_breaks_off_is_lost() {
    let cut = [UPGRADED, b"\x01\0\0\0\0\0\0\x05abc"].concat();
    let attach = async |engine: Engine| engine.attach("c", Framing::Multiplexed).await.unwrap();
    text_of(ask(&cut, 1, async |engine| read_all(attach(engine).await).await).unwrap_err(), "Lost");
    let frames = ask(&cut, 1, attach);
    let mut frames = frames.into_blocking().unwrap().unwrap();
    assert_eq!(frames.next().unwrap().unwrap().bytes, b"abc");
    text_of(frames.next().unwrap_err(), "Lost");
}

#[test]
fn a_request_says_what_is_wanted() {
    let server = server(vec![(PING.to_vec(), 1), (UPGRADED.to_vec(), 1)]);
    block_on(async {
        let engine = Engine::connect(&server.host).await.unwrap();
        assert!(read_all(engine.attach("c", Framing::Raw).await.unwrap()).await.unwrap().is_empty());
    });
    let requests = server.thread.join().unwrap();
    assert!(requests[0].starts_with("GET /_ping HTTP/1.1\r\nhost: docker\r\n"), "{}", requests[0]);
    let attach = "POST /v1.41/containers/c/attach?stream=true&stdout=true&stderr=true HTTP/1.1\r\n";
    assert!(requests[1].starts_with(attach) && requests[1].contains("upgrade: tcp\r\n"), "{}", requests[1]);
}

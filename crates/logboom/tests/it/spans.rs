//! `tracing` events, and what the macros and `log` add to a message: fields.

use log::LevelFilter;
use logboom::{Level, LogCollector};
use logboom_record::EntryRef;
use tracing_subscriber::layer::SubscriberExt;

use crate::common::{collector, levels, messages};

#[test]
fn events_have_their_spans_and_fields() {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).bound_only().level(LevelFilter::Debug).build().unwrap();
    let _bound = collector.bind_thread();
    let subscriber = tracing_subscriber::registry().with(logboom::TracingLayer);
    tracing::subscriber::with_default(subscriber, || {
        let outer = tracing::info_span!("outer", id = 3, user = tracing::field::Empty);
        let _outer = outer.enter();
        outer.record("user", "b o b");
        tracing::warn_span!("inner").in_scope(|| tracing::error!(status = 500, ok = false, "failed"));
        tracing::debug!("plain");
        tracing::trace!("not wanted");
    });
    tracing::info!("nobody listens any more");
    collector.flush().unwrap();
    let want = [r#"outer{id=3 user="b o b"}:inner: failed status=500 ok=false"#, r#"outer{id=3 user="b o b"}: plain"#];
    assert_eq!(
        (messages(&collector.path()), levels(&collector.path())),
        (want.map(String::from).into(), "ED".to_owned())
    );
    let fields = fields(collector);
    assert_eq!(fields[0].as_deref(), Some(r#"{"id":3,"user":"b o b","status":500,"ok":false}"#));
}

/// Logs while it is formatted.
struct Chatty;

impl std::fmt::Debug for Chatty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tracing::info!("within");
        f.write_str("chatty")
    }
}

#[test]
fn a_span_has_what_was_recorded_last() {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).bound_only().level(LevelFilter::Debug).build().unwrap();
    let _bound = collector.bind_thread();
    let subscriber = tracing_subscriber::registry().with(logboom::TracingLayer);
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("copy", progress = 0, to = "disk");
        for n in 1..=3 {
            span.record("progress", n);
        }
        span.in_scope(|| tracing::info!("3 of 3"));
    });
    collector.flush().unwrap();
    assert_eq!(messages(&collector.path()), ["copy{progress=3 to=disk}: 3 of 3"]);
    assert_eq!(fields(collector)[0].as_deref(), Some(r#"{"progress":3,"to":"disk"}"#));
}

#[test]
fn a_value_that_logs_while_a_span_records_it_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).bound_only().build().unwrap();
    let (done, waits) = std::sync::mpsc::channel();
    let handle = collector.clone();
    // On a thread of its own, so that a deadlock is a failure.
    std::thread::spawn(move || {
        let _bound = handle.bind_thread();
        let subscriber = tracing_subscriber::registry().with(logboom::TracingLayer);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("s", value = tracing::field::Empty);
            span.in_scope(|| {
                span.record("value", tracing::field::debug(Chatty));
                tracing::info!("after");
            });
        });
        drop(handle);
        done.send(()).unwrap();
    });
    waits.recv_timeout(std::time::Duration::from_secs(20)).expect("a deadlock");
    collector.flush().unwrap();
    let lines = messages(&collector.path());
    assert_eq!(lines.last().unwrap(), "s{value=chatty}: after", "{lines:?}");
    assert_eq!(lines[0], "s: within", "{lines:?}");
}

#[test]
fn fields_of_macros_and_of_log_are_in_the_text_and_beside_it() {
    let (_dir, collector) = collector();
    let path = String::from("/a b");
    logboom::info!(collector, "job {} took {:.2} s", 7_u64, 1.5_f64, status = 200_u16, path = path);
    logboom::error!(collector, "plain {path}");
    let value = log::kv::ToValue::to_value(&3);
    let source: &[(&str, log::kv::Value<'_>)] = &[("n", value)];
    collector.log(
        &log::Record::builder().args(format_args!("by {}", "log")).level(log::Level::Warn).key_values(&source).build(),
    );
    logboom::log!(Level::Debug, collector, "{:?} {:>4}", Some(1), 'x', key = ?None::<u8>);
    collector.flush().unwrap();
    let want = ["job 7 took 1.50 s status=200 path=\"/a b\"", "plain /a b", "by log n=3", "Some(1)    x key=None"];
    assert_eq!(
        (messages(&collector.path()), levels(&collector.path())),
        (want.map(String::from).into(), "IEWD".to_owned())
    );
    let want = [Some(r#"{"status":200,"path":"/a b"}"#), None, Some(r#"{"n":3}"#), Some(r#"{"key":"None"}"#)];
    assert_eq!(fields(collector), want.map(|fields| fields.map(str::to_owned)));
}

#[test]
fn a_message_of_macros_that_is_too_long_is_left_out_and_said() {
    let (_dir, collector) = collector();
    let long = "x".repeat(logboom::MESSAGE_BYTES_MAX);
    logboom::info!(collector, "{}", long);
    collector.flush().unwrap();
    let lines = messages(&collector.path());
    assert!(lines[0].starts_with("a message of more than 16 MiB from ") && lines.len() == 1, "{lines:?}");
    assert_eq!(collector.stats().cut, 1);
}

/// The fields of every record of the first file.
fn fields(collector: LogCollector) -> Vec<Option<String>> {
    let boom = collector.dir().join("records.boom");
    drop(collector);
    let reader = logboom_boom::reader::Reader::open(&boom).unwrap();
    let mut fields = Vec::new();
    for block in 0..reader.blocks().len() {
        let mut block = reader.read(block).unwrap();
        for entry in block.records().unwrap().entries() {
            if let EntryRef::Record(record) = entry {
                fields.push(record.fields.map(str::to_owned));
            }
        }
    }
    fields
}

//! A scheduler's typed loggers: the system, its job runs, and their tasks; as JSON lines, and in a store that can be asked.
//!
//! `cargo run -p logboom --example jobs_and_tasks`

use std::{error::Error, fs, path::Path, sync::Arc};

use logboom::{JsonLines, Level, Logger, Outcome, SinkError, Stream};
use logboom_record::{Entry, Kind};
use logboom_store::{Query, RunQuery, Scope, Store, StoreSink};
use logboom_store_embedded::Embedded;

/// What a scheduler logs in a night.
fn log_a_night(logger: &Logger) -> Result<(), SinkError> {
    logger.system(Level::Info, "ready", &[("workers", 4_u32.into())]);
    let job = logger.job_run("nightly-7");
    job.log_job(Level::Info, "started", &[("trigger", "timer".into())]);
    job.log_task("build-7", Level::Warn, "unused variable", Stream::Stderr, &[("line", 12_u32.into())]);
    job.end_task("build-7", Outcome::Passed);
    job.log_task("test-7", Level::Error, "1 of 20 tests failed", Stream::Stdout, &[]);
    for file in 0..1_000 {
        job.sample("file", 500).log(Level::Debug, format_args!("file {file}"), &[]); // one of 500
    }
    job.close(Outcome::Failed); // and with it test-7, which is still open
    logger.flush()
}

fn as_json_lines(path: &Path) -> Result<(), Box<dyn Error>> {
    let logger = Logger::new("scheduler", JsonLines::new(fs::File::create(path)?))?;
    log_a_night(&logger)?;
    drop(logger); // the system's run ends
    let text = fs::read_to_string(path)?;
    print!("{text}");
    let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("{\"start\":"), count("{\"end\":"), count("\"message\":")), (4, 4, 7));
    assert_eq!(count(r#""message":"unused variable line=12","fields":{"line":12}"#), 1);
    assert_eq!(count("sampled events were skipped key=file skipped=499"), 1);
    Ok(())
}

fn in_a_store(dir: &Path) -> Result<(), Box<dyn Error>> {
    let store: Arc<dyn Store> = Arc::new(Embedded::open(dir)?);
    let logger = Logger::new("scheduler", StoreSink(Arc::clone(&store)))?;
    log_a_night(&logger)?;
    drop(logger);
    for state in store.runs(&RunQuery::new(Scope::All))? {
        println!("{:?} {} {}", state.run.kind, state.run.name, state.run.outcome().as_str());
        assert_eq!(
            state.run.kind == Kind::System || state.run.name == "build-7",
            state.run.outcome() == Outcome::Passed
        );
    }
    let mut query = Query::new(Scope::All);
    query.level_min = Level::Warn;
    let page = store.page(&query, None)?;
    let messages = page.entries.iter().filter_map(|entry| match entry {
        Entry::Record(record) => Some(String::from_utf8_lossy(&record.message)),
        Entry::Gap(_) => None, // what the store could not take
    });
    assert_eq!(messages.collect::<Vec<_>>(), ["unused variable line=12", "1 of 20 tests failed"]);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    as_json_lines(&dir.path().join("scheduler.jsonl"))?;
    in_a_store(&dir.path().join("data"))
}

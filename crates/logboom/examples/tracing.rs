//! Spans and events of `tracing`, and what libraries log by `log`, in one file in their order.
//!
//! `cargo run -p logboom --example tracing`

use std::{error::Error, fs};

use log::LevelFilter;
use logboom::LogCollector;

fn serve(request: u32) {
    let span = tracing::info_span!("request", id = request, user = tracing::field::Empty);
    let _in_request = span.enter();
    tracing::info!(path = "/a b", "received");
    span.record("user", "ann"); // what is said from now on has it
    tracing::debug_span!("query", table = "users").in_scope(|| tracing::warn!(rows = 3, took_ms = 0.5, "slow"));
    log::info!("a library says this by log");
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    logboom::init(LevelFilter::Debug)?; // for `log` and `tracing`, once in a process
    let collector = LogCollector::builder(dir.path()).target("tracing", LevelFilter::Debug).build()?;

    serve(7);

    collector.flush()?;
    let text = fs::read_to_string(collector.path())?;
    print!("{text}");
    let messages: Vec<&str> = text.lines().map(|line| &line[30..]).collect();
    assert_eq!(
        messages,
        [
            r#"I request{id=7}: received path="/a b""#,
            r"W request{id=7 user=ann}:query{table=users}: slow rows=3 took_ms=0.5",
            "I a library says this by log",
        ]
    );
    Ok(())
}

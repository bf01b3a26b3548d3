//! A test that keeps what the tested code logs, and looks at it.
//!
//! `cargo run -p logboom --example single_collector_test`

use std::{error::Error, fs};

use log::LevelFilter;
use logboom::LogCollector;

/// What is tested. It logs by the `log` facade and knows nothing of logboom.
fn import(rows: u32) -> u32 {
    log::info!("importing {rows} rows");
    if rows > 2 {
        log::warn!("2 of {rows} rows are taken");
    }
    rows.min(2)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let collector = LogCollector::builder(dir.path()).name("import").build()?;
    collector.init_global_logger(LevelFilter::Info)?;
    let path = collector.start_new_session_blocking("import_takes_two_rows")?;

    let taken = import(3);

    assert_eq!(taken, 2);
    let last = collector.last_lines(1)?; // what was logged just now is there
    assert!(last[0].ends_with(" S W 2 of 3 rows are taken"), "{last:?}");
    collector.flush()?; // fsync'ed when this returns
    print!("{}:\n{}", path.display(), fs::read_to_string(&path)?);
    Ok(())
}

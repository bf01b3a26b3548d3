//! Tests at the same time in one process, on threads and in async tasks: each hears only what was logged on its own thread or
//! in its own task.
//!
//! `cargo run -p logboom --example parallel_tests`

use std::{error::Error, fs, path::Path, thread};

use log::LevelFilter;
use logboom::{CollectorError, LogCollector};

/// A collector that takes from the facade only what bound threads and tasks log.
fn collector(data_dir: &Path, name: &str) -> Result<LogCollector, CollectorError> {
    let collector = LogCollector::builder(data_dir).name(name).bound_only().build()?;
    // All but the first are told that it is installed already.
    let _ = collector.init_global_logger(LevelFilter::Info);
    Ok(collector)
}

/// The messages of the collector's file: each line has them from byte 32 on.
fn messages(collector: &LogCollector) -> Result<Vec<String>, Box<dyn Error>> {
    collector.flush()?;
    Ok(fs::read_to_string(collector.path())?.lines().map(|line| line[32..].to_owned()).collect())
}

fn on_threads(data_dir: &Path) -> Result<(), Box<dyn Error>> {
    let collectors =
        (0..4).map(|test| collector(data_dir, &format!("thread_{test}"))).collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for (test, collector) in collectors.iter().enumerate() {
            scope.spawn(move || {
                let _bound = collector.bind_thread(); // until it is dropped
                log::info!("test {test} on a thread of its own");
            });
        }
    });
    for (test, collector) in collectors.iter().enumerate() {
        assert_eq!(messages(collector)?, [format!("test {test} on a thread of its own")]);
        println!("{}", collector.last_lines(1)?[0]);
    }
    Ok(())
}

fn in_tasks(data_dir: &Path) -> Result<(), Box<dyn Error>> {
    let collectors = (0..4).map(|test| collector(data_dir, &format!("task_{test}"))).collect::<Result<Vec<_>, _>>()?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?.block_on(async {
        let test = |(test, collector): (usize, &LogCollector)| {
            tokio::spawn(collector.bind_task(async move {
                log::info!("task {test} begins");
                tokio::task::yield_now().await; // and may go on on another thread
                log::info!("task {test} ends");
            }))
        };
        for task in collectors.iter().enumerate().map(test).collect::<Vec<_>>() {
            task.await?;
        }
        Ok::<_, tokio::task::JoinError>(())
    })?;
    for (test, collector) in collectors.iter().enumerate() {
        assert_eq!(messages(collector)?, [format!("task {test} begins"), format!("task {test} ends")]);
        println!("{}", collector.last_lines(1)?[0]);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    on_threads(dir.path())?;
    in_tasks(dir.path())
}

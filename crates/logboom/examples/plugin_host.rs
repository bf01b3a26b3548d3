//! A host of plugins: a log for each plugin, one for what the host does to them, and a page of each to look at.
//!
//! `cargo run -p logboom --example plugin_host`

use std::{error::Error, time::Duration};

use logboom_files::component::{LogConfig, LogEntry, LogLevel, LogReader, PluginLogger, SupervisorLogger};

/// The plugin logs a line a second for an hour, and dies.
fn run_weather(config: &LogConfig, supervisor: &SupervisorLogger) -> Result<(), Box<dyn Error>> {
    let weather = PluginLogger::open(config, "weather")?;
    supervisor.spawn("weather", 4711)?;
    for second in 0..3_600 {
        let level = if second % 600 == 599 { LogLevel::Warn } else { LogLevel::Info };
        weather.write(&LogEntry::builder(level, "measured").field("second", second).field("celsius", 21.5).build())?;
    }
    weather.write(&LogEntry::builder(LogLevel::Error, "no answer").error("timed out").pid(4711).build())?;
    weather.flush()?; // fsync'ed when this returns
    assert_eq!(weather.dropped(), 0);
    supervisor.crash("weather", 4711, "exit code 1")?;
    supervisor.restart("weather", 1, Duration::from_millis(500))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    // Small files, so that they are rotated here: at most (3 + 1) x 128 KiB for each log.
    let config = LogConfig { max_file_size: 128 << 10, max_rotated_files: 3, ..LogConfig::in_dir(dir.path()) };
    run_weather(&config, &SupervisorLogger::open(&config)?)?;

    // Any process can read, while others write.
    let reader = LogReader::of(&config);
    assert_eq!(reader.plugins()?, ["weather"]);
    let newest = reader.read("weather", LogLevel::Warn, 0, 3)?;
    let messages: Vec<&str> = newest.entries.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(messages, ["no answer", "measured", "measured"]); // newest first
    newest.entries.iter().for_each(|entry| println!("{} {} {}", entry.timestamp, entry.level, entry.message));

    // By cursor no entry comes twice and none is left out, whatever is written and rotated meanwhile.
    let (mut entries, mut cursor) = (0, None);
    loop {
        let page = reader.read_from("weather", LogLevel::Trace, cursor.as_ref(), 1_000)?;
        assert!(page.skipped == 0 && !page.gone);
        entries += page.entries.len();
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    let files = std::fs::read_dir(dir.path().join("plugins"))?.flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|end| end == "log")).count();
    println!("{entries} entries in {files} files of weather");
    assert!(files == 4 && (1..3_601).contains(&entries)); // the oldest file was deleted

    let events = reader.supervisor(LogLevel::Info, None, 10)?.entries;
    events.iter().rev().for_each(|event| println!("{} {}", event.level, event.message));
    let names: Vec<_> = events.iter().filter_map(|event| event.fields()["event"].as_str()).collect();
    assert_eq!(names, ["restart", "crash", "spawn"]);
    Ok(())
}

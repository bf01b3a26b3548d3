//! Tests one after the other in one process: each has its own collector, and so its own session; and each of its steps has
//! its own file.
//!
//! `cargo run -p logboom --example several_in_sequence`

use std::{error::Error, fs, path::PathBuf};

use log::LevelFilter;
use logboom::LogCollector;

/// Runs one test, and gives the files that it has logged to.
fn test(data_dir: &std::path::Path, name: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let collector = LogCollector::builder(data_dir).name(name).build()?;
    // From the second test on this says that it is installed already, which is harmless.
    let installed = collector.init_global_logger(LevelFilter::Debug);
    assert!(installed.is_ok() || installed.is_err_and(|error| error.ours));

    let mut files = Vec::new();
    for step in ["set_up", "step", "step"] {
        files.push(collector.start_new_session_blocking(step)?);
        log::debug!("{name}: {step}");
    }
    Ok(files) // the only handle ends here: what was logged is written and synced, and the session is over
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    for name in ["first", "second", "third"] {
        let files = test(dir.path(), name)?;
        let names: Vec<_> = files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["set_up.log", "step.log", "step.2.log"]); // a name that is taken gets a number
        for file in &files {
            let text = fs::read_to_string(file)?;
            assert!(text.contains(&format!(" S D {name}: ")) && text.lines().count() == 1, "{text}");
            print!("{}: {text}", file.display());
        }
    }
    assert_eq!(fs::read_dir(dir.path().join("sessions"))?.count(), 3);
    Ok(())
}

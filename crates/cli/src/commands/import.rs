//! `logboom import`: get back a session that was exported as a bundle.

use std::{fs::File, io, path::PathBuf};

use anyhow::{Context, Result};
use logboom_files::{bundle, units::parse_bytes};

use crate::{
    args::Global,
    exit::Exit,
    human,
    output::{Look, Out},
    place,
};

/// Get back a session that was exported as a bundle
///
/// The session appears as a whole or not at all. One that is there already stays as it is: if it is the same, this is said; else
/// nothing is imported, and the exit code is 2.
#[derive(clap::Args)]
pub struct Import {
    /// The bundle; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Refuse a bundle with more bytes than this, as 2GiB [what the disk has room for]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_bytes: Option<u64>,
    /// Print one JSON object: {"id", "dir", "files", "bytes", "was_there"}
    #[arg(long)]
    json: bool,
}

impl Import {
    /// Exits 0 when the session is there.
    pub fn run(self, global: &Global) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let imported = if self.file.as_os_str() == "-" {
            bundle::import(&data, io::stdin().lock(), self.max_bytes)
        } else {
            let file = File::open(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
            bundle::import(&data, file, self.max_bytes)
        };
        let imported = imported.with_context(|| format!("cannot import {}", self.file.display()))?;
        let contents = &imported.contents;
        let text = if self.json {
            let object = serde_json::json!({
                "id": imported.id, "dir": data.session(&imported.id), "files": contents.files, "bytes": contents.bytes,
                "was_there": imported.was_there,
            });
            format!("{object}\n")
        } else {
            let what = if imported.was_there { "was there already, the same" } else { "imported" };
            let id = Look::of_stdout(global.color).paint("1", imported.id.short());
            let (files, bytes) = (human::counted(contents.files, "file"), human::count(contents.bytes));
            format!("{id}  {what}: {files}, {bytes} bytes\n")
        };
        Out::stdout().put(text.as_bytes())?;
        Ok(Exit::Done)
    }
}

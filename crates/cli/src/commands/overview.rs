//! `logboom` alone: what one can do with it, and what it did last.

use anyhow::Result;
use logboom_files::{DataDir, list::Sessions as List};
use logboom_record::Time;
use logboom_store_embedded::Embedded;

use crate::{
    args::Global,
    commands::sessions::{Row, counts, table},
    exit::Exit,
    output::{Look, Out},
    place,
};

const EXAMPLES: [(&str, &str); 6] = [
    ("logboom run make test", "run a command and keep all it prints"),
    ("logboom show", "read what the latest session printed"),
    ("logboom tail -f", "follow it while it runs"),
    ("logboom search 'connection refused'", "find lines in it; --all: in every session"),
    ("logboom sessions --failed", "list the sessions that did not end well"),
    ("journalctl -f | logboom pipe --name journal", "keep what comes through a pipe"),
];

/// Prints six examples and the latest session. Always exits 0.
pub fn print(global: &Global, now: Time) -> Result<Exit> {
    let look = Look::of_stdout(global.color);
    let mut text = String::from("logboom keeps everything your runs print, and lets you read it back.\n\n");
    for (command, meaning) in EXAMPLES {
        text += &format!("  {}  {meaning}\n", look.paint("1", &format!("{command:<43}")));
    }
    text += "\n`logboom help` has every command, `logboom help COMMAND` the options of one.\n\n";
    text += &latest(&place::data_dir(global)?, look, now)?;
    Out::stdout().put(text.as_bytes())?;
    Ok(Exit::Done)
}

fn latest(data: &DataDir, look: Look, now: Time) -> Result<String> {
    let found = List::of(data)?.newest(1, now, |_| true);
    let Some(status) = found.first() else {
        return Ok(format!("There are no sessions in {} yet.\n", data.sessions().display()));
    };
    let store = Embedded::open(&data.path)?;
    Ok(table(&[Row { status, counts: counts(&store, status) }], look, now, false))
}

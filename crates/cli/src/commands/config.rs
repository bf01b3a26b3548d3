//! `logboom config`: every setting, and who said so.

use anyhow::Result;
use logboom_files::config::{Flags, Origin};
use serde_json::{Value, json};

use crate::{args::Global, exit::Exit, output::Out, place};

/// Print each setting and where it comes from
///
/// Settings are read from the nearest `logboom.toml` upwards; an unknown key there is an error.
#[derive(clap::Args)]
pub struct Config {
    /// Print one JSON object: {"NAME": {"value": .., "from": ..}}
    #[arg(long)]
    json: bool,
}

impl Config {
    /// Exits 0, or fails where a `logboom.toml` is wrong.
    pub fn run(self, global: &Global) -> Result<Exit> {
        let config = place::config(&Flags { dir: global.dir.clone(), ..Flags::default() })?;
        let rows = config.rows();
        let text = if self.json { as_json(&rows) } else { as_table(&rows).into_bytes() };
        Out::stdout().put(&text)?;
        Ok(Exit::Done)
    }
}

fn as_json(rows: &[(&str, String, &Origin)]) -> Vec<u8> {
    let member = |(name, value, from): &(&str, String, &Origin)| {
        ((*name).to_owned(), json!({"value": value, "from": from.to_string()}))
    };
    let mut text = Vec::new();
    logboom_record::json::push_line(&mut text, &Value::Object(rows.iter().map(member).collect()));
    text
}

fn as_table(rows: &[(&str, String, &Origin)]) -> String {
    let width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value, from)| format!("{name:<10}  {value:<width$}  ({from})\n")).collect()
}

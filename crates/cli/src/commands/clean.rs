//! `logboom clean`: delete what need not be kept.

use std::time::Duration;

use anyhow::Result;
use logboom_files::{
    config::Flags,
    retention::{self, Seen},
    units::{parse_bytes, parse_duration},
};
use logboom_record::{SessionId, Time};

use crate::{
    args::Global,
    exit::Exit,
    human,
    output::{Look, Out},
    place,
};

/// Delete sessions that the retention does not keep
///
/// By default: older than 30 days, more than 200, more than 5 GiB in all; those that did not end well are kept three times as
/// long, but within the bytes. What is still being written is never touched. `run` does the same at most once an hour.
#[derive(clap::Args)]
pub struct Clean {
    /// Delete what ended longer ago, as 7d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Keep so many sessions
    #[arg(long, value_name = "COUNT")]
    keep: Option<u64>,
    /// Keep at most so many bytes, as 2GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_bytes: Option<u64>,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object for each session that goes
    #[arg(long)]
    json: bool,
}

impl Clean {
    /// Exits 0, also where there is nothing to delete.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let flags = Flags {
            dir: global.dir.clone(),
            older_than: self.older_than,
            keep: self.keep,
            max_bytes: self.max_bytes,
            ..Flags::default()
        };
        let config = place::config(&flags)?;
        let data = config.data_dir();
        let seen = retention::survey(&data, now)?;
        let plan = retention::plan(&seen, &config.limits(), now);
        let gone = match self.dry_run || !data.sessions().exists() {
            true => plan,
            false => retention::apply(&data, &plan, now)?.deleted,
        };
        self.print(&gone, &seen, Look::of_stdout(global.color))
    }

    fn print(&self, gone: &[(SessionId, retention::Reason)], seen: &[Seen], look: Look) -> Result<Exit> {
        let bytes_of = |id: &SessionId| seen.iter().find(|seen| seen.id == *id).map_or(0, |seen| seen.bytes);
        let mut text = String::new();
        for (id, reason) in gone {
            let bytes = bytes_of(id);
            text += &match self.json {
                true => format!("{}\n", serde_json::json!({"id": id, "bytes": bytes, "why": reason.to_string()})),
                false => format!("{}  {:>12} bytes  {reason}\n", look.paint("1", id.as_str()), human::count(bytes)),
            };
        }
        if !self.json {
            let total: u64 = gone.iter().map(|(id, _)| bytes_of(id)).sum();
            let verb = if self.dry_run { "would be deleted" } else { "deleted" };
            text +=
                &format!("{} {verb}, {} bytes\n", human::counted(gone.len() as u64, "session"), human::count(total));
        }
        Out::stdout().put(text.as_bytes())?;
        Ok(Exit::Done)
    }
}

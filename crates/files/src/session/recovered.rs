//! What the other files of a session tell where its metadata do not: the ends of runs, and the runs themselves.

use std::{fs, path::Path};

use logboom_record::{Kind, RunEnd, RunId, Time};

use super::{Meta, RunMeta, Session, meta::FORMAT, started};

/// The end of a run, as the footer of its boom file has it.
pub(super) fn run_end(dir: &Path, run: &RunMeta) -> Option<RunEnd> {
    let _ = (dir, run);
    None
}

/// The end of the root run, where some boom file has it.
pub(super) fn root_end(dir: &Path, meta: &Meta) -> Option<RunEnd> {
    let _ = (dir, meta);
    None
}

/// Metadata for a session whose own cannot be read: start and id from its name, one run for each text log.
pub(super) fn meta(session: &Session) -> Meta {
    let at = start(session);
    let root = stand_in(session, 0);
    let mut names: Vec<String> = files(session.dir()).filter(|name| is_text_log(name)).collect();
    names.sort();
    let runs = names.into_iter().zip(1..).map(|(name, number)| {
        let run = started(stand_in(session, number), Kind::Command, name.clone(), at);
        RunMeta { text: Some(name), ..RunMeta::new(run) }
    });
    Meta {
        format: FORMAT,
        id: session.id().clone(),
        run: started(root, Kind::Session, String::new(), at),
        open: false,
        runs: runs.collect(),
        bytes: None,
        host: None,
        user: None,
        logboom: None,
    }
}

/// `2026-01-02_03-04-05_…` is when it started.
fn start(session: &Session) -> Time {
    let (date, clock) = session.id().as_str()[..19].split_at(10);
    format!("{date}T{}Z", clock[1..].replace('-', ":")).parse().unwrap_or_default()
}

/// An id in the place of one that is not known: the same whenever it is asked for, and unlike any that is drawn.
fn stand_in(session: &Session, number: u32) -> RunId {
    let mut bytes = [0; 16];
    bytes[8..12].copy_from_slice(&number.to_be_bytes());
    let short = u32::from_str_radix(session.id().short(), 16).unwrap_or(0);
    bytes[12..].copy_from_slice(&short.to_be_bytes());
    RunId::from_bytes(bytes)
}

fn files(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn is_text_log(name: &str) -> bool {
    name.starts_with("exec_") && name.ends_with(".log")
}

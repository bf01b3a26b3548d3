//! `logboom sessions`: what there is.

use std::collections::BTreeMap;

use anyhow::Result;
use logboom_files::{
    attempts::{self, TestOf},
    list::Sessions as List,
    session::{Counts, Status},
};
use logboom_record::{Level, Outcome, SessionId, Time};
use logboom_store::{RunQuery, RunState, Scope, Store};
use logboom_store_embedded::Embedded;
use serde::Serialize;

use crate::{
    args::Global,
    exit::Exit,
    human,
    output::{Look, Out},
    place,
    say::{say, tell},
    visible,
};

/// List the sessions, newest first
#[derive(clap::Args)]
pub struct Sessions {
    /// At most so many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = usize::MAX, hide_default_value = true)]
    count: usize,
    /// Only those that did not end well
    #[arg(long)]
    failed: bool,
    /// Only those of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Sessions {
    /// Exits 0, also where there are none.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let wanted = |status: &Status| {
            (!self.failed || status.outcome.is_bad())
                && self.name.as_ref().is_none_or(|name| status.meta.run.name == *name)
        };
        let list = List::of(&data)?;
        let found = list.newest(self.count, now, wanted);
        let store = Embedded::open(&data.path)?;
        let rows: Vec<Row<'_>> = found.iter().map(|status| Row { status, counts: counts(&store, status) }).collect();
        let look = Look::of_stdout(global.color);
        let text = match self.json {
            true => as_json(&rows),
            false => table(&rows, look, now, self.failed).into_bytes(),
        };
        for why in found.iter().filter_map(|status| status.damage.as_ref()) {
            tell(why);
        }
        if rows.is_empty() && !self.json {
            say(format_args!("no such sessions in {}", data.sessions().display()));
        }
        Out::stdout().put(&text)?;
        Ok(Exit::Done)
    }
}

/// A session and what it printed.
pub struct Row<'a> {
    /// How it stands.
    pub status: &'a Status,
    /// What it printed so far.
    pub counts: Counts,
}

/// What a session printed: as its runs noted it when they ended, for others what their files hold by now.
pub fn counts(store: &Embedded, status: &Status) -> Counts {
    let known = status.meta.counts();
    if status.meta.runs.iter().all(|run| run.counts.is_some()) {
        return known;
    }
    // A listing is worth having even where the files of one session cannot be read.
    let states = store.runs(&RunQuery::new(Scope::Session(status.meta.run.id))).unwrap_or_default();
    states.iter().map(counts_of).sum()
}

/// What a run printed, as its files have it.
pub fn counts_of(state: &RunState) -> Counts {
    Counts {
        records: state.records,
        lines: state.lines,
        errors: state.levels[Level::Error as usize],
        warnings: state.levels[Level::Warn as usize],
        lost: state.lost,
    }
}

const HEAD: [&str; 7] = ["ID", "AGE", "DURATION", "OUTCOME", "LINES", "ERRORS", "NAME"];

/// So many failed tests of a session are named in the table.
const FAILED_MAX: usize = 10;

/// The table that people see; with the failed tests of each session where they are wanted.
pub fn table(rows: &[Row<'_>], look: Look, now: Time, names_tests: bool) -> String {
    let cells: Vec<[String; 7]> = rows.iter().map(|row| cells(row, now)).collect();
    let width = |column: usize| {
        let texts = cells.iter().map(|row| row[column].chars().count());
        texts.chain([HEAD[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text += &line(&HEAD.map(str::to_owned), &widths, |_, cell| look.paint("1", &cell));
    }
    for (row, cells) in rows.iter().zip(&cells) {
        let sgr = human::outcome_sgr(row.status.outcome);
        text += &line(cells, &widths, |column, cell| if column == 3 { look.paint(sgr, &cell) } else { cell });
        if names_tests {
            text += &failed_tests(row.status, look);
        }
    }
    text
}

/// A line for each test that failed.
fn failed_tests(status: &Status, look: Look) -> String {
    let mut failed = attempts::tests(status);
    failed.retain(|one| one.test.outcome.is_bad());
    let mut text = String::new();
    for TestOf { test, .. } in failed.iter().take(FAILED_MAX) {
        let outcome = look.paint(human::outcome_sgr(Outcome::Failed), test.outcome.as_str());
        text += &format!("  {outcome}  {}\n", visible::plain(&test.full_name()));
    }
    if let Some(more @ 1..) = failed.len().checked_sub(FAILED_MAX) {
        text += &format!("  and {more} more, see --json\n");
    }
    text
}

fn cells(row: &Row<'_>, now: Time) -> [String; 7] {
    let Row { status, counts } = row;
    let run = &status.meta.run;
    let until = if status.outcome == Outcome::Running { now } else { status.last_seen };
    [
        status.id.short().to_owned(),
        human::age(run.started_at, now),
        human::duration(human::between(run.started_at, until)),
        human::outcome(status.outcome, run.end.as_ref()),
        human::count(counts.lines),
        human::count(counts.errors),
        visible::plain(&run.name),
    ]
}

/// Numbers stand to the right; the last column is as long as it is.
fn line(cells: &[String; 7], widths: &[usize], paint: impl Fn(usize, String) -> String) -> String {
    let mut text = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padded = match column {
            1 | 2 | 4 | 5 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        };
        text += &paint(column, padded);
        text += "  ";
    }
    text + &paint(6, cells[6].clone()) + "\n"
}

#[derive(Serialize)]
struct SessionLine<'a> {
    id: &'a SessionId,
    short: &'a str,
    name: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    started_at: Time,
    /// `null` while it runs; of a lost one, its last sign of life.
    ended_at: Option<Time>,
    lines: u64,
    errors: u64,
    warnings: u64,
    lost: u64,
    labels: &'a BTreeMap<String, String>,
    dir: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<&'a str>,
    /// How many tests had which outcome, where tools told.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tests: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_tests: Vec<String>,
    runs: Vec<RunLine<'a>>,
}

#[derive(Serialize)]
struct RunLine<'a> {
    id: logboom_record::RunId,
    name: &'a str,
    /// Which attempt of it, from 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    outcome: Outcome,
    command: &'a [String],
}

fn as_json(rows: &[Row<'_>]) -> Vec<u8> {
    let mut text = Vec::new();
    rows.iter().for_each(|row| logboom_record::json::push_line(&mut text, &session_line(row)));
    text
}

fn session_line<'a>(row: &Row<'a>) -> SessionLine<'a> {
    let Row { status, counts } = row;
    let run = &status.meta.run;
    let runs = status.meta.runs.iter().zip(&status.outcomes).map(|(child, outcome)| RunLine {
        id: child.run.id,
        name: &child.run.name,
        attempt: Some(attempts::attempt(child)).filter(|number| *number > 1),
        outcome: *outcome,
        command: &child.command,
    });
    let mut outcomes = BTreeMap::new();
    let tests = attempts::tests(status);
    tests.iter().for_each(|one| *outcomes.entry(one.test.outcome.as_str()).or_default() += 1);
    let failed_tests = tests.iter().filter(|one| one.test.outcome.is_bad()).map(|one| one.test.full_name());
    SessionLine {
        id: &status.id,
        short: status.id.short(),
        name: &run.name,
        outcome: status.outcome,
        exit_code: run.end.as_ref().and_then(|end| end.exit_code),
        signal: run.end.as_ref().and_then(|end| end.signal),
        started_at: run.started_at,
        ended_at: (status.outcome != Outcome::Running).then_some(status.last_seen),
        lines: counts.lines,
        errors: counts.errors,
        warnings: counts.warnings,
        lost: counts.lost,
        labels: &run.labels,
        dir: status.dir.display().to_string(),
        damage: status.damage.as_deref(),
        tests: outcomes,
        failed_tests: failed_tests.collect(),
        runs: runs.collect(),
    }
}

//! `logboom tail`: the last lines of a session, and those that follow.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use logboom_files::{DataDir, list::Sessions, session::Status};
use logboom_record::{Kind, Outcome, RunId, SessionId, Time};
use logboom_ring::rest;
use logboom_store::{Cursor, Order, Query, Scope, Store, Wake};
use logboom_store_embedded::Embedded;

use crate::{
    args::{Filter, Format, Global, Which},
    exit::Exit,
    group,
    output::{Look, Out, when_closed},
    pages::Pages,
    place,
    reading::{Reading, open_store, pick_runs},
    say::say,
};

/// How long one wait for news may take. It has no effect on when news are seen.
const WAIT: Duration = Duration::from_secs(60);

/// How often it is looked for a run that the session does not have yet.
const LOOK_FOR_RUN: Duration = Duration::from_millis(100);

/// Up to so many lines are read once, newest first, and turned round in memory.
const FEW_LINES: usize = 1_000;

/// Show the last lines of a session, and follow it while it runs
///
/// `--follow` ends with the session; if its writer was killed, it says so and exits 1. A run that the session does not have
/// yet is waited for.
#[derive(clap::Args)]
pub struct Tail {
    #[command(flatten)]
    which: Which,
    /// How many lines to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    /// Go on with each line as it is printed
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    format: Format,
}

impl Tail {
    /// Exits 1 if what was followed was lost, or if raw output had to leave out lost records.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let status = place::find(&data, &self.which, now)?;
        let store = open_store(&data, Some(&status))?;
        let scope = Scope::Session(status.meta.run.id);
        let mut query = self.filter.query(scope, now);
        pick_runs(&store, &mut query, &status)?;
        let mut reading = Reading::new(&store, scope, self.format, Look::of_stdout(global.color), Out::stdout())?;
        let end = last_lines(&store, &query, self.lines, &mut reading)?;
        if !self.follow {
            return reading.finish();
        }
        // All that was printed so far was handed on.
        when_closed(|| std::process::exit(0)).context("cannot start the thread that sees whether somebody reads")?;
        let followed = Followed { store: &store, data: &data, id: &status.id };
        followed.to_the_end(&mut query, end, &mut reading)?;
        let exit = reading.finish()?;
        Ok(if followed.is_lost()? { Exit::No } else { exit })
    }
}

/// Prints the last so many lines, and tells the place after them.
fn last_lines(store: &Embedded, query: &Query, lines: usize, reading: &mut Reading<'_>) -> Result<Cursor> {
    let newest_first = Query { order: Order::Newest, ..query.clone() };
    let few = Query { lines_max: lines.clamp(1, FEW_LINES), ..newest_first.clone() };
    let page = store.page(&few, None)?;
    match lines {
        0 => return Ok(page.end),
        _ if lines <= FEW_LINES || !page.more => reading.push(page.entries.iter().rev()),
        _ => {
            let mut pages = Pages::new(store, &newest_first, Some(page.cursor));
            let (mut left, mut start) = (lines - FEW_LINES, None);
            while let Some(page) = pages.next(left)? {
                left -= group::lines(&page.entries, Order::Newest).len().min(left);
                start = page.more.then_some(page.cursor);
            }
            return copy(store, query, start, reading, &|_| true);
        }
    }
    reading.put()?;
    Ok(page.end)
}

/// Prints all of the picked runs from the cursor to what is now the end.
///
/// # Errors
/// Of the store, and of the output.
pub fn copy(
    store: &Embedded,
    query: &Query,
    from: Option<Cursor>,
    reading: &mut Reading<'_>,
    picks: &dyn Fn(RunId) -> bool,
) -> Result<Cursor> {
    let mut pages = Pages::new(store, query, from);
    loop {
        let Some(page) = pages.next(usize::MAX)? else { anyhow::bail!("the store gave no page") };
        reading.push(page.entries.iter().filter(|entry| picks(entry.run())));
        reading.put()?;
        if !page.more {
            return Ok(page.cursor);
        }
    }
}

/// A session that is followed.
struct Followed<'a> {
    store: &'a Embedded,
    data: &'a DataDir,
    id: &'a SessionId,
}

impl Followed<'_> {
    /// Prints what comes after the cursor, until the session ends.
    fn to_the_end(&self, query: &mut Query, mut cursor: Cursor, reading: &mut Reading<'_>) -> Result<()> {
        let mut missing = self.pick_runs(query)?;
        if !missing.is_empty() && stderr().is_terminal() {
            say(format_args!("session {} has no run {} yet; waiting for it", self.id.short(), missing.join(", ")));
        }
        loop {
            let patience = if missing.is_empty() { WAIT } else { LOOK_FOR_RUN };
            let wake = self.store.wait(query, &cursor, Instant::now() + patience)?;
            let waited = !missing.is_empty();
            if waited {
                // Before anything is read: what is passed over without the run does not come again.
                missing = self.pick_runs(query)?;
            }
            let came = waited && missing.is_empty();
            if wake == Wake::Entries || came {
                cursor = copy(self.store, query, Some(cursor), reading, &|_| true)?;
            }
            if wake == Wake::Ended && !came {
                return Ok(());
            }
        }
    }

    /// Finds the runs that are picked, as the session is now; gives those that it does not have yet.
    fn pick_runs(&self, query: &mut Query) -> Result<Vec<String>> {
        pick_runs(self.store, query, &self.status()?)
    }

    fn status(&self) -> Result<Status> {
        Ok(Sessions::of(self.data)?.session(self.id).status(Time::now()))
    }

    /// Whether the session or a run of it was lost; says so on standard error.
    fn is_lost(&self) -> Result<bool> {
        // Before the status: a recovery removes them when it has noted the ends of their runs.
        let has_rings = !rest::files_in(&self.data.session(self.id)).is_empty();
        let status = self.status()?;
        let lost = status.outcome == Outcome::Lost || status.outcomes.contains(&Outcome::Lost);
        if lost {
            let id = self.id.short();
            let kept = match rings_keep(&status, has_rings) {
                true => "what went by its rings is kept",
                false => "what it had not yet written is lost",
            };
            say(format_args!("the writer of session {id} was killed; {kept}"));
        }
        Ok(lost)
    }
}

/// Whether all that was lost are collectors whose rings are there, or are in their files.
fn rings_keep(status: &Status, has_rings: bool) -> bool {
    let runs = status.meta.runs.iter().zip(&status.outcomes);
    let mut lost = runs.filter(|(_, outcome)| **outcome == Outcome::Lost).map(|(run, _)| &run.run).peekable();
    lost.peek().is_some() && lost.all(|run| run.kind == Kind::Collector && (has_rings || run.end.is_some()))
}

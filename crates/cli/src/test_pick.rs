//! Which lines of a session are of interest because of a test.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use logboom_files::session::Status;
use logboom_record::{Run, RunId, TestResult, Time};
use logboom_store::{Query, RunPick, Scope, Store};
use logboom_store_embedded::Embedded;

/// So many names are given where a name is that of several.
const NAMES_MAX: usize = 10;

/// The lines of a test.
#[derive(Args)]
pub struct TestPick {
    /// Only the lines of this test, with the name of its suite before it where several have its name; of one that several runs have (--run
    /// says which) the last that failed, else the last
    #[arg(long, value_name = "NAME", help_heading = "Which lines")]
    test: Option<String>,
    /// With --test: what every run of the session printed while it ran
    #[arg(long, requires = "test", help_heading = "Which lines")]
    around: bool,
}

impl TestPick {
    /// Narrows a query to the test, if there is one to be picked. Gives back one that has no lines that are known to be its own.
    ///
    /// # Errors
    /// Where the session has no such test, or several; and those of the store.
    pub fn narrow<'a>(
        &self,
        query: &mut Query,
        status: &'a Status,
        store: &Embedded,
    ) -> Result<Option<&'a TestResult>> {
        let Some(name) = &self.test else { return Ok(None) };
        let (run, test) = find(status, name, &query.runs)?;
        if !self.around && !test.has_output() {
            return Ok(Some(test));
        }
        if !self.around {
            (query.runs, query.seq_min, query.seq_max) = (vec![RunPick::Id(run)], test.from, test.to);
            return Ok(None);
        }
        // What a failed test printed may be told after its result, and tools round times.
        let told = if test.has_output() { time_of(store, query.scope, run, test.from)? } else { None };
        let told = told.unwrap_or(test.time);
        let duration = test.duration_us.and_then(|duration| i64::try_from(duration).ok()).unwrap_or(0);
        let began = told.min(Time::from_micros(test.time.as_micros().saturating_sub(duration)));
        query.since = query.since.max(Some(began));
        let ended = Time::from_micros(test.time.as_micros().saturating_add(1));
        query.until = Some(query.until.map_or(ended, |until| until.min(ended)));
        Ok(None)
    }
}

/// Whether `name` is the last parts of a test's full name.
pub fn is_last_part(full_name: &str, name: &str) -> bool {
    let before = full_name.strip_suffix(name);
    before.is_some_and(|before| [" ", "::", "/", " > "].iter().any(|between| before.ends_with(between)))
}

/// The test that is called so, in one of these runs if any are picked; of one that was run several times the last that failed, else the last.
fn find<'a>(status: &'a Status, name: &str, picked: &[RunPick]) -> Result<(RunId, &'a TestResult)> {
    let runs = || {
        let is_picked = |run: &Run| picked.is_empty() || picked.iter().any(|pick| pick.fits(run));
        status.meta.runs.iter().filter(move |run| is_picked(&run.run))
    };
    let all = || runs().flat_map(|run| run.tests.iter().map(|test| (run.run.id, test)));
    let by_name: [&dyn Fn(&TestResult) -> bool; 3] =
        [&|test| test.full_name() == name, &|test| test.test == name, &|test| is_last_part(&test.full_name(), name)];
    for is_it in by_name {
        let mut found: BTreeMap<String, (RunId, &TestResult)> = BTreeMap::new();
        for (run, test) in all().filter(|(_, test)| is_it(test)) {
            let best = found.entry(test.full_name()).or_insert((run, test));
            if test.outcome.is_bad() || !best.1.outcome.is_bad() {
                *best = (run, test);
            }
        }
        match found.len() {
            0 => {}
            1 => return found.into_values().next().ok_or_else(|| anyhow::anyhow!("no test")),
            many => {
                let names: Vec<&str> = found.keys().take(NAMES_MAX).map(String::as_str).collect();
                let more = if many > NAMES_MAX { ", …" } else { "" };
                anyhow::bail!("{many} tests are called {name}; say which: {}{more}", names.join(", "))
            }
        }
    }
    let id = status.id.short();
    match all().count() {
        0 if status.is_live() => anyhow::bail!("session {id} still runs; its tests can be picked when it has ended"),
        0 if picked.is_empty() => anyhow::bail!("no results of tests were found in session {id}"),
        0 => anyhow::bail!("no results of tests were found in that run of session {id}"),
        count => anyhow::bail!(
            "session {id} has no test {name}; it has {count}, see `logboom sessions --json` or its session.json"
        ),
    }
}

/// When a record came.
fn time_of(store: &Embedded, scope: Scope, run: RunId, seq: u64) -> Result<Option<Time>> {
    let query = Query { runs: vec![RunPick::Id(run)], seq_min: seq, seq_max: seq, ..Query::new(scope) };
    Ok(store.page(&query, None)?.entries.first().map(|entry| entry.time()))
}

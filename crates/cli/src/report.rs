//! A session as a report for other programs: JUnit XML, and Markdown.

mod junit;
mod last_lines;
mod markdown;
mod summary;
mod text;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use logboom_files::{
    attempts::{self, Attempts, RunOf},
    session::{RunMeta, Status},
};
use logboom_record::Kind;
use logboom_store_embedded::Embedded;

use crate::{exit::Exit, output::Out, whole_file};

/// Which report, if one is wanted.
#[derive(Args)]
pub struct Report {
    /// Write a report in JUnit XML to this file instead, - for standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["summary", "json", "raw", "test", "plugin", "supervisor", "runs", "level", "streams", "since", "until"], help_heading = "Reports")]
    junit: Option<PathBuf>,
    /// Print a summary in Markdown instead, for a pull request or $GITHUB_STEP_SUMMARY
    #[arg(long, conflicts_with_all = ["json", "raw", "test", "plugin", "supervisor", "runs", "level", "streams", "since", "until"], help_heading = "Reports")]
    summary: bool,
}

impl Report {
    /// Whether one is wanted.
    pub fn is_meant(&self) -> bool {
        self.junit.is_some() || self.summary
    }

    /// Writes it.
    ///
    /// # Errors
    /// Of the store, and of the output.
    pub fn write(&self, status: &Status, store: &Embedded) -> Result<Exit> {
        match &self.junit {
            Some(file) => {
                whole_file::write(file, &format!("{}.xml", status.id), |out| junit::write(status, store, out))
                    .with_context(|| format!("cannot write the report to {}", file.display()))?;
            }
            None => Out::stdout().put(summary::of(status, store)?.as_bytes())?,
        }
        Ok(Exit::Done)
    }
}

/// The commands that tell themselves how they went, and where the session did not end well and neither they nor tests tell of that, every
/// run that did not, of whatever kind, steps too.
fn speaking<'a>(status: &Status, all: &[Attempts<'a>]) -> Vec<Attempts<'a>> {
    let mut speaking: Vec<Attempts<'a>> =
        all.iter().filter(|one| is_test(one.last.meta) && speaks_for_itself(one.last)).cloned().collect();
    let is_told = speaking.iter().any(|one| one.last.outcome.is_bad())
        || all.iter().flat_map(Attempts::tests).any(|one| one.test.outcome.is_bad());
    if status.outcome.is_bad() && !is_told {
        speaking.extend(all.iter().filter(|one| !is_test(one.last.meta) && one.last.outcome.is_bad()).cloned());
    }
    speaking
}

/// Whether the run is one by which a session passes or fails.
fn is_test(run: &RunMeta) -> bool {
    run.run.kind == Kind::Command && !attempts::is_step(run)
}

/// Whether no test of it tells why it ended as it did.
fn speaks_for_itself(run: RunOf<'_>) -> bool {
    let tests = &run.meta.tests;
    tests.is_empty() || (run.outcome.is_bad() && !tests.iter().any(|test| test.outcome.is_bad()))
}

/// The run in which logboom itself tells what it did.
fn own_run(status: &Status) -> Option<&RunMeta> {
    status.meta.runs.iter().find(|run| run.run.kind == Kind::System)
}

//! A session as a report for other programs: JUnit XML, and Markdown.

mod junit;
mod last_lines;
mod markdown;
mod summary;
mod text;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use logboom_files::session::{RunMeta, Status};
use logboom_record::{Outcome, TestResult};
use logboom_store_embedded::Embedded;

use crate::{
    exit::Exit,
    output::{Out, OutputError},
};

/// Which report, if one is wanted.
#[derive(Args)]
pub struct Report {
    /// Write a report in JUnit XML to this file instead, - for standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["summary", "json", "raw", "test", "plugin", "supervisor"], help_heading = "Reports")]
    junit: Option<PathBuf>,
    /// Print a summary in Markdown instead, for a pull request or $GITHUB_STEP_SUMMARY
    #[arg(long, conflicts_with_all = ["json", "raw", "test", "plugin", "supervisor"], help_heading = "Reports")]
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
            Some(file) if file == Path::new("-") => junit::write(status, store, &mut Stdout(Out::stdout()))?,
            Some(file) => {
                let failed = || format!("cannot write the report to {}", file.display());
                let mut out = BufWriter::new(File::create(file).with_context(failed)?);
                junit::write(status, store, &mut out).with_context(failed)?;
                out.flush().with_context(failed)?;
            }
            None => Out::stdout().put(summary::of(status, store)?.as_bytes())?,
        }
        Ok(Exit::Done)
    }
}

/// Standard output; a reader that has gone ends the program as everywhere.
struct Stdout(Out);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.put(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(OutputError::Closed) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(OutputError::Io(error)) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run of a session, and what became of it.
#[derive(Clone, Copy)]
struct RunOf<'a> {
    meta: &'a RunMeta,
    outcome: Outcome,
}

fn runs(status: &Status) -> impl Iterator<Item = RunOf<'_>> {
    status.meta.runs.iter().zip(&status.outcomes).map(|(meta, outcome)| RunOf { meta, outcome: *outcome })
}

/// Its tests, each with its run.
fn tests(status: &Status) -> impl Iterator<Item = (&RunMeta, &TestResult)> {
    status.meta.runs.iter().flat_map(|run| run.tests.iter().map(move |test| (run, test)))
}

impl RunOf<'_> {
    /// Whether no test of it tells why it ended as it did.
    fn speaks_for_itself(self) -> bool {
        let tests = &self.meta.tests;
        tests.is_empty() || (self.outcome.is_bad() && !tests.iter().any(|test| test.outcome.is_bad()))
    }
}

//! A session as a report for other programs: JUnit XML, and Markdown.

mod junit;
mod last_lines;
mod markdown;
mod summary;
mod text;

use std::{
    io::{self, BufWriter, IntoInnerError, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use logboom_files::{
    attempts::{Attempts, RunOf},
    session::{RunMeta, Status},
};
use logboom_record::Kind;
use logboom_store_embedded::Embedded;

use crate::{
    exit::Exit,
    output::{Out, OutputError},
    whole_file::WholeFile,
};

/// So much is put together before it is written.
const WRITE_BYTES: usize = 64 << 10;

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
            Some(file) if file == Path::new("-") => {
                let mut out = BufWriter::with_capacity(WRITE_BYTES, Stdout(Out::stdout()));
                junit::write(status, store, &mut out)?;
                out.flush()?;
            }
            Some(file) => {
                write_file(status, store, file)
                    .with_context(|| format!("cannot write the report to {}", file.display()))?;
            }
            None => Out::stdout().put(summary::of(status, store)?.as_bytes())?,
        }
        Ok(Exit::Done)
    }
}

/// The file is there once it is whole; until then the one before it is.
fn write_file(status: &Status, store: &Embedded, file: &Path) -> Result<()> {
    let mut out = BufWriter::with_capacity(WRITE_BYTES, WholeFile::begin(file, &format!("{}.xml", status.id))?);
    junit::write(status, store, &mut out)?;
    out.into_inner().map_err(IntoInnerError::into_error)?.finish()?;
    Ok(())
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

/// The commands that tell themselves how they went, and where the session did not end well and neither they nor tests tell of that, every
/// run that did not, of whatever kind.
fn speaking<'a>(status: &Status, all: &[Attempts<'a>]) -> Vec<Attempts<'a>> {
    let is_command = |one: &Attempts<'_>| one.last.meta.run.kind == Kind::Command;
    let mut speaking: Vec<Attempts<'a>> =
        all.iter().filter(|one| is_command(one) && speaks_for_itself(one.last)).cloned().collect();
    let is_told = speaking.iter().any(|one| one.last.outcome.is_bad())
        || all.iter().flat_map(Attempts::tests).any(|one| one.test.outcome.is_bad());
    if status.outcome.is_bad() && !is_told {
        speaking.extend(all.iter().filter(|one| !is_command(one) && one.last.outcome.is_bad()).cloned());
    }
    speaking
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

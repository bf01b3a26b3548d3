//! Measures logboom beside its rivals, and makes the input for it.
//!
//! Each subcommand asks one question, prints a table and adds it to the file of results; `report` renders that file. The
//! question, the input and the method stand at the head of each subcommand's module.

mod capture;
mod containers;
mod decompress;
mod follow;
mod logboom;
mod memory;
mod produce;
mod report;
mod rival;
mod seal;
mod search;
mod size;
mod slowdown;
mod stages;
mod startup;
mod tail;
mod terminal;
mod understood;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Parser, Subcommand, ValueEnum};
use logboom_bench::Form;
use logboom_bench::measure;
use logboom_bench::place::{self, Place};
use logboom_bench::results::{self, Machine};
use logboom_bench::table::Table;

/// Measures logboom beside its rivals, and makes the input for it.
#[derive(Parser)]
struct Bench {
    /// The logboom to measure; the one beside this program if left out.
    #[arg(long, global = true)]
    logboom: Option<PathBuf>,
    /// Where inputs and outputs go: a directory on a real disk.
    #[arg(long, global = true, default_value = "target/bench")]
    work: PathBuf,
    /// The file of results; results.jsonl in the work directory if left out.
    #[arg(long, global = true)]
    results: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write generated records to stdout, one a line.
    Gen {
        /// How a record is written.
        form: FormArg,
        /// How many records.
        lines: u64,
        /// The same seed gives the same records.
        #[arg(default_value_t = 42)]
        seed: u64,
    },
    Capture(capture::Capture),
    Size(size::Size),
    Stages(stages::Stages),
    Memory(memory::Memory),
    Seal(seal::Seal),
    Startup(startup::Startup),
    Slowdown(slowdown::Slowdown),
    Search(search::Search),
    Tail(tail::Tail),
    Follow(follow::Follow),
    Containers(containers::Containers),
    Understood(understood::Understood),
    /// Ask every question in its usual size
    All,
    Report(report::Report),
    #[command(subcommand, hide = true)]
    Produce(produce::Produce),
}

#[derive(Clone, Copy, ValueEnum)]
enum FormArg {
    /// The message alone.
    Text,
    /// A JSON object with all fields.
    Jsonl,
}

impl From<FormArg> for Form {
    fn from(form: FormArg) -> Self {
        match form {
            FormArg::Text => Form::Text,
            FormArg::Jsonl => Form::Jsonl,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let bench = Bench::parse();
    match &bench.what {
        What::Gen { form, lines, seed } => place::write_lines((*form).into(), *lines, *seed, &mut io::stdout()),
        What::Produce(produce) => produce.run(),
        What::Report(report) => report.run(&bench.results_file()),
        What::All => bench.all(),
        What::Capture(capture) => bench.answer(|place, logboom| capture.run(place, logboom)),
        What::Size(size) => bench.answer(|place, logboom| size.run(place, logboom)),
        What::Memory(memory) => bench.answer(|place, logboom| memory.run(place, logboom)),
        What::Stages(stages) => bench.answer(|place, logboom| stages.run(place, logboom)),
        What::Seal(seal) => bench.answer(|place, logboom| seal.run(place, logboom)),
        What::Startup(startup) => bench.answer(|place, logboom| startup.run(place, logboom)),
        What::Slowdown(slowdown) => bench.answer(|place, logboom| slowdown.run(place, logboom)),
        What::Search(search) => bench.answer(|place, logboom| search.run(place, logboom)),
        What::Tail(tail) => bench.answer(|place, logboom| tail.run(place, logboom)),
        What::Follow(follow) => bench.answer(|place, logboom| follow.run(place, logboom)),
        What::Understood(understood) => bench.answer(|place, logboom| understood.run(place, logboom)),
        What::Containers(containers) => bench.answers(|place, logboom| containers.run(place, logboom)),
    }
}

impl Bench {
    /// Runs each bench as a process of its own: the memory that one used must not count in the next one's figures.
    fn all(&self) -> anyhow::Result<()> {
        for bench in report::ORDER {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(bench).arg("--work").arg(&self.work).arg("--results").arg(self.results_file());
            if let Some(logboom) = &self.logboom {
                command.arg("--logboom").arg(logboom);
            }
            measure::run(&mut command)?;
        }
        Ok(())
    }

    fn results_file(&self) -> PathBuf {
        self.results.clone().unwrap_or_else(|| self.work.join("results.jsonl"))
    }

    /// Prints what a bench finds, and keeps it.
    fn answer(&self, ask: impl FnOnce(&Place, Option<&Path>) -> anyhow::Result<Table>) -> anyhow::Result<()> {
        self.answers(|place, logboom| Ok(vec![ask(place, logboom)?]))
    }

    /// The same of a bench that fills several tables.
    fn answers(&self, ask: impl FnOnce(&Place, Option<&Path>) -> anyhow::Result<Vec<Table>>) -> anyhow::Result<()> {
        let place = Place::new(&self.work)?;
        for table in ask(&place, self.logboom.as_deref())? {
            println!("{table}");
            results::append(&self.results_file(), &Machine::this(&self.work), &table)?;
        }
        Ok(())
    }
}

//! How fast are lines kept that come through a pipe, and what does it cost?
//!
//! All rivals take turns in every round, so that a slow moment of the machine hits them alike. A figure counts only if every
//! line was found in the rival's files afterwards.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use logboom_bench::measure::{self, Cost, median};
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;
use crate::rival::Rival;

/// Compare logboom with its rivals in keeping the lines of one pipe.
#[derive(clap::Args)]
pub struct Capture {
    /// How many lines each has to keep.
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
    /// How often each has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only those whose name contains one of these.
    #[arg(long)]
    only: Vec<String>,
}

/// What one rival cost in each round.
struct Tries {
    rival: Rival,
    costs: Vec<Cost>,
    lines: u64,
}

impl Capture {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let input = place.text(self.lines)?;
        let logboom = Logboom::find(logboom, place)?;
        let (here, missing): (Vec<Rival>, Vec<Rival>) =
            Rival::ALL.into_iter().filter(|rival| self.is_wanted(*rival)).partition(|rival| rival.is_installed());
        let mut tries: Vec<Tries> =
            here.into_iter().map(|rival| Tries { rival, costs: Vec::new(), lines: self.lines }).collect();
        for round in 1..=self.rounds {
            for tried in &mut tries {
                let cost = turn(tried.rival, &input, self.lines, place, &logboom)
                    .with_context(|| format!("{} in round {round}", tried.rival.name()))?;
                eprintln!("round {round}: {:22} {:>8.3} s", tried.rival.name(), cost.wall.as_secs_f64());
                tried.costs.push(cost);
            }
        }
        Ok(self.table(&tries, &missing))
    }

    fn is_wanted(&self, rival: Rival) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| rival.name().contains(part.as_str()))
    }

    fn table(&self, tries: &[Tries], missing: &[Rival]) -> Table {
        let method = format!(
            "{} generated lines, `cat FILE |` to files on the disk, {} rounds in which all take turns, medians; CPU is the \
             sink's own",
            self.lines, self.rounds
        );
        let columns = ["", "M lines/s", "slowest-fastest", "x best rival", "CPU-s per M lines", "peak MiB"];
        let mut table = Table::new("capture", "How fast are the lines of a pipe kept?", method, &columns);
        let best = tries
            .iter()
            .filter(|tried| tried.rival.is_beaten_by_promise())
            .map(Tries::lines_per_us)
            .fold(f64::NAN, f64::max);
        tries.iter().for_each(|tried| table.row(tried.cells(best)));
        promise(&mut table, tries, best);
        table.notes.extend(missing.iter().map(|rival| format!("{} is not installed here.", rival.name())));
        table
            .notes
            .push("Every line was found in each rival's files after each round, or there would be no figure.".into());
        table.notes.push(
            "cat and tee only copy; the others stamp each line; logboom also tells the level, numbers the records, writes a \
             compressed, searchable boom file (but for `--no-boom`) and syncs it to the disk, which no other does."
                .into(),
        );
        table
    }
}

fn promise(table: &mut Table, tries: &[Tries], best: f64) {
    let find = |rival| tries.iter().find(|tried| tried.rival == rival);
    if let Some(run) = find(Rival::LogboomRun) {
        table.promise("`run --quiet`", run.lines_per_us(), "M lines/s", Bound::AtLeast(1.5));
        table.promise("`run --quiet` beside the best", run.lines_per_us() / best, "x", Bound::AtLeast(2.0));
        table.promise("`run --quiet`", run.cpu_seconds(), "CPU-s per M lines", Bound::AtMost(1.2));
        table.promise("`run --quiet`", run.peak_mib(), "MiB", Bound::AtMost(64.0));
    }
    if let Some(text) = find(Rival::LogboomText) {
        table.promise("`run --no-boom`", text.lines_per_us(), "M lines/s", Bound::AtLeast(4.0));
        table.promise("`run --no-boom`", text.cpu_seconds(), "CPU-s per M lines", Bound::AtMost(0.25));
    }
}

impl Tries {
    fn lines_per_us(&self) -> f64 {
        median(self.rates())
    }

    fn rates(&self) -> impl Iterator<Item = f64> + '_ {
        self.costs.iter().map(|cost| self.lines as f64 / cost.wall.as_secs_f64() / 1e6)
    }

    fn cpu_seconds(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.cpu.as_secs_f64() / self.lines as f64 * 1e6))
    }

    fn peak_mib(&self) -> f64 {
        self.costs.iter().map(|cost| cost.peak_bytes as f64 / f64::from(1 << 20)).fold(0.0, f64::max)
    }

    fn cells(&self, best: f64) -> [String; 6] {
        let slowest = self.rates().fold(f64::INFINITY, f64::min);
        let fastest = self.rates().fold(0.0, f64::max);
        [
            self.rival.name().to_owned(),
            figure(self.lines_per_us()),
            format!("{}-{}", figure(slowest), figure(fastest)),
            figure(self.lines_per_us() / best),
            figure(self.cpu_seconds()),
            figure(self.peak_mib()),
        ]
    }
}

/// One rival keeps all lines once; its files are counted and removed.
fn turn(rival: Rival, input: &Path, lines: u64, place: &Place, logboom: &Logboom) -> anyhow::Result<Cost> {
    let dir = place.fresh("capture")?;
    let usage = place.kept("producer-cpu");
    rustix::fs::sync(); // what the one before left unwritten must not slow this one
    let mut sink = rival.sink(&dir, logboom)?;
    let cost = match rival {
        Rival::LogboomRun | Rival::LogboomText => run_around(&mut sink, input, &usage)?,
        _ => measure::feed(input, &mut sink)?,
    };
    let kept = rival.kept_lines(&dir)?;
    ensure!(kept == lines, "{} lines were printed, {kept} were kept", lines);
    if rival.is_logboom() {
        let records = logboom.verified_records(&dir)?;
        ensure!(records == lines, "{lines} lines were printed, verify finds {records}");
    }
    if rival == Rival::LogboomText {
        ensure!(logboom.shows(&dir, input)?, "show --raw does not print what was printed");
    }
    remove(&dir)?;
    Ok(cost)
}

/// `logboom run` starts `cat` itself, and the kernel adds the time of a child that is waited for to its parent's. A small
/// producer between them writes down what `cat` took, so that it can be taken off.
fn run_around(sink: &mut Command, input: &Path, usage: &Path) -> anyhow::Result<Cost> {
    sink.arg(std::env::current_exe()?).args(["produce", "cat"]).arg(input).arg("--cpu-file").arg(usage);
    let mut cost = measure::run(sink)?;
    let producer: f64 = std::fs::read_to_string(usage)?.trim().parse()?;
    cost.cpu = cost.cpu.saturating_sub(Duration::from_secs_f64(producer));
    Ok(cost)
}

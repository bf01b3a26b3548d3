//! How much longer does a command take that does nothing?

use std::path::Path;
use std::process::Command;

use logboom_bench::measure::{self, median, quantile, silenced};
use logboom_bench::place::Place;
use logboom_bench::table::{Bound, Table, figure};

use crate::logboom::Logboom;

/// Measure what `logboom run` adds to `true`.
#[derive(clap::Args)]
pub struct Startup {
    /// How often each takes its turn.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// How many sessions the full data dir has.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
}

impl Startup {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let full = logboom.sessions(self.sessions, place)?;
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..self.rounds {
            let empty = place.fresh("startup")?;
            let commands = [Command::new("true"), with_true(logboom.run(&empty)), with_true(logboom.run(&full))];
            for (mut command, times) in commands.into_iter().zip(&mut times) {
                times.push(measure::run(silenced(&mut command))?.wall.as_secs_f64() * 1e3);
            }
        }
        Ok(self.table(&times))
    }

    fn table(&self, times: &[Vec<f64>; 3]) -> Table {
        let method = format!("whole process from start to end, {} alternating rounds, medians", self.rounds);
        let columns = ["", "ms", "ms, p90", "ms more than `true`"];
        let mut table = Table::new("startup", "What does `logboom run true` add to `true`?", method, &columns);
        let bare = median(times[0].iter().copied());
        let full = format!("`logboom run true`, {} sessions", self.sessions);
        for (name, times) in ["`true`", "`logboom run true`, empty data dir", &full].into_iter().zip(times) {
            let middle = median(times.iter().copied());
            let cells = [figure(middle), figure(quantile(times, 0.9)), figure(middle - bare)];
            table.row([name.to_owned()].into_iter().chain(cells));
            if name.starts_with("`logboom") {
                table.promise(name, middle - bare, "ms more", Bound::AtMost(10.0));
            }
        }
        table
    }
}

fn with_true(mut command: Command) -> Command {
    command.arg("true");
    command
}

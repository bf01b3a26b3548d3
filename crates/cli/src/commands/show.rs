//! `logboom show`: everything a session printed, or a component logged.

mod component;

use std::io::IsTerminal;

use anyhow::Result;
use logboom_record::{Level, TestResult, Time};
use logboom_store::Scope;

use crate::{
    args::{Filter, Format, Global, Which},
    exit::Exit,
    human,
    output::{Look, Out},
    pager::Pager,
    place,
    reading::{Reading, open_store, pick_runs},
    report::Report,
    say::tell,
    test_pick::TestPick,
    visible,
};

/// Show what a session printed
///
/// On a terminal a pager shows it (LOGBOOM_PAGER, else PAGER, else less). `--raw --stream stdout` gives back exactly what the
/// command wrote there; where something of that is lost, it says so on standard error and exits 1.
#[derive(clap::Args)]
pub struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    test: TestPick,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    component: component::Component,
    /// Print straight to the terminal
    #[arg(long, help_heading = "How")]
    no_pager: bool,
}

impl Show {
    /// Exits 1 if raw output had to leave out lost records, or a component's log has lines that are no entries.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        if self.component.is_meant() {
            let level = self.filter.level.unwrap_or(Level::Trace);
            return self.component.show(level, self.format.json, self.out());
        }
        let data = place::data_dir(global)?;
        let status = place::find(&data, &self.which, now)?;
        let store = open_store(&data, Some(&status))?;
        if self.report.is_meant() {
            return self.report.write(&status, &store);
        }
        let scope = Scope::Session(status.meta.run.id);
        let mut query = self.filter.query(scope, now);
        pick_runs(&store, &mut query, &status)?;
        if let Some(test) = self.test.narrow(&mut query, &status, &store)? {
            return self.show_told(test);
        }
        let mut reading = Reading::new(&store, scope, self.format, Look::of_stdout(global.color), self.out())?;
        reading.scan(&query)?;
        reading.finish()
    }

    /// A test of which a file told, and that no line is known to be of.
    fn show_told(&self, test: &TestResult) -> Result<Exit> {
        let took = test.duration_us.map_or(String::new(), |us| format!(" in {}", human::took(us)));
        let name = test.full_name();
        tell(&format!(
            "{name} {}{took}; a file told that, and which lines are its own is not known (--around has those beside it)",
            test.outcome.as_str()
        ));
        if !test.message.is_empty() && !self.format.json {
            let mut text = Vec::new();
            match self.format.raw {
                true => text.extend_from_slice(test.message.as_bytes()),
                false => test
                    .message
                    .lines()
                    .for_each(|line| text.extend_from_slice((visible::plain(line) + "\n").as_bytes())),
            }
            Out::stdout().put(&text)?;
        }
        Ok(Exit::Done)
    }

    fn out(&self) -> Out {
        let paged = !self.no_pager && !self.format.raw && std::io::stdout().is_terminal();
        let pager = if paged { Pager::start(|name| std::env::var_os(name)) } else { None };
        pager.map_or_else(Out::stdout, Out::Pager)
    }
}

//! `logboom show`: everything a session printed, or a component logged.

mod component;

use std::io::IsTerminal;

use anyhow::Result;
use logboom_record::{Level, Time};
use logboom_store::Scope;

use crate::{
    args::{Filter, Format, Global, Which},
    exit::Exit,
    output::{Look, Out},
    pager::Pager,
    place,
    reading::{Reading, open_store, pick_runs},
    test_pick::TestPick,
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
        let scope = Scope::Session(status.meta.run.id);
        let mut query = self.filter.query(scope, now);
        pick_runs(&store, &mut query, &status)?;
        self.test.narrow(&mut query, &status, &store)?;
        let mut reading = Reading::new(&store, scope, self.format, Look::of_stdout(global.color), self.out())?;
        reading.scan(&query)?;
        reading.finish()
    }

    fn out(&self) -> Out {
        let paged = !self.no_pager && !self.format.raw && std::io::stdout().is_terminal();
        let pager = if paged { Pager::start(|name| std::env::var_os(name)) } else { None };
        pager.map_or_else(Out::stdout, Out::Pager)
    }
}

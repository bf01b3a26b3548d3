//! `logboom history`: how it went from one session to the next.

mod lines;
mod table;

use anyhow::Result;
use logboom_files::{
    history::{History as Past, NAMES_BYTES_MAX, OfName, RESULTS_MAX},
    list::Sessions,
};
use logboom_record::Time;

use crate::{
    args::Global,
    exit::Exit,
    human,
    output::{Look, Out},
    place,
    say::{say, tell},
    test_pick::is_last_part,
};

/// How many tests are shown of a name, unless a test is asked for.
const TESTS_SHOWN: usize = 20;

/// Show how sessions of the same name went, and their tests
///
/// Without NAME a line for each name, the latest first. With NAME its tests, too, the worst first: those that are newly failing (they failed in
/// the latest session and passed before), failing, flaky (they passed and failed in sessions of the same label `commit`, or passed when they
/// were run again), or slower (the median of the latest three is more than 1.5 times that of those before, and 50 ms above it).
/// Letters: P passed, p passed when run again, F failed, T timed out, S skipped, I interrupted, L lost, R running; the newest is on the right.
#[derive(clap::Args)]
pub struct History {
    /// Only sessions of this name, and their tests
    name: Option<String>,
    /// Only the tests of this name
    #[arg(long, value_name = "NAME", requires = "name")]
    test: Option<String>,
    /// Show so many tests [20]
    #[arg(short = 'n', long, value_name = "COUNT", requires = "name")]
    count: Option<usize>,
    /// Print one JSON object a line, with everything
    #[arg(long)]
    json: bool,
}

impl History {
    /// Exits 1 if there is no session of the name, or no such test in them.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let past = self.remember(&Sessions::of(&data)?, now);
        let look = Look::of_stdout(global.color);
        let Some(name) = &self.name else {
            let names = past.names();
            if names.is_empty() && !self.json {
                say(format_args!("no sessions in {}", data.sessions().display()));
            }
            let text = if self.json { lines::of_names(&past, &names) } else { table::of_names(&past, &names, look) };
            return put(&text);
        };
        let Some(of) = past.name(name) else {
            tell(&format!(
                "no session is called {name} in {}; `logboom history` lists the names",
                data.sessions().display()
            ));
            return Ok(Exit::No);
        };
        self.show(&past, &of, look)
    }

    fn show(&self, past: &Past, of: &OfName<'_>, look: Look) -> Result<Exit> {
        let mut tests = past.tests(of);
        if let Some(wanted) = &self.test {
            let count = tests.len();
            tests.retain(|test| test.name == wanted || is_last_part(test.name, wanted));
            if tests.is_empty() {
                tell(&format!(
                    "no session {} has a test {wanted}; they have {}",
                    of.name,
                    human::counted(count as u64, "test")
                ));
                return Ok(Exit::No);
            }
        }
        let shown = self.count.unwrap_or(TESTS_SHOWN);
        if self.json {
            let mut out = Out::stdout();
            lines::of_tests(of, &tests, |part| out.put(part))?;
            return Ok(Exit::Done);
        }
        put(&table::of_tests(of, &tests, shown, look))
    }

    fn remember(&self, sessions: &Sessions, now: Time) -> Past {
        let mut past = Past::default();
        for status in sessions.in_chunks(now).flatten() {
            if let Some(why) = &status.damage {
                tell(why);
            } else if self.name.as_ref().is_none_or(|name| status.meta.run.name == *name) {
                past.take(&status);
            }
        }
        past.sort();
        if past.left_out > 0 {
            let sessions = human::counted(past.left_out, "session");
            say(format_args!(
                "the tests of {sessions} are left out: there are more than {} results, or {} bytes of names",
                human::count(RESULTS_MAX as u64),
                human::count(NAMES_BYTES_MAX as u64)
            ));
        }
        past
    }
}

fn put(text: &[u8]) -> Result<Exit> {
    Out::stdout().put(text)?;
    Ok(Exit::Done)
}

//! `logboom search`: the lines that hold a text.

use anyhow::{Result, bail};
use logboom_record::{Entry, Time};
use logboom_store::{Case, Order, Query, Scope, Syntax, TextQuery, View};
use logboom_store_embedded::Embedded;

use crate::{
    args::{Filter, Format, Global, Which},
    around::{Around, Lines},
    exit::{Exit, FAILED},
    group,
    output::{Look, Out},
    pages::Pages,
    place,
    reading::{Reading, open_store, pick_runs},
    say::say,
    visible,
};

/// Find lines in a session, or in all of them
///
/// PATTERN is looked for as it is; `-e` takes a regular expression instead. Whole lines are searched, colours ignored
/// (unless --raw). The newest line comes first. Exits 1 if there is none.
#[derive(clap::Args)]
#[command(
    override_usage = "logboom search [OPTIONS] PATTERN [SESSION]\n       logboom search [OPTIONS] -e REGEX [SESSION]"
)]
pub struct Search {
    /// What to look for; then the session to look in [the latest]
    #[arg(value_name = "PATTERN", num_args = 0..=2)]
    words: Vec<String>,
    /// Look for a regular expression
    #[arg(short = 'e', long, value_name = "REGEX")]
    regex: Option<String>,
    /// Take upper and lower case for the same
    #[arg(short, long)]
    ignore_case: bool,
    /// Look in every session
    #[arg(short, long)]
    all: bool,
    /// Look in the latest session that failed
    #[arg(long, conflicts_with = "all")]
    failed: bool,
    /// Show so many lines of the same run around each line, too
    #[arg(short = 'C', long, value_name = "LINES", default_value_t = 0, hide_default_value = true)]
    context: usize,
    /// Print how many lines there are, and nothing else
    #[arg(short, long, conflicts_with = "context")]
    count: bool,
    /// Stop after so many lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = usize::MAX, hide_default_value = true)]
    lines: usize,
    /// The oldest line first
    #[arg(long)]
    oldest: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    format: Format,
}

impl Search {
    /// Exits 1 if no line was found, 2 if a session could not be read.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let (text, session) = self.parse()?;
        let data = place::data_dir(global)?;
        let found = match self.all {
            true => None,
            false => Some(place::find(&data, &Which { session, failed: self.failed }, now)?),
        };
        let scope = found.as_ref().map_or(Scope::All, |status| Scope::Session(status.meta.run.id));
        let mut query = self.filter.query(scope, now);
        let store = open_store(&data, found.as_ref())?;
        found.as_ref().map(|status| pick_runs(&store, &mut query, status)).transpose()?;
        query.text = Some(text);
        query.order = if self.oldest { Order::Oldest } else { Order::Newest };
        let exit = if self.count {
            self.print_count(store.count(&query)?.min(self.lines as u64))?
        } else {
            let mut reading = Reading::new(&store, scope, self.format, Look::of_stdout(global.color), Out::stdout())?;
            query.text.iter().for_each(|text| reading.highlight(text.clone()));
            self.print(&store, &query, reading)?
        };
        let left_out = store.take_left_out();
        let is_whole = left_out.is_empty();
        for (id, why) in left_out {
            let why = format!("{:#}", anyhow::Error::new(why));
            say(format_args!("session {} is left out: {}", id.short(), visible::plain(&why)));
        }
        Ok(if is_whole { exit } else { Exit::Code(FAILED) })
    }

    /// The text to look for, and the session.
    fn parse(&self) -> Result<(TextQuery, Option<String>)> {
        let case = if self.ignore_case { Case::Insensitive } else { Case::Sensitive };
        let view = if self.format.raw { View::Raw } else { View::Plain };
        let (pattern, syntax, rest) = match (&self.regex, self.words.split_first()) {
            (Some(regex), _) => (regex, Syntax::Regex, &self.words[..]),
            (None, Some((pattern, rest))) => (pattern, Syntax::Literal, rest),
            (None, None) => bail!("nothing to look for; give a PATTERN, or -e REGEX"),
        };
        if rest.len() > 1 || (self.all && !rest.is_empty()) {
            bail!("one PATTERN and one SESSION at most (none with --all); put quotes around a pattern with spaces");
        }
        Ok((TextQuery::new(pattern, syntax, case, view)?, rest.first().cloned()))
    }

    fn print(&self, store: &Embedded, query: &Query, mut reading: Reading<'_>) -> Result<Exit> {
        let (mut pages, mut left) = (Pages::new(store, query, None), self.lines);
        let mut around = Around::new(store, self.context);
        while let Some(page) = pages.next(left)? {
            for line in group::lines(&page.entries, query.order) {
                let parts: Vec<&Entry> = line.into_iter().map(|place| &page.entries[place]).collect();
                match Lines::of(&parts).filter(|_| self.context > 0) {
                    Some(line) => around.add(line, &mut reading)?,
                    None => reading.line(&parts),
                }
                left = left.saturating_sub(1);
            }
            reading.put()?;
        }
        around.finish(&mut reading)?;
        let exit = reading.finish()?;
        Ok(if left == self.lines { Exit::No } else { exit })
    }

    fn print_count(&self, count: u64) -> Result<Exit> {
        let text = if self.format.json { format!("{{\"lines\":{count}}}\n") } else { format!("{count}\n") };
        Out::stdout().put(text.as_bytes())?;
        Ok(if count == 0 { Exit::No } else { Exit::Done })
    }
}

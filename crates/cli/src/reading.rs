//! What `show`, `tail` and `search` share: the store, the query that the options ask for, and the way out to the reader.

use std::{collections::BTreeMap, ops::ControlFlow};

use logboom_files::{DataDir, list::Sessions, session::Status};
use logboom_record::{Entry, EntryRef, Kind, Level, RunId, Time};
use logboom_store::{Query, RunPick, RunQuery, RunState, Scope, Store, TextQuery};
use logboom_store_embedded::Embedded;

use crate::{
    args::{Filter, Format},
    exit::Exit,
    output::{Look, Out, OutputError},
    render::{Renderer, Shape, gap_message},
    say::say,
    visible,
};

/// How much is put together before it is written.
const BATCH_BYTES: usize = 64 << 10;

/// Writes what a store gives to a reader.
pub struct Reading<'a> {
    store: &'a Embedded,
    scope: Scope,
    renderer: Renderer,
    out: Out,
    labels: Labels,
    /// The shape has no place for names.
    is_plain: bool,
    failed: Option<OutputError>,
}

impl<'a> Reading<'a> {
    /// Prints records of `scope` in the format's shape.
    ///
    /// # Errors
    /// Where the runs of the scope cannot be read.
    pub fn new(store: &'a Embedded, scope: Scope, format: Format, look: Look, out: Out) -> anyhow::Result<Reading<'a>> {
        let shape = match format {
            Format { json: true, .. } => Shape::Json,
            Format { raw: true, .. } => Shape::Raw,
            _ => Shape::Text(look),
        };
        let labels = Labels::of(store, scope)?;
        let renderer = Renderer::new(shape, labels.shown());
        let is_plain = format.json || format.raw;
        Ok(Reading { store, scope, renderer, out, labels, is_plain, failed: None })
    }

    /// Shows lines as compose does, with the name of their run and nothing else.
    pub fn tag(&mut self) {
        self.labels.always = true;
        self.renderer.tag();
        self.renderer.name(self.labels.shown());
    }

    /// Shows what is searched for in a colour of its own, where there are colours.
    pub fn highlight(&mut self, text: TextQuery) {
        self.renderer.highlight(text);
    }

    /// Prints every line that the query asks for, oldest first, as it is read.
    ///
    /// # Errors
    /// Of the store, and of the output.
    pub fn scan(&mut self, query: &Query) -> anyhow::Result<()> {
        let store = self.store;
        store.scan(query, &mut |entry| self.take(entry))?;
        if let Some(failed) = self.failed.take() {
            return Err(failed.into());
        }
        self.put()
    }

    fn take(&mut self, entry: EntryRef<'_>) -> ControlFlow<()> {
        match entry {
            EntryRef::Record(record) => {
                self.learn(record.run);
                self.renderer.record(&record);
            }
            EntryRef::Gap(gap) => self.renderer.gap(gap),
        }
        if self.renderer.out().len() < BATCH_BYTES {
            return ControlFlow::Continue(());
        }
        match self.hand_on() {
            Ok(()) => ControlFlow::Continue(()),
            Err(failed) => {
                self.failed = Some(failed);
                ControlFlow::Break(())
            }
        }
    }

    /// Takes the entries of a page, oldest first.
    pub fn push<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            self.learn(entry.run());
            match entry {
                Entry::Record(record) => self.renderer.record(&record.as_ref()),
                Entry::Gap(gap) => self.renderer.gap(gap),
            }
        }
    }

    /// Takes a line that has nothing to do with those before and after it.
    pub fn line(&mut self, parts: &[&Entry]) {
        self.push(parts.iter().copied());
        self.renderer.flush();
    }

    /// Adds a line of our own between the records; not to JSON and raw output, which have no place for it.
    pub fn separator(&mut self, text: &str) {
        self.renderer.flush();
        self.renderer.separator(text);
    }

    /// Writes all that was taken, open lines as they stand.
    ///
    /// # Errors
    /// Of the output.
    pub fn put(&mut self) -> anyhow::Result<()> {
        self.renderer.flush();
        Ok(self.hand_on()?)
    }

    fn hand_on(&mut self) -> Result<(), OutputError> {
        let ready = self.renderer.out();
        if !ready.is_empty() {
            self.out.put(ready)?;
            ready.clear();
        }
        Ok(())
    }

    /// Ends the output. [`Exit::No`], with a word on standard error, where raw output had to leave out lost records.
    ///
    /// # Errors
    /// Of the output.
    pub fn finish(mut self) -> anyhow::Result<Exit> {
        self.put()?;
        let Reading { renderer, out, .. } = self;
        out.finish()?;
        for gap in renderer.hidden_gaps() {
            say(format_args!("the output is not complete: run {}: {}", gap.run.short(), gap_message(gap)));
        }
        Ok(if renderer.hidden_gaps().is_empty() { Exit::Done } else { Exit::No })
    }

    /// A run that was not there before: from the second on, lines need names.
    fn learn(&mut self, run: RunId) {
        if self.is_plain || self.labels.knows(run) {
            return;
        }
        // A name that cannot be told is no reason to stop: the line then goes without.
        let _ = self.labels.renew(self.store, self.scope);
        self.labels.labels.entry(run).or_insert_with(|| run.short());
        self.renderer.name(self.labels.shown());
    }
}

/// The store of a data dir, which knows where the session is that was found there.
///
/// # Errors
/// Where the data dir cannot be read.
pub fn open_store(data: &DataDir, found: Option<&Status>) -> anyhow::Result<Embedded> {
    let store = Embedded::open(&data.path)?;
    if let Some(status) = found {
        store.know(status.meta.run.id, &status.id);
    }
    Ok(store)
}

/// What the runs are called in front of their lines.
struct Labels {
    labels: BTreeMap<RunId, String>,
    always: bool,
}

impl Labels {
    fn of(store: &Embedded, scope: Scope) -> anyhow::Result<Labels> {
        let mut labels = Labels { labels: BTreeMap::new(), always: scope == Scope::All };
        if let Scope::Session(_) = scope {
            labels.labels = numbered(&store.runs(&RunQuery::new(scope))?);
        }
        Ok(labels)
    }

    fn knows(&self, run: RunId) -> bool {
        self.labels.contains_key(&run)
    }

    /// Names where there is more than one to tell apart.
    fn shown(&self) -> BTreeMap<RunId, String> {
        if self.labels.len() < 2 && !self.always { BTreeMap::new() } else { self.labels.clone() }
    }

    /// Looks for the names again, since there is a run that had none.
    fn renew(&mut self, store: &Embedded, scope: Scope) -> anyhow::Result<()> {
        match scope {
            Scope::All => self.name_all(store)?,
            _ => self.labels.extend(numbered(&store.runs(&RunQuery::new(scope))?)),
        }
        Ok(())
    }

    /// Names the runs of every session, each with the session's short id.
    fn name_all(&mut self, store: &Embedded) -> anyhow::Result<()> {
        for status in Sessions::of(&DataDir::at(store.dir()))?.statuses(Time::now()) {
            for run in &status.meta.runs {
                store.know(run.run.id, &status.id);
                let label = format!("{} {}", status.id.short(), visible::plain(&run.run.name));
                self.labels.insert(run.run.id, label);
            }
        }
        Ok(())
    }
}

/// What each run is called; the second of a name is `name.2`.
pub fn numbered(runs: &[RunState]) -> BTreeMap<RunId, String> {
    let (mut seen, mut labels) = (BTreeMap::new(), BTreeMap::new());
    for state in runs.iter().filter(|state| state.run.kind != Kind::Session || state.records > 0) {
        let name = visible::plain(&state.run.name);
        let number = seen.entry(name.clone()).and_modify(|number| *number += 1).or_insert(1);
        labels.insert(state.run.id, if *number == 1 { name } else { format!("{name}.{number}") });
    }
    labels
}

/// Finds the runs that are picked as their lines or `verify` name them: `name.2`, or the short id. Refuses those that the
/// session does not have, unless it may get them yet: those it gives back.
///
/// # Errors
/// Names the runs that it has.
pub fn pick_runs(store: &Embedded, query: &mut Query, status: &Status) -> anyhow::Result<Vec<String>> {
    let (root, runs) = (&status.meta.run, &status.meta.runs);
    let is_known = |pick: &RunPick| pick.fits(root) || runs.iter().any(|run| pick.fits(&run.run));
    let mut missing = Vec::new();
    if query.runs.iter().all(is_known) {
        return Ok(missing);
    }
    let labels = numbered(&store.runs(&RunQuery::new(query.scope))?);
    for pick in query.runs.iter_mut().filter(|pick| !is_known(pick)) {
        let wanted = match pick {
            RunPick::Id(id) => id.to_string(),
            RunPick::Name(name) => visible::plain(name),
        };
        match labels.iter().find(|(id, label)| **label == wanted || id.short() == wanted) {
            Some((id, _)) => *pick = RunPick::Id(*id),
            None if status.is_live() || status.damage.is_some() => missing.push(wanted),
            None => {
                let names: Vec<&str> = labels.values().map(String::as_str).collect();
                anyhow::bail!("session {} has no run {wanted}; it has {}", status.id.short(), names.join(", "))
            }
        }
    }
    Ok(missing)
}

impl Filter {
    /// The query for what passes the filter in `scope`.
    pub fn query(&self, scope: Scope, now: Time) -> Query {
        let pick = |text: &String| text.parse().map_or_else(|_| RunPick::Name(text.clone()), RunPick::Id);
        let mut query = Query::new(scope);
        query.runs = self.runs.iter().map(pick).collect();
        if !self.streams.is_empty() {
            query.streams = self.streams.iter().copied().collect();
        }
        query.level_min = self.level.unwrap_or(Level::Trace);
        query.since = self.since.map(|when| when.at(now));
        query.until = self.until.map(|when| when.at(now));
        query
    }
}

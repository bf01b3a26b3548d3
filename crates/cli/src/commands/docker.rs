//! `logboom docker`: what containers print, in a session.

use std::thread;

use anyhow::{Context, Result};
use logboom_capture::{
    docker::{
        select::Selection,
        streamer::{Follow, LogStreamer, Stopper, Streamed},
    },
    engine::Host,
    open_files::OpenFiles,
};
use logboom_files::{
    DataDir, Session,
    config::{Flags, OnTerminal},
    list::{SessionRef, Sessions},
    session::{NewSession, Status, ended},
    with_causes,
};
use logboom_record::{Outcome, SessionId, Time};
use logboom_store::{Cursor, Order, Query, Scope, Store};
use logboom_store_embedded::Embedded;
use signal_hook::{consts::TERM_SIGNALS, iterator::Signals};

use crate::{
    args::{Format, Global},
    commands::tail::Followed,
    exit::Exit,
    human,
    options::{EngineAt, IdFile},
    output::{Look, Out, OutputError},
    place,
    reading::{Reading, open_store},
    say::say,
    visible,
    when::When,
};

/// The label of a session that says which containers it follows, so that it is found again.
const FOLLOWS: &str = "follows";

/// Follow what containers print
///
/// Follows the containers that are there and those to come, each as a run of one session, until Ctrl-C. A container that replaces
/// another under the same compose service, or the same name, goes on in that one's log. If logboom was killed, the same command goes
/// on in the same session, behind the last line it has.
///
/// The engine is the one that docker itself would use: --host, else DOCKER_HOST, else the context that DOCKER_CONTEXT or `docker
/// context use` says, else the usual socket.
#[derive(clap::Args)]
pub struct Docker {
    /// Container to follow: its name, its id, or the first digits of that (may be given more than once)
    #[arg(long = "container", value_name = "CONTAINER", help_heading = "Which containers")]
    containers: Vec<String>,
    /// Only containers with this label (may be given more than once)
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = label, help_heading = "Which containers")]
    labels: Vec<(String, Option<String>)>,
    /// Only containers of this compose project
    #[arg(long, value_name = "PROJECT", help_heading = "Which containers")]
    project: Option<String>,
    /// Every container
    #[arg(long, conflicts_with_all = ["containers", "labels", "project"], help_heading = "Which containers")]
    all: bool,
    /// Only what is printed from this time on: 2026-01-02T03:04:05Z, or how long ago: 10m [all that the engine has]
    #[arg(long, value_name = "TIME", help_heading = "Which containers")]
    since: Option<When>,
    /// End when all of them have ended; exits 1 if one of them failed
    #[arg(long)]
    until_exit: bool,
    #[command(flatten)]
    engine: EngineAt,
    /// Add to this session instead of a new one: id, its 8 hex digits or the first of them, or name
    #[arg(long, value_name = "SESSION", conflicts_with = "name")]
    session: Option<SessionRef>,
    /// What to call the session [docker]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    id_file: IdFile,
    /// Only keep the lines, do not show them
    #[arg(short, long)]
    quiet: bool,
}

impl Docker {
    /// Exits 0; with `--until-exit` 1 if a container failed.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let config = place::config(&Flags { dir: global.dir.clone(), ..Flags::default() })?;
        let data = config.data_dir();
        let follow = self.follow(now)?;
        let stop = Signals::new(TERM_SIGNALS).context("cannot wait for signals")?;
        OpenFiles::raise();
        let (session, is_new) = self.session(&data, &follow.host, now)?;
        let begun = self.begin(&data, &session, follow);
        if begun.is_err() && is_new {
            // Nothing was captured, and the first error says more than this one could.
            let _ = session.clone().discard();
        }
        let (shown, streamer) = begun?;
        self.id_file.write(session.id())?;
        stop_on_signal(stop, streamer.stopper())?;
        let shown = shown.map(|shown| shown.start(global.color)).transpose()?;
        let streamed = streamer.wait();
        if streamed.is_err() && is_new && session.meta()?.runs.is_empty() {
            // It is over, and nobody is to go on with it.
            session.end(&ended(Outcome::Failed, Time::now()))?;
        }
        let streamed = streamed?;
        if let Some(shown) = shown {
            // What failed there was said there, and what was captured stays.
            let _ = shown.join();
        }
        self.summarize(&session, &streamed);
        place::tidy(&config, Time::now());
        let failed = streamed.outcomes.values().any(|outcome| *outcome == Outcome::Failed);
        Ok(if self.until_exit && failed { Exit::No } else { Exit::Done })
    }

    fn begin(&self, data: &DataDir, session: &Session, follow: Follow) -> Result<(Option<Shown>, LogStreamer)> {
        let shown = (!self.quiet).then(|| Shown::from_here(data, session)).transpose()?;
        Ok((shown, LogStreamer::start(session, follow, warn)?))
    }

    fn follow(&self, now: Time) -> Result<Follow> {
        let selection = Selection {
            containers: self.containers.clone(),
            labels: self.labels.clone(),
            project: self.project.clone(),
        };
        if selection.is_all() && !self.all {
            anyhow::bail!("say which containers: --container, --label, --project or --all");
        }
        let host = self.engine.host()?;
        let since = self.since.map(|since| since.at(now));
        Ok(Follow { host, selection, since, until_exit: self.until_exit })
    }

    /// The session that was asked for, or that a killed one followed the same containers into, or a new one, and whether it is new.
    fn session(&self, data: &DataDir, host: &Host, now: Time) -> Result<(Session, bool)> {
        if let Some(reference) = &self.session {
            return Ok((place::find_session(data, reference, now)?, false));
        }
        let follows = self.follows(host);
        if let Some(session) = killed(data, &follows, now) {
            say(format_args!("going on in session {}, whose writer was killed", session.id().short()));
            return Ok((session, false));
        }
        let name = self.name.clone().unwrap_or_else(|| "docker".to_owned());
        let labels = [(FOLLOWS.to_owned(), follows)].into();
        Ok((Session::create(data, NewSession { name, labels, open: false, user: place::user(), now })?, true))
    }

    /// Which containers these options pick, in words by which the same ones are known again.
    fn follows(&self, host: &Host) -> String {
        let mut words: Vec<String> = self.containers.iter().map(|name| format!("--container {name}")).collect();
        words.extend(self.labels.iter().map(|(key, value)| match value {
            Some(value) => format!("--label {key}={value}"),
            None => format!("--label {key}"),
        }));
        words.extend(self.project.iter().map(|project| format!("--project {project}")));
        words.extend((*host != Host::usual()).then(|| format!("--host {host}")));
        words.extend(self.all.then(|| "--all".to_owned()));
        words.sort();
        words.join(" ")
    }

    fn summarize(&self, session: &Session, streamed: &Streamed) {
        use std::io::IsTerminal;
        if std::io::stderr().is_terminal() {
            let ends: Vec<String> =
                streamed.outcomes.iter().map(|(name, outcome)| format!("{name} {}", outcome.as_str())).collect();
            let lines = human::counted(streamed.counts.lines, "line");
            say(format_args!("{lines}; {}; logboom show {}", ends.join(", "), session.id().short()));
        }
    }
}

/// A label to pick containers by: `KEY` or `KEY=VALUE`.
fn label(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
    if key.is_empty() { Err("use KEY or KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value.map(str::to_owned))) }
}

fn warn(message: &str) {
    say(visible::plain(message));
}

/// The newest session that followed the same containers, if it was killed.
fn killed(data: &DataDir, follows: &str, now: Time) -> Option<Session> {
    let sessions = Sessions::of(data).ok()?;
    let is_same = |status: &Status| status.meta.run.labels.get(FOLLOWS).map(String::as_str) == Some(follows);
    let newest = sessions.newest(1, now, is_same).into_iter().next()?;
    (newest.outcome == Outcome::Lost).then(|| sessions.session(&newest.id))
}

fn stop_on_signal(mut signals: Signals, stopper: Stopper) -> Result<()> {
    let waiting = thread::Builder::new().name("signals".to_owned());
    let wait = move || signals.forever().for_each(|_| stopper.stop());
    waiting.spawn(wait).map(drop).context("cannot start the thread that waits for signals")
}

/// Shows the lines as they are kept. A terminal that is slow, or stopped, holds up nobody: what it has not shown is in the files.
struct Shown {
    data: DataDir,
    id: SessionId,
    query: Query,
    store: Embedded,
    end: Cursor,
}

impl Shown {
    /// All that comes from now on.
    fn from_here(data: &DataDir, session: &Session) -> Result<Shown> {
        let status = session.status(Time::now());
        let store = open_store(data, Some(&status))?;
        let query = Query::new(Scope::Session(status.meta.run.id));
        let end = store.page(&Query { order: Order::Newest, lines_max: 1, ..query.clone() }, None)?.end;
        Ok(Shown { data: data.clone(), id: session.id().clone(), query, store, end })
    }

    fn start(self, color: OnTerminal) -> Result<thread::JoinHandle<()>> {
        let showing = thread::Builder::new().name("shown".to_owned());
        let run = move || match self.show(color) {
            Err(error) if !matches!(error.downcast_ref(), Some(OutputError::Closed)) => {
                warn(&format!("the lines are not shown any more: {}", with_causes(error.as_ref())));
            }
            _ => {}
        };
        showing.spawn(run).context("cannot start the thread that shows lines")
    }

    fn show(mut self, color: OnTerminal) -> Result<()> {
        let format = Format { json: false, raw: false };
        let mut reading = Reading::new(&self.store, self.query.scope, format, Look::of_stdout(color), Out::stdout())?;
        reading.tag();
        let followed = Followed { store: &self.store, data: &self.data, id: &self.id };
        followed.to_the_end(&mut self.query, self.end, &mut reading)?;
        reading.finish().map(drop)
    }
}

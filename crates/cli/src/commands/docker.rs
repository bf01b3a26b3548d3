//! `logboom docker`: what containers print, in a session.

use std::{
    io::{IsTerminal, stderr},
    thread,
};

use anyhow::{Context, Result};
use logboom_capture::{
    command::{die_of, is_ignored},
    docker::{
        select::Selection,
        streamer::{Follow, LogStreamer, Stopper, Streamed},
    },
    engine::Host,
    open_files::OpenFiles,
};
use logboom_files::{
    DataDir, Session,
    config::{Config, Flags},
    list::Sessions,
    session::{NewSession, Status, ended},
};
use logboom_record::{Outcome, Time};
use signal_hook::{
    consts::{SIGHUP, TERM_SIGNALS},
    iterator::Signals,
};

use crate::{
    args::Global,
    exit::Exit,
    human,
    options::{EngineAt, IdFile, Joining, Masking},
    place,
    say::{say, tell},
    shown::{Reader, Showing, Shown},
    when::When,
};

/// The label of a session that says which containers it follows, so that it is found again.
const FOLLOWS: &str = "follows";

/// Follow what containers print
///
/// Follows the containers that are there and those to come, each as a run of one session, until Ctrl-C. A container that replaces
/// another under the same compose service, or the same name, goes on in that one's log. If logboom was killed, the same command goes
/// on in the same session, behind the last line it has. What another logboom runs (LOGBOOM_SESSION) adds to that one's session.
///
/// A container is followed if it is one of those that --container names, has all the labels, and is of the project: whatever of that is
/// given. It ends with 1 if --until-exit is given and not all of them passed, and with 2 if not all could be kept.
///
/// The engine is the one that docker itself would use: --host, else DOCKER_HOST, else the context that DOCKER_CONTEXT or `docker
/// context use` says, else the usual socket.
#[derive(clap::Args)]
pub struct Docker {
    /// Only this container: its name, its id, or the first digits of that (may be given more than once: any of them)
    #[arg(long = "container", value_name = "CONTAINER", help_heading = "Which containers")]
    containers: Vec<String>,
    /// Only containers with this label (may be given more than once: all of them)
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = label, help_heading = "Which containers")]
    labels: Vec<(String, Option<String>)>,
    /// Only containers of this compose project
    #[arg(long, value_name = "PROJECT", help_heading = "Which containers")]
    project: Option<String>,
    /// Every container that runs, and every one to come
    #[arg(long, conflicts_with_all = ["containers", "labels", "project"], help_heading = "Which containers")]
    all: bool,
    /// Only what is printed from this time on: 2026-01-02T03:04:05Z, or how long ago: 10m [all that the engine has]
    #[arg(long, value_name = "TIME", help_heading = "Which containers")]
    since: Option<When>,
    /// End when all of them have ended; exits 1 unless all have passed. At least one must be there
    #[arg(long)]
    until_exit: bool,
    #[command(flatten)]
    engine: EngineAt,
    #[command(flatten)]
    joining: Joining,
    #[command(flatten)]
    masking: Masking,
    /// What to call the session [docker]
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    name: Option<String>,
    #[command(flatten)]
    id_file: IdFile,
    /// Only keep the lines, do not show them
    #[arg(short, long)]
    quiet: bool,
}

impl Docker {
    /// Exits 0; with `--until-exit` 1 unless all containers passed. Fails where not all could be kept.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let config = place::config(&Flags { dir: global.dir.clone(), ..Flags::default() })?;
        let data = config.data_dir();
        let follow = self.follow(now)?;
        let signals = ending_signals()?;
        OpenFiles::raise();
        let (session, is_new) = self.session(&config, &follow, now)?;
        let begun = self.begin(&data, &session, follow);
        if begun.is_err() && is_new {
            // Nothing was captured, and the first error says more than this one could.
            let _ = session.clone().discard();
        }
        let (shown, streamer) = begun?;
        self.id_file.write(session.id())?;
        stop_on_signal(signals, streamer.stopper())?;
        if streamer.runs().is_empty() && stderr().is_terminal() {
            say("no container fits yet; waiting for one");
        }
        let shown = shown.map(|shown| shown.start(streamer.runs(), streamer.stopper(), global.color)).transpose()?;
        let streamed = streamer.wait();
        if streamed.is_err() && is_new && session.meta()?.runs.is_empty() {
            // It is over, and nobody is to go on with it.
            session.end(&ended(Outcome::Failed, Time::now()))?;
        }
        let streamed = streamed?;
        if shown.map(Showing::finish) != Some(Reader::Gone) {
            summarize(&session, &streamed);
        }
        place::tidy(&config, Time::now());
        self.exit_of(&streamed)
    }

    fn exit_of(&self, streamed: &Streamed) -> Result<Exit> {
        if let Some(why) = &streamed.trouble {
            anyhow::bail!("not all could be kept: {why}");
        }
        let all_passed = streamed.outcomes.values().all(|outcome| *outcome == Outcome::Passed);
        Ok(if self.until_exit && !all_passed { Exit::No } else { Exit::Done })
    }

    fn begin(&self, data: &DataDir, session: &Session, follow: Follow) -> Result<(Option<Shown>, LogStreamer)> {
        let shown = (!self.quiet).then(|| Shown::from_here(data, session)).transpose()?;
        Ok((shown, LogStreamer::start(session, follow, tell)?))
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
        Ok(Follow { host, selection, since, until_exit: self.until_exit, masks: self.masking.masks()? })
    }

    /// The session that was asked for or is around us, or that a killed one followed the same containers into, or a new one, and
    /// whether it is new.
    fn session(&self, config: &Config, follow: &Follow, now: Time) -> Result<(Session, bool)> {
        let data = &config.data_dir();
        if let Some((session, _)) = self.joining.target(config, now)?.session(data) {
            return Ok((session, false));
        }
        let follows = follow.masks.mask_str(&self.follows(&follow.host));
        if let Some(session) = killed(data, &follows, now) {
            say(format_args!("going on in session {}, whose writer was killed", session.id().short()));
            return Ok((session, false));
        }
        let name = follow.masks.mask_str(self.name.as_deref().unwrap_or("docker"));
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
}

fn summarize(session: &Session, streamed: &Streamed) {
    if stderr().is_terminal() {
        let ends: Vec<String> =
            streamed.outcomes.iter().map(|(name, outcome)| format!("{name} {}", outcome.as_str())).collect();
        let lines = human::counted(streamed.counts.lines, "line");
        tell(&format!("{lines}; {}; logboom show {}", ends.join(", "), session.id().short()));
    }
}

/// A label to pick containers by: `KEY` or `KEY=VALUE`.
fn label(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
    if key.is_empty() { Err("use KEY or KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value.map(str::to_owned))) }
}

/// The newest session that followed the same containers, if it was killed.
fn killed(data: &DataDir, follows: &str, now: Time) -> Option<Session> {
    let sessions = Sessions::of(data).ok()?;
    let is_same = |status: &Status| status.meta.run.labels.get(FOLLOWS).map(String::as_str) == Some(follows);
    let newest = sessions.newest(1, now, is_same).into_iter().next()?;
    (newest.outcome == Outcome::Lost).then(|| sessions.session(&newest.id))
}

/// Also that the terminal is gone, unless nohup says that this is nothing.
fn ending_signals() -> Result<Signals> {
    let hangup = Some(SIGHUP).filter(|signal| !is_ignored(*signal));
    Signals::new(TERM_SIGNALS.iter().copied().chain(hangup)).context("cannot wait for signals")
}

/// All that is printed so far is read first. Who does not want to wait until that is shown, too, signals once more.
fn stop_on_signal(mut signals: Signals, stopper: Stopper) -> Result<()> {
    let wait = move || {
        for signal in signals.forever() {
            if stopper.has_ended() {
                die_of(signal);
            }
            stopper.stop();
        }
    };
    let waiting = thread::Builder::new().name("signals".to_owned());
    waiting.spawn(wait).map(drop).context("cannot start the thread that waits for signals")
}

//! Follows containers into a session: those there are, and those to come.
//!
//! The engine's events say what happens; what a container prints comes from where it is kept best: the engine's own log file
//! where that can be read, else from the container itself or the logs API. An engine that is gone is waited for, and asked for all
//! again: nothing here depends on an event being heard.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::mpsc::SyncSender,
    thread,
    time::Duration,
};

use logboom_files::{
    FilesError, Session,
    session::{Counts, RunMeta},
    timeline::What,
    with_causes,
};
use logboom_record::{Kind, Level, Outcome, Time};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    attached::written_ns,
    containers::Containers,
    runs::Runs,
    select::{Selection, is_called},
    sources::Said,
};
use crate::{
    engine::{Engine, EngineError, Event, Events, Host, HostError, ListQuery, Listed},
    masks::SharedMasks,
    services::ServicesError,
};

/// How long to wait before the engine is asked again, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long the engine has to tell what happened so far, once all is to end.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// How long an engine that has just started has to write what was printed while it was away: it calls containers exited before it
/// has written their last 64 KiB.
const SETTLE: Duration = Duration::from_secs(2);
/// How long sources have to read what there is, once all is to end.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Nobody can tell how much that is: the engine tells of no end of its own, and numbers nothing.
const BACK: &str = "the engine is back; if it had ended, it has lost what it had read and not written to its logs yet";

/// What to follow.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The engine.
    pub host: Host,
    /// Which containers.
    pub selection: Selection,
    /// Only what they printed at this time and later; all that the engine has if `None`.
    pub since: Option<Time>,
    /// End when all of them have ended.
    pub until_exit: bool,
    /// What is not kept of what they print.
    pub masks: SharedMasks,
}

/// Why containers cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// What the environment says of the engine.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The engine refuses, or is not there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The session's files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Too many services at once.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// With [`Follow::until_exit`] a container must be there.
    #[error("no container is called {wanted}; `docker ps -a` lists all there are")]
    NoContainer {
        /// What was asked for.
        wanted: String,
    },
    /// The same for labels and projects, and for all that run.
    #[error("no container fits, and with --until-exit one must be there; `docker ps -a` lists all there are")]
    NoneFits,
    /// All that are followed already go on.
    #[error(
        "{name} is not followed: logboom may have {limit} files open at once, and these are needed; raise the limit (`ulimit -n`, or \
         LimitNOFILE= of a unit of systemd), or follow fewer containers"
    )]
    OpenFiles {
        /// The service.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The system.
    #[error("cannot start what follows containers")]
    Start(#[source] io::Error),
}

/// What somebody who watches hears, for people.
pub trait Watcher: Send {
    /// Something is not as it should be.
    fn say(&mut self, message: &str);
}

impl<F: FnMut(&str) + Send> Watcher for F {
    fn say(&mut self, message: &str) {
        self(message);
    }
}

/// Follows containers into a session until it is stopped, or they have ended.
#[derive(Debug)]
pub struct LogStreamer {
    runs: Runs,
    stop: mpsc::UnboundedSender<Stop>,
    thread: thread::JoinHandle<Result<Streamed, StreamError>>,
}

/// Stops a [`LogStreamer`] from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(mpsc::UnboundedSender<Stop>);

#[derive(Debug)]
struct Stop;

impl Stopper {
    /// Has all that was printed so far read, then ends.
    pub fn stop(&self) {
        // It has ended already: that is what is wanted.
        let _ = self.0.send(Stop);
    }

    /// Whether following has ended, by itself or because it failed.
    pub fn has_ended(&self) -> bool {
        self.0.is_closed()
    }
}

/// What following came to.
#[derive(Clone, Debug, Default)]
pub struct Streamed {
    /// How each service ended, by its name.
    pub outcomes: BTreeMap<String, Outcome>,
    /// How many lines, errors and lost records they have together.
    pub counts: Counts,
    /// Why not all could be kept.
    pub trouble: Option<String>,
}

impl LogStreamer {
    /// Starts to follow. When this returns the engine has answered and tells of all that happens from now on. Services that a killed
    /// follower left in the session are gone on with. `watcher` hears what goes wrong on the way.
    ///
    /// # Errors
    /// [`StreamError`]; nothing is written then.
    pub fn start(
        session: &Session,
        follow: Follow,
        watcher: impl Watcher + Clone + 'static,
    ) -> Result<LogStreamer, StreamError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StreamError::Start)?;
        let (engine, ahead_ns) = runtime.block_on(reach(&follow, session))?;
        let (stop, stopped) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        // What reads and writes asks for a runtime to be there.
        let entered = runtime.enter();
        let following =
            Following { ready: Some(ready), ..Following::begin(session.clone(), (engine, ahead_ns), follow, watcher)? };
        drop(entered);
        let runs = following.containers.runs.clone();
        let thread = thread::Builder::new().name("containers".to_owned());
        let thread = thread.spawn(move || runtime.block_on(following.run(stopped))).map_err(StreamError::Start)?;
        // It is dropped when all is known, or when the engine went away meanwhile.
        let _ = is_ready.recv();
        Ok(LogStreamer { runs, stop, thread })
    }

    /// The runs of the services that it follows: the session may have others, too.
    pub fn runs(&self) -> Runs {
        self.runs.clone()
    }

    /// What can stop it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Reads what was printed so far, then ends.
    ///
    /// # Errors
    /// As [`LogStreamer::wait`].
    pub fn stop(self) -> Result<Streamed, StreamError> {
        self.stopper().stop();
        self.wait()
    }

    /// Waits until it ends: because it was stopped, or with [`Follow::until_exit`] because all containers have ended.
    ///
    /// # Errors
    /// [`StreamError::Services`] if its writer failed.
    pub fn wait(self) -> Result<Streamed, StreamError> {
        let panicked = || StreamError::Start(io::Error::other("its thread failed"));
        self.thread.join().map_err(|_| panicked())?
    }
}

/// Connects, asks how far the engine's clock is ahead, and looks for what must be there.
async fn reach(follow: &Follow, session: &Session) -> Result<(Engine, i64), StreamError> {
    let engine = Engine::connect(&follow.host).await?;
    let ahead_ns = engine.clock_ahead_ns().await?;
    let is_left = |run: &RunMeta| run.run.kind == Kind::Service && run.run.end.is_none();
    // What a killed follower left may have been removed since.
    if follow.until_exit && !session.meta()?.runs.iter().any(is_left) {
        expect_some(&engine, &follow.selection).await?;
    }
    Ok((engine, ahead_ns))
}

/// Nobody's end can be waited for if there is nobody.
async fn expect_some(engine: &Engine, selection: &Selection) -> Result<(), StreamError> {
    let listed = engine.list(&ListQuery { labels: Vec::new(), all: true }).await?;
    let is_there = |wanted: &&String| listed.iter().any(|one| is_called(wanted, &one.id, &one.name));
    if let Some(wanted) = selection.containers.iter().find(|wanted| !is_there(wanted)) {
        return Err(StreamError::NoContainer { wanted: wanted.clone() });
    }
    let fits = |one: &Listed| {
        selection.has(&one.id, &one.name, &one.labels) && (!selection.is_all() || one.status != "exited")
    };
    if listed.iter().any(fits) { Ok(()) } else { Err(StreamError::NoneFits) }
}

struct Following {
    follow: Follow,
    engine: Engine,
    containers: Containers,
    said: mpsc::UnboundedReceiver<Said>,
    watcher: Box<dyn Watcher>,
    /// Events from here on have not been heard.
    heard_ns: Option<i64>,
    /// What could not be done, and when it is tried again.
    failed: Option<(String, Instant)>,
    /// What was said of that.
    told: HashSet<String>,
    /// The engine may have had containers since then of which nothing was heard.
    unheard_since_ns: Option<i64>,
    /// Held until the containers that are there are known, and those to come will be told.
    ready: Option<SyncSender<()>>,
}

impl Following {
    fn begin(
        session: Session,
        (engine, ahead_ns): (Engine, i64),
        follow: Follow,
        watcher: impl Watcher + Clone + 'static,
    ) -> Result<Following, StreamError> {
        let (say, said) = mpsc::unbounded_channel();
        let mut warner = watcher.clone();
        let warn = move |why: &str| warner.say(&format!("not all output can be kept: {why}; the containers go on"));
        let written_ns = Some(written_ns(session.dir())).filter(|ns| *ns > 0);
        let unheard_since_ns = written_ns.map(|ns| ns.saturating_add(ahead_ns));
        let containers = Containers::begin(session, &follow, ahead_ns, say, Box::new(warn))?;
        let (heard_ns, watcher) = (Some(now_ns().saturating_add(ahead_ns)), Box::new(watcher));
        Ok(Following {
            follow,
            engine,
            containers,
            said,
            watcher,
            heard_ns,
            failed: None,
            told: HashSet::new(),
            unheard_since_ns,
            ready: None,
        })
    }

    async fn run(mut self, mut stopped: mpsc::UnboundedReceiver<Stop>) -> Result<Streamed, StreamError> {
        let mut retry = RETRY_MIN;
        loop {
            let followed = self.follow_engine(&mut stopped, &mut retry).await;
            let is_first = self.ready.take().is_some();
            let Err(why) = followed else { break };
            if is_first && !why.is_lost() {
                return Err(why.into()); // what it refuses now it will refuse again
            }
            self.unheard_since_ns = self.unheard_since_ns.or(self.heard_ns);
            let why = with_causes(&why);
            self.note_engine(Level::Warn, &format!("the engine is gone: {why}"), What::EngineLost { why });
            if !self.wait_for_engine(&mut stopped, &mut retry).await {
                break;
            }
            self.note_engine(Level::Info, BACK, What::EngineBack {});
            tokio::time::sleep(SETTLE).await;
        }
        self.catch_up().await;
        self.drain().await;
        let failed = self.failed.map(|(why, _)| why);
        let streamed = self.containers.end().await?;
        Ok(Streamed { trouble: streamed.trouble.or(failed), ..streamed })
    }

    /// Until it is to end, or the engine is gone. The events are asked for first, so that none is missed between the list and them.
    async fn follow_engine(
        &mut self,
        stopped: &mut mpsc::UnboundedReceiver<Stop>,
        retry: &mut Duration,
    ) -> Result<(), EngineError> {
        let mut events = self.engine.events(self.heard_ns, None).await?;
        self.take_stock().await?;
        self.ready = None;
        *retry = RETRY_MIN;
        loop {
            if self.follow.until_exit && self.have_all_ended().await? {
                self.containers.finish_all();
                if !self.containers.is_reading() {
                    return Ok(());
                }
            }
            let again_at = self.failed.as_ref().map_or_else(Instant::now, |(_, at)| *at);
            tokio::select! {
                event = next_event(&mut events) => {
                    let heard = self.hear(event?).await;
                    self.done(heard)?;
                }
                said = self.said.recv() => {
                    let Some(said) = said else { return Ok(()) };
                    let taken = self.containers.take(said, &self.engine, &mut *self.watcher).await;
                    self.done(taken)?;
                }
                () = sleep_until(again_at), if self.failed.is_some() => self.try_again().await?,
                _ = stopped.recv() => return Ok(()),
            }
        }
    }

    /// Whether there is nothing to wait for: what could not be done before is tried for the last time.
    async fn have_all_ended(&mut self) -> Result<bool, EngineError> {
        if self.containers.all_ended() && self.failed.is_some() {
            self.try_again().await?;
        }
        Ok(self.containers.all_ended())
    }

    /// Something was done, or not: only that the engine is gone ends following it. Whatever else fails, as where a full disk has no
    /// room for the session's files, is said once, and tried again until it can be done; the engine keeps what is printed meanwhile.
    fn done(&mut self, result: Result<(), StreamError>) -> Result<(), EngineError> {
        let why = match result {
            Ok(()) => return Ok(()),
            Err(StreamError::Engine(error)) if error.is_lost() => return Err(error),
            Err(other) => with_causes(&other),
        };
        if self.told.insert(why.clone()) {
            self.watcher.say(&format!("{why}; it is tried again"));
        }
        self.failed = Some((why, Instant::now() + RETRY_MAX));
        Ok(())
    }

    async fn try_again(&mut self) -> Result<(), EngineError> {
        self.failed = None;
        self.take_stock().await?;
        if self.failed.is_none() {
            self.told.clear();
        }
        Ok(())
    }

    fn note_engine(&mut self, level: Level, message: &str, what: What) {
        self.containers.note_engine(level, message, &what);
        self.watcher.say(message);
    }

    /// Everything that is there now.
    async fn take_stock(&mut self) -> Result<(), EngineError> {
        let query = ListQuery { labels: Vec::new(), all: true };
        let listed = self.engine.list(&query).await.map_err(StreamError::from);
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return self.done(Err(error)),
        };
        // The oldest first, as they take each other's place.
        for listed in listed.into_iter().rev() {
            let is_wanted = self.is_wanted(&listed).await?;
            if self.ready.is_some() {
                self.containers.note_there(&listed.id);
            }
            if is_wanted || self.containers.has(&listed.id) {
                let looked = self.containers.look(&listed.id, &self.engine).await;
                self.done(looked)?;
            }
        }
        let looked = self.containers.look_at_known(&self.engine, &mut *self.watcher).await;
        self.done(looked)?;
        self.unheard_since_ns = None;
        Ok(())
    }

    /// Of all containers those that run, and those that ended unheard: what ended long ago is of no interest unless it is asked for.
    async fn is_wanted(&mut self, listed: &Listed) -> Result<bool, EngineError> {
        let selection = &self.follow.selection;
        if !selection.has(&listed.id, &listed.name, &listed.labels) {
            return Ok(false);
        }
        let Some(since_ns) = self.unheard_since_ns.filter(|_| selection.is_all() && listed.status == "exited") else {
            return Ok(!selection.is_all() || listed.status != "exited");
        };
        match self.engine.inspect(&listed.id).await {
            Ok(now) => Ok(now.state.finished_at_ns.is_some_and(|ended_ns| ended_ns > since_ns)),
            Err(error) => self.done(Err(error.into())).map(|()| false),
        }
    }

    async fn hear(&mut self, event: Event) -> Result<(), StreamError> {
        self.heard_ns = Some(event.time_ns + 1);
        let selected = self.follow.selection.has(&event.id, event.name(), &event.attributes);
        if selected || self.containers.has(&event.id) {
            self.containers.hear(&event, &self.engine).await?;
        }
        Ok(())
    }

    /// False if it is to end meanwhile.
    async fn wait_for_engine(&mut self, stopped: &mut mpsc::UnboundedReceiver<Stop>, retry: &mut Duration) -> bool {
        loop {
            tokio::select! {
                () = tokio::time::sleep(*retry) => {}
                _ = stopped.recv() => return false,
            }
            *retry = (*retry * 2).min(RETRY_MAX);
            if let Ok(engine) = Engine::connect(&self.follow.host).await {
                self.engine = engine;
                return true;
            }
        }
    }

    /// Hears what happened so far: how containers ended that have just ended. An engine that does not tell now has no more to say.
    async fn catch_up(&mut self) {
        let hear_all = async {
            let mut events =
                self.engine.events(self.heard_ns, Some(now_ns().saturating_add(self.containers.ahead_ns))).await?;
            while let Some(event) = events.next().await? {
                let heard = self.hear(event).await;
                self.done(heard)?;
            }
            Ok::<_, EngineError>(())
        };
        let until = Instant::now() + CATCH_UP_MAX;
        let _ = tokio::time::timeout_at(until, hear_all).await;
        // Containers that were just made are known only when the engine has answered.
        while self.containers.is_attaching_early()
            && let Ok(Some(said)) = tokio::time::timeout_at(until, self.said.recv()).await
        {
            let taken = self.containers.take(said, &self.engine, &mut *self.watcher).await;
            let _ = self.done(taken);
        }
    }

    /// Reads what there is.
    async fn drain(&mut self) {
        self.containers.finish_all();
        let until = Instant::now() + DRAIN_MAX;
        while self.containers.is_reading() && Instant::now() < until {
            // What the engine refuses now it may give in a moment; what it does not give in time is a gap.
            let _ = match tokio::time::timeout(RETRY_MIN, self.said.recv()).await {
                Ok(Some(said)) => self.containers.take(said, &self.engine, &mut *self.watcher).await,
                Ok(None) => break,
                Err(_) => self.containers.go_on_with_broken(&self.engine, &mut *self.watcher).await,
            };
            self.containers.finish_all();
        }
        self.containers.give_up(&mut *self.watcher);
    }
}

fn now_ns() -> i64 {
    Time::now().as_micros().saturating_mul(1_000)
}

async fn next_event(events: &mut Events) -> Result<Event, EngineError> {
    match events.next().await? {
        Some(event) => Ok(event),
        None => Err(events.ended()),
    }
}

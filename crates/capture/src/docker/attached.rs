//! Which containers are attached to, and what is done when such a stream ends.
//!
//! Attached to is what is seen before it is started, where its log is no file of ours; then nothing can be missed. A container
//! whose log driver keeps nothing (`none`) is attached to in any case, for there is no other way: what cannot be had is a gap.
//! The end of a stream proves nothing by itself. Where the log can be read, its last entries must be the last that came; if
//! they are, its time stamps are from then on the place to go on from. If not, or if the connection broke, the container
//! was started again, or logboom was killed, the log is read from its beginning, and as many lines of each stream as
//! were taken are left out. A log that rotates may have lost its beginning: then the clock has to do, and a gap says so.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use logboom_files::with_causes;
use logboom_record::Time;

use super::{
    answers::Asked,
    containers::{Containers, token},
    counted::{Counter, normal},
    early::Early,
    ending::has_beginning,
    facts,
    seeking::{last_recorded, seek},
    service::Reading,
    sources::Left,
    streamer::StreamError,
};
use crate::{
    engine::{Action, BlockingFrames, Container, Engine, EngineError, Event, State},
    services::{
        Source,
        feed::{ContainerId, Lost, Place, Reached, SourceKind, StreamPlace},
    },
};

/// How long the stream of a container that has ended may take to end, too.
const END_WAIT: Duration = Duration::from_secs(2);

/// How far the log of a container that goes on may lag behind what came of it, and how often it is looked at meanwhile.
const LAG_MAX: Duration = Duration::from_secs(1);
const LAG_PAUSE: Duration = Duration::from_millis(100);

const BLIND: &str = "its log driver keeps nothing to read, so what it printed before now cannot be had; to have all of it start logboom \
                     before the container, or create it with --log-driver json-file";
pub(super) const BLIND_AGAIN: &str =
    "its log driver keeps nothing to read, so what it printed while logboom was not attached is lost";
const LATE: &str = "it was started before logboom could attach, so what it printed first may be lost";
/// Also of one that was read, but maybe not to its end.
pub(super) const GONE: &str = "it was removed before all that it printed was read";
const ROTATED: &str = "its log rotates, and what came last is not in it just once, so some of what it printed while logboom was not attached \
                       may be lost";

/// What is known of the containers that are attached to.
#[derive(Debug)]
pub(super) struct Attached {
    /// Those of which all is read that they printed up to their end, and when they were started before that.
    whole: HashMap<ContainerId, Option<i64>>,
    /// The stream of one that is to be read next, how it was when that was there, and whether nothing was missed then.
    early: Option<(BlockingFrames, Container, bool)>,
    /// What happened to containers that are being attached to for the first time, by id.
    deferred: HashMap<String, Vec<Event>>,
    /// When the follower before this one last wrote something.
    pub written_ns: i64,
    /// Those whose logs the engine has refused to read, as it does with drivers that keep nothing.
    unreadable: HashSet<ContainerId>,
}

impl Attached {
    /// Nothing yet; a follower before this one last wrote something at this time.
    pub fn after(written_ns: i64) -> Attached {
        Attached {
            whole: HashMap::new(),
            early: None,
            deferred: HashMap::new(),
            written_ns,
            unreadable: HashSet::new(),
        }
    }

    /// The stream is not wanted now: a container whose stream nobody reads would wait.
    pub fn forget_early(&mut self) {
        self.early = None;
    }

    /// Whether the container has ended, and all is read.
    pub fn has_whole(&self, container: &Container) -> bool {
        facts::is_over(&container.state.status)
            && self.whole.get(&id_of(container)) == Some(&container.state.started_at_ns)
    }

    /// Whether nothing of what it prints can be read later.
    pub fn is_blind(&self, container: &Container) -> bool {
        container.log_driver == "none" || self.unreadable.contains(&id_of(container))
    }

    pub fn note_whole(&mut self, container: &Container) {
        self.whole.insert(id_of(container), container.state.started_at_ns);
    }
}

/// When text logs of a session were last written to, in nanoseconds since 1970 UTC; 0 if there are none. (Boom files are written
/// to through memory, of which their times tell late.)
pub(super) fn written_ns(session: &Path) -> i64 {
    let entries = fs::read_dir(session).into_iter().flatten().flatten();
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
    let times = logs.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let ns = times.filter_map(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    ns.filter_map(|since| i64::try_from(since.as_nanos()).ok()).max().unwrap_or(0)
}

impl Containers {
    /// Whether what happened is looked at later: a container that was just created is attached to before all else.
    pub fn defer(&mut self, event: &Event, engine: &Engine) -> bool {
        if let Some(deferred) = self.attached.deferred.get_mut(&event.id) {
            deferred.push(event.clone());
            return true;
        }
        let is_new = event.action == Action::Created && !self.has(&event.id) && !engine.is_podman();
        if is_new {
            self.attached.deferred.insert(event.id.clone(), vec![event.clone()]);
            self.sources.attach_early(engine, &event.id);
        }
        is_new
    }

    /// Takes a container that was just created, and then all that happened to it meanwhile.
    pub async fn take_early(&mut self, early: Early, engine: &Engine) -> Result<(), StreamError> {
        let events = self.attached.deferred.remove(&early.id).unwrap_or_default();
        let Some(first) = events.first() else { return Ok(()) };
        let container = early.found?.unwrap_or_else(|| gone(first));
        if let Some((frames, is_from_start)) = early.frames
            && let Ok(frames) = frames.framed(container.framing()).into_blocking()?
        {
            self.attached.early = Some((frames, container.clone(), is_from_start));
        }
        self.know(container, engine).await?;
        for event in &events {
            self.hear(event, engine).await?;
        }
        Ok(())
    }

    /// Attaches to one that was just created, before its service's files are made: `docker run` starts it at once.
    pub async fn attach_early(&mut self, container: &Container, engine: &Engine) -> Result<(), StreamError> {
        if self.attached.early.as_ref().is_some_and(|(_, early, _)| early.id == container.id) {
            return Ok(());
        }
        self.attached.forget_early();
        let is_read = |reading: &Reading| reading.container.id == container.id;
        if container.state.status != "created"
            || engine.is_podman()
            || self.services.iter().filter_map(|service| service.reading.as_ref()).any(is_read)
            || (engine.is_local() && container.log_driver == "json-file")
        {
            return Ok(());
        }
        match attach_to(container, engine).await {
            Err(error) if error.is_lost() => Err(error.into()),
            // It is tried again where it is to be read.
            Err(_) => Ok(()),
            Ok(frames) => {
                let now = inspect_again(container, engine).await?;
                let is_from_start = now.state.status == "created";
                self.attached.early = Some((frames, now, is_from_start));
                Ok(())
            }
        }
    }

    /// Whether a container that was just created is being attached to, so that it is not known yet.
    pub fn is_attaching_early(&self) -> bool {
        !self.attached.deferred.is_empty()
    }

    /// Whether a stream is read that is attached.
    pub fn is_attached(&self, at: usize) -> bool {
        let reading = self.services[at].reading.as_ref();
        reading.is_some_and(|reading| reading.kind == SourceKind::Attached) && self.sources.counted(token(at)).is_none()
    }

    /// Reads a container by attaching to it, or goes on with one that was attached to. Gives it back if it is to be read otherwise.
    pub async fn read_attached(
        &mut self,
        at: usize,
        container: Box<Container>,
        has_file: bool,
        engine: &Engine,
    ) -> Result<Option<Box<Container>>, StreamError> {
        if engine.is_podman() && !self.attached.is_blind(&container) && !is_going(&container) {
            // Its log is read once it is started: to attach to one that has ended meanwhile would make it ready to start again.
            return Ok(Some(container).filter(|container| container.state.status != "created"));
        }
        let left = self.left.get(&id_of(&container)).map(|left| left.kind);
        let is_early = self
            .attached
            .early
            .as_ref()
            .is_some_and(|(_, early, is_from_start)| early.id == container.id && *is_from_start);
        let is_new = left.is_none() && !has_file && (container.state.status == "created" || is_early);
        if is_going(&container) && !has_file && !is_early {
            if left.is_none() && !self.attached.has_whole(&container) {
                self.take_late(at, &container);
            }
            self.attached.note_whole(&container);
            return Ok(None);
        }
        match left {
            _ if self.attached.is_blind(&container) || is_new => self.attach(at, container, engine).await,
            Some(_) if self.attached.has_whole(&container) => Ok(None),
            Some(SourceKind::Attached) => {
                self.go_on_attached(at, container, None, engine).await?;
                Ok(None)
            }
            _ => Ok(Some(container)),
        }
    }

    /// The engine refuses to read the log of the container that is being read: attaches to it instead.
    pub async fn attach_instead(&mut self, at: usize, reached: Reached, engine: &Engine) -> Result<(), StreamError> {
        let Some(reading) = &self.services[at].reading else { return Ok(()) };
        let container = reading.container.clone();
        self.attached.unreadable.insert(id_of(&container));
        self.put_aside(at, Left::at(reached));
        self.left.remove(&id_of(&container));
        self.attach(at, container, engine).await.map(drop)
    }

    /// Attaches, and looks what can have been missed.
    pub async fn attach(
        &mut self,
        at: usize,
        container: Box<Container>,
        engine: &Engine,
    ) -> Result<Option<Box<Container>>, StreamError> {
        let early = self.attached.early.take().filter(|(_, early, _)| early.id == container.id);
        let (frames, now, was_from_start) = match early {
            Some(early) => early,
            None => match attach_to(&container, engine).await {
                Err(error) if error.is_lost() => return Err(error.into()),
                Err(error) => return Ok(self.cannot_attach(at, container, &error)),
                Ok(frames) => (frames, inspect_again(&container, engine).await?, false),
            },
        };
        let is_from_start = was_from_start || now.state.status == "created" || self.attached.has_whole(&now);
        if !is_from_start && !self.attached.is_blind(&now) {
            return Ok(Some(container));
        }
        let was_there = self.left.remove(&id_of(&now)).is_some();
        if facts::is_over(&now.state.status) && !was_from_start {
            self.attached.note_whole(&now);
        }
        let missed = if was_there { BLIND_AGAIN } else { BLIND };
        self.take_stream(at, frames, now, (!is_from_start).then_some(missed));
        Ok(None)
    }

    /// Reads what comes from a container; why something may be missing before that.
    fn take_stream(&mut self, at: usize, frames: BlockingFrames, now: Container, missed: Option<&str>) {
        let service = self.services[at].id;
        self.writer.begin(service, Source::new(id_of(&now), SourceKind::Attached));
        missed.into_iter().for_each(|why| self.miss(at, why));
        match self.sources.attach(token(at), service, frames, self.session.dir()) {
            Err(error) => self.miss(at, &format!("cannot attach: {error}")),
            Ok(()) => {
                let (container, kind) = (Box::new(now), SourceKind::Attached);
                self.services[at].reading = Some(Reading::new(container, kind, false));
            }
        }
    }

    /// A container that is being removed already: all there is of it is a stream that may have begun too late.
    fn take_late(&mut self, at: usize, container: &Container) {
        match self.attached.early.take().filter(|(_, early, _)| early.id == container.id) {
            Some((frames, now, _)) => self.take_stream(at, frames, now, Some(LATE)),
            None => self.miss(at, GONE),
        }
    }

    /// Gives the container back where its log can be read.
    fn cannot_attach(&mut self, at: usize, container: Box<Container>, error: &EngineError) -> Option<Box<Container>> {
        match error {
            EngineError::NoSuchContainer { .. } => {
                self.miss(at, GONE);
                None
            }
            _ if !self.attached.is_blind(&container) => Some(container),
            // Paused, or about to be started again: there will be an event.
            EngineError::Conflict { .. } => None,
            other => {
                self.miss(at, &with_causes(other));
                None
            }
        }
    }

    /// All is read of a container that has ended; it need not be looked at again for that.
    pub fn note_whole(&mut self, at: usize) {
        let reading = self.services.get(at).and_then(|service| service.reading.as_ref());
        if let Some(reading) = reading
            && reading.kind == SourceKind::Attached
            && facts::is_over(&reading.container.state.status)
        {
            self.attached.note_whole(&reading.container);
        }
    }

    /// Takes note of a container that was gone before it was looked at.
    pub async fn know_gone(&mut self, event: &Event, engine: &Engine) -> Result<(), StreamError> {
        let is_over = matches!(event.action, Action::Removed | Action::Died { .. });
        match self.service_of(&event.id) {
            None if is_over => self.know(gone(event), engine).await,
            _ => Ok(()),
        }
    }

    /// Says that output is lost which comes before what is read next.
    pub fn miss(&self, at: usize, why: &str) {
        let lost = Lost { time: Time::now(), count: None, why: why.to_owned(), reached: Place::default() };
        self.writer.gap(self.services[at].id, lost);
        self.sources.trouble(token(at), why.to_owned());
    }

    /// Ends an attachment: at once if the container goes on, else when its stream has ended.
    pub fn finish_attached(&self, at: usize) {
        let Some(Reading { container, .. }) = self.services[at].reading.as_ref().filter(|_| self.is_attached(at))
        else {
            return;
        };
        let known = self.services[at].containers.iter().find(|known| known.id == container.id);
        let is_over = known.is_some_and(|known| facts::is_over(&known.status));
        let is_ending = is_over && !self.attached.has_whole(container);
        self.sources.detach(token(at), if is_ending { END_WAIT } else { Duration::ZERO });
    }

    /// Reads the log of a container that was attached to, behind what is in records.
    pub async fn go_on_attached(
        &mut self,
        at: usize,
        container: Box<Container>,
        came: Option<Came>,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let is_countable = came.is_none() && has_beginning(&container, engine).await?;
        let found = match is_countable {
            true => None,
            false => Some(self.seek_end(at, &container, came, engine).await?),
        };
        let id = id_of(&container);
        let Some(left) = self.left.remove(&id) else { return Ok(()) };
        let (of, service) = (Asked::of(engine, &container), self.services[at].id);
        let kind = if is_countable { SourceKind::Attached } else { SourceKind::LogsApi };
        if let Some(reached) = found {
            self.sources.read_logs(token(at), service, &of, Source { kind, reached, ..left }, None);
        } else {
            let reached = normal(&left.reached);
            self.writer.begin(service, Source { reached, ..left });
            self.sources.read_counted(token(at), service, &of, Counter::again(&reached, None));
        }
        self.services[at].reading = Some(Reading::new(container, kind, false));
        Ok(())
    }

    /// What of a service came last, as its text log has it.
    fn recorded(&self, at: usize) -> Result<Came, StreamError> {
        let run = self.services[at].run;
        let text = self.session.meta()?.runs.into_iter().find(|known| known.run.id == run).and_then(|run| run.text);
        let last = text.and_then(|text| last_recorded(&self.session.dir().join(text)).ok()).unwrap_or_default();
        Ok(Came { last, until_ns: self.attached.written_ns })
    }

    /// The place in the log of a container behind what came, by what came last; by the clock, and with a gap, where that is not in it.
    async fn seek_end(
        &self,
        at: usize,
        container: &Container,
        came: Option<Came>,
        engine: &Engine,
    ) -> Result<Reached, StreamError> {
        let Came { last, until_ns } = match came {
            Some(came) => came,
            None => self.recorded(at)?,
        };
        let until = Instant::now() + LAG_MAX;
        let found = loop {
            let found = match seek(container, engine, &last).await {
                Err(error) if !error.is_lost() => [None, None], // it is told where the log is read
                found => found?,
            };
            let is_whole = facts::is_over(&container.state.status) || Instant::now() >= until;
            if is_whole || !found.contains(&None) {
                break found;
            }
            tokio::time::sleep(LAG_PAUSE).await;
        };
        if found.contains(&None) {
            self.miss(at, ROTATED);
        }
        let by_clock = Place { part: u64::try_from(until_ns).unwrap_or(0), offset: 0 };
        let by_clock = StreamPlace { at: by_clock, ..StreamPlace::default() };
        let [stdout, stderr] = found.map(|place| place.unwrap_or(by_clock));
        Ok(Reached { stdout, stderr })
    }
}

/// The end of what came by attached streams.
pub(super) struct Came {
    /// What each stream printed last.
    pub last: [Vec<u8>; 2],
    /// When that was, by the engine's clock, in nanoseconds since 1970 UTC.
    pub until_ns: i64,
}

pub(super) fn id_of(container: &Container) -> ContainerId {
    ContainerId::parse(&container.id).unwrap_or_default()
}

/// What an event tells of a container that is gone.
fn gone(event: &Event) -> Container {
    let labels = event.attributes.clone();
    let state = State { status: facts::REMOVED.to_owned(), ..State::default() };
    let (name, image) = (event.name().to_owned(), event.image().to_owned());
    Container { id: event.id.clone(), name, image, labels, state, ..Container::default() }
}

/// Whether it is being removed, so that its log cannot be had any more.
fn is_going(container: &Container) -> bool {
    [facts::REMOVED, "removing", "dead"].contains(&container.state.status.as_str())
}

/// How a container is now; as it was if it is gone.
async fn inspect_again(container: &Container, engine: &Engine) -> Result<Container, EngineError> {
    match engine.inspect(&container.id).await {
        Err(EngineError::NoSuchContainer { .. }) => Ok(container.clone()),
        other => other,
    }
}

async fn attach_to(container: &Container, engine: &Engine) -> Result<BlockingFrames, EngineError> {
    match engine.attach(&container.id, container.framing()).await?.into_blocking()? {
        Ok(frames) => Ok(frames),
        Err(_) => Err(engine.unreadable_logs(&container.id, "attached streams come within HTTP")),
    }
}

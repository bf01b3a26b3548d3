//! The containers that are followed: which service each is, from where it is read, and what the session's files say of it.
//!
//! A service is read from one container at a time. One that takes the place of another waits until all of the other's output is
//! read, so that the lines of both stand in order in the one log.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use logboom_boom as boom;
use logboom_files::{
    FilesError, Session,
    session::{ContainerMeta, Counts, Durable, RunMeta, started},
    textlog::TextWriter,
    timeline::{self, What},
};
use logboom_record::{Kind, Level, Run, RunEnd, RunId, Time};
use tokio::sync::mpsc;

use super::{
    attached::{Attached, written_ns},
    facts,
    refused::{self, Refused, end_refused},
    select::ServiceKey,
    since::Since,
    sources::{Asked, Left, Said, Sources, is_json_file, kind_of},
    streamer::{Follow, StreamError, Streamed, Watcher},
    tailer::Token,
};
use crate::{
    engine::{Action, Container, Engine, EngineError, Event},
    services::{
        NewService, ServiceId, ServiceWriter, Source,
        feed::{ContainerId, Lost, Reached, SourceKind},
        resume,
    },
};

/// A service, and the container that it is read from.
pub(super) struct Service {
    pub key: ServiceKey,
    pub id: ServiceId,
    pub run: RunId,
    pub containers: Vec<ContainerMeta>,
    pub reading: Option<Reading>,
    /// The container that takes the place of the one being read.
    pub next: Option<Box<Container>>,
    /// It is not read: how it ended when that was said.
    pub refused: Option<Refused>,
}

/// A container that is read.
pub(super) struct Reading {
    pub container: Box<Container>,
    pub kind: SourceKind,
    /// Reads what is left, and no more.
    pub finishing: bool,
    /// Where the logs API broke off, until it is asked again.
    broken_off: Option<Reached>,
}

impl Reading {
    pub fn new(container: Box<Container>, kind: SourceKind, finishing: bool) -> Reading {
        Reading { container, kind, finishing, broken_off: None }
    }
}

/// See the module.
pub(super) struct Containers {
    pub session: Session,
    parent: RunId,
    boom: String,
    pub writer: Arc<ServiceWriter>,
    pub sources: Sources,
    since: Since,
    pub services: Vec<Service>,
    /// From where containers go on that were read before, by this follower or one before it.
    pub left: HashMap<ContainerId, Source>,
    pub attached: Attached,
    /// The engine's directory, asked for once.
    root: Option<PathBuf>,
}

impl Containers {
    /// Makes the boom file, and goes on with what a killed follower left.
    pub fn begin(
        session: Session,
        follow: &Follow,
        said: mpsc::UnboundedSender<Said>,
        warn: Box<dyn FnMut(&str) + Send>,
    ) -> Result<Containers, StreamError> {
        let attached = Attached::after(written_ns(session.dir())); // resuming writes to logs, too
        let resumed = resume(&session)?;
        let boom =
            boom::Writer::create_in(session.dir(), "records", boom::Options::default()).map_err(FilesError::from)?;
        resumed.name_boom(&boom)?;
        let name = boom.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let writer = Arc::new(ServiceWriter::start(boom, warn).map_err(StreamError::Start)?);
        let sources = Sources::new(Arc::clone(&writer), said).map_err(StreamError::Start)?;
        let meta = session.meta()?;
        for ended in &resumed.ended {
            session.end_run(ended.run, &ended.end, ended.counts)?;
        }
        let (mut services, mut left_at) = (Vec::new(), resumed.left);
        for left in resumed.services {
            let Some(run) = meta.runs.iter().find(|run| run.run.id == left.service.run) else { continue };
            let Some(key) = ServiceKey::of_labels(&run.run.labels) else { continue };
            let (id, containers) = (writer.add(left.service)?, run.containers.clone());
            services.push(Service { key, run: run.run.id, id, containers, reading: None, next: None, refused: None });
            left_at.extend(left.source.map(|source| (source.container, source)));
        }
        let (since, parent) = (Since::of(follow), meta.run.id);
        Ok(Containers {
            session,
            parent,
            boom: name,
            writer,
            sources,
            since,
            services,
            left: left_at,
            attached,
            root: None,
        })
    }

    /// Notes that a container was there before anything was followed.
    pub fn note_there(&mut self, id: &str) {
        self.since.note_there(id);
    }

    /// Whether the container is followed already.
    pub fn has(&self, id: &str) -> bool {
        self.services.iter().any(|service| service.containers.iter().any(|container| container.id == id))
    }

    /// Whether there was a container, and all have ended.
    pub fn all_ended(&self) -> bool {
        let has_ended = |service: &Service| {
            service.next.is_none() && service.containers.last().is_none_or(|last| facts::is_over(&last.status))
        };
        !self.services.is_empty() && self.services.iter().all(has_ended)
    }

    /// Whether something is still to be read of a container.
    pub fn is_reading(&self) -> bool {
        self.services.iter().any(|service| service.reading.is_some())
    }

    /// Looks how a container is; begins to follow it if it is new.
    pub async fn look(&mut self, id: &str, engine: &Engine) -> Result<(), StreamError> {
        match engine.inspect(id).await {
            Err(EngineError::NoSuchContainer { .. }) => Ok(self.note_removed(id)?),
            Err(error) => Err(error.into()),
            Ok(container) => self.know(container, engine).await,
        }
    }

    /// Takes note of what happened, then looks how the container is.
    pub async fn hear(&mut self, event: &Event, engine: &Engine) -> Result<(), StreamError> {
        if self.defer(event, engine) {
            return Ok(());
        }
        let was_known = self.has(&event.id);
        match event.action {
            Action::Removed => self.note_removed(&event.id)?,
            _ => self.look(&event.id, engine).await?,
        }
        if engine.is_podman() {
            self.miss_unread(event, engine).await?;
        }
        let Some(at) = self.service_of(&event.id) else { return Ok(()) };
        if let Some(what) = facts::what_of(event, self.services[at].containers.last(), was_known) {
            self.note(at, Time::from_micros(event.time_ns / 1_000), what);
        }
        if let Action::Died { .. } = event.action {
            self.make_room(at);
        }
        Ok(())
    }

    pub fn service_of(&self, id: &str) -> Option<usize> {
        self.services.iter().position(|service| service.containers.iter().any(|container| container.id == id))
    }

    pub async fn know(&mut self, container: Container, engine: &Engine) -> Result<(), StreamError> {
        let is_new = !self.has(&container.id) && !self.left.contains_key(&id_of(&container));
        if is_new && self.since.skips(&container) {
            return Ok(());
        }
        self.attach_early(&container, engine).await?;
        let key = ServiceKey::of(&container.name, &container.labels);
        let known = self.service_of(&container.id).or_else(|| self.services.iter().position(|known| known.key == key));
        let at = match known {
            Some(at) => at,
            None => self.add(key, &container)?,
        };
        self.update(at, facts::meta_of(&container))?;
        if known.is_none() && !refused::has_room() {
            self.refuse(at)?;
        }
        let service = &mut self.services[at];
        match &service.reading {
            _ if service.refused.is_some() => {}
            Some(reading) if reading.container.id == container.id => {}
            Some(_) => {
                service.next = Some(Box::new(container));
                self.make_room(at);
            }
            None => self.read(at, Box::new(container), engine).await?,
        }
        self.attached.forget_early();
        Ok(())
    }

    /// Finishes with a container that has ended where another takes its place.
    fn make_room(&mut self, at: usize) {
        let service = &mut self.services[at];
        let (Some(reading), Some(_)) = (&mut service.reading, &service.next) else { return };
        let is_over =
            |container: &ContainerMeta| container.id == reading.container.id && facts::is_over(&container.status);
        if service.containers.iter().any(is_over) && !reading.finishing {
            reading.finishing = true;
            self.sources.finish(token(at));
            self.finish_attached(at);
        }
    }

    fn add(&mut self, key: ServiceKey, container: &Container) -> Result<usize, StreamError> {
        let now = Time::now();
        let (file, text) = self.session.claim_named(&key.name())?;
        let writer = TextWriter::new(file, &self.session.dir().join(&text));
        let run = Run {
            parent: Some(self.parent),
            labels: key.labels(),
            external_id: Some(container.id.clone()),
            ..started(RunId::new(now), Kind::Service, key.name(), now)
        };
        let (text, boom) = (Some(text), Some(self.boom.clone()));
        self.session.add_run(RunMeta { text, boom, ..RunMeta::new(run.clone()) })?;
        let id = self.writer.add(NewService::new(run.id, writer))?;
        let (containers, reading, next, refused) = (Vec::new(), None, None, None);
        self.services.push(Service { key, id, run: run.id, containers, reading, next, refused });
        let at = self.services.len() - 1;
        self.note(at, now, What::Start { name: run.name });
        Ok(at)
    }

    /// Notes what is known of a container now, if that is news.
    fn update(&mut self, at: usize, container: ContainerMeta) -> Result<(), FilesError> {
        let service = &mut self.services[at];
        match service.containers.iter_mut().find(|known| known.id == container.id) {
            Some(known) if *known == container => return Ok(()),
            Some(known) => *known = container,
            None => service.containers.push(container),
        }
        let (run, containers) = (service.run, service.containers.clone());
        self.session.update(Durable::Soon, |meta| {
            if let Some(entry) = meta.runs.iter_mut().find(|entry| entry.run.id == run) {
                entry.run.external_id = containers.last().map(|last| last.id.clone());
                entry.containers = containers;
            }
            Ok(())
        })
    }

    fn note_removed(&mut self, id: &str) -> Result<(), FilesError> {
        let Some(at) = self.service_of(id) else { return Ok(()) };
        let service = &mut self.services[at];
        let Some(known) = service.containers.iter().find(|known| known.id == id) else { return Ok(()) };
        let removed = ContainerMeta { status: facts::REMOVED.to_owned(), ..known.clone() };
        if let Some(reading) =
            service.reading.as_mut().filter(|reading| reading.container.id == id && !reading.finishing)
        {
            reading.finishing = true;
            self.sources.finish(token(at));
            self.finish_attached(at);
        }
        self.update(at, removed)
    }

    /// Begins to read a container, from where the records of the service end if it is one that was read before.
    async fn read(&mut self, at: usize, container: Box<Container>, engine: &Engine) -> Result<(), StreamError> {
        let path = match engine.is_local() && container.log_driver == "json-file" {
            true => self.log_file(&container, engine).await?,
            false => None,
        };
        let Some(container) = self.read_attached(at, container, path.is_some(), engine).await? else { return Ok(()) };
        let kind = kind_of(&container.log_driver, path.is_some());
        let service = &mut self.services[at];
        let id = id_of(&container);
        let resumed = self.left.remove(&id).filter(|source| source.kind == kind);
        // Where it goes on nothing is from before.
        let since_ns = self.since.ns_of(&container).filter(|_| resumed.is_none());
        let source = resumed.unwrap_or_else(|| Source::new(id, kind));
        let (of, service_id) = (Asked::of(engine, &container), service.id);
        service.reading = Some(Reading::new(container, kind, false));
        match path {
            Some(path) => self.sources.read_file(token(at), service_id, &path, source, since_ns),
            None => self.sources.read_logs(token(at), service_id, &of, source, since_ns),
        }
        Ok(())
    }

    /// The engine's own log file of a container, if we can read it. One that was never started has none yet, and the engine
    /// does not say where it will be: beside what it has of the container.
    async fn log_file(&mut self, container: &Container, engine: &Engine) -> Result<Option<PathBuf>, StreamError> {
        if let Some(path) = &container.log_path {
            let is_ours = is_json_file(path) && std::fs::File::open(path).is_ok();
            return Ok(is_ours.then(|| path.clone()));
        }
        if self.root.is_none() {
            self.root = engine.root_dir().await?;
        }
        let Some(root) = &self.root else { return Ok(None) };
        let dir = root.join("containers").join(&container.id);
        Ok(dir.is_dir().then(|| dir.join(format!("{}-json.log", container.id))))
    }

    /// What a source says.
    pub async fn take(&mut self, said: Said, engine: &Engine, watcher: &mut dyn Watcher) -> Result<(), StreamError> {
        match said {
            Said::Trouble(Token(at), why) => {
                let Some(service) = self.services.get(at as usize) else { return Ok(()) };
                if service.refused.is_none() {
                    self.writer.note(service.id, Time::now(), Level::Warn, why.clone());
                }
                watcher.say(&format!("{}: {why}", service.key.name()));
            }
            Said::Drained(Token(at), left) => self.go_on(at as usize, left, engine).await?,
            Said::Ended(token, reached, why) => self.log_ended(token, reached, why, engine, watcher).await?,
            Said::Early(early) => self.take_early(*early, engine).await?,
            Said::Detached(token, detached) => self.detached(token, *detached, engine, watcher).await?,
        }
        Ok(())
    }

    /// All that there is of a container is read: the one that takes its place is next. The same one may go on later.
    pub async fn go_on(&mut self, at: usize, left: Left, engine: &Engine) -> Result<(), StreamError> {
        self.note_whole(at);
        self.put_aside(at, left);
        let Some(service) = self.services.get_mut(at) else { return Ok(()) };
        match service.next.take() {
            Some(next) => self.read(at, next, engine).await,
            None => Ok(()),
        }
    }

    /// The container is not read any more, for now: whoever looks at it again goes on where it was left.
    pub fn put_aside(&mut self, at: usize, left: Left) {
        let Some(Reading { container, kind, .. }) =
            self.services.get_mut(at).and_then(|service| service.reading.take())
        else {
            return;
        };
        let id = id_of(&container);
        let counted = if kind == SourceKind::Attached { self.sources.counted(token(at)) } else { None };
        let (reached, files) = (counted.unwrap_or(left.reached), left.files);
        self.left.insert(id, Source { container: id, kind, reached, files });
    }

    /// The logs API has ended its answer, which it does whenever the container ends, or the connection broke. While there is a
    /// container that may say more it is asked again.
    async fn log_ended(
        &mut self,
        token: Token,
        reached: Reached,
        why: Option<EngineError>,
        engine: &Engine,
        watcher: &mut dyn Watcher,
    ) -> Result<(), StreamError> {
        let at = token.0 as usize;
        let Some(reading) = self.services.get_mut(at).and_then(|service| service.reading.as_mut()) else {
            return Ok(());
        };
        match why {
            Some(error) if error.is_lost() => {}
            Some(EngineError::NoSuchContainer { .. }) => return self.go_on(at, Left::at(reached), engine).await,
            Some(error) => {
                let why = logboom_files::with_causes(&error);
                self.lose(at, &why, reached, watcher);
                return self.go_on(at, Left::at(reached), engine).await;
            }
            None if reading.finishing => return self.go_on(at, Left::at(reached), engine).await,
            None => {}
        }
        // If the engine is gone, that is found out now, and it is asked again when it is back.
        reading.broken_off = Some(reached);
        self.ask_again(at, engine).await
    }

    /// Goes on with the logs API where it broke off.
    async fn ask_again(&mut self, at: usize, engine: &Engine) -> Result<(), StreamError> {
        let reading = self.services.get(at).and_then(|service| service.reading.as_ref());
        let Some((reading, reached)) = reading.and_then(|reading| Some((reading, reading.broken_off?))) else {
            return Ok(());
        };
        let of = Asked::of(engine, &reading.container);
        let state = match engine.inspect(&reading.container.id).await {
            Err(EngineError::NoSuchContainer { .. }) => return self.go_on(at, Left::at(reached), engine).await,
            other => other?,
        };
        // One last time without waiting, since what it said last may have come behind the end of the answer.
        let is_over = facts::is_over(&state.state.status);
        if let Some(reading) = self.services[at].reading.as_mut() {
            (reading.finishing, reading.broken_off) = (is_over, None);
            *reading.container = state;
        }
        self.sources.ask_again(token(at), &Asked { follow: !is_over, ..of }, reached);
        Ok(())
    }

    pub fn lose(&mut self, at: usize, why: &str, reached: Reached, watcher: &mut dyn Watcher) {
        let service = &self.services[at];
        let lost = Lost { time: Time::now(), count: None, why: why.to_owned(), reached: reached.from() };
        self.writer.gap(service.id, lost);
        watcher.say(&format!("{}: {why}", service.key.name()));
    }

    /// What is still being read is read no further; whether something is missing then, nobody knows.
    pub fn give_up(&mut self, watcher: &mut dyn Watcher) {
        for at in 0..self.services.len() {
            if self.services[at].reading.is_some() {
                self.lose(at, "its output could not be read to its end in time", Reached::default(), watcher);
            }
        }
    }

    /// Has everything read to where it is now.
    pub fn finish_all(&mut self) {
        for at in 0..self.services.len() {
            let is_attached = self.is_attached(at);
            let service = &mut self.services[at];
            service.next = None;
            let Some(reading) = &mut service.reading else { continue };
            let was_finishing = std::mem::replace(&mut reading.finishing, true);
            match reading.kind {
                SourceKind::LogFile => self.sources.finish(token(at)),
                _ if !is_attached => self.sources.read_to_now(token(at)),
                _ if !was_finishing => self.finish_attached(at),
                _ => {}
            }
        }
    }

    /// Ends the services, and the session where nobody else adds to it.
    pub async fn end(self) -> Result<Streamed, StreamError> {
        let Containers { session, writer, sources, services, boom, .. } = self;
        sources.stop().await;
        let (now, mut streamed) = (Time::now(), Streamed::default());
        let mut ends = Vec::new();
        for service in services.iter().filter(|service| service.refused.is_none()) {
            let end = facts::end_of(service.containers.last(), now);
            streamed.outcomes.insert(service.key.name(), end.outcome);
            ends.push((service.run, end.clone(), writer.end(service.id, end)));
        }
        end_refused(&session, &services, &mut streamed)?;
        let meta = session.meta()?;
        let is_alone = meta.runs.first().is_none_or(|first| first.run.kind == Kind::Service)
            && session.written_booms().iter().all(|written| *written == boom);
        if meta.run.end.is_none() && !meta.open && is_alone {
            session.end(&facts::end_of_all(&streamed.outcomes, now))?;
        }
        for (run, end, ending) in ends {
            let counts = ending.wait()?.counts;
            streamed.counts = [streamed.counts, counts].into_iter().sum();
            note_end(&session, run, &end, counts);
            session.end_run(run, &end, counts)?;
        }
        streamed.trouble = Arc::into_inner(writer).and_then(|writer| writer.finish().trouble);
        Ok(streamed)
    }

    /// Adds to the timeline. Where there is no room for an event there is none for records either, and those are counted.
    fn note(&self, at: usize, time: Time, what: What) {
        let run = self.services[at].run;
        let _ = timeline::append(self.session.dir(), &[timeline::Event { time, run, what }]);
    }

    /// The engine cannot be reached, or can be again: in the timeline and in every log.
    pub fn note_engine(&self, level: Level, message: &str, what: &What) {
        for service in self.services.iter().filter(|service| service.refused.is_none()) {
            self.writer.note(service.id, Time::now(), level, message.to_owned());
        }
        let event = timeline::Event { time: Time::now(), run: self.parent, what: what.clone() };
        let _ = timeline::append(self.session.dir(), &[event]);
    }

    /// What was not heard of meanwhile: containers that are gone, and logs that broke off.
    pub async fn look_at_known(&mut self, engine: &Engine) -> Result<(), StreamError> {
        let ids = self
            .services
            .iter()
            .filter_map(|service| service.reading.as_ref())
            .map(|reading| reading.container.id.clone());
        for id in ids.collect::<Vec<_>>() {
            self.look(&id, engine).await?;
        }
        for at in 0..self.services.len() {
            self.ask_again(at, engine).await?;
        }
        Ok(())
    }
}

fn id_of(container: &Container) -> ContainerId {
    ContainerId::parse(&container.id).unwrap_or_default()
}

pub(super) fn token(at: usize) -> Token {
    Token(at as u64)
}

pub(super) fn note_end(session: &Session, run: RunId, end: &RunEnd, counts: Counts) {
    let (outcome, exit_code, signal) = (end.outcome, end.exit_code, end.signal);
    let Counts { lines, errors, lost, .. } = counts;
    let what = What::End { outcome, exit_code, signal, lines, errors, lost };
    let _ = timeline::append(session.dir(), &[timeline::Event { time: end.ended_at, run, what }]);
}

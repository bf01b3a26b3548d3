//! The containers that are followed: which service each is, from where it is read, and what the session's files say of it.
//!
//! A service is read from one container at a time. One that takes the place of another waits until all of the other's output is
//! read, so that the lines of both stand in order in the one log.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use logboom_boom as boom;
use logboom_files::{
    FilesError, Session,
    session::{ContainerMeta, Durable, RunMeta, started},
    textlog::TextWriter,
    timeline::{self, What},
};
use logboom_record::{Kind, Level, Run, RunId, Time};
use tokio::sync::mpsc;

use super::{
    answers::Asked,
    attached::{Attached, GONE, id_of, written_ns},
    counted, facts,
    runs::Runs,
    select::ServiceKey,
    service::{Reading, Service},
    since::Since,
    sources::{Left, LocalLog, Said, Sources, is_json_file, kind_of},
    streamer::{Follow, StreamError, Watcher},
    tailer::Token,
};
use crate::{
    engine::{Action, Container, Engine, EngineError, Event},
    masks::SharedMasks,
    services::{
        NewService, ServiceWriter, Source,
        feed::{ContainerId, SourceKind},
        resume,
    },
};

/// See the module.
pub(super) struct Containers {
    pub session: Session,
    parent: RunId,
    pub boom: String,
    masks: SharedMasks,
    pub writer: Arc<ServiceWriter>,
    pub sources: Sources,
    since: Since,
    pub services: Vec<Service>,
    pub runs: Runs,
    /// From where containers go on that were read before, by this follower or one before it.
    pub left: HashMap<ContainerId, Source>,
    pub attached: Attached,
    /// The engine's directory, asked for once.
    root: Option<PathBuf>,
    starts: facts::Starts,
    pub told: facts::Told,
    /// How far the engine's clock is ahead of ours.
    pub ahead_ns: i64,
}

impl Containers {
    /// Makes the boom file, and goes on with what a killed follower left.
    pub fn begin(
        session: Session,
        follow: &Follow,
        ahead_ns: i64,
        said: mpsc::UnboundedSender<Said>,
        warn: Box<dyn FnMut(&str) + Send>,
    ) -> Result<Containers, StreamError> {
        let attached = Attached::after(written_ns(session.dir()).saturating_add(ahead_ns)); // resuming writes to logs, too
        let resumed = resume(&session)?;
        let boom =
            boom::Writer::create_in(session.dir(), "records", boom::Options::default()).map_err(FilesError::from)?;
        resumed.name_boom(&boom)?;
        let name = boom.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let writer = ServiceWriter::start_masked(boom, warn, follow.masks.clone()).map_err(StreamError::Start)?;
        let writer = Arc::new(writer);
        let sources = Sources::new(Arc::clone(&writer), said).map_err(StreamError::Start)?;
        let meta = session.meta()?;
        for ended in &resumed.ended {
            session.end_run(ended.run, &ended.end, ended.counts)?;
        }
        let (mut services, mut left_at, runs) = (Vec::new(), resumed.left, Runs::default());
        for left in resumed.services {
            let Some(run) = meta.runs.iter().find(|run| run.run.id == left.service.run) else { continue };
            let Some(key) = ServiceKey::of_labels(&run.run.labels) else { continue };
            let (id, containers) = (writer.add(left.service)?, run.containers.clone());
            runs.add(run.run.id);
            services.push(Service::new(key, run.run.id, id, containers));
            left_at.extend(left.source.map(|source| (source.container, source)));
        }
        let (since, parent) = (Since::of(follow, ahead_ns), meta.run.id);
        Ok(Containers {
            session,
            parent,
            boom: name,
            masks: follow.masks.clone(),
            writer,
            sources,
            since,
            services,
            runs,
            left: left_at,
            attached,
            root: None,
            starts: facts::Starts::default(),
            told: facts::Told::default(),
            ahead_ns,
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
            service.next.is_empty() && service.containers.last().is_none_or(|last| facts::is_over(&last.status))
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
            Err(EngineError::NoSuchContainer { .. }) => Ok(self.note_removed(id, engine)?),
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
        self.told.hear(event);
        match event.action {
            Action::Removed => self.note_removed(&event.id, engine)?,
            _ => self.look(&event.id, engine).await?,
        }
        if engine.is_podman() {
            self.know_gone(event, engine).await?;
        }
        let Some(at) = self.service_of(&event.id) else { return Ok(()) };
        self.note_exit(at, event)?;
        let is_again = event.action == Action::Started && self.starts.hear(event);
        let containers = &self.services[at].containers;
        if let Some(what) = facts::what_of(event, containers, (is_again, was_known), &self.masks.current()) {
            self.note(at, Time::from_micros(event.time_ns.saturating_sub(self.ahead_ns) / 1_000), what);
        }
        if let Action::Died { .. } = event.action {
            self.forget_told();
            self.make_room(at);
        }
        Ok(())
    }

    /// A container that is removed at once tells how it ended by the event alone.
    fn note_exit(&mut self, at: usize, event: &Event) -> Result<(), FilesError> {
        let Action::Died { exit_code } = event.action else { return Ok(()) };
        let known = self.services[at].containers.iter().find(|known| known.id == event.id);
        let Some(known) = known.filter(|known| known.status == facts::REMOVED) else { return Ok(()) };
        let ended_at = Some(Time::from_micros(event.time_ns / 1_000));
        let container = ContainerMeta { exit_code, ended_at, ..known.clone() };
        self.update(at, container)
    }

    pub fn service_of(&self, id: &str) -> Option<usize> {
        self.services.iter().position(|service| service.containers.iter().any(|container| container.id == id))
    }

    /// Takes note of how a container is, and reads it.
    pub async fn know(&mut self, container: Container, engine: &Engine) -> Result<(), StreamError> {
        let known = self.know_and_read(container, engine).await;
        // Nobody reads it if that failed, and the container would have to wait.
        self.attached.forget_early();
        known
    }

    async fn know_and_read(&mut self, container: Container, engine: &Engine) -> Result<(), StreamError> {
        let is_new = !self.has(&container.id) && !self.left.contains_key(&id_of(&container));
        if is_new && self.since.skips(&container) {
            return Ok(());
        }
        self.starts.see(&container);
        self.attach_early(&container, engine).await?;
        let key = ServiceKey::of(&container.name, &container.labels);
        let known = match self.service_of(&container.id) {
            Some(at) => {
                self.name_again(at, &key);
                Some(at)
            }
            None => self.service_for(&key, engine).await?,
        };
        let at = match known {
            Some(at) => at,
            None => self.add(key, &container)?,
        };
        // Where that cannot be saved its output may have room all the same.
        let saved = self.update(at, facts::meta_of(&container, &self.masks.current()));
        let service = &mut self.services[at];
        match &service.reading {
            Some(reading) if reading.container.id == container.id => {}
            Some(_) => {
                service.next.retain(|next| next.id != container.id);
                service.next.push_back(Box::new(container));
                self.make_room(at);
            }
            None if facts::is_over(&container.state.status) && service.has_read(&container) => {}
            None => self.read(at, Box::new(container), engine).await?,
        }
        Ok(saved?)
    }

    /// A service that is gone on with has the name that was written, which may be masked.
    fn name_again(&mut self, at: usize, key: &ServiceKey) {
        let known = &mut self.services[at].key;
        if *known == key.masked(&self.masks.current()) {
            *known = key.clone();
        }
    }

    /// The service that a new container goes on. One that only has the name of another, which goes on by a new name, is none.
    async fn service_for(&self, key: &ServiceKey, engine: &Engine) -> Result<Option<usize>, EngineError> {
        let Some(at) = self.services.iter().rposition(|known| known.key == *key && known.ended.is_none()) else {
            return Ok(None);
        };
        let ServiceKey::Named(name) = key else { return Ok(Some(at)) };
        let last = self.services[at].containers.last().filter(|last| !facts::is_over(&last.status));
        let Some(last) = last else { return Ok(Some(at)) };
        match engine.inspect(&last.id).await {
            Ok(renamed) if renamed.name != *name && !facts::is_over(&renamed.state.status) => Ok(None),
            Err(error) if error.is_lost() => Err(error),
            _ => Ok(Some(at)),
        }
    }

    /// Finishes with a container that has ended where another takes its place.
    fn make_room(&mut self, at: usize) {
        let service = &mut self.services[at];
        let Some(reading) = service.reading.as_mut().filter(|_| !service.next.is_empty()) else { return };
        let is_over =
            |container: &ContainerMeta| container.id == reading.container.id && facts::is_over(&container.status);
        if service.containers.iter().any(is_over) && !reading.finishing {
            reading.finishing = true;
            self.sources.finish(token(at));
            self.finish_attached(at);
        }
    }

    fn add(&mut self, key: ServiceKey, container: &Container) -> Result<usize, StreamError> {
        self.make_room_for(&key.name())?;
        let now = Time::now();
        let shown = key.masked(&self.masks.current());
        let (file, text) = self.session.claim_named(&shown.name())?;
        let path = self.session.dir().join(&text);
        let writer = TextWriter::new(file, &path);
        let run = Run {
            parent: Some(self.parent),
            labels: shown.labels(),
            external_id: Some(container.id.clone()),
            ..started(RunId::new(now), Kind::Service, shown.name(), now)
        };
        let (text, boom) = (Some(text), Some(self.boom.clone()));
        self.session.add_run(RunMeta { text, boom, ..RunMeta::new(run.clone()) }).inspect_err(|_| {
            // It is tried again by another name: an empty file that stays harms nobody.
            let _ = std::fs::remove_file(&path);
        })?;
        let id = self.writer.add(NewService::new(run.id, writer))?;
        self.runs.add(run.id);
        self.services.push(Service::new(key, run.id, id, Vec::new()));
        let at = self.services.len() - 1;
        self.note(at, now, What::Start { name: run.name });
        Ok(at)
    }

    /// Notes what is known of a container now, if that is news.
    fn update(&mut self, at: usize, container: ContainerMeta) -> Result<(), FilesError> {
        let service = &mut self.services[at];
        match service.containers.iter_mut().find(|known| known.id == container.id) {
            Some(known) if *known == container => return self.save(at),
            Some(known) => *known = container,
            None => service.containers.push(container),
        }
        service.is_unsaved = true;
        self.save(at)
    }

    /// Has the session's files say what is known of a service's containers, if they do not yet.
    pub fn save(&mut self, at: usize) -> Result<(), FilesError> {
        let service = &mut self.services[at];
        if !service.is_unsaved {
            return Ok(());
        }
        let (run, containers) = (service.run, service.containers.clone());
        self.session.update(Durable::Soon, |meta| {
            if let Some(entry) = meta.runs.iter_mut().find(|entry| entry.run.id == run) {
                entry.run.external_id = containers.last().map(|last| last.id.clone());
                entry.containers = containers;
            }
            Ok(())
        })?;
        service.is_unsaved = false;
        Ok(())
    }

    fn note_removed(&mut self, id: &str, engine: &Engine) -> Result<(), FilesError> {
        let Some(at) = self.service_of(id) else { return Ok(()) };
        let service = &self.services[at];
        let Some(known) = service.containers.iter().find(|known| known.id == id) else { return Ok(()) };
        let removed = ContainerMeta { status: facts::REMOVED.to_owned(), ..known.clone() };
        let was_going_on = !facts::is_over(&known.status) && known.status != "created";
        // Podman's containers are not attached to when they are created, so they may have run unseen.
        let is_unread = engine.is_podman()
            && known.status != facts::REMOVED
            && !self.left.contains_key(&ContainerId::parse(id).unwrap_or_default());
        let was_read = service.reading.is_some()
            || service.ended.is_some()
            || service.read.as_ref().is_some_and(|(read, _)| read == id);
        if (was_going_on || is_unread) && !was_read {
            self.miss(at, GONE);
        }
        let service = &mut self.services[at];
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
        let bytes_max = counted::file_bytes_max(&container);
        service.reading = Some(Reading::new(container, kind, false));
        match path {
            Some(path) => {
                let file = LocalLog { path, bytes_max };
                self.sources.read_file(token(at), service_id, file, source, since_ns);
            }
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
                self.writer.note(service.id, Time::now(), Level::Warn, why.clone());
                watcher.say(&format!("{}: {why}", service.key.name()));
            }
            Said::Drained(Token(at), left) => self.go_on(at as usize, left, engine).await?,
            Said::Ended(token, end) => self.log_ended(token, end, engine, watcher).await?,
            Said::Early(early) => self.take_early(*early, engine).await?,
            Said::Detached(token, detached) => self.detached(token, *detached, engine, watcher).await?,
        }
        Ok(())
    }

    /// All that there is of a container is read: the one that takes its place is next. The same one may go on later.
    pub async fn go_on(&mut self, at: usize, left: Left, engine: &Engine) -> Result<(), StreamError> {
        self.note_whole(at);
        if let Some(service) = self.services.get_mut(at) {
            service.read = service.reading.as_ref().map(|reading| {
                let known = service.containers.iter().find(|known| known.id == reading.container.id);
                (reading.container.id.clone(), known.and_then(|known| known.ended_at))
            });
        }
        self.put_aside(at, left);
        let Some(service) = self.services.get_mut(at) else { return Ok(()) };
        match service.next.pop_front() {
            Some(next) => self.read_next(at, next, engine).await,
            None => Ok(()),
        }
    }

    /// Reads a container that waited for its turn, and may have ended meanwhile.
    pub async fn read_next(&mut self, at: usize, next: Box<Container>, engine: &Engine) -> Result<(), StreamError> {
        let read = match engine.inspect(&next.id).await {
            Ok(now) => self.read(at, Box::new(now), engine).await,
            Err(EngineError::NoSuchContainer { .. }) => {
                self.miss(at, GONE);
                Ok(())
            }
            Err(error) => Err(error.into()),
        };
        if read.is_err() && self.services[at].reading.is_none() {
            self.services[at].next.push_front(next);
        }
        self.make_room(at);
        read
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

    /// Has everything read to where it is now.
    pub fn finish_all(&mut self) {
        for at in 0..self.services.len() {
            let is_attached = self.is_attached(at);
            let service = &mut self.services[at];
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

    /// Adds to the timeline. Where there is no room for an event there is none for records either, and those are counted.
    fn note(&self, at: usize, time: Time, what: What) {
        let run = self.services[at].run;
        let _ = timeline::append(self.session.dir(), &[timeline::Event { time, run, what }]);
    }

    /// The engine cannot be reached, or can be again: in the timeline and in every log.
    pub fn note_engine(&self, level: Level, message: &str, what: &What) {
        for service in self.services.iter().filter(|service| service.ended.is_none()) {
            self.writer.note(service.id, Time::now(), level, message.to_owned());
        }
        let event = timeline::Event { time: Time::now(), run: self.parent, what: what.clone() };
        let _ = timeline::append(self.session.dir(), &[event]);
    }
}

pub(super) fn token(at: usize) -> Token {
    Token(at as u64)
}

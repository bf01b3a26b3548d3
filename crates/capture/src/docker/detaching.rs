//! What is done when an attached stream ends: whether all has come is found out, and what has not is read.

use std::time::Duration;

use super::{
    answers::Asked,
    attach::Detached,
    attached::{BLIND_AGAIN, Came, GONE, id_of},
    containers::{Containers, token},
    counted::{Beginning, Counter, beginning},
    ending::{has_beginning, tail_of},
    facts,
    service::{Broken, Reading},
    sources::Left,
    streamer::{StreamError, Watcher},
    tailer::Token,
};
use crate::{
    engine::{Container, Engine, EngineError},
    services::{
        Source,
        feed::{Reached, SourceKind},
    },
};
use logboom_files::with_causes;

/// How long to wait until the engine knows that a container has ended whose stream has, and how often.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 250;
/// How often to wait until its log, which may lose its beginning, ends as the stream did.
const LAG_LOOKS_MAX: u32 = 50;

impl Containers {
    /// What is to be done where a stream has ended cannot be done now: the stream is remembered until it can.
    fn break_off(&mut self, at: usize, detached: Detached, error: EngineError) -> StreamError {
        if let Some(reading) = &mut self.services[at].reading {
            reading.broken_off = Some(Broken::Stream(Box::new(Detached { is_late: true, ..detached })));
        }
        error.into()
    }

    /// The stream has ended. Goes on with what is to be read then.
    pub async fn detached(
        &mut self,
        Token(at): Token,
        detached: Detached,
        engine: &Engine,
        watcher: &mut dyn Watcher,
    ) -> Result<(), StreamError> {
        let at = at as usize;
        let Some(reading) = self.services.get(at).and_then(|service| service.reading.as_ref()) else { return Ok(()) };
        let (id, is_finishing, left) =
            (reading.container.id.clone(), reading.finishing, Left::at(detached.counter.reached()));
        let now = match engine.inspect(&id).await {
            Ok(now) => now,
            Err(EngineError::NoSuchContainer { .. }) => {
                if let Some(why) = &detached.why {
                    self.lose(at, &with_causes(why), left.reached, watcher);
                } else if detached.is_late {
                    self.miss(at, GONE);
                }
                return self.go_on(at, left, engine).await;
            }
            Err(error) => return Err(self.break_off(at, detached, error)),
        };
        let is_over = facts::is_over(&now.state.status);
        let was = &self.services[at].reading.as_ref().map(|reading| reading.container.state.finished_at_ns);
        let is_ending = !is_over && *was == Some(now.state.finished_at_ns) && now.state.status == "running";
        if is_ending && detached.why.is_none() && detached.looks < LOOKS_MAX && !is_finishing {
            let detached = Detached { looks: detached.looks + 1, ..detached };
            self.sources.detached_later(token(at), detached, LOOK_PAUSE);
            return Ok(());
        }
        match now.state.status.as_str() {
            _ if is_finishing && !is_over => self.go_on(at, left, engine).await,
            _ if self.attached.is_blind(&now) => self.detached_blind(at, now, &detached, engine).await,
            // It could not be started; somebody may try again.
            "created" => {
                self.put_aside(at, left);
                if let Some(started) = self.attach(at, Box::new(now), engine).await? {
                    self.go_on_attached(at, started, None, engine).await?;
                }
                Ok(())
            }
            _ => self.compare(at, now, detached, engine).await,
        }
    }

    /// There is no log to compare with: attaches again, which says what was missed.
    async fn detached_blind(
        &mut self,
        at: usize,
        now: Container,
        detached: &Detached,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let left = Left::at(detached.counter.reached());
        if facts::is_over(&now.state.status) && detached.why.is_none() {
            self.attached.note_whole(&now);
        }
        if self.services[at].reading.as_ref().is_some_and(|reading| reading.finishing)
            || !self.services[at].next.is_empty()
        {
            if !self.attached.has_whole(&now) {
                self.miss(at, BLIND_AGAIN);
            }
            return self.go_on(at, left, engine).await;
        }
        self.put_aside(at, left);
        self.attach(at, Box::new(now), engine).await.map(drop)
    }

    /// Looks whether the log ends as the stream did. Else reads the rest of it.
    async fn compare(
        &mut self,
        at: usize,
        now: Container,
        detached: Detached,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let left = Left::at(detached.counter.reached());
        let is_over = facts::is_over(&now.state.status);
        let tail = if is_over { tail_of(&now, engine).await } else { Ok(None) };
        match tail {
            Err(error) if error.is_lost() => return Err(self.break_off(at, detached, error)),
            // Nobody can tell, and the engine has ended the stream in order.
            Err(_) if detached.why.is_none() && !detached.is_late => {
                self.attached.note_whole(&now);
                return self.go_on(at, left, engine).await;
            }
            Ok(Some(tail)) if tail.is_end_of(&detached, &now) => {
                self.attached.note_whole(&now);
                return self.go_on_by_log(at, now, tail.reached(), engine).await;
            }
            _ => {}
        }
        // The log may lag behind a stream that has ended in order.
        if beginning(&now) != Beginning::Kept && is_over && detached.why.is_none() && detached.looks < LAG_LOOKS_MAX {
            let detached = Detached { looks: detached.looks + 1, ..detached };
            self.sources.detached_later(token(at), detached, LOOK_PAUSE);
            return Ok(());
        }
        let has_beginning = match has_beginning(&now, engine).await {
            Err(error) => return Err(self.break_off(at, detached, error)),
            Ok(has_beginning) => has_beginning,
        };
        if !has_beginning {
            self.put_aside(at, left);
            let last_ns = detached.last_time.map_or(0, |time| time.as_micros().saturating_mul(1_000));
            let came = Came { last: detached.last, until_ns: last_ns.saturating_add(self.ahead_ns) };
            return self.go_on_attached(at, Box::new(now), Some(came), engine).await;
        }
        let (of, service) = (Asked { follow: !is_over, ..Asked::of(engine, &now) }, &mut self.services[at]);
        let (container, kind) = (Box::new(now), SourceKind::Attached);
        service.reading = Some(Reading::new(container, kind, is_over));
        let counter = Counter::again(&left.reached, Some(&detached.last));
        self.sources.read_counted(token(at), service.id, &of, counter);
        Ok(())
    }

    /// All is read; what the container prints when it is started again follows these entries of its log.
    async fn go_on_by_log(
        &mut self,
        at: usize,
        now: Container,
        reached: Reached,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let source = Source { reached, ..Source::new(id_of(&now), SourceKind::LogsApi) };
        self.writer.begin(self.services[at].id, source);
        if let Some(reading) = &mut self.services[at].reading {
            (reading.kind, *reading.container) = (SourceKind::LogsApi, now);
        }
        self.go_on(at, Left::at(reached), engine).await
    }
}

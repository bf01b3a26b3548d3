//! Goes on with what broke off: answers of the logs API, and attached streams.

use std::collections::BTreeSet;

use logboom_files::with_causes;
use logboom_record::Time;

use super::{
    answers::{Asked, LogsEnd},
    attached::GONE,
    containers::{Containers, token},
    facts,
    service::{Broken, Service},
    sources::Left,
    streamer::{StreamError, Watcher},
    tailer::Token,
};
use crate::{
    engine::{Engine, EngineError},
    services::feed::{Lost, Reached},
};

/// How often in a row the logs API may fail of one container, each time some seconds after the other.
const FAILURES_MAX: u32 = 5;

impl Containers {
    /// The logs API has ended its answer, which it does whenever the container ends, or the connection broke. While there is a
    /// container that may say more it is asked again.
    pub async fn log_ended(
        &mut self,
        token: Token,
        LogsEnd { reached, followed, why }: LogsEnd,
        engine: &Engine,
        watcher: &mut dyn Watcher,
    ) -> Result<(), StreamError> {
        let at = token.0 as usize;
        let Some(reading) = self.services.get_mut(at).and_then(|service| service.reading.as_mut()) else {
            return Ok(());
        };
        match why {
            Some(error) if error.is_lost() => {}
            Some(EngineError::NoSuchContainer { .. }) => return self.removed(at, reached, engine).await,
            Some(EngineError::LogsUnreadable { .. }) if !reading.finishing => {
                return self.attach_instead(at, reached, engine).await;
            }
            Some(error @ EngineError::Unreadable { .. }) => {
                self.lose(at, &with_causes(&error), reached, watcher);
                return self.go_on(at, Left::at(reached), engine).await;
            }
            Some(error) => return self.logs_failed(at, reached, error, engine, watcher).await,
            None if reading.finishing && !followed => return self.go_on(at, Left::at(reached), engine).await,
            None => {}
        }
        // If the engine is gone, that is found out now, and it is asked again when it is back.
        (reading.broken_off, reading.failures) = (Some(Broken::Logs(reached)), 0);
        self.ask_again(at, engine).await
    }

    /// Has the logs API asked again later, if there is hope.
    async fn logs_failed(
        &mut self,
        at: usize,
        reached: Reached,
        error: EngineError,
        engine: &Engine,
        watcher: &mut dyn Watcher,
    ) -> Result<(), StreamError> {
        let Some(reading) = &mut self.services[at].reading else { return Ok(()) };
        reading.failures += 1;
        if reading.failures > FAILURES_MAX {
            self.lose(at, &with_causes(&error), reached, watcher);
            return self.go_on(at, Left::at(reached), engine).await;
        }
        reading.broken_off = Some(Broken::Logs(reached));
        Err(error.into())
    }

    /// The container was removed before its log was read to the end.
    async fn removed(&mut self, at: usize, reached: Reached, engine: &Engine) -> Result<(), StreamError> {
        self.miss(at, GONE);
        self.go_on(at, Left::at(reached), engine).await
    }

    /// Goes on with all that broke off.
    pub async fn go_on_with_broken(&mut self, engine: &Engine, watcher: &mut dyn Watcher) -> Result<(), StreamError> {
        let mut all = Ok(());
        for at in 0..self.services.len() {
            let service = &mut self.services[at];
            let gone_on = match (&mut service.reading, service.next.pop_front()) {
                (None, None) => continue,
                (None, Some(next)) => self.read_next(at, next, engine).await,
                (Some(reading), next) => {
                    next.into_iter().for_each(|next| service.next.push_front(next));
                    match reading.broken_off.take() {
                        Some(Broken::Stream(detached)) => self.detached(token(at), *detached, engine, watcher).await,
                        logs => {
                            reading.broken_off = logs;
                            self.ask_again(at, engine).await
                        }
                    }
                }
            };
            all = all.and(gone_on);
        }
        all
    }

    /// Goes on with the logs API where it broke off.
    async fn ask_again(&mut self, at: usize, engine: &Engine) -> Result<(), StreamError> {
        let reading = self.services.get(at).and_then(|service| service.reading.as_ref());
        let Some((reading, Some(Broken::Logs(reached)))) = reading.map(|reading| (reading, &reading.broken_off)) else {
            return Ok(());
        };
        let reached = *reached;
        let of = Asked::of(engine, &reading.container);
        let state = match engine.inspect(&reading.container.id).await {
            Err(EngineError::NoSuchContainer { .. }) => return self.removed(at, reached, engine).await,
            other => other?,
        };
        // One last time without waiting, since what it said last may have come behind the end of the answer.
        let Some(reading) = self.services[at].reading.as_mut() else { return Ok(()) };
        reading.finishing |= facts::is_over(&state.state.status);
        (reading.broken_off, *reading.container) = (None, state);
        let follow = !reading.finishing;
        self.sources.ask_again(token(at), &Asked { follow, ..of }, reached);
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
            if self.services[at].reading.is_some() || !self.services[at].next.is_empty() {
                self.lose(at, "its output could not be read to its end in time", Reached::default(), watcher);
            }
        }
    }

    /// What was not heard of meanwhile: containers that are gone, and logs that broke off.
    pub async fn look_at_known(&mut self, engine: &Engine, watcher: &mut dyn Watcher) -> Result<(), StreamError> {
        let going_on = |service: &Service| {
            let last =
                service.containers.last().filter(|last| !facts::is_over(&last.status)).map(|last| last.id.clone());
            service.reading.as_ref().map(|reading| reading.container.id.clone()).into_iter().chain(last)
        };
        let ids: BTreeSet<String> = self.services.iter().flat_map(going_on).collect();
        let mut looked = Ok(());
        for id in ids {
            looked = looked.and(self.look(&id, engine).await);
        }
        for at in 0..self.services.len() {
            looked = looked.and(self.save(at).map_err(StreamError::from));
        }
        looked.and(self.go_on_with_broken(engine, watcher).await)
    }
}

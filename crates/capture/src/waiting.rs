//! Whether a service of a session is ready: it is healthy, a port answers, it has printed something, a URL answers.
//!
//! What is known of services stands in the session, written by whoever follows them; the engine is asked for addresses alone. The hard
//! part is a published port: docker's proxy takes every connection to it, also where nothing listens behind it, and hangs up then. So
//! the container's own address goes first, and a connection must last for a moment.

mod condition;
mod printed;
mod probe;

use std::{collections::HashMap, net::IpAddr};

use logboom_files::{
    FilesError, Session,
    session::{ContainerMeta, RunMeta},
};
use logboom_record::{Kind, Outcome, RunId};

pub use condition::{Condition, ConditionError, HttpUrl, Wait};
use printed::Printed;

use crate::{
    docker::streamer::StreamError,
    engine::{Container, Engine, EngineError, Host, ListQuery},
};

/// How a service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready.
    Ready,
    /// Not yet.
    NotYet(String),
    /// It will not become ready.
    Never(String),
}

/// Looks at the services of a session.
pub struct Looker {
    session: Session,
    /// The engine of its containers, and what asks it.
    engine: Option<(Engine, tokio::runtime::Runtime)>,
    printed: HashMap<(RunId, String), Printed>,
    addresses: HashMap<String, Container>,
}

impl Looker {
    /// For services that are no containers.
    pub fn of(session: &Session) -> Looker {
        Looker { session: session.clone(), engine: None, printed: HashMap::new(), addresses: HashMap::new() }
    }

    /// For services that are containers of this engine.
    ///
    /// # Errors
    /// [`StreamError::Engine`] if it does not answer.
    pub fn with_engine(session: &Session, host: &Host) -> Result<Looker, StreamError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StreamError::Start)?;
        let engine = runtime.block_on(Engine::connect(host))?;
        Ok(Looker { engine: Some((engine, runtime)), ..Looker::of(session) })
    }

    /// The containers that have this label, `KEY=VALUE`; none where there is no engine.
    ///
    /// # Errors
    /// [`EngineError`](crate::engine::EngineError).
    pub fn containers(&mut self, label: &str) -> Result<Vec<Container>, StreamError> {
        let Some((engine, runtime)) = &self.engine else { return Ok(Vec::new()) };
        let query = ListQuery { labels: vec![label.to_owned()], all: true };
        let mut found = Vec::new();
        for listed in runtime.block_on(engine.list(&query))? {
            match runtime.block_on(engine.inspect(&listed.id)) {
                Err(EngineError::NoSuchContainer { .. }) => {} // it was removed meanwhile
                container => found.push(container?),
            }
        }
        Ok(found)
    }

    /// Removes the volumes that have this label, `KEY=VALUE`; how many there were.
    ///
    /// # Errors
    /// [`EngineError`](crate::engine::EngineError).
    pub fn remove_volumes(&mut self, label: &str) -> Result<usize, EngineError> {
        let Some((engine, runtime)) = &self.engine else { return Ok(0) };
        runtime.block_on(engine.remove_volumes(label))
    }

    /// An address of the container that a service is.
    pub fn address(&mut self, service: &str) -> Option<IpAddr> {
        let meta = self.session.meta().ok()?;
        let run = meta.runs.iter().rev().find(|run| run.run.kind == Kind::Service && run.run.name == service)?;
        self.addresses_of(run, 0);
        self.addresses.get(&run.containers.last()?.id)?.addresses.first().copied()
    }

    /// How the service stands that is waited for. Of a scaled one all containers must be ready. `is_meant` picks its runs among those
    /// of the session.
    ///
    /// # Errors
    /// Where the session cannot be read.
    pub fn look(&mut self, wait: &Wait, is_meant: &dyn Fn(&RunMeta) -> bool) -> Result<Readiness, FilesError> {
        let status = self.session.status(logboom_record::Time::now());
        let runs = status.meta.runs.iter().zip(&status.outcomes);
        let runs: Vec<(&RunMeta, Outcome)> = runs
            .filter(|(run, _)| run.run.kind == Kind::Service && is_meant(run))
            .map(|(run, how)| (run, *how))
            .collect();
        let mut readiness = if runs.is_empty() { not_yet("has not been started") } else { Readiness::Ready };
        for (run, outcome) in runs {
            let has_ended = has_ended(run, outcome);
            let found = match wait.condition {
                // Whoever answers there now is somebody else.
                Condition::Port(_) | Condition::Http(_) if has_ended => Readiness::Never(how_it_ended(run)),
                _ => self.ask(run, wait),
            };
            let found = match found {
                Readiness::NotYet(_) if has_ended => Readiness::Never(how_it_ended(run)),
                found => found,
            };
            readiness = worse(readiness, found);
        }
        Ok(readiness)
    }

    fn ask(&mut self, run: &RunMeta, wait: &Wait) -> Readiness {
        match &wait.condition {
            Condition::Healthy => health(run.containers.last()),
            Condition::Log(text) => self.has_printed(run, text),
            Condition::Port(port) => probe::port(&self.addresses_of(run, *port)),
            Condition::Http(url) if url.host == wait.service => probe::http(&self.addresses_of(run, url.port), url),
            Condition::Http(url) => probe::http_by_name(url),
        }
    }

    fn has_printed(&mut self, run: &RunMeta, text: &str) -> Readiness {
        let Some(file) = run.text.as_ref().map(|name| self.session.dir().join(name)) else {
            return not_yet("has printed nothing");
        };
        let printed = self.printed.entry((run.run.id, text.to_owned())).or_insert_with(|| Printed::new(file, text));
        // Its log may not be there yet.
        if printed.look().unwrap_or(false) { Readiness::Ready } else { not_yet("has not printed that") }
    }

    /// Where a port of a service may be reached, the likeliest first.
    fn addresses_of(&mut self, run: &RunMeta, port: u16) -> Vec<probe::Address> {
        match (run.containers.last(), &self.engine) {
            (Some(container), Some((engine, runtime))) => {
                if self.addresses.get(&container.id).is_none_or(|known| known.addresses.is_empty()) {
                    // It is asked again the next time.
                    let Ok(found) = runtime.block_on(engine.inspect(&container.id)) else { return Vec::new() };
                    self.addresses.insert(container.id.clone(), found);
                }
                let known = self.addresses.get(&container.id);
                known.map_or(Vec::new(), |known| probe::addresses(known, engine.host(), port))
            }
            _ => probe::here(port),
        }
    }
}

fn health(container: Option<&ContainerMeta>) -> Readiness {
    match container.map(|container| (container.status.as_str(), container.health.as_deref())) {
        Some((_, Some("healthy"))) => Readiness::Ready,
        Some((_, Some(health))) => not_yet(&format!("is {health}")),
        Some(("running", None)) => Readiness::Never("has no health check; wait for a port, a line or a URL".to_owned()),
        _ => not_yet("does not run"),
    }
}

/// Whether nothing more is to be expected of it. One that its restart policy starts again has not ended.
fn has_ended(run: &RunMeta, outcome: Outcome) -> bool {
    let container_ended =
        run.containers.last().is_some_and(|container| ["exited", "dead", "removed"].contains(&&*container.status));
    outcome != Outcome::Running || container_ended
}

fn how_it_ended(run: &RunMeta) -> String {
    let container = run.containers.last().and_then(|container| container.exit_code);
    let end = run.run.end.as_ref();
    match (container.or(end.and_then(|end| end.exit_code)), end.and_then(|end| end.signal)) {
        (Some(code), _) => format!("has exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "has ended".to_owned(),
    }
}

fn not_yet(why: &str) -> Readiness {
    Readiness::NotYet(why.to_owned())
}

fn worse(one: Readiness, other: Readiness) -> Readiness {
    match (&one, &other) {
        (Readiness::Never(_), _) | (Readiness::NotYet(_), Readiness::Ready | Readiness::NotYet(_)) => one,
        _ => other,
    }
}

//! What is known of a service while it is followed, and of the container that it is read from.

use std::collections::VecDeque;

use logboom_files::session::{ContainerMeta, Counts};
use logboom_record::{RunEnd, RunId, Time};

use super::{attach::Detached, facts, select::ServiceKey};
use crate::{
    engine::Container,
    services::{
        ServiceId,
        feed::{Reached, SourceKind},
    },
};

/// A service, and the container that it is read from.
pub(super) struct Service {
    pub key: ServiceKey,
    pub id: ServiceId,
    pub run: RunId,
    pub containers: Vec<ContainerMeta>,
    /// The session's files do not say so yet.
    pub is_unsaved: bool,
    pub reading: Option<Reading>,
    /// The containers that take the place of the one being read, one after the other.
    pub next: VecDeque<Box<Container>>,
    /// The container that was read last, to its end as it was then, and when it had ended.
    pub read: Option<(String, Option<Time>)>,
    /// It has ended, and is not gone on with.
    pub ended: Option<(RunEnd, Counts)>,
}

impl Service {
    pub fn new(key: ServiceKey, run: RunId, id: ServiceId, containers: Vec<ContainerMeta>) -> Service {
        Service {
            key,
            id,
            run,
            containers,
            is_unsaved: false,
            reading: None,
            next: VecDeque::new(),
            read: None,
            ended: None,
        }
    }

    /// Whether all was read that a container that has ended printed.
    pub fn has_read(&self, container: &Container) -> bool {
        let ended_at = facts::ended_at(container);
        self.read.as_ref().is_some_and(|(id, at)| *id == container.id && *at == ended_at)
    }
}

/// A container that is read.
pub(super) struct Reading {
    pub container: Box<Container>,
    pub kind: SourceKind,
    /// Reads what is left, and no more.
    pub finishing: bool,
    /// What broke off, until it is gone on with.
    pub broken_off: Option<Broken>,
    /// How often the logs API has failed in a row.
    pub failures: u32,
}

/// What broke off before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The logs API, at this place.
    Logs(Reached),
    /// An attached stream.
    Stream(Box<Detached>),
}

impl Reading {
    pub fn new(container: Box<Container>, kind: SourceKind, finishing: bool) -> Reading {
        Reading { container, kind, finishing, broken_off: None, failures: 0 }
    }
}

//! What the session's files say of a container, out of what the engine says.

use std::collections::{BTreeMap, HashMap, HashSet};

use logboom_files::{session::ContainerMeta, timeline::What};
use logboom_record::{Outcome, RunEnd, Time};

use crate::{
    engine::{Action, Container, Event, Health},
    masks::Masks,
};

/// The status of a container that is no more.
pub(super) const REMOVED: &str = "removed";

/// How many digits of an id the timeline has.
const SHORT_ID: usize = 12;

/// Whether a container of this status prints nothing any more, unless somebody starts it again.
pub(super) fn is_over(status: &str) -> bool {
    [REMOVED, "exited", "dead", "stopped", "removing"].contains(&status)
}

/// When a container ended, if it does not run again.
pub(super) fn ended_at(container: &Container) -> Option<Time> {
    container.state.finished_at_ns.filter(|_| is_over(&container.state.status)).map(time)
}

fn time(ns: i64) -> Time {
    Time::from_micros(ns / 1_000)
}

/// What is known of a container.
pub(super) fn meta_of(container: &Container, masks: &Masks) -> ContainerMeta {
    let state = &container.state;
    let has_ended = is_over(&state.status);
    ContainerMeta {
        id: container.id.clone(),
        name: masks.mask_str(&container.name),
        image: masks.mask_str(&container.image),
        started_at: state.started_at_ns.map(time),
        ended_at: ended_at(container),
        status: state.status.clone(),
        // Of one that is gone nobody can be asked.
        exit_code: (has_ended && state.status != REMOVED).then_some(state.exit_code),
        oom_killed: state.oom_killed,
        restarts: container.restart_count,
        health: state.health.map(|health| word(health).to_owned()),
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// When containers were started, to tell their first start from others.
#[derive(Debug, Default)]
pub(super) struct Starts(HashMap<String, i64>);

impl Starts {
    /// An event can be that of the start that was seen if it is no later than this.
    const EVENT_DELAY_NS: i64 = 1_000_000_000;

    /// Takes note of how a container is, the first time that it is looked at.
    pub fn see(&mut self, container: &Container) {
        if let Some(started_at_ns) = container.state.started_at_ns {
            self.0.entry(container.id.clone()).or_insert(started_at_ns.saturating_add(Self::EVENT_DELAY_NS));
        }
    }

    /// Takes note of a start. Whether there was one before.
    pub fn hear(&mut self, event: &Event) -> bool {
        self.0.insert(event.id.clone(), i64::MIN).is_some_and(|until_ns| event.time_ns > until_ns)
    }
}

/// The id as the timeline has it.
fn short(id: &str) -> String {
    id.chars().take(SHORT_ID).collect()
}

/// What the timeline says of an event of a service that has these containers; `is_again` of one that was started before.
pub(super) fn what_of(
    event: &Event,
    containers: &[ContainerMeta],
    (is_again, was_known): (bool, bool),
    masks: &Masks,
) -> Option<What> {
    let (container, at) = (short(&event.id), containers.iter().position(|known| known.id == event.id)?);
    Some(match event.action {
        Action::Created => {
            let replaces = at.checked_sub(1).map(|before| short(&containers[before].id));
            What::Created { container, image: masks.mask_str(event.image()), replaces }
        }
        Action::Started if is_again => What::Restarted { container, restarts: containers[at].restarts },
        Action::Started => What::Started { container },
        Action::Died { exit_code } => What::Died { container, exit_code },
        Action::Oom => What::Oom { container },
        Action::Removed if was_known => What::Removed { container },
        Action::Health(health) => What::Health { container, status: word(health).to_owned() },
        _ => return None,
    })
}

/// Which containers were told to end: by `docker stop`, `compose down` and the like.
#[derive(Debug, Default)]
pub(super) struct Told(HashSet<String>);

impl Told {
    /// Takes note of a signal that ends a process, and of a new start.
    pub fn hear(&mut self, event: &Event) {
        match &event.action {
            Action::Started => drop(self.0.remove(&event.id)),
            Action::Other(word) if word == "kill" && is_ending(event) => drop(self.0.insert(event.id.clone())),
            _ => {}
        }
    }
}

/// Other signals tell a program something else, as to read its settings again.
fn is_ending(kill: &Event) -> bool {
    let signal = kill.attributes.get("signal").map_or("", String::as_str);
    ["2", "3", "9", "15"].contains(&signal)
}

/// How a service ended whose last container is this; one that still runs is no more followed.
pub(super) fn end_of(last: Option<&ContainerMeta>, told: &Told, now: Time) -> RunEnd {
    let exit_code = last.and_then(|last| last.exit_code);
    let outcome = match exit_code {
        None => Outcome::Interrupted,
        Some(0) => Outcome::Passed,
        Some(_) if last.is_some_and(|last| told.0.contains(&last.id)) => Outcome::Interrupted,
        Some(_) => Outcome::Failed,
    };
    let ended_at = last.and_then(|last| last.ended_at).unwrap_or(now);
    RunEnd { ended_at, outcome, exit_code, signal: None }
}

/// How a session of services ended: the worst of theirs counts.
pub(super) fn end_of_all(outcomes: &BTreeMap<String, Outcome>, now: Time) -> RunEnd {
    let has = |outcome| outcomes.values().any(|found| *found == outcome);
    let outcome = match () {
        () if has(Outcome::Failed) => Outcome::Failed,
        () if has(Outcome::Interrupted) || outcomes.is_empty() => Outcome::Interrupted,
        () => Outcome::Passed,
    };
    RunEnd { ended_at: now, outcome, exit_code: None, signal: None }
}

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

/// Which containers ended because they were told to: by `docker stop`, `docker kill`, `compose down` and the like.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// When those that run were sent a signal that ends a process, in ns of the engine's clock.
    signalled: HashMap<String, i64>,
    ended: HashSet<String>,
}

impl Told {
    /// What ends later after a signal has not ended of it, unless the engine says so: it tells that it has stopped a container, however
    /// long it had to wait, behind its end.
    const ENDS_WITHIN_NS: i64 = 60_000_000_000;

    /// Takes note of a signal, of an end and of a new start.
    pub fn hear(&mut self, event: &Event) {
        let id = &event.id;
        match &event.action {
            Action::Started => {
                self.signalled.remove(id);
                self.ended.remove(id);
            }
            Action::Other(word) if word == "kill" && is_ending(event) => {
                self.signalled.insert(id.clone(), event.time_ns);
            }
            Action::Died { .. } => {
                let signalled_ns = self.signalled.remove(id);
                if signalled_ns.is_some_and(|at_ns| event.time_ns.saturating_sub(at_ns) <= Self::ENDS_WITHIN_NS) {
                    self.ended.insert(id.clone());
                }
            }
            Action::Other(word) if word == "stop" => drop(self.ended.insert(id.clone())),
            Action::Removed => drop(self.signalled.remove(id)),
            _ => {}
        }
    }

    /// Forgets those of which nobody asks any more how they ended.
    pub fn keep(&mut self, is_asked_for: impl Fn(&str) -> bool) {
        self.ended.retain(|id| is_asked_for(id));
    }
}

/// Other signals tell a program something else, as to read its settings again, or, of number 3, to print what its threads do.
fn is_ending(kill: &Event) -> bool {
    let signal = kill.attributes.get("signal").map_or("", String::as_str);
    ["2", "9", "15"].contains(&signal)
}

/// How a service ended whose last container is this; one that still runs is no more followed.
pub(super) fn end_of(last: Option<&ContainerMeta>, told: &Told, now: Time) -> RunEnd {
    let exit_code = last.and_then(|last| last.exit_code);
    let outcome = match exit_code {
        None => Outcome::Interrupted,
        Some(0) => Outcome::Passed,
        Some(_) if last.is_some_and(|last| told.ended.contains(&last.id)) => Outcome::Interrupted,
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    fn event(seconds: i64, action: Action) -> Event {
        Event { id: "c".to_owned(), action, time_ns: seconds * SECOND_NS, attributes: BTreeMap::new() }
    }

    fn kill(seconds: i64, signal: &str) -> Event {
        let attributes = BTreeMap::from([("signal".to_owned(), signal.to_owned())]);
        Event { attributes, ..event(seconds, Action::Other("kill".to_owned())) }
    }

    fn died(seconds: i64) -> Event {
        event(seconds, Action::Died { exit_code: Some(1) })
    }

    fn stopped(seconds: i64) -> Event {
        event(seconds, Action::Other("stop".to_owned()))
    }

    /// Whether a container of which this was heard counts as told to end.
    fn is_told(events: &[Event]) -> bool {
        let mut told = Told::default();
        events.iter().for_each(|event| told.hear(event));
        assert!(told.signalled.is_empty(), "none runs any more");
        told.ended.contains("c")
    }

    #[test]
    fn only_what_ends_of_it_was_told_to_end() {
        for signal in ["2", "9", "15"] {
            assert!(is_told(&[kill(1, signal), died(9)]), "{signal}");
        }
        assert!(is_told(&[kill(1, "15"), kill(301, "9"), died(301), stopped(301)]));
        assert!(
            is_told(&[kill(1, "15"), died(200), stopped(200)]),
            "the engine waited for it, as by docker stop -t 300"
        );
        assert!(!is_told(&[kill(1, "3"), died(2)]), "a dump of threads");
        assert!(!is_told(&[kill(1, "1"), died(2)]));
        assert!(!is_told(&[kill(1, "15"), died(3_600)]), "it took no notice of it");
        assert!(!is_told(&[died(2)]));
        let again = event(10, Action::Started);
        assert!(!is_told(&[kill(1, "15"), died(2), stopped(2), again.clone(), died(20)]));
        assert!(!is_told(&[kill(1, "15"), again, died(20)]), "its end was not heard");
    }

    #[test]
    fn those_that_nobody_asks_for_are_forgotten() {
        let mut told = Told::default();
        [kill(1, "15"), died(2), kill(3, "9"), event(4, Action::Removed)].iter().for_each(|event| told.hear(event));
        told.keep(|id| id == "c");
        assert_eq!((told.signalled.len(), told.ended.len()), (0, 1), "one that was removed is asked for at the end");
        told.keep(|_| false);
        assert_eq!(told.ended.len(), 0);
    }
}

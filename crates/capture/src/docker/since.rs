//! What of a container is from before the time at which its output becomes of interest.

use std::collections::HashSet;

use super::{facts, streamer::Follow};
use crate::engine::Container;

/// See the module. It says nothing of containers that were made later: the engine's clock may be behind ours.
#[derive(Debug)]
pub(super) struct Since {
    ns: Option<i64>,
    /// What ended before is left alone until it is started again.
    skips_ended: bool,
    /// The containers that were there at first.
    there: HashSet<String>,
}

impl Since {
    /// As it is asked for, of an engine whose clock is so far ahead of ours.
    pub fn of(follow: &Follow, ahead_ns: i64) -> Since {
        let ns = follow.since.map(|time| time.as_micros().saturating_mul(1_000).saturating_add(ahead_ns));
        Since { ns, skips_ended: !follow.until_exit, there: HashSet::new() }
    }

    /// Notes that a container was there before anything was followed.
    pub fn note_there(&mut self, id: &str) {
        if self.ns.is_some() {
            self.there.insert(id.to_owned());
        }
    }

    /// From when on a container's output is wanted, if not from its beginning.
    pub fn ns_of(&self, container: &Container) -> Option<i64> {
        self.ns.filter(|_| self.there.contains(&container.id))
    }

    /// Whether a container has nothing to say.
    pub fn skips(&self, container: &Container) -> bool {
        let state = &container.state;
        let ended = state.finished_at_ns.filter(|_| facts::is_over(&state.status));
        self.skips_ended && ended.zip(self.ns).is_some_and(|(ended, since)| ended < since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::SharedMasks;
    use crate::{docker::select::Selection, engine::Host};
    use logboom_record::Time;

    fn since(micros: Option<i64>, until_exit: bool) -> Since {
        let host: Host = "unix:///x.sock".parse().unwrap();
        let follow = Follow {
            host,
            selection: Selection::default(),
            since: micros.map(Time::from_micros),
            until_exit,
            masks: SharedMasks::default(),
        };
        let mut since = Since::of(&follow, 0);
        since.note_there("old");
        since
    }

    fn container(id: &str, status: &str, finished_at_ns: i64) -> Container {
        let mut container = Container { id: id.to_owned(), ..Container::default() };
        container.state.status = status.to_owned();
        container.state.finished_at_ns = Some(finished_at_ns);
        container
    }

    #[test]
    fn it_is_compared_with_the_engines_clock() {
        let host: Host = "unix:///x.sock".parse().unwrap();
        let selection = Selection::default();
        let follow = Follow {
            host,
            selection,
            since: Some(Time::from_micros(7)),
            until_exit: true,
            masks: SharedMasks::default(),
        };
        let mut since = Since::of(&follow, -3_000);
        since.note_there("old");
        assert_eq!(since.ns_of(&container("old", "running", 0)), Some(4_000));
    }

    #[test]
    fn what_is_made_later_is_wanted_whole() {
        let of = |since: Since, id| since.ns_of(&container(id, "running", 0));
        assert_eq!((of(since(Some(7), false), "old"), of(since(Some(7), false), "new")), (Some(7_000), None));
        assert_eq!(of(since(None, false), "old"), None);
    }

    #[test]
    fn what_ended_before_is_left_alone_unless_its_end_is_waited_for() {
        let since_7 = since(Some(7), false);
        assert!(since_7.skips(&container("old", "exited", 6_999)));
        assert!(!since_7.skips(&container("old", "exited", 7_000)) && !since_7.skips(&container("old", "running", 1)));
        assert!(!since(Some(7), true).skips(&container("old", "exited", 1)));
        assert!(!since(None, false).skips(&container("old", "exited", 1)));
    }
}

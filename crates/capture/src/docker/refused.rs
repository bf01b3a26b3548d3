//! Containers for which there is no file left to open.
//!
//! All that are followed already go on: so some files are kept free for what they need from time to time (the next file of a log that
//! rotates, `session.json`, a question to the engine). One that finds no more than these gets a run with a gap, and is read no further.

use logboom_files::{
    Session,
    session::{Counts, ended},
};
use logboom_record::{Outcome, RunEnd, Time};

use super::{
    containers::{Containers, Service, note_end, token},
    streamer::{StreamError, Streamed},
};
use crate::{
    open_files,
    services::feed::{Lost, Reached},
};

/// What one container has open: its text log, its log, the next one when that rotates.
const EACH: u64 = 3;
/// What is kept free, unless the limit is very low.
const FREE: u64 = 64;

/// How a service ended that is not read any more, while its container goes on.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub end: RunEnd,
    pub counts: Counts,
}

/// Whether another container can be followed.
pub(super) fn has_room() -> bool {
    let free = open_files::limit().map_or(0, |limit| FREE.min(limit / 4));
    open_files::has_room_for(free + EACH)
}

impl Containers {
    /// Says that a service is not read, in its log and to whoever watches.
    pub fn refuse(&mut self, at: usize) -> Result<(), StreamError> {
        let limit = open_files::limit().unwrap_or_default();
        let why = format!(
            "it is not followed: logboom may have {limit} files open at once, and these are needed; raise the limit (`ulimit -n`, or \
             LimitNOFILE= of a unit of systemd) and start logboom again, or follow fewer containers"
        );
        let id = self.services[at].id;
        let lost = Lost { time: Time::now(), count: None, why: why.clone(), reached: Reached::default().from() };
        self.writer.gap(id, lost);
        let end = ended(Outcome::Interrupted, Time::now());
        let counts = self.writer.end(id, end.clone()).wait()?.counts;
        self.sources.trouble(token(at), why);
        self.services[at].refused = Some(Refused { end, counts });
        Ok(())
    }
}

/// Notes the ends of those that are not read, behind what else there was to note of them.
pub(super) fn end_refused(session: &Session, services: &[Service], streamed: &mut Streamed) -> Result<(), StreamError> {
    for (service, refused) in services.iter().filter_map(|service| Some((service, service.refused.as_ref()?))) {
        let Refused { end, counts } = refused;
        streamed.outcomes.insert(service.key.name(), end.outcome);
        streamed.counts = [streamed.counts, *counts].into_iter().sum();
        note_end(session, service.run, end, *counts);
        session.end_run(service.run, end, *counts)?;
    }
    Ok(())
}

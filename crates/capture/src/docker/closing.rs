//! Ends services: all at the end, and before that those whose containers are gone where there is no room for others.

use std::{collections::HashSet, sync::Arc};

use logboom_files::{
    FilesError, Session,
    session::{Counts, Found},
    timeline::{self, What},
    with_causes,
};
use logboom_record::{Kind, RunEnd, RunId, Time};

use super::{
    containers::Containers,
    facts,
    service::Service,
    streamer::{StreamError, Streamed},
};
use crate::{
    open_files,
    services::{Ended, ServicesError},
};

/// What one container has open: its text log, its log, the next one when that rotates.
const FILES_EACH: u64 = 3;

impl Containers {
    /// Sees to it that there is room for another service, called so.
    pub fn make_room_for(&mut self, name: &str) -> Result<(), StreamError> {
        loop {
            let room = self.room_for(name);
            if room.is_ok() || !self.end_one_removed()? {
                return room;
            }
        }
    }

    fn room_for(&self, name: &str) -> Result<(), StreamError> {
        self.writer.room_for_one()?;
        match open_files::has_room_for(open_files::kept_free() + FILES_EACH) {
            true => Ok(()),
            false => {
                Err(StreamError::OpenFiles { name: name.to_owned(), limit: open_files::limit().unwrap_or_default() })
            }
        }
    }

    /// Ends the oldest service whose container was removed. What is made by its name later is another. False if there is none.
    fn end_one_removed(&mut self) -> Result<bool, StreamError> {
        let is_gone = |service: &Service| {
            service.ended.is_none()
                && service.reading.is_none()
                && service.next.is_empty()
                && service.containers.last().is_some_and(|last| last.status == facts::REMOVED)
        };
        let Some(at) = self.services.iter().position(is_gone) else { return Ok(false) };
        let service = &mut self.services[at];
        let end = facts::end_of(service.containers.last(), &self.told, Time::now());
        let Ended { counts, masked } = self.writer.end(service.id, end.clone()).wait()?;
        service.ended = Some((end.clone(), counts));
        note_end(&self.session, service.run, &end, counts);
        self.session.end_run_with(service.run, &end, counts, Found { tests: &[], masked })?;
        Ok(true)
    }

    /// How others ended than the last of each service is not asked.
    pub fn forget_told(&mut self) {
        let open = self.services.iter().filter(|service| service.ended.is_none());
        let last: HashSet<&str> = open.filter_map(|service| Some(&*service.containers.last()?.id)).collect();
        self.told.keep(|id| last.contains(id));
    }

    /// Ends the services, and the session where nobody else adds to it. What the session's files have no room for is in the boom file.
    pub async fn end(mut self) -> Result<Streamed, StreamError> {
        let saved: Result<Vec<()>, _> = (0..self.services.len()).map(|at| self.save(at)).collect();
        let Containers { session, writer, sources, services, boom, told, .. } = self;
        sources.stop().await;
        let (now, mut streamed) = (Time::now(), Streamed::default());
        let mut ends = Vec::new();
        for service in &services {
            let outcome = match &service.ended {
                Some((end, counts)) => {
                    streamed.counts = [streamed.counts, *counts].into_iter().sum();
                    end.outcome
                }
                None => {
                    let end = facts::end_of(service.containers.last(), &told, now);
                    ends.push((service.run, end.clone(), writer.end(service.id, end.clone())));
                    end.outcome
                }
            };
            streamed.outcomes.insert(service.key.name(), outcome);
        }
        let mut noted = saved.and_then(|_| end_session(&session, &boom, &facts::end_of_all(&streamed.outcomes, now)));
        for (run, end, ending) in ends {
            let Ended { counts, masked } = ending.wait()?;
            streamed.counts = [streamed.counts, counts].into_iter().sum();
            note_end(&session, run, &end, counts);
            noted = noted.and(session.end_run_with(run, &end, counts, Found { tests: &[], masked }));
        }
        let written = Arc::into_inner(writer).ok_or(StreamError::Services(ServicesError::WriterGone))?.finish();
        streamed.trouble = written.trouble;
        streamed.trouble = streamed.trouble.or(noted.err().map(|error| with_causes(&error)));
        Ok(streamed)
    }
}

/// Ends a session to which nobody else adds.
fn end_session(session: &Session, boom: &str, end: &RunEnd) -> Result<(), FilesError> {
    let meta = session.meta()?;
    let is_alone = meta.runs.first().is_none_or(|first| first.run.kind == Kind::Service)
        && session.written_booms().iter().all(|written| *written == boom);
    match meta.run.end.is_none() && !meta.open && is_alone {
        true => session.end(end),
        false => Ok(()),
    }
}

fn note_end(session: &Session, run: RunId, end: &RunEnd, counts: Counts) {
    let (outcome, exit_code, signal) = (end.outcome, end.exit_code, end.signal);
    let Counts { lines, errors, lost, .. } = counts;
    let what = What::End { outcome, exit_code, signal, lines, errors, lost };
    let _ = timeline::append(session.dir(), &[timeline::Event { time: end.ended_at, run, what }]);
}

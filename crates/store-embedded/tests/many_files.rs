//! The law where every session has several boom files with many small blocks, some sealed and some written to.
#![allow(clippy::unwrap_used, reason = "the store under test is part of the test")]

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use logboom_boom::Options;
use logboom_record::{Entry, Outcome, Run, RunEnd, RunId};
use logboom_store::{Cursor, Page, Query, RunQuery, RunState, Store, StoreError, Wake};
use logboom_store_embedded::Embedded;

/// How many batches one boom file has.
const BATCHES: usize = 9;

/// A store that is closed and opened again after some batches, and asked through another one that never writes.
struct Reopening {
    dir: PathBuf,
    writer: Mutex<(Option<Embedded>, usize)>,
    reader: Embedded,
}

impl Reopening {
    fn new(dir: &Path) -> Reopening {
        let reader = Embedded::open(dir).unwrap();
        Reopening { dir: dir.to_owned(), writer: Mutex::new((None, 0)), reader }
    }

    fn write<T>(&self, write: impl FnOnce(&Embedded) -> T) -> T {
        let mut writer: MutexGuard<'_, (Option<Embedded>, usize)> = self.writer.lock().unwrap();
        writer.1 += 1;
        if writer.1.is_multiple_of(BATCHES) {
            writer.0 = None;
        }
        let options = Options { block_text_bytes_max: 150, ..Options::default() };
        write(writer.0.get_or_insert_with(|| Embedded::open_with(&self.dir, options).unwrap()))
    }
}

impl Store for Reopening {
    fn start_run(&self, run: &Run) -> Result<(), StoreError> {
        self.write(|store| store.start_run(run))
    }

    fn append(&self, batch: &[Entry]) -> Result<(), StoreError> {
        self.write(|store| store.append(batch))
    }

    fn end_run(&self, id: RunId, end: &RunEnd) -> Result<(), StoreError> {
        self.write(|store| store.end_run(id, end))
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<RunState>, StoreError> {
        // A run whose store was closed counts as lost until somebody goes on with it.
        let mut states = self.reader.runs(query)?;
        states.iter_mut().filter(|state| state.run.outcome() == Outcome::Lost).for_each(|state| state.run.end = None);
        Ok(states)
    }

    fn page(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, StoreError> {
        self.reader.page(query, cursor)
    }

    fn wait(&self, query: &Query, cursor: &Cursor, deadline: Instant) -> Result<Wake, StoreError> {
        self.reader.wait(query, cursor, deadline)
    }
}

logboom_store::conformance!(|dir: &Path| Reopening::new(dir));

#[test]
fn other_histories_agree_with_the_model_too() {
    for seed in 10..13 {
        let dir = tempfile::tempdir().unwrap();
        logboom_store::conformance::histories::agree(&Reopening::new(dir.path()), seed);
        let dir = tempfile::tempdir().unwrap();
        logboom_store::conformance::histories::follow(&Reopening::new(dir.path()), seed);
    }
}

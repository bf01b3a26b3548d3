//! Shows lines of a session as they are kept, tagged with their run: those of the services that are followed, none that others add.
//!
//! A terminal that is slow, or stopped, holds up nobody: what it has not shown is in the files. When following is over what there is by
//! then is shown, and no more is waited for: the session may go on without us.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use logboom_capture::docker::{runs::Runs, streamer::Stopper};
use logboom_files::{DataDir, Session, config::OnTerminal, with_causes};
use logboom_record::Time;
use logboom_store::{Cursor, Order, Query, Scope, Store, Wake};
use logboom_store_embedded::Embedded;

use crate::{
    args::Format,
    commands::tail::copy,
    output::{Look, Out, OutputError, when_closed},
    reading::{Reading, open_store},
    say::tell,
};

/// How long it may take to see that following is over. It has no effect on when lines are seen.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const NO_THREAD: &str = "cannot start the thread that shows lines";

/// Lines to be shown.
pub struct Shown {
    query: Query,
    store: Embedded,
    end: Cursor,
}

/// Lines that are being shown.
pub struct Showing {
    is_over: Arc<AtomicBool>,
    is_gone: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

/// Who reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Still there, as far as is known.
    There,
    /// Gone, as `head` goes when it has enough.
    Gone,
}

impl Shown {
    /// All that comes from now on.
    ///
    /// # Errors
    /// Of the store.
    pub fn from_here(data: &DataDir, session: &Session) -> Result<Shown> {
        let status = session.status(Time::now());
        let store = open_store(data, Some(&status))?;
        let query = Query::new(Scope::Session(status.meta.run.id));
        let end = store.page(&Query { order: Order::Newest, lines_max: 1, ..query.clone() }, None)?.end;
        Ok(Shown { query, store, end })
    }

    /// Shows what comes of these runs, by a thread of its own. Has following stopped when nobody reads any more.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(self, runs: Runs, following: Stopper, color: OnTerminal) -> Result<Showing> {
        let showing = thread::Builder::new().name("shown".to_owned());
        let (is_over, is_gone) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (over, gone, also_gone) = (Arc::clone(&is_over), Arc::clone(&is_gone), Arc::clone(&is_gone));
        let run = move || match self.show(&runs, &over, color) {
            Err(error) if !matches!(error.downcast_ref(), Some(OutputError::Closed)) => {
                tell(&format!("the lines are not shown any more: {}", with_causes(error.as_ref())));
            }
            Err(_) => gone.store(true, Ordering::SeqCst),
            Ok(()) => {}
        };
        let thread = showing.spawn(run).context(NO_THREAD)?;
        let watch = move || {
            also_gone.store(true, Ordering::SeqCst);
            following.stop();
        };
        when_closed(watch).context(NO_THREAD)?;
        Ok(Showing { is_over, is_gone, thread })
    }

    fn show(&self, runs: &Runs, is_over: &AtomicBool, color: OnTerminal) -> Result<()> {
        let format = Format { json: false, raw: false };
        let mut reading = Reading::new(&self.store, self.query.scope, format, Look::of_stdout(color), Out::stdout())?;
        reading.tag();
        let mut cursor = self.end.clone();
        loop {
            // Before it is looked for lines, so that the last ones are seen.
            let is_last = is_over.load(Ordering::SeqCst);
            cursor = copy(&self.store, &self.query, Some(cursor), &mut reading, &|run| runs.has(run))?;
            if is_last {
                return reading.finish().map(drop);
            }
            if self.store.wait(&self.query, &cursor, Instant::now() + LOOK_EVERY)? == Wake::Ended {
                thread::park_timeout(LOOK_EVERY);
            }
        }
    }
}

impl Showing {
    /// Following is over: waits until what there is by now is shown.
    pub fn finish(self) -> Reader {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        // What failed there was said there, and what was captured stays.
        let _ = self.thread.join();
        if self.is_gone.load(Ordering::SeqCst) { Reader::Gone } else { Reader::There }
    }
}

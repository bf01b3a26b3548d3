//! The sessions of the data directory: which are meant, and which are still open from the last question.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use logboom_files::{DataDir, Session, list::Sessions};
use logboom_record::{RunId, SessionId};
use logboom_store::{Depth, Order, Query, RunQuery, RunState, Scope, StoreError};

use crate::{
    session::Open,
    source::{Source, failed},
    view::View,
};

/// How many sessions stay open between questions.
const OPEN_MAX: usize = 16;
/// In how many sessions at once files may be open: of others they are opened again for each block.
const FILES_OPEN_MAX: usize = 128;

/// The sessions of a data directory.
pub(crate) struct Shelf {
    data: DataDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Open sessions that nobody uses right now.
    open: Vec<Open>,
    /// The session of a run, once that was found out.
    session_of: HashMap<RunId, SessionId>,
    /// Why sessions were left out of an answer from all.
    left_out: BTreeMap<SessionId, StoreError>,
}

impl Shelf {
    pub fn of(dir: &Path) -> Shelf {
        Shelf { data: DataDir::at(dir), state: Mutex::default() }
    }

    /// The data directory.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question from the sessions of its scope, as they are now.
    pub fn ask<T>(&self, query: &Query, answer: impl FnOnce(&View) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let view = View::new(self.take(query.scope)?, query);
        let answer = answer(&view);
        self.put_back(view.sessions);
        answer
    }

    /// The sessions of a scope, looked at again.
    pub fn take(&self, scope: Scope) -> Result<Vec<Open>, StoreError> {
        match scope {
            Scope::All => self.open_all(),
            Scope::Session(run) | Scope::Run(run) => {
                let open = self.open(&self.session_of(run)?)?;
                let is_there = match scope {
                    Scope::Session(root) => open.root() == root,
                    _ => open.runs.iter().any(|known| known.id == run),
                };
                if is_there { Ok(vec![open]) } else { Err(StoreError::UnknownRun { run }) }
            }
        }
    }

    /// Keeps sessions open for the next question.
    pub fn put_back(&self, sessions: Vec<Open>) {
        let mut state = self.state();
        state.open.extend(sessions);
        let excess = state.open.len().saturating_sub(OPEN_MAX);
        state.open.drain(..excess);
    }

    /// Opens a session, or takes it as it was left.
    pub fn open(&self, id: &SessionId) -> Result<Open, StoreError> {
        let known = {
            let mut state = self.state();
            let at = state.open.iter().position(|open| open.status.id == *id);
            at.map(|at| state.open.swap_remove(at))
        };
        match known {
            Some(mut open) => open.refresh().map(|()| open),
            None => {
                let dir = self.data.session(id);
                Open::of(Session::open(&dir).map_err(|error| failed(&dir, error))?)
            }
        }
    }

    fn open_all(&self) -> Result<Vec<Open>, StoreError> {
        let ids = self.ids()?;
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(ids.len())));
        let threads = thread::available_parallelism().map_or(1, usize::from).min(ids.len());
        let work = || {
            while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut opened = self.open_if_there(id);
                if ids.len() > FILES_OPEN_MAX {
                    let open = opened.iter_mut().flatten();
                    open.flat_map(|open| &mut open.sources).for_each(Source::park);
                }
                done.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut open: Vec<Open> = done.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        open.sort_by(|a, b| a.status.id.cmp(&b.status.id));
        Ok(open)
    }

    /// Why sessions were left out of answers from all since this was last asked.
    pub fn take_left_out(&self) -> BTreeMap<SessionId, StoreError> {
        std::mem::take(&mut self.state().left_out)
    }

    /// Opens a session that may have been deleted meanwhile. One that cannot be read does not keep the others from it.
    fn open_if_there(&self, id: &SessionId) -> Result<Option<Open>, StoreError> {
        match self.open(id) {
            Ok(open) => Ok(Some(open)),
            Err(error) if is_ours(&error) => Err(error),
            Err(error) => {
                if self.data.session(id).exists() {
                    self.state().left_out.insert(id.clone(), error);
                }
                Ok(None)
            }
        }
    }

    /// The ids of all sessions, newest first.
    pub fn ids(&self) -> Result<Vec<SessionId>, StoreError> {
        let sessions = Sessions::of(&self.data).map_err(|error| failed(&self.data.path, error))?;
        Ok(sessions.ids().to_vec())
    }

    /// The session that has a run. A root is found by its directory's name, another run by looking into every session,
    /// the newest first.
    pub fn session_of(&self, run: RunId) -> Result<SessionId, StoreError> {
        if let Some(known) = self.state().session_of.get(&run)
            && self.data.session(known).exists()
        {
            return Ok(known.clone());
        }
        let ids = self.ids()?;
        let (likely, others): (Vec<SessionId>, Vec<SessionId>) =
            ids.into_iter().partition(|id| id.short() == run.short());
        for id in likely.iter().chain(&others) {
            let meta =
                Session::open(&self.data.session(id)).map(|session| session.status(logboom_record::Time::now()).meta);
            let Ok(meta) = meta else { continue };
            if meta.run.id == run || meta.runs.iter().any(|known| known.run.id == run) {
                self.know(run, id);
                return Ok(id.clone());
            }
        }
        Err(StoreError::UnknownRun { run })
    }

    /// Notes which session has a run.
    pub fn know(&self, run: RunId, session: &SessionId) {
        self.state().session_of.insert(run, session.clone());
    }

    /// How the runs of the query stand.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<RunState>, StoreError> {
        let mut sessions = self.take(query.scope)?;
        sessions.iter_mut().for_each(Open::look_at_status);
        let mut states: Vec<RunState> = sessions.iter().flat_map(|session| states(session, query)).collect();
        self.put_back(sessions);
        states.sort_by_key(|state| (state.run.started_at, state.run.id));
        if query.order == Order::Newest {
            states.reverse();
        }
        states.truncate(query.runs_max);
        Ok(states)
    }
}

/// Whether it is no fault of what was read: we, or the system, have too many files open.
fn is_ours(error: &StoreError) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    let codes = std::iter::successors(Some(first), |error| error.source());
    let mut codes = codes.filter_map(|error| error.downcast_ref::<std::io::Error>()?.raw_os_error());
    codes.any(|code| matches!(code, 23 | 24)) // ENFILE, EMFILE
}

fn states<'a>(session: &'a Open, query: &'a RunQuery) -> impl Iterator<Item = RunState> + 'a {
    let runs = session.runs_in(query.scope);
    let wanted = runs.filter(|run| query.depth == Depth::Every || run.parent.is_none());
    wanted.map(|run| {
        let mut state = RunState { run: run.clone(), records: 0, lines: 0, lost: 0, lost_more: false, levels: [0; 5] };
        let mut next_seq = 1;
        for held in session.sources.iter().flat_map(|source| &source.runs).filter(|held| held.id == run.id) {
            state.records += held.records;
            state.lines += held.lines;
            state.levels.iter_mut().zip(held.levels).for_each(|(sum, count)| *sum += count);
            next_seq = next_seq.max(held.next_seq);
        }
        state.lost = next_seq.saturating_sub(1).saturating_sub(state.records);
        let leads = session.sources.iter().flat_map(|source| &source.blocks).flat_map(|facts| &facts.lead);
        state.lost_more = leads.filter(|gap| gap.run == run.id).any(|gap| gap.to.is_none());
        state
    })
}

//! What can be asked of a store.
//!
//! The unit of every answer is the line: a line is judged by its first part for run, stream, level, time and seq, by
//! its whole text for text, and then comes with all its parts. Gaps are lines of their own that pass the filters of
//! run, time and seq, and those of stream and level unseen; a query for text has none.

use logboom_record::{Level, Run, RunId, Stream, Time};

use crate::TextQuery;

/// Whose lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every run of the store.
    All,
    /// A root run and everything below it.
    Session(RunId),
    /// One run alone.
    Run(RunId),
}

/// One run of a scope, or several of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPick {
    /// The run with this id.
    Id(RunId),
    /// Every run with this name.
    Name(String),
}

impl RunPick {
    /// Whether the run is meant.
    pub fn fits(&self, run: &Run) -> bool {
        match self {
            RunPick::Id(id) => run.id == *id,
            RunPick::Name(name) => run.name == *name,
        }
    }
}

/// A set of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams(u8);

impl Streams {
    /// Every stream.
    pub const ALL: Streams = Streams(0b111);

    /// Whether the stream is in the set.
    pub const fn has(self, stream: Stream) -> bool {
        self.0 & (1 << stream as u8) != 0
    }
}

impl FromIterator<Stream> for Streams {
    fn from_iter<I: IntoIterator<Item = Stream>>(streams: I) -> Streams {
        Streams(streams.into_iter().fold(0, |set, stream| set | 1 << stream as u8))
    }
}

/// Which end of time comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first; after the end, in the order of commit.
    Oldest,
    /// Newest first.
    Newest,
}

/// What is asked. Starts as everything of a scope ([`Query::new`]); each part narrows it.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose lines.
    pub scope: Scope,
    /// Only these runs of the scope; empty for all.
    pub runs: Vec<RunPick>,
    /// Only these streams.
    pub streams: Streams,
    /// Only lines at least as serious.
    pub level_min: Level,
    /// Only lines of this time or later.
    pub since: Option<Time>,
    /// Only lines before this time.
    pub until: Option<Time>,
    /// Only lines whose first part has at least this seq.
    pub seq_min: u64,
    /// Only lines whose first part has at most this seq.
    pub seq_max: u64,
    /// Only lines with this text.
    pub text: Option<TextQuery>,
    /// Which end comes first.
    pub order: Order,
    /// At most so many lines in a page; at least one is given where there is one.
    pub lines_max: usize,
}

/// The most lines that [`Query::new`] asks for in one page.
pub const PAGE_LINES_MAX: usize = 1_000;

impl Query {
    /// Everything in the scope, oldest first, in pages of [`PAGE_LINES_MAX`] lines.
    pub fn new(scope: Scope) -> Query {
        Query {
            scope,
            runs: Vec::new(),
            streams: Streams::ALL,
            level_min: Level::Trace,
            since: None,
            until: None,
            seq_min: 0,
            seq_max: u64::MAX,
            text: None,
            order: Order::Oldest,
            lines_max: PAGE_LINES_MAX,
        }
    }

    /// Whether the run is one that is asked about, given that it is in the scope.
    pub fn picks(&self, run: &Run) -> bool {
        self.runs.is_empty() || self.runs.iter().any(|pick| pick.fits(run))
    }

    /// Whether a line that starts at this time and seq may pass.
    pub fn covers(&self, time: Time, seq: u64) -> bool {
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && (self.seq_min..=self.seq_max).contains(&seq)
    }
}

/// Which runs [`crate::Store::runs`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Roots only: the sessions.
    Roots,
    /// Every run.
    Every,
}

/// What is asked about runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunQuery {
    /// Which runs.
    pub scope: Scope,
    /// How deep.
    pub depth: Depth,
    /// By start, which end first.
    pub order: Order,
    /// At most so many.
    pub runs_max: usize,
}

impl RunQuery {
    /// Every run in the scope, the one that started first in front.
    pub fn new(scope: Scope) -> RunQuery {
        RunQuery { scope, depth: Depth::Every, order: Order::Oldest, runs_max: usize::MAX }
    }
}

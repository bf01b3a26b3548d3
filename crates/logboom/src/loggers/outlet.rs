//! The queue of the typed loggers, and the thread that feeds the sink.
//!
//! A record gets its seq where it is queued, under the lock, so that a run's records are in order however many threads log
//! for it. The thread takes all that waits and hands it on in as few batches as there are runs starting and ending in
//! between. When the sink refuses a batch, each run's part is offered alone; what it refuses of that is lost, and a gap goes
//! ahead of what the sink takes next of that run. A run that it refused to start is offered again before its next records.
//! A sink that panics ends the thread; what waits then and what comes later is lost, and counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use logboom_record::{
    Entry, Flags, Gap, Kind, Level, Outcome, RECORD_BYTES_MAX, Record, Run, RunEnd, RunId, Sink, SinkError, Stream,
    Time,
};

use crate::{
    ack::{Answer, ack},
    fork,
};

/// How many bytes of records may wait for the sink; then calls wait.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// What a step takes beside its text, about.
const STEP_OVERHEAD_BYTES: usize = 160;

enum Step {
    Start(Run),
    Entry(Entry),
    End(RunId, RunEnd),
    Flush(Answer<Result<(), SinkError>>),
    Close,
}

impl Step {
    /// What it takes of the memory that may wait, in bytes.
    fn weight(&self) -> usize {
        let text = match self {
            Step::Start(run) => run.name.len() + run.external_id.as_ref().map_or(0, String::len),
            Step::Entry(Entry::Record(record)) => record.message.len() + record.fields.as_ref().map_or(0, String::len),
            // Who flushes waits, and so does not queue more.
            Step::Flush(_) | Step::Close => return 0,
            Step::Entry(Entry::Gap(_)) | Step::End(..) => 0,
        };
        STEP_OVERHEAD_BYTES + text
    }
}

#[derive(Default)]
struct Waiting {
    steps: Vec<Step>,
    bytes: usize,
    next_seq: BTreeMap<RunId, u64>,
    /// Nobody hands on any more.
    closed: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    data: Condvar,
    room: Condvar,
    lost: AtomicU64,
}

/// The near end of the queue.
pub(super) struct Outlet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// How many forks lie between the program's start and the process that made it.
    forks: u64,
}

impl Outlet {
    /// Starts a run of kind system in the sink, and the thread.
    pub(super) fn start(name: &str, sink: Box<dyn Sink>) -> Result<(RunId, Outlet), SinkError> {
        fork::watch();
        let root = new_run(Kind::System, None, name);
        sink.start_run(&root)?;
        let waiting = Waiting { next_seq: BTreeMap::from([(root.id, 1)]), ..Waiting::default() };
        let (data, room) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), data, room, lost: AtomicU64::new(0) });
        let feeder = Feeder {
            shared: Arc::clone(&shared),
            sink,
            in_hand: 0,
            unstarted: BTreeMap::new(),
            lost: BTreeMap::new(),
            refused: None,
        };
        let thread = std::thread::Builder::new().name(format!("logger {name}"));
        let thread = thread.spawn(move || feeder.run()).map_err(|error| SinkError(Box::new(error)))?;
        Ok((root.id, Outlet { shared, thread: Some(thread), forks: fork::forks() }))
    }

    /// Whether this process is a fork of the one that made it: the thread is not here, and locks may be held for ever.
    pub(super) fn is_forked(&self) -> bool {
        self.forks != fork::forks()
    }

    /// Starts a run.
    pub(super) fn run(&self, kind: Kind, parent: Option<RunId>, external_id: &str) -> RunId {
        let run = Run { external_id: Some(external_id.to_owned()), ..new_run(kind, parent, external_id) };
        let id = run.id;
        if self.is_forked() {
            return id;
        }
        let mut waiting = self.shared.lock_with_room();
        waiting.next_seq.insert(id, 1);
        self.push(waiting, [Step::Start(run)]);
        id
    }

    /// Adds a record to a run that has not ended; one that is too long comes in parts.
    pub(super) fn record(&self, run: RunId, level: Level, stream: Stream, (message, fields): (String, Option<String>)) {
        let (time, parts) = (Time::now(), parts(&message));
        if self.is_forked() {
            return self.shared.count_lost(parts.len());
        }
        let mut waiting = self.shared.lock_with_room();
        let Some(next_seq) = waiting.next_seq.get_mut(&run) else { return };
        let first = *next_seq;
        *next_seq += parts.len() as u64;
        let last = parts.len() - 1;
        let mut fields = fields;
        let records = parts.into_iter().enumerate().map(|(at, part)| {
            let flags = if at < last { Flags::CONTINUED } else { Flags::NONE };
            let (seq, message, fields) = (first + at as u64, part.as_bytes().to_vec(), fields.take());
            Step::Entry(Entry::Record(Record {
                run,
                seq,
                time,
                origin_time_ns: None,
                stream,
                level,
                flags,
                message,
                fields,
            }))
        });
        let records: Vec<Step> = records.collect();
        self.push(waiting, records);
    }

    /// Ends a run; nothing is added to it any more.
    pub(super) fn end_run(&self, run: RunId, outcome: Outcome) {
        if self.is_forked() {
            return;
        }
        let mut waiting = self.shared.lock_with_room();
        if waiting.next_seq.remove(&run).is_some() {
            let end = RunEnd { ended_at: Time::now(), outcome, exit_code: None, signal: None };
            self.push(waiting, [Step::End(run, end)]);
        }
    }

    /// Waits until the sink has seen everything so far.
    pub(super) fn flush(&self) -> Result<(), SinkError> {
        if self.is_forked() {
            return Err(SinkError("this process is a fork of the one that made the logger; make a new one".into()));
        }
        let (answer, ack) = ack();
        self.push(self.shared.lock(), [Step::Flush(answer)]);
        ack.wait().unwrap_or_else(|| Err(SinkError("the sink panicked; make a new logger".into())))
    }

    /// How many records the sink did not take.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, steps: impl IntoIterator<Item = Step>) {
        if waiting.closed {
            drop(waiting);
            return self.shared.count_lost(steps.into_iter().filter(is_entry).count());
        }
        for step in steps {
            waiting.bytes += step.weight();
            waiting.steps.push(step);
        }
        self.shared.data.notify_one();
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.is_forked() {
            // What the handle stands for is not in this process, not even to be detached.
            return mem::forget(self.thread.take());
        }
        self.push(self.shared.lock(), [Step::Close]);
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while too much waits for the sink.
    fn lock_with_room(&self) -> MutexGuard<'_, Waiting> {
        let full = |waiting: &mut Waiting| waiting.bytes > WAITING_BYTES_MAX && !waiting.closed;
        self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner)
    }

    fn count_lost(&self, records: usize) {
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }
}

/// The far end.
struct Feeder {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
    /// How many of the fetched records are neither taken by the sink nor lost.
    in_hand: usize,
    /// Runs that the sink refused to start and that have not ended.
    unstarted: BTreeMap<RunId, Run>,
    /// What each run has lost that its gap does not tell yet.
    lost: BTreeMap<RunId, Gap>,
    refused: Option<SinkError>,
}

impl Feeder {
    fn run(mut self) {
        loop {
            let steps = self.fetch();
            let mut batch = Vec::new();
            for step in steps {
                match step {
                    Step::Entry(entry) => batch.push(entry),
                    other => {
                        self.append(mem::take(&mut batch));
                        if !self.step(other) {
                            return;
                        }
                    }
                }
            }
            self.append(batch);
        }
    }

    fn fetch(&mut self) -> Vec<Step> {
        let nothing = |waiting: &mut Waiting| waiting.steps.is_empty();
        let waiting = self.shared.lock();
        let mut waiting = self.shared.data.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
        waiting.bytes = 0;
        self.shared.room.notify_all();
        let steps = mem::take(&mut waiting.steps);
        drop(waiting);
        self.in_hand = steps.iter().filter(|step| is_entry(step)).count();
        steps
    }

    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Start(run) => {
                let id = run.id;
                self.unstarted.insert(id, run);
                self.has_started(id);
            }
            Step::End(run, end) => self.end(run, &end),
            Step::Flush(answer) => {
                self.append_gaps(None);
                answer.give(self.refused.take().map_or(Ok(()), Err));
            }
            Step::Entry(entry) => self.append(vec![entry]),
            Step::Close => return false,
        }
        true
    }

    fn append(&mut self, batch: Vec<Entry>) {
        if batch.is_empty() {
            return;
        }
        self.append_gaps(None);
        let runs: BTreeSet<RunId> = batch.iter().map(Entry::run).collect();
        // A run with a gap that the sink does not take has a hole for now.
        let ready: BTreeSet<RunId> =
            runs.into_iter().filter(|run| self.has_started(*run) && !self.lost.contains_key(run)).collect();
        let (batch, behind): (Vec<_>, Vec<_>) = batch.into_iter().partition(|entry| ready.contains(&entry.run()));
        self.lose(&behind);
        self.offer(batch);
    }

    /// Offers the sink a batch, and when it refuses that, each run's part alone, so that only the runs concerned lose.
    fn offer(&mut self, batch: Vec<Entry>) {
        if batch.is_empty() {
            return;
        }
        if self.sink.append(&batch).is_ok() {
            self.in_hand -= batch.len();
            return;
        }
        let mut parts: BTreeMap<RunId, Vec<Entry>> = BTreeMap::new();
        batch.into_iter().for_each(|entry| parts.entry(entry.run()).or_default().push(entry));
        for part in parts.into_values() {
            if self.note(|sink| sink.append(&part)) {
                self.in_hand -= part.len();
            } else {
                self.lose(&part);
            }
        }
    }

    /// Whether the sink knows the run; one that it refused to start is offered again, after its parent.
    fn has_started(&mut self, id: RunId) -> bool {
        let Some(run) = self.unstarted.get(&id).cloned() else { return true };
        if run.parent.is_some_and(|parent| !self.has_started(parent)) || !self.note(|sink| sink.start_run(&run)) {
            return false;
        }
        self.unstarted.remove(&id);
        true
    }

    fn end(&mut self, run: RunId, end: &RunEnd) {
        if self.has_started(run) {
            self.append_gaps(Some(run));
            self.note(|sink| sink.end_run(run, end));
        }
        // Nothing comes after the end that a gap or a start could go ahead of; what is lost stays counted.
        self.unstarted.remove(&run);
        self.lost.remove(&run);
    }

    /// Tells the sink what is missing, of one run or of all.
    fn append_gaps(&mut self, run: Option<RunId>) {
        let gaps: Vec<Gap> = self.lost.values().filter(|gap| run.is_none_or(|run| gap.run == run)).cloned().collect();
        for gap in gaps {
            let run = gap.run;
            if self.has_started(run) && self.note(|sink| sink.append(&[Entry::Gap(gap)])) {
                self.lost.remove(&run);
            }
        }
    }

    fn lose(&mut self, entries: &[Entry]) {
        let why = self.refused.as_ref().map_or_else(|| "the sink refused it".to_owned(), ToString::to_string);
        for entry in entries {
            let (run, from, time) = (entry.run(), entry.seq(), entry.time());
            let gap = self.lost.entry(run).or_insert_with(|| Gap { run, from, to: None, time, why: why.clone() });
            gap.to = Some(from);
        }
        self.in_hand -= entries.len();
        self.shared.count_lost(entries.len());
    }

    fn note(&mut self, give: impl FnOnce(&dyn Sink) -> Result<(), SinkError>) -> bool {
        let given = give(&*self.sink);
        let taken = given.is_ok();
        self.refused = given.err().or(self.refused.take());
        taken
    }
}

/// The end, and that by a panic of the sink: nobody may wait for this thread any more.
impl Drop for Feeder {
    fn drop(&mut self) {
        let mut waiting = self.shared.lock();
        waiting.closed = true;
        let steps = mem::take(&mut waiting.steps);
        drop(waiting);
        self.shared.room.notify_all();
        self.shared.count_lost(self.in_hand + steps.iter().filter(|step| is_entry(step)).count());
    }
}

fn is_entry(step: &Step) -> bool {
    matches!(step, Step::Entry(_))
}

fn new_run(kind: Kind, parent: Option<RunId>, name: &str) -> Run {
    let now = Time::now();
    Run { parent, ..logboom_files::session::started(RunId::new(now), kind, name.to_owned(), now) }
}

/// The message in pieces that a record can hold, none of which ends inside a character.
fn parts(mut message: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while message.len() > RECORD_BYTES_MAX {
        let (part, rest) = message.split_at(message.floor_char_boundary(RECORD_BYTES_MAX));
        parts.push(part);
        message = rest;
    }
    parts.push(message);
    parts
}

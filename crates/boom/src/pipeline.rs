//! Full blocks on their way into the boom file: encoded by up to two threads, appended strictly in order.
//!
//! Whichever encoder finishes the block that is next appends it, and every finished one after it; the other goes on
//! encoding. When the disk refuses, the block is kept and tried again every 100 ms, while the rest waits: the writer
//! sees [`Pipeline::wait_until_written`] fail and never blocks on a broken disk. Threads are started with the first full block, so
//! that a short session has none. A third one syncs, so that little is left to wait for at the end.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    boom_file::{BoomFile, Reserve},
    columns::Columns,
    encode::{EncodedBlock, Encoder},
    format::{BlockSummary, FileId, tail::TAIL_SLOTS},
    storage::Storage,
    tail::TailWriter,
};

const ENCODERS_MAX: usize = 2;
const PANICKED: &str = "it cannot be written: this is a bug of logboom";
const RETRY: Duration = Duration::from_millis(100);
/// How often somebody who waits for an encoder makes sure that there is one.
const ENCODER_CHECK: Duration = Duration::from_secs(1);
/// A sync is started when so much was written since the last one.
const SYNC_BYTES: u64 = 4 << 20;

/// A block that was not appended.
pub(crate) enum Unwritten {
    /// Not encoded either.
    Columns(Columns),
    /// Encoded.
    Encoded(EncodedBlock),
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(u64, Columns)>,
    encoded: BTreeMap<u64, EncodedBlock>,
    /// Some encoder is appending, or waits to try again.
    appending: bool,
    /// How many blocks are in the boom file.
    written: u64,
    /// Why the last append failed.
    failing: Option<String>,
    /// It is to be made again without a wait.
    retry_now: bool,
    /// Blocks whose encoding or appending panicked: nothing after them can be written.
    broken: BTreeMap<u64, Unwritten>,
    /// Why the last sync failed.
    sync_failing: Option<String>,
    /// Blocks that were in the file and that the disk dropped.
    gone: Vec<BlockSummary>,
    sync_wanted: bool,
    stop: bool,
    spare: Vec<Columns>,
}

impl State {
    /// Why nothing more is written, if so.
    fn failing(&self) -> Option<String> {
        let panicked = self.broken.keys().next().map(|number| format!("block {number}: {PANICKED}"));
        panicked.or_else(|| self.failing.clone())
    }
}

struct Shared {
    id: FileId,
    compression_level: i32,
    state: Mutex<State>,
    /// There is a job, or it is time to stop.
    work: Condvar,
    /// It is time to stop trying again.
    retry: Condvar,
    /// A block was written, or could not be.
    progress: Condvar,
    /// Somebody wants a sync, or it is time to stop.
    sync_work: Condvar,
    file: Mutex<BoomFile>,
    tail: Mutex<TailWriter>,
    /// Held by whoever syncs.
    syncing: Mutex<()>,
}

/// The two files of a writer, and the threads that work on them.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    encoders: Vec<JoinHandle<()>>,
    syncer: Option<JoinHandle<()>>,
}

/// Encodes a block; an error if that panics, and then the encoder is not to be used again.
pub(crate) fn encode(encoder: &mut Encoder, number: u64, block: &Columns) -> io::Result<EncodedBlock> {
    caught(|| encoder.encode(number, block)).ok_or_else(|| io::Error::other(PANICKED))
}

/// Appends a block; an error also if that panics.
pub(crate) fn append(file: &mut BoomFile, block: &mut EncodedBlock, reserve: Reserve) -> io::Result<()> {
    caught(|| file.append(block, reserve)).unwrap_or_else(|| Err(io::Error::other(PANICKED)))
}

/// `None` for a panic: it is a bug, but it must not take the writer with it, which has the block in its tail.
fn caught<T>(act: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(act)).ok()
}

/// A poisoned lock means that a thread panicked; what it guards is still what it was between two operations.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

impl Pipeline {
    /// A pipeline into these files.
    pub(crate) fn new(compression_level: i32, file: BoomFile, tail: TailWriter) -> Pipeline {
        let shared = Shared {
            id: file.header().id,
            compression_level,
            state: Mutex::default(),
            work: Condvar::new(),
            retry: Condvar::new(),
            progress: Condvar::new(),
            sync_work: Condvar::new(),
            file: Mutex::new(file),
            tail: Mutex::new(tail),
            syncing: Mutex::new(()),
        };
        Pipeline { shared: Arc::new(shared), encoders: Vec::new(), syncer: None }
    }

    /// The boom file.
    pub(crate) fn file(&self) -> MutexGuard<'_, BoomFile> {
        lock(&self.shared.file)
    }

    /// The tail.
    pub(crate) fn tail(&self) -> MutexGuard<'_, TailWriter> {
        lock(&self.shared.tail)
    }

    /// An encoder of blocks of this file.
    pub(crate) fn encoder(&self) -> Encoder {
        Encoder::new(self.shared.id, self.shared.compression_level)
    }

    /// How many blocks are in the boom file.
    pub(crate) fn written(&self) -> u64 {
        lock(&self.shared.state).written
    }

    /// Why nothing can be written or synced at the moment, if so.
    pub(crate) fn failing(&self) -> Option<String> {
        let state = lock(&self.shared.state);
        state.failing().or_else(|| state.sync_failing.clone())
    }

    /// The blocks that a failed sync lost, once.
    pub(crate) fn take_gone(&self) -> Vec<BlockSummary> {
        std::mem::take(&mut lock(&self.shared.state).gone)
    }

    /// Waits until so many blocks are in the boom file.
    ///
    /// # Errors
    /// Why not, if the disk refuses.
    pub(crate) fn wait_until_written(&mut self, blocks: u64) -> Result<(), String> {
        let mut state = lock(&self.shared.state);
        while state.written < blocks {
            if self.encoders.iter().all(JoinHandle::is_finished) {
                drop(state);
                self.start_encoder()?;
                state = lock(&self.shared.state);
            }
            if let Some(why) = state.failing() {
                return Err(why);
            }
            let waited = self.shared.progress.wait_timeout(state, ENCODER_CHECK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Has a block appended again at once that the disk refused; whether it takes it now is not waited for.
    pub(crate) fn retry(&self) {
        let mut state = lock(&self.shared.state);
        if state.failing.take().is_some() {
            state.retry_now = true;
            self.shared.retry.notify_all();
        }
    }

    /// Takes a full block; gives an empty one.
    pub(crate) fn submit(&mut self, number: u64, block: Columns) -> Columns {
        let mut state = lock(&self.shared.state);
        let idle = state.jobs.is_empty();
        state.jobs.push_back((number, block));
        let spare = state.spare.pop().unwrap_or_default();
        drop(state);
        self.shared.work.notify_one();
        if self.encoders.is_empty() || (!idle && self.encoders.len() < ENCODERS_MAX) {
            // A block that nobody encodes is missed, and a thread asked for again, by who waits for it.
            let _ = self.start_encoder();
        }
        spare
    }

    fn start_encoder(&mut self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("boom-encoder".into()).spawn(move || shared.encode_jobs());
        self.encoders.push(thread.map_err(|error| format!("cannot start a thread: {error}"))?);
        self.start_syncer();
        Ok(())
    }

    fn start_syncer(&mut self) {
        if self.syncer.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without it syncs happen when somebody waits for one.
            self.syncer =
                std::thread::Builder::new().name("boom-sync".into()).spawn(move || shared.sync_when_asked()).ok();
        }
    }

    /// Asks for a sync, and does not wait for it.
    pub(crate) fn request_sync(&mut self) {
        self.start_syncer();
        lock(&self.shared.state).sync_wanted = true;
        self.shared.sync_work.notify_one();
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.shared.sync()
    }

    /// Waits until every block is in the boom file or the disk refuses; then ends the threads. Gives what was not
    /// written, in order.
    pub(crate) fn finish(&mut self, blocks: u64) -> BTreeMap<u64, Unwritten> {
        // Why not is asked again when the rest is written, once more, by the caller.
        let _ = self.wait_until_written(blocks);
        self.stop();
        let mut state = lock(&self.shared.state);
        let mut left: BTreeMap<u64, Unwritten> = std::mem::take(&mut state.encoded)
            .into_iter()
            .map(|(number, block)| (number, Unwritten::Encoded(block)))
            .collect();
        left.append(&mut state.broken);
        left.extend(state.jobs.drain(..).map(|(number, block)| (number, Unwritten::Columns(block))));
        left
    }

    fn stop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.work.notify_all();
        self.shared.retry.notify_all();
        self.shared.sync_work.notify_all();
        for thread in self.encoders.drain(..).chain(self.syncer.take()) {
            // A thread that panicked has said so itself; its block is missed as unwritten.
            let _ = thread.join();
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// What an encoder thread does.
    fn encode_jobs(&self) {
        let mut encoder = Encoder::new(self.id, self.compression_level);
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return;
            }
            match state.jobs.pop_front() {
                Some((number, block)) => state = self.encode_one(&mut encoder, state, number, block),
                None => state = wait(&self.work, state),
            }
        }
    }

    fn encode_one<'a>(
        &'a self,
        encoder: &mut Encoder,
        state: MutexGuard<'a, State>,
        number: u64,
        mut block: Columns,
    ) -> MutexGuard<'a, State> {
        drop(state);
        let encoded = encode(encoder, number, &block);
        let mut state = lock(&self.state);
        let Ok(encoded) = encoded else {
            *encoder = Encoder::new(self.id, self.compression_level);
            state.broken.insert(number, Unwritten::Columns(block));
            self.progress.notify_all();
            return state;
        };
        block.clear();
        if state.spare.len() < TAIL_SLOTS as usize {
            state.spare.push(block);
        }
        state.encoded.insert(number, encoded);
        self.append_encoded(state)
    }

    /// Appends the block that is next and those after it, unless somebody is at it.
    fn append_encoded<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if std::mem::replace(&mut state.appending, true) {
            return state;
        }
        while !state.stop {
            let next = state.written;
            let Some(mut block) = state.encoded.remove(&next) else { break };
            drop(state);
            let (result, unsynced_bytes) = {
                let mut file = lock(&self.file);
                (caught(|| file.append(&mut block, Reserve::Keep)), file.unsynced_bytes())
            };
            state = lock(&self.state);
            match result {
                None => {
                    state.broken.insert(next, Unwritten::Encoded(block));
                    self.progress.notify_all();
                }
                Some(Ok(())) => {
                    (state.written, state.failing) = (next + 1, None);
                    state.sync_wanted |= unsynced_bytes >= SYNC_BYTES;
                    self.progress.notify_all();
                    if state.sync_wanted {
                        self.sync_work.notify_one();
                    }
                }
                Some(Err(error)) => {
                    state.encoded.insert(next, block);
                    state.failing = Some(error.to_string());
                    self.progress.notify_all();
                    state = self.wait_to_retry(state);
                }
            }
        }
        state.appending = false;
        state
    }

    fn wait_to_retry<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.retry.wait_timeout_while(state, RETRY, |state| !state.stop && !state.retry_now);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.retry_now = false;
        state
    }

    /// What the syncing thread does.
    fn sync_when_asked(&self) {
        let mut state = lock(&self.state);
        while !state.stop {
            if std::mem::take(&mut state.sync_wanted) {
                drop(state);
                // The reason is kept in the state, for the writer's health.
                let _ = self.sync();
                state = lock(&self.state);
            } else {
                state = wait(&self.sync_work, state);
            }
        }
    }

    /// Syncs the tail, then the boom file: a block that moves from one to the other meanwhile is in either.
    fn sync(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.syncing);
        let result = self.sync_tail().and(self.sync_file());
        lock(&self.state).sync_failing = result.as_ref().err().map(ToString::to_string);
        result
    }

    fn sync_tail(&self) -> io::Result<()> {
        let (storage, suspect) = lock(&self.tail).start_sync();
        sync_unless(suspect, &*storage).or_else(|_| {
            lock(&self.tail).write_again()?;
            storage.sync()
        })?;
        lock(&self.tail).synced();
        Ok(())
    }

    fn sync_file(&self) -> io::Result<()> {
        let mut sync = lock(&self.file).start_sync();
        let result = sync_unless(sync.suspect, &*sync.storage).or_else(|_| {
            let (gone, written) = lock(&self.file).write_again(&mut sync);
            lock(&self.state).gone.extend(gone);
            written?;
            sync.storage.sync()
        });
        let mut file = lock(&self.file);
        match result {
            Ok(()) => file.synced(&sync),
            Err(_) => file.not_synced(sync),
        }
        result
    }
}

/// Syncs, unless what is there is suspect: a sync that goes well after one that failed says nothing of what that one
/// dropped.
fn sync_unless(suspect: bool, storage: &dyn Storage) -> io::Result<()> {
    if suspect { Err(io::Error::other("the last sync failed")) } else { storage.sync() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{format::FileHeader, testing::Disk};

    /// A block whose last message is not where it says.
    fn broken() -> Columns {
        let mut block = Columns::default();
        block.messages = b"a message\nanother one\n".repeat(500);
        block.message_ends = (1..=500).flat_map(|end| [end * 22 - 12, end * 22]).collect();
        block.message_ends.push(99_999);
        block
    }

    fn pipeline(disk: &Disk) -> Pipeline {
        let header = FileHeader { id: FileId::new([3; 16]), created_at: logboom_record::Time::default() };
        let file = BoomFile::create(disk.boom(), header).unwrap();
        Pipeline::new(1, file, TailWriter::new(disk.tail(), &header))
    }

    #[test]
    fn a_block_that_no_encoder_survives_is_given_back_and_nobody_waits_for_it() {
        let mut pipeline = pipeline(&Disk::new());
        pipeline.submit(0, Columns::default());
        pipeline.wait_until_written(1).unwrap();
        pipeline.submit(1, broken());
        pipeline.submit(2, Columns::default());
        assert!(pipeline.wait_until_written(3).unwrap_err().contains("block 1"));
        let left = pipeline.finish(3);
        assert_eq!(left.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert!(matches!(left[&1], Unwritten::Columns(_)));
    }

    #[test]
    fn a_block_whose_append_panics_is_not_tried_again_and_is_given_back() {
        let disk = Disk::new();
        let mut pipeline = pipeline(&disk);
        disk.plan(|_| unreachable!("a bug in the storage"));
        pipeline.submit(0, Columns::default());
        assert!(pipeline.wait_until_written(1).unwrap_err().contains("block 0"));
        assert!(matches!(pipeline.finish(1)[&0], Unwritten::Encoded(_)));
    }
}

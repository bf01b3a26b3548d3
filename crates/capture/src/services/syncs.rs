//! fsync of many text logs in the background, by one thread; and their ends, of which fsync is a part.

use std::{
    collections::HashMap,
    fs::File,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use logboom_files::{
    FilesError,
    textlog::{SyncMark, TextWriter},
};

/// See the module.
pub(super) struct TextSyncs {
    /// Of jobs and results there are never more than for one round of syncs, and an end for each service.
    jobs: Sender<Job>,
    done: Receiver<Done>,
    thread: JoinHandle<()>,
    /// What a text log had come to when the sync began that is under way.
    under_way: HashMap<u32, SyncMark>,
}

enum Job {
    /// The text logs of these services.
    Sync(Vec<(u32, Arc<File>)>),
    /// The end of one, of which a sync may be under way.
    Finish(Box<TextWriter>, Option<(u32, SyncMark)>),
}

enum Done {
    Synced(u32, io::Result<()>),
    Finished(Result<(), FilesError>),
}

/// What has been done.
pub(super) enum Synced {
    /// A sync of the text log of this service, which had come so far.
    Log(u32, SyncMark, io::Result<()>),
    /// The end of a text log.
    End(Result<(), FilesError>),
}

impl TextSyncs {
    /// Starts the thread, which calls `wake` when something has been done.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(wake: impl Fn() + Send + 'static) -> io::Result<TextSyncs> {
        let (jobs, asked) = channel();
        let (told, done) = channel();
        let work = move || {
            let mut failed = HashMap::new();
            while let Ok(job) = asked.recv() {
                if !do_job(job, &mut failed, &told) {
                    return;
                }
                wake();
            }
        };
        let thread = std::thread::Builder::new().name("text sync".to_owned()).spawn(work)?;
        Ok(TextSyncs { jobs, done, thread, under_way: HashMap::new() })
    }

    /// Whether a round of syncs is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Begins a round, when none is under way.
    pub(super) fn request<'a>(&mut self, logs: impl Iterator<Item = (u32, &'a TextWriter)>) {
        let mut round = Vec::new();
        for (number, log) in logs {
            self.under_way.insert(number, log.sync_mark());
            round.push((number, Arc::clone(log.file())));
        }
        if self.jobs.send(Job::Sync(round)).is_err() {
            self.under_way.clear(); // the thread has panicked, and said so
        }
    }

    /// Has the text log of a service finished.
    pub(super) fn finish(&mut self, number: u32, log: TextWriter) {
        let under_way = self.under_way.remove(&number).map(|mark| (number, mark));
        // A thread that panicked has said so.
        let _ = self.jobs.send(Job::Finish(Box::new(log), under_way));
    }

    /// What has been done since, if anything.
    pub(super) fn poll(&mut self) -> Option<Synced> {
        while let Ok(done) = self.done.try_recv() {
            if let Some(synced) = self.named(done) {
                return Some(synced);
            }
        }
        None
    }

    /// Waits for what is done next; `None` if nothing is under way.
    pub(super) fn wait(&mut self) -> Option<Synced> {
        while self.is_busy() {
            let Ok(done) = self.done.recv() else { break };
            if let Some(synced) = self.named(done) {
                return Some(synced);
            }
        }
        None
    }

    /// Waits for everything.
    pub(super) fn close(mut self) -> Vec<Synced> {
        let (jobs, _) = channel();
        drop(std::mem::replace(&mut self.jobs, jobs));
        let mut all = Vec::new();
        while let Ok(done) = self.done.recv() {
            all.extend(self.named(done));
        }
        // A thread that panicked has said so.
        let _ = self.thread.join();
        all
    }

    /// A sync of a log that was handed over to be finished was told there.
    fn named(&mut self, done: Done) -> Option<Synced> {
        match done {
            Done::Synced(number, result) => {
                self.under_way.remove(&number).map(|mark| Synced::Log(number, mark, result))
            }
            Done::Finished(result) => Some(Synced::End(result)),
        }
    }
}

/// Does a job; `failed` are the services whose logs the last round could not sync. False if nobody wants to know.
fn do_job(job: Job, failed: &mut HashMap<u32, i32>, told: &Sender<Done>) -> bool {
    match job {
        Job::Sync(round) => {
            failed.clear();
            round.into_iter().all(|(number, file)| {
                let result = file.sync_data();
                failed.extend(result.as_ref().err().map(|error| (number, error.raw_os_error().unwrap_or(0))));
                told.send(Done::Synced(number, result)).is_ok()
            })
        }
        Job::Finish(mut log, under_way) => {
            let missed = under_way.and_then(|(number, mark)| Some((mark, failed.remove(&number)?)));
            let noted =
                missed.map_or(Ok(()), |(mark, code)| log.note_sync(mark, Err(io::Error::from_raw_os_error(code))));
            told.send(Done::Finished(noted.and(log.finish()))).is_ok()
        }
    }
}

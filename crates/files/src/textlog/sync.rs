//! fsync of a text log in the background, so that its writer never waits for the disk.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use super::{SyncMark, TextWriter};
use crate::FilesError;

/// Syncs a file when asked. Its thread starts with the first request: a run that ends within a second has none.
pub struct Syncer {
    sync: fn(&File) -> io::Result<()>,
    wake: Arc<dyn Fn() + Send + Sync>,
    thread: Option<Thread>,
    under_way: Option<SyncMark>,
    again: bool,
}

struct Thread {
    requests: SyncSender<()>,
    results: Receiver<io::Result<()>>,
    handle: JoinHandle<()>,
}

impl Syncer {
    /// `sync` is what it does, `wake` is called when it has been done.
    pub fn new(sync: fn(&File) -> io::Result<()>, wake: impl Fn() + Send + Sync + 'static) -> Syncer {
        Syncer { sync, wake: Arc::new(wake), thread: None, under_way: None, again: false }
    }

    /// Asks for the sync of what was appended so far. A request that comes while one is under way is made after it.
    ///
    /// # Errors
    /// If there is no thread to do it.
    pub fn request(&mut self, text: &TextWriter) -> io::Result<()> {
        self.again = self.under_way.is_some();
        if self.again {
            return Ok(());
        }
        let thread = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(start(Arc::clone(text.file()), self.sync, Arc::clone(&self.wake))?),
        };
        // Its thread ends before this only by a panic, of which the system's own sync has none.
        self.under_way = thread.requests.send(()).is_ok().then(|| text.sync_mark());
        Ok(())
    }

    /// Tells `text` how the sync ended that was under way, if it has, and begins the one that was asked for meanwhile.
    ///
    /// # Errors
    /// Why it failed.
    pub fn note_ended(&mut self, text: &mut TextWriter) -> Result<(), FilesError> {
        let result = self.thread.as_ref().and_then(|thread| thread.results.try_recv().ok());
        let noted = self.note(text, result);
        if self.again && self.under_way.is_none() {
            self.request(text).map_err(FilesError::at("sync", text.path()))?;
        }
        noted
    }

    /// Waits for the sync that is under way, and tells `text` how it ended.
    ///
    /// # Errors
    /// Why it failed.
    pub fn settle(mut self, text: &mut TextWriter) -> Result<(), FilesError> {
        let waited_for = self.thread.as_ref().filter(|_| self.under_way.is_some());
        let result = waited_for.and_then(|thread| thread.results.recv().ok());
        self.note(text, result)
    }

    fn note(&mut self, text: &mut TextWriter, result: Option<io::Result<()>>) -> Result<(), FilesError> {
        let Some(result) = result else { return Ok(()) };
        self.under_way.take().map_or(Ok(()), |mark| text.note_sync(mark, result))
    }
}

impl std::fmt::Debug for Syncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syncer").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some(Thread { requests, handle, .. }) = self.thread.take() {
            drop(requests);
            // A thread that panicked has said so itself.
            let _ = handle.join();
        }
    }
}

fn start(file: Arc<File>, sync: fn(&File) -> io::Result<()>, wake: Arc<dyn Fn() + Send + Sync>) -> io::Result<Thread> {
    let (requests, asked) = sync_channel(1);
    let (ended, results) = sync_channel(1);
    let work = move || {
        // The results have room, for there is one for each request, and one request at a time.
        while asked.recv().is_ok() && ended.send(sync(&file)).is_ok() {
            wake();
        }
    };
    let handle = std::thread::Builder::new().name("text sync".to_owned()).spawn(work)?;
    Ok(Thread { requests, results, handle })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::textlog::TextBatch;
    use logboom_record::Time;

    #[test]
    fn a_failed_sync_wakes_the_writer_and_is_told_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let mut text = TextWriter::new(File::create_new(&path).unwrap(), &path);
        let (woken, wakings) = sync_channel(9);
        let mut syncer = Syncer::new(|_| Err(io::Error::from_raw_os_error(5)), move || woken.send(()).unwrap());
        let batch = |seq| TextBatch { lines: b"line\n", seqs: seq..seq + 1, time: Time::default() };
        text.append(&batch(1)).unwrap();
        syncer.request(&text).unwrap();
        syncer.request(&text).unwrap();
        wakings.recv().unwrap();
        syncer.note_ended(&mut text).unwrap_err();
        assert_eq!(text.lost(), 1);
        wakings.recv().unwrap(); // the second request was not forgotten
        text.append(&batch(2)).unwrap();
        syncer.settle(&mut text).unwrap_err();
        assert_eq!(text.lost(), 2);
    }
}

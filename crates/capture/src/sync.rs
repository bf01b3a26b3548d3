//! fsync of a text log in the background, so that its writer never waits for the disk.

use std::{
    fs::File,
    io,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use logboom_files::textlog::TextWriter;

/// Syncs a file when asked. Its thread starts with the first request: a run that ends within a second has none.
#[derive(Debug, Default)]
pub(crate) struct Syncer {
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl Syncer {
    /// Asks for the file's sync. A request that comes while one is waiting is the same request.
    ///
    /// # Errors
    /// Why an earlier one failed.
    pub(crate) fn request(&mut self, text: &TextWriter) -> io::Result<()> {
        let (sender, _) = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(start(text.file().try_clone()?)?),
        };
        match sender.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Disconnected(())) => self.thread.take().map_or(Ok(()), join),
        }
    }
}

impl Drop for Syncer {
    /// The writer syncs once more at its end and reports that one's errors.
    fn drop(&mut self) {
        let _ = self.thread.take().map(join);
    }
}

fn start(file: File) -> io::Result<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
    let (sender, requests) = sync_channel(1);
    let work = move || requests.iter().try_for_each(|()| file.sync_data());
    Ok((sender, std::thread::Builder::new().name("text sync".to_owned()).spawn(work)?))
}

fn join((sender, thread): (SyncSender<()>, JoinHandle<io::Result<()>>)) -> io::Result<()> {
    drop(sender);
    thread.join().unwrap_or(Ok(()))
}

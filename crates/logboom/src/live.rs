//! Copies of the records for a consumer in the program itself, as they are written.
//!
//! The writer never waits for the consumer: what does not fit into its channel is dropped for it, and counted.

use logboom_record::Record;

use crate::stats::Counters;

/// Where copies of the records go: a channel, or a closure that says whether it took one.
///
/// ```
/// # use logboom::Live;
/// let (sender, receiver) = std::sync::mpsc::sync_channel(1_000);
/// let by_channel = Live::from(sender);
/// let by_closure = Live::new(|record| { println!("{}", String::from_utf8_lossy(&record.message)); true });
/// ```
pub struct Live(Box<dyn FnMut(Record) -> bool + Send>);

impl Live {
    /// A closure that takes a record, in the writer's thread, and returns at once: false if it had no room. What it
    /// logs itself goes where the collector's records go.
    pub fn new(take: impl FnMut(Record) -> bool + Send + 'static) -> Live {
        Live(Box::new(take))
    }

    pub(crate) fn send(&mut self, stats: &Counters, record: impl FnOnce() -> Record) {
        let take = std::panic::AssertUnwindSafe(|| (self.0)(record()));
        // A consumer that panics must not take the files with it; it has said so on standard error.
        if !std::panic::catch_unwind(take).unwrap_or(false) {
            stats.note_live_dropped();
        }
    }
}

impl From<std::sync::mpsc::SyncSender<Record>> for Live {
    fn from(sender: std::sync::mpsc::SyncSender<Record>) -> Live {
        Live::new(move |record| sender.try_send(record).is_ok())
    }
}

impl From<tokio::sync::mpsc::Sender<Record>> for Live {
    fn from(sender: tokio::sync::mpsc::Sender<Record>) -> Live {
        Live::new(move |record| sender.try_send(record).is_ok())
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

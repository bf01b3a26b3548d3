//! How a collector does: counted by its callers and its writer, read by anybody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;

/// How a collector does. Every count is since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many records the current session file has come to, lost ones included.
    pub records: u64,
    /// How many records are lost, in all session files; each is in a gap there.
    pub lost: u64,
    /// How many of them were dropped because the buffer was full ([`OnFull::Drop`](crate::OnFull::Drop)).
    pub dropped: u64,
    /// How many calls had to wait because the buffer was full.
    pub stalls: u64,
    /// How long they waited in all.
    pub stalled: Duration,
    /// How many records the live consumer was too slow for; the files have them.
    pub live_dropped: u64,
    /// How many messages were longer than [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX), and lost their ends.
    pub cut: u64,
    /// Why not all was kept when something was last written, if so.
    pub failing: Option<String>,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub struct Counters {
    records: AtomicU64,
    lost: AtomicU64,
    dropped: AtomicU64,
    dropped_told: AtomicU64,
    stalls: AtomicU64,
    stalled_ns: AtomicU64,
    live_dropped: AtomicU64,
    cut: AtomicU64,
    generation: AtomicU32,
    /// No lock: a forked child would wait for ever for one that was held at the fork.
    failing: ArcSwapOption<String>,
}

impl Counters {
    /// The counts of now.
    pub fn read(&self) -> Stats {
        Stats {
            records: self.records.load(Relaxed),
            lost: self.lost.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            stalls: self.stalls.load(Relaxed),
            stalled: Duration::from_nanos(self.stalled_ns.load(Relaxed)),
            live_dropped: self.live_dropped.load(Relaxed),
            cut: self.cut.load(Relaxed),
            failing: self.failing.load().as_deref().cloned(),
        }
    }

    /// What the writer has to say.
    pub fn tell(&self, records: u64, lost: u64, failing: Option<&str>) {
        self.records.store(records, Relaxed);
        self.lost.store(lost, Relaxed);
        if self.failing.load().as_deref().map(String::as_str) != failing {
            self.failing.store(failing.map(|why| Arc::new(why.to_owned())));
        }
    }

    /// Which session file the writer has come to.
    pub fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    /// The writer has come to this session file.
    pub fn set_generation(&self, generation: u32) {
        self.generation.store(generation, Relaxed);
    }

    /// The writer is gone.
    pub fn fail(&self, why: &str) {
        self.failing.store(Some(Arc::new(why.to_owned())));
    }

    /// A record was dropped by its caller.
    pub fn note_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// How many records were dropped since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        let dropped = self.dropped.load(Relaxed);
        dropped - self.dropped_told.swap(dropped, Relaxed)
    }

    /// A call begins to wait.
    pub fn note_stall(&self) {
        self.stalls.fetch_add(1, Relaxed);
    }

    /// It waited so long.
    pub fn note_stalled(&self, time: Duration) {
        self.stalled_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The live consumer did not take a record.
    pub fn note_live_dropped(&self) {
        self.live_dropped.fetch_add(1, Relaxed);
    }

    /// A message lost its end.
    pub fn note_cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }
}

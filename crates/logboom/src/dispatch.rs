//! From the `log` facade to every collector that wants a record.
//!
//! The facade has one logger for the whole process, which is the one thing here that is global: the list of live
//! collectors. It is read without a lock, so that a record never waits for a collector that comes or goes, and so that a
//! forked child finds it usable. A thread, or a task while it is polled, can be bound to collectors: its records go to
//! them alone.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use log::{LevelFilter, Log, Metadata, Record};

use crate::{error::AlreadyInstalled, inner::Inner};

static LIVE: LazyLock<ArcSwap<Vec<Arc<Inner>>>> = LazyLock::new(ArcSwap::default);

thread_local! {
    static BOUND: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The logger of this library.
struct Dispatcher;

/// Adds a collector.
pub fn register(inner: &Arc<Inner>) {
    LIVE.rcu(|live| live.iter().chain([inner]).cloned().collect::<Vec<_>>());
}

/// Takes one away.
pub fn unregister(id: u64) {
    LIVE.rcu(|live| live.iter().filter(|inner| inner.id != id).cloned().collect::<Vec<_>>());
}

/// Installs the dispatcher as the logger of the `log` facade, up to `level`; where it is installed already the level is raised.
///
/// # Errors
/// [`AlreadyInstalled`] if there is a logger, this one or another.
pub fn install(level: LevelFilter) -> Result<(), AlreadyInstalled> {
    static INSTALLED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let mut first = false;
    let ours = *INSTALLED.get_or_init(|| {
        first = true;
        log::set_logger(&Dispatcher).is_ok()
    });
    if ours {
        log::set_max_level(if first { level } else { level.max(log::max_level()) });
    }
    if ours && first { Ok(()) } else { Err(AlreadyInstalled { ours }) }
}

/// Calls `each` with every collector that may want records of this thread.
pub fn for_each(mut each: impl FnMut(&Arc<Inner>)) {
    let live = LIVE.load();
    // A copy, which is free where there are none: what `each` calls may bind the thread.
    let bound = BOUND.try_with(|bound| bound.borrow().clone()).unwrap_or_default();
    for inner in live.iter().filter(|inner| !inner.is_forked()) {
        let heard = if bound.is_empty() { !inner.filter.bound_only } else { bound.contains(&inner.id) };
        if heard {
            each(inner);
        }
    }
}

impl Log for Dispatcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let mut wanted = false;
        for_each(|inner| wanted |= inner.filter.wants(metadata.level(), metadata.target()));
        wanted
    }

    fn log(&self, record: &Record<'_>) {
        for_each(|inner| {
            if inner.filter.wants(record.level(), record.target()) {
                inner.log_record(record);
            }
        });
    }

    fn flush(&self) {
        let live = LIVE.load_full();
        live.iter().filter(|inner| !inner.is_forked()).for_each(|inner| inner.flush_untold());
    }
}

/// Binds this thread to a collector for as long as it lives.
#[must_use = "the thread is bound only while this lives"]
#[derive(Debug)]
pub struct BoundThread {
    id: u64,
    /// It belongs to its thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Binds this thread to a collector, in addition to those it is bound to.
pub fn bind(id: u64) -> BoundThread {
    BOUND.with_borrow_mut(|bound| bound.push(id));
    BoundThread { id, _not_send: std::marker::PhantomData }
}

impl Drop for BoundThread {
    fn drop(&mut self) {
        // At the end of a thread there may be nothing left to take it from.
        let _ = BOUND.try_with(|bound| {
            let mut bound = bound.borrow_mut();
            if let Some(at) = bound.iter().rposition(|id| *id == self.id) {
                bound.remove(at);
            }
        });
    }
}

/// A task that is bound to a collector whenever it is polled, on whichever thread.
#[derive(Debug)]
pub struct BoundTask<F> {
    id: u64,
    task: Pin<Box<F>>,
}

/// Binds a task.
pub fn bind_task<F: Future>(id: u64, task: F) -> BoundTask<F> {
    BoundTask { id, task: Box::pin(task) }
}

impl<F: Future> Future for BoundTask<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _bound = bind(self.id);
        self.task.as_mut().poll(context)
    }
}

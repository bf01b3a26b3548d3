//! Works on every core and hands out the results in order.
//!
//! Threads take the next task by an atomic counter, so that a slow one holds up nobody, and run ahead of whoever takes the
//! results by a few tasks only, so that memory stays bounded and little is done for nothing where an answer ends early. The
//! first task is done alone: often its result is all that was needed.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many tasks each thread may be ahead.
const AHEAD_PER_THREAD: usize = 4;

struct Desk<T> {
    done: BTreeMap<usize, T>,
    taken: usize,
    stop: bool,
}

struct Sweep<T> {
    desk: Mutex<Desk<T>>,
    changed: Condvar,
    next: AtomicUsize,
    tasks: usize,
    ahead: usize,
}

/// Does `tasks` tasks with `work`, which gets memory of its thread's own to use again and again, and gives each result in
/// order to `take` until that has enough.
pub(crate) fn sweep<T: Send, M: Default, E: Send>(
    tasks: usize,
    work: impl Fn(usize, &mut M) -> Result<T, E> + Sync,
    mut take: impl FnMut(usize, T) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    if tasks == 0 || take(0, work(0, &mut M::default())?)?.is_break() || tasks == 1 {
        return Ok(());
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(tasks - 1);
    let desk = Mutex::new(Desk { done: BTreeMap::new(), taken: 1, stop: false });
    let ahead = AHEAD_PER_THREAD * threads;
    let sweep = Sweep { desk, changed: Condvar::new(), next: AtomicUsize::new(1), tasks, ahead };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| sweep.run(&work));
        }
        let _stop = Stop(&sweep);
        for task in 1..tasks {
            let Some(result) = sweep.wait_for(task) else { break };
            if take(task, result?)?.is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// Stops the others when a thread leaves, be it in panic.
struct Stop<'a, T>(&'a Sweep<T>);

impl<T> Drop for Stop<'_, T> {
    fn drop(&mut self) {
        self.0.desk().stop = true;
        self.0.changed.notify_all();
    }
}

impl<T> Sweep<T> {
    fn desk(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<M: Default>(&self, work: &(impl Fn(usize, &mut M) -> T + Sync)) {
        let mut memory = M::default();
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= self.tasks || !self.may_start(task) {
                return;
            }
            let result = {
                let _stop = PanicStop(self);
                work(task, &mut memory)
            };
            self.desk().done.insert(task, result);
            self.changed.notify_all();
        }
    }

    fn may_start(&self, task: usize) -> bool {
        let mut desk = self.desk();
        while !desk.stop && task >= desk.taken + self.ahead {
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        !desk.stop
    }

    /// The result of a task; `None` if it will never come.
    fn wait_for(&self, task: usize) -> Option<T> {
        let mut desk = self.desk();
        loop {
            if let Some(result) = desk.done.remove(&task) {
                desk.taken = task + 1;
                self.changed.notify_all();
                return Some(result);
            }
            if desk.stop {
                return None;
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Stops everybody if the work panics; the panic itself goes on when the scope ends.
struct PanicStop<'a, T>(&'a Sweep<T>);

impl<T> Drop for PanicStop<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(Stop(self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_stop_when_there_is_enough() {
        for (tasks, enough) in [(0, 9), (1, 9), (2, 1), (1_000, 1_000), (1_000, 321)] {
            let mut taken = Vec::new();
            let work = |task: usize, count: &mut usize| {
                *count += 1;
                Ok::<_, ()>(task * 2)
            };
            let take = |task, result| {
                taken.push((task, result));
                Ok(if taken.len() >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            sweep(tasks, work, take).unwrap();
            assert_eq!(taken, (0..tasks.min(enough)).map(|task| (task, task * 2)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let work = |task: usize, (): &mut ()| if task == 7 { Err(task) } else { Ok(task) };
        assert_eq!(sweep(100, work, |_, _| Ok(ControlFlow::Continue(()))), Err(7));
    }

    #[test]
    fn a_panic_is_passed_on() {
        let work = |task: usize, (): &mut ()| if task == 7 { panic!("as it should") } else { Ok::<_, ()>(task) };
        let swept = std::panic::catch_unwind(|| sweep(100, work, |_, _| Ok(ControlFlow::Continue(()))));
        assert!(swept.is_err());
    }
}

//! An answer that somebody waits for, blocking or not, in any async runtime or in none.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A place for one answer. Whoever is to answer holds an [`Answer`]; dropping that unanswered is an answer too.
pub struct Ack<T> {
    shared: Arc<Shared<T>>,
}

/// The other end of an [`Ack`].
pub struct Answer<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    answered: Condvar,
}

struct State<T> {
    answer: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

/// The two ends.
pub fn ack<T>() -> (Answer<T>, Ack<T>) {
    let state = Mutex::new(State { answer: None, over: false, waker: None });
    let shared = Arc::new(Shared { state, answered: Condvar::new() });
    (Answer { shared: Arc::clone(&shared) }, Ack { shared })
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, answer: Option<T>) {
        let mut state = self.lock();
        if !state.over {
            (state.answer, state.over) = (answer, true);
            self.answered.notify_all();
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Answer<T> {
    /// Answers.
    pub fn give(self, answer: T) {
        self.shared.end(Some(answer));
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.shared.end(None);
    }
}

impl<T> Ack<T> {
    /// Blocks this thread until there is an answer; `None` if nobody is left to give one.
    pub fn wait(self) -> Option<T> {
        let state = self.shared.lock();
        let mut state =
            self.shared.answered.wait_while(state, |state| !state.over).unwrap_or_else(PoisonError::into_inner);
        state.answer.take()
    }
}

impl<T> Future for Ack<T> {
    type Output = Option<T>;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.shared.lock();
        if state.over {
            return Poll::Ready(state.answer.take());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_arrives_and_its_absence_too() {
        let (answer, ack) = super::ack();
        let thread = std::thread::spawn(move || ack.wait());
        answer.give(7);
        assert_eq!(thread.join().unwrap(), Some(7));
        let (answer, ack) = super::ack::<u8>();
        drop(answer);
        assert_eq!(ack.wait(), None);
    }

    #[test]
    fn a_waiting_task_is_woken() {
        let (answer, mut ack) = super::ack();
        let (sender, woken) = std::sync::mpsc::channel();
        struct Wake(Mutex<std::sync::mpsc::Sender<()>>);
        impl std::task::Wake for Wake {
            fn wake(self: Arc<Self>) {
                self.0.lock().unwrap().send(()).unwrap();
            }
        }
        let waker = Waker::from(Arc::new(Wake(Mutex::new(sender))));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut ack).poll(&mut context).is_pending());
        answer.give(1);
        woken.recv().unwrap();
        assert_eq!(Pin::new(&mut ack).poll(&mut context), Poll::Ready(Some(1)));
    }
}

//! What wakes somebody who follows.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::sample::{child, id, lines, passed, put, session, start_command};
use crate::{Cursor, Query, Scope, Store, Wake};

/// Longer than any wake-up should take, shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_secs(20);

fn end(store: &dyn Store, query: &Query) -> Cursor {
    store.page(query, None).unwrap().end
}

/// Without news a wait ends when it should, not much earlier.
pub fn wait_returns_at_its_deadline(store: &dyn Store) {
    start_command(store);
    let cursor = end(store, &session(10));
    let begun = Instant::now();
    let wake = store.wait(&session(10), &cursor, begun + Duration::from_millis(30)).unwrap();
    assert_eq!(wake, Wake::Deadline);
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

/// One line wakes.
pub fn wait_wakes_for_a_lone_line(store: &dyn Store) {
    let run = start_command(store);
    let cursor = end(store, &session(10));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait(&session(10), &cursor, Instant::now() + PATIENCE).unwrap());
        put(store, &lines(run, 1..=1));
        assert_eq!(waiting.join().unwrap(), Wake::Entries);
    });
    assert_eq!(store.page(&session(10), Some(&cursor)).unwrap().entries.len(), 1);
}

/// What was committed between the page and the wait is not slept through.
pub fn wait_sees_what_came_before_it(store: &dyn Store) {
    let run = start_command(store);
    let cursor = end(store, &session(10));
    put(store, &lines(run, 1..=1));
    assert_eq!(store.wait(&session(10), &cursor, Instant::now() + PATIENCE).unwrap(), Wake::Entries);
    let cursor = end(store, &session(10));
    let soon = Instant::now() + Duration::from_millis(5);
    assert_eq!(store.wait(&session(10), &cursor, soon).unwrap(), Wake::Deadline);
}

/// Another run's lines are no news.
pub fn wait_for_one_run_sleeps_through_another(store: &dyn Store) {
    let run = start_command(store);
    let query = Query::new(Scope::Run(run));
    let cursor = end(store, &query);
    put(store, &lines(id(1), 1..=3));
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(store.wait(&query, &cursor, soon).unwrap(), Wake::Deadline);
}

/// When everything has ended nothing is waited for; what is left comes first.
pub fn wait_tells_the_end(store: &dyn Store) {
    let run = start_command(store);
    let (whole, one) = (session(10), Query::new(Scope::Run(run)));
    let cursor = end(store, &whole);
    put(store, &lines(run, 1..=1));
    thread::scope(|scope| {
        let last = end(store, &whole);
        let waiting = scope.spawn(move || store.wait(&session(10), &last, Instant::now() + PATIENCE).unwrap());
        store.end_run(run, &passed(5)).unwrap();
        store.end_run(id(1), &passed(6)).unwrap();
        assert_eq!(waiting.join().unwrap(), Wake::Ended);
    });
    let soon = Instant::now() + PATIENCE;
    assert_eq!(store.wait(&whole, &cursor, soon).unwrap(), Wake::Entries);
    assert_eq!(store.wait(&one, &end(store, &one), soon).unwrap(), Wake::Ended);
}

/// A run that starts while somebody waits for its session wakes with its first line.
pub fn wait_wakes_for_a_run_that_starts_later(store: &dyn Store) {
    start_command(store);
    let cursor = end(store, &session(10));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait(&session(10), &cursor, Instant::now() + PATIENCE).unwrap());
        store.start_run(&child(3, 1)).unwrap();
        put(store, &lines(id(3), 1..=1));
        assert_eq!(waiting.join().unwrap(), Wake::Entries);
    });
    let page = store.page(&session(10), Some(&cursor)).unwrap();
    assert_eq!(page.entries[0].run(), id(3));
}

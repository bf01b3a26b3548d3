//! Random histories: a store and the model go through the same, and are asked the same.

use std::collections::HashMap;

use logboom_record::{Entry, RunId};

use super::{
    random::{self, RUNS, Random},
    sample::{child, id, passed, root},
};
use crate::{Cursor, Order, Query, RunQuery, Scope, Store, mem::Mem};

/// How many batches a history has.
const BATCHES: u64 = 60;
/// How many questions are asked about a history.
const QUESTIONS: u64 = 150;

/// The store under test beside the model.
struct Pair<'a> {
    store: &'a dyn Store,
    model: Mem,
    seed: u64,
    random: Random,
    next: HashMap<RunId, u64>,
    now: i64,
}

impl<'a> Pair<'a> {
    fn new(store: &'a dyn Store, seed: u64) -> Pair<'a> {
        let pair = Pair { store, model: Mem::new(), seed, random: Random(seed), next: HashMap::new(), now: 0 };
        for (number, parent) in RUNS {
            let run = parent.map_or_else(|| root(number), |parent| child(number, parent));
            pair.store.start_run(&run).unwrap();
            pair.model.start_run(&run).unwrap();
        }
        pair
    }

    fn step(&mut self) {
        let run = id(self.random.of(&RUNS).0);
        self.now += self.random.below(9).cast_signed();
        let next = self.next.get(&run).copied().unwrap_or(1);
        let (batch, after) = random::batch(&mut self.random, run, next, self.now);
        self.store.append(&batch).unwrap();
        self.model.append(&batch).unwrap();
        self.next.insert(run, after);
    }

    /// Pages of the whole answer, from both, must be the same one by one.
    fn ask(&mut self) {
        let query = random::query(&mut self.random, self.now);
        let (mut of_store, mut of_model): (Option<Cursor>, Option<Cursor>) = (None, None);
        loop {
            let given = self.store.page(&query, of_store.as_ref()).unwrap();
            let right = self.model.page(&query, of_model.as_ref()).unwrap();
            assert_eq!(given.entries, right.entries, "seed {}: {query:?}", self.seed);
            assert_eq!(given.more, right.more, "seed {}: {query:?}", self.seed);
            if !right.more {
                return;
            }
            (of_store, of_model) = (Some(given.cursor), Some(right.cursor));
        }
    }
}

/// Whatever was stored in whatever batches, every question has the answer of the model, page by page.
pub fn random_histories_agree_with_the_model(store: &dyn Store) {
    agree(store, 1);
}

/// Goes through the history of this seed, in an empty store.
pub fn agree(store: &dyn Store, seed: u64) {
    let mut pair = Pair::new(store, seed);
    for _ in 0..BATCHES {
        pair.step();
        (0..2).for_each(|_| pair.ask());
    }
    (0..QUESTIONS).for_each(|_| pair.ask());
    pair.store.end_run(id(2), &passed(900)).unwrap();
    pair.model.end_run(id(2), &passed(900)).unwrap();
    let every = RunQuery::new(Scope::All);
    assert_eq!(pair.store.runs(&every).unwrap(), pair.model.runs(&every).unwrap());
}

/// Followers with different filters that join a history anywhere are given what the model gives them, each session in the
/// order of its commits.
pub fn random_histories_are_followed_like_the_model(store: &dyn Store) {
    follow(store, 2);
}

/// Follows the history of this seed, in an empty store.
pub fn follow(store: &dyn Store, seed: u64) {
    let mut pair = Pair::new(store, seed);
    let mut followers: Vec<Follower> = Vec::new();
    for step in 0..BATCHES {
        pair.step();
        if step % 7 == 0 {
            let query = Query { order: Order::Oldest, ..random::query(&mut pair.random, pair.now) };
            followers.push(Follower::join(&pair, query));
        }
        if pair.random.once_in(3) {
            followers.iter_mut().for_each(|follower| follower.catch_up(&pair));
        }
    }
    for follower in &mut followers {
        follower.catch_up(&pair);
        let (given, right) = (by_session(&follower.given), by_session(&follower.right));
        assert_eq!(
            given.each_ref().map(|some| order(some)),
            right.each_ref().map(|some| order(some)),
            "seed {seed}: {:?}",
            follower.query
        );
        assert_eq!(given, right, "seed {seed}: {:?}", follower.query);
    }
}

struct Follower {
    query: Query,
    of_store: Cursor,
    of_model: Cursor,
    given: Vec<Entry>,
    right: Vec<Entry>,
}

impl Follower {
    fn join(pair: &Pair<'_>, query: Query) -> Follower {
        let of_store = pair.store.page(&query, None).unwrap().end;
        let of_model = pair.model.page(&query, None).unwrap().end;
        Follower { query, of_store, of_model, given: Vec::new(), right: Vec::new() }
    }

    fn catch_up(&mut self, pair: &Pair<'_>) {
        read_on(pair.store, &self.query, &mut self.of_store, &mut self.given);
        read_on(&pair.model, &self.query, &mut self.of_model, &mut self.right);
    }
}

fn read_on(store: &dyn Store, query: &Query, cursor: &mut Cursor, read: &mut Vec<Entry>) {
    loop {
        let mut page = store.page(query, Some(cursor)).unwrap();
        read.append(&mut page.entries);
        *cursor = page.cursor;
        if !page.more {
            return;
        }
    }
}

/// The entries of each of the two sessions: between sessions there is no order of commit.
fn by_session(entries: &[Entry]) -> [Vec<&Entry>; 2] {
    let of = |root: u8| {
        let runs: Vec<RunId> =
            RUNS.iter().filter(|(run, parent)| parent.unwrap_or(*run) == root).map(|(run, _)| id(*run)).collect();
        entries.iter().filter(|entry| runs.contains(&entry.run())).collect()
    };
    [of(1), of(5)]
}

/// Short enough to be read in a failure: last byte of the run's id, and seq.
fn order(entries: &[&Entry]) -> Vec<(u8, u64)> {
    entries.iter().map(|entry| (entry.run().as_bytes()[15], entry.seq())).collect()
}

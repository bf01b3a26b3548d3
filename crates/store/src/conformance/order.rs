//! In which order entries come, and what a cursor promises.

use logboom_record::{Entry, Record};

use super::sample::{
    all, at, child, entries, gap, id, line, lines, newest, on_stderr, part, places, put, root, seqs, session,
    start_command, walk,
};
use crate::{Cursor, Order, Query, Scope, Store, StoreError, refused};

fn at_ms(ms: i64, record: Record) -> Record {
    Record { time: at(ms), ..record }
}

/// Twelve lines of two runs, a gap, and a line whose parts have others between them.
fn mixed(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&child(3, 1)).unwrap();
    put(store, &lines(run, 1..=3));
    put(store, &[part(run, 4, "progress "), on_stderr(line(run, 5, "noise")), part(run, 6, "more ")]);
    put(store, &lines(id(3), 1..=4));
    put(store, &[on_stderr(line(run, 7, "noise")), line(run, 8, "done")]);
    store.append(&[gap(run, 9, 12), Entry::Record(line(run, 13, "after"))]).unwrap();
}

/// Newest first gives exactly the reverse, and from any cursor the two directions share nothing and miss nothing.
pub fn pages_go_both_ways_and_meet(store: &dyn Store) {
    mixed(store);
    let (forth, mut back) = (all(store, &session(100)), all(store, &newest(100)));
    back.reverse();
    assert_eq!(forth, back);
    let mut page = store.page(&session(2), None).unwrap();
    while page.more {
        let (before, _) = walk(store, &newest(3), Some(&page.cursor));
        let (after, _) = walk(store, &session(3), Some(&page.cursor));
        let mut both = places(&[before.concat(), after.concat()].concat());
        both.sort_unstable();
        let mut whole = places(&forth);
        whole.sort_unstable();
        assert_eq!(both, whole);
        page = store.page(&session(2), Some(&page.cursor)).unwrap();
    }
}

/// However few lines a page has, together they are the same; each page is in order.
pub fn every_page_size_gives_the_same_lines(store: &dyn Store) {
    mixed(store);
    let mut whole = places(&all(store, &session(100)));
    whole.sort_unstable();
    for lines_max in 0..15 {
        for query in [session(lines_max), newest(lines_max)] {
            let (pages, _) = walk(store, &query, None);
            let mut together = places(&pages.concat());
            together.sort_unstable();
            assert_eq!(together, whole, "in pages of {lines_max}");
        }
    }
}

/// A page has as many lines as asked for, a gap being one, however many parts they have.
pub fn limits_count_lines(store: &dyn Store) {
    let run = start_command(store);
    put(store, &[part(run, 1, "a"), part(run, 2, "b"), line(run, 3, "c"), line(run, 4, "d"), part(run, 5, "e")]);
    put(store, &[line(run, 6, "f")]);
    let (pages, _) = walk(store, &session(2), None);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    let (pages, _) = walk(store, &newest(2), None);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
}

/// A line comes with all its parts, also where another stream's lines are between them, and stands where it starts.
pub fn parts_of_a_line_come_together(store: &dyn Store) {
    let run = start_command(store);
    put(store, &[part(run, 1, "a"), on_stderr(line(run, 2, "x")), line(run, 3, "b"), line(run, 4, "c")]);
    let pages = |query: &Query| {
        walk(store, query, None).0.iter().map(|page| page.iter().map(Entry::seq).collect()).collect::<Vec<Vec<u64>>>()
    };
    assert_eq!(pages(&session(1)), [vec![1, 3], vec![2], vec![4]]);
    assert_eq!(pages(&newest(1)), [vec![4], vec![2], vec![3, 1]]);
    assert_eq!(pages(&session(2)), [vec![1, 2, 3], vec![4]]);
}

/// A clock that steps back does not change the order of a run.
pub fn run_order_survives_clock_steps(store: &dyn Store) {
    let run = start_command(store);
    let times = [10, 20, 5, 6, 30, 1];
    let records: Vec<Record> = (1..).zip(times).map(|(seq, ms)| at_ms(ms, line(run, seq, "tick"))).collect();
    put(store, &records);
    assert_eq!(seqs(store, &session(2)), [1, 2, 3, 4, 5, 6]);
    assert_eq!(seqs(store, &newest(2)), [6, 5, 4, 3, 2, 1]);
}

/// Between runs time decides, however they were committed; a run whose clock stepped back stays at its latest time.
pub fn runs_are_merged_by_time(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&child(3, 1)).unwrap();
    let late = [10, 40, 15, 60];
    put(store, &(1..).zip(late).map(|(seq, ms)| at_ms(ms, line(run, seq, "a"))).collect::<Vec<_>>());
    let early = [5, 20, 50, 55];
    put(store, &(1..).zip(early).map(|(seq, ms)| at_ms(ms, line(id(3), seq, "b"))).collect::<Vec<_>>());
    let expected = [(id(3), 1), (run, 1), (id(3), 2), (run, 2), (run, 3), (id(3), 3), (id(3), 4), (run, 4)];
    assert_eq!(places(&all(store, &session(3))), expected);
}

/// Where times are equal runs come one after the other.
pub fn equal_times_are_ordered_by_run_and_seq(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&child(3, 1)).unwrap();
    put(store, &[at_ms(7, line(id(3), 1, "b")), at_ms(7, line(run, 1, "a")), at_ms(7, line(id(3), 2, "b"))]);
    put(store, &[at_ms(7, line(run, 2, "a"))]);
    assert_eq!(places(&all(store, &session(1))), [(run, 1), (run, 2), (id(3), 1), (id(3), 2)]);
}

/// A gap is seen between the records that it stands between.
pub fn gap_stands_in_its_place(store: &dyn Store) {
    let run = start_command(store);
    let batch = [gap(run, 1, 4), Entry::Record(line(run, 5, "a")), gap(run, 6, 6), Entry::Record(line(run, 7, "b"))];
    store.append(&batch).unwrap();
    assert_eq!(all(store, &session(1)), batch);
    let mut back = all(store, &newest(1));
    back.reverse();
    assert_eq!(back, batch);
}

/// Pages of a walk do not shift while more is committed, even where that is older.
pub fn walk_does_not_see_what_comes_later(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&child(3, 1)).unwrap();
    put(store, &lines(run, 10..=10).into_iter().map(|record| Record { seq: 1, ..record }).collect::<Vec<_>>());
    put(store, &[at_ms(30, line(run, 2, "line"))]);
    let first = store.page(&newest(1), None).unwrap();
    put(store, &[at_ms(1, line(id(3), 1, "older")), at_ms(20, line(id(3), 2, "between"))]);
    let second = store.page(&newest(5), Some(&first.cursor)).unwrap();
    assert_eq!(places(&second.entries), [(run, 1)]);
}

/// A walk that goes on after its run has grown gives everything once.
pub fn cursor_survives_growth(store: &dyn Store) {
    let run = start_command(store);
    let (mut seen, mut cursor): (Vec<u64>, Option<Cursor>) = (Vec::new(), None);
    for round in 0..8 {
        put(store, &lines(run, 1 + round * 10..=10 + round * 10));
        let page = store.page(&session(7), cursor.as_ref()).unwrap();
        seen.extend(page.entries.iter().map(Entry::seq));
        let text = page.cursor.to_string();
        cursor = Some(text.parse().unwrap());
    }
    loop {
        let page = store.page(&session(7), cursor.as_ref()).unwrap();
        if page.entries.is_empty() {
            break;
        }
        seen.extend(page.entries.iter().map(Entry::seq));
        cursor = Some(page.cursor);
    }
    assert_eq!(seen, (1..=80).collect::<Vec<_>>());
}

/// Older pages go on from newer ones, and end.
pub fn newest_first_goes_on_where_it_was(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=5));
    let first = store.page(&newest(2), None).unwrap();
    put(store, &lines(run, 6..=9));
    let (rest, end) = walk(store, &newest(2), Some(&first.cursor));
    assert_eq!(rest.concat().iter().map(Entry::seq).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(store.page(&newest(2), Some(&end)).unwrap().entries.is_empty());
}

/// `end` of the last lines is where to follow from, without a gap and without a line twice.
pub fn end_follows_what_the_page_saw(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=5));
    let last = store.page(&newest(2), None).unwrap();
    put(store, &lines(run, 6..=8));
    let older = store.page(&newest(2), Some(&last.cursor)).unwrap();
    assert_eq!(older.end, last.end);
    let new = store.page(&session(100), Some(&last.end)).unwrap();
    assert_eq!(new.entries, entries(&lines(run, 6..=8)));
    assert!(!new.more);
    assert!(store.page(&session(100), Some(&new.cursor)).unwrap().entries.is_empty());
}

/// What is committed after a walk's end comes as it was committed, whatever its time, and parts come at once.
pub fn following_delivers_in_order_of_commit(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=2));
    let (_, end) = walk(store, &session(10), None);
    store.start_run(&child(3, 1)).unwrap();
    put(store, &[at_ms(90, part(run, 3, "a"))]);
    put(store, &[at_ms(4, line(id(3), 1, "old")), at_ms(80, on_stderr(line(run, 4, "x")))]);
    store.append(&[gap(run, 5, 6)]).unwrap();
    put(store, &[at_ms(3, line(run, 7, "b"))]);
    let expected = [(run, 3), (id(3), 1), (run, 4), (run, 5), (run, 7)];
    for lines_max in [1, 2, 10] {
        assert_eq!(places(&walk(store, &session(lines_max), Some(&end)).0.concat()), expected);
    }
}

/// A text that is no cursor, or one of another kind of store, is refused.
pub fn foreign_cursor_is_refused(store: &dyn Store) {
    start_command(store);
    for text in ["", "x", "AAAA", "m", "m1", "0_0_0_0", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"] {
        let cursor: Cursor = text.parse().unwrap();
        refused!(store.page(&session(1), Some(&cursor)), StoreError::BadCursor { .. });
    }
}

/// A session without a line, and a store without a session, answer with nothing.
pub fn empty_scope_has_an_empty_page(store: &dyn Store) {
    let nothing = store.page(&Query::new(Scope::All), None).unwrap();
    assert!(nothing.entries.is_empty() && !nothing.more);
    store.start_run(&root(1)).unwrap();
    let page = store.page(&newest(5), None).unwrap();
    assert!(page.entries.is_empty() && !page.more);
    put(store, &lines(id(1), 1..=1));
    let all = Query { order: Order::Oldest, ..Query::new(Scope::All) };
    assert_eq!(store.page(&all, Some(&nothing.end)).unwrap().entries.len(), 1);
    assert_eq!(store.page(&session(5), Some(&page.end)).unwrap().entries.len(), 1);
}

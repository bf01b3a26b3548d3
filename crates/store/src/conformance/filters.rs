//! What passes a query: whole lines, judged by their first part and their whole text.

use logboom_record::{Entry, Level, Record, Stream};

use super::sample::{
    all, at, child, entries, gap, id, line, lines, newest, on_stderr, part, places, put, root, seqs, session,
    start_command, walk,
};
use crate::{Case, Query, RunPick, Scope, Store, Syntax, TextError, TextQuery, View};

fn literal(pattern: &str) -> TextQuery {
    TextQuery::new(pattern, Syntax::Literal, Case::Sensitive, View::Plain).unwrap()
}

fn expression(pattern: &str) -> TextQuery {
    TextQuery::new(pattern, Syntax::Regex, Case::Sensitive, View::Plain).unwrap()
}

/// The seqs of session 1 with this text.
fn found(store: &dyn Store, text: TextQuery) -> Vec<u64> {
    seqs(store, &Query { text: Some(text), ..session(100) })
}

/// Stores one line after the other in run 2 of session 1.
fn store_texts(store: &dyn Store, texts: &[&str]) {
    let run = start_command(store);
    put(store, &(1..).zip(texts).map(|(seq, text)| line(run, seq, text)).collect::<Vec<_>>());
}

/// Runs are picked by id or name; several picks add up.
pub fn run_is_picked_by_id_and_name(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&child(3, 1)).unwrap();
    [id(1), run, id(3)].iter().for_each(|run| put(store, &lines(*run, 1..=2)));
    let picked = |runs: Vec<RunPick>| places(&all(store, &Query { runs, ..session(10) }));
    assert_eq!(picked(vec![RunPick::Id(run)]), [(run, 1), (run, 2)]);
    assert_eq!(picked(vec![RunPick::Name("command 3".to_owned())]), [(id(3), 1), (id(3), 2)]);
    assert_eq!(picked(vec![RunPick::Name("command 3".to_owned()), RunPick::Id(id(1))]).len(), 4);
    assert_eq!(picked(vec![RunPick::Name("command".to_owned())]), []);
    assert_eq!(places(&all(store, &Query::new(Scope::Run(run)))), [(run, 1), (run, 2)]);
}

/// A line passes with all its parts if its first part does.
pub fn stream_and_level_are_those_of_the_first_part(store: &dyn Store) {
    let run = start_command(store);
    let leveled = |level, record| Record { level, ..record };
    put(
        store,
        &[
            leveled(Level::Error, part(run, 1, "error: ")),
            leveled(Level::Warn, on_stderr(line(run, 2, "warning: x"))),
            leveled(Level::Info, line(run, 3, "no")),
            leveled(Level::Info, part(run, 4, "so ")),
            leveled(Level::Error, line(run, 5, "error: what")),
        ],
    );
    assert_eq!(seqs(store, &Query { level_min: Level::Error, ..session(1) }), [1, 3]);
    assert_eq!(seqs(store, &Query { level_min: Level::Warn, ..newest(9) }), [3, 2, 1]);
    let streams = [Stream::Stderr, Stream::System].into_iter().collect();
    assert_eq!(seqs(store, &Query { streams, ..session(1) }), [2]);
}

/// `since` is the first time that passes, `until` the first that does not; parts follow the first.
pub fn since_is_in_and_until_is_not(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=3));
    put(store, &[part(run, 4, "a"), line(run, 5, "b"), line(run, 6, "c")]);
    let between = |since, until| seqs(store, &Query { since, until, ..session(10) });
    assert_eq!(between(Some(at(2)), Some(at(4))), [2, 3]);
    assert_eq!(between(Some(at(5)), None), [6]);
    assert_eq!(between(None, Some(at(5))), [1, 2, 3, 4, 5]);
    assert_eq!(between(Some(at(4)), Some(at(4))), [0_u64; 0]);
}

/// A range of seqs takes the lines that start in it: how the lines around a match are asked for.
pub fn seq_range_is_of_the_first_part(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=3));
    put(store, &[part(run, 4, "a"), line(run, 5, "b"), line(run, 6, "c")]);
    assert_eq!(seqs(store, &Query { seq_min: 2, seq_max: 4, ..session(10) }), [2, 3, 4, 5]);
    assert_eq!(seqs(store, &Query { seq_min: 5, ..session(10) }), [6]);
    assert_eq!(seqs(store, &Query { seq_max: 4, ..newest(2) })[..2], [5, 4]);
}

/// A gap has neither level nor stream, so no such filter hides it; but it has no text to be found by.
pub fn gaps_pass_level_and_stream_but_no_text(store: &dyn Store) {
    let run = start_command(store);
    store.append(&[entries(&lines(run, 1..=1)), vec![gap(run, 2, 4)]].concat()).unwrap();
    let streams = [Stream::System].into_iter().collect();
    assert_eq!(seqs(store, &Query { level_min: Level::Error, streams, ..session(10) }), [2]);
    assert_eq!(seqs(store, &Query { since: Some(at(3)), ..session(10) }), [0_u64; 0]);
    assert_eq!(seqs(store, &Query { runs: vec![RunPick::Id(id(1))], ..session(10) }), [0_u64; 0]);
    assert_eq!(found(store, literal("")), [1]);
}

/// The parts of a line are joined before its text is looked for.
pub fn text_is_looked_for_in_whole_lines(store: &dyn Store) {
    let run = start_command(store);
    put(store, &[part(run, 1, "connection re"), on_stderr(line(run, 2, "fused")), part(run, 3, "fu")]);
    put(store, &[line(run, 4, "sed"), line(run, 5, "fused"), part(run, 6, "not "), line(run, 7, "yet")]);
    assert_eq!(found(store, literal("refused")), [1, 3, 4]);
    assert_eq!(found(store, literal("fusedfused")), [0_u64; 0]);
    assert_eq!(found(store, expression("^connection.*d$")), [1, 3, 4]);
    assert_eq!(found(store, expression("^fused$")), [2, 5]);
    let one = Query { text: Some(literal("fused")), ..newest(1) };
    let pages: Vec<usize> = walk(store, &one, None).0.iter().map(Vec::len).collect();
    assert_eq!(pages, [1, 1, 3]);
}

/// What stands after a gap is no part of the line before it.
pub fn gap_ends_a_line(store: &dyn Store) {
    let run = start_command(store);
    put(store, &[part(run, 1, "one ")]);
    store.append(&[gap(run, 2, 2), Entry::Record(line(run, 3, "two"))]).unwrap();
    assert_eq!(found(store, literal("one two")), [0_u64; 0]);
    assert_eq!(found(store, literal("two")), [3]);
    assert_eq!(seqs(store, &newest(1))[..1], [3]);
}

/// A word is found whatever colours stand in it, also where a part ends inside one.
pub fn colours_do_not_hide_text(store: &dyn Store) {
    store_texts(
        store,
        &["\x1b[1;31mer\x1b[0mror: x", "plain error: y", "\x1b]8;;http://error\x1b\\link\x1b]8;;\x1b\\"],
    );
    let run = id(2);
    put(
        store,
        &[part(run, 4, "er\x1b[3"), line(run, 5, "1mror: z"), line(run, 6, "\x1b[31mer"), line(run, 7, "ror: q")],
    );
    assert_eq!(found(store, literal("error: ")), [1, 2, 4, 5]);
    assert_eq!(found(store, literal("error")), [1, 2, 4, 5]);
    assert_eq!(found(store, expression("^er+or: [xz]$")), [1, 4, 5]);
    assert_eq!(found(store, literal("[1;31m")), [0_u64; 0]);
}

/// Raw, the colours are text.
pub fn raw_text_sees_colours(store: &dyn Store) {
    store_texts(store, &["\x1b[31mer\x1b[0mror", "error"]);
    let raw = |pattern| TextQuery::new(pattern, Syntax::Literal, Case::Sensitive, View::Raw).unwrap();
    assert_eq!(found(store, raw("[31mer")), [1]);
    assert_eq!(found(store, raw("error")), [2]);
}

/// Case is told apart unless that is not wanted, and then for all letters.
pub fn case_counts_if_it_shall(store: &dyn Store) {
    store_texts(store, &["Error Straße", "ERROR STRASSE", "error ÄÖ", "err\u{212A}"]);
    let fold = |pattern, syntax| TextQuery::new(pattern, syntax, Case::Insensitive, View::Plain).unwrap();
    assert_eq!(found(store, literal("error")), [3]);
    assert_eq!(found(store, fold("eRRor", Syntax::Literal)), [1, 2, 3]);
    assert_eq!(found(store, fold("äö", Syntax::Literal)), [3]);
    assert_eq!(found(store, fold("^ERR.k?$", Syntax::Regex)), [4]);
    assert_eq!(found(store, fold("errk", Syntax::Literal)), [4]);
    assert_eq!(found(store, fold("error.", Syntax::Literal)), [0_u64; 0]);
}

/// No expression reaches from one line into the next, whatever it is made of.
pub fn expression_is_held_to_one_line(store: &dyn Store) {
    store_texts(store, &["alpha", "beta", "", "gamma\nafter", "delta"]);
    for reaching in [r"alpha\s+beta", r"alpha[^x]beta", r"(?s)alpha.*beta", r"a\nb", r"\Aalpha\W*beta\z"] {
        assert_eq!(found(store, expression(reaching)), [0_u64; 0], "{reaching}");
    }
    assert_eq!(found(store, expression("^$")), [3]);
    assert_eq!(found(store, expression(r"\Abeta\z")), [2]);
    assert_eq!(found(store, expression(r"(?s)gamma.after")), [4]);
    assert_eq!(found(store, expression("^after")), [0_u64; 0]);
    assert_eq!(found(store, expression("(?m)^after$")), [4]);
    assert_eq!(found(store, expression("[^a]ta")), [2, 5]);
    assert_eq!(found(store, expression("")), [1, 2, 3, 4, 5]);
    assert_eq!(found(store, expression("a$")), [1, 2, 5]);
}

/// A literal with a newline cannot be in a line; a broken expression is told to be one.
pub fn text_over_many_lines_is_refused(_store: &dyn Store) {
    let query = |pattern, syntax| TextQuery::new(pattern, syntax, Case::Sensitive, View::Plain).map(|_| ());
    assert_eq!(query("a\nb", Syntax::Literal), Err(TextError::Newline("a\nb".to_owned())));
    assert!(query("a\nb", Syntax::Literal).unwrap_err().to_string().contains("a line holds no newline"));
    assert!(matches!(query("(", Syntax::Regex), Err(TextError::Regex { .. })));
    assert_eq!(query("(", Syntax::Literal), Ok(()));
}

/// While following, a line is judged by its text when it ends, and then comes whole.
pub fn text_is_followed_by_whole_lines(store: &dyn Store) {
    let run = start_command(store);
    put(store, &lines(run, 1..=1));
    let query = Query { text: Some(literal("refused")), ..session(1) };
    let (_, end) = walk(store, &query, None);
    put(store, &[part(run, 2, "ref"), on_stderr(line(run, 3, "refused"))]);
    let (pages, middle) = walk(store, &query, Some(&end));
    assert_eq!(pages.concat().iter().map(Entry::seq).collect::<Vec<_>>(), [3]);
    put(store, &[line(run, 4, "used"), part(run, 5, "refused too")]);
    store.append(&[gap(run, 6, 6)]).unwrap();
    let (pages, last) = walk(store, &query, Some(&middle));
    assert_eq!(pages.concat().iter().map(Entry::seq).collect::<Vec<_>>(), [2, 4, 5]);
    assert!(store.page(&query, Some(&last)).unwrap().entries.is_empty());
}

/// A session has its own runs only; all of them have everything.
pub fn sessions_are_apart(store: &dyn Store) {
    let run = start_command(store);
    store.start_run(&root(5)).unwrap();
    store.start_run(&child(6, 5)).unwrap();
    put(store, &lines(run, 1..=2));
    put(store, &lines(id(6), 1..=3));
    assert_eq!(places(&all(store, &session(10))), [(run, 1), (run, 2)]);
    assert_eq!(all(store, &Query::new(Scope::Session(id(5)))).len(), 3);
    assert_eq!(all(store, &Query { lines_max: 1, ..Query::new(Scope::All) }).len(), 5);
}

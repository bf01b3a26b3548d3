//! A session as one page of HTML, for a person who has a browser and nothing else.
//!
//! The lines stand in the page as elements, so that it can be read, searched and printed without its script; the script only
//! filters. They come in blocks that a browser lays out when they are scrolled to, and are written as they are read. What is in a
//! page was printed by anybody: all of it is escaped, and a policy in the page's head lets nothing run and nothing load but the
//! page's own style and script, by their hashes.

mod facts;
mod frame;
mod lines;
mod survey;
mod text;

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use anyhow::Result;
use logboom_files::session::Status;
use logboom_record::{EntryRef, Gap, Time};
use logboom_store::{Query, RunQuery, Scope, Store};
use logboom_store_embedded::Embedded;

use crate::{
    join::{Joiner, Piece},
    reading::numbered,
};
use facts::Facts;
use lines::{Lines, Window};
use survey::Survey;

/// So many lines are in a page where nothing else is said: a browser shows the first of them at once, and has all in seconds.
pub const LINES_MAX: u64 = 100_000;

/// What a page is made of.
pub struct Page<'a> {
    /// How the session stands.
    pub status: &'a Status,
    /// Where its lines are.
    pub store: &'a Embedded,
    /// The session in it.
    pub scope: Scope,
    /// When this is done.
    pub now: Time,
}

/// What is in a page.
pub struct Shown {
    /// How many lines, gaps included.
    pub lines: u64,
    /// How many are left out.
    pub left_out: u64,
}

impl Page<'_> {
    /// Writes the page, with at most so many lines.
    ///
    /// # Errors
    /// Of the store, and of the output.
    pub fn write(&self, lines_max: u64, out: &mut dyn Write) -> Result<Shown> {
        let query = Query::new(self.scope);
        let runs = self.store.runs(&RunQuery::new(self.scope))?;
        let names = numbered(&runs);
        let survey = Survey::of(self.status, |each| walk(self.store, &query, each))?;
        let window = Window::new(lines_max, survey.lines);
        let facts = Facts { status: self.status, runs: &runs, names: &names, survey: &survey, window, now: self.now };
        let mut page = Vec::new();
        frame::push_begin(&mut page, &facts);
        put(out, &mut page)?;
        let mut lines = Lines::new(&names, window, out);
        walk(self.store, &query, &mut |item| lines.take(item))?;
        lines.finish()?;
        frame::push_end(&mut page);
        put(out, &mut page)?;
        out.flush()?;
        Ok(Shown { lines: window.shown(), left_out: window.left_out() })
    }
}

/// What a session has in its order.
enum Item<'a> {
    /// A line, or a part of a very long one.
    Piece(Piece<'a>),
    /// Some records are lost here.
    Gap(&'a Gap),
}

/// Hands on every line and gap of the query, as `show` has them.
fn walk(store: &Embedded, query: &Query, each: &mut dyn FnMut(Item<'_>) -> io::Result<()>) -> Result<()> {
    let (mut joiner, mut failed) = (Joiner::default(), Ok(()));
    let mut hand_on = |item: Item<'_>| {
        if failed.is_ok() {
            failed = each(item);
        }
        failed.is_ok()
    };
    store.scan(query, &mut |entry| {
        let mut is_good = true;
        match entry {
            EntryRef::Record(record) => joiner.push(&record, |piece| is_good = hand_on(Item::Piece(piece))),
            EntryRef::Gap(gap) => {
                joiner.gap(gap.run, |piece| is_good = hand_on(Item::Piece(piece)));
                is_good &= hand_on(Item::Gap(gap));
            }
        }
        if is_good { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    joiner.flush(|piece| {
        hand_on(Item::Piece(piece));
    });
    Ok(failed?)
}

fn put(out: &mut dyn Write, page: &mut Vec<u8>) -> io::Result<()> {
    out.write_all(page)?;
    page.clear();
    Ok(())
}

//! Pages and scans of history: what the runs held when the walk began, merged by time.
//!
//! Blocks are read in the order of their times, several at once, and what they give is merged: an entry can be handed out as
//! soon as no block to come can have an earlier one. Where writers wrote at the same time their blocks overlap, and a few
//! are held at once; else it is one after the other.

use std::{
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
};

use logboom_record::{Entry, EntryRef, Time};
use logboom_store::{Order, Page, Query, StoreError};

use crate::{
    lines::{self, Line, Unit},
    place::{At, Key, Place, Seen},
    plan::{Memory, Plan, Task},
    source::{Chunk, Item},
    view::View,
};

/// A line that needs its block no more.
struct Owned {
    key: Key,
    parts: Vec<(Key, Entry)>,
}

/// The page at a place of history.
pub(crate) fn page(view: &View, query: &Query, at: At) -> Result<Page, StoreError> {
    let lines_max = query.lines_max.max(1);
    let (mut lines, more) = first_lines(view, query, &at, lines_max)?;
    lines.truncate(lines_max);
    let place = match (query.order, lines.last()) {
        (Order::Oldest, Some(line)) if more => Place::After(line.key),
        (Order::Newest, Some(line)) if more => Place::Before(line.key),
        (Order::Oldest, _) => Place::End,
        (Order::Newest, _) => Place::Start,
    };
    let end = At { seen: at.seen.clone(), place: Place::End }.encode();
    let cursor = At { seen: at.seen, place }.encode();
    let mut parts: Vec<(Key, Entry)> = lines.into_iter().flat_map(|line| line.parts).collect();
    parts.sort_by_key(|(key, _)| *key);
    if query.order == Order::Newest {
        parts.reverse();
    }
    Ok(Page { entries: parts.into_iter().map(|(_, entry)| entry).collect(), cursor, end, more })
}

/// The first so many lines from a place, perhaps one more, and whether there are more.
fn first_lines(view: &View, query: &Query, at: &At, lines_max: usize) -> Result<(Vec<Owned>, bool), StoreError> {
    let plan = Plan::new(view, query, &at.seen, at.place, Unit::Lines);
    let judge = plan.judge(Unit::Lines);
    let keep = lines_max.saturating_add(1);
    let work = |task: &Task, memory: &mut Memory| {
        view.read_text(task.at, &mut memory.chunk)?;
        let mut lines = judge.lines(task.at, &mut memory.chunk, &mut memory.side)?;
        lines::sort(query.order, &mut lines);
        lines.truncate(keep);
        lines.into_iter().map(|line| own(line, &mut memory.chunk)).collect::<Result<Vec<_>, _>>()
    };
    let mut best: Vec<Owned> = Vec::new();
    plan.sweep(work, |task, lines| {
        if !lines.is_empty() {
            best.extend(lines);
            // Mostly two sorted runs, which this sort merges.
            best.sort_by(|a, b| if query.order == Order::Oldest { a.key.cmp(&b.key) } else { b.key.cmp(&a.key) });
            best.truncate(keep);
        }
        let enough = best.get(lines_max).is_some_and(|line| plan.is_settled(task + 1, line.key.time));
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let more = best.len() > lines_max;
    Ok((best, more))
}

fn own(line: Line, chunk: &mut Chunk) -> Result<Owned, StoreError> {
    let mut parts = vec![(line.key, chunk.get(line.first)?.to_owned())];
    for (key, item) in line.more {
        parts.push((key, chunk.get(item)?.to_owned()));
    }
    parts.extend(line.far.into_iter().map(|(key, record)| (key, Entry::Record(record))));
    Ok(Owned { key: line.key, parts })
}

/// A block of which some entries are still to be handed out.
struct Held {
    chunk: Chunk,
    /// In order; the first is at the end.
    items: Vec<(Key, Item)>,
}

/// Hands every entry of every line that passes to `each`, in order of entries.
pub(crate) fn scan(
    view: &View,
    query: &Query,
    seen: &Seen,
    each: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let place = if query.order == Order::Oldest { Place::Start } else { Place::End };
    let plan = Plan::new(view, query, seen, place, Unit::Entries);
    let judge = plan.judge(Unit::Entries);
    let spare: Mutex<Vec<Chunk>> = Mutex::default();
    let work = |task: &Task, memory: &mut Memory| {
        let mut chunk = spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        view.read_text(task.at, &mut chunk)?;
        let lines = judge.lines(task.at, &mut chunk, &mut memory.side)?;
        let mut items: Vec<(Key, Item)> = Vec::with_capacity(lines.len());
        for line in lines {
            items.push((line.key, line.first));
            items.extend(line.more);
        }
        items.sort_by_key(|(key, _)| *key);
        if query.order == Order::Oldest {
            items.reverse();
        }
        Ok(Held { chunk, items })
    };
    let mut held: Vec<Held> = Vec::new();
    plan.sweep(work, |task, block| {
        held.push(block);
        let next = plan.tasks.get(task + 1);
        let handed = hand_out(&mut held, query.order, next, each)?;
        let empty = held.extract_if(.., |block| block.items.is_empty()).map(|block| block.chunk);
        spare.lock().unwrap_or_else(PoisonError::into_inner).extend(empty);
        Ok(handed)
    })
}

/// Hands out what stands before everything that the next block can have.
fn hand_out(
    held: &mut [Held],
    order: Order,
    next: Option<&Task>,
    each: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let is_before = |a: &Key, b: &Key| if order == Order::Oldest { a < b } else { a > b };
    let is_settled = |time: Time| {
        next.is_none_or(|next| if order == Order::Oldest { time < next.earliest } else { time > next.latest })
    };
    loop {
        let heads = || held.iter().enumerate().filter_map(|(at, block)| Some((block.items.last()?.0, at)));
        let first = heads().reduce(|a, b| if is_before(&b.0, &a.0) { b } else { a });
        let Some((key, at)) = first else { return Ok(ControlFlow::Continue(())) };
        if !is_settled(key.time) {
            return Ok(ControlFlow::Continue(()));
        }
        let bound = heads().filter(|(_, other)| *other != at).map(|(key, _)| key);
        let bound = bound.reduce(|a, b| if is_before(&b, &a) { b } else { a });
        let block = &mut held[at];
        while let Some((key, item)) = block.items.last().copied() {
            if !is_settled(key.time) || bound.is_some_and(|bound| is_before(&bound, &key)) {
                break;
            }
            block.items.pop();
            if each(block.chunk.get(item)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}

/// Counts the lines that pass; gaps are none.
pub(crate) fn count(view: &View, query: &Query, seen: &Seen) -> Result<u64, StoreError> {
    let place = if query.order == Order::Oldest { Place::Start } else { Place::End };
    let plan = Plan::new(view, query, seen, place, Unit::Lines);
    let judge = plan.judge(Unit::Lines);
    let mut sum = 0;
    let work = |task: &Task, memory: &mut Memory| {
        if let Some(count) = judge.count_unread(task.at) {
            return Ok(count);
        }
        view.read_text(task.at, &mut memory.chunk)?;
        if let Some(count) = judge.count_text(task.at, &memory.chunk) {
            return Ok(count);
        }
        let lines = judge.lines(task.at, &mut memory.chunk, &mut memory.side)?;
        Ok(lines.iter().filter(|line| !line.is_gap).count() as u64)
    };
    plan.sweep(work, |_, count| {
        sum += count;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sum)
}

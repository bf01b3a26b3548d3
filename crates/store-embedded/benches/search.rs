//! How fast does the store look at the lines of one large session, beside merely decompressing its blocks?
//!
//! `cargo bench -p logboom-store-embedded -- DATA_DIR SESSION_NAME`: the session is one that `logboom run` made of
//! `logboom-bench gen text 20000000`. Medians of five, files in the page cache, every core; seconds and gigabytes of messages
//! in a second.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure shall stop")]

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use logboom_boom::{
    block::Block,
    gram_query::{Case as GramCase, GramQuery},
    reader::Reader,
};
use logboom_files::{DataDir, list::Sessions};
use logboom_record::{Level, Time};
use logboom_store::{Case, Order, Query, Scope, Store, Syntax, TextQuery, View};
use logboom_store_embedded::Embedded;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [dir, name] = &arguments[..] else {
        println!("usage: -- DATA_DIR SESSION_NAME");
        return;
    };
    let data = DataDir::at(dir);
    let found = Sessions::of(&data).unwrap().newest(1, Time::now(), |status| status.meta.run.name == *name);
    let status = found.first().unwrap();
    let bytes = decompress(&status.dir.join("records.boom"));
    let scope = Scope::Session(status.meta.run.id);
    let text = |pattern: &str, syntax, case| Some(TextQuery::new(pattern, syntax, case, View::Plain).unwrap());
    let literal = |pattern: &str| text(pattern, Syntax::Literal, Case::Sensitive);
    let regex = |pattern: &str| text(pattern, Syntax::Regex, Case::Sensitive);
    let all = Query::new(scope);
    let newest = Query { order: Order::Newest, lines_max: 100, ..all.clone() };
    let count = |what: &str, query: Query| {
        measure(what, bytes, || Embedded::open(Path::new(dir)).unwrap().count(&query).unwrap());
    };
    let page = |what: &str, query: Query| {
        measure(what, bytes, || {
            Embedded::open(Path::new(dir)).unwrap().page(&query, None).unwrap().entries.len() as u64
        });
    };
    count("count all", all.clone());
    count("count errors", Query { level_min: Level::Error, ..all.clone() });
    count("count a common literal", Query { text: literal("rows"), ..all.clone() });
    count("count of no grams", Query { text: regex("[a-z]{3} [0-9]{7}$"), ..all.clone() });
    count("count, case folded", Query { text: text("ROWS", Syntax::Literal, Case::Insensitive), ..all.clone() });
    page("absent token", Query { text: literal("5eadfacade0813d7"), ..newest.clone() });
    page("absent pair of words", Query { text: literal("assertions harbor"), ..newest.clone() });
    page("newest 100", newest.clone());
    page("newest 100 errors", Query { level_min: Level::Error, ..newest.clone() });
    page("newest 100 of a regex", Query { text: regex("pace=4[0-9]{4}/s"), ..newest.clone() });
    measure("scan everything", bytes, || {
        let mut lines = 0;
        Embedded::open(Path::new(dir)).unwrap().scan(&all, &mut |_| (lines += 1, ControlFlow::Continue(())).1).unwrap();
        lines
    });
}

/// What any search that has to look at every line must do. Tells how many bytes of messages there are.
fn decompress(path: &Path) -> u64 {
    let reader = Reader::open(path).unwrap();
    let once = || {
        let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || {
            let mut block = Block::default();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= reader.blocks().len() {
                    return;
                }
                reader.read_into(at, &mut block).unwrap();
                bytes.fetch_add(block.text().len() as u64, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| (0..cores()).for_each(|_| drop(scope.spawn(work))));
        bytes.into_inner()
    };
    let bytes = once();
    measure("read and decompress", bytes, once);
    for pattern in ["assertions harbor", "stage finished", "5eadfacade0813d7"] {
        let left = reader.candidates(&GramQuery::literal(pattern.as_bytes(), GramCase::Sensitive)).count();
        println!("the filter leaves {left} of {} blocks for {pattern:?}", reader.blocks().len());
    }
    bytes
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn measure(what: &str, bytes: u64, once: impl Fn() -> u64) {
    let mut times: Vec<(f64, u64)> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let result = once();
            (begun.elapsed().as_secs_f64(), result)
        })
        .collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, result) = times[2];
    println!("{what:28} {:9.1} ms {:7.2} GB/s  = {result}", seconds * 1e3, bytes as f64 / 1e9 / seconds);
}

//! How long does a switch to another session file take, while another thread logs as fast as it can?

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use logboom::LogCollector;
use logboom_bench::measure::quantile;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

const SWITCHES: usize = 300;
const NS_PER_US: f64 = 1e3;

/// The table, and what is promised.
pub fn table(place: &Place) -> anyhow::Result<Table> {
    let method = format!("{SWITCHES} switches by one thread while another logs without a pause; the call alone");
    let mut table =
        Table::new("loggers-switch", "How long does a session switch take?", method, &["", "p50 us", "p99 us"]);
    for (name, boom) in [("text alone", false), ("with a boom file", true)] {
        let dir = place.fresh("switch")?;
        let ns = switches(LogCollector::builder(&dir), boom)?;
        let at = |share| quantile(&ns, share) / NS_PER_US;
        table.row([name.to_owned(), figure(at(0.5)), figure(at(0.99))]);
        table.promise(&format!("{name}: p50"), at(0.5), "us", Bound::AtMost(60.0));
        remove(&dir)?;
    }
    Ok(table)
}

fn switches(builder: logboom::Builder, boom: bool) -> anyhow::Result<Vec<f64>> {
    let collector = if boom { builder } else { builder.text_only() }.build()?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                logboom::info!(collector, "line {} of a thread that does not pause", number);
                number += 1;
            }
        });
        let once = |number: usize| {
            let before = Instant::now();
            let opened = collector.start_new_session_blocking(&format!("session {number}"));
            let took = before.elapsed().as_nanos() as f64;
            // Not while the writer is behind with the one before.
            collector.last_lines(0)?;
            opened.map(|_| took)
        };
        let all: Result<Vec<f64>, _> = (0..SWITCHES).map(once).collect();
        over.store(true, Ordering::Relaxed);
        all.context("cannot switch")
    })
}

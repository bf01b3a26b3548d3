//! How long does a switch to another session file take, while another thread logs as fast as it can?
//!
//! Beside each switch a file is made by open(2) alone, which no switch can be faster than.

use std::fs::File;
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
    let columns = ["", "p50 us", "p99 us", "open(2) alone p50 us", "p99 us"];
    let mut table = Table::new("loggers-switch", "How long does a session switch take?", method, &columns);
    for (name, boom) in [("text alone", false), ("with a boom file", true)] {
        let dir = place.fresh("switch")?;
        let (switches, opens) = switches(LogCollector::builder(&dir), boom)?;
        let at = |ns: &[f64], share| quantile(ns, share) / NS_PER_US;
        let figures = [&switches, &opens].map(|ns| [figure(at(ns, 0.5)), figure(at(ns, 0.99))]);
        table.row([name.to_owned()].into_iter().chain(figures.into_iter().flatten()));
        table.promise(&format!("{name}: p50"), at(&switches, 0.5), "us", Bound::AtMost(60.0));
        remove(&dir)?;
    }
    Ok(table)
}

/// How long each switch took, and each open(2), in nanoseconds.
fn switches(builder: logboom::Builder, boom: bool) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
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
        let once = |number: usize| -> anyhow::Result<(f64, f64)> {
            let before = Instant::now();
            let path = collector.start_new_session_blocking(&format!("session {number}"))?;
            let took = before.elapsed().as_nanos() as f64;
            // Not while the writer is behind with the one before.
            collector.last_lines(0)?;
            let before = Instant::now();
            let bare = File::create_new(path.with_file_name(number.to_string()))?;
            let open_took = before.elapsed().as_nanos() as f64;
            drop(bare);
            Ok((took, open_took))
        };
        let all: anyhow::Result<(Vec<f64>, Vec<f64>)> = (0..SWITCHES).map(once).collect();
        over.store(true, Ordering::Relaxed);
        all.context("cannot switch")
    })
}

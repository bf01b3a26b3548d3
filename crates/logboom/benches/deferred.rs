//! How long does a deferred call take to store its arguments, and the writer to render them?
//!
//! `cargo bench -p logboom --bench deferred` prints, over short rounds, the nanoseconds a call: storing without the
//! frame's head and what comes after it, rendering with the fields in both texts, and `write!` of the same line beside
//! it.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use logboom::deferred::{FieldsWriter, SiteInfo};
use logboom::info;
use logboom::private::{Call, Level, Site, Slot, Takes};

const ROUNDS: usize = 4_000;
/// Few enough that most rounds run undisturbed on a busy machine.
const CALLS_PER_ROUND: u64 = 200;
const PATH: &str = "/var/lib/service/data/segments/2026/11/26/part-000172.bin?range=0-65535&token=abcdefghijklmnop";

/// The last call, in a slot that every call is written into.
struct Last {
    place: RefCell<Vec<u8>>,
    call: RefCell<Option<(&'static Site, usize)>>,
}

impl Takes for Last {
    #[inline]
    fn enabled(&self, level: Level, _: &'static str) -> bool {
        level >= black_box(Level::Info)
    }

    #[inline]
    fn take<F: Fn(&mut Slot<'_>)>(&self, call: Call<F>) {
        let mut place = self.place.borrow_mut();
        let mut slot = Slot::new(&mut place);
        (call.encode)(&mut slot);
        *self.call.borrow_mut() = Some((call.site, slot.payload_bytes()));
    }
}

impl Last {
    /// The site and the payload of the last call.
    fn parts(&self) -> Option<(SiteInfo, Vec<u8>)> {
        let (site, bytes) = (*self.call.borrow())?;
        let head = 24;
        Some((site.info(), self.place.borrow()[head..head + bytes].to_vec()))
    }
}

#[inline(never)]
fn arguments(last: &Last, (job, task, status, micros, path): (u64, u64, u16, u32, &str)) {
    info!(last, "job {} task {} request completed status={} in {}us path={}", job, task, status, micros, path);
}

#[inline(never)]
fn fields(last: &Last, (job, task, status, micros, path): (u64, u64, u16, u32, &str)) {
    info!(last, "job {} task {} request completed", job, task, status = status, micros = micros, path = path);
}

fn main() {
    let last = Last { place: RefCell::new(vec![0; 4096]), call: RefCell::new(None) };
    let values = |round: u64| black_box((round * 123, round * 77_777, 200u16, 5123u32, PATH));
    report("store 5 arguments", |round| arguments(&last, values(round)));
    render("render 5 arguments", &last);
    report("store 2 arguments and 3 fields", |round| fields(&last, values(round)));
    render("render 2 arguments and 3 fields", &last);
    let mut out = Vec::new();
    report("write! of 5 arguments", |round| {
        let (job, task, status, micros, path) = values(round);
        out.clear();
        let line = write!(out, "job {job} task {task} request completed status={status} in {micros}us path={path}");
        black_box((line.is_ok(), &out));
    });
}

fn render(name: &str, last: &Last) {
    let Some((info, payload)) = last.parts() else { return };
    let (mut out, mut fields) = (Vec::new(), FieldsWriter::default());
    report(name, |_| {
        out.clear();
        fields.clear();
        let rendered = info.render(black_box(&payload), &mut out, &mut fields);
        black_box((rendered.is_ok(), &out, fields.finish()));
    });
}

fn report(name: &str, mut call: impl FnMut(u64)) {
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&mut call)).collect();
    rounds.sort_by(f64::total_cmp);
    println!(
        "{name}: {:.1} ns a call (median; {:.1} in the best 5 % of rounds)",
        rounds[ROUNDS / 2],
        rounds[ROUNDS / 20]
    );
}

/// Nanoseconds a call.
fn round(call: &mut impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    (0..CALLS_PER_ROUND).for_each(call);
    start.elapsed().as_nanos() as f64 / CALLS_PER_ROUND as f64
}

//! The tables that are made of what was measured, and what logboom promises.

mod promises;

use logboom_bench::measure::{median, quantile};
use logboom_bench::table::{Table, figure};

use crate::rival::{BASE, NOTES};
use crate::round::{Findings, Rounds};

/// How the figures of several rounds become one.
#[derive(Clone, Copy)]
enum Of {
    Median,
    /// The largest.
    Worst,
    /// The median, divided by that of the base.
    TimesBase,
}

impl Of {
    fn shown(self, value: f64) -> String {
        if matches!(self, Of::Worst) { value.to_string() } else { figure(value) } // a count is shown to the last digit
    }
}

/// A column: its head, the figure in it, and how it comes about.
type Column = (&'static str, &'static str, Of);

const CALLS: [Column; 9] = [
    ("p50 ns", "paced.p50_ns", Of::Median),
    ("p99 ns", "paced.p99_ns", Of::Median),
    ("p99.9 ns", "paced.p999_ns", Of::Median),
    ("max us", "paced.max_us", Of::Median),
    ("p50 x base", "paced.p50_ns", Of::TimesBase),
    ("p99 x base", "paced.p99_ns", Of::TimesBase),
    ("100/s: p50 ns", "slow.call_p50_ns", Of::Median),
    ("in file ms, p50", "slow.seen_p50_ms", Of::Median),
    ("in file ms, max", "slow.seen_max_ms", Of::Median),
];

const LINES: [Column; 9] = [
    ("M lines/s, 1 thread", "threads1.m_lines_per_s", Of::Median),
    ("2 threads", "threads2.m_lines_per_s", Of::Median),
    ("4 threads", "threads4.m_lines_per_s", Of::Median),
    ("1 thread x base", "threads1.m_lines_per_s", Of::TimesBase),
    ("CPU-s per M lines, 1 thread", "threads1.cpu_s_per_m", Of::Median),
    ("4 threads", "threads4.cpu_s_per_m", Of::Median),
    ("1 thread x base", "threads1.cpu_s_per_m", Of::TimesBase),
    ("peak MiB, 1 thread", "threads1.peak_mib", Of::Median),
    ("4 threads", "threads4.peak_mib", Of::Median),
];

const LOSSES: [Column; 10] = [
    ("end", "end.lost", Of::Worst),
    ("exit", "exit.lost", Of::Worst),
    ("panic", "panic.lost", Of::Worst),
    ("abort", "abort.lost", Of::Worst),
    ("kill -9", "kill.lost", Of::Worst),
    ("paced", "paced.lost", Of::Worst),
    ("1 thread", "threads1.lost", Of::Worst),
    ("2 threads", "threads2.lost", Of::Worst),
    ("4 threads", "threads4.lost", Of::Worst),
    ("wake-ups/s, idle", "idle.wakeups_per_s", Of::Median),
];

/// The tables, and below each what logboom promises, as far as it took part.
pub fn all(rounds: &Rounds, findings: &Findings) -> [Table; 3] {
    let rounds_of = |what: String| format!("{what}; {} rounds in which all take turns, medians", rounds.rounds);
    let overhead = findings.of(BASE, "paced.overhead_ns");
    let calls = rounds_of(format!(
        "one thread; {} calls, one every 5 us, by time stamp counter, less the {} ns that reading it takes; {} calls at 100 a second",
        rounds.paced_lines,
        figure(median(overhead.iter().copied())),
        rounds.slow_lines
    ));
    let lines = rounds_of(format!(
        "{} lines of 130 to 180 bytes without a pause, from the first call until the last line is in the file",
        rounds.throughput_lines
    ));
    let losses = format!(
        "lines that are not in the file, the most in {} rounds: of {} when the process ends in a way right after the last call, \
         and of those of the other measurements; wake-ups of the logger's threads after 1000 lines, over 2 s",
        rounds.rounds, rounds.end_lines
    );
    let mut tables = [
        table("loggers-calls", "How long does a call take?", calls, &CALLS, (rounds, findings)),
        table("loggers-lines", "How fast do lines get into the file?", lines, &LINES, (rounds, findings)),
        table("loggers-losses", "What is lost?", losses, &LOSSES, (rounds, findings)),
    ];
    tables[0].notes.extend(NOTES.map(str::to_owned));
    tables[0]
        .notes
        .push("- under `in file`: half of the lines (p50), or one (max), were not there within 3 s.".to_owned());
    tables[2].notes.extend(findings.failures.iter().cloned());
    for (table, promised) in tables.iter_mut().zip([&promises::CALLS[..], &promises::LINES, &promises::LOSSES]) {
        promised.iter().for_each(|promised| promised.keep_in(table, findings));
    }
    tables
}

fn table(
    bench: &str,
    question: &str,
    method: String,
    columns: &[Column],
    (rounds, findings): (&Rounds, &Findings),
) -> Table {
    let heads: Vec<&str> = [""].into_iter().chain(columns.iter().map(|column| column.0)).collect();
    let mut table = Table::new(bench, question, method, &heads);
    for rival in rounds.rivals() {
        let cell = |(_, key, of): &Column| {
            value(findings, rival.name, key, *of).map_or("-".to_owned(), |value| of.shown(value))
        };
        let cells = columns.iter().map(cell);
        table.row([rival.name.to_owned()].into_iter().chain(cells));
    }
    table
}

/// One figure of a logger; none if it was not had in any round.
fn value(findings: &Findings, rival: &'static str, key: &str, of: Of) -> Option<f64> {
    let figures = Some(findings.of(rival, key)).filter(|figures| !figures.is_empty())?;
    let middle = median(figures.iter().copied());
    Some(match of {
        Of::Median => middle,
        Of::Worst => quantile(figures, 1.0),
        Of::TimesBase => middle / value(findings, BASE, key, Of::Median)?,
    })
}

//! What does it cost to read a container that prints as fast as it can?

use anyhow::Context;
use logboom_bench::measure::median;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use super::engine::Docker;
use super::pipes::Pipes;
use super::reader::{Reader, Task};
use super::{Way, shown};
use crate::logboom::Logboom;

const WAYS: [Way; 10] = [
    ("json-file", Reader::Nobody),
    ("json-file", Reader::DockerLogs),
    ("json-file", Reader::Attach),
    ("json-file", Reader::File),
    ("json-file", Reader::Logboom),
    ("local", Reader::Nobody),
    ("local", Reader::Logboom),
    ("none", Reader::Nobody),
    ("none", Reader::Attach),
    ("none", Reader::Logboom),
];

/// What was measured of one way in one round.
struct Turn {
    lines_per_s: f64,
    engine_cpu_s: f64,
    reader_cpu_s: Option<f64>,
    /// Since the container had written the last line.
    lag_ms: Option<f64>,
    /// Since the engine had, to the file that is read.
    lag_of_file_ms: Option<f64>,
}

/// One way, and its turns.
struct Tried {
    way: Way,
    turns: Vec<Turn>,
}

/// Measures in rounds in which all take turns.
pub fn run(docker: &Docker, place: &Place, logboom: &Logboom, lines: u64, rounds: usize) -> anyhow::Result<Table> {
    let mut tried: Vec<Tried> = WAYS.map(|way| Tried { way, turns: Vec::new() }).into();
    for round in 1..=rounds {
        for Tried { way, turns } in &mut tried {
            let turn = turn(*way, docker, place, logboom, lines)
                .with_context(|| format!("{} in round {round}", shown(*way)))?;
            eprintln!(
                "round {round}: {:28} {:>7.0} lines/s, dockerd {:.2} s, reader {:.3} s, lag {:.1} ms, {:.1} ms",
                shown(*way),
                turn.lines_per_s,
                turn.engine_cpu_s,
                turn.reader_cpu_s.unwrap_or_default(),
                turn.lag_ms.unwrap_or_default(),
                turn.lag_of_file_ms.unwrap_or_default()
            );
            turns.push(turn);
        }
    }
    Ok(table(&tried, lines, rounds))
}

fn turn(way: Way, docker: &Docker, place: &Place, logboom: &Logboom, lines: u64) -> anyhow::Result<Turn> {
    let (shared, data) = (place.fresh("containers-shared")?, place.fresh("containers-data")?);
    rustix::fs::sync(); // what the one before left unwritten must not slow this one
    let pipes = Pipes::new(&shared)?;
    let container = docker.create("logboom-bench", way.0, &shared, &[lines.to_string()])?;
    let task = Task { logboom, data: &data, lines, lags: false };
    let mut reader = way.1.begin(&container, &task)?;
    let before = docker.cpu()?;
    let kept_open = pipes.go()?;
    let printed = pipes.printed()?;
    let read_ns = match way.1 {
        Reader::Logboom => Some(reader.written_ns(lines)?),
        _ => reader.seen()?.map(|seen| seen.last_ns),
    };
    container.wait()?;
    let reader_cpu_s = reader.end(lines)?.map(|cpu| cpu.as_secs_f64());
    let logged_ns = if is_by_file(way) { Some(container.logged_ns()?) } else { None };
    let engine_cpu_s = (docker.cpu()? - before).as_secs_f64();
    drop((kept_open, container));
    remove(&shared)?;
    Ok(Turn {
        lines_per_s: lines as f64 * 1e9 / (printed.ended_ns - printed.begun_ns) as f64,
        engine_cpu_s,
        reader_cpu_s,
        lag_ms: read_ns.map(|read_ns| ms_between(printed.ended_ns, read_ns)),
        lag_of_file_ms: read_ns.zip(logged_ns).map(|(read_ns, logged_ns)| ms_between(logged_ns, read_ns)),
    })
}

fn ms_between(earlier_ns: u64, later_ns: u64) -> f64 {
    later_ns.saturating_sub(earlier_ns) as f64 / 1e6
}

fn is_by_file(way: Way) -> bool {
    matches!(way, ("json-file", Reader::File | Reader::Logboom))
}

impl Tried {
    fn median(&self, figure: impl Fn(&Turn) -> Option<f64>) -> f64 {
        median(self.turns.iter().filter_map(figure))
    }

    fn rate(&self) -> f64 {
        self.median(|turn| Some(turn.lines_per_s))
    }

    fn engine_cpu(&self) -> f64 {
        self.median(|turn| Some(turn.engine_cpu_s))
    }

    fn reader_cpu(&self) -> f64 {
        self.median(|turn| turn.reader_cpu_s)
    }

    fn lag(&self) -> f64 {
        self.median(|turn| turn.lag_ms)
    }

    fn lag_of_file(&self) -> f64 {
        self.median(|turn| turn.lag_of_file_ms)
    }

    /// In one round against another, in the middle.
    fn ratio(&self, other: &Tried, figure: impl Fn(&Turn) -> Option<f64>) -> f64 {
        let ratio = |(one, other)| Some(figure(one)? / figure(other)?);
        median(self.turns.iter().zip(&other.turns).filter_map(ratio))
    }
}

fn table(tried: &[Tried], lines: u64, rounds: usize) -> Table {
    let method = format!(
        "one container that prints {lines} numbered lines of 120 bytes as fast as it can, {rounds} rounds in which all take \
         turns, medians; ratios are medians of those within a round"
    );
    let columns = [
        "log driver",
        "who reads",
        "k lines/s",
        "x nobody",
        "dockerd CPU-s",
        "x nobody",
        "reader CPU-s",
        "x `docker logs -f`",
        "lag at the end, ms",
        "after the engine's file, ms",
    ];
    let mut table = Table::new("containers", "What does it cost to read a container?", method, &columns);
    tried.iter().for_each(|one| table.row(cells(one, tried)));
    for one in tried {
        match one.way.1 {
            Reader::Attach => promise(&mut table, one, tried, [0.95, 1.1, 0.15]),
            Reader::File => promise(&mut table, one, tried, [0.65, 1.7, 0.4]),
            _ => {}
        }
    }
    tried.iter().for_each(|one| promise_lag(&mut table, one));
    table.notes.extend(NOTES.map(str::to_owned));
    table
}

const NOTES: [&str; 6] = [
    "Every line was counted, in order, by the reader or in the text log, or there would be no figure.",
    "\"attached\" and \"its file\" are the library's readers, from the bytes to lines and into a null sink; `logboom docker` keeps all \
     lines, in a boom file too. It reads the file of json-file, and is attached where the driver is another.",
    "The rate is the container's own, from its first line to the end of its last write(2). The lag begins with that end, and \
     ends where another process has the last line: the reader, or who looks at the text log.",
    "The engine writes to the file what it took from the container some 70 ms before, at this rate; who reads the file cannot have it \
     earlier, so that its lag is also told from the engine's last write on (to the 4 ms of the kernel's clock).",
    "With driver none nothing holds a container up whom nobody reads but a pipe, and the engine throws away what it prints: it prints ten \
     times as fast as with json-file (the promise speaks of 150 k lines/s), faster than `logboom docker` writes.",
    "dockerd CPU is that of the daemon's process alone, from the first line until the reader and the container have ended.",
];

fn ratio_to(one: &Tried, other: Way, tried: &[Tried], figure: impl Fn(&Turn) -> Option<f64>) -> f64 {
    tried.iter().find(|tried| tried.way == other).map_or(f64::NAN, |other| one.ratio(other, figure))
}

fn reader_ratio(one: &Tried, tried: &[Tried]) -> f64 {
    ratio_to(one, ("json-file", Reader::DockerLogs), tried, |turn| turn.reader_cpu_s)
}

fn cells(one: &Tried, tried: &[Tried]) -> Vec<String> {
    let known = |value: f64| if value.is_finite() { figure(value) } else { "-".to_owned() };
    let nobody = (one.way.0, Reader::Nobody);
    let figures = [
        one.rate() / 1e3,
        ratio_to(one, nobody, tried, |turn| Some(turn.lines_per_s)),
        one.engine_cpu(),
        ratio_to(one, nobody, tried, |turn| Some(turn.engine_cpu_s)),
        one.reader_cpu(),
        reader_ratio(one, tried),
        one.lag(),
        one.lag_of_file(),
    ];
    [one.way.0.to_owned(), one.way.1.name().to_owned()].into_iter().chain(figures.map(known)).collect()
}

fn promise(table: &mut Table, one: &Tried, tried: &[Tried], [rate, engine, reader]: [f64; 3]) {
    let (way, nobody) = (shown(one.way), (one.way.0, Reader::Nobody));
    let lines = ratio_to(one, nobody, tried, |turn| Some(turn.lines_per_s));
    table.promise(&format!("{way}: lines/s"), lines, "x nobody", Bound::AtLeast(rate));
    let cpu = ratio_to(one, nobody, tried, |turn| Some(turn.engine_cpu_s));
    table.promise(&format!("{way}: dockerd CPU"), cpu, "x nobody", Bound::AtMost(engine));
    table.promise(&format!("{way}: reader CPU"), reader_ratio(one, tried), "x `docker logs -f`", Bound::AtMost(reader));
}

fn promise_lag(table: &mut Table, one: &Tried) {
    let way = shown(one.way);
    for (what, lag) in [("lag at the end", one.lag()), ("lag after the engine's file", one.lag_of_file())] {
        if lag.is_finite() {
            table.promise(&format!("{way}: {what}"), lag, "ms", Bound::AtMost(10.0));
        }
    }
}

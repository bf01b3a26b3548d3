//! What does it cost to read a container that prints as fast as it can?

use anyhow::Context;
use logboom_bench::measure::median;
use logboom_bench::place::{Place, remove};
use logboom_bench::table::{Bound, Table, figure};

use super::engine::Docker;
use super::pipes::Pipes;
use super::reader::{Reader, Task};
use crate::logboom::Logboom;

/// A container's log driver, and who reads.
type Way = (&'static str, Reader);

const WAYS: [Way; 8] = [
    ("json-file", Reader::Nobody),
    ("json-file", Reader::DockerLogs),
    ("json-file", Reader::Attach),
    ("json-file", Reader::File),
    ("json-file", Reader::Logboom),
    ("none", Reader::Nobody),
    ("none", Reader::Attach),
    ("none", Reader::Logboom),
];

/// What was measured of one way in one round.
struct Turn {
    lines_per_s: f64,
    engine_cpu_s: f64,
    reader_cpu_s: Option<f64>,
    lag_ms: Option<f64>,
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
                .with_context(|| format!("{}, {} in round {round}", way.0, way.1.name()))?;
            eprintln!(
                "round {round}: {:9} {:16} {:>7.0} lines/s, dockerd {:.2} s, reader {:.3} s, lag {:.1} ms",
                way.0,
                way.1.name(),
                turn.lines_per_s,
                turn.engine_cpu_s,
                turn.reader_cpu_s.unwrap_or_default(),
                turn.lag_ms.unwrap_or_default()
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
    let engine_cpu_s = (docker.cpu()? - before).as_secs_f64();
    drop((kept_open, container));
    remove(&shared)?;
    Ok(Turn {
        lines_per_s: lines as f64 * 1e9 / (printed.ended_ns - printed.begun_ns) as f64,
        engine_cpu_s,
        reader_cpu_s,
        lag_ms: read_ns.map(|read_ns| read_ns.saturating_sub(printed.ended_ns) as f64 / 1e6),
    })
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
    for one in tried.iter().filter(|one| one.lag().is_finite()) {
        table.promise(&format!("{}: lag at the end", shown(one.way)), one.lag(), "ms", Bound::AtMost(10.0));
    }
    table.notes.extend(NOTES.map(str::to_owned));
    table
}

const NOTES: [&str; 4] = [
    "Every line was counted, in order, by the reader or in the text log, or there would be no figure.",
    "\"attached\" and \"its file\" are the library's readers, from the bytes to lines and into a null sink; `logboom docker` keeps all \
     lines, in a boom file too. It reads the file of json-file, and is attached where the driver is none.",
    "The rate is the container's own, from its first line to the end of its last write(2). The lag begins with that end, and \
     ends where another process has the last line: the reader, or who looks at the text log.",
    "dockerd CPU is that of the daemon's process from the first line until the reader and the container have ended.",
];

fn shown(way: Way) -> String {
    format!("{}, {}", way.0, way.1.name())
}

fn find(tried: &[Tried], way: Way) -> Option<&Tried> {
    tried.iter().find(|one| one.way == way)
}

fn rate_ratio(one: &Tried, tried: &[Tried]) -> f64 {
    find(tried, (one.way.0, Reader::Nobody)).map_or(f64::NAN, |nobody| one.ratio(nobody, |turn| Some(turn.lines_per_s)))
}

fn engine_ratio(one: &Tried, tried: &[Tried]) -> f64 {
    find(tried, (one.way.0, Reader::Nobody)).map_or(f64::NAN, |nobody| one.ratio(nobody, |turn| Some(turn.engine_cpu_s)))
}

fn reader_ratio(one: &Tried, tried: &[Tried]) -> f64 {
    find(tried, ("json-file", Reader::DockerLogs)).map_or(f64::NAN, |logs| one.ratio(logs, |turn| turn.reader_cpu_s))
}

fn cells(one: &Tried, tried: &[Tried]) -> Vec<String> {
    let known = |value: f64| if value.is_finite() { figure(value) } else { "-".to_owned() };
    let figures = [
        one.rate() / 1e3,
        rate_ratio(one, tried),
        one.engine_cpu(),
        engine_ratio(one, tried),
        one.reader_cpu(),
        reader_ratio(one, tried),
        one.lag(),
    ];
    [one.way.0.to_owned(), one.way.1.name().to_owned()].into_iter().chain(figures.map(known)).collect()
}

fn promise(table: &mut Table, one: &Tried, tried: &[Tried], [rate, engine, reader]: [f64; 3]) {
    let way = shown(one.way);
    table.promise(&format!("{way}: lines/s"), rate_ratio(one, tried), "x nobody", Bound::AtLeast(rate));
    table.promise(&format!("{way}: dockerd CPU"), engine_ratio(one, tried), "x nobody", Bound::AtMost(engine));
    table.promise(&format!("{way}: reader CPU"), reader_ratio(one, tried), "x `docker logs -f`", Bound::AtMost(reader));
}

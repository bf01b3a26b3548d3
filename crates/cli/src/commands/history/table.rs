//! History as people see it: a strip of outcomes and a picture of durations in each line.

use logboom_files::history::{History, Mark, OfName, OfTest, Series};

use crate::{human, output::Look, visible};

/// So many of the newest are in a strip.
const STRIP_MAX: usize = 30;
/// The heights of a picture.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A cell of a table, and the style of all of it.
struct Cell {
    text: String,
    /// What is written, where that has styles of its own.
    painted: Option<String>,
    to_the_right: bool,
}

impl Cell {
    fn left(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), painted: None, to_the_right: false }
    }

    fn right(text: impl Into<String>) -> Cell {
        Cell { to_the_right: true, ..Cell::left(text) }
    }

    fn styled(text: String, look: Look, sgr: &str) -> Cell {
        Cell { painted: Some(look.paint(sgr, &text)), ..Cell::left(text) }
    }
}

/// A line for each name.
pub fn of_names(past: &History, names: &[OfName<'_>], look: Look) -> Vec<u8> {
    if names.is_empty() {
        return Vec::new();
    }
    let head = ["SESSIONS", "OUTCOMES", "PASSED", "LAST", "MEDIAN", "P95", "TREND", "DURATIONS", "FLAKY", "NAME"];
    let mut rows = vec![head_row(&head, look)];
    for of in names {
        let flaky = match past.flaky_count(of) {
            0 if of.is_flaky => "itself".to_owned(),
            0 => String::new(),
            count => human::counted(count, "test"),
        };
        let mut row = vec![Cell::right(human::count(of.sessions.len() as u64)), strip(&of.series, look)];
        let [passed, durations @ ..] = figures(&of.series, look);
        row.extend([passed, Cell::right(of.series.last_us().map_or(String::new(), human::took))]);
        row.extend(durations);
        row.extend([picture(&of.series), Cell::styled(flaky, look, "33"), Cell::left(visible::plain(of.name))]);
        rows.push(row);
    }
    lines(&rows).into_bytes()
}

/// The name, and a line for each of so many tests.
pub fn of_tests(of: &OfName<'_>, tests: &[OfTest<'_>], shown: usize, look: Look) -> Vec<u8> {
    let mut text = summary(of, look);
    if tests.is_empty() {
        return (text + "no results of tests\n").into_bytes();
    }
    let count = |wanted: &dyn Fn(&OfTest<'_>) -> bool| tests.iter().filter(|test| wanted(test)).count() as u64;
    text += &format!(
        "{}: {} newly failing, {} failing, {} flaky, {} slower\n\n",
        human::counted(tests.len() as u64, "test"),
        human::count(count(&|test| test.is_newly_failing)),
        human::count(count(&|test| test.is_failing)),
        human::count(count(&|test| test.is_flaky)),
        human::count(count(&|test| test.series.has_regressed())),
    );
    let head = ["", "OUTCOMES", "PASSED", "MEDIAN", "P95", "TREND", "DURATIONS", "TEST"];
    let mut rows = vec![head_row(&head, look)];
    for test in tests.iter().take(shown) {
        let mut row = vec![what(test, look), strip(&test.series, look)];
        row.extend(figures(&test.series, look));
        row.extend([picture(&test.series), Cell::left(visible::plain(test.name))]);
        rows.push(row);
    }
    text += &lines(&rows);
    if let Some(more @ 1..) = tests.len().checked_sub(shown) {
        let steady = tests.iter().skip(shown).filter(|test| is_steady(test)).count();
        let all = if steady == more { ", nothing of note" } else { "" };
        text += &format!("and {} more{all}; -n COUNT shows more, --json all\n", human::counted(more as u64, "test"));
    }
    text.into_bytes()
}

fn is_steady(test: &OfTest<'_>) -> bool {
    !test.is_failing && !test.is_flaky && !test.series.has_regressed()
}

fn summary(of: &OfName<'_>, look: Look) -> String {
    let series = &of.series;
    let passed = series.passed_share().map_or(String::new(), |share| format!(", {} passed", percent(share)));
    let mut text =
        format!("{}: {}{passed}", visible::plain(of.name), human::counted(of.sessions.len() as u64, "session"));
    let durations = [("last", series.last_us()), ("median", series.median_us()), ("p95", series.p95_us())];
    for (word, us) in durations.into_iter().filter_map(|(word, us)| Some((word, us?))) {
        text += &format!(", {word} {}", human::took(us));
    }
    text += &series.trend_percent().map_or(String::new(), |trend| format!(", trend {}", signed(trend)));
    text += if of.is_flaky { "; passed and failed on one commit\n" } else { "\n" };
    let (strip, picture) = (strip(series, look), picture(series));
    text + &format!("{}  {}\n", strip.painted.unwrap_or(strip.text), picture.text)
}

fn what(test: &OfTest<'_>, look: Look) -> Cell {
    let mut words = Vec::new();
    match test {
        OfTest { is_newly_failing: true, .. } => words.push("newly failing"),
        OfTest { is_failing: true, .. } => words.push("failing"),
        _ => {}
    }
    words.extend(test.is_flaky.then_some("flaky"));
    words.extend(test.series.has_regressed().then_some("slower"));
    Cell::styled(words.join(", "), look, if test.is_failing { "1;31" } else { "33" })
}

/// Share passed, median, p95, trend.
fn figures(series: &Series, look: Look) -> [Cell; 4] {
    let us = |us: Option<u64>| Cell::right(us.map_or(String::new(), human::took));
    let passed = Cell::right(series.passed_share().map_or(String::new(), percent));
    let trend = series.trend_percent().map_or(String::new(), signed);
    let sgr = if series.has_regressed() { "33" } else { "" };
    let trend = Cell { to_the_right: true, ..Cell::styled(trend, look, sgr) };
    [passed, us(series.median_us()), us(series.p95_us()), trend]
}

/// A letter for each outcome, the newest on the right.
fn strip(series: &Series, look: Look) -> Cell {
    let (newest, has_more) = newest(series);
    let more = if has_more { "…" } else { "" };
    let letters = newest.iter().map(|(mark, _)| mark.letter());
    let painted = newest.iter().map(|(mark, _)| look.paint(sgr(*mark), &mark.letter().to_string()));
    let text: String = more.chars().chain(letters).collect();
    Cell { painted: Some(more.to_owned() + &painted.collect::<String>()), ..Cell::left(text) }
}

/// A bar for each duration, under which outcome it stands; the longest is the highest.
fn picture(series: &Series) -> Cell {
    let (newest, has_more) = newest(series);
    let longest = newest.iter().filter_map(|(_, us)| *us).max().unwrap_or(0).max(1);
    let bar = |us: u64| BARS.get((us as f64 / longest as f64 * 7.0).round() as usize).copied().unwrap_or('█');
    let bars = newest.iter().map(|(_, us)| us.map_or(' ', bar));
    let more = if has_more { "…" } else { "" };
    Cell::left(more.chars().chain(bars).collect::<String>())
}

fn newest(series: &Series) -> (Vec<(Mark, Option<u64>)>, bool) {
    let mut steps = series.steps();
    let left_out = steps.len().saturating_sub(STRIP_MAX);
    (steps.split_off(left_out), left_out > 0)
}

fn sgr(mark: Mark) -> &'static str {
    match mark {
        Mark::Passed => "32",
        Mark::Failed => "1;31",
        Mark::PassedOnRetry | Mark::TimedOut | Mark::Interrupted | Mark::Lost => "33",
        Mark::Running => "36",
        Mark::Skipped | Mark::Absent => "2",
    }
}

/// All is only said where it is all.
fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0).floor())
}

fn signed(trend: f64) -> String {
    if trend.abs() < 0.5 { "0 %".to_owned() } else { format!("{trend:+.0} %") }
}

fn head_row(head: &[&str], look: Look) -> Vec<Cell> {
    let is_figure = |word: &str| matches!(word, "SESSIONS" | "PASSED" | "LAST" | "MEDIAN" | "P95" | "TREND");
    let cell = |word: &&str| Cell { to_the_right: is_figure(word), ..Cell::styled((*word).to_owned(), look, "1") };
    head.iter().map(cell).collect()
}

/// Columns stand below each other; the last is as long as it is.
fn lines(rows: &[Vec<Cell>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.text.chars().count());
            let shown = cell.painted.as_ref().unwrap_or(&cell.text);
            match (column + 1 == columns, cell.to_the_right) {
                (true, _) => text += &format!("{shown}\n"),
                (false, true) => text += &format!("{pad}{shown}  "),
                (false, false) => text += &format!("{shown}{pad}  "),
            }
        }
    }
    text
}

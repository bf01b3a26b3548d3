//! What a bench found: a table for people, with the conditions under which it was made.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer of one bench. It is printed, kept as one line of JSON and later rendered into the documentation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// The subcommand that made it.
    pub bench: String,
    /// What was asked.
    pub question: String,
    /// What was measured, how often and how.
    pub method: String,
    /// The heads of the columns.
    pub columns: Vec<String>,
    /// The cells, as they are shown.
    pub rows: Vec<Vec<String>>,
    /// The figures that were promised.
    pub promises: Vec<Promise>,
    /// What else the reader has to know.
    pub notes: Vec<String>,
}

/// A figure beside the bound that it has to keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// What the figure is.
    pub what: String,
    /// The figure.
    pub figure: f64,
    /// Its unit.
    pub unit: String,
    /// What it is held against.
    pub bound: Bound,
}

/// On which side of the bound a figure has to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The figure may not be below.
    AtLeast(f64),
    /// The figure may not be above.
    AtMost(f64),
}

impl Table {
    /// A table without rows.
    pub fn new(bench: &str, question: &str, method: String, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let (bench, question) = (bench.to_owned(), question.to_owned());
        Self { bench, question, method, columns, rows: Vec::new(), promises: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row; it has as many cells as there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Holds a figure against its bound.
    pub fn promise(&mut self, what: &str, figure: f64, unit: &str, bound: Bound) {
        self.promises.push(Promise { what: what.to_owned(), figure, unit: unit.to_owned(), bound });
    }

    /// The table in Markdown, without its heading.
    pub fn markdown(&self) -> String {
        let mut out = format!("{}\n\n", markdown_rows(&self.columns, &self.rows));
        if !self.promises.is_empty() {
            let columns = ["promised", "bound", "measured", "kept"].map(str::to_owned);
            let rows: Vec<Vec<String>> = self.promises.iter().map(Promise::cells).collect();
            out += &format!("{}\n\n", markdown_rows(&columns, &rows));
        }
        self.notes.iter().for_each(|note| out += &format!("* {note}\n"));
        out
    }
}

impl Promise {
    fn kept(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.figure >= bound,
            Bound::AtMost(bound) => self.figure <= bound,
        }
    }

    fn cells(&self) -> Vec<String> {
        let bound = match self.bound {
            Bound::AtLeast(bound) => format!("at least {} {}", figure(bound), self.unit),
            Bound::AtMost(bound) => format!("at most {} {}", figure(bound), self.unit),
        };
        let kept = if self.kept() { "yes" } else { "**no**" };
        vec![self.what.clone(), bound, format!("{} {}", figure(self.figure), self.unit), kept.to_owned()]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n({})\n\n{}", self.question, self.method, self.markdown())
    }
}

/// A number with three significant digits, or all of those before the point.
pub fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn markdown_rows(columns: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| rows.iter().chain([&columns.to_vec()]).map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>();
    [line(columns), line(&rule)].into_iter().chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([0.0, 0.1234, 1.234, 12.34, 1234.5].map(figure), ["0", "0.123", "1.23", "12.3", "1234"]);
    }

    #[test]
    fn broken_promise_is_shown() {
        let mut table = Table::new("x", "How?", String::new(), &["who", "ms"]);
        table.row(["me".to_owned(), "12".to_owned()]);
        table.promise("time", 12.0, "ms", Bound::AtMost(10.0));
        table.promise("speed", 12.0, "m/s", Bound::AtLeast(10.0));
        let text = table.markdown();
        assert!(text.contains("| who | ms |\n| --- | -- |\n| me  | 12 |"), "{text}");
        assert!(text.contains("at most 10.0 ms") && text.matches("**no**").count() == 1, "{text}");
    }
}

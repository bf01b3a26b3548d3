//! How long does a search take, as a person waits for it: the whole process, on files in the page cache?
//!
//! Every answer is checked against `grep` on the text log before anything is timed: the lines, or their number where only that is
//! asked for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use logboom_bench::RARE_TOKEN;
use logboom_bench::measure::{self, median};
use logboom_bench::place::Place;
use logboom_bench::table::{Bound, Table, figure};
use logboom_record::text::PREFIX_BYTES;

use crate::decompress::Messages;
use crate::logboom::{Logboom, boom_files, text_logs};

/// Measure searches in one large session, beside rg and grep on its text log.
#[derive(clap::Args)]
pub struct Search {
    /// How many lines the session has.
    #[arg(long, default_value_t = 20_000_000)]
    lines: u64,
    /// How often each search is made.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// How often the rivals search.
    #[arg(long, default_value_t = 3)]
    rival_rounds: usize,
}

/// What is looked for, and what is promised for it.
struct Case {
    name: &'static str,
    pattern: &'static str,
    kind: Kind,
    ms_max: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All lines with a literal.
    All,
    /// The number of lines with a literal.
    Count,
    /// The newest 100 lines that match a regex.
    Newest,
}

const NEWEST: usize = 100;
const CASES: [Case; 9] = [
    Case { name: "rare token", pattern: RARE_TOKEN, kind: Kind::All, ms_max: Some(20.0) },
    Case { name: "absent, 16 hex digits", pattern: "5eadfacade0813d7", kind: Kind::All, ms_max: Some(20.0) },
    Case {
        name: "absent, 32 hex digits",
        pattern: "93b885adfe0da089cdf634904fd59f71",
        kind: Kind::All,
        ms_max: Some(20.0),
    },
    Case { name: "absent UUID", pattern: "0b6fd1a2-7c1e-4d29-9e53-fa84c2d0716b", kind: Kind::All, ms_max: Some(20.0) },
    Case { name: "absent pair of common words", pattern: "assertions harbor", kind: Kind::All, ms_max: Some(20.0) },
    Case { name: "absent pair of common words", pattern: "stage finished", kind: Kind::All, ms_max: Some(20.0) },
    Case { name: "common literal, counted", pattern: "rows", kind: Kind::Count, ms_max: None },
    Case { name: "common regex, newest 100", pattern: "pace=4[0-9]{4}/s", kind: Kind::Newest, ms_max: Some(30.0) },
    Case { name: "common literal as regex, newest 100", pattern: "seed 9", kind: Kind::Newest, ms_max: Some(30.0) },
];

impl Search {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let dir = logboom.session_of(&place.text(self.lines)?, place)?;
        let log = text_logs(&dir)?.pop().context("the session has no text log")?;
        let method = format!(
            "one session of {} lines, page cache warm, whole processes, medians of {} ({} for rg and grep, which read the \
             text log; newest 100 by `tac |`)",
            self.lines, self.rounds, self.rival_rounds
        );
        let columns = ["", "pattern", "lines", "logboom ms", "rg ms", "grep ms", "rg / logboom"];
        let mut table = Table::new("search", "How long does a search take?", method, &columns);
        for case in &CASES {
            let lines = case.check(&logboom, &dir, &log)?;
            let ours = milliseconds(self.rounds, || case.search(&logboom, &dir))?;
            let [rg, grep] = ["rg", "grep"].map(|rival| milliseconds(self.rival_rounds, || case.rival(rival, &log)));
            let (rg, grep) = (rg?, grep?);
            let pattern = format!("`{}`", case.pattern);
            let cells = [pattern, lines.to_string(), figure(ours), figure(rg), figure(grep), figure(rg / ours)];
            table.row([case.name.to_owned()].into_iter().chain(cells));
            if let Some(bound) = case.ms_max {
                table.promise(case.name, ours, "ms", Bound::AtMost(bound));
            }
        }
        self.newest_errors(&logboom, [&dir, &log], &mut table)?;
        self.beside_zstd(&logboom, &dir, &mut table)?;
        Ok(table)
    }

    /// Holds a count, for which every line must be looked at, against merely decompressing the same blocks.
    fn beside_zstd(&self, logboom: &Logboom, dir: &Path, table: &mut Table) -> anyhow::Result<()> {
        let boom = boom_files(dir)?.pop().context("the session has no boom file")?;
        let messages = Messages::read(&boom)?;
        let case = CASES.iter().find(|case| case.kind == Kind::Count).context("no case counts")?;
        let zstd = messages.seconds()?;
        let ours = milliseconds(self.rounds, || case.search(logboom, dir))? / 1e3;
        let gigabytes = messages.bytes() as f64 / 1e9;
        let what = "zstd decompression alone, every core";
        table.row([what, "", "", &figure(zstd * 1e3), "", "", ""].map(str::to_owned));
        table.notes.push(format!(
            "Counting looks at {} GB/s of messages; zstd alone, from memory, decompresses the same blocks at {} GB/s.",
            figure(gigabytes / ours),
            figure(gigabytes / zstd)
        ));
        table.promise("counting, beside zstd decompression", zstd / ours, "x its rate", Bound::AtLeast(0.8));
        Ok(())
    }

    fn newest_errors(&self, logboom: &Logboom, [dir, log]: [&Path; 2], table: &mut Table) -> anyhow::Result<()> {
        let newest = NEWEST.to_string();
        let arguments = ["--level", "error", "-n", &newest];
        let ours = messages(&logboom.output("tail", dir, &["--json", "--level", "error", "-n", &newest])?)?;
        // The level stands in column 30 of a text line.
        let mut grep = Command::new("sh");
        grep.args(["-c", &format!("tac \"$1\" | grep -m {NEWEST} -E '^.{{30}}E'"), "sh"]).arg(log).env("LC_ALL", "C");
        ensure!(ours == text_messages(&grep.output()?.stdout), "tail --level error -n {NEWEST} and grep differ");
        let ours = milliseconds(self.rounds, || {
            let mut command = logboom.command("tail", dir);
            command.args(arguments);
            command
        })?;
        let cells = ["newest 100 errors", "`tail --level error`", &newest, &figure(ours), "", "", ""];
        table.row(cells.map(str::to_owned));
        table.promise("newest 100 errors", ours, "ms", Bound::AtMost(30.0));
        Ok(())
    }
}

impl Case {
    fn search(&self, logboom: &Logboom, dir: &Path) -> Command {
        let mut command = logboom.command("search", dir);
        match self.kind {
            Kind::All => command.arg(self.pattern),
            Kind::Count => command.args(["--count", self.pattern]),
            Kind::Newest => command.args(["-n", &NEWEST.to_string(), "-e", self.pattern]),
        };
        command
    }

    fn rival(&self, program: &str, log: &Path) -> Command {
        let mut command = Command::new(program);
        match self.kind {
            Kind::All => command.args(["-F", "--", self.pattern]).arg(log),
            Kind::Count => command.args(["-c", "-F", "--", self.pattern]).arg(log),
            Kind::Newest => {
                command = Command::new("sh");
                let newest = format!("tac \"$1\" | {program} -m {NEWEST} -e \"$2\"");
                command.args(["-c", &newest.replace("grep", "grep -E"), "sh"]).arg(log).arg(self.pattern)
            }
        };
        command.env("LC_ALL", "C");
        command
    }

    /// How many lines there are, after making sure that logboom and grep agree.
    fn check(&self, logboom: &Logboom, dir: &Path, log: &Path) -> anyhow::Result<u64> {
        let (mut ours, mut grep) = (self.search(logboom, dir), self.rival("grep", log));
        if self.kind != Kind::Count {
            ours.arg("--json");
        }
        let [ours, grep] = [&mut ours, &mut grep].map(|command| command.stdin(Stdio::null()).output());
        let (ours, grep) = (ours?.stdout, grep?.stdout);
        let lines = match self.kind {
            Kind::Count => {
                ensure!(ours == grep, "{}: logboom and grep count another number of lines", self.pattern);
                String::from_utf8(ours)?.trim().parse()?
            }
            Kind::All | Kind::Newest => {
                let ours = messages(&ours)?;
                ensure!(ours == text_messages(&grep), "{}: logboom and grep find other lines", self.pattern);
                ours.len() as u64
            }
        };
        let absent = self.name.starts_with("absent");
        ensure!((lines == 0) == absent, "{} is found in {lines} lines", self.pattern);
        Ok(lines)
    }
}

/// The messages of what `--json` prints, in an order that does not depend on that of the lines.
fn messages(printed: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut messages = Vec::new();
    for line in printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: serde_json::Value = serde_json::from_slice(line)?;
        messages.push(record["message"].as_str().context("a line without a message")?.to_owned());
    }
    messages.sort_unstable();
    Ok(messages)
}

/// The same of lines of a text log.
fn text_messages(lines: &[u8]) -> Vec<String> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let message = |line: &[u8]| String::from_utf8_lossy(line.get(PREFIX_BYTES..).unwrap_or_default()).into_owned();
    let mut messages: Vec<String> = lines.map(message).collect();
    messages.sort_unstable();
    messages
}

/// The median time of whole processes. They print to a file in memory, since some programs stop early at `/dev/null`.
fn milliseconds(rounds: usize, command: impl Fn() -> Command) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..=rounds {
        let cost = measure::run_search(command().stdin(Stdio::null()).stdout(scratch()?))?;
        times.push(cost.wall.as_secs_f64() * 1e3);
    }
    Ok(median(times.into_iter().skip(1)))
}

fn scratch() -> anyhow::Result<File> {
    let path = PathBuf::from(format!("/dev/shm/logboom-bench-{}", std::process::id()));
    let file = measure::create(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

//! History as JSON: one object a line.

use logboom_files::history::{History, OfName, OfTest, Series};
use logboom_record::{SessionId, Time, json::push_line};
use serde::Serialize;

/// So much is put together before it is written.
const PART_BYTES: usize = 64 << 10;

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
    sessions: usize,
    #[serde(flatten)]
    figures: Figures,
    /// Whether sessions of one commit passed and failed.
    flaky: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    flaky_tests: Option<u64>,
    history: Vec<Session<'a>>,
}

#[derive(Serialize)]
struct Session<'a> {
    id: &'a SessionId,
    started_at: Time,
    outcome: &'static str,
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
}

#[derive(Serialize)]
struct Test<'a> {
    test: &'a str,
    #[serde(flatten)]
    figures: Figures,
    flaky: bool,
    failing: bool,
    newly_failing: bool,
    /// In each session of the name, in the order of its `history`.
    outcomes: Vec<&'static str>,
    durations_us: Vec<Option<u64>>,
}

#[derive(Serialize)]
struct Figures {
    passed_percent: Option<f64>,
    last_duration_us: Option<u64>,
    median_duration_us: Option<u64>,
    p95_duration_us: Option<u64>,
    trend_percent: Option<f64>,
    regressed: bool,
}

impl Figures {
    fn of(series: &Series) -> Figures {
        Figures {
            passed_percent: series.passed_share().map(|share| rounded(share * 100.0)),
            last_duration_us: series.last_us(),
            median_duration_us: series.median_us(),
            p95_duration_us: series.p95_us(),
            trend_percent: series.trend_percent().map(rounded),
            regressed: series.has_regressed(),
        }
    }
}

fn rounded(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

/// A line for each name.
pub fn of_names(past: &History, names: &[OfName<'_>]) -> Vec<u8> {
    let mut text = Vec::new();
    names.iter().for_each(|of| push_line(&mut text, &name(of, Some(past.flaky_count(of)))));
    text
}

/// A line for the name, and one for each test; handed to `put` part by part, as they may be very many.
///
/// # Errors
/// Those of `put`.
pub fn of_tests<E>(
    of: &OfName<'_>,
    tests: &[OfTest<'_>],
    mut put: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut text = Vec::new();
    push_line(&mut text, &name(of, None));
    for test in tests {
        let steps = test.series.steps();
        let line = Test {
            test: test.name,
            figures: Figures::of(&test.series),
            flaky: test.is_flaky,
            failing: test.is_failing,
            newly_failing: test.is_newly_failing,
            outcomes: steps.iter().map(|(mark, _)| mark.as_str()).collect(),
            durations_us: steps.iter().map(|(_, duration)| *duration).collect(),
        };
        push_line(&mut text, &line);
        if text.len() > PART_BYTES {
            put(&text)?;
            text.clear();
        }
    }
    put(&text)
}

fn name<'a>(of: &'a OfName<'_>, flaky_tests: Option<u64>) -> Name<'a> {
    let history = of.sessions.iter().map(|past| Session {
        id: &past.id,
        started_at: past.started_at,
        outcome: past.mark.as_str(),
        duration_us: past.duration_us,
        commit: past.commit.as_deref(),
    });
    Name {
        name: of.name,
        sessions: of.sessions.len(),
        figures: Figures::of(&of.series),
        flaky: of.is_flaky,
        flaky_tests,
        history: history.collect(),
    }
}

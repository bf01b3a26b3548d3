//! Numbers, times and outcomes as people read them.

use std::time::Duration;

use logboom_files::session::Counts;
use logboom_record::{Outcome, RunEnd, TestOutcome, Time};

/// `3,412`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// `1 error`, `2 errors`.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `0.012 s`, `12.4 s`, `3m 05s`, `2h 07m`, `3d 04h`: three or four digits, whatever the length.
pub fn duration(span: Duration) -> String {
    let (ms, s) = (span.as_millis(), span.as_secs());
    match s {
        0 => format!("0.{ms:03} s"),
        1..60 => format!("{}.{} s", s, ms / 100 % 10),
        60..3_600 => format!("{}m {:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d {:02}h", s / 86_400, s / 3_600 % 24),
    }
}

/// The same of microseconds.
pub fn took(us: u64) -> String {
    duration(Duration::from_micros(us))
}

/// How long ago in its largest unit: `12s`, `5m`, `3h`, `2d`.
pub fn age(from: Time, now: Time) -> String {
    let s = between(from, now).as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..86_400 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// From one moment to a later one; nothing where the clock stepped back.
pub fn between(from: Time, to: Time) -> Duration {
    Duration::from_micros(u64::try_from(to.as_micros() - from.as_micros()).unwrap_or(0))
}

/// What a run is called, with which attempt it is.
pub fn attempt_name(name: &str, attempt: u32) -> String {
    if attempt == 1 { name.to_owned() } else { format!("{name} (attempt {attempt})") }
}

/// `passed`, `failed (exit 101)`, `failed (SIGSEGV)`, `timed out`.
pub fn outcome(outcome: Outcome, end: Option<&RunEnd>) -> String {
    let word = outcome.as_str().replace('_', " ");
    match end {
        Some(RunEnd { signal: Some(signal), .. }) => format!("{word} ({})", signal_name(*signal)),
        Some(RunEnd { exit_code: Some(code), .. }) if *code != 0 => format!("{word} (exit {code})"),
        _ => word,
    }
}

fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// `14 passed, 2 failed, 1 skipped`: of how many tests which is the outcome.
pub fn outcomes(tests: impl Iterator<Item = TestOutcome> + Clone) -> String {
    let outcomes = [TestOutcome::Passed, TestOutcome::Failed, TestOutcome::TimedOut, TestOutcome::Skipped];
    let counts = outcomes.map(|outcome| (outcome, tests.clone().filter(|test| *test == outcome).count() as u64));
    let is_told = |outcome| matches!(outcome, TestOutcome::Passed | TestOutcome::Failed);
    let told = counts.into_iter().filter(|(outcome, count)| *count > 0 || is_told(*outcome));
    let words: Vec<String> =
        told.map(|(outcome, number)| format!("{} {}", count(number), outcome.as_str().replace('_', " "))).collect();
    words.join(", ")
}

/// The style of an outcome, as SGR parameters.
pub fn outcome_sgr(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "36",
        Outcome::Passed => "32",
        Outcome::Failed => "1;31",
        Outcome::TimedOut | Outcome::Interrupted | Outcome::Lost => "33",
    }
}

/// `failed (exit 101) in 12.4 s, 3,412 lines, 2 errors, 0 lost`.
pub fn summary(end: &RunEnd, took: Duration, counts: &Counts) -> String {
    format!(
        "{} in {}, {}, {}, {} lost",
        outcome(end.outcome, Some(end)),
        duration(took),
        counted(counts.lines, "line"),
        counted(counts.errors, "error"),
        count(counts.lost)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_thousands_marked() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "line"), counted(2, "line")), ("1 line".into(), "2 lines".into()));
    }

    #[test]
    fn durations_keep_their_first_digits() {
        let of = |ms| duration(Duration::from_millis(ms));
        assert_eq!([of(12), of(12_449), of(185_000)], ["0.012 s", "12.4 s", "3m 05s"]);
        assert_eq!([of(7_620_000), of(273_600_000)], ["2h 07m", "3d 04h"]);
    }

    #[test]
    fn an_age_has_one_unit_and_is_never_negative() {
        let age = |s: i64| age(Time::from_micros(0), Time::from_micros(s * 1_000_000));
        assert_eq!([age(-5), age(59), age(60), age(7_200), age(200_000)], ["0s", "59s", "1m", "2h", "2d"]);
    }

    #[test]
    fn of_tests_it_is_always_told_how_many_passed_and_failed() {
        use TestOutcome::{Failed, Passed, Skipped, TimedOut};
        let told = |tests: &[TestOutcome]| outcomes(tests.iter().copied());
        assert_eq!(told(&[Passed]), "1 passed, 0 failed");
        assert_eq!(told(&[Skipped, Failed, TimedOut, Passed, Passed]), "2 passed, 1 failed, 1 timed out, 1 skipped");
    }

    #[test]
    fn the_summary_is_one_line() {
        let end =
            RunEnd { ended_at: Time::from_micros(0), outcome: Outcome::Failed, exit_code: Some(101), signal: None };
        let counts = Counts { records: 3_412, lines: 3_412, errors: 2, warnings: 0, lost: 0 };
        let text = summary(&end, Duration::from_millis(12_412), &counts);
        assert_eq!(text, "failed (exit 101) in 12.4 s, 3,412 lines, 2 errors, 0 lost");
        let killed = RunEnd { exit_code: None, signal: Some(11), ..end };
        assert_eq!(outcome(Outcome::Failed, Some(&killed)), "failed (SIGSEGV)");
        assert_eq!(outcome(Outcome::TimedOut, None), "timed out");
    }
}

//! The guess of a line's level, against 2,000 real lines labelled by hand.

use logboom_record::Level;
use logboom_record::level::guess;

include!("fixture/read.rs");

/// The share of the fixture that must be right, in tenths of a percent.
const RIGHT_PER_MILLE_MIN: usize = 980;

#[test]
fn the_fixture_has_two_thousand_lines_of_every_level() {
    let lines = labelled();
    assert_eq!(lines.len(), 2_000);
    assert!(Level::ALL.iter().all(|level| lines.iter().filter(|(label, _)| label == level).count() >= 50));
}

#[test]
fn at_least_98_percent_of_real_lines_get_the_level_a_person_gives_them() {
    let lines = labelled();
    let misses: Vec<String> =
        lines.iter().enumerate().filter_map(|(at, (label, line))| miss(at, *label, line)).collect();
    let right = lines.len() - misses.len();
    assert!(
        right * 1_000 >= lines.len() * RIGHT_PER_MILLE_MIN,
        "{right} of {} lines are right; these are not:\n{}",
        lines.len(),
        misses.join("\n")
    );
    println!("{right} of {} lines are right; these are not:\n{}", lines.len(), misses.join("\n"));
}

fn miss(at: usize, label: Level, line: &[u8]) -> Option<String> {
    let guessed = guess(line).unwrap_or_default();
    (guessed != label).then(|| format!("{}: {guessed}, not {label}: {}", at + 1, line.escape_ascii()))
}

//! Runs processes and tells what they cost.
//!
//! CPU time and peak memory come from the kernel's account of the child (`wait4`). The kernel counts the memory of the
//! process that forks against a child's peak, so the bench itself must stay small where memory is measured: it keeps no
//! input in memory.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use wait4::Wait4;

/// What one process cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// User and system time, its own and of the children that it waited for.
    pub cpu: Duration,
    /// The most memory it had, or the largest of its children.
    pub peak_bytes: u64,
}

/// Runs `command` to its end, which must be a success.
pub fn run(command: &mut Command) -> anyhow::Result<Cost> {
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let (status, cost) = wait(child, started)?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(cost)
}

/// Like [`run`], for a command whose exit code 1 only means that it found nothing.
pub fn run_search(command: &mut Command) -> anyhow::Result<Cost> {
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let (status, cost) = wait(child, started)?;
    ensure!(matches!(status.code(), Some(0 | 1)), "{} ended with {status}", shown(command));
    Ok(cost)
}

/// Runs `cat FILE | sink` and tells what the sink cost, from before either was started to the sink's end.
pub fn feed(input: &Path, sink: &mut Command) -> anyhow::Result<Cost> {
    let started = Instant::now();
    let mut cat = Command::new("cat");
    let mut cat = cat.arg(input).stdout(Stdio::piped()).spawn().context("cannot start cat")?;
    let pipe = cat.stdout.take().context("cat has no stdout")?;
    let child = sink.stdin(pipe).spawn().with_context(|| format!("cannot start {}", shown(sink)))?;
    sink.stdin(Stdio::null()); // drops our copy of the pipe, or cat would never notice that the sink is gone
    let (status, cost) = wait(child, started)?;
    let (cat, _) = wait(cat, started)?;
    ensure!(status.success(), "{} ended with {status}", shown(sink));
    ensure!(cat.success(), "cat ended with {cat}: {} did not read everything", shown(sink));
    Ok(cost)
}

fn wait(child: Child, started: Instant) -> anyhow::Result<(ExitStatus, Cost)> {
    let end = child.wait4()?;
    let wall = started.elapsed();
    Ok((end.status, Cost { wall, cpu: end.rusage.utime + end.rusage.stime, peak_bytes: end.rusage.maxrss }))
}

/// Sends everything a command prints nowhere.
pub fn silenced(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// A file to print to.
pub fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

/// The middle of `values`, or the mean of the two in the middle; not a number if there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// The value that `share` (from 0 to 1) of `values` do not exceed; not a number if there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn shown(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let words: Vec<_> = std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn quantile_is_a_value_that_was_seen() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (50.0, 99.0, 100.0));
    }

    #[test]
    fn sink_gets_everything_and_is_charged_for_its_own_time() {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::write(&input, "a line\n".repeat(100_000)).unwrap();
        let cost = feed(&input, Command::new("cat").stdout(create(&output).unwrap())).unwrap();
        assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(&input).unwrap());
        assert!(cost.peak_bytes > 0 && cost.wall > Duration::ZERO);
    }

    #[test]
    fn sink_that_fails_or_stops_reading_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("in");
        std::fs::write(&input, "a line\n".repeat(100_000)).unwrap();
        assert!(feed(&input, &mut Command::new("false")).is_err());
        assert!(feed(&input, Command::new("head").arg("-n1").stdout(Stdio::null())).is_err());
    }
}

//! Where lines go that nobody keeps: every one is counted, and must be the one that follows.

use logboom_bench::measure::quantile;
use serde::{Deserialize, Serialize};

use super::print::parsed;
use crate::produce::now_ns;

/// What stands before the text in a text log: time, stream, level. The letter of the stream is a small one where the line goes on.
const HEAD_BYTES: usize = "2026-01-02T03:04:05.123456Z O I ".len();
const STREAM_AT: usize = HEAD_BYTES - 4;

/// Takes the lines of one container.
#[derive(Default)]
pub struct Sink {
    next: u64,
    last_ns: u128,
    lags_ms: Option<Vec<f64>>,
    wrong: Option<String>,
}

/// What was seen of the lines.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// How many numbered lines there were.
    pub lines: u64,
    /// When the last of them was there, in nanoseconds since 1970.
    pub last_ns: u64,
    /// How long after it was printed each of the lines was there: the middle, 99 of 100, and the slowest. Empty where nobody asked.
    pub lags_ms: Vec<f64>,
}

impl Sink {
    /// Also notes how long each line took.
    pub fn noting_lags(note: bool) -> Self {
        Self { lags_ms: note.then(Vec::new), ..Self::default() }
    }

    /// Takes a line, which is there since `now_ns`; its newline is not a part of it. Tells the hello by `false`.
    pub fn take(&mut self, line: &[u8], now_ns: u128) -> bool {
        let Some((number, printed_ns)) = parsed(line) else { return false };
        if number != self.next && self.wrong.is_none() {
            self.wrong = Some(format!("line {number} where {} was to come", self.next));
        }
        (self.next, self.last_ns) = (number + 1, now_ns);
        if let Some(lags_ms) = &mut self.lags_ms {
            lags_ms.push((now_ns as f64 - printed_ns as f64) / 1e6);
        }
        true
    }

    pub fn lines(&self) -> u64 {
        self.next
    }

    /// # Errors
    /// If a line was not the next, or they are not as many.
    pub fn seen(self, lines: u64) -> anyhow::Result<Seen> {
        anyhow::ensure!(self.wrong.is_none(), "{}", self.wrong.unwrap_or_default());
        anyhow::ensure!(self.next == lines, "{} lines of {lines}", self.next);
        let lags = self.lags_ms.unwrap_or_default();
        let lags_ms =
            if lags.is_empty() { lags } else { [0.5, 0.99, 1.0].map(|share| quantile(&lags, share)).to_vec() };
        Ok(Seen { lines, last_ns: self.last_ns as u64, lags_ms })
    }
}

/// Puts the lines of a text log together that are there in parts, as those are that stayed unfinished for a while.
#[derive(Default)]
pub struct Joining(Vec<u8>);

impl Joining {
    /// Takes a line of a text log; gives the line that a container has printed, if that is whole now.
    pub fn take(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let (head, text) = line.split_at_checked(HEAD_BYTES).unwrap_or((line, &[]));
        self.0.extend_from_slice(text);
        let is_part = head.get(STREAM_AT).is_some_and(u8::is_ascii_lowercase);
        (!is_part).then(|| std::mem::take(&mut self.0))
    }
}

/// The clock of the lines, which does not fail on any machine that runs this.
pub fn clock() -> u128 {
    now_ns().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_parts_is_put_together() {
        let mut joining = Joining::default();
        assert_eq!(joining.take(b"2026-01-02T03:04:05.123456Z O I whole"), Some(b"whole".to_vec()));
        assert_eq!(joining.take(b"2026-01-02T03:04:05.123456Z o I in "), None);
        assert_eq!(joining.take(b"2026-01-02T03:04:05.223456Z O I parts"), Some(b"in parts".to_vec()));
    }
}

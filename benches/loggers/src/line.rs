//! The line that everybody logs, and how it is known again in a file.

use std::fmt;
use std::sync::LazyLock;

const JOB_FIRST: u64 = 7_300_000_000_000;
const TASK_FIRST: u64 = 1_000_000_000_000;
const STATUSES: [u16; 8] = [200, 200, 200, 204, 301, 404, 409, 503];
const PATH_BYTES_MIN: usize = 52;
const PATH_BYTES_MAX: usize = 92;
const SEED: u64 = 42;

/// Made once, so that a path costs a loop that logs nothing.
static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| (0..64).map(path).collect());

/// What is to be logged: arguments, not yet text. As text it has 130 to 180 bytes.
pub struct Line<'a> {
    /// Tells the thread.
    pub job: u64,
    /// Tells which of the thread's lines this is.
    pub task: u64,
    pub status: u16,
    pub us: u32,
    pub path: &'a str,
    /// The text, for a logger that takes nothing else; else empty.
    pub ready: String,
}

impl Line<'static> {
    /// The line number `index` (from 0) of a thread: always the same.
    pub fn at(thread: u64, index: u64) -> Self {
        let bits = mixed(index ^ (thread << 40) ^ SEED);
        Self {
            job: JOB_FIRST + thread,
            task: TASK_FIRST + index,
            status: STATUSES[bits as usize % STATUSES.len()],
            us: (bits >> 8) as u32 % 1_000_000,
            path: &PATHS[(bits >> 40) as usize % PATHS.len()],
            ready: String::new(),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, task, status, us, path, .. } = self;
        write!(out, "job {job} task {task} request completed status={status} in {us}us path={path}")
    }
}

/// Which line stands in `text` after whatever the logger put before it: thread and index. None if it is not whole.
pub fn known(text: &str) -> Option<(u64, u64)> {
    let message = &text[text.find("job ")?..];
    let mut words = message.split(' ').skip(1).step_by(2);
    let thread = words.next()?.parse::<u64>().ok()?.checked_sub(JOB_FIRST)?;
    let index = words.next()?.parse::<u64>().ok()?.checked_sub(TASK_FIRST)?;
    let expected = Line::at(thread, index).to_string();
    (message.trim_end() == expected).then_some((thread, index))
}

/// Steele's and Vigna's SplitMix64.
fn mixed(seed: u64) -> u64 {
    let step = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (step ^ (step >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn path(number: u64) -> String {
    let bytes = PATH_BYTES_MIN + number as usize % (PATH_BYTES_MAX - PATH_BYTES_MIN + 1);
    let mut path = format!("/api/v2/tenants/{:x}", mixed(number));
    for part in 0.. {
        if path.len() >= bytes {
            break;
        }
        path += ["/orders/", "/parts/", "/runs/"][part % 3];
        path += &format!("{:x}", mixed(number + part as u64) >> 24);
    }
    path.truncate(bytes);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_130_to_180_bytes() {
        let lengths: Vec<usize> = (0..10_000).map(|index| Line::at(3, index).to_string().len()).collect();
        assert!(lengths.iter().all(|bytes| (130..=180).contains(bytes)), "{:?}", lengths.iter().max());
    }

    #[test]
    fn only_a_whole_line_is_known() {
        let text = Line::at(2, 77).to_string();
        assert_eq!(known(&format!("2026-01-02T03:04:05Z INFO bench: {text}\n")), Some((2, 77)));
        assert_eq!(known(&text[..text.len() - 1]), None);
        assert_eq!(known(&format!("{text} {text}")), None);
        assert_eq!(known("job of another kind"), None);
    }
}

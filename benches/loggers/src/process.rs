//! What this process has cost so far, as the kernel counts it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

/// User and system time of all its threads, also of those that have ended.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory it had at once, in MiB.
pub fn peak_mib() -> anyhow::Result<f64> {
    Ok(value(Path::new("/proc/self/status"), "VmHWM")? as f64 / 1024.0)
}

/// How often threads other than the first have gone to sleep, which is how often they were woken.
pub fn sleeps_of_others() -> anyhow::Result<u64> {
    let first = std::process::id().to_string();
    let mut sleeps = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if task.file_name() != *first {
            sleeps += value(&task.path().join("status"), "voluntary_ctxt_switches")?;
        }
    }
    Ok(sleeps)
}

fn value(file: &Path, key: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let number = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).with_context(|| format!("{} tells no {key}", file.display()))
}

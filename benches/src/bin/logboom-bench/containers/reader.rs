//! Who reads a container: nobody, or one of these, as a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use logboom_bench::measure;
use logboom_bench::place::remove;
use wait4::Wait4;

use super::engine::Container;
use super::print::{HELLO, parsed};
use super::read::{ATTACHED, READY};
use super::sink::{Joining, Seen, Sink, clock};
use crate::logboom::{Logboom, text_logs};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Enough for the last line of a text log, in parts.
const TAIL_BYTES: u64 = 1024;
/// `docker logs` does not tell when it follows.
const SETTLING: Duration = Duration::from_millis(500);

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Nobody,
    DockerLogs,
    Attach,
    File,
    /// `logboom docker`, which chooses by the container's log driver.
    Logboom,
}

impl Reader {
    pub fn name(self) -> &'static str {
        match self {
            Reader::Nobody => "nobody",
            Reader::DockerLogs => "`docker logs -f`",
            Reader::Attach => "attached",
            Reader::File => "its file",
            Reader::Logboom => "`logboom docker`",
        }
    }

    /// Starts the container, and the reader before or after it as is usual; waits until that reads.
    pub fn begin(self, container: &Container, task: &Task<'_>) -> anyhow::Result<Running> {
        let running = match self {
            Reader::Attach => {
                let mut reader = task.reader(&["attach", &container.name])?;
                reader.hear(ATTACHED)?;
                Some(reader)
            }
            Reader::Logboom => Some(task.logboom(&["--container", &container.name])?),
            _ => None,
        };
        container.start()?;
        let running = match self {
            Reader::File => Some(task.reader(&["file", &container.log_path()?.to_string_lossy()])?),
            Reader::DockerLogs => Some(docker_logs(container)?),
            _ => running,
        };
        let mut running = running.unwrap_or_default();
        running.wait_until_ready(1)?;
        Ok(running)
    }
}

/// What is read, and how.
pub struct Task<'a> {
    pub logboom: &'a Logboom,
    /// Where `logboom docker` may put its sessions; does not exist.
    pub data: &'a Path,
    pub lines: u64,
    /// Whether to note how long each line takes.
    pub lags: bool,
}

impl Task<'_> {
    fn reader(&self, how: &[&str]) -> anyhow::Result<Running> {
        let mut reader = Command::new(std::env::current_exe()?);
        reader.args(["produce", "read", "--lines", &self.lines.to_string()]);
        if self.lags {
            reader.arg("--lags");
        }
        let mut child = reader.args(how).stdout(Stdio::piped()).spawn()?;
        let says = child.stdout.take().map(BufReader::new);
        Ok(Running { child: Some(child), says, data: None })
    }

    /// Starts `logboom docker` for some containers; waits until it follows.
    pub fn logboom(&self, which: &[&str]) -> anyhow::Result<Running> {
        let mut logboom = self.logboom.command("docker", self.data);
        let child = logboom.args(["--quiet", "--until-exit"]).args(which).spawn()?;
        let running = Running { child: Some(child), says: None, data: Some(self.data.to_owned()) };
        let deadline = Instant::now() + PATIENCE;
        while running.text_logs()?.is_empty() {
            ensure!(Instant::now() < deadline, "logboom docker begins no log in {}", self.data.display());
            thread::sleep(LOOK_EVERY);
        }
        Ok(running)
    }

    /// Starts someone who reads what `logboom docker` writes.
    pub fn reader_of(&self, text_log: &Path) -> anyhow::Result<Running> {
        let mut reader = self.reader(&["text", &text_log.to_string_lossy()])?;
        reader.hear(READY)?;
        Ok(reader)
    }
}

fn docker_logs(container: &Container) -> anyhow::Result<Running> {
    let mut docker = Command::new("docker");
    let child = measure::silenced(docker.args(["logs", "--follow", &container.name])).spawn()?;
    Ok(Running { child: Some(child), says: None, data: None })
}

/// A reader at work.
#[derive(Default)]
pub struct Running {
    child: Option<Child>,
    says: Option<BufReader<ChildStdout>>,
    /// Where `logboom docker` writes.
    data: Option<PathBuf>,
}

impl Running {
    /// Waits until the first line of each container is there.
    pub fn wait_until_ready(&mut self, containers: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        if self.says.is_some() {
            return self.hear(READY);
        }
        if self.data.is_none() {
            thread::sleep(SETTLING);
            return Ok(());
        }
        while self.greeted()? < containers {
            ensure!(Instant::now() < deadline, "logboom docker does not get what the containers print");
            thread::sleep(SETTLING / 10);
        }
        Ok(())
    }

    fn greeted(&self) -> anyhow::Result<usize> {
        let mut greeted = 0;
        for log in self.text_logs()? {
            let text = std::fs::read(log)?;
            greeted += usize::from(text.windows(HELLO.len()).any(|bytes| bytes == HELLO));
        }
        Ok(greeted)
    }

    /// Waits until the reader says this.
    fn hear(&mut self, word: &str) -> anyhow::Result<()> {
        let said = self.said()?;
        ensure!(said == word, "a reader says {said:?} and not {word:?}");
        Ok(())
    }

    fn said(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.says.as_mut().context("a reader that says nothing")?.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// What it has seen, for a reader of this program's.
    pub fn seen(&mut self) -> anyhow::Result<Option<Seen>> {
        if self.says.is_none() {
            return Ok(None);
        }
        let said = self.said()?;
        serde_json::from_str(&said).map(Some).with_context(|| format!("a reader says {said:?}"))
    }

    /// The text logs of the containers.
    pub fn text_logs(&self) -> anyhow::Result<Vec<PathBuf>> {
        match &self.data {
            Some(data) if data.join("sessions").exists() => text_logs(data),
            _ => Ok(Vec::new()),
        }
    }

    /// Waits until the last of so many lines is in each text log; tells when that was, in nanoseconds since 1970.
    pub fn written_ns(&self, lines: u64) -> anyhow::Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        for log in self.text_logs()? {
            let mut file = File::open(&log)?;
            while last_number(&mut file)? != Some(lines - 1) {
                ensure!(Instant::now() < deadline, "not all lines come to {}", log.display());
                thread::sleep(LOOK_EVERY);
            }
        }
        Ok(clock() as u64)
    }

    pub fn pid(&self) -> anyhow::Result<i32> {
        Ok(i32::try_from(self.child.as_ref().context("nobody reads")?.id())?)
    }

    /// Waits for its end; gives the processor time that it has taken in all, if somebody read.
    ///
    /// # Errors
    /// If it fails, or `logboom docker` has not each of so many lines once in each text log.
    pub fn end(mut self, lines: u64) -> anyhow::Result<Option<Duration>> {
        let Some(child) = self.child.take() else { return Ok(None) };
        let end = child.wait4()?;
        ensure!(end.status.success(), "a reader ended with {}", end.status);
        for log in self.text_logs()? {
            check(&log, lines)?;
        }
        if let Some(data) = &self.data {
            remove(data)?;
        }
        Ok(Some(end.rusage.utime + end.rusage.stime))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended by itself cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The number of the last line of a file that grows.
fn last_number(file: &mut File) -> anyhow::Result<Option<u64>> {
    let from = file.seek(SeekFrom::End(0))?.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let (mut tail, mut joining) = (Vec::new(), Joining::default());
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &tail[..end]);
    let last = whole.split(|byte| *byte == b'\n').filter_map(|line| joining.take(line)).last();
    Ok(last.and_then(|line| parsed(&line)).map(|(number, _)| number))
}

fn check(log: &Path, lines: u64) -> anyhow::Result<()> {
    let (mut sink, mut joining) = (Sink::default(), Joining::default());
    for line in BufReader::new(File::open(log)?).split(b'\n') {
        if let Some(line) = joining.take(&line?) {
            sink.take(&line, 0);
        }
    }
    sink.seen(lines).map(drop).with_context(|| format!("in {}", log.display()))
}

//! The readers that keep nothing, each a process of its own so that the kernel tells what it cost.
//!
//! They use the library as `logboom docker` does, from the bytes to lines, and count the lines. Each says `ready` when the
//! first line is there, and what it has seen at the end.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::Context;
use logboom_capture::docker::logfile::LogFile;
use logboom_capture::docker::tailer::{News, Tailer, Token};
use logboom_capture::engine::{BlockingFrames, Engine, Framing, Host};
use logboom_capture::lines::Splitter;
use logboom_capture::services::feed::Delivery;
use rustix::fs::inotify;

use super::sink::{Joining, Sink, clock};

/// What the reader says when it has attached, and when it has the first line.
pub const ATTACHED: &str = "attached";
pub const READY: &str = "ready";
const PATIENCE: Duration = Duration::from_secs(120);

/// Read the lines of a container, and keep none.
#[derive(clap::Args)]
pub struct Read {
    #[command(subcommand)]
    how: How,
    /// How many there are.
    #[arg(long)]
    lines: u64,
    /// Tell how long each took.
    #[arg(long)]
    lags: bool,
}

#[derive(clap::Subcommand)]
enum How {
    /// Attached to the container.
    Attach { container: String },
    /// From the engine's file.
    File { path: PathBuf },
    /// From a text log of logboom's, as others read it.
    Text { path: PathBuf },
}

impl Read {
    pub fn run(&self) -> anyhow::Result<()> {
        let sink = match &self.how {
            How::Attach { container } => self.attached(container)?,
            How::File { path } => self.log_file(path)?,
            How::Text { path } => self.text(path)?,
        };
        say(&serde_json::to_string(&sink.seen(self.lines)?)?)
    }

    fn attached(&self, container: &str) -> anyhow::Result<Sink> {
        let mut frames = attach(container)?;
        say(ATTACHED)?;
        let (mut lines, mut splitter) = (Lines::new(self.lags), Splitter::default());
        while let Some(frame) = frames.next()? {
            let now = clock();
            splitter.push(frame.bytes, now, |part| lines.take(part.message, now));
            while let Some(frame) = frames.next_at_hand()? {
                splitter.push(frame.bytes, now, |part| lines.take(part.message, now));
            }
        }
        Ok(lines.sink)
    }

    fn log_file(&self, path: &Path) -> anyhow::Result<Sink> {
        let (done, all) = channel();
        let mut taken = Taken { lines: Lines::new(self.lags), splitter: Splitter::default(), wanted: self.lines, done };
        let tailer = Tailer::start(move |_, news| taken.take(news))?;
        tailer.add(Token(0), LogFile::new(path, None));
        let sink = all.recv_timeout(PATIENCE).context("not all lines came")?;
        tailer.stop();
        sink
    }

    fn text(&self, path: &Path) -> anyhow::Result<Sink> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&inotify, path, inotify::WatchFlags::MODIFY)?;
        let mut room = vec![MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&inotify, &mut room);
        let (mut file, mut buffer) = (File::open(path)?, vec![0; 256 << 10]);
        let (mut lines, mut splitter, mut joining) = (Lines::new(self.lags), Splitter::default(), Joining::default());
        while lines.sink.lines() < self.lines {
            let read = file.read(&mut buffer)?;
            let now = clock();
            splitter.push(&buffer[..read], now, |part| {
                joining.take(part.message).into_iter().for_each(|line| lines.take(&line, now));
            });
            if read == 0 {
                events.next()?;
            }
        }
        Ok(lines.sink)
    }
}

fn attach(container: &str) -> anyhow::Result<BlockingFrames> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let engine = Engine::connect(&Host::from_environment()?).await?;
        let frames = engine.attach(container, Framing::Multiplexed).await?.into_blocking()?;
        frames.ok().context("the engine attaches within HTTP")
    })
}

fn say(what: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    Ok(out.flush()?)
}

/// Takes lines, and says at the first that they come.
struct Lines {
    sink: Sink,
    is_ready: bool,
}

impl Lines {
    fn new(lags: bool) -> Lines {
        Lines { sink: Sink::noting_lags(lags), is_ready: false }
    }

    fn take(&mut self, line: &[u8], now_ns: u128) {
        if !self.sink.take(line, now_ns) && !self.is_ready {
            self.is_ready = say(READY).is_ok();
        }
    }
}

/// What the tailer's thread has.
struct Taken {
    lines: Lines,
    splitter: Splitter<u128>,
    wanted: u64,
    done: Sender<anyhow::Result<Sink>>,
}

impl Taken {
    fn take(&mut self, news: News<'_>) {
        let wrong = match news {
            News::Delivery(delivery) => return self.deliver(delivery),
            News::Lost(lost) => lost.to_string(),
            News::Damage(damage) => damage.to_string(),
            News::Failed(error) => error.to_string(),
            News::Drained => "the log has ended".to_owned(),
        };
        // Nobody listens after the first.
        let _ = self.done.send(Err(anyhow::anyhow!(wrong)));
    }

    fn deliver(&mut self, delivery: &Delivery) {
        let (now, mut rest) = (clock(), &delivery.bytes[..]);
        for piece in &delivery.pieces {
            let (bytes, later) = rest.split_at(piece.len as usize);
            rest = later;
            self.splitter.push(bytes, now, |part| self.lines.take(part.message, now));
        }
        if self.lines.sink.lines() >= self.wanted {
            // Nobody listens after the first.
            let _ = self.done.send(Ok(std::mem::take(&mut self.lines.sink)));
        }
    }
}

//! Reads what containers print, and feeds it to the writer.
//!
//! A log file of the engine is read by the [`Tailer`]'s thread; what has to be asked for comes by a task of its own each
//! container, on the runtime of whoever follows. Neither waits for the other. A source that cannot go on says so and is
//! begun again; only a file that is finished, or a log that the engine has ended, is drained.

use std::{
    collections::HashMap,
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logboom_record::Time;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::Instant,
};

use super::{
    attach::{Attachment, Detached, Outlet},
    counted::{self, Beginning, Counter, Placed},
    early::Early,
    joining::Joined,
    logfile::{LogFile, Resume},
    logs::{self, Entries},
    tailer::{News, Tailer, Token},
};
use crate::{
    engine::{BlockingFrames, Container, Engine, EngineError, Framing, LogsQuery},
    services::{
        Feed, ServiceId, ServiceWriter, Source,
        feed::{ContainerId, Delivery, FileMark, Lost, Place, Reached, SourceKind, StreamPlace},
    },
};

/// So much is put together before it is handed over.
const DELIVERY_BYTES: usize = 64 << 10;
/// How long until an answer that broke off is asked for again, which may break off again at once.
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(20);
/// How long a source waits that must not hold up the runtime, where the writer has too much already.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// How long a log that rotates is left alone that had something new, and one that had nothing where nobody says that it has.
const POLL_PAUSE: Duration = Duration::from_millis(20);
const POLL_AT_LATEST: Duration = Duration::from_secs(5);
/// It is not left alone where so many entries were new.
const MANY: u64 = 2_000;
/// When an answer that goes on with what comes has had all that there was, if nothing came for so long.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

const ROTATED: &str = "lines may be lost: the engine's log lost its beginning before that was read";
const LACKS: &str =
    "the engine's log lacks so much of what came before that some of what it has since may be taken for that";

/// What a source has to say.
#[derive(Debug)]
pub(super) enum Said {
    /// All that there was, and will be, is handed over.
    Drained(Token, Left),
    /// It cannot be read at the moment, or in part; for a person.
    Trouble(Token, String),
    /// An answer of the logs API ended or broke off.
    Ended(Token, LogsEnd),
    /// A container that was just created is attached to, if that could be done.
    Early(Box<Early>),
    /// A container that was attached to has ended, or the connection broke; all that came is handed over.
    Detached(Token, Box<Detached>),
}

/// How an answer of the logs API ended.
#[derive(Debug)]
pub(super) struct LogsEnd {
    /// How far it had come.
    pub reached: Reached,
    /// Whether it was to go on with what comes. Engines end such an answer when the container ends, maybe before all was said.
    pub followed: bool,
    /// Why it broke off, if it did.
    pub why: Option<EngineError>,
}

/// Where a source was left, to be gone on with.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    pub reached: Reached,
    pub files: Vec<(u64, FileMark)>,
}

impl Left {
    /// A source that needs no files.
    pub fn at(reached: Reached) -> Left {
        Left { reached, files: Vec::new() }
    }

    /// Takes note of a delivery.
    fn pass(&mut self, delivery: &Delivery) {
        let at = StreamPlace { at: delivery.reached, ..StreamPlace::default() };
        self.reached = Reached { stdout: at, stderr: at };
        if let Some(mark) = delivery.file {
            let part = delivery.pieces.first().map_or(delivery.reached.part, |piece| piece.at.part);
            self.files.retain(|(other, _)| *other != part);
            self.files.push((part, mark));
        }
        self.files.retain(|(part, _)| *part >= delivery.reached.part);
    }
}

/// The engine's log of a container on this machine.
pub(super) struct LocalLog {
    pub path: PathBuf,
    /// The size at which the engine rotates it.
    pub bytes_max: Option<u64>,
}

/// What one container's output is read for.
#[derive(Clone)]
struct Target {
    service: ServiceId,
    feed: Feed,
    /// What was printed before is not wanted.
    since_ns: Option<i64>,
    /// How far it is handed over.
    left: Left,
    /// Places are counts: the source began as attached streams.
    counter: Option<Arc<Mutex<Counter>>>,
}

/// All that is read.
pub(super) struct Sources {
    writer: Arc<ServiceWriter>,
    tailer: Option<Tailer>,
    targets: Arc<Mutex<HashMap<Token, Target>>>,
    tasks: HashMap<Token, (JoinHandle<()>, Arc<Notify>)>,
    attachments: HashMap<Token, Attachment>,
    said: mpsc::UnboundedSender<Said>,
}

impl Sources {
    /// Reads nothing yet. What sources say goes to `said`: at most a few things a container, so it needs no bound.
    ///
    /// # Errors
    /// If there is no thread left.
    pub fn new(writer: Arc<ServiceWriter>, said: mpsc::UnboundedSender<Said>) -> io::Result<Sources> {
        let targets: Arc<Mutex<HashMap<Token, Target>>> = Arc::default();
        let (theirs, to, hand) = (Arc::clone(&targets), said.clone(), Arc::clone(&writer));
        let tailer = Tailer::start(move |token, news| take_news(&theirs, &hand, &to, token, news))?;
        Ok(Sources { writer, tailer: Some(tailer), targets, tasks: HashMap::new(), attachments: HashMap::new(), said })
    }

    /// Reads the engine's log file, from where `source` has come to.
    pub fn read_file(
        &mut self,
        token: Token,
        service: ServiceId,
        file: LocalLog,
        source: Source,
        since_ns: Option<i64>,
    ) {
        let Source { reached, files, .. } = &source;
        self.aim(token, service, since_ns, Left { reached: *reached, files: files.clone() });
        let resume = (!files.is_empty()).then_some(Resume { reached: *reached, files });
        let log = LogFile::new(&file.path, resume).with_file_bytes_max(file.bytes_max);
        self.writer.begin(service, source);
        if let Some(tailer) = &self.tailer {
            tailer.add(token, log);
        }
    }

    /// Reads by the logs API, from where `source` has come to.
    pub fn read_logs(&mut self, token: Token, service: ServiceId, of: &Asked, source: Source, since_ns: Option<i64>) {
        let reached = source.reached;
        self.aim(token, service, since_ns, Left::at(reached));
        self.writer.begin(service, source);
        self.ask(token, of, reached, Duration::ZERO);
    }

    /// Reads by the logs API from the beginning of the log what is not handed over yet of a source that began as attached streams.
    pub fn read_counted(&mut self, token: Token, service: ServiceId, of: &Asked, counter: Counter) {
        let counter = Some(Arc::new(Mutex::new(counter)));
        let target =
            Target { service, feed: self.writer.feed(service), since_ns: None, left: Left::default(), counter };
        lock(&self.targets).insert(token, target);
        self.ask(token, of, Reached::default(), Duration::ZERO);
    }

    /// Says again, after a while, that an attachment has ended.
    pub fn detached_later(&self, token: Token, detached: Detached, after: Duration) {
        let said = self.said.clone();
        // Nobody listens once following has ended.
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let _ = said.send(Said::Detached(token, Box::new(detached)));
        });
    }

    /// Says something of a source, to a person and in its log.
    pub fn trouble(&self, token: Token, why: String) {
        // Nobody listens once following has ended.
        let _ = self.said.send(Said::Trouble(token, why));
    }

    /// How far a source is handed over whose places are counts.
    pub fn counted(&self, token: Token) -> Option<Reached> {
        let counter = lock(&self.targets).get(&token)?.counter.clone()?;
        Some(counter.lock().unwrap_or_else(PoisonError::into_inner).reached())
    }

    /// Reads what comes from a container that is attached to. What the writer is too slow for waits in `dir`.
    ///
    /// # Errors
    /// If there is no thread or no file descriptor left.
    pub fn attach(&mut self, token: Token, service: ServiceId, frames: BlockingFrames, dir: &Path) -> io::Result<()> {
        lock(&self.targets).remove(&token);
        let (outlet, said) = (Outlet::new(Arc::clone(&self.writer), service, dir), self.said.clone());
        // Nobody listens once following has ended.
        let ended = move |detached| drop(said.send(Said::Detached(token, Box::new(detached))));
        self.attachments.insert(token, Attachment::start(frames, outlet, ended)?);
        Ok(())
    }

    /// Attaches to a container that was just created, then says [`Said::Early`].
    pub fn attach_early(&self, engine: &Engine, id: &str) {
        let (said, attaching) = (self.said.clone(), Early::attach(engine.clone(), id.to_owned()));
        // Nobody listens once following has ended.
        tokio::spawn(async move { drop(said.send(Said::Early(Box::new(attaching.await)))) });
    }

    /// Ends an attachment that has not ended by itself after this time.
    pub fn detach(&self, token: Token, after: Duration) {
        let Some(stopper) = self.attachments.get(&token).map(Attachment::stopper) else { return };
        // It ends by itself, and is too late where the stream has ended before.
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            stopper.stop();
        });
    }

    /// Asks again, after [`Said::Ended`].
    pub fn ask_again(&mut self, token: Token, of: &Asked, reached: Reached) {
        self.ask(token, of, reached, ASK_AGAIN_PAUSE);
    }

    fn ask(&mut self, token: Token, of: &Asked, reached: Reached, pause: Duration) {
        let Some(target) = lock(&self.targets).get(&token).cloned() else { return };
        let (to_now, writer) = (Arc::new(Notify::new()), Arc::clone(&self.writer));
        let task = Task {
            token,
            target,
            reached,
            of: of.clone(),
            said: self.said.clone(),
            to_now: Arc::clone(&to_now),
            writer,
        };
        self.tasks.insert(token, (tokio::spawn(task.run_after(pause)), to_now));
    }

    fn aim(&mut self, token: Token, service: ServiceId, since_ns: Option<i64>, left: Left) {
        let target = Target { service, feed: self.writer.feed(service), since_ns, left, counter: None };
        lock(&self.targets).insert(token, target);
    }

    /// The container has ended for good: reads what there is, then says [`Said::Drained`].
    pub fn finish(&self, token: Token) {
        if let Some(tailer) = &self.tailer {
            tailer.finish(token);
        }
    }

    /// Reads by the logs API what there is now, though the container goes on; then it says [`Said::Ended`].
    pub fn read_to_now(&self, token: Token) {
        if let Some((_, to_now)) = self.tasks.get(&token) {
            to_now.notify_one();
        }
    }

    /// Stops reading. What was read is with the writer when this returns.
    pub async fn stop(mut self) {
        if let Some(tailer) = self.tailer.take() {
            tailer.stop();
        }
        for (task, _) in mem::take(&mut self.tasks).into_values() {
            task.abort();
            // Aborted or ended: either is what is wanted.
            let _ = task.await;
        }
        mem::take(&mut self.attachments).into_values().for_each(Attachment::join);
    }
}

fn lock(targets: &Mutex<HashMap<Token, Target>>) -> MutexGuard<'_, HashMap<Token, Target>> {
    targets.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On the tailer's thread.
fn take_news(
    targets: &Mutex<HashMap<Token, Target>>,
    writer: &ServiceWriter,
    said: &mpsc::UnboundedSender<Said>,
    token: Token,
    news: News<'_>,
) {
    let Some(target) = lock(targets).get(&token).cloned() else { return };
    let lost = |why: String| {
        let reached = target.left.reached.from();
        writer.gap(target.service, Lost { time: Time::now(), count: None, why, reached });
    };
    // Nobody listens once following has ended, and then there is nothing to do about it.
    let say = |what| drop(said.send(what));
    match news {
        News::Delivery(delivery) => {
            let mut delivery = mem::take(delivery);
            if let Some(target) = lock(targets).get_mut(&token) {
                target.left.pass(&delivery);
            }
            leave_out_before(&mut delivery, target.since_ns);
            // The writer is gone: that is said where it is waited for.
            let _ = target.feed.push(delivery);
        }
        News::Lost(what) => lost(what.to_string()),
        News::Damage(what) => lost(what.to_string()),
        News::Failed(error) => say(Said::Trouble(token, logboom_files::with_causes(&error))),
        News::Drained => say(Said::Drained(token, target.left.clone())),
    }
}

/// What is asked of the logs API.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub engine: Engine,
    pub container: String,
    pub framing: Framing,
    /// Go on with what comes, until the container ends.
    pub follow: bool,
    /// The log may lose its beginning.
    pub rotates: bool,
}

impl Asked {
    /// Of a container, to follow it.
    pub fn of(engine: &Engine, container: &Container) -> Asked {
        let rotates = counted::beginning(container) != Beginning::Kept && container.log_driver != "journald";
        let framing = container.framing();
        Asked { engine: engine.clone(), container: container.id.clone(), framing, follow: true, rotates }
    }
}

/// Why nothing comes of an answer any more.
enum Ended {
    /// The engine ended it.
    ByEngine,
    /// It was not to be waited for any more.
    ToNow,
}

struct Task {
    token: Token,
    target: Target,
    reached: Reached,
    of: Asked,
    said: mpsc::UnboundedSender<Said>,
    /// Ends the waiting for more.
    to_now: Arc<Notify>,
    writer: Arc<ServiceWriter>,
}

impl Task {
    async fn run_after(self, pause: Duration) {
        tokio::time::sleep(pause).await;
        let mut entries = Entries::new(self.of.framing, self.reached);
        let (followed, ended) = self.run(&mut entries).await;
        let end = LogsEnd { reached: entries.reached(), followed, why: ended.err() };
        let _ = self.said.send(Said::Ended(self.token, end));
    }

    /// Reads until there is no more. Tells whether what would have come later was waited for.
    async fn run(&self, entries: &mut Entries) -> (bool, Result<(), EngineError>) {
        let ended = match (self.of.follow, self.of.rotates) {
            (false, _) => Ok(Ended::ToNow),
            (true, false) => self.read(entries, true).await,
            (true, true) => self.poll(entries).await,
        };
        match ended {
            // What was on its way comes by an answer that ends.
            Ok(Ended::ToNow) => (false, self.read(entries, false).await.map(drop)),
            ended => (true, ended.map(drop)),
        }
    }

    /// Asks for what came, again and again: an engine that follows a log which rotates leaves out what it was too slow for.
    async fn poll(&self, entries: &mut Entries) -> Result<Ended, EngineError> {
        loop {
            self.read(entries, false).await?;
            let ended = match entries.new_entries() {
                0 => self.wait_for_more(entries).await?,
                MANY.. => None,
                _ => tokio::select! {
                    () = self.to_now.notified() => Some(Ended::ToNow),
                    () = tokio::time::sleep(POLL_PAUSE) => None,
                },
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Waits until the log has another entry than the one that was the last, or nothing more is to be waited for.
    async fn wait_for_more(&self, entries: &Entries) -> Result<Option<Ended>, EngineError> {
        let query = LogsQuery { follow: true, tail: Some(1), ..LogsQuery::default() };
        let mut frames = self.of.engine.logs(&self.of.container, self.of.framing, &query).await?;
        let until = Instant::now() + POLL_AT_LATEST;
        loop {
            tokio::select! {
                () = self.to_now.notified() => return Ok(Some(Ended::ToNow)),
                () = tokio::time::sleep_until(until) => return Ok(None),
                next = frames.next() => match next? {
                    None => return Ok(Some(Ended::ByEngine)),
                    Some(frame) if entries.is_last(&frame) => {}
                    Some(_) => return Ok(None),
                },
            }
        }
    }

    /// Reads behind what came, asking for more of the log until it is seen where that is.
    async fn read(&self, entries: &mut Entries, follow: bool) -> Result<Ended, EngineError> {
        loop {
            if let Some(ended) = self.read_last(entries, follow).await? {
                return Ok(ended);
            }
        }
    }

    /// Reads an answer. Gives nothing if it has too few of the last entries.
    async fn read_last(&self, entries: &mut Entries, follow: bool) -> Result<Option<Ended>, EngineError> {
        let since_ns = self.target.since_ns.filter(|_| entries.is_at_beginning());
        let query = LogsQuery { follow, since_ns, tail: entries.begin(), ..LogsQuery::default() };
        let mut frames = self.of.engine.logs(&self.of.container, self.of.framing, &query).await?;
        let mut delivery = logs::delivery(Time::now());
        loop {
            // What is there at once goes together.
            let next = tokio::select! {
                biased;
                () = self.to_now.notified(), if follow && delivery.pieces.is_empty() => return Ok(Some(Ended::ToNow)),
                next = frames.next() => Some(next),
                () = std::future::ready(()), if !delivery.pieces.is_empty() => None,
                () = tokio::time::sleep(SETTLED_AFTER), if follow && !entries.is_settled() => {
                    let joined = entries.settle(false, &mut delivery);
                    if self.is_short(joined, entries) {
                        return Ok(None);
                    }
                    continue;
                }
            };
            let frame = match next {
                Some(Ok(Some(frame))) => frame,
                Some(Ok(None)) => break,
                None => {
                    self.hand_over(&mut delivery).await;
                    continue;
                }
                Some(Err(error)) => {
                    self.hand_over(&mut delivery).await;
                    return Err(error);
                }
            };
            if delivery.pieces.is_empty() {
                delivery.time = Time::now();
            }
            let pushed = entries.push(&frame, &mut delivery);
            let is_short = pushed.as_ref().is_ok_and(|joined| self.is_short(*joined, entries));
            if delivery.bytes.len() >= DELIVERY_BYTES || pushed.is_err() || is_short {
                self.hand_over(&mut delivery).await;
            }
            pushed.map_err(|bad| self.of.engine.unreadable_logs(&self.of.container, bad))?;
            if is_short {
                return Ok(None);
            }
        }
        let is_short = !entries.is_settled() && {
            let joined = entries.settle(true, &mut delivery);
            self.is_short(joined, entries)
        };
        self.hand_over(&mut delivery).await;
        Ok((!is_short).then_some(Ended::ByEngine))
    }

    /// Whether more of the log is to be asked for. Where it has lost what came last, that is told.
    fn is_short(&self, joined: Joined, entries: &Entries) -> bool {
        if joined == Joined::Torn {
            if self.target.counter.is_none() {
                self.begin(SourceKind::LogsApi, *entries.from());
            }
            self.lose(ROTATED);
            let _ = self.said.send(Said::Trouble(self.token, ROTATED.to_owned()));
        }
        joined == Joined::Short
    }

    async fn hand_over(&self, delivery: &mut Delivery) {
        let mut entries = mem::take(delivery);
        leave_out_before(&mut entries, self.target.since_ns);
        let Some(counter) = &self.target.counter else { return self.push(entries).await };
        let placed = counter.lock().unwrap_or_else(PoisonError::into_inner).place(&entries);
        for placed in placed {
            match placed {
                Placed::Delivery(delivery) => self.push(delivery).await,
                Placed::Anew { reached, is_doubtful } => self.begin_anew(reached, is_doubtful),
            }
        }
    }

    /// The log lacks what came last by attached streams.
    fn begin_anew(&self, reached: Reached, is_doubtful: bool) {
        self.begin(SourceKind::Attached, reached);
        if is_doubtful {
            self.lose(LACKS);
        }
    }

    fn begin(&self, kind: SourceKind, reached: Reached) {
        let container = ContainerId::parse(&self.of.container).unwrap_or_default();
        self.writer.begin(self.target.service, Source { reached, ..Source::new(container, kind) });
    }

    fn lose(&self, why: &str) {
        let lost = Lost { time: Time::now(), count: None, why: why.to_owned(), reached: Place::default() };
        self.writer.gap(self.target.service, lost);
    }

    async fn push(&self, mut full: Delivery) {
        while !full.pieces.is_empty()
            && let Err(back) = self.target.feed.try_push(full)
        {
            if self.target.feed.is_closed() {
                return;
            }
            full = back;
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

/// How a container's output is best read.
pub(super) fn kind_of(log_driver: &str, has_file: bool) -> SourceKind {
    match (log_driver, has_file) {
        ("json-file", true) => SourceKind::LogFile,
        _ => SourceKind::LogsApi,
    }
}

/// Whether a log is called as the engine calls its json-files. Podman says `json-file` of its own, which are of another kind (`ctr.log`).
pub(super) fn is_json_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b"-json.log"))
}

/// Leaves out what was printed before.
fn leave_out_before(delivery: &mut Delivery, since_ns: Option<i64>) {
    let Some(since_ns) = since_ns else { return };
    let (mut kept, mut from, mut to) = (Vec::with_capacity(delivery.pieces.len()), 0, 0);
    for piece in delivery.pieces.drain(..) {
        let len = piece.len as usize;
        if piece.origin_time_ns.is_none_or(|time| time >= since_ns) {
            delivery.bytes.copy_within(from..from + len, to);
            to += len;
            kept.push(piece);
        }
        from += len;
    }
    delivery.bytes.truncate(to);
    delivery.pieces = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podmans_logs_are_no_json_files() {
        assert!(is_json_file(Path::new("/var/lib/docker/containers/0123/0123-json.log")));
        for other in ["/var/lib/containers/storage/overlay-containers/0123/userdata/ctr.log", "/", ""] {
            assert!(!is_json_file(Path::new(other)), "{other}");
        }
    }
}

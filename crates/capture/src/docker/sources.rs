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
};

use super::{
    answers::{Asked, LogsEnd, Target, Task},
    attach::{Attachment, Detached, Outlet},
    counted::Counter,
    early::Early,
    logfile::{LogFile, Resume},
    tailer::{News, Tailer, Token},
};
use crate::{
    engine::{BlockingFrames, Engine},
    services::{
        ServiceId, ServiceWriter, Source,
        feed::{Delivery, FileMark, Lost, Reached, SourceKind, StreamPlace},
    },
};

/// How long until an answer that broke off is asked for again, which may break off again at once.
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(20);

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
        let (of, said, theirs) = (of.clone(), self.said.clone(), Arc::clone(&to_now));
        let task = Task { token, target, reached, of, said, to_now: theirs, writer };
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
pub(super) fn leave_out_before(delivery: &mut Delivery, since_ns: Option<i64>) {
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

//! Which containers are attached to, and what is done when such a stream ends.
//!
//! Attached to is what is seen before it is started, where its log is no file of ours; then nothing can be missed. A container
//! whose log driver keeps nothing (`none`) is attached to in any case, for there is no other way: what cannot be had is a gap.
//! The end of a stream proves nothing by itself. Where the log can be read, its last entries must be the last that came; if
//! they are, its time stamps are from then on the place to go on from. If not, or if the connection broke, the container
//! was started again, or logboom was killed, the log is read from its beginning, and as many lines of each stream as
//! were taken are left out. A log that rotates may have lost its beginning: then the clock has to do, and a gap says so.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use logboom_files::with_causes;
use logboom_record::{Stream, Time};

use super::{
    attach::Detached,
    containers::{Containers, Reading, token},
    counted::{Beginning, Counter, beginning, entry_bytes_max, normal},
    facts,
    logs::{self, Entries},
    sources::{Asked, Left},
    streamer::{StreamError, Watcher},
    tailer::Token,
};
use crate::{
    engine::{BlockingFrames, Container, Engine, EngineError, LogsQuery},
    services::{
        Source,
        feed::{ContainerId, Delivery, Lost, Place, Reached, SourceKind, StreamPlace},
    },
};

/// How long the stream of a container that has ended may take to end, too.
const END_WAIT: Duration = Duration::from_secs(2);
/// How long to wait until the engine knows that a container has ended whose stream has, and how often.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 250;
/// So many of a log's last entries are compared with what came: the engine takes 7 ms for them.
const TAIL_ENTRIES: u32 = 1_000;

const BLIND: &str = "its log driver is `none`, so what it printed before now cannot be had; to have all of it start logboom before the \
                     container, or create it with --log-driver json-file";
const BLIND_AGAIN: &str = "its log driver is `none`, so what it printed while logboom was not attached is lost";
const ROTATED: &str =
    "its log rotates, so some of what it printed while logboom was not attached may be lost, or come twice";

/// What is known of the containers that are attached to.
#[derive(Debug)]
pub(super) struct Attached {
    /// Those of which all is read that they printed up to their end, and when they were started before that.
    whole: HashMap<ContainerId, Option<i64>>,
    /// The stream of one that is to be read next, and how it was when that was there.
    early: Option<(BlockingFrames, Container)>,
    /// When the follower before this one last wrote something.
    written_ns: i64,
}

impl Attached {
    /// Nothing yet; a follower before this one last wrote something at this time.
    pub fn after(written_ns: i64) -> Attached {
        Attached { whole: HashMap::new(), early: None, written_ns }
    }

    /// The stream is not wanted now: a container whose stream nobody reads would wait.
    pub fn forget_early(&mut self) {
        self.early = None;
    }

    /// Whether the container has ended, and all is read.
    fn has_whole(&self, container: &Container) -> bool {
        facts::is_over(&container.state.status)
            && self.whole.get(&id_of(container)) == Some(&container.state.started_at_ns)
    }

    fn note_whole(&mut self, container: &Container) {
        self.whole.insert(id_of(container), container.state.started_at_ns);
    }
}

/// When boom files of a session were last written to, in nanoseconds since 1970 UTC; 0 if there are none.
pub(super) fn written_ns(session: &Path) -> i64 {
    let entries = fs::read_dir(session).into_iter().flatten().flatten();
    let booms = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "boom"));
    let times = booms.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let ns = times.filter_map(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    ns.filter_map(|since| i64::try_from(since.as_nanos()).ok()).max().unwrap_or(0)
}

impl Containers {
    /// Attaches to one that was just created, before its service's files are made: `docker run` starts it at once.
    pub async fn attach_early(&mut self, container: &Container, engine: &Engine) -> Result<(), StreamError> {
        self.attached.forget_early();
        let is_read = |reading: &Reading| reading.container.id == container.id;
        if container.state.status != "created"
            || self.services.iter().filter_map(|service| service.reading.as_ref()).any(is_read)
            || (engine.is_local() && container.log_driver == "json-file")
        {
            return Ok(());
        }
        match attach_to(container, engine).await {
            Err(error) if error.is_lost() => Err(error.into()),
            // It is tried again where it is to be read.
            Err(_) => Ok(()),
            Ok(frames) => {
                let now = inspect_again(container, engine).await?;
                self.attached.early = Some((frames, now));
                Ok(())
            }
        }
    }

    /// Whether a stream is read that is attached.
    pub fn is_attached(&self, at: usize) -> bool {
        let reading = self.services[at].reading.as_ref();
        reading.is_some_and(|reading| reading.kind == SourceKind::Attached) && self.sources.counted(token(at)).is_none()
    }

    /// Reads a container by attaching to it, or goes on with one that was attached to. Gives it back if it is to be read otherwise.
    pub async fn read_attached(
        &mut self,
        at: usize,
        container: Box<Container>,
        has_file: bool,
        engine: &Engine,
    ) -> Result<Option<Box<Container>>, StreamError> {
        let left = self.left.get(&id_of(&container)).map(|left| left.kind);
        let is_new = left.is_none() && !has_file && container.state.status == "created";
        if is_going(&container) && !has_file {
            if left.is_none() && !self.attached.has_whole(&container) {
                self.miss(at, "it was removed before it could be read");
            }
            self.attached.note_whole(&container);
            return Ok(None);
        }
        match left {
            _ if is_blind(&container) || is_new => self.attach(at, container, engine).await,
            Some(_) if self.attached.has_whole(&container) => Ok(None),
            Some(SourceKind::Attached) => {
                self.go_on_attached(at, container, engine).await?;
                Ok(None)
            }
            _ => Ok(Some(container)),
        }
    }

    /// Attaches, and looks what can have been missed.
    async fn attach(
        &mut self,
        at: usize,
        container: Box<Container>,
        engine: &Engine,
    ) -> Result<Option<Box<Container>>, StreamError> {
        let early = self.attached.early.take().filter(|(_, early)| early.id == container.id);
        let (frames, now) = match early {
            Some(early) => early,
            None => match attach_to(&container, engine).await {
                Err(error) if error.is_lost() => return Err(error.into()),
                Err(error) => return Ok(self.cannot_attach(at, container, &error)),
                Ok(frames) => (frames, inspect_again(&container, engine).await?),
            },
        };
        let is_from_start = now.state.status == "created" || self.attached.has_whole(&now);
        if !is_from_start && !is_blind(&now) {
            return Ok(Some(container));
        }
        let (id, service) = (id_of(&now), self.services[at].id);
        let was_there = self.left.remove(&id).is_some();
        self.writer.begin(service, Source::new(id, SourceKind::Attached));
        if !is_from_start {
            self.miss(at, if was_there { BLIND_AGAIN } else { BLIND });
        }
        if facts::is_over(&now.state.status) {
            self.attached.note_whole(&now);
        }
        if let Err(error) = self.sources.attach(token(at), service, frames, self.session.dir()) {
            self.miss(at, &format!("cannot attach: {error}"));
            return Ok(None);
        }
        let (container, kind) = (Box::new(now), SourceKind::Attached);
        self.services[at].reading = Some(Reading { container, kind, finishing: false });
        Ok(None)
    }

    /// Gives the container back where its log can be read.
    fn cannot_attach(&mut self, at: usize, container: Box<Container>, error: &EngineError) -> Option<Box<Container>> {
        match error {
            EngineError::NoSuchContainer { .. } => {
                self.miss(at, "it was removed before it could be read");
                None
            }
            _ if !is_blind(&container) => Some(container),
            // Paused, or about to be started again: there will be an event.
            EngineError::Conflict { .. } => None,
            other => {
                self.miss(at, &with_causes(other));
                None
            }
        }
    }

    /// All is read of a container that has ended; it need not be looked at again for that.
    pub fn note_whole(&mut self, at: usize) {
        let reading = self.services.get(at).and_then(|service| service.reading.as_ref());
        if let Some(reading) = reading
            && reading.kind == SourceKind::Attached
            && facts::is_over(&reading.container.state.status)
        {
            self.attached.note_whole(&reading.container);
        }
    }

    /// Says that output is lost which comes before what is read next.
    fn miss(&self, at: usize, why: &str) {
        let lost = Lost { time: Time::now(), count: None, why: why.to_owned(), reached: Place::default() };
        self.writer.gap(self.services[at].id, lost);
        self.sources.trouble(token(at), why.to_owned());
    }

    /// Ends an attachment: at once if the container goes on, else when its stream has ended.
    pub fn finish_attached(&self, at: usize) {
        let Some(Reading { container, .. }) = self.services[at].reading.as_ref().filter(|_| self.is_attached(at))
        else {
            return;
        };
        let known = self.services[at].containers.iter().find(|known| known.id == container.id);
        let is_over = known.is_some_and(|known| facts::is_over(&known.status));
        let is_ending = is_over && !self.attached.has_whole(container);
        self.sources.detach(token(at), if is_ending { END_WAIT } else { Duration::ZERO });
    }

    /// The stream has ended. Goes on with what is to be read then.
    pub async fn detached(
        &mut self,
        Token(at): Token,
        detached: Detached,
        engine: &Engine,
        watcher: &mut dyn Watcher,
    ) -> Result<(), StreamError> {
        let at = at as usize;
        let Some(reading) = self.services.get(at).and_then(|service| service.reading.as_ref()) else { return Ok(()) };
        let (id, is_finishing, left) =
            (reading.container.id.clone(), reading.finishing, Left::at(detached.counter.reached()));
        let now = match engine.inspect(&id).await {
            Ok(now) => now,
            Err(EngineError::NoSuchContainer { .. }) => {
                if let Some(why) = &detached.why {
                    self.lose(at, &with_causes(why), left.reached, watcher);
                }
                return self.go_on(at, left, engine).await;
            }
            Err(error) => {
                self.put_aside(at, left);
                return Err(error.into());
            }
        };
        let is_over = facts::is_over(&now.state.status);
        let was = &self.services[at].reading.as_ref().map(|reading| reading.container.state.finished_at_ns);
        let is_ending = !is_over && *was == Some(now.state.finished_at_ns) && now.state.status == "running";
        if is_ending && detached.why.is_none() && detached.looks < LOOKS_MAX && !is_finishing {
            let detached = Detached { looks: detached.looks + 1, ..detached };
            self.sources.detached_later(token(at), detached, LOOK_PAUSE);
            return Ok(());
        }
        match now.state.status.as_str() {
            _ if is_finishing && !is_over => self.go_on(at, left, engine).await,
            _ if is_blind(&now) => self.detached_blind(at, now, &detached, engine).await,
            // It could not be started; somebody may try again.
            "created" => {
                self.put_aside(at, left);
                if let Some(started) = self.attach(at, Box::new(now), engine).await? {
                    self.go_on_attached(at, started, engine).await?;
                }
                Ok(())
            }
            _ => self.compare(at, now, &detached, engine).await,
        }
    }

    /// There is no log to compare with: attaches again, which says what was missed.
    async fn detached_blind(
        &mut self,
        at: usize,
        now: Container,
        detached: &Detached,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let left = Left::at(detached.counter.reached());
        if facts::is_over(&now.state.status) && detached.why.is_none() {
            self.attached.note_whole(&now);
        }
        if self.services[at].reading.as_ref().is_some_and(|reading| reading.finishing)
            || self.services[at].next.is_some()
        {
            if !self.attached.has_whole(&now) {
                self.miss(at, BLIND_AGAIN);
            }
            return self.go_on(at, left, engine).await;
        }
        self.put_aside(at, left);
        self.attach(at, Box::new(now), engine).await.map(drop)
    }

    /// Looks whether the log ends as the stream did. Else reads the rest of it.
    async fn compare(
        &mut self,
        at: usize,
        now: Container,
        detached: &Detached,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let left = Left::at(detached.counter.reached());
        let is_over = facts::is_over(&now.state.status);
        let tail = if is_over { tail_of(&now, engine).await } else { Ok(None) };
        match tail {
            Err(error) if error.is_lost() => {
                self.put_aside(at, left);
                return Err(error.into());
            }
            // Nobody can tell, and the engine has ended the stream in order.
            Err(_) if detached.why.is_none() => {
                self.attached.note_whole(&now);
                return self.go_on(at, left, engine).await;
            }
            Ok(Some(tail)) if tail.is_end_of(detached, &now) => {
                self.attached.note_whole(&now);
                return self.go_on_by_log(at, now, tail.reached(), engine).await;
            }
            _ => {}
        }
        if !has_beginning(&now, engine).await? {
            self.put_aside(at, left);
            self.attached.written_ns = detached.last_time.map_or(0, |time| time.as_micros().saturating_mul(1_000));
            return self.go_on_attached(at, Box::new(now), engine).await;
        }
        let (of, service) = (Asked { follow: !is_over, ..Asked::of(engine, &now) }, &mut self.services[at]);
        let (container, kind) = (Box::new(now), SourceKind::Attached);
        service.reading = Some(Reading { container, kind, finishing: is_over });
        self.sources.read_counted(token(at), service.id, &of, &left.reached);
        Ok(())
    }

    /// All is read; what the container prints when it is started again follows these entries of its log.
    async fn go_on_by_log(
        &mut self,
        at: usize,
        now: Container,
        reached: Reached,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let source = Source { reached, ..Source::new(id_of(&now), SourceKind::LogsApi) };
        self.writer.begin(self.services[at].id, source);
        if let Some(reading) = &mut self.services[at].reading {
            (reading.kind, *reading.container) = (SourceKind::LogsApi, now);
        }
        self.go_on(at, Left::at(reached), engine).await
    }

    /// Reads the log of a container that was attached to, behind what is in records.
    async fn go_on_attached(
        &mut self,
        at: usize,
        container: Box<Container>,
        engine: &Engine,
    ) -> Result<(), StreamError> {
        let is_countable = has_beginning(&container, engine).await?;
        let id = id_of(&container);
        let Some(left) = self.left.remove(&id) else { return Ok(()) };
        let (of, service) = (Asked::of(engine, &container), self.services[at].id);
        let kind = if is_countable { SourceKind::Attached } else { SourceKind::LogsApi };
        if kind == SourceKind::Attached {
            let reached = normal(&left.reached);
            self.writer.begin(service, Source { reached, ..left });
            self.sources.read_counted(token(at), service, &of, &reached);
        } else {
            let from = Place { part: u64::try_from(self.attached.written_ns).unwrap_or(0), offset: 0 };
            let from = StreamPlace { at: from, ..StreamPlace::default() };
            let source = Source { kind, reached: Reached { stdout: from, stderr: from }, ..left };
            self.miss(at, ROTATED);
            self.sources.read_logs(token(at), service, &of, source, None);
        }
        self.services[at].reading = Some(Reading { container, kind, finishing: false });
        Ok(())
    }
}

fn id_of(container: &Container) -> ContainerId {
    ContainerId::parse(&container.id).unwrap_or_default()
}

/// Whether nothing of what it prints is kept anywhere.
fn is_blind(container: &Container) -> bool {
    container.log_driver == "none"
}

/// Whether it is being removed, so that its log cannot be had any more.
fn is_going(container: &Container) -> bool {
    ["removing", "dead"].contains(&container.state.status.as_str())
}

/// How a container is now; as it was if it is gone.
async fn inspect_again(container: &Container, engine: &Engine) -> Result<Container, EngineError> {
    match engine.inspect(&container.id).await {
        Err(EngineError::NoSuchContainer { .. }) => Ok(container.clone()),
        other => other,
    }
}

async fn attach_to(container: &Container, engine: &Engine) -> Result<BlockingFrames, EngineError> {
    match engine.attach(&container.id, container.framing()).await?.into_blocking()? {
        Ok(frames) => Ok(frames),
        Err(_) => Err(engine.unreadable_logs(&container.id, "attached streams come within HTTP")),
    }
}

/// Whether the log of a container still begins with its first line. Of one that may have lost it all is read.
async fn has_beginning(container: &Container, engine: &Engine) -> Result<bool, EngineError> {
    let bytes_max = match beginning(container) {
        Beginning::Kept => return Ok(true),
        Beginning::KeptUpTo(bytes) if bytes > 0 => bytes,
        Beginning::KeptUpTo(_) | Beginning::Unknown => return Ok(false),
    };
    let mut frames = match engine.logs(&container.id, container.framing(), &LogsQuery::default()).await {
        Err(error) if !error.is_lost() => return Ok(false),
        other => other?,
    };
    let mut bytes = 0;
    while bytes <= bytes_max
        && let Some(frame) = frames.next().await?
    {
        bytes += entry_bytes_max(frame.bytes.len());
    }
    Ok(bytes <= bytes_max)
}

/// The last entries of a log.
struct Tail {
    entries: Delivery,
    /// The newest of their time stamps.
    newest_ns: u64,
}

async fn tail_of(container: &Container, engine: &Engine) -> Result<Option<Tail>, EngineError> {
    let query = LogsQuery { tail: Some(TAIL_ENTRIES), ..LogsQuery::default() };
    let mut frames = engine.logs(&container.id, container.framing(), &query).await?;
    let (mut parsed, mut entries) =
        (Entries::new(container.framing(), Reached::default()), logs::delivery(Time::now()));
    while let Some(frame) = frames.next().await? {
        if parsed.push(&frame, &mut entries).is_err() {
            return Ok(None);
        }
    }
    let newest_ns = entries.pieces.iter().map(|piece| piece.at.part).max().unwrap_or(0);
    Ok(Some(Tail { entries, newest_ns }))
}

impl Tail {
    /// Whether what came ends as this does. If this is the whole log, lines are counted as well.
    fn is_end_of(&self, detached: &Detached, container: &Container) -> bool {
        let mut texts = [Vec::new(), Vec::new()];
        let (mut counter, mut at) = (Counter::default(), 0);
        for piece in &self.entries.pieces {
            let end = at + piece.len as usize;
            let text = &self.entries.bytes[at..end];
            counter.push_entry(piece.stream, None, text, &mut Delivery::default());
            texts[usize::from(piece.stream == Stream::Stderr)].extend_from_slice(text);
            at = end;
        }
        let is_alike = texts.iter().zip(&detached.last).all(|(tail, last)| ends_alike(tail, last));
        let is_whole = self.entries.pieces.len() < TAIL_ENTRIES as usize && beginning(container) == Beginning::Kept;
        if is_whole {
            // One that is being removed may not have got the last of it.
            let [of_log, of_stream] = [lines(&counter), lines(&detached.counter)];
            return (0..2).all(|stream| of_log[stream] <= of_stream[stream]);
        }
        is_alike && !repeats(&texts)
    }

    /// The place behind these entries: what comes later has later time stamps.
    fn reached(&self) -> Reached {
        let behind = StreamPlace { at: Place { part: self.newest_ns + 1, offset: 0 }, ..StreamPlace::default() };
        match self.entries.pieces.is_empty() {
            true => Reached::default(),
            false => Reached { stdout: behind, stderr: behind },
        }
    }
}

/// How many lines each stream had, the last one included that has no newline.
fn lines(counter: &Counter) -> [u64; 2] {
    let Reached { stdout, stderr } = counter.reached();
    [stdout, stderr].map(|stream| stream.at.part + u64::from(stream.at.offset > 0))
}

/// Whether the shorter is the end of the longer. A log in JSON has U+FFFD for what is no UTF-8; that may come out as different,
/// and then the log is read.
fn ends_alike(one: &[u8], other: &[u8]) -> bool {
    one.ends_with(other) || other.ends_with(one)
}

/// Whether the last lines are the same as those before them, so that nobody can see whether some of them are missing.
fn repeats(texts: &[Vec<u8>; 2]) -> bool {
    texts.iter().any(|text| {
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        lines.len() > 1 && (1..=lines.len() / 2).any(|period| lines[period..] == lines[..lines.len() - period])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &[&str]) -> Vec<u8> {
        of.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
    }

    #[test]
    fn what_repeats_itself_proves_nothing() {
        for (text, want) in [
            (text(&["a", "b", "c", "d"]), false),
            (text(&["a", "b", "c", "a"]), false),
            (text(&["a", "a"]), true),
            (text(&["a", "b", "a", "b"]), true),
            (text(&["b", "a", "b", "a", "b"]), true),
            (text(&["a"]), false),
            (Vec::new(), false),
        ] {
            assert_eq!(repeats(&[Vec::new(), text.clone()]), want, "{}", String::from_utf8_lossy(&text));
        }
    }
}

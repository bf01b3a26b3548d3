//! Going on with the services of a session after their writer was killed, exactly where its records end.
//!
//! Each writer had a boom file of its own, so what is known of a service is put together from all of them; where it is read
//! from on is in the latest checkpoint that speaks of it. To find its text log whole costs nothing if the system was not booted
//! since: the checkpoint says how long it was, and what is behind that is cut off. Else it is compared with the boom files.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use logboom_boom::{
    self as boom, BoomError,
    reader::{Reader, RunSummary},
};
use logboom_files::{
    FilesError, Session,
    repair::complete_to_go_on,
    session::{Counts, Durable, RunMeta, beside, boom_number, is_held, try_lock},
    textlog::TextWriter,
};
use logboom_record::{Kind, RunEnd, RunId};

use super::{
    NewService, Source,
    checkpoint::{self, Boot, ServicePlace, TextPlace, this_boot},
    feed::ContainerId,
    missing::{self, Missing},
};

/// The file whose lock says that somebody looks for what is left.
const LOCK: &str = "services.lock";
/// How much of a text log is read at once, from its end, to find its last whole line.
const TEXT_BLOCK_BYTES: usize = 64 << 10;

/// What can be gone on with. As long as this is there nobody else goes on with it.
#[derive(Debug)]
pub struct Resumed {
    /// The services to be added to a new writer.
    pub services: Vec<ResumedService>,
    /// Services that ended, of which the metadata do not tell yet: to be noted by [`Session::end_run`].
    pub ended: Vec<EndedService>,
    /// Services whose writer lives.
    pub live: Vec<RunId>,
    /// How far the containers were read whose services have ended: a new service of one of them goes on there.
    pub left: HashMap<ContainerId, Source>,
    session: Session,
    #[expect(dead_code, reason = "closing it releases the lock")]
    claim: File,
}

/// A service that can be gone on with.
#[derive(Debug)]
pub struct ResumedService {
    /// To be added to a new writer.
    pub service: NewService,
    /// From where its source goes on; `None` where it had none yet, or that is not known.
    pub source: Option<Source>,
}

/// A service that ended just before its writer was killed, or could note that: who finds [`FilesError::AlreadyEnded`] was slower.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedService {
    /// Its run.
    pub run: RunId,
    /// How it ended.
    pub end: RunEnd,
    /// What it came to.
    pub counts: Counts,
}

/// Finds what the last writers of services in this session left, and makes their text logs ready to be gone on with. Then the
/// caller makes a boom file, calls [`Resumed::name_boom`], and adds the services to a new writer.
///
/// # Errors
/// Those of the system, naming the file; [`FilesError::Boom`] if a boom file cannot be read, or a newer version wrote it.
pub fn resume(session: &Session) -> Result<Resumed, FilesError> {
    let claim = claim(session)?;
    let is_live = |run: &RunMeta| {
        let boom = run.boom.as_deref().and_then(|name| beside(session.dir(), name));
        boom.is_some_and(|boom| is_held(&boom))
    };
    // What has no id of an engine's was printed by a process that is gone, and cannot be read again.
    let is_service = |run: &RunMeta| {
        run.run.kind == Kind::Service && run.run.external_id.is_some() && run.text.is_some() && run.boom.is_some()
    };
    let unended = session.meta()?.runs.into_iter().filter(|run| run.run.end.is_none() && is_service(run));
    let (live, ours): (Vec<RunMeta>, Vec<RunMeta>) = unended.partition(is_live);
    let mut left = read_booms(session.dir())?;
    let (mut going_on, mut ended) = (Vec::new(), Vec::new());
    for run in ours {
        let known = left.remove(&run.run.id).unwrap_or_default();
        match known.end {
            Some(end) => ended.push(EndedService { run: run.run.id, end, counts: known.counts }),
            None => going_on.push((run, known)),
        }
    }
    let mut missing = find_missing(&going_on)?;
    let mut go_on = |(run, known): (RunMeta, Known)| {
        let missing = missing.remove(&run.run.id);
        self::go_on(session, &run, known, missing)
    };
    let services = going_on.into_iter().map(&mut go_on).collect::<Result<_, _>>()?;
    let live = live.into_iter().map(|run| run.run.id).collect();
    let left = sources_of(left);
    Ok(Resumed { services, ended, live, left, session: session.clone(), claim })
}

impl Resumed {
    /// Names the boom file of the new writer in the metadata of the services, so that others see who writes them. To be
    /// called before anything is written.
    ///
    /// # Errors
    /// Those of [`Session::update`].
    pub fn name_boom(&self, boom: &boom::Writer) -> Result<(), FilesError> {
        let name = boom.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let runs: HashSet<RunId> = self.services.iter().map(|service| service.service.run).collect();
        self.session.update(Durable::Soon, |meta| {
            let ours = meta.runs.iter_mut().filter(|run| runs.contains(&run.run.id));
            ours.for_each(|run| run.boom.clone_from(&name));
            Ok(())
        })
    }
}

/// The lock of whoever looks for what is left, until others see that it goes on.
fn claim(session: &Session) -> Result<File, FilesError> {
    let path = session.dir().join(LOCK);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(FilesError::at("open", &path))?;
    match try_lock(&file).map_err(FilesError::at("lock", &path))? {
        true => Ok(file),
        false => Err(FilesError::Busy { path, seconds: 0 }),
    }
}

/// What the boom files of a session have of a service.
#[derive(Default)]
struct Known {
    next_seq: u64,
    counts: Counts,
    end: Option<RunEnd>,
    place: Option<ServicePlace>,
    /// How far its source was read by an earlier writer than that of the last file.
    earlier: Option<Source>,
    /// The last file that has something of it.
    boom: PathBuf,
}

fn read_booms(dir: &Path) -> Result<HashMap<RunId, Known>, FilesError> {
    let mut all = HashMap::new();
    for path in boom_files(dir)? {
        match Reader::open(&path) {
            // Its writer did not get as far as its header.
            Err(BoomError::NotBoom { .. }) => {}
            other => add(&mut all, &other?)?,
        }
    }
    Ok(all)
}

/// Adds what a later file has.
fn add(all: &mut HashMap<RunId, Known>, reader: &Reader) -> Result<(), FilesError> {
    for summary in reader.runs() {
        let known = all.entry(summary.id).or_default();
        known.next_seq = known.next_seq.max(summary.next_seq);
        known.counts = [known.counts, counts(summary)].into_iter().sum();
        known.end.clone_from(&summary.end);
        known.boom = reader.path().to_owned();
        // Its records go on from there: if this file does not say how far, nobody knows.
        known.earlier = known.place.take().and_then(|place| place.source).or(known.earlier.take());
    }
    let Some(bytes) = reader.checkpoint()? else { return Ok(()) };
    let read = checkpoint::decode(&bytes);
    let read = read.map_err(|error| FilesError::at("go on from", reader.path())(io::Error::other(error)))?;
    let is_same_boot = read.boot == this_boot() && read.boot != Boot::default();
    for mut place in read.services {
        place.text = place.text.filter(|_| is_same_boot);
        let known: &mut Known = all.entry(place.run).or_default();
        // This writer was killed before it came to read the service's container.
        let earlier = known.place.take().and_then(|place| place.source).or(known.earlier.take());
        place.source = place.source.or(earlier);
        known.place = Some(place);
    }
    Ok(())
}

/// How far each container was read, by the last who read it.
fn sources_of(services: HashMap<RunId, Known>) -> HashMap<ContainerId, Source> {
    let mut services: Vec<Known> = services.into_values().collect();
    services.sort_by_key(|known| known.boom.file_name().map(|name| boom_number(&name.to_string_lossy())));
    let sources = services.into_iter().filter_map(|known| known.place?.source);
    sources.map(|source| (source.container, source)).collect()
}

fn counts(run: &RunSummary) -> Counts {
    let [.., warnings, errors] = run.levels;
    Counts { records: run.records, lines: run.lines, errors, warnings, lost: run.lost }
}

/// The boom files of a session in the order of their writers.
fn boom_files(dir: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let entries = fs::read_dir(dir).map_err(FilesError::at("list", dir))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("records.") && name.ends_with(".boom")).collect();
    names.sort_by_key(|name| boom_number(name));
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// The lines that the text logs lack which can be gone on with from where they end.
fn find_missing(going_on: &[(RunMeta, Known)]) -> Result<HashMap<RunId, Missing>, FilesError> {
    let mut by_file: HashMap<&Path, HashMap<RunId, Missing>> = HashMap::new();
    for (run, known) in going_on {
        if let Some(TextPlace { behind, .. }) = known.place.as_ref().and_then(|place| place.text) {
            let missing = Missing::new(known.next_seq.max(1).saturating_sub(behind), known.next_seq.max(1));
            by_file.entry(&known.boom).or_default().insert(run.run.id, missing);
        }
    }
    let mut all = HashMap::new();
    for (path, mut missing) in by_file {
        if missing.values().any(|missing| missing.lines().is_none()) {
            missing::find(&Reader::open(path)?, &mut missing)?;
        }
        all.extend(missing);
    }
    Ok(all)
}

fn go_on(
    session: &Session,
    run: &RunMeta,
    known: Known,
    missing: Option<Missing>,
) -> Result<ResumedService, FilesError> {
    let Known { next_seq, counts, place, .. } = known;
    let next_seq = next_seq.max(1);
    let end = place.as_ref().and_then(|place| place.text).zip(missing);
    let text = open_text(session, run, end, next_seq)?;
    let service = NewService { run: run.run.id, text, next_seq, counts };
    Ok(ResumedService { service, source: place.and_then(|place| place.source) })
}

/// The text log, with all lines of the records before `next_seq`; `end` says how far it goes, and what is missing there.
fn open_text(
    session: &Session,
    run: &RunMeta,
    end: Option<(TextPlace, Missing)>,
    next_seq: u64,
) -> Result<TextWriter, FilesError> {
    let none = || FilesError::Missing { action: "go on with a text log in", path: session.dir().to_owned() };
    let path = run.text.as_deref().and_then(|name| beside(session.dir(), name)).ok_or_else(none)?;
    let bytes = fs::metadata(&path).map_or(0, |file| file.len());
    let end = end.as_ref().filter(|(place, _)| place.bytes <= bytes);
    if let Some((place, lines)) = end.and_then(|(place, missing)| Some((place, missing.lines()?))) {
        let file = open(&path)?;
        file.write_all_at(lines, place.bytes).map_err(FilesError::at("write", &path))?;
        return TextWriter::go_on(file, &path, place.bytes + lines.len() as u64, next_seq);
    }
    complete_to_go_on(session, run)?;
    let file = open(&path)?;
    let whole = whole_lines(&file).map_err(FilesError::at("read", &path))?;
    TextWriter::go_on(file, &path, whole, next_seq)
}

fn open(path: &Path) -> Result<File, FilesError> {
    File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(FilesError::at("open", path))
}

/// How many bytes of a text log are whole lines.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; TEXT_BLOCK_BYTES];
    while end > 0 {
        let start = end.saturating_sub(TEXT_BLOCK_BYTES as u64);
        let block = &mut block[..(end - start) as usize];
        file.read_exact_at(block, start)?;
        if let Some(newline) = memchr::memrchr(b'\n', block) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

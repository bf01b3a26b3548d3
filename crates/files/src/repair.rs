//! Text logs made whole again from the boom files, which are the truth.
//!
//! A crash leaves a text log that lags, leads or ends torn. Its lines follow from the run's entries alone, so it is compared
//! with them and, where they differ, replaced at once: a reader sees the old file or the new one. Where the boom file
//! itself is damaged nothing is touched, for the text may be the only copy of what it lost.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use logboom_boom::{
    BoomError,
    block::Block,
    reader::{Reader, State, open_regular},
};
use logboom_record::{EntryRef, Gap, Outcome, RunId, Time, text};

use crate::{
    FilesError, Session,
    session::{RunMeta, Status, beside, try_lock},
};

/// What became of a run's text log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Its writer lives: hands off.
    Live,
    /// The run has no text log, or no boom file to compare it with.
    NothingToCompare,
    /// It was as it should be.
    Whole,
    /// It differed, and was written anew.
    Rewritten {
        /// How large it was, 0 where it was missing.
        bytes_before: u64,
        /// How large it is.
        bytes_after: u64,
    },
    /// The boom file is damaged; the text log was left as it is.
    BoomDamaged,
}

/// Compares the text log of every run of the session with its boom file, and completes it where they differ.
pub fn repair(session: &Session, now: Time) -> Vec<(RunId, Result<Repair, FilesError>)> {
    repair_runs(session, now, |_| true)
}

/// The same for some of its runs.
pub fn repair_runs(
    session: &Session,
    now: Time,
    wanted: impl Fn(RunId) -> bool,
) -> Vec<(RunId, Result<Repair, FilesError>)> {
    let Status { dir, meta, outcomes, .. } = session.status(now);
    let runs = meta.runs.iter().zip(outcomes).filter(|(run, _)| wanted(run.run.id));
    runs.map(|(run, outcome)| (run.run.id, repair_run(&dir, run, outcome))).collect()
}

/// The same for a run whose writer was killed and that the caller goes on with: nothing is missing behind its last record.
///
/// # Errors
/// Those of the system, naming the file.
pub fn complete_to_go_on(session: &Session, run: &RunMeta) -> Result<Repair, FilesError> {
    complete(session.dir(), run, Outcome::Running)
}

fn repair_run(dir: &Path, run: &RunMeta, outcome: Outcome) -> Result<Repair, FilesError> {
    match outcome {
        Outcome::Running if run.text.is_some() && run.boom.is_some() => Ok(Repair::Live),
        _ => complete(dir, run, outcome),
    }
}

fn complete(dir: &Path, run: &RunMeta, outcome: Outcome) -> Result<Repair, FilesError> {
    let path = |name: &Option<String>| name.as_deref().and_then(|name| beside(dir, name));
    let (Some(text), Some(boom)) = (path(&run.text), path(&run.boom)) else { return Ok(Repair::NothingToCompare) };
    let readers = match readers(dir, &boom, run.run.id) {
        Err(error) if is_damage(&error) => return Ok(Repair::BoomDamaged),
        other => other?,
    };
    if readers.iter().any(|reader| reader.state() == State::Live) {
        return Ok(Repair::Live); // somebody else goes on with it
    }
    if readers.iter().any(|reader| !reader.damage().is_empty()) {
        return Ok(Repair::BoomDamaged);
    }
    let truth = Truth { readers, run, outcome };
    match truth.complete(&text) {
        Err(FilesError::Boom(error)) if is_damage(&error) => Ok(Repair::BoomDamaged),
        other => other,
    }
}

/// The boom file of a run and those where others went on with it, in order of its records.
fn readers(dir: &Path, boom: &Path, run: RunId) -> Result<Vec<Reader>, BoomError> {
    let mut readers = vec![Reader::open(boom)?];
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let others = names.filter(|path| path != boom && path.extension().is_some_and(|end| end == "boom"));
    // One that cannot be read has nothing that could be written into a text log.
    let has = |reader: &Reader| reader.runs().iter().any(|known| known.id == run);
    readers.extend(others.filter_map(|path| Reader::open(&path).ok()).filter(has));
    readers.sort_by_key(|reader| first_seq(reader, run));
    Ok(readers)
}

fn first_seq(reader: &Reader, run: RunId) -> u64 {
    reader.runs().iter().find(|known| known.id == run).map_or(0, |known| known.first_seq)
}

fn is_damage(error: &BoomError) -> bool {
    matches!(error, BoomError::Damaged { .. } | BoomError::NotBoom { .. })
}

/// What the text log of a run should hold.
struct Truth<'a> {
    readers: Vec<Reader>,
    run: &'a RunMeta,
    outcome: Outcome,
}

impl Truth<'_> {
    fn complete(&self, path: &Path) -> Result<Repair, FilesError> {
        let before = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.map_err(FilesError::at("read", path))?),
        };
        let bytes_before = before.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |file| file.len());
        if let Some(file) = before
            && self.equals(file, path)?
        {
            return Ok(Repair::Whole);
        }
        let bytes_after = self.replace(path)?;
        Ok(Repair::Rewritten { bytes_before, bytes_after })
    }

    fn equals(&self, mut file: File, path: &Path) -> Result<bool, FilesError> {
        let (mut equal, mut buffer) = (true, Vec::new());
        self.each_block(|lines| {
            buffer.resize(lines.len(), 0);
            equal = equal && read_full(&mut file, &mut buffer)? == lines.len() && buffer == lines;
            Ok(equal)
        })
        .map_err(|error| error.at("read", path))?;
        let beyond = read_full(&mut file, &mut [0]).map_err(FilesError::at("read", path))?;
        Ok(equal && beyond == 0)
    }

    fn replace(&self, path: &Path) -> Result<u64, FilesError> {
        let new = with_suffix(path, ".tmp");
        let written = self.write(&new).and_then(|bytes| {
            fs::rename(&new, path).map_err(FilesError::at("replace", path))?;
            Ok(bytes)
        });
        if !matches!(written, Ok(_) | Err(FilesError::Busy { .. })) {
            // Half a file is of no use to anybody; the next repair would truncate it.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write(&self, path: &Path) -> Result<u64, FilesError> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(FilesError::at("create", path))?;
        if !try_lock(&file).map_err(FilesError::at("lock", path))? {
            return Err(FilesError::Busy { path: path.to_owned(), seconds: 0 });
        }
        file.set_len(0).map_err(FilesError::at("write", path))?;
        let (mut out, mut bytes) = (BufWriter::new(&file), 0);
        self.each_block(|lines| {
            bytes += lines.len() as u64;
            out.write_all(lines).map(|()| true)
        })
        .map_err(|error| error.at("write", path))?;
        out.flush().and_then(|()| file.sync_all()).map_err(FilesError::at("write", path))?;
        Ok(bytes)
    }

    /// Hands out the lines of the run, block by block, for as long as `take` wants more.
    fn each_block(&self, mut take: impl FnMut(&[u8]) -> io::Result<bool>) -> Result<(), EachError> {
        for reader in &self.readers {
            if !self.each_block_of(reader, &mut take)? {
                return Ok(());
            }
        }
        let mut lines = Vec::new();
        self.open_gap().iter().for_each(|gap| text::push_gap(&mut lines, gap));
        take(&lines)?;
        Ok(())
    }

    fn each_block_of(
        &self,
        reader: &Reader,
        take: &mut impl FnMut(&[u8]) -> io::Result<bool>,
    ) -> Result<bool, EachError> {
        let (mut block, mut lines) = (Block::default(), Vec::new());
        for (index, info) in reader.blocks().iter().enumerate() {
            let gap = info.gaps.iter().any(|gap| gap.run == self.run.run.id);
            if !gap && !info.runs.iter().any(|run| run.id == self.run.run.id) {
                continue;
            }
            reader.read_into(index, &mut block)?;
            lines.clear();
            for entry in block.records()?.entries() {
                match entry {
                    EntryRef::Record(record) if record.run == self.run.run.id => text::push_record(&mut lines, &record),
                    EntryRef::Gap(gap) if gap.run == self.run.run.id => text::push_gap(&mut lines, gap),
                    _ => {}
                }
            }
            if !take(&lines)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The gap of a killed writer, which stands in no block: behind all that its own file and those that went on with the run have.
    fn open_gap(&self) -> Option<Gap> {
        let runs = self.readers.iter().flat_map(Reader::runs).filter(|known| known.id == self.run.run.id);
        let was_left = self.readers.iter().any(|reader| reader.state() == State::Abandoned);
        if !was_left || runs.clone().any(|run| run.end.is_some()) {
            return None;
        }
        let next_seq = runs.map(|run| run.next_seq).max()?;
        let time = self.readers.iter().filter_map(|reader| Some(reader.totals().times?.1)).max().unwrap_or_default();
        self.run.missing_from(next_seq, time, self.outcome)
    }
}

/// Why lines could not be handed out, or taken.
enum EachError {
    Boom(BoomError),
    Text(io::Error),
}

impl EachError {
    fn at(self, action: &'static str, path: &Path) -> FilesError {
        match self {
            EachError::Boom(error) => FilesError::Boom(error),
            EachError::Text(error) => FilesError::at(action, path)(error),
        }
    }
}

impl From<BoomError> for EachError {
    fn from(error: BoomError) -> EachError {
        EachError::Boom(error)
    }
}

impl From<io::Error> for EachError {
    fn from(error: io::Error) -> EachError {
        EachError::Text(error)
    }
}

/// Fills the buffer as far as the file goes.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

//! The JUnit XML files that a command writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{BufReader, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::tz::TimeZone;
use logboom_boom::reader::open_regular;
use logboom_capture::results::junit::{Junit, MESSAGES_BYTES_MAX, Times};
use logboom_files::with_causes;
use logboom_record::{TestResult, Time};

use crate::human;

/// So much of a file is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// So much of all.
const ALL_BYTES_MAX: u64 = 256 << 20;
/// So many files are looked at.
const FILES_MAX: usize = 10_000;
/// So many files are named in a note.
const NAMED_MAX: usize = 3;

/// Which files tell of tests.
#[derive(Args, Clone, Debug, Default)]
pub struct JunitFiles {
    /// Take results of tests from the JUnit XML files that fit this pattern and that the command has written, as in
    /// 'target/surefire-reports/*.xml' (may be given more than once)
    #[arg(long = "junit", value_name = "GLOB", value_parser = pattern, help_heading = "Results of tests")]
    junit: Vec<String>,
}

/// The files that were there before a command, as they were.
#[derive(Debug, Default)]
pub struct Before {
    files: BTreeMap<PathBuf, State>,
    /// There were more.
    is_cut: bool,
}

/// What changes where a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    bytes: u64,
    written: (i64, i64),
}

impl State {
    fn of(meta: &Metadata) -> State {
        State { file: (meta.dev(), meta.ino()), bytes: meta.len(), written: (meta.mtime(), meta.mtime_nsec()) }
    }
}

/// What the files tell.
#[derive(Debug, Default)]
pub struct Told {
    /// Their tests.
    pub tests: Vec<TestResult>,
    /// What was not as it should be, a sentence each.
    pub notes: Vec<String>,
}

fn pattern(text: &str) -> Result<String, glob::PatternError> {
    glob::Pattern::new(text).map(|_| text.to_owned())
}

impl JunitFiles {
    /// Those that fit these patterns.
    ///
    /// # Errors
    /// Of a pattern that is none.
    pub fn of(patterns: &[String]) -> Result<JunitFiles, glob::PatternError> {
        let junit = patterns.iter().map(|text| pattern(text)).collect::<Result<_, _>>()?;
        Ok(JunitFiles { junit })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.junit.is_empty()
    }

    /// Looks what is there before the command begins. No clock tells what it wrote: a file system's may lag, and what is copied keeps
    /// its time.
    pub fn look(&self) -> Before {
        let found = self.found(&mut Vec::new());
        let is_cut = found.len() >= FILES_MAX;
        let state = |path: PathBuf| fs::metadata(&path).ok().map(|meta| (path, State::of(&meta)));
        Before { files: found.into_iter().filter_map(state).collect(), is_cut }
    }

    /// Reads those that the command has written, which ran between the two times.
    pub fn read(&self, before: &Before, started_at: Time, ended_at: Time) -> Told {
        let (mut told, mut junit) = (Told::default(), Junit::default());
        let zone = TimeZone::system();
        let mut budget = ALL_BYTES_MAX;
        let mut stale = Vec::new();
        for path in self.found(&mut told.notes) {
            let opened = open_regular(&path).and_then(|file| Ok((file.metadata()?, file)));
            let (meta, file) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    told.notes.push(format!("cannot read {}: {error}", path.display()));
                    continue;
                }
            };
            let written_at = written_at(&meta);
            let is_old = match before.files.get(&path) {
                Some(state) => *state == State::of(&meta),
                None => before.is_cut && written_at < started_at,
            };
            if is_old {
                stale.push(path);
                continue;
            }
            let times = Times { started_at, ended_at, written_at, zone: zone.clone() };
            read_one(&path, file, &times, &mut budget, &mut junit).into_iter().for_each(|note| told.notes.push(note));
        }
        if !stale.is_empty() {
            let files = human::counted(stale.len() as u64, "file");
            told.notes.push(format!("{files} of JUnit XML from before the run left out: {}", named(&stale)));
        }
        told.notes.extend(too_many(&junit));
        told.tests = junit.tests;
        told
    }

    /// The files that fit, each once.
    fn found(&self, notes: &mut Vec<String>) -> BTreeSet<PathBuf> {
        let mut all = BTreeSet::new();
        for pattern in &self.junit {
            let (before, mut unread) = (all.len(), 0);
            // Patterns were looked at when they were given.
            for path in glob::glob(pattern).into_iter().flatten() {
                match path {
                    Ok(path) if path.is_dir() => {}
                    Ok(path) => drop(all.insert(path)),
                    Err(_) => unread += 1,
                }
                if all.len() >= FILES_MAX {
                    notes.push(format!("more than {FILES_MAX} files fit --junit; the others are not read"));
                    return all;
                }
            }
            if unread > 0 {
                notes.push(format!(
                    "{} could not be looked into for --junit {pattern}",
                    human::counted(unread, "folder")
                ));
            }
            // Another pattern may have found the same.
            if all.len() == before
                && !all.iter().any(|path| glob::Pattern::new(pattern).is_ok_and(|it| it.matches_path(path)))
            {
                notes.push(format!("no file fits --junit {pattern}"));
            }
        }
        all
    }
}

/// Reads a file, as far as it goes and may be read; a note if that is not all of it.
fn read_one(path: &Path, file: File, times: &Times, budget: &mut u64, junit: &mut Junit) -> Option<String> {
    let name = path.display();
    let bytes = file.metadata().map_or(0, |meta| meta.len());
    let most = FILE_BYTES_MAX.min(*budget);
    let mut input = BufReader::new(file.take(most));
    let (before, read) = (junit.tests.len(), junit.read(&mut input, times));
    *budget -= most - input.get_ref().limit();
    let kept = human::counted((junit.tests.len() - before) as u64, "test");
    match read {
        Ok(()) => None,
        Err(_) if bytes > most => {
            let most = human::count(most);
            Some(format!("{name} is too large: of its {} bytes {most} were read; {kept} kept", human::count(bytes)))
        }
        Err(error) => Some(format!("{name}: {}; {kept} kept", with_causes(&error))),
    }
}

fn too_many(junit: &Junit) -> impl Iterator<Item = String> {
    let tests = (junit.over > 0).then(|| format!("{} of files are not kept", human::counted(junit.over, "test")));
    let messages = (junit.messages_over > 0).then(|| {
        let count = human::counted(junit.messages_over, "message");
        format!("{count} of failed tests are not kept: all have {MESSAGES_BYTES_MAX} bytes at most")
    });
    tests.into_iter().chain(messages)
}

fn named(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().take(NAMED_MAX).map(|path| path.display().to_string()).collect();
    names.join(", ") + if paths.len() > NAMED_MAX { ", …" } else { "" }
}

fn written_at(meta: &Metadata) -> Time {
    Time::from_micros(meta.mtime().saturating_mul(1_000_000).saturating_add(meta.mtime_nsec() / 1_000))
}

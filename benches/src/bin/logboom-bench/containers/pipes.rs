//! How the containers are told to go, and how they say when they began and ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::print::{DONE, GO};

const PATIENCE: Duration = Duration::from_secs(120);

/// The pipes of some containers.
pub struct Pipes {
    go: PathBuf,
    done: Receiver<anyhow::Result<Printed>>,
}

/// When a container printed, in nanoseconds since 1970.
#[derive(Clone, Copy)]
pub struct Printed {
    pub begun_ns: u64,
    pub ended_ns: u64,
}

impl Pipes {
    pub fn new(dir: &Path) -> anyhow::Result<Pipes> {
        for name in [GO, DONE] {
            mknodat(CWD, dir.join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        let (said, done) = channel();
        // Opened for writing too, it opens without a container, and does not end with one.
        let pipe = File::options().read(true).write(true).open(dir.join(DONE))?;
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let printed = line.map_err(anyhow::Error::from).and_then(|line| printed(&line));
                if said.send(printed).is_err() {
                    return;
                }
            }
        });
        Ok(Pipes { go: dir.join(GO), done })
    }

    /// Lets all go that wait, and those that come while this is kept.
    pub fn go(&self) -> anyhow::Result<File> {
        Ok(fs::OpenOptions::new().write(true).open(&self.go)?)
    }

    /// Waits until the next of them has printed all.
    pub fn printed(&self) -> anyhow::Result<Printed> {
        self.done.recv_timeout(PATIENCE).context("a container prints nothing")?
    }
}

fn printed(line: &str) -> anyhow::Result<Printed> {
    let (begun, ended) = line.split_once(' ').context("a container says when it began and ended")?;
    Ok(Printed { begun_ns: begun.parse()?, ended_ns: ended.parse()? })
}

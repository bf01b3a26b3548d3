//! What most tests begin with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use logboom_capture::docker::logfile::{LogFile, Scratch, Why};
use logboom_record::Stream;

use super::{Engine, Keeper, entry};

/// A log in a directory of its own, and what is kept of it.
pub struct Setup {
    pub dir: tempfile::TempDir,
    pub scratch: Scratch,
    pub keeper: Keeper,
    pub written: u64,
}

impl Setup {
    pub fn new() -> Setup {
        Setup { dir: tempfile::tempdir().unwrap(), scratch: Scratch::default(), keeper: Keeper::default(), written: 0 }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("c-json.log")
    }

    pub fn engine(&self, files_max: u32) -> Engine {
        Engine::new(&self.path(), u64::MAX, files_max)
    }

    pub fn log(&self) -> LogFile {
        LogFile::new(&self.path(), None)
    }

    /// Writes some numbered lines.
    pub fn write(&mut self, engine: &mut Engine, lines: u64) {
        for _line in 0..lines {
            engine.write(&numbered(self.written));
            self.written += 1;
        }
    }

    pub fn read(&mut self, log: &mut LogFile) -> bool {
        self.keeper.read_all(log, &mut self.scratch)
    }

    pub fn drain(&mut self, log: &mut LogFile) {
        log.finish();
        assert!(self.read(log));
    }

    pub fn numbers(&self) -> Vec<u64> {
        let texts = self.keeper.texts(Stream::Stdout);
        texts.iter().map(|text| text.trim_end().strip_prefix("line ").unwrap().parse().unwrap()).collect()
    }

    pub fn assert_whole(&self) {
        assert_eq!(self.numbers(), (0..self.written).collect::<Vec<_>>());
        assert_eq!((self.keeper.lost.as_slice(), self.keeper.damage.as_slice()), (&[][..], &[][..]));
    }

    pub fn why(&self) -> Vec<Why> {
        self.keeper.lost.iter().map(|lost| lost.why).collect()
    }
}

pub fn numbered(number: u64) -> Vec<u8> {
    entry(Stream::Stdout, &format!("line {number}\n"), number)
}

pub fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().ino()
}

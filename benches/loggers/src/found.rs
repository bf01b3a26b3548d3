//! Reads back what a logger has written, and counts.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use logboom_bench::place::files;

use crate::line::known;

/// What was found of the lines that were logged.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Lines that are there, each counted once.
    pub lines: u64,
    /// Lines that are there once more.
    pub again: u64,
}

impl Found {
    /// Looks for `lines` lines of each of `threads` threads in the log files under `dir`.
    pub fn in_dir(dir: &Path, threads: u64, lines: u64) -> anyhow::Result<Self> {
        let mut seen = vec![false; (threads * lines) as usize];
        let mut found = Self { lines: 0, again: 0 };
        for file in logs(dir)? {
            found.add_file(&file, lines, &mut seen)?;
        }
        Ok(found)
    }

    fn add_file(&mut self, file: &Path, lines: u64, seen: &mut [bool]) -> anyhow::Result<()> {
        let mut reader = BufReader::with_capacity(256 * 1024, File::open(file)?);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text)? > 0 {
            let number = known(&String::from_utf8_lossy(&text)).filter(|(_, index)| *index < lines);
            let place = number.map(|(thread, index)| (thread * lines + index) as usize);
            match place.and_then(|place| seen.get_mut(place)) {
                Some(true) => self.again += 1,
                Some(unseen) => (*unseen, self.lines) = (true, self.lines + 1),
                None => {} // something else: a head, a torn line
            }
            text.clear();
        }
        Ok(())
    }
}

/// Tells how many more lines have come into a log since it was last asked.
pub struct Follower {
    dir: PathBuf,
    file: Option<File>,
}

impl Follower {
    /// Follows the log under `dir`, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), file: None }
    }

    /// How many line ends are new.
    pub fn new_lines(&mut self) -> anyhow::Result<u64> {
        if self.file.is_none() {
            self.file = logs(&self.dir)?.first().map(File::open).transpose()?;
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        let (mut buffer, mut lines) = ([0; 64 * 1024], 0);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(lines),
                read => lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64,
            }
        }
    }
}

/// Log files; not the links to the newest one that some loggers make.
fn logs(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_log = |path: &Path| {
        !path.is_symlink() && path.file_name().is_some_and(|name| name.to_string_lossy().contains(".log"))
    };
    files(dir, &is_log)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::line::Line;

    #[test]
    fn lost_torn_and_doubled_lines_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let line = |index| format!("12:00 INFO {}\n", Line::at(0, index));
        let torn = line(3);
        let text = [line(0), line(1), line(1), "head\n".to_owned(), torn[..torn.len() - 5].to_owned()].concat();
        fs::write(dir.path().join("a.log"), text).unwrap();
        fs::write(dir.path().join("a.txt"), line(2)).unwrap();
        assert_eq!(Found::in_dir(dir.path(), 1, 4).unwrap(), Found { lines: 2, again: 1 });
    }

    #[test]
    fn follower_counts_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let mut follower = Follower::new(dir.path());
        assert_eq!(follower.new_lines().unwrap(), 0);
        fs::write(dir.path().join("a.log"), "one\ntwo\nthr").unwrap();
        assert_eq!((follower.new_lines().unwrap(), follower.new_lines().unwrap()), (2, 0));
    }
}

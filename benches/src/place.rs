//! Where the benches work: inputs that are made once, and scratch directories that do not outlive a measurement.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::{Form, generate};

/// Where the generator starts for every input.
pub const SEED: u64 = 42;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// A directory on a real disk.
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// Takes `root`, and makes it if need be.
    ///
    /// # Errors
    /// If it is in memory: then nothing that is measured there would say anything about a disk.
    pub fn new(root: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        let file_system = rustix::fs::statfs(root)?.f_type;
        ensure!(file_system != TMPFS_MAGIC, "{} is in memory; give --work on a real disk", root.display());
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// An empty directory of this name.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(name);
        remove(&path)?;
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// A path for something that stays between runs.
    pub fn kept(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file of so many generated lines, made at the first call.
    pub fn text(&self, lines: u64) -> anyhow::Result<PathBuf> {
        self.made_once(&format!("text-{lines}.log"), |out| write_lines(Form::Text, lines, SEED, out))
    }

    /// A file that `fill` has filled, made at the first call; a half-made one is never used.
    pub fn made_once(&self, name: &str, fill: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
        let (path, unfinished) = (self.root.join(name), self.root.join(format!("{name}.part")));
        if !path.exists() {
            eprintln!("making {}", path.display());
            let mut file = File::create(&unfinished)?;
            fill(&mut file)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
        }
        Ok(path)
    }
}

/// Writes generated records as lines.
pub fn write_lines(form: Form, lines: u64, seed: u64, out: &mut impl Write) -> anyhow::Result<()> {
    const BUFFER_BYTES: usize = 256 * 1024;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + 4096);
    let mut result = Ok(());
    generate(lines, seed, |record| {
        form.write(record, &mut buffer);
        if buffer.len() >= BUFFER_BYTES && result.is_ok() {
            result = out.write_all(&buffer);
            buffer.clear();
        }
    });
    result?;
    out.write_all(&buffer)?;
    Ok(out.flush()?)
}

/// Removes a directory and what is in it, if it is there.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// All files under `dir` for which `wanted` holds.
pub fn files(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, wanted)?);
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// How many newlines are in a file.
pub fn count_lines(path: &Path) -> anyhow::Result<u64> {
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?);
    let mut buffer = vec![0; 256 * 1024];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(lines),
            read => lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

/// How many bytes these files have together.
pub fn total_bytes(files: &[PathBuf]) -> anyhow::Result<u64> {
    files.iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_made_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { root: dir.path().to_owned() };
        let first = place.text(1_000).unwrap();
        assert_eq!(count_lines(&first).unwrap(), 1_000);
        let made = fs::metadata(&first).unwrap().modified().unwrap();
        assert_eq!(fs::metadata(place.text(1_000).unwrap()).unwrap().modified().unwrap(), made);
        assert!(place.made_once("broken", |_| anyhow::bail!("no")).is_err());
        assert!(!place.kept("broken").exists());
    }
}

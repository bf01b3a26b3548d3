//! The files of a writer as it sees them: few operations at given offsets.
//!
//! An argument, so that tests can put a storage in its place that fails or dies at the n-th operation. Every operation
//! takes `&self`: encoders append while another thread waits for the disk.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::{fd::AsFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::fs::{FallocateFlags, Mode, OFlags};

/// One file that is written at given offsets.
pub(crate) trait Storage: Send + Sync {
    /// Writes the parts one after the other from `offset` on. After an error any part of them may be there.
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Fills `out` with what stands from `offset` on; an error where the file has less.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Waits until everything written is on the disk.
    fn sync(&self) -> io::Result<()>;
    /// Makes sure that the disk has room for these bytes of the file, without making the file longer. Where the file
    /// system cannot promise that, nothing happens.
    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// Cuts the file off at `bytes`, and frees what was reserved after that.
    fn trim(&self, bytes: u64) -> io::Result<()>;
    /// Removes the file's name.
    fn remove(&self) -> io::Result<()>;
}

/// A file on a disk, made when it is first written to.
pub(crate) struct FileStorage {
    path: PathBuf,
    file: OnceLock<File>,
}

impl FileStorage {
    /// A file that is already open.
    pub(crate) fn of(file: File, path: &Path) -> FileStorage {
        FileStorage { path: path.to_owned(), file: OnceLock::from(file) }
    }

    /// A file that the first write makes.
    pub(crate) fn lazy(path: PathBuf) -> FileStorage {
        FileStorage { path, file: OnceLock::new() }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.path, flags, Mode::from_raw_mode(0o600))?;
        Ok(self.file.get_or_init(|| File::from(file)))
    }
}

impl Storage for FileStorage {
    fn write_at(&self, mut offset: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let file = self.file()?;
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match rustix::io::pwritev(file.as_fd(), parts, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file()?.read_exact_at(out, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.get().map_or(Ok(()), File::sync_data)
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self.file()?.as_fd(), FallocateFlags::KEEP_SIZE, offset, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn trim(&self, bytes: u64) -> io::Result<()> {
        self.file()?.set_len(bytes)
    }

    fn remove(&self) -> io::Result<()> {
        match self.file.get() {
            Some(_) => std::fs::remove_file(&self.path),
            None => Ok(()),
        }
    }
}

//! Appends to a text log, and keeps it whole when the disk does not.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use logboom_record::{Gap, RunId, Time, text};

use crate::{
    FilesError,
    session::{Session, hold_lock},
};

/// Text lines and which records they are.
#[derive(Clone, Debug)]
pub struct TextBatch<'a> {
    /// Whole lines, as [`text::Prefix`] makes them.
    pub lines: &'a [u8],
    /// The seq of the first record, and the one after the last; those of gaps in between included.
    pub seqs: Range<u64>,
    /// When the last was read; the time of the gap line if they are lost.
    pub time: Time,
}

/// The writer of one text log. What cannot be written is cut back to the last whole batch and counted; as soon as there
/// is room again a line says which records are missing: `lost seq 10-20: disk full`.
#[derive(Debug)]
pub struct TextWriter {
    file: File,
    path: PathBuf,
    position: u64,
    cut_back: bool,
    gap: Option<Gap>,
    lost: u64,
}

impl TextWriter {
    /// Claims a text log in the session; tells its file name too.
    ///
    /// # Errors
    /// Those of [`Session::claim_text`].
    pub fn create(session: &Session, program: &std::ffi::OsStr) -> Result<(TextWriter, String), FilesError> {
        let (file, name) = session.claim_text(program)?;
        Ok((TextWriter::new(file, &session.dir().join(&name)), name))
    }

    /// Writes to an empty file that was claimed for it.
    pub fn new(file: File, path: &Path) -> TextWriter {
        TextWriter { file, path: path.to_owned(), position: 0, cut_back: false, gap: None, lost: 0 }
    }

    /// Holds the lock that tells readers that its writer lives, for a run without a boom file. To be called before
    /// the run is added to the session.
    ///
    /// # Errors
    /// [`FilesError::Io`] naming the file.
    pub fn hold_lock(&self) -> Result<(), FilesError> {
        hold_lock(&self.file, &self.path)
    }

    /// Appends whole lines by one write(2). An error has been dealt with: it is for telling the user once, and the
    /// caller goes on with the next batch.
    ///
    /// # Errors
    /// [`FilesError::DiskFull`] and others of the system; the batch is lost and counted.
    pub fn append(&mut self, batch: &TextBatch<'_>) -> Result<(), FilesError> {
        let written = match &self.gap {
            None => self.write(batch.lines),
            Some(gap) => {
                let mut lines = Vec::with_capacity(batch.lines.len() + 100);
                text::push_gap(&mut lines, gap);
                lines.extend_from_slice(batch.lines);
                self.write(&lines)
            }
        };
        match written {
            Ok(()) => self.gap = None,
            Err(_) => self.note_lost(batch, written.as_ref().err()),
        }
        written.map_err(FilesError::at("write", &self.path))
    }

    /// Makes what was appended survive a power cut.
    ///
    /// # Errors
    /// Those of the system, naming the file.
    pub fn sync(&mut self) -> Result<(), FilesError> {
        self.file.sync_data().map_err(FilesError::at("sync", &self.path))
    }

    /// The last chance to say what is missing, then [`TextWriter::sync`].
    ///
    /// # Errors
    /// As for [`TextWriter::append`].
    pub fn finish(&mut self) -> Result<(), FilesError> {
        if let Some(gap) = &self.gap {
            let mut line = Vec::new();
            text::push_gap(&mut line, gap);
            self.write(&line).map_err(FilesError::at("write", &self.path))?;
            self.gap = None;
        }
        self.sync()
    }

    /// How many bytes of the file are whole lines.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many records could not be written so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the last batch was lost.
    pub fn is_failing(&self) -> bool {
        self.gap.is_some()
    }

    /// The open file, for whoever syncs it in the background.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes at a place of its own choice, so that what a failed write left behind is written over.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.cut_back {
            self.file.set_len(self.position)?;
            self.cut_back = false;
        }
        match self.file.write_all_at(bytes, self.position) {
            Ok(()) => self.position += bytes.len() as u64,
            Err(error) => {
                self.cut_back = self.file.set_len(self.position).is_err();
                return Err(error);
            }
        }
        Ok(())
    }

    fn note_lost(&mut self, batch: &TextBatch<'_>, error: Option<&io::Error>) {
        self.lost += batch.seqs.end - batch.seqs.start;
        let last = batch.seqs.end.saturating_sub(1);
        match &mut self.gap {
            Some(gap) => gap.to = Some(last),
            None if batch.seqs.is_empty() => {}
            None => {
                let why = error.map_or_else(String::new, why_lost);
                let run = RunId::from_bytes([0; 16]); // the text has no column for it
                self.gap = Some(Gap { run, from: batch.seqs.start, to: Some(last), time: batch.time, why });
            }
        }
    }
}

/// The reason in the words of a gap: `disk full`.
fn why_lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk full".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logboom_record::{Flags, Level, Stream};

    fn lines(from: u64, to: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for seq in from..to {
            let mut prefix = text::Prefix::new(Time::from_micros(0));
            prefix.push(&mut out, Stream::Stdout, Level::Info, Flags::NONE, seq.to_string().as_bytes());
        }
        out
    }

    fn batch(lines: &[u8], seqs: Range<u64>) -> TextBatch<'_> {
        TextBatch { lines, seqs, time: Time::from_micros(0) }
    }

    /// A file on a disk without room.
    fn full() -> File {
        File::options().write(true).open("/dev/full").unwrap()
    }

    #[test]
    fn what_is_lost_is_said_as_soon_as_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let file = File::create_new(&path).unwrap();
        let mut writer = TextWriter::new(file, &path);
        writer.append(&batch(&lines(1, 3), 1..3)).unwrap();
        writer.file = full();
        let error = writer.append(&batch(&lines(3, 5), 3..5)).unwrap_err();
        assert!(matches!(error, FilesError::DiskFull { .. }));
        writer.append(&batch(&lines(5, 6), 5..6)).unwrap_err();
        assert!(writer.is_failing());
        writer.file = File::options().write(true).open(&path).unwrap();
        writer.append(&batch(&lines(6, 7), 6..7)).unwrap();
        let messages: Vec<String> =
            std::fs::read_to_string(&path).unwrap().lines().map(|line| line[32..].to_owned()).collect();
        assert_eq!(messages, ["1", "2", "lost seq 3-5: disk full", "6"]);
        assert_eq!(writer.lost(), 3);
    }

    #[test]
    fn the_end_says_what_is_still_unsaid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let mut writer = TextWriter::new(File::create_new(&path).unwrap(), &path);
        writer.file = full();
        writer.append(&batch(&lines(1, 9), 1..9)).unwrap_err();
        writer.file = File::options().write(true).open(&path).unwrap();
        writer.finish().unwrap();
        assert!(std::fs::read_to_string(&path).unwrap()[32..].starts_with("lost seq 1-8: "));
    }

    #[test]
    fn a_disk_that_fills_up_in_mid_write_leaves_whole_lines() {
        // A file size limit would end the process; /dev/full fails the first byte; a file that is too large for the
        // file system fails in the middle: write across the largest offset.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let mut writer = TextWriter::new(File::create_new(&path).unwrap(), &path);
        writer.append(&batch(&lines(1, 2), 1..2)).unwrap();
        let whole = writer.position();
        writer.position = i64::MAX as u64 - 10;
        writer.append(&batch(&lines(2, 3), 2..3)).unwrap_err();
        writer.position = whole;
        writer.append(&batch(&lines(3, 4), 3..4)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), writer.position());
    }
}

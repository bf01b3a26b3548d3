//! Appends to a text log, and keeps it whole when the disk does not.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
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
    file: Arc<File>,
    path: PathBuf,
    position: u64,
    cut_back: bool,
    next_seq: u64,
    time: Time,
    gap: Option<Gap>,
    gaps: Vec<Gap>,
    lost: u64,
    synced: SyncMark,
}

/// How far a text log had come when a sync of it began.
#[derive(Clone, Copy, Debug)]
pub struct SyncMark {
    position: u64,
    next_seq: u64,
    lost: u64,
}

/// How many gaps are remembered for [`TextWriter::gaps`]; the file has them all.
const GAPS_MAX: usize = 1_000;

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
        TextWriter::at(file, path, SyncMark { position: 0, next_seq: 1, lost: 0 })
    }

    /// Goes on with a text log that somebody else wrote: its first `position` bytes are whole lines, those of all records
    /// before `next_seq`. What follows them is cut off.
    ///
    /// # Errors
    /// [`FilesError::Io`] naming the file.
    pub fn go_on(file: File, path: &Path, position: u64, next_seq: u64) -> Result<TextWriter, FilesError> {
        file.set_len(position).map_err(FilesError::at("write", path))?;
        Ok(TextWriter::at(file, path, SyncMark { position, next_seq, lost: 0 }))
    }

    fn at(file: File, path: &Path, synced: SyncMark) -> TextWriter {
        TextWriter {
            file: Arc::new(file),
            path: path.to_owned(),
            position: synced.position,
            cut_back: false,
            next_seq: synced.next_seq,
            time: Time::default(),
            gap: None,
            gaps: Vec::new(),
            lost: 0,
            synced,
        }
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
        (self.next_seq, self.time) = (batch.seqs.end, batch.time);
        let written = self.write_after_gap(batch.lines);
        if let Err(error) = &written {
            self.note_lost(batch, error);
        }
        written.map_err(FilesError::at("write", &self.path))
    }

    /// Counts a batch as lost that is not written, for the reason given.
    pub fn lose(&mut self, batch: &TextBatch<'_>, why: &io::Error) {
        (self.next_seq, self.time) = (batch.seqs.end, batch.time);
        self.note_lost(batch, why);
    }

    /// Whether the file has no name any more: what is written to it is gone when it is closed.
    pub fn is_unlinked(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|file| file.nlink() == 0)
    }

    /// Whether something is lost of which the file does not tell yet.
    pub fn has_unsaid_gap(&self) -> bool {
        self.gap.is_some()
    }

    /// The last chance to say what is missing; then what was appended is made to survive a power cut.
    ///
    /// # Errors
    /// As for [`TextWriter::append`] and [`TextWriter::note_sync`].
    pub fn finish(&mut self) -> Result<(), FilesError> {
        let said = self.write_after_gap(&[]).map_err(FilesError::at("write", &self.path));
        let mark = self.sync_mark();
        let synced = self.file.sync_data();
        let noted = self.note_sync(mark, synced).inspect_err(|_| {
            // For the line that says so; the error is known.
            let _ = self.file.sync_data();
        });
        said.and(noted)
    }

    /// To be taken before a sync of [`TextWriter::file`] begins.
    pub fn sync_mark(&self) -> SyncMark {
        let next_seq = self.gap.as_ref().map_or(self.next_seq, |gap| gap.from);
        SyncMark { position: self.position, next_seq, lost: self.lost - (self.next_seq - next_seq) }
    }

    /// Takes note of how the sync ended that began at `mark`. If it failed, what followed the last good one may be on no disk,
    /// though it can be read until the system forgets it, and later syncs say nothing of it: it becomes a gap.
    ///
    /// # Errors
    /// That of the sync, naming the file; it has been dealt with.
    pub fn note_sync(&mut self, mark: SyncMark, ended: io::Result<()>) -> Result<(), FilesError> {
        match &ended {
            Ok(()) => self.synced = mark,
            Err(error) => self.lose_unsynced(error),
        }
        ended.map_err(FilesError::at("sync", &self.path))
    }

    /// How many bytes of the file are whole lines.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many records could not be written so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Which ones, the first [`GAPS_MAX`] times.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().chain(&self.gap)
    }

    /// The open file, for whoever syncs it in the background.
    pub fn file(&self) -> &Arc<File> {
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

    /// Writes lines, and before them what is missing there.
    fn write_after_gap(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(gap) = &self.gap else { return self.write(lines) };
        let mut all = Vec::with_capacity(lines.len() + 100);
        text::push_gap(&mut all, gap);
        all.extend_from_slice(lines);
        self.write(&all)?;
        let gap = self.gap.take();
        self.gaps.extend(gap.filter(|_| self.gaps.len() < GAPS_MAX));
        Ok(())
    }

    fn note_lost(&mut self, batch: &TextBatch<'_>, error: &io::Error) {
        self.lost += batch.seqs.end - batch.seqs.start;
        match &mut self.gap {
            Some(gap) => gap.to = Some(batch.seqs.end.saturating_sub(1)),
            None if batch.seqs.is_empty() => {}
            None => self.gap = Some(self.gap_from(batch.seqs.start, error)),
        }
    }

    fn lose_unsynced(&mut self, error: &io::Error) {
        let SyncMark { position, next_seq, lost } = self.synced;
        if next_seq == self.next_seq {
            return;
        }
        self.gap = Some(self.gap_from(next_seq, error));
        self.gaps.retain(|gap| gap.from < next_seq);
        self.lost = lost + (self.next_seq - next_seq);
        (self.position, self.cut_back) = (position, true);
        // Readers are told now; where that fails the next batch tries again.
        let _ = self.write_after_gap(&[]);
    }

    /// The gap from `from` to the last record that came.
    fn gap_from(&self, from: u64, error: &io::Error) -> Gap {
        let run = RunId::from_bytes([0; 16]); // the text has no column for it
        Gap { run, from, to: Some(self.next_seq - 1), time: self.time, why: why_lost(error) }
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
        writer.file = Arc::new(full());
        let error = writer.append(&batch(&lines(3, 5), 3..5)).unwrap_err();
        assert!(matches!(error, FilesError::DiskFull { .. }));
        writer.append(&batch(&lines(5, 6), 5..6)).unwrap_err();
        writer.file = Arc::new(File::options().write(true).open(&path).unwrap());
        writer.append(&batch(&lines(6, 7), 6..7)).unwrap();
        assert_eq!(messages(&path), ["1", "2", "lost seq 3-5: disk full", "6"]);
        assert_eq!(writer.lost(), 3);
    }

    fn failed() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(5))
    }

    fn messages(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap().lines().map(|line| line[32..].to_owned()).collect()
    }

    #[test]
    fn what_followed_the_last_good_sync_becomes_a_gap_when_one_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let mut writer = TextWriter::new(File::create_new(&path).unwrap(), &path);
        writer.append(&batch(&lines(1, 3), 1..3)).unwrap();
        writer.note_sync(writer.sync_mark(), Ok(())).unwrap();
        writer.append(&batch(&lines(3, 5), 3..5)).unwrap();
        let mark = writer.sync_mark();
        writer.append(&batch(&lines(5, 6), 5..6)).unwrap();
        let error = writer.note_sync(mark, failed()).unwrap_err();
        assert!(error.to_string().contains("cannot sync"), "{error}");
        assert_eq!(messages(&path)[2], "lost seq 3-5: Input/output error (os error 5)", "said at once");
        writer.append(&batch(&lines(6, 7), 6..7)).unwrap();
        writer.note_sync(writer.sync_mark(), failed()).unwrap_err();
        writer.append(&batch(&lines(7, 8), 7..8)).unwrap();
        writer.finish().unwrap();
        assert_eq!(messages(&path), ["1", "2", "lost seq 3-6: Input/output error (os error 5)", "7"]);
        let gaps: Vec<_> = writer.gaps().map(|gap| (gap.from, gap.to)).collect();
        assert_eq!((writer.lost(), gaps), (4, vec![(3, Some(6))]));
        writer.note_sync(writer.sync_mark(), failed()).unwrap_err();
        assert_eq!(writer.lost(), 4, "what was synced stays");
    }

    #[test]
    fn what_a_full_disk_took_is_not_counted_again_by_a_failed_sync() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let mut writer = TextWriter::new(File::create_new(&path).unwrap(), &path);
        let real = std::mem::replace(&mut writer.file, Arc::new(full()));
        writer.append(&batch(&lines(1, 4), 1..4)).unwrap_err();
        writer.note_sync(writer.sync_mark(), Ok(())).unwrap();
        writer.append(&batch(&lines(4, 5), 4..5)).unwrap_err();
        writer.file = real;
        writer.append(&batch(&lines(5, 6), 5..6)).unwrap();
        writer.note_sync(writer.sync_mark(), failed()).unwrap_err();
        assert_eq!((writer.lost(), messages(&path).len()), (5, 1));
        assert!(messages(&path)[0].starts_with("lost seq 1-5: "));
    }

    #[test]
    fn who_goes_on_with_a_log_cuts_off_what_is_behind_its_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let whole = lines(1, 4);
        std::fs::write(&path, [&whole[..], &lines(9, 10), b"2026-"].concat()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut writer = TextWriter::go_on(file, &path, whole.len() as u64, 4).unwrap();
        writer.append(&batch(&lines(4, 5), 4..5)).unwrap();
        writer.note_sync(writer.sync_mark(), Ok(())).unwrap();
        writer.append(&batch(&lines(5, 6), 5..6)).unwrap();
        writer.note_sync(writer.sync_mark(), failed()).unwrap_err();
        assert_eq!(messages(&path), ["1", "2", "3", "4", "lost seq 5-5: Input/output error (os error 5)"]);
        assert_eq!(writer.lost(), 1);
    }

    #[test]
    fn the_end_says_what_is_still_unsaid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec_x.log");
        let mut writer = TextWriter::new(File::create_new(&path).unwrap(), &path);
        writer.file = Arc::new(full());
        writer.append(&batch(&lines(1, 9), 1..9)).unwrap_err();
        writer.file = Arc::new(File::options().write(true).open(&path).unwrap());
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

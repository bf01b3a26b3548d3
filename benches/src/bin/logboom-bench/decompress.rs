//! How fast can this machine merely decompress the messages of a boom file, on every core?
//!
//! The limit of any search that has to look at every line. The compressed columns are read into memory first, so that only
//! zstd is timed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, ensure};
use logboom_bench::measure::median;
use logboom_boom::format::frame::{HEAD_BYTES, HEADER_BYTES};
use logboom_boom::format::{BlockMeta, ColumnId, ColumnMeta, FileHeader, FileId, FrameHead, FrameKind};

const ROUNDS: usize = 5;

/// The messages of a boom file's blocks, as they are stored.
pub struct Messages {
    columns: Vec<(ColumnMeta, Vec<u8>)>,
}

impl Messages {
    /// Reads them from a sealed boom file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let id = FileHeader::decode(&taken(&mut file, HEADER_BYTES)?)?.id;
        let (mut columns, mut offset) = (Vec::new(), HEADER_BYTES as u64);
        loop {
            let head = FrameHead::decode(&taken(&mut file, HEAD_BYTES)?, &id, offset)?;
            let body = taken(&mut file, head.body_bytes as usize)?;
            match head.kind {
                FrameKind::Block => columns.extend(messages(&head, &body, &id)?),
                FrameKind::Index => {}
                FrameKind::Footer => return Ok(Self { columns }),
            }
            offset = head.end();
        }
    }

    /// How many bytes the messages have.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|(column, _)| column.raw_bytes).sum()
    }

    /// Decompresses all of them on every core; gives the median of several times in seconds.
    pub fn seconds(&self) -> anyhow::Result<f64> {
        let times: anyhow::Result<Vec<f64>> = (0..ROUNDS).map(|_| self.once()).collect();
        Ok(median(times?))
    }

    fn once(&self) -> anyhow::Result<f64> {
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        let done: anyhow::Result<Vec<usize>> = thread::scope(|scope| {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| self.some(&next))).collect();
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?).collect()
        });
        let seconds = started.elapsed().as_secs_f64();
        ensure!(done?.iter().sum::<usize>() == self.bytes(), "not everything was decompressed");
        Ok(seconds)
    }

    /// Decompresses what no other thread has taken; gives the number of bytes.
    fn some(&self, next: &AtomicUsize) -> anyhow::Result<usize> {
        let (mut zstd, mut text, mut bytes) = (zstd::bulk::Decompressor::new()?, Vec::new(), 0);
        while let Some((column, stored)) = self.columns.get(next.fetch_add(1, Ordering::Relaxed)) {
            text.clear();
            text.reserve(column.raw_bytes);
            bytes += match column.compressed {
                true => zstd.decompress_to_buffer(stored, &mut text)?,
                false => stored.len(),
            };
        }
        Ok(bytes)
    }
}

fn messages(head: &FrameHead, body: &[u8], id: &FileId) -> anyhow::Result<Option<(ColumnMeta, Vec<u8>)>> {
    let (meta, mut rest) = head.check_body(body, id)?;
    for column in BlockMeta::decode(meta, rest.len())?.columns {
        let (stored, after) = rest.split_at_checked(column.stored_bytes).context("a column is cut off")?;
        if column.id == ColumnId::Messages {
            return Ok(Some((column, stored.to_vec())));
        }
        rest = after;
    }
    Ok(None)
}

fn taken(file: &mut File, bytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut taken = vec![0; bytes];
    file.read_exact(&mut taken)?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use logboom_record::Time;

    use super::*;

    /// A frame of this kind at `offset`.
    fn frame(kind: FrameKind, offset: u64, id: &FileId, meta: &[u8], rest: &[u8]) -> Vec<u8> {
        let (meta_bytes, body_bytes) = (meta.len() as u32, (meta.len() + rest.len()) as u32);
        let (meta_crc, rest_crc) = (id.crc(meta), id.crc(rest));
        let head = FrameHead { kind, body_bytes, offset, last_index: 0, meta_bytes, meta_crc, rest_crc };
        [&head.encode(id), meta, rest].concat()
    }

    /// A boom file with one block of these messages.
    fn boom_file(text: &[u8]) -> Vec<u8> {
        let header = FileHeader { id: FileId::new([7; 16]), created_at: Time::default() };
        let stored = zstd::bulk::compress(text, 1).unwrap();
        let (raw_bytes, stored_bytes) = (text.len(), stored.len());
        let columns = vec![ColumnMeta { id: ColumnId::Messages, compressed: true, raw_bytes, stored_bytes }];
        let mut meta = Vec::new();
        BlockMeta { columns, ..BlockMeta::default() }.encode(&mut meta);
        let mut file = header.encode().to_vec();
        file.extend(frame(FrameKind::Block, HEADER_BYTES as u64, &header.id, &meta, &stored));
        file.extend(frame(FrameKind::Footer, file.len() as u64, &header.id, b"footer", b""));
        file
    }

    #[test]
    fn all_messages_are_decompressed() {
        let (dir, text) = (tempfile::tempdir().unwrap(), b"a message\n".repeat(1_000));
        let path = dir.path().join("records.boom");
        std::fs::write(&path, boom_file(&text)).unwrap();
        let messages = Messages::read(&path).unwrap();
        assert_eq!(messages.bytes(), text.len());
        assert!(messages.seconds().unwrap() > 0.0);
    }

    #[test]
    fn torn_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.boom");
        let whole = boom_file(b"a message\n");
        std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        assert!(Messages::read(&path).is_err());
    }
}

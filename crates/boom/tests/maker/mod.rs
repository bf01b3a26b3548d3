//! Makes boom files and tails byte by byte, the plainest way that `docs/formats.md` allows: what the reader is tested
//! against that does not come from the writer. Files can be made that no writer would: damaged, cut, contradicting.
#![allow(dead_code)] // every test file uses some of it
#![allow(clippy::unwrap_used)] // nothing but tests uses it

use std::{collections::BTreeMap, os::unix::fs::FileExt, path::Path};

use logboom_boom::{
    filter::for_each_gram,
    format::{
        BlockFlags, BlockMeta, BlockSummary, ColumnId, ColumnMeta, EndInBlock, FileHeader, FileId, Footer, FrameHead,
        FrameKind, GapInBlock, IndexMeta, NewRun, RunInBlock, RunInFooter, TailHead, TailMeta, columns,
        frame::HEAD_BYTES,
        index::put_filter,
        input::put_varint,
        tail::{SLOT_BYTES, TAIL_HEAD_BYTES, TAIL_PAGE_BYTES, slot_offset},
    },
    reader::{Reader, Totals},
};
use logboom_record::{Entry, EntryRef, Flags, Gap, Kind, Level, Outcome, Record, RunEnd, RunId, Stream, Time, ansi};

/// What a made file is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub compressed: bool,
    pub bucketed: bool,
    pub filter: bool,
    pub blocks_per_index: usize,
}

pub const PLAIN: Shape = Shape { compressed: true, bucketed: true, filter: true, blocks_per_index: 2 };

/// The entries of a tail frame, and the runs that end in it.
pub type TailFrame = (Vec<Entry>, Vec<RunId>);

/// A boom file in the making.
pub struct Maker {
    pub bytes: Vec<u8>,
    pub id: FileId,
    header: [u8; 64],
    shape: Shape,
    number: u64,
    last_index: u64,
    index_offsets: Vec<u64>,
    group: Vec<(BlockSummary, Vec<Vec<u8>>)>,
    totals: Totals,
    runs: BTreeMap<RunId, (u64, Option<RunEnd>)>,
    open: BTreeMap<(RunId, Stream), bool>,
}

pub fn run(number: u8) -> RunId {
    RunId::from_bytes([number; 16])
}

pub fn ended() -> RunEnd {
    RunEnd { ended_at: Time::from_micros(99), outcome: Outcome::Failed, exit_code: Some(3), signal: None }
}

/// A record of run 1 as a program would print it.
pub fn record(seq: u64, message: impl AsRef<[u8]>) -> Record {
    Record {
        run: run(1),
        seq,
        time: Time::from_micros(1_767_323_045_000_000 + seq as i64 * 7),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::NONE,
        message: message.as_ref().to_vec(),
        fields: None,
    }
}

/// The raw columns and the meta section, all but the columns' lengths.
struct Columns {
    meta: BlockMeta,
    raw: BTreeMap<ColumnId, Vec<u8>>,
}

impl Maker {
    pub fn new(shape: Shape) -> Maker {
        let id = FileId::new(*b"a file for tests");
        let header = FileHeader { id, created_at: Time::from_micros(5) }.encode();
        Maker {
            bytes: header.to_vec(),
            id,
            header,
            shape,
            number: 0,
            last_index: 0,
            index_offsets: Vec::new(),
            group: Vec::new(),
            totals: Default::default(),
            runs: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// A block of these entries; ends are those of runs that end in it.
    pub fn block(&mut self, entries: &[Entry], ends: &[RunId], checkpoint: Option<&[u8]>) -> &mut Self {
        let mut columns = columns_of(entries, self.number, self.shape.bucketed, true);
        let numbers = columns.meta.runs.clone();
        let number = |id: &RunId| numbers.iter().position(|run| run.id == *id).unwrap() as u32;
        columns.meta.ends = ends.iter().map(|id| EndInBlock { run: number(id), end: ended() }).collect();
        columns.meta.checkpoint = checkpoint.map(<[u8]>::to_vec);
        columns.meta.flags = self.flags(entries, checkpoint.is_some());
        let meta = self.put_block(columns);
        self.count(&meta);
        self.number += 1;
        let lines = lines_of(entries);
        let body_bytes = self.bytes.len() as u64 - meta.0 - HEAD_BYTES as u64;
        let BlockMeta { number, flags, time_min, time_max, runs, gaps, ends, records, .. } = meta.1;
        let body_bytes = body_bytes as u32;
        let summary =
            BlockSummary { offset: meta.0, body_bytes, number, flags, time_min, time_max, records, runs, gaps, ends };
        self.group.push((summary, lines));
        if self.group.len() == self.shape.blocks_per_index {
            self.index();
        }
        self
    }

    /// Changes what the index will say of the last block.
    pub fn forge_summary(&mut self, change: impl FnOnce(&mut BlockSummary)) {
        change(&mut self.group.last_mut().unwrap().0);
    }

    /// The number that the next block will have.
    pub fn next_number(&self) -> u64 {
        self.number
    }

    /// Leaves a number out, as a block that never came.
    pub fn skip_number(&mut self) {
        self.number += 1;
    }

    /// The index of what has none yet, and the footer.
    pub fn seal(&mut self) -> &mut Self {
        self.seal_with_tail(false)
    }

    pub fn seal_with_tail(&mut self, has_tail: bool) -> &mut Self {
        if !self.group.is_empty() {
            self.index();
        }
        let totals = self.totals;
        let runs = self.runs.iter().map(|(id, (next_seq, end))| RunInFooter {
            id: *id,
            kind: Kind::Command,
            next_seq: *next_seq,
            end: end.clone(),
        });
        let footer = Footer {
            index_offsets: self.index_offsets.clone(),
            records: totals.records,
            lines: totals.lines,
            lost: totals.lost,
            levels: totals.levels,
            runs: runs.collect(),
            has_tail,
        };
        let mut meta = Vec::new();
        footer.encode(&mut meta);
        let trailer = Footer::trailer(self.bytes.len() as u64);
        self.frame(FrameKind::Footer, &meta, &trailer);
        self
    }

    /// Where the last index is.
    pub fn last_index(&self) -> u64 {
        self.last_index
    }

    /// The head of a tail frame with this body.
    pub fn tail_head(&self, block: u32, frame: u32, body: &[u8]) -> [u8; TAIL_HEAD_BYTES] {
        let (body_bytes, body_crc) = (body.len() as u32, self.id.crc(body));
        TailHead { block, frame, body_bytes, body_crc }.encode(&self.id)
    }

    /// A frame with right checksums around any bytes.
    pub fn frame(&mut self, kind: FrameKind, meta: &[u8], rest: &[u8]) {
        let head = FrameHead {
            kind,
            body_bytes: (meta.len() + rest.len()) as u32,
            offset: self.bytes.len() as u64,
            last_index: self.last_index,
            meta_bytes: meta.len() as u32,
            meta_crc: self.id.crc(meta),
            rest_crc: self.id.crc(rest),
        };
        self.bytes.extend(head.encode(&self.id));
        self.bytes.extend(meta);
        self.bytes.extend(rest);
    }

    /// The tail of this file: each block with its frames, each of which has its entries and the runs that end in it.
    pub fn tail(&self, blocks: &[(u64, Vec<TailFrame>)]) -> Vec<u8> {
        let mut out = vec![0; TAIL_PAGE_BYTES as usize];
        out[..64].copy_from_slice(&self.header);
        for (number, frames) in blocks {
            let mut all: Vec<Entry> = Vec::new();
            let mut at = slot_offset(*number) as usize;
            for (frame, (entries, ends)) in frames.iter().enumerate() {
                let before = columns_of(&all, *number, false, false);
                all.extend(entries.iter().cloned());
                let after = columns_of(&all, *number, false, false);
                let bytes = self.tail_frame(*number, frame as u32, &before, &after, ends);
                if out.len() < at + bytes.len() {
                    out.resize(at + bytes.len(), 0);
                }
                out[at..at + bytes.len()].copy_from_slice(&bytes);
                at += bytes.len();
            }
            assert!((at as u64) < slot_offset(*number) + SLOT_BYTES);
        }
        out
    }

    fn tail_frame(&self, number: u64, frame: u32, before: &Columns, after: &Columns, ends: &[RunId]) -> Vec<u8> {
        let ids = [0, 2, 3, 4, 5, 6, 7].map(|id| ColumnId::ALL[id]);
        let added = |id| &after.raw[&id][before.raw[&id].len()..];
        let runs = after.meta.runs[before.meta.runs.len()..].iter();
        let number_of = |id: &RunId| after.meta.runs.iter().position(|run| run.id == *id).unwrap() as u32;
        let meta = TailMeta {
            runs: runs.map(|run| NewRun { id: run.id, kind: run.kind, first_seq: run.first_seq }).collect(),
            gaps: after.meta.gaps[before.meta.gaps.len()..].to_vec(),
            ends: ends.iter().map(|id| EndInBlock { run: number_of(id), end: ended() }).collect(),
            checkpoint: None,
            records: after.meta.records - before.meta.records,
            column_bytes: ids.map(|id| added(id).len()),
        };
        let mut body = Vec::new();
        meta.encode(&mut body);
        ids.iter().for_each(|id| body.extend(added(*id)));
        [&self.tail_head(number as u32, frame, &body)[..], &body].concat()
    }

    fn put_block(&mut self, columns: Columns) -> (u64, BlockMeta) {
        let (mut meta, mut rest) = (columns.meta, Vec::new());
        for (id, raw) in columns.raw.iter().filter(|(_, raw)| !raw.is_empty()) {
            let packed = zstd::bulk::compress(raw, 1).unwrap();
            let compressed = self.shape.compressed && packed.len() < raw.len();
            let stored = if compressed { &packed } else { raw };
            let (raw_bytes, stored_bytes) = (raw.len(), stored.len());
            meta.columns.push(ColumnMeta { id: *id, compressed, raw_bytes, stored_bytes });
            rest.extend(stored);
        }
        let mut section = Vec::new();
        meta.encode(&mut section);
        let offset = self.bytes.len() as u64;
        self.frame(FrameKind::Block, &section, &rest);
        (offset, meta)
    }

    fn count(&mut self, (_, meta): &(u64, BlockMeta)) {
        let lost = |gap: &GapInBlock| gap.to.map_or(0, |to| to - gap.from + 1);
        for (number, run) in meta.runs.iter().enumerate() {
            let gaps = meta.gaps.iter().filter(|gap| gap.run as usize == number);
            let next_seq = run.first_seq + run.records + gaps.map(lost).sum::<u64>();
            let end = meta.ends.iter().find(|end| end.run as usize == number).map(|end| end.end.clone());
            let known = self.runs.entry(run.id).or_default();
            *known = (next_seq, end.or(known.1.take()));
            self.totals.lines += run.lines;
            self.totals.levels.iter_mut().zip(run.levels).for_each(|(sum, count)| *sum += count);
        }
        self.totals.records += u64::from(meta.records);
        self.totals.lost += meta.gaps.iter().map(lost).sum::<u64>();
    }

    fn flags(&mut self, entries: &[Entry], checkpoint: bool) -> BlockFlags {
        let mut flags = if checkpoint { BlockFlags::CHECKPOINT } else { BlockFlags::NONE };
        let open_before = std::mem::take(&mut self.open);
        let mut open = open_before.clone();
        let mut seen = BTreeMap::new();
        for record in entries.iter().filter_map(as_record) {
            let key = (record.run, record.stream);
            if seen.insert(key, ()).is_none() && open_before.get(&key) == Some(&true) {
                flags = flags.with(BlockFlags::JOINS_EARLIER);
            }
            if ansi::has_escape(&record.message) {
                flags = flags.with(BlockFlags::ANSI);
            }
            open.insert(key, record.flags.has(Flags::CONTINUED));
        }
        if open.iter().any(|(key, open)| *open && seen.contains_key(key)) {
            flags = flags.with(BlockFlags::JOINS_LATER);
        }
        self.open = open;
        flags
    }

    fn index(&mut self) {
        let group = std::mem::take(&mut self.group);
        let mut rows = vec![0u32; 1 << 9];
        for (bit, (_, lines)) in group.iter().enumerate() {
            for line in lines {
                let mut plain = Vec::new();
                ansi::strip(line, &mut plain);
                for text in [line, &plain] {
                    for_each_gram(text, |hash| rows[(hash >> 23) as usize] |= 1 << bit);
                }
            }
        }
        let blocks: Vec<BlockSummary> = group.into_iter().map(|(summary, _)| summary).collect();
        let meta = IndexMeta { blocks, rows_log2: self.shape.filter.then_some(9) };
        let (mut section, mut pages) = (Vec::new(), Vec::new());
        meta.encode(&mut section);
        if self.shape.filter {
            put_filter(&rows, &self.id, &mut pages);
        }
        let offset = self.bytes.len() as u64;
        self.frame(FrameKind::Index, &section, &pages);
        self.last_index = offset;
        self.index_offsets.push(offset);
    }
}

fn as_record(entry: &Entry) -> Option<&Record> {
    match entry {
        Entry::Record(record) => Some(record),
        Entry::Gap(_) => None,
    }
}

/// The lines of a block, parts joined as far as they are in it.
fn lines_of(entries: &[Entry]) -> Vec<Vec<u8>> {
    let (mut lines, mut open) = (Vec::new(), BTreeMap::<_, Vec<u8>>::new());
    for record in entries.iter().filter_map(as_record) {
        let line = open.entry((record.run, record.stream)).or_default();
        line.extend(&record.message);
        if !record.flags.has(Flags::CONTINUED) {
            lines.push(std::mem::take(line));
        }
    }
    lines.extend(open.into_values());
    lines
}

fn columns_of(entries: &[Entry], number: u64, bucketed: bool, in_block: bool) -> Columns {
    let mut meta = BlockMeta { number, ..BlockMeta::default() };
    let mut raw: BTreeMap<ColumnId, Vec<u8>> = ColumnId::ALL.map(|id| (id, Vec::new())).into();
    let times: Vec<Time> = entries.iter().map(Entry::time).collect();
    meta.time_min = times.iter().min().copied().unwrap_or_default();
    meta.time_max = times.iter().max().copied().unwrap_or_default();
    let base = if in_block { meta.time_min } else { Time::default() };
    let records: Vec<&Record> = entries.iter().filter_map(as_record).collect();
    let has_origin = records.iter().any(|record| record.origin_time_ns.is_some());
    let has_fields = records.iter().any(|record| record.fields.is_some());
    let (mut last, mut last_origin, mut last_newlines) = (base, i128::from(base.as_micros()) * 1_000, 0);
    for entry in entries {
        let known = meta.runs.iter().position(|run| run.id == entry.run());
        let run = known.unwrap_or(meta.runs.len());
        if known.is_none() {
            let (id, first_seq, levels) = (entry.run(), entry.seq(), [0; 5]);
            meta.runs.push(RunInBlock { id, kind: Kind::Command, first_seq, records: 0, lines: 0, levels });
        }
        let record = match entry {
            Entry::Gap(Gap { from, to, time, why, .. }) => {
                let gap = GapInBlock {
                    at: meta.records,
                    run: run as u32,
                    from: *from,
                    to: *to,
                    time: *time,
                    why: why.clone(),
                };
                meta.gaps.push(gap);
                continue;
            }
            Entry::Record(record) => record,
        };
        let counts = &mut meta.runs[run];
        counts.records += 1;
        counts.lines += u64::from(!record.flags.has(Flags::CONTINUED));
        counts.levels[record.level as usize] += 1;
        column(&mut raw, ColumnId::Control).push(columns::control(record.stream, record.level, record.flags));
        columns::put_time(column(&mut raw, ColumnId::Time), last, record.time);
        last = record.time;
        put_varint(column(&mut raw, ColumnId::Run), run as u64);
        let newlines = record.message.iter().filter(|byte| **byte == b'\n').count() as u32;
        if newlines > 0 {
            columns::put_inner_newlines(
                column(&mut raw, ColumnId::InnerNewlines),
                meta.records - last_newlines,
                newlines,
            );
            last_newlines = meta.records;
        }
        if has_origin {
            columns::put_origin_time(column(&mut raw, ColumnId::OriginTime), last_origin, record.origin_time_ns);
            last_origin = record.origin_time_ns.map_or(last_origin, i128::from);
        }
        if has_fields {
            column(&mut raw, ColumnId::Fields).extend(record.fields.as_deref().unwrap_or("").bytes().chain(*b"\n"));
        }
        meta.records += 1;
    }
    if in_block && meta.runs.len() == 1 {
        raw.insert(ColumnId::Run, Vec::new());
    }
    put_messages(&records, bucketed, &mut meta, &mut raw);
    Columns { meta, raw }
}

fn column(raw: &mut BTreeMap<ColumnId, Vec<u8>>, id: ColumnId) -> &mut Vec<u8> {
    raw.get_mut(&id).unwrap()
}

/// The messages, in buckets by their first byte or in order.
fn put_messages(records: &[&Record], bucketed: bool, meta: &mut BlockMeta, raw: &mut BTreeMap<ColumnId, Vec<u8>>) {
    const BUCKETS: usize = 5;
    let bucket =
        |record: &Record| if bucketed { record.message.first().map_or(0, |byte| *byte as usize % BUCKETS) } else { 0 };
    let mut texts = vec![Vec::new(); BUCKETS];
    let mut counts = vec![0; BUCKETS];
    for record in records {
        texts[bucket(record)].extend(record.message.iter().chain(b"\n"));
        counts[bucket(record)] += 1;
    }
    raw.insert(ColumnId::Messages, texts.concat());
    if bucketed {
        raw.insert(ColumnId::Buckets, records.iter().map(|record| bucket(record) as u8).collect());
        meta.buckets = counts;
    }
}

/// Everything a reader shows, in the order of the file.
pub fn read_all(reader: &Reader) -> Vec<Entry> {
    (0..reader.blocks().len()).flat_map(|block| read_block(reader, block).unwrap()).collect()
}

pub fn read_block(reader: &Reader, block: usize) -> Result<Vec<Entry>, logboom_boom::BoomError> {
    let mut block = reader.read(block)?;
    let entries = block.records()?.entries().map(|entry| match entry {
        EntryRef::Record(record) => Entry::Record(record.to_owned()),
        EntryRef::Gap(gap) => Entry::Gap(gap.clone()),
    });
    Ok(entries.collect())
}

pub fn write(dir: &Path, boom: &[u8], tail: Option<&[u8]>) -> std::path::PathBuf {
    let path = dir.join("records.boom");
    std::fs::write(&path, boom).unwrap();
    if let Some(tail) = tail {
        write_sparse(&dir.join("records.boom.tail"), tail);
    }
    path
}

/// Leaves out the pages of zeros, which are nearly all of a tail.
fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, page) in bytes.chunks(4_096).enumerate() {
        if *page != [0; 4_096][..page.len()] {
            file.write_all_at(page, number as u64 * 4_096).unwrap();
        }
    }
}

//! Reads a boom file and its tail from memory, the plain way: frame after frame, every checksum, every seq.

use std::collections::BTreeMap;

use logboom_record::{Entry, Flags, Gap, Record, RunEnd, RunId, Time};

use crate::format::{
    BlockMeta, BlockSummary, ColumnId, FileHeader, FileId, Footer, FrameHead, FrameKind, GapInBlock, IndexMeta,
    RunInBlock, TailHead, TailMeta, columns,
    frame::{FRAME_MAGIC, HEAD_BYTES, HEADER_BYTES},
    index::{PAGE_BYTES, decode_page},
    tail::{SLOT_BYTES, TAIL_COLUMNS, TAIL_HEAD_BYTES, TAIL_SLOTS, slot_offset},
};

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The entries of each run as they stand in the file.
    pub(crate) entries: BTreeMap<RunId, Vec<Entry>>,
    pub(crate) ends: Vec<(RunId, RunEnd)>,
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) blocks: Vec<BlockMeta>,
    pub(crate) indexes: Vec<IndexMeta>,
    pub(crate) footer: Option<Footer>,
    /// Bytes of the boom file that are no frame and no torn end.
    pub(crate) damaged_bytes: usize,
    /// How many of the blocks came from the tail.
    pub(crate) tail_blocks: usize,
}

impl Read {
    /// The seqs of a run that are records, and those that are in gaps.
    pub(crate) fn seqs(&self, run: RunId) -> (Vec<u64>, Vec<u64>) {
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        for entry in self.entries.get(&run).into_iter().flatten() {
            match entry {
                Entry::Record(record) => kept.push(record.seq),
                Entry::Gap(gap) => lost.extend(gap.from..=gap.to.unwrap()),
            }
        }
        (kept, lost)
    }

    pub(crate) fn records(&self, run: RunId) -> Vec<&Record> {
        let entries = self.entries.get(&run).into_iter().flatten();
        entries.filter_map(|entry| if let Entry::Record(record) = entry { Some(record) } else { None }).collect()
    }

    pub(crate) fn gaps(&self, run: RunId) -> Vec<&Gap> {
        let entries = self.entries.get(&run).into_iter().flatten();
        entries.filter_map(|entry| if let Entry::Gap(gap) = entry { Some(gap) } else { None }).collect()
    }
}

/// Raw columns of a block, messages in order.
#[derive(Default)]
struct Raw([Vec<u8>; 8]);

impl Raw {
    fn of(&mut self, id: ColumnId) -> &mut Vec<u8> {
        &mut self.0[id as usize]
    }
}

/// Reads both files; panics where the format is broken.
pub(crate) fn read(boom: &[u8], tail: &[u8]) -> Read {
    let mut read = Read::default();
    let Ok(header) = FileHeader::decode(boom) else { return read };
    let mut blocks = BTreeMap::new();
    read_frames(boom, &header.id, &mut read, &mut blocks);
    let holds_tail = read.footer.as_ref().is_none_or(|footer| footer.has_tail);
    if holds_tail && tail.get(..HEADER_BYTES) == boom.get(..HEADER_BYTES) {
        read_tail(tail, &header.id, &mut read, &mut blocks);
    }
    for (meta, mut raw, base) in blocks.into_values() {
        add_block(&mut read, &meta, &mut raw, base);
        read.blocks.push(meta);
    }
    read
}

type Blocks = BTreeMap<u64, (BlockMeta, Raw, Time)>;

fn read_frames(boom: &[u8], id: &FileId, read: &mut Read, blocks: &mut Blocks) {
    let (mut at, mut summaries, mut last_index) = (HEADER_BYTES, Vec::new(), 0);
    while at < boom.len() {
        let body = |head: &FrameHead| boom.get(at + HEAD_BYTES..head.end() as usize);
        let frame = FrameHead::decode(&boom[at..], id, at as u64).ok();
        let Some((head, (meta, rest))) = frame.and_then(|head| {
            let body = body(&head)?;
            head.check_body(body, id).ok().map(|parts| (head, parts))
        }) else {
            let next = memchr::memmem::find(&boom[at + 1..], &FRAME_MAGIC).map(|step| at + 1 + step);
            if let Some(next) = next {
                read.damaged_bytes += next - at;
            }
            at = next.unwrap_or(boom.len());
            continue;
        };
        assert_eq!(head.last_index, last_index, "frame at {at}");
        match head.kind {
            FrameKind::Block => {
                let block = BlockMeta::decode(meta, rest.len()).unwrap();
                summaries.push((at as u64, head.body_bytes, block.clone()));
                let raw = unpack(&block, rest);
                let base = block.time_min;
                assert!(blocks.insert(block.number, (block, raw, base)).is_none());
            }
            FrameKind::Index => {
                let index = IndexMeta::decode(meta, &mut zstd::bulk::Decompressor::default()).unwrap();
                assert_eq!(index.filter_bytes(), rest.len());
                rest.chunks(PAGE_BYTES).for_each(|page| assert!(decode_page(page, id).is_ok()));
                for (offset, bytes, block) in std::mem::take(&mut summaries) {
                    // Only an index that the disk lost may leave blocks without one.
                    let summary = index.blocks.iter().find(|summary| summary.offset == offset);
                    assert!(summary.is_some() || read.damaged_bytes > 0);
                    summary.iter().for_each(|summary| check_summary(summary, offset, bytes, &block));
                }
                last_index = at as u64;
                read.indexes.push(index);
            }
            FrameKind::Footer => {
                assert_eq!(Footer::find(rest), Some(at as u64));
                assert_eq!(head.end() as usize, boom.len(), "something follows the footer");
                read.footer = Some(Footer::decode(meta).unwrap());
            }
        }
        at = head.end() as usize;
    }
}

fn check_summary(summary: &BlockSummary, offset: u64, body_bytes: u32, block: &BlockMeta) {
    assert_eq!((summary.offset, summary.body_bytes), (offset, body_bytes));
    assert_eq!((summary.number, summary.records, summary.flags), (block.number, block.records, block.flags));
    assert_eq!((&summary.runs, &summary.gaps, &summary.ends), (&block.runs, &block.gaps, &block.ends));
    assert_eq!((summary.time_min, summary.time_max), (block.time_min, block.time_max));
}

fn unpack(block: &BlockMeta, mut bytes: &[u8]) -> Raw {
    let mut raw = Raw::default();
    for column in &block.columns {
        let (stored, rest) = bytes.split_at(column.stored_bytes);
        bytes = rest;
        *raw.of(column.id) = match column.compressed {
            true => zstd::bulk::decompress(stored, column.raw_bytes).unwrap(),
            false => stored.to_vec(),
        };
        assert_eq!(raw.of(column.id).len(), column.raw_bytes);
    }
    if block.buckets.len() > 1 {
        unsort(block, &mut raw);
    }
    raw
}

/// Puts bucketed messages in order. Inner newlines are not looked at: tests of buckets have none.
fn unsort(block: &BlockMeta, raw: &mut Raw) {
    let of_record = raw.of(ColumnId::Buckets).clone();
    let mut inner = Vec::new();
    columns::decode_inner_newlines(raw.of(ColumnId::InnerNewlines), block.records as usize, &mut inner).unwrap();
    let inner: BTreeMap<u32, u32> = inner.into_iter().collect();
    let mut order: Vec<usize> = (0..of_record.len()).collect();
    order.sort_by_key(|record| of_record[*record]);
    let mut messages = vec![Vec::new(); of_record.len()];
    let sorted = raw.of(ColumnId::Messages);
    let mut lines = sorted.split_inclusive(|byte| *byte == b'\n');
    for record in order {
        let count = 1 + inner.get(&(record as u32)).copied().unwrap_or(0) as usize;
        messages[record] = lines.by_ref().take(count).collect::<Vec<_>>().concat();
    }
    for (bucket, lines) in block.buckets.iter().enumerate() {
        assert_eq!(of_record.iter().filter(|number| usize::from(**number) == bucket).count(), *lines as usize);
    }
    *raw.of(ColumnId::Messages) = messages.concat();
}

fn read_tail(tail: &[u8], id: &FileId, read: &mut Read, blocks: &mut Blocks) {
    for slot in 0..TAIL_SLOTS {
        let start = slot_offset(slot) as usize;
        let Some(slot) = tail.get(start.min(tail.len())..(start + SLOT_BYTES as usize).min(tail.len())) else {
            continue;
        };
        let Some((meta, raw)) = read_slot(slot, id) else { continue };
        if !blocks.contains_key(&meta.number) && read.blocks.iter().all(|block| block.number != meta.number) {
            read.tail_blocks += 1;
            blocks.insert(meta.number, (meta, raw, Time::default()));
        }
    }
}

fn read_slot(slot: &[u8], id: &FileId) -> Option<(BlockMeta, Raw)> {
    let (mut at, mut frame, mut block, mut raw) = (0, 0, BlockMeta::default(), Raw::default());
    while let Ok(head) = TailHead::decode(slot.get(at..)?, id) {
        let Some(body) = slot.get(at + TAIL_HEAD_BYTES..at + TAIL_HEAD_BYTES + head.body_bytes as usize) else { break };
        if id.crc(body) != head.body_crc || head.frame != frame || (frame > 0 && u64::from(head.block) != block.number)
        {
            break;
        }
        block.number = u64::from(head.block);
        let (meta, bytes) = TailMeta::decode(body).unwrap();
        add_tail_frame(&mut block, &mut raw, meta, bytes);
        at += TAIL_HEAD_BYTES + body.len();
        frame += 1;
    }
    (frame > 0).then_some((block, raw))
}

fn add_tail_frame(block: &mut BlockMeta, raw: &mut Raw, meta: TailMeta, mut bytes: &[u8]) {
    for (id, count) in TAIL_COLUMNS.into_iter().zip(meta.column_bytes) {
        raw.of(id).extend_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
    }
    let run = |run: crate::format::NewRun| RunInBlock {
        id: run.id,
        kind: run.kind,
        first_seq: run.first_seq,
        records: 0,
        lines: 0,
        levels: [0; 5],
    };
    block.runs.extend(meta.runs.into_iter().map(run));
    block.gaps.extend(meta.gaps);
    block.ends.extend(meta.ends);
    block.checkpoint = meta.checkpoint.or(block.checkpoint.take());
    block.records += meta.records;
}

fn add_block(read: &mut Read, block: &BlockMeta, raw: &mut Raw, base: Time) {
    let records = block.records as usize;
    let (mut times, mut runs, mut origins, mut inner) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    columns::decode_times(raw.of(ColumnId::Time), base, records, &mut times).unwrap();
    match raw.of(ColumnId::Run) {
        column if column.is_empty() => runs.resize(records, 0),
        column => columns::decode_runs(column, block.runs.len(), records, &mut runs).unwrap(),
    }
    match raw.of(ColumnId::OriginTime) {
        column if column.is_empty() => origins.resize(records, None),
        column => {
            let base = i128::from(base.as_micros()) * 1_000;
            columns::decode_origin_times(column, base, records, &mut origins).unwrap();
        }
    }
    columns::decode_inner_newlines(raw.of(ColumnId::InnerNewlines), records, &mut inner).unwrap();
    let inner: BTreeMap<u32, u32> = inner.into_iter().collect();
    let control = raw.of(ColumnId::Control).clone();
    let fields = raw.of(ColumnId::Fields).clone();
    let mut fields = fields.split(|byte| *byte == b'\n');
    let messages = raw.of(ColumnId::Messages).clone();
    let mut lines = messages.split_inclusive(|byte| *byte == b'\n');
    let mut next: Vec<u64> = block.runs.iter().map(|run| run.first_seq).collect();
    let mut gaps = block.gaps.iter().peekable();
    for at in 0..records {
        while let Some(gap) = gaps.next_if(|gap| gap.at as usize <= at) {
            add_gap(read, block, gap, &mut next);
        }
        let count = 1 + inner.get(&(at as u32)).copied().unwrap_or(0) as usize;
        let message = lines.by_ref().take(count).collect::<Vec<_>>().concat();
        let (stream, level, flags) = columns::decode_control(control[at]).unwrap();
        let run = usize::from(runs[at]);
        let record = Record {
            run: block.runs[run].id,
            seq: next[run],
            time: times[at],
            origin_time_ns: origins[at],
            stream,
            level,
            flags,
            message: message.strip_suffix(b"\n").unwrap().to_vec(),
            fields: fields.next().filter(|text| !text.is_empty()).map(|text| String::from_utf8(text.to_vec()).unwrap()),
        };
        next[run] += 1;
        read.entries.entry(record.run).or_default().push(Entry::Record(record));
    }
    gaps.for_each(|gap| add_gap(read, block, gap, &mut next));
    assert!(lines.next().is_none(), "more messages than records");
    assert!(records == 0 || control.len() == records);
    read.ends.extend(block.ends.iter().map(|end| (block.runs[end.run as usize].id, end.end.clone())));
    read.checkpoint = block.checkpoint.clone().or(read.checkpoint.take());
    check_counts(block, &control, &runs);
}

fn add_gap(read: &mut Read, block: &BlockMeta, gap: &GapInBlock, next: &mut [u64]) {
    let run = block.runs[gap.run as usize].id;
    if gap.from == next[gap.run as usize] {
        next[gap.run as usize] = gap.to.unwrap() + 1;
    }
    let gap = Gap { run, from: gap.from, to: gap.to, time: gap.time, why: gap.why.clone() };
    read.entries.entry(run).or_default().push(Entry::Gap(gap));
}

/// What the block says of its runs must be so; the tail says nothing.
fn check_counts(block: &BlockMeta, control: &[u8], runs: &[u8]) {
    for (number, run) in block.runs.iter().enumerate().filter(|(_, run)| run.records > 0) {
        let mine = control.iter().zip(runs).filter(|(_, of)| usize::from(**of) == number);
        let parts: Vec<_> = mine.map(|(control, _)| columns::decode_control(*control).unwrap()).collect();
        assert_eq!(run.records as usize, parts.len());
        assert_eq!(run.lines as usize, parts.iter().filter(|(_, _, flags)| !flags.has(Flags::CONTINUED)).count());
        for (level, count) in run.levels.iter().enumerate() {
            assert_eq!(*count as usize, parts.iter().filter(|(_, of, _)| *of as usize == level).count());
        }
    }
}

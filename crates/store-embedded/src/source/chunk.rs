//! Memory that blocks are read into, and the entries in it.

use std::path::Path;

use logboom_boom::block::Block;
use logboom_record::{Entry, EntryRef, Flags, Gap, RecordRef};
use logboom_store::StoreError;

use super::{
    facts::{Facts, all_lost},
    failed,
};

/// Memory to read blocks into.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(super) boom: Block,
    pub(super) text: Vec<Entry>,
    pub(super) is_text: bool,
    pub(super) lead: Vec<Gap>,
    pub(super) late: Vec<Gap>,
}

/// One entry of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A record, by its index among the records.
    Record(u32),
    /// A gap of the block, by its index among these.
    Gap(u32),
    /// A gap in front of the block.
    Lead(u32),
}

impl Chunk {
    /// Decodes the entries. Where the columns contradict each other, whatever their checksums say, all of them are lost.
    pub fn decode(&mut self, facts: &Facts) {
        if !self.is_text && self.boom.records().is_err() {
            self.is_text = true;
            self.text.extend(all_lost(facts));
        }
    }

    /// The messages of all records, each with an LF, in any order; `None` where they are not at hand like that.
    pub fn whole_text(&self) -> Option<&[u8]> {
        (!self.is_text).then(|| self.boom.text())
    }

    /// Whether some message may hold ESC.
    pub fn has_ansi(&self) -> bool {
        self.is_text || self.boom.has_ansi()
    }

    /// Whether some message holds an LF.
    pub fn has_inner_newlines(&self) -> bool {
        self.is_text || self.boom.has_inner_newlines()
    }

    /// The records whose messages have these offsets of the text, in order, each once; none of a block that is lost.
    pub fn locate(&mut self, offsets: &[usize]) -> Result<Vec<u32>, StoreError> {
        if self.is_text {
            return Ok(Vec::new());
        }
        let records = self.boom.records().map_err(|error| failed(Path::new("a block"), error))?;
        let mut found: Vec<u32> =
            offsets.iter().filter_map(|offset| records.locate(*offset)).map(|record| record as u32).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Calls `each` with every entry in order, the lead first.
    pub fn walk(&mut self, mut each: impl FnMut(Item, EntryRef<'_>)) -> Result<(), StoreError> {
        for (at, gap) in (0..).zip(&self.lead) {
            each(Item::Lead(at), EntryRef::Gap(gap));
        }
        if self.is_text {
            for (at, entry) in (0..).zip(&self.text) {
                each(Item::Record(at), entry.as_ref());
            }
            return Ok(());
        }
        let (mut records, mut gaps) = (0.., 0..);
        for entry in self.boom.records().map_err(|error| failed(Path::new("a block"), error))?.entries() {
            let item = match entry {
                EntryRef::Record(_) => Item::Record(records.next().unwrap_or(0)),
                EntryRef::Gap(_) => Item::Gap(gaps.next().unwrap_or(0)),
            };
            if !matches!(entry, EntryRef::Gap(gap) if self.late.contains(gap)) {
                each(item, entry);
            }
        }
        Ok(())
    }

    /// One entry.
    pub fn get(&mut self, item: Item) -> Result<EntryRef<'_>, StoreError> {
        match item {
            Item::Lead(at) => Ok(EntryRef::Gap(&self.lead[at as usize])),
            Item::Record(at) if self.is_text => Ok(self.text[at as usize].as_ref()),
            Item::Gap(at) => Ok(EntryRef::Gap(&self.boom.gaps()[at as usize])),
            Item::Record(at) => {
                let records = self.boom.records().map_err(|error| failed(Path::new("a block"), error))?;
                Ok(EntryRef::Record(records.get(at as usize)))
            }
        }
    }
}

/// Whether the line goes on in another record.
pub(crate) fn goes_on(record: &RecordRef<'_>) -> bool {
    record.flags.has(Flags::CONTINUED)
}

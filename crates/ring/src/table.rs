//! The table of a ring file: what a reader needs to know of call sites and generations.
//!
//! Entries are only added, by write(2), and count once the table's length in the control page says so. A full table is
//! copied to the other one without the generations that are over.

use std::{collections::BTreeSet, fs::File, io, ops::Range, os::unix::fs::FileExt};

use logboom_record::{RunId, Time};

use super::layout::{PAGE, SECOND_TABLE, TABLE_BYTES};

/// The most bytes that are kept of what the program calls a session file.
const NAME_BYTES_MAX: usize = 1 << 10;

const ENTRY_HEAD_BYTES: usize = 16;
/// Sites leave the rest to generations, without which a session cannot be switched.
const SITE_BYTES_MAX: usize = TABLE_BYTES / 4 * 3;

pub(super) const SITE: u32 = 1;
pub(super) const GENERATION: u32 = 2;

/// A session file of the collector, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Which one; frames have this number.
    pub number: u32,
    /// The run whose records it holds.
    pub run: RunId,
    /// When it was started.
    pub started_at: Time,
    /// Name of the text log, beside the ring file.
    pub text: String,
    /// Name of the boom file, where there is one.
    pub boom: Option<String>,
    /// What the program called it; of a long name the first 1,024 bytes are kept.
    pub name: String,
}

impl Generation {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = self.run.as_bytes().to_vec();
        body.extend(self.started_at.as_micros().to_le_bytes());
        body.extend((self.text.len() as u16).to_le_bytes());
        body.extend(self.text.as_bytes());
        body.extend(self.boom.as_deref().unwrap_or_default().as_bytes());
        body.push(0);
        body.extend(&self.name.as_bytes()[..self.name.floor_char_boundary(NAME_BYTES_MAX)]);
        body
    }

    pub(super) fn decode(number: u32, body: &[u8]) -> Option<Generation> {
        let (run, body) = body.split_first_chunk::<16>()?;
        let (started_at, body) = body.split_first_chunk::<8>()?;
        let (text_bytes, body) = body.split_first_chunk::<2>()?;
        let (text, rest) = body.split_at_checked(u16::from_le_bytes(*text_bytes).into())?;
        let text = std::str::from_utf8(text).ok()?;
        // No file's name has a zero; a table without one is of a version that kept no names.
        let rest = std::str::from_utf8(rest).ok()?;
        let (boom, name) = rest.split_once('\0').unwrap_or((rest, text));
        Some(Generation {
            number,
            run: RunId::from_bytes(*run),
            started_at: Time::from_micros(i64::from_le_bytes(*started_at)),
            text: text.to_owned(),
            boom: (!boom.is_empty()).then(|| boom.to_owned()),
            name: name.to_owned(),
        })
    }
}

/// An entry that was taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub kind: u32,
    pub number: u32,
    pub body: &'a [u8],
}

impl<'a> Entry<'a> {
    fn encode(&self, file_id: &[u8; 16]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENTRY_HEAD_BYTES + self.body.len() + 8);
        for number in [self.body.len() as u32, self.kind, self.number] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(crc(file_id, &bytes, self.body).to_le_bytes());
        bytes.extend(self.body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// Takes the first entry off the bytes; `None` at the end and where they are damaged.
    pub fn split_first(file_id: &[u8; 16], bytes: &'a [u8]) -> Option<(Entry<'a>, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<ENTRY_HEAD_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let bytes = word(0) as usize;
        let body = rest.get(..bytes)?;
        let rest = rest.get(bytes.next_multiple_of(8)..)?;
        let entry = Entry { kind: word(4), number: word(8), body };
        (crc(file_id, &head[..12], body) == word(12)).then_some((entry, rest))
    }
}

fn crc(file_id: &[u8; 16], head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(file_id), head), body)
}

/// Where the table stands that this word of the control page speaks of; `None` if it is longer than tables are.
pub(super) fn place(word: u64) -> Option<Range<u64>> {
    let len = word & !SECOND_TABLE;
    let at = if word & SECOND_TABLE == 0 { PAGE } else { PAGE + TABLE_BYTES } as u64;
    (len <= TABLE_BYTES as u64).then_some(at..at + len)
}

/// The table as its writer knows it.
#[derive(Debug)]
pub(super) struct Table {
    file_id: [u8; 16],
    word: u64,
    sites: BTreeSet<u32>,
    site_bytes: usize,
    /// Generations before this one are over.
    first_generation: u32,
}

impl Table {
    /// Of a new file.
    pub fn new(file_id: [u8; 16]) -> Table {
        Table { file_id, word: 0, sites: BTreeSet::new(), site_bytes: 0, first_generation: 0 }
    }

    /// Lets the next full table leave out the generations before this one.
    pub fn forget_generations_before(&mut self, number: u32) {
        self.first_generation = self.first_generation.max(number);
    }

    /// Whether there is an entry of this site.
    pub fn has_site(&self, number: u32) -> bool {
        self.sites.contains(&number)
    }

    /// Writes an entry. Gives the word that is to be stored in the control page then, or `None` if it is full.
    pub fn add(&mut self, file: &File, entry: Entry) -> io::Result<Option<u64>> {
        let bytes = entry.encode(&self.file_id);
        let is_site = entry.kind == SITE;
        if is_site && self.site_bytes + bytes.len() > SITE_BYTES_MAX {
            return Ok(None);
        }
        if self.len() + bytes.len() > TABLE_BYTES {
            self.compact(file)?;
        }
        if self.len() + bytes.len() > TABLE_BYTES {
            return Ok(None);
        }
        file.write_all_at(&bytes, self.end())?;
        self.word += bytes.len() as u64;
        if is_site {
            self.site_bytes += bytes.len();
            self.sites.insert(entry.number);
        }
        Ok(Some(self.word))
    }

    fn len(&self) -> usize {
        (self.word & !SECOND_TABLE) as usize
    }

    fn end(&self) -> u64 {
        place(self.word).map_or(0, |place| place.end)
    }

    /// Copies what is still needed to the other table. Nobody looks there until the new word is stored.
    fn compact(&mut self, file: &File) -> io::Result<()> {
        let mut bytes = vec![0; self.len()];
        file.read_exact_at(&mut bytes, self.end() - self.len() as u64)?;
        let (mut kept, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((entry, after)) = Entry::split_first(&self.file_id, rest) {
            if entry.kind == SITE || entry.number >= self.first_generation {
                kept.extend_from_slice(&rest[..rest.len() - after.len()]);
            }
            rest = after;
        }
        let other = !self.word & SECOND_TABLE;
        file.write_all_at(&kept, place(other).map_or(0, |place| place.start))?;
        self.word = other | kept.len() as u64;
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]
mod tests {
    use super::*;

    const ID: [u8; 16] = [9; 16];

    fn generation(number: u32) -> Generation {
        let (run, text) = (RunId::from_bytes([7; 16]), format!("{number}.log"));
        Generation {
            number,
            run,
            started_at: Time::from_micros(5),
            text,
            boom: number.is_multiple_of(2).then(|| "r.boom".into()),
            name: "a/b".repeat(number as usize),
        }
    }

    fn numbers(file: &File, word: u64, kind: u32) -> Vec<u32> {
        let place = place(word).unwrap();
        let mut bytes = vec![0; (place.end - place.start) as usize];
        file.read_exact_at(&mut bytes, place.start).unwrap();
        let (mut numbers, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((entry, after)) = Entry::split_first(&ID, rest) {
            numbers.extend((entry.kind == kind).then_some(entry.number));
            rest = after;
        }
        assert!(rest.is_empty());
        numbers
    }

    #[test]
    fn a_generation_comes_back_as_it_was() {
        for number in [1, 2] {
            assert_eq!(Generation::decode(number, &generation(number).encode()), Some(generation(number)));
        }
        let whole = generation(1).encode();
        let names = whole.len() - "\0a/b".len();
        (0..names).for_each(|len| assert_eq!(Generation::decode(1, &whole[..len]), None));
        let nameless = Generation { name: "1.log".into(), ..generation(1) };
        assert_eq!(Generation::decode(1, &whole[..names]), Some(nameless));
    }

    #[test]
    fn of_a_long_name_the_start_is_kept() {
        let long = Generation { name: "é".repeat(600) + "e", ..generation(1) };
        assert_eq!(Generation::decode(1, &long.encode()).unwrap().name, "é".repeat(512));
    }

    #[test]
    fn sites_leave_room_for_generations_and_those_that_are_over_make_room() {
        let file = tempfile::tempfile().unwrap();
        let mut table = Table::new(ID);
        let site = |number| Entry { kind: SITE, number, body: &[1; 1000] };
        let sites = (1..).take_while(|number| table.add(&file, site(*number)).unwrap().is_some()).count() as u32;
        assert_eq!(sites as usize, SITE_BYTES_MAX / 1016);
        let mut word = 0;
        for number in 1..=20_000 {
            table.forget_generations_before(number);
            let body = generation(number).encode();
            word = table.add(&file, Entry { kind: GENERATION, number, body: &body }).unwrap().unwrap();
        }
        assert_eq!(numbers(&file, word, SITE), (1..=sites).collect::<Vec<_>>());
        assert_eq!(numbers(&file, word, GENERATION).last(), Some(&20_000));
    }

    #[test]
    fn a_table_full_of_what_is_needed_takes_no_more() {
        let file = tempfile::tempfile().unwrap();
        let mut table = Table::new(ID);
        let mut word = 0;
        let mut add = |number| {
            let added = table.add(&file, Entry { kind: GENERATION, number, body: &[1; 1000] }).unwrap();
            word = added.unwrap_or(word);
            added.is_some()
        };
        let added = (1..).take_while(|number| add(*number)).count() as u32;
        assert_eq!(numbers(&file, word, GENERATION), (1..=added).collect::<Vec<_>>());
    }
}

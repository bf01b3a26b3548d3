//! The sections of pytest's output in which it tells why a test failed.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::{BEGUN_MAX, NAME_BYTES_MAX, shortened},
    names::{ENDS_MAX, Subtest},
};

/// What is before the name of a file in the title of its section.
const COLLECTING: &str = "ERROR collecting ";

/// Sections by their titles, which name no file but where it could not be collected.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// In order.
    all: Vec<Section>,
    by_title: HashMap<String, usize>,
    /// Those of files that could not be collected, by their names [`backwards`]: there those that end alike stand together.
    by_file: BTreeMap<String, usize>,
}

/// The first and the last record.
pub(super) type Range = (u64, u64);

#[derive(Debug)]
struct Section {
    title: String,
    range: Range,
}

impl Sections {
    /// One begins, at a line.
    pub fn begin(&mut self, title: &str, (from, to): Range) {
        if self.is_full() {
            return;
        }
        // `ERROR at setup of test_adds`
        let title = title.strip_prefix("ERROR at ").and_then(|of| of.split_once(" of ")).map_or(title, |(_, of)| of);
        let title = shortened(title);
        // pytest 9 says behind the subtests that failed that so many did.
        let subtests = self.all.iter().rev().take_while(|before| is_subtest_of(&before.title, &title));
        let from = subtests.last().map_or(from, |first| first.range.0);
        self.add(title, (from, to));
    }

    fn is_full(&self) -> bool {
        self.all.len() >= BEGUN_MAX
    }

    fn add(&mut self, title: String, range: Range) {
        if let Some(file) = title.strip_prefix(COLLECTING) {
            self.by_file.entry(backwards(file)).or_insert(self.all.len());
        }
        self.by_title.insert(title.clone(), self.all.len());
        self.all.push(Section { title, range });
    }

    /// The last one goes on.
    pub fn go_on(&mut self, to: u64) {
        if let Some(section) = self.all.last_mut() {
            section.range.1 = to;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// That of a test, which is named without its file.
    pub fn of_test(&self, test: &str) -> Option<Range> {
        self.get(&title_of(test))
    }

    /// That of a subtest. One without a section of its own has those of its subtests that follow one another.
    pub fn of_subtest(&mut self, subtest: &Subtest<'_>) -> Option<Range> {
        let (title, number) = (title_of(subtest.test), self.number(subtest)?);
        let found = self.all.get(number)?.range;
        if !self.is_full() && !self.by_title.contains_key(&title) {
            let subtests = self.all.iter().skip(number).take_while(|next| is_subtest_of(&next.title, &title));
            let to = subtests.last().map_or(found.1, |last| last.range.1);
            self.add(title, (found.0, to));
        }
        Some(found)
    }

    pub fn has(&self, subtest: &Subtest<'_>) -> bool {
        self.number(subtest).is_some()
    }

    fn number(&self, subtest: &Subtest<'_>) -> Option<usize> {
        self.by_title.get(&shortened(&format!("{} {}", title_of(subtest.test), subtest.of))).copied()
    }

    /// That of a file that could not be collected. It is named as seen from where pytest runs; titles tell from the root of the tests.
    pub fn of_file(&self, file: &str) -> Option<Range> {
        let collecting = |file: &str| self.get(&format!("{COLLECTING}{file}"));
        let shorter = || file.match_indices('/').take(ENDS_MAX).find_map(|(at, _)| collecting(&file[at + 1..]));
        collecting(file).or_else(|| self.of_longer(file.trim_start_matches("../"))).or_else(shorter)
    }

    /// That of a file whose name ends so.
    fn of_longer(&self, file: &str) -> Option<Range> {
        let file = backwards(file);
        let (longer, number) = self.by_file.range(file.clone()..).next()?;
        longer.starts_with(&file).then(|| self.all.get(*number).map(|section| section.range))?
    }

    fn get(&self, title: &str) -> Option<Range> {
        let title = &title[..title.floor_char_boundary(NAME_BYTES_MAX)];
        self.by_title.get(title).and_then(|number| self.all.get(*number)).map(|section| section.range)
    }
}

/// `test_a.py/tests/` of `tests/test_a.py`.
fn backwards(file: &str) -> String {
    file[..file.floor_char_boundary(NAME_BYTES_MAX)].rsplit('/').flat_map(|part| [part, "/"]).collect()
}

/// `test_adds [a message] (i=1)` is one of `test_adds`.
fn is_subtest_of(title: &str, test: &str) -> bool {
    title.strip_prefix(test).is_some_and(|rest| rest.starts_with(" [") || rest.starts_with(" ("))
}

/// The title of the section of a test: `TestCart.test_adds[a::b]` of `TestCart::test_adds[a::b]`.
fn title_of(test: &str) -> String {
    let (name, with) = test.split_at(test.find('[').unwrap_or(test.len()));
    shortened(&(name.replace("::", ".") + with))
}

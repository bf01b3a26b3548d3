//! Reads results of tests from JUnit XML. Of these tools it has read what they write: nextest, pytest, unittest-xml-reporting, behave, Robot
//! Framework, surefire, Gradle, gotestsum, PHPUnit, RSpec, bats, ctest, googletest, Catch2, jest-junit, mocha-junit-reporter, vitest,
//! Playwright and node.
//!
//! There is no one form, and a file may have been written by anybody. So everything has a bound, entities are never expanded, what is not
//! known is passed over, and of a damaged file that is kept which comes before the damage.

mod case;
mod text;
mod times;

use std::{
    collections::HashMap,
    io::{self, BufRead},
};

use logboom_record::{TestResult, Time};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{NAMES_BYTES_MAX, TESTS_MAX, seconds, shortened};
use case::Case;
use text::{attribute, push_lossy, reference};
pub use times::Times;

/// So deep elements may be nested.
const DEPTH_MAX: usize = 64;
/// So much is read of a name or a message; masks need more than is kept.
pub(crate) const TEXT_BYTES_MAX: usize = 8 << 10;
/// So much all messages have together.
pub const MESSAGES_BYTES_MAX: usize = 16 << 20;

/// What pytest calls the suite around all of its tests.
const PYTEST: &str = "pytest";
/// What it says of a failure behind the test itself.
const BEHIND_IT: &str = "failed on teardown with ";

/// Why a file could not be read in full.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// It is something else.
    #[error("it is no JUnit XML: {0}")]
    Unlike(String),
    /// It breaks off, or is no XML from some place on.
    #[error("it is damaged at byte {at}: {why}")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong there.
        why: String,
    },
    /// Its elements are nested too deep.
    #[error("its elements are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The operating system refused.
    #[error("cannot read it")]
    Io(#[source] io::Error),
}

/// The tests of any number of files.
#[derive(Debug, Default)]
pub struct Junit {
    /// At most [`TESTS_MAX`]. Names and messages are longer than what is kept of them in the end.
    pub tests: Vec<TestResult>,
    /// How many more there were.
    pub over: u64,
    /// How many messages there was no room for.
    pub messages_over: u64,
    names_bytes: usize,
    messages_bytes: usize,
}

impl Junit {
    /// Adds the tests of a file.
    ///
    /// # Errors
    /// [`JunitError`]; what came before is kept.
    pub fn read(&mut self, input: impl BufRead, times: &Times) -> Result<(), JunitError> {
        let mut reader = Reader::from_reader(input);
        let config = reader.config_mut();
        (config.expand_empty_elements, config.allow_dangling_amp) = (true, true);
        let (suites, of_pytest) = (Vec::new(), HashMap::new());
        let mut file = File { found: self, of_pytest, times, suites, depth: 0, case: None, is_over: false };
        let read = file.read(&mut reader);
        // Of a test that the file breaks off in, a failure is known, and nothing else.
        if let Some(case) = file.case.take().filter(Case::has_failed) {
            file.add(case);
        }
        read
    }

    /// Adds a test, if there is room for it, and was for those before it: its number.
    fn add(&mut self, mut test: TestResult) -> Option<usize> {
        let names_bytes = test.suite.len() + test.test.len();
        if self.tests.len() >= TESTS_MAX || self.names_bytes + names_bytes > NAMES_BYTES_MAX {
            self.over += 1;
            return None;
        }
        self.names_bytes += names_bytes;
        self.bound_message(&mut test);
        self.tests.push(test);
        Some(self.tests.len() - 1)
    }

    fn bound_message(&mut self, test: &mut TestResult) {
        if self.messages_bytes + test.message.len() > MESSAGES_BYTES_MAX {
            self.messages_over += 1;
            test.message = String::new();
        }
        self.messages_bytes += test.message.len();
    }

    /// What another `testcase` of pytest says of this test, if it is no other one: what failed behind it, or how it went when it was run
    /// again. Of the attempts before the last pytest-rerunfailures says no more than that they were there.
    fn say_again(&mut self, at: usize, mut test: TestResult) -> Option<TestResult> {
        let before = &self.tests[at];
        if before.outcome.is_bad() {
            return (!test.message.starts_with(BEHIND_IT)).then_some(test);
        }
        test.retries = test.retries.max(before.retries.saturating_add(1));
        self.bound_message(&mut test);
        self.tests[at] = test;
        None
    }
}

/// A file on its way.
struct File<'a> {
    found: &'a mut Junit,
    /// The numbers of its tests that pytest tells of, by their names.
    of_pytest: HashMap<(String, String), usize>,
    times: &'a Times,
    /// From the outermost.
    suites: Vec<Suite>,
    depth: usize,
    case: Option<Case>,
    /// The root element has ended.
    is_over: bool,
}

/// A `testsuite` around what comes.
struct Suite {
    depth: usize,
    name: String,
    file: String,
    /// When its next test begins, if they come one after the other.
    at: Option<Time>,
}

impl File<'_> {
    fn read<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<(), JunitError> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let event = reader.read_event_into(&mut buffer).map_err(|error| match error {
                quick_xml::Error::Io(error) => JunitError::Io(io::Error::new(error.kind(), error.to_string())),
                _ if self.depth == 0 && !self.is_over => JunitError::Unlike(error.to_string()),
                other => JunitError::Damaged { at: reader.error_position(), why: other.to_string() },
            })?;
            match event {
                Event::Start(start) => self.start(&start)?,
                Event::End(_) => self.end(),
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.text(&text),
                Event::GeneralRef(name) => self.reference(&name),
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Empty(_) => {}
            }
        }
        match (self.depth, self.is_over) {
            (0, true) => Ok(()),
            (0, false) => Err(JunitError::Unlike("it has no element".to_owned())),
            _ => Err(JunitError::Damaged { at: reader.buffer_position(), why: "it ends in the middle".to_owned() }),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), JunitError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(JunitError::TooDeep);
        }
        let local = start.local_name();
        let name = local.as_ref();
        if let Some(case) = &mut self.case {
            case.start(self.depth, name, start);
        } else if name == b"testcase" && self.found.over > 0 {
            self.found.over += 1; // there is no room, so nothing is made of it
        } else if name == b"testcase" {
            self.case = Some(Case::new(self.depth, start, &self.suites, self.times));
        } else if name == b"testsuite" {
            self.suites.push(Suite::new(self.depth, start, self.times));
        } else if self.depth == 1 && name != b"testsuites" {
            return Err(JunitError::Unlike(format!("its root is {:?}", shortened(&String::from_utf8_lossy(name)))));
        }
        Ok(())
    }

    fn end(&mut self) {
        match self.case.take() {
            Some(case) if case.depth == self.depth => self.add(case),
            mut other => {
                other.iter_mut().for_each(|case| case.end(self.depth));
                self.case = other;
            }
        }
        self.suites.pop_if(|suite| suite.depth == self.depth);
        self.depth = self.depth.saturating_sub(1);
        self.is_over |= self.depth == 0;
    }

    fn text(&mut self, text: &[u8]) {
        if let Some(into) = self.case.as_mut().and_then(Case::open_text) {
            push_lossy(into, text);
        }
    }

    fn reference(&mut self, name: &[u8]) {
        let Some(into) = self.case.as_mut().and_then(Case::open_text) else { return };
        match std::str::from_utf8(name).ok().and_then(reference) {
            Some(one) => push_lossy(into, one.encode_utf8(&mut [0; 4]).as_bytes()),
            // Of whatever the file defines nothing is put in its place.
            None => [&b"&"[..], name, b";"].into_iter().for_each(|part| push_lossy(into, part)),
        }
    }

    fn add(&mut self, case: Case) {
        let span = i64::try_from(case.duration_us.unwrap_or(0)).unwrap_or(i64::MAX);
        let after = |start: Time| Time::from_micros(start.as_micros().saturating_add(span));
        let by_suite = self.suites.last_mut().and_then(|suite| {
            suite.at = suite.at.map(after);
            suite.at
        });
        let time = self.times.ending(case.started_at.map(after).or(by_suite));
        self.keep(case.finish(time));
    }

    fn keep(&mut self, test: TestResult) {
        if !is_of_pytest(&self.suites) {
            self.found.add(test);
            return;
        }
        if test.test.is_empty() && !test.outcome.is_bad() {
            return; // it was interrupted in it
        }
        let name = (test.suite.clone(), test.test.clone());
        let another = match self.of_pytest.get(&name) {
            Some(at) => self.found.say_again(*at, test),
            None => Some(test),
        };
        if let Some(at) = another.and_then(|another| self.found.add(another)) {
            self.of_pytest.insert(name, at);
        }
    }
}

fn is_of_pytest(suites: &[Suite]) -> bool {
    suites.last().is_some_and(|suite| suite.name == PYTEST)
}

impl Suite {
    fn new(depth: usize, start: &BytesStart<'_>, times: &Times) -> Suite {
        let text = |name| attribute(start, name).unwrap_or_default();
        Suite { depth, name: text("name"), file: text("file"), at: began_at(start, times) }
    }
}

/// When the element says that it began.
fn began_at(start: &BytesStart<'_>, times: &Times) -> Option<Time> {
    times.beginning(&attribute(start, "timestamp")?)
}

/// How long the element says that it took, in microseconds: `1.5`, `1,234.5`, `0,5`.
fn duration_us(start: &BytesStart<'_>) -> Option<u64> {
    let text = attribute(start, "time")?;
    seconds(&if text.contains('.') { text.replace(',', "") } else { text.replace(',', ".") })
}

#[cfg(test)]
mod tests;

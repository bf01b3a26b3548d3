//! `pytest`, with `-v` or without: then those that failed have names, from its summary. With `-q` it does not tell that it begins.

mod names;
mod sections;

use std::{collections::HashMap, sync::LazyLock};

use logboom_record::TestOutcome;
use memchr::memmem::Finder;

use super::{BEGUN_MAX, Line, Tests, seconds, shortened};
use names::{
    ENDS_MAX, Subtest, Word, behind_progress, ended, is_end, is_whole, named, subtest_behind, subtests_before, title,
    without_progress, word,
};
use sections::{Range, Sections};

/// What is in the name of every test. Made once: while pytest runs each line is searched for it.
static COLONS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("::"));

/// With `-qq` the summary has no end: it is over after so many lines that tell no result. Some are the rest of why a test failed.
const TELL_NOTHING_MAX: u32 = 1_000;

#[derive(Debug, Default)]
pub(super) struct Pytest {
    running: Running,
    part: Part,
    /// The results, by suite and test.
    known: HashMap<(String, String), usize>,
    sections: Sections,
    /// How often tests were run again, by suite and test, as the part that the line is in tells of them.
    reruns: HashMap<(String, String), u32>,
    /// So many lines of the summary told nothing since the last result.
    tell_nothing: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Running {
    #[default]
    No,
    /// There was the title of its failures, which others may print, too: a failure has to follow.
    Perhaps,
    /// It has not told that it began.
    Quietly,
    Yes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Tests,
    Failures,
    /// What tests have printed that did not fail.
    Printed,
    Summary,
}

impl Pytest {
    /// Whether it has begun and not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.running, Running::Quietly | Running::Yes)
    }

    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.text;
        if text.starts_with('=')
            && let Some(title) = title(text, '=')
        {
            return self.part(title);
        }
        match self.running {
            Running::No => return false,
            Running::Perhaps if text.starts_with('_') && title(text, '_').is_some() => {
                self.begin(Running::Quietly, Part::Failures)
            }
            Running::Perhaps => {
                self.running = Running::No;
                return false;
            }
            Running::Quietly if is_end(text) => {
                self.running = Running::No;
                return true;
            }
            _ => {}
        }
        match self.part {
            // What did not tell that it began may not tell that it ended: others' lines are theirs.
            Part::Failures => self.failures(line) && self.running == Running::Yes,
            Part::Tests => {
                COLONS.find(text.as_bytes()).is_some() && (self.result(line, tests) || self.duration(text, tests))
            }
            Part::Printed => false,
            Part::Summary => self.summary(line, tests),
        }
    }

    fn begin(&mut self, running: Running, part: Part) {
        *self = Pytest { running, part, ..Pytest::default() };
    }

    /// `==== FAILURES ====` and the like.
    fn part(&mut self, title: &str) -> bool {
        let part = match title {
            "test session starts" => {
                self.begin(Running::Yes, Part::Tests);
                return true;
            }
            "FAILURES" | "ERRORS" => Part::Failures,
            "short test summary info" => Part::Summary,
            "rerun test summary info" => {
                // All are told again.
                self.reruns.clear();
                Part::Summary
            }
            "PASSES" | "XPASSES" | "XFAILURES" => Part::Printed,
            _ => Part::Tests,
        };
        match part {
            _ if is_end(title) => self.running = Running::No,
            _ if self.is_running() => self.part = part,
            Part::Failures => self.running = Running::Perhaps,
            Part::Summary => self.begin(Running::Quietly, part),
            Part::Tests | Part::Printed => {}
        }
        self.is_running()
    }

    /// A line of the section of a failure, or its title.
    fn failures(&mut self, line: Line<'_>) -> bool {
        match title(line.text, '_') {
            Some(title) => self.sections.begin(title, (line.from, line.to)),
            None => self.sections.go_on(line.to),
        }
        true
    }

    /// `FAILED tests/test_cart.py::test_adds - why`.
    fn summary(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        if self.is_summed_up(line, tests) {
            self.tell_nothing = 0;
            return true;
        }
        self.tell_nothing += 1;
        // Behind it stands but that it was interrupted, if anything: `!!! Interrupted: 1 error during collection !!!`.
        let is_over = self.tell_nothing > TELL_NOTHING_MAX || title(line.text, '!').is_some();
        if self.running == Running::Quietly && is_over {
            self.running = Running::No;
        }
        false
    }

    fn is_summed_up(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.text.trim_end();
        if text.starts_with("SKIPPED [") {
            return true; // so many of a line of a file: `SKIPPED [2] tests/test_cart.py:3: why`
        }
        if text.starts_with(['[', '(']) || text.starts_with("SUB") {
            return self.subtest_before(line, text, tests);
        }
        let Some((word, rest)) = text.split_once(' ').and_then(|(first, rest)| Some((word(first)?, rest))) else {
            return false;
        };
        if let Some(file) = self.uncollected(rest).filter(|_| text.starts_with("ERROR")) {
            let told = (TestOutcome::Failed, self.sections.of_file(file));
            self.put(line, ("", file), told, tests);
            return true;
        }
        self.id(rest).map(|id| self.take(line, id, word, tests)).is_some()
    }

    /// The file of `tests/test_cart.py - why`, which names no test: it could not be collected. With `--tb=no` nothing has a section;
    /// otherwise, what names a file without one may be a line of others where the summary may be over.
    fn uncollected<'a>(&self, text: &'a str) -> Option<&'a str> {
        let ends = text.match_indices(" - ").map(|(at, _)| &text[..at]).chain([text]);
        let mut files = ends.take_while(|file| !file.contains("::")).take(ENDS_MAX);
        let is_told = self.running == Running::Yes || self.sections.is_empty();
        let without_section = files.clone().find(|file| is_told && file.ends_with(".py") && !file.contains(' '));
        files.find(|file| self.sections.of_file(file).is_some()).or(without_section)
    }

    /// The name that `tests/test_cart.py::test_adds[a - b] - why` begins with. What a test is run with may be anything, so that it may end
    /// at several places: at that where it is the name of a test that is known, or else at the first.
    fn id<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (suite, rest) = named(text.trim_end())?;
        let ends = rest.match_indices(" - ").map(|(at, _)| &rest[..at]).chain([rest]);
        let mut names = ends.take(ENDS_MAX).filter(|name| is_whole(name));
        let first = names.clone().next().or_else(|| rest.split(" - ").next()).unwrap_or(rest);
        let is_known = |name: &&str| {
            self.sections.of_test(name).is_some() || self.known.contains_key(&(shortened(suite), shortened(name)))
        };
        Some((suite, names.find(is_known).unwrap_or(first)))
    }

    /// `tests/test_cart.py::test_adds PASSED [ 50%]`, or `[gw0] [ 50%] PASSED tests/test_cart.py::test_adds` with workers.
    fn result(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let text = line.text.trim_end();
        if let Some((_, rest)) = text.strip_prefix("[gw").and_then(|rest| rest.split_once("] ")) {
            let rest = behind_progress(rest);
            let told = rest.split_once(' ').and_then(|(first, id)| Some((word(first)?, named(id)?)));
            return match told {
                Some((word, id)) => self.take(line, id, word, tests),
                None => self.subtest_before(line, rest, tests),
            };
        }
        let text = without_progress(text);
        if let Some((word, id)) = ended(text) {
            return self.take(line, id, word, tests);
        }
        subtest_behind(text).map(|subtest| self.subtest(line, subtest, tests)).is_some()
    }

    fn subtest_before(&mut self, line: Line<'_>, text: &str, tests: &mut Tests) -> bool {
        let told = |(outcome, of, rest)| {
            let (suite, test) = self.id(rest)?;
            Some(Subtest { suite, test, of, outcome })
        };
        let all: Vec<Subtest<'_>> = subtests_before(text).filter_map(told).collect();
        let known = all.iter().find(|subtest| self.sections.has(subtest));
        let first = || all.iter().find(|subtest| !subtest.suite.contains(' ')).or(all.first());
        known.or_else(first).copied().map(|subtest| self.subtest(line, subtest, tests)).is_some()
    }

    /// A test of which a subtest failed has failed, too, even if it is said to have passed, as those of unittest are. Of subtests that
    /// passed there may be very many; pytest counts them apart from its tests.
    fn subtest(&mut self, line: Line<'_>, subtest: Subtest<'_>, tests: &mut Tests) {
        let Subtest { suite, test, outcome, .. } = subtest;
        if outcome == TestOutcome::Passed {
            return;
        }
        let section = self.sections.of_subtest(&subtest);
        if outcome.is_bad() {
            self.take(line, (suite, test), Word::Ended(outcome), tests);
        }
        self.put(line, (suite, &subtest.name()), (outcome, section), tests);
    }

    fn take(&mut self, line: Line<'_>, id: (&str, &str), word: Word, tests: &mut Tests) -> bool {
        match word {
            Word::Rerun => self.rerun(id, tests),
            Word::Ended(outcome) => self.put(line, id, (outcome, self.section(id, outcome)), tests),
        }
        true
    }

    fn section(&self, (suite, test): (&str, &str), outcome: TestOutcome) -> Option<Range> {
        // Of a class that could not be collected the title names the file. What passed may be called like what failed in another file.
        outcome.is_bad().then(|| self.sections.of_test(test).or_else(|| self.sections.of_file(suite)))?
    }

    /// It failed and is run again. How it ends is told later, or not at all: then it has no result.
    fn rerun(&mut self, (suite, test): (&str, &str), tests: &mut Tests) {
        let key = (shortened(suite), shortened(test));
        if self.reruns.len() >= BEGUN_MAX && !self.reruns.contains_key(&key) {
            return;
        }
        let known = self.known.get(&key).and_then(|number| tests.all.get_mut(*number));
        let times = self.reruns.entry(key).or_default();
        *times = times.saturating_add(1);
        if let Some(result) = known {
            result.retries = result.retries.max(*times);
        }
    }

    /// Adds a result, or what is told of one that is known.
    fn put(
        &mut self,
        line: Line<'_>,
        (suite, test): (&str, &str),
        (outcome, section): (TestOutcome, Option<Range>),
        tests: &mut Tests,
    ) {
        let key = (shortened(suite), shortened(test));
        let Some(number) = self.known.get(&key).copied().or_else(|| tests.add(line, suite, test, outcome, None)) else {
            return;
        };
        let result = &mut tests.all[number];
        (result.from, result.to) = section.unwrap_or((result.from, result.to));
        // An error in tear-down comes behind a pass.
        result.outcome = if result.outcome.is_bad() { result.outcome } else { outcome };
        result.retries = result.retries.max(self.reruns.get(&key).copied().unwrap_or(0));
        self.known.insert(key, number);
    }

    /// `0.25s call     tests/test_cart.py::test_adds`.
    fn duration(&self, text: &str, tests: &mut Tests) -> bool {
        let Some((time, id)) = text.split_once("s call ") else { return false };
        let Some((time, (suite, test))) = seconds(time).zip(id.trim().split_once("::")) else { return false };
        let number = self.known.get(&(shortened(suite), shortened(test)));
        if let Some(result) = number.and_then(|number| tests.all.get_mut(*number)) {
            result.duration_us = Some(time);
        }
        true
    }
}

#[cfg(test)]
mod tests;

//! The names in pytest's lines, and the words beside them.

use logboom_record::TestOutcome;

use super::super::seconds;

/// So many places are tried at which a name may end.
pub(super) const ENDS_MAX: usize = 16;

/// What is said of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Ended(TestOutcome),
    /// It failed and is run again, by pytest-rerunfailures.
    Rerun,
}

pub(super) fn word(word: &str) -> Option<Word> {
    match word {
        "PASSED" | "XPASS" => Some(Word::Ended(TestOutcome::Passed)),
        "FAILED" | "ERROR" => Some(Word::Ended(TestOutcome::Failed)),
        "SKIPPED" | "XFAIL" => Some(Word::Ended(TestOutcome::Skipped)),
        "RERUN" => Some(Word::Rerun),
        _ => None,
    }
}

/// A subtest: the test it is of, how that calls it, as in `[a message] (i=1)`, and how it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subtest<'a> {
    pub suite: &'a str,
    pub test: &'a str,
    pub of: &'a str,
    pub outcome: TestOutcome,
}

impl Subtest<'_> {
    /// As in the title of its section.
    pub fn name(&self) -> String {
        format!("{} {}", self.test, self.of)
    }
}

/// The words of pytest 9 and of pytest-subtests.
fn subtest_word(word: &str) -> Option<TestOutcome> {
    match word {
        "SUBPASSED" | "SUBPASS" | "SUBXPASS" => Some(TestOutcome::Passed),
        "SUBFAILED" | "SUBFAIL" => Some(TestOutcome::Failed),
        "SUBSKIPPED" | "SUBSKIP" | "SUBXFAIL" => Some(TestOutcome::Skipped),
        _ => None,
    }
}

/// The places where a line that begins with what a subtest is called may go on with the name of its test: how it ended, what it is called,
/// and the rest. `SUBFAILED[why] (i=1) a.py::b - no` by pytest 9, `[why] (i=1) SUBFAIL a.py::b - no` by pytest-subtests.
pub(super) fn subtests_before(text: &str) -> impl Iterator<Item = (TestOutcome, &str, &str)> {
    let (is_new, is_old) = (text.starts_with("SUB"), text.starts_with(['[', '(']));
    let head = text.find(['[', '(']).filter(|_| is_new).unwrap_or(text.len());
    let (head, named) = text.split_at(head);
    let new = subtest_word(head).into_iter().flat_map(|outcome| {
        let ends = named.match_indices(' ').map(|(at, _)| (&named[..at], &named[at + 1..]));
        ends.map(move |(of, rest)| (outcome, of, rest))
    });
    let old = text.match_indices(" SUB").filter(move |_| is_old).filter_map(|(at, _)| {
        let (word, rest) = text[at + 1..].split_once(' ')?;
        Some((subtest_word(word)?, &text[..at], rest))
    });
    let may_be = |of: &str, rest: &str| of.ends_with([']', ')']) && !rest.starts_with('(');
    new.chain(old).filter(move |(_, of, rest)| may_be(of, rest)).take(ENDS_MAX).filter(|(_, of, _)| is_subtest(of))
}

/// The same where that stands behind its test: `a.py::b SUBFAILED[why] (i=1)`, `a.py::b [why] (i=1) SUBFAIL`; `(why)` may follow.
pub(super) fn subtest_behind(text: &str) -> Option<Subtest<'_>> {
    let (suite, rest) = named(text)?;
    rest.match_indices(" SUB").take(ENDS_MAX).find_map(|(at, _)| {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        let (word, more) = behind.split_at(behind.find([' ', '[', '(']).unwrap_or(behind.len()));
        let outcome = subtest_word(word)?;
        let (test, of) = if more.starts_with(['[', '(']) {
            (before, if outcome == TestOutcome::Skipped { without_reason(more) } else { more })
        } else {
            let ends = before.match_indices(' ').map(|(at, _)| (&before[..at], &before[at + 1..]));
            let mut ends = ends.filter(|(_, of)| of.starts_with(['[', '('])).take(ENDS_MAX);
            ends.find(|(test, of)| is_whole(test) && is_subtest(of))?
        };
        (is_whole(test) && is_subtest(of)).then_some(Subtest { suite, test, of, outcome })
    })
}

/// Whether a subtest may be called so: by a message, by what it is run with, or by both.
fn is_subtest(of: &str) -> bool {
    match of.as_bytes() {
        [b'[', .., b']'] | [b'(', .., b')'] => true,
        [b'[', .., b')'] => of.contains("] ("),
        _ => false,
    }
}

/// What a subtest is called, of `[a message] (i=1) (not here)`.
fn without_reason(text: &str) -> &str {
    let is_given = |text: &str| {
        let name = text.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|one| one == '_' || one.is_alphanumeric())
    };
    let mut ends = text.match_indices(" (").map(|(at, _)| (&text[..at], &text[at + 2..])).take(ENDS_MAX);
    ends.find(|(of, rest)| is_subtest(of) && !is_given(rest)).map_or(text, |(of, _)| of)
}

/// A name and the result behind it: `a.py::b PASSED [ 50%]`, `a.py::b[c d] SKIPPED (why) [ 50%]`.
pub(super) fn ended(text: &str) -> Option<(Word, (&str, &str))> {
    let (suite, rest) = named(text)?;
    let ends = [rest].into_iter().chain(rest.match_indices(" (").map(|(at, _)| &rest[..at]));
    let told = ends.filter_map(|end| end.rsplit_once(' ')).filter_map(|(name, word)| Some((self::word(word)?, name)));
    let (word, name) = told.take(ENDS_MAX).find(|(_, name)| is_whole(name))?;
    Some((word, (suite, name)))
}

/// A line without how far pytest is or, where it is set up to tell that, how long the test took: `a.py::b PASSED [ 50%]`, `[1/8]`, `3.1ms`.
pub(super) fn without_progress(text: &str) -> &str {
    let progress = text.rsplit_once(" [").filter(|(_, end)| end.strip_suffix(']').is_some_and(is_progress));
    let told = progress.or_else(|| text.rsplit_once(' ').filter(|(_, end)| is_time(end)));
    told.map_or(text, |(head, _)| head.trim_end())
}

/// The same of a worker's line, which begins with it.
pub(super) fn behind_progress(text: &str) -> &str {
    let progress = text.strip_prefix('[').and_then(|text| text.split_once("] ")).filter(|(far, _)| is_progress(far));
    progress.or_else(|| text.split_once(' ').filter(|(time, _)| is_time(time))).map_or(text, |(_, rest)| rest)
}

fn is_progress(text: &str) -> bool {
    text.ends_with(|end: char| end == '%' || end.is_ascii_digit())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'/' | b'%'))
}

fn is_time(text: &str) -> bool {
    let number = text.trim_end_matches(|one: char| one.is_ascii_lowercase());
    matches!(&text[number.len()..], "us" | "ms" | "s" | "m" | "h" | "d") && number.parse::<f64>().is_ok()
}

/// The file and the rest of `tests/test_cart.py::TestCart::test_adds`. What has blanks before the first colons is a file of Python at most.
pub(super) fn named(text: &str) -> Option<(&str, &str)> {
    let (suite, test) = text.split_once("::")?;
    let name = suite.rsplit('/').next().unwrap_or(suite);
    (suite.ends_with(".py") || (name.contains('.') && !suite.contains(' '))).then_some((suite, test))
}

/// Whether this may be the whole name of a test in its file: what it is run with stands in brackets, where alone are blanks.
pub(super) fn is_whole(name: &str) -> bool {
    match name.split_once('[') {
        Some((before, with)) => with.ends_with(']') && !before.contains(' '),
        None => !name.contains(' '),
    }
}

/// What stands in the midst of a line of these. Of a long title there may be but one on each side.
pub(super) fn title(text: &str, of: char) -> Option<&str> {
    let inner = text.strip_prefix(of)?.strip_suffix(of)?.trim_matches(of);
    let title = inner.strip_prefix(' ')?.strip_suffix(' ')?.trim();
    // Such a line is in tracebacks: `_ _ _ _`.
    title.contains(|one: char| one != of && one != ' ').then_some(title)
}

/// Whether this is its last line, or what stands in it: `1 failed, 2 passed in 0.05s`, `no tests ran in 75.05s (0:01:15)`.
pub(super) fn is_end(text: &str) -> bool {
    if !text.ends_with(['s', ')']) {
        return false; // nearly all are not
    }
    let Some((counts, time)) = text.rsplit_once(" in ") else { return false };
    let (time, clock) = time.split_once(' ').unwrap_or((time, "()"));
    let is_time = time.strip_suffix('s').and_then(seconds).is_some();
    let is_count =
        |part: &str| part.split(' ').next().is_some_and(|count| count == "no" || count.parse::<u64>().is_ok());
    is_time && clock.starts_with('(') && clock.ends_with(')') && counts.split(", ").all(is_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_may_be_told_in_several_ways() {
        for progress in ["  [ 50%]", " [1/8]", " [ 10/800]", " 238.0us", " 0.000us", " 3.1s", " 1.5m", ""] {
            assert_eq!(without_progress(&format!("a.py::b PASSED{progress}")), "a.py::b PASSED", "{progress}");
        }
        for progress in ["[ 50%] ", "[1/8] ", "3.079ms ", ""] {
            assert_eq!(behind_progress(&format!("{progress}PASSED a.py::b")), "PASSED a.py::b", "{progress}");
        }
        for text in
            ["a.py::b[1 2] PASSED", "a.py::b SUBFAILED [why]", "a.py::b SKIPPED (8s)", "a.py::b SUBFAIL[]", "a.py::b"]
        {
            assert_eq!(without_progress(text), text);
        }
    }
}

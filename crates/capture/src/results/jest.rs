//! `jest` and `vitest`: their lines for people, which alike have a mark before each test, and a section for each that failed.
//!
//! Without `--verbose` jest names in its lines those tests alone that failed, in their sections. So does vitest: what it prints of a file
//! that has failures is no whole name. On a terminal both write over what they have written.

use std::collections::HashMap;

use logboom_record::TestOutcome;

use super::{Around, Line, Tests, seconds, shortened};

#[derive(Debug, Default)]
pub(super) struct Jest {
    /// The file whose tests come, where jest has told it.
    file: String,
    around: Around,
    /// Nothing is a result before a file was told.
    is_on: bool,
    section: Section,
    /// The results, by file and test.
    known: HashMap<(String, String), usize>,
}

/// What the next lines tell the failure of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    None,
    /// A test of jest's: to the next one, or to a line that is not indented.
    Jest,
    /// A test of vitest's: to the next one, or to a rule.
    Vitest,
}

impl Jest {
    /// Whether a file was told whose tests come.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        // On a terminal there may be nothing but movements before the text.
        let text = line.text.trim_start_matches('\r');
        let bare = line.bare;
        let indent = text.len() - bare.len();
        if bare.is_empty() || bare.starts_with("RUNS ") {
            return false;
        }
        if indent <= 1
            && let Some(rest) = bare.strip_prefix("PASS ").or_else(|| bare.strip_prefix("FAIL "))
        {
            return self.file(line, rest.trim_start(), tests);
        }
        if let Some(name) = bare.strip_prefix("● ").filter(|_| self.is_on && indent > 0) {
            return self.jest_section(line, name, tests);
        }
        if indent == 0 {
            return self.unindented(bare, tests);
        }
        if self.section != Section::None || (!self.is_on && bare.is_ascii()) {
            return false; // no mark is
        }
        let Some((mark, rest)) = bare.split_once(' ') else { return self.block(indent, bare) };
        let outcome = match mark {
            "✓" | "√" => TestOutcome::Passed,
            "✕" | "×" => TestOutcome::Failed,
            "○" | "↓" | "✎" | "□" => TestOutcome::Skipped,
            _ => return self.block(indent, bare),
        };
        self.result(line, indent, rest, outcome, tests)
    }

    fn result(&mut self, line: Line<'_>, indent: usize, text: &str, outcome: TestOutcome, tests: &mut Tests) -> bool {
        let text = text.strip_prefix("skipped ").or_else(|| text.strip_prefix("todo ")).unwrap_or(text);
        let (text, retries) = retried(text);
        let (name, duration_us) = timed(text);
        // vitest puts all that is around it before the name, the file first; one that sums a file up says how many it has.
        let number = match name.split_once(" > ") {
            Some((file, name)) if !self.is_on => self.add(line, file, name, (outcome, duration_us), tests),
            _ if !self.is_on => return false,
            _ => {
                self.around.leave(indent);
                let name = self.around.names().chain([name]).collect::<Vec<_>>().join(" > ");
                let file = std::mem::take(&mut self.file);
                let number = self.add(line, &file, &name, (outcome, duration_us), tests);
                self.file = file;
                number
            }
        };
        if let Some(test) = number.and_then(|number| tests.all.get_mut(number)) {
            test.retries = retries;
        }
        true
    }

    fn add(
        &mut self,
        line: Line<'_>,
        file: &str,
        name: &str,
        (outcome, duration_us): (TestOutcome, Option<u64>),
        tests: &mut Tests,
    ) -> Option<usize> {
        let number = tests.add(line, file, name, outcome, duration_us)?;
        self.known.insert((shortened(file), shortened(name)), number);
        Some(number)
    }

    /// `PASS src/cart.test.js (5.2 s)` of jest, `FAIL  src/cart.test.ts > cart > adds` of vitest, behind the word.
    fn file(&mut self, line: Line<'_>, rest: &str, tests: &mut Tests) -> bool {
        self.end_section(tests);
        self.around.leave(0);
        self.is_on = false;
        if let Some((file, name)) = rest.split_once(" > ").filter(|(file, _)| is_file(file)) {
            return self.section_of(line, file, name, Section::Vitest, tests);
        }
        let file = timed(rest).0;
        self.is_on = is_file(file);
        if self.is_on {
            // With colours there are more blanks behind the name of a project.
            self.file = file.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        }
        self.is_on
    }

    /// `● cart › deep › removes`, behind the mark.
    fn jest_section(&mut self, line: Line<'_>, name: &str, tests: &mut Tests) -> bool {
        self.end_section(tests);
        if name == "Console" || name.starts_with("Test suite failed to run") {
            return true;
        }
        let file = self.file.clone();
        self.section_of(line, &file, &name.replace(" › ", " > "), Section::Jest, tests)
    }

    fn section_of(&mut self, line: Line<'_>, file: &str, name: &str, section: Section, tests: &mut Tests) -> bool {
        let known = self.known.get(&(shortened(file), shortened(name))).copied();
        let number = known.or_else(|| self.add(line, file, name, (TestOutcome::Failed, None), tests));
        if let Some(number) = number {
            tests.open(number, line);
            self.section = section;
        }
        true
    }

    fn unindented(&mut self, text: &str, tests: &mut Tests) -> bool {
        let is_end = match self.section {
            Section::None => false,
            Section::Jest => true,
            Section::Vitest => text.starts_with('⎯'),
        };
        if is_end {
            self.end_section(tests);
        }
        self.around.leave(0);
        self.is_on = false;
        false
    }

    fn end_section(&mut self, tests: &mut Tests) {
        if std::mem::take(&mut self.section) != Section::None {
            tests.close();
        }
    }

    /// `  describe`.
    fn block(&mut self, indent: usize, name: &str) -> bool {
        if self.is_on {
            self.around.enter(indent, name);
        }
        false
    }
}

/// Whether this may be a test file: also one with blanks, or with the name of a project before it, as in `web src/a.test.js`.
fn is_file(text: &str) -> bool {
    const KINDS: [&str; 8] = ["js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts"];
    !text.contains(' ') || text.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind))
}

/// Takes ` (retry x2)` off the end.
fn retried(text: &str) -> (&str, u32) {
    let count = text.trim_end().strip_suffix(')').and_then(|text| text.rsplit_once(" (retry x"));
    count.and_then(|(text, count)| Some((text, count.parse().ok()?))).unwrap_or((text, 0))
}

/// Takes ` (5 ms)`, ` 5ms` or ` (1.2 s)` off the end.
fn timed(text: &str) -> (&str, Option<u64>) {
    let text = text.trim_end();
    let bracketed = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    let Some((name, time)) = bracketed.or_else(|| text.rsplit_once(' ')) else { return (text, None) };
    let (number, scale) = match time.strip_suffix("ms") {
        Some(ms) => (ms, 1_000),
        None => (time.strip_suffix('s').unwrap_or(""), 1),
    };
    match seconds(number) {
        Some(us) => (name.trim_end(), Some(us / scale)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::tests::{of, shown};

    #[test]
    fn jest_has_blocks() {
        let printed = "FAIL src/cart.test.js (5.2 s)\n  top\n    ✓ adds (5 ms)\n    deep\n      ✕ removes\n      ○ skipped later\n  ✓ alone\n\n\
            \x20 ● top › deep › removes\n\nTests: 1 failed\n  ✓ nothing\n";
        let want = [
            "passed src/cart.test.js top > adds",
            "failed src/cart.test.js top > deep > removes",
            "skipped src/cart.test.js top > deep > later",
            "passed src/cart.test.js alone",
        ];
        assert_eq!(shown(printed), want);
        assert_eq!(of(printed)[0].duration_us, Some(5_000));
    }

    #[test]
    fn a_file_may_have_blanks_and_a_project_before_it() {
        let want = [
            "failed web src/a dir/b c.test.js fails > here",
            "failed web src/a.test.js cart > removes",
            "passed the api api/slow.test.js crawls",
            "passed web src/a dir/b c.test.js is in a dir",
            "passed web src/a.test.js adds",
            "passed web src/a.test.js cart > slow",
        ];
        for printed in [JEST_PROJECTS, JEST_PROJECTS_COLOURS] {
            assert_eq!(sorted(printed), want);
            let lines = section(printed, "fails > here");
            let is_title = lines[0].contains('●') && lines[0].contains("fails > here");
            assert!(is_title && lines.len() > 5, "{lines:?}");
        }
        assert_eq!(shown("PASS all that was asked\n  ✓ not a test\n"), [""; 0]);
        let vitest = " FAIL  |web| src/a.test.ts > cart > loads b.js\n";
        assert_eq!(shown(vitest), ["failed |web| src/a.test.ts cart > loads b.js"]);
    }

    #[test]
    fn vitest_has_all_in_a_line() {
        let printed = " ✓ src/a.test.ts > cart > adds 3ms\n × src/a.test.ts > cart > removes 12ms\n ✓ src/b.test.ts (2 tests) 5ms\n";
        assert_eq!(shown(printed), ["passed src/a.test.ts cart > adds", "failed src/a.test.ts cart > removes"]);
    }

    const JEST: &str = include_str!("../../tests/printed/jest.txt");
    const JEST_VERBOSE: &str = include_str!("../../tests/printed/jest-verbose.txt");
    const JEST_COLOURS: &str = include_str!("../../tests/printed/jest-colors.txt");
    const JEST_TERMINAL: &str = include_str!("../../tests/printed/jest-tty.txt");
    const JEST_PROJECTS: &str = include_str!("../../tests/printed/jest-projects.txt");
    const JEST_PROJECTS_COLOURS: &str = include_str!("../../tests/printed/jest-projects-colors.txt");
    const VITEST: &str = include_str!("../../tests/printed/vitest.txt");
    const VITEST_COLOURS: &str = include_str!("../../tests/printed/vitest-colors.txt");
    const VITEST_VERBOSE: &str = include_str!("../../tests/printed/vitest-verbose.txt");
    const VITEST_TERMINAL: &str = include_str!("../../tests/printed/vitest-tty.txt");

    /// The same in order of names.
    fn sorted(printed: &str) -> Vec<String> {
        let mut all = shown(printed);
        all.sort();
        all
    }

    /// The lines of a test's section.
    fn section<'a>(printed: &'a str, name: &str) -> Vec<&'a str> {
        let test = of(printed).into_iter().find(|test| test.test == name).unwrap();
        printed.lines().skip(test.from as usize - 1).take((test.to - test.from) as usize + 1).collect()
    }

    #[test]
    fn what_jest_30_printed() {
        let want = [
            "failed j/cart.test.js cart > deep > removes",
            "failed j/flaky.test.js always fails",
            "passed j/cart.test.js alone",
            "passed j/cart.test.js cart > adds",
            "passed j/cart.test.js cart > is slow (very)",
            "passed j/flaky.test.js flaky",
            "passed j/green.test.js is green",
            "passed j/green.test.js is green too",
            "skipped j/cart.test.js cart > deep > later",
            "skipped j/cart.test.js cart > deep > some day",
        ];
        for printed in [JEST_VERBOSE, JEST_COLOURS, JEST_TERMINAL] {
            assert_eq!(sorted(printed), want, "{printed:?}");
            let slow = of(printed).into_iter().find(|test| test.test.ends_with("(very)")).unwrap();
            assert!(slow.duration_us.unwrap() >= 350_000);
        }
        let lines = section(JEST_VERBOSE, "cart > deep > removes");
        assert_eq!(lines[0], "  ● cart › deep › removes");
        assert!(lines.iter().any(|line| line.contains("at Object.toEqual")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("always fails") || line.contains("FAIL ")), "{lines:?}");
    }

    #[test]
    fn without_verbose_those_that_failed_have_names() {
        let want = ["failed j/cart.test.js cart > deep > removes", "failed j/flaky.test.js always fails"];
        assert_eq!(sorted(JEST), want);
        let want = ["failed cart.test.ts cart > deep > removes", "failed flaky.test.ts always fails"];
        for printed in [VITEST, VITEST_COLOURS] {
            assert_eq!(sorted(printed), want);
        }
        let lines = section(VITEST, "cart > deep > removes");
        assert!(lines[0].starts_with(" FAIL  cart.test.ts > cart > deep > removes"), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("AssertionError")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("always fails")), "{lines:?}");
    }

    #[test]
    fn what_vitest_4_printed() {
        let want = [
            "failed cart.test.ts cart > deep > removes",
            "failed flaky.test.ts always fails",
            "passed cart.test.ts alone",
            "passed cart.test.ts cart > adds",
            "passed cart.test.ts cart > is slow (very)",
            "passed flaky.test.ts flaky",
            "passed green.test.ts is green",
            "passed green.test.ts is green too",
            "skipped cart.test.ts cart > deep > later",
            "skipped cart.test.ts cart > deep > some day",
        ];
        for printed in [VITEST_VERBOSE, VITEST_TERMINAL] {
            assert_eq!(sorted(printed), want);
            let flaky = of(printed).into_iter().find(|test| test.test == "flaky").unwrap();
            assert_eq!((flaky.retries, flaky.duration_us.is_some()), (1, true));
        }
    }
}

//! TAP 13 and 14, as node's test runner, prove and others print it. See <https://testanything.org/tap-version-14-specification.html>.

use logboom_record::TestOutcome;

use super::{Around, Line, Tests, micros};

#[derive(Debug, Default)]
pub(super) struct Tap {
    is_on: bool,
    /// The subtests around what comes.
    around: Around,
    /// How far each of them is indented, and how many results there were when it began.
    begun: Vec<(usize, usize)>,
    /// How far the block of YAML behind a result is indented, in it.
    yaml_indent: Option<usize>,
    /// Of the last result.
    number: u64,
}

impl Tap {
    /// Whether it has begun.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        if line.text.starts_with("TAP version 1") {
            *self = Tap { is_on: true, ..Tap::default() };
            return true;
        }
        // A plan may come first where no version does.
        let is_plan = line
            .text
            .strip_prefix("1..")
            .is_some_and(|count| !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit()));
        self.is_on |= is_plan;
        if !self.is_on {
            return false;
        }
        let (bare, indent) = (line.bare, line.indent());
        // One that has no end, as where a test was killed, ends with what is indented less.
        self.yaml_indent = self.yaml_indent.filter(|yaml| bare.is_empty() || *yaml <= indent);
        if self.yaml_indent.is_some() {
            return self.yaml(bare, tests);
        }
        if let Some(name) = bare.strip_prefix("# Subtest: ") {
            self.around.enter(indent, name);
            self.begun.retain(|(around, _)| *around < indent);
            if self.begun.len() < Around::DEPTH_MAX {
                self.begun.push((indent, tests.all.len()));
            }
            return true;
        }
        if bare == "---" && tests.block.is_some() {
            self.yaml_indent = Some(indent);
            return true;
        }
        tests.close();
        self.result(line, indent, bare, tests) || is_plan
    }

    /// `not ok 3 - name # TODO not done`.
    fn result(&mut self, line: Line<'_>, indent: usize, text: &str, tests: &mut Tests) -> bool {
        let (is_ok, rest) = match (text.strip_prefix("ok"), text.strip_prefix("not ok")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return false,
        };
        if !rest.starts_with(' ') {
            return false;
        }
        let behind = rest.trim_start().trim_start_matches(|digit: char| digit.is_ascii_digit());
        let (number, behind) = rest.split_at(rest.len() - behind.len());
        let number = number.trim_start().parse().ok();
        // The blank before a directive may be that behind `ok`.
        let (name, is_skipped) = directed(if number.is_some() { behind } else { rest });
        self.number = number.unwrap_or(self.number.saturating_add(1));
        let name = name.trim_start();
        let name = name.strip_prefix('-').filter(|name| !name.starts_with('-')).unwrap_or(name).trim();
        // Of those without a name each has a number of its own.
        let number = self.number.to_string();
        let name = if name.is_empty() { &number } else { name };
        let was_around = self.around.has(indent, name);
        self.around.leave(indent);
        if was_around && self.has_parts(indent, tests) {
            return true; // its parts were told
        }
        let outcome = match is_ok {
            _ if is_skipped => TestOutcome::Skipped,
            true => TestOutcome::Passed,
            false => TestOutcome::Failed,
        };
        let suite: Vec<&str> = self.around.names().collect();
        let number = tests.add(line, &suite.join(" > "), name, outcome, None);
        number.into_iter().for_each(|number| tests.open(number, line));
        true
    }

    /// Whether a result came since the subtest began that is indented so far.
    fn has_parts(&self, indent: usize, tests: &Tests) -> bool {
        let begun = self.begun.iter().find(|(around, _)| *around == indent);
        begun.is_some_and(|(_, count)| tests.all.len() > *count)
    }

    fn yaml(&mut self, text: &str, tests: &mut Tests) -> bool {
        if text == "..." {
            self.yaml_indent = None;
        }
        let number = tests.block.filter(|number| *number < tests.all.len());
        let ms = text.strip_prefix("duration_ms: ").and_then(|ms| ms.parse::<f64>().ok());
        if let Some((number, us)) = number.zip(ms.and_then(|ms| micros(ms / 1e3))) {
            tests.all[number].duration_us = Some(us);
        }
        true
    }
}

/// What stands before `# SKIP` or `# TODO`, or else before the last comment, and whether it is one of these. There may be nothing before.
fn directed(text: &str) -> (&str, bool) {
    let is_skipped = |comment: &str| {
        let word = comment.trim_start().get(..4);
        word.is_some_and(|word| word.eq_ignore_ascii_case("skip") || word.eq_ignore_ascii_case("todo"))
    };
    let skipped = text.match_indices(" #").find(|(at, hash)| is_skipped(&text[at + hash.len()..]));
    match skipped {
        Some((at, _)) => (&text[..at], true),
        None => (text.rsplit_once(" # ").map_or(text, |(name, _)| name), false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of, shown};

    #[test]
    fn a_test_without_a_name_has_its_number_also_before_a_directive() {
        let printed = "TAP version 13\n1..9\nok 1\nok 2 # skip no network\nnot ok 13 # TODO bend space and time\nnot ok 14\nok - dashed\n\
            ok # SKIP it # again\nok 17 - has #1 in it # SKIP why # not\nok 18 - # Skip\nok 19 - a b # time=5ms\nok 20 -x\nok 21 --y\n";
        let want = [
            "passed 1",
            "skipped 2",
            "skipped 13",
            "failed 14",
            "passed dashed",
            "skipped 16",
            "skipped has #1 in it",
            "skipped 18",
            "passed a b",
            "passed x",
            "passed --y",
        ];
        assert_eq!(shown(printed), want);
    }

    #[test]
    fn subtests_are_named_with_those_around_them() {
        let printed = "TAP version 13\n# Subtest: cart\n    # Subtest: adds\n    ok 1 - adds\n      ---\n      duration_ms: 1.5\n      ...\n\
            \x20   not ok 2 - removes\n      ---\n      error: 'no'\n      ...\n    1..2\nnot ok 1 - cart\n  ---\n  duration_ms: 3\n  ...\n\
            ok 2 - alone # SKIP not here\nnot ok 3 later # TODO some day\nBail out!\n";
        assert_eq!(shown(printed), ["passed cart adds", "failed cart removes", "skipped alone", "skipped later"]);
        let tests = of(printed);
        assert_eq!((tests[0].from, tests[0].to, tests[0].duration_us), (4, 7, Some(1_500)));
        assert_eq!((tests[1].from, tests[1].to), (8, 11));
    }

    #[test]
    fn a_block_without_end_hides_no_result() {
        let printed = "TAP version 14\nnot ok 1 - a\n  ---\n  error: killed\nok 2 - b\n";
        assert_eq!(shown(printed), ["failed a", "passed b"]);
    }

    #[test]
    fn only_behind_a_version_or_a_plan() {
        assert_eq!(shown("ok 1 - not TAP\nok then\n"), [""; 0]);
        assert_eq!(shown("1..2\nok 1 - a\nnot ok 2 - b\n"), ["passed a", "failed b"]);
    }

    #[test]
    fn a_subtest_without_parts_is_a_test_also_behind_one_with_parts() {
        let printed = "TAP version 13\n# Subtest: cart\n    # Subtest: adds\n    ok 1 - adds\n    # Subtest: empty\n    ok 2 - empty\n    1..2\n\
            ok 1 - cart\n# Subtest: alone\nok 2 - alone\n1..2\n";
        assert_eq!(shown(printed), ["passed cart adds", "passed cart empty", "passed alone"]);
    }
}

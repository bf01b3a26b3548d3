//! `jest` and `vitest`: their lines for people, which alike have a mark before each test.

use logboom_record::TestOutcome;

use super::{Around, Line, Tests, seconds};

#[derive(Debug, Default)]
pub(super) struct Jest {
    /// The file whose tests come, where jest has told it.
    file: String,
    around: Around,
    /// Nothing is a result before a file was told.
    is_on: bool,
}

impl Jest {
    /// Takes a line. Tells whether it is one of its own.
    pub fn line(&mut self, line: Line<'_>, tests: &mut Tests) -> bool {
        let bare = line.text.trim_start();
        let indent = line.text.len() - bare.len();
        if indent == 0 {
            return self.file(bare);
        }
        if !self.is_on && bare.is_ascii() {
            return false; // no mark is
        }
        let Some((mark, rest)) = bare.split_once(' ') else { return self.block(indent, bare) };
        let outcome = match mark {
            "✓" | "√" => TestOutcome::Passed,
            "✕" | "×" => TestOutcome::Failed,
            "○" | "↓" | "✎" => TestOutcome::Skipped,
            _ => return self.block(indent, bare),
        };
        let (name, duration_us) = timed(rest.strip_prefix("skipped ").unwrap_or(rest));
        // vitest puts all that is around it before the name, the file first; one that sums a file up says how many it has.
        match name.split_once(" > ") {
            Some((file, name)) if !self.is_on => drop(tests.add(line, file, name, outcome, duration_us)),
            _ if !self.is_on => return false,
            _ => {
                self.around.leave(indent);
                let name = self.around.names().chain([name]).collect::<Vec<_>>().join(" > ");
                tests.add(line, &self.file, &name, outcome, duration_us);
            }
        }
        true
    }

    /// `PASS src/cart.test.js (5.2 s)`.
    fn file(&mut self, text: &str) -> bool {
        self.around.leave(0);
        let file = text.strip_prefix("PASS ").or_else(|| text.strip_prefix("FAIL ")).map(|file| timed(file).0);
        self.is_on = file.is_some_and(|file| !file.contains(' ')) || (self.is_on && text.is_empty());
        if let Some(file) = file.filter(|_| self.is_on) {
            file.clone_into(&mut self.file);
        }
        file.is_some() && self.is_on
    }

    /// `  describe`.
    fn block(&mut self, indent: usize, name: &str) -> bool {
        if self.is_on && !name.is_empty() && !name.starts_with('●') {
            self.around.enter(indent, name);
        }
        false
    }
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
        Some(us) => (name, Some(us / scale)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
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
    fn vitest_has_all_in_a_line() {
        let printed = " ✓ src/a.test.ts > cart > adds 3ms\n × src/a.test.ts > cart > removes 12ms\n ✓ src/b.test.ts (2 tests) 5ms\n";
        assert_eq!(shown(printed), ["passed src/a.test.ts cart > adds", "failed src/a.test.ts cart > removes"]);
    }
}

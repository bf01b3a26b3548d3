//! What test runners print: results of one test, sums, headings.

use super::Level;
use super::head::{Head, Step};
use super::phrases::goes_on;
use super::scan::{count_digits, dressing};
use super::words::{Case, Place, Word};

/// `test a::b ... FAILED` and `test result: FAILED. ..` of Rust, behind the first word.
pub(super) fn test(head: &Head<'_>, rest: &[u8]) -> Option<Level> {
    let name = &rest[1..];
    let after = &name[memchr::memchr(b' ', name).unwrap_or(name.len())..];
    let outcome = dressing(after.strip_prefix(b" ...").unwrap_or(after));
    let failed = outcome.starts_with(b"FAILED") || (after.starts_with(b" - ") && head.line_ends_with(b"... FAILED"));
    failed.then_some(Level::Error)
}

/// `test_x (module.Class) ... FAIL` of Python.
pub(super) fn unittest(head: &Head<'_>) -> Option<Level> {
    let named = head.rest.starts_with(b"test");
    let failed = named && (head.line_ends_with(b"... FAIL") || head.line_ends_with(b"... ERROR"));
    failed.then_some(Level::Error)
}

/// `Tests:  1 failed, 2 total`, `Test Suites: 1 failed`, `Tests run: 3, Failures: 1, Errors: 0`, behind the first word.
pub(super) fn sum(rest: &[u8]) -> Option<Level> {
    let rest = match rest {
        [b' ', b'r', b'u', b'n', b':', b' ', counts @ ..] => return failures_or_errors(counts),
        [b' ', b'S', b'u', b'i', b't', b'e', b's', rest @ ..] => rest,
        [b' ', b'F', b'i', b'l', b'e', b's', rest @ ..] => rest,
        [b':' | b' ' | 0x1b, ..] => rest,
        _ => return None,
    };
    let count = dressing(rest.strip_prefix(b":").unwrap_or(rest));
    counts_failures(count).then_some(Level::Error)
}

fn failures_or_errors(counts: &[u8]) -> Option<Level> {
    let is_nonzero = |key: &[u8]| {
        let at = counts.windows(key.len()).position(|window| window == key);
        at.is_some_and(|at| matches!(counts.get(at + key.len()), Some(b'1'..=b'9')))
    };
    (is_nonzero(b"Failures: ") || is_nonzero(b"Errors: ")).then_some(Level::Error)
}

/// `1 failed, 2 passed`, `3 failing`; not `0 failed`.
pub(super) fn counts_failures(text: &[u8]) -> bool {
    let digits = count_digits(text);
    let word = Word::read(dressing(&text[digits..]));
    digits > 0 && text[0] != b'0' && word.case() == Case::Lower && word.is_one_of(&["failed", "failing"])
}

/// `2 errors generated.`, `5 warnings and 3 errors generated.`, `1 warning`: sums that stand alone.
pub(super) fn counts_findings(text: &[u8]) -> Option<Level> {
    let digits = count_digits(text);
    let word = Word::read(text.get(digits + 1..)?);
    let rest = word.rest.trim_ascii();
    if digits == 0 || text[0] == b'0' {
        None
    } else if word.is_one_of(&["error", "errors"]) {
        let ends = rest.is_empty() || goes_on(rest, &[b"generated.", b"found", b"in ", b"."]);
        ends.then_some(Level::Error)
    } else if word.is_one_of(&["warning", "warnings"]) {
        let alone = matches!(rest, b"" | b"generated.");
        if alone { Some(Level::Warn) } else { counts_findings(rest.strip_prefix(b"and ")?) }
    } else {
        None
    }
}

/// TAP's `not ok 3 - name`, unless it is a known failure.
pub(super) fn not_ok(text: &[u8]) -> Option<Level> {
    let known = text.windows(6).any(|window| matches!(window, b"# TODO" | b"# SKIP" | b"# todo" | b"# skip"));
    (text.starts_with(b"not ok") && !known).then_some(Level::Error)
}

/// CTest's `33% tests passed, 2 tests failed out of 3`, behind the number.
pub(super) fn share(after: &[u8]) -> Option<Level> {
    let failed = after.strip_prefix(b"% tests passed, ")?;
    matches!(failed, [b'1'..=b'9', ..]).then_some(Level::Error)
}

/// CTest's `2/3 Test #2: b ....***Failed`.
pub(super) fn ctest(text: &[u8]) -> Option<Level> {
    let result = text.windows(4).any(|window| window == b".***");
    (text.windows(7).take(8).any(|window| window == b" Test #") && result).then_some(Level::Error)
}

/// pytest's `=== FAILURES ===`, `=== 1 failed, 2 passed ===`, `___ ERROR at setup of x ___`; Go's `=== RUN`.
pub(super) fn heading<'a>(head: &mut Head<'a>, behind: &'a [u8]) -> Step {
    match dressing(behind) {
        text if text.starts_with(b"FAILURES ") || text.starts_with(b"ERRORS ") => Step::Is(Level::Error),
        text if text.starts_with(b"warnings summary ") => Step::Is(Level::Warn),
        text @ [b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', ..] => head.at(text, Place::Dash),
        _ => Step::No,
    }
}

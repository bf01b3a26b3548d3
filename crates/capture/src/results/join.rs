//! Puts what files tell of tests to what was found in the output: a test that both tell of is one.
//!
//! Tools write the same name in several ways: `tests/test_a.py::TestB::test_c` in the output is `tests.test_a.TestB` and `test_c` in
//! the file. So names are compared part by part, whatever stands between the parts. Where that fits several tests all are kept: one
//! that is there twice is better than one that is missing.

use std::collections::BTreeMap;

use logboom_record::{TEST_MESSAGE_BYTES_MAX, TestOutcome, TestResult};

use super::{NAMES_BYTES_MAX, TESTS_MAX, shortened};
use crate::masks::Masks;

/// Of so many tests whose names end alike one is looked for.
const ALIKE_MAX: usize = 64;
/// Stands between the parts of a name.
const BETWEEN: char = '\u{1}';

/// What became of the tests of files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Joined {
    /// How many there was no room for.
    pub(crate) over: u64,
    /// How many secrets were masked in what they say.
    pub(crate) masked: u64,
}

/// Adds the tests of files behind those of the output, but for those that the output has: these get what only the file tells.
pub(crate) fn join(tests: &mut Vec<TestResult>, told: Vec<TestResult>, masks: &Masks) -> Joined {
    let mut joined = Joined::default();
    let told: Vec<TestResult> = told.into_iter().map(|test| masked(test, masks, &mut joined.masked)).collect();
    let pairs = pairs(tests, &told);
    let mut names_bytes: usize = tests.iter().map(names_bytes).sum();
    for (test, of) in told.into_iter().zip(pairs) {
        if let Some(printed) = of.and_then(|at| tests.get_mut(at)) {
            complete(printed, test);
        } else if tests.len() >= TESTS_MAX || names_bytes + self::names_bytes(&test) > NAMES_BYTES_MAX {
            joined.over += 1;
        } else {
            names_bytes += self::names_bytes(&test);
            tests.push(test);
        }
    }
    joined
}

fn names_bytes(test: &TestResult) -> usize {
    test.suite.len() + test.test.len()
}

/// What the output did not tell.
fn complete(printed: &mut TestResult, told: TestResult) {
    printed.duration_us = printed.duration_us.or(told.duration_us);
    printed.retries = printed.retries.max(told.retries);
    if told.outcome == TestOutcome::TimedOut {
        printed.outcome = told.outcome;
    }
    if printed.message.is_empty() {
        printed.message = told.message;
    }
}

/// Without secrets, and as long as it is kept. What was read is longer, so that none is cut before it is known as one.
fn masked(test: TestResult, masks: &Masks, count: &mut u64) -> TestResult {
    let mut line = |text: &str| {
        let (masked, times) = masks.mask(text.as_bytes());
        *count += times;
        String::from_utf8_lossy(&masked).into_owned()
    };
    let mut plain = |text: &str| {
        let whole = &text[..text.floor_char_boundary(text.len() - masks.begun(text.as_bytes()))];
        let text = if text.len() > TEST_MESSAGE_BYTES_MAX { whole } else { text };
        // What patterns are of is a line, as in records.
        text.split('\n').map(&mut line).collect::<Vec<_>>().join("\n")
    };
    let (suite, name, mut message) = (plain(&test.suite), plain(&test.test), plain(&test.message));
    message.truncate(message.floor_char_boundary(TEST_MESSAGE_BYTES_MAX));
    TestResult { suite: shortened(&suite), test: shortened(&name), message, ..test }
}

/// Tests of one name.
#[derive(Default)]
struct Alike {
    printed: Vec<usize>,
    told: Vec<usize>,
}

/// Of each test of the files, which of the output's it is.
fn pairs(printed: &[TestResult], told: &[TestResult]) -> Vec<Option<usize>> {
    let mut by_name: BTreeMap<(String, bool), Alike> = BTreeMap::new();
    for (at, test) in printed.iter().enumerate() {
        by_name.entry(name_of(test)).or_default().printed.push(at);
    }
    for (at, test) in told.iter().enumerate() {
        by_name.entry(name_of(test)).or_default().told.push(at);
    }
    let mut pairs = vec![None; told.len()];
    for alike in by_name.values().filter(|alike| !alike.printed.is_empty() && !alike.told.is_empty()) {
        let as_written: [fn(&TestResult) -> &str; 3] = [|_| "", parameters, |test| &test.test];
        as_written.into_iter().for_each(|part| by_part(alike, part, (printed, told), &mut pairs));
    }
    by_ends(&by_name, (printed.len(), told.len()), &mut pairs);
    pairs
}

/// Pairs tests of one name of which this part is written the same, too: `test[.]` and `test[/]` are two.
fn by_part(
    alike: &Alike,
    part: fn(&TestResult) -> &str,
    (printed, told): (&[TestResult], &[TestResult]),
    pairs: &mut [Option<usize>],
) {
    let mut by_part: BTreeMap<&str, Alike> = BTreeMap::new();
    for at in &alike.printed {
        by_part.entry(part(&printed[*at])).or_default().printed.push(*at);
    }
    for at in &alike.told {
        by_part.entry(part(&told[*at])).or_default().told.push(*at);
    }
    // The same test several times in both: in the same order.
    let is_one = |all: &[TestResult], these: &[usize]| {
        let name = |at: &usize| all.get(*at).map(|test| (&test.suite, &test.test));
        these.windows(2).all(|two| name(&two[0]) == name(&two[1]))
    };
    let are_one = |these: &&Alike| {
        these.printed.len() == these.told.len() && is_one(printed, &these.printed) && is_one(told, &these.told)
    };
    for these in by_part.values().filter(are_one) {
        these.told.iter().zip(&these.printed).for_each(|(told, printed)| pairs[*told] = Some(*printed));
    }
}

/// What a test is run with: `[x.y]` of `TestB::test_c[x.y]`. Tools agree on it where they write the rest in their own way.
fn parameters(test: &TestResult) -> &str {
    test.test.find('[').map_or("", |at| &test.test[at..])
}

/// Pairs tests of which one tool tells less of what is around them than the other: where just one fits the other. One word in common, as
/// in `ok 1 - ok` and `admin.web` `ok`, is too little, unless the tools seem to tell of the same tests.
fn by_ends(by_name: &BTreeMap<(String, bool), Alike>, (printed, told): (usize, usize), pairs: &mut [Option<usize>]) {
    let is_word_enough = printed.abs_diff(told) <= printed.max(told) / 10;
    let is_enough = |name: &str| is_word_enough || name.contains(BETWEEN);
    let mut printed: BTreeMap<(&str, bool), Vec<(&str, usize)>> = BTreeMap::new();
    for ((name, is_bad), alike) in by_name.iter().filter(|(_, alike)| alike.told.is_empty()) {
        let all = printed.entry((last_part(name), *is_bad)).or_default();
        all.extend(alike.printed.iter().map(|at| (name.as_str(), *at)));
    }
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for ((name, is_bad), alike) in by_name.iter().filter(|(_, alike)| alike.printed.is_empty()) {
        let Some(all) = printed.get(&(last_part(name), *is_bad)).filter(|all| all.len() <= ALIKE_MAX) else { continue };
        let fitting: Vec<usize> =
            all.iter().filter(|(other, _)| ends_alike(name, other, is_enough)).map(|(_, at)| *at).collect();
        if let ([printed], [told]) = (&fitting[..], &alike.told[..]) {
            found.entry(*printed).or_default().push(*told);
        }
    }
    for (printed, told) in found {
        if let [told] = told[..] {
            pairs[told] = Some(printed);
        }
    }
}

/// Whether all parts of one are the last of the other, and enough.
fn ends_alike(one: &str, other: &str, is_enough: impl Fn(&str) -> bool) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    is_enough(short) && long.strip_suffix(short).is_some_and(|before| before.is_empty() || before.ends_with(BETWEEN))
}

fn last_part(name: &str) -> &str {
    name.rsplit(BETWEEN).next().unwrap_or(name)
}

/// The parts of the full name, and whether it failed: a failure and a success are two.
fn name_of(test: &TestResult) -> (String, bool) {
    // A file of Python that could not be collected is `tests/test_a.py` in the output, and `tests.test_a` in the file.
    let (suite, name) = match test.suite.as_str() {
        "" => ("", without_ending(&test.test)),
        suite => (without_ending(suite), test.test.as_str()),
    };
    let is_between = |one: char| matches!(one, ':' | '.' | '/' | '\\' | '>' | '›') || one.is_whitespace();
    let parts = suite.split(is_between).chain(name.split(is_between)).filter(|part| !part.is_empty());
    let mut name = String::with_capacity(suite.len() + test.test.len() + 1);
    for part in parts {
        if !name.is_empty() {
            name.push(BETWEEN);
        }
        name.push_str(part);
    }
    (name, test.outcome.is_bad())
}

fn without_ending(name: &str) -> &str {
    name.strip_suffix(".py").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use logboom_record::Time;
    use proptest::prelude::*;

    fn test(suite: &str, test: &str, outcome: TestOutcome) -> TestResult {
        let (suite, test) = (suite.to_owned(), test.to_owned());
        let time = Time::default();
        TestResult { suite, test, outcome, duration_us: None, time, retries: 0, from: 0, to: 0, message: String::new() }
    }

    fn printed(suite: &str, name: &str) -> TestResult {
        TestResult { from: 3, to: 4, ..test(suite, name, TestOutcome::Failed) }
    }

    fn told(suite: &str, name: &str) -> TestResult {
        TestResult { duration_us: Some(5), message: "why".to_owned(), ..test(suite, name, TestOutcome::Failed) }
    }

    fn joined(printed: &[TestResult], told: &[TestResult]) -> Vec<TestResult> {
        let mut all = printed.to_vec();
        join(&mut all, told.to_vec(), &Masks::default());
        all
    }

    #[test]
    fn a_test_of_both_is_one_with_what_only_the_file_tells() {
        for (one, other) in [
            (("tests/test_a.py", "TestB::test_c"), ("tests.test_a.TestB", "test_c")),
            (("test_a.py", "test_c[x.y/z]"), ("test_a", "test_c[x.y/z]")),
            (("crate::bin", "mod::test"), ("crate::bin", "mod::test")),
            (("src/a.test.ts", "cart > adds"), ("src/a.test.ts", "cart > adds")),
            (("example.com/shop/cart", "TestA/sub"), ("cart", "TestA/sub")),
            (("cart.test.js", "cart > adds"), ("", "cart adds")),
        ] {
            let all = joined(&[printed(one.0, one.1)], &[told(other.0, other.1)]);
            let want = TestResult { duration_us: Some(5), message: "why".to_owned(), ..printed(one.0, one.1) };
            assert_eq!(all, [want], "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_file_that_could_not_be_collected_is_one_whether_it_is_called_file_or_module() {
        assert_eq!(joined(&[printed("", "../tests/test_a.py")], &[told("", "tests.test_a")]).len(), 1);
        assert_eq!(joined(&[printed("", "tests/test_a.py")], &[told("", "tests.test_b")]).len(), 2);
    }

    #[test]
    fn a_failure_whose_time_was_up_is_that() {
        let late = test("a", "t", TestOutcome::TimedOut);
        assert_eq!(joined(&[printed("a", "t")], &[late])[0].outcome, TestOutcome::TimedOut);
    }

    #[test]
    fn what_may_be_another_test_is_kept() {
        let passed = |suite: &str, name: &str| test(suite, name, TestOutcome::Passed);
        let twice = [printed("a", "t"), printed("a", "t")];
        assert_eq!(joined(&twice, &[told("a", "t")]).len(), 3, "which of the two is not known");
        assert_eq!(joined(&twice, &[told("a", "t"), told("a", "t")]).len(), 2);
        assert_eq!(joined(&[printed("a", "t.u"), printed("a", "t u")], &[told("a", "t.u"), told("a", "t.u")]).len(), 4);
        assert_eq!(joined(&[printed("a", "t"), printed("b", "t")], &[told("", "t")]).len(), 3);
        assert_eq!(joined(&[printed("a", "t")], &[told("x", "t")]).len(), 2);
        assert_eq!(joined(&[printed("a", "t")], &[passed("a", "t")]).len(), 2, "one failed, the other did not");
        assert_eq!(joined(&[printed("a", "at")], &[told("", "t")]).len(), 2, "a part is a part");
    }

    #[test]
    fn tests_whose_parameters_stand_between_parts_are_told_apart() {
        let with = ["test_c[.]", "test_c[/]", "test_c[:]", "test_c[ ]"];
        let in_file: Vec<TestResult> = with.iter().rev().map(|name| told("test_a", name)).collect();
        let in_output: Vec<TestResult> = with.iter().map(|name| printed("test_a.py", name)).collect();
        assert_eq!(joined(&in_output, &in_file).len(), with.len());
        let of_class: Vec<TestResult> = with.iter().map(|name| told("test_a.TestB", name)).collect();
        let in_class = with.map(|name| printed("test_a.py", &format!("TestB::{name}")));
        assert_eq!(joined(&in_class, &of_class).len(), with.len());
        let other = joined(&in_output[..2], &[told("test_a", with[0]), told("test_a", with[2])]);
        assert_eq!(other.len(), 3, "{other:?}");
        let twice = |all: &[TestResult]| [&all[..2], &all[..2]].concat();
        assert_eq!(joined(&twice(&in_output), &twice(&in_file[2..])).len(), 4);
    }

    #[test]
    fn one_word_in_common_makes_no_test_the_same_unless_both_tell_of_as_many() {
        let of_web = [told("admin.web", "ok"), told("admin.web", "opens"), told("admin.web", "closes")];
        assert_eq!(joined(&[printed("", "ok")], &of_web).len(), 4);
        assert_eq!(joined(&[printed("web", "ok")], &of_web).len(), 3);
        assert_eq!(joined(&[printed("", "ok"), printed("", "opens"), printed("", "closes")], &of_web).len(), 3);
    }

    #[test]
    fn secrets_are_masked_before_anything_is_cut() {
        let secret = "hunter22".repeat(20);
        let masks = Masks::new([secret.as_bytes()], &["key=[0-9]+".to_owned()]).unwrap();
        let message = format!("{}{secret} key=1", "x".repeat(TEST_MESSAGE_BYTES_MAX - 5));
        let mut all = Vec::new();
        let one = TestResult { message, ..told(&secret, "key=22") };
        let cut = TestResult {
            message: format!("{}{}", "y".repeat(TEST_MESSAGE_BYTES_MAX), &secret[..90]),
            ..told("a", "t")
        };
        assert_eq!(join(&mut all, vec![one, cut], &masks).masked, 4);
        assert_eq!((all[0].suite.as_str(), all[0].test.as_str()), ("***", "***"));
        assert!(all[0].message.ends_with("x*** *"), "{}", &all[0].message[2_000..]);
        assert!(!all[1].message.contains("hunter"));
    }

    #[test]
    fn patterns_are_of_each_line() {
        let masks = Masks::new([&b"hunter22"[..]], &["^password: .*".to_owned(), "[a-z]+ only$".to_owned()]).unwrap();
        let message = "boom\npassword: x y\n  password: kept\nthis only\nonly this hunter22\n".to_owned();
        let mut all = Vec::new();
        let joined = join(&mut all, vec![TestResult { message, ..told("a", "t") }], &masks);
        assert_eq!(all[0].message, "boom\n***\n  password: kept\n***\nonly this ***\n");
        assert_eq!(joined.masked, 3);
    }

    proptest! {
        #[test]
        fn no_test_is_lost(
            printed in proptest::collection::vec(("[ab.:]{0,3}", "[ab.: ]{0,3}", any::<bool>()), 0..12),
            told in proptest::collection::vec(("[ab.:]{0,3}", "[ab.: ]{0,3}", any::<bool>()), 0..12),
        ) {
            let of = |all: &[(String, String, bool)]| -> Vec<TestResult> {
                let outcome = |bad| if bad { TestOutcome::Failed } else { TestOutcome::Passed };
                all.iter().map(|(suite, name, bad)| test(suite, name, outcome(*bad))).collect()
            };
            let (printed, told) = (of(&printed), of(&told));
            let all = joined(&printed, &told);
            prop_assert_eq!(&all[..printed.len()], &printed[..]);
            prop_assert!(all.len() >= printed.len().max(told.len()));
            let failed = |tests: &[TestResult]| tests.iter().filter(|test| test.outcome.is_bad()).count();
            prop_assert!(failed(&all) >= failed(&told).max(failed(&printed)));
        }
    }
}

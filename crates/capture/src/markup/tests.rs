//! Markup as it is meant, and hostile markup.

use super::*;
use proptest::prelude::*;

fn read(lines: &[&str]) -> Vec<Marked> {
    let mut markup = Markup::new(true);
    lines.iter().filter_map(|line| markup.read(line.as_bytes())).collect()
}

fn group(title: &str) -> Marked {
    Marked::Group(title.to_owned())
}

fn annotation(level: Level, message: &str, file: Option<&str>, line: Option<u64>) -> Marked {
    let (message, file) = (message.to_owned(), file.map(str::to_owned));
    Marked::Annotation(Annotation { level, message, file, line })
}

#[test]
fn github() {
    let lines = [
        "::endgroup::",
        "::group::Build it",
        "::error file=src/a.rs,line=3,col=2::it%0Abroke",
        "::warning::careful",
        "::notice title=x::look",
        "::add-mask::hunter2",
        "::stop-commands::word",
        "::error::forged",
        "::word::",
        "::endgroup::",
        "::set-output name=x::y",
        "a::error::b",
    ];
    let want = [
        group("Build it"),
        annotation(Level::Error, "it\nbroke", Some("src/a.rs"), Some(3)),
        annotation(Level::Warn, "careful", None, None),
        annotation(Level::Info, "look", None, None),
        Marked::Secret(b"hunter2".to_vec()),
        Marked::GroupEnd,
    ];
    assert_eq!(read(&lines), want);
}

#[test]
fn a_secret_is_heard_however_github_would_hear_it() {
    for line in ["::add-mask::x", " \t::Add-Mask::x", "::ADD-MASK a=b::x\r", "##[add-mask]x", "  ##[Add-Mask]x"] {
        assert_eq!(read(&[line]), [Marked::Secret(b"x".to_vec())], "{line}");
        (1..line.len() - 2).for_each(|end| assert!(may_tell_secret(&line.as_bytes()[..end]), "{}", &line[..end]));
    }
    for line in ["a ::add-mask::x", "::add-masks::x", "::add-mask:x", ":: add-mask::x"] {
        assert_eq!(read(&[line]), [], "{line}");
    }
    assert!(!may_tell_secret(b"") && !may_tell_secret(b"  ::error") && !may_tell_secret(b"a"));
}

#[test]
fn azure_and_buildkite_and_teamcity() {
    let lines = [
        "##[section]Starting: build",
        "##[error]it broke",
        "##vso[task.logissue type=warning;sourcepath=a.rs;linenumber=7]careful",
        "##vso[task.setvariable variable=x]y",
        "+++ Deploy",
        "##teamcity[blockOpened name='te|'sts']",
        "##teamcity[message text='it |[broke|]' status='ERROR']",
        "##teamcity[blockClosed name='te|'sts']",
    ];
    let want = [
        group("Starting: build"),
        annotation(Level::Error, "it broke", None, None),
        annotation(Level::Warn, "careful", Some("a.rs"), Some(7)),
        group("Deploy"),
        group("te'sts"),
        annotation(Level::Error, "it [broke]", None, None),
        Marked::GroupEnd,
    ];
    assert_eq!(read(&lines), want);
    assert_eq!(Markup::new(false).read(b"--- a/src/lib.rs"), None, "a diff");
}

#[test]
fn gitlab_and_travis_end_by_name() {
    let lines = [
        "section_start:1560896352:outer[collapsed=true]\r\x1b[0KThe outer one",
        "\x1b[0Ksection_start:1560896352:inner\r\x1b[0K",
        "section_end:1560896353:outer\r\x1b[0K",
        "section_end:1560896353:inner",
        "travis_fold:start:git.checkout",
        "travis_fold:end:git.checkout",
    ];
    let want = [group("The outer one"), group("inner"), Marked::GroupEnd, group("git.checkout"), Marked::GroupEnd];
    assert_eq!(read(&lines), want);
}

#[test]
fn there_is_an_end_to_what_is_made_of_it() {
    let mut markup = Markup::new(false);
    let deep = (0..2 * DEPTH_MAX).filter(|_| markup.read(b"::group::deeper").is_some()).count();
    let many = (0..2 * EVENTS_MAX).filter(|_| markup.read(b"::error::again").is_some()).count();
    assert_eq!((deep, many), (DEPTH_MAX, EVENTS_MAX - DEPTH_MAX));
    assert_eq!(markup.read(b"::add-mask::late"), Some(Marked::Secret(b"late".to_vec())));
}

#[test]
fn groups_that_nobody_ends_and_ends_of_none() {
    let ended_too_often =
        ["::endgroup::", "::group::a", "::endgroup::", "::endgroup::", "##[endgroup]", "travis_fold:end:x"];
    assert_eq!(read(&ended_too_often), [group("a"), Marked::GroupEnd]);
    // A million that are begun make 64 groups; that they are ended is heard as often, and then groups are groups again.
    let mut markup = Markup::new(false);
    let begun = (0..1_000_000).filter(|_| markup.read(b"::group::again").is_some()).count();
    let ended = (0..1_000_000).filter(|_| markup.read(b"::endgroup::").is_some()).count();
    assert_eq!((begun, ended), (DEPTH_MAX, DEPTH_MAX));
    assert_eq!(markup.read(b"::group::one more"), Some(group("one more")));
    // A million that are begun and ended make as many events as there may be.
    let both = (0..1_000_000).filter(|_| markup.read(b"::group::x").is_some() | markup.read(b"::endgroup::").is_some());
    assert!(both.count() <= EVENTS_MAX);
}

#[test]
fn what_a_test_prints_is_no_command_once_commands_are_stopped() {
    let forged = [
        "::endgroup::",
        "::error::forged",
        "::group::forged",
        "::add-mask::forged",
        "::stop-commands::other",
        "::other::",
    ];
    let lines: Vec<&str> = ["::group::tests", "::stop-commands::a b c"]
        .into_iter()
        .chain(forged)
        .chain(["::a b c::", "::endgroup::"])
        .collect();
    assert_eq!(read(&lines), [group("tests"), Marked::GroupEnd]);
    // Whatever stands before a command makes it none, and so does what is not UTF-8.
    for line in [
        &b" ::error::x"[..],
        b"test a ... ::error::x",
        b"::error ::",
        b"::error",
        b"::",
        b":",
        b"::error::\xff",
        b"\x1b[31m::error::x",
    ] {
        let marked = Markup::new(true).read(line);
        assert!(!matches!(&marked, Some(Marked::Annotation(said)) if !said.message.is_empty()), "{line:?}: {marked:?}");
    }
    // A very long word ends as it began.
    let word = "w".repeat(1 << 20);
    let (stop, go) = (format!("::stop-commands::{word}"), format!("::{word}::"));
    assert_eq!(read(&[&stop, "::error::forged", &go, "::group::heard"]), [group("heard")]);
}

#[test]
fn of_a_title_of_a_mebibyte_its_beginning_is_kept() {
    let title = "ü".repeat(1 << 19);
    let lines = [
        format!("::group::{title}"),
        format!("::error file={title},line=1::{title}"),
        format!("##[section]{title}"),
        format!("##vso[task.logissue type=error;sourcepath={title}]{title}"),
        format!("section_start:1:{title}\r\x1b[0K{title}"),
        format!("travis_fold:start:{title}"),
        format!("##teamcity[blockOpened name='{title}']"),
        format!("##teamcity[buildProblem description='{title}']"),
        format!("--- {title}"),
    ];
    let mut markup = Markup::new(true);
    for line in &lines {
        let kept = match markup.read(line.as_bytes()) {
            Some(Marked::Group(title)) => vec![title],
            Some(Marked::Annotation(said)) => [Some(said.message), said.file].into_iter().flatten().collect(),
            other => unreachable!("{}: {other:?}", &line[..20]),
        };
        assert!(kept.iter().all(|text| text.len() == TEXT_BYTES_MAX), "{}", &line[..20]);
        assert!(markup.open.iter().flatten().all(|name| name.len() <= TEXT_BYTES_MAX));
    }
    // It is ended by its whole name all the same.
    let end = format!("section_end:2:{title}\r\x1b[0K");
    let begin = format!("section_start:1:{title}\r\x1b[0K");
    let mut markup = Markup::new(false);
    markup.read(begin.as_bytes());
    assert_eq!(markup.read(end.as_bytes()), Some(Marked::GroupEnd));
}

/// A line of each system, as it is meant.
const MEANT: [&str; 16] = [
    "::group::Build it",
    "::endgroup::",
    "::error file=src/a.rs,line=3,col=2::it%0Abroke",
    "::stop-commands::word",
    "::add-mask::hunter2",
    "##[section]Starting: build",
    "##[group]a",
    "##[endgroup]",
    "##vso[task.logissue type=warning;sourcepath=a.rs;linenumber=7]careful",
    "section_start:1560896352:outer[collapsed=true]\r\x1b[0KThe outer one",
    "\x1b[0Ksection_end:1560896353:outer\r\x1b[0K",
    "travis_fold:start:git.checkout\r\x1b[0K",
    "travis_fold:end:git.checkout",
    "##teamcity[blockOpened name='te|'sts']",
    "##teamcity[message text='it |[broke|]' status='ERROR']",
    "--- Build",
];

#[test]
fn broken_in_every_place_it_is_no_more_than_said() {
    for line in MEANT.map(str::as_bytes) {
        for at in 0..line.len() {
            let without: Vec<u8> = [&line[..at], &line[at + 1..]].concat();
            let twice = [&line[..=at], &line[at..]].concat();
            let swapped: Vec<u8> =
                line.iter().enumerate().map(|(place, byte)| if place == at { 0xff } else { *byte }).collect();
            let mut markup = Markup::new(true);
            for broken in [&line[..at], &line[at..], &without, &twice, &swapped] {
                markup.read(broken);
            }
            assert!(markup.open.len() <= 5, "{line:?}");
        }
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_change_nothing_but_events(lines in proptest::collection::vec(
        (proptest::sample::select(MEANT.to_vec()), proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4)),
        0..40,
    )) {
        let mut markup = Markup::new(true);
        let (mut begun, mut ended) = (0usize, 0usize);
        for (line, changes) in lines {
            let mut line = line.as_bytes().to_vec();
            changes.iter().for_each(|(at, byte)| {
                let at = at.index(line.len());
                line[at] = *byte;
            });
            match markup.read(&line) {
                Some(Marked::Group(title)) => { begun += 1; prop_assert!(title.len() <= TEXT_BYTES_MAX); }
                Some(Marked::GroupEnd) => ended += 1,
                _ => {}
            }
            prop_assert!(ended <= begun && markup.open.len() <= DEPTH_MAX);
        }
    }

    #[test]
    fn nothing_that_is_printed_is_too_much(lines in proptest::collection::vec(
        "(::|##\\[|##teamcity\\[|section_start:1:|travis_fold:start:|--- )?(group|error|blockOpened name='|message text='|add-mask)?[ -~\u{e9}|]{0,12}(::|\\]|\r)?[ -~]{0,6}", 0..30,
    )) {
        let mut markup = Markup::new(true);
        for line in lines {
            markup.read(line.as_bytes());
            prop_assert!(markup.open.len() <= DEPTH_MAX);
        }
    }
}

//! What CI systems would make of the lines that a command prints: groups, and errors, warnings and notices with their places.
//!
//! The lines stay as they are; what they say becomes events. Known are the commands of GitHub Actions (`::group::`), Azure Pipelines
//! (`##[section]`, `##vso[task.logissue]`), GitLab (`section_start:`), Buildkite (`--- `, inside Buildkite alone, for much else begins so),
//! Travis (`travis_fold:`) and TeamCity (`##teamcity[…]`). A group that nobody ends ends with the run. No I/O.

use std::borrow::Cow;

use logboom_record::Level;

/// Groups may be nested so deep.
const DEPTH_MAX: usize = 64;
/// So many events are made of a run; what is over is only printed.
const EVENTS_MAX: usize = 10_000;
/// So much of a text is kept.
const TEXT_BYTES_MAX: usize = 1_000;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// A group of lines begins.
    Group(String),
    /// The innermost group ends.
    GroupEnd,
    /// Something is to be noticed.
    Annotation(Annotation),
    /// This value is secret from now on.
    Secret(Vec<u8>),
}

/// Something to be noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// How bad it is.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// The file that it is about.
    pub file: Option<String>,
    /// The line in that.
    pub line: Option<u64>,
}

/// Reads the lines of a run.
#[derive(Debug, Default)]
pub struct Markup {
    /// The groups that are open: what ends each by name, where it has one.
    open: Vec<Option<String>>,
    /// GitHub's commands mean nothing until this word is said.
    stopped_until: Option<String>,
    is_buildkite: bool,
    events: usize,
}

impl Markup {
    /// Of a run, inside Buildkite or not.
    pub fn new(is_buildkite: bool) -> Markup {
        Markup { is_buildkite, ..Markup::default() }
    }

    /// What a line says, if it says anything. Ends of groups that were not begun say nothing.
    #[inline]
    pub fn read(&mut self, line: &[u8]) -> Option<Marked> {
        match line.first()? {
            b':' | b'#' | b's' | b't' | 0x1b => self.read_marked(line),
            b'-' | b'+' | b'~' if self.is_buildkite => self.read_marked(line),
            _ => None,
        }
    }

    fn read_marked(&mut self, line: &[u8]) -> Option<Marked> {
        let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
        let line = line.strip_prefix("\x1b[0K").unwrap_or(line);
        let marked = match line.as_bytes().first()? {
            b':' => self.github(line.strip_prefix("::")?),
            b'#' => match line.strip_prefix("##teamcity[") {
                Some(message) => self.teamcity(message.strip_suffix(']')?),
                None => self.azure(line.strip_prefix("##")?),
            },
            b's' => self.gitlab(line),
            b't' => self.travis(line.strip_prefix("travis_fold:")?),
            _ => {
                let title = ["--- ", "+++ ", "~~~ "].iter().find_map(|mark| line.strip_prefix(mark))?;
                // One ends where the next begins.
                self.open.clear();
                self.begin(title, None)
            }
        }?;
        // A secret is always heard.
        self.events += usize::from(!matches!(marked, Marked::Secret(_)));
        (self.events <= EVENTS_MAX || matches!(marked, Marked::Secret(_))).then_some(marked)
    }

    fn begin(&mut self, title: &str, name: Option<&str>) -> Option<Marked> {
        if self.open.len() >= DEPTH_MAX {
            return None;
        }
        self.open.push(name.map(shortened));
        Some(Marked::Group(shortened(title)))
    }

    /// Ends the innermost group, or the innermost of a name with those in it.
    fn end(&mut self, name: Option<&str>) -> Option<Marked> {
        match name {
            None => self.open.pop().map(|_| Marked::GroupEnd),
            Some(name) => {
                let name = shortened(name);
                let at = self.open.iter().rposition(|open| open.as_deref() == Some(&name))?;
                self.open.truncate(at);
                Some(Marked::GroupEnd)
            }
        }
    }

    /// Behind `::`: `error file=src/a.rs,line=3::it broke`.
    fn github(&mut self, text: &str) -> Option<Marked> {
        let (head, value) = text.split_once("::")?;
        if let Some(word) = &self.stopped_until {
            if shortened(head) == *word {
                self.stopped_until = None;
            }
            return None;
        }
        let (command, properties) = head.split_once(' ').unwrap_or((head, ""));
        let level = match command {
            "group" => return self.begin(&unescaped(value), None),
            "endgroup" => return self.end(None),
            "add-mask" => return Some(Marked::Secret(unescaped(value).into_owned().into_bytes())),
            "stop-commands" => {
                self.stopped_until = Some(shortened(value));
                return None;
            }
            "error" => Level::Error,
            "warning" => Level::Warn,
            "notice" => Level::Info,
            "debug" => Level::Debug,
            _ => return None,
        };
        let property = |key: &str| {
            let mut pairs = properties.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| unescaped(value))
        };
        let message = shortened(&unescaped(value));
        let (file, line) = (property("file").map(|file| shortened(&file)), property("line"));
        Some(Marked::Annotation(Annotation { level, message, file, line: line.and_then(|line| line.parse().ok()) }))
    }

    /// Behind `##`: `[error]it broke`, `vso[task.logissue type=error;sourcepath=a.rs;linenumber=3]it broke`.
    fn azure(&mut self, text: &str) -> Option<Marked> {
        let (head, message) = text.split_once(']')?;
        if let Some(properties) = head.strip_prefix("vso[task.logissue ") {
            let property = |key: &str| {
                let mut pairs = properties.split(';').filter_map(|pair| pair.trim().split_once('='));
                pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
            };
            let level = if property("type") == Some("error") { Level::Error } else { Level::Warn };
            let line = property("linenumber").and_then(|line| line.parse().ok());
            let (message, file) = (shortened(message), property("sourcepath").map(shortened));
            return Some(Marked::Annotation(Annotation { level, message, file, line }));
        }
        let level = match head.strip_prefix('[')? {
            "group" => return self.begin(message, None),
            "endgroup" => return self.end(None),
            "section" => {
                self.open.clear();
                return self.begin(message, None);
            }
            "error" => Level::Error,
            "warning" => Level::Warn,
            _ => return None,
        };
        Some(Marked::Annotation(Annotation { level, message: shortened(message), ..Annotation::default() }))
    }

    /// `section_start:1560896352:name[collapsed=true]\r\e[0KTitle`, `section_end:1560896353:name`.
    fn gitlab(&mut self, line: &str) -> Option<Marked> {
        let (rest, is_start) = match line.strip_prefix("section_start:") {
            Some(rest) => (rest, true),
            None => (line.strip_prefix("section_end:")?, false),
        };
        let (time, rest) = rest.split_once(':')?;
        time.parse::<u64>().ok()?;
        let (name, title) = rest.split_once('\r').unwrap_or((rest, ""));
        let name = name.split_once('[').map_or(name, |(name, _)| name);
        let title = title.trim_start_matches("\x1b[0K");
        if is_start {
            self.begin(if title.is_empty() { name } else { title }, Some(name))
        } else {
            self.end(Some(name))
        }
    }

    /// Behind `travis_fold:`: `start:name\r\e[0KTitle`, `end:name`.
    fn travis(&mut self, text: &str) -> Option<Marked> {
        let (word, rest) = text.split_once(':')?;
        let (name, title) = rest.split_once('\r').unwrap_or((rest, ""));
        let title = title.trim_start_matches("\x1b[0K");
        match word {
            "start" => self.begin(if title.is_empty() { name } else { title }, Some(name)),
            "end" => self.end(Some(name)),
            _ => None,
        }
    }

    /// Within `##teamcity[…]`: `blockOpened name='tests'`, `message text='it broke' status='ERROR'`.
    fn teamcity(&mut self, text: &str) -> Option<Marked> {
        let (message, attributes) = text.split_once(' ').unwrap_or((text, ""));
        let attribute = |key: &str| teamcity_value(attributes, key);
        match message {
            "blockOpened" | "testSuiteStarted" => {
                let name = attribute("name")?;
                self.begin(&name, Some(&name))
            }
            "blockClosed" | "testSuiteFinished" => self.end(Some(&attribute("name")?)),
            "message" => {
                let level = match attribute("status").as_deref() {
                    Some("ERROR" | "FAILURE") => Level::Error,
                    Some("WARNING") => Level::Warn,
                    _ => return None,
                };
                Some(Marked::Annotation(Annotation {
                    level,
                    message: shortened(&attribute("text")?),
                    ..Annotation::default()
                }))
            }
            "buildProblem" => {
                let message = shortened(&attribute("description")?);
                Some(Marked::Annotation(Annotation { level: Level::Error, message, ..Annotation::default() }))
            }
            _ => None,
        }
    }
}

/// GitHub's escapes.
fn unescaped(text: &str) -> Cow<'_, str> {
    match text.contains('%') {
        false => Cow::Borrowed(text),
        true => Cow::Owned(
            text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%"),
        ),
    }
}

/// The value of `key='…'`, in which `|` escapes.
fn teamcity_value(attributes: &str, key: &str) -> Option<String> {
    let start = attributes.split(&format!("{key}='")).nth(1)?;
    let (mut value, mut chars) = (String::new(), start.chars());
    loop {
        match chars.next()? {
            '\'' => return Some(value),
            '|' => match chars.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
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
        let both =
            (0..1_000_000).filter(|_| markup.read(b"::group::x").is_some() | markup.read(b"::endgroup::").is_some());
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
            assert!(
                !matches!(&marked, Some(Marked::Annotation(said)) if !said.message.is_empty()),
                "{line:?}: {marked:?}"
            );
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
}

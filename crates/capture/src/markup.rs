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

/// By what a program tells of a secret.
const ADD_MASK: &str = "add-mask";
/// How a command of GitHub's begins, now and before.
const COMMANDS: [&str; 2] = ["::", "##["];

/// Whether the line that begins so may tell of a secret.
pub(crate) fn may_tell_secret(begun: &[u8]) -> bool {
    let bare = begun.trim_ascii_start();
    !begun.is_empty()
        && COMMANDS.iter().any(|command| {
            let tells = [command, ADD_MASK].concat();
            let len = tells.len().min(bare.len());
            bare[..len].eq_ignore_ascii_case(&tells.as_bytes()[..len])
        })
}

/// The secret that a line tells. GitHub's runner takes blanks before it and letters of any case, so that is heard here, too: a command that
/// is not heard would leave the secret in all that follows.
fn told_secret(line: &[u8]) -> Option<Marked> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
    let (head, value) = match line.strip_prefix("::") {
        Some(rest) => rest.split_once("::")?,
        None => line.strip_prefix("##[")?.split_once(']')?,
    };
    let command = head.split(' ').next().unwrap_or(head);
    command.eq_ignore_ascii_case(ADD_MASK).then(|| Marked::Secret(unescaped(value).into_owned().into_bytes()))
}

impl Markup {
    /// Of a run, inside Buildkite or not.
    pub fn new(is_buildkite: bool) -> Markup {
        Markup { is_buildkite, ..Markup::default() }
    }

    /// What a line says, if it says anything. Ends of groups that were not begun say nothing.
    #[inline]
    pub fn read(&mut self, line: &[u8]) -> Option<Marked> {
        let bare = line.trim_ascii_start();
        if self.stopped_until.is_none()
            && COMMANDS.iter().any(|command| bare.starts_with(command.as_bytes()))
            && let Some(secret) = told_secret(bare)
        {
            return Some(secret);
        }
        match line.first()? {
            b':' | b'#' | 0x1b => self.read_marked(line),
            b's' if line.starts_with(b"section_") => self.read_marked(line),
            b't' if line.starts_with(b"travis_fold:") => self.read_marked(line),
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
        self.events += 1;
        (self.events <= EVENTS_MAX).then_some(marked)
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
mod tests;

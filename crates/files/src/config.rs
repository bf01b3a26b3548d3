//! Where logboom keeps things and by which rules, and who said so.
//!
//! A value comes from the command line, else the environment, else the nearest `logboom.toml` upwards, else a default;
//! [`Setting`] remembers which. The file is read strictly: a mistyped key that silently does nothing is worse than an
//! error. Nothing here looks at the process: directory and environment come in as a [`World`].

mod data_dir;
mod file;

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

pub use data_dir::DataDir;
pub(crate) use data_dir::state_dir;

use crate::{
    retention::Limits,
    units::{self, show_bytes, show_duration},
};
use file::ConfigFile;

/// What the process was given by its surroundings.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The working directory, absolute.
    pub cwd: &'a Path,
    /// The environment: `LOGBOOM_DIR`, `HOME` and `XDG_STATE_HOME` are asked for.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
}

impl World<'_> {
    fn var(&self, name: &str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }
}

/// Why the configuration cannot be used. The next step is to mend the file that is named.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there but cannot be read.
    #[error("cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {why}", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The file has a key that means nothing.
    #[error("{}:{line}: unknown key `{key}`; known are {}", .file.display(), file::KEYS.join(", "))]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key has a value that it cannot have.
    #[error("{}:{line}: `{key}`: {why}", .file.display())]
    BadValue {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// What is wrong, and what is allowed.
        why: String,
    },
    /// There is no place for the data dir.
    #[error("no data dir: not in a git repository and HOME is not set; use --dir or LOGBOOM_DIR")]
    NoHome,
}

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    Flag,
    /// A variable of the environment.
    Env(&'static str),
    /// A line of a `logboom.toml`.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The repository that encloses the working directory.
    Repository(PathBuf),
    /// Nobody.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("command line"),
            Origin::Env(name) => write!(f, "environment, {name}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Repository(root) => write!(f, "default in the repository {}", root.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Who gave it.
    pub origin: Origin,
}

/// When to do what people want and programs do not: give a command a terminal, colour, say how it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTerminal {
    /// Where logboom itself has a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl OnTerminal {
    /// All of them.
    pub const ALL: [OnTerminal; 3] = [OnTerminal::Auto, OnTerminal::Always, OnTerminal::Never];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnTerminal::Auto => "auto",
            OnTerminal::Always => "always",
            OnTerminal::Never => "never",
        }
    }
}

impl FromStr for OnTerminal {
    type Err = String;
    fn from_str(text: &str) -> Result<OnTerminal, String> {
        let found = OnTerminal::ALL.into_iter().find(|when| when.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of auto, always, never"))
    }
}

/// How long output is read on after the command's end, where a descendant keeps it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// At most so long.
    For(Duration),
    /// Until it is closed.
    Forever,
}

impl FromStr for Drain {
    type Err = String;
    fn from_str(text: &str) -> Result<Drain, String> {
        match text {
            "forever" => Ok(Drain::Forever),
            _ => units::parse_duration(text).map(Drain::For).map_err(|error| format!("{error}, or forever")),
        }
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drain::For(time) => f.write_str(&show_duration(*time)),
            Drain::Forever => f.write_str("forever"),
        }
    }
}

/// What the command line said; `None` where it said nothing.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--dir`.
    pub dir: Option<PathBuf>,
    /// `--older-than`.
    pub older_than: Option<Duration>,
    /// `--keep`.
    pub keep: Option<u64>,
    /// `--max-bytes`.
    pub max_bytes: Option<u64>,
    /// `--tty`.
    pub tty: Option<OnTerminal>,
    /// `--drain`.
    pub drain: Option<Drain>,
    /// `--grace`.
    pub grace: Option<Duration>,
}

/// Every value that logboom goes by.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data dir.
    pub dir: Setting<PathBuf>,
    /// Sessions that ended longer ago are deleted.
    pub older_than: Setting<Duration>,
    /// How many sessions are kept.
    pub keep: Setting<u64>,
    /// How much disk all sessions may take.
    pub max_bytes: Setting<u64>,
    /// Whether commands see a terminal.
    pub tty: Setting<OnTerminal>,
    /// How long output is read on after a command's end.
    pub drain: Setting<Drain>,
    /// How long a command has between TERM and KILL.
    pub grace: Setting<Duration>,
}

impl Config {
    /// Puts the configuration together.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, line and key at fault.
    pub fn load(flags: &Flags, world: World<'_>) -> Result<Config, ConfigError> {
        let file = ConfigFile::nearest(world.cwd)?;
        let limits = Limits::default();
        let duration = |text: &str| units::parse_duration(text).map_err(|error| error.to_string());
        Ok(Config {
            dir: data_dir::choose(flags.dir.as_deref(), &file, world)?,
            older_than: pick(flags.older_than, file.text("older_than", duration)?, limits.older_than),
            keep: pick(flags.keep, file.whole_number("keep")?, limits.keep),
            max_bytes: pick(flags.max_bytes, file.text("max_bytes", bytes)?, limits.max_bytes),
            tty: pick(flags.tty, file.text("tty", str::parse)?, OnTerminal::Auto),
            drain: pick(flags.drain, file.text("drain", str::parse)?, Drain::For(Duration::from_secs(2))),
            grace: pick(flags.grace, file.text("grace", duration)?, Duration::from_secs(5)),
        })
    }

    /// The data dir that was chosen; it need not exist.
    pub fn data_dir(&self) -> DataDir {
        DataDir { path: self.dir.value.clone(), origin: self.dir.origin.clone() }
    }

    /// What retention goes by.
    pub fn limits(&self) -> Limits {
        Limits { older_than: self.older_than.value, keep: self.keep.value, max_bytes: self.max_bytes.value }
    }

    /// Each value as text, with its key and where it came from, for a person.
    pub fn rows(&self) -> Vec<(&'static str, String, &Origin)> {
        vec![
            ("dir", self.dir.value.display().to_string(), &self.dir.origin),
            ("older_than", show_duration(self.older_than.value), &self.older_than.origin),
            ("keep", self.keep.value.to_string(), &self.keep.origin),
            ("max_bytes", show_bytes(self.max_bytes.value), &self.max_bytes.origin),
            ("tty", self.tty.value.as_str().to_owned(), &self.tty.origin),
            ("drain", self.drain.value.to_string(), &self.drain.origin),
            ("grace", show_duration(self.grace.value), &self.grace.origin),
        ]
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    units::parse_bytes(text).map_err(|error| error.to_string())
}

fn pick<T>(flag: Option<T>, file: Option<Setting<T>>, default: T) -> Setting<T> {
    match (flag, file) {
        (Some(value), _) => Setting { value, origin: Origin::Flag },
        (None, Some(setting)) => setting,
        (None, None) => Setting { value: default, origin: Origin::Default },
    }
}

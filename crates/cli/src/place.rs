//! Where this process is: its data dir and its settings, and the session that is meant there.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use logboom_files::{
    DataDir, Session,
    config::{Config, ConfigError, Flags, World},
    history::COMMIT,
    list::{SessionRef, Sessions},
    retention,
    session::Status,
};
use logboom_record::Time;

use crate::args::{Global, Which};

/// The settings, of these flags and this process's surroundings.
///
/// # Errors
/// [`ConfigError`], where a `logboom.toml` is wrong.
pub fn config(flags: &Flags) -> Result<Config, ConfigError> {
    let cwd = cwd();
    Config::load(flags, World { cwd: &cwd, env: &|name| std::env::var_os(name) })
}

/// The data dir. Reads no file where a flag or the environment names it.
///
/// # Errors
/// As [`config`].
pub fn data_dir(global: &Global) -> Result<DataDir, ConfigError> {
    let cwd = cwd();
    DataDir::discover(global.dir.as_deref(), World { cwd: &cwd, env: &|name| std::env::var_os(name) })
}

/// Who runs this, as the environment has it.
pub fn user() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
}

/// Where CI systems say that: GitHub, GitLab, Buildkite, Azure, Travis, CircleCI, Jenkins. What they run starts from a clean tree.
const COMMIT_VARIABLES: [&str; 7] = [
    "GITHUB_SHA",
    "CI_COMMIT_SHA",
    "BUILDKITE_COMMIT",
    "BUILD_SOURCEVERSION",
    "TRAVIS_COMMIT",
    "CIRCLE_SHA1",
    "GIT_COMMIT",
];
/// A commit's name has at most so many digits.
const COMMIT_BYTES_MAX: usize = 64;

/// Adds the label `commit` to those of a new session, where a CI system tells it and nobody gave it.
pub fn label_commit(labels: &mut BTreeMap<String, String>) {
    let is_one = |text: &String| {
        (1..=COMMIT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let commit = COMMIT_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(is_one));
    if let Some(commit) = commit.filter(|_| !labels.contains_key(COMMIT)) {
        labels.insert(COMMIT.to_owned(), commit);
    }
}

/// A working directory that was deleted under us has no `logboom.toml` either.
fn cwd() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// The session that is meant, and how it stands.
///
/// # Errors
/// Says what there is instead.
pub fn find(data: &DataDir, which: &Which, now: Time) -> anyhow::Result<Status> {
    Ok(find_session(data, &which.reference()?, now)?.status(now))
}

/// The session that a reference leads to.
///
/// # Errors
/// Says what there is instead.
pub fn find_session(data: &DataDir, reference: &SessionRef, now: Time) -> anyhow::Result<Session> {
    Ok(Sessions::of(data)?.resolve(reference, now)?)
}

/// How long a command that has ended may be held up to delete old sessions.
const TIDY_BUDGET: Duration = Duration::from_millis(5);

/// Deletes what the retention does not keep, at most once an hour.
pub fn tidy(config: &Config, now: Time) {
    // A session that cannot be deleted now is no business of the command that has just ended; `clean` says why it cannot.
    let _ = retention::tidy(&config.data_dir(), &config.limits(), now, TIDY_BUDGET);
}

impl Which {
    fn reference(&self) -> anyhow::Result<SessionRef> {
        Ok(match &self.session {
            Some(text) if self.failed => anyhow::bail!("{text:?} or --failed: give one of them"),
            None if self.failed => SessionRef::LatestFailed,
            Some(text) => text.parse()?,
            None => SessionRef::Back(1),
        })
    }
}

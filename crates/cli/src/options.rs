//! The options that several commands share.

use std::{
    ffi::OsString,
    io::{IsTerminal, stderr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use logboom_capture::{
    command::{self, PassThrough, TimeLimit},
    engine::{Host, HostError},
    masks::{Masks, SharedMasks, VALUE_BYTES_MAX, VALUE_BYTES_MIN, is_guessed},
};
use logboom_files::{
    config::{Config, Drain, Flags, OnTerminal},
    list::SessionRef,
    session::Counts,
    units::parse_duration,
};
use logboom_record::{RunEnd, SessionId, Time};
use serde::{Deserialize, Serialize};

use crate::{
    args::{Global, label, on_terminal},
    commands::exec::given,
    human,
    recording::{Recording, Target, warn, write_id_file},
    say::say,
};

/// What the run is called.
#[derive(Args, Clone, Default)]
pub struct Naming {
    /// What to call it [the command's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Note a fact about it (may be given more than once)
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Where its session is told.
    #[command(flatten)]
    pub id_file: IdFile,
}

/// Where the session is told.
#[derive(Args, Clone, Default)]
pub struct IdFile {
    /// Write the session's id to this file as soon as there is one
    #[arg(long, value_name = "FILE")]
    id_file: Option<PathBuf>,
}

impl IdFile {
    /// Writes it.
    pub fn write(&self, session: &SessionId) -> Result<()> {
        self.id_file.as_ref().map_or(Ok(()), |file| write_id_file(file, session))
    }

    /// Writes it, or warns: what is captured matters more than whoever wants to know its session.
    pub fn try_write(&self, recording: &Recording) {
        self.write(recording.session().id()).unwrap_or_else(|error| warn(&error));
    }
}

/// Whether the session around us is left.
#[derive(Args, Clone, Copy)]
pub struct Apart {
    /// Start a new session, also inside another one
    #[arg(long)]
    new_session: bool,
}

impl Apart {
    /// The session around us, unless it was not asked for: by `--new-session`, or by `--dir` with another data dir.
    pub fn target(self, config: &Config) -> Target {
        let around = std::env::var_os("LOGBOOM_DIR");
        let elsewhere = around.is_some_and(|dir| Path::new(&dir) != config.dir.value);
        if self.new_session || elsewhere { Target::New } else { Target::of_environment() }
    }
}

/// To which session it is added.
#[derive(Args, Clone)]
pub struct Joining {
    /// Add to this session instead of a new one: id, its 8 hex digits or the first of them, or name
    #[arg(long, value_name = "SESSION", conflicts_with = "new_session")]
    session: Option<SessionRef>,
    #[command(flatten)]
    apart: Apart,
}

impl Joining {
    /// The session that was asked for, which must be there and go on; else the one around us, or a new one.
    pub fn target(&self, config: &Config, now: Time) -> Result<Target> {
        match &self.session {
            Some(session) => given(Some(session), config, now),
            None => Ok(self.apart.target(config)),
        }
    }
}

/// Which engine.
#[derive(Args, Clone)]
pub struct EngineAt {
    /// The engine: unix://PATH or tcp://HOST:PORT [DOCKER_HOST, else docker's context, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,
}

impl EngineAt {
    /// The one that is meant.
    pub fn host(&self) -> std::result::Result<Host, HostError> {
        self.host_in(&|name| std::env::var_os(name))
    }

    /// The same, in an environment.
    pub fn host_in(&self, env: &dyn Fn(&str) -> Option<OsString>) -> std::result::Result<Host, HostError> {
        self.host.as_ref().map_or_else(|| Host::of_client(env), |host| Host::given(host, env))
    }
}

/// What is kept, and what is said at the end.
#[derive(Args, Clone)]
pub struct Keeping {
    /// Only capture the output, do not pass it on
    #[arg(short, long)]
    pub quiet: bool,
    /// Keep the text log alone, no boom file: less work now, slower search later
    #[arg(long)]
    pub no_boom: bool,
    /// Say on standard error how it went (auto: if that is a terminal)
    #[arg(long, value_name = "WHEN", value_parser = on_terminal(), default_value = "auto")]
    pub summary: OnTerminal,
}

impl Keeping {
    /// Standard error is the command's; logboom speaks there only to a person.
    pub fn may_speak(&self) -> bool {
        match self.summary {
            OnTerminal::Auto => stderr().is_terminal(),
            OnTerminal::Always => true,
            OnTerminal::Never => false,
        }
    }

    /// Says how it went, and where to read it.
    pub fn summarize(&self, session: &SessionId, started_at: Time, end: &RunEnd, counts: &Counts) {
        if self.may_speak() {
            let took = human::between(started_at, end.ended_at);
            say(format_args!("{}; logboom show {}", human::summary(end, took, counts), session.short()));
        }
    }
}

/// What is secret, and is not kept.
#[derive(Args, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Masking {
    /// Keep *** in the place of what fits this pattern (may be given more than once)
    #[arg(long = "mask", value_name = "REGEX", help_heading = "Secrets")]
    pub patterns: Vec<String>,
    /// Keep *** in the place of the value of this environment variable (may be given more than once)
    #[arg(long = "mask-env", value_name = "NAME", help_heading = "Secrets")]
    pub variables: Vec<String>,
    /// Keep all that is printed, also values of environment variables that are named like secrets
    #[arg(long, conflicts_with_all = ["patterns", "variables"], help_heading = "Secrets")]
    #[serde(skip)]
    pub no_mask: bool,
    /// Variables that are not ours but a command's.
    #[arg(skip)]
    #[serde(skip)]
    pub more: Vec<(String, String)>,
}

/// What a logboom around us masks, in JSON: what it keeps of a session has ours in it.
const MASKING: &str = "LOGBOOM_MASKING";

impl Masking {
    /// What is to be masked, here and by a logboom around us. Says which variables there are not.
    ///
    /// # Errors
    /// Of a pattern that is none, and a value that is too short or too long to be masked.
    pub fn masks(&self) -> Result<SharedMasks> {
        if self.no_mask {
            return Ok(SharedMasks::default());
        }
        let around = self.around();
        let more = self.more.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().chain(more).collect();
        let has_name = |name: &str| environment.iter().any(|(other, _)| other.as_os_str() == name);
        for name in self.variables.iter().filter(|name| !has_name(name)) {
            say(format_args!("nothing is masked for {name}: there is no such variable"));
        }
        let named = self.variables.iter().chain(&around.variables).flat_map(|name| {
            let has_name = move |(other, _): &&(OsString, OsString)| other.as_os_str() == name.as_str();
            environment.iter().filter(has_name).map(move |(_, value)| (name, value.clone()))
        });
        let mut values: Vec<OsString> = Vec::new();
        for (name, value) in named.filter(|(_, value)| !value.is_empty()) {
            if !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.len()) {
                if !self.variables.contains(name) {
                    continue; // whoever asked for it had another
                }
                anyhow::bail!(
                    "--mask-env {name}: its value has {} bytes; only {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} can be masked",
                    value.len()
                );
            }
            values.push(value);
        }
        let is_secret = |(name, value): &&(OsString, OsString)| is_guessed(&name.to_string_lossy(), value.as_bytes());
        values.extend(environment.iter().filter(is_secret).map(|(_, value)| value.clone()));
        let patterns: Vec<String> = self.patterns.iter().chain(&around.patterns).cloned().collect();
        Ok(Masks::new(values.iter().map(|value| value.as_bytes()), &patterns)?.into())
    }

    /// What is masked in the session that this adds to.
    fn around(&self) -> Masking {
        let told = std::env::var(MASKING).ok().and_then(|told| serde_json::from_str(&told).ok());
        told.filter(|_| !self.no_mask).unwrap_or_default()
    }

    /// What tells a logboom that is a part of the command what is masked.
    pub fn environment(&self) -> Option<(OsString, OsString)> {
        let around = self.around();
        let all = |ours: &[String], theirs: Vec<String>| ours.iter().cloned().chain(theirs).collect();
        let (patterns, variables) = (all(&self.patterns, around.patterns), all(&self.variables, around.variables));
        let told = Masking { patterns, variables, ..Masking::default() };
        if told.patterns.is_empty() && told.variables.is_empty() {
            return None;
        }
        // Strings alone cannot fail.
        Some((MASKING.into(), serde_json::to_string(&told).ok()?.into()))
    }
}

/// How the command runs.
#[derive(Args, Clone, Default)]
pub struct Running {
    /// Give the command terminals of its own (auto: for each stream that is one)
    #[arg(long, value_name = "WHEN", value_parser = on_terminal())]
    tty: Option<OnTerminal>,
    /// Give the command one full terminal; both streams become one
    #[arg(long, conflicts_with = "tty")]
    pty: bool,
    /// End the command and all its descendants after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long after SIGTERM to send SIGKILL [5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    grace: Option<Duration>,
    /// Go on capturing when nobody reads the output any more
    #[arg(long)]
    detach_output: bool,
    /// How long to read on when descendants keep the output open after the command's end [2s]; or forever
    #[arg(long, value_name = "TIME")]
    drain: Option<Drain>,
}

impl Running {
    /// As it is without options, for at most so long.
    pub fn within(timeout: Option<Duration>) -> Running {
        Running { timeout, ..Running::default() }
    }

    /// What these options say to the configuration.
    pub fn flags(&self, global: &Global) -> Flags {
        Flags { dir: global.dir.clone(), tty: self.tty, drain: self.drain, grace: self.grace, ..Flags::default() }
    }

    /// How to run a command.
    pub fn apply(&self, config: &Config, quiet: bool, spec: &mut command::Spec) {
        spec.tty = match config.tty.value {
            _ if self.pty => command::Tty::Full,
            OnTerminal::Auto => command::Tty::Auto,
            OnTerminal::Always => command::Tty::Always,
            OnTerminal::Never => command::Tty::Never,
        };
        spec.pass_through = match (quiet, self.detach_output) {
            (true, _) => PassThrough::Quiet,
            (false, true) => PassThrough::Detachable,
            (false, false) => PassThrough::Attached,
        };
        spec.time_limit = self.timeout.map(|after| TimeLimit { after, grace: config.grace.value });
        spec.drain = config.drain.value;
    }
}
